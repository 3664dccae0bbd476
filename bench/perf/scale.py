"""Scale: how time and memory grow with nodes, messages and trials, and what puts an end to it.

python -m bench.perf.scale            about four minutes, to results/scale.csv, .md and .svg
python -m bench.perf.scale ring       what is named only; the other rows stay as they were
"""

import csv
import sys
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator
from contextlib import suppress
from operator import itemgetter
from pathlib import Path
from statistics import fmean
from textwrap import wrap

import msgspec
import psutil

from bench.calibrate import BURST, HORIZON, MOST_NODES, Limits, check_limits, measure_delta, read_limits
from bench.engines.processes import LARGE, Processes
from bench.faults import parse_plan
from bench.observe import make_row
from bench.perf import peers
from bench.scenario import Scenario, choose_ids, find_algorithm

CLASSICS = ("bully", "ring", "lamport", "chang_roberts", "randomized")
COMPLETE = (8, 64, 256, 1000)
RINGS = (8, 64, 256, 1024, 4096)
SIMULATED = (1_000, 10_000, 100_000, 1_000_000)
SWEPT = ((8, (1, 10, 100, 1000)), (16, (20,)), (32, (20,)), (64, (20,)))  # nodes, and numbers of trials


class Point(msgspec.Struct, frozen=True):
    """One measurement.

    Attributes:
        what: the series: ring, complete, simulated or sweep.
        algorithm, n, trials: what ran, on how many nodes, how often.
        messages: of the election, of all trials together.
        start_s: until all nodes have passed the barrier; 0 in a simulation.
        run_s: all trials, from reset to quiescence.
        memory_mb: of all nodes, once they have run; in a simulation the most that the process had.
    """

    what: str
    algorithm: str
    n: int
    trials: int
    messages: int
    start_s: float
    run_s: float
    memory_mb: float


def run(
    engine: Processes, algorithm: str, n: int, fault: str = "none", initiators: str = "all", delta: float = 60.0
) -> tuple[int, float]:
    """One trial: its messages and seconds. Bully waits for the crashed leader for twice `delta`, in seconds.

    Raises:
        AssertionError: if it does not elect, or a message is not accounted for.
    """
    ids, _ = choose_ids("random", find_algorithm(algorithm), n, 1)
    faults = parse_plan(fault)
    scenario = Scenario(
        algorithm=algorithm, ids=ids, seed=1, delta=delta, horizon=10 * HORIZON, faults=faults, initiators=initiators
    )
    row, _ = make_row(engine.run(scenario), scenario, "scale", 0, 0, engine.name)
    assert (row.verdict, row.unaccounted, row.in_flight, row.violations) == ("elected", 0, 0, 0), row
    return row.messages, row.wall_s or 0.0


def measure_nodes(engine: Processes) -> float:
    """MB that the nodes of the open cluster hold, each alone (USS), by 64 of them, evenly spread, that live."""
    assert engine.opened is not None
    pids, sizes = engine.opened.pids, []
    for pid in pids[:: -(-len(pids) // 64)]:
        with suppress(psutil.NoSuchProcess):  # it was the leader
            sizes.append(psutil.Process(pid).memory_full_info().uss)
    return fmean(sizes) * len(pids) / 1e6


def largest_ring() -> int:
    """The most nodes that this machine holds now, with a tenth of its memory left to whoever else wants some."""
    limits = read_limits()  # and what is reserved for event logs, of which a ring writes little
    return most_nodes(msgspec.structs.replace(limits, memory=0.9 * limits.memory))


def most_nodes(limits: Limits) -> int:
    """The most nodes that `limits` allow."""

    def is_refused(n: int) -> bool:
        try:
            check_limits(n, limits)
        except ValueError:
            return True
        return False

    return bisect_left(range(1, MOST_NODES + 2), True, key=is_refused)


def rings() -> Iterator[Point]:
    """Chang-Roberts on rings, up to the largest that this machine holds."""
    with Processes(("chang_roberts",)) as engine:
        for n in (*RINGS, largest_ring()):
            start = engine.open(n, ring=n > LARGE).seconds
            messages, seconds = run(engine, "chang_roberts", n)
            yield Point("ring", "chang_roberts", n, 1, messages, start, seconds, measure_nodes(engine))


def graphs() -> Iterator[Point]:
    """The classics on complete graphs: the leader crashes, and one node notices; patience is measured, as in a run."""
    with Processes((*CLASSICS, BURST)) as engine:
        deltas = measure_delta(engine, COMPLETE)
        for n in COMPLETE:
            start = engine.open(n).seconds
            for algorithm in CLASSICS:
                began = time.monotonic()
                messages, _ = run(engine, algorithm, n, "leader-crash", "one", deltas[n].delta_s)
                seconds = time.monotonic() - began
                yield Point("complete", algorithm, n, 1, messages, start, seconds, measure_nodes(engine))


def simulations() -> Iterator[Point]:
    """Chang-Roberts in virtual time."""
    for n in SIMULATED:
        sent, seconds, peak = map(float, peers.ask(sys.executable, "-m", "bench.perf.simulators", str(n)).split())
        yield Point("simulated", "chang_roberts", n, 1, int(sent), 0.0, seconds, peak / 1e6)


def sweeps() -> Iterator[Point]:
    """How the time of a sweep grows with trials, nodes and messages: cold starts, on one cluster a size."""
    with Processes(CLASSICS) as engine:
        for n, counts in SWEPT:
            start = engine.open(n).seconds
            for algorithm in CLASSICS:
                run(engine, algorithm, n)
                for trials in counts:
                    began = time.monotonic()
                    messages = sum(run(engine, algorithm, n)[0] for _ in range(trials))
                    seconds = time.monotonic() - began
                    yield Point("sweep", algorithm, n, trials, messages, start, seconds, measure_nodes(engine))


SERIES: dict[str, Callable[[], Iterator[Point]]] = {
    "ring": rings,
    "complete": graphs,
    "simulated": simulations,
    "sweep": sweeps,
}


def ceilings() -> list[tuple[str, int, str]]:
    """Each limit, the most nodes that it allows here, and what a user sees who asks for one more."""
    now = read_limits()
    told = []
    for name, running in (
        ("descriptors", ""),
        ("user_processes", "user_running"),
        ("pids", "pids_running"),
        ("group_processes", "group_running"),
        ("memory", ""),
    ):
        limits = Limits(**{field: getattr(now, field) for field in (name, running) if field})
        most = most_nodes(limits)
        try:
            check_limits(most + 1, limits)
        except ValueError as error:
            told.append((name.replace("_", " ") if most < MOST_NODES else "a frame's 16 bits", most, str(error)))
    return list(dict.fromkeys(told))


STYLES = {
    "ring": ("o", "ring of processes"),
    "complete": ("s", "complete graph of processes"),
    "simulated": ("^", "simulated ring"),
}


def plot(points: list[Point], told: list[tuple[str, int, str]], path: Path) -> None:
    """How start, memory, elections and sweeps grow, and the limits that were `told`, in six panels."""
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from matplotlib.ticker import EngFormatter, FuncFormatter, NullFormatter

    mpl.rcParams["svg.hashsalt"] = "election-bench"
    thousands = EngFormatter(sep="")
    figure = Figure(figsize=(14, 8), layout="constrained")
    (start, memory, limits), (work, sweep, trial) = figure.subplots(2, 3)
    for what, (marker, label) in STYLES.items():
        of = [p for p in points if p.what == what]
        if not of:
            continue  # a log scale has no place for nothing
        sizes = sorted({p.n for p in of})
        if what != "simulated":
            start.plot(sizes, [max(p.start_s for p in of if p.n == n) for n in sizes], marker=marker, label=label)
        memory.plot(sizes, [max(p.memory_mb for p in of if p.n == n) for n in sizes], marker=marker, label=label)
        work.plot([p.messages for p in of], [p.run_s for p in of], marker, alpha=0.8, label=label)
    for name in CLASSICS:
        of = [p for p in points if p.what == "sweep" and p.algorithm == name]
        if not of:
            continue
        small = sorted((p for p in of if p.n == SWEPT[0][0]), key=lambda p: p.trials)
        sweep.plot([p.trials for p in small], [p.run_s for p in small], marker="o", label=name)
        longest = [max((p for p in of if p.n == n), key=lambda p: p.trials) for n in sorted({p.n for p in of})]
        trial.plot([p.n for p in longest], [1e3 * p.run_s / p.trials for p in longest], marker="o", label=name)
    for axes, x, y, title in (
        (start, "nodes", "seconds", "Start, until all nodes are ready"),
        (memory, "nodes", "MB", "Memory of all nodes, once they have run"),
        (work, "messages", "seconds", "One election: processes switch at each message"),
        (sweep, "trials", "seconds", f"A sweep on one cluster of {SWEPT[0][0]} nodes"),
        (trial, "nodes", "milliseconds", "A trial of a sweep, on average"),
    ):
        if not axes.lines:
            continue  # not measured yet
        axes.set(xscale="log", yscale="log", xlabel=x, ylabel=y)
        axes.set_title(title, loc="left", fontsize=11)
        axes.grid(alpha=0.3)
        axes.legend(frameon=False, fontsize=8, loc="upper left")
        axes.margins(0.06, 0.25)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}" if value < 1000 else thousands(value)))
            axis.set_minor_formatter(NullFormatter())
    trial.set_xticks([n for n, _ in SWEPT])
    for _, most, _ in told:
        for axes in (start, memory):
            axes.axvline(most, color="grey", linestyle=":", linewidth=1)
    limits.axis("off")
    limits.set_title("What puts an end to it here (dotted), and says so", loc="left", fontsize=11)
    lines = [
        "\n".join([f"{name}: {most:,} nodes", *wrap(line, 58)]) for name, most, line in sorted(told, key=itemgetter(1))
    ]
    limits.text(0, 0.97, "\n\n".join(lines), fontsize=9, va="top", transform=limits.transAxes)
    figure.savefig(path, metadata={"Date": None})


def read(folder: Path) -> list[Point]:
    """The points that are stored, if any are."""
    path = folder / "scale.csv"
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return msgspec.convert(list(csv.DictReader(file)), list[Point], strict=False)


def write(points: list[Point], told: list[tuple[str, int, str]], folder: Path) -> None:
    """Write the points as CSV, the figure, and the limits with their messages as Markdown."""
    import pandas as pd

    frame = pd.DataFrame([msgspec.structs.asdict(point) for point in points])
    frame.to_csv(folder / "scale.csv", index=False, float_format="%.4g")
    plot(points, told, folder / "scale.svg")
    lines = ["| what limits | most nodes here | what a user sees who asks for one more |", "|---|---|---|"]
    lines += [f"| {name} | {most:,} | {line} |" for name, most, line in told]
    (folder / "scale.md").write_text("\n".join(lines) + "\n")


def main(names: list[str]) -> int:
    """Measure the series that are named, or all."""
    unknown = [name for name in names if name not in SERIES]
    if unknown:
        print(f"bench.perf.scale: no series {unknown[0]!r}; there are {', '.join(SERIES)}", file=sys.stderr)
        return 2
    folder, told = Path("results"), ceilings()  # before anything runs that takes some of the memory
    points = read(folder)
    for name in names or SERIES:
        measured = []
        for point in SERIES[name]():
            measured.append(point)
            print(*msgspec.structs.astuple(point), flush=True)
        points = [point for point in points if point.what != name] + measured
        points.sort(key=lambda point: list(SERIES).index(point.what))
        write(points, told, folder)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
