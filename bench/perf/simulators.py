"""Peers of the simulator: the same ring election in SimPy's own idiom, in bare SimPy events and in two loops on a heap.

python -m bench.perf.simulators 1000000         one election in virtual time: messages, seconds, peak memory in bytes
python -m bench.perf.simulators bare_heap       seconds a message of one of those loops
"""

import random
import resource
import sys
import time
from array import array
from collections.abc import Callable, Generator
from heapq import heappop, heappush
from math import floor
from pathlib import Path
from typing import Any

from bench.engines.simulate import Simulate
from bench.scenario import Scenario

N = 10_000


def make_scenario(n: int) -> Scenario:
    """Chang-Roberts on n nodes in random order, all of which start."""
    ids = array("q", range(1, n + 1))
    random.Random(1).shuffle(ids)
    return Scenario(algorithm="chang_roberts", ids=tuple(ids), seed=1, delta=0.001, horizon=1e9)


SCENARIO = make_scenario(N)
IDS = SCENARIO.ids


def ours() -> int:
    """The suite's simulator, with all that it counts."""
    return sum(Simulate().run(SCENARIO).sent.values())


def simpy_idiom() -> int:
    """A process and a Store a node; each hop takes a timeout of its own."""
    import simpy

    environment, sent, delay = simpy.Environment(), 0, random.Random(1).random
    stores = [simpy.Store(environment) for _ in IDS]

    def hop(target: int, msg: tuple[str, int]) -> Generator[Any, Any, None]:
        yield environment.timeout(delay())
        yield stores[target].put(msg)

    def node(position: int) -> Generator[Any, Any, None]:
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
    import simpy

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


def time_election(run: Callable[[], int]) -> float:
    """Seconds a message of a second run, which must send as many messages as the suite's own."""
    messages = {ours(), run()}
    began = time.perf_counter()
    messages.add(run())
    taken = time.perf_counter() - began
    assert len(messages) == 1, f"{run.__name__} sent other messages: {messages}"
    return taken / messages.pop()


def simulate_many(n: int) -> tuple[int, float, int]:
    """One election of n in virtual time: messages, seconds, and the most memory that this process had, in bytes."""
    scenario = make_scenario(n)
    began = time.perf_counter()
    sent = sum(Simulate().run(scenario).sent.values())
    return sent, time.perf_counter() - began, peak_memory()


def peak_memory() -> int:
    """The most memory that this process had, in bytes; by getrusage, on Linux, it would be at least what its parent had."""
    if sys.platform != "linux":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) * 1024


if __name__ == "__main__":
    what = sys.argv[1]
    print(*simulate_many(int(what)) if what.isdigit() else [time_election(globals()[what])])
