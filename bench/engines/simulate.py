"""Engine `simulate`: the same pages in virtual time, by a heap of events; same seed, same trace.

Links are FIFO; every hop takes what the latency model draws from the network's own stream. Time is in whole ns, so that
nothing depends on how floats are rounded. Nothing of the wall clock enters a row.
"""

import gc
import random
import zlib
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterator, MutableSequence
from contextlib import contextmanager
from heapq import heappop, heappush, heapreplace
from typing import Any

import msgspec

from algorithms.model import CancelTimer, Effect, Elect, Message, Node, Position, Send, SetTimer
from bench.latency import make_sampler
from bench.observe import Execution, Fired, Monitor
from bench.scenario import Scenario, choose_initiators, find_algorithm, node_maker

TIMER, START, SUSPECT = -1, -2, -3  # in place of a source: the event is no message
encode = msgspec.msgpack.Encoder().encode

# time, order, target, source (or what it is), port (or a timer's name, a suspect), key, depth, message, tally, time sent
Event = tuple[int, int, Position, Position, Any, Any, int, Any, Any, int]

Put = Callable[[list[Event], Event], object]
Observer = Callable[[int, Position, Position, Message, int], None]


class Simulation:
    """One trial in virtual time.

    Parameters:
        scenario: the trial.
        observer: told of each delivery before it is handled: time (ns), source, target, message, depth.

    Attributes:
        heap: events to come, by time and then by the order in which they were scheduled.
        order: of the event that was scheduled last.
        arrivals: the last arrival on each link: by source if a node has `one_link`, else by `source * n + target`.
        tallies: messages by kind and size; a message in flight carries its own.
    """

    def __init__(self, scenario: Scenario, observer: Observer | None = None) -> None:
        self.scenario, self.observer = scenario, observer
        self.page = find_algorithm(scenario.algorithm)
        n = scenario.n
        steady = scenario.fault.name == "none" and len(scenario.live) > 1  # nobody will be suspected
        make = node_maker(scenario, steady)
        self.nodes: list[Node | None] = [None] * n
        shared: list[Effect] = []
        for position in scenario.live:
            node = self.nodes[position] = make(position, 0)
            if steady:  # effects are carried out before the next event, so all may record in one list: 56 bytes a node
                node.effects = shared
        self.delay = make_sampler(scenario.latency, scenario.delta, random.Random(f"{scenario.seed}/network"))
        self.delta = int(scenario.delta * 1e9)
        self.heap: list[Event] = []
        self.now = 0
        self.order = 0
        self.timers: dict[tuple[Position, str], int] = {}
        self.one_link = steady and self.page.model.topology == "unidirectional ring"
        self.arrivals: MutableSequence[int] | dict[int, int] = (
            array("q", bytes(8 * n)) if self.one_link else defaultdict(int)
        )
        self.epochs = [0] * n
        self.monitor = Monitor(scenario.ids)
        claims = getattr(self.page, "claims", None)
        self.drawn = claims.drawn if claims is not None else None
        self.count_from_now()

    def count_from_now(self) -> None:
        """The measured interval begins, with nothing in flight: forget what was counted."""
        n = self.scenario.n
        self.tallies: dict[tuple[type[Message], int], list[int]] = defaultdict(lambda: [0])
        self.received = self.lost = self.stale = self.timeouts = self.max_hop = self.deepest = 0
        self.depths, self.sent_by = array("q", bytes(8 * n)), [0] * n
        self.draws: dict[Position, dict[Message, int]] = {}
        self.monitor.begin()

    def run_until(self, limit: int) -> bool:
        """Handle all events up to the time `limit`; returns whether none is left.

        One loop takes an event, lets its node handle it and carries out the effects, in order. Sends are in the loop
        itself, on local names: with calls in between an election took nearly twice as long. Where noted, what a
        plainer way would cost (time of the loop, Chang-Roberts, n of 1,000 to 10,000).
        """
        heap, nodes, depths, epochs, sent_by = self.heap, self.nodes, self.depths, self.epochs, self.sent_by
        arrivals, one_link, n, tallies, drawn = self.arrivals, self.one_link, self.scenario.n, self.tallies, self.drawn
        page, handlers = self.page if self.page.deliver is Node.deliver else None, self.page._handlers
        observer, delay = self.observer, self.delay
        received = lost = stale = 0
        max_hop, deepest, at, order = self.max_hop, self.deepest, self.now, self.order
        while heap:
            now, mark, target, source, port, key, depth, msg, tally, sent = heap[0]
            if now > limit:
                break
            node = nodes[target]
            if source >= 0:
                at = now
                if node is None:
                    lost += 1
                    heappop(heap)
                    continue
                received += 1
                if observer is not None:
                    observer(now, source, target, msg, depth)
                if now - sent > max_hop:
                    max_hop = now - sent
                if type(node) is page:  # what its `deliver` would do: by the call 1.04
                    handlers[type(msg)](node, port, msg)
                elif not node.deliver(source, port, key, msg):
                    stale += 1
            elif node is None or not self.happen(now, mark, node, target, source, port):
                heappop(heap)
                continue  # a timer that was withdrawn; time has not come this far
            else:
                at = now
            reached = depths[target]
            if depth > reached:
                depths[target] = reached = depth
            if node.epoch != epochs[target]:
                epochs[target] = node.epoch
                self.monitor.enter(now, target, node.epoch)
            put: Put = heapreplace  # the first send takes the place of the event, still the least: else 1.01-1.04
            effects = node.effects
            if effects:
                depth = reached + 1
                for effect in effects:
                    if type(effect) is not Send:
                        self.order = order
                        self.carry_out(now, node, target, effect)
                        order = self.order
                        continue
                    if effect.msg is not msg:  # one passed on keeps its tally: encoding it again 1.09-1.12
                        msg = effect.msg
                        kind = type(msg)
                        tally = tallies[kind, len(encode(msg))]
                        if kind is drawn and (value := getattr(msg, "value")) is not None:  # noqa: B009
                            self.draws.setdefault(target, {})[msg] = value
                    tally[0] += 1
                    sent_by[target] += 1
                    peer, port = node.links[effect.port]
                    link = target if one_link else target * n + peer
                    time = now + delay()
                    if time < arrivals[link]:
                        time = arrivals[link]
                    arrivals[link] = time
                    if depth > deepest:
                        deepest = depth
                    order += 1  # a local number: `count().__next__` 1.03
                    put(heap, (time, order, peer, target, port, node.key, depth, msg, tally, now))
                    put = heappush
                effects.clear()
            if put is heapreplace:
                heappop(heap)
        self.received, self.lost, self.stale = self.received + received, self.lost + lost, self.stale + stale
        self.max_hop, self.deepest, self.now, self.order = max_hop, deepest, at, order
        return not heap

    def happen(self, now: int, order: int, node: Node, position: Position, what: int, detail: Any) -> bool:
        """Let a node handle what is no message; returns whether it was still to happen."""
        if what == TIMER:
            if self.timers.get((position, detail)) != order:
                return False
            del self.timers[position, detail]
            self.timeouts += 1
            node.fire(detail)
            return True
        self.monitor.wake(now)
        if what == START:
            node.on_start()
        else:
            node.on_suspect(node.port_to(detail))
        return True

    def carry_out(self, now: int, node: Node, position: Position, effect: Effect) -> None:
        """Carry out an effect that is no message."""
        if type(effect) is Elect:
            check = zlib.crc32(repr(node.key[1]).encode())
            self.monitor.elect(now, position, effect.leader, effect.term or node.epoch, check)
        elif type(effect) is SetTimer:
            self.order += 1
            self.timers[position, effect.name] = self.order
            due = now + max(0, int(effect.delay * self.delta))
            heappush(self.heap, (due, self.order, position, TIMER, effect.name, None, 0, None, None, now))
        elif type(effect) is CancelTimer:
            self.timers.pop((position, effect.name), None)

    # -- the trial ---------------------------------------------------------------------------------------------------

    def schedule(self, position: Position, what: int, detail: Any = None) -> None:
        """Let something that is no message happen to a node now, before anything is delivered."""
        self.order += 1
        heappush(self.heap, (self.now, self.order, position, what, detail, None, 0, None, None, self.now))

    def start(self, initiators: tuple[Position, ...]) -> None:
        """Wake the initiators."""
        for position in initiators:
            self.schedule(position, START)

    def crash(self, name: str, victims: tuple[Position, ...], execution: Execution) -> None:
        """The victims stop at once; what they sent before arrives."""
        execution.began = self.now
        for victim in victims:
            self.nodes[victim] = None
            self.monitor.die(self.now, victim)
            execution.fired.append(Fired(name, victim, self.now))

    def suspect(self, victims: tuple[Position, ...], acting: tuple[Position, ...]) -> None:
        """All survivors learn of the crash; those of `acting`, and who has no leader yet, act on it."""
        live = [(position, node) for position, node in enumerate(self.nodes) if node is not None]
        for _, node in live:
            node.suspected |= {node.port_to(victim) for victim in victims}
        act = {*acting, *(position for position, node in live if node.leader is None)}
        self.monitor.first = None
        for position, _ in live:
            for victim in victims if position in act else ():
                self.schedule(position, SUSPECT, victim)

    def run(self) -> Execution:
        """Run the trial from start to quiescence or horizon, with its fault."""
        scenario, execution, horizon = self.scenario, Execution(monitor=self.monitor), int(self.scenario.horizon * 1e9)
        name, live, policy, seed = scenario.fault.name, scenario.live, scenario.initiators, scenario.seed
        execution.initiators = choose_initiators(policy, live, seed)
        self.start(live if name == "leader-crash" else execution.initiators)
        blow = plan_blow(scenario.fault, scenario.ids, scenario.dead, f"{seed}")
        if blow is not None:
            execution.planned = len(blow.victims)
            self.run_until(min(horizon, int(blow.after * 1e9)))
            self.now = int(blow.after * 1e9)
            self.crash(name, blow.victims, execution)
            survivors = tuple(p for p in live if p not in blow.victims)
            if survivors:
                self.suspect(blow.victims, choose_initiators(policy, survivors, seed, blow.victims[0]))
        quiet = self.run_until(horizon)
        if name == "leader-crash":
            execution.planned = 1
            leaders = {node.leader for node in self.nodes if node is not None}
            leader = leaders.pop() if len(leaders) == 1 else None
            if quiet and leader is not None and self.nodes[victim := scenario.ids.index(leader)] is not None:
                self.count_from_now()
                self.crash(name, (victim,), execution)
                execution.counted_from = self.now
                survivors = tuple(p for p in live if p != victim)
                if survivors:
                    execution.initiators = choose_initiators(policy, survivors, seed, victim)
                    self.suspect((victim,), execution.initiators)
                quiet = self.run_until(horizon)
        execution.stop = "quiescent" if quiet else "horizon"
        return self.conclude(execution)

    def conclude(self, execution: Execution) -> Execution:
        """Hand over what was counted."""
        dead = [self.nodes[event[2]] is None for event in self.heap if event[3] >= 0]
        execution.end = self.now
        for (kind, size), (messages,) in self.tallies.items():
            execution.sent[kind] = execution.sent.get(kind, 0) + messages
            execution.bytes[kind] = execution.bytes.get(kind, 0) + messages * size
        execution.sent_by_node = max(self.sent_by)
        execution.received, execution.stale, execution.timeouts = self.received, self.stale, self.timeouts
        execution.lost, execution.in_flight = self.lost + sum(dead), len(dead) - sum(dead)
        execution.depth, execution.max_hop = self.deepest, self.max_hop
        execution.live = tuple(position for position, node in enumerate(self.nodes) if node is not None)
        execution.draws = {position: tuple(drawn.values()) for position, drawn in self.draws.items()}
        return execution


@contextmanager
def uncollected() -> Iterator[None]:
    """No search for cyclic garbage, which took 5 % more; the engine makes none, and a page's own waits for the end."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


class Simulate:
    """Runs trials in virtual time."""

    name = "simulate"
    deterministic = True

    def run(self, scenario: Scenario, observer: Observer | None = None) -> Execution:
        """Run one trial; `observer` is told of each delivery."""
        with uncollected():
            return Simulation(scenario, observer).run()
