"""Each check can fail: for each a wrong node that it catches, and no other check does."""

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from bench.conformance import CHECKS, Nonconforming, WatchedSimulate, checks, draw_scenarios, replay_command
from tests.broken import BROKEN, Change
from tests.mutants import plant

SLOW = ("Rare", "quorum.raft-adversity")  # half a minute each; mutants show that these checks can fail


def failing(algorithm: str) -> set[str]:
    """Names of the checks that fail in simulation."""
    found = set()
    for check in checks(algorithm, WatchedSimulate()):
        try:
            if check.run is not None:
                check.run()
        except Nonconforming:
            found.add(check.name)
    return found


def test_every_check_has_a_node_that_only_it_catches() -> None:
    names = {check.__name__.removeprefix("check_") for check in CHECKS}
    assert names == {name for caught in BROKEN.values() if len(caught) == 1 for name in caught}


def test_what_the_broken_are_made_from_is_right() -> None:
    assert failing("tests.broken:Flood") == set()
    idle = [check.name for check in checks("tests.broken:Flood", WatchedSimulate()) if check.run is None]
    assert idle == ["minority", "adversity"]  # one live node is enough for it, and it does not send again what was lost


def name(broken: str | Change) -> str:
    return broken if isinstance(broken, str) else f"{broken[0]}-{'-'.join(BROKEN[broken])}"


@pytest.mark.parametrize(
    ("broken", "caught"),
    [
        pytest.param(*it, id=name(it[0]), marks=[pytest.mark.slow] if name(it[0]) in SLOW else [])
        for it in BROKEN.items()
    ],
)
def test_a_broken_node_is_caught(
    broken: str | Change, caught: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if isinstance(broken, str):
        assert failing(f"tests.broken:{broken}") == caught
    else:
        monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")  # for the processes that load it, too
        monkeypatch.syspath_prepend(tmp_path)
        assert failing(plant(tmp_path, *broken)) == caught


def test_the_command_of_a_failure_runs_the_same_scenario(tmp_path: Path) -> None:
    scenario = next(
        one for one in draw_scenarios("bully", 30, 1, "simulate", sizes=(4,)) if one.dead and one.parameters
    )
    command = shlex.split(replay_command(scenario, "simulate"))[1:]
    command += ["--json", "--no-report", "-o", str(tmp_path / "run")]
    out = subprocess.run([sys.executable, "-m", "bench", *command], capture_output=True, text=True, check=True).stdout
    row = json.loads(out)
    assert (row["seed"], row["ids"]) == (scenario.seed, ",".join(map(str, scenario.ids)))
    assert (row["dead"], row["fault"]) == (",".join(map(str, scenario.dead)), scenario.fault)
    assert row["parameters"] == ",".join(f"{name}={value}" for name, value in scenario.parameters.items())
