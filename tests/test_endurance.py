"""Endurance: random elections under random faults inside the models, one after another; none may go wrong."""

import random
import time
from collections.abc import Iterator

import pytest

from bench.complexity import Engine
from bench.detector import parse_detector
from bench.engines.processes import Processes
from bench.engines.simulate import Simulate
from bench.faults import parse_plan
from bench.observe import make_row
from bench.scenario import Scenario, find_algorithm
from tests.conftest import SILENT

CRASHES = (
    *(
        "leader-crash",
        "crash:random=1,within=1ms",
        "crash:random=2,within=500us",
        "crash:rank=1,within=300us",
        "cascade:2",
    ),
    *(
        "crash-recover:after=5ms",
        "crash-recover:after=40ms",
        "rolling:every=8ms",
        "churn:rate=100,for=60ms",
        "crash-at",
    ),
    *(
        "leader-crash+delay:uniform:100us:1ms",
        "crash:random=1,within=2ms+delay:500us",
        "crash-recover:after=3ms+crash-at",
    ),
)
WITH_HEARTBEATS = (
    *("leader-crash", "crash:random=1,within=1ms", "cascade:2", "crash-recover:after=5ms", "crash-recover:after=150ms"),
    *("rolling:every=60ms", "churn:rate=20,for=300ms", "crash-at"),
)
ASYNCHRONOUS = ("pause:leader,for=150ms", "pause:0,for=100ms", "false-suspicion:for=20ms")


def draw(count: int, heartbeats: int, seed: int) -> Iterator[Scenario]:
    """`count` scenarios, `heartbeats` of them with heartbeats, size by size so that real clusters are reused."""
    rng, names = random.Random(seed), SILENT
    for block, n in enumerate((3, 4, 5, 7)):
        for i in range(count // 4):
            name, beats = names[i % len(names)], i < heartbeats // 4
            page = find_algorithm(name)
            synchronous = page.model.timing == "synchronous"
            fault = rng.choice((*WITH_HEARTBEATS, *(() if synchronous else ASYNCHRONOUS)) if beats else CRASHES)
            at = f"crash-at:{rng.choice(page.messages).__name__},nth={rng.randint(1, 3)},{rng.choice(['before', 'after'])}"
            delta = (0.04 if synchronous else 0.01) if beats else 0.05
            ids = rng.sample(range(1, n + 1), n)
            yield Scenario(
                algorithm=name,
                ids=tuple(ids),
                seed=rng.randrange(2**40) + block,
                delta=delta,
                horizon=20,
                faults=parse_plan(fault.replace("crash-at", at)),
                detector=str(parse_detector("heartbeat", delta)) if beats else "perfect",
            )


def endure(engine: Engine, count: int, heartbeats: int, seed: int) -> str:
    """Run them all and say what came of it; every one inside its model must keep its promise."""
    began, outside, missed = time.monotonic(), 0, 0
    for scenario in draw(count, heartbeats, seed):
        row, _ = make_row(engine.run(scenario), scenario, "", 0, 0, engine.name)
        where = (scenario.algorithm, scenario.n, scenario.fault, scenario.detector, scenario.seed, row)
        assert row.unaccounted == 0, where
        assert row.stop in ("quiescent", "settled"), where
        assert not row.within_model or (row.verdict, row.violations, row.in_flight) == ("elected", 0, 0), where
        outside += not row.within_model
        missed += row.faults_fired < row.faults_planned
    taken = time.monotonic() - began
    return f"{count} on {engine.name}, {heartbeats} with heartbeats, {outside} outside, {missed} missed, {taken:.0f} s"


@pytest.mark.slow
def test_a_thousand_elections_on_real_processes() -> None:
    with Processes(SILENT) as engine:
        print(endure(engine, 1000, 100, 1))


def test_hundreds_of_elections_in_virtual_time() -> None:
    print(endure(Simulate(), 400, 120, 1))


@pytest.mark.slow
def test_twenty_thousand_elections_in_virtual_time() -> None:
    print(endure(Simulate(), 20_000, 6_000, 2))


def test_what_once_went_wrong() -> None:
    """A node that was left alone elected itself and told nobody of those who had come back meanwhile."""
    scenario = Scenario(
        algorithm="hirschberg_sinclair",
        ids=(2, 1, 4, 3),
        seed=317443368067,
        delta=0.05,
        horizon=20,
        faults=parse_plan("churn:rate=100,for=60ms"),
    )
    row, _ = make_row(Simulate().run(scenario), scenario, "", 0, 0, "simulate")
    assert (row.verdict, row.violations) == ("elected", 0)
