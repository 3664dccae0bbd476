"""Counts on real processes equal the theorem: every kind, every trial, and the causal depth on rings."""

import msgspec
import pytest

from bench.engines.processes import Processes
from bench.scenario import Scenario
from tests.exactness import Tally, differences, draw_scenarios


def check_all(engine: Processes, count: int, seed: int) -> Tally:
    tally = Tally()
    for scenario in draw_scenarios(count, seed):
        wrong = differences(engine, scenario, tally)
        assert not wrong, f"{'; '.join(wrong)} in {msgspec.json.encode(scenario).decode()}"
    return tally


def test_counts_equal_the_theorem(engine: Processes) -> None:
    tally = check_all(engine, 600, seed=1)
    assert tally.trials >= 600


@pytest.mark.slow
def test_ten_thousand_counts_equal_the_theorem(engine: Processes, capsys: pytest.CaptureFixture[str]) -> None:
    tally = check_all(engine, 10_000, seed=2)
    with capsys.disabled():
        print(f"\n{tally.trials} trials, {tally.outside} outside the model and run again")
    assert tally.trials >= 10_000


def test_one_message_too_many_is_seen(engine: Processes) -> None:
    scenario = Scenario(algorithm="tests.nodes:Doubled", ids=(3, 1, 2), seed=1, delta=0.05, horizon=10)
    assert any(line.startswith("Election: ") for line in differences(engine, scenario, Tally()))
