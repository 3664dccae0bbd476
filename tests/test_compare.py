"""Compare: nothing is found between equal runs, and everything that is planted between two."""

import csv
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from scipy import stats

from bench.cli import cli
from bench.compare import compare_runs, correct, hodges_lehmann, plot_ratios_by_cell
from bench.settings import BadInput
from bench.trial import SCHEMA
from tests.test_cli import bench

LOSSY = "leader-crash+loss:0.05"  # whose counts the schedule decides
Row = dict[str, str]


def simulate(folder: Path, *words: str) -> Path:
    grid = ("-a", "bully,randomized", "-n", "3,5", "-t", "8", "-e", "simulate", "-f", f"none,{LOSSY}")
    bench("run", *grid, *words, "--no-report", "-o", str(folder))
    return folder


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return simulate(tmp_path_factory.mktemp("compare") / "first")


@pytest.fixture(scope="module")
def other_seed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return simulate(tmp_path_factory.mktemp("compare") / "other", "-s", "2")


@pytest.fixture
def second(first: Path, tmp_path: Path) -> Path:
    """A copy of the first run, to be changed."""
    return Path(shutil.copytree(first, tmp_path / "second"))


def change(folder: Path, name: str, edit: Callable[[Row], object]) -> None:
    with (folder / name).open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        edit(row)
    with (folder / name).open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def add(column: str, more: int, **where: str) -> Callable[[Row], object]:
    """Add to a column where others have these values."""

    def edit(row: Row) -> None:
        if all(row[key] == value for key, value in where.items()):
            row[column] = str(int(row[column]) + more)

    return edit


def compare(first: Path, second: Path, *words: str) -> Result:
    return CliRunner().invoke(cli, ["compare", str(first), str(second), *words])


def found(first: Path, second: Path) -> list[tuple[str, str, int, str]]:
    """What changed: what, algorithm, n and verdict."""
    changes = compare_runs(first, second).changes
    return [(it.what, it.cell[0], it.cell[2], it.verdict) for it in changes if it.verdict != "same"]


def test_a_run_equals_itself(first: Path) -> None:
    said = compare(first, first)
    assert said.exit_code == 0
    assert said.stdout.splitlines()[0].endswith("compared, none differs")
    assert "1.00 times as long on the whole" in said.stdout
    assert said.stdout.splitlines()[-1].endswith("by Mann and Whitney's U, corrected by Holm: p < 0.01")
    whats = {it.what for it in compare_runs(first, first).changes}
    assert whats >= {"Election", "Ok", "Coordinator", "messages", "latency_s", "leaderless_s", "broken promises"}


def test_runs_of_other_seeds_do_not_differ(first: Path, other_seed: Path) -> None:
    assert found(first, other_seed) == []
    exact = [it for it in compare_runs(first, other_seed).changes if it.pairs[1]]
    assert exact == [], "other seeds are other ids: nothing can be paired"


@pytest.mark.parametrize(("more", "verdict", "code"), [(1, "worse", 1), (-1, "better", 0)])
def test_one_message_of_one_trial_is_seen(first: Path, second: Path, more: int, verdict: str, code: int) -> None:
    change(second, "kinds.csv", add("count", more, trial="0", kind="Election"))
    assert found(first, second) == [("Election", "bully", 3, verdict)]
    said = compare(first, second)
    assert said.exit_code == code
    assert "in 1 of 8 trials" in said.stdout


def test_what_the_schedule_decides_is_changed_and_no_error(first: Path, second: Path) -> None:
    with (first / "trials.csv").open(newline="") as file:
        trial = next(
            row["trial"] for row in csv.DictReader(file) if row["fault"] == LOSSY and row["verdict"] == "elected"
        )
    change(second, "kinds.csv", lambda row: row["trial"] == trial and row.update(count=str(int(row["count"]) + 1)))
    assert {verdict for *_, verdict in found(first, second)} == {"changed"}
    assert compare(first, second).exit_code == 0


def test_more_messages_of_a_sample_are_worse(first: Path, second: Path) -> None:
    change(second, "trials.csv", add("messages", 100, fault=LOSSY, algorithm="randomized", n="5"))
    assert found(first, second) == [("messages", "randomized", 5, "worse")]
    assert compare(first, second).exit_code == 1


def test_times_are_told_and_no_error(first: Path, second: Path) -> None:
    def slow(row: Row) -> None:
        if row["algorithm"] == "randomized" and row["fault"] == "none" and row["elect_s"]:
            row["elect_s"] = str(float(row["elect_s"]) * 3 + float(row["agree_s"]) * 2)

    change(second, "trials.csv", slow)
    assert found(first, second) == [("latency_s", "randomized", 3, "slower"), ("latency_s", "randomized", 5, "slower")]
    changed = [it for it in compare_runs(first, second).changes if it.verdict == "slower"]
    assert all(it.low < 3 < it.high and it.p < 0.01 for it in changed)
    assert compare(first, second).exit_code == 0
    assert {verdict for *_, verdict in found(second, first)} == {"faster"}


def test_a_broken_promise_is_worse(first: Path, second: Path) -> None:
    change(second, "trials.csv", lambda row: row["trial"] == "7" and row.update(verdict="split"))
    ((what, _, _, verdict),) = found(first, second)
    assert (what, verdict) == ("broken promises", "worse")
    assert compare(first, second).exit_code == 1
    assert compare(second, first).exit_code == 0


def test_two_leaders_outside_the_model_may_be_chance(first: Path, second: Path) -> None:
    change(second, "trials.csv", add("violations", 1, fault=LOSSY, algorithm="bully", n="3", rep="0"))
    assert found(first, second) == []
    change(second, "trials.csv", add("violations", 1, fault=LOSSY, algorithm="bully", n="3"))
    assert found(first, second) == [("two leaders", "bully", 3, "worse")]
    assert compare(first, second).exit_code == 1


def test_markdown_is_a_table_and_the_figure_is_drawn(first: Path, second: Path, tmp_path: Path) -> None:
    change(second, "kinds.csv", add("count", 1, trial="0", kind="Election"))
    said = compare(first, second, "--markdown", "-o", str(tmp_path / "times.svg"))
    lines = said.stdout.splitlines()
    assert lines[0] == "### `first` and `second`: worse"
    table = [line for line in lines if line.startswith("|")]
    assert len(table) == 3
    assert {line.count("|") for line in table} == {9}
    assert "| Bully | 3 | cold start | Election |" in table[2]
    assert table[2].endswith("| WORSE |")
    assert (tmp_path / "times.svg").read_bytes().startswith(b"<?xml")
    assert len(plot_ratios_by_cell(compare_runs(first, second)).axes) == 2


def test_bad_input_is_said_in_one_line(first: Path, second: Path, tmp_path: Path) -> None:
    for folder, said in ((tmp_path / "nowhere", "is no run"), (second, "has schema 1; this version reads")):
        if folder == second:
            manifest = (second / "manifest.json").read_text()
            (second / "manifest.json").write_text(manifest.replace(f'"schema": {SCHEMA}', '"schema": 1'))
        for pair in ((first, folder), (folder, first)):
            error = compare(*pair).exception
            assert isinstance(error, BadInput)
            assert said in str(error)
            assert "\n" not in str(error)
    error = compare(first, first, "-o", "x.pdf").exception
    assert isinstance(error, BadInput)
    assert "x.pdf" in str(error)
    bench("compare", str(first), str(tmp_path / "nowhere"), code=2)


def test_runs_with_nothing_in_common_are_refused(first: Path, second: Path) -> None:
    change(second, "trials.csv", lambda row: row.update(algorithm="ring"))
    with pytest.raises(BadInput, match="no algorithm, size and fault in common"):
        compare_runs(first, second)


def test_the_correction_is_holms() -> None:
    assert correct([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert correct([]) == []


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    inside = 0
    for _ in range(400):
        ratio, low, high = hodges_lehmann(rng.lognormal(size=20), 2 * rng.lognormal(size=20))
        assert low <= ratio <= high
        inside += low <= 2 <= high
    assert stats.binomtest(inside, 400, 0.95).pvalue > 0.001
    assert hodges_lehmann(np.ones(5), 3 * np.ones(5)) == (3, 3, 3)
