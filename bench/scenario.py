"""Scenario: everything that determines a trial, and nothing else."""

import importlib
import random
from array import array
from bisect import bisect_left
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any

import msgspec

from algorithms import ALGORITHMS
from algorithms.model import NEXT, Id, Node, Port, Position, View
from algorithms.reelection import Reelection
from bench.detector import Times, parse_detector
from bench.faults import Fault, Faults, Plan, make_plan, write_plan
from bench.topology import TOPOLOGIES, Distances, Links, find_graph

ONE_PORT = (NEXT,)


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """One trial, before it runs; it round-trips through JSON.

    Attributes:
        algorithm: a name in the catalogue, or `package.module:Class`.
        parameters: the algorithm's own, as text by name; what is missing has its default.
        topology: the graph, for a page that runs on any; others have their own.
        ids: ids by position; on a ring position i sends to i + 1.
        initiators: `all`, `one`, `random:K`, or positions such as `0,3`.
        dead: positions that are down from the start, ascending.
        faults: what shall go wrong.
        detector: how crashes are noticed: `perfect`, or `heartbeat:period=50ms,timeout=250ms`.
        delta: the bound on one hop, in seconds.
        latency: how long a hop takes in a simulation; nothing means uniform over (0, delta].
        horizon: the longest the trial may take, in seconds.
        seed: everything random in the trial comes from it.
    """

    algorithm: str
    ids: tuple[Id, ...]
    seed: int
    delta: float
    horizon: float
    topology: str = "grid"
    latency: str = ""
    parameters: dict[str, str] = {}
    initiators: str = "all"
    dead: tuple[Position, ...] = ()
    faults: Faults = (Fault("none"),)
    detector: str = "perfect"

    @property
    def n(self) -> int:
        """Configured nodes, the dead ones included."""
        return len(self.ids)

    @property
    def live(self) -> tuple[Position, ...]:
        """Positions that are up at the start, ascending."""
        everybody = range(len(self.ids))
        return tuple(p for p in everybody if p not in self.dead) if self.dead else tuple(everybody)

    @property
    def fault(self) -> str:
        """The faults as text."""
        return write_plan(self.faults)

    @property
    def pulse(self) -> Times | None:
        """Times of the page's own heartbeats, if it never falls silent: it needs no detector then."""
        page = find_algorithm(self.algorithm)
        pulse = page.model.pulse
        if pulse is None:
            return None
        parameters = parse_parameters(page, self.parameters)
        return Times(pulse.period(parameters) * self.delta, pulse.timeout(parameters) * self.delta)

    @property
    def times(self) -> Times | None:
        """Times of the detector's heartbeats; None for the perfect detector, and for pages that need none."""
        return parse_detector(self.detector, self.delta) if self.pulse is None else None

    @property
    def tells(self) -> bool:
        """Whether a perfect detector tells the nodes who crashed."""
        return self.pulse is None and self.times is None

    @property
    def steady(self) -> bool:
        """Whether nobody will ever be suspected, nor lead alone: nothing fails, and nobody looks for it."""
        live = len(self.ids) - len(self.dead)  # counted without a list of them, which each of 10,000 nodes would make
        return self.tells and all(fault.name == "none" for fault in self.faults) and live > 1

    @property
    def starters(self) -> tuple[Position, ...]:
        """Who wakes spontaneously: the initiators, or all, where something fails and nobody would tell the others."""
        told = self.pulse is None or all(fault.name == "none" for fault in self.faults)
        return choose_initiators(self.initiators if told else "all", self.live, self.seed)

    @property
    def plan(self) -> Plan:
        """What shall happen, with nothing left to chance."""
        times = self.pulse or self.times
        return make_plan(self.faults, self.ids, self.dead, self.seed, times.period if times is not None else 0.0)


@cache
def find_algorithm(name: str) -> type[Node]:
    """The class behind a catalogue name or `package.module:Class`.

    Raises:
        ValueError: if there is none; the message names the nearest.
    """
    if name in ALGORITHMS:
        return ALGORITHMS[name]
    module, colon, attribute = name.partition(":")
    if "/" in module or module.endswith(".py"):
        raise ValueError(f"{name!r} is a path; be in that folder, and write module:Class, such as mine:LeLann")
    if not colon:
        from difflib import get_close_matches

        near = get_close_matches(name, ALGORITHMS, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(ALGORITHMS)}, or package.module:Class"
        raise ValueError(f"no algorithm {name!r}; {hint}")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, TypeError) as error:
        where = f"; be in the folder of {module}.py" if isinstance(error, ModuleNotFoundError) else ""
        raise ValueError(f"cannot load {name!r}: {error}{where}") from None
    if not (isinstance(found, type) and issubclass(found, Node) and hasattr(found, "model")):
        raise ValueError(f"{name!r} is no subclass of algorithms.model.Node with a model")
    return found


def parse_parameters(page: type[Node], texts: dict[str, str]) -> dict[str, Any]:
    """All parameters of `page`, parsed, defaults included.

    Raises:
        ValueError: for an unknown name or a value that is not accepted.
    """
    unknown = [name for name in texts if name not in page.parameters]
    if unknown:
        raise ValueError(f"no parameter {unknown[0]!r}; there are {', '.join(page.parameters) or 'none'}")
    parsed = {}
    for name, parameter in page.parameters.items():
        try:
            parsed[name] = parameter.parse(texts.get(name, parameter.default))
        except ValueError:
            raise ValueError(f"{name} cannot be {texts[name]!r}; it accepts {parameter.accepts}") from None
    return parsed


def node_maker(
    scenario: Scenario, steady: bool = False, wired: type[Node] | None = None
) -> Callable[[Position, int], Node]:
    """What makes the participant at a position in an incarnation: the page if it survives crashes, else `Reelection`.

    Where at least two live and none will ever be suspected (`steady`), `Reelection` would pass everything on: then the
    page is made alone, which takes less than half of the memory; or `wired` in its place: where all have one link, by
    `NEXT`, the engine knows where it leads.

    Raises:
        ValueError: if there is no such algorithm or parameter.
    """
    page, ids = wired or find_algorithm(scenario.algorithm), scenario.ids
    parsed = parse_parameters(page, scenario.parameters)
    parameters = {name: value for name, value in parsed.items() if value != getattr(page, name)}
    named, knows_n, knows_diameter = (what in page.model.knows for what in ("neighbours", "n", "diameter"))
    graph = find_graph(scenario.topology, len(ids), scenario.seed) if page.model.topology == "any" else None
    links_of = graph.links if graph is not None else TOPOLOGIES[page.model.topology]
    reelected = page.model.failures == "none"
    down = scenario.dead if reelected else ()
    key = (int(reelected), down)  # one tuple for all: a million nodes share it
    joined = wired is not None and page.model.topology == "unidirectional ring"
    suffix = "/1" if reelected else ""  # of the seed that Reelection would give to its first page
    told = page.model.failures == "minority"  # of who is down from the start
    anonymous = page.model.identity == "anonymous"
    circle = [p for p in range(len(ids)) if p not in down] if anonymous else []
    circle_ids = tuple(ids[p] for p in circle)
    told_n = len(ids) - len(down) if knows_n else None
    diameter = graph.without(down).diameter if graph is not None and knows_diameter else None
    before = f"{scenario.seed}/"

    def world(position: Position, excluded: tuple[Position, ...]) -> tuple[Links, int | None]:
        diameter = graph.without(excluded).diameter if graph is not None and knows_diameter else None
        return links_of(position, excluded, ids, named), diameter

    def make_alone(position: Position, incarnation: int = 0) -> Node:
        identity = None if anonymous else ids[position]
        ports: Sequence[Port]
        if joined:  # else a node costs twice as much, and the election 1.06
            ports = ONE_PORT
        else:
            links = links_of(position, down, ids, named)
            # exactly: `isinstance` of what is no such mapping takes 120 ns
            ports = links.ports if type(links) is Distances else tuple(links)
        node = page(View(identity, ports, told_n, f"{before}{position}/{incarnation}{suffix}", diameter), **parameters)
        node.key = key
        if not joined:
            node.links = links
        if told and not incarnation:
            node.suspected = frozenset(node.port_to(dead) for dead in scenario.dead)
        if anonymous:
            node.circle, node.place = circle_ids, bisect_left(circle, position)
        return node

    def make_reelected(position: Position, incarnation: int = 0) -> Node:
        identity = None if anonymous else ids[position]
        view = View(identity, (), len(ids), f"{scenario.seed}/{position}/{incarnation}")
        return Reelection(view, page, position, ids, down, partial(world, position), **parameters)

    return make_reelected if reelected and not steady else make_alone


def choose_initiators(
    policy: str, live: tuple[Position, ...], seed: int, victim: Position | None = None
) -> tuple[Position, ...]:
    """Who wakes spontaneously (`victim` None), or who acts on the suspicion of `victim`; ascending.

    Raises:
        ValueError: for a policy that is none, or a position that is not live on a cold start.
    """
    after = min(live, key=lambda p: (p <= victim, p)) if victim is not None else live[0]
    if policy == "all":
        return live
    if policy == "one":
        return (after,)
    if policy.startswith("random:") and policy[7:].isdigit() and int(policy[7:]) > 0:
        return tuple(sorted(random.Random(f"{seed}/initiators").sample(live, min(int(policy[7:]), len(live)))))
    if not policy.replace(",", "").isdigit():
        raise ValueError(
            f"initiators cannot be {policy!r}; write all, one, random:K with K >= 1, or positions such as 0,3"
        )
    positions = {int(word) for word in policy.split(",") if word}
    if victim is None and (foreign := sorted(positions.difference(live))):
        raise ValueError(
            f"initiator {foreign[0]} is not a live position; those are {live[0]} to {live[-1]} minus the dead"
        )
    return tuple(sorted(positions.intersection(live))) or (after,)


def choose_ids(policy: str, page: type[Node], n: int, seed: int) -> tuple[tuple[Id, ...], tuple[Position, ...] | None]:
    """Ids by position, and the initiators that the policy implies, if any.

    Raises:
        ValueError: for a policy that is none, a witness that the page does not have, or ids that are wrong for n.
    """
    if policy in ("best", "worst"):
        witness = page.claims.best_case if policy == "best" else page.claims.worst_case
        if witness is None:
            raise ValueError(f"{page.__name__} has no {policy} case; choose random, ascending or descending ids")
        return witness(n)
    if policy == "ascending":
        return tuple(range(1, n + 1)), None
    if policy == "descending":
        return tuple(range(n, 0, -1)), None
    if policy == "random":
        ids = array("q", range(1, n + 1))  # its items are made in order: else 1.03 in the simulator at a million nodes
        random.Random(f"{seed}/ids").shuffle(ids)
        return tuple(ids), None
    try:
        given = tuple(int(word) for word in policy.split(","))
    except ValueError:
        raise ValueError(
            f"ids cannot be {policy!r}; write random, ascending, descending, best, worst or 3,1,2"
        ) from None
    if len(given) != n:
        raise ValueError(f"{len(given)} ids for {n} nodes; give as many as there are nodes")
    if len(set(given)) != n or min(given) < 1 or max(given) >= 2**62:
        raise ValueError(f"ids {policy} are not distinct whole numbers from 1 to 2^62")
    return given, None


def trial_seed(seed: int, n: int, rep: int) -> int:
    """The seed of a trial: it depends on these three alone, so that all algorithms meet the same ids and faults."""
    from hashlib import blake2b  # node processes have no use for it, and it brings all of OpenSSL

    return int.from_bytes(blake2b(f"{seed}/{n}/{rep}".encode(), digest_size=6).digest())
