"""Events: the nodes' own logs and the launcher's strikes, merged by their one clock."""

from itertools import accumulate

from bench.engines.processes import memory as shm
from bench.engines.processes.launcher import Observation
from bench.engines.processes.memory import Record
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


def tell_events(observation: Observation, scenario: Scenario) -> list[Event]:
    """Everything that happened in a trial, set-up included, in order.

    A crash and a pause are put where they took hold: after the last that their victim wrote before they were certain. What
    a node wrote later is not earlier, though it may belong to an event that began before (a beat of its detector).
    """
    kinds = kinds_of(find_algorithm(scenario.algorithm))
    logs = [[record for record in records(state) if record.what in NAMES] for state in observation.nodes]

    def tell(position: int, record: Record, time: int) -> Event:
        event = Event(time, position, NAMES[record.what])
        if record.what in (shm.SEND, shm.RECEIVE, shm.DROP, shm.DUPLICATE):
            event.peer, event.sequence, event.term = record.peer, record.sequence, record.number
        if record.what in (shm.SUSPECTED, shm.TRUSTED):
            event.peer = record.peer
        if record.what == shm.SEND:
            event.text = tell_message(kinds[record.kind], record.body, record.size)
        elif record.what == shm.TIMER:
            event.text = record.body.rstrip(b"\0").decode(errors="replace")
        elif record.what in (shm.ELECT, shm.EPOCH):
            event.leader, event.term = record.value, record.number
        return event

    events = [
        tell(position, record, time)
        for position, log in enumerate(logs)
        for record, time in zip(log, accumulate((it.time for it in log), max), strict=True)
    ]
    for fired in observation.fired:
        if fired.what in STRIKES:
            time = fired.time
            if fired.what in ("crash", "pause") and fired.sure:
                time = max(time, *(it.time for it in logs[fired.position] if it.time <= fired.sure), time)
            events.append(Event(time, fired.position, fired.what, text=fired.name))
    return sorted(events, key=lambda event: event.time)
