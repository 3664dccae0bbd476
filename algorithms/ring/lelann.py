"""LeLann: the highest initiator wins on a unidirectional ring; each initiator hears of all others before its token is home.

Every initiator sends a token with its id all the way round and notes the ids of the tokens that it passes on. Links are
FIFO and initiators start before they hear of anything, so that all other tokens pass before its own comes home: then the
highest noted is the leader. The leader announces itself, for those that did not start; they only pass on.

Model        unidirectional ring · asynchronous · reliable FIFO channels · no failures · unique ids · n unknown
Guarantees   exactly one leader: the highest initiator; finishes in every schedule
Messages     Token(id)                   "id competes"                              O(log n) bits
             Leader(id)                  "the election is over"                     O(log n) bits, announcement
Complexity   k initiators: kn + n, always; best 2n (one starts), worst n^2 + n (all start)
             time 2n delta
Beyond the model   a crash: the token in hand is lost, or one whose owner is gone circles for ever; the election must be
             opened anew on the ring of the living. Without FIFO a token overtakes a higher one, and two lead
References   G. Le Lann, Distributed systems: towards a formal approach, IFIP Congress 1977. Deviation: the leader announces
             itself also where all started, since nobody knows that they did.
"""

from algorithms.model import *


class Token(Message, frozen=True):
    id: Id


class Leader(Announcement, frozen=True):
    id: Id


def _messages(arrangement: Arrangement) -> dict[str, int]:
    n = len(arrangement.live)
    return {"Token": n * len(arrangement.initiators), "Leader": n}


class LeLann(Node):
    model = Model(topology="unidirectional ring", timing="asynchronous", channels="reliable FIFO", failures="none")
    messages = (Token, Leader)
    claims = Claims(
        messages=_messages,
        leader=lambda arrangement: max(arrangement.ids[p] for p in arrangement.initiators),
        depth=lambda arrangement: 2 * len(arrangement.live),
        all=Bounds("n² + n"),
        one=Bounds("2n"),
        time="2nδ",
        source="Le Lann 1977",
        best_case=lambda n: (tuple(range(1, n + 1)), (0,)),
        worst_case=lambda n: (tuple(range(1, n + 1)), tuple(range(n))),
    )

    def init(self) -> None:
        self.highest = 0

    def on_start(self) -> None:
        self.highest = self.id
        self.send(NEXT, Token(self.id))

    def on_token(self, port: Port, msg: Token) -> None:
        if msg.id != self.id:
            self.highest = max(self.highest, msg.id)
            self.send(NEXT, msg)
            return
        self.elect(self.highest)
        if self.highest == self.id:
            self.send(NEXT, Leader(self.id))

    def on_leader(self, port: Port, msg: Leader) -> None:
        if msg.id != self.id:
            self.elect(msg.id)
            self.send(NEXT, msg)
