"""Every fault in simulation: it strikes, every message is accounted for, and inside the models one leader remains."""

import random
from collections.abc import Hashable, Iterator

import msgspec
import pytest

from algorithms import ALGORITHMS
from bench.detector import Heartbeat, Suspicion
from bench.engines.simulate import Simulate
from bench.engines.simulation import Simulation
from bench.faults import is_covered, parse_plan
from bench.observe import Execution, make_row
from bench.scenario import Scenario
from bench.trial import Trial

PAGES = ("bully", "ring", "lamport", "chang_roberts", "randomized", "franklin", "itai_rodeh")
HEARTBEAT = "heartbeat:period=1ms,timeout=6ms"
PATIENT = "heartbeat:period=20ms,timeout=100ms"  # where messages take longer
STRIKES = (  # each finds its target whatever happens
    *("leader-crash", "cascade:2", "crash-recover:after=1ms", "crash-recover:after=30ms", "rolling:every=10ms"),
    *("rolling:every=50ms", "churn:rate=100,for=200ms", "false-suspicion:for=5ms", "slow:node=1,factor=2"),
    *("delay:uniform:1ms:3ms", "crash:random=1,within=3ms", "crash:random=2,within=3ms", "crash:rank=1"),
    *("loss:0.1", "duplicate:0.1", "reorder:0.2", "leader-crash+loss:0.05+duplicate:0.05+reorder:0.1"),
)
BLIND = (
    *("pause:leader,for=30ms", "pause:1,for=3ms"),
    *(f"partition:{cut},for=30ms" for cut in ("majority", "minority", "halves", "leader-alone", "bridge", "one-way")),
)


def make_scenario(algorithm: str, n: int, fault: str, seed: int, detector: str = "perfect", **more: str) -> Scenario:
    ids = tuple(random.Random(f"{seed}/{n}").sample(range(1, 100), n))
    return Scenario(
        algorithm=algorithm,
        ids=ids,
        seed=seed,
        delta=0.001,
        horizon=5,
        faults=parse_plan(fault),
        detector=detector,
        **more,  # type: ignore[arg-type]
    )


def run(scenario: Scenario) -> tuple[Execution, Trial]:
    """One trial, held to what every trial must show."""
    execution = Simulate().run(scenario)
    row, _ = make_row(execution, scenario, "", 0, 0, "simulate")
    where = f"{row.fault_log} in {msgspec.json.encode(scenario).decode()}"
    assert row.unaccounted == 0, where
    assert row.in_flight == 0 or row.stop == "horizon", where
    assert not row.is_broken, f"{row.verdict}, {row.stop}, {row.violations} violations: {where}"
    return execution, row


def cells() -> Iterator[tuple[str, str]]:
    """Faults, and detectors that see them."""
    for fault in STRIKES:
        yield fault, "perfect"
        yield fault, PATIENT if "delay" in fault or "slow" in fault else HEARTBEAT
    for fault in BLIND:
        yield fault, HEARTBEAT


@pytest.mark.parametrize(("fault", "detector"), list(cells()))
def test_every_fault_strikes_and_inside_the_model_one_leader_remains(fault: str, detector: str) -> None:
    verdicts = []
    for algorithm in PAGES:
        for n in (3, 4, 5, 9):
            for seed in range(3):
                scenario = make_scenario(
                    algorithm, n, fault, seed, detector, initiators=("all", "one", "random:2")[seed]
                )
                _, row = run(scenario)
                assert row.faults_fired == row.faults_planned, (row.fault_log, msgspec.json.encode(scenario))
                verdicts.append(row.verdict)
    # pages do not send again what a link lost: a cut that nobody has noticed yet may stop an election
    least = (
        0.8 if "partition" in fault else 0.0 if not is_covered(parse_plan(fault), "asynchronous", "reliable") else 1.0
    )
    assert verdicts.count("elected") >= least * len(verdicts)


@pytest.mark.parametrize("detector", ["perfect", HEARTBEAT])
@pytest.mark.parametrize("algorithm", PAGES)
def test_a_crash_at_any_send_leaves_one_leader(algorithm: str, detector: str) -> None:
    fired = 0
    for kind in ALGORITHMS[algorithm].messages:
        for nth in (1, 2, 3, 4):
            for when in ("before", "after"):
                for node in ("", ",node=2"):
                    fault = f"crash-at:{kind.__name__},nth={nth},{when}{node}"
                    execution, row = run(make_scenario(algorithm, 4, fault, nth, detector))
                    assert (row.verdict, row.violations, row.faults_planned) == ("elected", 0, 1), row.fault_log
                    assert len(execution.live) == 4 - row.faults_fired
                    fired += row.faults_fired
    assert fired >= 8


def test_a_crash_before_a_send_leaves_that_message_unsent() -> None:
    for when, sent in (("before", 1), ("after", 2)):
        scenario = make_scenario("lamport", 4, f"crash-at:Election,nth=2,{when},node=0", 1, initiators="0")
        simulation = Simulation(msgspec.structs.replace(scenario, horizon=0.0))
        execution = simulation.run()
        assert simulation.sent_by[0] == sent
        assert [fired.position for fired in execution.fired] == [0]


@pytest.mark.parametrize("fault", ["rolling:every=10ms", "churn:rate=100", "pause:leader,for=20ms", "duplicate:0.3"])
def test_the_same_scenario_gives_the_same_row(fault: str) -> None:
    for algorithm in PAGES:
        scenario = make_scenario(algorithm, 5, fault, 7, HEARTBEAT)
        assert run(scenario)[1] == run(scenario)[1]


@pytest.mark.parametrize("algorithm", PAGES)
def test_a_paused_leader_still_leads_when_it_wakes_up(algorithm: str) -> None:
    execution, row = run(make_scenario(algorithm, 4, "pause:leader,for=40ms", 3, HEARTBEAT))
    assert row.verdict == "elected"
    assert row.overlap_s > 0.01
    assert row.false_suspicions >= 3
    terms: dict[int, tuple[int, Hashable]] = {}
    for reign in execution.monitor.reigns:
        terms.setdefault(reign.position, reign.key)
    assert len(set(terms.values())) == len(terms) >= 2
    assert [fired.what for fired in execution.fired] == ["pause", "resume"]


@pytest.mark.parametrize("algorithm", PAGES)
def test_a_partition_has_a_leader_on_each_side_and_then_one(algorithm: str) -> None:
    scenario = make_scenario(algorithm, 5, "partition:minority,for=60ms", 2, HEARTBEAT)
    execution, row = run(scenario)
    cut, heal = (fired.time for fired in execution.fired)
    reigns = execution.monitor.reigns
    during = {reign.position for reign in reigns if reign.begin < heal - 1_000_000 and reign.end > heal - 1_000_000}
    assert len(during) == 2
    assert (row.verdict, row.dropped > 0, heal - cut) == ("elected", True, 60_000_000)


def test_who_comes_back_follows_or_takes_over() -> None:
    for seed in range(20):
        for algorithm in PAGES:
            scenario = make_scenario(algorithm, 4, "crash-recover:after=50ms", seed)
            execution, row = run(scenario)
            victim = execution.fired[0].position
            assert [(fired.what, fired.role) for fired in execution.fired] == [
                ("crash", "leader"),
                ("recover", "candidate"),
            ]
            if algorithm == "bully":
                assert (row.leader, row.epochs) == (scenario.ids[victim], 2)
            else:
                assert (row.leader != scenario.ids[victim], row.epochs, row.churn) == (True, 1, 0), algorithm


def test_phases_of_a_cascade_are_those_of_the_last_kill_and_leaderless_time_covers_all() -> None:
    execution, row = run(make_scenario("chang_roberts", 5, "cascade:3", 1))
    kills = [fired.time for fired in execution.fired]
    assert (len(kills), execution.began, execution.counted_from, row.epochs) == (3, kills[0], kills[0], 3)
    assert row.elect_s is not None
    assert row.leaderless_s > 2 * row.elect_s
    reigns = [(reign.begin, reign.end) for reign in execution.monitor.reigns if reign.end > kills[0]]
    assert row.elect_s == (reigns[-1][0] - kills[2]) / 1e9
    assert row.leaderless_s == sum(begin - kill for kill, (begin, _) in zip(kills, reigns, strict=True)) / 1e9


def test_a_healthy_cluster_sends_2n_minus_1_heartbeats_a_period_and_suspects_nobody() -> None:
    for algorithm in PAGES:
        for n in (3, 4, 9):
            simulation = Simulation(make_scenario(algorithm, n, "none", 1, HEARTBEAT))
            simulation.start(simulation.scenario.live)
            simulation.run_until(100_500_000)
            assert simulation.agreed() is not None
            simulation.count_from_now()
            simulation.run_until(200_500_000)
            sent = {kind: tally[0] for (kind, _), tally in simulation.tallies.items()}
            assert sent == {Heartbeat: 100 * (2 * n - 1)} or sum(sent.values()) == 100 * (2 * n - 1)
            assert Suspicion not in sent
            assert simulation.false_suspicions == 0


def test_nobody_is_suspected_where_nothing_fails() -> None:
    for algorithm in PAGES:
        for n in (3, 4, 5, 9):
            _, row = run(make_scenario(algorithm, n, "none", n, HEARTBEAT))
            assert (row.verdict, row.stop, row.false_suspicions, row.epochs) == ("elected", "quiescent", 0, 1)
            assert row.detector_messages > 0


def test_a_strike_that_finds_nobody_makes_the_row_invalid() -> None:
    scenario = make_scenario("ring", 3, "crash:rank=1", 1)
    simulation = Simulation(scenario)
    strike = simulation.plan.strikes[0]
    simulation.plan = msgspec.structs.replace(simulation.plan, strikes=(strike, strike))
    row, _ = make_row(simulation.run(), scenario, "", 0, 0, "simulate")
    assert (row.faults_planned, row.faults_fired) == (2, 1)


def test_a_counter_that_skips_is_seen() -> None:
    class Forgetful(Simulation):
        def count_from_now(self) -> None:
            super().count_from_now()
            self.dropped -= 1

    scenario = make_scenario("ring", 5, "loss:0.3", 1)
    row, _ = make_row(Forgetful(scenario).run(), scenario, "", 0, 0, "simulate")
    assert row.unaccounted == 1


def test_doubled_messages_that_multiply_end_the_trial() -> None:
    stops = set()
    for seed in range(10):
        _, row = run(make_scenario("dolev_klawe_rodeh", 3, "duplicate:0.9", seed))
        stops.add(row.stop)
    assert "horizon" in stops
