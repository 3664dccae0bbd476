"""Every message is accounted for, also where nodes are killed at random moments."""

import random

import msgspec
import pytest

from bench.engines.processes import Processes, memory
from bench.engines.processes.summary import summarise
from bench.faults import parse_fault
from bench.observe import make_row
from bench.scenario import Scenario
from tests.conftest import SILENT


def kill_at_random(engine: Processes, count: int, seed: int) -> int:
    """Run `count` trials with kills during the election; returns how many of them lost messages."""
    rng, losing = random.Random(seed), 0
    for trial in range(count):
        n = rng.choice([2, 3, 5, 8, 16])
        ids = rng.sample(range(1, 100), n)
        moment = rng.choice(["100us", "300us", "1ms", "3ms"])
        scenario = Scenario(
            algorithm=SILENT[trial % len(SILENT)],
            ids=tuple(ids),
            seed=trial,
            delta=0.05,
            horizon=10,
            initiators=rng.choice(["all", "one", "random:2"]),
            faults=(parse_fault(f"crash:random={rng.choice([1, 1, 2])},within={moment}"),),
        )
        row, _ = make_row(engine.run(scenario), scenario, "test", trial, 0, engine.name)
        where = msgspec.json.encode(scenario).decode()
        assert row.unaccounted == 0, where
        assert row.in_flight == 0, where
        assert (row.stop, row.violations) == ("quiescent", 0), where
        assert row.verdict == "elected" or not row.within_model, where  # more are down than a majority spares
        assert row.faults_fired == row.faults_planned >= 1, where
        losing += row.lost > 0
    return losing


def test_kills_at_random_moments(engine: Processes) -> None:
    assert kill_at_random(engine, 100, seed=3) > 0


@pytest.mark.slow
def test_500_kills_at_random_moments(engine: Processes) -> None:
    assert kill_at_random(engine, 500, seed=4) > 50


def test_a_counter_that_skips_is_seen(engine: Processes) -> None:
    scenario = Scenario(algorithm="chang_roberts", ids=(3, 1, 2), seed=1, delta=0.05, horizon=10)
    observation = engine.observe(scenario)
    words = list(observation.nodes[1].after)
    words[memory.RECEIVED] -= 1
    observation.nodes[1].after = tuple(words)
    row, _ = make_row(summarise(observation, scenario), scenario, "test", 0, 0, engine.name)
    assert row.unaccounted == 1


def test_messages_to_the_dead_are_lost_not_unsent(engine: Processes) -> None:
    scenario = Scenario(
        algorithm="bully", ids=(1, 2, 3, 4, 5), seed=1, delta=0.05, horizon=10, dead=(2, 4), initiators="1"
    )
    row, kinds = make_row(engine.run(scenario), scenario, "test", 0, 0, engine.name)
    counts = {kind.kind: kind.count for kind in kinds}
    assert counts == {"Election": 4, "Ok": 1, "Coordinator": 4}  # Garcia-Molina's protocol, alive {1, 2, 4}, 2 starts
    assert (row.sent, row.received, row.lost) == (9, 4, 5)
