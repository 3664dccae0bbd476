"""Raft's own evaluation, measured again: how often votes split, and how long a crashed leader is missed.

    python -m bench.raft_paper split       votes against Ongaro's formula, in simulation
    python -m bench.raft_paper simulate    Figure 16 of the paper, in simulation
    python -m bench.raft_paper processes   the same on real processes, with the delays of its network
    python -m bench.raft_paper draw        tables and figures, from what is stored

Each writes its rows below `results/raft`, and `draw` reads them. Both experiments are of D. Ongaro, Consensus: Bridging
Theory and Practice, Stanford, 2014, chapter 9; the second is also Figure 16 of the paper.
"""

import csv
import math
import os
import sys
from collections.abc import Iterable, Iterator
from functools import partial
from multiprocessing import get_context
from multiprocessing.pool import Pool
from pathlib import Path
from typing import NamedTuple

import click

from bench.engines.processes import Processes
from bench.engines.simulate import Simulate
from bench.faults import parse_plan
from bench.observe import Execution
from bench.scenario import Scenario, trial_seed
from bench.sweep import prepare_worker

FOLDER = Path("results/raft")
SPLIT_TRIALS, TRIALS, REAL_TRIALS = 10_000, 1_000, 100
DELTA = 0.001  # seconds: timeouts are in milliseconds, then
RANGE = 100  # the shortest timeout of the first experiment, and how much longer the longest is
SHARES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4)  # of the range that a hop takes
CLUSTERS = ((5, 4), (5, 3), (9, 8), (9, 5))  # servers, and those that are left to elect

HOP, WRITE = "2.5ms", "10ms"  # one way, and to the disk: a broadcast takes 15 ms, as in the paper
JITTER = 0.3  # ms by which timeouts without any randomness differ here: clocks that are exact never break a tie
QUANTILES = (0, 0.1, 0.5, 0.9, 0.99, 1)
COLUMNS = ("min", "p10", "median", "p90", "p99", "max", "mean")
# ms from the crash to the next leader at QUANTILES and on average: Figure 16, read off its vectors in the dissertation
PUBLISHED = {
    (150, 150): (9866, 19972, 41111, 84949, 528086, 528086, 54562),
    (150, 151): (86.2, 434, 1199, 3133, 6013, 8232, 1537),
    (150, 155): (85.3, 119.2, 287.3, 609, 1242, 2143, 345),
    (150, 175): (84.4, 106.8, 141.1, 291, 467, 610, 163.8),
    (150, 200): (87.1, 110.5, 146.5, 193.5, 352, 512.5, 156.0),
    (150, 300): (92.7, 124.7, 171.3, 244.3, 415, 603, 180.7),
    (12, 24): (15.3, 19.7, 30.0, 53.0, 86.9, 151.7, 34.7),
    (25, 50): (24.0, 30.5, 43.0, 73.7, 118.9, 276.3, 47.9),
    (50, 100): (37.1, 47.5, 66.7, 95.8, 168.9, 253.3, 71.4),
    (100, 200): (65.7, 85.1, 120.1, 165.5, 277.1, 335.2, 125.4),
}


REASONS = """
Where they differ, and why:

* downtime / range: the formula leaves out the hop of the last heartbeat, after which timeouts begin to run; and it takes
  every term for as likely to split as the first, though after a split the servers do not begin at one moment any more.
* 150-150 and 150-151 ms: in simulation clocks are exact, and a hop takes 2.5 ms to the nanosecond, so chance comes from the
  timeouts alone. Without any a tie would never be broken; 150-150 is simulated with timeouts that differ by up to 0.3 ms,
  which was chosen to come near the published median: that curve is a fit, no prediction. On real processes the scheduler
  is late by chance, too, as in the paper's cluster: the median of 150-151 comes out as published, with a longer tail.
* 12-24 ms: with 10 ms to the disk and 5 ms there and back, votes arrive after the shortest timeout, and elections run into
  one another; the published times are shorter than any broadcast of 15 ms allows, so those disks were faster than that.
* all others: medians within 10 % of the published on both engines, and most a little above, as if broadcasts there took
  less than 15 ms.
"""


class Downtime(NamedTuple):
    """One crash of a leader: the seed of its trial, ms until the next leader (nothing if none came), terms it took."""

    seed: int
    ms: float | None
    terms: int


class Point(NamedTuple):
    """One point of the first experiment; times are in units of the range of timeouts.

    Attributes:
        n, survivors: servers, and those that are left when the leader has crashed.
        share: of the range that a hop takes.
        trials, split: how many, and in how many the first term brought no leader.
        downtime: mean time from the crash to the next leader.
    """

    n: int
    survivors: int
    share: float
    trials: int
    split: int
    downtime: float


def split_probability(n: int, survivors: int, share: float) -> float:
    """How likely votes split (section 9.2): that so many stand before they hear of the first that nobody has a majority.

    Parameters:
        n, survivors: servers, and those that are alive and draw their timeouts.
        share: what a hop takes of the range of timeouts.
    """
    least = survivors - n // 2
    chances = (math.comb(survivors, k) * share**k * (1 - share) ** (survivors - k) for k in range(least, survivors + 1))
    return sum(chances)


def expected_downtime(n: int, survivors: int, share: float) -> float:
    """Mean time until the next leader, in ranges, timeouts being one to two of them and heartbeats half of one apart."""
    wait = 1 + 1 / (survivors + 1) + share
    return wait / (1 - split_probability(n, survivors, share)) + share - 1 / 4


def make_scenario(
    n: int, dead: int, lowest: float, highest: float, behind: int, faults: str, latency: str, rep: int
) -> Scenario:
    """The crash of a leader among n servers of which `dead` never lived; timeouts in ms, `latency` in simulation."""
    parameters = {"timeout": f"{lowest:g}", "spread": f"{highest - lowest:g}", "behind": str(behind)}
    return Scenario(
        algorithm="raft",
        parameters=parameters,
        ids=tuple(range(1, n + 1)),
        dead=tuple(range(dead)),
        seed=trial_seed(1, n, rep),
        delta=DELTA,
        latency=latency,
        horizon=3600,
        faults=parse_plan(faults),
    )


def measure(execution: Execution, scenario: Scenario) -> Downtime:
    """How long the leader was missed: from its crash until another says that it leads."""
    reigns = execution.monitor.reigns
    later = [reign for reign in reigns if reign.begin > execution.began]
    if not later or not execution.fired:
        return Downtime(scenario.seed, None, 0)
    before = max(reign.key[0] for reign in reigns if reign.begin <= execution.began)
    return Downtime(scenario.seed, (later[0].begin - execution.began) / 1e6, later[0].key[0] - before)


# -- how often votes split -------------------------------------------------------------------------------------------


def crash_once(n: int, survivors: int, share: float, rep: int) -> Downtime:
    """One simulated crash of a leader where each hop takes its share of the range."""
    hop = f"{share * RANGE:g}ms"
    scenario = make_scenario(n, n - survivors - 1, RANGE, 2 * RANGE, 0, "leader-crash", hop, rep)
    return measure(Simulate().run(scenario), scenario)


def measure_point(n: int, survivors: int, share: float, downtimes: Iterable[Downtime]) -> Point:
    """What many crashes come to."""
    found = list(downtimes)
    times = [downtime.ms for downtime in found if downtime.ms is not None]
    split = sum(downtime.terms > 1 for downtime in found)
    return Point(n, survivors, share, len(found), split, sum(times) / len(times) / RANGE)


def run_split() -> None:
    """Measure all points of the first experiment."""
    with pool() as workers, (FOLDER / "split.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(Point._fields)
        for n, survivors in CLUSTERS:
            for share in SHARES:
                crash = partial(crash_once, n, survivors, share)
                point = measure_point(n, survivors, share, workers.imap(crash, range(SPLIT_TRIALS), 100))
                writer.writerow(point._replace(downtime=round(point.downtime, 5)))
                click.echo(
                    f"n={n}, {survivors} left, a hop {share:g} of the range: {point.split} of {point.trials} split"
                )


# -- how long a leader is missed -------------------------------------------------------------------------------------


def figure_scenario(curve: tuple[int, int], rep: int, real: bool) -> Scenario:
    """One trial of Figure 16: five servers, two of the lower ids with an older log, a disk that takes its time."""
    lowest, highest = curve
    wide = highest if highest > lowest else lowest + JITTER
    faults = f"leader-crash+write:{WRITE}" + (f"+delay:{HOP}" if real else "")
    return make_scenario(5, 0, lowest, wide, 2, faults, "" if real else HOP, rep)


def replace_leader(curve: tuple[int, int], rep: int) -> Downtime:
    """One simulated trial of Figure 16."""
    scenario = figure_scenario(curve, rep, real=False)
    return measure(Simulate().run(scenario), scenario)


def simulated() -> Iterator[tuple[tuple[int, int], Iterable[Downtime]]]:
    """All curves in simulation; a tenth of the trials where nothing is random, as in the paper."""
    with pool() as workers:
        for curve in PUBLISHED:
            trials = TRIALS // 10 if curve[0] == curve[1] else TRIALS
            yield curve, workers.imap(partial(replace_leader, curve), range(trials), 10)


def real() -> Iterator[tuple[tuple[int, int], Iterable[Downtime]]]:
    """The curves on real processes, but for the one that takes a minute a trial."""
    with Processes(("raft",)) as engine:
        for curve in PUBLISHED:
            if curve[0] < curve[1]:
                scenarios = (figure_scenario(curve, rep, real=True) for rep in range(REAL_TRIALS))
                yield curve, (measure(engine.run(scenario), scenario) for scenario in scenarios)


def run_curves(engine: str) -> None:
    """Measure the curves of Figure 16 on an engine."""
    with (FOLDER / f"figure16-{engine}.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["lowest", "highest", *Downtime._fields])
        for curve, downtimes in simulated() if engine == "simulate" else real():
            for downtime in downtimes:
                writer.writerow([*curve, *downtime._replace(ms=downtime.ms and round(downtime.ms, 3))])
                file.flush()
            click.echo(f"{curve[0]}-{curve[1]} ms on {engine}: done")


# -- what came of it -------------------------------------------------------------------------------------------------


def write_tables() -> str:
    """Both experiments beside what is published, as text in Markdown."""
    import pandas as pd
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console(width=160, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
    points = Table(
        "n", "left", "hop / range", "split, %", "formula, %", "downtime / range", "formula", box=box.MARKDOWN
    )
    for row in pd.read_csv(FOLDER / "split.csv").itertuples():
        point = Point(*row[1:])
        share, chance = point.split / point.trials, split_probability(*point[:3])
        error = 1.96 * math.sqrt(share * (1 - share) / point.trials)
        split = f"{share:.2%} ± {error:.2%}".replace("%", "")
        expected = expected_downtime(*point[:3])
        texts = (split, f"{chance:.2%}"[:-1], f"{point.downtime:.3f}", f"{expected:.3f}")
        points.add_row(str(point.n), str(point.survivors), f"{point.share:g}", *texts)
    console.print(points)
    curves = Table("timeouts, ms", "", *COLUMNS, "trials", box=box.MARKDOWN)
    measured = {path.stem.partition("-")[2]: pd.read_csv(path) for path in sorted(FOLDER.glob("figure16-*.csv"))}
    for (lowest, highest), published in PUBLISHED.items():
        curves.add_row(f"{lowest}-{highest}", "published", *(f"{value:g}" for value in published), "")
        for engine, rows in sorted(measured.items(), reverse=True):
            times = rows.loc[(rows.lowest == lowest) & (rows.highest == highest), "ms"]
            if len(times):
                values = [*times.quantile(QUANTILES), times.mean()]
                curves.add_row("", engine, *(f"{value:.1f}" for value in values), str(len(times)))
    console.print(curves)
    return "\n".join(line.strip() for line in console.export_text().splitlines()) + REASONS


def draw_split() -> None:
    """Split votes and downtime against what a hop takes of the range, beside the formulas."""
    import pandas as pd
    from matplotlib.figure import Figure

    from bench.plots import save_figure

    points = pd.read_csv(FOLDER / "split.csv")
    figure = Figure(figsize=(9, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for colour, (n, survivors) in zip(("#0072B2", "#E69F00", "#009E73", "#D55E00"), CLUSTERS, strict=True):
        mine = points[(points.n == n) & (points.survivors == survivors)]
        shares = [SHARES[0] * (SHARES[-1] / SHARES[0]) ** (k / 50) for k in range(51)]
        label = f"n = {n}, {survivors} left"
        left.plot(mine.share, 100 * mine.split / mine.trials, "o", color=colour, label=label)
        left.plot(shares, [100 * split_probability(n, survivors, share) for share in shares], color=colour)
        right.plot(mine.share, mine.downtime, "o", color=colour)
        right.plot(shares, [expected_downtime(n, survivors, share) for share in shares], color=colour)
    left.set(xscale="log", xlabel="one hop, as a share of the range of timeouts", ylabel="split votes, %")
    right.set(
        xscale="log", xlabel="one hop, as a share of the range of timeouts", ylabel="time without a leader / range"
    )
    left.legend(title="dots: measured; lines: Ongaro's formulas", frameon=False)
    figure.suptitle("Votes split as often as the formula says; where they often do, a leader comes sooner than it says")
    save_figure(figure, FOLDER / "split")


def draw_curves() -> None:
    """Figure 16: the share of crashes after which there was a leader again, against time."""
    import pandas as pd
    from matplotlib.figure import Figure

    from bench.plots import save_figure

    colours = ("#000000", "#CC79A7", "#D55E00", "#E69F00", "#009E73", "#0072B2")
    figure = Figure(figsize=(9, 8), layout="constrained")
    for axes, curves in zip(figure.subplots(2, 1), (list(PUBLISHED)[:6], list(PUBLISHED)[6:]), strict=True):
        for colour, curve in zip(colours, curves, strict=False):
            for engine, style in (("simulate", "-"), ("processes", ":")):
                path = FOLDER / f"figure16-{engine}.csv"
                rows = pd.read_csv(path) if path.exists() else pd.DataFrame(columns=["lowest", "highest", "ms"])
                times = rows.loc[(rows.lowest == curve[0]) & (rows.highest == curve[1]), "ms"].dropna()
                label = f"{curve[0]}-{curve[1]} ms" if engine == "simulate" else None
                if len(times):
                    axes.ecdf(times, linestyle=style, color=colour, label=label)
            axes.plot(PUBLISHED[curve][:6], QUANTILES, "o", color=colour, markersize=4)
        axes.set(xscale="log", ylabel="share of crashes", xlabel="time without a leader, ms")
        axes.legend(title="election timeouts", frameon=False, loc="lower right")
    figure.suptitle(
        "Raft, Figure 16: a little randomness is enough, and shorter timeouts help\n"
        "lines: simulation; dotted: real processes; dots: published (minimum, p10, median, p90, p99, maximum)"
    )
    save_figure(figure, FOLDER / "figure16")


def pool() -> Pool:
    """Workers that end with this process."""
    return get_context("spawn").Pool(os.cpu_count() or 1, prepare_worker, (os.getpid(), sys.path))


@click.command()
@click.argument("what", type=click.Choice(["split", "simulate", "processes", "draw"]))
def main(what: str) -> None:
    """Measure one experiment of Raft's evaluation, or draw them all."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    if what == "split":
        run_split()
    elif what == "draw":
        (FOLDER / "tables.md").write_text(write_tables())
        draw_split()
        draw_curves()
    else:
        run_curves(what)


if __name__ == "__main__":
    main()
