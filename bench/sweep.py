"""Sweep: a grid of scenarios becomes rows, one trial at a time, in a folder from which it can go on."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import groupby
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

import msgspec

from bench.calibrate import BURST, LARGEST_BURST, machine, measure_delta, measure_hop
from bench.engines.processes import LARGE, Processes
from bench.engines.processes.events import tell_events
from bench.engines.processes.summary import summarise
from bench.engines.processes.worker import die_with_parent
from bench.engines.recording import record
from bench.engines.simulate import Simulate
from bench.events import MOST, Log, make_log
from bench.faults import Fault
from bench.latency import seconds
from bench.observe import make_row
from bench.scenario import Scenario
from bench.settings import BadInput, Planned, Settings, plan, settings_of
from bench.store import Run, read_manifest
from bench.trial import SCHEMA, KindCount, Trial

SIMULATED_DELTA = 0.001  # seconds
CALM = (Fault("none"),)
PACKAGES = ("election-bench", "msgspec", "pandas", "matplotlib", "psutil", "scipy")


def revision() -> str:
    """The git revision of the source, with a + if it was changed since; empty outside a checkout."""
    import subprocess

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
    """What the rows of a run share: with a row it is enough to run the trial again; `look_around` adds where it runs."""
    return {
        "schema": SCHEMA,
        "run": folder.name,
        "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "command": command,
        "settings": msgspec.to_builtins(settings),
        "revision": "",
        "machine": {},
        "versions": {},
        "calibration": {},
        "policy": "",
        "finished": False,
    }


def look_around(run: Run) -> None:
    """Write into the manifest of a new run what runs it, and where; a run that goes on keeps what it says."""
    import importlib.metadata

    if not run.manifest["machine"]:
        versions = {package: importlib.metadata.version(package) for package in PACKAGES}
        run.manifest |= {"revision": revision(), "machine": machine(), "versions": versions}
        run.write_manifest()


def calibrate(run: Run, settings: Settings, engine: Processes) -> dict[int, float]:
    """The bound on one hop for each size, in seconds: as told, as the run recorded it before, or measured now."""
    recorded = {int(n): entry["delta_s"] for n, entry in run.manifest["calibration"].items()}
    if settings.delta != "auto":
        recorded = dict.fromkeys(settings.sizes, seconds(settings.delta))
        run.manifest["calibration"] = {str(n): {"delta_s": delta} for n, delta in recorded.items()}
    elif not set(settings.sizes) <= recorded.keys():
        measured = measure_delta(engine, settings.sizes)
        run.manifest["calibration"] = {str(n): msgspec.to_builtins(entry) for n, entry in measured.items()}
        recorded = {n: entry.delta_s for n, entry in measured.items()}
        run.manifest["hop_s"] = median(measure_hop(engine, 64, 5))
    return recorded


Begin = Callable[[list[Planned]], None]
Note = Callable[[Planned], None]
Finished = tuple[Trial, list[KindCount], Log | None]


def sweep(run: Run, settings: Settings, begin: Begin, note: Note) -> Iterator[Trial]:
    """Run what is missing of a run, and yield each row once it is stored.

    Parameters:
        run: where rows go.
        settings: what to run.
        begin: told the trials that are about to run, once the machine has been calibrated.
        note: told each trial when its turn comes.

    Raises:
        HarnessError: if the engine fails; rows so far are kept.
    """
    for row, kinds, log in (run_simulated if settings.engine == "simulate" else run_real)(run, settings, begin, note):
        run.append(row, kinds, log)
        yield row
    run.manifest["finished"] = True
    run.write_manifest()


def choose_shown(planned: list[Planned]) -> frozenset[int]:
    """The trials whose events are kept: of each algorithm, fault and detector the first one of the smallest system."""
    first: dict[tuple[object, ...], Planned] = {}
    for one in planned:
        scenario = one.scenario
        key = (scenario.algorithm, scenario.fault, scenario.times is None)
        first[key] = min(first.get(key, one), one, key=lambda it: it.scenario.n)
    return frozenset(one.trial for one in first.values())


def is_kept(row: Trial, shown: frozenset[int]) -> bool:
    """Whether the events of a trial are kept: it is shown and small, or broke a promise, or had two leaders of a key."""
    return (row.trial in shown and 2 * row.sent < MOST) or row.is_broken or row.violations > 0


def run_real(run: Run, settings: Settings, begin: Begin, note: Note) -> Iterator[Finished]:
    """Trials on real processes, strictly one after another.

    Each group of trials that share size and fault is preceded by one trial of each algorithm that is not recorded, without
    faults: what a fault waits for warms nothing, and was a sixth of a sweep with faults.
    """
    with Processes((*settings.algorithms, "chang_roberts", BURST)) as engine:
        first = min(*settings.sizes, LARGEST_BURST) if settings.delta == "auto" else settings.nodes[0]
        if first <= LARGE and not run.done:
            engine.prepare(first)  # it takes as long as to look around
        look_around(run)
        planned_all = plan(settings, calibrate(run, settings, engine))
        shown = choose_shown(planned_all)
        missing = [planned for planned in planned_all if planned.trial not in run.done]
        begin(missing)
        for _, group in groupby(missing, key=lambda planned: (planned.scenario.n, planned.scenario.fault)):
            cell = list(group)
            for planned in {planned.scenario.algorithm: planned for planned in reversed(cell)}.values():
                engine.run(msgspec.structs.replace(planned.scenario, faults=CALM, detector="perfect"))
            if engine.opened is not None:
                run.manifest["policy"] = engine.opened.policy
                run.write_manifest()
            for planned in cell:
                note(planned)
                scenario, observation = planned.scenario, engine.observe(planned.scenario)
                execution = summarise(observation, scenario)
                row, kinds = make_row(execution, scenario, run.folder.name, planned.trial, planned.rep, engine.name)
                kept = is_kept(row, shown)
                log = make_log(tell_events(observation, scenario), execution, row, scenario) if kept else None
                yield row, kinds, log


def run_simulated(run: Run, settings: Settings, begin: Begin, note: Note) -> Iterator[Finished]:
    """Trials in virtual time, fanned out over the cores and handed over in the order of the plan."""
    look_around(run)
    delta = SIMULATED_DELTA if settings.delta == "auto" else seconds(settings.delta)
    run.manifest["calibration"] = {str(n): {"delta_s": delta} for n in settings.sizes}
    run.write_manifest()
    deltas = dict.fromkeys(settings.sizes, delta)
    planned_all = plan(settings, deltas)
    missing = [planned for planned in planned_all if planned.trial not in run.done]
    begin(missing)
    cores = os.cpu_count() or 1
    chunk = max(1, min(32, len(missing) // (8 * cores)))
    with get_context("spawn").Pool(cores, prepare_worker, (os.getpid(), sys.path)) as pool:
        simulate = partial(simulate_trial, run.folder.name, choose_shown(planned_all))
        for planned, finished in zip(missing, pool.imap(simulate, missing, chunk), strict=True):
            note(planned)
            yield finished


def repeat(folder: Path, trial: int) -> tuple[Trial, Scenario]:
    """Run one trial of a stored run again, from what is stored; returns its row, and what it was.

    Raises:
        BadInput: if there is no such run or trial.
        HarnessError: if the engine fails.
    """
    manifest = read_manifest(folder)
    settings = settings_of(manifest["settings"])
    deltas = {int(n): entry["delta_s"] for n, entry in manifest["calibration"].items()}
    planned = plan(settings, deltas) if deltas else []
    if trial >= len(planned):
        raise BadInput(f"{folder.name} has no trial {trial}; it has 0 to {len(planned) - 1}")
    scenario, rep = planned[trial].scenario, planned[trial].rep
    if settings.engine == "simulate":
        return simulate_trial(folder.name, frozenset(), planned[trial])[0], scenario
    with Processes((scenario.algorithm,)) as engine:
        return make_row(engine.run(scenario), scenario, folder.name, trial, rep, engine.name)[0], scenario


def prepare_worker(parent: int, path: list[str]) -> None:
    """Make a worker of the pool find what its parent finds, leave Ctrl-C to it and end with it."""
    sys.path[:] = path
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    die_with_parent(parent)


def simulate_trial(run: str, shown: frozenset[int], planned: Planned) -> Finished:
    """One trial in virtual time, in a worker of the pool; if its events are kept it runs once more, and is recorded."""
    scenario, execution = planned.scenario, Simulate().run(planned.scenario)
    row, kinds = make_row(execution, scenario, run, planned.trial, planned.rep, Simulate.name)
    if not is_kept(row, shown):
        return row, kinds, None
    again, events = record(scenario)
    return row, kinds, make_log(events, again, row, scenario)
