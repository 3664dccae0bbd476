"""Higham-Przytycka: envelopes with a label, a round and a count thin out on a unidirectional ring until one comes round.

Every node sends an envelope with its id and remembers the last that it sent. An envelope that meets one of its own round is
dropped if it is the higher in an odd round, the lower in an even one. It is promoted to the next round where it wins in an
odd round, or has gone F(round + 2) hops, and in an even round where it meets a lower one of the round before. Who is sent
what it last sent itself has seen the only one left: its label is the leader, never the highest id, which is dropped at its
first hop. A node that had not started sends its own envelope first: so who starts changes nothing but the time.

Model        unidirectional ring · asynchronous · reliable FIFO channels · no failures · unique ids · n unknown
Guarantees   exactly one leader, decided by the order of the ids alone; finishes in every schedule
Messages     Envelope(label, round, count)   "label is in this round, for count hops more"   O(log n) bits
             Leader(label)                   "the election is over"                          O(log n) bits, announcement
Complexity   best 3n (ids descending), mean about n lg n (fitted), worst below 1.271 n lg n + O(n), whoever starts
             time O(n log n) delta
Beyond the model   a crash: envelopes are lost in hand, or circle unmet; the election must be opened anew on the ring of
             the living. Without FIFO an envelope overtakes one that it should have met
References   L. Higham, T. Przytycka, A simple, efficient algorithm for maximum finding on rings, WDAG 1993 (LNCS 725); IPL
             58, 1996. Deviation: the survivor is announced, not the highest id, which would need a field more.
"""

from algorithms.model import *


class Envelope(Message, frozen=True):
    label: Id
    round: int
    count: int


class Leader(Announcement, frozen=True):
    label: Id


def _walk(arrangement: Arrangement) -> tuple[int, int, Id]:
    """Envelopes sent, the longest chain of messages until one is left, and its label: one schedule stands for all."""
    ids, starts, n = arrangement.ring, arrangement.starts, len(arrangement.live)
    last, depth = dict[int, tuple[Id, int]](), [0] * n
    road = [(i, 0, 0, 0, 0) for i in starts]  # what wakes them is no envelope
    for place, label, turn, count, deep in road:  # grows as they travel
        depth[place] = max(depth[place], deep)
        onward = [] if place in last else [(ids[place], 1, 2)]
        mine, mark = last.setdefault(place, (ids[place], 1))
        if (label, turn) == (mine, mark):
            return len(road) - len(starts), deep, label
        meets, wins = turn == mark, (label < mine) == (turn % 2 == 1)
        if turn and (wins or not meets):
            if (meets or count == 0) if turn % 2 else (mark == turn - 1 and label > mine):
                turn, count = turn + 1, fibonacci(turn + 3)
            onward.append((label, turn, count - 1))
            last[place] = (label, turn)
        road += [((place + 1) % n, *envelope, depth[place] + 1) for envelope in onward]
    raise AssertionError("nobody is left")


class HighamPrzytycka(Node):
    model = Model(topology="unidirectional ring", timing="asynchronous", channels="reliable FIFO", failures="none")
    messages = (Envelope, Leader)
    claims = Claims(
        messages=lambda arrangement: {"Envelope": _walk(arrangement)[0], "Leader": len(arrangement.live)},
        leader=lambda arrangement: _walk(arrangement)[2],
        depth=lambda arrangement: _walk(arrangement)[1] + len(arrangement.live),
        all=Bounds("3n", "≈ n lg n", "< 1.271 n lg n + O(n)"),
        time="O(n log n)δ",
        source="Higham, Przytycka 1993",
        best_case=lambda n: (tuple(range(n, 0, -1)), tuple(range(n))),
    )

    def init(self) -> None:
        self.last = Envelope(0, 0, 0)  # none yet

    def on_start(self) -> None:
        if self.last.round == 0:
            self.last = Envelope(self.id, 1, fibonacci(3))
            self.send(NEXT, self.last)

    def on_envelope(self, port: Port, msg: Envelope) -> None:
        self.on_start()
        label, turn, count = msg.label, msg.round, msg.count
        mine, mark = self.last.label, self.last.round
        odd, meets = turn % 2 == 1, turn == mark
        if meets and label == mine:
            self.elect(label)
            self.send(NEXT, Leader(label))
        elif not meets or (label < mine if odd else label > mine):  # else it is dropped
            if (meets or count == 0) if odd else (turn - 1 == mark and label > mine):
                turn, count = turn + 1, fibonacci(turn + 3)
            self.last = Envelope(label, turn, count - 1)
            self.send(NEXT, self.last)

    def on_leader(self, port: Port, msg: Leader) -> None:
        if self.leader is None:
            self.elect(msg.label)
            self.send(NEXT, msg)
