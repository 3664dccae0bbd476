"""Peterson: the highest initiator wins on a unidirectional ring; ids are compared with one neighbour's, on alternate sides.

In each phase every active node sends its temporary id to the next active one. In an odd phase who receives a higher id
stays active and takes it over: an id lives on if it beats the one after it. In an even phase who receives a lower id
stays active under its own: an id lives on if it beats the one before it. The others turn passive and, like those that
did not start, pass on. What two phases leave is no more than what the first took away, so numbers fall like Fibonacci's.
Who receives its own temporary id is alone: that id is the leader.

Model        unidirectional ring · asynchronous · reliable FIFO channels · no failures · unique ids · n unknown
Guarantees   exactly one leader: the highest initiator; finishes in every schedule
Messages     Token(id)                   "the temporary id of the active before you"     O(log n) bits
             Leader(id)                  "the election is over"                          O(log n) bits, announcement
Complexity   n a phase, p phases: np + n; all start: best 3n (ids ascending), mean about 0.9 n lg n (fitted), worst
             p = max{p: F(p + 1) <= n}, about 1.44 lg n (the contraction built backwards); one starts: 2n
             time at most n(p + 1) delta
Beyond the model   a crash: the next active waits for ever; the election must be opened anew on the ring of the living.
             Without FIFO tokens of two phases are taken for one another
References   G. Peterson, An O(n log n) unidirectional algorithm for the circular extrema problem, ACM TOPLAS 4(4), 1982:
             the second algorithm; the first costs what `dolev_klawe_rodeh` costs. Deviation: a node stops at its temporary
             id, not when anybody meets its first one, which would leave messages in flight; the announcement is ours.
"""

from algorithms.model import *


class Token(Message, frozen=True):
    id: Id


class Leader(Announcement, frozen=True):
    id: Id


def _contract(arrangement: Arrangement) -> tuple[dict[str, int], int]:
    """Counts and depth: phases until one is left, one in which it hears itself, and the news."""
    ring, n, phases = arrangement.ring, len(arrangement.live), 0
    active = [(i, ring[i]) for i in arrangement.starts]
    depth = dict.fromkeys(range(n), 0)
    while len(active) > 1:
        phases += 1
        pairs = [(active[k - 1], one) for k, one in enumerate(active)]
        depth = {place: max(depth[place], depth[before] + (place - before) % n) for (before, _), (place, _) in pairs}
        active = [(place, max(t, u)) for (_, u), (place, t) in pairs if (u > t) == (phases % 2 == 1)]
    return {"Token": n * (phases + 1), "Leader": n}, depth[active[0][0]] + 2 * n


def _most_phases(n: int) -> int:
    return next(p for p in range(n + 1) if fibonacci(p + 2) > n)


def _worst(n: int) -> tuple[Id, ...]:
    """From the last two backwards: before each phase the fewest lower ids that let all survivors survive it."""
    ids = [n, n - 1] if n > 1 else [n]
    for phase in range(_most_phases(n) - 2, 0, -1):
        left, ids = ids, []
        for k, t in enumerate(left):
            lower = [n - len(left) - len(ids) + k]  # the next lower id; k of the ids were there before
            after = t < left[(k + 1) % len(left)]
            ids += [t, *(lower if after else [])] if phase % 2 else [*(lower if t < left[k - 1] else []), t]
    return (*ids[:-1], *range(1, n - len(ids) + 1), ids[-1])


class Peterson(Node):
    model = Model(topology="unidirectional ring", timing="asynchronous", channels="reliable FIFO", failures="none")
    messages = (Token, Leader)
    claims = Claims(
        messages=lambda arrangement: _contract(arrangement)[0],
        leader=lambda arrangement: max(arrangement.ids[p] for p in arrangement.initiators),
        depth=lambda arrangement: _contract(arrangement)[1],
        all=Bounds("3n", "≈ 0.9 n lg n", Formula("n·max{p: F(p+1) ≤ n} + n", lambda n, a: a * (_most_phases(a) + 1))),
        one=Bounds("2n"),
        time="≤ (1.44 n lg n + 2n)δ",
        source="Peterson 1982",
        best_case=lambda n: (tuple(range(1, n + 1)), tuple(range(n))),
        worst_case=lambda n: (_worst(n), tuple(range(n))),
    )

    def init(self) -> None:
        self.active, self.odd, self.value = False, True, 0

    def on_start(self) -> None:
        self.active, self.value = True, self.id
        self.send(NEXT, Token(self.id))

    def on_token(self, port: Port, msg: Token) -> None:
        if not self.active:
            self.send(NEXT, msg)
        elif msg.id == self.value:
            self.elect(msg.id)
            self.send(NEXT, Leader(msg.id))
        elif (msg.id > self.value) == self.odd:
            self.odd, self.value = not self.odd, max(self.value, msg.id)
            self.send(NEXT, Token(self.value))
        else:
            self.active = False

    def on_leader(self, port: Port, msg: Leader) -> None:
        if self.leader is None:
            self.elect(msg.id)
            self.send(NEXT, msg)
