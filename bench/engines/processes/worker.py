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
from collections.abc import Callable, Sequence
from functools import cache
from operator import indexOf
from typing import NamedTuple

import msgspec

from algorithms.model import CancelTimer, Elect, Key, Message, Node, Position, Save, Send, SetTimer
from algorithms.reelection import Newer, Reelection
from bench.blame import blame
from bench.detector import Heartbeat, HeartbeatDetector, Reaction
from bench.engines.processes import memory as shm
from bench.engines.processes import wire
from bench.engines.processes.memory import Memory
from bench.engines.processes.transport import Transport
from bench.faults import CUTS, NOBODY, cut_links
from bench.observe import FOREVER, classify, kinds_of
from bench.scenario import choose_initiators, find_algorithm, node_maker

PR_SET_PDEATHSIG = 1
FD_SETSIZE = 1024  # select takes no descriptor from here on
_libc = ctypes.CDLL(None)  # loaded once, before the forks: a seventh of a start
pack_header, unpack_header = wire.HEADER.pack, wire.HEADER.unpack_from
pack_record, pack_sent, pack_received = shm.RECORD.pack_into, shm.SEND_RECORD.pack_into, shm.RECEIVE_RECORD.pack_into
RECORD_SIZE, HEADER_SIZE, PIPE_BUF = shm.RECORD.size, wire.HEADER.size, wire.PIPE_BUF
MORE, ORDER, ASIDE = wire.MORE, wire.ORDER, wire.ASIDE
SENT = 1 << 32  # a message sent, in the word of traffic; one handled is 1
SEND, RECEIVE, ELECT, LEADER = shm.SEND, shm.RECEIVE, shm.ELECT, shm.LEADER
TRAFFIC, COUNTS, KINDS, DEPTH = shm.TRAFFIC, shm.COUNTS, shm.KINDS, shm.DEPTH
monotonic_ns = time.monotonic_ns


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


class Codec(NamedTuple):
    """The kinds of message of an algorithm by number, their numbers, what decodes each, and which belong to no election."""

    kinds: list[type[Message]]
    kind_of: dict[type[Message], int]
    decoders: Sequence[Callable[[bytes], Message]]
    aside_kinds: frozenset[int]


@cache
def codec(algorithm: str) -> Codec:
    """The codec of an algorithm.

    Made before the forks: in each node again it took as long as the fork, and an eighth of a node's own memory.
    """
    kinds = kinds_of(find_algorithm(algorithm))
    aside = frozenset(i for i, kind in enumerate(kinds) if classify(kind) == "detector")
    decoders = [msgspec.msgpack.Decoder(kind).decode for kind in kinds]
    return Codec(kinds, {kind: i for i, kind in enumerate(kinds)}, decoders, aside)


class Worker:
    """One node process.

    Parameters:
        position: its place.
        inbox: descriptor of its inbox, blocking.
        outboxes: descriptors that write to the inboxes, non-blocking, by position.
        memory: the cluster's.
        lifeline: descriptor that reports end-of-file when the launcher is gone.
        launcher: process id of the launcher.
        claim: descriptor, non-blocking, from which one node can read one byte: it alone may kill itself in an ambush.
    """

    __slots__ = (  # a class shares keys for 30 attributes at most: without slots a hop takes 1.04
        *("after", "ambushed", "aside_kinds", "body", "changed", "check", "claim", "decoders", "deepest"),
        *("delta_ns", "depth", "detector", "down", "epoch", "first", "first_of_detector", "generation"),
        *("hushed", "inbox", "incarnation", "key", "kind", "kind_of", "kinds", "last", "launcher", "lifeline"),
        *("log_end", "log_next", "log_start", "logging", "map", "max_hop", "may_block", "memory", "node"),
        *("pieces", "plan", "poll", "position", "ready", "scenario", "sequence", "slow", "timers", "times"),
        *("traffic", "transport", "words"),
    )

    def __init__(
        self, position: int, inbox: int, outboxes: list[int], memory: Memory, lifeline: int, launcher: int, claim: int
    ) -> None:
        self.position, self.inbox, self.memory, self.claim = position, inbox, memory, claim
        self.words, self.first = memory.words, memory.word(position)
        self.map, self.log_start, self.logging = memory.map, memory.log_offset(position), memory.capacity > 0
        self.log_end = self.log_start + memory.capacity * RECORD_SIZE
        self.generation = -1
        self.sequence = self.traffic = 0
        self.timers: dict[str, int] = {}
        self.ready: list[Callable[[], None]] = []
        self.launcher = launcher
        self.may_block = die_with_parent(launcher)
        self.poll = select.poll()
        self.poll.register(inbox, select.POLLIN)
        self.lifeline = lifeline
        self.poll.register(lifeline, select.POLLIN)
        self.transport = Transport(position, outboxes, self.poll)
        self.detector: HeartbeatDetector | None = None

    # -- a trial -----------------------------------------------------------------------------------------------------

    def reset(self, generation: int, incarnation: int = 0) -> None:
        """Forget everything and be the node of the scenario that the launcher left in memory.

        A later `incarnation` goes on counting where the one before was killed, by its log, and remembers what it saved.
        """
        self.generation, self.incarnation = generation, incarnation
        self.scenario = self.memory.read_scenario()
        self.kinds, self.kind_of, self.decoders, self.aside_kinds = codec(self.scenario.algorithm)
        self.first_of_detector = len(self.kinds) - 2
        if not incarnation:
            self.memory.clear(self.position)
        self.timers.clear()
        self.pieces: dict[int, bytes] = {}
        self.ready = []
        self.sequence = self.traffic = self.depth = self.deepest = self.max_hop = self.epoch = 0
        self.log_next = self.log_start
        self.key: Key = (0, ())
        self.down, self.check = b"", 0
        self.last: Message | None = None
        self.body, self.kind = b"", 0
        self.delta_ns = int(self.scenario.delta * 1e9)
        self.plan, self.times, self.slow = self.scenario.plan, self.scenario.times, 0.0
        self.ambushed, self.after = 0, False  # sends until this node kills itself, if it lies in an ambush
        self.transport.reset(self.plan, self.scenario.seed, self.delta_ns)
        self.node: Node = node_maker(self.scenario, self.scenario.steady)(self.position, incarnation)
        self.detector, self.hushed = None, False
        if incarnation:
            self.continue_counting()
        self.measure_usage()

    def continue_counting(self) -> None:
        """Take over what an incarnation of this node that was killed had counted and logged."""
        words, first = self.words, self.first
        self.max_hop, self.deepest = words[first + shm.MAX_HOP], words[first + shm.DEPTH]
        words[first + shm.BUSY] = words[first + shm.LEADER] = words[first + shm.SUSPECTS] = 0
        for record in shm.read_records(self.memory.read_log(self.position)):
            self.log_next += RECORD_SIZE
            aside = record.kind in self.aside_kinds
            if record.what == shm.SEND:
                self.sequence = record.sequence
                self.traffic += SENT * (not aside)
            elif record.what == shm.DROP:
                self.traffic -= SENT * (not aside)
            elif record.what == shm.DUPLICATE:
                self.traffic += SENT * (not aside)
            elif record.what == shm.RECEIVE:
                self.traffic += not aside
        words[first + shm.TRAFFIC] = self.traffic

    def begin(self) -> None:
        """The measured interval begins."""
        self.depth = self.deepest = self.max_hop = 0
        self.words[self.first + shm.MAX_HOP] = self.words[self.first + shm.DEPTH] = 0
        self.slow = self.plan.weather.slow.get(self.position, 0.0)
        self.transport.begin()
        ambush = self.plan.ambush
        if ambush is not None and ambush.position in (NOBODY, self.position):
            self.ambushed, self.after = ambush.nth, ambush.after
        self.measure_usage()

    def measure_usage(self) -> None:
        """Leave CPU time, peak memory and context switches, all since the process began."""
        usage, words, first = resource.getrusage(resource.RUSAGE_SELF), self.words, self.first
        words[first + shm.CPU] = int((usage.ru_utime + usage.ru_stime) * 1e9)
        words[first + shm.RSS] = usage.ru_maxrss // (1 if sys.platform == "linux" else 1024)
        words[first + shm.SWITCHES] = usage.ru_nvcsw + usage.ru_nivcsw

    def log(
        self,
        now: int,
        what: int,
        peer: Position = 0,
        kind: int = 0,
        sequence: int = 0,
        number: int = 0,
        value: int = 0,
        check: int = 0,
        body: bytes = b"",
    ) -> None:
        """Append a record, or count that there was no room.

        Messages are logged where they are sent and received, in the same way: to call for it takes 3 % of a hop.
        """
        at = self.log_next
        if at < self.log_end:
            pack_record(self.map, at, what, peer, 0, kind, sequence, 0, number, value, check, body, now)
            self.log_next = at + RECORD_SIZE
        elif self.logging:
            self.words[self.first + shm.LOG_LOST] += 1

    # -- the loop ----------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Serve until told to stop; never returns while the launcher lives."""
        inbox, monotonic_ns, transport = self.inbox, time.monotonic_ns, self.transport
        waits = [inbox, self.lifeline]
        exact = max(waits) < FD_SETSIZE  # select waits for less than a millisecond, which poll rounds up
        self.words[self.first + shm.ACK] = 1
        while True:
            if (
                self.may_block
                and not self.timers
                and not transport.queues
                and self.detector is None
                and not transport.held
            ):
                self.receive(os.read(inbox, wire.READ))
                continue
            due = [*self.timers.values(), *(held[0] for held in transport.held[:1])]
            if self.detector is not None:
                due.append(self.detector.due)
            timeout = max(0, (min(due) - monotonic_ns()) / 1e6) if due else None
            if timeout is not None and exact:
                if 0 < timeout < 1:
                    select.select(waits, [], [], timeout / 1e3)
                timeout = int(timeout)
            ready = dict(self.poll.poll(timeout))
            if ready.pop(self.lifeline, 0):
                return
            if ready.pop(inbox, 0):  # before a timer that is due: what it waits for may have arrived
                self.receive(os.read(inbox, wire.READ))
            elif self.timers:
                self.fire(monotonic_ns())
            if self.detector is not None and self.detector.due <= monotonic_ns():
                self.beat(monotonic_ns())
            if transport.held:
                transport.release(monotonic_ns())
                self.show_busy()
            if ready and transport.queues:
                transport.flush()
                self.show_busy()

    def fire(self, now: int) -> None:
        """Fire the earliest timer, if it is due."""
        name = min(self.timers, key=self.timers.__getitem__)
        if self.timers[name] > now:
            return
        del self.timers[name]
        self.words[self.first + shm.TIMEOUTS] += 1
        self.log(now, shm.TIMER, body=name.encode())
        self.guard(f"the timer {name!r}", lambda: self.node.fire(name), now)
        self.show_busy()

    def show_busy(self) -> None:
        """Say whether anything but a message is pending here."""
        if self.ready or self.transport.queues or self.transport.pending:
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
        self.memory.write_error(self.position, blame(self.scenario, self.position, event, error))
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

    def trust(self, position: int) -> None:
        """Run `on_trust`."""
        now = time.monotonic_ns()
        self.node.suspected -= {self.node.port_to(position)}
        self.log(now, shm.TRUSTED, position)
        self.guard("on_trust", lambda: self.node.on_trust(self.node.port_to(position)), now)

    def recover(self) -> None:
        """Run `on_recover` with what was saved."""
        record, kind = self.memory.read_record(self.position), self.node.record
        saved = msgspec.msgpack.decode(record, type=kind) if record and kind is not None else None
        self.guard("on_recover", lambda: self.node.on_recover(saved), time.monotonic_ns())

    # -- the heartbeat detector --------------------------------------------------------------------------------------

    def watch(self) -> None:
        """Begin to send heartbeats and to look for those of others."""
        if self.times is not None and self.detector is None:
            n, now = self.scenario.n, time.monotonic_ns()
            period, timeout = int(self.times.period * 1e9), int(self.times.timeout * 1e9)
            suspected = {position for position in range(n) if position in self.scenario.dead}
            back = self.incarnation > 0
            self.changed = now
            self.detector = HeartbeatDetector(self.position, n, suspected, period, timeout, now, back)
            self.show_suspects()

    def beat(self, now: int) -> None:
        """A period of the detector is over."""
        assert self.detector is not None
        ids, leader = self.scenario.ids, self.node.leader
        position = indexOf(ids, leader) if leader is not None else None
        title = ids[self.position] if position == self.position else 0
        self.react(self.detector.tick(now, position, title), now)
        if position in self.detector.suspected and now - self.changed > self.detector.timeout:
            self.changed = now
            self.suspect(position)  # whoever was to act on it did not
            self.show_busy()

    def react(self, reaction: Reaction, now: int) -> None:
        """Do what the detector says: tell the node, then the others."""
        for position in reaction.trusts:
            self.trust(position)
        for position in reaction.suspects:
            self.node.suspected |= {self.node.port_to(position)}
            if self.acts(position):
                self.suspect(position)
            else:
                self.log(now, shm.SUSPECTED, position)
        for target, msg in reaction.sends:
            self.dispatch(target, self.kind_of[type(msg)], wire.encode(msg), ~self.position, 0, now)
        if reaction.trusts or reaction.suspects:
            self.changed = now
            self.show_suspects()
            self.show_busy()

    def acts(self, position: Position) -> bool:
        """Whether this node acts on its suspicion of the node at `position`: by the scenario's initiators."""
        if self.scenario.initiators == "all" or self.node.leader is None:
            return True
        assert self.detector is not None
        live = tuple(other for other in range(self.scenario.n) if other not in self.detector.suspected)
        return self.position in choose_initiators(self.scenario.initiators, live, self.scenario.seed, position)

    def show_suspects(self) -> None:
        """Leave a checksum of whom the detector suspects."""
        assert self.detector is not None
        suspected = sorted(self.detector.suspected)
        self.words[self.first + shm.SUSPECTS] = zlib.crc32(struct.pack(f"<{len(suspected)}H", *suspected))

    def hear(self, source: Position, kind: int, key: Key, body: bytes, now: int) -> None:
        """A message of the detector arrives."""
        if self.detector is None:
            return
        msg = self.decoders[kind](body)
        self.react(self.detector.hear(source, msg, now), now)
        if isinstance(msg, Heartbeat) and msg.leader and isinstance(self.node, Reelection):
            self.guard("a heartbeat", lambda: self.node.deliver(source, ~source, key, Newer(msg.leader)), now)
            self.show_busy()

    def receive(self, data: bytes) -> None:
        """Handle every frame of one read."""
        offset, end, words = 0, len(data), self.words
        traffic, received = self.first + shm.TRAFFIC, self.first + shm.RECEIVED
        while offset < end:
            length, flags, kind, generation, source, excluded, sequence, depth, number, port, sent_ns = unpack_header(
                data, offset
            )
            start, offset = offset + HEADER_SIZE, offset + length
            end_of_body = offset - 2 * excluded
            if flags & ORDER:
                words[traffic] = self.traffic
                self.obey(kind, generation, sequence, number, port)
                continue
            if generation != self.generation:
                continue
            body = data[start:end_of_body]
            if flags & MORE or source in self.pieces:
                body = self.pieces.pop(source, b"") + body
                if flags & MORE:
                    self.pieces[source] = body
                    continue
            if self.ready:
                self.wake()
            if excluded:
                down: tuple[int, ...] = struct.unpack(f"<{excluded}H", data[end_of_body:offset])
            else:
                down = ()
            if self.slow:
                time.sleep(self.slow)
            now = monotonic_ns()
            if now - sent_ns > self.max_hop:
                self.max_hop = words[self.first + shm.MAX_HOP] = now - sent_ns
            if depth > self.depth:
                self.depth = depth
            words[received] += 1
            at = self.log_next
            if at < self.log_end:
                pack_received(self.map, at, RECEIVE, source, kind, sequence, number, now)
                self.log_next = at + RECORD_SIZE
            elif self.logging:
                words[self.first + shm.LOG_LOST] += 1
            if self.hushed:
                continue
            if kind >= self.first_of_detector:
                self.hear(source, kind, (number, down), body, now)
                continue
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
            if not flags:
                self.traffic += 1
        words[traffic] = self.traffic  # late is safe: what is handled seems in flight

    def apply(self, now: int) -> None:
        """Carry out the effects of one event, in order."""
        node, words, first = self.node, self.words, self.first
        if node.key is not self.key:
            self.key = node.key
            self.down = struct.pack(f"<{len(node.key[1])}H", *node.key[1])
            self.check = zlib.crc32(self.down)
        if node.epoch != self.epoch:
            self.epoch = node.epoch
            words[first + shm.LEADER] = 0
            self.log(now, shm.EPOCH, number=node.epoch)
        depth = self.depth + 1
        for effect in node.effects:
            if type(effect) is Send:
                msg = effect.msg
                if msg is not self.last:
                    self.last, self.body, self.kind = msg, wire.encode(msg), self.kind_of[type(msg)]
                peer, port = node.links[effect.port]
                doomed = self.ambushed and self.springs()
                if doomed and not self.after:
                    self.die()
                self.dispatch(peer, self.kind, self.body, port, 0 if self.kind in self.aside_kinds else depth, now)
                if doomed:
                    self.die()
            elif type(effect) is Elect:
                leader, term = effect.leader, effect.term or node.epoch
                self.log(now, ELECT, number=term, value=leader, check=self.check)
                words[first + LEADER] = leader
            elif type(effect) is SetTimer:
                self.timers[effect.name] = now + int(effect.delay * self.delta_ns)
            elif type(effect) is CancelTimer:
                self.timers.pop(effect.name, None)
            elif type(effect) is Save:
                self.memory.write_record(self.position, wire.encode(effect.record))
                self.transport.late = self.transport.write
        self.transport.late = 0
        node.effects.clear()

    def dispatch(self, peer: Position, kind: int, body: bytes, port: int, depth: int, now: int) -> None:
        """Send a message: log record, words, pipe, in that order. One of depth 0 belongs to no election."""
        words, first, down, number, transport = self.words, self.first, self.down, self.key[0], self.transport
        self.sequence = sequence = self.sequence + 1
        size, excluded, flags = len(body), len(down), 0 if depth else ASIDE
        copies = 1 if transport.calm else transport.decide(peer)
        whole = HEADER_SIZE + size + excluded
        if whole <= PIPE_BUF:  # nearly always; a list of frames would add a seventh to a burst
            frame = pack_header(
                whole, flags, kind, self.generation, self.position, excluded // 2, sequence, depth, number, port, now
            )
            frame += body + down
        else:
            frames = wire.frames(kind, self.generation, self.position, down, sequence, depth, number, port, now, body)
            frame = frames[0]
        at = self.log_next
        if at < self.log_end:
            pack_sent(self.map, at, SEND, peer, size, frame, now)
            self.log_next = at + RECORD_SIZE
        elif self.logging:
            words[first + shm.LOG_LOST] += 1
        if copies != 1:
            what, word = (shm.DUPLICATE, shm.DUPLICATED) if copies else (shm.DROP, shm.DROPPED)
            self.log(now, what, peer, kind, sequence, number)
            words[first + word] += 1
        if depth:
            self.traffic += SENT if copies == 1 else SENT * copies
            words[first + TRAFFIC] = self.traffic
            if depth > self.deepest:
                self.deepest = words[first + DEPTH] = depth
        kind_word = first + COUNTS + kind
        words[kind_word] += 1
        words[kind_word + KINDS] += size
        if whole <= PIPE_BUF:
            if transport.calm:
                transport.transmit(peer, frame)
                return
            frames = [frame]
        for _ in range(copies):
            transport.put(peer, frames, now)

    def springs(self) -> bool:
        """Whether the next send is the one at which this process shall kill itself."""
        ambush = self.plan.ambush
        assert ambush is not None
        if self.kinds[self.kind].__name__ != ambush.kind:
            return False
        self.ambushed -= 1
        if self.ambushed or ambush.position != NOBODY:
            return not self.ambushed
        try:
            return bool(os.read(self.claim, 1))
        except BlockingIOError:  # another got there first
            return False

    def die(self) -> None:
        """Kill this process."""
        self.log(monotonic_ns(), shm.AMBUSHED)  # later than what it did in this event
        os.kill(os.getpid(), signal.SIGKILL)

    def obey(self, kind: int, generation: int, sequence: int, number: int, flags: int) -> None:
        """Carry out an order of the launcher and acknowledge it."""
        if kind == wire.RESET:
            try:
                self.reset(generation, number if flags & wire.RECOVERS else 0)
                if flags & wire.BEGINS:
                    self.begin()
            except Exception as error:
                self.fail("its birth", error)
            if flags & wire.INITIATOR:
                self.ready.append(self.recover if flags & wire.RECOVERS else self.start)
            self.show_busy()
        elif generation != self.generation:
            return
        elif kind == wire.WAKE:
            self.wake()
            self.watch()
        elif kind == wire.BEGIN:
            self.begin()
        elif kind == wire.SUSPECT:
            self.node.suspected |= {self.node.port_to(number)}
            if flags & wire.RECOVERS:
                pass
            elif flags & wire.INITIATOR or self.node.leader is None:  # who has no leader yet acts whatever the policy
                self.ready.append(lambda: self.suspect(number))
            self.show_busy()
        elif kind == wire.TRUST:
            self.trust(number)
            self.show_busy()
        elif kind == wire.CUT:
            live = [position for position in range(self.scenario.n) if position not in self.scenario.dead]
            cut = cut_links(CUTS[flags], live, number)
            mine = {target for source, target in cut if source == self.position}
            self.transport.cut_off(mine)
            self.log(monotonic_ns(), shm.CUT_OFF, value=len(mine))
        elif kind == wire.HEAL:
            self.transport.cut_off(set())
        elif kind == wire.HUSH:
            self.detector, self.hushed = None, True
            self.timers.clear()
            self.transport.release(FOREVER)
        elif kind == wire.COLLECT:
            self.measure_usage()
        self.words[self.first + shm.ACK] = sequence
