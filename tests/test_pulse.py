"""Pages that never fall silent: what is a violation of theirs, when they have settled, and how they are counted."""

import msgspec
import pytest

from algorithms import ALGORITHMS
from bench.observe import Monitor


@pytest.mark.parametrize(("safety", "at_once", "in_turn"), [("instant", 1, 0), ("ever", 1, 1), ("eventual", 0, 0)])
def test_which_leaders_are_too_many(safety: str, at_once: int, in_turn: int) -> None:
    model = msgspec.structs.replace(ALGORITHMS["bully"].model, safety=safety)
    together, after = Monitor((1, 2, 3), model), Monitor((1, 2, 3), model)
    together.elect(10, 0, 1, 7, 0)
    together.elect(20, 1, 2, 7, 0)
    after.elect(10, 0, 1, 7, 0)
    after.die(20, 0)
    after.elect(30, 1, 2, 7, 0)
    after.elect(40, 2, 3, 8, 0)
    assert (together.violations, after.violations) == (at_once, in_turn)
