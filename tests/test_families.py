"""The families: what is counted equals the theorem, what breaks a promise is not stored, and both figures are drawn."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from algorithms import ALGORITHMS
from bench import families
from bench.engines.simulate import Simulate


@pytest.mark.parametrize("name", families.RINGS)
def test_counts_of_a_ring_lie_inside_the_bounds(name: str) -> None:
    bounds = ALGORITHMS[name].claims.all
    for scenario in families.make_scenarios(name, 16, 0.001):
        election = families.simulate_once(scenario)
        assert (election.n, election.verdict) == (16, "elected")
        for formula, least in ((bounds.best, True), (bounds.worst, False)):
            if formula.value is not None:
                limit = formula.value(16, 16)
                assert election.messages >= limit if least else election.messages <= limit


def test_what_breaks_its_promise_is_not_stored() -> None:
    [scenario, *_] = families.make_scenarios("ring", 4, 0.001)
    execution = Simulate().run(scenario)
    execution.received -= 1
    with pytest.raises(ValueError, match="ring, n=4, seed"):
        families.measure(execution, scenario)


def test_both_families_are_measured_and_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("FOLDER", tmp_path), ("SIZES", (4, 16)), ("REAL_SIZES", (4, 8)), ("TRIALS", 1)):
        monkeypatch.setattr(families, name, value)
    monkeypatch.setattr(families, "simulated", lambda: map(families.simulate_once, families.planned()))
    for what in ("simulate", "processes", "draw"):
        assert CliRunner().invoke(families.main, [what]).exit_code == 0
    assert len((tmp_path / "simulate.csv").read_text().splitlines()) == 1 + 2 * len(
        (*families.RINGS, *families.COMPLETE)
    )
    for figure in ("rings.svg", "rings.png", "complete.svg", "complete.png"):
        assert (tmp_path / figure).stat().st_size > 10_000
