"""Peers: what the suite's own speed is held against, a ring of pipes in C and bare forks.

python -m bench.peers 256        seconds that it takes to make 256 pipes and fork as many processes
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from multiprocessing import Pipe
from pathlib import Path

from bench.engines.processes import launcher  # noqa: F401  (a fork costs what its parent has in memory: be as large)

SOURCE = Path(__file__).with_name("pipe_ring.c")
TIMEOUT = 60  # seconds after which a peer is given up


class NoPeer(Exception):
    """A peer cannot be made here; says why."""


def compile_pipe_ring(folder: Path) -> Path:
    """Compile `pipe_ring.c` into `folder`.

    Raises:
        NoPeer: if there is no C compiler, or it fails.
    """
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    if compiler is None:
        raise NoPeer("no C compiler found")
    program = folder / "pipe_ring"
    try:
        subprocess.run([compiler, "-O2", "-o", program, SOURCE], check=True, capture_output=True, timeout=TIMEOUT)
    except subprocess.SubprocessError:
        raise NoPeer(f"{compiler} cannot compile {SOURCE.name}") from None
    return program


def time_pipe_ring(program: Path, n: int, rounds: int, batch: bool = False) -> float:
    """Seconds a hop on a ring of n C processes, over `rounds` rounds; under SCHED_BATCH if `batch`."""
    command = [str(program), str(n), str(rounds), *(["batch"] if batch else [])]
    return float(subprocess.run(command, check=True, capture_output=True, timeout=TIMEOUT).stdout) / 1e9


def time_bare_forks(n: int) -> float:
    """Seconds in which a fresh interpreter, as lean as the launcher, makes n + 1 pipes and forks n processes."""
    command = [sys.executable, "-m", "bench.peers", str(n)]
    return float(subprocess.run(command, check=True, capture_output=True, timeout=TIMEOUT).stdout)


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


if __name__ == "__main__":
    print(fork_bare(int(sys.argv[1])))
