"""Detector: how nodes notice that others crashed, as a machine of its own beside each node; engines carry it out.

`perfect` is told by the engine. `heartbeat` is an eventually perfect detector (Chandra and Toueg, JACM 43(2), 1996) on the
nodes' own links: in each period the leader sends a heartbeat to all and every node one to the next that it does not
suspect, 2n - 1 in all. Who misses those of its predecessor or of the leader for longer than the timeout suspects them, and
tells everybody. Who suspects a node asks it now and then whether it lives, at once and then in turn; any answer means
trust. Who comes back tells all that it crashed: no crash goes unsuspected, however short.
"""

from typing import NamedTuple

import msgspec

from algorithms.model import Id, Message, Position
from bench.latency import seconds


class Heartbeat(Message, frozen=True):
    """ "I live"; from a leader also "I lead", in the election of the frame's key (else 0)."""

    leader: Id


class Suspicion(Message, frozen=True):
    """ "I suspect the node at `position`"; to that node: "do you live?"; from that node: "I crashed, and am back" """

    position: Position


class Times(msgspec.Struct, frozen=True):
    """Period and timeout of the heartbeats, in seconds."""

    period: float
    timeout: float

    def __str__(self) -> str:
        return f"heartbeat:period={self.period * 1e3:g}ms,timeout={self.timeout * 1e3:g}ms"


def parse_detector(text: str, delta: float) -> Times | None:
    """Times of the heartbeats, or None for the perfect detector.

    Parameters:
        text: `perfect`, or `heartbeat[:period=50ms,timeout=250ms]`; what is missing or `auto` follows from `delta`.
        delta: the bound on one hop, under load, in seconds. The period is one delta; the timeout leaves room for a lost
            period and a hop at its bound on either side of it, twice over.

    Raises:
        ValueError: for another text; says what is accepted.
    """
    name, _, rest = text.partition(":")
    if name == "perfect" and not rest:
        return None
    if name != "heartbeat":
        raise ValueError(f"no detector {text!r}; there are perfect and heartbeat[:period=...,timeout=...]")
    found = {"period": delta, "timeout": 0.0}
    for word in rest.split(",") if rest else ():
        key, equals, value = word.partition("=")
        if key not in found or not equals:
            raise ValueError(f"heartbeat does not take {word!r}; it takes period=... and timeout=...")
        if value != "auto":
            found[key] = seconds(value)
    times = Times(found["period"], found["timeout"] or 4 * found["period"] + delta)
    if not 0 < times.period < times.timeout:
        raise ValueError(f"the timeout ({times.timeout:g} s) must be longer than the period ({times.period:g} s)")
    return times


class Reaction(NamedTuple):
    """What the detector of a node does: messages to positions, and positions that it now suspects or trusts."""

    sends: list[tuple[Position, Message]]
    suspects: list[Position]
    trusts: list[Position]


class HeartbeatDetector:
    """The detector of one node.

    Parameters:
        position: the node's place.
        n: nodes of the cluster.
        suspected: positions that it suspects from the start.
        period, timeout: in ns.
        now: when it starts (ns).
        back: whether the node crashed and comes back: its first message to all says so, since who came back before
            anybody noticed has lost what was sent to it all the same.

    Attributes:
        suspected: positions that it suspects.
        due: when `tick` wants to be called next (ns).
    """

    def __init__(
        self,
        position: Position,
        n: int,
        suspected: set[Position],
        period: int,
        timeout: int,
        now: int,
        back: bool = False,
    ) -> None:
        self.back = back
        self.position, self.n, self.suspected = position, n, suspected
        self.period, self.timeout = period, timeout
        self.due = now
        self.heard: dict[Position, int] = {}  # when those that are watched were last heard of
        self.asked = position  # the suspect that was asked last

    def neighbour(self, step: int) -> Position | None:
        """The next position in one direction that is not suspected, or None if all others are."""
        for distance in range(1, self.n):
            other = (self.position + step * distance) % self.n
            if other not in self.suspected:
                return other
        return None

    def tick(self, now: int, leader: Position | None, title: Id) -> Reaction:
        """A period has passed: send heartbeats, look whose are missing.

        Parameters:
            now: the time (ns).
            leader: position of the node's leader, if it has one.
            title: the id that the node leads under, or 0 if it does not lead.
        """
        reaction = Reaction([], [], [])
        self.due = max(self.due + self.period, now + self.period // 2)
        if self.back:
            self.back = False
            others = (one for one in range(self.n) if one != self.position)
            reaction.sends.extend((one, Suspicion(self.position)) for one in others)
        if title:
            reaction.sends.extend((other, Heartbeat(title)) for other in range(self.n) if other != self.position)
        after, before = self.neighbour(1), self.neighbour(-1)
        if after is not None:
            reaction.sends.append((after, Heartbeat(title)))
        if leader not in self.heard:  # it need not know yet that it leads; until then its successor sees to it
            leader = None
        watched = {other for other in (before, leader) if other not in (None, self.position)} - self.suspected
        self.heard = {other: self.heard.get(other, now) for other in watched if other is not None}
        for other, last in list(self.heard.items()):
            if now - last > self.timeout:
                self.suspect(other, reaction)
                everybody = (one for one in range(self.n) if one not in (self.position, other))
                reaction.sends.extend((one, Suspicion(other)) for one in everybody)
        if self.suspected:
            self.asked = min(self.suspected, key=lambda other: (other - self.asked - 1) % self.n)
            reaction.sends.append((self.asked, Suspicion(self.asked)))
        return reaction

    def hear(self, source: Position, msg: Message, now: int) -> Reaction:
        """A detector's message arrives."""
        reaction = Reaction([], [], [])
        self.heard[source] = now
        noticed = source in self.suspected
        if noticed:
            self.suspected.discard(source)
            reaction.trusts.append(source)
            reaction.sends.append((source, Heartbeat(0)))  # it may suspect this node, too
        if isinstance(msg, Suspicion):
            if msg.position == self.position:
                reaction.sends.append((source, Heartbeat(0)))
            elif msg.position not in self.suspected and not (msg.position == source and noticed):
                self.suspect(msg.position, reaction)
                reaction.sends.append((msg.position, Suspicion(msg.position)))
        return reaction

    def suspect(self, other: Position, reaction: Reaction) -> None:
        """Suspect a position."""
        self.suspected.add(other)
        self.heard.pop(other, None)
        reaction.suspects.append(other)
