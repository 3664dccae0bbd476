"""Complexity: what the theorem says a trial should have cost, beside what it cost."""

from typing import Protocol

import msgspec

from algorithms.model import Arrangement
from bench.observe import Execution, make_row
from bench.scenario import Scenario, find_algorithm, parse_parameters
from bench.trial import KindCount, Trial


def arrange(execution: Execution, scenario: Scenario) -> Arrangement:
    """The arrangement of the measured election: who was down when it began, who started it, and what was drawn."""
    page = find_algorithm(scenario.algorithm)
    return Arrangement(
        ids=scenario.ids,
        initiators=execution.initiators,
        dead=tuple(sorted({*scenario.dead, *(it.position for it in execution.fired if it.what == "crash")})),
        parameters=parse_parameters(page, scenario.parameters),
        draws=execution.draws,
    )


def foresee(scenario: Scenario) -> Arrangement:
    """The arrangement of an election before it runs."""
    parameters = parse_parameters(find_algorithm(scenario.algorithm), scenario.parameters)
    return Arrangement(ids=scenario.ids, initiators=scenario.starters, dead=scenario.dead, parameters=parameters)


def compare_with_theory(row: Trial, kinds: list[KindCount], execution: Execution, scenario: Scenario) -> list[str]:
    """Every way in which a trial differs from its closed form; empty if it equals the theorem.

    Counts by kind are compared, leader and causal depth where the page claims them, and what must hold in every trial
    inside the model: one election, one leader, agreed by all, and every message accounted for.
    """
    page = find_algorithm(scenario.algorithm)
    arrangement = arrange(execution, scenario)
    alone = len(arrangement.live) == 1 and page.model.failures == "none"
    exact = page.claims.exact(arrangement)
    expected = {} if alone or not exact else page.claims.messages(arrangement)
    wrong = []
    if exact:
        wrong += [
            f"{kind.kind}: {kind.count} sent, {expected.get(kind.kind, 0)} by the theorem"
            for kind in kinds
            if kind.kind_class != "detector" and kind.count != expected.get(kind.kind, 0)
        ]
    if page.claims.depth is not None and exact and not alone and row.causal_depth != page.claims.depth(arrangement):
        wrong.append(f"causal depth: {row.causal_depth}, {page.claims.depth(arrangement)} by the theorem")
    if page.claims.leader is not None and exact and not alone and row.leader != page.claims.leader(arrangement):
        wrong.append(f"leader: {row.leader}, {page.claims.leader(arrangement)} by the theorem")
    wrong += [
        f"{name}: {value}, not {right}"
        for name, value, right in (
            ("verdict", row.verdict, "elected"),
            ("violations", row.violations, 0),
            ("epochs", row.epochs, 1 if exact and page.model.safety != "eventual" else row.epochs),
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
    """A trial held to the theorem: its row, how it differs, and how many attempts it took to stay inside the model."""

    row: Trial
    wrong: list[str]
    attempts: int


def check_trial(engine: Engine, scenario: Scenario, attempts: int = 5) -> Checked:
    """Run a trial and compare it with the theorem.

    One that falls outside the model (a hop slower than delta, where the page needs synchrony) is run again, at most
    `attempts` times in all; so is one in which heartbeats came so late that a leader was replaced for nothing.
    """
    beats = find_algorithm(scenario.algorithm).model.pulse is not None
    for attempt in range(1, attempts + 1):
        execution = engine.run(scenario)
        row, kinds = make_row(execution, scenario, "", 0, 0, engine.name)
        late = beats and (row.churn or row.max_hop_s > row.delta_s)
        if row.within_model and not (late and attempt < attempts):
            return Checked(row, compare_with_theory(row, kinds, execution, scenario), attempt)
    return Checked(row, [f"{attempts} trials outside the model: a hop took up to {row.max_hop_s:.3f} s"], attempts)
