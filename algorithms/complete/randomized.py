"""Randomized: everybody draws a number, the highest wins, those who tie draw again; on a complete graph.

In each round every active node sends its draw to all others. Who holds the draws of all active nodes knows the outcome as
well as everybody else: a single maximum is the leader; if several share it, only they draw again (`tied`), or everybody
does (`all`). No announcement is needed. A node that had not started joins with the first draw that reaches it.

Model        complete graph · asynchronous · reliable channels · no failures · ids only label the links · n known · any
             initiators
Guarantees   exactly one leader; finishes with probability 1 (range >= 2)
Messages     Draw(round, value)          "my number in this round"                  O(log n) bits
Complexity   (n - 1) * sum over rounds of the nodes that draw; best n(n - 1), mean n(n - 1)R/(R - 1) for R values (tied),
             no worst case; a mean of 1.4 to 2 rounds for R = n
             time one delta a round, one more if somebody had to be woken
Beyond the model   a crash or a lost draw: everybody waits for ever unless the election is opened anew
References   folklore; the ties are those of maxima of discrete random variables. Deviation: none.
"""

from algorithms.model import *


class Draw(Message, frozen=True):
    round: int
    value: int


def _replay(arrangement: Arrangement) -> tuple[int, Position]:
    """How many draws were made, and who won."""
    active, sent, turn = list(arrangement.live), 0, dict.fromkeys(arrangement.live, 0)
    while True:
        sent += len(active)
        drawn = {p: arrangement.draws[p][turn[p]] for p in active}
        turn.update({p: turn[p] + 1 for p in active})
        tied = [p for p in active if drawn[p] == max(drawn.values())]
        if len(tied) == 1:
            return sent, tied[0]
        active = tied if arrangement.parameters["redraw"] == "tied" else active


def _messages(arrangement: Arrangement) -> dict[str, int]:
    """Every active node sends n - 1 messages a round."""
    return {"Draw": _replay(arrangement)[0] * (len(arrangement.live) - 1)}


class Randomized(Node):
    model = Model("complete", "asynchronous", "reliable", "none", knows=("n", "neighbours"))
    messages = (Draw,)
    range: int = sides("number of values drawn from")
    redraw: str = choice("tied", "all", meaning="who draws again after a tie")
    claims = Claims(
        messages=_messages,
        leader=lambda arrangement: arrangement.ids[_replay(arrangement)[1]],
        drawn=Draw,
        # the mean is n(n-1)R/(R-1), with R = n
        all=Bounds("n(n−1)", Formula("n²", lambda n, a: a * a if a > 1 else 0), "∞"),
        time="δ a round, 1.4 to 2 rounds",
        source="folklore",
    )

    def init(self) -> None:
        self.round = 0
        self.active = {self.id, *self.ports}
        self.draws: dict[int, dict[Port, int]] = {}

    def on_start(self) -> None:
        if self.round == 0:
            self.draw()

    def draw(self) -> None:
        """Enter the next round."""
        self.round += 1
        if self.id in self.active:
            value = self.rng.randint(1, self.range or self.n)
            self.draws.setdefault(self.round, {})[self.id] = value
            self.broadcast(Draw(self.round, value))

    def on_draw(self, port: Port, msg: Draw) -> None:
        self.on_start()
        self.draws.setdefault(msg.round, {})[port] = msg.value
        while len(drawn := self.draws.get(self.round, {})) == len(self.active):
            highest = max(drawn.values())
            tied = {who for who, value in drawn.items() if value == highest}
            if len(tied) == 1:
                self.elect(tied.pop())
                return
            if self.redraw == "tied":
                self.active = tied
            self.draw()
