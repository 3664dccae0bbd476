"""Rings: golden vectors, every small arrangement on the simulator, and nodes without ids."""

from collections.abc import Iterator
from fractions import Fraction
from itertools import combinations, permutations
from math import log2, sqrt
from random import Random
from statistics import fmean, stdev

import pytest

from algorithms import ALGORITHMS
from algorithms.model import NEXT, PREVIOUS, Arrangement, Node, View
from algorithms.reelection import Reelection
from algorithms.ring.itai_rodeh import ItaiRodeh, Leader
from bench.complexity import check_trial
from bench.conformance import Nonconforming, WatchedSimulate, checks
from bench.engines.processes import Processes
from bench.engines.simulate import Simulate
from bench.observe import make_row
from bench.regress import variants
from bench.scenario import Scenario, node_maker
from bench.topology import bidirectional_ring
from tests.exactness import Tally, differences

ADDED = (
    *("lelann", "hirschberg_sinclair", "franklin", "dolev_klawe_rodeh", "peterson", "higham_przytycka", "itai_rodeh"),
)
GOLDEN = [  # ids, then total / depth of each (LeLann with its announcement), and Higham-Przytycka's winner
    ((1, 2, 3, 4, 5), (30, 10), (54, 24), (25, 11), (20, 12), (15, 11), (19, 12), 4),
    ((5, 4, 3, 2, 1), (30, 10), (54, 24), (25, 11), (20, 12), (20, 13), (15, 11), 1),
    ((3, 1, 4, 5, 2), (30, 10), (58, 24), (35, 14), (30, 17), (20, 14), (23, 15), 2),
    ((4, 7, 2, 8, 1, 6, 3, 5), (72, 16), (88, 30), (56, 19), (48, 22), (40, 25), (37, 23), 2),
    ((1, 5, 2, 6, 3, 7, 4, 8), (72, 16), (88, 30), (56, 19), (48, 22), (40, 23), (36, 23), 4),
    ((2, 6, 1, 4, 3, 5), (42, 12), (70, 26), (42, 15), (36, 18), (30, 19), (28, 18), 2),
]


def everybody(ids: tuple[int, ...]) -> Arrangement:
    return Arrangement(ids=ids, initiators=tuple(range(len(ids))))


def scenario(name: str, ids: tuple[int, ...], **plan: object) -> Scenario:
    return Scenario(algorithm=name, ids=ids, **{"seed": 1, "delta": 0.001, "horizon": 60, **plan})  # type: ignore[arg-type]


@pytest.mark.parametrize(("ids", "vectors", "winner"), [(ids, vectors, winner) for ids, *vectors, winner in GOLDEN])
def test_golden_vectors(ids: tuple[int, ...], vectors: list[tuple[int, int]], winner: int) -> None:
    for name, (messages, depth) in zip(ADDED, vectors, strict=False):
        claims = ALGORITHMS[name].claims
        assert sum(claims.messages(everybody(ids)).values()) == messages
        assert claims.depth is None or claims.depth(everybody(ids)) == depth
        assert claims.leader is not None
        assert claims.leader(everybody(ids)) == (winner if name == "higham_przytycka" else max(ids))
        plan = scenario(name, ids, latency="1ms")  # in lockstep all depths are THEORY's
        row, _ = make_row(Simulate().run(plan), plan, "", 0, 0, "")
        assert (row.messages, row.causal_depth, row.leader) == (messages, depth, claims.leader(everybody(ids)))


@pytest.mark.parametrize(
    ("draws", "messages", "depth", "winner"),
    [
        ({0: (2, 1), 1: (1,), 2: (2, 2), 3: (1,)}, 20, 12, 2),
        ({0: (3,), 1: (1,), 2: (2,), 3: (5,), 4: (4,)}, 19, 10, 3),
        ({0: (1, 2, 1), 1: (1, 1), 2: (1, 2, 2)}, 24, 12, 2),
    ],
)
def test_golden_vectors_of_draws(draws: dict[int, tuple[int, ...]], messages: int, depth: int, winner: int) -> None:
    claims, n = ItaiRodeh.claims, len(draws)
    arrangement = Arrangement(ids=tuple(range(n)), initiators=tuple(range(n)), draws=draws)
    assert claims.depth is not None
    assert claims.leader is not None
    assert sum(claims.messages(arrangement).values()) == messages
    assert (claims.depth(arrangement), claims.leader(arrangement)) == (depth, winner)


def arrangements(largest: int, largest_of_subsets: int) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
    """All ids with all sets of initiators; beyond `largest_of_subsets` only all of them."""
    for n in range(2, largest + 1):
        sizes = range(1, n + 1) if n <= largest_of_subsets else (n,)
        starts = [chosen for k in sizes for chosen in combinations(range(n), k)]
        yield from ((ids, chosen) for ids in permutations(range(1, n + 1)) for chosen in starts)


def check_every_arrangement(name: str, largest: int, largest_of_subsets: int) -> None:
    """Counts, leader and claimed depth in simulation, under random hops and in lockstep, are the predictor's."""
    for seed, (ids, starts) in enumerate(arrangements(largest, largest_of_subsets)):
        for parameters in variants(ALGORITHMS[name]):
            for latency in ("", "1ms"):
                initiators = ",".join(map(str, starts))
                plan = scenario(name, ids, seed=seed, initiators=initiators, parameters=parameters, latency=latency)
                assert check_trial(Simulate(), plan).wrong == [], (ids, starts, parameters, latency)


@pytest.mark.parametrize("name", ADDED)
def test_every_small_arrangement(name: str) -> None:
    check_every_arrangement(name, 5, 4)


@pytest.mark.slow
@pytest.mark.parametrize("name", ADDED)
def test_every_arrangement_of_six_and_every_subset_of_five(name: str) -> None:
    check_every_arrangement(name, 6, 5)


def test_hirschberg_sinclair_stays_below_its_bound() -> None:
    for n, most in zip(range(2, 8), (12, 26, 36, 60, 74, 85), strict=True):
        totals = [
            sum(ALGORITHMS["hirschberg_sinclair"].claims.messages(everybody((n, *rest))).values())
            for rest in permutations(range(1, n))
        ]
        assert max(totals) == most <= 8 * n * (1 + (n - 1).bit_length()) + n


@pytest.mark.parametrize(("n", "least", "most", "mean"), [(4, 12, 15, 14.33), (6, 18, 28, 27.54), (8, 24, 42, 36.65)])
def test_higham_przytycka_totals(n: int, least: int, most: int, mean: float) -> None:
    claims = ALGORITHMS["higham_przytycka"].claims
    totals = [sum(claims.messages(everybody((n, *rest))).values()) for rest in permutations(range(1, n))]
    assert (min(totals), max(totals)) == (least, most)
    assert fmean(totals) == pytest.approx(mean, abs=0.005)


@pytest.mark.parametrize("n", [64, 256, 1024])
def test_higham_przytycka_stays_below_its_bound(n: int) -> None:
    rates = []
    for seed in range(30):
        ids = tuple(Random(seed).sample(range(1, n + 1), n))
        rates.append(ALGORITHMS["higham_przytycka"].claims.messages(everybody(ids))["Envelope"] / (n * log2(n)))
    assert max(rates) < 1.271
    assert 0.94 < fmean(rates) < 1.06


@pytest.mark.parametrize(
    ("name", "per_round", "means"),
    [
        ("franklin", "Token", ("2", "2", "7/3", "8/3", "43/15")),
        ("peterson", "Token", ("2", "5/2", "17/6", "37/12", "397/120")),
    ],
)
def test_mean_rounds(name: str, per_round: str, means: tuple[str, ...]) -> None:
    for n, mean in enumerate(means, start=2):
        counts = [ALGORITHMS[name].claims.messages(everybody(ids))[per_round] for ids in permutations(range(1, n + 1))]
        assert Fraction(sum(counts), len(counts) * n * (2 if name == "franklin" else 1)) == Fraction(mean)


def close(sample: list[float], mean: float, known_to: float) -> bool:
    """Whether the mean of a sample is within four standard errors of `mean`, which is rounded to `known_to`."""
    return abs(fmean(sample) - mean) <= 4 * stdev(sample) / sqrt(len(sample)) + known_to


@pytest.mark.parametrize(("name", "turns", "n", "mean"), [
    ("franklin", 2, 16, 3.68), ("franklin", 2, 64, 4.92), ("peterson", 1, 16, 4.52), ("peterson", 1, 64, 6.25),
])  # fmt: skip
def test_mean_rounds_of_random_arrangements(name: str, turns: int, n: int, mean: float) -> None:
    claims, orders = ALGORITHMS[name].claims, [Random(seed).sample(range(1, n + 1), n) for seed in range(1000)]
    rounds = [claims.messages(everybody(tuple(ids)))["Token"] / (turns * n) for ids in orders]
    assert close(rounds, mean, 0.02)  # THEORY's are sampled, too


@pytest.mark.parametrize(("values", "n", "mean"), [("2", 4, 29.05), ("2", 8, 97.44), ("n", 5, 23.31), ("n", 8, 40.2)])
def test_means_over_draws(values: str, n: int, mean: float) -> None:
    plans = [scenario("itai_rodeh", tuple(range(1, n + 1)), seed=s, parameters={"range": values}) for s in range(600)]
    assert close([sum(Simulate().run(plan).sent.values()) for plan in plans], mean, 0.005)


def test_two_nodes_tell_the_two_sides_of_their_ring_apart() -> None:
    for position, peer in ((1, 3), (3, 1)):
        links = bidirectional_ring(position, (0, 2), (5, 6, 7, 8), False)
        assert links == {NEXT: (peer, PREVIOUS), PREVIOUS: (peer, NEXT)}


def test_a_node_without_id_points_up_the_ring() -> None:
    plan = scenario("itai_rodeh", (40, 30, 20, 10), dead=(1,))
    for steady in (True, False):
        for position, hops, leader in ((2, 0, 20), (2, 1, 40), (2, 2, 10), (0, 1, 10), (3, 2, 40)):
            node = node_maker(plan, steady)(position, 0)
            assert isinstance(node, Node)
            assert node.view.id is None
            page = node.page if isinstance(node, Reelection) else node
            assert isinstance(page, ItaiRodeh)
            assert (page.id, page.n) == (0, 3)
            page.elect(hops)
            assert page.leader == leader


def test_nodes_without_ids_need_a_ring() -> None:
    (check,) = (one for one in checks("tests.broken:Nameless", WatchedSimulate()) if one.name == "declaration")
    assert check.run is not None
    with pytest.raises(Nonconforming, match="elect by distance"):
        check.run()


def test_an_anonymous_page_tells_the_hops_to_the_leader() -> None:
    node = ItaiRodeh(View(None, (NEXT,), 3, ""))
    node.deliver(0, PREVIOUS, (1, ()), Leader(2))
    assert node.leader == 2
    assert [getattr(effect, "msg", None) for effect in node.effects] == [None, Leader(3)]


def test_draws_of_the_anonymous_are_told_apart_from_those_they_pass_on(engine: Processes) -> None:
    for seed in range(40):
        plan = scenario("itai_rodeh", (3, 1, 2), seed=seed, delta=0.05, parameters={"range": "2"}, initiators="one")
        real, simulated = engine.run(plan), Simulate().run(plan)
        assert real.draws == simulated.draws
        assert differences(engine, plan, Tally()) == []
        assert all(len(drawn) <= real.depth // 3 for drawn in real.draws.values())
