"""Calm: the loop of an election that nothing disturbs, in which what a node sends leaves while it sends it.

Elsewhere nodes record what they do, and the engine does it once they are done: one of them may die between two sends, or
be watched. Here nobody is, so that `send` itself can do it: no record of each message, no list of them and no second pass
over it. An election takes 0.8 of the time that it takes by records (Chang-Roberts, n = 10,000), and comes out the same.
"""

from collections.abc import Callable, MutableSequence, Sequence
from functools import cache
from heapq import heappop, heappush, heapreplace
from math import floor
from typing import TYPE_CHECKING, Any, cast

import msgspec

from algorithms.model import NEXT, PREVIOUS, Elect, Key, Message, Node, Port, Position
from bench.engines.adversity import Event
from bench.scenario import find_algorithm

if TYPE_CHECKING:
    from bench.engines.simulate import Simulation

encode = msgspec.msgpack.Encoder().encode


def _make_loop() -> tuple[Callable[[Node, Port, Message], None], Callable[["Simulation", int], bool]]:
    """`send` and the loop that it belongs to: they share their names, of which there is one set in a process."""
    heap: list[Event] = []
    after: Sequence[Position] | None = None
    arrivals: MutableSequence[int] | dict[int, int] = {}
    sent_by: list[int] = []
    draws: dict[Position, dict[Message, int]] = {}
    tallies: Any = {}
    uniform: Callable[[], float]
    delay: Callable[[], int]
    put: Callable[[list[Event], Event], object] = heappush
    bound, drawn, common = 0.0, None, cast(Key, None)
    n = now = target = depth = order = max_hop = 0
    msg: Any = None
    tally: Any = None

    def send(self: Node, port: Port, new: Message) -> None:
        """Send `new` from the node that handles an event."""
        nonlocal msg, tally, order, max_hop, put
        if after is not None:  # its links are three cold objects: read at n = 10,000 1.03-1.09
            peer = after[target]
            back: Port = PREVIOUS
            link = target
        else:
            peer, back = self.links[port]
            link = target * n + peer
        if new is not msg:  # one passed on keeps its tally: encoding it again 1.09-1.12
            msg = new
            kind = type(new)
            tally = tallies[kind, len(encode(new))]
            if kind is drawn and (value := getattr(new, "value")) is not None:  # noqa: B009
                draws.setdefault(target, {})[new] = value
        tally[0] += 1
        sent_by[target] += 1
        hop = floor(uniform() * bound) + 1 if bound else delay()  # always by the call 1.02
        time = now + hop
        if time < arrivals[link]:
            time = arrivals[link]
            hop = time - now
        arrivals[link] = time
        if hop > max_hop:  # at the arrival 1.01
            max_hop = hop
        order += 1
        put(heap, (time, order, peer, target, back, common, depth, new, tally, now))
        put = heappush

    def run_until(simulation: "Simulation", limit: int) -> bool:
        """Handle all events up to the time `limit`; returns whether none is left."""
        nonlocal heap, after, arrivals, sent_by, draws, tallies, uniform, delay, put, bound, drawn, common
        nonlocal n, now, target, depth, order, max_hop, msg, tally
        heap, after, arrivals, sent_by = simulation.heap, simulation.after, simulation.arrivals, simulation.sent_by
        draws, tallies, drawn, common = simulation.draws, simulation.tallies, simulation.drawn, simulation.common
        uniform, delay, bound, n = simulation.network.random, simulation.delay, simulation.bound, simulation.scenario.n
        order, max_hop = simulation.order, simulation.max_hop
        nodes, depths, epochs, monitor = simulation.nodes, simulation.depths, simulation.epochs, simulation.monitor
        received, lost, at = simulation.received, simulation.lost, simulation.now
        effects = simulation.effects
        try:
            while heap:
                now, mark, target, source, port, _, depth, msg, tally, sent = heap[0]
                if now > limit:
                    break
                put = heapreplace  # the first send takes the place of the event, still the least: else 1.01-1.04
                node = nodes[target]
                if depth > depths[target]:  # of the dead, too: what they lost counts as deep
                    depths[target] = depth
                    depth += 1
                else:
                    depth = depths[target] + 1
                if source >= 0:
                    at = now
                    if node is None:
                        lost += 1
                        if now - sent > max_hop:  # an answer that would have come too late is one that did
                            max_hop = now - sent
                        heappop(heap)
                        continue
                    received += 1
                    tally[1](node, port, msg)  # what its `deliver` would do: by the call 1.04
                elif node is not None and simulation.happen(now, mark, node, target, source, port):
                    at = now
                else:
                    heappop(heap)
                    continue  # a timer that was withdrawn; time has not come this far
                if node.epoch != epochs[target]:
                    epochs[target] = node.epoch
                    monitor.enter(now, target, node.epoch)
                if effects:
                    for effect in effects:
                        if type(effect) is Elect:
                            monitor.elect(now, target, effect.leader, effect.term or node.epoch, common[1])
                        else:
                            simulation.order = order
                            simulation.carry_out(now, node, target, effect)
                            order = simulation.order
                    effects.clear()
                if put is heapreplace:
                    heappop(heap)
            return not heap
        finally:
            simulation.received, simulation.lost, simulation.now = received, lost, at
            simulation.deepest = max(max(depths), max((event[6] for event in heap), default=0))  # by every send 1.01
            simulation.max_hop, simulation.order = max_hop, order
            heap, after, arrivals, sent_by, draws, tallies, msg, tally = [], None, {}, [], {}, {}, None, None

    return send, run_until


_send, run_until = _make_loop()


def _broadcast(self: Node, msg: Message) -> None:
    for port in self.ports:
        _send(self, port, msg)


def _pass_on(self: Node, port: Port, msg: Message) -> None:
    _send(self, PREVIOUS if port == NEXT else NEXT, msg)


@cache
def wire(algorithm: str) -> type[Node] | None:
    """The page of an algorithm with sends that leave at once; None if it sends or receives in a way of its own."""
    page = find_algorithm(algorithm)
    ways = {"send": _send, "broadcast": _broadcast, "pass_on": _pass_on}
    if any(getattr(page, name) is not getattr(Node, name) for name in (*ways, "deliver")):
        return None
    return type(page.__name__, (page,), {**ways, "__slots__": (), "__module__": page.__module__})
