"""The table: each row a ratio to a peer or a limit that is measured in the same run, beside its goal.

`ROWS` says what is held against what, and the goal; `MEASURES` how, side by side and in turn, so that drift hits all alike.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from statistics import median

import msgspec

from bench.calibrate import (
    BURST,
    HORIZON,
    compare,
    machine,
    measure_delta,
    measure_hop,
    measure_memory,
    observe,
    time_trials,
)
from bench.engines.processes import Processes
from bench.engines.processes.launcher import Observation
from bench.engines.processes.memory import last_record
from bench.perf import peers, simulators
from bench.perf.pages import TIMES
from bench.perf.peers import NoPeer
from bench.scenario import Scenario
from bench.sweep import revision

REPETITIONS = 7
MANY = 21  # of what takes less than a second, and moves from one moment to the next
N = 64  # nodes of the ring and of the burst
CLASSIC = "chang_roberts"
SHOUT = "bench.perf.pages:Shout"


class Row(msgspec.Struct, frozen=True):
    """One line of the table.

    Attributes:
        measure: the name in `MEASURES` of what is measured, and `column` which of its peers this row is held against.
        what, against: in words.
        bound: the goal of the ratio: at most, or at least if it is `faster`.
        faster: whether the ratio tells how many times faster ours is, not how many times as long it takes.
        scale, unit: what turns seconds (or bytes) into what is shown; a negative scale shows how many a second.
    """

    measure: str
    column: int
    what: str
    against: str
    bound: float
    faster: bool = False
    scale: float = 1.0
    unit: str = "s"


HOP = "one hop, 64-node ring, full logging"
SIMULATED = "simulator, a message, Chang-Roberts n = 10,000"
ROWS = (
    Row("hop", 0, HOP, "C pipes, default scheduling", 2.0, scale=1e6, unit="µs"),
    Row("hop", 1, HOP, "C pipes, the nodes' own policy", 2.3, scale=1e6, unit="µs"),
    Row("hop", 2, HOP, "naive multiprocessing, pickled objects", 3.0, True, 1e6, "µs"),
    Row(
        "burst", 0, "burst: ten all-to-all broadcasts, n = 64", "the same bytes, C pipes and poll", 2.5, False, -1, "/s"
    ),
    Row("logging", 0, "logging on, on the burst", "logging off", 1.15, scale=1e3, unit="ms"),
    Row("start 256", 0, "start of 256 nodes, complete, to the barrier", "a bare os.fork loop, same pipes", 1.6),
    Row("start 1000", 0, "start of 1,000 nodes, complete, to the barrier", "a bare os.fork loop, same pipes", 1.6),
    Row("election", 0, "a whole run of one election, Chang-Roberts n = 100", "DistAlgo's own example", 5.0, True),
    Row("trials", 0, "a trial, n = 8, processes reused", "a fresh cluster each trial", 8.0, True, -1, "/s"),
    Row("simulator", 0, SIMULATED, "SimPy's own idiom", 8.0, True, -1, "/s"),
    Row("simulator", 1, SIMULATED, "SimPy's bare events", 0.8, True, -1, "/s"),
    Row("simulator", 2, SIMULATED, "a loop written by hand on a heap", 2.5, False, -1, "/s"),
    Row("simulator", 3, SIMULATED, "the barest heap", 2.5, False, -1, "/s"),
    Row("million", 0, "simulator, a message, n = 1,000,000", "a message, n = 100,000", 1.3, scale=1e6, unit="µs"),
    Row("million", 1, "simulator, memory, n = 1,000,000", "1 GB", 1.0, scale=1e-6, unit="MB"),
)


class Result(msgspec.Struct, frozen=True):
    """A row as it was measured.

    Attributes:
        what, against, unit: as in `Row`.
        goal: the goal in words.
        ours, theirs: medians, in `unit`.
        ratio: the median of the ratios, pair by pair; `low` and `high` the least and the greatest; None if skipped.
        met: whether the goal is; None if skipped.
        pairs: how many there were.
        load: of the machine at their end: how many processes wanted a core, the mean over a minute.
        why: why it was skipped.
    """

    what: str
    against: str
    goal: str
    unit: str = ""
    ours: float | None = None
    theirs: float | None = None
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    met: bool | None = None
    pairs: int = 0
    load: float = 0.0
    why: str = ""


Column = Sequence[float]
Measured = list[tuple[Column, Column] | NoPeer]  # ours and theirs in turn, one a peer


# -- how it is measured ------------------------------------------------------------------------------------------------


def side_by_side(
    ours: Callable[[], float], *others: Callable[[], float] | NoPeer, times: int = REPETITIONS
) -> Measured:
    """Measure ours and each peer that there is in turn, `times` times after a warm-up."""
    there = [other for other in others if not isinstance(other, NoPeer)]
    compare(1, ours, *there)
    columns = iter([(it.ours, it.theirs) for it in compare(times, ours, *there)])
    return [other if isinstance(other, NoPeer) else next(columns) for other in others]


def measure_hops(folder: Path) -> Measured:
    """A hop: the median of 15 announcements, beside the mean over 15 rounds of a message."""
    with Processes((CLASSIC,)) as engine:
        engine.open(N)
        naive = partial(peers.time_naive_ring, N, 15)
        default: Callable[[], float] | NoPeer
        batch: Callable[[], float] | NoPeer
        try:
            program = peers.compile_pipes(folder)
            default = partial(peers.time_pipes, program, "ring", N, 15)
            batch = partial(peers.time_pipes, program, "ring", N, 15, batch=True)
        except NoPeer as reason:
            default = batch = reason
        if sys.platform != "linux":
            batch = NoPeer("nodes have no policy of their own here")
        return side_by_side(lambda: median(measure_hop(engine, N, 15)), default, batch, naive, times=MANY)


def shout(engine: Processes, n: int = N) -> Observation:
    """Run one burst."""
    return observe(engine, Scenario(algorithm=SHOUT, ids=tuple(range(1, n + 1)), seed=1, delta=1.0, horizon=HORIZON))


def measure_burst(folder: Path) -> Measured:
    """Seconds a message of the burst, from the start to the last event."""
    messages = TIMES * N * (N - 1)

    def ours() -> float:
        observation = shout(engine)
        last = max(last_record(node.log).time for node in observation.nodes)
        return (last - observation.began) / 1e9 / messages

    try:
        program = peers.compile_pipes(folder)
    except NoPeer as reason:
        return [reason]
    with Processes((SHOUT,)) as engine:
        engine.open(N)
        return side_by_side(ours, partial(peers.time_pipes, program, "burst", N, TIMES), times=MANY)


def measure_logging(folder: Path) -> Measured:
    """Seconds of a whole trial of the burst, with logs and without."""
    with Processes((SHOUT,)) as on, Processes((SHOUT,)) as off:
        on.open(N)
        off.open(N, logging=False)
        return side_by_side(lambda: shout(on).wall, lambda: shout(off).wall, times=3 * MANY)


def measure_start(n: int, folder: Path) -> Measured:
    """Seconds until n nodes have passed the barrier."""
    with Processes((CLASSIC,)) as engine:
        return side_by_side(lambda: engine.open(n).seconds, partial(peers.time_bare_forks, n), times=5)


def measure_election(folder: Path) -> Measured:
    """Seconds of a whole run of one election, from the start of the command to its exit."""
    command = [sys.executable, "-m", "bench", "run", "-a", CLASSIC, "-n", "100", "-f", "none", "-t", "1"]

    def ours() -> float:
        out = tempfile.mkdtemp(dir=folder)
        began = time.monotonic()
        peers.ask(*command, "--delta", "1s", "--no-report", "-o", out + "/run")
        return time.monotonic() - began

    try:
        distalgo = peers.find_distalgo()
    except NoPeer as reason:
        return [reason]
    return side_by_side(ours, partial(peers.time_distalgo, distalgo, 100))


def measure_trials(folder: Path) -> Measured:
    """Seconds a trial of 8 nodes."""

    def fresh() -> float:
        began = time.monotonic()
        for _ in range(5):
            engine.open(8)
            observe(engine, trial)
        return (time.monotonic() - began) / 5

    trial = Scenario(algorithm=CLASSIC, ids=tuple(range(1, 9)), seed=1, delta=1.0, horizon=HORIZON)
    with Processes((CLASSIC,)) as engine:
        return side_by_side(partial(time_trials, engine), fresh)


def measure_simulator(folder: Path) -> Measured:
    """Seconds a message of one election in virtual time."""

    def clock(run: Callable[[], int]) -> Callable[[], float]:
        """In a process of its own: what others leave in memory costs who keeps nodes there more than who keeps none."""
        return lambda: float(peers.ask(sys.executable, "-m", "bench.perf.simulators", run.__name__))

    there: list[Callable[[], float] | NoPeer] = []
    for run in (simulators.simpy_idiom, simulators.simpy_events):
        there.append(clock(run) if find_spec("simpy") else NoPeer("SimPy is not installed"))
    return side_by_side(clock(simulators.ours), *there, clock(simulators.written_by_hand), clock(simulators.bare_heap))


def measure_million(folder: Path) -> Measured:
    """Seconds a message of a million nodes and of a tenth, each in a process of its own; and the memory of the million."""
    peaks = []

    def simulate(n: int) -> float:
        sent, seconds, peak = map(float, peers.ask(sys.executable, "-m", "bench.perf.simulators", str(n)).split())
        if n == 1_000_000:
            peaks.append(peak)
        return seconds / sent

    growth = side_by_side(partial(simulate, 1_000_000), partial(simulate, 100_000), times=5)
    return [*growth, (peaks, [1e9] * len(peaks))]


MEASURES: dict[str, Callable[[Path], Measured]] = {
    "hop": measure_hops,
    "burst": measure_burst,
    "logging": measure_logging,
    "start 256": partial(measure_start, 256),
    "start 1000": partial(measure_start, 1000),
    "election": measure_election,
    "trials": measure_trials,
    "simulator": measure_simulator,
    "million": measure_million,
}


# -- the table ---------------------------------------------------------------------------------------------------------


def judge(row: Row, measured: tuple[Column, Column] | NoPeer) -> Result:
    """Hold what was measured against the goal of a row."""
    goal = f"at least {row.bound:g} times faster" if row.faster else f"at most {row.bound:g}"
    if isinstance(measured, NoPeer):
        return Result(row.what, row.against, goal, why=str(measured))
    ours, theirs = measured
    ratios = [their / our if row.faster else our / their for our, their in zip(ours, theirs, strict=True)]
    ratio = median(ratios)
    return Result(
        *(row.what, row.against, goal, row.unit),
        *(show(row, median(ours)), show(row, median(theirs))),
        *(round(ratio, 2), round(min(ratios), 2), round(max(ratios), 2)),
        ratio >= row.bound if row.faster else ratio <= row.bound,
        len(ratios),
        round(os.getloadavg()[0], 1),
    )


def show(row: Row, value: float) -> float:
    """A median in the unit of its row, in four digits."""
    return float(f"{-row.scale / value if row.scale < 0 else row.scale * value:.4g}")


def measure(names: Sequence[str]) -> Iterator[Result]:
    """Measure, one after the other, and yield the rows of each as soon as they are known."""
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            measured = MEASURES[name](Path(folder))
            for row in ROWS:
                if row.measure == name:
                    yield judge(row, measured[row.column])


COLUMNS = ("what", "ours", "against", "theirs", "ratio", "goal", "met", "load")


def cells(result: Result) -> tuple[str, ...]:
    """A result as text, one cell a column."""
    if result.ratio is None:
        return (result.what, "", result.against, "skipped: " + result.why, "", result.goal, "", "")
    ours, theirs = (f"{value:,.4g} {result.unit}" for value in (result.ours, result.theirs) if value is not None)
    ratio = f"{result.ratio:.2f} ({result.low:.2f} to {result.high:.2f})"
    met = "yes" if result.met else "NO"
    return (result.what, ours, result.against, theirs, ratio, result.goal, met, f"{result.load}")


def write(results: Sequence[Result], path: Path) -> None:
    """Write the table with its environment as JSON, and beside it as Markdown; rows not measured now stay as they were."""
    stored = msgspec.convert(json.loads(path.read_text())["rows"], list[Result]) if path.exists() else []
    known = {(result.what, result.against): result for result in (*stored, *results)}
    results = [known[row.what, row.against] for row in ROWS if (row.what, row.against) in known]
    environment = {"created": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "revision": revision()} | machine()
    table = {"environment": environment, "rows": msgspec.to_builtins(results)}
    path.write_text(json.dumps(table, indent=1, ensure_ascii=False) + "\n")
    lines = [COLUMNS, ("---",) * len(COLUMNS), *map(cells, results)]
    told = ", ".join(f"{name}: {value}" for name, value in environment.items())
    text = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    path.with_suffix(".md").write_text(f"{text}\n\nMedians; a ratio is the median of pairs measured in turn. {told}\n")


# -- one machine -------------------------------------------------------------------------------------------------------


def calibrate(sizes: Sequence[int]) -> list[dict[str, str]]:
    """What `election-bench calibrate` shows: the quick rows of the table, and the bound on a hop that follows for `sizes`.

    Raises:
        HarnessError: if the nodes cannot be started or a trial does not end.
    """
    rows = [dict(zip(COLUMNS, cells(result), strict=True)) for result in measure(("hop", "start 256", "trials"))]
    with Processes((BURST,)) as engine:
        for n, it in measure_delta(engine, sizes).items():
            told = (
                f"δ for {n} nodes",
                f"{1e3 * it.delta_s:.3g} ms",
                "n² messages at once",
                f"{1e3 * it.burst_s:.3g} ms",
            )
            rows.append(dict(zip(COLUMNS, (*told, *[""] * 4), strict=True)))
        engine.open(256)
        uss = measure_memory(engine)
    low, high = (f"{1e-6 * size:.3g}" for size in (min(uss), max(uss)))
    told = ("memory of one node of 256 (USS)", f"{1e-6 * median(uss):.3g} MB", "", f"{low} to {high} MB")
    return [*rows, dict(zip(COLUMNS, (*told, *[""] * 4), strict=True))]
