"""Launch: start the interpreter of the launcher, before its parent knows what it will ask it for.

To load the pages takes both about as long: who is likely to need node processes lets the two do it side by side. The
launcher is a fresh interpreter, so that no node carries the libraries of the command line.
"""

import gc
import os
import signal
import sys
from socket import socketpair

early: list[tuple[int, int]] = []  # launchers that wait for an engine to take them: what `launch` returned


def launch() -> tuple[int, int]:
    """Start a launcher; returns the descriptor that speaks to it, and its process id."""
    ours, theirs = socketpair()
    with theirs:
        theirs.set_inheritable(True)
        pid = os.posix_spawn(
            sys.executable,
            [sys.executable, "-m", "bench.launch", str(theirs.fileno()), str(os.getpid())],
            os.environ,
            file_actions=[(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0), (os.POSIX_SPAWN_DUP2, 2, 1)],
            setsigmask=[signal.SIGINT],  # of the terminal: the parent decides
        )
    return ours.detach(), pid


if __name__ == "__main__":
    gc.disable()  # nothing that an import makes is garbage, and to look for it took a tenth of the start
    from bench.engines.processes.launcher import main

    main()
