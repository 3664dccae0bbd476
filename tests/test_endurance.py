"""Endurance: random elections under random faults inside the models, one after another; none may go wrong."""

import random
import re
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

QUORUM = tuple(name for name in SILENT if ALGORITHMS[name].model.safety == "ever")  # pages with terms that fall silent
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
    rng, names = random.Random(seed), SILENT
    for block, n in enumerate((3, 4, 5, 7)):
        for i in range(count // 4):
            name = names[i % len(names)]
            page = find_algorithm(name)
            beats = (
                i < heartbeats // 4 and page.model.start == "any"
            )  # who starts only with all finds out nothing later
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
        assert not row.within_model or row.stop in ("quiescent", "settled"), where
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


# -- pages with terms and majorities: under any timing, loss, partition and recovery ---------------------------------

TERMS = tuple(name for name, page in ALGORITHMS.items() if page.model.safety == "ever" and page.model.pulse is not None)
STORMS = (  # durations in units of delta, which are written {5} for five of them
    *("leader-crash", "cascade:2", "crash-recover:after={1}", "crash-recover:after={8}", "crash-recover:after={40}"),
    *("rolling:every={3}", "rolling:every={12}", "rolling:every={40}", "churn:rate={1/8},for={150}"),
    *("pause:leader,for={4}", "pause:leader,for={30}", "pause:0,for={20}", "leader-crash+slow:node=0,factor=20"),
    *(f"partition:{cut},for={{{time}}}" for cut in CUTS for time in (12, 50)),
    *(
        "loss:0.05",
        "loss:0.3",
        "duplicate:0.3",
        "reorder:0.3",
        "leader-crash+loss:0.1",
        "crash-at",
        "crash-at+loss:0.1",
    ),
    *("leader-crash+delay:uniform:{1}:{4}", "cascade:2+write:{3}", "partition:bridge,for={60}+rolling:every={20}"),
    *(
        "partition:halves,for={60}+pause:leader,for={30}",
        "rolling:every={12}+loss:0.1",
        "churn:rate={1/5},for={80}+loss:0.1",
    ),
)


def draw_storms(count: int, seed: int, delta: float) -> Iterator[Scenario]:
    """`count` scenarios of pages with terms, size by size: a storm and any of the page's variants, at random."""
    rng = random.Random(seed)

    def measure(match: re.Match[str]) -> str:
        up, _, below = match[1].partition("/")
        return f"{float(up) / (float(below) * delta):.3f}" if below else f"{round(float(up) * delta * 1e6)}us"

    for n in (3, 4, 5, 7):
        for i in range(count // 4):
            page = ALGORITHMS[TERMS[i % len(TERMS)]]
            fault = rng.choice(STORMS if page.model.spares(n) > 1 else [it for it in STORMS if "cascade" not in it])
            at = f"crash-at:{rng.choice(page.messages).__name__},nth={rng.randint(1, 3)},{rng.choice(['before', 'after'])}"
            switches = {name: it for name, it in page.parameters.items() if it.variants}
            yield Scenario(
                algorithm=TERMS[i % len(TERMS)],
                ids=tuple(rng.sample(range(1, n + 1), n)),
                seed=rng.randrange(2**40),
                delta=delta,
                horizon=20,
                parameters={name: rng.choice((it.default, *it.variants)) for name, it in switches.items()},
                faults=parse_plan(re.sub(r"\{(.*?)\}", measure, fault.replace("crash-at", at))),
            )


def endure_storms(engine: Engine, count: int, seed: int, delta: float) -> str:
    """Run them all: never two leaders of one term, every message accounted for, and in the end one leader."""
    began, outside, terms = time.monotonic(), 0, 0
    for scenario in draw_storms(count, seed, delta):
        row, _ = make_row(engine.run(scenario), scenario, "", 0, 0, engine.name)
        where = (scenario.algorithm, scenario.n, scenario.fault, scenario.parameters, scenario.seed, row)
        assert (row.error, row.violations, row.unaccounted) == ("", 0, 0), where
        assert not row.within_model or (row.verdict, row.stop, row.in_flight) == ("elected", "settled", 0), where
        outside += not row.within_model
        terms += row.epochs
    taken = time.monotonic() - began
    return f"{count} storms on {engine.name}, {terms} terms, {outside} outside, {taken:.0f} s"


def test_hundreds_of_storms_in_virtual_time() -> None:
    print(endure_storms(Simulate(), 400, 3, 0.001))


@pytest.mark.slow
def test_thirty_thousand_storms_in_virtual_time() -> None:
    print(endure_storms(Simulate(), 30_000, 4, 0.001))


@pytest.mark.slow
@pytest.mark.parametrize("seed", [5, 6, 7])
def test_five_hundred_storms_on_real_processes(seed: int) -> None:
    with Processes(TERMS) as engine:
        print(endure_storms(engine, 500, seed, 0.005))


def test_an_invitation_of_ones_own_may_come_back() -> None:
    """Passed on by a member to one that has joined another group since: it was answered, to itself."""
    scenario = Scenario(
        algorithm="invitation",
        ids=(6, 3, 1, 2, 4, 7, 5),
        seed=543674995267,
        delta=0.01,
        horizon=20,
        faults=parse_plan("churn:rate=20,for=300ms"),
        detector="heartbeat:period=10ms,timeout=50ms",
    )
    row, _ = make_row(Simulate().run(scenario), scenario, "", 0, 0, "simulate")
    assert (row.verdict, row.violations, row.error) == ("elected", 0, "")


@pytest.mark.parametrize(
    ("ids", "seed", "fault"),
    [
        ((5, 1, 2, 4, 3), 502773914427, "crash-at:Invitation,nth=1,after"),  # it accepted what was left meanwhile
        (
            (2, 3, 1, 5, 4),
            921306749574,
            "crash-at:Invitation,nth=2,before",
        ),  # its group fell apart, and nobody asked it
        ((5, 2, 7, 6, 4, 3, 1), 160830922488, "crash-at:Invitation,nth=2,before"),
    ],
)
def test_who_is_left_alone_by_a_merging_group_is_taken_in(ids: tuple[int, ...], seed: int, fault: str) -> None:
    scenario = Scenario(
        algorithm="invitation",
        ids=ids,
        seed=seed,
        delta=0.01,
        horizon=20,
        faults=parse_plan(fault),
        detector="heartbeat:period=10ms,timeout=50ms",
    )
    row, _ = make_row(Simulate().run(scenario), scenario, "", 0, 0, "simulate")
    assert (row.verdict, row.violations) == ("elected", 0)
