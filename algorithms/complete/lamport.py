"""Lamport: the highest (timestamp, id) wins on a complete graph, by logical clocks and objections.

An initiator stamps its candidacy with its logical clock and asks everybody. Who has a higher (stamp, id) objects, and in
`cascade` mode becomes a candidate itself; everybody else acknowledges. A candidate that collected a reply from everybody
and no objection is the leader and announces itself. In `collect` mode nobody joins: an initiator that met objections
appoints the best objector. A node's stamp is frozen *before* the clock of the message that brought the news is merged:
otherwise every joiner would outrank the initiator and the schedule would choose the leader.

Model        complete graph · asynchronous · reliable channels · no failures · unique ids · n known through the ports
Guarantees   exactly one leader, of maximal (stamp, id) among the nodes reached; finishes in every schedule
Messages     Election(stamp, id, clock)  "I am a candidate"                         O(log n) bits
             Object(stamp, id)           "I rank higher"                            O(log n) bits
             Ack()                       "I do not"                                 O(1) bits
             Appoint()                   "you rank highest of all that answered"    O(1) bits, collect only
             Coordinator(stamp, id)      "I lead"                                   O(log n) bits, announcement
Complexity   cascade: j candidates cost (2j + 1)(n - 1); best 3(n - 1), worst (2n + 1)(n - 1) (all start). With fresh
             clocks an initiator's stamp beats everybody else's, so one initiator costs 3(n - 1), whoever it is
             time 3 delta if the winner is an initiator, else 4 delta
Beyond the model   a lost reply or a crash: the candidate waits for ever unless the election is opened anew
References   a classroom construction over L. Lamport, Time, Clocks, and the Ordering of Events in a Distributed System,
             CACM 21(7), 1978; there is no canonical statement. Deviation: silence is neither consent nor death; every
             request is answered, also after a Coordinator was seen.
"""

from algorithms.model import *


class Election(Message, frozen=True):
    stamp: int
    id: Id
    clock: int


class Object(Message, frozen=True):
    stamp: int
    id: Id


class Ack(Message, frozen=True): ...


class Appoint(Message, frozen=True): ...


class Coordinator(Announcement, frozen=True):
    stamp: int
    id: Id


def _priorities(arrangement: Arrangement) -> dict[Position, tuple[int, Id]]:
    """(stamp, id) of every live node; `draws` holds the clocks, if not zero."""
    clocks = {p: arrangement.draws[p][0] if arrangement.parameters["clock"] else 0 for p in arrangement.live}
    return {p: (clocks[p] + (p in arrangement.initiators), arrangement.ids[p]) for p in arrangement.live}


def _leader(arrangement: Arrangement) -> Id:
    """Highest (stamp, id): of all, who are asked by whoever starts."""
    return max(_priorities(arrangement).values())[1]


def _messages(arrangement: Arrangement) -> dict[str, int]:
    """Counts follow from the ranks of the initiators among the live nodes."""
    others, priority = len(arrangement.live) - 1, _priorities(arrangement)
    lowest = min(priority[p] for p in arrangement.initiators)
    joiners = [p for p in arrangement.live if priority[p] >= lowest]
    cascade = arrangement.parameters["mode"] == "cascade"
    candidates = joiners if cascade else arrangement.initiators
    objections = sum(priority[q] > priority[p] for p in candidates for q in arrangement.live)
    winner = max(arrangement.live, key=priority.__getitem__)
    return {
        "Election": len(candidates) * others,
        "Object": objections,
        "Ack": len(candidates) * others - objections,
        "Appoint": 0 if cascade else len(candidates) - (winner in candidates),
        "Coordinator": others,
    }


def _clock(text: str) -> int:
    if text == "zero":
        return 0
    if not text.startswith("random:") or int(text[7:]) < 1:
        raise ValueError(text)
    return int(text[7:])


class Lamport(Node):
    model = Model(topology="complete", timing="asynchronous", channels="reliable", failures="none", knows=("n",))
    messages = (Election, Object, Ack, Appoint, Coordinator)
    mode: str = choice(
        "cascade", "collect", meaning="whether who objects becomes a candidate, or the initiator appoints"
    )
    clock: int = parameter("zero", "zero or random:R", "clocks at birth: 0, or uniform over 0..R", _clock)
    claims = Claims(
        messages=_messages,
        leader=_leader,
        all=Bounds("(2n+1)(n−1)"),
        one=Bounds("3(n−1)"),
        time="3δ, or 4δ where the winner did not start",
        source="after Lamport 1978",
        best_case=lambda n: (tuple(range(1, n + 1)), (0,)),
        worst_case=lambda n: (tuple(range(1, n + 1)), tuple(range(n))),
    )

    def init(self) -> None:
        self.clock = self.rng.randint(0, self.clock) if self.clock else 0
        self.stamp: int | None = None
        self.joined = False
        self.replies = 0
        self.best: tuple[int, Id, Port] | None = None
        self.announced = False

    def freeze(self) -> int:
        """The stamp with which this node enters the election; it never changes again."""
        if self.stamp is None:
            self.stamp = self.clock
        return self.stamp

    def on_start(self) -> None:
        self.clock += 1
        self.join()

    def join(self) -> None:
        """Become a candidate, at most once."""
        if not self.joined:
            self.joined = True
            self.broadcast(Election(self.freeze(), self.id, self.clock))

    def on_election(self, port: Port, msg: Election) -> None:
        stamp = self.freeze()
        self.clock = max(self.clock, msg.clock) + 1
        if (stamp, self.id) < (msg.stamp, msg.id):
            self.send(port, Ack())
            return
        self.send(port, Object(stamp, self.id))
        if self.mode == "cascade":
            self.join()

    def on_object(self, port: Port, msg: Object) -> None:
        if self.best is None or (msg.stamp, msg.id) > self.best[:2]:
            self.best = (msg.stamp, msg.id, port)
        self.count_reply()

    def on_ack(self, port: Port, msg: Ack) -> None:
        self.count_reply()

    def count_reply(self) -> None:
        """Everybody answered: lead, or (collect) say who shall."""
        self.replies += 1
        if self.replies < len(self.ports):
            return
        if self.best is None:
            self.announce()
        elif self.mode == "collect":
            self.send(self.best[2], Appoint())

    def on_appoint(self, port: Port, msg: Appoint) -> None:
        self.announce()

    def announce(self) -> None:
        """Lead, and say so once."""
        if not self.announced:
            self.announced = True
            self.elect(self.id)
            self.broadcast(Coordinator(self.freeze(), self.id))

    def on_coordinator(self, port: Port, msg: Coordinator) -> None:
        self.elect(msg.id)
