"""Summary: from what the nodes left in memory to what was seen of the trial."""

from collections.abc import Iterator

import msgspec

from algorithms.model import Message, Position
from algorithms.reelection import Newer
from bench.engines.processes import memory as shm
from bench.engines.processes.launcher import NodeState, Observation
from bench.engines.processes.memory import RECORD, Record
from bench.observe import Execution, Monitor
from bench.scenario import Scenario, find_algorithm


def records(state: NodeState) -> Iterator[Record]:
    """The event log of a node, oldest first."""
    return map(Record._make, RECORD.iter_unpack(state.log))


class Counts(msgspec.Struct):
    """What one node sent and received in the measured interval."""

    sent: dict[int, int]  # by kind
    bytes: dict[int, int]  # by kind
    received: int
    depth: int


def count_node(state: NodeState, quiescent: bool, since: int) -> Counts:
    """Counts of a node from its counters, or from its log if it may have been killed between the two."""
    if (state.alive and quiescent) or state.after[shm.LOG_LOST]:
        change = [b - a for a, b in zip(state.before, state.after, strict=True)]
        return Counts(
            {kind: change[shm.COUNTS + kind] for kind in range(shm.KINDS) if change[shm.COUNTS + kind]},
            {kind: change[shm.BYTES + kind] for kind in range(shm.KINDS) if change[shm.BYTES + kind]},
            change[shm.RECEIVED],
            state.after[shm.DEPTH] if state.alive else 0,
        )
    counts = Counts({}, {}, 0, 0)
    for record in records(state):
        if record.time >= since and record.what == shm.SEND:
            counts.sent[record.kind] = counts.sent.get(record.kind, 0) + 1
            counts.bytes[record.kind] = counts.bytes.get(record.kind, 0) + record.size
            counts.depth = max(counts.depth, record.depth)
        elif record.time >= since and record.what == shm.RECEIVE:
            counts.received += 1
    return counts


def match_messages(observation: Observation, sent: int, received: int) -> tuple[int, int]:
    """Messages lost, to the dead or by them, and messages in flight between the living, by matching the logs.

    A message is known by (source, sequence); the identity sent + duplicated = received + dropped + lost + in_flight is
    then a check of the counters, not their definition. Where a log overflowed nothing can be matched: what was `sent` and
    not `received` is then called in flight, and the row's `log_lost` says so.
    """
    alive = [state.alive for state in observation.nodes]
    everything = observation.stop != "quiescent"
    if all(alive) and not everything:
        return 0, 0
    if any(state.after[shm.LOG_LOST] for state in observation.nodes):
        return 0, sent - received
    pending: dict[tuple[Position, int], Position] = {}
    for source, state in enumerate(observation.nodes):
        for record in records(state):
            mortal = everything or not alive[source] or not alive[record.peer]
            if mortal and record.what == shm.SEND and record.time >= observation.counted_from:
                pending[source, record.sequence] = record.peer
    for state in observation.nodes:
        for record in records(state):
            if record.what == shm.RECEIVE:
                pending.pop((record.peer, record.sequence), None)
    lost = sum(not alive[source] or not alive[target] for (source, _), target in pending.items())
    return lost, len(pending) - lost


def follow(observation: Observation, scenario: Scenario) -> Monitor:
    """Replay the nodes' own logs, in the order of their clock, before a monitor."""
    milestones = [
        (record.time, position, record)
        for position, state in enumerate(observation.nodes)
        for record in records(state)
        if record.what in (shm.ELECT, shm.EPOCH, shm.START, shm.SUSPECTED)
    ]
    milestones.sort(key=lambda milestone: milestone[0])
    monitor, deaths, begun = Monitor(scenario.ids), list(observation.fired), False
    for time, position, record in milestones:
        if not begun and time >= observation.counted_from:
            monitor.begin()
            begun = True
        while deaths and deaths[0].time <= time:
            death = deaths.pop(0)
            monitor.die(death.time, death.position)
        if record.what == shm.EPOCH:
            monitor.enter(time, position, record.number)
        elif record.what == shm.ELECT:
            monitor.elect(time, position, record.value, record.number, record.check)
        elif record.what == (shm.SUSPECTED if observation.fired else shm.START) and time >= observation.began:
            monitor.wake(time)
    for death in deaths:
        monitor.die(death.time, death.position)
    return monitor


def find_draws(observation: Observation, scenario: Scenario) -> dict[Position, tuple[int, ...]]:
    """What each position drew, from the messages that it logged, for pages that declare where draws are told."""
    page = find_algorithm(scenario.algorithm)
    if not hasattr(page, "claims") or page.claims.drawn is None:
        return {}
    kind, decode = page.messages.index(page.claims.drawn), msgspec.msgpack.Decoder(page.claims.drawn).decode
    draws = {}
    for position, state in enumerate(observation.nodes):
        bodies = dict.fromkeys(
            record.body[: record.size]
            for record in records(state)
            if record.what == shm.SEND and record.kind == kind and record.time >= observation.counted_from
        )
        told = [getattr(decode(body), "value") for body in bodies]  # noqa: B009
        draws[position] = tuple(value for value in told if value is not None)
    return draws


def summarise(observation: Observation, scenario: Scenario) -> Execution:
    """What was seen of the trial."""
    page, nodes = find_algorithm(scenario.algorithm), observation.nodes
    kinds: list[type[Message]] = [*page.messages, Newer]
    counts = [count_node(state, observation.stop == "quiescent", observation.counted_from) for state in nodes]
    sent = {message: sum(c.sent.get(kind, 0) for c in counts) for kind, message in enumerate(kinds)}
    received = sum(c.received for c in counts)
    lost, in_flight = match_messages(observation, sum(sent.values()), received)
    alive = [state for state in nodes if state.alive]
    last = max((record.time for state in nodes for record in records(state)), default=observation.began)

    def total(word: int) -> int:
        return sum(state.after[word] - state.before[word] for state in alive)

    return Execution(
        initiators=observation.initiators,
        planned=observation.planned,
        fired=observation.fired,
        began=observation.began,
        counted_from=observation.counted_from,
        end=max(last, observation.began),
        stop=observation.stop,
        error=observation.error,
        sent=sent,
        bytes={message: sum(c.bytes.get(kind, 0) for c in counts) for kind, message in enumerate(kinds)},
        sent_by_node=max(sum(c.sent.values()) for c in counts),
        received=received,
        lost=lost,
        in_flight=in_flight,
        stale=total(shm.STALE),
        timeouts=total(shm.TIMEOUTS),
        depth=max(c.depth for c in counts),
        max_hop=max((state.after[shm.MAX_HOP] for state in alive), default=0),
        live=tuple(position for position, state in enumerate(nodes) if state.alive),
        draws=find_draws(observation, scenario),
        monitor=follow(observation, scenario),
        wall=observation.wall,
        cpu=total(shm.CPU) / 1e9,
        rss=max((state.after[shm.RSS] for state in alive), default=0),
        switches=total(shm.SWITCHES),
        log_lost=sum(state.after[shm.LOG_LOST] for state in nodes),
    )
