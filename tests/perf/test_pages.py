"""How fast pages run: the codec beside pickle, the dispatch of a message, and an election of eight on each engine.

Times of single calls, which pytest-benchmark is for; what is compared with a peer is in `bench.perf`.
"""

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from algorithms import ALGORITHMS
from algorithms.model import NEXT, PREVIOUS, View
from algorithms.ring.chang_roberts import ChangRoberts, Election
from bench.complexity import Engine
from bench.engines.processes import Processes, wire
from bench.engines.simulate import Simulate
from bench.observe import make_row
from bench.scenario import Scenario

Benchmark = Any  # BenchmarkFixture.pedantic has no types


@dataclass(frozen=True)
class Pickled:
    """What a message would be without msgspec."""

    id: int


@pytest.mark.parametrize(
    ("encode", "decode", "message"),
    [
        pytest.param(wire.encode, msgspec.msgpack.Decoder(Election).decode, Election(1234), id="msgspec"),
        pytest.param(pickle.dumps, pickle.loads, Pickled(1234), id="pickle"),
    ],
)
def test_codec(
    benchmark: Benchmark, encode: Callable[[Any], bytes], decode: Callable[[bytes], Any], message: object
) -> None:
    benchmark.group = "codec: a message there and back"
    benchmark.extra_info["bytes"] = len(encode(message))
    assert benchmark(lambda: decode(encode(message))) == message


def test_dispatch(benchmark: Benchmark) -> None:
    benchmark.group = "dispatch of a message"
    node = ChangRoberts(View(5, (NEXT,), None, "1"))
    node.on_start()
    swallowed = Election(3)  # weaker: a message that leaves nothing behind
    benchmark(node.deliver, 0, PREVIOUS, (1, ()), swallowed)
    assert len(node.effects) == 1


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_one_election_of_8_in_simulation(benchmark: Benchmark, algorithm: str) -> None:
    elect(benchmark, Simulate(), algorithm)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_one_election_of_8_on_processes(benchmark: Benchmark, engine: Processes, algorithm: str) -> None:
    elect(benchmark, engine, algorithm)


def elect(benchmark: Benchmark, engine: Engine, algorithm: str) -> None:
    """Time an election again and again."""
    benchmark.group = f"one election of 8, {engine.name}"
    scenario = Scenario(algorithm=algorithm, ids=tuple(range(1, 9)), seed=1, delta=0.05, horizon=20)
    execution = benchmark.pedantic(engine.run, (scenario,), rounds=20, warmup_rounds=3)
    row, _ = make_row(execution, scenario, "perf", 0, 0, engine.name)
    benchmark.extra_info["messages"] = row.messages
    assert row.verdict == "elected"
