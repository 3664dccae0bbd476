"""Sublinear: a few candidates ask random referees, and most nodes never hear of the election; on a complete graph.

Every node becomes a candidate with probability p, by chance alone, and draws a rank. A candidate tells its rank to s random
referees, each of which answers all that asked it with the highest rank that it saw. Two candidates almost surely share a
referee: whoever hears of no rank but its own is the leader, and knows it; the others know only that they are not. Who is
no candidate knows that at once. Nobody is elected if there is no candidate, or if the highest rank was drawn twice.

Model        complete graph · synchronous: the first round is made by a timer of 2 delta from the common start, one for its
             skew and one for the hop, and the second ends with the last answer, so that there are no synchroniser's
             messages · reliable channels · no failures · anonymous · n known · all start at once
Guarantees   implicit: at most one leader if s >= n - 1 (n <= 14), else but for about n^-4; one leader but for about n^-2
Messages     Rank(value)                 "I am a candidate"                         O(log n) bits
             Best(value)                 "the highest that I saw", 0 if it is tied  O(log n) bits
Complexity   p = 2 ln n/n, s = 2 sqrt(n ln n) (n - 1 if that is less): exactly 2cs for c candidates, mean 2nps, about
             8 sqrt(n) (ln n)^1.5; best 0 (nobody is elected), worst 2ns
             time 4 delta, two rounds; 2 hops
Beyond the model   a crash: nobody knows whether it was the leader, so all elect anew; who starts late is answered 0 by
             those whose round is over, and is not elected; who comes back after a crash starts late, too: if the next
             election is its own, and it is no candidate, nobody hears of it
References   S. Kutten, G. Pandurangan, D. Peleg, P. Robinson, A. Trehan, Sublinear bounds for randomized leader election,
             Theoret. Comput. Sci. 561, 2015. Deviations: a tie elects nobody; candidates are their own referees, too.
"""

from math import ceil, log, sqrt

from algorithms.model import *


class Rank(Message, frozen=True):
    value: int


class Best(Message, frozen=True):
    value: int


def _chance(n: int) -> float:
    """p: how likely a node is a candidate."""
    return min(1.0, 2 * log(n) / n)


def _referees(n: int) -> int:
    """s: how many a candidate asks."""
    return min(n - 1, ceil(2 * sqrt(n * log(n))))


def _messages(arrangement: Arrangement) -> dict[str, int]:
    """Every candidate, who alone drew a rank, asks s referees, and each answers."""
    asked = sum(map(bool, arrangement.draws.values())) * _referees(len(arrangement.live))
    return {"Rank": asked, "Best": asked}


_MEAN = Formula("2nps ≈ 8√n·ln^1.5 n", lambda n, a: 2 * a * _chance(a) * _referees(a))
_MOST = Formula("2ns", lambda n, a: 2 * a * _referees(a))


class Sublinear(Node):
    model = Model("complete", "synchronous", "reliable", "none", "anonymous", ("n",), start="all", election="implicit")
    messages = (Rank, Best)
    claims = Claims(
        messages=_messages,
        drawn=Rank,
        all=Bounds("0", _MEAN, _MOST),
        time="4δ",
        source="Kutten et al. 2015",
    )

    def init(self) -> None:
        self.rank = self.answers = 0  # of a candidate, and of its referees
        self.asked: list[tuple[Port, int]] = []
        self.answered = self.beaten = False

    def on_start(self) -> None:
        self.set_timer("answer", 2)  # in delta: the skew of the start, and the hop
        if self.rng.random() >= _chance(self.n):
            self.decline()
            return
        self.rank = self.rng.randint(1, min(self.n**4, 2**62))
        for port in self.rng.sample(self.ports, _referees(self.n)):
            self.send(port, Rank(self.rank))

    def on_rank(self, port: Port, msg: Rank) -> None:
        if self.answered:
            self.send(port, Best(0))
        else:
            self.asked.append((port, msg.value))

    def on_best(self, port: Port, msg: Best) -> None:
        self.answers += 1
        self.beaten = self.beaten or msg.value != self.rank
        self.conclude()

    def on_timeout(self, name: str) -> None:
        """The first round is over: tell all that asked of the highest rank."""
        self.answered = True
        ranks = [self.rank, *(rank for _, rank in self.asked)]
        best = max(ranks) if ranks.count(max(ranks)) == 1 else 0
        self.beaten = self.beaten or best != self.rank
        for port, _ in self.asked:
            self.send(port, Best(best))
        self.conclude()

    def conclude(self) -> None:
        """A candidate that all have answered is the leader, or one of them saw a higher rank."""
        if self.rank and self.answered and self.answers == _referees(self.n):
            if self.beaten:
                self.decline()
            else:
                self.elect(0)
