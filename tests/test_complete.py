"""Complete graphs: captures within their bounds in every schedule, groups that part and merge."""

from random import Random

import pytest

from algorithms import ALGORITHMS
from algorithms.complete.invitation import Invitation
from algorithms.model import Message
from bench.complexity import check_trial
from bench.conformance import relabel
from bench.engines.simulate import Simulate
from bench.faults import parse_plan
from bench.observe import make_row
from bench.scenario import Scenario
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
