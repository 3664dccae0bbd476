"""The simulator: exact like the processes, in step with them, and the same bytes from the same seed."""

import csv
import os
import random
import subprocess
import sys
from functools import partial
from hashlib import blake2b
from math import sqrt
from pathlib import Path

import msgspec
import pytest

from algorithms.model import Message
from bench.complexity import find_loose
from bench.conformance import draw_scenarios as draw_any
from bench.engines.calm import Calm
from bench.engines.processes import Processes
from bench.engines.simulate import Simulate, make_simulation
from bench.faults import Fault, parse_fault, parse_plan
from bench.latency import make_sampler
from bench.observe import make_row, may_fail
from bench.scenario import Scenario, find_algorithm
from tests.conftest import SILENT
from tests.exactness import Tally, differences, draw_scenarios

ROOT = Path(__file__).parent.parent


def test_counts_equal_the_theorem() -> None:
    tally = Tally()
    for scenario in draw_scenarios(3000, seed=5):
        wrong = differences(Simulate(), scenario, tally)
        assert not wrong, f"{'; '.join(wrong)} in {msgspec.json.encode(scenario).decode()}"
    assert (tally.trials >= 3000, tally.outside) == (True, 0)


def test_processes_and_simulation_agree_where_the_schedule_decides_nothing(engine: Processes) -> None:
    for scenario in draw_scenarios(100, seed=6, sizes=(2, 3, 5, 8)):
        execution = engine.run(scenario)
        if find_loose(execution, scenario) != set():
            continue
        real, kinds = make_row(execution, scenario, "", 0, 0, "")
        simulated, same_kinds = make_row(Simulate().run(scenario), scenario, "", 0, 0, "")
        columns = ["verdict", "leader", "term", "initiators", "messages", "bytes", "sent", "received", "lost", "epochs"]
        columns += ["causal_depth"] if find_algorithm(scenario.algorithm).claims.depth is not None else []
        where = msgspec.json.encode(scenario).decode()
        assert [getattr(real, c) for c in columns] == [getattr(simulated, c) for c in columns], where
        assert kinds == same_kinds, where


def digest(algorithm: str, fault: str) -> str:
    """Digest of everything that is delivered in one simulated trial, and of its row."""
    trace = blake2b(digest_size=8)

    def observe(time: int, source: int, target: int, msg: Message, depth: int) -> None:
        trace.update(
            f"{time} {source} {target} {type(msg).__name__} {msgspec.json.encode(msg).decode()} {depth}\n".encode()
        )

    ids = random.Random(9).sample(range(1, 1000), 12)
    scenario = Scenario(algorithm=algorithm, ids=tuple(ids), seed=42, delta=0.001, horizon=10, faults=parse_plan(fault))
    row, kinds = make_row(Simulate().run(scenario, observe), scenario, "", 0, 0, "simulate")
    trace.update(msgspec.json.encode((row, kinds)))
    return trace.hexdigest()


def digests() -> dict[str, str]:
    """All digests, by algorithm and fault."""
    faults = ("none", "leader-crash", "crash:random=2")
    return {f"{algorithm} {fault}": digest(algorithm, fault) for algorithm in SILENT for fault in faults}


@pytest.mark.parametrize("hash_seed", ["0", "12345"])
def test_the_same_seed_gives_the_same_bytes_in_another_process(hash_seed: str) -> None:
    code = "from tests.test_simulate import digests; print(digests())"
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    said = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert said.stdout.strip() == str(digests())


def test_the_same_seed_gives_the_same_bytes_under_any_python() -> None:
    whole = blake2b(repr(digests()).encode(), digest_size=8).hexdigest()
    assert whole == "e70bb83dc27d2158"


def _note(seen: list[object], *delivery: object) -> None:
    seen.append(delivery)


@pytest.mark.parametrize("algorithm", SILENT)
def test_a_calm_election_comes_out_the_same_whether_anybody_watches_or_not(algorithm: str) -> None:
    calm = 0
    for scenario in draw_any(algorithm, 40, 11, "simulate", faults=("none",)):
        seen: list[object] = []
        alone, watched = make_simulation(scenario), make_simulation(scenario, partial(_note, seen))
        calm += isinstance(alone, Calm)
        assert not isinstance(watched, Calm)
        rows = [make_row(one.run(), scenario, "", 0, 0, "simulate") for one in (alone, watched)]
        where = msgspec.json.encode(scenario).decode()
        assert rows[0] == rows[1], where
        assert alone.monitor.reigns == watched.monitor.reigns, where
        assert alone.now == watched.now, where
        assert rows[0][0].received == len(seen), where
    assert calm > 20


@pytest.mark.parametrize(("horizon", "crowd", "stop"), [(1e9, 50, "quiescent"), (0.0123, 50, "horizon")])
def test_what_waits_in_slices_comes_out_the_same(
    monkeypatch: pytest.MonkeyPatch, horizon: float, crowd: int, stop: str
) -> None:
    monkeypatch.setattr("bench.engines.calm.COMMON", 1000)  # a ring of 2000 goes on to depths that are not shared
    for algorithm, n in (("chang_roberts", 2000), ("franklin", 500), ("bully", 60), ("zookeeper_fle", 50)):
        ids = random.Random(3).sample(range(1, 10 * n), n)
        scenario = Scenario(algorithm=algorithm, ids=tuple(ids), seed=3, delta=0.001, horizon=horizon)
        rows = []
        for least in (crowd, n + 1):
            monkeypatch.setattr("bench.engines.calm.CROWD", least)
            rows.append(make_row(Simulate().run(scenario), scenario, "", 0, 0, "simulate"))
        assert rows[0] == rows[1]
        assert rows[0][0].stop == stop or n < 100


def test_another_seed_gives_another_trace() -> None:
    assert len(set(digests().values())) == len(digests())


def test_every_message_is_accounted_for_whatever_dies() -> None:
    rng, losing = random.Random(7), 0
    for trial in range(1000):
        n = rng.choice([2, 3, 5, 8, 16])
        fault = parse_fault(f"crash:random={rng.choice([1, 2])},within={rng.choice(['1ms', '5ms', '20ms'])}")
        scenario = Scenario(
            algorithm=SILENT[trial % len(SILENT)],
            ids=tuple(rng.sample(range(1, 100), n)),
            seed=trial,
            delta=0.001,
            horizon=10,
            initiators=rng.choice(["all", "one", "random:2"]),
            faults=(fault,),
        )
        row, _ = make_row(Simulate().run(scenario), scenario, "", 0, 0, "simulate")
        where = msgspec.json.encode(scenario).decode()
        assert (row.unaccounted, row.in_flight, row.violations) == (0, 0, 0), where
        spares = find_algorithm(scenario.algorithm).model.spares(n)
        assert row.stop == "quiescent", where
        lucky = not may_fail(find_algorithm(scenario.algorithm), row.verdict)
        assert row.verdict == ("elected" if row.faults_fired <= spares and lucky else "no_leader"), where
        losing += row.lost > 0
    assert losing > 100


def test_a_horizon_leaves_the_rest_in_flight() -> None:
    scenario = Scenario(algorithm="ring", ids=tuple(range(1, 9)), seed=1, delta=0.001, horizon=0.004)
    row, _ = make_row(Simulate().run(scenario), scenario, "", 0, 0, "simulate")
    assert (row.stop, row.verdict, row.unaccounted) == ("horizon", "unknown", 0)
    assert row.in_flight > 0


def test_late_answers_make_bully_elect_twice_outside_its_model() -> None:
    scenario = Scenario(
        algorithm="bully", ids=(1, 2, 3), seed=1, delta=0.001, horizon=10, latency="20ms", initiators="0"
    )
    row, _ = make_row(Simulate().run(scenario), scenario, "", 0, 0, "simulate")
    assert not row.within_model
    assert row.epochs > 1
    assert not row.is_broken


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("", 1, 10**6),
        ("0", 1, 1),
        ("5ms", 5e6, 5e6),
        ("uniform:1ms:9ms", 1e6, 9e6),
        ("exp:5ms", 1, 1e9),
        ("lognormal:5ms:0.5", 1, 1e9),
    ],
)
def test_latency_models_stay_in_their_range(text: str, low: float, high: float) -> None:
    sampler = make_sampler(text, 0.001, random.Random(1))
    drawn = [sampler() for _ in range(2000)]
    assert low <= min(drawn) <= max(drawn) <= high
    if text.startswith("exp"):
        assert sum(drawn) / len(drawn) == pytest.approx(5e6, rel=0.15)


def run_cli(out: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-m",
        "bench",
        "run",
        "-e",
        "simulate",
        "-a",
        "chang_roberts,randomized,bully",
        "-n",
        "4,9",
    ]
    command += ["-t", "8", "--no-report", "-o", str(out), *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)


def test_a_simulated_run_is_the_same_twice_and_can_be_resumed(tmp_path: Path) -> None:
    for name in ("one", "two"):
        done = run_cli(tmp_path / name / "run")
        assert done.returncode == 0, done.stderr
    one, two = ((tmp_path / name / "run" / "trials.csv").read_bytes() for name in ("one", "two"))
    assert one == two
    lines = one.splitlines(keepends=True)
    (tmp_path / "two" / "run" / "trials.csv").write_bytes(b"".join(lines[:20]))
    resume = [sys.executable, "-m", "bench", "run", "--resume", "--no-report", "-o", str(tmp_path / "two" / "run")]
    subprocess.run(resume, cwd=ROOT, check=True, capture_output=True, timeout=120)
    assert (tmp_path / "two" / "run" / "trials.csv").read_bytes() == one
    with (tmp_path / "one" / "run" / "trials.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["wall_s"] + row["cpu_s"] + row["max_rss_kb"] + row["ctx_switches"] for row in rows} == {""}


def test_bad_latency_gets_one_line(tmp_path: Path) -> None:
    for words in (("--latency", "soon"), ("--latency", "soon", "-e", "processes")):
        done = run_cli(tmp_path / "run", *words)
        assert done.returncode == 2
        assert done.stderr.startswith("election-bench: --latency: ")
        assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "run").exists()


def check_chang_roberts_mean(n: int, trials: int) -> None:
    """Chang-Roberts over random arrangements has mean nH + n and the variance of THEORY, within four sigma."""
    totals = []
    for trial in range(trials):
        ids = list(range(1, n + 1))
        random.Random(f"arrangement/{n}/{trial}").shuffle(ids)
        scenario = Scenario(algorithm="chang_roberts", ids=tuple(ids), seed=trial, delta=0.001, horizon=1e6)
        totals.append(sum(Simulate().run(scenario).sent.values()))
    harmonic, squares = sum(1 / k for k in range(1, n + 1)), sum(1 / k**2 for k in range(1, n + 1))
    variance = n * n * (2 - squares) - n * harmonic
    mean = sum(totals) / trials
    deviations = [(total - mean) ** 2 for total in totals]
    measured = sum(deviations) / (trials - 1)
    error = sqrt(sum((deviation - measured) ** 2 for deviation in deviations) / trials / trials)
    assert abs(mean - n * harmonic - n) <= 4 * sqrt(variance / trials)
    assert abs(measured - variance) <= 4 * error


def test_chang_roberts_over_random_arrangements() -> None:
    check_chang_roberts_mean(100, 400)


@pytest.mark.slow
def test_chang_roberts_over_2000_arrangements_of_1000() -> None:
    check_chang_roberts_mean(1000, 2000)


def test_a_leader_crash_is_simulated_with_one_epoch() -> None:
    for algorithm in SILENT:
        scenario = Scenario(
            algorithm=algorithm,
            ids=(4, 2, 7, 5),
            seed=1,
            delta=0.001,
            horizon=10,
            initiators="one" if algorithm == "paxos" else "all",  # proposers at once prepare one ballot each
            faults=(Fault("leader-crash"),),
        )
        row, _ = make_row(Simulate().run(scenario), scenario, "", 0, 0, "simulate")
        assert (row.verdict, row.epochs, row.faults_fired) == ("elected", 1, 1)
        assert row.term == 2 or algorithm in ("paxos", "invitation")  # whose terms are ballots, and groups
        assert row.leaderless_s > 0
