"""Topologies: which ports a node has, and where they lead, in a world without the positions that are down.

A page for a ring or a complete graph names its topology; one for any graph is given a graph of `GRAPHS`.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property, lru_cache
from itertools import pairwise
from math import isqrt
from random import Random

from algorithms.model import NEXT, PREVIOUS, Id, Port, Position

Links = Mapping[Port, tuple[Position, Port]]  # (position, the link's label there) by port
Down = tuple[Position, ...]
MANY = 1024  # nodes of a complete graph whose links are not all kept: they are listed in another order, then


def unidirectional_ring(position: Position, down: Down, ids: tuple[Id, ...], named: bool) -> Links:
    """One link, NEXT, to the next live position; there must be another."""
    after = (position + 1) % len(ids)
    while after in down:
        after = (after + 1) % len(ids)
    return {NEXT: (after, PREVIOUS)}


def bidirectional_ring(position: Position, down: Down, ids: tuple[Id, ...], named: bool) -> Links:
    """Two links, NEXT and PREVIOUS, to the nearest live positions; both lead to the same node where only two live.

    What is sent over NEXT arrives from PREVIOUS: the receiver's label tells the side, even between two.
    """
    ((after, _),) = unidirectional_ring(position, down, ids, named).values()
    before = (position - 1) % len(ids)
    while before in down:
        before = (before - 1) % len(ids)
    return {NEXT: (after, PREVIOUS), PREVIOUS: (before, NEXT)}


class Distances(Mapping[Port, tuple[Position, Port]]):
    """Links of a node to all others, labelled with their distances, worked out when asked: n nodes hold no n² of them."""

    __slots__ = ("n", "ports", "position")

    def __init__(self, position: Position, n: int) -> None:
        self.position, self.n, self.ports = position, n, range(1, n)

    def __getitem__(self, port: Port) -> tuple[Position, Port]:
        if not 0 < port < self.n:
            raise KeyError(port)
        return (self.position + port) % self.n, self.n - port

    def __iter__(self) -> Iterator[Port]:
        return iter(self.ports)

    def __len__(self) -> int:
        return len(self.ports)


def complete(position: Position, down: Down, ids: tuple[Id, ...], named: bool) -> Links:
    """A link to every other live node, labelled with the neighbour's id if `named` (KT1), else with a distance (KT0)."""
    if not named and not down and len(ids) > MANY:
        return Distances(position, len(ids))
    n, mine, gone = len(ids), ids[position], {position, *down}
    peers = [peer for peer in range(n) if peer not in gone]
    if named:
        return {ids[peer]: (peer, mine) for peer in peers}
    return {(peer - position) % n: (peer, (position - peer) % n) for peer in peers}


TOPOLOGIES: dict[str, Callable[[Position, Down, tuple[Id, ...], bool], Links]] = {
    "unidirectional ring": unidirectional_ring,
    "bidirectional ring": bidirectional_ring,
    "complete": complete,
}


class Graph:
    """An undirected graph, connected and without parallel links.

    Parameters:
        n: positions, those that are down included.
        links: pairs of positions.

    Attributes:
        neighbours: by position, ascending.
        views: the graphs of the others that were asked for, by who is down.
    """

    def __init__(self, n: int, links: Iterable[tuple[Position, Position]]) -> None:
        self.views: dict[Down, Graph] = {}
        self.neighbours: list[list[Position]] = [[] for _ in range(n)]
        for one, other in sorted({(min(pair), max(pair)) for pair in links}):
            self.neighbours[one].append(other)
            self.neighbours[other].append(one)
        for peers in self.neighbours:
            peers.sort()

    @cached_property
    def edges(self) -> int:
        """How many links it has."""
        return sum(map(len, self.neighbours)) // 2

    @cached_property
    def diameter(self) -> int:
        """The most hops between two nodes."""
        return max(self.reach(start)[-1][1] for start in range(len(self.neighbours)))

    def reach(self, start: Position, within: Iterable[Position] | None = None) -> list[tuple[Position, int]]:
        """Positions and hops to them from `start`, nearest first; through positions of `within` only, if given."""
        left = set(range(len(self.neighbours)) if within is None else within) - {start}
        found, todo = [(start, 0)], deque([(start, 0)])
        while todo:
            position, hops = todo.popleft()
            for peer in self.neighbours[position]:
                if peer in left:
                    left.discard(peer)
                    found.append((peer, hops + 1))
                    todo.append((peer, hops + 1))
        return found

    def without(self, down: Down) -> "Graph":
        """The graph of the others: the neighbours of a hole, nodes of `down` that hang together, are joined in a chain.

        So a ring would close again, and what was connected stays so.
        """
        if not down:
            return self
        if down not in self.views:
            gone = set(down)
            links = [(p, peer) for p, peers in enumerate(self.neighbours) for peer in peers if not gone & {p, peer}]
            left = set(down)
            while left:
                hole = {position for position, _ in self.reach(min(left), left)}
                links += pairwise(sorted({peer for position in hole for peer in self.neighbours[position]} - gone))
                left -= hole
            self.views[down] = Graph(len(self.neighbours), links)
        return self.views[down]

    def links(self, position: Position, down: Down, ids: tuple[Id, ...], named: bool) -> Links:
        """A link to every neighbour, labelled with its id if `named`, else with a number."""
        neighbours = self.without(down).neighbours
        if named:
            return {ids[peer]: (peer, ids[position]) for peer in neighbours[position]}
        return {port: (peer, neighbours[peer].index(position)) for port, peer in enumerate(neighbours[position])}


Pairs = list[tuple[Position, Position]]


def grid(n: int, seed: int) -> Pairs:
    """As square as can be; the last row may be short."""
    side = isqrt(n - 1) + 1
    return [(p, p + 1) for p in range(n - 1) if (p + 1) % side] + [(p, p + side) for p in range(n - side)]


def torus(n: int, seed: int) -> Pairs:
    """A grid as square as can be whose rows and columns are rings of at least 3."""
    rows = max((r for r in range(3, isqrt(n) + 1) if n % r == 0), default=0)
    if not rows:
        raise ValueError(
            f"a torus cannot have {n} nodes; it has r x c with r and c at least 3, such as 9, 12, 16 or 64"
        )
    side = n // rows
    return [(p, p // side * side + (p + 1) % side) for p in range(n)] + [(p, (p + side) % n) for p in range(n)]


def hypercube(n: int, seed: int) -> Pairs:
    """Positions that differ in one bit are neighbours."""
    if n & (n - 1):
        raise ValueError(f"a hypercube cannot have {n} nodes; it has a power of two, such as 4, 8, 16 or 32")
    return [(p, p ^ 1 << bit) for p in range(n) for bit in range(n.bit_length() - 1)]


def random_regular(n: int, seed: int) -> Pairs:
    """Two random rings through all nodes that share no link: every node has four, and it is connected.

    As n grows it is as good as a random 4-regular graph (J. H. Kim, N. C. Wormald, J. Combin. Theory B 81(1), 2001).
    """
    if n < 5:
        raise ValueError(f"a 4-regular graph cannot have {n} nodes; it has at least 5")
    rng, positions = Random(f"{seed}/topology"), list(range(n))
    while True:
        pairs: Pairs = []
        for _ in range(2):
            rng.shuffle(positions)
            pairs += zip(positions, positions[1:] + positions[:1], strict=True)
        if len({frozenset(pair) for pair in pairs}) == 2 * n:
            return pairs


def tree(n: int, seed: int) -> Pairs:
    """A binary tree, filled row by row."""
    return [(p, (p - 1) // 2) for p in range(1, n)]


GRAPHS: dict[str, Callable[[int, int], Pairs]] = {
    "grid": grid,
    "torus": torus,
    "hypercube": hypercube,
    "random regular": random_regular,
    "tree": tree,
}


@lru_cache(maxsize=8)
def find_graph(name: str, n: int, seed: int) -> Graph:
    """The graph of that name over n positions; what is random in it comes from `seed`.

    Raises:
        ValueError: if there is no such graph, or not of that size.
    """
    if name not in GRAPHS:
        raise ValueError(f"no topology {name!r}; there are {', '.join(GRAPHS)}")
    return Graph(n, GRAPHS[name](n, seed))


def graphs_of(n: int) -> list[str]:
    """Names of the graphs that can have n nodes."""
    found = []
    for name in GRAPHS:
        try:
            find_graph(name, n, 0)
            found.append(name)
        except ValueError:
            pass
    return found
