"""Random scenarios whose counts the theorem fixes, and the comparison of a trial with it."""

import random
from collections.abc import Iterator

import msgspec

from algorithms import ALGORITHMS
from bench.complexity import check_trial
from bench.engines.processes import Processes
from bench.engines.simulate import Simulate
from bench.faults import Fault
from bench.scenario import Scenario

SIZES = (1, 2, 3, 4, 5, 8, 16, 33)
VARIANTS: dict[str, tuple[dict[str, str], ...]] = {
    "bully": ({}, {"coordinator": "lower"}, {"victory": "wait"}),
    "ring": ({},),
    "lamport": ({}, {"mode": "collect"}),
    "chang_roberts": ({}, {"variant": "relay"}),
    "randomized": ({}, {"range": "2"}, {"redraw": "all"}),
}


class Tally(msgspec.Struct):
    """How many trials equalled the theorem, and how many fell outside the model and were run again."""

    trials: int = 0
    outside: int = 0


def draw_scenarios(count: int, seed: int, sizes: tuple[int, ...] = SIZES) -> Iterator[Scenario]:
    """At least `count` scenarios, alike for all algorithms: ids, initiators, dead nodes and fault at random."""
    rng = random.Random(seed)
    for n in sizes:
        for _ in range(-(-count // (len(sizes) * len(ALGORITHMS)))):
            ids = list(range(1, n + 1))
            rng.shuffle(ids)
            if (order := rng.choice(["random", "ascending", "descending"])) != "random":
                ids.sort(reverse=order == "descending")
            strongest = sorted(range(n), key=lambda p: -ids[p])
            sets = [(), tuple(strongest[:1]), tuple(strongest[:2]), (rng.randrange(n),)]
            dead = tuple(sorted(rng.choice([chosen for chosen in sets if len(chosen) < n])))
            fault = rng.choice(["none", "leader-crash"]) if n - len(dead) > 1 else "none"
            initiators, trial_seed = rng.choice(["one", "all", f"random:{rng.randint(1, n)}"]), rng.randrange(1 << 40)
            for algorithm in ALGORITHMS:
                yield Scenario(
                    algorithm=algorithm,
                    parameters=rng.choice(VARIANTS[algorithm]),
                    ids=tuple(ids),
                    seed=trial_seed,
                    delta=0.05,
                    horizon=30,
                    initiators=initiators,
                    dead=dead,
                    fault=Fault(fault),
                )


def differences(engine: Processes | Simulate, scenario: Scenario, tally: Tally) -> list[str]:
    """How a trial differs from the theorem; counts the attempts."""
    attempt = check_trial(engine, scenario)
    tally.trials += attempt.attempts
    tally.outside += attempt.attempts - 1
    return attempt.wrong
