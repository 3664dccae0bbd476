"""Peers of the process engine: pipes in C, bare forks, naive `multiprocessing`, DistAlgo's own example.

python -m bench.perf.peers forks 256        seconds in which 256 processes are forked, with as many pipes
python -m bench.perf.peers naive 64 15      seconds of one hop on a ring of 64, over 15 rounds
"""

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path

from bench.engines.processes import launcher  # noqa: F401  (a fork costs what its parent has in memory: be as large)

SOURCE = Path(__file__).with_name("pipes.c")
TIMEOUT = 600  # seconds after which a peer is given up
# of every command that is measured: compiled modules are kept, as wherever a package is installed
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


class NoPeer(Exception):
    """A peer cannot be made here; says why."""


def ask(*command: str | Path) -> str:
    """What a command prints.

    Raises:
        NoPeer: if it fails or takes longer than TIMEOUT.
    """
    try:
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=TIMEOUT, env=ENVIRONMENT)
    except (OSError, subprocess.SubprocessError) as error:
        raise NoPeer(f"{Path(command[0]).name} failed: {error}") from None
    return done.stdout


# -- pipes in C --------------------------------------------------------------------------------------------------------


def compile_pipes(folder: Path) -> Path:
    """Compile `pipes.c` into `folder`.

    Raises:
        NoPeer: if there is no C compiler, or it fails.
    """
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    if compiler is None:
        raise NoPeer("no C compiler found")
    program = folder / "pipes"
    ask(compiler, "-O2", "-o", program, SOURCE)
    return program


def time_pipes(program: Path, what: str, n: int, times: int, batch: bool = False) -> float:
    """Seconds a message among n C processes: a hop of a `ring`, or a message of a `burst`; under SCHED_BATCH if `batch`."""
    return float(ask(program, what, str(n), str(times), *(["batch"] if batch else []))) / 1e9


# -- bare forks --------------------------------------------------------------------------------------------------------


def time_bare_forks(n: int) -> float:
    """Seconds in which a fresh interpreter, as lean as the launcher, makes n + 1 pipes and forks n processes."""
    return float(ask(sys.executable, "-m", "bench.perf.peers", "forks", str(n)))


def fork_bare(n: int) -> float:
    """Make n + 1 pipes and fork n processes that block on a read, end them; returns seconds up to the last fork."""
    began = time.monotonic()
    pipes = [Pipe(duplex=False) for _ in range(n + 1)]
    children = []
    try:
        for reader, _ in pipes[:n]:
            child = os.fork()
            if not child:
                try:
                    signal.alarm(TIMEOUT)  # ends by itself, should this process be killed
                    os.read(reader.fileno(), 1)
                finally:
                    os._exit(1)
            children.append(child)
        return time.monotonic() - began
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)
        for child in children:
            os.waitpid(child, 0)


# -- naive multiprocessing ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Election:
    """A message as one would write it without the suite."""

    id: int


def time_naive_ring(n: int, rounds: int) -> float:
    """Seconds a hop on a ring of n `multiprocessing` processes that pass a pickled object on."""
    return float(ask(sys.executable, "-m", "bench.perf.peers", "naive", str(n), str(rounds)))


def relay(
    before: "Connection[Election | None, Election | None]", after: "Connection[Election | None, Election | None]"
) -> None:
    """A node: pass on what comes, until told to end."""
    while (msg := before.recv()) is not None:
        after.send(msg)
    after.send(None)


def circulate_naively(n: int, rounds: int) -> float:
    """Let one object go round a ring of n processes, the first of them this one, and time it after a warm-up."""
    context = multiprocessing.get_context("fork")
    pipes = [context.Pipe(duplex=False) for _ in range(n)]
    nodes = [context.Process(target=relay, args=(pipes[i][0], pipes[(i + 1) % n][1]), daemon=True) for i in range(1, n)]
    for node in nodes:
        node.start()
    began = 0.0
    for i in range(rounds + rounds // 10 + 1):
        if i == rounds // 10 + 1:
            began = time.monotonic()
        pipes[1 % n][1].send(Election(n))
        pipes[0][0].recv()
    took = time.monotonic() - began
    pipes[1 % n][1].send(None)
    for node in nodes:
        node.join()
    return took / rounds / n


# -- DistAlgo ----------------------------------------------------------------------------------------------------------


def find_distalgo() -> list[str]:
    """The command that runs DistAlgo's own Chang-Roberts example: a Python on the path that imports `da`, and the file.

    Raises:
        NoPeer: if no Python on the path has it (pyDistAlgo 1.1.0 imports on Python 3.6 and 3.7 alone).
    """
    where = "import da, os; print(os.path.join(os.path.dirname(da.__file__), 'examples', 'crleader', 'orig.da'))"
    for name in ("python3.7", "python3.6", "python3", "python"):
        for folder in os.get_exec_path():
            python = Path(folder, name)
            if os.access(python, os.X_OK):
                try:
                    return [str(python), "-m", "da", ask(python, "-c", where).strip()]
                except NoPeer:
                    continue
    raise NoPeer("no Python 3.6 or 3.7 with pyDistAlgo is on the path")


def time_distalgo(command: list[str], n: int) -> float:
    """Seconds from start to exit of DistAlgo's example on n processes."""
    began = time.monotonic()
    told = subprocess.run(
        [*command, str(n)],
        check=True,
        text=True,
        timeout=TIMEOUT,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    took = time.monotonic() - began
    if told.stdout.count("Leader is") != n:
        raise NoPeer(f"DistAlgo told of {told.stdout.count('Leader is')} nodes with a leader, not of {n}")
    return took


if __name__ == "__main__":
    numbers = map(int, sys.argv[2:])
    print(fork_bare(*numbers) if sys.argv[1] == "forks" else circulate_naively(*numbers))
