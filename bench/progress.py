"""Progress: what a person sees while a run goes on, and when it ends."""

import sys
import time
from pathlib import Path

import click
import msgspec

from bench.engines.processes import HarnessError
from bench.settings import Planned, Settings
from bench.store import Run, read_row
from bench.sweep import repeat, sweep
from bench.trial import Trial


class Progress:
    """A bar with the time left on a terminal, one line a cell elsewhere; always on stderr."""

    def __init__(self, label: str) -> None:
        self.label = label
        self.cell = ""
        self.began = time.monotonic()
        self.total = self.finished = 0
        self.bar = None
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
            from rich.progress import Progress as Bar

            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            self.bar = Bar(*columns, console=Console(stderr=True), transient=True)
            self.task = self.bar.add_task(f"{label}: calibrating", total=None)
            self.bar.start()
        else:
            click.echo(f"{label}: calibrating", err=True)

    def begin(self, missing: list[Planned]) -> None:
        """Calibration is over and these trials will run."""
        self.total, self.began = len(missing), time.monotonic()
        if self.bar is not None:
            self.bar.update(self.task, total=len(missing))

    def note(self, planned: Planned) -> None:
        """This trial runs next."""
        scenario = planned.scenario
        cell = f"n={scenario.n} {scenario.fault}"
        if self.bar is not None:
            self.bar.update(self.task, description=f"{cell} {scenario.algorithm}", completed=self.finished)
        elif cell != self.cell:
            click.echo(
                f"{cell}: {self.finished} of {self.total} trials after {time.monotonic() - self.began:.1f} s", err=True
            )
        self.cell = cell
        self.finished += 1

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self.bar is not None:
            self.bar.stop()


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
    progress.close()
    if report:
        show_report(run.folder, quiet=as_json)
    elif not as_json:
        click.echo(f"rows: {run.folder / 'trials.csv'}")
    for row in broken[:10]:
        reason = row.error or f"{row.verdict}, {row.violations} violations inside the model"
        again = f"election-bench replay {run.folder} {row.trial}"
        where = f"trial {row.trial} ({row.algorithm}, n={row.n}, {row.fault})"
        click.echo(f"election-bench: {where}: {reason}; again: {again}", err=True)
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


def show_report(folder: Path, quiet: bool) -> None:
    """Build the report and, unless `quiet`, print the summary that ends a run."""
    from bench.report import build_report, summary_table

    path = build_report(folder)
    if not quiet:
        from bench.catalogue import console

        console().print(summary_table(folder))
        click.echo(f"report: {path}")


def how_to_resume(folder: Path) -> str:
    """The command that goes on with a run."""
    return f"go on with: election-bench run --resume --out {folder}"
