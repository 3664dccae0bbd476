"""Complexity: what the theorem says a trial should have cost, beside what it cost."""

from typing import Protocol

import msgspec

from algorithms.model import Arrangement
from bench.observe import Execution, make_row, may_fail
from bench.scenario import Scenario, find_algorithm, parse_parameters
from bench.topology import find_graph
from bench.trial import KindCount, Trial


def arrange(execution: Execution, scenario: Scenario) -> Arrangement:
    """The arrangement of the measured election: who was down when it began, who started it, and what was drawn."""
    page = find_algorithm(scenario.algorithm)
    crashed = tuple(sorted({it.position for it in execution.fired if it.what == "crash"}))
    dead = tuple(sorted({*scenario.dead, *crashed}))
    graph = None
    if page.model.topology == "any":
        graph = find_graph(scenario.topology, scenario.n, scenario.seed).without(dead)
    return Arrangement(
        ids=scenario.ids,
        initiators=execution.initiators,
        dead=dead,
        crashed=crashed,
        parameters=parse_parameters(page, scenario.parameters),
        draws=execution.draws,
        edges=graph.edges if graph else 0,
        diameter=graph.diameter if graph and "diameter" in page.model.knows else 0,
    )


def foresee(scenario: Scenario) -> Arrangement:
    """The arrangement of an election before it runs."""
    parameters = parse_parameters(find_algorithm(scenario.algorithm), scenario.parameters)
    return Arrangement(ids=scenario.ids, initiators=scenario.starters, dead=scenario.dead, parameters=parameters)


def find_loose(execution: Execution, scenario: Scenario) -> set[str] | None:
    """Kinds of message whose number the schedule decides, by the page's claims; None if it decides all, even who wins."""
    page = find_algorithm(scenario.algorithm)
    if not hasattr(page, "claims"):
        return set()
    arrangement = arrange(execution, scenario)
    if not page.claims.exact(arrangement):
        return None
    return {kind for kind, counts in page.claims.ranges(arrangement).items() if len(counts) > 1}


def compare_with_theory(row: Trial, kinds: list[KindCount], execution: Execution, scenario: Scenario) -> list[str]:
    """Every way in which a trial differs from its closed form; empty if it equals the theorem.

    Counts by kind are compared (those that the schedule decides with their ranges), leader and causal depth where the
    page claims them, and what must hold in every trial inside the model: one election, one leader, agreed by all, and
    every message accounted for.
    """
    page = find_algorithm(scenario.algorithm)
    arrangement = arrange(execution, scenario)
    alone = len(arrangement.live) == 1 and page.model.failures == "none"
    exact = page.claims.exact(arrangement)
    expected = {} if alone or not exact else page.claims.messages(arrangement)
    certain = exact and page.model.safety != "eventual"
    ranges = {} if alone else page.claims.ranges(arrangement)
    wrong = []
    if exact:
        wrong += [
            f"{kind.kind}: {kind.count} sent, {expected.get(kind.kind, 0)} by the theorem"
            for kind in kinds
            if kind.kind_class != "detector" and kind.kind not in ranges and kind.count != expected.get(kind.kind, 0)
        ]
        wrong += [
            f"{kind.kind}: {kind.count} sent, {ranges[kind.kind][0]} to {ranges[kind.kind][-1]} by the theorem"
            for kind in kinds
            if kind.kind in ranges and kind.count not in ranges[kind.kind]
        ]
    if page.claims.depth is not None and exact and not alone and row.causal_depth != page.claims.depth(arrangement):
        wrong.append(f"causal depth: {row.causal_depth}, {page.claims.depth(arrangement)} by the theorem")
    if page.claims.leader is not None and exact and not alone and row.leader != page.claims.leader(arrangement):
        wrong.append(f"leader: {row.leader}, {page.claims.leader(arrangement)} by the theorem")
    wrong += [
        f"{name}: {value}, not {right}"
        for name, value, right in (
            ("verdict", row.verdict, "no_leader" if may_fail(page, row.verdict) else "elected"),
            ("violations", row.violations, 0),
            ("epochs", row.epochs, page.claims.epochs(arrangement) if certain else row.epochs),
            ("messages unaccounted for", row.unaccounted, 0),
        )
        if value != right
    ]
    return wrong


class Engine(Protocol):
    """What runs a trial."""

    name: str

    def run(self, scenario: Scenario) -> Execution:
        """Run one trial."""


class Checked(msgspec.Struct):
    """A trial held to the theorem.

    Attributes:
        row: of the trial.
        wrong: how it differs.
        attempts: how many it took to stay inside the model.
        fixed: whether the schedule decides no count.
    """

    row: Trial
    wrong: list[str]
    attempts: int
    fixed: bool = True


def check_trial(engine: Engine, scenario: Scenario, attempts: int = 5) -> Checked:
    """Run a trial and compare it with the theorem.

    One that falls outside the model (a hop slower than delta, where the page needs synchrony) is run again, at most
    `attempts` times in all. So is one of a page that counts on synchrony for its end alone, whose timers fire for nothing
    then, and one in which heartbeats came so late that a leader was replaced for nothing.
    """
    page = find_algorithm(scenario.algorithm)
    timed, beats = page.model.timing == "partially synchronous", page.model.pulse is not None
    for attempt in range(1, attempts + 1):
        execution = engine.run(scenario)
        row, kinds = make_row(execution, scenario, "", 0, 0, engine.name)
        late = (beats and row.churn) or (timed and row.max_hop_s > row.delta_s)
        within = row.within_model or may_fail(page, row.verdict)
        if within and not (late and attempt < attempts):
            wrong = compare_with_theory(row, kinds, execution, scenario)
            return Checked(row, wrong, attempt, find_loose(execution, scenario) == set())
    return Checked(row, [f"{attempts} trials outside the model: a hop took up to {row.max_hop_s:.3f} s"], attempts)
