"""Scale: on large rings nodes hold few pipes, what limits a size is said before, and every size counts exactly."""

import errno
import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

import msgspec
import pytest

from bench.calibrate import Limits, check_limits
from bench.engines import processes
from bench.engines.processes import Processes
from bench.engines.processes.memory import Memory
from bench.faults import parse_plan
from bench.observe import make_row
from bench.perf import scale
from bench.perf.scale import Point
from bench.scenario import Scenario, node_maker


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="descriptors are listed in /proc")
@pytest.mark.parametrize("n", [1, 2, 3, 7])
def test_on_a_ring_a_node_holds_the_pipes_to_its_neighbours_alone(n: int) -> None:
    scenario = Scenario(algorithm="franklin", ids=tuple(range(1, n + 1)), seed=1, delta=0.05, horizon=20)
    with Processes(("franklin",)) as engine:
        opened = engine.open(n, ring=True)
        held = [len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in opened.pids]
        row, _ = make_row(engine.run(scenario), scenario, "", 0, 0, engine.name)
        assert engine.opened is opened
    assert (
        held == [6 + len({1 % n, -1 % n})] * n
    )  # the standard ones, lifeline, claim, its inbox; the neighbours' inboxes
    assert (row.verdict, row.unaccounted) == ("elected", 0)


@pytest.mark.parametrize("algorithm", ["chang_roberts", "franklin", "ring"])
@pytest.mark.parametrize("faults", ["none", "leader-crash"])
def test_what_a_node_of_a_ring_takes_does_not_grow_with_the_ring(algorithm: str, faults: str) -> None:
    """Even for a moment: each process keeps what it once needed."""

    def measure(n: int) -> int:
        memory = Memory(n, 1)
        plan = Scenario(
            algorithm=algorithm, ids=tuple(range(n, 2 * n)), seed=1, delta=1, horizon=1, faults=parse_plan(faults)
        )
        memory.write_scenario(plan)
        tracemalloc.start()
        scenario = memory.read_scenario()
        node = node_maker(scenario, scenario.steady)(n - 1, 0)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert node.id == 2 * n - 1
        return peak

    measure(1000)  # what is made once
    assert measure(9000) - measure(1000) < 1000


def test_a_scenario_is_read_as_it_was_written() -> None:
    scenario = Scenario(
        algorithm="raft",
        ids=(7, 2**62 - 1, 3),
        seed=1,
        delta=0.5,
        horizon=2,
        parameters={"drift": "0"},
        dead=(1,),
        faults=parse_plan("crash:random=1"),
    )
    memory = Memory(3, 0)
    memory.write_scenario(scenario)
    read = memory.read_scenario()
    assert msgspec.structs.replace(read, ids=tuple(read.ids)) == scenario


def test_a_node_that_the_system_will_not_start_is_named() -> None:
    code = """
import os, resource
from multiprocessing import Pipe
from bench.engines.processes.launcher import Cluster, Stuck
if not os.getuid():
    os.setuid(65534)  # root may start as many as it likes
resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
try:
    Cluster(2, Pipe()[0])
except Stuck as stuck:
    print(stuck)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout.strip() == f"node 0 of 2 cannot be started: {os.strerror(errno.EAGAIN)}"


def test_large_rings_are_sparse_until_something_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "LARGE", 4)
    calm = Scenario(algorithm="chang_roberts", ids=(3, 1, 5, 2, 4), seed=1, delta=0.05, horizon=20)
    crash = msgspec.structs.replace(calm, faults=parse_plan("leader-crash"))
    with Processes(("chang_roberts", "lamport")) as engine:
        for scenario, sparse in (
            (calm, True),
            (crash, False),
            (calm, False),  # no reason to start again
        ):
            row, _ = make_row(engine.run(scenario), scenario, "", 0, 0, engine.name)
            assert (row.verdict, row.unaccounted, engine.ring) == ("elected", 0, sparse)
    for scenario in (
        msgspec.structs.replace(calm, algorithm="lamport"),
        msgspec.structs.replace(calm, dead=(1,)),
        msgspec.structs.replace(calm, detector="heartbeat:period=20ms,timeout=100ms"),
        crash,
    ):
        assert not processes.stays_on_ring(scenario)


@pytest.mark.slow
def test_a_ring_of_2000_elects_and_counts_exactly() -> None:
    n = 2000
    scenario = Scenario(algorithm="chang_roberts", ids=tuple(range(1, n + 1)), seed=1, delta=60, horizon=600)
    with Processes(("chang_roberts",)) as engine:
        row, _ = make_row(engine.run(scenario), scenario, "", 0, 0, engine.name)
        assert engine.ring
    assert (row.verdict, row.messages, row.unaccounted) == ("elected", 3 * n - 1, 0)


def test_the_most_nodes_are_those_that_are_not_refused() -> None:
    limits = Limits(descriptors=1000)
    most = scale.most_nodes(limits)
    check_limits(most, limits)
    with pytest.raises(ValueError, match=r"^469 nodes need 1,002 open files"):
        check_limits(most + 1, limits)


def test_each_limit_says_what_a_user_sees() -> None:
    told = scale.ceilings()
    assert {"descriptors", "memory"} <= {name for name, _, _ in told} | {"descriptors"}
    for _, most, line in told:
        assert f"{most + 1:,} nodes " in line
        assert "\n" not in line


def test_what_was_measured_is_written(tmp_path: Path) -> None:
    points = [Point(what, "chang_roberts", n, 1, 3 * n, 0.1, 0.2, n / 10) for what in scale.SERIES for n in (8, 16)]
    told = [("memory", 5000, "5,001 nodes need more")]
    assert scale.read(tmp_path) == []
    scale.write(points, told, tmp_path)
    assert scale.read(tmp_path) == points
    assert len((tmp_path / "scale.csv").read_text().splitlines()) == 1 + len(points)
    assert (tmp_path / "scale.svg").read_text().startswith("<?xml")
    scale.write([point for point in points if point.what == "complete"], told, tmp_path)  # as after the first series
    assert len(scale.read(tmp_path)) == 2
    scale.write(points, told, tmp_path)
    assert "what a user sees" in (tmp_path / "scale.md").read_text()
    before = (tmp_path / "scale.svg").read_bytes()
    scale.write(points, told, tmp_path)
    assert (tmp_path / "scale.svg").read_bytes() == before


def test_a_point_of_each_size_elects_and_counts_exactly() -> None:
    with Processes(("lamport",)) as engine:
        start = engine.open(6).seconds
        messages, seconds = scale.run(engine, "lamport", 6)
        memory = scale.measure_nodes(engine)
    assert messages == (2 * 6 + 1) * (6 - 1)
    assert start > 0
    assert seconds > 0
    assert 6 * 0.2 < memory < 6 * 50
