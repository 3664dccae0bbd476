"""Franklin: the highest initiator wins on a bidirectional ring; in each round only the local maxima stay.

Every active node sends its id both ways and waits for one from each side, its nearest active neighbours'. It stays active
if both are lower, turns passive if one is higher, and leads if it hears itself. Passive nodes, and those that did not
start, pass on. At least every other active node drops out in a round.

Model        bidirectional ring · asynchronous · reliable FIFO channels · no failures · unique ids · n unknown
Guarantees   exactly one leader: the highest initiator; finishes in every schedule
Messages     Token(id)                   "id is active"                             O(log n) bits
             Leader(id)                  "the election is over"                     O(log n) bits, announcement
Complexity   2n a round, R rounds: 2nR + n; all start: best 5n (ids ascending), mean about 1.2 n lg n (fitted), worst
             2n floor(lg n) + 3n (every other one a peak, and so again among the peaks); one starts: 3n
             time at most n(R + 1) delta
Beyond the model   a crash: both neighbours wait for ever; the election must be opened anew on the ring of the living.
             Without FIFO a token of the next round is taken for one of this
References   W. R. Franklin, On an improved algorithm for decentralized extrema finding in circular configurations of
             processors, CACM 25(5), 1982. Deviation: none.
"""

from algorithms.model import *


class Token(Message, frozen=True):
    id: Id


class Leader(Announcement, frozen=True):
    id: Id


def _messages(arrangement: Arrangement) -> dict[str, int]:
    """Rounds until one is left, and one in which it hears itself."""
    n, active, rounds = len(arrangement.live), [arrangement.ids[p] for p in arrangement.initiators], 1
    while len(active) > 1:
        rounds += 1
        around = zip(active, active[-1:] + active[:-1], active[1:] + active[:1], strict=True)
        active = [t for t, before, after in around if before < t > after]
    return {"Token": 2 * n * rounds, "Leader": n}


class Franklin(Node):
    model = Model(topology="bidirectional ring", timing="asynchronous", channels="reliable FIFO", failures="none")
    messages = (Token, Leader)
    claims = Claims(
        messages=_messages,
        leader=lambda arrangement: max(arrangement.ids[p] for p in arrangement.initiators),
        all=Bounds("5n", "≈ 1.2 n lg n", "2n⌊lg n⌋ + 3n"),
        one=Bounds("3n"),
        time="≤ n(⌊lg n⌋ + 2)δ",
        source="Franklin 1982",
        best_case=lambda n: (tuple(range(1, n + 1)), tuple(range(n))),
        worst_case=lambda n: (peaks(n), tuple(range(n))),
    )

    def init(self) -> None:
        self.active = False
        self.heard: dict[Port, list[Token]] = {port: [] for port in self.ports}

    def on_start(self) -> None:
        self.active = True
        self.broadcast(Token(self.id))

    def on_token(self, port: Port, msg: Token) -> None:
        self.heard[port].append(msg)
        if self.active and all(self.heard.values()):
            highest = max(heard.pop(0).id for heard in self.heard.values())
            if highest < self.id:
                self.broadcast(Token(self.id))
            elif highest == self.id:
                self.elect(self.id)
                self.send(NEXT, Leader(self.id))
            else:
                self.active = False
        if not self.active:
            for side, heard in self.heard.items():
                while heard:
                    self.pass_on(side, heard.pop(0))

    def on_leader(self, port: Port, msg: Leader) -> None:
        if msg.id != self.id:
            self.elect(msg.id)
            self.send(NEXT, msg)
