"""Launcher: the lean, single-threaded process that makes the pipes, forks the nodes and strikes the blows.

Nothing that nodes say to one another passes through it. It is started as a fresh interpreter, so that no node carries the
libraries of the command line, and it dies, and all nodes with it, when its parent does.
"""

import gc
import os
import resource
import select
import signal
import sys
import time
from multiprocessing import Pipe
from multiprocessing.connection import Connection

import msgspec

from algorithms.model import Position
from bench.engines.processes import memory as shm
from bench.engines.processes import wire
from bench.engines.processes.memory import Memory
from bench.engines.processes.worker import Worker, die_with_parent
from bench.faults import plan_blow
from bench.observe import Fired
from bench.scenario import Scenario, choose_initiators, find_algorithm

LOG_BYTES = 1 << 31  # of all event logs together; the system gives memory only to what is written
PATIENCE = 10.0  # seconds that a node may take to acknowledge an order before it is taken for stuck


class Open(msgspec.Struct, tag=True):
    """Have a cluster of n nodes ready; the pages of `algorithms` are loaded before the forks."""

    n: int
    algorithms: tuple[str, ...]


class Run(msgspec.Struct, tag=True):
    """Run a trial on the cluster that is open."""

    scenario: Scenario


class Opened(msgspec.Struct, tag=True):
    """The cluster is up: how long it took to the barrier, and the scheduling policy of its nodes."""

    seconds: float
    policy: str
    pids: tuple[int, ...]


class Failure(msgspec.Struct, tag=True):
    """The launcher could not do what it was asked to."""

    reason: str


class NodeState(msgspec.Struct):
    """What one node left in memory.

    Attributes:
        alive: whether it was up at the end.
        before, after: its words when the measured interval began and at the end.
        log: its event log.
    """

    alive: bool
    before: tuple[int, ...]
    after: tuple[int, ...]
    log: bytes


class Observation(msgspec.Struct, tag=True):
    """Everything seen of one trial.

    Attributes:
        kinds: names of the message kinds, by index.
        initiators: who started the measured election.
        began: when the measured interval began (ns): the fault, or the start.
        counted_from: when counting began (ns): the same, but the start for faults that strike during an election.
        wall: the whole trial, set-up included, in seconds.
        stop: quiescent, horizon or error.
        error: what a node raised.
        fired: faults that struck.
        planned: faults that should have struck.
        nodes: by position.
    """

    kinds: tuple[str, ...]
    initiators: tuple[Position, ...]
    began: int
    counted_from: int
    wall: float
    stop: str
    error: str
    fired: list[Fired]
    planned: int
    nodes: list[NodeState]


Request = Open | Run
Reply = Opened | Failure | Observation


class Stuck(Exception):
    """A trial cannot go on: a node failed, died or does not answer."""


class Cluster:
    """n node processes and what joins them.

    Parameters:
        n: number of nodes.
        parent: the connection to the parent, which nodes must not keep.
    """

    def __init__(self, n: int, parent: Connection) -> None:
        self.n, self.parent = n, parent
        self.memory = Memory(n, min(16 * n + 1024, LOG_BYTES // shm.RECORD.size // n))
        self.words = self.memory.words
        self.pipes = [Pipe(duplex=False) for _ in range(n)]
        self.inboxes = [reader.fileno() for reader, _ in self.pipes]
        self.outboxes = [writer.fileno() for _, writer in self.pipes]
        for outbox in self.outboxes:
            os.set_blocking(outbox, False)
        self.lifeline = Pipe(duplex=False)
        self.pids: dict[Position, int] = {}
        self.generation = self.orders = 1
        self.durations: dict[tuple[str, str], float] = {}
        self.dead = select.poll()  # inboxes that nobody reads but the launcher
        self.drained = 0
        gc.collect()
        gc.freeze()
        for position in range(n):
            self.fork(position)
        self.await_acknowledgements(range(n), 1)

    # -- life and death ----------------------------------------------------------------------------------------------

    def fork(self, position: Position) -> None:
        """Start the node process of `position`."""
        self.words[self.memory.word(position) + shm.ACK] = 0
        launcher = os.getpid()
        pid = os.fork()
        if pid:
            self.pids[position] = pid
            return
        try:
            if hasattr(os, "SCHED_BATCH"):  # a node is a batch worker: fewer preemptions, a third off the cost of a hop
                os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
            os.close(self.parent.fileno())
            os.close(self.lifeline[1].fileno())
            lifeline = self.lifeline[0].fileno()
            Worker(position, self.inboxes[position], self.outboxes, self.memory, lifeline, launcher).run()
        finally:
            os._exit(1)

    def kill(self, position: Position) -> None:
        """SIGKILL the node, wait until it is gone and count what it left unread."""
        pid = self.pids.pop(position)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        self.dead.register(self.inboxes[position], select.POLLIN)
        self.drain()

    def stop(self) -> None:
        """Kill all nodes and let go of every descriptor."""
        for pid in self.pids.values():
            os.kill(pid, signal.SIGKILL)
        for pid in self.pids.values():
            os.waitpid(pid, 0)
        for reader, writer in [*self.pipes, self.lifeline]:
            reader.close()
            writer.close()

    def settle(self, live: tuple[Position, ...]) -> None:
        """Make the node processes that run exactly those of `live`, with empty inboxes for the others."""
        for position in range(self.n):
            if position in self.pids and os.waitpid(self.pids[position], os.WNOHANG)[0]:
                del self.pids[position]
                self.dead.register(self.inboxes[position], select.POLLIN)
        wanted = set(live)
        for position in [p for p in self.pids if p not in wanted]:
            self.kill(position)
        self.drain()
        for position in range(self.n):
            if position not in self.pids:
                self.memory.clear(position)
        missing = [position for position in live if position not in self.pids]
        for position in missing:
            self.dead.unregister(self.inboxes[position])
            self.fork(position)
        self.await_acknowledgements(missing, 1)
        self.drained = 0

    def drain(self) -> None:
        """Empty the inboxes of the dead and count the messages of this trial."""
        while ready := self.dead.poll(0):
            for inbox, _ in ready:
                data, offset = os.read(inbox, wire.READ), 0
                while offset < len(data):
                    length, flags, _, generation, *_ = wire.HEADER.unpack_from(data, offset)
                    self.drained += generation == self.generation and not flags & (wire.MORE | wire.ORDER)
                    offset += length

    # -- orders ------------------------------------------------------------------------------------------------------

    def command(
        self, kind: int, to: tuple[Position, ...], armed: tuple[Position, ...] = (), number: int = 0, flags: int = 0
    ) -> None:
        """Give an order to the nodes of `to`, with the flag INITIATOR to those of `armed`."""
        self.orders += 1
        arm = set(armed)
        for position in to:
            flag = flags | (wire.INITIATOR if position in arm else 0)
            frame = wire.order(kind, self.generation, self.orders, number, flag)
            deadline = time.monotonic() + PATIENCE
            while True:
                try:
                    os.write(self.outboxes[position], frame)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise Stuck(f"node {position} does not read its inbox") from None
                    time.sleep(0.0005)

    def await_acknowledgements(self, of: tuple[Position, ...] | range | list[Position], least: int = 0) -> None:
        """Wait until the nodes of `of` have carried out the last order.

        Raises:
            Stuck: if one fails, dies or takes longer than PATIENCE.
        """
        wanted, waiting, pause = least or self.orders, list(of), 2e-5
        deadline = time.monotonic() + PATIENCE + 0.01 * self.n
        while waiting := [p for p in waiting if self.words[self.memory.word(p) + shm.ACK] < wanted]:
            self.check_alive(waiting)
            if time.monotonic() > deadline:
                raise Stuck(f"node {waiting[0]} does not answer")
            time.sleep(pause)
            pause = min(pause * 1.5, 0.002)

    def check_alive(self, positions: list[Position] | tuple[Position, ...]) -> None:
        """Raise `Stuck` if one of the nodes failed or ended by itself."""
        for position in positions:
            if self.words[self.memory.word(position) + shm.BUSY] == shm.FAILED:
                raise Stuck(self.memory.read_error(position))
        pid, status = os.waitpid(-1, os.WNOHANG) if self.pids else (0, 0)
        if pid:
            position = next(p for p, known in self.pids.items() if known == pid)
            del self.pids[position]
            self.dead.register(self.inboxes[position], select.POLLIN)
            reason = self.memory.read_error(position)
            raise Stuck(reason or f"node {position} ended by itself (status {os.waitstatus_to_exitcode(status)})")

    # -- quiescence --------------------------------------------------------------------------------------------------

    def look(self) -> tuple[list[int], int, int]:
        """All traffic words; messages neither handled nor drained; and what is pending besides.

        The last is 0 if nothing is, 1 if a node is at work, else the time (ns) of the next timer.
        """
        words, step = self.words, shm.BLOCK // 8
        traffic = [words[first] for first in range(shm.TRAFFIC, self.n * step, step)]
        pending = 0
        for position in self.pids:
            busy = words[position * step + shm.BUSY]
            if busy and (pending == 0 or busy < pending):
                pending = busy
        flying = sum(word >> 32 for word in traffic) - sum(word & 0xFFFFFFFF for word in traffic) - self.drained
        return traffic, flying, pending

    def is_quiet(self, dirty: bool) -> bool:
        """Whether nothing is in flight and nobody has anything pending, by two equal readings.

        After a kill at a moment of unrest the sums do not balance (`dirty`): then the readings are taken before and after
        every live inbox has been marked and every mark acknowledged.
        """
        self.drain()
        traffic, flying, pending = self.look()
        if pending or (flying and not dirty):
            return False
        if dirty:
            live = tuple(self.pids)
            self.command(wire.MARKER, live)
            self.await_acknowledgements(live)
        again, _, pending = self.look()
        return again == traffic and not pending

    def await_quiet(self, label: tuple[str, str], deadline: float, dirty: bool = False) -> str:
        """Wait for quiescence or the deadline (s, monotonic); sleep for most of what the last such wait took.

        Raises:
            Stuck: if a node fails or dies.
        """
        began = time.monotonic()
        pause = 0.8 * self.durations.get(label, 0.0)
        checked = began
        while True:
            if pause > 0:
                time.sleep(min(pause, max(0.0, deadline - time.monotonic())))
            now = time.monotonic()
            _, flying, pending = self.look()
            if pending == shm.FAILED or now - checked > 0.02:
                self.check_alive(tuple(self.pids))
                checked = now
            if (dirty or not flying or self.dead_unread()) and not pending and self.is_quiet(dirty):
                self.durations[label] = time.monotonic() - began
                return "quiescent"
            if now > deadline:
                return "horizon"
            pause = max(5e-5, 0.02 * (now - began))
            if pending > shm.FAILED and not flying:  # nothing can happen before the next timer
                pause = max(pause, min(pending / 1e9 - now, 0.05))

    def dead_unread(self) -> bool:
        """Whether the inbox of a dead node holds anything."""
        return bool(self.dead.poll(0))

    # -- a trial -----------------------------------------------------------------------------------------------------

    def run(self, scenario: Scenario) -> Observation:
        """Run one trial from reset to quiescence, with its fault."""
        wall = time.monotonic()
        self.generation += 1
        page = find_algorithm(scenario.algorithm)
        observation = Observation(
            (*(message.__name__ for message in page.messages), "Newer"), (), 0, 0, 0.0, "quiescent", "", [], 0, []
        )
        before: list[tuple[int, ...]] = [(0,) * shm.WORDS] * self.n
        try:
            self.settle(scenario.live)
            self.memory.write_scenario(msgspec.msgpack.encode(scenario))
            before = self.perform(scenario, observation, wall + scenario.horizon)
        except Stuck as stuck:
            observation.stop, observation.error = "error", str(stuck)
        alive = set(self.pids)
        if observation.stop == "quiescent":
            self.command(wire.COLLECT, tuple(alive))
            self.await_acknowledgements(tuple(alive))
        else:  # what goes on is cut off, so that what is read holds still
            for position in tuple(self.pids):
                self.kill(position)
        for position in range(self.n):
            state = NodeState(
                position in alive, before[position], self.memory.read_words(position), self.memory.read_log(position)
            )
            observation.nodes.append(state)
        observation.wall = time.monotonic() - wall
        return observation

    def snapshot(self) -> list[tuple[int, ...]]:
        """A copy of everybody's words."""
        return [self.memory.read_words(position) for position in range(self.n)]

    def perform(self, scenario: Scenario, observation: Observation, deadline: float) -> list[tuple[int, ...]]:
        """Drive the nodes through the trial; returns everybody's words at the start of the measured interval."""
        name, live, seed = scenario.fault.name, scenario.live, scenario.seed
        label = (scenario.algorithm, name)
        initiators = choose_initiators(scenario.initiators, live, seed)
        armed = live if name == "leader-crash" else initiators
        self.command(wire.RESET, live, armed)
        self.await_acknowledgements(live)
        before = self.snapshot()
        observation.initiators = initiators
        observation.began = observation.counted_from = time.monotonic_ns()
        blow = plan_blow(scenario.fault, scenario.ids, scenario.dead, f"{seed}")
        self.command(wire.WAKE, armed)
        if blow is not None:
            observation.planned = len(blow.victims)
            time.sleep(blow.after)
            observation.began = time.monotonic_ns()
            for target in blow.victims:
                self.strike(name, target, observation)
            live = tuple(p for p in live if p not in blow.victims)
            if live:
                acting = choose_initiators(scenario.initiators, live, seed, blow.victims[0])
                for target in blow.victims:
                    self.command(wire.SUSPECT, live, acting, target)
                self.await_acknowledgements(live)
                self.command(wire.WAKE, live)
            observation.stop = self.await_quiet(label, deadline, dirty=True)
            return before
        observation.stop = self.await_quiet(label if armed is not live else (scenario.algorithm, "none"), deadline)
        if name != "leader-crash" or observation.stop != "quiescent":
            return before
        observation.planned = 1
        leaders = {self.words[self.memory.word(p) + shm.LEADER] for p in live}
        if len(leaders) != 1 or 0 in leaders or (victim := scenario.ids.index(leaders.pop())) not in self.pids:
            return before
        observation.began = observation.counted_from = time.monotonic_ns()
        self.strike(name, victim, observation)
        live = tuple(p for p in live if p != victim)
        if live:
            observation.initiators = choose_initiators(scenario.initiators, live, seed, victim)
            self.command(wire.SUSPECT, live, observation.initiators, victim, wire.MARK)
            self.await_acknowledgements(live)
        before = self.snapshot()
        self.command(wire.WAKE, observation.initiators if live else ())
        observation.stop = self.await_quiet(label, deadline)
        return before

    def strike(self, name: str, victim: Position, observation: Observation) -> None:
        """Kill `victim` and record it."""
        now = time.monotonic_ns()
        self.kill(victim)
        observation.fired.append(Fired(name, victim, now))


def serve(connection: Connection) -> None:
    """Answer the parent's requests until it hangs up."""
    decode = msgspec.msgpack.Decoder(Request).decode
    cluster: Cluster | None = None
    while True:
        try:
            request = decode(connection.recv_bytes())
        except EOFError:
            break
        reply: Reply
        try:
            if isinstance(request, Open):
                if cluster is not None:
                    cluster.stop()
                    cluster = None
                for name in request.algorithms:
                    find_algorithm(name)
                began = time.monotonic()
                cluster = Cluster(request.n, connection)
                policy = "SCHED_BATCH" if hasattr(os, "SCHED_BATCH") else "default"
                pids = tuple(cluster.pids[p] for p in range(request.n))
                reply = Opened(time.monotonic() - began, policy, pids)
            elif cluster is None:
                reply = Failure("no cluster is open")
            else:
                reply = cluster.run(request.scenario)
        except (OSError, ValueError, Stuck) as error:
            reply = Failure(f"{type(error).__name__}: {error}")
        connection.send_bytes(msgspec.msgpack.encode(reply))
    if cluster is not None:
        cluster.stop()


def main() -> None:
    """Entry point: descriptor of the parent's connection and the parent's process id."""
    descriptor, parent = int(sys.argv[1]), int(sys.argv[2])
    die_with_parent(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # inherited by the nodes
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    serve(Connection(descriptor))
