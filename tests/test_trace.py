"""Events and what shows them: the same from both engines, complete, causal, and in the forms that other tools read."""

import gzip
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import click
import msgspec
import pytest

from algorithms.model import Position
from bench.cli import cli
from bench.diagram import Arrow, Mark, Picture, draw_space_time, make_picture, plot_space_time
from bench.engines.processes import Processes
from bench.engines.processes.events import tell_events
from bench.engines.processes.summary import summarise
from bench.engines.recording import record
from bench.engines.simulate import Simulate
from bench.events import Event, Log, Span, make_log, read_events, write_events
from bench.observe import make_row
from bench.plots import save_figure
from bench.scenario import Scenario
from bench.settings import BadInput, make_scenario, make_settings
from bench.trace import read_one, trace, write_perfetto, write_shiviz, write_text
from tests.test_cli import bench

GOLDEN = """\
chang_roberts, n=3, leader-crash, simulate, seed 281327838625188: elected 2, 5 messages, 0 violations
  ms since the fault
     -3.070757  node 0 (id 3)  starts
     -3.070757  node 0 (id 3)  enters election 1
     -3.070757  node 0 (id 3)  sends Election(id=3) to 1  [0#1]
     -3.070757  node 1 (id 2)  starts
     -3.070757  node 1 (id 2)  enters election 1
     -3.070757  node 1 (id 2)  sends Election(id=2) to 2  [1#1]
     -3.070757  node 2 (id 1)  starts
     -3.070757  node 2 (id 1)  enters election 1
     -3.070757  node 2 (id 1)  sends Election(id=1) to 0  [2#1]
     -2.816700  node 1 (id 2)  gets Election(id=3) from 0  [0#1]
     -2.816700  node 1 (id 2)  sends Election(id=3) to 2  [1#2]
     -2.252896  node 0 (id 3)  gets Election(id=1) from 2  [2#1]
     -2.214751  node 2 (id 1)  gets Election(id=2) from 1  [1#1]
     -2.214751  node 2 (id 1)  sends Election(id=2) to 0  [2#2]
     -2.214751  node 2 (id 1)  gets Election(id=3) from 1  [1#2]
     -2.214751  node 2 (id 1)  sends Election(id=3) to 0  [2#3]
     -1.380830  node 0 (id 3)  gets Election(id=2) from 2  [2#2]
     -1.380830  node 0 (id 3)  gets Election(id=3) from 2  [2#3]
     -1.380830  node 0 (id 3)  elects 3 in election 1
     -1.380830  node 0 (id 3)  sends Leader(id=3) to 1  [0#2]
     -0.770135  node 1 (id 2)  gets Leader(id=3) from 0  [0#2]
     -0.770135  node 1 (id 2)  elects 3 in election 1
     -0.770135  node 1 (id 2)  sends Leader(id=3) to 2  [1#3]
     -0.652106  node 2 (id 1)  gets Leader(id=3) from 1  [1#3]
     -0.652106  node 2 (id 1)  elects 3 in election 1
     -0.652106  node 2 (id 1)  sends Leader(id=3) to 0  [2#4]
      0.000000  node 0 (id 3)  gets Leader(id=3) from 2  [2#4]
      0.000000  node 0 (id 3)  crashes (leader-crash)
      0.000000  node 1 (id 2)  suspects node 0
      0.000000  node 1 (id 2)  enters election 2
      0.000000  node 1 (id 2)  sends Election(id=2) to 2  [1#4]
      0.000000  node 2 (id 1)  suspects node 0
      0.000000  node 2 (id 1)  enters election 2
      0.000000  node 2 (id 1)  sends Election(id=1) to 1  [2#5]
      0.147072  node 1 (id 2)  gets Election(id=1) from 2  [2#5]
      0.280302  node 2 (id 1)  gets Election(id=2) from 1  [1#4]
      0.280302  node 2 (id 1)  sends Election(id=2) to 1  [2#6]
      0.805192  node 1 (id 2)  gets Election(id=2) from 2  [2#6]
      0.805192  node 1 (id 2)  elects 2 in election 2
      0.805192  node 1 (id 2)  sends Leader(id=2) to 2  [1#5]
      0.940921  node 2 (id 1)  gets Leader(id=2) from 1  [1#5]
      0.940921  node 2 (id 1)  elects 2 in election 2
      0.940921  node 2 (id 1)  sends Leader(id=2) to 1  [2#7]
      1.585479  node 1 (id 2)  gets Leader(id=2) from 2  [2#7]
"""
BEATS = "heartbeat:period=20ms,timeout=120ms"


def plan_trial(algorithm: str, n: int, fault: str, detector: str = "perfect", delta: float = 0.001) -> Scenario:
    options = {"algorithms": algorithm, "nodes": str(n), "faults": fault, "detector": detector}
    return make_scenario(make_settings(options, ""), algorithm, n, fault, 0, delta)


def simulated(*words: Any, **options: Any) -> Log:
    scenario = plan_trial(*words, **options)
    execution, events = record(scenario)
    return make_log(events, execution, make_row(execution, scenario, "", 0, 0, "simulate")[0], scenario)


def real(engine: Processes, *words: Any, **options: Any) -> Log:
    scenario = plan_trial(*words, **{"delta": 0.05, **options})
    observation = engine.observe(scenario)
    execution = summarise(observation, scenario)
    row, _ = make_row(execution, scenario, "", 0, 0, "processes")
    assert row.verdict == "elected"
    return make_log(tell_events(observation, scenario), execution, row, scenario)


def kinds_sent(log: Log) -> Counter[str]:
    return Counter(e.kind for e in log.quiet_events if e.what == "send" and e.time >= log.counted_from)


def check_causality(log: Log) -> None:
    """Every receive has its send, before it; numbers at a source go up by one; a node that is down does nothing."""
    sends = {event.message: i for i, event in enumerate(log.events) if event.what == "send"}
    sequences: dict[Position, int] = defaultdict(int)
    for i, event in enumerate(log.events):
        if event.what == "receive":
            assert sends[event.message] < i
            assert log.events[sends[event.message]].peer == event.node
        elif event.what == "send":
            sequences[event.node] += 1
            assert event.sequence == sequences[event.node]
    assert [event.time for event in log.events] == sorted(event.time for event in log.events)
    for span in log.spans:
        inside = [e for e in log.events if e.node == span.position and span.begin < e.time < span.end]
        assert span.kind == "leads" or inside == [], span


# -- events ----------------------------------------------------------------------------------------------------------

FAULTS = (
    *(("none", "perfect"), ("leader-crash", "perfect"), ("cascade:2", "perfect"), ("crash:random=2", "perfect")),
    *(("crash-at:Coordinator,nth=2", "perfect"), ("leader-crash+loss:0.1+duplicate:0.2+reorder:0.2", "perfect")),
    *(("pause:leader,for=300ms", BEATS), ("partition:leader-alone,for=400ms", BEATS), ("rolling:every=60ms", BEATS)),
    *(("crash-recover:after=30ms", BEATS), ("leader-crash+slow:node=0,factor=20", BEATS), ("false-suspicion", BEATS)),
)


@pytest.mark.parametrize(("fault", "detector"), FAULTS)
def test_a_recorded_simulation_comes_out_the_same(fault: str, detector: str) -> None:
    for algorithm in ("bully", "ring"):
        scenario = plan_trial(algorithm, 5, fault, detector)
        (row, kinds), (again, same_kinds) = (
            make_row(execution, scenario, "", 0, 0, "simulate")
            for execution in (Simulate().run(scenario), record(scenario)[0])
        )
        assert (again, same_kinds) == (row, kinds)
        log = simulated(algorithm, 5, fault, detector)
        check_causality(log)
        counts = Counter(event.what for event in log.events)
        if detector == "perfect":
            assert kinds_sent(log) == {kind.kind: kind.count for kind in kinds if kind.count}
            if not scenario.plan.settled:
                assert (counts["send"], counts["receive"]) == (row.sent, row.received)
                assert (counts["drop"], counts["duplicate"]) == (row.dropped, row.duplicated)


@pytest.mark.parametrize(("fault", "detector"), [FAULTS[i] for i in (0, 1, 4, 5, 6, 9)])
def test_real_processes_leave_the_same_kind_of_log(engine: Processes, fault: str, detector: str) -> None:
    log = real(engine, "ring" if fault.startswith("pause") else "bully", 5, fault, detector)
    check_causality(log)
    twin = simulated("ring" if fault.startswith("pause") else "bully", 5, fault, detector, delta=0.05)
    assert {e.what for e in log.quiet_events} - {"duplicate", "drop"} == {e.what for e in twin.quiet_events} - {
        "duplicate",
        "drop",
    }
    if fault in ("none", "leader-crash"):
        assert kinds_sent(log) == kinds_sent(twin)
    assert {e.text for e in log.events if e.what == "timer"} <= {"answer", "coordinator", "notice"}


def test_a_log_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    log, path = simulated("ring", 12, "leader-crash"), tmp_path / "events" / "3.jsonl.gz"
    write_events(log, path)
    assert read_events(path) == log
    first = path.read_bytes()
    write_events(read_events(path), path)
    assert path.read_bytes() == first
    assert any("bytes)" in event.text for event in log.events), "a long message is named, not shown"
    lines = gzip.decompress(first).splitlines()
    assert msgspec.json.decode(lines[0])["fields"] == list(Event.__struct_fields__)
    path.write_bytes(gzip.compress(lines[0].replace(b'"version":1', b'"version":7')))
    with pytest.raises(ValueError, match=r"has version 7 of events; this program reads version 1"):
        read_events(path)
    path.write_bytes(b"nothing")
    with pytest.raises(ValueError, match="holds no events"):
        read_events(path)


def test_a_log_that_is_too_long_keeps_its_beginning(engine: Processes, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = simulated("bully", 5, "leader-crash")
    for module in ("events", "engines.recording"):
        monkeypatch.setattr(f"bench.{module}.MOST", 50)
    cut = simulated("bully", 5, "leader-crash")
    assert cut.events == whole.events[:50]
    assert cut.left_out == len(whole.events) - 50
    assert write_text(cut).endswith(f"{cut.left_out} later events were not kept\n")
    assert f"{cut.left_out} later events not shown" in make_picture(cut).subtitle
    theirs = real(engine, "bully", 5, "leader-crash")
    assert len(theirs.events) == 50
    assert theirs.left_out > 0


@pytest.mark.parametrize("engine_name", ["simulate", "processes"])
def test_a_run_keeps_the_events_that_are_shown_and_every_violation(tmp_path: Path, engine_name: str) -> None:
    out = tmp_path / "run"
    words = ("-a", "chang_roberts,tests.nodes:TwoLeaders", "-n", "5,3", "-t", "2", "--delta", "50ms", "--no-report")
    bench("run", *words, "-f", "none", "-e", engine_name, "-o", str(out), code=1)
    kept = {int(path.name.partition(".")[0]): read_events(path) for path in (out / "events").iterdir()}
    logs = [(log.scenario.algorithm, log.scenario.n) for _, log in sorted(kept.items())]
    two = "tests.nodes:TwoLeaders"
    assert logs == [(two, 5), (two, 5), ("chang_roberts", 3), (two, 3), (two, 3)]
    assert [log.trial for log in kept.values()] == list(kept)
    assert {log.violations for log in kept.values() if log.scenario.algorithm == two} != {0}
    before = {path.name: path.read_bytes() for path in (out / "events").iterdir()}
    if engine_name == "simulate":
        bench("run", *words, "-f", "none", "-e", engine_name, "-o", str(tmp_path / "again" / "run"), code=1)
        again = {path.name: path.read_bytes() for path in (tmp_path / "again" / "run" / "events").iterdir()}
        assert again == before
        return
    rows = (out / "trials.csv").read_bytes().splitlines(keepends=True)
    (out / "trials.csv").write_bytes(b"".join(rows[:2]))  # what a kill leaves
    bench("run", "--resume", "--no-report", "-o", str(out), code=1)
    assert {path.name for path in (out / "events").iterdir()} == before.keys()


# -- text ------------------------------------------------------------------------------------------------------------


def test_the_text_of_a_simulated_trial_never_changes() -> None:
    assert write_text(simulated("chang_roberts", 3, "leader-crash")) == GOLDEN


def test_the_command_runs_a_trial_or_reads_one(tmp_path: Path) -> None:
    words = ("-a", "chang_roberts", "-n", "3", "-f", "leader-crash", "-e", "simulate")
    assert bench("trace", *words).stdout == GOLDEN
    out = tmp_path / "run"
    bench("run", *words, "-t", "2", "--no-report", "-o", str(out))
    assert write_text(read_one(out, 0)) == GOLDEN
    for suffix, head in ((".svg", b"<?xml"), (".png", b"\x89PNG"), (".json", b'{"trace'), (".log", b"(?<host>")):
        file = tmp_path / f"trial{suffix}"
        assert trace(str(out), 0, str(file), {}) == 0
        assert file.read_bytes().startswith(head)
    assert len(list(tmp_path.iterdir())) == 5, "one file each"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "name a stored trial"),
        (("results/reference",), "TRIAL is missing"),
        (("results/reference", "0", "-n", "3"), "--nodes: RUN TRIAL names a trial already"),
        (("nowhere", "0"), "'.*nowhere' is no run"),
        (("results/reference", "99999"), "did not keep the events of trial 99999"),
        (("-a", "bully,ring"), "--algorithms: a trace shows one trial; give one, not 2"),
        (("-a", "bully", "-f", "none,leader-crash"), "--faults: a trace shows one trial"),
        (("-a", "bully", "-o", "x.pdf"), r"--out: 'x.pdf' names no form; end it in one of \.txt"),
        (("-a", "bully", "-o", "/nowhere/x.svg"), "--out: there is no folder '/nowhere'"),
        (("-a", "bulli"), "did you mean 'bully'"),
    ],
)
def test_bad_input_is_said_in_one_line(words: tuple[str, ...], said: str) -> None:
    context = cli.make_context("election-bench", ["trace", *words])
    with pytest.raises((BadInput, click.UsageError)) as error:
        cli.invoke(context)
    assert re.search(said, str(error.value))
    assert "\n" not in str(error.value)


# -- Perfetto --------------------------------------------------------------------------------------------------------


def check_trace_events(document: bytes) -> None:
    """The rules of the Trace Event Format that a viewer relies on."""
    trace = msgspec.json.decode(document)
    assert trace["displayTimeUnit"] in ("ms", "ns")
    slices: dict[tuple[int, int], list[tuple[float, float]]] = defaultdict(list)
    flows: dict[str, dict[tuple[str, str, int], dict[str, Any]]] = {"s": {}, "f": {}}
    spans: dict[tuple[str, int, int], list[dict[str, Any]]] = defaultdict(list)
    for entry in trace["traceEvents"]:
        assert {"ph", "pid", "tid", "name"} <= entry.keys()
        assert entry["ph"] == "M" or entry["ts"] >= 0
        match entry["ph"]:
            case "M":
                assert entry["name"] in ("process_name", "process_sort_index", "thread_name")
            case "X":
                assert entry["dur"] > 0
                slices[entry["pid"], entry["tid"]].append((entry["ts"], entry["ts"] + entry["dur"]))
            case "s" | "f":
                key = (entry["cat"], entry["name"], entry["id"])
                assert key not in flows[entry["ph"]]
                flows[entry["ph"]][key] = entry
                assert entry["ph"] == "s" or entry["bp"] == "e", "else it binds to the next slice"
            case "b" | "e":
                spans[entry["cat"], entry["id"], entry["pid"]].append(entry)
            case "i":
                assert entry["s"] == "g"
            case phase:
                raise AssertionError(phase)
    for lane in slices.values():
        for (_, end), (begin, _) in pairwise(sorted(lane)):
            assert end <= begin + 1e-6, "slices of a thread nest or follow one another"
    assert flows["s"].keys() == flows["f"].keys()
    for flow, start in flows["s"].items():
        finish = flows["f"][flow]
        assert start["ts"] <= finish["ts"]
        for tip in (start, finish):
            assert any(a <= tip["ts"] < b for a, b in slices[tip["pid"], tip["tid"]]), "a flow binds to a slice"
    for pair in spans.values():
        assert [entry["ph"] for entry in pair] == ["b", "e"]
        assert pair[0]["ts"] <= pair[1]["ts"]


TRIALS = (
    ("chang_roberts", 3, "leader-crash", "perfect"),
    ("bully", 8, "partition:leader-alone,for=100ms", BEATS),
    ("ring", 5, "pause:leader,for=300ms", BEATS),
    ("lamport", 5, "leader-crash+loss:0.2+duplicate:0.3", "perfect"),
    ("randomized", 5, "rolling:every=60ms", BEATS),
)


@pytest.mark.parametrize("trial", TRIALS)
def test_perfetto_gets_what_its_format_asks_for(trial: tuple[Any, ...]) -> None:
    log = simulated(*trial)
    check_trace_events(write_perfetto(log))
    flows = sum(entry["ph"] == "s" for entry in msgspec.json.decode(write_perfetto(log))["traceEvents"])
    assert flows == sum(event.what == "receive" for event in log.events)


def test_the_check_of_the_format_can_fail() -> None:
    good = write_perfetto(simulated(*TRIALS[0]))
    for bad in (good.replace(b'"bp":"e"', b'"bp":"x"'), good.replace(b'"ph":"f"', b'"ph":"s"', 1)):
        with pytest.raises(AssertionError):
            check_trace_events(bad)
    with pytest.raises(AssertionError):
        check_trace_events(re.sub(rb'"dur":[0-9.]+', b'"dur":1e9', good))


# -- ShiViz ----------------------------------------------------------------------------------------------------------


def read_shiviz(text: str) -> Iterator[tuple[str, dict[str, int], str]]:
    """Host, clock and event of each match, read as ShiViz reads a file: its first line is the regular expression."""
    pattern, delimiter, log = text.split("\n", 2)
    assert delimiter == ""
    for match in re.finditer(pattern.replace("(?<", "(?P<"), log.strip(), re.MULTILINE):
        yield match["host"], msgspec.json.decode(match["clock"]), match["event"]


def check_clocks(text: str) -> int:
    """ShiViz's own rules: clocks of a host go 1, 2, 3; others' point at events that exist and are passed on whole.

    Returns:
        How many events were read.
    """
    events: dict[str, list[dict[str, int]]] = defaultdict(list)
    for host, clock, _ in read_shiviz(text):
        events[host].append(clock)
    for host, clocks in events.items():
        clocks.sort(key=lambda clock: clock[host])
        assert [clock[host] for clock in clocks] == list(range(1, len(clocks) + 1))
        before: dict[str, int] = {}
        for clock in clocks:
            expected = {**before, host: clock[host]}
            for other, time in clock.items():
                assert 1 <= time <= len(events[other])
                if other != host and time > before.get(other, 0):
                    for third, known in events[other][time - 1].items():
                        expected[third] = max(known, expected.get(third, 0))
            assert clock == expected
            before = clock
    return sum(map(len, events.values()))


@pytest.mark.parametrize("trial", TRIALS)
def test_shiviz_gets_clocks_that_obey_its_rules(trial: tuple[Any, ...]) -> None:
    log = simulated(*trial)
    assert check_clocks(write_shiviz(log)) == sum(event.node >= 0 for event in log.events)


def test_the_check_of_the_clocks_can_fail() -> None:
    good = write_shiviz(simulated(*TRIALS[0]))
    assert '{"node1":3}' in good
    for bad in (good.replace('{"node1":3}', '{"node1":4}'), re.sub(r'"node\d":\d,', "", good, count=1)):
        with pytest.raises((AssertionError, KeyError)):
            check_clocks(bad)


# -- the diagram -----------------------------------------------------------------------------------------------------


def test_the_diagram_shows_what_happened() -> None:
    log = simulated("bully", 5, "partition:leader-alone,for=400ms", BEATS)
    picture = make_picture(log)
    assert len(picture.arrows) == sum(
        max(1, len([r for r in log.quiet_events if r.what == "receive" and r.message == e.message]))
        for e in log.quiet_events
        if e.what == "send"
    )
    assert {arrow.kind for arrow in picture.arrows} == {"Election", "Ok", "Coordinator"}
    assert [band.kind for band in picture.bands if band.kind != "silence"] == ["set-up", "cut"]
    assert sum(span.kind == "leads" for span in picture.spans) >= 2, "the one that is cut off, and the new one"
    assert {mark.kind for mark in picture.marks} >= {"starts", "leads", "elect", "suspects", "trusts", "gets"}
    places = [place for place, _ in picture.ticks or ()]
    assert places == sorted(places)
    assert len({label for _, label in picture.ticks or ()}) == len(places), "labels tell moments apart"
    paused = make_picture(simulated("ring", 5, "pause:leader,for=300ms", BEATS))
    assert {span.kind for span in paused.spans} == {"leads", "paused"}
    crashed = make_picture(simulated("ring", 5, "crash-recover:after=30ms", BEATS))
    assert {"crash", "recover"} <= {mark.kind for mark in crashed.marks}


def test_a_diagram_is_repeatable_and_an_empty_one_is_drawn(tmp_path: Path) -> None:
    for name in ("one", "two"):
        save_figure(plot_space_time(simulated("chang_roberts", 3, "leader-crash")), tmp_path / name)
    for suffix in (".svg", ".png"):
        assert (tmp_path / f"one{suffix}").read_bytes() == (tmp_path / f"two{suffix}").read_bytes()
    alone = simulated("ring", 1, "none")
    save_figure(plot_space_time(alone), tmp_path / "alone", (".svg",))
    nothing = Picture(lanes=["a"], marks=[], arrows=[], title="nothing", subtitle="")
    save_figure(draw_space_time(nothing), tmp_path / "nothing", (".svg",))
    lost = Picture(
        lanes=["a", "b"],
        marks=[Mark(0, 1, "starts", "starts"), Mark(0, 2, "crash", "crash")],
        arrows=[Arrow(0, 1, 1, None, "Ping")],
        title="lost",
        subtitle="",
        spans=[Span(0, 2, 3, "down")],
    )
    save_figure(draw_space_time(lost), tmp_path / "lost", (".svg",))
    assert not (tmp_path / "lost.png").exists()
