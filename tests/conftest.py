"""What the tests share: one engine for the session, and trials run on it."""

from collections.abc import Iterator

import pytest

from algorithms import ALGORITHMS
from bench.engines.processes import Processes

PAGES = tuple(ALGORITHMS)
SILENT = tuple(name for name, page in ALGORITHMS.items() if page.model.pulse is None)  # they fall silent in the end
OWN = tuple(
    f"tests.nodes:{name}"
    for name in (
        "Raises",
        "RaisesAtBirth",
        "RaisesLate",
        "SendsBeyond",
        "SendsBack",
        "SendsUndeclared",
        "Hangs",
        "Chatters",
        "Exits",
        "Bulky",
        "Doubled",
        "TwoLeaders",
        "Pours",
    )
)


@pytest.fixture(scope="session")
def engine() -> Iterator[Processes]:
    """An engine that knows the catalogue and the nodes of `tests.nodes`."""
    with Processes((*PAGES, *OWN)) as processes:
        yield processes
