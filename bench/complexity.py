"""Complexity: what the theorem says a trial should have cost, beside what it cost."""

from algorithms.model import Arrangement
from bench.observe import Execution
from bench.scenario import Scenario, find_algorithm, parse_parameters
from bench.trial import KindCount, Trial


def arrange(execution: Execution, scenario: Scenario) -> Arrangement:
    """The arrangement of the measured election: who was down when it began, who started it, and what was drawn."""
    page = find_algorithm(scenario.algorithm)
    return Arrangement(
        ids=scenario.ids,
        initiators=execution.initiators,
        dead=tuple(sorted({*scenario.dead, *(fired.position for fired in execution.fired)})),
        parameters=parse_parameters(page, scenario.parameters),
        draws=execution.draws,
    )


def compare_with_theory(row: Trial, kinds: list[KindCount], execution: Execution, scenario: Scenario) -> list[str]:
    """Every way in which a trial differs from its closed form; empty if it equals the theorem.

    Counts by kind are compared, the causal depth where the page claims one, and what must hold in every trial inside the
    model: one election, one leader, agreed by all, and every message accounted for.
    """
    page = find_algorithm(scenario.algorithm)
    arrangement = arrange(execution, scenario)
    alone = len(arrangement.live) == 1 and page.model.failures == "none"
    expected = {} if alone else page.claims.messages(arrangement)
    wrong = [
        f"{kind.kind}: {kind.count} sent, {expected.get(kind.kind, 0)} by the theorem"
        for kind in kinds
        if kind.count != expected.get(kind.kind, 0)
    ]
    if page.claims.depth is not None and not alone and row.causal_depth != page.claims.depth(arrangement):
        wrong.append(f"causal depth: {row.causal_depth}, {page.claims.depth(arrangement)} by the theorem")
    wrong += [
        f"{name}: {value}, not {right}"
        for name, value, right in (
            ("verdict", row.verdict, "elected"),
            ("violations", row.violations, 0),
            ("epochs", row.epochs, 1),
            ("messages unaccounted for", row.unaccounted, 0),
        )
        if value != right
    ]
    return wrong
