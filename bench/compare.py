"""Compare: two runs side by side; what changed, and what got worse.

Trials are paired that had the same algorithm, size, fault, seed and repetition: they met the same ids, initiators and
faults. Where the theorem fixes the counts, or both runs are the same simulation, the counts of each pair must be equal,
kind by kind. Everything else is compared cell by cell, as two samples: Mann and Whitney's U, with the p-values of each
measure corrected by Holm, and Hodges and Lehmann's estimate of how many times as much it is, with its 95 % interval.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import rich.box
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from rich.table import Table
from scipy import stats

from bench.analyse import Results, algorithm_label, fault_label, format_count, format_ms, load_results
from bench.plots import LOOK, algorithm_style
from bench.scenario import find_algorithm
from bench.settings import BadInput

CELL = ["algorithm", "parameters", "n", "fault", "dead"]
PAIR = [*CELL, "seed", "rep", "ids", "initiators", "turn"]
TIMES = {"latency_s": "latency, ms", "leaderless_s": "without a leader, ms"}
ALPHA = 0.01  # what chance may call a change, once in a hundred comparisons of two equal runs
TEST = "what is left to chance differs by Mann and Whitney's U, corrected by Holm"
LEAST = 5  # finished trials on either side below which two samples are not compared


@dataclass(frozen=True)
class Change:
    """One thing that was compared.

    Attributes:
        cell: algorithm, parameters, n, fault and dead positions.
        what: a kind of message, `messages`, a key of `TIMES`, `broken promises` or `two leaders`.
        before, after: means of exact counts, medians of samples, and numbers of trials of the others.
        verdict: same, worse, better, slower, faster, or changed (another count in the same simulation).
        ratio, low, high: after / before with its 95 % interval; NaN where there is none.
        p: corrected; NaN where nothing is left to chance.
        pairs: trials that differ and trials compared, of exact counts.
    """

    cell: tuple[Any, ...]
    what: str
    before: float
    after: float
    verdict: str
    ratio: float = float("nan")
    low: float = float("nan")
    high: float = float("nan")
    p: float = float("nan")
    pairs: tuple[int, int] = (0, 0)

    @property
    def fails(self) -> bool:
        """Whether the comparison fails for it: a count that grew, or a promise broken; never a time."""
        return self.verdict == "worse"


@dataclass(frozen=True)
class Comparison:
    """Two runs, compared: names, every change, and what to know about them."""

    before: str
    after: str
    changes: list[Change]
    notes: list[str]

    @property
    def fails(self) -> bool:
        """Whether anything got worse that must not."""
        return any(change.fails for change in self.changes)


def hodges_lehmann(before: "np.ndarray[Any, Any]", after: "np.ndarray[Any, Any]") -> tuple[float, float, float]:
    """How many times as much `after` is: the median ratio of all pairs, with its 95 % interval (Moses).

    The samples are positive; ratios, as times are spread in proportion.
    """
    ratios = np.sort((after[:, None] / before[None, :]).ravel())
    m, n = len(before), len(after)
    rank = int(m * n / 2 - stats.norm.ppf(0.975) * np.sqrt(m * n * (m + n + 1) / 12))
    rank = min(max(rank, 0), (m * n - 1) // 2)
    return float(np.median(ratios)), float(ratios[rank]), float(ratios[m * n - 1 - rank])


def correct(values: list[float]) -> list[float]:
    """The p-values, corrected by Holm for being so many (Scandinavian Journal of Statistics 6(2), 1979)."""
    order = np.argsort(values)
    scaled = [values[i] * (len(values) - rank) for rank, i in enumerate(order)]
    corrected = np.empty(len(values))
    corrected[order] = np.minimum(1, np.maximum.accumulate(scaled)) if values else []
    return [float(value) for value in corrected]


def _has_claims(algorithm: str) -> bool:
    """Whether a page says what each of its elections costs."""
    try:
        return hasattr(find_algorithm(algorithm), "claims")
    except ValueError:  # one's own that is not here
        return False


def _cells(trials: pd.DataFrame) -> set[tuple[Any, ...]]:
    """The cells that trials belong to."""
    return set(trials[CELL].itertuples(index=False, name=None))


def _numbered(results: Results) -> pd.DataFrame:
    """The trials, told apart also where two grids of a run hold the same one."""
    trials = results.trials.copy()
    trials["turn"] = trials.groupby(PAIR[:-1]).cumcount()
    return trials


def _same_simulation(before: Results, after: Results) -> bool:
    """Whether both are simulations, of links that are as fast."""
    settings = [results.manifest.get("settings", {}) for results in (before, after)]
    alike = all(settings[0].get(key) == settings[1].get(key) for key in ("latency", "delta", "initiators"))
    return before.engine == after.engine == "simulate" and alike


def compare_counts(before: Results, after: Results) -> tuple[list[Change], set[tuple[Any, ...]]]:
    """Messages by kind of the trials whose counts nothing but the page decides; and the cells in which all are so."""
    both = _numbered(before).merge(_numbered(after), on=PAIR, suffixes=("_a", "_b"))
    both = both[both["finished_a"] & both["finished_b"]]
    claimed = both["fault"].isin(["none", "leader-crash"]) & both["within_model_a"] & both["within_model_b"]
    claimed &= both["algorithm"].map({name: _has_claims(name) for name in set(both["algorithm"])}).astype(bool)
    exact = both[claimed | _same_simulation(before, after)]
    counts = [
        run.kinds[run.kinds["class"] != "detector"].pivot_table("count", "trial", "kind", "sum", fill_value=0)
        for run in (before, after)
    ]
    changes = []
    for cell, rows in exact.groupby(CELL, sort=False):
        sure = bool(claimed.loc[rows.index].all())
        theirs = [frame.reindex(rows[f"trial_{side}"]) for frame, side in zip(counts, "ab", strict=True)]
        sent = [list(frame.columns[frame.sum() > 0]) for frame in theirs]
        for kind in dict.fromkeys(sent[0] + sent[1]):
            old, new = (frame.get(kind, pd.Series(0, frame.index)).fillna(0).to_numpy() for frame in theirs)
            verdict = "same" if (old == new).all() else "worse" if (new > old).any() else "better"
            verdict = verdict if sure or verdict == "same" else "changed"
            differ = (int((old != new).sum()), len(rows))
            changes.append(Change(cell, kind, float(old.mean()), float(new.mean()), verdict, pairs=differ))
    return changes, _cells(exact[claimed.loc[exact.index]])


def compare_samples(before: Results, after: Results, column: str, without: set[tuple[Any, ...]]) -> list[Change]:
    """One measure, cell by cell, as two samples; cells of `without` are left out."""
    compared: list[tuple[Any, ...]] = []
    theirs = dict(iter(after.finished.groupby(CELL, sort=False)))
    for cell, rows in before.finished.groupby(CELL, sort=False):
        if cell not in theirs or cell in without:
            continue
        old, new = (frame[column].dropna().to_numpy(float) for frame in (rows, theirs[cell]))
        if min(len(old), len(new)) >= LEAST and min(old.min(), new.min()) > 0:
            p = 1.0 if np.ptp(np.concatenate([old, new])) == 0 else float(stats.mannwhitneyu(old, new).pvalue)
            compared.append((cell, old, new, p))
    changes, (more, less) = [], ("slower", "faster") if column in TIMES else ("worse", "better")
    for (cell, old, new, _), p in zip(compared, correct([p for *_, p in compared]), strict=True):
        ratio, low, high = hodges_lehmann(old, new)
        verdict = "same" if p >= ALPHA else more if ratio > 1 else less
        changes.append(Change(cell, column, float(np.median(old)), float(np.median(new)), verdict, ratio, low, high, p))
    return changes


def compare_safety(before: Results, after: Results) -> list[Change]:
    """Trials that broke a promise, and trials with two leaders of one election.

    A broken promise is never chance, so any larger share is worse. Outside of the model two leaders may be: there Fisher's
    exact test decides.
    """
    changes, theirs = [], dict(iter(after.trials.groupby(CELL, sort=False)))
    for cell, rows in before.trials.groupby(CELL, sort=False):
        if cell not in theirs:
            continue
        sizes = len(rows), len(theirs[cell])
        for what, column in (("broken promises", "broken"), ("two leaders", "violations")):
            old, new = (int((frame[column] > 0).sum()) for frame in (rows, theirs[cell]))
            shift = new / sizes[1] - old / sizes[0]
            p = float(stats.fisher_exact(np.array([[old, sizes[0] - old], [new, sizes[1] - new]])).pvalue)
            sure = shift != 0 and (column == "broken" or p < ALPHA)
            changes.append(Change(cell, what, old, new, "same" if not sure else "worse" if shift > 0 else "better"))
    return changes


def compare_runs(first: Path, second: Path) -> Comparison:
    """Compare two runs.

    Raises:
        BadInput: if one is no run of this schema, or they have no cell in common.
    """
    try:
        before, after = load_results(first), load_results(second)
    except ValueError as error:
        raise BadInput(str(error)) from None
    cells = [_cells(results.trials) for results in (before, after)]
    if not cells[0] & cells[1]:
        raise BadInput(f"{first.name} and {second.name} have no algorithm, size and fault in common")
    notes = [
        f"{len(cells[i] - cells[1 - i])} cells are in {name} only"
        for i, name in enumerate((first.name, second.name))
        if cells[i] - cells[1 - i]
    ]
    machines = [
        tuple(str(results.manifest.get("machine", {}).get(key)) for key in ("cpu", "cores", "release"))
        for results in (before, after)
    ]
    if machines[0] != machines[1] and before.engine != "simulate":
        notes.append(f"other machines: {', '.join(machines[0])}; {', '.join(machines[1])}")
    changes, exact = compare_counts(before, after)
    changes += compare_safety(before, after)
    if before.engine == after.engine:
        changes += compare_samples(before, after, "messages", exact)
        for column in TIMES:
            changes += compare_samples(before, after, column, set())
    else:
        notes.append(f"{before.engine} and {after.engine}: only exact counts and promises are compared")
    return Comparison(first.name, second.name, changes, notes)


# -- showing it ------------------------------------------------------------------------------------------------------

HEADINGS = ("algorithm", "n", "fault", "what", "before", "after", "after / before", "verdict")


def _row(change: Change) -> tuple[str, ...]:
    """A change as cells of the table."""
    algorithm, parameters, n, fault, dead = change.cell
    name = algorithm_label(algorithm) + (f" [{parameters}]" if parameters else "")
    told = fault_label(fault) + (f", dead {dead}" if dead else "")
    write = format_ms if change.what in TIMES else format_count
    if change.pairs[1]:
        ratio = f"{change.after / change.before - 1:+.1%} " if change.before else ""
        ratio += f"in {change.pairs[0]} of {change.pairs[1]} trials"
    elif np.isnan(change.ratio):
        ratio = ""
    else:
        ratio = f"{change.ratio:.2f} ({change.low:.2f} to {change.high:.2f}), p = {change.p:.2g}"
    verdict = change.verdict.upper() if change.fails else change.verdict
    what = TIMES.get(change.what, change.what)
    return (name, str(n), told, what, write(change.before), write(change.after), ratio, verdict)


def summarise(comparison: Comparison) -> list[str]:
    """What was compared, a line a measure, and what to know about the runs."""
    lines = []
    for words, names in (
        ("counts of a kind that must be equal", None),
        ("messages where the schedule decides", ("messages",)),
        *((label, (column,)) for column, label in TIMES.items()),
        ("promises", ("broken promises", "two leaders")),
    ):
        mine = [c for c in comparison.changes if (c.what in names if names else bool(c.pairs[1]))]
        if not mine:
            continue
        told = [
            f"{count} {verdict}"
            for verdict in ("worse", "better", "slower", "faster", "changed")
            if (count := sum(c.verdict == verdict for c in mine))
        ]
        ratios = [c.ratio for c in mine if not np.isnan(c.ratio)]
        measure = "long" if mine[0].what in TIMES else "much"
        whole = f", {np.exp(np.mean(np.log(ratios))):.2f} times as {measure} on the whole" if ratios else ""
        lines.append(f"{words}: {len(mine)} compared, {', '.join(told) or 'none differs'}{whole}")
    if any(not np.isnan(change.p) for change in comparison.changes):
        lines.append(f"{TEST}: p < {ALPHA}")
    return lines + comparison.notes


def changed_table(comparison: Comparison) -> Table:
    """What changed, for the terminal."""
    table = Table(*HEADINGS, box=rich.box.SIMPLE, title=f"{comparison.before} and {comparison.after}")
    for change in comparison.changes:
        if change.verdict != "same":
            table.add_row(*_row(change), style="bold red" if change.fails else "")
    return table


def write_markdown(comparison: Comparison) -> str:
    """What changed, for a pull request."""
    changed = [change for change in comparison.changes if change.verdict != "same"]
    lines = [
        f"### `{comparison.before}` and `{comparison.after}`: {'worse' if comparison.fails else 'nothing worse'}",
        "",
    ]
    if changed:
        rows = [HEADINGS, ("---",) * len(HEADINGS), *map(_row, changed)]
        lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows] + [""]
    return "\n".join([*lines, *(f"- {line}" for line in summarise(comparison))]) + "\n"


def plot_ratios_by_cell(comparison: Comparison) -> Figure:
    """How many times as long each cell takes in the second run: a panel a fault, a lane an algorithm and size."""
    changes = [change for change in comparison.changes if change.what in TIMES]
    faults = list(dict.fromkeys(change.cell[3] for change in changes)) or ["none"]
    lanes = list(dict.fromkeys((change.cell[0], change.cell[1], change.cell[2]) for change in changes))
    lanes.sort(key=lambda lane: [c.cell[:2] for c in changes].index(lane[:2]))
    with mpl.rc_context(LOOK):
        figure = Figure(figsize=(2.6 + 3.2 * len(faults), 1.7 + 0.2 * len(lanes)), layout="constrained")
        panels = figure.subplots(1, len(faults), sharey=True, sharex=True, squeeze=False)[0]
        for axis, fault in zip(panels, faults, strict=True):
            axis.axvline(1, color="#555555", linewidth=0.8)
            for change in changes:
                if change.cell[3] != fault:
                    continue
                first = change.what == "latency_s"
                y = lanes.index(change.cell[:3]) + (-0.15 if first else 0.15)
                colour, clear = algorithm_style(change.cell[0])[0], change.verdict != "same"
                axis.plot([change.low, change.high], [y, y], color=colour, linewidth=1)
                look: Any = {"color": colour, "markersize": 4, "markerfacecolor": colour if clear else "white"}
                axis.plot([change.ratio], [y], marker="o" if first else "D", **look)
            axis.set_title(fault_label(fault))
            axis.set_xscale("log")
            axis.grid(axis="y", visible=False)
            most = max([1.25, *(max(c.high, 1 / c.low) for c in changes)]) * 1.05
            axis.set_xlim(1 / most, most)
            steps = (0.8, 1, 1.25) if most < 2 else (0.1, 0.2, 0.5, 1, 2, 5, 10)
            ticks = [tick for tick in steps if 1 / most <= tick <= most]
            axis.set_xlabel(f"{comparison.after} / {comparison.before} (above 1: longer)")
            axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
            axis.minorticks_off()
        names = [f"{algorithm_label(a)}{f' [{p}]' if p else ''}, n = {n}" for a, p, n in lanes]
        panels[0].set_yticks(range(len(lanes)), names)
        panels[0].set_ylim(len(lanes) - 0.4, -0.6)
        figure.suptitle("How many times as long it takes, with 95 % interval", x=0.01, ha="left", weight="bold")
        handles = [
            Line2D([], [], marker="o", color="#555555", label="latency"),
            Line2D([], [], marker="D", color="#555555", label="without a leader"),
            Line2D([], [], marker="o", color="#555555", markerfacecolor="white", label="may be chance"),
        ]
        figure.legend(handles=handles, loc="outside lower left", ncols=3, frameon=False)
    return figure
