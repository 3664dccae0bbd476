"""Sweep: a grid of scenarios becomes rows, one trial at a time, in a folder from which it can go on."""

import importlib.metadata
import subprocess
import time
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path
from statistics import median
from typing import Any

import msgspec

from bench.calibrate import BURST, machine, measure_delta, measure_hop
from bench.engines.processes import Processes
from bench.faults import seconds
from bench.observe import make_row
from bench.settings import Planned, Settings, plan
from bench.store import Run
from bench.trial import SCHEMA, Trial

PACKAGES = ("election-bench", "msgspec", "pandas", "matplotlib", "psutil", "scipy")


def revision() -> str:
    """The git revision of the source, with a + if it was changed since; empty outside a checkout."""
    here = Path(__file__).parent
    try:
        head = subprocess.run(
            ["git", "rev-parse", "--short=12", "HEAD"], cwd=here, capture_output=True, text=True, check=True
        )
        dirty = subprocess.run(["git", "status", "--porcelain", "."], cwd=here.parent, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return head.stdout.strip() + ("+" if dirty.stdout.strip() else "")


def make_manifest(settings: Settings, folder: Path, command: str) -> dict[str, Any]:
    """What the rows of a run share: with a row it is enough to run the trial again."""
    return {
        "schema": SCHEMA,
        "run": folder.name,
        "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "command": command,
        "settings": msgspec.to_builtins(settings),
        "revision": revision(),
        "machine": machine(),
        "versions": {package: importlib.metadata.version(package) for package in PACKAGES},
        "calibration": {},
        "policy": "",
        "finished": False,
    }


def calibrate(run: Run, settings: Settings, engine: Processes) -> dict[int, float]:
    """The bound on one hop for each size, in seconds: as told, as the run recorded it before, or measured now."""
    recorded = {int(n): entry["delta_s"] for n, entry in run.manifest["calibration"].items()}
    if settings.delta != "auto":
        recorded = dict.fromkeys(settings.nodes, seconds(settings.delta))
        run.manifest["calibration"] = {str(n): {"delta_s": delta} for n, delta in recorded.items()}
    elif not set(settings.nodes) <= recorded.keys():
        measured = measure_delta(engine, settings.nodes)
        run.manifest["calibration"] = {str(n): msgspec.to_builtins(entry) for n, entry in measured.items()}
        recorded = {n: entry.delta_s for n, entry in measured.items()}
        run.manifest["hop_s"] = median(measure_hop(engine, 64, 5))
    return recorded


def sweep(
    run: Run, settings: Settings, begin: Callable[[list[Planned]], None], note: Callable[[Planned], None]
) -> Iterator[Trial]:
    """Run what is missing of a run, and yield each row once it is stored.

    Parameters:
        run: where rows go.
        settings: what to run.
        begin: told the trials that are about to run, once the machine has been calibrated.
        note: told each trial before it runs.

    Each group of trials that share size and fault is preceded by one trial of each algorithm that is not recorded.

    Raises:
        HarnessError: if the engine fails; rows so far are kept.
    """
    with Processes((*settings.algorithms, "chang_roberts", BURST)) as engine:
        missing = [
            planned for planned in plan(settings, calibrate(run, settings, engine)) if planned.trial not in run.done
        ]
        begin(missing)
        for _, group in groupby(missing, key=lambda planned: (planned.scenario.n, str(planned.scenario.fault))):
            cell = list(group)
            for planned in {planned.scenario.algorithm: planned for planned in reversed(cell)}.values():
                engine.run(planned.scenario)
            if engine.opened is not None:
                run.manifest["policy"] = engine.opened.policy
                run.write_manifest()
            for planned in cell:
                note(planned)
                execution = engine.run(planned.scenario)
                row, kinds = make_row(
                    execution, planned.scenario, run.folder.name, planned.trial, planned.rep, engine.name
                )
                run.append(row, kinds)
                yield row
    run.manifest["finished"] = True
    run.write_manifest()
