"""Hirschberg-Sinclair: the highest initiator wins on a bidirectional ring, by probing twice as far in each phase.

In phase k a candidate sends probes 2^k hops both ways. An initiator swallows those of lower ids; who is reached at the end
of the reach replies. Two replies open the next phase, so that only the highest of 2^k + 1 neighbours gets there; a probe
that comes home has been round the ring. Nodes that did not start pass everything on.

Model        bidirectional ring · asynchronous · reliable channels · no failures · unique ids · n unknown
Guarantees   exactly one leader: the highest initiator; finishes in every schedule
Messages     Probe(id, phase, hop)       "is anybody higher within 2^phase hops?"   O(log n) bits
             Reply(id, phase)            "nobody on this side"                      O(log n) bits
             Leader(id)                  "the election is over"                     O(log n) bits, announcement
Complexity   K = ceil(lg n); all start: best 6n + 4 * 2^K - 8 (ids ascending), mean about 3.14 n lg n (a sum, exact),
             worst at most 8n(1 + K) + n; one starts: 4(2^K - 1) + 3n
             time 2(2^K - 1) + 2n delta
Beyond the model   a crash: a probe or its reply is lost, and its candidate waits for ever; the election must be opened anew
             on the ring of the living
References   D. Hirschberg, J. Sinclair, Decentralized extrema-finding in circular configurations of processors, CACM
             23(11), 1980. Deviation: the leader's announcement, one way round, is ours.
"""

from algorithms.model import *


class Probe(Message, frozen=True):
    id: Id
    phase: int
    hop: int


class Reply(Message, frozen=True):
    id: Id
    phase: int


class Leader(Announcement, frozen=True):
    id: Id


def _messages(arrangement: Arrangement) -> dict[str, int]:
    """A probe goes as far as 2^phase or to the next higher initiator; it is answered from 2^phase hops if it got by."""
    n, probes, replies = len(arrangement.live), 0, 0
    ids = [arrangement.ids[p] if p in arrangement.initiators else 0 for p in arrangement.live]
    for i in arrangement.starts:
        sides = [next((d for d in range(1, n) if ids[(i + way * d) % n] > ids[i]), n) for way in (1, -1)]
        reach = 1
        while reach:
            probes += sum(min(reach, side) for side in sides)
            replies += sum(reach for side in sides if side > reach)
            reach = 2 * reach if min(sides) > reach else 0
    return {"Probe": probes, "Reply": replies, "Leader": n}


def _mean(n: int, a: int) -> float:
    """Sum over phases of the chance that a node is the highest of what it has probed so far, times what it sends then."""
    hops, reach, seen = 0.0, 1, 0
    while seen < a:
        hops += 2 * sum(1 / min(max(seen, h - 1) + seen + 1, a) for h in range(1, min(reach, a) + 1))
        hops += 2 * reach / min(reach + seen + 1, a) if reach < a else 0
        reach, seen = 2 * reach, reach
    return a * hops + a


class HirschbergSinclair(Node):
    model = Model(topology="bidirectional ring", timing="asynchronous", channels="reliable", failures="none")
    messages = (Probe, Reply, Leader)
    claims = Claims(
        messages=_messages,
        leader=lambda arrangement: max(arrangement.ids[p] for p in arrangement.initiators),
        all=Bounds("6n + 4·2^⌈lg n⌉ − 8", Formula("≈ 3.14 n lg n", _mean), "≤ 8n(1+⌈lg n⌉) + n"),
        one=Bounds("4(2^⌈lg n⌉−1) + 3n"),
        time="2(2^⌈lg n⌉ + n − 1)δ",
        source="Hirschberg, Sinclair 1980",
        best_case=lambda n: (tuple(range(1, n + 1)), tuple(range(n))),
    )

    def init(self) -> None:
        self.candidate = False
        self.phase = self.replies = 0

    def on_start(self) -> None:
        self.candidate = True
        self.broadcast(Probe(self.id, self.phase, 1))

    def on_probe(self, port: Port, msg: Probe) -> None:
        if msg.id == self.id and self.leader is None:
            self.elect(self.id)
            self.send(NEXT, Leader(self.id))
        elif msg.id > self.id or not self.candidate:
            if msg.hop < 2**msg.phase:
                self.pass_on(port, Probe(msg.id, msg.phase, msg.hop + 1))
            else:
                self.send(port, Reply(msg.id, msg.phase))

    def on_reply(self, port: Port, msg: Reply) -> None:
        if msg.id != self.id:
            self.pass_on(port, msg)
            return
        self.replies += 1
        if self.replies == 2:
            self.replies, self.phase = 0, self.phase + 1
            self.broadcast(Probe(self.id, self.phase, 1))

    def on_leader(self, port: Port, msg: Leader) -> None:
        if msg.id != self.id:
            self.elect(msg.id)
            self.send(NEXT, msg)
