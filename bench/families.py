"""Families: what elections of one family cost as they grow, from n squared down to what theory allows.

    python -m bench.families simulate     rings of 4 to 65,536 nodes and complete graphs, in simulation
    python -m bench.families processes    the same on real processes, up to 512
    python -m bench.families draw         the figures, from what is stored

Each writes its rows below `results/families`, and `draw` reads them. All nodes start, ids are in random order.
"""

import csv
import math
import os
import sys
from collections.abc import Iterator
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from algorithms import ALGORITHMS
from bench.engines.processes import Processes
from bench.engines.simulate import Simulate
from bench.observe import Execution, make_row
from bench.scenario import Scenario, choose_ids, find_algorithm, trial_seed
from bench.sweep import prepare_worker

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FOLDER = Path("results/families")
RINGS = (
    *("ring", "lelann", "chang_roberts", "hirschberg_sinclair", "franklin", "dolev_klawe_rodeh", "peterson"),
    *("higham_przytycka", "itai_rodeh"),
)
COMPLETE = ("bully", "lamport", "randomized", "afek_gafni", "sublinear")
SIZES = (4, 16, 64, 256, 1024, 4096, 16384, 65536)
REAL_SIZES = (4, 8, 16, 32, 64, 128, 256, 512)
MOST_MESSAGES = 5_000_000  # of one election: whose theory says more is not run at that size
CONSTANTS = {
    "8: Hirschberg–Sinclair, worst": 8.0,
    "2: Franklin, Dolev–Klawe–Rodeh, worst": 2.0,
    "1.44: Peterson, worst": 1.44,
    "1.271: Higham–Przytycka, worst": 1.271,
}  # of n lg n, in the papers of the pages
REAL = "the same on real processes"
TRIALS, ENOUGH = 20, 1_000_000  # elections of one size, and messages after which one more is not begun
SLOWEST = 2e-5  # seconds a message, on real processes, if all are sent at once: four times what two cores take


class Election(NamedTuple):
    """One election: who, how large, from which seed, and what it cost."""

    algorithm: str
    n: int
    seed: int
    messages: int
    bytes: int
    depth: int
    verdict: str


def expected(algorithm: str, n: int) -> float:
    """Messages that are to be expected, or could be: the declared mean, else the worst case."""
    bounds = ALGORITHMS[algorithm].claims.all
    values = [formula.value(n, n) for formula in (bounds.mean, bounds.worst) if formula.value is not None]
    return next(filter(math.isfinite, values), lg(n))


def make_scenarios(algorithm: str, n: int, delta: float) -> Iterator[Scenario]:
    """As many elections of one size as are run, from seeds that depend on the size alone."""
    for rep in range(max(1, min(TRIALS, round(ENOUGH / expected(algorithm, n))))):
        seed = trial_seed(1, n, rep)
        ids, _ = choose_ids("random", find_algorithm(algorithm), n, seed)
        yield Scenario(algorithm=algorithm, ids=ids, seed=seed, delta=delta, horizon=3600 * max(1, n * delta))


def measure(execution: Execution, scenario: Scenario) -> Election:
    """What one election cost.

    Raises:
        ValueError: if it broke what its page promises.
    """
    row, _ = make_row(execution, scenario, "", 0, 0, "")
    if row.is_broken or row.unaccounted:
        raise ValueError(f"{row.algorithm}, n={row.n}, seed {row.seed}: {row.verdict}, {row.violations} violations")
    return Election(row.algorithm, row.n, row.seed, row.messages, row.bytes, row.causal_depth, row.verdict)


def simulate_once(scenario: Scenario) -> Election:
    """One election in simulation."""
    return measure(Simulate().run(scenario), scenario)


def planned() -> Iterator[Scenario]:
    """Every election that is simulated, those of one size after another."""
    for n in SIZES:
        for name in (*RINGS, *COMPLETE):
            if expected(name, n) <= MOST_MESSAGES:
                yield from make_scenarios(name, n, 0.001)


def simulated() -> Iterator[Election]:
    """Every election in simulation, on all cores."""
    with get_context("spawn").Pool(os.cpu_count() or 1, prepare_worker, (os.getpid(), sys.path)) as workers:
        yield from workers.imap(simulate_once, planned())


def real() -> Iterator[Election]:
    """Every election on real processes, size by size, so that a cluster serves all of one size."""
    with Processes((*RINGS, *COMPLETE)) as engine:
        for n in REAL_SIZES:
            for name in (*RINGS, *COMPLETE):
                for scenario in make_scenarios(name, n, max(0.05, SLOWEST * expected(name, n))):
                    yield measure(engine.run(scenario), scenario)


def run(engine: str) -> None:
    """Measure all on an engine and store it, election by election."""
    with (FOLDER / f"{engine}.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(Election._fields)
        last = None
        for election in simulated() if engine == "simulate" else real():
            writer.writerow(election)
            file.flush()
            if last not in (None, election[:2]):
                click.echo("{}, n={}: done".format(*last))
            last = election[:2]


def lg(n: int) -> float:
    """n log n, to base 2: what constants are multiples of."""
    return n * math.log2(n)


def draw_family(names: tuple[str, ...], title: str, guides: dict[str, list[float]]) -> "Figure":
    """Messages against n of one family, and the same over n log n, where constants can be told apart.

    Parameters:
        names: the family.
        title: what is to be seen.
        guides: lines of theory, by what they say: values at `SIZES`.
    """
    import matplotlib as mpl
    import pandas as pd
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    from bench.analyse import algorithm_label
    from bench.plots import LOOK, algorithm_style

    rows = {path.stem: pd.read_csv(path) for path in sorted(FOLDER.glob("*.csv"), reverse=True)}
    legend: dict[str, Any] = {}
    with mpl.rc_context(LOOK):
        figure = Figure(figsize=(11, 6.4), layout="constrained")
        left, right = figure.subplots(1, 2)
        for engine, elections in rows.items():
            for name in [name for name in names if name in set(elections["algorithm"])]:
                means = elections[elections["algorithm"] == name].groupby("n")["messages"].mean()
                sizes, counts = [int(n) for n in means.index], [float(count) for count in means]
                colour, marker, line = algorithm_style(name)
                look: dict[str, Any] = {"color": colour, "marker": marker, "linestyle": line, "markersize": 5}
                if engine == "processes":  # rings round the same points
                    look |= {"marker": "o", "linestyle": "none", "markersize": 10, "markerfacecolor": "none"}
                (drawn,) = left.plot(sizes, counts, **look)
                right.plot(sizes, [count / lg(n) for n, count in zip(sizes, counts, strict=True)], **look)
                if engine == "simulate":
                    legend[algorithm_label(name)] = drawn
                else:
                    legend[REAL] = Line2D([], [], **look | {"color": "#555555"})
        grey: dict[str, Any] = {"color": "#555555", "linewidth": 0.9, "linestyle": (0, (4, 3)), "zorder": 1}
        small: dict[str, Any] = {"color": "#555555", "size": 8}
        largest = SIZES[-1]
        for text, values in guides.items():
            left.plot(SIZES, values, **grey)
            right.plot(SIZES, [value / lg(n) for n, value in zip(SIZES, values, strict=True)], **grey)
            beside = {"1.44": "bottom", "1.27": "top"}.get(text[:4], "center")  # two lines that are close
            right.text(largest * 1.3, values[-1] / lg(largest), text, va=beside, **small)
        for axes, ylabel in ((left, "messages of one election"), (right, "messages / (n lg n)")):
            axes.set(xscale="log", yscale="log", xlabel="nodes n", ylabel=ylabel)
            axes.set_xticks(SIZES, [f"{n:,}" for n in SIZES], rotation=30)
            axes.minorticks_off()
        figure.suptitle(title, x=0.01, ha="left", weight="bold")
        figure.legend(
            list(legend.values()), list(legend), loc="outside lower left", ncols=5, handlelength=3, frameon=False
        )
    return figure


@click.command()
@click.argument("what", type=click.Choice(["simulate", "processes", "draw"]))
def main(what: str) -> None:
    """Measure the families on an engine, or draw them."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    if what != "draw":
        run(what)
        return
    from bench.plots import save_figure

    square = {"n²": [float(n * n) for n in SIZES]}
    rings = square | {text: [constant * lg(n) for n in SIZES] for text, constant in CONSTANTS.items()}
    rings["n·Hₙ: one way, mean, at least"] = [n * sum(1 / k for k in range(1, n + 1)) for n in SIZES]
    save_figure(
        draw_family(RINGS, "Elections on a ring: all nodes start, ids in random order", rings), FOLDER / "rings"
    )
    roots = {"n lg n": [lg(n) for n in SIZES], "8√n·ln¹·⁵n": [8 * math.sqrt(n) * math.log(n) ** 1.5 for n in SIZES]}
    title = "Elections on a complete graph: all nodes start"
    save_figure(draw_family(COMPLETE, title, square | roots), FOLDER / "complete")


if __name__ == "__main__":
    main()
