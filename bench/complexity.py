"""Complexity: what the theorem says a trial should have cost, beside what it cost."""

import msgspec

from algorithms.model import Arrangement
from bench.engines.processes import memory as shm
from bench.engines.processes.launcher import Observation
from bench.observe import records
from bench.scenario import Scenario, find_algorithm, parse_parameters
from bench.trial import KindCount, Trial


def arrange(observation: Observation, scenario: Scenario) -> Arrangement:
    """The arrangement of the measured election: who was down when it began, who started it, and what was drawn."""
    page = find_algorithm(scenario.algorithm)
    down = {*scenario.dead, *(fired.position for fired in observation.fired)}
    draws: dict[int, tuple[int, ...]] = {}
    if page.claims.drawn is not None:
        kind, decode = page.messages.index(page.claims.drawn), msgspec.msgpack.Decoder(page.claims.drawn).decode
        for position, state in enumerate(observation.nodes):
            bodies = dict.fromkeys(
                record.body[: record.size]
                for record in records(state)
                if record.what == shm.SEND and record.kind == kind and record.time >= observation.counted_from
            )
            draws[position] = tuple(decode(body).value for body in bodies)  # type: ignore[attr-defined]
    return Arrangement(
        ids=scenario.ids,
        initiators=observation.initiators,
        dead=tuple(sorted(down)),
        parameters=parse_parameters(page, scenario.parameters),
        draws=draws,
    )


def compare_with_theory(row: Trial, kinds: list[KindCount], observation: Observation, scenario: Scenario) -> list[str]:
    """Every way in which a trial differs from its closed form; empty if it equals the theorem.

    Counts by kind are compared, the causal depth where the page claims one, and what must hold in every trial inside the
    model: one election, one leader, agreed by all, and every message accounted for.
    """
    page = find_algorithm(scenario.algorithm)
    arrangement = arrange(observation, scenario)
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
