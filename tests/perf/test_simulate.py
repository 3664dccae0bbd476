"""How fast the simulator is: the same ring election in SimPy's own idiom, in bare SimPy events and in two heap loops."""

import random
import time
from collections.abc import Callable, Generator
from heapq import heappop, heappush
from math import floor
from statistics import median
from typing import Any

import simpy

from bench.engines.simulate import Simulate
from bench.scenario import Scenario

Benchmark = Any  # BenchmarkFixture.pedantic has no types
N = 10_000
IDS = list(range(1, N + 1))
random.Random(1).shuffle(IDS)


def ours() -> int:
    scenario = Scenario(algorithm="chang_roberts", ids=tuple(IDS), seed=1, delta=0.001, horizon=1e9)
    return sum(Simulate().run(scenario).sent.values())


def simpy_idiom() -> int:
    """A process and a Store a node; each hop takes a timeout of its own."""
    environment, sent, delay = simpy.Environment(), 0, random.Random(1).random
    stores = [simpy.Store(environment) for _ in IDS]

    def hop(target: int, msg: tuple[str, int]) -> Generator[simpy.Event, Any, None]:
        yield environment.timeout(delay())
        yield stores[target].put(msg)

    def node(position: int) -> Generator[simpy.Event, Any, None]:
        nonlocal sent
        identity, after = IDS[position], (position + 1) % N
        sent += 1
        environment.process(hop(after, ("election", identity)))
        while True:
            msg: tuple[str, int] = yield stores[position].get()
            kind, value = msg
            if kind == "election" and value < identity:
                continue
            if kind == "election" and value == identity:
                kind = "leader"
            elif kind == "leader" and value == identity:
                return
            sent += 1
            environment.process(hop(after, (kind, value)))

    for position in range(N):
        environment.process(node(position))
    environment.run()
    return sent


def simpy_events() -> int:
    """Bare SimPy events with a callback each."""
    environment, sent, delay = simpy.Environment(), 0, random.Random(1).random

    def send(target: int, leader: bool, value: int) -> None:
        nonlocal sent
        sent += 1
        event = environment.timeout(delay())
        assert event.callbacks is not None
        event.callbacks.append(lambda _: receive(target, leader, value))

    def receive(position: int, leader: bool, value: int) -> None:
        identity, after = IDS[position], (position + 1) % N
        if leader:
            if value != identity:
                send(after, True, value)
        elif value == identity:
            send(after, True, value)
        elif value > identity:
            send(after, False, value)

    for position in range(N):
        send((position + 1) % N, False, IDS[position])
    environment.run()
    return sent


def bare_heap() -> int:
    """A heap and a dispatch: no counters, no bytes, no depth, no nodes, no links, nobody who remembers the leader."""
    heap: list[tuple[float, int, int, bool, int]] = []
    delay, order = random.Random(1).random, 0

    def send(now: float, target: int, leader: bool, value: int) -> None:
        nonlocal order
        order += 1
        heappush(heap, (now + delay(), order, target, leader, value))

    def on_election(now: float, position: int, value: int) -> None:
        if value == IDS[position]:
            send(now, (position + 1) % N, True, value)
        elif value > IDS[position]:
            send(now, (position + 1) % N, False, value)

    def on_leader(now: float, position: int, value: int) -> None:
        if value != IDS[position]:
            send(now, (position + 1) % N, True, value)

    handlers = {False: on_election, True: on_leader}
    for position in range(N):
        send(0.0, (position + 1) % N, False, IDS[position])
    while heap:
        now, _, target, leader, value = heappop(heap)
        handlers[leader](now, target, value)
    return order


class Participant:
    """A node as one would write it for this election alone."""

    def __init__(self, position: int, identity: int) -> None:
        self.after, self.id = (position + 1) % N, identity
        self.participant, self.leader, self.last = False, 0, 0


def written_by_hand() -> int:
    """The same election in a loop of one's own: events on a heap, nodes, a handler for each kind, whole ns, FIFO links.

    It does what the election asks for: all are woken by events, a woken node competes, everyone notes the leader. It
    counts nothing but the order of events: no kinds, no bytes, no depth, no hops, nothing by node; no ports, no effects.
    """
    heap: list[tuple[int, int, int, str, int]] = []
    nodes = [Participant(position, identity) for position, identity in enumerate(IDS)]
    uniform, order = random.Random(1).random, N

    def send(now: int, node: Participant, kind: str, value: int) -> None:
        nonlocal order
        order += 1
        time = now + floor(uniform() * 1e6) + 1
        if time < node.last:
            time = node.last
        node.last = time
        heappush(heap, (time, order, node.after, kind, value))

    def on_start(now: int, node: Participant, value: int) -> None:
        if not node.participant:
            node.participant = True
            send(now, node, "election", node.id)

    def on_election(now: int, node: Participant, value: int) -> None:
        if value == node.id:
            node.leader = value
            send(now, node, "leader", value)
        elif value > node.id:
            node.participant = True
            send(now, node, "election", value)
        elif not node.participant:
            on_start(now, node, value)

    def on_leader(now: int, node: Participant, value: int) -> None:
        if value != node.id:
            node.leader = value
            send(now, node, "leader", value)

    handlers = {"start": on_start, "election": on_election, "leader": on_leader}
    for position in range(N):
        heappush(heap, (0, position, position, "start", 0))
    while heap:
        now, _, target, kind, value = heappop(heap)
        handlers[kind](now, nodes[target], value)
    return order - N


def clock(run: Callable[[], int], expected: int) -> float:
    """Seconds of one run, which must send as many messages as the others."""
    began = time.perf_counter()
    sent = run()
    taken = time.perf_counter() - began
    assert sent == expected
    return taken


def test_one_election_beside_simpy_and_a_bare_heap(benchmark: Benchmark) -> None:
    expected = ours()
    runs = (ours, simpy_idiom, simpy_events, bare_heap, written_by_hand)
    times = [[clock(run, expected) for run in runs] for _ in range(5)]
    benchmark.pedantic(ours, rounds=3)
    benchmark.extra_info["messages"] = expected
    benchmark.extra_info["messages a second"] = round(expected / median(row[0] for row in times))
    for name, column in (("SimPy's idiom", 1), ("SimPy's events", 2)):
        benchmark.extra_info[f"times faster than {name}"] = round(median(row[column] / row[0] for row in times), 2)
    for name, column in (("a bare heap", 3), ("a loop written by hand", 4)):
        benchmark.extra_info[f"times {name}"] = round(median(row[0] / row[column] for row in times), 2)
