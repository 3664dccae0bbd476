"""Scale: how time and memory grow with nodes, messages and trials, and what puts an end to it.

python -m bench.perf.scale            about a quarter of an hour, to results/scale.csv, .md and .svg
python -m bench.perf.scale ring       what is named only; the other rows stay as they were
"""

import csv
import sys
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import psutil

from bench.calibrate import HORIZON, MOST_NODES, Limits, check_limits, read_limits
from bench.engines.processes import LARGE, Processes
from bench.faults import parse_plan
from bench.observe import make_row
from bench.perf import peers
from bench.scenario import Scenario, choose_ids, find_algorithm

CLASSICS = ("bully", "ring", "lamport", "chang_roberts", "randomized")
COMPLETE = (8, 64, 256, 1000)
RINGS = (8, 64, 256, 1024, 4096)
SIMULATED = (1_000, 10_000, 100_000, 1_000_000)
TRIALS = (1, 10, 100, 1000)


class Point(msgspec.Struct, frozen=True):
    """One measurement.

    Attributes:
        what: the series: ring, complete, simulated or sweep.
        algorithm, n, trials: what ran, on how many nodes, how often.
        messages: of the election, of all trials together.
        start_s: until all nodes have passed the barrier; 0 in a simulation.
        run_s: all trials, from reset to quiescence.
        memory_mb: of the whole system, by the nodes; in a simulation the most that the process had.
    """

    what: str
    algorithm: str
    n: int
    trials: int
    messages: int
    start_s: float
    run_s: float
    memory_mb: float


def run(engine: Processes, algorithm: str, n: int, fault: str = "none", initiators: str = "all") -> tuple[int, float]:
    """One trial: its messages and seconds.

    Raises:
        AssertionError: if it does not elect, or a message is not accounted for.
    """
    ids, _ = choose_ids("random", find_algorithm(algorithm), n, 1)
    faults = parse_plan(fault)
    scenario = Scenario(
        algorithm=algorithm, ids=ids, seed=1, delta=60.0, horizon=10 * HORIZON, faults=faults, initiators=initiators
    )
    row, _ = make_row(engine.run(scenario), scenario, "scale", 0, 0, engine.name)
    assert (row.verdict, row.unaccounted, row.in_flight, row.violations) == ("elected", 0, 0, 0), row
    return row.messages, row.wall_s or 0.0


def opened(engine: Processes, n: int, ring: bool) -> tuple[float, float]:
    """Seconds in which n nodes start, and the MB by which less is available then."""
    engine.open(1)
    before = psutil.virtual_memory().available
    return engine.open(n, ring).seconds, (before - psutil.virtual_memory().available) / 1e6


def largest_ring() -> int:
    """The most nodes that this machine holds now, with a fifth of its memory left to whoever else wants some."""
    limits = read_limits()
    return most_nodes(msgspec.structs.replace(limits, memory=0.8 * limits.memory))


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
            start, memory = opened(engine, n, ring=n > LARGE)
            messages, seconds = run(engine, "chang_roberts", n)
            yield Point("ring", "chang_roberts", n, 1, messages, start, seconds, memory)


def graphs() -> Iterator[Point]:
    """The classics on complete graphs: the leader crashes, and one node notices."""
    with Processes(CLASSICS) as engine:
        for n in COMPLETE:
            start, memory = opened(engine, n, ring=False)
            for algorithm in CLASSICS:
                began = time.monotonic()
                messages, _ = run(engine, algorithm, n, "leader-crash", "one")
                yield Point("complete", algorithm, n, 1, messages, start, time.monotonic() - began, memory)


def simulations() -> Iterator[Point]:
    """Chang-Roberts in virtual time."""
    for n in SIMULATED:
        sent, seconds, peak = map(float, peers.ask(sys.executable, "-m", "bench.perf.simulators", str(n)).split())
        yield Point("simulated", "chang_roberts", n, 1, int(sent), 0.0, seconds, peak / 1e6)


def sweeps() -> Iterator[Point]:
    """How the time of a sweep grows with trials, nodes and messages: cold starts, on one cluster a size."""
    with Processes(CLASSICS) as engine:
        for n, counts in ((8, TRIALS), (16, (20,)), (32, (20,)), (64, (20,))):
            start, memory = opened(engine, n, ring=False)
            for algorithm in CLASSICS:
                run(engine, algorithm, n)
                for trials in counts:
                    began = time.monotonic()
                    messages = sum(run(engine, algorithm, n)[0] for _ in range(trials))
                    yield Point("sweep", algorithm, n, trials, messages, start, time.monotonic() - began, memory)


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


def plot(points: list[Point], path: Path) -> None:
    """How start, memory and run grow, in three panels."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.rcParams["svg.hashsalt"] = "election-bench"
    figure = Figure(figsize=(12, 4), layout="constrained")
    start, memory, work = figure.subplots(1, 3)
    for what, marker in (("ring", "o"), ("complete", "s"), ("simulated", "^")):
        series = sorted({(p.n, p.start_s, p.memory_mb) for p in points if p.what == what})
        sizes = [n for n, _, _ in series]
        if what != "simulated":
            start.plot(sizes, [seconds for _, seconds, _ in series], marker=marker, label=what)
        memory.plot(sizes, [megabytes for *_, megabytes in series], marker=marker, label=what)
    for what, marker in (("ring", "o"), ("complete", "s"), ("sweep", "x"), ("simulated", "^")):
        work.plot(
            [p.messages for p in points if p.what == what],
            [p.run_s for p in points if p.what == what],
            marker=marker,
            label=what,
            linestyle="none",
        )
    for axes, x, y, title in (
        (start, "nodes", "s", "Start, to the barrier"),
        (memory, "nodes", "MB", "Memory"),
        (work, "messages", "s", "Time of a run against its work"),
    ):
        axes.set(xscale="log", yscale="log", xlabel=x, ylabel=y, title=title)
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
    figure.savefig(path, metadata={"Date": None})


def read(folder: Path) -> list[Point]:
    """The points that are stored, if any are."""
    path = folder / "scale.csv"
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return msgspec.convert(list(csv.DictReader(file)), list[Point], strict=False)


def write(points: list[Point], folder: Path) -> None:
    """Write the points as CSV, the figure, and the limits with their messages as Markdown."""
    import pandas as pd

    frame = pd.DataFrame([msgspec.structs.asdict(point) for point in points])
    frame.to_csv(folder / "scale.csv", index=False, float_format="%.4g")
    plot(points, folder / "scale.svg")
    lines = ["| what limits | most nodes here | what a user sees who asks for one more |", "|---|---|---|"]
    lines += [f"| {name} | {most:,} | `{told}` |" for name, most, told in ceilings()]
    (folder / "scale.md").write_text("\n".join(lines) + "\n")


def main(names: list[str]) -> int:
    """Measure the series that are named, or all."""
    unknown = [name for name in names if name not in SERIES]
    if unknown:
        print(f"bench.perf.scale: no series {unknown[0]!r}; there are {', '.join(SERIES)}", file=sys.stderr)
        return 2
    folder = Path("results")
    points = read(folder)
    for name in names or SERIES:
        measured = []
        for point in SERIES[name]():
            measured.append(point)
            print(*msgspec.structs.astuple(point), flush=True)
        points = [point for point in points if point.what != name] + measured
        points.sort(key=lambda point: list(SERIES).index(point.what))
        write(points, folder)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
