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

from algorithms.model import *


class Election(Message, frozen=True):
    id: Id


class Leader(Announcement, frozen=True):
    id: Id


def _senders(arrangement: Arrangement) -> list[int]:
    """Places on the live ring that ever send a token of their own.

    Initiators do; in the wake variant so does every node that is higher than all from the last initiator up to it,
    because the first message to reach it is the highest of those.
    """
    if arrangement.parameters["variant"] == "relay":
        return list(arrangement.starts)
    ring, starts = arrangement.ring, set(arrangement.starts)
    highest, senders = 0, []
    for i in (*range(min(starts), len(ring)), *range(min(starts))):
        highest = 0 if i in starts else highest
        if ring[i] > highest:
            highest = ring[i]
            senders.append(i)
    return senders


def _messages(arrangement: Arrangement) -> dict[str, int]:
    """A token travels to the first higher id that competes; the highest goes all the way round."""
    ring, n, senders = arrangement.ring, len(arrangement.live), _senders(arrangement)
    rivals = {ring[i] for i in senders} if arrangement.parameters["variant"] == "relay" else set(ring)
    competing = [t if t in rivals else 0 for t in ring]
    hops = sum(next((d for d in range(1, n) if competing[(i + d) % n] > ring[i]), n) for i in senders)
    return {"Election": hops, "Leader": n}


def _depth(arrangement: Arrangement) -> int:
    """Two turns of the winner's token, after the hops that it took to wake the winner."""
    ring, starts = arrangement.ring, set(arrangement.starts)
    winner = max(_senders(arrangement), key=ring.__getitem__)
    return 2 * len(ring) + next(d for d in range(len(ring)) if (winner - d) % len(ring) in starts)


class ChangRoberts(Node):
    model = Model(topology="unidirectional ring", timing="asynchronous", channels="reliable", failures="none")
    messages = (Election, Leader)
    variant: str = choice("wake", "relay", meaning="whether a node that is woken competes")
    claims = Claims(
        messages=_messages,
        leader=lambda arrangement: max(arrangement.ring[i] for i in _senders(arrangement)),
        depth=_depth,
        all=Bounds("3n−1", "n·Hₙ + n", "n(n+1)/2 + n"),
        one=Bounds("2n", "(5n−1)/2", "3n−1"),
        time="2nδ",
        source="Chang, Roberts 1979",
        best_case=lambda n: (tuple(range(1, n + 1)), tuple(range(n))),
        worst_case=lambda n: (tuple(range(n, 0, -1)), tuple(range(n))),
    )

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
            self.participant = self.participant or self.variant == "wake"
            self.send(NEXT, msg)
        elif not self.participant:
            self.on_start()

    def on_leader(self, port: Port, msg: Leader) -> None:
        if msg.id != self.id:
            self.elect(msg.id)
            self.send(NEXT, msg)
