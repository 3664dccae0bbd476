"""Observe: what an engine saw of a trial, judged after every step, and the row that it becomes.

Times are in ns of one clock: CLOCK_MONOTONIC on real processes, virtual time in a simulation.
"""

from collections.abc import Hashable, Iterable
from itertools import pairwise

import msgspec

from algorithms.model import Announcement, Id, Message, Model, Node, Periodic, Position
from algorithms.reelection import Newer
from bench.detector import Heartbeat, Suspicion
from bench.faults import is_covered
from bench.scenario import Scenario, find_algorithm
from bench.trial import KindCount, Trial

FOREVER = 1 << 62


class Fired(msgspec.Struct):
    """A fault that struck.

    Attributes:
        name: of the fault, as text.
        what: what was done: crash, recover, pause, resume, cut, heal, suspect, trust; or `rate` for what is in force.
        position: at whom, or -1 for links.
        time: when (ns).
        role: whether it was the leader then; else follower, or candidate where it had none.
        planned: whether it counts as a fault that should fire.
        sure: when it was certain to have taken effect (ns); 0 where that is at once.
    """

    name: str
    what: str
    position: Position
    time: int
    role: str = ""
    planned: bool = True
    sure: int = 0


class Reign(msgspec.Struct):
    """A time during which a live node took itself to be the leader of a key (term, the excluded or a checksum)."""

    position: Position
    key: tuple[int, Hashable]
    begin: int
    end: int = FOREVER


class Monitor:
    """Follows, step by step, whom each node takes for the leader.

    Parameters:
        ids: by position.
        model: of the page.

    Attributes:
        reigns: who led, when, in the order in which they began.
        epochs: elections entered in the measured interval.
        churn: changes of the leader while the one before lived: nobody needed them.
        first: when a node first started or suspected in it, since the last crash; if nodes find out by themselves, when
            one first entered another election, or changed its mind.
        struck: when that was.
        down: who is dead.
    """

    def __init__(self, ids: tuple[Id, ...], model: Model) -> None:
        self.ids, self.model = ids, model
        self.leaders: dict[Position, tuple[Id | None, int, int]] = {}  # leader, term, since when
        self.reigns: list[Reign] = []
        self.reigning: dict[Position, Reign] = {}
        self.epochs: set[int] = set()
        self.down: set[Position] = set()
        self.last: Reign | None = None
        self.churn = 0
        self.struck = 0
        self.first: int | None = None
        self.nobody: tuple[Id | None, int, int] = (None, 0, 0)
        self.entry = self.nobody  # all that enter at once share it: 64 bytes a node

    def begin(self) -> None:
        """The measured interval begins: what came before was set-up."""
        self.epochs.clear()
        self.churn = 0
        self.first = None

    def wake(self, time: int) -> None:
        """A node started, or acted on a suspicion."""
        if self.first is None:
            self.first = time

    def notice(self, time: int) -> None:
        """Something changed at a node; where nobody tells it of crashes, it found out by itself."""
        if self.model.pulse is not None:
            self.wake(time)

    def enter(self, time: int, position: Position, epoch: int) -> None:
        """A node entered an election; it has no leader until it elects one."""
        self.epochs.add(epoch)
        if self.first is None:
            self.notice(time)
        if position in self.reigning:
            self.depose(time, position)
        _, entered, when = self.entry
        if entered != epoch or when != time:
            self.entry = (None, epoch, time)
        self.leaders[position] = self.entry

    def elect(self, time: int, position: Position, leader: Id, term: int, check: Hashable) -> None:
        """A node took `leader` (0: nobody; in an implicit election: not itself) to be the leader of `term`.

        `check` tells elections of one number apart: the positions that are excluded, or a checksum of them.
        """
        if self.first is None:
            self.notice(time)
        if leader == self.ids[position] or position in self.reigning:
            self.reign(time, position, leader == self.ids[position], (term, check))
        before = self.leaders.get(position, self.nobody)
        if before[0] != leader or before[1] != term:
            mind = leader if leader or self.model.election == "implicit" else None
            self.leaders[position] = (mind, term, time)

    def reign(self, time: int, position: Position, leads: bool, key: tuple[int, Hashable]) -> None:
        """A node begins, goes on or ceases to take itself for the leader, now of `key`."""
        current = self.reigning.get(position)
        if current is not None and not (leads and current.key == key):
            self.depose(time, position)
        if leads and position not in self.reigning:
            self.reigning[position] = Reign(position, key, time)
            self.reigns.append(self.reigning[position])
            if self.last is not None and self.last.position not in (position, *self.down):
                self.churn += 1
            self.last = self.reigning[position]

    def depose(self, time: int, position: Position) -> None:
        """A node does not lead any more."""
        reign = self.reigning.pop(position, None)
        if reign is not None:
            reign.end = time

    def die(self, time: int, position: Position) -> None:
        """A node crashed."""
        self.depose(time, position)
        self.leaders.pop(position, None)
        self.down.add(position)
        self.first, self.struck = None, time  # phases speak of the last kill

    def recover(self, position: Position) -> None:
        """A node is back, without a leader."""
        self.down.discard(position)

    @property
    def violations(self) -> int:
        """Nodes that led a key while another did; by declaration, that ever led a term which another led; or none."""
        by_key: dict[tuple[int, Hashable], list[Reign]] = {}
        for reign in self.reigns:
            by_key.setdefault(reign.key, []).append(reign)
        return sum(
            any(other.position < one.position and self.excludes(one, other) for other in rivals)
            for rivals in by_key.values()
            for one in rivals
        )

    def excludes(self, one: Reign, other: Reign) -> bool:
        """Whether two reigns of one key, by two nodes, are one too many."""
        if self.model.safety == "instant":
            return one.begin < other.end and other.begin < one.end
        return self.model.safety == "ever"

    def measure_reigns(self, begin: int, end: int) -> tuple[int, int]:
        """Time of [begin, end] without a leader, and with two or more."""
        edges = {t for reign in self.reigns for t in (reign.begin, reign.end) if begin < t < end}
        leaderless = overlap = 0
        for left, right in pairwise(sorted({begin, end, *edges})):
            leaders = sum(reign.begin <= left and right <= reign.end for reign in self.reigns)
            leaderless += (right - left) * (leaders == 0)
            overlap += (right - left) * (leaders > 1)
        return leaderless, overlap


class Execution(msgspec.Struct, kw_only=True):
    """What an engine saw of one trial.

    Attributes:
        initiators: who started the measured election.
        planned, fired: how many faults should have struck, and what was done.
        began: when the measured interval began: the fault, or the start.
        counted_from: when counting began: the same, but the start for faults that strike during an election.
        end: the last event.
        stop: quiescent, settled, horizon or error.
        error: what a node raised.
        sent, bytes: messages and encoded bytes by kind, the detector's included.
        duplicated, dropped: by the transport.
        false_suspicions: times that a node began to suspect a living one.
        sent_by_node: of the busiest node.
        received, lost, in_flight, stale, timeouts, depth, max_hop: as the columns of `Trial` (max_hop in ns).
        live: positions that were up at the end.
        draws: what each position drew, for pages that declare it.
        monitor: who led when.
        wall, cpu, rss, switches: cost in seconds, seconds, KiB and times; None where it is not measured.
        log_lost: records that a log had no room for.
    """

    initiators: tuple[Position, ...] = ()
    planned: int = 0
    fired: list[Fired] = []
    began: int = 0
    counted_from: int = 0
    end: int = 0
    stop: str = "quiescent"
    error: str = ""
    sent: dict[type[Message], int] = {}
    bytes: dict[type[Message], int] = {}
    sent_by_node: int = 0
    duplicated: int = 0
    dropped: int = 0
    false_suspicions: int = 0
    received: int = 0
    lost: int = 0
    in_flight: int = 0
    stale: int = 0
    timeouts: int = 0
    depth: int = 0
    max_hop: int = 0
    live: tuple[Position, ...] = ()
    draws: dict[Position, tuple[int, ...]] = {}
    monitor: Monitor
    wall: float | None = None
    cpu: float | None = None
    rss: int | None = None
    switches: int | None = None
    log_lost: int = 0


class Outcome(msgspec.Struct):
    """Where an election ended: verdict, leader, term, and when the leader won and the last node agreed."""

    verdict: str
    leader: Id | None = None
    term: int | None = None
    won: int = 0
    agreed: int = 0


def judge(execution: Execution, ids: tuple[Id, ...], implicit: bool = False) -> Outcome:
    """The verdict over the live nodes at the end; in an `implicit` election who is not the leader need only know that."""
    if execution.stop not in ("quiescent", "settled"):
        return Outcome("unknown")
    nobody: tuple[Id | None, int, int] = (None, 0, 0)
    ends = {position: execution.monitor.leaders.get(position, nobody) for position in execution.live}
    alive = {ids[position] for position in ends}
    leaders = {leader for leader, _, _ in ends.values()} - ({0} if implicit else set())
    winner = next((position for position, end in ends.items() if ids[position] == end[0]), None)
    if len(leaders) == 1 and winner is not None:
        leader, term, won = ends[winner]
        return Outcome("elected", leader, term, won, max(since for _, _, since in ends.values()))
    return Outcome("split" if leaders & alive else "no_leader")


CLASSES = ("election", "announcement", "detector")


def kinds_of(page: type[Node]) -> list[type[Message]]:
    """All kinds of message that nodes of a page send one another, the combinator's and the detector's included."""
    return [*page.messages, Newer, Heartbeat, Suspicion]


def classify(message: type[Message]) -> str:
    """The class of a kind of message: one of `CLASSES`."""
    if message in (Heartbeat, Suspicion) or issubclass(message, Periodic):
        return "detector"
    return "announcement" if issubclass(message, Announcement) else "election"


def is_within(model: Model, execution: Execution, scenario: Scenario) -> bool:
    """Whether what happened was inside what the model declares.

    Partial synchrony promises a leader only once the network is timely: a trial that came to its horizon on links that are
    late or lose messages, and shows no leader too many, is no broken promise. Where all must start at once, who comes back
    is late.
    """
    timely = execution.max_hop <= scenario.delta * 1e9 and not execution.false_suspicions
    steady = timely and not execution.dropped
    waits = model.timing == "partially synchronous" and not steady and execution.stop == "horizon"
    return (
        execution.stop != "error"
        and 0 < len(execution.live) >= scenario.n - model.spares(scenario.n)
        and is_covered(scenario.faults, model.timing, model.channels)
        and (model.timing != "synchronous" or timely)
        and not (waits and not execution.monitor.violations)
        and not (model.start == "all" and any(fired.what == "recover" for fired in execution.fired))
    )


def may_fail(page: type[Node], verdict: str) -> bool:
    """Whether nobody was elected by mere bad luck, as an implicit election allows."""
    return page.model.election == "implicit" and verdict == "no_leader"


def _tell(fired: Fired, since: int) -> str:
    """A strike as text for the row."""
    whom = f" {fired.position} ({fired.role})" if fired.position >= 0 else ""
    return f"{fired.name}: {fired.what}{whom} after {(fired.time - since) / 1e9:.6f}s"


def make_row(
    execution: Execution, scenario: Scenario, run: str, trial: int, rep: int, engine: str
) -> tuple[Trial, list[KindCount]]:
    """The row of a trial in `trials.csv`, and its rows in `kinds.csv`."""
    page, seen = find_algorithm(scenario.algorithm), execution.monitor
    kinds = [
        KindCount(
            trial,
            message.__name__,
            classify(message),
            execution.sent.get(message, 0),
            execution.bytes.get(message, 0),
        )
        for message in kinds_of(page)
        if message in page.messages or execution.sent.get(message)
    ]
    counts = {name: sum(kind.count for kind in kinds if kind.kind_class == name) for name in CLASSES}
    outcome = judge(execution, scenario.ids, page.model.election == "implicit")
    leaderless, overlap = seen.measure_reigns(execution.began, execution.end)
    settled = outcome.leader is not None and seen.first is not None and outcome.won >= seen.first
    row = Trial(
        run=run,
        trial=trial,
        engine=engine,
        algorithm=scenario.algorithm,
        parameters=_join(f"{name}={value}" for name, value in sorted(scenario.parameters.items())),
        topology=page.model.topology if page.model.topology != "any" else scenario.topology,
        n=scenario.n,
        ids=_join(scenario.ids),
        initiators=_join(execution.initiators),
        dead=_join(scenario.dead),
        fault=scenario.fault,
        detector=scenario.detector,
        seed=scenario.seed,
        rep=rep,
        verdict=outcome.verdict,
        stop=execution.stop,
        leader=outcome.leader,
        term=outcome.term,
        violations=seen.violations,
        within_model=is_within(page.model, execution, scenario) and not may_fail(page, outcome.verdict),
        max_hop_s=execution.max_hop / 1e9,
        false_suspicions=execution.false_suspicions,
        delta_s=scenario.delta,
        faults_planned=execution.planned,
        faults_fired=sum(fired.planned for fired in execution.fired),
        fault_log="; ".join(_tell(fired, execution.counted_from) for fired in execution.fired),
        messages=counts["election"] + counts["announcement"],
        announcements=counts["announcement"],
        detector_messages=counts["detector"],
        stale_messages=execution.stale,
        sent=sum(counts.values()),
        duplicated=execution.duplicated,
        received=execution.received,
        dropped=execution.dropped,
        lost=execution.lost,
        in_flight=execution.in_flight,
        bytes=sum(kind.bytes for kind in kinds if kind.kind_class != "detector"),
        max_sent_by_node=execution.sent_by_node,
        causal_depth=execution.depth,
        epochs=len(seen.epochs),
        churn=seen.churn,
        timeouts=execution.timeouts,
        detect_s=(seen.first - max(execution.began, seen.struck)) / 1e9
        if execution.fired and seen.first is not None
        else None,
        elect_s=(outcome.won - seen.first) / 1e9 if settled and seen.first is not None else None,
        agree_s=(outcome.agreed - outcome.won) / 1e9 if settled else None,
        quiet_s=(execution.end - outcome.agreed) / 1e9 if settled else None,
        leaderless_s=leaderless / 1e9,
        overlap_s=overlap / 1e9,
        wall_s=execution.wall,
        cpu_s=execution.cpu,
        max_rss_kb=execution.rss,
        ctx_switches=execution.switches,
        log_lost=execution.log_lost,
        error=execution.error,
    )
    return row, kinds


def _join(values: Iterable[object]) -> str:
    return ",".join(map(str, values))
