"""The command line as a user meets it: rows, exit codes, one line for what is wrong, nothing left behind."""

import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import psutil
import pytest

from bench import calibrate, settings
from bench.calibrate import Limits
from bench.cli import choose_folder, cli
from bench.settings import BadInput, Settings, make_settings, plan, read_profile

COMMAND = (sys.executable, "-m", "bench")
ROOT = Path(__file__).parent.parent
HUGE = 1 << 16  # nodes: one more than a frame has room for


def bench(*words: str, cwd: Path = ROOT, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([*COMMAND, *words], capture_output=True, text=True, cwd=cwd, timeout=120)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "trials.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_without_a_command_it_says_what_there_is() -> None:
    done = bench(code=2)
    assert done.stderr.startswith("Usage: ")
    assert "Run a sweep" in done.stderr


SMALL = ("run", "-a", "chang_roberts,lamport", "-n", "3,5", "-t", "2", "--delta", "50ms", "--no-report")


def test_a_run_leaves_its_rows(tmp_path: Path) -> None:
    out = tmp_path / "run"
    done = bench(*SMALL, "--json", "-o", str(out))
    stored = rows(out)
    assert len(stored) == 2 * 2 * 2 * 2
    printed = [json.loads(line) for line in done.stdout.splitlines()]
    assert [str(row["trial"]) for row in printed] == [row["trial"] for row in stored]
    assert {row["verdict"] for row in stored} == {"elected"}
    assert {row["epochs"] for row in stored} == {"1"}
    by_cell = {(row["n"], row["fault"], row["rep"]): set() for row in stored}  # type: dict[tuple[str, ...], set[str]]
    for row in stored:
        by_cell[row["n"], row["fault"], row["rep"]].add(row["ids"] + row["seed"])
    assert all(len(seen) == 1 for seen in by_cell.values()), "algorithms of one repetition must meet the same ids"
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["finished"]
    assert manifest["settings"]["seed"] == 1
    with (out / "kinds.csv").open(newline="") as file:
        sent = sum(int(kind["count"]) for kind in csv.DictReader(file))
    assert sent == sum(int(row["messages"]) for row in stored)


def test_a_run_can_be_repeated_from_its_seed(tmp_path: Path) -> None:
    for name in ("one", "two"):
        bench(
            "run",
            "-a",
            "randomized,bully",
            "-n",
            "5",
            "-t",
            "5",
            "-f",
            "none",
            "--no-report",
            "-o",
            str(tmp_path / name),
        )
    same = ("ids", "seed", "leader", "messages", "bytes")
    one, two = ([[row[column] for column in same] for row in rows(tmp_path / name)] for name in ("one", "two"))
    assert one == two


def test_a_killed_run_goes_on_where_it_stopped(tmp_path: Path) -> None:
    out = tmp_path / "run"
    bench(*SMALL, "-o", str(out))
    for name, whole in (
        ("trials.csv", 9),
        ("kinds.csv", 40),
    ):  # what a kill leaves: kinds are written before their trial
        lines = (out / name).read_bytes().splitlines(keepends=True)
        (out / name).write_bytes(b"".join(lines[:whole]) + lines[whole][:3])
    bench("run", "--resume", "--no-report", "-o", str(out))
    stored = rows(out)
    assert sorted(int(row["trial"]) for row in stored) == list(range(16))
    with (out / "kinds.csv").open(newline="") as file:
        kinds = list(csv.DictReader(file))
    assert sum(int(kind["count"]) for kind in kinds) == sum(int(row["messages"]) for row in stored)


@pytest.mark.parametrize("blow", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_whatever_ends_the_harness_nothing_is_left_and_the_run_can_be_finished(
    tmp_path: Path, blow: signal.Signals
) -> None:
    out = tmp_path / "run"
    words = [
        *COMMAND,
        "run",
        "-a",
        "bully,ring",
        "-n",
        "16",
        "-t",
        "15",
        "--delta",
        "50ms",
        "--no-report",
        "-o",
        str(out),
    ]
    process = subprocess.Popen(words, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 20
    while not (out / "trials.csv").exists() or len(rows(out)) < 1:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(random.Random(int(blow)).uniform(0, 0.5))
    family = psutil.Process(process.pid).children(recursive=True)
    assert len(family) > 10
    process.send_signal(blow)
    _, said = process.communicate(timeout=10)
    assert process.returncode == (-blow if blow == signal.SIGKILL else 130), said
    _, alive = psutil.wait_procs(family, timeout=2)
    assert not alive
    if blow != signal.SIGKILL:
        assert "run --resume --out" in said
    kept = len(rows(out))
    bench("run", "--resume", "--no-report", "-o", str(out))
    assert len(rows(out)) == 60 > kept >= 1


BAD = [
    (("-a", "buly"), "--algorithms: no algorithm 'buly'; did you mean 'bully'?"),
    (("-a", "no.such:Thing"), "--algorithms: cannot load 'no.such:Thing'"),
    (("-n", "0"), "--nodes: 0 is too small; it must be at least 1"),
    (("-n", "four"), "--nodes: 'four' is no whole number"),
    (("-t", "0"), "--trials: 0 is too small"),
    (("-n", "3", "--ids", "1,2,2"), "--ids: ids 1,2,2 are not distinct"),
    (("-n", "3", "--ids", "1,2"), "--ids: 2 ids for 3 nodes"),
    (("-n", "3", "--ids", "wurst"), "--ids: ids cannot be 'wurst'"),
    (("-a", "randomized", "-n", "3", "--ids", "worst"), "--ids: Randomized has no worst case"),
    (("-n", "2", "--dead", "0,1"), "--dead: all 2 nodes would be down"),
    (("-n", "2", "--dead", "5"), "--dead: there is no position 5 among 2 nodes"),
    (("-n", "3", "--initiators", "0,7"), "--initiators: initiator 7 is not a live position"),
    (("-n", "3", "--initiators", "nobody"), "--initiators: initiators cannot be 'nobody'"),
    (("-n", "1", "-f", "leader-crash"), "--faults: leader-crash at n = 1 with 1 live would leave nobody"),
    (("-f", "earthquake"), "--faults: no fault 'earthquake'; there are none, leader-crash"),
    (("-f", "crash"), "--faults: 'crash' lacks something or has too much; write crash:rank=K|random=K[,within=TIME] ("),
    (("-f", "crash:rank=0"), "--faults: crash cannot take 'rank=0'; write crash:rank=K"),
    (("--delta", "5"), "--delta: '5' is no duration; write one such as 5ms"),
    (("--engine", "steam"), "--engine: 'steam' is not to be had"),
    (("--param", "bully.colour=red"), "--param: bully: no parameter 'colour'"),
    (("--param", "bully.victory=never"), "--param: bully: victory cannot be 'never'; it accepts immediate or wait"),
    (("--param", "victory"), "--param: 'victory' is not of the form algorithm.name=value"),
    (("--profile", "fastest"), "--profile: cannot read 'fastest'; there are default, faults, full, quick"),
    (("-n", "60000"), "--nodes: "),
    (("-n", "4,5000000"), "--nodes: 5,000,000 nodes are too many; a frame has room for 65,535 positions"),
    (("-n", ""), "--nodes: '' is no whole number; write such as 4,8,16"),
    (("-a", ""), "--algorithms: no algorithm ''"),
    (("-a", "bully", "ring"), "Got unexpected extra argument (ring). Lists are written with commas, without blanks."),
    (("-a", "./mine.py"), "--algorithms: './mine.py' is a path; be in that folder, and write module:Class"),
    (
        ("-a", "mine:LeLann"),
        "--algorithms: cannot load 'mine:LeLann': No module named 'mine'; be in the folder of mine.py",
    ),
    (("-f", "leader_crash"), "--faults: no fault 'leader_crash'; did you mean leader-crash?"),
    (("-f", "loss=0.05"), "--faults: no fault 'loss=0.05'; did you mean loss:PROBABILITY?"),
    (
        ("-n", "3", "-f", "slow:node=3,factor=9"),
        "--faults: slow:node=3,factor=9: 3 is not a live position among 3 nodes",
    ),
    (("-n", "3", "-f", "crash:rank=4"), "--faults: crash:rank=4: there are only 3 live nodes at n = 3"),
    (
        ("-f", "crash-at:Electoin"),
        "--faults: crash-at:Electoin: nobody sends 'Electoin'; kinds of message are Ack, Appoint",
    ),
    (("--frobnicate",), "No such option"),
]


@pytest.mark.parametrize(("words", "says"), BAD, ids=lambda value: value if isinstance(value, str) else "-")
def test_bad_input_gets_one_line_and_writes_nothing(tmp_path: Path, words: tuple[str, ...], says: str) -> None:
    done = bench("run", "--profile", "quick", *words, "-o", str(tmp_path / "run"), code=2)
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith(f"election-bench: {says}"), lines
    assert done.stdout == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("limits", "says"),
    [
        (Limits(), "65,536 nodes are too many"),
        (Limits(descriptors=20_000), "65,536 nodes need 131,136 open files (hard limit), the limit is 20,000"),
        (Limits(pids=32_768), "65,536 nodes need 65,538 process ids (kernel.pid_max), the limit is 32,768"),
        (Limits(memory=24e9), "65,536 nodes need "),
    ],
    ids=["frame", "descriptors", "pids", "memory"],
)
@pytest.mark.parametrize("grid", ["first", "second"])
def test_what_cannot_fit_is_refused_before_anything_grows_with_it(
    monkeypatch: pytest.MonkeyPatch, limits: Limits, says: str, grid: str
) -> None:
    def refuse(build: Callable[..., object], *given: object) -> object:
        assert HUGE not in given, "built for a size that is refused"
        return build(*given)

    monkeypatch.setattr(calibrate, "read_limits", lambda: limits)
    if limits != Limits():
        monkeypatch.setattr(calibrate, "MOST_NODES", HUGE)
    for name in ("find_graph", "check_targets", "make_scenario"):
        monkeypatch.setattr(settings, name, partial(refuse, getattr(settings, name)))
    sizes = {"nodes": str(HUGE)} if grid == "first" else {"nodes": "4", "also": [{"nodes": f"5,{HUGE}"}]}
    with pytest.raises(BadInput) as refused:
        make_settings({"algorithms": "flood_max,ring", **sizes}, "")
    assert str(refused.value).startswith(f"--nodes: {says}")
    assert "\n" not in str(refused.value)


def test_foreign_and_unwritable_folders_are_refused(tmp_path: Path) -> None:
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "thesis.tex").write_text("all I have")
    done = bench(*SMALL, "-o", str(foreign), code=2)
    assert "holds something that is no run" in done.stderr
    assert [path.name for path in foreign.iterdir()] == ["thesis.tex"]
    file = tmp_path / "file"
    file.write_text("")
    assert "--out: " in bench(*SMALL, "-o", str(file), code=2).stderr
    assert "--out: " in bench(*SMALL, "-o", str(file / "below"), code=2).stderr
    assert "is no run" in bench("run", "--resume", "-o", str(foreign), code=2).stderr
    assert "is no run" in bench("report", str(foreign), code=2).stderr
    said = bench("regress", "--baseline", str(tmp_path / "none" / "baseline.json"), code=2).stderr
    assert said.startswith("election-bench: --baseline: there is no folder")


def test_a_witness_that_cannot_be_written_is_bad_input(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    words = ("verify", "-a", "bully", "-n", "2", "--late-timers", "-o", str(tmp_path / "file" / "below"))
    assert bench(*words, code=2).stderr.startswith("election-bench: --out: cannot write the witness to ")


def test_an_existing_run_is_not_overwritten_and_not_mixed(tmp_path: Path) -> None:
    out = tmp_path / "run"
    bench(*SMALL, "-o", str(out))
    assert "add --resume" in bench(*SMALL, "-o", str(out), code=2).stderr
    done = bench("run", "--resume", "-n", "4", "-o", str(out), code=2)
    assert done.stderr == "election-bench: --nodes: the run to resume has another; leave it out, or start a new run\n"
    bench("run", "--resume", "-n", "3,5", "--no-report", "-o", str(out))


def test_a_broken_profile_is_refused(tmp_path: Path) -> None:
    for text, says in (("nodes = [", "is no TOML"), ("colour = 3", "sets 'colour'"), ("nodes = [0]", "0 is too small")):
        profile = tmp_path / "mine.toml"
        profile.write_text(f'algorithms = ["bully"]\n{"" if "nodes" in text else "nodes = [2]"}\n{text}\n')
        assert says in bench("run", "--profile", str(profile), "-o", str(tmp_path / "run"), code=2).stderr
    assert not (tmp_path / "run").exists()


def test_an_algorithm_of_ones_own_runs_from_its_folder(tmp_path: Path) -> None:
    source = (ROOT / "algorithms" / "ring" / "chang_roberts.py").read_text()
    (tmp_path / "mine.py").write_text(source.replace("class ChangRoberts", "class Mine"))
    words = [*COMMAND, "run", "-a", "mine:Mine", "-n", "4", "-t", "2", "--no-report", "-o", "run"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run(words, cwd=tmp_path, env=environment, check=True, capture_output=True, timeout=60)
    assert {row["verdict"] for row in rows(tmp_path / "run")} == {"elected"}


def test_a_page_that_raises_is_named_and_the_rest_goes_on(tmp_path: Path) -> None:
    words = (
        "run",
        "-a",
        "tests.nodes:Raises,ring",
        "-n",
        "3",
        "-t",
        "2",
        "-f",
        "none",
        "--no-report",
        "-o",
        str(tmp_path / "run"),
    )
    done = bench(*words, code=1)
    assert "tests.nodes:Raises: node " in done.stderr
    assert "raised RuntimeError: planted at Ping from node" in done.stderr
    verdicts = [(row["algorithm"], row["verdict"]) for row in rows(tmp_path / "run")]
    assert sorted(verdicts) == [("ring", "elected")] * 2 + [("tests.nodes:Raises", "unknown")] * 2


@pytest.mark.parametrize("what", ["algorithms", "faults", "profiles", "engines"])
def test_the_catalogue_lists(what: str) -> None:
    said = bench("list", what).stdout
    expected = {"algorithms": "chang_roberts", "faults": "leader-crash", "profiles": "quick", "engines": "processes"}
    assert expected[what] in said


def test_help_shows_an_example_everywhere() -> None:
    for command in ((), *((name,) for name in cli.commands)):
        assert "Example: election-bench" in bench(*command, "--help").stdout


def test_trials_are_interleaved_over_algorithms() -> None:
    settings = Settings(algorithms=("ring", "bully"), nodes=(2,), faults=("none",), trials=3)
    order = [planned.scenario.algorithm for planned in plan(settings, {2: 0.05})]
    assert order == ["ring", "bully"] * 3


@pytest.mark.parametrize("profile", ["quick", "default", "full"])
def test_profiles_are_good_settings(profile: str) -> None:
    settings = make_settings(read_profile(profile), profile)
    assert len(settings.algorithms) == 5
    with pytest.raises(BadInput):
        make_settings(read_profile(profile) | {"nodes": "0"}, profile)


def test_a_stored_trial_can_be_replayed(tmp_path: Path) -> None:
    out = str(tmp_path / "run")
    words = ("run", "-a", "chang_roberts", "-n", "4", "-t", "2", "-f", "leader-crash+delay:1ms", "--no-report")
    for engine in ("processes", "simulate"):
        bench(*words, "-e", engine, "-o", out + engine)
        done = bench("replay", out + engine, "1", "--json")
        row, stored = json.loads(done.stdout), rows(Path(out + engine))[1]
        for column in ("ids", "seed", "fault", "messages", "leader", "verdict", "faults_fired"):
            assert str(row[column]) == stored[column], column
        assert "verdict            elected\n" in bench("replay", out + engine, "1").stdout
    assert bench("replay", out + "simulate", "2", code=2).stderr.endswith("has no trial 2; it has 0 to 1\n")


def test_faults_that_need_a_detector_or_are_wrong_are_refused() -> None:
    for words, says in (
        (("-f", "pause:leader,for=1s"), "--faults: the perfect detector never suspects the living"),
        (("-f", "cascade"), "--faults: 'cascade' lacks something or has too much; write cascade:K (each"),
        (("--loss", "2"), "--loss: "),
        (("--latency", "slow"), "--latency: "),
        (("--detector", "oracle"), "--detector: "),
    ):
        assert bench("run", "-a", "ring", "-n", "3", *words, code=2).stderr.startswith(f"election-bench: {says}")


def test_loss_and_latency_go_with_every_fault(tmp_path: Path) -> None:
    out = tmp_path / "run"
    words = (
        "run",
        "-a",
        "ring",
        "-n",
        "3",
        "-t",
        "1",
        "-f",
        "none,leader-crash",
        "--loss",
        "0.001",
        "--latency",
        "lan",
    )
    bench(*words, "--no-report", "-o", str(out))
    assert [row["fault"] for row in rows(out)] == ["loss:0.001+delay:lan", "leader-crash+loss:0.001+delay:lan"]


def test_runs_of_the_same_second_go_to_folders_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("time.strftime", lambda form: "now")
    settings = make_settings({"algorithms": ["ring"], "nodes": [4], "faults": "none", "trials": 1}, "quick")
    for name in ("now", "now-2", "now-3"):
        assert choose_folder(settings) == Path("results", name)
        Path("results", name).mkdir(parents=True)
