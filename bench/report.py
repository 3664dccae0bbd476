"""Report: the figures and one self-contained page that a person wants to read, rebuilt from a run's stored rows alone."""

import base64
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import pandas as pd
import rich.box
from matplotlib.figure import Figure
from rich.table import Table

from bench.analyse import (
    CELL,
    COSTS,
    FAULT_LABELS,
    P95_TRIALS,
    P99_TRIALS,
    TROUBLES,
    Results,
    algorithm_label,
    fault_label,
    find_headlines,
    format_count,
    format_ms,
    judge_faults,
    load_results,
    measure_faults,
    told_fault,
)
from bench.faults import FAULTS, parse_plan
from bench.plots import (
    plot_latency_by_n,
    plot_latency_by_share,
    plot_leaderless_by_fault,
    plot_messages_by_kind,
    plot_messages_by_n,
    plot_noticing_by_fault,
    plot_overlap_by_fault,
    plot_phases_by_algorithm,
    plot_phases_by_fault,
    plot_traffic_by_fault,
    save_figure,
)

MOST_OPEN = 40  # a longer table is folded away
COST_HEADS = {
    "stale_messages": "Stale",
    "epochs": "Elections",
    "false_suspicions": "False susp.",
    "detector_messages": "Detector",
}

Figures = tuple[tuple[Callable[[Results], Figure], str, str], ...]

FIGURES: Figures = (
    (
        plot_messages_by_n,
        "trials.csv",
        "Each marker is a measured median and its whisker spans all trials; lines are the theorem's mean, and its best "
        "and worst case where they differ, so a marker on its line means that practice obeys theory (a median may lie "
        "a little off a mean). Markers of one n are set side by side to keep them apart.",
    ),
    (
        plot_latency_by_n,
        "trials.csv",
        "Lower is faster; two markers whose intervals overlap are not clearly different.",
    ),
    (
        plot_latency_by_share,
        "trials.csv",
        "Left, read across at 50% for the median; right, the higher a curve still runs to the right, the rarer and slower "
        "its slowest trials.",
    ),
    (
        plot_messages_by_kind,
        "kinds.csv",
        "A bar's length is what one election costs; hatched is the part that only tells the outcome.",
    ),
    (
        plot_phases_by_algorithm,
        "trials.csv",
        "A bar shows, from left to right, where the time goes; election latency is elect and agree together.",
    ),
)
FAULT_FIGURES: Figures = (
    (
        plot_leaderless_by_fault,
        "leaderless_s",
        "Each small point is a trial. Zero means that some live node took itself to lead all the time, if only because a "
        "paused or cut off leader still did.",
    ),
    (
        plot_noticing_by_fault,
        "detect_s",
        "How fast a fault is noticed is a matter of the failure detector's timeout, not of the algorithm. Who is dead, "
        "paused or cut off agrees only once it is back, so the right-hand side then contains the rest of the fault. What "
        "had no new leader after the last crash has no point.",
    ),
    (
        plot_phases_by_fault,
        "detect_s",
        "Each phase is a median of its own. The phases speak of the last crash; where it needed no election, there is "
        "nothing to show.",
    ),
    (
        plot_overlap_by_fault,
        "overlap_s",
        "A leader that is paused, cut off or wrongly suspected still takes itself to lead while the others elect "
        "another. Only two leaders of one and the same election break the theorem's promise; the verdicts count them.",
    ),
    (
        plot_traffic_by_fault,
        "traffic",
        "When nothing happens, the leader sends a heartbeat to each of the n − 1 others, and each of n nodes one to the "
        "next. Without a leader there are fewer; each suspicion is told to all, and a suspect is asked again in every "
        "period by everybody, so there are more. The trial's whole time is counted, set-up included, whose messages are "
        "not, so short trials lie too low.",
    ),
)


def _interval(low: float, high: float) -> str:
    return "" if np.isnan(low) else f"[{format_ms(low)}–{format_ms(high)}]"


def _summary_row(name: str, cell: "pd.Series[Any]", fault: str) -> dict[str, Any]:
    """What the summary says of one algorithm, as text."""
    spread = f"[{format_count(cell['messages_min'])}–{format_count(cell['messages_max'])}]"
    return {
        "algorithm": algorithm_label(name),
        "messages": format_count(cell["messages"]),
        "messages_range": spread if cell["messages_min"] < cell["messages_max"] else "",
        "latency": format_ms(cell["latency"]),
        "interval": _interval(cell["latency_low"], cell["latency_high"]),
        "p99": format_ms(cell["latency_p99"]) if cell["finished"] >= P99_TRIALS else "—",
        "slowest": format_ms(cell["latency_max"]),
        "leaderless": "—" if fault == "none" else format_ms(cell["leaderless"]),
        "elected": f"{cell['elected']:,}/{cell['trials'] - cell['invalid']:,}",
        "violations": f"{cell['violations']:,}",
    }


def _summary_groups(results: Results) -> list[dict[str, Any]]:
    """The summary at the largest common n, a group a fault, as text."""
    groups = []
    for fault in dict.fromkeys(results.finished["fault"]):
        n = results.largest_n(fault)
        rows = [_summary_row(str(name), cell, fault) for name, cell in results.at(fault, n).iterrows()]
        groups.append({"title": f"{fault_label(fault)}, n = {n}", "rows": rows})
    return groups


def _draw_figures(results: Results, figures: Figures) -> list[dict[str, str]]:
    """Write the figures as SVG and PNG, and return what the page says of each."""
    folder = results.folder / "figures"
    folder.mkdir(exist_ok=True)
    entries = []
    for plot, rows, caption in figures:
        stem, figure = plot.__name__.removeprefix("plot_"), plot(results)
        save_figure(figure, folder / stem)
        encoded = base64.b64encode((folder / f"{stem}.svg").read_bytes()).decode()
        source = f"data:image/svg+xml;base64,{encoded}"
        title = figure.texts[0].get_text().replace("\n", " ")
        entries.append({"stem": stem, "source": source, "alt": title, "caption": caption, "rows": rows})
    return entries


def _draw_fault_figures(disturbed: Results) -> list[dict[str, str]]:
    """The same for the figures of faults that have something to show."""
    if disturbed.finished.empty:
        return []
    shown = [(plot, "trials.csv", caption) for plot, column, caption in FAULT_FIGURES if _shows(disturbed, column)]
    return _draw_figures(disturbed, tuple(shown))


def _shows(disturbed: Results, column: str) -> bool:
    """Whether any trial at the sizes that are drawn has something in a column."""
    return any(
        bool((rows[column] > 0).any())
        for fault, rows in disturbed.finished.groupby("fault")
        for rows in [rows[rows["n"] == disturbed.largest_n(str(fault))]]
    )


def _judgement(cell: "pd.Series[Any]") -> tuple[str, str]:
    """What is to be said of a cell of the verdicts, and how it is marked."""
    if cell["broken"]:
        return f"✗ {cell['broken']:,} broken", "broken"
    if not cell["valid"]:
        return "—", "empty"
    if cell["failed"]:
        return f"{cell['failed']:,} failed", "failed"
    return "kept" if cell["promised"] else "held", "kept"


def _verdicts(disturbed: Results) -> dict[str, Any]:
    """How the trials with faults ended: an overview by fault and algorithm, and every count, as text."""
    cells, overview, groups = judge_faults(disturbed), [], []
    for fault in disturbed.faults:
        short, rows = [], []
        for name in disturbed.algorithms:
            if (fault, name) not in cells.index:
                short.append({"share": "", "notes": [], "mark": "empty"})
                continue
            cell = cells.loc[[(fault, name)]].iloc[0]
            judged, mark = _judgement(cell)
            notes = [f"✗ {cell['broken']:,} broken"] * bool(cell["broken"])
            notes += [f"{cell['two_led']:,} two led"] * bool(cell["two_led"])
            share = f"{cell['elected']:,}/{cell['valid']:,}" if cell["valid"] else "—"
            short.append({"share": share, "notes": notes, "mark": mark})
            interval = f"{cell['share']:.0%} [{cell['low']:.0%}–{cell['high']:.0%}]" if cell["valid"] else "—"
            columns = ("no_leader", "split", "unknown", "two_led", "overlapping", "invalid")
            counts = [f"{cell[column]:,}" for column in columns]
            partly = {0: "none", cell["valid"]: "all"}.get(
                cell["promised"], f"{cell['promised']:,} of {cell['valid']:,}"
            )
            odd = ", ".join(map(str, cell["odd"][:5])) + (", …" if len(cell["odd"]) > 5 else "")
            words = [algorithm_label(name), share, interval, *counts, partly if cell["valid"] else "—", judged, odd]
            rows.append({"words": words, "mark": mark})
        overview.append({"fault": disturbed.label(fault).replace(",", ", "), "cells": short})
        groups.append({"title": disturbed.label(fault), "rows": rows})
    heads = [algorithm_label(name) for name in disturbed.algorithms]
    return {"heads": heads, "overview": overview, "groups": groups, "open": len(cells) <= MOST_OPEN}


def _costs(disturbed: Results) -> dict[str, Any]:
    """What the faults cost, as text; counts that are 0 everywhere are left out."""
    if disturbed.finished.empty:
        return {"heads": [], "groups": [], "ratio": False, "open": True}
    cells, groups = measure_faults(disturbed), []
    times = {"p95": "p95", "detect": "Notice", "latency": "Elect"}
    times = {column: head for column, head in times.items() if cells[column].notna().any()}
    counts = {column: COST_HEADS.get(column, column.capitalize()) for column in COSTS if cells[column].any()}
    ratio = {"traffic": "× (2n\u00a0−\u00a01)"} if cells["traffic"].any() else {}
    for fault in dict.fromkeys(cells.index.get_level_values("fault")):
        rows, group = [], cells.loc[[fault]].droplevel("fault")
        for name, cell in group.iterrows():
            words = [algorithm_label(str(name)), format_ms(cell["leaderless"]), _interval(cell["low"], cell["high"])]
            words += [format_ms(cell[column]) for column in times]
            words += [format_count(cell[column]) for column in counts]
            rows.append([*words, *(f"{cell[column]:.2f}" for column in ratio)])
        least, most = group["finished"].min(), group["finished"].max()
        trials = f"{most:,}" if least == most else f"{least:,} to {most:,}"
        title = f"{disturbed.label(fault)}, n = {group['n'].iloc[0]}, {trials} trial{'s' if most > 1 else ''} each"
        groups.append({"title": title, "rows": rows})
    heads = [*times.values(), *counts.values(), *ratio.values()]
    return {"heads": heads, "groups": groups, "ratio": bool(ratio), "open": len(cells) <= MOST_OPEN}


def _meanings(disturbed: Results) -> list[tuple[str, str]]:
    """What the faults of a run do."""
    names = dict.fromkeys(part.name for fault in disturbed.faults for part in parse_plan(told_fault(fault)))
    return [(FAULT_LABELS.get(name, name), FAULTS[name].meaning) for name in names]


def _with_faults(disturbed: Results) -> dict[str, Any] | None:
    """Everything that the page says of faults other than a leader crash that all are told of; None if there is nothing."""
    if disturbed.trials.empty:
        return None
    return {
        "noticed": disturbed.noticed,
        "verdicts": _verdicts(disturbed),
        "figures": _draw_fault_figures(disturbed),
        "costs": _costs(disturbed),
        "meanings": _meanings(disturbed),
        "p95_trials": P95_TRIALS,
    }


def _trouble_rows(results: Results) -> list[list[str]]:
    """The cells in which something went wrong: counts in the order of `TROUBLES`, and the trials concerned."""
    trials, cells = results.trials, results.summary.reset_index()
    sound = trials["finished"] & (trials["verdict"] == "elected") & (trials["violations"] == 0) & trials["within_model"]
    odd = trials[~sound].groupby(CELL, sort=False)["trial"].agg(list).rename("odd").reset_index()
    rows = []
    for _, cell in cells.merge(odd, on=CELL).iterrows():
        shown = ", ".join(map(str, cell["odd"][:5])) + (", …" if len(cell["odd"]) > 5 else "")
        counts = [f"{cell[column]:,}" for column in ("n", "trials", *TROUBLES)]
        rows.append([algorithm_label(cell["algorithm"]), fault_label(cell["fault"]), *counts, shown])
    return rows


def _facts(results: Results) -> list[tuple[str, str]]:
    """The environment of a run, as far as its manifest tells."""
    manifest, machine = results.manifest, results.manifest.get("machine", {})
    settings, hop = manifest.get("settings", {}), manifest.get("hop_s")
    grids = [settings, *settings.get("also", [])]

    def of_all_grids(option: str) -> str:
        return "; ".join(dict.fromkeys(str(grid[option]) for grid in grids if option in grid))

    memory = machine.get("memory_gb")
    facts = {
        "Run": manifest.get("run"),
        "Started": manifest.get("created"),
        "Revision": manifest.get("revision"),
        "Engine": results.engine,
        "Trials a cell": of_all_grids("trials"),
        "Seed": settings.get("seed"),
        "Ids": settings.get("ids"),
        "Initiators": settings.get("initiators"),
        "Dead from the start": ", ".join(map(str, settings.get("dead", []))),
        "Detector": of_all_grids("detector"),
        "Heartbeats": "; ".join(
            f"{str(detector).partition(':')[2]} (n = {', '.join(map(str, sorted(set(sizes))))})"
            for detector, sizes in results.trials.groupby("detector", sort=False)["n"]
            if detector != "perfect"
        ),
        "Parameters": ", ".join(
            f"{algorithm}.{name}={value}"
            for algorithm, chosen in settings.get("parameters", {}).items()
            for name, value in chosen.items()
        ),
        "Scheduling policy": manifest.get("policy"),
        "One hop": f"{float(hop) * 1e6:.1f} µs" if hop else None,
        "System": " ".join(str(machine[key]) for key in ("system", "release") if key in machine),
        "Processor": machine.get("cpu"),
        "Cores": machine.get("cores"),
        "Memory": None if memory is None else f"{memory} GB",
        "Load at the start": str(machine.get("load") or "").strip("[]"),
        "Python": machine.get("python"),
        "Packages": ", ".join(f"{package} {version}" for package, version in manifest.get("versions", {}).items()),
    }
    return [(label, str(value)) for label, value in facts.items() if value not in (None, "", [])]


def _unfinished(results: Results) -> str:
    """A sentence if the run did not come to its end, else nothing."""
    if results.manifest.get("finished", True):
        return ""
    settings = results.manifest.get("settings", {})
    planned = 0
    for grid in (settings, *settings.get("also", [])):
        sizes = [len(grid.get(key, [])) for key in ("algorithms", "nodes", "faults")]
        planned += int(np.prod(sizes)) * int(grid.get("trials", 0))
    return f"This run was cut off: {len(results.trials):,} of {planned:,} planned trials are here."


def _context(results: Results) -> dict[str, Any]:
    """Everything the page shows."""
    trials, folder, head = results.trials, results.folder, results.headline
    plain = replace(results, trials=trials[trials["fault"].isin(FAULT_LABELS)])
    labels = list(map(fault_label, results.faults))
    words = [results.engine and f"engine: {results.engine}", f"{len(trials):,} trials"]
    words += ["n = " + ", ".join(map(str, sorted(set(trials["n"]))))] if len(trials) else []
    words += [
        ", ".join(labels if len(labels) <= 4 else [*labels[:3], f"{len(labels) - 3} more faults"]),
        str(results.manifest.get("created", ""))[:16].replace("T", " "),
    ]
    calibration = sorted((int(n), entry) for n, entry in results.manifest.get("calibration", {}).items())
    return {
        "name": results.manifest.get("run", folder.name),
        "overview": " · ".join(filter(None, words)),
        "unfinished": _unfinished(results),
        "headlines": find_headlines(results),
        "groups": _summary_groups(head),
        "figures": [] if head.finished.empty else _draw_figures(head, FIGURES),
        "faults": _with_faults(results.disturbed),
        "plain": len(plain.trials),
        "troubles": _trouble_rows(plain),
        "errors": list(dict.fromkeys(error for error in trials["error"] if error))[:3],
        "facts": _facts(results),
        "command": results.manifest.get("command"),
        "rebuild": "election-bench report " + shlex.quote(f"results/{folder.name}"),
        "calibration": [
            (n, format_ms(entry["delta_s"]), format_ms(entry.get("burst_s", float("nan")))) for n, entry in calibration
        ],
        "p99_trials": P99_TRIALS,
    }


def build_report(run: Path) -> Path:
    """Draw the figures of a run and write its page; only stored rows are read.

    Parameters:
        run: the run's folder; `figures/*.svg`, `figures/*.png` and `report.html` in it are replaced.

    Returns:
        The page.

    Raises:
        ValueError: if `run` is no run or has another schema; the message is one line.
    """
    results = load_results(run.resolve())
    loader = jinja2.FileSystemLoader(Path(__file__).parent / "templates")
    environment = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    page = results.folder / "report.html"
    page.write_text(environment.get_template("report.html.j2").render(_context(results)), encoding="utf-8")
    return page


def _overview_rows(disturbed: Results) -> list[dict[str, str]]:
    """A row a fault over all algorithms: how often a leader was elected, and the medians of the time without one."""
    if disturbed.finished.empty:
        return []
    judged, costs, rows = judge_faults(disturbed), measure_faults(disturbed), []
    for fault in disturbed.faults:
        sums = judged.loc[[fault], ["elected", "valid"]].sum()
        medians = costs["leaderless"].reindex(pd.MultiIndex.from_product([[fault], disturbed.algorithms])).dropna()
        ends = dict.fromkeys(map(format_ms, (medians.min(), medians.max())))
        row = dict.fromkeys(("messages", "latency", "interval"), "")
        row |= {"algorithm": disturbed.label(fault).replace(",", ", "), "leaderless": "–".join(ends)}
        rows.append(row | {"elected": f"{sums['elected']:,}/{sums['valid']:,}"})
    return rows


def summary_table(run: Path) -> Table:
    """The end of a run on a terminal: a row an algorithm and fault at the largest n, times in ms.

    Parameters:
        run: the run's folder.

    Raises:
        ValueError: if `run` is no run or has another schema; the message is one line.
    """
    results = load_results(run.resolve())
    left_out = len(results.trials) - len(results.finished)
    caption = "Medians. Latency: from start or first suspicion to the last agreement."
    caption += (
        f" {left_out:,} of {len(results.trials):,} trials are not averaged; the report says why." if left_out else ""
    )
    caption = caption if len(results.finished) else "No trial finished."
    table = Table(box=rich.box.SIMPLE, padding=0, collapse_padding=True, caption=caption, caption_justify="left")
    table.add_column("", overflow="fold")
    for heading in ("Messages", "Latency, ms", "95 %", "Leaderless, ms", "Elected"):
        table.add_column(heading, justify="right", no_wrap=True)
    groups = _summary_groups(results.headline)
    if rows := _overview_rows(results.disturbed):
        groups.append({"title": f"all algorithms, {results.disturbed.noticed}", "rows": rows})
    for group in groups:
        table.add_row(f"[bold]{group['title']}[/]")
        for row in group["rows"]:
            elected, _, valid = row["elected"].partition("/")
            told = row["elected"] if elected == valid else f"[bold red]{row['elected']}[/]"
            table.add_row(*(row[key] for key in ("algorithm", "messages", "latency", "interval", "leaderless")), told)
        table.add_section()
    return table
