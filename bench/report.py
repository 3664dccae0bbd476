"""Report: the figures and one self-contained page that a person wants to read, rebuilt from a run's stored rows alone."""

import base64
import shlex
from collections.abc import Callable
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
    P99_TRIALS,
    TROUBLES,
    Results,
    algorithm_label,
    fault_label,
    find_headlines,
    format_count,
    format_ms,
    load_results,
)
from bench.plots import (
    plot_latency_by_n,
    plot_latency_by_share,
    plot_messages_by_kind,
    plot_messages_by_n,
    plot_phases_by_algorithm,
    save_figure,
)

FIGURES: tuple[tuple[Callable[[Results], Figure], str, str], ...] = (
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


def _draw_figures(results: Results) -> list[dict[str, str]]:
    """Write the figures as SVG and PNG, and return what the page says of each."""
    folder = results.folder / "figures"
    folder.mkdir(exist_ok=True)
    entries = []
    for plot, rows, caption in FIGURES:
        stem, figure = plot.__name__.removeprefix("plot_"), plot(results)
        save_figure(figure, folder / stem)
        encoded = base64.b64encode((folder / f"{stem}.svg").read_bytes()).decode()
        source = f"data:image/svg+xml;base64,{encoded}"
        title = figure.texts[0].get_text().replace("\n", " ")
        entries.append({"stem": stem, "source": source, "alt": title, "caption": caption, "rows": rows})
    return entries


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
    memory = machine.get("memory_gb")
    facts = {
        "Run": manifest.get("run"),
        "Started": manifest.get("created"),
        "Revision": manifest.get("revision"),
        "Engine": results.engine,
        "Trials a cell": settings.get("trials"),
        "Seed": settings.get("seed"),
        "Ids": settings.get("ids"),
        "Initiators": settings.get("initiators"),
        "Dead from the start": ", ".join(map(str, settings.get("dead", []))),
        "Detector": settings.get("detector"),
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
    sizes = [len(settings.get(key, [])) for key in ("algorithms", "nodes", "faults")]
    planned = int(np.prod(sizes)) * int(settings.get("trials", 0))
    return f"This run was cut off: {len(results.trials):,} of {planned:,} planned trials are here."


def _context(results: Results) -> dict[str, Any]:
    """Everything the page shows."""
    trials, folder = results.trials, results.folder
    words = [results.engine and f"engine: {results.engine}", f"{len(trials):,} trials"]
    words += ["n = " + ", ".join(map(str, sorted(set(trials["n"]))))] if len(trials) else []
    words += [
        ", ".join(map(fault_label, results.faults)),
        str(results.manifest.get("created", ""))[:16].replace("T", " "),
    ]
    calibration = sorted((int(n), entry) for n, entry in results.manifest.get("calibration", {}).items())
    return {
        "name": results.manifest.get("run", folder.name),
        "overview": " · ".join(filter(None, words)),
        "unfinished": _unfinished(results),
        "headlines": find_headlines(results),
        "groups": _summary_groups(results),
        "figures": [] if results.finished.empty else _draw_figures(results),
        "troubles": _trouble_rows(results),
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


def summary_table(run: Path) -> Table:
    """The end of a run on a terminal: a row an algorithm and fault at the largest n, times in ms.

    Parameters:
        run: the run's folder.

    Raises:
        ValueError: if `run` is no run or has another schema; the message is one line.
    """
    results = load_results(run.resolve())
    left_out = len(results.trials) - len(results.finished)
    caption = "Medians, times in ms. Latency: from start or first suspicion to the last agreement."
    caption += (
        f" {left_out:,} of {len(results.trials):,} trials are not averaged; the report says why." if left_out else ""
    )
    caption = caption if len(results.finished) else "No trial finished."
    table = Table(box=rich.box.SIMPLE, padding=(0, 1, 0, 0), caption=caption, caption_justify="left")
    table.add_column("", no_wrap=True)
    for heading in ("Messages", "Latency", "95%", "Leaderless", "Elected"):
        table.add_column(heading, justify="right", no_wrap=True)
    for group in _summary_groups(results):
        table.add_row(f"[bold]{group['title']}[/]")
        for row in group["rows"]:
            table.add_row(
                *(row[key] for key in ("algorithm", "messages", "latency", "interval", "leaderless", "elected"))
            )
        table.add_section()
    return table
