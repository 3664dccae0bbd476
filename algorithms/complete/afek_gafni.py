"""Afek-Gafni: a candidate captures the others one after another, the one ahead prevails, on a complete graph.

A candidate asks its links in turn, from any on; each node that accepts raises its level. Who is asked by (level, id) below
the highest that it has seen is silent, and that candidate is stuck. A node without an owner accepts. One with an owner asks
the owner first: a candidate that is not ahead of the new one dies and yields, one that is ahead is silent. A candidate
counts itself among its nodes. Who has captured all others leads.

Model        complete graph · asynchronous · reliable channels · no failures · unique ids, those of neighbours unknown ·
             n known through the ports
Guarantees   exactly one leader, an initiator, but the schedule decides which; finishes in every schedule
Messages     Capture(level, id)          "be mine"                                  O(log n) bits
             Ask(level, id)              "it would take me from you"                O(log n) bits
             Yield(level, id)            "let it"                                   O(log n) bits
             Accept()                    "I am yours"                               O(1) bits
             Leader(id)                  "the election is over"                     O(log n) bits, announcement
Complexity   the first k nodes of candidates that reach level k are disjoint, so at most n/(k + 1) get there: at most
             sum over k < n of n/k captures, and at most 4n H_n + n messages; best 4(n - 1) if all start and one outruns
             the others, 3(n - 1) if one starts
             time O(n) delta; 2n - 1 hops if one starts
Beyond the model   a crash: who waits for that node waits for ever unless the election is opened anew
References   Y. Afek, E. Gafni, Time and message bounds for election in synchronous and asynchronous complete networks, SIAM
             J. Comput. 20(2), 1991, the asynchronous one with O(n log n) messages. Deviations: the announcement is ours;
             the first link is drawn, since all who begin with one node are stuck there but one, and n log n is never seen.
"""

from algorithms.model import *


class Capture(Message, frozen=True):
    level: int
    id: Id


class Ask(Capture, frozen=True): ...


class Yield(Capture, frozen=True): ...


class Accept(Message, frozen=True): ...


class Leader(Announcement, frozen=True):
    id: Id


def _ranges(arrangement: Arrangement) -> dict[str, range]:
    """Every node but the winner is captured once without being owned by another; every initiator tries at least once."""
    n, starts = len(arrangement.live), len(arrangement.initiators)
    most = sum(min(starts, n // k) for k in range(1, n))
    again = range(most - n + 2)
    return {"Capture": range(n + starts - 2, most + 1), "Accept": range(n - 1, most + 1), "Ask": again, "Yield": again}


class AfekGafni(Node):
    model = Model(topology="complete", timing="asynchronous", channels="reliable", failures="none")
    messages = (Capture, Ask, Yield, Accept, Leader)
    claims = Claims(
        messages=lambda arrangement: {"Leader": len(arrangement.live) - 1},
        ranges=_ranges,
        all=Bounds("4(n−1)", "O(n log n)", Formula("≤ 4n·Hₙ + n", lambda n, a: a + 4 * a * harmonic(a))),
        one=Bounds("3(n−1)"),
        time="O(n)δ",
        source="Afek, Gafni 1991",
        best_case=lambda n: (tuple(range(1, n + 1)), (0,)),
    )

    def init(self) -> None:
        self.level = self.first = 0
        self.alive = False  # as a candidate
        self.highest = (-1, 0)  # (level, id) of the captures seen
        self.owner: Port | None = None
        self.asking: Port = 0  # who sent the highest

    def on_start(self) -> None:
        self.alive, self.highest = True, (0, self.id)
        self.first = self.rng.randrange(len(self.ports))
        self.capture()

    def capture(self) -> None:
        """Go for the next node."""
        self.send(self.ports[(self.first + self.level) % len(self.ports)], Capture(self.level, self.id))

    def on_capture(self, port: Port, msg: Capture) -> None:
        if (msg.level, msg.id) >= self.highest:
            self.highest, self.asking = (msg.level, msg.id), port
            if self.owner is not None:
                self.send(self.owner, Ask(msg.level, msg.id))
            elif self.gives_way(msg.level, msg.id):
                self.accept()

    def gives_way(self, level: int, id: Id) -> bool:
        """Whether this node does not stand as a candidate ahead of (level, id); then it does not stand any more."""
        if self.alive and (level, id) < (self.level, self.id):
            return False
        self.alive = False
        return True

    def accept(self) -> None:
        """Be taken by who asked last."""
        self.owner = self.asking
        self.send(self.owner, Accept())

    def on_ask(self, port: Port, msg: Ask) -> None:
        if self.gives_way(msg.level, msg.id):
            self.send(port, Yield(msg.level, msg.id))

    def on_yield(self, port: Port, msg: Yield) -> None:
        if (msg.level, msg.id) == self.highest:
            self.accept()

    def on_accept(self, port: Port, msg: Accept) -> None:
        if not self.alive:
            return
        self.level += 1
        if self.level < len(self.ports):
            self.capture()
        else:
            self.elect(self.id)
            self.broadcast(Leader(self.id))

    def on_leader(self, port: Port, msg: Leader) -> None:
        self.elect(msg.id)
