"""What is said of a page that raises: the same on every engine, and the next trial goes on."""

import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.engines.processes import Processes
from bench.engines.recording import record
from bench.engines.simulate import Simulate
from bench.observe import make_row
from bench.scenario import Scenario
from tests import nodes


def line_of(page: type, words: str) -> int:
    lines, first = inspect.getsourcelines(page)
    return first + next(i for i, line in enumerate(lines) if words in line)


PLANTED = [
    (nodes.Raises, "raised RuntimeError: planted at Ping from node", 'RuntimeError("planted")'),
    (nodes.RaisesAtBirth, "raised RuntimeError: stillborn at its birth", 'RuntimeError("stillborn")'),
    (nodes.RaisesLate, "raised RuntimeError: planted at the timer 'alarm'", 'RuntimeError("planted")'),
    (nodes.SendsBeyond, "sent over port 7, which it does not have, at on_start", ""),
    (nodes.SendsBack, "sent over port 1, which it does not have, at Ping from node", ""),
    (nodes.SendsUndeclared, "sent Beat, which is none of its messages, at on_start", ""),
]


@pytest.mark.parametrize(("page", "says", "where"), PLANTED, ids=[page.__name__ for page, _, _ in PLANTED])
def test_a_page_that_raises_is_named_with_node_and_event(engine: Processes, page: type, says: str, where: str) -> None:
    name = f"tests.nodes:{page.__name__}"
    scenario = Scenario(algorithm=name, ids=(3, 1, 2), seed=1, delta=0.05, horizon=20)
    simulated = Simulate().run(scenario)
    recorded, events = record(scenario)
    assert simulated.error == recorded.error
    assert bool(events) == (says != PLANTED[1][1])
    real = engine.run(scenario)
    for execution in (simulated, recorded, real):
        row, _ = make_row(execution, scenario, "", 0, 0, "")
        assert (row.stop, row.verdict, row.is_broken) == ("error", "unknown", True)
        assert row.error.startswith(f"{name}: node ")
        assert says in row.error
        if where:
            assert row.error.endswith(f"(nodes.py, line {line_of(page, where)})")
        if execution is not real:  # a process that ends takes with it what it had sent
            assert row.unaccounted == 0
    ring = Scenario(algorithm="ring", ids=(3, 1, 2), seed=1, delta=0.05, horizon=20)
    assert make_row(Simulate().run(ring), ring, "", 0, 0, "")[0].verdict == "elected"


def test_an_observer_sees_what_was_raised_as_it_is() -> None:
    scenario = Scenario(algorithm="tests.nodes:Raises", ids=(3, 1, 2), seed=1, delta=0.05, horizon=20)
    with pytest.raises(RuntimeError, match="planted"):
        Simulate().run(scenario, lambda *_: None)


@pytest.mark.parametrize(("page", "says", "where"), PLANTED, ids=[page.__name__ for page, _, _ in PLANTED])
def test_verify_says_so_too(page: type, says: str, where: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bench", "verify", "-a", f"tests.nodes:{page.__name__}", "-n", "2"]
    done = subprocess.run(
        [*command, "-o", str(tmp_path / "witness")],
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "200"},
    )
    assert done.returncode == 1
    line = f" (nodes.py, line {line_of(page, where)})" if where else ""
    words = says.removesuffix(" at on_start").partition(" at ")[0].rstrip(",").replace("sent", "sends", 1)
    assert f"{words}{line}" in done.stdout or f"{says}{line}" in done.stderr
