"""Report: the figures and one self-contained page that a person wants to read, rebuilt from a run's stored rows alone."""

import re
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import jinja2
import numpy as np
import pandas as pd
import rich.box
from matplotlib.figure import Figure
from rich.table import Table

from algorithms import ALGORITHMS
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
    headline_faults,
    judge_faults,
    load_results,
    measure_faults,
    told_fault,
)
from bench.answer import RULES, Answer, find_answer
from bench.events import read_events
from bench.faults import FAULTS, parse_plan
from bench.plots import (
    Style,
    algorithm_style,
    plot_cost_by_n,
    plot_latency_by_delay,
    plot_latency_by_n,
    plot_latency_by_share,
    plot_leaderless_by_fault,
    plot_leaders_by_time,
    plot_messages_by_kind,
    plot_messages_by_n,
    plot_noticing_by_fault,
    plot_overlap_by_fault,
    plot_phases_by_algorithm,
    plot_phases_by_fault,
    plot_traffic_by_fault,
    plot_verdicts_by_fault,
    save_figure,
)
from bench.store import events_path, stored_events
from bench.textbook import judge_claims

MOST_OPEN = 40  # a longer table is folded away
COST_HEADS = {
    "stale_messages": "Stale",
    "epochs": "Elections",
    "false_suspicions": "False susp.",
    "detector_messages": "Detector",
    "duplicated": "Dupl.",
}
SIGNS = {
    "o": "●", "s": "■", "^": "▲", "D": "◆", "v": "▼", "p": "⬟", "<": "◀", ">": "▶", "d": "♦", "h": "⬢", "*": "★", "P": "✚",
    "X": "✖", "8": "⯃", "H": "⬣",
}  # fmt: skip

Entry = dict[str, Any]  # what the page says of a figure
Figures = tuple[tuple[Callable[[Results], Figure], str, str], ...]

FIGURES: Figures = (
    (
        plot_messages_by_n,
        "trials.csv",
        "Each marker is a measured median and its whisker spans all trials; lines are the theorem's mean, and its best "
        "and worst case where they differ, so a marker on its line means that practice obeys theory (a median may lie "
        "a little off a mean). Nothing can be below the lower bounds, those of rings on average and for deciding alone, "
        "without the announcement. Markers of one n are set side by side to keep them apart.",
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
        plot_phases_by_algorithm,
        "trials.csv",
        "A bar shows, from left to right, where the time goes; election latency is elect and agree together.",
    ),
    (
        plot_messages_by_kind,
        "kinds.csv",
        "A bar's length is what one election costs; hatched is the part that only tells the outcome.",
    ),
    (
        plot_cost_by_n,
        "trials.csv",
        "What one node has to bear: an algorithm with few messages may still load one node with most of them. Memory is "
        "the high-water mark of a process that runs trial after trial, so it tells of the run rather than of one election.",
    ),
)
DELAY_FIGURES: Figures = (
    (
        plot_latency_by_delay,
        "trials.csv",
        "The slope, written at each line's end, is the number of hops that an election takes one after the other: what "
        "remains of an algorithm where the network is slow and nodes are not.",
    ),
)
VERDICT_FIGURES: Figures = (
    (
        plot_verdicts_by_fault,
        "trials.csv",
        "Blue: every trial ended with one leader that every live node agrees on. ✗ where one election had two leaders or "
        "live nodes disagreed at the end: a result where nothing is promised, an error of ours (framed) where it is.",
    ),
)
FAULT_FIGURES: Figures = (
    (
        plot_leaderless_by_fault,
        "leaderless_s",
        "Zero means that some live node took itself to lead all the time, if only because a paused or cut off leader "
        "still did.",
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


class Cell(NamedTuple):
    """What stands in a table.

    Attributes:
        text: what is read.
        mark: how it is marked, or nothing.
        link: the figure to see, or nothing.
        code: a command that belongs to it, or nothing.
        style: the looks of the algorithm that it names, or None.
    """

    text: str
    mark: str = ""
    link: str = ""
    code: str = ""
    style: Style | None = None

    @property
    def sign(self) -> str:
        """The marker of the algorithm as a character."""
        return SIGNS[self.style.marker] if self.style else ""


class Sheet(NamedTuple):
    """A table of the page that sorts and filters.

    Attributes:
        name: its id.
        heads: of the columns.
        rows: as many cells as heads each.
    """

    name: str
    heads: Sequence[str]
    rows: list[list[Cell]]

    @property
    def columns(self) -> list[tuple[str, str]]:
        """Each head with what stands below it: `words` or `numbers`."""
        columns = [[row[place].text for row in self.rows] for place in range(len(self.heads))]
        kinds = ["words" if any(map(re.compile("[a-z]").search, texts)) else "numbers" for texts in columns]
        return list(zip(self.heads, kinds, strict=True))


def _named(name: str) -> Cell:
    return Cell(algorithm_label(name), style=algorithm_style(name))


def _cells(words: Sequence[str]) -> list[Cell]:
    return [Cell(word) for word in words]


def _interval(low: float, high: float) -> str:
    return "" if np.isnan(low) or low == high else f"[{format_ms(low)}–{format_ms(high)}]"


def _summary_row(name: str, cell: "pd.Series[Any]", fault: str) -> dict[str, Any]:
    """What the summary says of one algorithm, as text."""
    spread = f"[{format_count(cell['messages_min'])}–{format_count(cell['messages_max'])}]"
    return {
        "algorithm": algorithm_label(name),
        "name": name,
        "messages": format_count(cell["messages"]),
        "messages_range": spread if cell["messages_min"] < cell["messages_max"] else "",
        "latency": format_ms(cell["latency"]),
        "interval": _interval(cell["latency_low"], cell["latency_high"]),
        "p99": format_ms(cell["latency_p99"]) if cell["finished"] >= P99_TRIALS else "—",
        "slowest": format_ms(cell["latency_max"]),
        "leaderless": "—" if told_fault(fault) == "none" else format_ms(cell["leaderless"]),
        "elected": f"{cell['elected']:,}/{cell['trials'] - cell['invalid']:,}",
        "violations": f"{cell['violations']:,}",
    }


def _summary_groups(results: Results) -> list[dict[str, Any]]:
    """The summary at the largest common n, a group a fault, as text."""
    groups = []
    for fault in results.ran:
        n = results.largest_n(fault)
        rows = [_summary_row(str(name), cell, fault) for name, cell in results.at(fault, n).iterrows()]
        groups.append({"title": f"{fault_label(fault)}, n = {n}", "fault": fault, "n": n, "rows": rows})
    return groups


def _summary(results: Results) -> Sheet:
    """Every cell at every n."""
    heads = (
        "Algorithm",
        "Fault",
        "n",
        "Messages",
        "Least–most",
        "Latency (ms)",
        "95%",
        "p99",
        "Slowest",
        "Without leader",
    )
    rows = []
    for _, cell in results.summary.reset_index().iterrows():
        if cell["finished"]:
            name, fault = cell["algorithm"], cell["fault"]
            told = _summary_row(name, cell, fault)
            keys = ("messages", "messages_range", "latency", "interval", "p99", "slowest", "leaderless", "elected")
            row = [_named(name), *_cells([fault_label(fault), str(cell["n"]), *(told[key] for key in keys)])]
            rows.append([*row, Cell(told["violations"], "failed" if cell["violations"] else "")])
    return Sheet("summary", (*heads, "Elected", "Two led"), rows)


def _answer_sheet(results: Results, answer: Answer) -> Sheet:
    """What users ask, an algorithm a row."""
    head, heads, columns = results.headline, ["Algorithm"], list["pd.Series[Any]"]()
    for fault in headline_faults(head):
        n = head.largest_n(fault)
        cells = head.at(fault, n)
        tail = cells["finished"].min() >= P99_TRIALS
        word = {"none": "start", "leader-crash": "crash"}.get(told_fault(fault), fault_label(fault))
        heads += [f"Messages, {word}, n = {n}", f"Latency, {word} (ms)", "p99 (ms)" if tail else "Slowest (ms)"]
        columns += [cells[column] for column in ("messages", "latency", "latency_p99" if tail else "latency_max")]
        if told_fault(fault) != "none":
            heads.append("Without leader (ms)")
            columns.append(cells["leaderless"])
    texts = [column.map(format_count if column.name == "messages" else format_ms) for column in columns]
    rows = []
    for name, told in answer.table.iterrows():
        unsafe = [results.label(fault).replace(",", ", ") for fault in told["unsafe"]]
        text = f"{told['safe']} of {told['faults']}: not {'; '.join(unsafe)}" if unsafe else f"all {told['faults']}"
        row = [_named(str(name))._replace(mark="best" if name == answer.chosen else "")]
        for column, words in zip(columns, texts, strict=True):
            least = column.get(name) == column.min() < column.max()
            row.append(Cell(words.get(name, "—"), "least" if least else ""))
        rows.append([*row, Cell(text, "failed" if unsafe else "")])
    return Sheet("answers", [*heads, "Safe under"], rows)


def _ideas(results: Results) -> list[tuple[Cell, str]]:
    """The idea of each algorithm of the catalogue in a sentence: the first line of its page."""
    ideas = []
    for name in results.algorithms:
        if name in ALGORITHMS:
            text = str(sys.modules[ALGORITHMS[name].__module__].__doc__).splitlines()[0].partition(": ")[2]
            ideas.append((_named(name), text[0].upper() + text[1:]))
    return ideas


def _claims(results: Results, stems: set[str]) -> Sheet:
    """The textbook's claims and what the run says to them."""
    rows, signs = [], {"confirmed": "✓", "partly": "◐", "refuted": "✗", "not measured": "–"}
    for claim, measured, verdict in judge_claims(results):
        found = (
            Cell("\n".join(measured)) if measured else Cell("not in this run; this measures it:", code=claim.command)
        )
        figure = Cell("see", link=claim.figure) if claim.figure in stems else Cell("")
        judged = Cell(f"{signs[verdict]} {verdict}", verdict.replace(" ", "-"))
        rows.append([_named(claim.algorithm), *_cells([f"“{claim.says}”", claim.rule]), found, judged, figure])
    return Sheet("claims", ("Algorithm", "It is said", "Rule", "Measured", "Verdict", "Figure"), rows)


def _told_path(folder: Path) -> str:
    """A run's folder as a command names it: from `results/` on, or from where one is, or else whole."""
    here = Path.cwd()
    told = Path("results", folder.name) if folder.parent.name == "results" else folder
    return shlex.quote(str(told.relative_to(here) if told.is_relative_to(here) else told))


def _embed(svg: str) -> str:
    """A figure as the address of an image: as text, which base64 would make a third longer, and without what nobody sees.

    That is comments, line ends, ids to which nothing refers, and what is finer than a hundredth of a point.
    """
    svg = re.sub(r"<!--.*?-->|\s*\n\s*", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    svg = re.sub(r"\b([1-9]\d*\.\d\d)\d+", r"\1", svg)  # below 1 are scales, which need all their digits
    used = dict.fromkeys(re.findall(r'(?:href="|url\()#([^")]+)', svg))
    short = {name: f"i{place:x}" for place, name in enumerate(used)}
    svg = re.sub(r' id="([^"]*)"', lambda found: f' id="{short[found[1]]}"' if found[1] in short else "", svg)
    svg = re.sub(r'(href="|url\()#([^")]+)', lambda found: f"{found[1]}#{short[found[2]]}", svg)
    return "data:image/svg+xml," + quote(svg.replace('"', "'"), safe=" '()*+,/:;<=>?")


def _keep_figure(folder: Path, stem: str, figure: Figure, caption: str, rows: Sequence[str]) -> Entry:
    """Write a figure as SVG and PNG, and return what the page says of it."""
    (folder / "figures").mkdir(exist_ok=True)
    save_figure(figure, folder / "figures" / stem)
    source = _embed((folder / "figures" / f"{stem}.svg").read_text(encoding="utf-8"))
    title = figure.texts[0].get_text().replace("\n", " ")
    entry = {"stem": stem, "source": source, "alt": title, "caption": caption, "rows": rows}
    return entry | {"width": f"{6.2 * figure.get_figwidth():.1f}rem"}  # letters of one size in all


def _draw_figures(results: Results, figures: Figures) -> list[Entry]:
    """Draw and keep figures."""
    return [
        _keep_figure(results.folder, plot.__name__.removeprefix("plot_"), plot(results), caption, [rows])
        for plot, rows, caption in figures
    ]


def _draw_timeline(results: Results) -> list[Entry]:
    """The leader timeline, of the fault under which two led for longest at once, or else nobody did."""
    rows = results.undelayed.trials
    rows = rows[rows["trial"].isin(stored_events(results.folder))]
    rows = rows.sort_values("n", kind="stable").drop_duplicates(["fault", "algorithm"])
    if rows.empty:
        return []
    spent = rows.groupby("fault", sort=False)[["overlap_s", "leaderless_s"]].sum()
    rows = rows[rows["fault"] == spent.sort_values(["overlap_s", "leaderless_s"], kind="stable").index[-1]]
    paths = [events_path(results.folder, trial) for trial in rows["trial"]]
    figure = plot_leaders_by_time([read_events(path) for path in paths])
    shown = ", ".join(f"{algorithm_label(row['algorithm'])} {row['trial']}" for _, row in rows.iterrows())
    caption = (
        "A bar is a time in which a node took itself to lead; two at once are no error unless they lead the same election. "
        f"Trials: {shown}; any of them, event by event: election-bench trace {_told_path(results.folder)} TRIAL."
    )
    data = [path.relative_to(results.folder).as_posix() for path in paths]
    return [_keep_figure(results.folder, "leaders_by_time", figure, caption, data)]


def _draw_fault_figures(disturbed: Results) -> list[Entry]:
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


VERDICT_HEADS = {
    "no_leader": "No leader",
    "split": "Split",
    "unknown": "Unknown",
    "two_led": "Two led one",
    "overlapping": "Two at once",
    "invalid": "Invalid",
}


def _verdicts(disturbed: Results) -> Sheet:
    """How the trials with faults ended, as text; counts that are 0 everywhere are left out."""
    rows, cells = [], judge_faults(disturbed)
    counts = {column: head for column, head in VERDICT_HEADS.items() if cells[column].any()}
    for _, cell in cells.reset_index().iterrows():
        judged, mark = _judgement(cell)
        share = f"{cell['elected']:,}/{cell['valid']:,}" if cell["valid"] else "—"
        interval = f"{cell['share']:.0%} [{cell['low']:.0%}–{cell['high']:.0%}]" if cell["valid"] else "—"
        odd = ", ".join(map(str, cell["odd"][:5])) + (", …" if len(cell["odd"]) > 5 else "")
        words = [disturbed.label(cell["fault"]).replace(",", ", "), share, interval]
        words += [*(f"{cell[column]:,}" for column in counts), cell["promise"] or "—"]
        rows.append([_named(cell["algorithm"]), *_cells(words), Cell(judged, mark), Cell(odd)])
    heads = ("Algorithm", "Fault", "Elected", "Share (95%)", *counts.values(), "Promise", "Judged", "Trial numbers")
    return Sheet("verdicts", heads, rows)


def _costs(disturbed: Results) -> Sheet:
    """What the faults cost, as text; counts that are 0 everywhere are left out."""
    if disturbed.finished.empty:
        return Sheet("costs", (), [])
    cells, rows = measure_faults(disturbed), []
    times = {"p95": "p95", "detect": "Notice", "latency": "Elect"}
    times = {column: head for column, head in times.items() if cells[column].notna().any()}
    counts = {column: COST_HEADS.get(column, column.capitalize()) for column in COSTS if cells[column].any()}
    ratio = {"traffic": "× (2n\u00a0−\u00a01)"} if cells["traffic"].any() else {}
    for _, cell in cells.reset_index().iterrows():
        words = [disturbed.label(cell["fault"]).replace(",", ", "), f"{cell['n']:,}", f"{cell['finished']:,}"]
        words += [format_ms(cell["leaderless"]), _interval(cell["low"], cell["high"])]
        words += [format_ms(cell[column]) for column in times]
        words += [format_count(cell[column]) for column in counts]
        rows.append([_named(cell["algorithm"]), *_cells([*words, *(f"{cell[column]:.2f}" for column in ratio)])])
    heads = ("Algorithm", "Fault", "n", "Trials", "Without leader", "95%", *times.values(), *counts.values())
    return Sheet("costs", (*heads, *ratio.values()), rows)


def _meanings(disturbed: Results) -> list[tuple[str, str]]:
    """What the faults of a run do."""
    names = dict.fromkeys(part.name for fault in disturbed.faults for part in parse_plan(told_fault(fault)))
    return [(FAULT_LABELS.get(name, name), FAULTS[name].meaning) for name in names]


def _with_faults(disturbed: Results) -> dict[str, Any] | None:
    """Everything that the page says of faults other than a leader crash that all are told of; None if there is nothing."""
    if disturbed.trials.empty:
        return None
    costs = _costs(disturbed)
    return {
        "noticed": disturbed.noticed,
        "verdicts": _verdicts(disturbed),
        "figures": [*_draw_figures(disturbed, VERDICT_FIGURES), *_draw_fault_figures(disturbed)],
        "costs": costs,
        "ratio": any("2n" in head for head in costs.heads),
        "meanings": _meanings(disturbed),
        "p95_trials": P95_TRIALS,
    }


def _troubles(results: Results) -> Sheet:
    """The cells in which something went wrong: counts in the order of `TROUBLES`, and the trials concerned."""
    trials, cells = results.trials, results.summary.reset_index()
    sound = trials["finished"] & (trials["verdict"] == "elected") & (trials["violations"] == 0) & trials["within_model"]
    odd = trials[~sound].groupby(CELL, sort=False)["trial"].agg(list).rename("odd").reset_index()
    rows = []
    for _, cell in cells.merge(odd, on=CELL).iterrows():
        shown = ", ".join(map(str, cell["odd"][:5])) + (", …" if len(cell["odd"]) > 5 else "")
        counts = [f"{cell[column]:,}" for column in ("n", "trials", *TROUBLES)]
        rows.append([_named(cell["algorithm"]), *_cells([fault_label(cell["fault"]), *counts, shown])])
    heads = "Algorithm,Fault,n,Trials,Horizon,Error,Invalid,No leader,Split,Two led,Outside model,Trial numbers"
    return Sheet("troubles", heads.split(","), rows)


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
        "Trials each": of_all_grids("trials"),
        "Seed": settings.get("seed"),
        "Ids": settings.get("ids"),
        "Who starts": of_all_grids("initiators"),
        "Dead from the start": ", ".join(map(str, settings.get("dead", []))),
        "Failure detector": of_all_grids("detector"),
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
        "A message to the next node": f"{float(hop) * 1e6:.1f} µs on a ring of 64" if hop else None,
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
    trials, folder, head, delayed = results.trials, results.folder, results.headline, results.delayed
    labels = list(map(fault_label, results.faults))
    words = [results.engine and f"engine: {results.engine}", f"{len(trials):,} trials"]
    words += ["n = " + ", ".join(map(str, sorted(set(trials["n"]))))] if len(trials) else []
    words += [
        ", ".join(labels) if len(labels) <= 3 else f"{len(labels)} ways to start and to fail",
        str(results.manifest.get("created", ""))[:16].replace("T", " "),
    ]
    calibration = sorted((int(n), entry) for n, entry in results.manifest.get("calibration", {}).items())
    figures = [] if head.finished.empty else _draw_figures(head, FIGURES)
    figures += [] if delayed.trials.empty else _draw_figures(delayed, DELAY_FIGURES)
    figures += _draw_timeline(results)
    faults, answer = _with_faults(results.disturbed), find_answer(results)
    stems = {figure["stem"] for figure in [*figures, *(faults["figures"] if faults else [])]}
    return {
        "name": results.manifest.get("run", folder.name),
        "overview": " · ".join(filter(None, words)),
        "unfinished": _unfinished(results),
        "answer": answer and {"reason": answer.reason, "sheet": _answer_sheet(results, answer)},
        "rules": RULES,
        "ideas": _ideas(results),
        "headlines": find_headlines(results),
        "claims": _claims(results, stems),
        "summary": _summary(head),
        "figures": figures,
        "faults": faults,
        "plain": len(results.plain.trials),
        "troubles": _troubles(results.plain),
        "errors": [error for error in trials["error"].unique() if error][:3],
        "facts": _facts(results),
        "command": results.manifest.get("command"),
        "rebuild": f"election-bench report {_told_path(folder)}",
        "calibration": [
            (n, format_ms(entry["delta_s"]), format_ms(entry.get("burst_s", float("nan")))) for n, entry in calibration
        ],
        "p99_trials": P99_TRIALS,
        "most_open": MOST_OPEN,
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
    """The end of a run on a terminal: a row an algorithm and fault at the largest n, times in ms; and the recommendation.

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
    answer = find_answer(results)
    caption = f"{caption}\n{answer.reason}." if answer else "No trial finished."
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
