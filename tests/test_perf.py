"""The table of speed: its peers run and do what the suite does, its rows are judged right, what is missing is said."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.engines.processes import Processes
from bench.engines.processes import memory as shm
from bench.engines.processes.summary import records
from bench.perf import peers, simulators, table
from bench.perf.peers import NoPeer
from bench.perf.table import ROWS, Row, judge


@pytest.fixture(scope="module")
def pipes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    try:
        return peers.compile_pipes(tmp_path_factory.mktemp("peers"))
    except NoPeer as reason:
        pytest.skip(str(reason))


@pytest.mark.parametrize("batch", [False, True])
@pytest.mark.parametrize("what", ["ring", "burst"])
def test_pipes_in_c_run(pipes: Path, what: str, batch: bool) -> None:
    assert 1e-8 < peers.time_pipes(pipes, what, 8, 20, batch and sys.platform == "linux") < 0.01


def test_pipes_that_fill_do_not_block_a_burst(pipes: Path) -> None:
    assert peers.time_pipes(pipes, "burst", 4, 3000) > 0  # 144,000 bytes to each of three: twice what a pipe holds


def test_a_missing_compiler_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoPeer, match="no C compiler found"):
        peers.compile_pipes(tmp_path)
    with pytest.raises(NoPeer, match=r"no Python 3\.6 or 3\.7 with pyDistAlgo is on the path"):
        peers.find_distalgo()


def test_bare_forks_and_a_naive_ring_run() -> None:
    assert 0 < peers.time_bare_forks(8) < 5
    assert 0 < peers.time_naive_ring(8, 20) < 0.1


def test_the_burst_is_of_the_size_it_is_said_to_be() -> None:
    with Processes((table.SHOUT,)) as engine:
        observation = table.shout(engine, 5)
    sent = [r for node in observation.nodes for r in records(node) if r.what == shm.SEND]
    assert len(sent) == 10 * 5 * 4
    assert {r.size for r in sent} == {8}


def test_without_logs_everything_else_is_counted() -> None:
    with Processes((table.SHOUT,)) as engine:
        engine.open(5, logging=False)
        observation = table.shout(engine, 5)
    assert [node.log for node in observation.nodes] == [b""] * 5
    assert [node.after[shm.RECEIVED] for node in observation.nodes] == [40] * 5
    assert [node.after[shm.LOG_LOST] for node in observation.nodes] == [0] * 5


@pytest.mark.parametrize("name", ["simpy_idiom", "simpy_events", "written_by_hand", "bare_heap"])
def test_peers_in_virtual_time_hold_the_same_election(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    scenario = simulators.make_scenario(200)
    monkeypatch.setattr(simulators, "N", 200)
    monkeypatch.setattr(simulators, "SCENARIO", scenario)
    monkeypatch.setattr(simulators, "IDS", scenario.ids)
    assert getattr(simulators, name)() == simulators.ours()


@pytest.mark.parametrize(
    ("bound", "faster", "ratio", "met"),
    [(2.0, False, 2.0, True), (1.9, False, 2.0, False), (0.5, True, 0.5, True), (0.6, True, 0.5, False)],
)
def test_a_row_is_judged_by_the_median_of_its_pairs(bound: float, faster: bool, ratio: float, met: bool) -> None:
    result = judge(Row("", 0, "a", "b", bound, faster), ((1.0, 4.0, 9.0), (1.0, 2.0, 3.0)))
    assert (result.ratio, result.met, result.pairs) == (ratio, met, 3)
    assert (result.ours, result.theirs) == (4.0, 2.0)


def test_a_row_without_its_peer_says_why(tmp_path: Path) -> None:
    result = judge(ROWS[0], NoPeer("no C compiler found"))
    assert (result.met, result.why) == (None, "no C compiler found")
    table.write([result], tmp_path / "perf.json")
    stored = json.loads((tmp_path / "perf.json").read_text())
    assert stored["rows"][0]["what"] == ROWS[0].what
    assert {"cpu", "cores", "load", "python", "revision"} <= stored["environment"].keys()
    assert "skipped: no C compiler found" in (tmp_path / "perf.md").read_text()


def test_rows_that_are_not_measured_again_stay(tmp_path: Path) -> None:
    first, second = (judge(row, ((1.0,), (1.0,))) for row in ROWS[:2])
    table.write([second], tmp_path / "perf.json")
    table.write([first], tmp_path / "perf.json")
    again = judge(ROWS[1], ((2.0,), (1.0,)))
    table.write([again], tmp_path / "perf.json")
    assert [row["ratio"] for row in json.loads((tmp_path / "perf.json").read_text())["rows"]] == [1.0, again.ratio]


def test_every_row_has_a_measure() -> None:
    assert {row.measure for row in ROWS} == set(table.MEASURES)


def test_a_name_that_is_none_is_refused_in_a_line() -> None:
    told = subprocess.run([sys.executable, "-m", "bench.perf", "hops"], capture_output=True, text=True)
    assert told.returncode == 2
    assert told.stderr.startswith("bench.perf: nothing is called 'hops'; there are hop, burst,")
    assert told.stderr.count("\n") == 1
