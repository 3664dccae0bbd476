"""The closed forms: against the published numbers, and against each other."""

from collections.abc import Mapping
from itertools import permutations
from math import inf

import pytest

from algorithms import ALGORITHMS
from algorithms.model import Arrangement
from bench.scenario import parse_parameters


def cost(
    name: str,
    ids: tuple[int, ...],
    initiators: tuple[int, ...] | None = None,
    dead: tuple[int, ...] = (),
    draws: Mapping[int, tuple[int, ...]] | None = None,
    **parameters: str,
) -> dict[str, int]:
    page = ALGORITHMS[name]
    starts = tuple(p for p in range(len(ids)) if p not in dead) if initiators is None else initiators
    arrangement = Arrangement(
        ids=ids, initiators=starts, dead=dead, parameters=parse_parameters(page, parameters), draws=draws or {}
    )
    return page.claims.messages(arrangement)


def total(*args: object, **kwargs: object) -> int:
    return sum(cost(*args, **kwargs).values())  # type: ignore[arg-type]


SIZES = (2, 3, 4, 5, 8, 16, 32, 64)
TABLE: list[
    tuple[str, dict[str, str], tuple[int, ...] | None, int, tuple[int, ...]]
] = [  # name, parameters, initiators (None: all), dead strongest, totals at SIZES
    ("bully", {}, None, 0, (3, 8, 15, 24, 63, 255, 1023, 4095)),
    ("bully", {}, None, 1, (2, 6, 12, 20, 56, 240, 992, 4032)),
    ("ring", {}, (0,), 0, (4, 6, 8, 10, 16, 32, 64, 128)),
    ("ring", {}, None, 0, (8, 18, 32, 50, 128, 512, 2048, 8192)),
    ("lamport", {}, None, 0, (5, 14, 27, 44, 119, 495, 2015, 8127)),
    ("lamport", {}, (0,), 0, (3, 6, 9, 12, 21, 45, 93, 189)),
    ("chang_roberts", {}, None, 0, (5, 8, 11, 14, 23, 47, 95, 191)),
    ("lelann", {}, None, 0, (6, 12, 20, 30, 72, 272, 1056, 4160)),  # THEORY's n² and the announcement
    ("hirschberg_sinclair", {}, None, 0, (12, 26, 32, 54, 72, 152, 312, 632)),
    ("hirschberg_sinclair", {}, (0,), 0, (10, 21, 24, 43, 52, 108, 220, 444)),
    ("franklin", {}, None, 0, (10, 15, 20, 25, 40, 80, 160, 320)),
    ("franklin", {}, (0,), 0, (6, 9, 12, 15, 24, 48, 96, 192)),
    ("dolev_klawe_rodeh", {}, None, 0, (8, 12, 16, 20, 32, 64, 128, 256)),
    ("dolev_klawe_rodeh", {}, (0,), 0, (4, 6, 8, 10, 16, 32, 64, 128)),
    ("peterson", {}, None, 0, (6, 9, 12, 15, 24, 48, 96, 192)),
    ("peterson", {}, (0,), 0, (4, 6, 8, 10, 16, 32, 64, 128)),
    ("paxos", {}, (0,), 0, (3, 6, 9, 12, 21, 45, 93, 189)),
    ("paxos", {}, (0,), 1, (2, 5, 8, 11, 20, 44, 92, 188)),
    ("viewstamped", {}, None, 0, (4, 10, 18, 28, 70, 270, 1054, 4158)),
]


@pytest.mark.parametrize(("name", "parameters", "initiators", "down", "totals"), TABLE)
def test_totals_of_ascending_ids(
    name: str, parameters: dict[str, str], initiators: tuple[int, ...] | None, down: int, totals: tuple[int, ...]
) -> None:
    for n, expected in zip(SIZES, totals, strict=True):
        dead = tuple(range(n - down, n))
        assert total(name, tuple(range(1, n + 1)), initiators, dead, **parameters) == expected


@pytest.mark.parametrize(
    ("name", "worst"),
    [
        ("chang_roberts", (5, 9, 14, 20, 44, 152, 560, 2144)),
        ("franklin", (10, 15, 28, 35, 72, 176, 416, 960)),
        ("dolev_klawe_rodeh", (8, 12, 24, 30, 64, 160, 384, 896)),
        ("peterson", (6, 12, 16, 25, 48, 112, 256, 640)),
    ],
)
def test_worst_totals(name: str, worst: tuple[int, ...]) -> None:
    witness = ALGORITHMS[name].claims.worst_case
    assert witness is not None
    assert tuple(total(name, *witness(n)) for n in SIZES) == worst


@pytest.mark.parametrize(
    ("name", "means"),
    [
        ("hirschberg_sinclair", (12, 26, 33.33, 57.67, 88.08, 222.4, 541.17, 1279.23)),
        ("itai_rodeh", (9, 13.19, 18.08, 23.31, 40.2, 90.24, 201.5, 446.25)),
    ],
)
def test_mean_totals(name: str, means: tuple[float, ...]) -> None:
    mean = ALGORITHMS[name].claims.all.mean.value
    assert mean is not None
    assert [mean(n, n) for n in SIZES] == pytest.approx(means, abs=0.005)


def test_bully_second_highest_starts_and_tells_the_lower_only() -> None:
    totals = [total("bully", tuple(range(1, n + 1)), (n - 2,), (n - 1,), coordinator="lower") for n in SIZES]
    assert totals == [n - 1 for n in SIZES]


GOLDEN = [  # ids, wake from 0, wake {0, 2}, relay {0, 2}: total / depth
    ((1, 2, 3, 4, 5), (14, 10), (14, 14), (14, 12), (12, 10)),
    ((5, 4, 3, 2, 1), (20, 10), (10, 10), (13, 10), (13, 10)),
    ((3, 1, 4, 5, 2), (15, 10), (13, 13), (13, 11), (12, 10)),
    ((4, 7, 2, 8, 1, 6, 3, 5), (28, 16), (19, 19), (20, 17), (22, 16)),
    ((1, 5, 2, 6, 3, 7, 4, 8), (26, 16), (23, 23), (24, 21), (18, 16)),
    ((2, 6, 1, 4, 3, 5), (19, 12), (13, 13), (18, 13), (16, 12)),
]


@pytest.mark.parametrize(("ids", "everybody", "one", "two", "relay"), GOLDEN)
def test_chang_roberts_golden_vectors(
    ids: tuple[int, ...], everybody: object, one: object, two: object, relay: object
) -> None:
    page = ALGORITHMS["chang_roberts"]

    def vector(initiators: tuple[int, ...], variant: str = "wake") -> tuple[int, int]:
        arrangement = Arrangement(ids=ids, initiators=initiators, parameters={"variant": variant})
        assert page.claims.depth is not None
        return sum(page.claims.messages(arrangement).values()), page.claims.depth(arrangement)

    assert vector(tuple(range(len(ids)))) == everybody
    assert vector((0,)) == one
    assert vector((0, 2)) == two
    assert vector((0, 2), "relay") == relay


def test_bully_golden_vectors() -> None:
    assert cost("bully", (1, 2, 3, 4, 5), (1,), (2, 4)) == {"Election": 4, "Ok": 1, "Coordinator": 4}
    assert cost("bully", (1, 2, 3, 4, 5), (0,), (4,)) == {"Election": 10, "Ok": 6, "Coordinator": 4}
    assert cost("bully", (1, 2, 3, 4, 5), (3,), (4,)) == {"Election": 1, "Ok": 0, "Coordinator": 4}
    assert cost("bully", (1, 2, 3, 4, 5), (2,)) == {"Election": 3, "Ok": 3, "Coordinator": 4}
    assert cost("bully", (1, 2, 3, 4, 5, 6, 7), (2, 4), (0, 3, 6)) == {"Election": 7, "Ok": 3, "Coordinator": 6}
    assert cost("bully", (1, 2, 3, 4, 5, 6), (0,), (1, 3, 4, 5)) == {"Election": 8, "Ok": 1, "Coordinator": 5}


def test_lamport_golden_vectors() -> None:
    clocks = {0: (1,), 1: (1,), 2: (0,), 3: (1,), 4: (1,)}  # the initiator's stamp is 1 like everybody's: ranks are ids
    kinds = cost("lamport", (1, 2, 3, 4, 5), (2,), draws=clocks, clock="random:1")
    assert kinds == {"Election": 12, "Object": 3, "Ack": 9, "Appoint": 0, "Coordinator": 4}
    clocks = {0: (1,), 1: (0,), 2: (1,), 3: (1,), 4: (0,)}
    kinds = cost("lamport", (1, 2, 3, 4, 5), (1, 4), draws=clocks, clock="random:1", mode="collect")
    assert kinds == {"Election": 8, "Object": 3, "Ack": 5, "Appoint": 1, "Coordinator": 4}


def test_randomized_golden_vector() -> None:
    assert cost("randomized", (1, 2, 3, 4), draws={0: (4, 3), 1: (4, 1), 2: (1,), 3: (2,)}) == {"Draw": 18}


@pytest.mark.parametrize("n", [2, 3, 4, 5, 6])
def test_bounds_are_those_of_all_arrangements(n: int) -> None:
    for name, page in ALGORITHMS.items():
        claims, parameters = page.claims, parse_parameters(page, {})
        everyone = Arrangement(ids=tuple(range(1, n + 1)), initiators=tuple(range(n)), parameters=parameters)
        if page.model.failures == "minority" or claims.ranges(everyone):
            continue
        if claims.drawn is not None and name != "lamport":
            continue
        everybody = [total(name, ids) for ids in permutations(range(1, n + 1))]
        one = [total(name, ids, (0,)) for ids in permutations(range(1, n + 1))]
        for totals, bounds in ((everybody, claims.all), (one, claims.one)):
            seen = (min(totals), sum(totals) / len(totals), max(totals))
            for formula, value in zip((bounds.best, bounds.mean, bounds.worst), seen, strict=True):
                assert formula.value is None or formula.value(n, n) == pytest.approx(value), (name, formula.text)


@pytest.mark.parametrize("n", [2, 3, 4, 5, 8])
def test_witnesses_reach_the_bounds(n: int) -> None:
    for name, page in ALGORITHMS.items():
        claims = page.claims
        if claims.best_case is None or claims.worst_case is None:
            continue
        totals = {total(name, *case(n)) for case in (claims.best_case, claims.worst_case)}
        limits = [formula.value for bounds in (claims.all, claims.one) for formula in (bounds.best, bounds.worst)]
        values = [value(n, n) for value in limits if value is not None]
        assert totals <= {min(values), claims.all.best.value(n, n) if claims.all.best.value else inf, max(values)}


def test_bully_bounds_with_the_strongest_down() -> None:
    for n in (3, 5, 8):
        ids, claims = tuple(range(1, n + 1)), ALGORITHMS["bully"].claims
        one = [total("bully", ids, (i,), (n - 1,)) for i in range(n - 1)]
        values = [f.value(n, n - 1) for f in (claims.one.best, claims.one.mean, claims.one.worst) if f.value]
        assert values == pytest.approx([min(one), sum(one) / len(one), max(one)])
        assert claims.all.worst.value is not None
        assert claims.all.worst.value(n, n - 1) == n * (n - 1)
