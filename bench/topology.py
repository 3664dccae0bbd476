"""Topologies: which ports a node has, and where they lead, in a world of some live positions."""

from collections.abc import Callable

from algorithms.model import NEXT, PREVIOUS, Id, Port, Position

Links = dict[Port, tuple[Position, Port]]  # (position, the link's label there) by port
Members = tuple[Position, ...]


def unidirectional_ring(position: Position, members: Members, ids: tuple[Id, ...], named: bool) -> Links:
    """One link, NEXT, to the next member in ascending order of positions."""
    place = members.index(position)
    return {NEXT: (members[(place + 1) % len(members)], PREVIOUS)}


def complete(position: Position, members: Members, ids: tuple[Id, ...], named: bool) -> Links:
    """A link to every other member, labelled with the neighbour's id if `named` (KT1), else with a distance (KT0)."""
    n, mine = len(ids), ids[position]
    if named:
        return {ids[peer]: (peer, mine) for peer in members if peer != position}
    return {(peer - position) % n: (peer, (position - peer) % n) for peer in members if peer != position}


TOPOLOGIES: dict[str, Callable[[Position, Members, tuple[Id, ...], bool], Links]] = {
    "unidirectional ring": unidirectional_ring,
    "complete": complete,
}
