"""The catalogue: every election of the suite, by name."""

from algorithms.complete.bully import Bully
from algorithms.complete.lamport import Lamport
from algorithms.complete.randomized import Randomized
from algorithms.model import Node
from algorithms.ring.chang_roberts import ChangRoberts
from algorithms.ring.ring import Ring

ALGORITHMS: dict[str, type[Node]] = {
    "bully": Bully,
    "ring": Ring,
    "lamport": Lamport,
    "chang_roberts": ChangRoberts,
    "randomized": Randomized,
}
