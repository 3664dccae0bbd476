"""The fault catalogue on real processes: what strikes, that it did, and what is promised under it."""

from collections import Counter

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from algorithms import ALGORITHMS
from algorithms.model import Position
from bench.detector import Heartbeat, HeartbeatDetector, Suspicion, parse_detector
from bench.engines.processes import Processes
from bench.engines.processes import memory as shm
from bench.engines.processes.summary import records, summarise
from bench.faults import CUTS, FAULTS, Plan, cut_links, make_plan, parse_faults, parse_plan, write_plan
from bench.latency import seconds
from bench.observe import make_row
from bench.scenario import Scenario, find_algorithm
from bench.trial import Trial
from tests.conftest import SILENT

EXAMPLES = (
    *("none", "none:for=5ms", "leader-crash", "crash:rank=2,within=2ms", "crash:random=2", "cascade:2"),
    *(
        "crash-at:Ok,nth=2,after",
        "crash-at:Election,nth=1,before,node=3",
        "crash-recover:after=20ms",
        "rolling:every=10ms",
    ),
    *("pause:leader,for=20ms", "pause:1,for=5ms", "slow:node=1,factor=5", "partition:halves,for=10ms", "loss:0.05"),
    *(
        "delay:uniform:1ms:2ms",
        "duplicate:0.1",
        "reorder:0.2",
        "write:1ms",
        "false-suspicion",
        "churn:rate=20,for=200ms",
    ),
)
CRASHES = (  # inside every model
    *("leader-crash", "crash:random=2,within=1ms", "crash:rank=1,within=1ms", "cascade:2", "crash-recover:after=5ms"),
    *("crash-recover:after=80ms", "rolling:every=20ms", "churn:rate=50,for=100ms"),
)


def scene(
    algorithm: str,
    fault: str,
    n: int = 5,
    detector: str = "perfect",
    delta: float = 0.05,
    seed: int = 1,
    **more: object,
) -> Scenario:
    return Scenario(
        algorithm=algorithm,
        ids=tuple((3 * p) % n + 1 if n % 3 else p + 1 for p in range(n)),
        seed=seed,
        delta=delta,
        horizon=20,
        faults=parse_plan(fault),
        detector=str(parse_detector(detector, delta) or "perfect"),
        **more,  # type: ignore[arg-type]
    )


def trial(engine: Processes, scenario: Scenario) -> Trial:
    row, _ = make_row(engine.run(scenario), scenario, "", 0, 0, engine.name)
    assert row.unaccounted == 0, (scenario.algorithm, scenario.fault, row.fault_log)
    assert not row.is_broken, (scenario.algorithm, scenario.fault, row)
    return row


# -- plans -----------------------------------------------------------------------------------------------------------


def test_there_is_an_example_of_every_fault() -> None:
    assert {text.partition(":")[0] for text in EXAMPLES} == set(FAULTS)


@given(st.lists(st.sampled_from([text for text in EXAMPLES if "none" not in text]), min_size=1, max_size=3))
def test_a_plan_is_read_as_it_is_written(words: list[str]) -> None:
    text = "+".join(words).replace(",after", ",when=after").replace(",before", ",when=before")
    assert write_plan(parse_plan("+".join(words))) == text
    assert write_plan(parse_plan(text)) == text
    assert parse_faults(f"none,{text},leader-crash") == [
        parse_plan("none"),
        parse_plan(text),
        parse_plan("leader-crash"),
    ]
    plan = make_plan(parse_plan(text), (3, 1, 2, 5, 4), (), 7, 0.05)
    assert plan == make_plan(parse_plan(text), (3, 1, 2, 5, 4), (), 7, 0.05)
    assert msgspec.json.decode(msgspec.json.encode(plan), type=Plan) == plan
    assert [strike.at for strike in plan.strikes] == sorted(strike.at for strike in plan.strikes)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "bolt",
            "leader-crash:2",
            "crash",
            "crash:rank=1,random=1",
            "cascade",
            "cascade:0",
            "pause:leader",
            "pause:for=1s",
        ),
        *("partition:thirds,for=1s", "loss:1.5", "loss", "delay:fast", "rolling:every=1", "none+loss:0.1", "churn"),
    ],
)
def test_what_is_no_plan_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=text.partition(":")[0].partition("+")[0]):
        parse_plan(text)


@pytest.mark.parametrize("n", [2, 3, 4, 5, 8])
@pytest.mark.parametrize("kind", CUTS)
def test_a_partition_cuts_what_it_says(kind: str, n: int) -> None:
    live, leader = list(range(n)), 1
    cut = cut_links(kind, live, leader)
    reach = {p: {q for q in live if q != p and (p, q) not in cut} for p in live}
    if kind == "one-way":
        assert cut == {(leader, q) for q in live if q != leader}
        return
    assert cut == {(q, p) for p, q in cut}
    side = {leader}
    while more := {q for p in side for q in reach[p]} - side:
        side |= more
    if kind == "leader-alone":
        assert side == {leader}
    elif kind == "majority":
        assert len(side) == n // 2 + 1
    elif kind == "minority":
        assert len(side) == max(1, n - n // 2 - 1)
    elif kind == "bridge" and n > 2:
        assert side == set(live)
        assert cut or n == 3
    else:
        assert len(side) in (n // 2, n - n // 2)


# -- the heartbeat detector ------------------------------------------------------------------------------------------


def play(n: int, periods: int, silent: set[Position], leader: Position = 0) -> tuple[list[HeartbeatDetector], int]:
    """Detectors that all tick once a period, in lockstep; what they send arrives at once. Returns messages sent, too."""
    detectors = [HeartbeatDetector(p, n, set(), 10, 45, 0) for p in range(n)]
    sent = 0
    for now in range(0, 10 * periods, 10):
        for p in range(n):
            post = (
                [] if p in silent else [(p, *send) for send in detectors[p].tick(now, leader, 7 * (p == leader)).sends]
            )
            while post:
                source, target, msg = post.pop(0)
                sent += 1
                if target not in silent:
                    post += [(target, *send) for send in detectors[target].hear(source, msg, now).sends]
    return detectors, sent


@pytest.mark.parametrize("n", [2, 3, 5, 16])
def test_a_healthy_cluster_sends_2n_minus_1_a_period_and_suspects_nobody(n: int) -> None:
    detectors, sent = play(n, 50, set())
    assert sent == 50 * (2 * n - 1)
    assert all(not detector.suspected for detector in detectors)


@pytest.mark.parametrize("silent", [{2}, {0}, {1, 2}, {3, 4}])
def test_who_falls_silent_is_suspected_by_all_the_others_and_nobody_else_is(silent: set[Position]) -> None:
    detectors, _ = play(6, 60, silent)
    assert all(detectors[p].suspected == silent for p in range(6) if p not in silent)


def test_who_answers_is_trusted_again() -> None:
    detector = HeartbeatDetector(0, 3, set(), 10, 45, 0)
    assert detector.hear(1, Suspicion(2), 0) == ([(2, Suspicion(2))], [2], [])
    assert detector.hear(2, Heartbeat(0), 5) == ([(2, Heartbeat(0))], [], [2])
    assert detector.hear(1, Suspicion(0), 6).sends == [(1, Heartbeat(0))]


def test_detectors_are_read_from_text() -> None:
    assert parse_detector("perfect", 0.05) is None
    assert str(parse_detector("heartbeat", 0.05)) == "heartbeat:period=50ms,timeout=250ms"
    assert str(parse_detector("heartbeat:period=10ms,timeout=auto", 0.05)) == "heartbeat:period=10ms,timeout=90ms"
    for text in ("heart", "heartbeat:beat=1s", "heartbeat:period=1s,timeout=1s", "perfect:x"):
        with pytest.raises(ValueError, match=r"detector|heartbeat|timeout"):
            parse_detector(text, 0.05)


# -- on real processes -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ["bully", "lamport", "chang_roberts", "franklin", "itai_rodeh"])
def test_every_crash_and_recovery_ends_with_one_leader(engine: Processes, algorithm: str) -> None:
    for n in (3, 6):
        for seed in range(3):
            for fault in CRASHES:
                row = trial(engine, scene(algorithm, fault, n, seed=seed))
                assert (row.verdict, row.faults_fired) == ("elected", row.faults_planned), (fault, row)


@pytest.mark.parametrize("fault", ["loss:0.2", "duplicate:0.2", "reorder:0.3", "delay:2ms", "slow:node=1,factor=10"])
def test_weather_is_counted_and_nothing_is_unaccounted_for(engine: Processes, fault: str) -> None:
    rows = [trial(engine, scene("lamport", fault, seed=seed)) for seed in range(5)]
    assert all(row.faults_fired == row.faults_planned == 1 for row in rows)
    assert (sum(row.dropped for row in rows) > 0) == fault.startswith("loss")
    assert (sum(row.duplicated for row in rows) > 0) == fault.startswith("duplicate")
    if fault.startswith(("delay", "slow")):
        assert all(row.max_hop_s >= 0.001 and row.within_model for row in rows)
    else:
        assert not any(row.within_model for row in rows)


def test_a_paused_leader_still_leads_while_another_does(engine: Processes) -> None:
    """Two leaders at once, of two elections; after SIGCONT the old one learns better, or, in Bully, takes over."""
    for algorithm in ("chang_roberts", "lamport", "bully"):
        row = trial(engine, scene(algorithm, "pause:leader,for=250ms", detector="heartbeat", delta=0.02))
        assert (row.verdict, row.faults_fired) == ("elected", 1)
        assert row.overlap_s > 0
        assert row.false_suspicions >= 4
        assert row.churn >= 1
        assert row.leader != 5 or algorithm == "bully"
        assert row.leaderless_s < 0.02
        assert row.within_model == (algorithm != "bully")


def test_a_partition_has_a_leader_on_each_side_until_it_heals(engine: Processes) -> None:
    for kind in ("leader-alone", "minority", "halves"):
        row = trial(engine, scene("chang_roberts", f"partition:{kind},for=600ms", detector="heartbeat", delta=0.02))
        assert (row.verdict, row.faults_fired, row.violations) == ("elected", 1, 0)
        assert row.overlap_s > 0
        assert row.dropped > 0
        assert not row.within_model


def test_a_partition_that_leaves_them_split_is_over_when_nothing_more_happens(engine: Processes) -> None:
    stops = [
        trial(
            engine,
            scene("lamport", "partition:halves,for=400ms", 9, "heartbeat:period=20ms,timeout=120ms", seed=seed),
        ).stop
        for seed in range(6)
    ]
    assert set(stops) <= {"quiescent", "settled"}


def test_an_old_leader_that_comes_back_follows_or_in_bully_takes_over(engine: Processes) -> None:
    row = trial(engine, scene("chang_roberts", "crash-recover:after=30ms"))
    assert row.leader == 4
    assert row.announcements == 5  # one election of four, and one word to who came back
    assert trial(engine, scene("bully", "crash-recover:after=300ms")).leader == 5


def test_heartbeats_find_a_dead_leader_and_a_dead_follower(engine: Processes) -> None:
    for fault in ("leader-crash", "crash:rank=3,within=1ms"):
        row = trial(engine, scene("ring", fault, detector="heartbeat", delta=0.02))
        times = parse_detector("heartbeat", 0.02)
        assert times is not None
        assert row.detect_s is not None
        assert row.detect_s > times.timeout / 2
        assert row.detector_messages > 0
        assert row.false_suspicions == 0


@pytest.mark.parametrize(("n", "period"), [(8, "20ms"), pytest.param(256, "2s", marks=pytest.mark.slow)])
def test_heartbeat_traffic_is_2n_minus_1_a_period(engine: Processes, n: int, period: str) -> None:
    """By the nodes' own logs: whenever its period is over the leader sends n heartbeats, each other node one."""
    fault, detector = f"none:for={8 * seconds(period):g}s", f"heartbeat:period={period}"
    trial = msgspec.structs.replace(scene("chang_roberts", fault, n, detector), horizon=120)
    observation = engine.observe(trial)
    row, _ = make_row(summarise(observation, trial), trial, "", 0, 0, engine.name)
    assert (row.verdict, row.false_suspicions, row.unaccounted) == ("elected", 0, 0)
    leader, kind = trial.ids.index(n), observation.kinds.index(Heartbeat.__name__)
    for position, state in enumerate(observation.nodes):
        known = max(record.time for record in records(state) if record.what == shm.ELECT)
        sent = Counter(
            record.time
            for record in records(state)
            if record.what == shm.SEND and record.kind == kind and record.time > known
        )
        assert len(sent) >= 5  # periods; the first ones precede the election, and the last may be cut short
        assert set(sent.values()) == {n if position == leader else 1}


@pytest.mark.parametrize(
    "algorithm",
    [
        pytest.param(name, marks=pytest.mark.slow) if ALGORITHMS[name].model.safety == "ever" else name
        for name in SILENT
    ],
)
def test_a_crash_at_every_send_of_four_ends_with_one_leader(engine: Processes, algorithm: str) -> None:
    """Each send of each node and kind: before it leaves, and after."""
    calm = scene(algorithm, "none", 4)
    observation = engine.observe(calm)
    page, struck = find_algorithm(algorithm), 0
    for position, state in enumerate(observation.nodes):
        for kind, message in enumerate(page.messages):
            for nth in range(1, state.after[shm.COUNTS + kind] + 1):
                for when in ("before", "after"):
                    fault = f"crash-at:{message.__name__},nth={nth},{when},node={position}"
                    row = trial(engine, scene(algorithm, fault, 4))
                    if row.faults_fired:  # where the schedule decides who sends what, it may not come to it
                        struck += 1
                        assert row.verdict == "elected", (fault, row)
    total = sum(sum(state.after[shm.COUNTS : shm.COUNTS + shm.KINDS]) for state in observation.nodes)
    assert struck >= total  # of twice as many: where the schedule decides, some come to nothing


# -- planted faults of the harness -----------------------------------------------------------------------------------


def test_a_strike_that_misses_makes_the_trial_invalid(engine: Processes) -> None:
    row = trial(engine, scene("chang_roberts", "pause:3,for=5ms", detector="heartbeat", dead=(3,)))
    assert (row.faults_planned, row.faults_fired) == (1, 0)
    row = trial(engine, scene("chang_roberts", "crash-at:Election,nth=99"))
    assert (row.faults_planned, row.faults_fired) == (1, 0)


def test_a_partition_that_does_not_reach_the_nodes_is_noticed(engine: Processes) -> None:
    scenario = scene("ring", "partition:halves,for=20ms", detector="heartbeat", delta=0.02)
    observation = engine.observe(scenario)
    assert sum(it.planned for it in summarise(observation, scenario).fired) == 1
    for state in observation.nodes:  # as if no node had carried out the order
        state.log = memoryview(b"".join(shm.RECORD.pack(*it) for it in records(state) if it.what != shm.CUT_OFF))
    assert sum(it.planned for it in summarise(observation, scenario).fired) == 0


def test_a_killed_node_that_goes_on_is_noticed(engine: Processes) -> None:
    scenario = scene("ring", "leader-crash")
    observation = engine.observe(scenario)
    assert len(summarise(observation, scenario).fired) == 1
    victim = observation.nodes[observation.fired[0].position]
    later = shm.last_record(victim.log)._replace(time=observation.fired[0].sure + 10_000)
    victim.log = memoryview(bytes(victim.log) + shm.RECORD.pack(*later))
    assert summarise(observation, scenario).fired == []


def test_a_counter_that_skips_is_noticed(engine: Processes) -> None:
    for fault, detector in (("none", "perfect"), ("leader-crash", "perfect")):
        scenario = scene("lamport", fault, detector=detector)
        observation = engine.observe(scenario)
        assert make_row(summarise(observation, scenario), scenario, "", 0, 0, "processes")[0].unaccounted == 0
        words = list(observation.nodes[0].after)
        words[shm.COUNTS] += 1
        observation.nodes[0].after = tuple(words)
        row, _ = make_row(summarise(observation, scenario), scenario, "", 0, 0, "processes")
        assert row.unaccounted == 1
        assert row.is_broken
