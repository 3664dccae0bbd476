"""How fast the process engine is: a hop beside C, the start beside bare forks, elections, trials a second."""

from pathlib import Path
from statistics import median
from typing import Any

import pytest

from algorithms import ALGORITHMS
from bench.calibrate import compare_hop, compare_start, measure_hop, on_one_core, time_trials
from bench.engines.processes import Processes
from bench.observe import make_row
from bench.peers import NoPeer, compile_pipe_ring
from bench.scenario import Scenario

Benchmark = Any  # BenchmarkFixture.pedantic has no types


def test_one_hop_beside_c_pipes(benchmark: Benchmark, engine: Processes, tmp_path: Path) -> None:
    try:
        program = compile_pipe_ring(tmp_path)
    except NoPeer as reason:
        pytest.skip(str(reason))
    default, *batch = compare_hop(engine, program)
    with on_one_core(engine):
        single, *_ = compare_hop(engine, program)
    hops: list[float] = []
    benchmark.pedantic(lambda: hops.extend(measure_hop(engine, repetitions=1)), rounds=20)
    benchmark.extra_info["hop in µs"] = round(1e6 * median(hops), 1)
    benchmark.extra_info["ratio to C"] = round(default.ratio, 2)
    benchmark.extra_info["ratio to C, all on one core"] = round(single.ratio, 2)
    for comparison in batch:
        benchmark.extra_info["ratio to C, SCHED_BATCH"] = round(comparison.ratio, 2)
    # the goal is for hops between cores; where other cores are busy the scheduler keeps C's ring on one
    if median(default.theirs) > 5 * median(single.theirs):
        assert default.ratio <= 3.0


def test_start_beside_bare_forks(benchmark: Benchmark, engine: Processes) -> None:
    comparison = compare_start(engine, 256)
    benchmark.pedantic(engine.open, (256,), rounds=3)
    benchmark.extra_info["ratio to os.fork"] = round(comparison.ratio, 2)
    assert comparison.ratio <= 2.0


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_one_election_of_8(benchmark: Benchmark, engine: Processes, algorithm: str) -> None:
    scenario = Scenario(algorithm=algorithm, ids=tuple(range(1, 9)), seed=1, delta=0.05, horizon=20)
    execution = benchmark.pedantic(engine.run, (scenario,), rounds=30, warmup_rounds=3)
    row, kinds = make_row(execution, scenario, "perf", 0, 0, engine.name)
    benchmark.extra_info["messages"] = row.messages
    benchmark.extra_info |= {kind.kind: kind.count for kind in kinds}
    assert row.verdict == "elected"


def test_trials_a_second(benchmark: Benchmark, engine: Processes) -> None:
    seconds = benchmark.pedantic(time_trials, (engine,), rounds=7, warmup_rounds=1)
    benchmark.extra_info["trials a second"] = round(1 / seconds)
