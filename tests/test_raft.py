"""Raft's election step by step, where no engine can force the step, and its evaluation against the published formulas."""

import importlib
import math
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from algorithms.model import Effect, Node, Save, Send, View
from algorithms.quorum.raft import PreVote, Raft
from bench.engines.processes import Processes
from bench.engines.simulate import Simulate
from bench.raft_paper import (
    crash_once,
    figure_scenario,
    measure,
    measure_point,
    replace_leader,
    split_probability,
)
from tests.mutants import plant


def hear(node: Node, port: int, kind: str, *fields: object) -> None:
    """A message of that kind arrives; a planted page has its own."""
    (message,) = (it for it in node.messages if it.__name__ == kind)
    node.deliver(0, port, (0, ()), message(*fields))


def server(page: type[Node] = Raft, term: int = 0, voted: int = 0, **parameters: object) -> Node:
    """Server 2 of five, started or recovered."""
    values = {name: parameter.parse(parameter.default) for name, parameter in page.parameters.items()} | parameters
    node = page(View(2, (1, 3, 4, 5), 5, "test"), **values)
    node.on_recover(page.record(term, voted)) if term and page.record else node.on_start()
    take(node)
    return node


def take(node: Node) -> list[Effect]:
    """What a node did since it was looked at last."""
    effects = list(node.effects)
    node.effects.clear()
    return effects


def grants(node: Node, port: int, term: int, log: tuple[int, int] = (1, 1)) -> bool:
    """Whether the server gives its vote to the one behind `port`."""
    hear(node, port, "RequestVote", term, *log)
    (vote,) = (it.msg for it in take(node) if isinstance(it, Send))
    return "granted=True" in str(vote)


def votes_once_through_a_crash(page: type[Node]) -> bool:
    """A vote is on stable storage before it is told, and not given again by who comes back."""
    node = server(page)
    hear(node, 3, "RequestVote", 1, 1, 1)
    effects = take(node)
    told = [type(it) for it in effects].index(Send)
    term, voted = msgspec.structs.astuple([it.record for it in effects[:told] if isinstance(it, Save)][-1])
    return (term, voted) == (1, 3) and not grants(server(page, 1, voted), 4, 1) and grants(server(page, 1, voted), 3, 1)


def counts_votes_of_this_term(page: type[Node]) -> bool:
    """Votes of an earlier candidacy do not make a leader."""
    node = server(page)
    node.fire("election")
    node.fire("election")
    for port in (1, 3, 4):
        hear(node, port, "Vote", 1, True)
    early = node.leader
    for port in (1, 3):
        hear(node, port, "Vote", 2, True)
    return early is None and node.leader == 2


def compares_terms_before_lengths(page: type[Node]) -> bool:
    """A longer log whose last entry is of an older term is behind."""
    return [grants(server(page), 3, 1, log) for log in ((0, 9), (1, 1), (2, 0))] == [False, True, True]


def follows_no_earlier_leader(page: type[Node]) -> bool:
    """Who leads an earlier term is told of the later one, not followed."""
    node = server(page, 3)
    hear(node, 5, "Heartbeat", 2)
    return node.leader is None and "Appended(term=3)" in str(take(node))


def leading(page: type[Node], check_quorum: bool) -> Node:
    """Server 2 of five, elected by 1 and 3."""
    node = server(page, check_quorum=check_quorum)
    node.fire("election")
    for port in (1, 3):
        hear(node, port, "Vote", 1, True)
    take(node)
    return node


def leads_after(page: type[Node], *answers: tuple[int, ...], check_quorum: bool = True) -> bool:
    """Whether a leader still leads when those have answered, from one heartbeat to the next."""
    node = leading(page, check_quorum)
    for ports in answers:
        node.fire("heartbeat")
        for port in ports:
            hear(node, port, "Appended", 1)
    node.fire("heartbeat")
    return node.leader == 2


def resigns_without_a_majority(page: type[Node]) -> bool:
    """A timeout is two heartbeats; votes are answers, too; nobody resigns who was not asked to look."""
    beats = [leads_after(page, *[()] * silent) for silent in range(4)]
    return beats == [True, True, False, False] and leads_after(page, (), (), (), check_quorum=False)


def stays_with_a_majority(page: type[Node]) -> bool:
    """Its majority need not answer one heartbeat; one server alone is a majority."""
    alone = page(View(1, (), 1, ""), check_quorum=True)
    alone.on_start()
    for timer in ("election", *3 * ("heartbeat",)):
        alone.fire(timer)
    return alone.leader == 1 and leads_after(page, (4,), (5,))


def hears_no_candidate_while_it_is_led(page: type[Node]) -> bool:
    """Whoever hears a leader denies its vote to others, and does not enter their term."""
    node = server(page, check_quorum=True)
    hear(node, 1, "Heartbeat", 1)
    take(node)
    denied, term = not grants(node, 3, 2), node.epoch
    node.fire("lease")
    return denied and term == 1 and grants(node, 3, 2)


RULES: dict[Callable[[type[Node]], bool], tuple[str, str]] = {  # a rule, and an error that breaks it
    votes_once_through_a_crash: ("self.save(Voted(self.epoch, port))", "self.voted = port"),
    counts_votes_of_this_term: ("if msg == self.awaited:", "if msg.granted:"),
    compares_terms_before_lengths: (
        "in (0, port) and (msg.log_term, msg.log_index) >= self.log",
        "in (0, port) and (msg.log_index, msg.log_term) >= self.log[::-1]",
    ),
    resigns_without_a_majority: ("self.before, self.heard = self.heard, set()", "pass"),
    stays_with_a_majority: ("self.is_majority(len(self.heard | self.before))", "2 * len(self.heard) > self.n - 2"),
    hears_no_candidate_while_it_is_led: ("if not (self.check_quorum and self.is_led):", "if True:"),
    follows_no_earlier_leader: ("if msg.term == self.epoch:\n            self.role", "if True:\n            self.role"),
}


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_holds_and_its_breach_is_seen(
    rule: Callable[[type[Node]], bool], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    module, _, name = plant(tmp_path, "quorum.raft", *RULES[rule]).partition(":")
    assert rule(Raft)
    assert not rule(getattr(importlib.import_module(module), name))


def test_a_pre_vote_is_granted_only_where_no_leader_is_heard() -> None:
    node = server(pre_vote=True)
    hear(node, 1, "AppendEntries", 1)
    take(node)
    hear(node, 3, "RequestPreVote", 1, 1, 1)
    assert [it.msg for it in take(node) if isinstance(it, Send)] == [PreVote(1, False)]
    node.fire("lease")
    hear(node, 3, "RequestPreVote", 1, 1, 1)
    assert [it.msg for it in take(node) if isinstance(it, Send)] == [PreVote(1, True)]
    assert node.epoch == 1


@pytest.mark.parametrize(("asks", "term"), [(False, 2), (True, 1)])
def test_who_resigns_stands_again_and_with_pre_votes_leaves_the_term_alone(asks: bool, term: int) -> None:
    node = leading(Raft, True)
    node.pre_vote = asks  # type: ignore[attr-defined]
    for _ in range(3):
        node.fire("heartbeat")
    assert (node.leader, node.epoch) == (None, term)
    assert node.armed == {"election"}
    assert f"{'RequestPreVote' if asks else 'RequestVote'}(term={term}" in str(take(node))


@pytest.mark.parametrize(("n", "survivors", "share"), [(5, 4, 0.1), (5, 3, 0.2), (9, 5, 0.2)])
def test_votes_split_as_often_as_ongaro_says(n: int, survivors: int, share: float) -> None:
    chance, trials = split_probability(n, survivors, share), 500
    point = measure_point(n, survivors, share, (crash_once(n, survivors, share, rep) for rep in range(trials)))
    assert abs(point.split / trials - chance) <= 4 * math.sqrt(chance * (1 - chance) / trials)


def test_split_votes_as_published() -> None:
    published = {(5, 4, 0.01): 0.0006, (5, 4, 0.1): 0.052, (5, 4, 0.2): 0.181, (5, 3, 0.2): 0.488, (9, 5, 0.2): 0.672}
    assert {point: round(split_probability(*point), 4 if point[2] < 0.1 else 3) for point in published} == published


def test_who_is_behind_never_leads_in_figure_16(engine: Processes) -> None:
    for real in (False, True):
        for rep in range(3):
            scenario = figure_scenario((50, 100), rep, real)
            execution = engine.run(scenario) if real else Simulate().run(scenario)
            assert {reign.position for reign in execution.monitor.reigns} <= {2, 3, 4}
            downtime = measure(execution, scenario)
            assert downtime.ms is not None
            assert downtime.ms > 25 + 10  # half a timeout without heartbeats, and a disk


def test_the_medians_of_figure_16_are_near_the_published() -> None:
    for curve, median in {(150, 155): 287.3, (150, 300): 171.3, (50, 100): 66.7}.items():
        times = sorted(downtime.ms or math.inf for downtime in (replace_leader(curve, rep) for rep in range(100)))
        assert times[50] == pytest.approx(median, rel=0.2)
