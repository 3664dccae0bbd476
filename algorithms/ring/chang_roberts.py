"""Chang-Roberts: the highest id wins on a unidirectional ring, by filtering ids on their way round.

Every initiator sends its id to its neighbour. A node passes on what is higher than itself, swallows what is lower, and
the id that comes home has beaten everybody. In the `wake` variant a node that had not started replaces the first lower id
that reaches it by its own; in the `relay` variant only spontaneous initiators compete. The winner's announcement goes
round once.

Model        unidirectional ring · asynchronous · reliable channels · no failures · unique ids · n unknown
Guarantees   exactly one leader: the highest id (wake), the highest initiator (relay); finishes in every schedule
Messages     Election(id)                "the highest id met so far"                O(log n) bits
             Leader(id)                  "the election is over"                     O(log n) bits, announcement
Complexity   all start: best 3n - 1 (ids ascending in the direction of travel), mean n H_n + n, worst n(n + 1)/2 + n
             (descending); one starts, d hops before the maximum: d + 2n (wake), 2n (relay)
             time 2n delta, d + 2n if only one starts
Beyond the model   a crash: a token lost in hand, or one whose owner is gone and that circles for ever; the election must
             be opened anew on the ring of the living
References   E. Chang, R. Roberts, An improved algorithm for decentralized extrema-finding in circular configurations of
             processes, CACM 22(5), 1979; relay: G. Tel, Introduction to Distributed Algorithms. Deviation: none.
"""

from algorithms.model import (
    NEXT,
    Announcement,
    Arrangement,
    Bounds,
    Claims,
    Formula,
    Id,
    Message,
    Model,
    Node,
    Port,
    choice,
)


class Election(Message, frozen=True):
    id: Id


class Leader(Announcement, frozen=True):
    id: Id


def _tokens(arrangement: Arrangement) -> tuple[list[Id], list[int]]:
    """Ids of the live ring, and the places in it that ever send a token of their own.

    Initiators do; in the wake variant so does every node that is higher than all from the last initiator up to it,
    because the first message to reach it is the highest of those.
    """
    ids = [arrangement.ids[p] for p in arrangement.live]
    starts = [i for i, p in enumerate(arrangement.live) if p in arrangement.initiators]
    if arrangement.parameters["variant"] == "relay":
        return ids, starts
    senders = []
    for start, stop in zip(starts, [*starts[1:], starts[0] + len(ids)], strict=True):
        highest = 0
        for i in range(start, stop):
            if ids[i % len(ids)] > highest:
                highest = ids[i % len(ids)]
                senders.append(i % len(ids))
    return ids, senders


def _messages(arrangement: Arrangement) -> dict[str, int]:
    """A token travels to the first higher id that competes; the highest goes all the way round."""
    ids, senders = _tokens(arrangement)
    relay = arrangement.parameters["variant"] == "relay"
    n, hops, competing = len(ids), 0, {ids[i] for i in senders} if relay else set(ids)
    for i in senders:
        hops += next((d for d in range(1, n) if ids[(i + d) % n] > ids[i] and ids[(i + d) % n] in competing), n)
    return {"Election": hops, "Leader": n}


def _leader(arrangement: Arrangement) -> Id:
    ids, senders = _tokens(arrangement)
    return max(ids[i] for i in senders)


def _depth(arrangement: Arrangement) -> int:
    """Two turns of the winner's token, after the hops that it took to wake the winner."""
    ids, senders = _tokens(arrangement)
    winner = max(senders, key=ids.__getitem__)
    starts = {i for i, p in enumerate(arrangement.live) if p in arrangement.initiators}
    return 2 * len(ids) + next(d for d in range(len(ids)) if (winner - d) % len(ids) in starts)


def _mean(n: int, a: int) -> float:
    return a * sum(1 / k for k in range(1, a + 1)) + a


class ChangRoberts(Node):
    model = Model(topology="unidirectional ring", timing="asynchronous", channels="reliable", failures="none")
    messages = (Election, Leader)
    parameters = {"variant": choice("wake", "relay", meaning="whether a node that is woken competes")}
    claims = Claims(
        messages=_messages,
        leader=_leader,
        depth=_depth,
        all=Bounds(
            Formula("3n−1", lambda n, a: 3 * a - 1),
            Formula("n·Hₙ + n", _mean),
            Formula("n(n+1)/2 + n", lambda n, a: a * (a + 1) / 2 + a),
        ),
        one=Bounds(
            Formula("2n", lambda n, a: 2 * a),
            Formula("(5n−1)/2", lambda n, a: (5 * a - 1) / 2),
            Formula("3n−1", lambda n, a: 3 * a - 1),
        ),
        time="2nδ",
        bits="O(log n) a message",
        source="Chang, Roberts 1979",
        best_case=lambda n: (tuple(range(1, n + 1)), tuple(range(n))),
        worst_case=lambda n: (tuple(range(n, 0, -1)), tuple(range(n))),
    )

    variant: str

    def init(self) -> None:
        self.participant = False

    def on_start(self) -> None:
        if not self.participant:
            self.participant = True
            self.send(NEXT, Election(self.id))

    def on_election(self, port: Port, msg: Election) -> None:
        if msg.id == self.id:
            self.elect(self.id)
            self.send(NEXT, Leader(self.id))
        elif msg.id > self.id or (self.variant == "relay" and not self.participant):
            self.participant |= self.variant == "wake"
            self.send(NEXT, msg)
        elif not self.participant:
            self.on_start()

    def on_leader(self, port: Port, msg: Leader) -> None:
        if msg.id != self.id:
            self.elect(msg.id)
            self.send(NEXT, msg)
