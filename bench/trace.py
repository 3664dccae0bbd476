"""Trace: one trial, shown: as text, as a space-time diagram, for Perfetto and for ShiViz; run now, or read from a run."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import msgspec

from algorithms.model import Position
from bench.engines.processes import Processes
from bench.engines.processes.events import tell_events
from bench.engines.processes.summary import summarise
from bench.engines.recording import record
from bench.events import OF_MESSAGES, STRIKES, Event, Log, make_log, read_events
from bench.latency import seconds
from bench.observe import make_row
from bench.settings import BadInput, make_scenario, make_settings
from bench.store import events_path, read_manifest, stored_events
from bench.sweep import SIMULATED_DELTA

SUFFIXES = {
    ".txt": "text",
    ".svg": "space-time diagram",
    ".png": "space-time diagram",
    ".json": "Perfetto or chrome://tracing",
    ".log": "ShiViz",
}
WORDS = {
    "start": "starts",
    "send": "sends {text} to {peer}",
    "receive": "gets {text} from {peer}",
    "drop": "loses {text} to {peer} on the way",
    "duplicate": "doubles {text} to {peer} on the way",
    "timer": "waits no longer (timer {text})",
    "suspect": "suspects node {peer}",
    "trust": "trusts node {peer} again",
    "epoch": "enters election {term}",
    "elect": "elects {leader} in election {term}",
    "crash": "crashes ({text})",
    "recover": "is back ({text})",
    "pause": "is paused ({text})",
    "resume": "goes on ({text})",
    "cut": "links are cut ({text})",
    "heal": "links are healed ({text})",
}


def tell_all(events: list[Event]) -> Iterator[tuple[Event, str]]:
    """Each event with what happened, as text."""
    texts = {event.message: event.text for event in events if event.what == "send"}
    for event in events:
        text = texts.get(event.message, "a message") if event.what in OF_MESSAGES else event.text
        yield event, WORDS[event.what].format(text=text, peer=event.peer, leader=event.leader, term=event.term)


def write_text(log: Log) -> str:
    """A trial as text, one line an event: time in ms of the measured interval, node, what happened, and which message.

    Heartbeats are left out; what they lead to is told.
    """
    scenario, events = log.scenario, log.quiet_events
    end = f"elected {log.leader}" if log.leader is not None else log.verdict.replace("_", " ")
    head = f"{scenario.algorithm}, n={scenario.n}, {scenario.fault}, {log.engine}, seed {scenario.seed}: {end}"
    lines = [f"{head}, {log.messages} messages, {log.violations} violations"]
    if hidden := len(log.heartbeats):
        lines.append(f"{hidden} heartbeats are not shown")
    since = "fault" if any(event.what in STRIKES for event in events) else "start"
    lines.append(f"{'ms since the ' + since:>20}")
    names = [f"node {position} (id {identity})" for position, identity in enumerate(scenario.ids)]
    width = max(map(len, names))
    for event, words in tell_all(events):
        name = names[event.node] if event.node >= 0 else ""
        which = "  [{}#{}]".format(*event.message) if event.what in OF_MESSAGES else ""
        lines.append(f"{(event.time - log.began) / 1e6:14.6f}  {name:{width}}  {words}{which}")
    if log.left_out:
        lines.append(f"{log.left_out} later events were not kept")
    return "\n".join(lines) + "\n"


def write_perfetto(log: Log) -> bytes:
    """A trial in the Trace Event Format (JSON), which Perfetto and chrome://tracing open.

    A process a node; a slice a moment, in which a node handled something, of 1 us or up to the next one; a flow arrow a
    message; an asynchronous slice a time of leading, of being paused or down.
    """
    ids, entries = log.scenario.ids, list[dict[str, Any]]()
    for position, identity in enumerate(ids):
        named = {"ph": "M", "pid": position + 1, "tid": 1}
        entries.append(named | {"name": "process_name", "args": {"name": f"node {position} (id {identity})"}})
        entries.append(named | {"name": "process_sort_index", "args": {"sort_index": position}})
        entries.append(named | {"name": "thread_name", "args": {"name": "events"}})
    moments: dict[tuple[Position, int], list[str]] = {}
    for event, words in tell_all(log.events):
        if event.node >= 0:
            moments.setdefault((event.node, event.time), []).append(words)
        else:
            entries.append({"ph": "i", "s": "g", "pid": 1, "tid": 1, "ts": event.time / 1e3, "name": words})
    following: dict[Position, int] = {}
    slices = []
    for (node, time), told in reversed(moments.items()):
        length = min(1000, following.get(node, time + 1000) - time)
        following[node] = time
        where = {"pid": node + 1, "tid": 1, "ts": time / 1e3, "dur": length / 1e3}
        slices.append({"ph": "X", "cat": "event", "name": told[0], **where, "args": {"all": told}})
    entries += reversed(slices)
    sends = {event.message: event for event in log.events if event.what == "send"}
    for number, event in enumerate(log.events):
        if event.what == "receive" and event.message in sends:
            sent = sends[event.message]
            flow = {"cat": "message", "name": sent.kind, "id": number, "tid": 1}
            entries.append({"ph": "s", **flow, "pid": sent.node + 1, "ts": sent.time / 1e3})
            entries.append({"ph": "f", "bp": "e", **flow, "pid": event.node + 1, "ts": event.time / 1e3})
    for number, span in enumerate(log.spans):
        place: dict[str, Any] = {"cat": span.kind, "name": span.kind, "id": number, "pid": span.position + 1, "tid": 1}
        entries.append({"ph": "b", **place, "ts": span.begin / 1e3})
        entries.append({"ph": "e", **place, "ts": span.end / 1e3})
    about = {"algorithm": log.scenario.algorithm, "fault": log.scenario.fault, "verdict": log.verdict}
    return msgspec.json.encode({"traceEvents": entries, "displayTimeUnit": "ms", "otherData": about})


SHIVIZ = r"(?<host>\S*) (?<clock>{.*})\n(?<event>.*)"


def write_shiviz(log: Log) -> str:
    """A trial as a log for ShiViz, with vector clocks; the regular expression that it is read by is its first line."""
    clocks: dict[Position, dict[str, int]] = {}
    sent: dict[tuple[Position, int], dict[str, int]] = {}
    lines = [SHIVIZ, ""]
    for event, words in tell_all(log.events):
        if event.node < 0:
            continue
        host, clock = f"node{event.node}", clocks.setdefault(event.node, {})
        if event.what == "receive":
            for other, ticks in sent.get(event.message, {}).items():
                clock[other] = max(ticks, clock.get(other, 0))
        clock[host] = clock.get(host, 0) + 1
        if event.what == "send":
            sent[event.message] = dict(clock)
        lines += [f"{host} {msgspec.json.encode(clock).decode()}", words]
    return "\n".join(lines) + "\n"


# -- the command -----------------------------------------------------------------------------------------------------


def run_one(options: Mapping[str, Any]) -> tuple[Log, bool]:
    """Run the one trial that the options describe; returns its log, and whether it broke a promise.

    Raises:
        BadInput: if they are wrong, or describe several trials.
    """
    settings = make_settings({"nodes": "5", "faults": "none", "trials": "1", **options}, "")
    for option in ("algorithms", "nodes", "faults"):
        if len(getattr(settings, option)) != 1:
            raise BadInput(f"--{option}: a trace shows one trial; give one, not {len(getattr(settings, option))}")
    (algorithm,), (n,), (fault,) = settings.algorithms, settings.nodes, settings.faults
    if settings.engine == "simulate":
        delta = SIMULATED_DELTA if settings.delta == "auto" else seconds(settings.delta)
        scenario = make_scenario(settings, algorithm, n, fault, 0, delta)
        execution, events = record(scenario)
    else:
        from bench.calibrate import BURST, measure_delta

        with Processes((algorithm, "chang_roberts", BURST)) as engine:
            auto = settings.delta == "auto"
            delta = measure_delta(engine, (n,))[n].delta_s if auto else seconds(settings.delta)
            scenario = make_scenario(settings, algorithm, n, fault, 0, delta)
            engine.run(scenario)  # to warm up, as a run does
            observation = engine.observe(scenario)
        execution, events = summarise(observation, scenario), list(tell_events(observation, scenario))
    row, _ = make_row(execution, scenario, "", 0, 0, settings.engine)
    return make_log(events, execution, row, scenario), row.is_broken


def read_one(folder: Path, trial: int) -> Log:
    """The stored log of one trial of a run.

    Raises:
        BadInput: if there is no such run, or it did not keep the events of that trial.
    """
    read_manifest(folder)
    kept = stored_events(folder)
    if trial not in kept:
        those = f"those of {', '.join(map(str, kept[:12]))}{', ...' * (len(kept) > 12)}" if kept else "none"
        raise BadInput(f"{folder.name} did not keep the events of trial {trial}; it has {those}")
    try:
        return read_events(events_path(folder, trial))
    except ValueError as error:
        raise BadInput(str(error)) from None


def show(log: Log, out: Path | None) -> None:
    """Print a trial as text, or write it to a file in the form that its suffix names."""
    if out is None:
        click.echo(write_text(log), nl=False)
        return
    try:
        match out.suffix:
            case ".txt":
                out.write_text(write_text(log))
            case ".json":
                out.write_bytes(write_perfetto(log))
            case ".log":
                out.write_text(write_shiviz(log))
            case _:
                from bench.diagram import plot_space_time
                from bench.plots import save_figure

                save_figure(plot_space_time(log), out.with_suffix(""), (out.suffix,))
    except OSError as error:
        raise BadInput(f"--out: cannot write to {str(out)!r}: {error.strerror}") from None
    click.echo(out)


def trace(run: str | None, trial: int | None, out: str | None, options: Mapping[str, Any]) -> int:
    """Show a stored trial, or one that is run now; returns the exit code.

    Raises:
        BadInput: for the first thing that is wrong.
    """
    path = Path(out) if out is not None else None
    if path is not None and path.suffix not in SUFFIXES:
        forms = ", ".join(f"{suffix} ({form})" for suffix, form in SUFFIXES.items())
        raise BadInput(f"--out: {out!r} names no form; end it in one of {forms}")
    if path is not None and not path.absolute().parent.is_dir():
        raise BadInput(f"--out: there is no folder {str(path.parent)!r}")
    if run is not None and options:
        raise BadInput(f"--{next(iter(options))}: RUN TRIAL names a trial already; leave it out")
    if run is not None and trial is None:
        raise BadInput(f"TRIAL is missing; write such as: election-bench trace {run} 0")
    if run is None and "algorithms" not in options:
        raise BadInput("name a stored trial (RUN TRIAL), or what to run, such as: -a chang_roberts -n 5")
    log, broken = (read_one(Path(run).resolve(), trial), False) if run and trial is not None else run_one(options)
    show(log, path)
    return int(broken)
