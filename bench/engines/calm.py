"""Calm: the loop of an election that nothing disturbs, in which what a node sends leaves while it sends it.

Elsewhere nodes record what they do, and the engine does it once they are done: one of them may die between two sends, or
be watched. Here nobody is, so that `send` itself can do it: no record of each message, no list of them and no second pass
over it. What the engine keeps of a node is kept on the node, and an event holds the node itself: at a million nodes time is
spent waiting for memory. All comes out the same.

Where many nodes send at once, the heap holds only what is due soon: every step down a heap of a million is another line of
memory that no cache has. The rest waits, in no order, in slices of time.

Where noted, what a plainer way cost, measured in the loop of `simulate` before this one was made (Chang-Roberts, n of 1,000
to 10,000).
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from heapq import heapify, heappop, heappush, heapreplace
from math import floor
from typing import Any

from algorithms.model import NEXT, PREVIOUS, Elect, Message, Node, Port, Position, SetTimer
from bench.blame import PageError, bear, blame
from bench.engines.adversity import TIMER
from bench.engines.simulation import Simulation, encode, name_event
from bench.observe import Execution
from bench.scenario import Scenario, find_algorithm, node_maker

CROWD = 50_000  # nodes from which on what is not due soon waits in slices
SLICES = 1000  # in the longest hop
FEW = 10  # events of a slice: from then on the heap holds all
COMMON = 1 << 16  # depths that many nodes have are one object each, which some cache holds: else 1.05 at a million
NEVER = 1 << 62  # ns

# time, order, target (None if dead), port (of a timer its name), depth, message (None if it is a timer), tally
Event = tuple[int, int, Any, Any, int, Message | None, Any]

# what the engine keeps on a node: its next neighbour, where all have but one; the last arrival that is to come from the one
# before, if any is; the depth that it has reached; the election that it was last seen in; how many messages it sent
KEPT = ("_after", "_arrival", "_depth", "_entered", "_position", "_sent")


def _make_loop() -> tuple[Callable[[Node, Port, Message], None], Callable[["Calm", int], bool]]:
    """`send` and the loop that it belongs to: they share their names, of which there is one set in a process."""
    heap: list[Event] = []
    later: defaultdict[int, list[Event]] = defaultdict(list)
    width = edge = limit = NEVER  # of a slice; where those begin that wait; until when
    stop = NEVER  # before which all is in the heap, and to be handled
    nodes: list[Any] = []
    arrivals: dict[int, int] = {}
    draws: dict[Position, dict[Message, int]] = {}
    tallies: Any = {}
    uniform: Callable[[], float]
    delay: Callable[[], int]
    put: Callable[[list[Event], Event], object] = heappush
    bound, drawn, ring = 0.0, None, False
    n = now = depth = order = max_hop = 0
    msg: Any = None
    tally: Any = None

    def send(self: Any, port: Port, new: Message) -> None:
        """Send `new` from the node that handles an event."""
        nonlocal msg, tally, order, max_hop, put
        if new is not msg:  # one passed on keeps its tally: encoding it again 1.09-1.12
            msg = new
            kind = type(new)
            tally = tallies[kind, len(encode(new))]
            if kind is drawn and (value := getattr(new, "value")) is not None:  # noqa: B009
                draws.setdefault(self._position, {})[new] = value
        hop = floor(uniform() * bound) + 1 if bound else delay()  # always by the call 1.02
        time = now + hop
        if ring:  # its links are three cold objects: read at n = 10,000 1.03-1.09
            if port != NEXT:
                raise KeyError(port)
            peer = self._after
            back: Port = PREVIOUS
            if (last := peer._arrival) is not None and time < last:
                time = last
                hop = time - now
            peer._arrival = time
        else:
            there, back = self.links[port]
            peer = nodes[there]
            link = self._position * n + there
            if time < arrivals[link]:
                time = arrivals[link]
                hop = time - now
            arrivals[link] = time
        tally[0] += 1
        self._sent += 1
        if hop > max_hop:
            max_hop = hop
        order += 1
        if time < edge:
            put(heap, (time, order, peer, back, depth, new, tally))
            put = heappush
        else:
            later[time // width].append((time, order, peer, back, depth, new, tally))

    def let_in() -> None:
        """Move the next slice into the heap; all that waits, once it is little."""
        nonlocal edge, stop
        due = edge // width if later else heap[0][0] // width  # nothing waits: it is a timer's turn
        while later and due not in later:
            due += 1
        heap.extend(later.pop(due, ()))
        edge = (due + 1) * width
        if len(heap) < FEW:
            edge = NEVER
            let_all_in()
        heapify(heap)
        stop = min(edge, limit + 1)

    def let_all_in() -> None:
        while later:
            heap.extend(later.popitem()[1])
        heapify(heap)

    def run_until(simulation: "Calm", until: int) -> bool:
        """Handle all events up to the time `until`; returns whether none is left."""
        nonlocal heap, width, edge, limit, stop, nodes, arrivals, draws, tallies, uniform, delay, put, bound, drawn
        nonlocal ring, n, now, depth, order, max_hop, msg, tally
        heap, nodes, arrivals, ring = simulation.heap, simulation.nodes, simulation.arrivals, simulation.ring
        draws, tallies, drawn, effects = simulation.draws, simulation.tallies, simulation.drawn, simulation.effects
        uniform, delay, bound, n = simulation.network.random, simulation.delay, simulation.bound, simulation.scenario.n
        order, max_hop, deepest, at = simulation.order, simulation.max_hop, simulation.deepest, simulation.now
        received, lost, monitor = simulation.received, simulation.lost, simulation.monitor
        deeper: list[int] = []
        if n >= CROWD and bound:
            width = edge = -(-int(bound) // SLICES)
            deeper = list(range(1, COMMON + 1))
        known = len(deeper)
        limit, stop = until, min(edge, until + 1)

        def act(node: Any) -> None:
            """Carry out what is no message of all that a node did at an event."""
            nonlocal order
            for effect in effects:
                if type(effect) is Elect:
                    monitor.elect(now, node._position, effect.leader, effect.term or node.epoch, node.key[1])
                elif type(effect) is SetTimer:
                    simulation.order = order
                    due, mark = simulation.arm(now, node._position, effect)
                    order = simulation.order
                    heappush(heap, (due, mark, node, effect.name, 0, None, None))
                else:
                    simulation.carry_out(now, node, node._position, effect)
            effects.clear()

        try:
            now, depth, put, event = at, 1, heappush, None
            for node in simulation.waking:  # as events, which sink through the heap and rise again, 1.06 of this loop
                monitor.wake(now)
                node.on_start()
                node._entered = node.epoch
                monitor.enter(now, node._position, node.epoch)
                if effects:
                    act(node)
            simulation.waking = ()
            while heap or later:
                if not heap:
                    let_in()
                now, mark, node, port, depth, msg, tally = event = heap[0]
                if now >= stop:
                    if now > limit:
                        break
                    let_in()
                    continue
                put = heapreplace  # the first send takes the place of the event, still the least: else 1.01-1.04
                if node is None:
                    lost += 1
                    if depth > deepest:
                        deepest = depth
                    at = now
                    heappop(heap)
                    continue
                if node._arrival is now:  # the last on its way; kept on it is in no cache when it is read next: 1.09
                    node._arrival = None
                if depth > node._depth:
                    node._depth = depth
                else:
                    depth = node._depth
                depth = deeper[depth] if depth < known else depth + 1
                if msg is not None:
                    received += 1
                    tally[1](node, port, msg)  # what its `deliver` would do: by the call 1.04
                elif not simulation.happen(now, mark, node, node._position, TIMER, port):
                    heappop(heap)
                    continue  # a timer that was withdrawn; time has not come this far
                at = now
                if node.epoch != node._entered:
                    node._entered = node.epoch
                    monitor.enter(now, node._position, node.epoch)
                if effects:
                    act(node)
                if put is heapreplace:
                    heappop(heap)
            return not heap
        except Exception as error:
            what = "on_start"
            if event is not None:
                if heap and heap[0] is event:
                    heappop(heap)
                what = simulation.name(event)
            raise PageError(blame(simulation.scenario, node._position, what, error)) from error
        finally:
            let_all_in()
            width = edge = NEVER
            live: list[Any] = [node for node in nodes if node is not None]
            simulation.deepest = max(deepest, max(node._depth for node in live), max((it[4] for it in heap), default=0))
            simulation.sent_by = [node._sent for node in live]
            simulation.received, simulation.lost, simulation.now = received, lost, at
            simulation.max_hop, simulation.order = max_hop, order
            heap, nodes, arrivals, draws, tallies, msg, tally = [], [], {}, {}, {}, None, None

    return send, run_until


_send, _run_until = _make_loop()


def _broadcast(self: Node, msg: Message) -> None:
    for port in self.ports:
        _send(self, port, msg)


def _pass_on(self: Node, port: Port, msg: Message) -> None:
    _send(self, PREVIOUS if port == NEXT else NEXT, msg)


_wired: dict[str, type[Node] | None] = {}


def wire(scenario: Scenario) -> type[Node] | None:
    """The page of a scenario with sends that leave at once; None if it sends or receives in a way of its own.

    What its nodes have from birth gets slots: a dict of values is one more line of memory. Without them, and without ids in
    ring order (`choose_ids`), 1.11 at a million nodes.
    """
    name = scenario.algorithm
    if name not in _wired:
        page = find_algorithm(name)
        ways = {"send": _send, "broadcast": _broadcast, "pass_on": _pass_on}
        if any(getattr(page, way) is not getattr(Node, way) for way in (*ways, "deliver")):
            _wired[name] = None
        else:
            first = bear(node_maker(scenario, steady=True), scenario, scenario.live[0])
            own = [it for it in getattr(first, "__dict__", ()) if not hasattr(page, it)]
            _wired[name] = type(
                page.__name__, (page,), {**ways, "__slots__": (*KEPT, *own), "__module__": page.__module__}
            )
    return _wired[name]


class Calm(Simulation):
    """One election that nothing disturbs and nobody watches.

    Parameters:
        scenario: the trial.
        wired: its page, by `wire`.

    Attributes:
        heap: events of this module's own form.
        waking: the initiators that are still to start.
        ring: whether all have one link, by which they are joined.
    """

    def __init__(self, scenario: Scenario, wired: type[Node]) -> None:
        super().__init__(scenario, wired=wired)
        self.waking: Sequence[Any] = ()
        self.ring = self.page.model.topology == "unidirectional ring"
        last: Any = self.nodes[scenario.live[-1]]
        for position in scenario.live:
            node: Any = self.nodes[position]
            node._position, node._arrival, node._depth, node._entered, node._sent = position, None, 0, 0, 0
            if self.ring:
                last._after = node
                last = node

    def start(self, initiators: tuple[Position, ...]) -> None:
        self.waking = [self.nodes[position] for position in initiators]

    def run_until(self, limit: int) -> bool:
        return _run_until(self, limit)

    def name(self, event: Event) -> str:
        """An event in words."""
        _, _, node, port, _, msg, _ = event
        if msg is None:
            return name_event(TIMER, port, None)
        nodes: list[Any] = self.nodes
        source = next(p for p in self.live if nodes[p]._after is node) if self.ring else node.links[port][0]
        return name_event(source, None, msg)

    def pending(self) -> list[bool]:
        return [event[2] is None for event in self.heap if event[5] is not None]

    def conclude(self, execution: Execution) -> Execution:
        for position in self.scenario.live:  # a ring of nodes would be garbage that only a search finds
            node: Any = self.nodes[position]
            node._after = None
        return super().conclude(execution)
