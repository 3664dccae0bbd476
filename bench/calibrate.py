"""Calibrate: what this machine can do, the delta that follows, and whether n nodes fit.

Node processes load this module for its page `Burst`, so it imports at the top only what they carry anyway.
"""

import os
import platform
import resource
import time
from collections.abc import Callable, Sequence
from math import inf
from pathlib import Path

import msgspec

from algorithms.model import Id, Message, Model, Node, Port
from bench.engines.processes import HarnessError, Processes
from bench.engines.processes import memory as shm
from bench.engines.processes.launcher import LOG_BYTES, Observation
from bench.engines.processes.summary import records
from bench.scenario import Scenario

BURST = "bench.calibrate:Burst"
LEAST_DELTA = 0.05  # seconds; T, the patience of an election, is 2 delta
LARGEST_BURST = 256  # nodes; a larger burst would take seconds
GROWTH = 2.25  # and its W(n) is extrapolated like n^2.25: a little faster than its n² messages, for caches run cold
HORIZON = 120.0  # seconds
NODE_BYTES = 1_600_000  # memory of a node process once it has run an election, the kernel's part included
TABLE_BYTES = 14  # of each node, for each of them: the kernel's table of all descriptors that there were at its fork
SPARE_DESCRIPTORS = 64
MOST_NODES = 65_535  # a frame has 16 bits for a position


class Ping(Message, frozen=True):
    """ "Are you there?" """


class Pong(Message, frozen=True):
    """ "I am, and this is who"."""

    id: Id


class Burst(Node):
    """The calibration page: everybody asks everybody at once; the highest id of all answers wins.

    n initiators send 2n(n - 1) messages. Whoever is asked asks as well, so that it ends well with any initiators.
    """

    model = Model(topology="complete", timing="asynchronous", channels="reliable", failures="none")
    messages = (Ping, Pong)

    def init(self) -> None:
        self.asked = False
        self.answers = 0
        self.highest = self.id

    def on_start(self) -> None:
        if not self.asked:
            self.asked = True
            self.broadcast(Ping())

    def on_ping(self, port: Port, msg: Ping) -> None:
        self.on_start()
        self.send(port, Pong(self.id))

    def on_pong(self, port: Port, msg: Pong) -> None:
        self.answers += 1
        self.highest = max(self.highest, msg.id)
        if self.answers == len(self.ports):
            self.elect(self.highest)


# -- delta -------------------------------------------------------------------------------------------------------------


class Calibration(msgspec.Struct, frozen=True):
    """The bound on one hop, and what it follows from.

    Attributes:
        delta_s: the bound, in seconds.
        burst_s: W(n), the wall time in which n nodes that all start exchange n² messages, in seconds.
    """

    delta_s: float
    burst_s: float


def measure_delta(engine: Processes, sizes: Sequence[int], budget_s: float = 2.0) -> dict[int, Calibration]:
    """Measure W(n) for each size, in about `budget_s` seconds besides starting the nodes; `engine` must know `BURST`.

    Patience is T = max(100 ms, 4 W(n)), and T is 2 delta. Beyond LARGEST_BURST nodes W is extrapolated.

    Raises:
        HarnessError: if a burst does not end.
    """
    measured: dict[int, float] = {}
    deadline = time.monotonic() + budget_s
    bursts = sorted({min(n, LARGEST_BURST) for n in sizes})
    for i, n in enumerate(bursts):
        if engine.n != n:
            deadline += engine.open(n).seconds
        measured[n] = measure_burst(engine, n, (deadline - time.monotonic()) / (len(bursts) - i))
    calibrations = {}
    for n in sizes:
        m = min(n, LARGEST_BURST)
        burst = measured[m] * (n / m) ** GROWTH
        calibrations[n] = Calibration(max(LEAST_DELTA, 2 * burst), burst)
    return calibrations


def measure_burst(engine: Processes, n: int, budget_s: float) -> float:
    """W(n) in seconds: the slowest of up to three bursts; the warm-up counts only if the budget ends with it."""
    began = time.monotonic()
    warm_up = time_burst(engine, n)
    bursts: list[float] = []
    spent = took = time.monotonic() - began
    while len(bursts) < 3 and spent + took <= budget_s:
        bursts.append(time_burst(engine, n))
        spent, took = time.monotonic() - began, time.monotonic() - began - spent
    return max(bursts, default=warm_up)


def time_burst(engine: Processes, n: int) -> float:
    """Seconds from the start of one burst to its last event, for n² of its 2n(n - 1) messages.

    Raises:
        HarnessError: if it does not end, or not all messages were sent.
    """
    ids = tuple(range(1, n + 1))
    observation = observe(engine, Scenario(algorithm=BURST, ids=ids, seed=1, delta=1.0, horizon=HORIZON))
    sent = sum(node.after[shm.TRAFFIC] >> 32 for node in observation.nodes)
    if sent != 2 * n * (n - 1):
        raise HarnessError(f"calibration on {n} nodes: a burst of {sent} messages, not of {2 * n * (n - 1)}")
    last = max(shm.last_record(node.log).time for node in observation.nodes)
    share = n / (2 * (n - 1)) if n > 1 else 1.0
    return share * (last - observation.began) / 1e9


def observe(engine: Processes, scenario: Scenario) -> Observation:
    """Run a trial that must end well.

    Raises:
        HarnessError: if it did not.
    """
    observation = engine.observe(scenario)
    if observation.stop != "quiescent":
        reason = observation.error or observation.stop
        raise HarnessError(f"calibration by {scenario.algorithm} on {scenario.n} nodes: {reason}")
    return observation


# -- hops, starts, trials ----------------------------------------------------------------------------------------------


def measure_hop(engine: Processes, n: int = 64, repetitions: int = 10) -> list[float]:
    """Seconds a hop on a ring of n nodes, one for each election: the mean over n - 1 hops of the announcement.

    `engine` must know `chang_roberts`. Every node elects when the announcement reaches it, the winner when it sends it.

    Raises:
        ValueError: for fewer than two nodes.
        HarnessError: if an election does not end, or not everybody elects exactly once.
    """
    if n < 2:
        raise ValueError(f"a hop takes two nodes, not {n}")
    ids = tuple(range(1, n + 1))
    scenario = Scenario(algorithm="chang_roberts", ids=ids, seed=1, delta=1.0, horizon=HORIZON)
    return [time_announcement(observe(engine, scenario)) / (n - 1) for _ in range(repetitions)]


def time_announcement(observation: Observation) -> float:
    """Seconds from the winner's own election, the first, to the last node's.

    Raises:
        HarnessError: if not everybody elects exactly once.
    """
    elections = [[record.time for record in records(node) if record.what == shm.ELECT] for node in observation.nodes]
    if any(len(times) != 1 for times in elections):
        raise HarnessError(f"hops cannot be timed: nodes elected {[len(times) for times in elections]} times")
    return (max(elections)[0] - min(elections)[0]) / 1e9


class Comparison(msgspec.Struct, frozen=True):
    """Measurements of ours beside a peer's, pair by pair, in seconds."""

    ours: tuple[float, ...]
    theirs: tuple[float, ...]


def compare(repetitions: int, ours: Callable[[], float], *peers: Callable[[], float]) -> list[Comparison]:
    """Measure ours and the peers in turn, `repetitions` times, so that drift hits all alike; one comparison a peer."""
    rounds = [[measure() for measure in (ours, *peers)] for _ in range(repetitions)]
    columns = list(zip(*rounds, strict=True))
    return [Comparison(columns[0], column) for column in columns[1:]]


def time_trials(engine: Processes, n: int = 8, trials: int = 100) -> float:
    """Seconds a trial of `chang_roberts` on n nodes, on one cluster."""
    scenario = Scenario(algorithm="chang_roberts", ids=tuple(range(1, n + 1)), seed=1, delta=1.0, horizon=HORIZON)
    observe(engine, scenario)
    began = time.monotonic()
    for _ in range(trials):
        observe(engine, scenario)
    return (time.monotonic() - began) / trials


def measure_memory(engine: Processes) -> list[int]:
    """Memory that each node of the open cluster holds alone (USS), in bytes."""
    import psutil

    assert engine.opened is not None
    return [psutil.Process(pid).memory_full_info().uss for pid in engine.opened.pids]


# -- the machine -------------------------------------------------------------------------------------------------------


def machine() -> dict[str, object]:
    """What a reader of results needs to know of this machine; plain types."""
    import psutil

    return {
        "system": platform.system(),
        "release": platform.release(),
        "python": platform.python_version(),
        "cpu": cpu_name(),
        "cores": psutil.cpu_count() or 1,
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "load": [round(load, 2) for load in psutil.getloadavg()],
    }


def cpu_name() -> str:
    """The processor's model, as far as the system tells."""
    for line in read_lines("/proc/cpuinfo"):
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def read_lines(path: str | Path) -> list[str]:
    """The lines of a file, none where there is no such file."""
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


# -- limits ------------------------------------------------------------------------------------------------------------


class Limits(msgspec.Struct, frozen=True):
    """What the system allows, and how much of it is in use; what it does not limit is infinite.

    Attributes:
        descriptors: that one process may have (the hard limit).
        user_processes, user_running: that this user may have, and has.
        pids, pids_running: that the kernel has numbers for, and that exist.
        group_processes, group_running: that the control group with the least room may have, and has.
        memory: available, in bytes.
    """

    descriptors: float = inf
    user_processes: float = inf
    user_running: int = 0
    pids: float = inf
    pids_running: int = 0
    group_processes: float = inf
    group_running: int = 0
    memory: float = inf


def check_limits(n: int, limits: Limits | None = None) -> None:
    """Check that n nodes fit into `limits` (None: those of this machine, now).

    Raises:
        ValueError: says in one line which limit is too low, what it is, and how to raise it.
    """
    if n > MOST_NODES:
        raise ValueError(f"{n:,} nodes are too many; a frame has room for {MOST_NODES:,} positions")
    limits = limits or read_limits()
    descriptors, processes = 2 * n + SPARE_DESCRIPTORS, n + 2
    users, kernels, groups = (
        processes + running for running in (limits.user_running, limits.pids_running, limits.group_running)
    )
    memory = n * (NODE_BYTES + n * TABLE_BYTES) + min(LOG_BYTES, 4 * n * n * shm.RECORD.size)
    for needed, limit, what, remedy in (
        (descriptors, limits.descriptors, "open files (hard limit)", f"`ulimit -n {descriptors}` as root"),
        (users, limits.user_processes, "processes of this user", f"`ulimit -u {users}`"),
        (kernels, limits.pids, "process ids (kernel.pid_max)", f"`sysctl kernel.pid_max={kernels}`"),
        (groups, limits.group_processes, "processes in this control group (pids.max)", f"pids.max = {groups}"),
        (memory / 1e6, limits.memory / 1e6, "MB of memory", "freeing some, or take fewer nodes"),
    ):
        if needed > limit:
            raise ValueError(f"{n:,} nodes need {needed:,.0f} {what}, the limit is {limit:,.0f}; raise it by {remedy}")


def read_limits() -> Limits:
    """The limits of this machine, now."""
    import psutil

    _, descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)
    processes, _ = resource.getrlimit(resource.RLIMIT_NPROC)
    bound = processes != resource.RLIM_INFINITY and os.getuid() != 0  # root is exempt
    pids = read_lines("/proc/sys/kernel/pid_max")
    group_processes, group_running = min(read_groups(), key=lambda group: group[0] - group[1], default=(inf, 0))
    return Limits(
        descriptors=inf if descriptors == resource.RLIM_INFINITY else descriptors,
        user_processes=processes if bound else inf,
        user_running=count_threads(os.getuid()) if bound else 0,
        pids=int(pids[0]) if pids else inf,
        pids_running=int(read_lines("/proc/loadavg")[0].split()[3].partition("/")[2]) if pids else 0,
        group_processes=group_processes,
        group_running=group_running,
        memory=psutil.virtual_memory().available,
    )


def count_threads(user: int) -> int:
    """Threads that `user` has: the limit on processes counts them."""
    import psutil

    total = 0
    for process in psutil.process_iter():
        try:
            if process.uids().real == user:
                total += process.num_threads()
        except psutil.Error:  # it has ended, or may not be looked at
            continue
    return total


def read_groups() -> list[tuple[int, int]]:
    """(most, current) processes of each control group, from this process's own up, that limits them."""
    found = []
    for line in read_lines("/proc/self/cgroup"):
        _, controllers, path = line.split(":", 2)
        if controllers and "pids" not in controllers.split(","):
            continue
        root = Path("/sys/fs/cgroup", *(["pids"] if controllers else []))
        own = root / path.lstrip("/")
        for folder in (own, *(parent for parent in own.parents if parent.is_relative_to(root))):
            most, current = read_lines(folder / "pids.max"), read_lines(folder / "pids.current")
            if most and current and most[0] != "max":
                found.append((int(most[0]), int(current[0])))
    return found
