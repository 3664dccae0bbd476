"""Transport: how the frames of one node leave it, and what the weather and cut links do to them on the way."""

import os
import random
import select
from collections import deque
from heapq import heappop, heappush
from itertools import count

from algorithms.model import Position
from bench.engines.processes import wire
from bench.faults import Plan
from bench.latency import LinkSampler, make_link_sampler

HOLD = 2  # in delta: the longest that a message waits to be overtaken


def is_aside(frames: list[bytes]) -> bool:
    """Whether a message belongs to no election."""
    return bool(frames[0][wire.FLAGS] & wire.ASIDE)


class Transport:
    """The sending side of one node; it never blocks.

    Parameters:
        position: the node's place.
        outboxes: descriptors that write to the inboxes, non-blocking, by position.
        poll: told of inboxes that are full.

    Attributes:
        calm: whether everything leaves at once, once.
        queues: frames that wait until an inbox has room, by position.
        held: messages that the weather keeps back: (due in ns, order, position, frames, whether to be overtaken).
        pending: how many of them are the election's.
        late: by how much (ns) what is sent now leaves late, since something was saved at the same event.
    """

    __slots__ = (
        *("calm", "cut", "delay", "delta", "held", "last", "late", "order", "outboxes", "overtaken", "pending", "plan"),
        *("poll", "position", "queues", "rng", "seed", "stormy", "write"),
    )

    def __init__(self, position: Position, outboxes: list[int], poll: select.poll) -> None:
        self.position, self.outboxes, self.poll = position, outboxes, poll
        self.queues: dict[int, deque[bytes]] = {}
        self.order = count()
        self.reset(Plan(), 0, 0)

    def reset(self, plan: Plan, seed: int, delta: int) -> None:
        """Forget everything; the weather of `plan` is in force once `begin` is called. `delta` is in ns."""
        for peer in self.queues:
            self.poll.unregister(self.outboxes[peer])
        self.queues.clear()
        self.plan, self.seed, self.delta = plan, seed, delta
        self.held: list[tuple[int, int, Position, list[bytes], bool]] = []
        self.pending = self.late = self.write = 0
        self.cut: set[Position] = set()
        self.calm, self.stormy = True, False

    def begin(self) -> None:
        """The weather is in force from now on."""
        weather = self.plan.weather
        self.write = int(weather.write * 1e9)
        self.stormy = bool(weather.loss or weather.duplicate or weather.reorder or weather.delay or weather.write)
        self.calm = not (self.stormy or self.cut)
        if not self.stormy:
            return  # to seed a generator is a fifth of a node's reset
        self.rng = random.Random(f"{self.seed}/weather/{self.position}")
        self.delay: LinkSampler | None = make_link_sampler(weather.delay, 1.0, self.rng) if weather.delay else None
        self.last: dict[Position, int] = {}  # when the last frame on each link is due
        self.overtaken: dict[Position, list[bytes]] = {}

    def cut_off(self, peers: set[Position]) -> None:
        """Nothing reaches `peers` any more; nobody is cut off if there are none."""
        self.cut = peers
        self.calm = not (self.stormy or self.cut)

    def decide(self, peer: Position) -> int:
        """How many copies of the next message to `peer` leave: 0, 1 or 2."""
        if peer in self.cut:
            return 0
        if self.stormy:
            weather = self.plan.weather
            if weather.loss and self.rng.random() < weather.loss:
                return 0
            if weather.duplicate and self.rng.random() < weather.duplicate:
                return 2
        return 1

    def put(self, peer: Position, frames: list[bytes], now: int) -> None:
        """Let the frames of one message leave, when the weather lets them (`now` in ns)."""
        if not self.stormy:
            for frame in frames:
                self.transmit(peer, frame)
            return
        self.pending += not is_aside(frames)
        due = now + self.late + (self.delay(self.position, peer) if self.delay is not None else 0)
        due = self.last[peer] = max(self.last.get(peer, 0), due)
        overtaken = self.overtaken.pop(peer, None)
        if overtaken is None and self.plan.weather.reorder and self.rng.random() < self.plan.weather.reorder:
            self.overtaken[peer] = frames
            heappush(self.held, (now + HOLD * self.delta, next(self.order), peer, frames, True))
            return
        heappush(self.held, (due, next(self.order), peer, frames, False))
        if overtaken is not None:
            heappush(self.held, (due, next(self.order), peer, overtaken, False))
        self.release(now)

    def release(self, now: int) -> None:
        """Let go of what is due."""
        while self.held and self.held[0][0] <= now:
            _, _, peer, frames, waits = heappop(self.held)
            if waits and self.overtaken.get(peer) is not frames:
                continue  # it was overtaken, and left then
            if waits:
                del self.overtaken[peer]
            self.pending -= not is_aside(frames)
            for frame in frames:
                self.transmit(peer, frame)

    def transmit(self, peer: int, frame: bytes) -> None:
        """Write a frame, or queue it behind others for the same inbox."""
        queue = self.queues.get(peer)
        if queue is None:
            try:
                os.write(self.outboxes[peer], frame)
                return
            except BlockingIOError:
                queue = self.queues[peer] = deque()
                self.poll.register(self.outboxes[peer], select.POLLOUT)
        queue.append(frame)

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
