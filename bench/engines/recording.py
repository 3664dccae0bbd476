"""Recording: a simulation that writes its events down.

The engine's loop knows nothing of it: a trial that is to be recorded runs again, and comes out the same.
"""

from collections import defaultdict
from collections.abc import Hashable
from typing import Any

from algorithms.model import Id, Key, Node, Position
from bench.blame import PageError
from bench.engines.adversity import START, SUSPECT, TIMER, TRUST, Adversity, Parcel
from bench.engines.adversity import Event as Pending
from bench.engines.simulate import uncollected
from bench.engines.simulation import Simulation, encode, stillborn
from bench.events import MOST, STRIKES, Event, tell_message
from bench.faults import Strike
from bench.observe import Execution, Monitor
from bench.scenario import Scenario

NAMES = {START: "start", TIMER: "timer", SUSPECT: "suspect", TRUST: "trust"}


class Scribe(Monitor):
    """A monitor that also notes who enters which election, and whom it elects."""

    def __init__(self, recording: "Recording") -> None:
        super().__init__(recording.scenario.ids, recording.page.model)
        self.recording = recording

    def enter(self, time: int, position: Position, epoch: int) -> None:
        self.recording.note(time, position, "epoch", term=epoch)
        super().enter(time, position, epoch)

    def elect(self, time: int, position: Position, leader: Id, term: int, check: Hashable) -> None:
        super().elect(time, position, leader, term, check)
        self.recording.note(time, position, "elect", leader=leader, term=term)


class Recording(Simulation):
    """One trial in virtual time, recorded.

    All sends go through `Adversity`, even where nothing goes wrong: that is where they are seen.

    Attributes:
        events: what happened, in order.
        suspected: when a detector of a node began to suspect another.
    """

    def __init__(self, scenario: Scenario) -> None:
        super().__init__(scenario)
        self.events: list[Event] = []
        self.suspected: dict[tuple[Position, Position], int] = {}
        self.adversity = Correspondence(self, smooth=self.adversity is None)
        self.execution.monitor = self.monitor = Scribe(self)

    def note(self, time: int, node: Position, what: str, **details: Any) -> None:
        """Write an event down, if there is room."""
        if len(self.events) < MOST:
            self.events.append(Event(time, node, what, **details))
        else:
            self.execution.log_lost += 1

    def happen(self, now: int, order: int, node: Node, position: Position, what: int, detail: Any) -> bool:
        happened = super().happen(now, order, node, position, what, detail)
        if happened and what == TIMER:
            self.note(now, position, "timer", text=detail)
        elif happened and what in NAMES:
            peer = -1 if what == START else detail
            if what != SUSPECT or self.suspected.get((position, peer)) != now:  # else it was noted as it arose
                self.note(now, position, NAMES[what], peer=peer)
        return happened

    def crash(self, victims: list[tuple[str, Position]]) -> None:
        for name, position in victims:
            self.note(self.now, position, "crash", text=name)
        super().crash(victims)

    def strike_otherwise(self, strike: Strike) -> None:
        before = len(self.execution.fired)
        at = len(self.events)
        super().strike_otherwise(strike)
        for fired in self.execution.fired[before:]:
            if fired.what in STRIKES:  # of suspicions the nodes tell
                self.events.insert(at, Event(fired.time, fired.position, fired.what, text=fired.name))


class Correspondence(Adversity):
    """What goes wrong in a recorded trial, if anything (`smooth`: nothing but crashes that all are told of)."""

    def __init__(self, recording: Recording, smooth: bool) -> None:
        super().__init__(recording, recording.plan, recording.scenario.times)
        self.recording, self.smooth = recording, smooth
        self.sequences: dict[Position, int] = defaultdict(int)
        self.letters: dict[tuple[Any, ...], int] = {}  # sequence by time sent, source, target, port and message
        self.kept_alive: list[Any] = []  # messages, so that no two have the same identity

    def travel(self, parcel: Parcel) -> None:
        now, source, target, port, key, _, msg, _ = parcel
        recording = self.recording
        sequence = self.sequences[source] = self.sequences[source] + 1
        if len(recording.events) < MOST:
            self.letters[now, source, target, port, id(msg)] = sequence
            self.kept_alive.append(msg)
        body = encode(msg)
        details = {"peer": target, "sequence": sequence, "term": key[0]}
        recording.note(now, source, "send", **details, text=tell_message(type(msg), body, len(body)))
        dropped, duplicated = recording.dropped, recording.duplicated
        super().travel(parcel)
        if recording.dropped > dropped:
            recording.note(now, source, "drop", **details)
        if recording.duplicated > duplicated:
            recording.note(now, source, "duplicate", **details)

    def divert(self, event: Pending) -> bool:
        self.event = event
        handled = super().divert(event)
        if not handled and event[3] >= 0 and self.recording.nodes[event[2]] is not None:
            self.arrive(event)
        return handled

    def arrive(self, event: Pending) -> None:
        """A message reaches its node."""
        now, _, target, source, port, key, _, msg, _, sent = event
        sequence = self.letters.get((sent, source, target, port, id(msg)), 0)
        self.recording.note(now, target, "receive", peer=source, sequence=sequence, term=key[0])

    def hear(self, now: int, position: Position, source: Position, key: Key, msg: Any) -> None:
        self.arrive(self.event)
        super().hear(now, position, source, key, msg)

    def suspect(self, now: int, position: Position, node: Node, other: Position) -> None:
        self.recording.note(now, position, "suspect", peer=other)
        self.recording.suspected[position, other] = now
        super().suspect(now, position, node, other)

    def forget(self, position: Position) -> None:
        super().forget(position)
        if self.smooth:
            del self.gone[position]  # as without adversity: what arrives at the dead is lost only then


def record(scenario: Scenario) -> tuple[Execution, list[Event]]:
    """Run a trial in virtual time; returns what was seen of it, and its first `MOST` events in order."""
    with uncollected():
        try:
            recording = Recording(scenario)
        except PageError as error:
            return stillborn(scenario, error), []
        return recording.run(), recording.events
