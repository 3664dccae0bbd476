"""Ring: an Election message collects the ids of a unidirectional ring, a Coordinator message then announces the highest.

Who suspects the leader sends an Election with its own id round the ring; everybody appends its id. When the list comes
back to its origin it names all that are alive: the origin turns it into a Coordinator, which goes round once more and is
taken off by its origin. Each initiator runs a circulation of its own; all of them find the same maximum.

Model        unidirectional ring · asynchronous · reliable channels · no failures · unique ids · n unknown
Guarantees   the highest id on the ring is elected by all; finishes after two circulations
Messages     Election(origin, ids)       "these were met since origin"              O(n log n) bits
             Coordinator(origin, ids)    "these are up; the highest leads"          O(n log n) bits, announcement
Complexity   2n for each initiator, always: best 2n (one starts), worst 2n^2 (all start)
             time 2n delta; the ids carried are cubic when all start
Beyond the model   a crash: the token dies in the hands of its holder, or circles without its origin; the ring must be
             closed round the dead and the election opened anew
References   A. Tanenbaum, Distributed Operating Systems; Tanenbaum and van Steen, Distributed Systems. Deviation: the ring
             is closed round dead nodes before the election, not by failed sends during it.
"""

from algorithms.model import *


class Election(Message, frozen=True):
    origin: Id
    ids: tuple[Id, ...]


class Coordinator(Announcement, frozen=True):
    origin: Id
    ids: tuple[Id, ...]


def _messages(arrangement: Arrangement) -> dict[str, int]:
    hops = len(arrangement.live) * len(arrangement.initiators)
    return {"Election": hops, "Coordinator": hops}


class Ring(Node):
    model = Model(topology="unidirectional ring", timing="asynchronous", channels="reliable", failures="none")
    messages = (Election, Coordinator)
    claims = Claims(
        messages=_messages,
        leader=lambda arrangement: max(arrangement.ids[p] for p in arrangement.live),
        depth=lambda arrangement: 2 * len(arrangement.live),
        all=Bounds("2n²"),
        one=Bounds("2n"),
        time="2nδ",
        bits="O(n log n) a message",
        source="Tanenbaum 1995",
        best_case=lambda n: (tuple(range(1, n + 1)), (0,)),
        worst_case=lambda n: (tuple(range(1, n + 1)), tuple(range(n))),
    )

    def on_start(self) -> None:
        self.send(NEXT, Election(self.id, (self.id,)))

    def on_election(self, port: Port, msg: Election) -> None:
        if self.id in msg.ids:
            self.send(NEXT, Coordinator(msg.origin, msg.ids))
        else:
            self.send(NEXT, Election(msg.origin, (*msg.ids, self.id)))

    def on_coordinator(self, port: Port, msg: Coordinator) -> None:
        self.elect(max(msg.ids))
        if msg.origin != self.id:
            self.send(NEXT, msg)
