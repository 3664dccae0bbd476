"""Complete graphs: captures within their bounds in every schedule."""

from random import Random

import pytest

from algorithms import ALGORITHMS
from bench.complexity import check_trial
from bench.conformance import relabel
from bench.engines.simulate import Simulate
from bench.observe import make_row
from bench.scenario import Scenario


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
