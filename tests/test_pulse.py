"""Pages that never fall silent: what is a violation of theirs, when they have settled, and how they are counted."""

from typing import Any

import msgspec
import pytest

from algorithms import ALGORITHMS
from algorithms.model import SetTimer, View
from algorithms.omega.omega import Alive
from bench.engines.processes import Processes, memory
from bench.engines.processes.summary import records, summarise
from bench.engines.simulate import Simulate
from bench.faults import parse_plan
from bench.observe import Monitor, make_row
from bench.scenario import Scenario
from tests.exactness import Tally, differences, draw_scenarios


@pytest.mark.parametrize(("safety", "at_once", "in_turn"), [("instant", 1, 0), ("ever", 1, 1), ("eventual", 0, 0)])
def test_which_leaders_are_too_many(safety: str, at_once: int, in_turn: int) -> None:
    model = msgspec.structs.replace(ALGORITHMS["bully"].model, safety=safety)
    together, after = Monitor((1, 2, 3), model), Monitor((1, 2, 3), model)
    together.elect(10, 0, 1, 7, 0)
    together.elect(20, 1, 2, 7, 0)
    after.elect(10, 0, 1, 7, 0)
    after.die(20, 0)
    after.elect(30, 1, 2, 7, 0)
    after.elect(40, 2, 3, 8, 0)
    assert (together.violations, after.violations) == (at_once, in_turn)


PAGES = tuple(name for name, page in ALGORITHMS.items() if page.model.pulse is not None)
FAULTS = ("none", "leader-crash", "crash-recover:after=40ms", "pause:leader,for=200ms", "loss:0.05")


def scene(algorithm: str, n: int, fault: str, delta: float, **fields: Any) -> Scenario:
    return Scenario(
        algorithm=algorithm,
        ids=tuple(range(1, n + 1)),
        seed=n,
        delta=delta,
        horizon=20,
        faults=parse_plan(fault),
        **fields,
    )


@pytest.mark.parametrize("algorithm", PAGES)
@pytest.mark.parametrize("fault", FAULTS)
def test_every_message_is_accounted_for_and_nothing_is_in_flight(engine: Processes, algorithm: str, fault: str) -> None:
    for each, delta in ((engine, 0.01), (Simulate(), 0.01)):
        scenario = scene(algorithm, 5, fault, delta)
        row, _ = make_row(each.run(scenario), scenario, "", 0, 0, each.name)
        assert (row.stop, row.verdict, row.unaccounted, row.in_flight, row.violations) == (
            "settled",
            "elected",
            0,
            0,
            0,
        )
        assert row.faults_fired == row.faults_planned
        assert row.detector_messages > 0
        assert row.sent == row.messages + row.detector_messages
        assert row.within_model


def test_one_candidate_costs_what_the_theorem_says(engine: Processes) -> None:
    tally = Tally()
    for scenario in draw_scenarios(30, 1, (1, 2, 3, 5, 8), PAGES):
        assert not differences(engine, scenario, tally)


def test_kills_in_the_middle_of_an_election(engine: Processes) -> None:
    losing = 0
    for n in (3, 5):
        for seed in range(3):
            for kind in ("RequestVote", "Vote", "AppendEntries", "Heartbeat"):
                fault = f"crash-at:{kind},nth={1 + seed % 2},{'before' if seed else 'after'}"
                scenario = scene("raft", n, fault, 0.01)
                row, _ = make_row(engine.run(scenario), scenario, "", 0, 0, engine.name)
                assert (row.verdict, row.unaccounted, row.in_flight, row.violations) == ("elected", 0, 0, 0), (
                    fault,
                    row,
                )
                losing += row.lost > 0
    assert losing > 2


def test_a_minority_elects_nobody() -> None:
    scenario = scene("raft", 5, "none", 0.001, dead=(0, 1, 2))
    row, _ = make_row(Simulate().run(scenario), scenario, "", 0, 0, "simulate")
    assert (row.stop, row.verdict, row.violations, row.within_model) == ("horizon", "unknown", 0, False)
    assert row.epochs > 100


@pytest.mark.parametrize(("senders", "a_period"), [("all", 5 * 4), ("leader", 4)])
def test_omega_costs_so_many_messages_a_period(engine: Processes, senders: str, a_period: int) -> None:
    for each, delta in ((Simulate(), 0.001), (engine, 0.02)):
        counts = []
        for periods in (20, 40):
            scenario = scene(
                "omega", 5, f"none:for={periods * delta * 1e3:g}ms", delta, parameters={"senders": senders}
            )
            row, _ = make_row(each.run(scenario), scenario, "", 0, 0, each.name)
            assert (row.verdict, row.leader, row.messages) == ("elected", 1, 0)
            counts.append(row.detector_messages)
        if each.name == "simulate":
            assert counts[1] - counts[0] == 20 * a_period
        else:  # a period is never shorter than it should be, and on a busy machine it is longer
            assert 0.5 * 20 * a_period < counts[1] - counts[0] <= 20 * a_period + 3 * a_period


def test_a_timeout_of_omega_grows_when_it_was_wrong() -> None:
    node = ALGORITHMS["omega"](View(2, (1, 3), None, ""), senders="all", period=1.0, timeout=3.0)
    node.on_start()
    for _ in range(2):
        node.fire("1")
        assert node.leader == 2
        node.deliver(0, 1, (0, ()), Alive())
        assert node.leader == 1
    timers = [effect.delay for effect in node.effects if isinstance(effect, SetTimer) and effect.name == "1"]
    assert timers[0] == 3.0
    assert timers[-1] == 5.0


def test_a_doubt_that_comes_after_all_had_settled_is_not_judged(engine: Processes) -> None:
    """A follower that misses heartbeats may ask for votes before it is told that the trial is over."""
    trial = scene("raft", 3, "none", 0.05)
    observation = engine.observe(trial)
    assert observation.stop == "settled"
    last = max(record.time for record in records(observation.nodes[0]) if record.what == memory.ELECT)
    assert last <= observation.settled
    verdicts = []
    for time in (observation.settled + 1, observation.settled):
        later = msgspec.convert(msgspec.to_builtins(observation), type(observation))
        record = memory.RECORD.pack(*memory.Record(memory.ELECT, number=1, time=time))
        later.nodes[0].log = memoryview(bytes(later.nodes[0].log) + record)
        row, _ = make_row(summarise(later, trial), trial, "", 0, 0, engine.name)
        verdicts.append((row.verdict, row.unaccounted))
    assert verdicts == [("elected", 0), ("split", 0)]
