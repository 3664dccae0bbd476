"""Topologies: which ports a node has, and where they lead, in a world without the positions that are down."""

from collections.abc import Callable

from algorithms.model import NEXT, PREVIOUS, Id, Port, Position

Links = dict[Port, tuple[Position, Port]]  # (position, the link's label there) by port
Down = tuple[Position, ...]


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


def complete(position: Position, down: Down, ids: tuple[Id, ...], named: bool) -> Links:
    """A link to every other live node, labelled with the neighbour's id if `named` (KT1), else with a distance (KT0)."""
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
