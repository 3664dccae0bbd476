"""Bully: the highest live id wins on a complete graph, by asking everybody stronger whether they are there.

Who suspects the leader sends Election to all higher ids. Whoever is up answers Ok and runs an election of its own. Who
hears nothing for T has nobody above it that lives: it announces itself as Coordinator. Who was answered but hears of no
Coordinator within T2 assumes that the stronger node died in between, and starts over in the next epoch. The strongest
configured node need not wait: there is nobody to ask.

Model        complete graph · synchronous (a bound delta on a hop is known) · reliable channels · any number of crashes,
             with recovery · unique ids, those of all others known (a port is the neighbour's id) · any initiators
Guarantees   one leader an epoch and the highest live id elected, as long as no hop takes longer than delta; a lower
             Coordinator is bullied back
Messages     Election(epoch)             "are you there? I am electing"             O(log n) bits
             Ok(epoch)                   "I am, and I take over"                    O(log n) bits
             Coordinator(epoch, leader)  "the leader is ..."                        O(log n) bits, announcement
Complexity   best n - 1 (the strongest starts), mean (n^2 - 1)/3 + n - 1 over a uniform initiator, worst n^2 - 1 (the
             weakest starts, or all); with only the leader dead n, n(2n - 1)/6 + n - 1 and n(n - 1)
             time 2 delta if the strongest configured node lives, else T + 2 delta
Beyond the model   an Ok later than T: the weaker node announces itself, the stronger bullies back, two leaders meanwhile;
             a partition: one leader a side, there is no quorum; a paused leader: it still leads when it wakes up
References   H. Garcia-Molina, Elections in a Distributed Computing System, IEEE Trans. Computers C-31(1), 1982, in the
             Election/Ok/Coordinator form of Tanenbaum and van Steen. Deviations: every message carries an epoch and a
             node is a candidate at most once an epoch (restarting on every Election costs 2^h messages); requests are
             answered even after a Coordinator was seen; what is stale is answered with the current Coordinator; who
             recovers listens for T + T2 before it elects, in an epoch later than any it heard of: at once, in the epoch
             after its last, it would lead beside whoever won that epoch meanwhile.
"""

from algorithms.model import *


class Election(Message, frozen=True):
    epoch: int


class Ok(Message, frozen=True):
    epoch: int


class Coordinator(Announcement, frozen=True):
    epoch: int
    leader: Id


class Epoch(Message, frozen=True):
    """What survives a crash."""

    epoch: int


def _messages(arrangement: Arrangement) -> dict[str, int]:
    """With i the lowest initiator, the p live nodes from i up each ask all above them and hear from the live ones."""
    ids, live = arrangement.ids, sorted(arrangement.ids[p] for p in arrangement.live)
    lowest = min(arrangement.ids[p] for p in arrangement.initiators)
    candidates = [j for j in live if j >= lowest]
    told = arrangement.n - 1 if arrangement.parameters["coordinator"] == "all" else sum(j < live[-1] for j in ids)
    return {
        "Election": sum(above > j for j in candidates for above in ids),
        "Ok": len(candidates) * (len(candidates) - 1) // 2,
        "Coordinator": told,
    }


_ALL = Formula("n²−1", lambda n, a: a * (a - 1) + (n - a) * a + n - 1)


class Bully(Node):
    model = Model("complete", "synchronous", "reliable", "crash", knows=("n", "neighbours"))
    messages = (Election, Ok, Coordinator)
    record = Epoch
    coordinator: str = choice("all", "lower", meaning="who is told of the outcome")
    victory: str = choice("immediate", "wait", meaning="whether the strongest configured node waits T like the others")
    answer_timeout: float = number(2, 2, "T, in delta: how long to wait for an Ok")
    coordinator_timeout: float = number(3, 3, "T2, in delta: how long to wait for the Coordinator after that")
    claims = Claims(
        messages=_messages,
        leader=lambda arrangement: max(arrangement.ids[p] for p in arrangement.live),
        all=Bounds(_ALL),
        one=Bounds(
            Formula("n−1", lambda n, a: n - a + n - 1),
            Formula("(n²−1)/3 + n−1", lambda n, a: (a * a - 1) / 3 + (n - a) * (a + 1) / 2 + n - 1),
            _ALL,
        ),
        time="2δ, or T + 2δ where stronger nodes are down",
        source="Garcia-Molina 1982",
        best_case=lambda n: (tuple(range(1, n + 1)), (n - 1,)),
        worst_case=lambda n: (tuple(range(1, n + 1)), tuple(range(n))),
    )

    def init(self) -> None:
        self.started = False
        self.answered = False
        self.rumour: Coordinator | None = None  # of a leader that is suspected
        self.back = False  # after a crash, and not told yet which epoch it is

    def on_start(self) -> None:
        self.begin()

    def on_suspect(self, port: Port) -> None:
        if port == self.leader:
            self.adopt(self.epoch + 1)
        if self.leader is None and not self.back:
            self.begin()

    def on_recover(self, record: Message | None) -> None:
        if isinstance(record, Epoch):
            self.epoch = record.epoch
        self.back = True
        # longer than an election that did not ask this node, and than the leader takes to trust it again and to say so
        self.set_timer("coordinator", self.answer_timeout + self.coordinator_timeout)

    def on_trust(self, port: Port) -> None:
        if self.leader == self.id:
            self.send(port, Coordinator(self.epoch, self.id))
        elif self.rumour is not None and self.rumour.leader == port:
            self.on_coordinator(port, self.rumour)
        elif self.leader is None and self.started and port > self.id:
            self.send(port, Election(self.epoch))

    def adopt(self, epoch: int) -> None:
        """Forget the past and enter `epoch`."""
        self.epoch, self.leader, self.started, self.answered, self.back = epoch, None, False, False, False
        self.rumour = None
        self.cancel_timer("answer", "coordinator")
        self.save(Epoch(epoch))

    def begin(self) -> None:
        """Be a candidate, at most once an epoch."""
        if self.started:
            return
        self.started = True
        self.cancel_timer("coordinator")
        higher = [port for port in self.ports if port > self.id]
        for port in higher:
            self.send(port, Election(self.epoch))
        if not higher and self.victory == "immediate":
            self.win()
        elif self.leader is None:
            self.set_timer("answer", self.answer_timeout)

    def on_election(self, port: Port, msg: Election) -> None:
        if msg.epoch < self.epoch and self.leader is not None:
            self.send(port, Coordinator(self.epoch, self.leader))
            return
        if self.back:  # somebody may win this epoch who asked while nobody was here to object
            self.epoch = max(self.epoch, msg.epoch)
            return
        if msg.epoch > self.epoch:
            self.adopt(msg.epoch)
        self.send(port, Ok(msg.epoch))
        self.begin()

    def on_ok(self, port: Port, msg: Ok) -> None:
        if msg.epoch == self.epoch:
            self.answered = True

    def on_timeout(self, name: str) -> None:
        if name == "answer" and not self.answered:
            self.win()
        elif name == "answer":
            self.set_timer("coordinator", self.coordinator_timeout)
        else:
            self.adopt(self.epoch + 1)
            self.begin()

    def win(self) -> None:
        """Nobody above is alive."""
        self.elect(self.id, self.epoch)
        for port in self.ports:
            if port < self.id or self.coordinator == "all":
                self.send(port, Coordinator(self.epoch, self.id))

    def on_coordinator(self, port: Port, msg: Coordinator) -> None:
        if (msg.epoch, msg.leader) < (self.epoch, self.leader or 0):
            if self.leader is not None:
                self.send(port, Coordinator(self.epoch, self.leader))
        elif self.back and (msg.leader < self.id or msg.leader in self.suspected):
            self.epoch, self.rumour = msg.epoch, msg  # it listens on, and takes part in the next
        elif msg.leader < self.id:
            self.adopt(msg.epoch + 1)
            self.begin()
        elif msg.leader in self.suspected:  # dead when its news arrives, or back and not yet trusted
            self.adopt(msg.epoch)
            self.rumour = msg
            self.set_timer("coordinator", self.coordinator_timeout)
        else:
            if msg.epoch > self.epoch:
                self.adopt(msg.epoch)
            self.back = False
            self.cancel_timer("answer", "coordinator")
            self.elect(msg.leader, msg.epoch)
