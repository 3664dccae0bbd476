"""Worker: the loop of one node process. It interprets the effects of its node, and nobody else does anything for it."""

import ctypes
import os
import resource
import select
import signal
import struct
import sys
import time
import zlib
from collections import deque
from collections.abc import Callable

import msgspec

from algorithms.model import CancelTimer, Elect, Key, Message, Node, Save, Send, SetTimer
from algorithms.reelection import Newer
from bench.engines.processes import memory as shm
from bench.engines.processes import wire
from bench.engines.processes.memory import Memory
from bench.scenario import Scenario, find_algorithm, node_maker

PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)  # loaded once, before the forks: a seventh of a start
_decode_scenario = msgspec.msgpack.Decoder(Scenario).decode


def die_with_parent(parent: int) -> bool:
    """Ask the kernel to kill this process when `parent` ends. Returns False where the system cannot.

    If the parent has ended already, this process ends here.
    """
    if sys.platform != "linux":
        return False
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    return True


class Worker:
    """One node process.

    Parameters:
        position: its place.
        inbox: descriptor of its inbox, blocking.
        outboxes: descriptors that write to the inboxes, non-blocking, by position.
        memory: the cluster's.
        lifeline: descriptor that reports end-of-file when the launcher is gone.
        launcher: process id of the launcher.
    """

    def __init__(
        self, position: int, inbox: int, outboxes: list[int], memory: Memory, lifeline: int, launcher: int
    ) -> None:
        self.position, self.inbox, self.outboxes, self.memory = position, inbox, outboxes, memory
        self.words, self.first = memory.words, memory.word(position)
        self.log_start, self.log_capacity = memory.log_offset(position), memory.capacity
        self.generation = -1
        self.queues: dict[int, deque[bytes]] = {}
        self.timers: dict[str, int] = {}
        self.ready: list[Callable[[], None]] = []
        self.launcher = launcher
        self.may_block = die_with_parent(launcher)
        self.poll = select.poll()
        self.poll.register(inbox, select.POLLIN)
        self.lifeline = lifeline
        self.poll.register(lifeline, select.POLLIN)
        self.kinds: list[type[Message]] = []

    # -- a trial -----------------------------------------------------------------------------------------------------

    def reset(self, generation: int) -> None:
        """Forget everything and be the node of the scenario that the launcher left in memory."""
        self.generation = generation
        self.scenario = _decode_scenario(self.memory.read_scenario())
        page = find_algorithm(self.scenario.algorithm)
        if self.kinds != [*page.messages, Newer]:
            self.kinds = [*page.messages, Newer]
            self.kind_of = {message: kind for kind, message in enumerate(self.kinds)}
            self.decoders = [msgspec.msgpack.Decoder(message).decode for message in self.kinds]
        self.memory.clear(self.position)
        for peer in self.queues:
            self.poll.unregister(self.outboxes[peer])
        self.queues.clear()
        self.timers.clear()
        self.pieces: dict[int, bytes] = {}
        self.ready = []
        self.sequence = self.handled = self.logged = self.depth = self.max_hop = self.epoch = 0
        self.key: Key = (0, ())
        self.down, self.check = b"", 0
        self.last: Message | None = None
        self.body, self.kind = b"", 0
        self.delta_ns = int(self.scenario.delta * 1e9)
        self.node: Node = node_maker(self.scenario)(self.position, 0)
        self.measure_usage()

    def measure_usage(self) -> None:
        """Leave CPU time, peak memory and context switches, all since the process began."""
        usage, words, first = resource.getrusage(resource.RUSAGE_SELF), self.words, self.first
        words[first + shm.CPU] = int((usage.ru_utime + usage.ru_stime) * 1e9)
        words[first + shm.RSS] = usage.ru_maxrss // (1 if sys.platform == "linux" else 1024)
        words[first + shm.SWITCHES] = usage.ru_nvcsw + usage.ru_nivcsw

    def log(
        self, now: int, what: int, peer: int = 0, number: int = 0, value: int = 0, check: int = 0, size: int = 0
    ) -> None:
        """Append a record that is no message."""
        self.write_log(now, what, 0, peer, 0, 0, number, size, value, check, b"")

    def write_log(
        self,
        now: int,
        what: int,
        kind: int,
        peer: int,
        sequence: int,
        depth: int,
        number: int,
        size: int,
        value: int,
        check: int,
        body: bytes,
    ) -> None:
        """Append a record, or count that there was no room."""
        if self.logged == self.log_capacity:
            self.words[self.first + shm.LOG_LOST] += 1
            return
        shm.RECORD.pack_into(
            self.memory.map,
            self.log_start + self.logged * shm.RECORD.size,
            now,
            what,
            kind,
            peer,
            sequence,
            depth,
            number,
            size,
            value,
            check,
            body,
        )
        self.logged += 1
        self.words[self.first + shm.LOGGED] = self.logged

    # -- the loop ----------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Serve until told to stop; never returns while the launcher lives."""
        inbox, monotonic_ns = self.inbox, time.monotonic_ns
        self.words[self.first + shm.ACK] = 1
        while True:
            if self.may_block and not self.timers and not self.queues:
                self.receive(os.read(inbox, wire.READ))
                continue
            timeout = max(0, (min(self.timers.values()) - monotonic_ns()) / 1e6) if self.timers else None
            ready = dict(self.poll.poll(timeout))
            if ready.pop(self.lifeline, 0):
                return
            if ready.pop(inbox, 0):  # before a timer that is due: what it waits for may have arrived
                self.receive(os.read(inbox, wire.READ))
            elif self.timers:
                self.fire(monotonic_ns())
            if ready and self.queues:
                self.flush()

    def fire(self, now: int) -> None:
        """Fire the earliest timer, if it is due."""
        name = min(self.timers, key=self.timers.__getitem__)
        if self.timers[name] > now:
            return
        del self.timers[name]
        self.words[self.first + shm.TIMEOUTS] += 1
        self.log(now, shm.TIMER)
        self.guard(f"the timer {name!r}", lambda: self.node.fire(name), now)
        self.show_busy()

    def flush(self) -> None:
        """Write what was queued for inboxes that were full."""
        for peer in list(self.queues):
            queue = self.queues[peer]
            try:
                while queue:
                    os.write(self.outboxes[peer], queue[0])
                    queue.popleft()
            except BlockingIOError:
                continue
            del self.queues[peer]
            self.poll.unregister(self.outboxes[peer])
        self.show_busy()

    def show_busy(self) -> None:
        """Say whether anything but a message is pending here."""
        if self.ready or self.queues:
            busy = shm.WORKING
        else:
            busy = min(self.timers.values()) if self.timers else shm.IDLE
        self.words[self.first + shm.BUSY] = busy

    def guard(self, event: str, handle: Callable[[], object], now: int) -> None:
        """Run a handler and carry out its effects; if it raises, leave the reason in memory and end the process."""
        try:
            handle()
            self.apply(now)
        except Exception as error:
            self.fail(event, error)

    def fail(self, event: str, error: Exception) -> None:
        """Say what was raised, and end."""
        reason = f"{type(error).__name__}: {error}"
        who = f"{self.scenario.algorithm}: node {self.position} (id {self.scenario.ids[self.position]})"
        self.memory.write_error(self.position, f"{who} raised {reason} at {event}")
        self.words[self.first + shm.BUSY] = shm.FAILED
        os._exit(1)

    def wake(self) -> None:
        """Be an initiator now, if armed to be one and not woken yet."""
        while self.ready:
            self.ready[0]()
            del self.ready[0]
        self.show_busy()

    def start(self) -> None:
        """Run `on_start`."""
        now = time.monotonic_ns()
        self.log(now, shm.START)
        self.guard("on_start", self.node.on_start, now)

    def suspect(self, position: int) -> None:
        """Run `on_suspect`."""
        now = time.monotonic_ns()
        self.log(now, shm.SUSPECTED, position)
        self.guard("on_suspect", lambda: self.node.on_suspect(self.node.port_to(position)), now)

    def receive(self, data: bytes) -> None:
        """Handle every frame of one read."""
        offset, unpack, words, traffic = 0, wire.HEADER.unpack_from, self.words, self.first + shm.TRAFFIC
        while offset < len(data):
            length, flags, kind, generation, source, excluded, sequence, depth, number, port, sent_ns = unpack(
                data, offset
            )
            start, offset = offset + wire.HEADER.size + 2 * excluded, offset + length
            if flags & wire.ORDER:
                self.obey(kind, generation, sequence, number, port)
                continue
            if generation != self.generation:
                continue
            body = data[start:offset]
            if flags & wire.MORE or source in self.pieces:
                body = self.pieces.pop(source, b"") + body
                if flags & wire.MORE:
                    self.pieces[source] = body
                    continue
            if self.ready:
                self.wake()
            if excluded:
                down: tuple[int, ...] = struct.unpack(f"<{excluded}H", data[start - 2 * excluded : start])
            else:
                down = ()
            now = time.monotonic_ns()
            if now - sent_ns > self.max_hop:
                self.max_hop = words[self.first + shm.MAX_HOP] = now - sent_ns
            if depth > self.depth:
                self.depth = depth
            words[self.first + shm.RECEIVED] += 1
            self.write_log(now, shm.RECEIVE, kind, source, sequence, depth, number, len(body), 0, 0, b"")
            try:
                msg = self.decoders[kind](body)
                self.last, self.body, self.kind = msg, body, kind
                if not self.node.deliver(source, port, (number, down), msg):
                    words[self.first + shm.STALE] += 1
                if self.node.effects or self.node.epoch != self.epoch:
                    self.apply(now)
                    self.show_busy()
            except Exception as error:
                self.fail(f"{self.kinds[kind].__name__} from node {source}", error)
            self.handled += 1
            words[traffic] = self.sequence << 32 | self.handled

    def apply(self, now: int) -> None:
        """Carry out the effects of one event, in order."""
        node, words, first = self.node, self.words, self.first
        if node.key is not self.key:
            self.key = node.key
            self.down = struct.pack(f"<{len(node.key[1])}H", *node.key[1])
            self.check = zlib.crc32(self.down)
        if node.epoch != self.epoch:
            self.epoch = node.epoch
            self.log(now, shm.EPOCH, number=node.epoch)
        number, depth = node.key[0], self.depth + 1
        generation, position, down = self.generation, self.position, self.down
        for effect in node.effects:
            if type(effect) is Send:
                msg = effect.msg
                if msg is not self.last:
                    self.last, self.body, self.kind = msg, wire.encode(msg), self.kind_of[type(msg)]
                kind, body = self.kind, self.body
                peer, port = node.links[effect.port]
                self.sequence += 1
                sequence, size = self.sequence, len(body)
                self.write_log(now, shm.SEND, kind, peer, sequence, depth, number, size, 0, 0, body)
                words[first + shm.TRAFFIC] = sequence << 32 | self.handled
                words[first + shm.COUNTS + kind] += 1
                words[first + shm.BYTES + kind] += size
                if depth > words[first + shm.DEPTH]:
                    words[first + shm.DEPTH] = depth
                whole = wire.HEADER.size + len(down) + size
                if whole <= wire.PIPE_BUF:  # nearly always; a list of frames would add a seventh to a burst
                    header = wire.HEADER.pack(
                        whole, 0, kind, generation, position, len(down) // 2, sequence, depth, number, port, now
                    )
                    self.transmit(peer, header + down + body)
                    continue
                for frame in wire.frames(kind, generation, position, down, sequence, depth, number, port, now, body):
                    self.transmit(peer, frame)
            elif type(effect) is Elect:
                self.log(now, shm.ELECT, 0, effect.term or node.epoch, effect.leader, self.check)
                words[first + shm.LEADER] = effect.leader
            elif type(effect) is SetTimer:
                self.timers[effect.name] = now + int(effect.delay * self.delta_ns)
            elif type(effect) is CancelTimer:
                self.timers.pop(effect.name, None)
            elif type(effect) is Save:
                self.memory.write_record(self.position, wire.encode(effect.record))
        node.effects.clear()

    def transmit(self, peer: int, frame: bytes) -> None:
        """Write a frame, or queue it behind others for the same inbox; never block."""
        queue = self.queues.get(peer)
        if queue is None:
            try:
                os.write(self.outboxes[peer], frame)
                return
            except BlockingIOError:
                queue = self.queues[peer] = deque()
                self.poll.register(self.outboxes[peer], select.POLLOUT)
        queue.append(frame)

    def obey(self, kind: int, generation: int, sequence: int, number: int, flags: int) -> None:
        """Carry out an order of the launcher and acknowledge it."""
        if kind == wire.STOP:
            os._exit(0)
        if kind == wire.RESET:
            try:
                self.reset(generation)
            except Exception as error:
                self.fail("its birth", error)
            if flags & wire.INITIATOR:
                self.ready.append(self.start)
            self.show_busy()
        elif generation != self.generation:
            return
        elif kind == wire.WAKE:
            self.wake()
        elif kind == wire.SUSPECT:
            self.node.suspected |= {self.node.port_to(number)}
            if flags & wire.MARK:
                self.depth = self.max_hop = 0
                self.words[self.first + shm.MAX_HOP] = self.words[self.first + shm.DEPTH] = 0
            if flags & wire.INITIATOR or self.node.leader is None:  # who has no leader yet acts whatever the policy
                self.ready.append(lambda: self.suspect(number))
            self.measure_usage()
            self.show_busy()
        elif kind == wire.COLLECT:
            self.measure_usage()
        self.words[self.first + shm.ACK] = sequence
