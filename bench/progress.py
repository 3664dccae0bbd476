"""Progress: what a person sees while a run goes on, and when it ends."""

import math
import sys
import time
from collections import Counter
from pathlib import Path
from statistics import fmean

import click
import msgspec

from bench.engines.processes import HarnessError
from bench.scenario import Scenario
from bench.settings import Planned, Settings
from bench.store import Run, read_row, stored_events
from bench.sweep import repeat, sweep
from bench.trial import Trial

Kind = tuple[bool, str, str]  # trials that last alike: whether nodes send heartbeats, the algorithm and the fault
TIMEOUTS = 4  # that a trial with heartbeats lasts, while none was seen: what those of the profiles come to


def measure_of(scenario: Scenario) -> tuple[Kind, float]:
    """The kind of a trial, and in what its time is measured: timeouts (s) if nodes send heartbeats, else nodes."""
    beats = scenario.times or scenario.pulse
    return (beats is not None, scenario.algorithm, scenario.fault), beats.timeout if beats else scenario.n


class Estimate:
    """How long the trials that are left will take.

    Each is taken to last as long as those of its kind lately did, in proportion to its measure; what has not been seen yet
    as long as the mean of what has.

    Parameters:
        missing: the trials to run.
    """

    def __init__(self, missing: list[Planned]) -> None:
        self.left = Counter(measure_of(planned.scenario) for planned in missing)
        self.lasted: dict[Kind, float] = {}  # seconds a trial, divided by its measure

    def learn(self, planned: Planned, seconds: float) -> None:
        """A trial took so long."""
        kind, measure = measure_of(planned.scenario)
        self.left[kind, measure] -= 1
        share = seconds / measure
        self.lasted[kind] = (self.lasted.get(kind, share) + share) / 2

    @property
    def seconds(self) -> float:
        """What is left, in seconds; 0 while nothing is known."""
        if not self.lasted:
            return 0.0
        told, beating = ([share for kind, share in self.lasted.items() if kind[0] == beats] for beats in (False, True))
        usual = {False: fmean(told or [0.0]), True: fmean(beating or [TIMEOUTS])}
        return sum(
            count * measure * self.lasted.get(kind, usual[kind[0]]) for (kind, measure), count in self.left.items()
        )


class Progress:
    """A bar with the time left on a terminal, one line a cell elsewhere; always on stderr."""

    def __init__(self, label: str) -> None:
        self.cell = ""
        self.began = time.monotonic()
        self.total = self.finished = 0
        self.bar = None
        self.estimate = Estimate([])
        self.running: Planned | None = None
        self.since = self.began
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
            from rich.progress import Progress as Bar
            from rich.table import Column

            what = TextColumn("{task.description}", table_column=Column(no_wrap=True, overflow="ellipsis"))
            columns = (BarColumn(24), MofNCompleteColumn(), TextColumn("{task.fields[left]:>12}"), what)
            self.bar = Bar(*columns, console=Console(stderr=True), transient=True)
            self.task = self.bar.add_task(f"{label}: calibrating", total=None, left="")
            self.bar.start()
        else:
            click.echo(f"{label}: calibrating", err=True)

    def begin(self, missing: list[Planned]) -> None:
        """Calibration is over and these trials will run."""
        self.total, self.began, self.estimate = len(missing), time.monotonic(), Estimate(missing)
        if self.bar is not None:
            self.bar.update(self.task, total=len(missing))

    def note(self, planned: Planned) -> None:
        """This trial runs next."""
        self.finish()
        scenario = planned.scenario
        cell = f"n={scenario.n} {scenario.fault}"
        if self.bar is not None:
            self.bar.update(self.task, description=f"n={scenario.n} {scenario.algorithm} {scenario.fault}")
        elif cell != self.cell:
            taken = time.monotonic() - self.began
            left = f", about {tell_time(self.estimate.seconds)} left" if self.finished else ""
            click.echo(f"{cell}: {self.finished} of {self.total} trials after {taken:.1f} s{left}", err=True)
        self.cell, self.running = cell, planned

    def finish(self) -> None:
        """The trial that ran is over, if any did."""
        now = time.monotonic()
        if self.running is not None:
            self.finished += 1
            self.estimate.learn(self.running, now - self.since)
            self.running = None
            if self.bar is not None:
                self.bar.update(self.task, completed=self.finished, left=f"{tell_time(self.estimate.seconds)} left")
        self.since = now

    def describe(self, what: str) -> None:
        """All trials are over, and this goes on."""
        self.finish()
        if self.bar is not None:
            self.bar.update(self.task, description=what, left="")

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self.bar is not None:
            self.bar.stop()
            self.bar = None


def tell_time(seconds: float) -> str:
    """A time for a person: 7 s, 3 min 20 s, 1 h 5 min."""
    whole = math.ceil(seconds)
    if whole < 60:
        return f"{whole} s"
    return f"{whole // 60} min {whole % 60} s" if whole < 3600 else f"{whole // 3600} h {whole % 3600 // 60} min"


def run_and_show(run: Run, settings: Settings, as_json: bool, report: bool) -> int:
    """Run what is missing of a run and say what came of it; returns the exit code."""
    progress = Progress(run.folder.name)
    broken: list[Trial] = []
    encode = msgspec.json.Encoder().encode
    try:
        for row in sweep(run, settings, progress.begin, progress.note):
            if as_json:
                click.echo(encode(row).decode())
            if row.is_broken:
                broken.append(row)
    except KeyboardInterrupt:
        progress.close()
        click.echo(
            f"election-bench: interrupted with {len(run.done)} trials kept; {how_to_resume(run.folder)}", err=True
        )
        return 130
    except HarnessError as error:
        progress.close()
        click.echo(f"election-bench: the harness failed: {error}; {how_to_resume(run.folder)}", err=True)
        return 3
    progress.describe("drawing figures and report" if report else "")
    taken, path = time.monotonic() - progress.began, run.folder / "trials.csv"
    if report:
        from bench.report import build_report

        path = build_report(run.folder)
    progress.close()
    click.echo(f"{progress.finished} trials after {taken:.1f} s", err=True)
    if not as_json:
        show_summary(run.folder, path, report)
    for row in broken[:10]:
        reason = row.error or f"{row.verdict}, {row.violations} violations inside the model"
        where = f"trial {row.trial} ({row.algorithm}, n={row.n}, {row.fault})"
        seen, again = (f"election-bench {command} {run.folder} {row.trial}" for command in ("trace", "replay"))
        click.echo(f"election-bench: {where}: {reason}; what happened: {seen}; again: {again}", err=True)
    if len(broken) > 10:
        click.echo(f"election-bench: and {len(broken) - 10} more such trials", err=True)
    return 1 if broken else 0


def replay_and_show(folder: Path, trial: int, as_json: bool) -> int:
    """Run one stored trial again and say what came of it, beside what is stored; returns the exit code."""
    row, scenario = repeat(folder, trial)
    if as_json:
        click.echo(msgspec.json.encode(row).decode())
        return int(row.is_broken)
    stored = read_row(folder, trial)
    click.echo(f"{scenario.algorithm}, n={scenario.n}, {scenario.fault}, {scenario.detector}, seed {scenario.seed}")
    for name in row.__struct_fields__:
        now = "" if getattr(row, name) is None else str(getattr(row, name))
        if name in RESULTS:
            differs = f"   (stored: {stored[name]})" if stored.get(name, now) != now else ""
            click.echo(f"  {name:18} {now}{differs}")
    return int(row.is_broken)


RESULTS = (  # columns of a row that a replay shows
    *("verdict", "stop", "leader", "term", "violations", "within_model", "faults_planned", "faults_fired", "fault_log"),
    *("messages", "announcements", "stale_messages", "lost", "dropped", "epochs", "timeouts", "churn"),
    *("false_suspicions", "leaderless_s", "overlap_s", "error"),
)


def show_summary(folder: Path, path: Path, report: bool) -> None:
    """Print what ends a run: its table, if a `report` was made, where the result is, and how to look into a trial."""
    if report:
        from bench.catalogue import console
        from bench.report import summary_table

        console().print(summary_table(folder))
    click.echo(f"{'report' if report else 'rows'}: {path}")
    if kept := stored_events(folder):
        click.echo(f"one trial: election-bench trace {folder} {kept[0]} -o trial.svg ({len(kept)} are kept)")


def how_to_resume(folder: Path) -> str:
    """The command that goes on with a run."""
    return f"go on with: election-bench run --resume --out {folder}"
