"""Summary: from what the nodes left in memory to what was seen of the trial."""

from collections import Counter
from collections.abc import Iterator

import msgspec

from algorithms.model import Position
from bench.engines.processes import memory as shm
from bench.engines.processes.launcher import NodeState, Observation
from bench.engines.processes.memory import Record
from bench.faults import cut_links
from bench.observe import FOREVER, Execution, Fired, Monitor, classify, kinds_of
from bench.scenario import Scenario, find_algorithm


def records(state: NodeState) -> Iterator[Record]:
    """The event log of a node, oldest first."""
    return shm.read_records(state.log)


class Counts(msgspec.Struct):
    """What one node sent and received in the measured interval."""

    sent: dict[int, int]  # by kind
    bytes: dict[int, int]  # by kind
    received: int
    dropped: int
    duplicated: int
    depth: int


def count_node(state: NodeState, quiescent: bool, since: int) -> Counts:
    """Counts of a node from its counters, or from its log if it may have been killed between the two."""
    if (state.alive and quiescent and not state.incarnations) or state.after[shm.LOG_LOST]:
        change = [b - a for a, b in zip(state.before, state.after, strict=True)]
        return Counts(
            {kind: change[shm.COUNTS + kind] for kind in range(shm.KINDS) if change[shm.COUNTS + kind]},
            {kind: change[shm.BYTES + kind] for kind in range(shm.KINDS) if change[shm.BYTES + kind]},
            change[shm.RECEIVED],
            change[shm.DROPPED],
            change[shm.DUPLICATED],
            state.after[shm.DEPTH] if state.alive else 0,
        )
    counts = Counts({}, {}, 0, 0, 0, 0)
    for record in records(state):
        if record.time >= since and record.what == shm.SEND:
            counts.sent[record.kind] = counts.sent.get(record.kind, 0) + 1
            counts.bytes[record.kind] = counts.bytes.get(record.kind, 0) + record.size
            counts.depth = max(counts.depth, record.depth)
        elif record.time >= since:
            counts.received += record.what == shm.RECEIVE
            counts.dropped += record.what == shm.DROP
            counts.duplicated += record.what == shm.DUPLICATE
    return counts


QUIET = ("quiescent", "settled")
COPIES = {shm.SEND: 1, shm.DROP: -1, shm.DUPLICATE: 1}  # how many more copies of a message are under way


def match_messages(observation: Observation, sent: int, received: int, detects: bool) -> tuple[int, int, int]:
    """Messages received, lost (to the dead or by them) and in flight between the living, by matching the logs.

    A message is known by (source, sequence); the identity sent + duplicated = received + dropped + lost + in_flight, with
    nothing in flight at quiescence, is then a check of the counters, not their definition. Where a log overflowed nothing
    can be matched: what was `sent` and not `received` is then called in flight, and the row's `log_lost` says so.

    Parameters:
        observation: what was seen.
        sent, received: by the counters, less what was dropped.
        detects: whether heartbeats went round: then messages are in flight when the measured interval begins.
    """
    everything = detects or observation.stop not in QUIET
    died = {fired.position for fired in observation.fired if fired.what == "crash"}
    died |= {position for position, state in enumerate(observation.nodes) if not state.alive}
    if not died and not everything:
        return received, 0, 0
    if any(state.after[shm.LOG_LOST] for state in observation.nodes):
        return received, 0, sent - received
    pending: dict[tuple[Position, int], tuple[Position, int]] = {}  # target and copies
    for source, state in enumerate(observation.nodes):
        for record in records(state):
            if record.what in COPIES and record.time >= observation.counted_from:
                _, copies = pending.get((source, record.sequence), (0, 0))
                pending[source, record.sequence] = record.peer, copies + COPIES[record.what]
    arrived = Counter(
        (record.peer, record.sequence)
        for state in observation.nodes
        for record in records(state)
        if record.what == shm.RECEIVE and (record.peer, record.sequence) in pending
    )
    missing = {message: copies - arrived[message] for message, (_, copies) in pending.items()}
    lost = sum(copies for message, copies in missing.items() if message[0] in died or pending[message][0] in died)
    return arrived.total(), lost, sum(missing.values()) - lost


def follow(observation: Observation, scenario: Scenario) -> Monitor:
    """Replay the nodes' own logs, in the order of their clock, before a monitor.

    Where nodes never fall silent, one may doubt its leader after all had settled and before it is told to be silent.
    """
    milestones = [
        (record.time, position, record)
        for position, state in enumerate(observation.nodes)
        for record in records(state)
        if record.what in (shm.ELECT, shm.EPOCH, shm.START, shm.SUSPECTED) and record.time <= observation.settled
    ]
    milestones.sort(key=lambda milestone: milestone[0])
    monitor, begun = Monitor(scenario.ids, find_algorithm(scenario.algorithm).model), False
    strikes = list(observation.fired)
    first = next((strike for strike in strikes if strike.what != "rate"), None)
    wakes = shm.START if first is None else shm.SUSPECTED

    def apply(strike: Fired) -> None:
        if strike is first:
            monitor.first = None
        if strike.what == "crash":
            monitor.die(strike.time, strike.position)
        elif strike.what == "recover":
            monitor.recover(strike.position)

    for time, position, record in milestones:
        if not begun and time >= observation.counted_from:
            monitor.begin()
            begun = True
        while strikes and strikes[0].time <= time:
            apply(strikes.pop(0))
        if record.what == shm.EPOCH:
            monitor.enter(time, position, record.number)
        elif record.what == shm.ELECT:
            monitor.elect(time, position, record.value, record.number, record.check)
        elif record.what == wakes and time >= observation.began:
            monitor.wake(time)
    for strike in strikes:
        apply(strike)
    return monitor


def is_proven(fired: Fired, observation: Observation, scenario: Scenario) -> bool:
    """Whether the nodes' own logs bear out what the launcher says it did.

    A killed node writes nothing until it is back, a stopped one nothing until it goes on, and each node that loses links to
    a partition says how many.
    """
    ends = {"crash": "recover", "pause": "resume"}
    if fired.what in ends:
        after = (it.time for it in observation.fired if it.what == ends[fired.what] and it.position == fired.position)
        end = min((time for time in after if time > fired.time), default=FOREVER)
        begin = max(fired.time, fired.sure)
        return not any(begin < it.time < end for it in records(observation.nodes[fired.position]))
    if fired.what == "cut":
        strike = next(it for it in scenario.plan.strikes if it.fault == fired.name)
        links = cut_links(strike.detail, list(scenario.live), fired.position)
        told = {
            position: it.value
            for position, state in enumerate(observation.nodes)
            for it in records(state)
            if it.what == shm.CUT_OFF and it.time >= fired.time
        }
        return all(told.get(position) == sum(source == position for source, _ in links) for position in told) and any(
            told.values()
        )
    return True


def count_false_suspicions(observation: Observation) -> int:
    """How often a node began to suspect one that had not crashed since it last suspected it (a paused one has not)."""
    crashes: dict[Position, list[int]] = {}
    for fired in observation.fired:
        if fired.what == "crash":
            crashes.setdefault(fired.position, []).append(fired.time)
    false = 0
    for state in observation.nodes:
        last: dict[Position, int] = {}
        for record in records(state):
            if record.what == shm.SUSPECTED and record.time >= observation.counted_from:
                since = last.get(record.peer, 0)
                false += not any(since < time <= record.time for time in crashes.get(record.peer, ()))
                last[record.peer] = record.time
    return false


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


def is_idle(record: Record, aside: set[int]) -> bool:
    """Whether a record tells of heartbeats or timers, which go on when all has settled."""
    return record.what == shm.TIMER or (record.what in (*COPIES, shm.RECEIVE) and record.kind in aside)


def summarise(observation: Observation, scenario: Scenario) -> Execution:
    """What was seen of the trial."""
    page, nodes = find_algorithm(scenario.algorithm), observation.nodes
    kinds = kinds_of(page)
    detects = not scenario.tells
    aside = {kind for kind, message in enumerate(kinds) if classify(message) == "detector"}
    counts = [count_node(state, observation.stop in QUIET and not detects, observation.counted_from) for state in nodes]
    sent = {message: sum(c.sent.get(kind, 0) for c in counts) for kind, message in enumerate(kinds)}
    dropped, duplicated = sum(c.dropped for c in counts), sum(c.duplicated for c in counts)
    under_way = sum(sent.values()) + duplicated - dropped
    received, lost, in_flight = match_messages(observation, under_way, sum(c.received for c in counts), detects)
    alive = [state for state in nodes if state.alive]
    settles = observation.settled < FOREVER
    last = max(
        (
            record.time
            for state in nodes
            for record in records(state)
            if record.time <= observation.settled and not (settles and is_idle(record, aside))
        ),
        default=observation.began,
    )

    def total(word: int) -> int:
        return sum(state.after[word] - (0 if state.incarnations else state.before[word]) for state in alive)

    return Execution(
        initiators=observation.initiators,
        planned=observation.planned,
        fired=[fired for fired in observation.fired if is_proven(fired, observation, scenario)],
        began=observation.began,
        counted_from=observation.counted_from,
        end=max(last, observation.began),
        stop=observation.stop,
        error=observation.error,
        sent=sent,
        bytes={message: sum(c.bytes.get(kind, 0) for c in counts) for kind, message in enumerate(kinds)},
        sent_by_node=max(sum(count for kind, count in c.sent.items() if kind not in aside) for c in counts),
        received=received,
        dropped=dropped,
        duplicated=duplicated,
        false_suspicions=count_false_suspicions(observation),
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
