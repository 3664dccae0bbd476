"""Launcher: the lean, single-threaded process that makes the pipes, forks the nodes and strikes the blows.

Nothing that nodes say to one another passes through it. It is started as a fresh interpreter, so that no node carries the
libraries of the command line, and it dies, and all nodes with it, when its parent does.
"""

import ctypes
import gc
import math
import os
import resource
import select
import signal
import struct
import sys
import time
import zlib
from contextlib import suppress
from itertools import pairwise
from multiprocessing import Pipe
from multiprocessing.connection import Connection

import msgspec

from algorithms.model import Position
from bench.engines.processes import memory as shm
from bench.engines.processes import wire
from bench.engines.processes.memory import Memory
from bench.engines.processes.worker import Worker, codec, die_with_parent
from bench.faults import CUTS, LEADER, NOBODY, VICTIM, Plan, Strike
from bench.observe import FOREVER, Fired, kinds_of
from bench.scenario import Scenario, choose_initiators, find_algorithm

LOG_BYTES = 5 << 29  # of all event logs together; the system gives memory only to what is written
UNCOUNTED = wire.MORE | wire.ORDER | wire.ASIDE  # frames that end no message of an election
PATIENCE = 10.0  # seconds that a node may take to acknowledge an order before it is taken for stuck
FAREWELL = b""  # in place of a request: the parent has no more
# os.fork lets the interpreter and its libraries renew locks, threads and seeds in the child. A process of one thread that
# draws from no global source needs none: each node had 110 pages more of its own, and took half as long again to fork
_fork = ctypes.PyDLL(None, use_errno=True).fork


class Open(msgspec.Struct, tag=True):
    """Have a cluster of n nodes ready; the pages of `algorithms` are loaded before the forks.

    On a `ring` each node keeps the pipes to its two neighbours alone. Without `logging` there are no event logs, and so no
    times: that is for measuring what they cost.
    """

    n: int
    algorithms: tuple[str, ...]
    ring: bool = False
    logging: bool = True


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
        incarnations: how often it came back from a crash.
        before, after: its words when the measured interval began and at the end.
        log: its event log; in the launcher a view of the memory, until the next trial.
    """

    alive: bool
    incarnations: int
    before: tuple[int, ...]
    after: tuple[int, ...]
    log: memoryview


class Observation(msgspec.Struct, tag=True):
    """Everything seen of one trial.

    Attributes:
        kinds: names of the message kinds, by index.
        initiators: who started the measured election.
        began: when the measured interval began (ns): the first strike, or the start.
        counted_from: when counting began (ns): the same, but the start for faults that strike during an election.
        wall: the whole trial, set-up included, in seconds.
        stop: quiescent, settled, horizon or error.
        error: what a node raised.
        fired: what was done.
        planned: faults that should have struck.
        nodes: by position.
        settled: when that was last changed which stayed until the trial had settled (ns); what came later is not judged.
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
    settled: int = FOREVER


Request = Open | Run
Reply = Opened | Failure | Observation


class Stuck(Exception):
    """A trial cannot go on: a node failed, died or does not answer."""


def close_all_but(*kept: int) -> None:
    """Close all descriptors but the standard ones and those."""
    for low, high in pairwise(sorted({2, *kept, os.sysconf("SC_OPEN_MAX")})):
        os.closerange(low + 1, high)


class Cluster:
    """n node processes and what joins them.

    Parameters:
        n: number of nodes.
        parent: the connection to the parent, which nodes must not keep.
        ring: whether nodes keep the pipes to their two neighbours alone.
        logging: whether nodes keep event logs.
    """

    def __init__(self, n: int, parent: Connection, ring: bool = False, logging: bool = True) -> None:
        self.n, self.parent, self.ring = n, parent, ring
        self.memory = Memory(n, min(16 * n + 100_000, LOG_BYTES // shm.RECORD.size // n) if logging else 0)
        self.words = self.memory.words
        self.pipes: dict[Position, tuple[Connection, Connection]] = {}
        self.inboxes, self.outboxes = [-1] * n, [-1] * n
        self.lifeline, self.claim = Pipe(duplex=False), Pipe(duplex=False)
        os.set_blocking(self.claim[0].fileno(), False)
        self.pids: dict[Position, int] = {}
        self.generation = self.orders = 1
        self.durations: dict[tuple[str, str], float] = {}
        self.unchanged = 0
        self.dead = select.poll()  # inboxes that nobody reads but the launcher
        self.paused: set[Position] = set()
        self.fallen: list[Position] = []  # nodes that killed themselves, as they were to
        self.incarnations: dict[Position, int] = {}
        self.vigilance = 0.02  # seconds between two looks whether all live
        self.places: dict[int, Position] = {}
        self.drained = 0
        gc.freeze()
        # on a ring pipes are made as it goes: the fewer there are, the quicker is a fork; but many at a time: a page that
        # the launcher writes between two forks is the first node's alone from then on
        step = 64 if ring else n
        for first in range(0, n, step):
            positions = range(first, min(first + step, n))
            for needed in range(first - 1, positions.stop + 1):
                if needed % n not in self.pipes:
                    self.make_pipe(needed % n)
            for position in positions:
                self.fork(position)
        self.await_acknowledgements(range(n), 1)

    # -- life and death ----------------------------------------------------------------------------------------------

    def make_pipe(self, position: Position) -> None:
        """Make the inbox of `position`: its node blocks on it, who writes never does."""
        reader, writer = self.pipes[position] = Pipe(duplex=False)
        self.inboxes[position], self.outboxes[position] = reader.fileno(), writer.fileno()
        os.set_blocking(writer.fileno(), False)

    def fork(self, position: Position) -> None:
        """Start the node process of `position`."""
        self.words[self.memory.word(position) + shm.ACK] = 0
        launcher = os.getpid()
        pid = _fork()
        if pid < 0:
            raise Stuck(f"node {position} of {self.n} cannot be started: {os.strerror(ctypes.get_errno())}")
        if pid:
            self.pids[position] = pid
            return
        try:
            if hasattr(os, "SCHED_BATCH"):  # a node is a batch worker: fewer preemptions, a third off the cost of a hop
                os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
            os.close(self.parent.fileno())
            os.close(self.lifeline[1].fileno())
            lifeline = self.lifeline[0].fileno()
            claim = self.claim[0].fileno()
            if self.ring:
                neighbours = (self.outboxes[position - 1], self.outboxes[(position + 1) % self.n])
                close_all_but(self.inboxes[position], *neighbours, lifeline, claim)
            Worker(position, self.inboxes[position], self.outboxes, self.memory, lifeline, launcher, claim).run()
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
        for reader, writer in [*self.pipes.values(), self.lifeline, self.claim]:
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
                    self.drained += generation == self.generation and not flags & UNCOUNTED
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
        while waiting := [p for p in waiting if p in self.pids and self.words[self.memory.word(p) + shm.ACK] < wanted]:
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
            if self.has_fallen(position):
                self.fallen.append(position)
                return
            reason = self.memory.read_error(position)
            raise Stuck(reason or f"node {position} ended by itself (status {os.waitstatus_to_exitcode(status)})")

    def has_fallen(self, position: Position) -> bool:
        """Whether the last thing that a node did was to kill itself, as it was to."""
        log = self.memory.read_log(position)
        return bool(log) and shm.last_record(log).what == shm.AMBUSHED

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

    def is_quiet(self, dirty: bool, beats: bool) -> bool:
        """Whether nothing is in flight and nobody has anything pending, by two equal readings; timers apart if `beats`.

        After a kill at a moment of unrest the sums do not balance (`dirty`): then the readings are taken before and after
        every live inbox has been marked and every mark acknowledged.
        """
        self.drain()
        traffic, flying, pending = self.look()
        if self.is_busy(pending, beats) or (flying and not dirty):
            return False
        if dirty:
            live = tuple(self.pids)
            self.command(wire.MARKER, live)
            self.await_acknowledgements(live)
        again, _, pending = self.look()
        return again == traffic and not self.is_busy(pending, beats)

    def is_busy(self, pending: int, beats: bool) -> bool:
        """Whether anything is pending, by the last value of `look`; timers apart where nodes have heartbeats."""
        return 0 < pending <= shm.FAILED or (pending > 0 and not beats)

    def await_quiet(
        self,
        label: tuple[str, str],
        deadline: float,
        dirty: bool = False,
        until: float = math.inf,
        patience: float = 0.0,
    ) -> str:
        """Wait for quiescence or the deadline (s, monotonic); sleep for most of what the last such wait took.

        Where nodes never fall silent they have settled once all agree on a leader and, for `patience` (s), nothing has
        changed in what was sent and handled, heartbeats apart, or in whom nodes take for the leader.

        Returns:
            quiescent or settled; horizon at the deadline; due at `until`, quiescent or not; fallen when a node killed
            itself.

        Raises:
            Stuck: if a node fails or dies.
        """
        began = time.monotonic()
        pause = 0.8 * self.durations.get(label, 0.0) if until == math.inf and not patience else 0.0
        checked = changed = began
        seen: tuple[list[int], list[int]] | None = None
        while True:
            if pause > 0:
                time.sleep(max(0.0, min(pause, deadline - time.monotonic(), until - time.monotonic())))
            now = time.monotonic()
            if now >= until:
                return "due"
            traffic, flying, pending = self.look()
            if patience and (mind := (traffic, self.minds())) != seen:
                seen, changed = mind, time.monotonic()
            if pending == shm.FAILED or now - checked > self.vigilance:
                self.check_alive(tuple(self.pids))
                checked = now
            if self.fallen:
                return "fallen"
            if (
                until == math.inf
                and (dirty or not flying or self.dead_unread())
                and not self.is_busy(pending, bool(patience))
                and (not patience or (now - changed >= patience and self.find_leader() is not None))
                and self.is_quiet(dirty, bool(patience))
            ):
                if self.fallen:  # seen only while the marks were awaited
                    return "fallen"
                self.durations[label], self.unchanged = time.monotonic() - began, int(changed * 1e9)
                return "settled" if patience else "quiescent"
            if now > deadline:
                return "horizon"
            pause = max(5e-5, 0.02 * (now - began)) if until == math.inf else self.vigilance
            if pending > shm.FAILED and not flying:  # nothing can happen before the next timer
                pause = max(pause, min(pending / 1e9 - now, self.vigilance))

    def minds(self) -> list[int]:
        """Whom each living node takes for the leader; 0 where it has none."""
        return [self.words[self.memory.word(position) + shm.LEADER] for position in self.pids]

    def dead_unread(self) -> bool:
        """Whether the inbox of a dead node holds anything."""
        return bool(self.dead.poll(0))

    # -- a trial -----------------------------------------------------------------------------------------------------

    def run(self, scenario: Scenario) -> Observation:
        """Run one trial from reset to quiescence, with its fault."""
        wall = time.monotonic()
        self.generation += 1
        page = find_algorithm(scenario.algorithm)
        self.places = {identity: position for position, identity in enumerate(scenario.ids)}
        self.unsaid = {0} if page.model.election == "implicit" else set[int]()  # what need not be agreed on
        observation = Observation(
            tuple(message.__name__ for message in kinds_of(page)), (), 0, 0, 0.0, "quiescent", "", [], 0, []
        )
        before: list[tuple[int, ...]] = [(0,) * shm.WORDS] * self.n
        try:
            self.settle(scenario.live)
            self.memory.write_scenario(scenario)
            before = self.perform(scenario, observation, wall + scenario.horizon)
        except Stuck as stuck:
            observation.stop, observation.error = "error", str(stuck)
        alive = set(self.pids)
        self.resume(tuple(self.paused))
        if observation.stop in ("quiescent", "settled"):
            self.command(wire.COLLECT, tuple(alive))
            self.await_acknowledgements(tuple(alive))
        else:  # what goes on is cut off, so that what is read holds still
            for position in tuple(self.pids):
                self.kill(position)
        for position in range(self.n):
            words, log = self.memory.read_words(position), self.memory.read_log(position)
            incarnations = self.incarnations.get(position, 0)
            observation.nodes.append(NodeState(position in alive, incarnations, before[position], words, log))
        observation.wall = time.monotonic() - wall
        return observation

    def snapshot(self) -> list[tuple[int, ...]]:
        """A copy of everybody's words."""
        return [self.memory.read_words(position) for position in range(self.n)]

    def perform(self, scenario: Scenario, observation: Observation, deadline: float) -> list[tuple[int, ...]]:
        """Drive the nodes through the trial; returns everybody's words at the start of the measured interval."""
        plan, live = scenario.plan, scenario.live
        self.fallen, self.vigilance = [], 0.02 if plan.ambush is None else 0.001
        self.incarnations.clear()
        if plan.ambush is not None:
            self.load_claim()
        observation.planned = plan.planned
        initiators = scenario.starters
        armed = live if plan.settled else initiators
        self.command(wire.RESET, live, armed, flags=0 if plan.settled else wire.BEGINS)
        self.await_acknowledgements(live)
        before = self.snapshot()
        observation.initiators = initiators
        observation.began = observation.counted_from = time.monotonic_ns()
        self.command(wire.WAKE, live if scenario.times is not None else armed)
        if plan.settled:
            pulse = scenario.pulse
            stop = self.await_quiet((scenario.algorithm, "none"), deadline, patience=pulse.timeout if pulse else 0.0)
            if stop not in ("quiescent", "settled") or self.find_leader() is None:
                observation.stop = stop
                return before
            self.command(wire.BEGIN, live)
            self.await_acknowledgements(live)
            before = self.snapshot()
            observation.began = observation.counted_from = time.monotonic_ns()
        now = time.monotonic_ns()
        observation.fired += [Fired(name, "rate", -1, now) for name in plan.rates]
        observation.stop = self.follow(plan, scenario, observation, deadline)
        return before

    def load_claim(self) -> None:
        """Leave exactly one byte for whoever first gets to the ambush."""
        with suppress(BlockingIOError):
            os.read(self.claim[0].fileno(), 16)
        os.write(self.claim[1].fileno(), b"!")

    def follow(self, plan: Plan, scenario: Scenario, observation: Observation, deadline: float) -> str:
        """Strike as planned and wait until all is quiet again; returns the reason to stop."""
        label, base = (scenario.algorithm, scenario.fault), observation.counted_from / 1e9
        strikes, dirty, first = list(plan.strikes), False, True
        quiet, changed, words = plan.settled, time.monotonic(), self.suspects()
        patience = scenario.pulse.timeout if scenario.pulse is not None else 0.0
        while True:
            if strikes and not strikes[0].waits and base + strikes[0].at <= time.monotonic():
                together = [
                    it for it in strikes if not it.waits and it.at == strikes[0].at and it.what == strikes[0].what
                ]
                strikes = [it for it in strikes if it not in together]
                _, flying, pending = self.look()
                dirty |= not quiet or bool(flying or pending)
                if first:
                    observation.began, first = time.monotonic_ns(), False
                self.strike(together, scenario, observation, dirty)
                quiet, changed = False, time.monotonic()
                continue
            until = math.inf if not strikes or strikes[0].waits else base + strikes[0].at
            stop = self.await_quiet(label, deadline, dirty, until, patience)
            if stop == "due":
                continue
            if stop == "fallen":
                dirty = True
                self.mourn(scenario, observation)
                continue
            if stop == "horizon":
                return stop
            if scenario.times is not None:
                now = time.monotonic()
                if self.suspects() != words:
                    words, changed = self.suspects(), now
                right = set(words.values()) <= {self.checksum_of_dead()}
                lull = scenario.times.period if right else 2 * scenario.times.timeout  # news may be under way
                if now - changed < lull:
                    time.sleep(scenario.times.period / 4)
                    continue
                if not strikes:
                    self.hush()
                    if self.await_quiet(label, deadline, dirty) == "horizon":
                        return "horizon"
                    return "quiescent" if right else "settled"
            if not strikes:
                if stop == "settled":
                    observation.settled = self.unchanged
                    self.hush()
                return stop
            if self.find_leader() is None:
                return stop  # what waits for agreement waits for ever: its fault does not fire
            base, strikes[0] = time.monotonic(), msgspec.structs.replace(strikes[0], waits=False)
            quiet = True

    def suspects(self) -> dict[Position, int]:
        """Checksums of whom the detectors of the living suspect, by position."""
        return {p: self.words[self.memory.word(p) + shm.SUSPECTS] for p in self.pids if p not in self.paused}

    def checksum_of_dead(self) -> int:
        """The checksum that a detector leaves which suspects exactly the dead."""
        dead = [position for position in range(self.n) if position not in self.pids]
        return zlib.crc32(struct.pack(f"<{len(dead)}H", *dead))

    def hush(self) -> None:
        """End the detectors and let what they have in flight arrive."""
        for order in (wire.HUSH, wire.MARKER):
            self.command(order, tuple(self.pids))
            self.await_acknowledgements(tuple(self.pids))

    def find_leader(self) -> Position | None:
        """The live node that all who live take for their leader, or None."""
        leaders = set(self.minds()) - self.unsaid
        position = self.places.get(leaders.pop()) if len(leaders) == 1 else None
        return position if position in self.pids else None

    # -- strikes -----------------------------------------------------------------------------------------------------

    def strike(self, strikes: list[Strike], scenario: Scenario, observation: Observation, dirty: bool) -> None:
        """Do what is planned for one moment."""
        victims = []
        for strike in strikes:
            position = self.aim(strike, observation)
            alive = position in self.pids
            if strike.what == "rest" or (alive == (strike.what == "recover") and strike.what != "heal"):
                continue
            fired = Fired(
                strike.fault, strike.what, position, time.monotonic_ns(), self.role_of(position), strike.planned
            )
            observation.fired.append(fired)
            match strike.what:
                case "crash":
                    self.kill(position)
                    victims.append(position)
                case "recover":
                    self.recover(position, scenario)
                case "pause":
                    os.kill(self.pids[position], signal.SIGSTOP)
                    os.waitpid(self.pids[position], os.WUNTRACED)
                    self.paused.add(position)
                case "resume":
                    self.resume((position,))
                case "cut":
                    self.order(wire.CUT, self.unpaused(), number=position, flags=CUTS.index(strike.detail))
                case "heal":
                    self.order(wire.HEAL, self.unpaused())
                case "suspect" | "trust" if scenario.pulse is None:  # else nobody listens
                    others = tuple(p for p in self.unpaused() if p != position)
                    if strike.what == "trust":
                        self.order(wire.TRUST, others, number=position)
                    else:
                        self.tell([position], others, scenario)
            fired.sure = time.monotonic_ns()
        if victims and scenario.plan.settled and scenario.pulse is not None:
            observation.initiators = self.unpaused()  # nobody is told: all timers run
        elif victims and scenario.tells:
            acting = self.tell(victims, self.unpaused(), scenario)
            if scenario.plan.settled:
                observation.initiators = acting

    def aim(self, strike: Strike, observation: Observation) -> Position:
        """The position that a strike is meant for, or NOBODY."""
        if strike.position == VICTIM:
            return next((it.position for it in reversed(observation.fired) if it.name == strike.fault), NOBODY)
        if strike.position != LEADER:
            return strike.position
        leads = [p for p in self.pids if self.places.get(self.words[self.memory.word(p) + shm.LEADER]) == p]
        return leads[-1] if leads else NOBODY

    def role_of(self, position: Position) -> str:
        """What the node at `position` is at this moment."""
        if position not in self.pids:
            return "dead" if position >= 0 else ""
        leader = self.places.get(self.words[self.memory.word(position) + shm.LEADER])
        return "candidate" if leader is None else "leader" if leader == position else "follower"

    def unpaused(self) -> tuple[Position, ...]:
        """Positions that live and are not stopped, ascending."""
        return tuple(position for position in sorted(self.pids) if position not in self.paused)

    def order(self, kind: int, to: tuple[Position, ...], number: int = 0, flags: int = 0) -> None:
        """Give an order and wait until it is carried out."""
        self.command(kind, to, number=number, flags=flags)
        self.await_acknowledgements(to)

    def tell(
        self, victims: list[Position], survivors: tuple[Position, ...], scenario: Scenario
    ) -> tuple[Position, ...]:
        """Let the perfect detector tell all survivors, then those act who shall; returns who they are."""
        if not survivors:
            return ()
        acting = choose_initiators(scenario.initiators, survivors, scenario.seed, victims[0])
        for victim in victims:
            self.command(wire.SUSPECT, survivors, acting, victim)
        self.await_acknowledgements(survivors)
        self.command(wire.WAKE, survivors)
        return acting

    def recover(self, position: Position, scenario: Scenario) -> None:
        """Bring a node back, with what it saved and nothing else; the perfect detector tells it and the others."""
        self.drain()
        self.dead.unregister(self.inboxes[position])
        self.incarnations[position] = self.incarnations.get(position, 0) + 1
        others = self.unpaused()
        self.fork(position)
        self.await_acknowledgements([position], 1)
        flags = wire.RECOVERS | wire.INITIATOR
        self.order(wire.RESET, (position,), number=self.incarnations[position], flags=flags)
        if scenario.tells:
            for dead in [p for p in range(self.n) if p not in self.pids]:
                self.order(wire.SUSPECT, (position,), number=dead, flags=wire.RECOVERS)
        self.command(wire.WAKE, (position,))
        if scenario.tells:
            self.order(wire.TRUST, others, number=position)

    def resume(self, positions: tuple[Position, ...]) -> None:
        """Let nodes that were stopped go on."""
        for position in positions:
            self.paused.discard(position)
            if position in self.pids:
                os.kill(self.pids[position], signal.SIGCONT)

    def mourn(self, scenario: Scenario, observation: Observation) -> None:
        """Nodes killed themselves, as they were to: record it, and tell the others."""
        fallen, self.fallen = self.fallen, []
        assert scenario.plan.ambush is not None
        for position in fallen:
            died = shm.last_record(self.memory.read_log(position)).time
            leads = self.places.get(self.words[self.memory.word(position) + shm.LEADER]) == position
            role = "leader" if leads else "candidate"
            observation.fired.append(Fired(scenario.plan.ambush.fault, "crash", position, died, role))
            if observation.began == observation.counted_from:
                observation.began = died
        self.drain()
        if scenario.tells:
            self.tell(fallen, self.unpaused(), scenario)


def rehearse(times: int = 10) -> None:
    """Let the nodes of a small ring elect in this process, so that those that are forked know their lines.

    What CPython learns of the code that it runs, specialised instructions and caches of attributes, is written into that
    code: learnt before the forks, all nodes share it. Each of 100 nodes then had 90 pages less of its own, and a run of
    one election took a tenth less time [measured].
    """
    n = 3
    memory, pipes = Memory(n, 1000), [Pipe(duplex=False) for _ in range(n)]
    inboxes, outboxes = [reader.fileno() for reader, _ in pipes], [writer.fileno() for _, writer in pipes]
    memory.write_scenario(Scenario(algorithm="chang_roberts", ids=(3, 1, 2), seed=1, delta=1.0, horizon=1.0))
    nodes, waiting = {}, select.poll()
    for position, inbox in enumerate(inboxes):
        nodes[inbox] = Worker(position, inbox, outboxes, memory, inbox, os.getppid(), inbox)
        waiting.register(inbox, select.POLLIN)
    for generation in range(1, times + 1):
        for kind, flags in ((wire.RESET, wire.INITIATOR | wire.BEGINS), (wire.WAKE, 0), (wire.COLLECT, 0)):
            for outbox in outboxes:
                os.write(outbox, wire.order(kind, generation, generation, 0, flags))
            while ready := waiting.poll(0):
                for inbox, _ in ready:
                    nodes[inbox].receive(os.read(inbox, wire.READ))
    for reader, writer in pipes:
        reader.close()
        writer.close()


def serve(connection: Connection) -> None:
    """Answer the parent's requests until it bids farewell or hangs up."""
    decode = msgspec.msgpack.Decoder(Request).decode
    cluster: Cluster | None = None
    while True:
        try:
            data = connection.recv_bytes()
        except (EOFError, ConnectionError):
            break
        if data == FAREWELL:
            break
        request = decode(data)
        reply: Reply
        try:
            if isinstance(request, Open):
                if cluster is not None:
                    cluster.stop()
                    cluster = None
                    gc.collect()  # before the first cluster there is no garbage, and to look for it takes 7 ms
                for name in request.algorithms:
                    codec(name)
                began = time.monotonic()
                cluster = Cluster(request.n, connection, request.ring, request.logging)
                policy = "SCHED_BATCH" if hasattr(os, "SCHED_BATCH") else "default"
                pids = tuple(cluster.pids[p] for p in range(request.n))
                reply = Opened(time.monotonic() - began, policy, pids)
            elif cluster is None:
                reply = Failure("no cluster is open")
            else:
                reply = cluster.run(request.scenario)
        except (OSError, ValueError, Stuck) as error:
            reply = Failure(f"{type(error).__name__}: {error}")
        with suppress(ConnectionError):  # whoever hung up meanwhile sends no more, either
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
    rehearse()
    gc.enable()
    serve(Connection(descriptor))
    os._exit(0)  # nothing is left to do, and to take the interpreter apart is 7 ms of each run
