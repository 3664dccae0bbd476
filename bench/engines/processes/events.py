"""Events: the nodes' own logs and the launcher's strikes, merged by their one clock."""

from collections.abc import Iterator
from heapq import merge
from operator import attrgetter

from algorithms.model import Position
from bench.engines.processes import memory as shm
from bench.engines.processes.launcher import NodeState, Observation
from bench.engines.processes.summary import records
from bench.events import STRIKES, Event, tell_message
from bench.observe import kinds_of
from bench.scenario import Scenario, find_algorithm

NAMES = {
    shm.SEND: "send",
    shm.RECEIVE: "receive",
    shm.ELECT: "elect",
    shm.START: "start",
    shm.SUSPECTED: "suspect",
    shm.TIMER: "timer",
    shm.EPOCH: "epoch",
    shm.DROP: "drop",
    shm.DUPLICATE: "duplicate",
    shm.TRUSTED: "trust",
}


def tell_events(observation: Observation, scenario: Scenario) -> Iterator[Event]:
    """Everything that happened in a trial, set-up included, in order.

    A crash and a pause are put where they took hold: after the last that their victim wrote before they were certain. What
    a node wrote later is not earlier, though it may belong to an event that began before (a beat of its detector).
    """
    kinds = kinds_of(find_algorithm(scenario.algorithm))

    def tell(position: Position, state: NodeState) -> Iterator[Event]:
        latest = 0
        for record in records(state):
            if record.what not in NAMES:
                continue
            latest = max(latest, record.time)
            event = Event(latest, position, NAMES[record.what])
            if record.what in (shm.SEND, shm.RECEIVE, shm.DROP, shm.DUPLICATE):
                event.peer, event.sequence, event.term = record.peer, record.sequence, record.number
            elif record.what in (shm.SUSPECTED, shm.TRUSTED):
                event.peer = record.peer
            elif record.what in (shm.ELECT, shm.EPOCH):
                event.leader, event.term = record.value, record.number
            if record.what == shm.SEND:
                event.text = tell_message(kinds[record.kind], record.body, record.size)
            elif record.what == shm.TIMER:
                event.text = record.body.rstrip(b"\0").decode(errors="replace")
            yield event

    strikes = []
    for fired in observation.fired:
        if fired.what in STRIKES:
            time = fired.time
            if fired.what in ("crash", "pause"):
                written = (it.time for it in records(observation.nodes[fired.position]) if it.time <= fired.sure)
                time = max(time, *written, time)
            strikes.append(Event(time, fired.position, fired.what, text=fired.name))
    lanes = (tell(position, state) for position, state in enumerate(observation.nodes))
    return merge(*lanes, sorted(strikes, key=attrgetter("time")), key=attrgetter("time"))
