"""What a person sees of a run: the time that is left, plain lines in a pipe, a bar that keeps to its line on a terminal."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
from pathlib import Path

import pytest

from bench.progress import Estimate, tell_time
from bench.settings import make_settings, plan
from tests.test_cli import COMMAND, ROOT, bench

RUN = ("run", "-a", "bully,chang_roberts", "-n", "3,6", "-t", "3", "-e", "simulate", "-o")
SUMMARY = r"rows: .*\none trial: election-bench trace .* 0 -o trial\.svg \([14] are kept\)\n"


def test_what_is_left_is_estimated_by_algorithm_fault_and_size() -> None:
    settings = make_settings({"algorithms": "bully,ring", "nodes": "4,8", "faults": "none", "trials": "2"}, "")
    planned = plan(settings, {4: 0.05, 8: 0.05})
    estimate = Estimate(planned)
    assert estimate.seconds == 0
    bully, ring = planned[:2]
    estimate.learn(bully, 0.4)  # 0.1 s a node; ring is taken to last as long
    assert estimate.seconds == pytest.approx(0.4 + 2 * 0.8 + 2 * 0.4 + 2 * 0.8)
    estimate.learn(ring, 4)
    assert estimate.seconds == pytest.approx(0.4 + 2 * 0.8 + 4 + 2 * 8)
    for trial in planned[2:]:
        estimate.learn(trial, 1)
    assert estimate.seconds == 0


def test_with_heartbeats_a_trial_lasts_as_long_at_any_size() -> None:
    grid = {"algorithms": "ring", "nodes": "4", "faults": "leader-crash", "trials": "1"}
    beating = grid | {"nodes": "4,8", "detector": "heartbeat:period=10ms,timeout=100ms"}
    told, small, large = (
        *plan(make_settings(grid, ""), {4: 0.05}),
        *plan(make_settings(beating, ""), {4: 0.05, 8: 0.05}),
    )
    estimate = Estimate([told, small, large])
    estimate.learn(told, 0.002)
    assert estimate.seconds == pytest.approx(2 * 4 * 0.1)  # not seen yet: so many timeouts
    estimate.learn(small, 0.3)
    assert estimate.seconds == pytest.approx(0.3)


def test_times_are_told_in_words() -> None:
    assert [tell_time(seconds) for seconds in (0.2, 59, 61.5, 3599.5, 3900)] == [
        *("1 s", "59 s", "1 min 2 s", "1 h 0 min", "1 h 5 min")
    ]


def test_in_a_pipe_it_is_plain_and_short(tmp_path: Path) -> None:
    done = bench(*RUN, str(tmp_path / "run"), "--no-report")
    assert "\x1b" not in done.stdout + done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == 6
    assert re.fullmatch(r"n=3 none: 0 of 24 trials after [\d.]+ s", lines[1])
    assert re.fullmatch(r"n=6 none: 12 of 24 trials after [\d.]+ s, about \d+ s left", lines[3])
    assert re.fullmatch(r"24 trials after [\d.]+ s", lines[-1])
    assert re.search(SUMMARY, done.stdout)


def test_on_a_terminal_a_bar_keeps_to_its_line(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
    grid = ("run", "-a", "bully", "-n", "3", "-t", "10", "-f", "leader-crash", "--delta", "50ms", "--no-report")
    words = (*COMMAND, *grid, "-o", str(tmp_path / "run"))
    process = subprocess.Popen(words, cwd=ROOT, stdout=theirs, stderr=theirs, env={**os.environ, "TERM": "xterm"})
    os.close(theirs)
    output = b""
    while True:
        try:
            output += os.read(ours, 65536)
        except OSError:  # the other side is closed
            break
    os.close(ours)
    assert process.wait(60) == 0
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", output.decode())
    lines = [line for part in text.splitlines() for line in part.split("\r")]
    bars = [line for line in lines if "━" in line and "/10" in line]
    assert max(map(len, bars)) <= 100, "nothing wraps"
    assert any(re.search(r" [1-9]/10 +\d+ s left n=3 bully leader-crash", line) for line in bars)
    assert len({line.index("/10") for line in bars}) == 1, "the bar stays where it is"
    assert re.search(SUMMARY, text.replace("\r\n", "\n"))
