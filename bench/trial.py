"""Trial: one execution as one tidy row.

History of the schema
    1  first version
    2  churn; several faults in one trial, joined by +; fault_log tells what was done and the victim's role
"""

import msgspec

SCHEMA = 2


class Trial(msgspec.Struct, kw_only=True):
    """One row of `trials.csv`; an empty cell where a column does not apply. All times in seconds.

    Attributes:
        schema run trial engine algorithm topology n ids initiators fault detector seed rep: what it was.
        parameters dead: the algorithm's own parameters that are not at their defaults; positions down from the start.
        verdict: elected, no_leader, split or unknown.
        stop: quiescent, settled or horizon; error if a node raised.
        leader term: id and term agreed on.
        violations: leaders too many: for each key, nodes that led it while another did; of pages with terms and
            majorities, nodes that ever led a term which another led.
        within_model: whether what happened was inside what the algorithm declares, bad luck where it may fail excluded.
        max_hop_s false_suspicions delta_s: slowest delivery, suspicions of the living, bound on one hop in force.
        faults_planned faults_fired: how many; fired ones hit a live target.
        fault_log: what was done, at whom, in which role, and when (s after counting began).
        messages: election and announcement messages sent, to quiescence; heartbeats are none.
        announcements detector_messages stale_messages: part of `messages`; apart from it; discarded as of the past.
        sent duplicated received dropped lost in_flight: accounting over all classes.
        bytes max_sent_by_node: encoded bytes of `messages` without frames; sends of the busiest node.
        causal_depth: longest happened-before chain of messages.
        epochs timeouts churn: elections opened; timers that fired; changes of the leader while the one before lived.
        detect_s elect_s agree_s quiet_s: phases.
        leaderless_s overlap_s: time without a live self-declared leader; with two or more.
        wall_s cpu_s max_rss_kb ctx_switches: cost, of the nodes alone except for wall_s.
        log_lost: records that the event log had no room for.
        error: what a node raised.
    """

    schema: int = SCHEMA
    run: str
    trial: int
    engine: str
    algorithm: str
    parameters: str
    topology: str
    n: int
    ids: str
    initiators: str
    dead: str
    fault: str
    detector: str
    seed: int
    rep: int
    verdict: str
    stop: str
    leader: int | None
    term: int | None
    violations: int
    within_model: bool
    max_hop_s: float
    false_suspicions: int
    delta_s: float
    faults_planned: int
    faults_fired: int
    fault_log: str
    messages: int
    announcements: int
    detector_messages: int
    stale_messages: int
    sent: int
    duplicated: int
    received: int
    dropped: int
    lost: int
    in_flight: int
    bytes: int
    max_sent_by_node: int
    causal_depth: int
    epochs: int
    timeouts: int
    churn: int
    detect_s: float | None
    elect_s: float | None
    agree_s: float | None
    quiet_s: float | None
    leaderless_s: float
    overlap_s: float
    wall_s: float | None
    cpu_s: float | None
    max_rss_kb: int | None
    ctx_switches: int | None
    log_lost: int
    error: str

    @property
    def unaccounted(self) -> int:
        """sent + duplicated - received - dropped - lost - in_flight: 0 in every sound trial."""
        return self.sent + self.duplicated - self.received - self.dropped - self.lost - self.in_flight

    @property
    def is_broken(self) -> bool:
        """Whether the trial shows an error of ours or of the page: a promise broken inside the declared model."""
        promised = self.within_model and self.faults_fired == self.faults_planned
        kept = self.verdict == "elected" and self.violations == self.unaccounted == self.in_flight == 0
        return self.stop == "error" or (promised and not kept)


class KindCount(msgspec.Struct, frozen=True):
    """One row of `kinds.csv`: messages and bytes of one kind in one trial.

    Attributes:
        kind_class: election, announcement or detector (column `class`).
    """

    trial: int
    kind: str
    kind_class: str
    count: int
    bytes: int
