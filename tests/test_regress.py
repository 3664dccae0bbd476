"""The gate: it passes what is sound, and fails on every planted regression."""

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bench.engines.simulate import Simulate
from bench.regress import (
    Move,
    Result,
    check_mean,
    compare_with_baseline,
    fit_growth,
    make_cases,
    read_baseline,
    run_case,
)

ROOT = Path(__file__).parent.parent


def gate(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bench", "regress", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200)


def test_the_catalogue_passes_against_the_committed_baseline(tmp_path: Path) -> None:
    junit, counts = tmp_path / "gate.xml", tmp_path / "counts.json"
    done = gate("-a", "chang_roberts", "--junit", str(junit), "--bench-json", str(counts))
    assert done.returncode == 0, done.stdout
    assert "ok   chang_roberts worst n=16: 152 messages, as the theorem says" in done.stdout
    suite = ElementTree.parse(junit).getroot()
    assert suite.get("failures") == "0"
    assert int(suite.get("tests", "0")) == len(suite.findall("testcase")) > 90
    entries = {entry["name"]: entry for entry in json.loads(counts.read_text())}
    assert entries["chang_roberts best n=16"] == {"name": "chang_roberts best n=16", "unit": "messages", "value": 47}


def test_a_message_sent_twice_fails_the_gate(tmp_path: Path) -> None:
    junit = tmp_path / "gate.xml"
    done = gate("-a", "tests.nodes:Doubled", "--baseline", str(tmp_path / "none.json"), "--junit", str(junit), "-q")
    assert done.returncode == 1
    assert "FAIL tests.nodes:Doubled all n=3: " in done.stdout
    assert "processes: Election: " in done.stdout
    assert "simulate: Election: " in done.stdout
    assert int(ElementTree.parse(junit).getroot().get("failures", "0")) > 10


def test_a_count_above_the_baseline_fails_the_gate(tmp_path: Path) -> None:
    baseline = tmp_path / "baseline.json"
    counts = read_baseline(ROOT / "results" / "baseline.json")
    baseline.write_text(json.dumps(counts | {"ring worst n=16": 500, "ring best n=16": 40, "ring odd n=7": 3}))
    done = gate("-a", "ring", "--baseline", str(baseline), "-q")
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert "WORSE ring worst n=16: 500 -> 512, +2.4 %" in lines
    assert "moved ring best n=16: 40 -> 32, -20.0 %" in lines
    assert "WORSE ring odd n=7: gone" in lines
    assert gate("-a", "ring", "--baseline", str(baseline), "--update").returncode == 0
    assert gate("-a", "ring", "--baseline", str(baseline), "-q").returncode == 0
    assert read_baseline(baseline)["bully worst n=16"] == 255


def test_bad_input_gets_one_line(tmp_path: Path) -> None:
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    for words, says in (
        (("-a", "rign"), "--algorithms: no algorithm 'rign'; did you mean 'ring'?"),
        (("-a", "tests.nodes:Raises"), "--algorithms: 'tests.nodes:Raises' declares no claims"),
        (("-a", "ring", "--baseline", str(broken)), "--baseline: "),
    ):
        done = gate(*words)
        assert done.returncode == 2
        assert len(done.stderr.splitlines()) == 1
        assert says in done.stderr


def test_a_wrong_mean_is_seen() -> None:
    assert check_mean("chang_roberts") == ""
    assert check_mean("tests.nodes:Doubled").startswith("tests.nodes:Doubled mean n=16: ")


def results(algorithm: str) -> list[Result]:
    return [run_case(case, [Simulate()]) for case in make_cases(algorithm)]


def test_growth_is_that_of_the_closed_form() -> None:
    growths = {growth.series: growth for growth in fit_growth(results("ring"))}
    assert growths["ring worst"].exponent == pytest.approx(2)
    assert growths["ring one"].exponent == pytest.approx(1)
    assert growths["ring worst"].declared == "2n²"
    assert growths["ring worst"].r_squared == pytest.approx(1)


def test_only_what_moved_is_told() -> None:
    ran = results("ring")
    baseline = {result.case.name: result.messages for result in ran}
    assert compare_with_baseline(ran, baseline | {"bully worst n=4": 15}, ("ring",)) == []
    name = ran[0].case.name
    assert compare_with_baseline(ran, baseline | {name: 1}, ("ring",)) == [Move(name, 1, ran[0].messages)]
