"""Ten planted errors a page: every one is caught, by the smallest check that can."""

from collections import Counter
from pathlib import Path

import pytest

from algorithms import ALGORITHMS
from bench.conformance import Nonconforming, WatchedSimulate, checks
from tests.mutants import MUTANTS, Mutant, plant

NEEDS_PROCESSES = "parity"
SLOW = ("invitation-late-answers-are-lost",)  # half a minute


def catching(algorithm: str, only: str = "") -> set[str]:
    """Names of the checks that fail in simulation, of all or of `only` one."""
    found = set()
    for check in checks(algorithm, WatchedSimulate()):
        if check.run is None or check.name == NEEDS_PROCESSES or only not in ("", check.name):
            continue
        try:
            check.run()
        except Nonconforming:
            found.add(check.name)
    return found


def test_there_are_ten_for_each_page() -> None:
    assert set(Counter(mutant.page for mutant in MUTANTS).values()) == {10}
    assert len({(mutant.page, mutant.error) for mutant in MUTANTS}) == len(MUTANTS) == 10 * len(ALGORITHMS)


def name(mutant: Mutant) -> str:
    return f"{mutant.page.split('.')[1]}-{mutant.error.replace(' ', '-')}"


@pytest.mark.parametrize(
    "mutant",
    [pytest.param(it, id=name(it), marks=[pytest.mark.slow] if name(it) in SLOW else []) for it in MUTANTS],
)
def test_a_mutant_is_caught(mutant: Mutant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    planted = plant(tmp_path, mutant.page, mutant.old, mutant.new)
    assert catching(planted, mutant.caught_by) == {mutant.caught_by}


@pytest.mark.slow
@pytest.mark.parametrize("mutant", MUTANTS, ids=name)
def test_what_else_catches_a_mutant(
    mutant: Mutant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    caught = catching(plant(tmp_path, mutant.page, mutant.old, mutant.new))
    with capsys.disabled():
        print(f"\n{name(mutant)}: {', '.join(sorted(caught))}")
    assert mutant.caught_by in caught
    assert not caught & {"imports", "knowledge"}  # it is wrong in what it does, not in how it is written
