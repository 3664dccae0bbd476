"""Any graph: the graphs themselves, without the dead, and what flooding and waves cost on them."""

from itertools import combinations
from random import Random
from statistics import fmean

import pytest

from algorithms.graph.echo_extinction import EchoExtinction
from algorithms.model import Arrangement
from bench.complexity import check_trial
from bench.engines.processes import Processes
from bench.engines.simulate import Simulate
from bench.observe import make_row
from bench.scenario import Scenario
from bench.settings import BadInput, make_settings, plan
from bench.topology import GRAPHS, Graph, find_graph, graphs_of

SHAPES = [  # name, n, links, diameter
    ("grid", 9, 12, 4), ("grid", 7, 8, 4), ("grid", 2, 1, 1), ("torus", 9, 18, 2), ("torus", 16, 32, 4),
    ("torus", 15, 30, 3), ("hypercube", 2, 1, 1), ("hypercube", 8, 12, 3), ("hypercube", 32, 80, 5),
    ("tree", 2, 1, 1), ("tree", 7, 6, 4), ("tree", 12, 11, 6), ("random regular", 5, 10, 1), ("random regular", 6, 12, 2),
]  # fmt: skip


def scenario(name: str, topology: str, n: int, **plan: object) -> Scenario:
    ids = tuple(Random(n).sample(range(1, n + 1), n))
    fixed = {"seed": 1, "delta": 0.001, "horizon": 60, "topology": topology, "ids": ids}
    return Scenario(algorithm=name, **{**fixed, **plan})  # type: ignore[arg-type]


@pytest.mark.parametrize(("name", "n", "edges", "diameter"), SHAPES)
def test_shapes(name: str, n: int, edges: int, diameter: int) -> None:
    graph = find_graph(name, n, 1)
    assert (graph.edges, graph.diameter) == (edges, diameter)


@pytest.mark.parametrize("n", [5, 6, 8, 16, 33, 100])
def test_a_random_regular_graph_comes_from_its_seed(n: int) -> None:
    graphs = [find_graph("random regular", n, seed).neighbours for seed in range(20)]
    for neighbours in graphs:
        assert {len(peers) for peers in neighbours} == {4}
        assert all(position not in peers for position, peers in enumerate(neighbours))
        assert len(Graph(n, [(p, q) for p in range(n) for q in neighbours[p]]).reach(0)) == n
    find_graph.cache_clear()
    assert graphs == [find_graph("random regular", n, seed).neighbours for seed in range(20)]
    assert n == 5 or any(graph != graphs[0] for graph in graphs)


def test_a_ring_closes_over_the_dead() -> None:
    ring = Graph(6, [(p, (p + 1) % 6) for p in range(6)])
    assert ring.without((2, 3)).neighbours == [[1, 5], [0, 4], [], [], [1, 5], [0, 4]]
    assert ring.without(()) is ring


@pytest.mark.parametrize(
    ("name", "n"), [("tree", 9), ("grid", 9), ("torus", 9), ("hypercube", 8), ("random regular", 8)]
)
def test_the_living_stay_connected_whoever_is_down(name: str, n: int) -> None:
    graph, ids = find_graph(name, n, 3), tuple(range(10, 10 + n))
    for down in (it for k in range(n - 1) for it in combinations(range(n), k)):
        live = [p for p in range(n) if p not in down]
        assert len(graph.without(down).reach(live[0])) == len(live)
        links = {p: graph.links(p, down, ids, False) for p in live}
        for position, ports in links.items():
            for port, (peer, back) in ports.items():
                assert links[peer][back] == (position, port)
    assert graph.links(0, (), ids, True) == {ids[p]: (p, 10) for p in graph.neighbours[0]}


@pytest.mark.parametrize(("topology", "n", "flooded", "waved"), [
    ("hypercube", 8, 72, 41), ("torus", 16, 256, 113), ("tree", 7, 48, 18), ("grid", 9, 96, 40),
])  # fmt: skip
def test_golden_counts(topology: str, n: int, flooded: int, waved: int) -> None:
    for name, messages in (("flood_max", flooded), ("echo_extinction", waved)):
        plan = scenario(name, topology, n, initiators="one")
        row, _ = make_row(Simulate().run(plan), plan, "", 0, 0, "")
        assert (row.messages, row.topology) == (messages, topology)


def test_in_lockstep_flooding_takes_the_diameter_and_a_wave_comes_back() -> None:
    for topology, n in (("hypercube", 16), ("torus", 16), ("tree", 15), ("grid", 16)):
        diameter = find_graph(topology, n, 1).diameter
        plan = scenario("flood_max", topology, n, latency="1ms")
        assert Simulate().run(plan).depth == diameter
        plan = scenario("echo_extinction", topology, n, latency="1ms", initiators="one")
        farthest = find_graph(topology, n, 1).reach(0)[-1][1]
        assert 3 * farthest <= Simulate().run(plan).depth <= 3 * diameter + 2


@pytest.mark.parametrize("name", ["flood_max", "echo_extinction"])
def test_costs_in_every_graph_and_schedule(name: str) -> None:
    for n in (2, 3, 5, 8, 9, 16):
        for topology in graphs_of(n):
            for seed in range(12):
                starts = ("all", "one", "random:3")[seed % 3]
                latency = ("", "lognormal:2ms:2", "1ms")[seed // 3 % 3]
                dead = (seed % n,) if seed % 2 and n > 2 else ()
                starts = "all" if starts == "one" and dead == (0,) else starts
                plan = scenario(name, topology, n, seed=seed, initiators=starts, latency=latency, dead=dead)
                assert check_trial(Simulate(), plan).wrong == [], plan


def test_waves_cost_no_more_than_harmonic_on_average() -> None:
    harmonic = sum(1 / k for k in range(1, 65))
    for topology in graphs_of(64):
        rates = []
        for seed in range(40):
            ids = tuple(Random(seed).sample(range(1, 65), 64))
            plan = scenario("echo_extinction", topology, 64, seed=seed, ids=ids)
            edges = find_graph(topology, 64, seed).edges
            rates.append(sum(Simulate().run(plan).sent.values()) / (2 * edges * (harmonic + 1)))
        assert 0.3 < fmean(rates) < 1


def test_ranges_are_those_of_the_theorem() -> None:
    ranges = EchoExtinction.claims.ranges
    assert ranges(Arrangement(ids=(1, 2, 3), initiators=(0,), edges=3)) == {"Token": range(6, 7)}
    assert ranges(Arrangement(ids=(1, 2, 3), initiators=(0, 1, 2), edges=3)) == {"Token": range(8, 19)}


def test_real_processes_have_the_same_random_graph(engine: Processes) -> None:
    for seed in range(5):
        plan = scenario("flood_max", "random regular", 13, seed=seed, delta=0.05, dead=(seed,))
        real, simulated = (sum(one.run(plan).sent.values()) for one in (engine, Simulate()))
        graph = find_graph("random regular", 13, seed).without((seed,))
        assert real == simulated == 2 * graph.edges * graph.diameter


def options(**given: object) -> dict[str, object]:
    return {"algorithms": "flood_max,bully", "nodes": "16", "faults": "none", "trials": "1", **given}


def test_the_topology_of_a_run() -> None:
    settings = make_settings(options(topology="torus"), "")
    assert {planned.scenario.topology for planned in plan(settings, {16: 0.001})} == {"torus"}
    assert make_settings(options(), "").topology == "grid"
    for given, says in (
        ({"topology": "doughnut"}, "no topology 'doughnut'; there are grid, torus, hypercube, random regular, tree"),
        ({"topology": "torus", "nodes": "16,14"}, "a torus cannot have 14 nodes; it has"),
        ({"topology": "hypercube", "nodes": "12"}, "a hypercube cannot have 12 nodes; it has a power of two"),
        ({"topology": "random regular", "nodes": "4"}, "a 4-regular graph cannot have 4 nodes; it has at least 5"),
        ({"algorithms": "bully", "topology": "torus"}, "bully has a topology of its own"),
    ):
        with pytest.raises(BadInput, match=f"^--topology: {says}"):
            make_settings(options(**given), "")
    assert set(GRAPHS) == {"grid", "torus", "hypercube", "random regular", "tree"}
