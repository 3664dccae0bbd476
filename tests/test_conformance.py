"""The conformance suite: the catalogue passes it, it runs what it ran before, and it can fail."""

import subprocess
import sys
from pathlib import Path

import pytest

from algorithms import ALGORITHMS
from bench.conformance import Check, Nonconforming, WatchedSimulate, checks, run_conformance

ROOT = Path(__file__).parent.parent
ALL = [
    *("declaration", "imports", "purity", "pickling", "determinism", "lone", "agreement"),
    *("interleavings", "late", "order"),
    *("knowledge", "labels", "witness", "claims", "minority", "resilience", "adversity", "parity"),
]
NOT_APPLICABLE = {  # a check that silently stops running is a difference here
    "bully": {"late", "labels", "minority", "adversity"},
    "ring": {"labels", "minority", "adversity"},
    "lamport": {"minority", "adversity"},
    "chang_roberts": {"labels", "minority", "adversity"},
    "randomized": {"labels", "witness", "minority", "adversity"},
    "lelann": {"labels", "minority", "adversity"},
    "hirschberg_sinclair": {"labels", "minority", "adversity"},
    "franklin": {"labels", "minority", "adversity"},
    "dolev_klawe_rodeh": {"labels", "minority", "adversity"},
    "peterson": {"labels", "minority", "adversity"},
    "higham_przytycka": {"labels", "minority", "adversity"},
    "itai_rodeh": {"order", "labels", "witness", "minority", "adversity"},
    "raft": {"late", "labels"},
    "omega": {"minority", "interleavings", "late", "labels", "witness"},
    "zookeeper_fle": {"late", "labels", "witness"},
    "paxos": {"late", "labels"},
    "viewstamped": {"late", "labels"},
    "afek_gafni": {"minority", "adversity"},
    "invitation": {"labels", "minority", "adversity"},
    "sublinear": {"late", "order", "witness", "minority", "adversity"},
    "echo_extinction": {"witness", "minority", "adversity"},
    "flood_max": {"witness", "minority", "adversity"},
}


def applying(algorithm: str) -> list[Check]:
    return [check for check in checks(algorithm, WatchedSimulate()) if check.run is not None]


def test_the_matrix_of_checks_is_the_golden_one() -> None:
    matrix = {name: [check.name for check in applying(name)] for name in ALGORITHMS}
    assert matrix == {name: [check for check in ALL if check not in NOT_APPLICABLE[name]] for name in ALGORITHMS}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_catalogue_passes(algorithm: str) -> None:
    for check in applying(algorithm):
        assert check.run is not None
        check.run()


def test_the_catalogue_passes_on_real_processes() -> None:
    assert run_conformance("chang_roberts", "processes") == 0


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_all_of_the_catalogue_passes_on_real_processes(algorithm: str) -> None:
    assert run_conformance(algorithm, "processes") == 0


@pytest.mark.parametrize(
    ("page", "check", "says"),
    [
        ("Doubled", "claims", "Election: "),
        ("TwoLeaders", "agreement", ""),
        ("Raises", "agreement", "raised RuntimeError: planted"),
        ("Chatters", "agreement", "it does not end"),
    ],
)
def test_a_check_catches_its_planted_fault(page: str, check: str, says: str) -> None:
    (run,) = (one.run for one in applying(f"tests.nodes:{page}") if one.name == check)
    assert run is not None
    with pytest.raises(Nonconforming) as wrong:
        run()
    assert says in str(wrong.value)
    assert "See it again: election-bench " in str(wrong.value)


def test_the_command_says_what_failed() -> None:
    command = [sys.executable, "-m", "bench", "verify", "--conformance"]
    failed = subprocess.run([*command, "tests.nodes:Doubled"], cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert failed.returncode == 1
    assert "FAILED  claims: " in failed.stdout
    unknown = subprocess.run([*command, "bulli"], cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert unknown.returncode == 2
    assert unknown.stderr == "election-bench: --conformance: no algorithm 'bulli'; did you mean 'bully'?\n"
