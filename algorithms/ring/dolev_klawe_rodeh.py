"""Dolev-Klawe-Rodeh: local maxima stay, as in Franklin's election, but on a unidirectional ring, where ids shift.

Every active node holds a temporary id t, sends it (One) and passes the one that it receives, u, on to the next active node
(Two). Who so holds t, u and w, of itself and of the two actives before it, stays active, under the name u, if u is the
highest of the three; else it turns passive. Passive nodes, and those that did not start, pass on. Who receives its own t
is alone: t is the leader, mostly another node.

Model        unidirectional ring · asynchronous · reliable FIFO channels · no failures · unique ids · n unknown
Guarantees   exactly one leader: the highest initiator; finishes in every schedule
Messages     One(id)                     "the temporary id of the active before you"     O(log n) bits
             Two(id)                     "that of the active before that"                O(log n) bits
             Leader(id)                  "the election is over"                          O(log n) bits, announcement
Complexity   2n a round, n the last, R rounds: 2n(R - 1) + 2n; all start: best 4n (ids ascending), mean about
             1.2 n lg n (fitted), worst 2n floor(lg n) + 2n (every other one a peak, and so again among the peaks); one
             starts: 2n
             time at most 2nR delta
Beyond the model   a crash: the next active waits for ever; the election must be opened anew on the ring of the living.
             Without FIFO a One of the next round overtakes the Two of this
References   D. Dolev, M. Klawe, M. Rodeh, An O(n log n) unidirectional distributed algorithm for extrema finding in a
             circle, J. Algorithms 3(3), 1982: algorithm A. G. Peterson's first of the same year sends max(t, u) as Two, at
             the same cost. Deviation: the announcement is ours.
"""

from algorithms.model import *


class One(Message, frozen=True):
    id: Id


class Two(One, frozen=True): ...


class Leader(Announcement, frozen=True):
    id: Id


def _contract(arrangement: Arrangement) -> tuple[dict[str, int], int]:
    """Counts and depth: full rounds until one is left, a turn of its One in which it hears itself, and the news."""
    ring, n, rounds = arrangement.ring, len(arrangement.live), 0
    active = [(i, ring[i]) for i in arrangement.starts]
    depth = dict.fromkeys(range(n), 0)
    while len(active) > 1:
        rounds += 1
        for _ in (One, Two):
            gaps = [(active[k - 1][0], place) for k, (place, _) in enumerate(active)]
            depth = {place: max(depth[place], depth[before] + (place - before) % n) for before, place in gaps}
        ids = [t for _, t in active]
        active = [(place, ids[k - 1]) for k, (place, t) in enumerate(active) if t < ids[k - 1] > ids[k - 2]]
    return {"One": n * (rounds + 1), "Two": n * rounds, "Leader": n}, depth[active[0][0]] + 2 * n


class DolevKlaweRodeh(Node):
    model = Model(topology="unidirectional ring", timing="asynchronous", channels="reliable FIFO", failures="none")
    messages = (One, Two, Leader)
    claims = Claims(
        messages=lambda arrangement: _contract(arrangement)[0],
        leader=lambda arrangement: max(arrangement.ids[p] for p in arrangement.initiators),
        depth=lambda arrangement: _contract(arrangement)[1],
        all=Bounds("4n", "≈ 1.2 n lg n", "2n⌊lg n⌋ + 2n"),
        one=Bounds("2n"),
        time="≤ 2n(⌊lg n⌋ + 1)δ",
        source="Dolev, Klawe, Rodeh 1982",
        best_case=lambda n: (tuple(range(1, n + 1)), tuple(range(n))),
        worst_case=lambda n: (peaks(n), tuple(range(n))),
    )

    def init(self) -> None:
        self.active = False
        self.value = self.before = 0

    def on_start(self) -> None:
        self.active, self.value = True, self.id
        self.send(NEXT, One(self.id))

    def on_one(self, port: Port, msg: One) -> None:
        if not self.active:
            self.send(NEXT, msg)
        elif msg.id == self.value:
            self.elect(msg.id)
            self.send(NEXT, Leader(msg.id))
        else:
            self.before = msg.id
            self.send(NEXT, Two(msg.id))

    def on_two(self, port: Port, msg: Two) -> None:
        if not self.active:
            self.send(NEXT, msg)
        elif self.value < self.before > msg.id:
            self.value = self.before
            self.send(NEXT, One(self.value))
        else:
            self.active = False

    def on_leader(self, port: Port, msg: Leader) -> None:
        if self.leader is None:
            self.elect(msg.id)
            self.send(NEXT, msg)
