"""Observe: from what the nodes left in memory to one row: counters, accounting, phases, safety, verdict."""

from collections.abc import Iterable, Iterator
from itertools import pairwise

import msgspec

from algorithms.model import Announcement, Message, Position
from algorithms.reelection import Newer
from bench.engines.processes import memory as shm
from bench.engines.processes.launcher import NodeState, Observation
from bench.engines.processes.memory import RECORD, Record
from bench.scenario import Scenario, find_algorithm
from bench.trial import KindCount, Trial


class Counts(msgspec.Struct):
    """What one node sent and received in the measured interval."""

    sent: dict[int, int]  # by kind
    bytes: dict[int, int]  # by kind
    received: int
    depth: int


class Reign(msgspec.Struct):
    """A time (ns) during which a live node took itself to be the leader of a key (term, checksum of the excluded)."""

    position: Position
    key: tuple[int, int]
    begin: int
    end: int


def records(state: NodeState) -> Iterator[Record]:
    """The event log of a node, oldest first."""
    return map(Record._make, RECORD.iter_unpack(state.log))


def count_node(state: NodeState, quiescent: bool, since: int) -> Counts:
    """Counts of a node from its counters, or from its log if it may have been killed between the two."""
    if (state.alive and quiescent) or state.after[shm.LOG_LOST]:
        change = [b - a for a, b in zip(state.before, state.after, strict=True)]
        return Counts(
            {kind: change[shm.COUNTS + kind] for kind in range(shm.KINDS)},
            {kind: change[shm.BYTES + kind] for kind in range(shm.KINDS)},
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


def match_messages(observation: Observation) -> tuple[int, int]:
    """Messages lost, to the dead or by them, and messages in flight between the living, by matching the logs.

    A message is known by (source, sequence); the identity sent + duplicated = received + dropped + lost + in_flight is
    then a check of the counters, not their definition. Where a log overflowed nothing can be matched: what was sent and
    not received is then called in flight, and the row's `log_lost` says so.
    """
    alive = [state.alive for state in observation.nodes]
    everything = observation.stop != "quiescent"
    if all(alive) and not everything:
        return 0, 0
    if any(state.after[shm.LOG_LOST] for state in observation.nodes):
        counts = [count_node(state, not everything, observation.counted_from) for state in observation.nodes]
        return 0, sum(sum(c.sent.values()) - c.received for c in counts)
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


def find_reigns(observation: Observation, scenario: Scenario, end: int) -> list[Reign]:
    """All times at which somebody led, from the nodes' own logs; a node leads until it elects another, enters a new
    election, or dies."""
    deaths = {fired.position: fired.time for fired in observation.fired}
    reigns = []
    for position, state in enumerate(observation.nodes):
        current: Reign | None = None
        for record in records(state):
            if record.what not in (shm.ELECT, shm.EPOCH):
                continue
            key = (record.number, record.check)
            if current is not None and not (record.what == shm.ELECT and key == current.key):
                current.end, current = record.time, None
            if record.what == shm.ELECT and record.value == scenario.ids[position] and current is None:
                current = Reign(position, key, record.time, deaths.get(position, end + 1))
                reigns.append(current)
    return reigns


def count_violations(reigns: list[Reign]) -> int:
    """Nodes that led a key while another node led it."""
    rivals = {
        (one.key, one.position)
        for one in reigns
        for other in reigns
        if one.key == other.key and one.position > other.position and one.begin < other.end and other.begin < one.end
    }
    return len(rivals)


def measure_reigns(reigns: list[Reign], begin: int, end: int) -> tuple[int, int]:
    """Time (ns) of [begin, end] without a leader, and with two or more."""
    moments = sorted({begin, end, *(t for reign in reigns for t in (reign.begin, reign.end) if begin < t < end)})
    leaderless = overlap = 0
    for left, right in pairwise(moments):
        leaders = sum(reign.begin <= left and right <= reign.end for reign in reigns)
        leaderless += (right - left) * (leaders == 0)
        overlap += (right - left) * (leaders > 1)
    return leaderless, overlap


class Outcome(msgspec.Struct):
    """Where the election ended: verdict, leader, term, and when (ns) each live node came to agree."""

    verdict: str
    leader: int | None
    term: int | None
    agreed: dict[Position, int]


def judge(observation: Observation, scenario: Scenario) -> Outcome:
    """The verdict over the live nodes at the end."""
    last: dict[Position, tuple[int | None, int, int]] = {}
    for position, state in enumerate(observation.nodes):
        if not state.alive:
            continue
        last[position] = (None, 0, 0)
        for record in records(state):
            if record.what == shm.EPOCH:
                last[position] = (None, record.number, record.time)
            elif record.what == shm.ELECT and (record.value, record.number) != last[position][:2]:
                last[position] = (record.value, record.number, record.time)
    if observation.stop not in ("quiescent", "settled"):
        return Outcome("unknown", None, None, {})
    alive = {scenario.ids[position] for position in last}
    leaders = {leader for leader, _, _ in last.values()}
    if len(leaders) == 1 and leaders <= alive:
        leader, term, _ = next(iter(last.values()))
        return Outcome("elected", leader, term, {position: time for position, (_, _, time) in last.items()})
    return Outcome("split" if leaders & alive else "no_leader", None, None, {})


class Phases(msgspec.Struct):
    """The columns detect_s, elect_s, agree_s and quiet_s; None where a phase did not happen."""

    detect: float | None = None
    elect: float | None = None
    agree: float | None = None
    quiet: float | None = None


def find_phases(observation: Observation, scenario: Scenario, outcome: Outcome, end: int) -> Phases:
    """How long it took to suspect, to win, to agree and to fall silent."""
    first_what = shm.SUSPECTED if observation.fired else shm.START
    first = min(
        (
            record.time
            for state in observation.nodes
            for record in records(state)
            if record.what == first_what and record.time >= observation.began
        ),
        default=None,
    )
    phases = Phases()
    if first is not None and observation.fired:
        phases.detect = (first - observation.began) / 1e9
    if first is None or outcome.leader is None:
        return phases
    won, agreed = outcome.agreed[scenario.ids.index(outcome.leader)], max(outcome.agreed.values())
    if won >= first:
        phases.elect, phases.agree, phases.quiet = (won - first) / 1e9, (agreed - won) / 1e9, (end - agreed) / 1e9
    return phases


def _join(values: Iterable[object]) -> str:
    return ",".join(map(str, values))


def make_row(
    observation: Observation, scenario: Scenario, run: str, trial: int, rep: int, engine: str
) -> tuple[Trial, list[KindCount]]:
    """The row of a trial in `trials.csv`, and its rows in `kinds.csv`."""
    page = find_algorithm(scenario.algorithm)
    nodes, quiescent = observation.nodes, observation.stop == "quiescent"
    counts = [count_node(state, quiescent, observation.counted_from) for state in nodes]
    kinds = []
    messages: list[type[Message]] = [*page.messages, Newer]
    for kind, message in enumerate(messages):
        sent, size = sum(c.sent.get(kind, 0) for c in counts), sum(c.bytes.get(kind, 0) for c in counts)
        if sent or message is not Newer:
            kind_class = "announcement" if issubclass(message, Announcement) else "election"
            kinds.append(KindCount(trial, message.__name__, kind_class, sent, size))
    lost, in_flight = match_messages(observation)
    end = max((record.time for state in nodes for record in records(state)), default=observation.began)
    end = max(end, observation.began)
    reigns, outcome = find_reigns(observation, scenario, end), judge(observation, scenario)
    phases = find_phases(observation, scenario, outcome, end)
    leaderless, overlap = measure_reigns(reigns, observation.began, end)
    alive = [state for state in nodes if state.alive]
    max_hop = max((state.after[shm.MAX_HOP] for state in alive), default=0) / 1e9
    sent_by_node = [sum(c.sent.values()) for c in counts]

    def total(word: int) -> int:
        return sum(state.after[word] - state.before[word] for state in alive)

    row = Trial(
        run=run,
        trial=trial,
        engine=engine,
        algorithm=scenario.algorithm,
        parameters=_join(f"{name}={value}" for name, value in sorted(scenario.parameters.items())),
        topology=page.model.topology,
        n=scenario.n,
        ids=_join(scenario.ids),
        initiators=_join(observation.initiators),
        dead=_join(scenario.dead),
        fault=str(scenario.fault),
        detector=scenario.detector,
        seed=scenario.seed,
        rep=rep,
        verdict=outcome.verdict,
        stop=observation.stop,
        leader=outcome.leader,
        term=outcome.term,
        violations=count_violations(reigns),
        within_model=observation.stop != "error"
        and len(alive) > 0
        and (page.model.timing != "synchronous" or max_hop <= scenario.delta),
        max_hop_s=max_hop,
        false_suspicions=0,  # the perfect detector has none
        delta_s=scenario.delta,
        faults_planned=observation.planned,
        faults_fired=len(observation.fired),
        fault_log=";".join(
            f"{fired.name} at {fired.position} after {(fired.time - observation.counted_from) / 1e9:.6f}s"
            for fired in observation.fired
        ),
        messages=sum(sent_by_node),
        announcements=sum(kind.count for kind in kinds if kind.kind_class == "announcement"),
        detector_messages=0,
        stale_messages=total(shm.STALE),
        sent=sum(sent_by_node),
        duplicated=0,
        received=sum(c.received for c in counts),
        dropped=0,
        lost=lost,
        in_flight=in_flight,
        bytes=sum(kind.bytes for kind in kinds),
        max_sent_by_node=max(sent_by_node),
        causal_depth=max(c.depth for c in counts),
        epochs=len(
            {
                record.number
                for state in nodes
                for record in records(state)
                if record.what == shm.EPOCH and record.time >= observation.counted_from
            }
        ),
        timeouts=total(shm.TIMEOUTS),
        detect_s=phases.detect,
        elect_s=phases.elect,
        agree_s=phases.agree,
        quiet_s=phases.quiet,
        leaderless_s=leaderless / 1e9,
        overlap_s=overlap / 1e9,
        wall_s=observation.wall,
        cpu_s=total(shm.CPU) / 1e9,
        max_rss_kb=max((state.after[shm.RSS] for state in alive), default=0),
        ctx_switches=total(shm.SWITCHES),
        log_lost=sum(state.after[shm.LOG_LOST] for state in nodes),
        error=observation.error,
    )
    return row, kinds
