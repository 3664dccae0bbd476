"""Random scenarios whose counts the theorem fixes, and the comparison of a trial with it."""

from collections.abc import Iterator

import msgspec

from bench import conformance
from bench.complexity import check_trial
from bench.engines.processes import Processes
from bench.engines.simulate import Simulate
from bench.scenario import Scenario
from tests.conftest import SILENT

SIZES = (1, 2, 3, 4, 5, 8, 16, 33)


class Tally(msgspec.Struct):
    """How many trials equalled the theorem, and how many fell outside the model and were run again."""

    trials: int = 0
    outside: int = 0


def draw_scenarios(
    count: int, seed: int, sizes: tuple[int, ...] = SIZES, names: tuple[str, ...] = SILENT
) -> Iterator[Scenario]:
    """At least `count` scenarios over `names`, size by size: ids, initiators, dead nodes and fault at random."""
    each = -(-count // len(names))
    for alike in zip(
        *(conformance.draw_scenarios(name, each, seed, "processes", sizes) for name in names), strict=True
    ):
        yield from alike


def differences(engine: Processes | Simulate, scenario: Scenario, tally: Tally) -> list[str]:
    """How a trial differs from the theorem; counts the attempts."""
    attempt = check_trial(engine, scenario)
    tally.trials += attempt.attempts
    tally.outside += attempt.attempts - 1
    return attempt.wrong
