"""How fast a page runs without an engine: the codec beside pickle, and the dispatch of a message."""

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from timeit import timeit
from typing import Any

import msgspec
from pytest_benchmark.fixture import BenchmarkFixture

from algorithms.model import NEXT, PREVIOUS, View
from algorithms.ring.chang_roberts import ChangRoberts, Election
from bench.calibrate import compare
from bench.engines.processes import wire


@dataclass(frozen=True)
class Pickled:
    """What a message would be without msgspec."""

    id: int


def test_codec_beside_a_pickled_dataclass(benchmark: BenchmarkFixture) -> None:
    decode = msgspec.msgpack.Decoder(Election).decode
    msg, pickled = Election(1234), Pickled(1234)

    def ours() -> Any:
        return decode(wire.encode(msg))

    def theirs() -> Any:
        return pickle.loads(pickle.dumps(pickled))

    def timed(function: Callable[[], Any]) -> Callable[[], float]:
        return lambda: timeit(function, number=5000) / 5000

    [comparison] = compare(9, timed(ours), timed(theirs))
    assert benchmark(ours) == msg
    benchmark.extra_info["ratio to pickle"] = round(comparison.ratio, 3)
    benchmark.extra_info["bytes"] = len(wire.encode(msg))
    benchmark.extra_info["bytes pickled"] = len(pickle.dumps(pickled))


def test_dispatch(benchmark: BenchmarkFixture) -> None:
    node = ChangRoberts(View(5, (NEXT,), None, "1"))
    node.on_start()
    swallowed = Election(3)  # weaker: a message that leaves nothing behind
    benchmark(node.deliver, 0, PREVIOUS, (1, ()), swallowed)
    assert len(node.effects) == 1
