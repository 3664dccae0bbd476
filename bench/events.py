"""Events: what happened in one trial, event by event, in one form for every engine; `results/<run>/events/` holds some.

A file is gzipped JSON lines: the head of a `Log`, then one array an event, with the fields of `Event` in their order. A
message is known by its source and its sequence there, so that each receive has its send. A view imports this and no engine.

History of the form
    1  first version
"""

import gzip
import zlib
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from algorithms.model import Id, Message, Position
from bench.observe import Execution, classify, kinds_of
from bench.scenario import Scenario, find_algorithm
from bench.trial import Trial

VERSION = 1
MOST = 100_000  # events that are kept of one trial, the first ones: about 5 MB
SHOWN_BYTES = 24  # of an encoded message: a longer one is named, and its size told
STRIKES = ("crash", "recover", "pause", "resume", "cut", "heal")
OF_MESSAGES = ("send", "receive", "drop", "duplicate")


class Event(msgspec.Struct, array_like=True):
    """One thing that happened.

    Attributes:
        time: ns since the first event of the trial, its set-up included.
        node: the position at which it happened; -1 for what is done to links.
        what: start, send, receive, drop and duplicate (by the network, at the sender), timer, suspect, trust, epoch (it
            enters an election), elect; or what is done to it: crash, recover, pause, resume, cut, heal.
        peer: the other side (send, receive, drop, duplicate, suspect, trust), or -1.
        sequence: number of the message at its source, or 0.
        leader: id of whom it elects, or 0.
        term: number of the election that it belongs to (send, receive, epoch, elect), or 0.
        text: the message as text (send), the name of the timer, or of the fault.
    """

    time: int
    node: Position
    what: str
    peer: Position = -1
    sequence: int = 0
    leader: Id = 0
    term: int = 0
    text: str = ""

    @property
    def message(self) -> tuple[Position, int]:
        """Source and sequence of the message that is sent, received, dropped or duplicated."""
        return (self.peer if self.what == "receive" else self.node, self.sequence)

    @property
    def kind(self) -> str:
        """The kind of the message that is sent."""
        return self.text.partition("(")[0]


class Span(msgspec.Struct):
    """A time in which a node leads, is paused or is down (`kind`: leads, paused, down)."""

    position: Position
    begin: float
    end: float
    kind: str


class Log(msgspec.Struct, kw_only=True):
    """A trial: what it was, how it ended, and its events in the order in which they happened.

    Attributes:
        version: of this form.
        engine, run, trial: of its row.
        scenario: everything that determined it.
        initiators: who started the measured election.
        began, counted_from: when the measured interval and counting began, in ns as the events; what is before is set-up.
        verdict, stop, leader, violations, messages: of its row.
        classes: election, announcement or detector, by kind of message.
        left_out: events that there was no room for.
        events: what happened.
    """

    version: int = VERSION
    engine: str
    run: str
    trial: int
    scenario: Scenario
    initiators: tuple[Position, ...]
    began: int
    counted_from: int
    verdict: str
    stop: str
    leader: Id | None
    violations: int
    messages: int
    classes: dict[str, str]
    left_out: int
    events: list[Event] = []

    @property
    def heartbeats(self) -> frozenset[tuple[Position, int]]:
        """The messages of the failure detector and periodic heartbeats; none if nothing else was sent."""
        sends = [event for event in self.events if event.what == "send"]
        beats = frozenset(event.message for event in sends if self.classes.get(event.kind) == "detector")
        return beats if len(beats) < len(sends) else frozenset()

    @property
    def quiet_events(self) -> list[Event]:
        """The events without heartbeats."""
        hidden = self.heartbeats
        return [event for event in self.events if event.what not in OF_MESSAGES or event.message not in hidden]

    @property
    def spans(self) -> list[Span]:
        """Who took itself for the leader, who was paused and who was down, when; to the last event if it did not end."""
        last = self.events[-1].time if self.events else 0
        found, current = list[Span](), dict[tuple[Position, str], Span]()

        def begin(position: Position, time: int, kind: str) -> None:
            if (position, kind) not in current:
                current[position, kind] = Span(position, time, last, kind)
                found.append(current[position, kind])

        def finish(position: Position, time: int, *kinds: str) -> None:
            for kind in kinds:
                if (position, kind) in current:
                    current.pop((position, kind)).end = time

        for position in self.scenario.dead:
            begin(position, 0, "down")
        for event in self.events:
            match event.what:
                case "elect" if event.leader == self.scenario.ids[event.node]:
                    begin(event.node, event.time, "leads")
                case "elect" | "epoch":
                    finish(event.node, event.time, "leads")
                case "crash":
                    finish(event.node, event.time, "leads", "paused")
                    begin(event.node, event.time, "down")
                case "recover":
                    finish(event.node, event.time, "down")
                case "pause":
                    begin(event.node, event.time, "paused")
                case "resume":
                    finish(event.node, event.time, "paused")
        return found


def tell_message(kind: type[Message], body: bytes, size: int) -> str:
    """A message of `size` encoded bytes as text: `Election(id=3)`, or `Election(130 bytes)` for a long one."""
    return (
        str(msgspec.msgpack.decode(body[:size], type=kind)) if size <= SHOWN_BYTES else f"{kind.__name__}({size} bytes)"
    )


def make_log(events: Iterable[Event], execution: Execution, row: Trial, scenario: Scenario) -> Log:
    """The log of a trial, with times from its first event; no more than `MOST` events are kept.

    Parameters:
        events: all, in order, with times of the engine's clock.
        execution: what the engine saw of it.
        row: its row.
        scenario: what it was.
    """
    rest = iter(events)
    kept = list(islice(rest, MOST))
    first = kept[0].time if kept else 0
    for event in kept:
        event.time -= first
    return Log(
        engine=row.engine,
        run=row.run,
        trial=row.trial,
        scenario=scenario,
        initiators=execution.initiators,
        began=execution.began - first,
        counted_from=execution.counted_from - first,
        verdict=row.verdict,
        stop=row.stop,
        leader=row.leader,
        violations=row.violations,
        messages=row.messages,
        classes={kind.__name__: classify(kind) for kind in kinds_of(find_algorithm(scenario.algorithm))},
        left_out=sum(1 for _ in rest) + execution.log_lost,
        events=kept,
    )


def write_events(log: Log, path: Path) -> None:
    """Write a log, replacing what is at `path` as a whole."""
    encode = msgspec.json.encode
    head = {field: getattr(log, field) for field in log.__struct_fields__ if field != "events"}
    lines = (encode(head | {"fields": Event.__struct_fields__}), *map(encode, log.events))
    path.parent.mkdir(exist_ok=True)
    temporary = path.with_suffix(".new")
    temporary.write_bytes(gzip.compress(b"\n".join(lines) + b"\n", mtime=0))
    temporary.replace(path)


def read_events(path: Path) -> Log:
    """Read the log of a trial.

    Raises:
        ValueError: if `path` holds none, or one of another version; the message is one line.
    """
    try:
        head, *lines = gzip.decompress(path.read_bytes()).splitlines()
        version = msgspec.json.decode(head, type=dict[str, Any]).get("version")
        if version != VERSION:
            raise ValueError(f"{str(path)!r} has version {version} of events; this program reads version {VERSION}")
        log = msgspec.json.decode(head, type=Log)
        log.events = [_decode(line) for line in lines]
    except FileNotFoundError:
        raise ValueError(f"there is no {str(path)!r}") from None
    except (OSError, EOFError, zlib.error, msgspec.DecodeError) as error:
        raise ValueError(f"{str(path)!r} holds no events: {error}") from None
    return log


_decode = msgspec.json.Decoder(Event).decode
