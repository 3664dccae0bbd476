"""Complete graphs: captures within bounds in every schedule, groups that part and merge, elections that may fail."""

import sys
from math import log, sqrt
from random import Random
from statistics import fmean, stdev

import pytest

from algorithms import ALGORITHMS
from algorithms.complete.invitation import Invitation
from algorithms.complete.sublinear import Best, Rank
from algorithms.model import Message, Send, View
from bench.complexity import check_trial
from bench.conformance import relabel
from bench.engines.simulate import Simulate
from bench.faults import parse_plan
from bench.observe import Execution, Monitor, judge, make_row
from bench.scenario import Scenario
from bench.settings import BadInput, make_settings
from bench.topology import Distances, complete
from bench.trial import Trial


def scenario(name: str, ids: tuple[int, ...], **plan: object) -> Scenario:
    return Scenario(algorithm=name, ids=ids, **{"seed": 1, "delta": 0.001, "horizon": 60, **plan})  # type: ignore[arg-type]


@pytest.mark.parametrize("n", [2, 3, 4, 5, 8, 16, 64])
def test_a_single_initiator_captures_everybody(n: int) -> None:
    for start in (0, n - 1):
        plan = scenario("afek_gafni", tuple(range(1, n + 1)), initiators=str(start), latency="1ms")
        row, kinds = make_row(Simulate().run(plan), plan, "", 0, 0, "")
        counts = {kind.kind: kind.count for kind in kinds}
        assert counts == {"Capture": n - 1, "Ask": 0, "Yield": 0, "Accept": n - 1, "Leader": n - 1}
        assert (row.causal_depth, row.leader) == (2 * n - 1, start + 1)


def test_captures_stay_within_their_bounds() -> None:
    most = 0.0
    for n in (2, 3, 5, 8, 13, 21, 40, 69):
        bound = ALGORITHMS["afek_gafni"].claims.all.worst.value
        assert bound is not None
        for seed in range(30):
            ids = tuple(Random(seed).sample(range(1, n + 1), n))
            starts = ("all", "one", "random:3")[seed % 3]
            latency = ("", "lognormal:2ms:2", "1ms")[seed // 3 % 3]
            plan = scenario("afek_gafni", ids, seed=seed, initiators=starts, latency=latency)
            checked = check_trial(Simulate(), plan)
            assert checked.wrong == [], plan
            row, _ = make_row(relabel(plan).run(), plan, "", 0, 0, "")
            assert (row.verdict, row.violations) == ("elected", 0)
            assert max(row.messages, checked.row.messages) <= bound(n, n)
            most = max(most, row.messages / bound(n, n))
    assert most > 0.4  # the bound says something


def kinds_of(plan: Scenario) -> tuple[dict[str, int], Trial]:
    row, kinds = make_row(Simulate().run(plan), plan, "", 0, 0, "")
    return {kind.kind: kind.count for kind in kinds}, row


@pytest.mark.parametrize("n", [2, 3, 5, 8, 16])
def test_one_merge_of_all(n: int) -> None:
    """(n - 1) + 4(a - 1), whoever starts and whoever is down; all that start at once only ask and answer more."""
    ids = tuple(Random(n).sample(range(1, n + 1), n))
    for start in range(n):
        for dead in [(), *(((start + 1) % n,) for _ in range(n > 2)), *(((start + 1) % n, (start + 2) % n),) * (n > 3)]:
            live = n - len(dead)
            plan = scenario("invitation", ids, initiators=str(start), dead=tuple(sorted(dead)), latency="1ms")
            counts, row = kinds_of(plan)
            asked = {"AreYouCoordinator": n - 1, "Answer": live - 1}
            assert counts == {**asked, "Invitation": live - 1, "Accept": live - 1, "Ready": live - 1}
            assert (row.verdict, row.leader, row.messages) == ("elected", ids[start], n - 1 + 4 * (live - 1))
            assert row.causal_depth == 5
    counts, row = kinds_of(scenario("invitation", ids))
    assert row.leader == n
    asked = {"AreYouCoordinator": n * (n - 1), "Answer": n * (n - 1)}
    assert counts == {**asked, "Invitation": n - 1, "Accept": n - 1, "Ready": n - 1}


@pytest.mark.parametrize(
    "fault", ["partition:halves,for=300ms", "partition:bridge,for=300ms", "false-suspicion", "pause:leader,for=300ms"]
)
def test_groups_part_and_merge_again(fault: str) -> None:
    """Each side has its leader, no group has two, and in the end there is one group."""
    overlap = 0.0
    for seed in range(10):
        ids = tuple(Random(seed).sample(range(1, 7), 6))
        plan = scenario(
            "invitation", ids, seed=seed, faults=parse_plan(fault), detector="heartbeat:period=1ms,timeout=5ms"
        )
        row, _ = make_row(Simulate().run(plan), plan, "", 0, 0, "")
        assert (row.verdict, row.violations, row.unaccounted) == ("elected", 0, 0)
        overlap += row.overlap_s
    assert overlap > 0


def test_a_member_is_invited_through_its_coordinator() -> None:
    """Two groups of two: the merged group costs what one merge costs, and one invitation is passed on."""
    plan = scenario("invitation", (1, 2, 3, 4), faults=parse_plan("partition:halves,for=300ms"), latency="1ms",
        detector="heartbeat:period=1ms,timeout=5ms")  # fmt: skip
    passed = []

    def observe(now: int, source: int, target: int, msg: Message, depth: int) -> None:
        if isinstance(msg, Invitation) and msg.coordinator != plan.ids[source]:
            passed.append((source, target))

    execution = Simulate().run(plan, observe)
    assert make_row(execution, plan, "", 0, 0, "")[0].verdict == "elected"
    assert passed


@pytest.mark.parametrize(
    ("n", "mean"),
    [pytest.param(256, 1686, marks=pytest.mark.slow), (1024, 4686), pytest.param(4096, 12310, marks=pytest.mark.slow)],
)
def test_the_mean_of_sublinear(n: int, mean: int) -> None:
    """2nps messages on average; each trial 2s a candidate exactly, and the one that is elected won everywhere."""
    claimed = ALGORITHMS["sublinear"].claims.all.mean.value
    assert claimed is not None
    assert claimed(n, n) == pytest.approx(mean, abs=0.5)
    totals = []
    for seed in range(100_000 // n if n < 1000 else 16):
        checked = check_trial(Simulate(), scenario("sublinear", tuple(range(1, n + 1)), seed=seed))
        assert checked.wrong == [], seed
        assert (checked.row.verdict, checked.row.causal_depth, checked.row.announcements) == ("elected", 2, 0)
        totals.append(checked.row.messages)
    assert abs(fmean(totals) - mean) <= 4 * stdev(totals) / sqrt(len(totals)) + 0.5


def test_nobody_may_be_elected_and_that_is_no_error() -> None:
    """With two nodes nobody is a candidate once in (1 - p)^2, and a rank out of 16 is drawn twice now and then."""
    verdicts = []
    for seed in range(600):
        row, kinds = kinds_of(scenario("sublinear", (1, 2), seed=seed))[::-1]
        verdicts.append(row.verdict)
        assert (row.within_model, row.is_broken, row.violations) == (row.verdict == "elected", False, 0)
        candidates = kinds["Rank"]
        assert row.verdict == "elected" if candidates == 1 else candidates == 2 or row.verdict == "no_leader"
    chance = log(2)
    nobody = (1 - chance) ** 2 + chance**2 / 16
    assert set(verdicts) == {"elected", "no_leader"}
    assert abs(verdicts.count("no_leader") / 600 - nobody) <= 4 * sqrt(nobody * (1 - nobody) / 600)


def test_an_implicit_election_is_judged_by_who_declares_itself() -> None:
    for minds, implicit, verdict in (
        ((1, 0, 0), True, "elected"),
        ((0, 0, 0), True, "no_leader"),
        ((1, 2, 0), True, "split"),
        ((1, None, 0), True, "split"),
        ((0, 1, 1), True, "split"),  # who is pointed at says no
        ((1, 0, 0), False, "split"),
    ):
        execution = Execution(monitor=Monitor((1, 2, 3), ALGORITHMS["sublinear"].model), live=(0, 1, 2))
        for position, leader in enumerate(minds):
            if leader is not None:
                execution.monitor.elect(0, position, leader, 1, 0)
        assert judge(execution, (1, 2, 3), implicit).verdict == verdict, minds


def test_who_starts_late_is_not_elected() -> None:
    node = ALGORITHMS["sublinear"](View(None, (1, 2), 3, "seed"))
    node.deliver(1, 1, (1, ()), Rank(5))
    node.fire("answer")
    node.deliver(2, 2, (1, ()), Rank(7))
    assert [(it.port, it.msg) for it in node.effects if isinstance(it, Send)] == [(1, Best(5)), (2, Best(0))]


def test_all_elect_anew_when_anybody_is_gone() -> None:
    seen = set()
    for seed in range(40):
        for fault in ("leader-crash", "crash:random=1"):
            row, _ = kinds_of(scenario("sublinear", tuple(range(1, 9)), seed=seed, faults=parse_plan(fault)))[::-1]
            assert (row.verdict == "elected") == row.within_model
            assert row.violations == 0
            seen.add((row.verdict, row.epochs))
    assert ("elected", 1) in seen


def test_everybody_starts_at_once() -> None:
    options = {"algorithms": "bully,sublinear", "nodes": "4", "faults": "none", "trials": "1"}
    with pytest.raises(BadInput, match="--initiators: all nodes of sublinear start at once"):
        make_settings(options | {"initiators": "one"}, "")
    with pytest.raises(BadInput, match="--detector: all nodes of sublinear start at once"):
        make_settings(options | {"detector": "heartbeat"}, "")


def test_links_of_a_complete_graph_are_worked_out_when_asked() -> None:
    for position in range(5):
        links = Distances(position, 5)
        assert dict(links) == complete(position, (), (5, 4, 3, 2, 1), False)
        assert dict(links) == {port: ((position + port) % 5, 5 - port) for port in range(1, 5)}
        assert all(
            complete(peer, (), (5, 4, 3, 2, 1), False)[back] == (position, port) for port, (peer, back) in links.items()
        )
        with pytest.raises(KeyError):
            links[0]
    assert sys.getsizeof(complete(0, (), tuple(range(1, 65_537)), False)) < 100


@pytest.mark.slow
def test_sixty_five_thousand_nodes() -> None:
    n = 65_536
    checked = check_trial(Simulate(), scenario("sublinear", tuple(range(1, n + 1))))
    assert (checked.wrong, checked.row.verdict) == ([], "elected")
    assert checked.row.messages < 2 * n
