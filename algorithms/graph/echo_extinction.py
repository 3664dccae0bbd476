"""Echo with extinction: every initiator floods a wave with its id, a higher wave extinguishes a lower; on any graph.

A wave reaches a node over its father; the node sends it on over all other links, and back to the father once it has come
from every neighbour: the echo. A node takes part in the highest wave that it has seen and ignores the others, so that no
wave but the highest comes back to its initiator, who leads and floods the news.

Model        any connected graph · asynchronous · reliable channels · no failures · unique ids, those of neighbours
             unknown · n unknown
Guarantees   exactly one leader: the highest initiator; finishes in every schedule
Messages     Token(id)                   "a wave of id", and its echo               O(log n) bits
             Leader(id)                  "the election is over"                     O(log n) bits, announcement
Complexity   a wave crosses each of m links once both ways: 2m for the highest, at most 2m for each other initiator; with
             ids at random a node joins H_n waves or fewer on average, which makes 2m H_n; the news crosses the links but
             for those over which it came first: 2m - n + 1. One starts: 4m - n + 1 exactly
             time at most 3D delta after the highest has started
Beyond the model   a crash: the echo never comes back; the election must be opened anew on the graph of the living, in
             which the neighbours of the dead are joined by links of their own, so that it stays connected
References   G. Tel, Introduction to Distributed Algorithms, 2nd ed., 2000, ch. 7.3; the echo is E. Chang's, Echo
             algorithms, IEEE Trans. Software Eng. SE-8(4), 1982. Deviations: the highest id wins, not the lowest; nobody
             sends the news back where it came from first.
"""

from algorithms.model import *


class Token(Message, frozen=True):
    id: Id


class Leader(Announcement, frozen=True):
    id: Id


def _ranges(arrangement: Arrangement) -> dict[str, range]:
    """The highest wave goes everywhere; each other one sets out, and at most it goes everywhere, too."""
    wave, others = 2 * arrangement.edges, len(arrangement.initiators) - 1
    return {"Token": range(wave + others, wave + others * wave + 1)}


class EchoExtinction(Node):
    model = Model(topology="any", timing="asynchronous", channels="reliable", failures="none")
    messages = (Token, Leader)
    claims = Claims(
        messages=lambda arrangement: {"Leader": 2 * arrangement.edges - len(arrangement.live) + 1},
        ranges=_ranges,
        leader=lambda arrangement: max(arrangement.ids[p] for p in arrangement.initiators),
        all=Bounds("≈ 6m", "≤ 2m(Hₙ + 1)", "≤ 2m(n + 1)"),
        one=Bounds("4m − n + 1"),
        time="≤ 3Dδ",
        source="Chang 1982, Tel 2000",
    )

    def init(self) -> None:
        self.wave: Id = 0
        self.father: Port | None = None
        self.heard = 0

    def on_start(self) -> None:
        self.wave = self.id
        self.broadcast(Token(self.id))

    def on_token(self, port: Port, msg: Token) -> None:
        if msg.id > self.wave:
            self.wave, self.father, self.heard = msg.id, port, 0
            self.send_on(port, msg)
        if msg.id == self.wave:
            self.heard += 1
            if self.heard == len(self.ports):
                self.echo(msg)

    def echo(self, msg: Token) -> None:
        """The wave has come from everywhere: send it back, or lead if it is this node's own."""
        if self.father is not None:
            self.send(self.father, msg)
        else:
            self.elect(self.id)
            self.broadcast(Leader(self.id))

    def send_on(self, port: Port, msg: Message) -> None:
        """Send `msg` over all links but the one that it came by."""
        for other in self.ports:
            if other != port:
                self.send(other, msg)

    def on_leader(self, port: Port, msg: Leader) -> None:
        if self.leader is None:
            self.elect(msg.id)
            self.send_on(port, msg)
