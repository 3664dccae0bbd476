"""Engine `processes`: one real process a node, joined by pipes."""

import os
import signal
from contextlib import suppress
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Self

import msgspec

from bench.engines.processes.launcher import FAREWELL, PATIENCE, Failure, Observation, Open, Opened, Reply, Run
from bench.launch import early, launch
from bench.observe import Execution
from bench.scenario import Scenario, find_algorithm

LARGE = 1024  # nodes; on a larger ring, if nothing fails, each has pipes to its neighbours alone


def stays_on_ring(scenario: Scenario) -> bool:
    """Whether no node will ever send to any but its two neighbours."""
    ring = find_algorithm(scenario.algorithm).model.topology.endswith("ring")
    return ring and scenario.fault == "none" and scenario.times is None and not scenario.dead


class HarnessError(Exception):
    """The harness itself failed: the launcher could not start a cluster, or ended."""


class Processes:
    """Runs trials on real processes, one cluster at a time, reused from trial to trial.

    Parameters:
        algorithms: all that will be run, as in `Scenario.algorithm`; their pages are loaded before the nodes are forked.

    Use it as a context manager: leaving it ends every process.
    """

    name = "processes"
    deterministic = False

    def __init__(self, algorithms: tuple[str, ...]) -> None:
        self.algorithms = algorithms
        self.n, self.ring = 0, False
        self.opened: Opened | None = None
        self.prepared: Open | None = None
        descriptor, self.launcher = early.pop() if early else launch()
        self.connection = Connection(descriptor)
        self.decode = msgspec.msgpack.Decoder(Reply).decode

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close(patient=kind is None)

    def close(self, patient: bool = True) -> None:
        """End the launcher, and all nodes with it; `patient` lets it finish by itself."""
        with suppress(OSError):  # it may have ended before
            if patient:
                self.connection.send_bytes(FAREWELL)
                patient = self.connection.poll(PATIENCE)  # end of file: it is over
        self.connection.close()
        if not patient:
            os.kill(self.launcher, signal.SIGKILL)
        os.waitpid(self.launcher, 0)

    def ask(self, request: Open | Run) -> Opened | Observation:
        """Send a request to the launcher and wait for its answer.

        Raises:
            HarnessError: if it cannot do it, or has ended.
        """
        prepared, self.prepared = self.prepared, None
        try:
            if request != prepared:
                if prepared is not None:
                    self.connection.recv_bytes()  # nobody wants it any more
                self.connection.send_bytes(msgspec.msgpack.encode(request))
            reply: Reply = self.decode(self.connection.recv_bytes())
        except (EOFError, OSError) as error:
            raise HarnessError(f"the launcher of the node processes ended: {error or 'end of file'}") from None
        if isinstance(reply, Failure):
            raise HarnessError(reply.reason)
        return reply

    def prepare(self, n: int) -> None:
        """Ask for a cluster of n nodes, and do not wait: whoever opens it, or asks for anything else, does.

        Raises:
            HarnessError: if the launcher has ended.
        """
        self.prepared = Open(n, self.algorithms)
        try:
            self.connection.send_bytes(msgspec.msgpack.encode(self.prepared))
        except OSError as error:
            raise HarnessError(f"the launcher of the node processes ended: {error}") from None

    def open(self, n: int, ring: bool = False, logging: bool = True) -> Opened:
        """Replace the cluster, if there is one, by a fresh one of n nodes.

        On a `ring` they are joined to their neighbours alone; they keep event logs if `logging`.
        """
        opened = self.ask(Open(n, self.algorithms, ring, logging))
        assert isinstance(opened, Opened)
        self.n, self.ring, self.opened = n, ring, opened
        return opened

    def observe(self, scenario: Scenario) -> Observation:
        """Run one trial and return everything seen of it."""
        ring = stays_on_ring(scenario)
        if self.n != scenario.n or (self.ring and not ring):
            self.open(scenario.n, ring and scenario.n > LARGE)
        observation = self.ask(Run(scenario))
        assert isinstance(observation, Observation)
        return observation

    def run(self, scenario: Scenario) -> Execution:
        """Run one trial; `observe` has the raw logs."""
        from bench.engines.processes.summary import summarise

        return summarise(self.observe(scenario), scenario)
