"""Endurance: random elections under random faults inside the models, one after another; none may go wrong."""

import random
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from algorithms import ALGORITHMS
from bench.complexity import Engine
from bench.detector import parse_detector
from bench.engines.processes import Processes
from bench.engines.simulate import Simulate
from bench.faults import CUTS, parse_plan
from bench.observe import make_row
from bench.scenario import Scenario, find_algorithm

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

QUORUM = ("zookeeper_fle", "paxos", "viewstamped")  # never two leaders of one term, whatever happens
HOSTILE = (  # to who is told of crashes
    *("leader-crash", "crash:random=1,within=10ms", "cascade:2", "crash-recover:after=30ms", "rolling:every=60ms"),
    *("churn:rate=30,for=300ms", "crash-at", "crash-recover:after=3ms+crash-at", "loss:0.1", "loss:0.3"),
    *("duplicate:0.3", "reorder:0.3", "leader-crash+loss:0.1", "leader-crash+duplicate:0.5+reorder:0.3"),
    *("crash-recover:after=20ms+loss:0.1", "rolling:every=30ms+loss:0.05+duplicate:0.1+reorder:0.1"),
    *("churn:rate=60,for=300ms+loss:0.1", "leader-crash+delay:exp:20ms"),
)
HOSTILE_WITH_HEARTBEATS = (
    *(f"partition:{cut},for=200ms" for cut in CUTS),
    *("pause:leader,for=150ms", "pause:0,for=200ms", "false-suspicion:for=20ms", "leader-crash", "cascade:2"),
    *("crash-recover:after=5ms", "rolling:every=100ms", "churn:rate=20,for=300ms"),
    *("partition:leader-alone,for=200ms+loss:0.1", "partition:halves,for=200ms+duplicate:0.2+reorder:0.2"),
    *("pause:leader,for=200ms+crash-at", "partition:leader-alone,for=200ms+crash-recover:after=100ms"),
)


def draw(count: int, heartbeats: int, seed: int) -> Iterator[Scenario]:
    """`count` scenarios, `heartbeats` of them with heartbeats, size by size so that real clusters are reused."""
    rng, names = random.Random(seed), list(ALGORITHMS)
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


def draw_hostile(count: int, seed: int) -> Iterator[Scenario]:
    """`count` scenarios of pages with terms under everything that may go wrong, half of them with heartbeats."""
    rng = random.Random(seed)
    for n in (3, 4, 5, 7):
        for i in range(count // 4):
            name, beats = QUORUM[i % len(QUORUM)], rng.random() < 0.5
            kind = rng.choice(find_algorithm(name).messages).__name__
            at = f"crash-at:{kind},nth={rng.randint(1, 4)},{rng.choice(['before', 'after'])}"
            fault = rng.choice(HOSTILE_WITH_HEARTBEATS if beats else HOSTILE).replace("crash-at", at)
            yield Scenario(
                algorithm=name,
                ids=tuple(rng.sample(range(1, n + 1), n)),
                seed=rng.randrange(2**40),
                delta=0.01,
                horizon=20,
                faults=parse_plan(fault),
                detector=str(parse_detector("heartbeat", 0.01)) if beats else "perfect",
            )


def endure_hostility(engine: Engine, count: int, seed: int) -> str:
    """Run them all; never two leaders of one term, and one leader in the end where a majority can talk in time."""
    began, verdicts = time.monotonic(), Counter[str]()
    for scenario in draw_hostile(count, seed):
        row, _ = make_row(engine.run(scenario), scenario, "", 0, 0, engine.name)
        where = (scenario.algorithm, scenario.n, scenario.fault, scenario.detector, scenario.seed, row)
        assert (row.unaccounted, row.violations, row.error) == (0, 0, ""), where
        assert not row.within_model or row.verdict == "elected", where
        assert row.within_model or row.stop == "horizon" or row.verdict == "no_leader", where
        verdicts[f"{row.verdict}, {row.stop}"] += 1
    told = ", ".join(f"{number} {verdict}" for verdict, number in verdicts.most_common())
    return f"{count} of majorities on {engine.name}, {told}, {time.monotonic() - began:.0f} s"


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
    with Processes(tuple(ALGORITHMS)) as engine:
        print(endure(engine, 1000, 100, 1))


def test_hundreds_of_elections_in_virtual_time() -> None:
    print(endure(Simulate(), 400, 120, 1))


@pytest.mark.slow
def test_twenty_thousand_elections_in_virtual_time() -> None:
    print(endure(Simulate(), 20_000, 6_000, 2))


def test_never_two_leaders_of_one_term_in_virtual_time() -> None:
    print(endure_hostility(Simulate(), 400, 1))


@pytest.mark.slow
@pytest.mark.parametrize("piece", range(10))
def test_never_two_leaders_of_one_term_in_70_000_elections(piece: int) -> None:
    print(endure_hostility(Simulate(), 7_000, 100 + piece))


@pytest.mark.slow
@pytest.mark.parametrize("piece", range(10))
def test_never_two_leaders_of_one_term_in_3500_on_real_processes(piece: int) -> None:
    with Processes(QUORUM) as engine:
        print(endure_hostility(engine, 352, 100 + piece))


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
