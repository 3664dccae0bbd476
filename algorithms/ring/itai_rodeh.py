"""Itai-Rodeh: nodes without ids draw some on a ring of known size, and those who tie draw again.

Every active node draws a number and sends it round in a token that counts its hops. An active node purges a token that is
behind it, by (round, number), turns passive for one that is ahead, and marks an equal one as no longer clean. After n hops
a token is home: clean, it elects its owner; marked, its owner draws again in the next round. Passive nodes pass on; a
node that had not started draws first. Nobody has a name: the announcement counts its hops, which tells each node how
far up the ring the leader is.

Model        unidirectional ring · asynchronous · reliable FIFO channels · no failures · anonymous · n known
Guarantees   exactly one leader; finishes with probability 1 (range >= 2)
Messages     Token(round, number, hop, clean)   "who drew number is hop hops behind"    O(log n) bits
             Leader(hop)                        "the leader is hop hops behind"         O(log n) bits, announcement
Complexity   best 3n - 1, mean n H_n + O(n) by recursion (for numbers up to n), no worst case; whoever starts
             time n(rounds + 1) delta, and the hops to who had to be woken
Beyond the model   a crash: the token in hand is lost and its owner waits for ever, or it circles; the election must be
             opened anew on the ring of the living, whose size is then known, too
References   A. Itai, M. Rodeh, Symmetry breaking in distributive networks, FOCS 1981; Inf. & Comp. 88(1), 1990; as told by
             W. Fokkink and J. Pang, Simplifying Itai-Rodeh leader election for anonymous rings, ENTCS 128(6), 2005.
             Deviation: the announcement is ours.
"""

from algorithms.model import *


class Token(Message, frozen=True):
    round: int
    number: int
    hop: int
    clean: bool

    @property
    def value(self) -> int | None:
        """What its sender drew, if it did: further on it tells what another drew."""
        return self.number if self.hop == 1 else None


class Leader(Announcement, frozen=True):
    hop: int


def _replay(arrangement: Arrangement) -> tuple[int, int, int]:
    """Hops of all tokens, rounds, and the winner's place: a token goes to the next active node that drew more, or home."""
    n, hops, rounds = len(arrangement.live), 0, 0
    active = list(range(n))
    while rounds == 0 or len(active) > 1:
        drawn = {i: arrangement.draws[arrangement.live[i]][rounds] for i in active}
        for i in active:
            hops += next((d for d in range(1, n) if drawn.get((i + d) % n, 0) > drawn[i]), n)
        active = [i for i in active if drawn[i] == max(drawn.values())]
        rounds += 1
    return hops, rounds, active[0]


def _depth(arrangement: Arrangement) -> int:
    """The winner's token goes round once a round, the announcement once, after the hops that it took to wake the winner."""
    n = len(arrangement.live)
    _, rounds, winner = _replay(arrangement)
    return n * (rounds + 1) + next(d for d in range(n) if arrangement.live[winner - d] in arrangement.initiators)


def _mean(n: int, a: int) -> float:
    """A token of k active nodes crosses so many gaps of n/k hops; then the j of them that tie go on alone, by recursion."""
    if a > 1000:
        return float("nan")  # known, but not quickly
    powers = [sum((v / a) ** d for v in range(a)) for d in range(a + 1)]
    mean, crossed = [0.0, 0.0], 1.0
    for k in range(2, a + 1):
        crossed += (powers[k - 1] + 1) / a
        tied, again = 1.0, 0.0  # a choice of those that tie, and the numbers that they draw
        for j in range(1, k):
            tied *= (k - j + 1) / j / a
            again += tied * powers[k - j] * mean[j]
        mean.append((crossed + again) / (1 - a ** (1 - k)))
    return a * mean[a] + a


class ItaiRodeh(Node):
    model = Model("unidirectional ring", "asynchronous", "reliable FIFO", "none", identity="anonymous", knows=("n",))
    messages = (Token, Leader)
    range: int = sides("number of values drawn from")
    claims = Claims(
        messages=lambda arrangement: {"Token": _replay(arrangement)[0], "Leader": len(arrangement.live)},
        leader=lambda arrangement: arrangement.ids[arrangement.live[_replay(arrangement)[2]]],
        depth=_depth,
        drawn=Token,
        all=Bounds("3n−1", Formula("n·Hₙ + O(n)", _mean), "∞"),
        time="nδ a round, and nδ",
        source="Itai, Rodeh 1981",
    )

    def init(self) -> None:
        self.active = True
        self.round = self.number = 0

    def on_start(self) -> None:
        if self.round == 0:
            self.draw()

    def draw(self) -> None:
        """Enter the next round."""
        self.round += 1
        self.number = self.rng.randint(1, self.range or self.n)
        self.send(NEXT, Token(self.round, self.number, 1, True))

    def on_token(self, port: Port, msg: Token) -> None:
        self.on_start()
        theirs, mine = (msg.round, msg.number), (self.round, self.number)
        if not self.active or (msg.hop < self.n and theirs >= mine):
            tied = self.active and theirs == mine
            self.active = tied
            self.send(NEXT, Token(*theirs, msg.hop + 1, msg.clean and not tied))
        elif msg.hop == self.n and msg.clean:
            self.elect(0)
            self.send(NEXT, Leader(1))
        elif msg.hop == self.n:
            self.draw()

    def on_leader(self, port: Port, msg: Leader) -> None:
        if msg.hop < self.n:
            self.elect(msg.hop)
            self.send(NEXT, Leader(msg.hop + 1))
