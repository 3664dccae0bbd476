"""Plots: one function a figure, `plot_x_by_y(results) -> Figure`; a title that says what is seen, and units everywhere.

An algorithm has the same colour, marker and line in every figure. Colours are Okabe and Ito's and Tol's, chosen so that any
two are told apart by the colour-blind, too. Figures are drawn without pyplot, and the same rows give the same bytes.
"""

import itertools
import math
import re
import textwrap
import zlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
import msgspec
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter, NullLocator

from algorithms import ALGORITHMS
from bench.analyse import (
    PHASES,
    Results,
    algorithm_label,
    count_kinds,
    delay_slopes,
    fault_label,
    find_announcements,
    find_busiest,
    find_fastest,
    find_fewest_messages,
    find_largest_phase,
    find_longest_leaderless,
    find_longest_overlap,
    find_longest_phase,
    find_longest_tail,
    find_noticing,
    find_promises,
    find_slopes,
    find_traffic,
    format_count,
    format_ms,
    headline_faults,
    judge_faults,
    lower_bounds,
    median_interval,
    told_fault,
)
from bench.events import STRIKES, Log

ORDER = (
    "bully",
    "ring",
    "lamport",
    "chang_roberts",
    "randomized",
    "lelann",
    "hirschberg_sinclair",
    "franklin",
    "dolev_klawe_rodeh",
    "peterson",
    "higham_przytycka",
    "itai_rodeh",
)  # who came first keeps its looks; the others of the catalogue follow
COLOURS = (
    "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#882255",
    "#000000", "#88CCEE", "#117733", "#332288", "#661100", "#DDCC77",
)  # fmt: skip
MARKERS = ("o", "s", "^", "D", "v", "p", "<", ">", "d", "h", "*", "P")
LINES: tuple[Any, ...] = ("solid", (0, (5, 1.5)), (0, (5, 1.5, 1, 1.5)))  # one a lap round the colours
_OTHER_MARKERS = ("X", "8", "H")
_PHASE_STYLES = {
    "detect": ("#BBBBBB", None),
    "elect": ("#444444", None),
    "agree": ("#56B4E9", None),
    "quiet": ("#FFFFFF", "////"),
}
LOOK: Any = {
    "font.family": ["DejaVu Sans"],
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E4E4E4",
    "grid.linewidth": 0.6,
    "hatch.linewidth": 0.7,
    "svg.fonttype": "path",
    "svg.hashsalt": "election-bench",
    "path.simplify": True,
}
_GREY = "#555555"
NOTHING = 2  # (ns) a trial in which nothing happens for longer than this has something to show
MOST_SHRUNK = 5  # times that a trial may be shorter than another and still be seen beside it on one scale
LEAST_BOX, MOST_POINTS = 5, 40  # trials from which on a box says something, and up to which each is a point
_DASHED = (0, (4, 3))
_BOUND_LINES: tuple[Any, ...] = ("dotted", (0, (1, 3)), (0, (6, 2, 1, 2)))


class Style(NamedTuple):
    """What an algorithm looks like in every figure."""

    colour: str
    marker: str
    line: Any


def algorithm_style(name: str) -> Style:
    """Colour, marker and line of an algorithm, the same in every figure and every run.

    No two of the catalogue share both colour and marker. A page of one's own gets a marker that no other has.
    """
    names = [*ORDER, *(other for other in ALGORITHMS if other not in ORDER)]
    if name in names[: len(COLOURS) * len(LINES)]:
        lap, place = divmod(names.index(name), len(COLOURS))
        colour, sign = (place + 5 * lap) % len(COLOURS), (place + 7 * lap) % len(MARKERS)
        return Style(COLOURS[colour], MARKERS[sign], LINES[lap])
    code = zlib.crc32(name.encode())
    marker = _OTHER_MARKERS[code // len(COLOURS) % len(_OTHER_MARKERS)]
    return Style(COLOURS[code % len(COLOURS)], marker, "dotted")


def save_figure(figure: Figure, stem: Path, suffixes: Sequence[str] = (".svg", ".png")) -> None:
    """Write `stem`.svg and `stem`.png; the same figure gives the same bytes."""
    nothing = dict.fromkeys(("Date", "Creator", "Type", "Format"))
    with mpl.rc_context(LOOK):
        if ".svg" in suffixes:
            figure.savefig(stem.with_suffix(".svg"), metadata=nothing)
            figure.set_layout_engine("none")  # everything is in its place
        if ".png" in suffixes:
            figure.savefig(stem.with_suffix(".png"), dpi=150, metadata={"Software": None})


def _wrap(text: str, width: int) -> list[str]:
    """Lines of at most `width` characters; what is around an equals sign and a number with its unit stay together."""
    joined = re.sub(r" = |(?<=\d) (?=ms)|: (?=processes|simulate)", lambda found: found[0].replace(" ", "\xa0"), text)
    return [line.replace("\xa0", " ") for line in textwrap.wrap(joined, width)]


def _fit_legend(labels: Sequence[str], width: float) -> int:
    """How many of the labels fit side by side into `width` inches, when columns are filled one after the other."""
    wide = [0.58 + 0.075 * len(label) for label in labels]
    sums = {k: sum(max(column) for column in np.array_split(wide, k)) for k in range(1, len(wide) + 1)}
    return max((k for k, taken in sums.items() if taken <= width), default=1)


def _sheet(
    title: str,
    subtitle: str,
    handles: Sequence[Artist],
    panels: int,
    size: tuple[float, float],
    columns: int = 3,
    share: bool = False,
) -> tuple[Figure, list[Axes]]:
    """An empty figure with a headed row of panels, each of `size` inches; legend between head and panels."""
    columns = min(panels, columns)
    rows, width = math.ceil(panels / columns), max(7.2, columns * size[0])
    head, small = _wrap(title, int(width * 9.8)), _wrap(subtitle, int(width * 15.5))
    per_row = _fit_legend([str(handle.get_label()) for handle in handles], width)
    top = 0.12 + 0.24 * len(head) + 0.19 * len(small) + 0.24 * math.ceil(len(handles) / per_row)
    height = top + rows * size[1]
    layout = ConstrainedLayoutEngine(rect=(0, 0, 1, 1 - top / height), w_pad=0.08, h_pad=0.08)
    figure = Figure(figsize=(width, height), layout=layout)
    figure.text(0.1 / width, 1 - 0.1 / height, "\n".join(head), va="top", weight="bold", size=12)
    below = 0.12 + 0.24 * len(head)
    figure.text(0.1 / width, 1 - below / height, "\n".join(small), va="top", color=_GREY, linespacing=1.25)
    if handles:
        below += 0.19 * len(small) - 0.02
        place = (0.02 / width, 1 - below / height)
        figure.legend(handles=handles, loc="upper left", bbox_to_anchor=place, ncols=per_row, frameon=False)
    axes = figure.subplots(rows, columns, squeeze=False, sharex=share, sharey=share)
    for unused in axes.flat[panels:]:
        unused.set_visible(False)
    return figure, list(axes.flat[:panels])


def _describe(results: Results, *words: str) -> str:
    """The small print under a title: what is drawn, trials a cell, engine."""
    counts = results.summary["finished"]
    counts = counts[counts > 0]
    trials = f"{counts.min():,}" if counts.min() == counts.max() else f"{counts.min():,} to {counts.max():,}"
    return " · ".join([*words, f"{trials} trial{'s' if trials != '1' else ''} each", f"engine: {results.engine}"])


def _algorithm_handles(results: Results) -> list[Artist]:
    def handle(name: str) -> Line2D:
        colour, marker, line = algorithm_style(name)
        return Line2D([], [], color=colour, marker=marker, linestyle=line, markersize=5.5, label=algorithm_label(name))

    return [handle(name) for name in results.algorithms]


def _set_node_axis(axis: Axes, nodes: Sequence[int]) -> None:
    """A log axis with ticks at the sizes that were run, as many as fit without touching."""
    span = math.log(max(nodes) / min(nodes)) or 3.0
    ticks: list[int] = []
    for n in sorted(nodes, reverse=True):
        if not ticks or math.log(ticks[-1] / n) > 0.06 * span:
            ticks.append(n)
    margin = max(0.09 * span, 0.35 * _gap(nodes))
    axis.set_xscale("log")
    axis.set_xlim(min(nodes) * math.exp(-margin), max(nodes) * math.exp(margin))
    axis.xaxis.set_major_locator(FixedLocator(ticks))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_major_formatter(FuncFormatter(lambda n, _: f"{n:g}"))
    axis.xaxis.set_tick_params(labelbottom=True)
    axis.set_xlabel("nodes n")


def _set_value_axis(axis: Axes, which: str, values: "pd.Series[float]") -> None:
    """A log axis with plain numbers at its ticks; a linear one for values that hardly differ."""
    plain = FuncFormatter(lambda value, _: f"{value:,g}")
    ruler = axis.xaxis if which == "x" else axis.yaxis
    span = values.max() / values[values > 0].min() if (values > 0).any() else 1.0
    if span > 3:
        (axis.set_xscale if which == "x" else axis.set_yscale)("log", nonpositive="mask")
        ruler.set_major_locator(LogLocator(subs=(1, 2, 5) if span < 300 else (1,)))
        ruler.set_minor_formatter(NullFormatter())
    elif which == "y":
        axis.set_ylim(0, 1.1 * values.max() if (values > 0).any() else 1.0)
    ruler.set_major_formatter(plain)


def _gap(nodes: Sequence[int]) -> float:
    """The least distance between two sizes on a log axis."""
    return min((math.log(b / a) for a, b in itertools.pairwise(sorted(nodes))), default=1.0)


def _nudges(results: Results) -> dict[str, float]:
    """Factors on n that set the algorithms' points side by side where they would cover one another."""
    count = len(results.algorithms)
    step = min(0.04, 0.5 * _gap(results.sizes) / count)
    return {name: math.exp((i - (count - 1) / 2) * step) for i, name in enumerate(results.algorithms)}


def _draw_theory(axis: Axes, lines: pd.DataFrame, colour: str, nudge: float) -> None:
    """Mean solid, best and worst dashed unless they coincide with it; a level mark where there is only one n."""
    look: dict[str, Any] = {"color": colour, "marker": "_" if len(lines) == 1 else "", "markersize": 18}
    for case in ("best", "worst"):
        if not np.allclose(lines[case], lines["mean"], equal_nan=True):
            axis.plot(lines.index * nudge, lines[case], linewidth=0.8, linestyle=_DASHED, **look)
    axis.plot(lines.index * nudge, lines["mean"], linewidth=1.2, alpha=0.75, **look)


def _draw_points(
    axis: Axes, name: str, cells: pd.DataFrame, columns: tuple[str, str, str], nudge: float = 1.0, joined: bool = True
) -> None:
    """Middle, low and high of `columns` against the index, as a marker with a whisker, joined by lines or not."""
    colour, marker, line = algorithm_style(name)
    middle, low, high = (cells[column] for column in columns)
    whisker = [(middle - low).fillna(0), (high - middle).fillna(0)]
    axis.errorbar(
        cells.index * nudge,
        middle,
        yerr=whisker,
        color=colour,
        marker=marker,
        markersize=6,
        markeredgecolor="white",
        markeredgewidth=0.5,
        linestyle=line if joined else "none",
        linewidth=1.1,
        elinewidth=1.1,
        capsize=2,
    )


def _panels(results: Results) -> tuple[int, tuple[float, float], int]:
    """How many panels over n there are, one a fault, how large they are (inches) and how many stand side by side."""
    count = len(results.faults)
    return (count, (3.8, 3.6), 3) if count == 3 else (count, (4.6, 3.9), 2)


@mpl.rc_context(LOOK)
def plot_messages_by_n(results: Results) -> Figure:
    """Messages against n, log-log, a panel a fault: medians, whiskers from least to most, theory's lines, lower bounds.

    Raises:
        ValueError: if no trial finished.
    """
    nodes, nudges = results.sizes, _nudges(results)
    grid = sorted({*nodes, *(round(n) for n in np.geomspace(nodes[0], nodes[-1], 60))})
    drawn = {
        (name, fault): results.theory(name, fault, grid) for name in results.algorithms for fault in results.faults
    }
    keys: list[Artist] = []
    if any(not lines.empty for lines in drawn.values()):
        keys.append(Line2D([], [], color=_GREY, linewidth=1.2, label="theory: mean"))
        keys.append(Line2D([], [], color=_GREY, linewidth=0.8, linestyle=_DASHED, label="best, worst"))
    bounds = {fault: lower_bounds(results, fault) for fault in results.faults}
    texts = list(dict.fromkeys(bound.text for known in bounds.values() for bound in known))
    keys += [
        Line2D([], [], color=_GREY, linewidth=1.1, linestyle=line, label=f"lower bound {text}")
        for text, line in zip(texts, _BOUND_LINES, strict=False)
    ]
    subtitle = _describe(results, "messages of one election", "median, whiskers from least to most")
    handles = [*_algorithm_handles(results), *keys]
    title = find_fewest_messages(results, headline_faults(results)[-1])
    figure, axes = _sheet(title, subtitle, handles, *_panels(results), share=True)
    for axis, fault in zip(axes, results.faults, strict=True):
        for bound in bounds[fault]:
            dead = int(told_fault(fault) == "leader-crash")
            sizes = [n for n in grid if bound.value(n - dead) > 0]
            line = _BOUND_LINES[texts.index(bound.text)]
            axis.plot(
                sizes, [bound.value(n - dead) for n in sizes], color=_GREY, linewidth=1.1, linestyle=line, zorder=1
            )
        for name in results.algorithms:
            lines, cells = drawn[name, fault], results.over_n(name, fault)
            if not lines.empty:
                _draw_theory(axis, lines, algorithm_style(name).colour, nudges[name])
            columns = ("messages", "messages_min", "messages_max")
            _draw_points(axis, name, cells, columns, nudges[name], joined=lines.empty)
        _finish_panel(axis, results, fault, "messages", 1)
    axes[0].set_ylabel("messages per election")
    return figure


@mpl.rc_context(LOOK)
def plot_latency_by_n(results: Results) -> Figure:
    """Election latency (ms) against n, log-log, a panel a fault: medians with bootstrap 95% intervals.

    Raises:
        ValueError: if no trial finished.
    """
    nudges = _nudges(results)
    subtitle = _describe(
        results, "time from start, or first suspicion, to the last live node's agreement", "median, 95% interval"
    )
    title = find_fastest(results, headline_faults(results)[-1])
    figure, axes = _sheet(title, subtitle, _algorithm_handles(results), *_panels(results), share=True)
    for axis, fault in zip(axes, results.faults, strict=True):
        for name in results.algorithms:
            cells = results.over_n(name, fault)[["latency", "latency_low", "latency_high"]] * 1e3
            _draw_points(axis, name, cells, ("latency", "latency_low", "latency_high"), nudges[name])
        _finish_panel(axis, results, fault, "latency_s", 1e3)
    axes[0].set_ylabel("election latency (ms)")
    return figure


def _finish_panel(axis: Axes, results: Results, fault: str, column: str, scale: float) -> None:
    """Scales and ticks of a panel of `column` times `scale` over n, and a word where it has nothing to show."""
    axis.set_title(fault_label(fault))
    _set_node_axis(axis, results.sizes)
    _set_value_axis(axis, "y", results.finished[column] * scale)
    axis.yaxis.set_tick_params(labelleft=True)
    if not results.finished.loc[results.finished["fault"] == fault, column].notna().any():
        axis.text(0.5, 0.5, "no trial to show", transform=axis.transAxes, ha="center", color=_GREY)


def _thin(sample: "pd.Series[float]") -> tuple["np.ndarray[Any, Any]", "np.ndarray[Any, Any]"]:
    """Values of a sample, and how many of it each stands for: of a large one some 100 and, one by one, the largest 30."""
    values = np.sort(sample.to_numpy(dtype=float))
    kept = np.unique([*np.linspace(0, len(values) - 1, 100).astype(int), *range(len(values))[-30:]])
    kept = np.arange(len(values)) if len(values) <= 150 else kept
    return values[kept], np.diff(kept, prepend=-1)


@mpl.rc_context(LOOK)
def plot_latency_by_share(results: Results) -> Figure:
    """Distribution of election latency (ms) at the largest common n, a row a fault: ECDF, and its tail on a log scale.

    Raises:
        ValueError: if no trial finished.
    """
    faults = results.ran
    subtitle = _describe(
        results, "left: share of trials that took at most so long", "right: the slowest, enlarged", "marker: median"
    )
    title = find_longest_tail(results, headline_faults(results)[-1])
    figure, axes = _sheet(title, subtitle, _algorithm_handles(results), 2 * len(faults), (4.6, 3.3), columns=2)
    for fault, body, tail in zip(faults, axes[::2], axes[1::2], strict=True):
        n = results.largest_n(fault)
        rows = results.finished[(results.finished["fault"] == fault) & (results.finished["n"] == n)]
        rows = rows.dropna(subset="latency_s")
        for name, sample in rows.groupby("algorithm", sort=False)["latency_s"]:
            colour, marker, line = algorithm_style(str(name))
            values, weights = _thin(sample)
            look: Any = {"weights": weights, "color": colour, "linestyle": line, "linewidth": 1.4}
            body.ecdf(values * 1e3, **look)
            tail.ecdf(values * 1e3, complementary=True, **look)
            for axis in (body, tail):
                axis.plot(
                    sample.median() * 1e3, 0.5, color=colour, marker=marker, markersize=6, markeredgecolor="white"
                )
        for axis in (body, tail):
            axis.set_title(f"{fault_label(fault)}, n = {n}" + (": tail" if axis is tail else ""))
            _set_value_axis(axis, "x", rows["latency_s"] * 1e3)
            axis.set_xlabel("election latency (ms)")
        body.set(ylim=(0, 1.01), ylabel="share of trials")
        body.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{share:.0%}"))
        most = max(2, rows["algorithm"].value_counts().max() if len(rows) else 0)
        tail.set(yscale="log", ylim=(1, 0.7 / most), ylabel="share that took longer")
        tail.yaxis.set_major_locator(FixedLocator([10.0**-k for k in range(math.ceil(math.log10(most)) + 1)]))
        tail.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g}%"))
        tail.yaxis.set_minor_locator(NullLocator())
    return figure


def _tint(colour: str, strength: float) -> tuple[float, float, float]:
    """`colour` mixed with white; strength 1 leaves it as it is."""
    red, green, blue = (1 - strength * (1 - part) for part in to_rgb(colour))
    return red, green, blue


class Segment(NamedTuple):
    """A part of a stacked bar."""

    label: str
    value: float
    colour: Any
    hatch: str | None


def _draw_bars(axis: Axes, bars: dict[str, list[Segment]], write: Callable[[float], str], xlabel: str) -> None:
    """Stacked bars, one an algorithm: the sum at the bar's end, and the parts in words below the bar."""
    widest = max(sum(part.value for part in parts) for parts in bars.values()) or 1.0
    for y, parts in enumerate(bars.values()):
        left = 0.0
        for part in parts:
            axis.barh(
                y,
                part.value,
                left=left,
                height=0.42,
                color=part.colour,
                hatch=part.hatch,
                edgecolor="#333333",
                linewidth=0.5 if part.value else 0,
            )
            left += part.value
        axis.text(left + 0.012 * widest, y, write(left) if parts else "no trial to show", va="center", weight="bold")
        each = [f"{part.label} {write(part.value)}".replace(" ", "\xa0") for part in parts if part.value]
        words = textwrap.fill(" + ".join(each), 66).replace("\xa0", " ")
        axis.text(0.006 * widest, y + 0.26, words, va="top", size=7.5, color=_GREY)
    axis.set_yticks(range(len(bars)), [algorithm_label(name) for name in bars])
    axis.set(ylim=(len(bars) - 0.35, -0.45), xlim=(0, widest * 1.2), xlabel=xlabel)
    axis.grid(visible=False)
    axis.tick_params(axis="y", length=0)
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))


def _bar_sheet(results: Results, title: str, subtitle: str, handles: Sequence[Artist]) -> tuple[Figure, list[Axes]]:
    """A sheet with a panel of bars for each fault under which trials finished."""
    faults = results.ran
    size = (5.2, 0.85 + 0.56 * len(results.algorithms))
    figure, axes = _sheet(title, subtitle, handles, len(faults), size, columns=2)
    for axis, fault in zip(axes, faults, strict=True):
        axis.set_title(f"{fault_label(fault)}, n = {results.largest_n(fault)}")
    return figure, axes


def _kind_segments(name: str, kinds: pd.DataFrame) -> list[Segment]:
    """An algorithm's kinds in its colour, ever lighter; announcements hatched."""
    colour, segments = algorithm_style(name).colour, []
    for place, (_, row) in enumerate(kinds.iterrows()):
        hatched = row["kind_class"] == "announcement"
        tint = _tint(colour, 0.25 if hatched else 0.6**place)
        segments.append(Segment(row["kind"], row["messages"], tint, "////" if hatched else None))
    return segments


@mpl.rc_context(LOOK)
def plot_messages_by_kind(results: Results) -> Figure:
    """Mean messages a trial by kind at the largest common n, stacked, a panel a fault; announcements are hatched.

    Raises:
        ValueError: if no trial finished.
    """
    handles = [
        Patch(facecolor="#AAAAAA", edgecolor="#333333", linewidth=0.5, label="to decide"),
        Patch(facecolor="#E5E5E5", edgecolor="#333333", linewidth=0.5, hatch="////", label="to announce"),
    ]
    subtitle = _describe(results, "mean number of messages in one election by kind, total at the bar's end")
    title = find_announcements(results, headline_faults(results)[-1])
    figure, axes = _bar_sheet(results, title, subtitle, handles)
    for axis, fault in zip(axes, results.ran, strict=True):
        n = results.largest_n(fault)
        kinds, finished = count_kinds(results, fault, n), results.at(fault, n)["finished"]
        bars = {name: _kind_segments(name, kinds[kinds["algorithm"] == name]) for name in results.algorithms}
        for name in finished.index[finished > 0]:
            bars[name] = bars[name] or [Segment("", 0.0, "white", None)]  # it elected without a message
        _draw_bars(axis, bars, format_count, "messages per election")
    return figure


@mpl.rc_context(LOOK)
def plot_phases_by_algorithm(results: Results) -> Figure:
    """Median time (ms) of each phase at the largest common n, stacked by algorithm, a panel a fault.

    Raises:
        ValueError: if no trial finished.
    """
    handles = [
        Patch(facecolor=colour, hatch=hatch, edgecolor="#333333", linewidth=0.5, label=phase)
        for phase, (colour, hatch) in _PHASE_STYLES.items()
    ]
    subtitle = _describe(results, "median of each phase, their sum at the bar's end")
    title = find_longest_phase(results, headline_faults(results)[-1])
    figure, axes = _bar_sheet(results, title, subtitle, handles)
    for axis, fault in zip(axes, results.ran, strict=True):
        cells = results.at(fault, results.largest_n(fault)).reindex(results.algorithms)
        bars = {
            str(name): [Segment(phase, 1e3 * row[phase], *_PHASE_STYLES[phase]) for phase in row.dropna().index]
            for name, row in cells[list(PHASES)].iterrows()
        }
        _draw_bars(axis, bars, lambda value: f"{format_ms(value / 1e3)} ms", "time (ms)")
    return figure


class Strip(NamedTuple):
    """A panel of points.

    Attributes:
        column: of the trials, in seconds if `scale` is 1e3.
        title, xlabel: what is written above, unless the panel is alone, and below.
        scale: factor on the values.
        usual: a value to mark with a line, and what it is.
    """

    column: str
    title: str
    xlabel: str = "time (ms)"
    scale: float = 1e3
    usual: tuple[float, str] | None = None


def _fault_rows(results: Results, column: str | None = None) -> dict[str, pd.DataFrame]:
    """The finished trials at the largest common n, by label of the fault; only faults with values above 0, if asked."""
    shown, rows = {}, results.finished
    sizes = {fault: results.largest_n(fault) for fault in results.ran}
    for fault, n in sizes.items():
        trials = rows[(rows["fault"] == fault) & (rows["n"] == n)]
        label = results.label(fault) + (f", n = {n}" if len(set(sizes.values())) > 1 else "")
        if column is None or (trials[column] > 0).any():
            shown[label] = trials
    return shown


def _break_label(label: str) -> str:
    """A fault in lines of at most 26 characters."""
    spaced = re.sub(r",\s*", ", ", label).replace("+ ", "+\u00a0").replace(" = ", "\u00a0=\u00a0")
    return textwrap.fill(spaced, 26)


def _row_height(labels: Iterable[str], least: float) -> float:
    """How high (inches) a row a fault has to be, `least` or more, for its label not to touch the next."""
    return max(least, 0.06 + 0.15 * max(_break_label(label).count("\n") + 1 for label in labels))


def _set_fault_axis(axis: Axes, labels: Sequence[str]) -> None:
    """A row a fault, every other one shaded; first on top."""
    axis.set_yticks(range(len(labels)), [_break_label(label) for label in labels])
    axis.set_ylim(len(labels) - 0.5, -0.5)
    axis.tick_params(axis="y", length=0)
    axis.grid(visible=False, axis="y")
    for row in range(0, len(labels), 2):
        axis.axhspan(row - 0.5, row + 0.5, color="#F5F5F3", zorder=0)


def _sizes(results: Results) -> str:
    sizes = sorted({results.largest_n(fault) for fault in results.ran})
    return "n = " + ", ".join(map(str, sizes))


def _strip_sheet(results: Results, title: str, words: str, strips: Sequence[Strip], only: str | None = None) -> Figure:
    """Boxes and points of trials, a row a fault and in it a lane an algorithm; medians as markers."""
    faults, count = _fault_rows(results, only), len(results.algorithms)
    dot: Any = {"color": _GREY, "linestyle": "none"}
    keys: list[Artist] = [Line2D([], [], marker=".", markersize=5, label="a trial", **dot)]
    if results.summary["finished"].max() >= LEAST_BOX:
        keys.append(Patch(facecolor="#DDDDDD", edgecolor=_GREY, label="quartiles, whiskers p5 to p95"))
    keys += [Line2D([], [], color=_GREY, linewidth=1.0, linestyle=_DASHED, label=s.usual[1]) for s in strips if s.usual]
    subtitle = _describe(results, words, results.noticed, _sizes(results), "marker: median")
    size = (9.2 if len(strips) == 1 else 5.6, 0.75 + len(faults) * _row_height(faults, max(0.4, 0.088 * count)))
    figure, axes = _sheet(title, subtitle, [*_algorithm_handles(results), *keys], len(strips), size, columns=2)
    for axis, strip in zip(axes, strips, strict=True):
        for row, trials in enumerate(faults.values()):
            for lane, name in enumerate(results.algorithms):
                sample = strip.scale * trials.loc[trials["algorithm"] == name, strip.column].dropna()
                if not sample.empty:
                    _draw_lane(axis, name, sample, row + ((lane + 0.5) / count - 0.5) * 0.84, 0.84 / count)
        if strip.usual:
            axis.axvline(strip.usual[0], color=_GREY, linewidth=1.0, linestyle=_DASHED, zorder=1)
        _set_strip_axis(axis, pd.concat(list(faults.values()))[strip.column].dropna() * strip.scale)
        _set_fault_axis(axis, list(faults) if axis is axes[0] else [""] * len(faults))
        axis.set(title=strip.title if len(strips) > 1 else "", xlabel=strip.xlabel)
    return figure


def _draw_lane(axis: Axes, name: str, sample: "pd.Series[float]", y: float, height: float) -> None:
    """One algorithm's trials under one fault: a box from quartile to quartile, whiskers from 5th to 95th percentile.

    Of few trials every one is a point, too; of many, those beyond the whiskers that are furthest off.
    """
    colour, marker, _ = algorithm_style(name)
    line: Any = {"color": colour, "linewidth": 0.9}
    if len(sample) >= LEAST_BOX:
        axis.boxplot(
            sample,
            positions=[y],
            widths=0.8 * height,
            orientation="horizontal",
            whis=(5, 95),
            showfliers=False,
            manage_ticks=False,
            patch_artist=True,
            boxprops={"facecolor": _tint(colour, 0.3), "edgecolor": colour, "linewidth": 0.9},
            whiskerprops=line,
            showcaps=False,
            medianprops=line | {"linestyle": "none"},  # the marker is the median
        )
    points = sample if len(sample) <= MOST_POINTS else sample.nlargest(5)
    axis.plot(points, [y] * len(points), ".", color=colour, markersize=4, alpha=0.6, markeredgewidth=0)
    axis.plot(sample.median(), y, marker, color=colour, markersize=5.5, markeredgecolor="white", markeredgewidth=0.5)


def _set_strip_axis(axis: Axes, values: "pd.Series[float]") -> None:
    """An axis that begins at 0: linear, or above the first tenth logarithmic where values span several powers of ten."""
    positive = values[values > 0]
    if len(positive) and positive.max() / positive.quantile(0.1) > 30:
        threshold = 10.0 ** math.floor(math.log10(positive.quantile(0.1)))
        axis.set_xscale("symlog", linthresh=threshold, linscale=0.5)
        ticks = [
            0.0,
            *(10.0**k for k in range(round(math.log10(threshold)), math.ceil(math.log10(positive.max())) + 1)),
        ]
        axis.xaxis.set_major_locator(FixedLocator(ticks))
        axis.xaxis.set_minor_locator(NullLocator())
        axis.set_xlim(-0.3 * threshold, 1.6 * positive.max())
    else:
        most = positive.max() if len(positive) else 1.0
        axis.set_xlim(-0.02 * most, 1.05 * most)
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))


@mpl.rc_context(LOOK)
def plot_leaderless_by_fault(results: Results) -> Figure:
    """Time (ms) without a leader under each fault at the largest common n, as boxes.

    Raises:
        ValueError: if no trial finished.
    """
    strip = Strip("leaderless_s", "time without any leader", "time without a leader (ms)")
    return _strip_sheet(results, find_longest_leaderless(results), "time in which no live node led", [strip])


@mpl.rc_context(LOOK)
def plot_noticing_by_fault(results: Results) -> Figure:
    """Time (ms) to notice each fault, and apart from it to elect, at the largest common n, as boxes.

    Raises:
        ValueError: if no trial finished.
    """
    strips = [Strip("detect_s", "to notice"), Strip("latency_s", "then to elect and agree")]
    words = "fault to first suspicion; from there to the last live node's agreement (after the last crash)"
    return _strip_sheet(results, find_noticing(results), words, strips)


@mpl.rc_context(LOOK)
def plot_overlap_by_fault(results: Results) -> Figure:
    """Time (ms) with two leaders at once under the faults that cause it at the largest common n, as boxes.

    Raises:
        ValueError: if no trial finished.
    """
    strip = Strip("overlap_s", "time with two leaders or more", "time with two leaders or more (ms)")
    words = "time in which two live nodes led; faults without it are left out"
    return _strip_sheet(results, find_longest_overlap(results), words, [strip], only="overlap_s")


@mpl.rc_context(LOOK)
def plot_traffic_by_fault(results: Results) -> Figure:
    """Messages of the failure detector a period, of 2n - 1, under each fault at the largest common n.

    Raises:
        ValueError: if no trial finished.
    """
    xlabel = "messages of the failure detector a period, as a multiple of 2n − 1"
    strip = Strip("traffic", "failure detection", xlabel, 1.0, (1.0, "2n − 1: nothing happens"))
    words = "messages of the failure detector in one period of heartbeats"
    return _strip_sheet(results, find_traffic(results), words, [strip], only="traffic")


@mpl.rc_context(LOOK)
def plot_phases_by_fault(results: Results) -> Figure:
    """Median time (ms) of each phase at the largest common n, stacked by fault, a panel an algorithm.

    Raises:
        ValueError: if no trial finished.
    """
    handles = [
        Patch(facecolor=colour, hatch=hatch, edgecolor="#333333", linewidth=0.5, label=phase)
        for phase, (colour, hatch) in _PHASE_STYLES.items()
    ]
    faults = _fault_rows(results)
    words = "median of each phase after the last crash, their sum at the bar's end"
    subtitle = _describe(results, words, results.noticed, _sizes(results))
    size = (3.9, 0.75 + len(faults) * _row_height(faults, 0.31))
    title = find_largest_phase(results)
    figure, axes = _sheet(title, subtitle, handles, len(results.algorithms), size, columns=3, share=True)
    widest = 1.0
    for axis, name in zip(axes, results.algorithms, strict=True):
        for row, trials in enumerate(faults.values()):
            medians = 1e3 * trials.loc[trials["algorithm"] == name, [f"{phase}_s" for phase in PHASES]].median()
            left = 0.0
            for phase, value in zip(PHASES, medians.fillna(0.0), strict=True):
                colour, hatch = _PHASE_STYLES[phase]
                look: Any = {"color": colour, "hatch": hatch, "edgecolor": "#333333", "linewidth": 0.5 if value else 0}
                axis.barh(row, value, left=left, height=0.6, **look)
                left += value
            text = format_ms(left / 1e3) + (", no new agreement" if np.isnan(medians["elect_s"]) else "")
            text = text if left else "none to show"
            axis.annotate(text, (left, row), (3, 0), textcoords="offset points", va="center", size=7.5, color=_GREY)
            widest = max(widest, left)
        axis.set(title=algorithm_label(name), xlabel="time (ms)")
        axis.xaxis.set_tick_params(labelbottom=True)
        axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
        axis.grid(visible=False, axis="x")
    _set_fault_axis(axes[0], list(faults))
    for axis in axes[1:]:
        for row in range(0, len(faults), 2):
            axis.axhspan(row - 0.5, row + 0.5, color="#F5F5F3", zorder=0)
        axis.tick_params(axis="y", length=0)
        axis.grid(visible=False)
    axes[0].set_xlim(0, widest * 1.18)
    return figure


def _spread(heights: dict[str, float], least: float) -> dict[str, float]:
    """The same heights in the same order, those too near the one below moved up until at least `least` lies between."""
    free, moved = -math.inf, {}
    for name in sorted(heights, key=lambda name: heights[name]):
        moved[name] = max(heights[name], free)
        free = moved[name] + least
    return moved


@mpl.rc_context(LOOK)
def plot_latency_by_delay(results: Results) -> Figure:
    """Election latency (ms) of a cold start against the delay of every link (ms): medians with bootstrap 95% intervals.

    Raises:
        ValueError: if no trial of a run's `delayed` part is there.
    """
    rows = results.trials
    cells = rows.groupby(["algorithm", "delay"], sort=False)["latency_s"].agg(["median", median_interval]).reset_index()
    cells[["low", "high"]] = cells["median_interval"].tolist()
    subtitle = _describe(
        results, f"n = {rows['n'].iloc[0]}, cold start", "median, 95% interval", "slope at the line's end"
    )
    figure, (axis,) = _sheet(find_slopes(results), subtitle, _algorithm_handles(results), 1, (7.2, 4.0))
    slopes, lowest = delay_slopes(results), cells["median"].max() * 1e3 / 22  # between the labels
    ends = {str(name): 1e3 * rows.iloc[-1]["median"] for name, rows in cells.sort_values("delay").groupby("algorithm")}
    apart = _spread(ends, lowest)
    for name in results.algorithms:
        cell = cells[cells["algorithm"] == name].set_index("delay").sort_index()[["median", "low", "high"]] * 1e3
        cell.index *= 1e3
        _draw_points(axis, name, cell, ("median", "low", "high"))
        text = f"{slopes[name]:.1f} hops" if name in slopes else ""
        look: Any = {"textcoords": "offset points", "va": "center", "size": 7.5, "color": _GREY}
        axis.annotate(text, (cell.index[-1], apart[name]), (7, 0), **look)
    axis.set(
        xlabel="delay added to every link (ms)",
        ylabel="election latency (ms)",
        xlim=(0, 1.12 * 1e3 * rows["delay"].max()),
    )
    axis.set_ylim(bottom=0)
    axis.xaxis.set_major_locator(FixedLocator(sorted({1e3 * delay for delay in rows["delay"]})))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    return figure


COST_PANELS = (
    ("max_sent_by_node", "messages sent by the busiest node"),
    ("cpu_node", "CPU time a node (ms)"),
    ("switches_node", "context switches a node"),
    ("memory", "memory of the busiest node's process (MB)"),
)


@mpl.rc_context(LOOK)
def plot_cost_by_n(results: Results) -> Figure:
    """What a node bears in one election against n: messages of the busiest, and CPU, switches and memory where measured.

    Raises:
        ValueError: if no trial finished.
    """
    fault = headline_faults(results)[0]
    rows = results.finished[results.finished["fault"] == fault]
    rows = rows.assign(
        cpu_node=rows["cpu_s"] * 1e3 / rows["n"],
        switches_node=rows["ctx_switches"].astype(float) / rows["n"],
        memory=rows["max_rss_kb"].astype(float) / 1024,
    )
    panels = [(column, label) for column, label in COST_PANELS if rows[column].notna().any()]
    subtitle = _describe(results, f"one election, {fault_label(fault)}", "median, whiskers from 5th to 95th percentile")
    title = find_busiest(results, fault)
    figure, axes = _sheet(title, subtitle, _algorithm_handles(results), len(panels), (4.6, 3.0), 2)
    nudges = _nudges(results)
    for axis, (column, label) in zip(axes, panels, strict=True):
        for name in results.algorithms:
            spread = rows[rows["algorithm"] == name].groupby("n")[column].quantile(np.array([0.05, 0.5, 0.95]))
            if not spread.empty:
                cells = spread.unstack().set_axis(["low", "middle", "high"], axis=1)
                _draw_points(axis, name, cells, ("middle", "low", "high"), nudges[name])
        axis.set(title=label)
        _set_node_axis(axis, results.sizes)
        _set_value_axis(axis, "y", rows[column].dropna())
    return figure


_SHARE_COLOURS = LinearSegmentedColormap.from_list(
    "share", [(0, "#E07B39"), (0.6, "#F8E3B0"), (0.999, "#FBF5E6"), (1, "#DCEAF4")]
)


def _verdict(cell: "pd.Series[Any]") -> str:
    """How often a leader was elected, marked if it was not safe."""
    return f"{'✓' if cell['safe'] else '✗'} {cell['elected']:,}/{cell['valid']:,}" if cell["valid"] else "did not hit"


@mpl.rc_context(LOOK)
def plot_verdicts_by_fault(results: Results) -> Figure:
    """How often each algorithm elected one leader of all under each fault, whether it was safe, and what it had promised.

    Raises:
        ValueError: if there is no trial.
    """
    cells, faults, names = judge_faults(results), results.faults, results.algorithms
    handles = [
        Patch(facecolor=_SHARE_COLOURS(share), edgecolor="#999999", linewidth=0.5, label=f"{share:.0%} elected")
        for share in (1.0, 0.5, 0.0)
    ]
    handles.append(Patch(facecolor="white", edgecolor="black", linewidth=2, label="a promise was broken"))
    words = (
        "trials that ended with one leader of all · ✓ safe: never two leaders of one election, no end in disagreement"
    )
    subtitle = " · ".join([words, results.noticed, "below: does the model promise it?"])
    heads = [textwrap.fill(algorithm_label(name).replace("–", "– "), 11).replace("– ", "–") for name in names]
    tall = len(names) > max(8, len(faults))  # then an algorithm is a row: there is room for more rows than columns
    labels = [textwrap.fill(results.label(fault).replace(",", ", "), 30) for fault in faults]
    if tall:
        parts = [results.label(fault).replace(",", ", ").replace(":", ": ") for fault in faults]
        labels = [textwrap.fill(part, 15).replace(": ", ":") for part in parts]
    across, down = (labels, list(map(algorithm_label, names))) if tall else (heads, labels)
    texts = {key: _verdict(cell) for key, cell in cells.iterrows()}
    wide = max(1.05 if tall else 0.8, 0.088 * max(map(len, texts.values())))
    size = (2.6 + wide * len(across), 0.95 + 0.52 * len(down))
    figure, (axis,) = _sheet(find_promises(results), subtitle, list[Artist](handles), 1, size)
    for first, fault in enumerate(faults):
        for second, name in enumerate(names):
            if (fault, name) not in cells.index:
                continue
            row, column = (second, first) if tall else (first, second)
            cell = cells.loc[[(fault, name)]].iloc[0]
            share = cell["share"] if cell["valid"] else float("nan")
            place = (column - 0.48, row - 0.46)
            edge: Any = {"edgecolor": "black", "linewidth": 2} if cell["broken"] else {"edgecolor": "white"}
            face = _SHARE_COLOURS(share) if cell["valid"] else "#EEEEEE"
            axis.add_patch(Rectangle(place, 0.96, 0.92, facecolor=face, zorder=2 + bool(cell["broken"]), **edge))
            look: Any = {"ha": "center", "va": "center", "zorder": 4}
            struck: Any = {"color": "#1C1C1C"} if cell["safe"] else {"color": "#7A0016", "weight": "bold"}
            axis.text(column, row - 0.12, texts[fault, name], **look, **struck)
            promise = cell["promise"].replace(": ", ":\n")
            axis.text(column, row + 0.24, promise, size=6.5, color="#1C1C1C", **look)
    axis.set_xticks(range(len(across)), across, size=8)
    axis.set_yticks(range(len(down)), down)
    axis.xaxis.tick_top()
    axis.set(xlim=(-0.5, len(across) - 0.5), ylim=(len(down) - 0.5, -0.5))
    axis.tick_params(length=0)
    axis.grid(visible=False)
    axis.spines[:].set_visible(False)
    return figure


_SPAN_COLOURS = {"paused": "#BBBBBB", "down": "#444444"}
_CUT_COLOUR, _NOBODY_COLOUR = "#F6D9D5", "#FFF3C4"


@mpl.rc_context(LOOK)
def plot_leaders_by_time(logs: Sequence[Log]) -> Figure:
    """Who took itself to lead at each moment (ms) of one trial, a panel an algorithm and a lane a node, faults shaded.

    Parameters:
        logs: a trial of each algorithm, of the same fault.
    """
    handles: list[Artist] = [
        Patch(facecolor="#777777", label="leads (in the algorithm's colour)"),
        Patch(facecolor=_SPAN_COLOURS["down"], label="dead"),
        Patch(facecolor=_SPAN_COLOURS["paused"], hatch="////", edgecolor="white", label="paused"),
        Patch(facecolor=_CUT_COLOUR, label="links cut"),
        Patch(facecolor=_NOBODY_COLOUR, label="nobody leads"),
        Line2D([], [], color=_GREY, marker="|", markersize=9, linestyle="none", label="suspects"),
        Line2D([], [], color=_GREY, linewidth=0.8, linestyle=_DASHED, label="all is quiet"),
    ]
    first = logs[0]
    wide = [1.1 * (_last_change(log) - log.began) for log in logs]
    wide = [own if own > NOTHING else max(*wide, 1e6) for own in wide]  # nothing came of it: as long as the longest
    alike = max(wide) <= MOST_SHRUNK * min(wide)
    words = [
        "one trial of each",
        "0: the fault, or the start",
        *([] if alike else ["each has a time axis of its own"]),
        f"seed {first.scenario.seed}",
        f"engine: {first.engine}",
    ]
    title = f"Who leads when: {fault_label(first.scenario.fault)}, n = {first.scenario.n}"
    size = (5.2, 0.9 + 0.2 * first.scenario.n)
    figure, axes = _sheet(title, " · ".join(words), handles, len(logs), size, columns=2)
    for axis, log, own in zip(axes, logs, wide, strict=True):
        _draw_leaders(axis, log, max(wide) if alike else own)
    return figure


def _last_change(log: Log) -> float:
    """When a leader changed or something was done to the system for the last time (ns)."""
    times: list[float] = [event.time for event in log.events if event.what in (*STRIKES, "suspect", "trust")]
    last = log.events[-1].time if log.events else log.began
    times += [span.begin for span in log.spans] + [span.end for span in log.spans if span.end < last]
    return max(times, default=last) + 1


def _draw_leaders(axis: Axes, log: Log, wide: float) -> None:
    """One trial: spans from a little before the fault to `wide` ns after it; what holds at the trial's end goes on."""
    begin, settled = log.began, log.scenario.plan.settled
    early, last = begin - 0.08 * wide * settled, log.events[-1].time if log.events else begin + wide
    end = begin + wide

    def ms(time: float) -> float:
        return (min(max(time, early), end) - begin) / 1e6

    spans = [msgspec.structs.replace(span, end=end) if span.end >= last else span for span in log.spans]
    spans = [span for span in spans if early < span.end and span.begin < end]
    leads = [span for span in spans if span.kind == "leads"]
    for start, stop in _gaps([(span.begin, span.end) for span in leads], begin, end):
        axis.axvspan(ms(start), ms(stop), color=_NOBODY_COLOUR, zorder=0, linewidth=0)
    cuts = [event for event in log.events if event.what in ("cut", "heal")]
    for cut, heal in itertools.zip_longest(cuts[::2], cuts[1::2]):
        axis.axvspan(ms(cut.time), ms(heal.time if heal else end), ymin=0, ymax=1, color=_CUT_COLOUR, zorder=0.5)
    colour = algorithm_style(log.scenario.algorithm).colour
    for span in spans:
        if span.kind in _SPAN_COLOURS:
            look: Any = {"color": _SPAN_COLOURS[span.kind], "zorder": 3.5}
            look |= {"hatch": "////", "edgecolor": "white"} if span.kind == "paused" else {}
            axis.barh(span.position, ms(span.end) - ms(span.begin), left=ms(span.begin), height=0.36, **look)
    for span in leads:
        axis.barh(
            span.position, ms(span.end) - ms(span.begin), left=ms(span.begin), height=0.72, color=colour, zorder=3
        )
    seen = [event for event in log.events if event.what == "suspect" and early < event.time < end]
    axis.plot(
        [ms(event.time) for event in seen], [event.node for event in seen], "|", color=_GREY, markersize=7, zorder=4
    )
    n = log.scenario.n
    axis.set_yticks(range(n), [f"id {identity}" for identity in log.scenario.ids])
    axis.set(ylim=(n - 0.4, -0.6), xlim=((early - begin) / 1e6, wide / 1e6), xlabel="time (ms)")
    axis.set_title(f"{algorithm_label(log.scenario.algorithm)}: {log.verdict.replace('_', ' ')}")
    if last <= end:
        axis.axvline(ms(last), color=_GREY, linewidth=0.8, linestyle=_DASHED)
    axis.grid(visible=False, axis="y")
    axis.tick_params(axis="y", length=0)
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))


def _gaps(spans: Sequence[tuple[float, float]], begin: float, end: float) -> list[tuple[float, float]]:
    """What of the time from `begin` to `end` no span covers."""
    gaps = []
    for start, stop in sorted(spans):
        if start > begin:
            gaps.append((begin, min(start, end)))
        begin = max(begin, stop)
    return [*gaps, (begin, end)] if begin < end else gaps
