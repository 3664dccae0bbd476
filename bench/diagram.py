"""Diagram: the space-time diagram of an execution (L. Lamport, CACM 21(7), 1978): a lane a node, an arrow a message."""

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from statistics import median
from typing import Any

import matplotlib as mpl
import msgspec
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.patheffects import withStroke

from algorithms.model import Position
from bench.analyse import algorithm_label, fault_label, format_ms
from bench.events import STRIKES, Event, Log, Span
from bench.plots import LOOK

KIND_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKS = {  # marker, size in points, colour, edge, and what it means
    "crash": ("X", 11, "#B00020", "none", "crash"),
    "recover": ("^", 9, "#117733", "none", "is back"),
    "leads": ("*", 14, "#FFC20A", "#222222", "elects itself"),
    "elect": ("*", 9, "#222222", "none", "elects another"),
    "suspects": ("D", 6, "#AA4499", "none", "suspects"),
    "trusts": ("D", 6, "#FFFFFF", "#AA4499", "trusts again"),
    "waits": ("s", 6, "#222222", "none", "timer"),
    "starts": ("o", 7, "#222222", "none", "starts"),
    "gets": ("o", 3.5, "#222222", "none", ""),
}
URGENT = ("crash", "recover", "leads")  # never drawn too small to be seen
LEADING, PAUSED = "#FFE08A", "#999999"
BANDS = {"set-up": "#F0F0F0", "cut": "#F6D9D5"}
ENGINES = {"processes": "on real processes", "simulate": "in simulation"}
LONG, SHORT = 4.0, 0.3  # widths of a silence and of a moment, in gaps between events as they usually are


class Mark(msgspec.Struct):
    """Something that happened at a node.

    Attributes:
        position: the node.
        time: when.
        kind: a key of `MARKS`.
        text: written beside it, where there is room.
    """

    position: Position
    time: float
    kind: str
    text: str = ""


class Arrow(msgspec.Struct):
    """A message; `arrived` is None if it had not arrived at the end, or never will."""

    source: Position
    sent: float
    target: Position
    arrived: float | None
    kind: str


class Band(msgspec.Struct):
    """A time in which something holds for all: `kind` is set-up, cut or silence; `text` is written at its foot."""

    begin: float
    end: float
    kind: str
    text: str = ""


class Picture(msgspec.Struct, kw_only=True):
    """What a space-time diagram shows; times are in any unit that grows from left to right.

    Attributes:
        lanes: names of the nodes, by position.
        marks: what happened.
        arrows: messages.
        title: what is seen.
        subtitle: what to look at in it.
        spans, bands: what lasted.
        ticks: time and label.
        notes: time and text of what stands above the lanes: elections, and what is done to links.
        unit: what the time axis counts.
    """

    lanes: Sequence[str]
    marks: Sequence[Mark]
    arrows: Sequence[Arrow]
    title: str
    subtitle: str
    spans: Sequence[Span] = ()
    bands: Sequence[Band] = ()
    ticks: Sequence[tuple[float, str]] | None = None
    notes: Sequence[tuple[float, str]] = ()
    unit: str = "step"


def draw_space_time(picture: Picture) -> Figure:
    """Draw a space-time diagram, time from left to right."""
    lanes, arrows, marks = picture.lanes, picture.arrows, picture.marks
    times = [mark.time for mark in marks] + [time for a in arrows for time in (a.sent, a.arrived or 0)]
    times += [time for time, _ in picture.notes]
    end = (
        max([*times, *(span.end - 1 for span in picture.spans), *(tick for tick, _ in picture.ticks or ())], default=1)
        + 1
    )
    lane = min(0.62, max(0.15, 9 / len(lanes)))  # inches
    most = 14 + 0.35 * max(0, len(lanes) - 16)
    span = min(most, max(6.4, (0.62 if picture.ticks is None else 0.3) * end))
    crowd = len(arrows) / span  # arrows an inch: the more there are the finer they are drawn
    fine = min(1.0, max(0.2, 12 / crowd if crowd else 1.0))
    scale = min(1.0, max(0.3, lane / 0.55)) * (0.6 + 0.4 * fine)
    left = 0.25 + 0.075 * max(map(len, lanes)) * (1 if lane > 0.3 else 0.8)
    handles = _handles(picture)
    wide = [0.55 + 0.07 * len(str(handle.get_label())) for handle in handles]
    rows = max(1, math.ceil(sum(wide) / (span + left)))
    foot = 0.62 + 0.2 * rows
    head = 0.4 + 0.18 * bool(picture.subtitle) + 0.2 * bool(picture.notes)
    tall = lane * (len(lanes) + 0.2)
    with mpl.rc_context(LOOK):
        width, height = left + span + 0.3, head + tall + foot
        figure = Figure(figsize=(width, height))
        axis = figure.add_axes((left / width, foot / height, span / width, tall / height))
        axis.set_xlim(0, end)
        axis.set_ylim(len(lanes) - 0.4, -0.8)
        inch = np.array([span / end, tall / (len(lanes) + 0.4)])  # of one unit of time, of one lane
        _draw_lanes(axis, picture, end, inch, scale)
        _draw_arrows(axis, arrows, inch, fine, scale)
        for kind, (marker, size, colour, edge, _) in reversed(MARKS.items()):
            found = [mark for mark in marks if mark.kind == kind]
            if found and not (kind == "gets" and fine < 0.5):
                area = (size * (max(scale, 0.8) if kind in URGENT else scale)) ** 2
                xs, ys = [mark.time for mark in found], [mark.position for mark in found]
                rim: Any = {"edgecolors": edge, "linewidths": 0.8 * scale, "zorder": 4}
                axis.scatter(xs, ys, area, colour, marker=marker, **rim)
        _write_texts(axis, marks, inch, lane)
        _write_notes(axis, picture.notes, inch)
        axis.set_yticks(range(len(lanes)), lanes, size=9 if lane > 0.3 else 6.5)
        if picture.ticks is not None:
            axis.set_xticks([x for x, _ in picture.ticks], [label for _, label in picture.ticks])
        axis.set_xlabel(picture.unit)
        axis.grid(False)
        for side in ("left", "top", "right"):
            axis.spines[side].set_visible(False)
        axis.tick_params(axis="y", left=False)
        columns, place = math.ceil(len(handles) / rows), (0.02 / width, 0)
        look: Any = {"ncols": columns, "frameon": False, "fontsize": 8, "borderaxespad": 0.2, "columnspacing": 1.2}
        figure.legend(handles=handles, loc="lower left", bbox_to_anchor=place, **look)
        figure.text(0.1 / width, 1 - 0.12 / height, picture.title, va="top", weight="bold", size=11)
        figure.text(0.1 / width, 1 - 0.36 / height, picture.subtitle, va="top", color="#555555")
    return figure


def _kinds(arrows: Iterable[Arrow]) -> dict[str, str]:
    """The colour of each kind of message, in the order in which they were first sent."""
    return {kind: KIND_COLOURS[i % len(KIND_COLOURS)] for i, kind in enumerate(dict.fromkeys(a.kind for a in arrows))}


def _handles(picture: Picture) -> list[Artist]:
    """The legend: what is in the picture."""
    handles: list[Artist] = [Line2D([], [], color=c, label=kind) for kind, c in _kinds(picture.arrows).items()]
    if any(arrow.arrived is None for arrow in picture.arrows):
        handles.append(Line2D([], [], color="#555555", linestyle=":", label="not arrived"))
    used = {mark.kind for mark in picture.marks}
    for kind, (marker, size, colour, edge, meaning) in MARKS.items():
        if kind in used and meaning:
            look: Any = {"markersize": min(size, 9), "markerfacecolor": colour, "markeredgecolor": edge}
            handles.append(Line2D([], [], linestyle="", marker=marker, label=meaning, **look))
    lasting = {span.kind for span in picture.spans}
    handles += [Patch(color=LEADING, label="takes itself for leader")] if "leads" in lasting else []
    handles += (
        [Patch(facecolor="#FFFFFF", edgecolor=PAUSED, hatch="////", label="paused")] if "paused" in lasting else []
    )
    return handles


def _draw_lanes(axis: Axes, picture: Picture, end: float, inch: "np.ndarray", scale: float) -> None:
    """The lanes, and what lasted: who led, who was paused or down, when links were cut."""
    free = 0.0
    for band in picture.bands:
        if band.kind != "silence":
            axis.axvspan(band.begin, min(band.end, end), color=BANDS[band.kind], linewidth=0, zorder=0)
        middle, foot, half = (band.begin + band.end) / 2, len(picture.lanes) - 0.45, 0.03 * len(band.text) / inch[0]
        if band.text and middle - half >= free:
            axis.text(middle, foot, band.text, size=7, color="#777777", ha="center", va="bottom", zorder=5)
            free = middle + half
    alive = []
    for position in range(len(picture.lanes)):
        begin = 0.0
        for span in sorted((s for s in picture.spans if s.position == position and s.kind == "down"), key=_begin):
            alive.append([(begin, position), (span.begin, position)])
            begin = span.end
        alive.append([(begin, position), (max(begin, end), position)])
    axis.add_collection(LineCollection(alive, colors="#888888", linewidths=0.4 + 0.8 * scale, zorder=1))
    for kind, thick, look in (
        ("leads", 0.42, {"facecolor": LEADING, "edgecolor": "none"}),
        ("paused", 0.3, {"facecolor": "#FFFFFF", "edgecolor": PAUSED, "hatch": "////", "linewidth": 0.5}),
    ):
        for span in picture.spans:
            if span.kind == kind:
                low = span.position - thick / 2
                size = min(span.end, end) - span.begin
                axis.add_patch(Rectangle((span.begin, low), size, thick, zorder=1.5, **look))


def _begin(span: Span) -> float:
    return span.begin


def _draw_arrows(axis: Axes, arrows: Sequence[Arrow], inch: "np.ndarray", fine: float, scale: float) -> None:
    """All arrows of a kind as one collection of lines and one of heads: thousands take no longer than a few."""
    for kind, colour in _kinds(arrows).items():
        mine = [arrow for arrow in arrows if arrow.kind == kind]
        arrived = np.array([(a.sent, a.source, a.arrived, a.target) for a in mine if a.arrived is not None], float)
        lost = [
            [
                (a.sent, a.source),
                (a.sent + 0.8, a.source + 0.45 * np.sign(a.target - a.source) * min(2, abs(a.target - a.source))),
            ]
            for a in mine
            if a.arrived is None
        ]
        style = {"colors": colour, "linewidths": 0.15 + 1.15 * fine, "alpha": 0.35 + 0.65 * fine, "zorder": 2}
        axis.add_collection(LineCollection(lost, linestyles=":", **style))  # type: ignore[arg-type]
        if not len(arrived):
            continue
        tail, tip = arrived[:, :2], arrived[:, 2:]
        way = (tip - tail) * inch
        way /= np.maximum(np.hypot(way[:, 0], way[:, 1]), 1e-9)[:, None]
        size = max(0.05, 0.11 * scale) * (0.5 + 0.5 * fine)  # inches
        tip = tip - way * 0.03 * scale / inch
        base, side = tip - way * size / inch, way[:, ::-1] * (-1, 1) * size * 0.33 / inch
        axis.add_collection(LineCollection(np.stack([tail, base], 1), **style))  # type: ignore[arg-type]
        heads = np.stack([tip, base + side, base - side], 1)
        axis.add_collection(PolyCollection(heads, facecolors=colour, linewidths=0, zorder=3))  # type: ignore[arg-type]


def _write_texts(axis: Axes, marks: Sequence[Mark], inch: "np.ndarray", lane: float) -> None:
    """Write what there is room for, what is done to nodes first."""
    taken: dict[Position, list[tuple[float, float]]] = {}
    order = list(MARKS)
    halo = [withStroke(linewidth=2, foreground="#FFFFFFC0")]
    for mark in sorted(marks, key=lambda mark: (order.index(mark.kind), mark.time)):
        if not mark.text or (lane < 0.3 and mark.kind not in URGENT):
            continue
        half = (0.03 + 0.028 * len(mark.text)) / inch[0]
        left, right = mark.time - half, mark.time + half
        if left < 0:
            left, right = 0, 2 * half
        if all(right <= begin or end <= left for begin, end in taken.setdefault(mark.position, [])):
            taken[mark.position].append((left, right))
            y = mark.position - 0.1 / inch[1]
            colour = "#B00020" if mark.kind == "crash" else "#222222"
            look: Any = {"size": 7, "ha": "center", "va": "bottom", "zorder": 5}
            axis.text((left + right) / 2, y, mark.text, color=colour, path_effects=halo, **look)


def _write_notes(axis: Axes, notes: Sequence[tuple[float, str]], inch: "np.ndarray") -> None:
    """Write above the lanes what there is room for."""
    free = 0.0
    for time, text in sorted(notes):
        axis.axvline(time, color="#BBBBBB", linewidth=0.7, linestyle=(0, (2, 3)), zorder=0.5)
        if time >= free:
            axis.annotate(text, (time, 1), xycoords=("data", "axes fraction"), xytext=(0, 3), textcoords="offset points",
                          size=7, color="#555555", ha="left", va="bottom")  # fmt: skip
            free = time + (0.1 + 0.06 * len(text)) / inch[0]


# -- from the events of a trial --------------------------------------------------------------------------------------


class Axis:
    """Where moments stand: in proportion to time, but moments that nearly coincide are kept apart, silences shortened.

    Parameters:
        times: of all that is shown, ns.
        zero: the moment that is called 0, ns.

    Attributes:
        places: where each moment stands.
        end: where the last stands.
        silences: those that are shortened and take a tenth of the time or more.
    """

    def __init__(self, times: Iterable[int], zero: int) -> None:
        self.zero = zero
        moments = sorted(set(times))
        gaps = [after - before for before, after in pairwise(moments)]
        usual, whole = median(gaps) if gaps else 1.0, sum(gaps)
        self.places, self.end = {moments[0]: 0.6}, 0.6
        self.silences: list[tuple[int, int]] = []
        for (before, after), gap in zip(pairwise(moments), gaps, strict=True):
            self.end += min(LONG, max(SHORT, gap / usual))
            self.places[after] = self.end
            if gap > LONG * usual and gap > whole / 10:
                self.silences.append((before, after))

    @property
    def ticks(self) -> list[tuple[float, str]]:
        """Labelled moments, about every inch, in ms, with the decimals that tell them apart."""
        apart = max(3.5, self.end / 16)
        ticks: list[tuple[float, float]] = []
        for time, place in self.places.items():
            if not ticks or place - ticks[-1][0] >= apart:
                ticks.append((place, (time - self.zero) / 1e6))
        least = min((after - before for (_, before), (_, after) in pairwise(ticks)), default=1.0)
        decimals = min(3, max(0, 1 - math.floor(math.log10(least))))
        return [(place, f"{ms:,.{decimals}f}".replace("-", "−")) for place, ms in ticks]


def make_picture(log: Log) -> Picture:
    """What the space-time diagram of a trial shows; heartbeats are left out."""
    events = log.quiet_events
    scenario, n = log.scenario, log.scenario.n
    last = log.events[-1].time if log.events else 0
    axis = Axis([0, *(event.time for event in events), log.counted_from, log.began, last], log.began)
    end = axis.end + 1
    marks = _find_marks(events, scenario.ids, axis)
    spans = [
        Span(
            span.position,
            axis.places[int(span.begin)],
            axis.places[int(span.end)] if span.end < last else end,
            span.kind,
        )
        for span in log.spans
    ]
    sends = {event.message: event for event in events if event.what == "send"}
    arrows, arrived = [], set()
    for event in events:
        if event.what == "receive" and event.message in sends:
            sent = sends[event.message]
            arrived.add(event.message)
            arrows.append(Arrow(sent.node, axis.places[sent.time], event.node, axis.places[event.time], sent.kind))
    arrows += [
        Arrow(sent.node, axis.places[sent.time], sent.peer, None, sent.kind)
        for message, sent in sends.items()
        if message not in arrived
    ]
    notes, entered = list[tuple[float, str]](), set[int]()
    for event in events:
        if event.what == "epoch" and event.term not in entered:
            entered.add(event.term)
            if event.time >= log.counted_from:
                notes.append((axis.places[event.time], f"election {event.term}"))
    silences = [(axis.places[before], axis.places[after], after - before) for before, after in axis.silences]
    bands = [Band(begin, stop, "silence", f"⋯ {format_ms(ns / 1e9)} ms ⋯") for begin, stop, ns in silences]
    cut = None
    if scenario.plan.settled:
        bands.append(Band(0, axis.places[log.counted_from], "set-up"))
        notes.append((0.0, "set-up"))
    for event in events:
        if event.what == "cut":
            cut = axis.places[event.time]
            notes.append((cut, event.text.partition(",for")[0]))
        elif event.what == "heal" and cut is not None:
            bands.append(Band(cut, axis.places[event.time], "cut"))
            notes.append((axis.places[event.time], "healed"))
            cut = None
    if cut is not None:
        bands.append(Band(cut, end, "cut"))
    struck = any(event.what in STRIKES for event in events)
    hidden = len(log.heartbeats)
    words = [f"{log.messages:,} messages", f"elected {log.leader}" if log.leader else log.verdict.replace("_", " ")]
    words += [f"{log.violations} violations"] if log.violations else []
    words += [f"{hidden:,} heartbeats not shown"] if hidden else []
    words += [f"{log.left_out:,} later events not shown"] if log.left_out else []
    return Picture(
        lanes=[
            f"{p} (id {identity})" if n > 8 else f"node {p} (id {identity})" for p, identity in enumerate(scenario.ids)
        ],
        marks=marks,
        arrows=arrows,
        title=f"{algorithm_label(scenario.algorithm)}, n = {n}, {fault_label(scenario.fault)}, {ENGINES[log.engine]}",
        subtitle=" · ".join(words),
        spans=spans,
        bands=bands,
        ticks=axis.ticks,
        notes=notes,
        unit=f"ms since the {'fault' if struck else 'start'} (what nearly coincides is drawn apart, silence short)",
    )


def _find_marks(events: Iterable[Event], ids: Sequence[int], axis: Axis) -> list[Mark]:
    """What is marked on the lanes; who elects whom it has elected already is not told again."""
    marks, elected = [], dict[Position, tuple[int, int]]()
    for event in events:
        match event.what:
            case "elect" if elected.get(event.node) == (event.leader, event.term):
                continue
            case "start":
                kind, text = "starts", "starts"
            case "elect":
                kind, text = "leads" if event.leader == ids[event.node] else "elect", f"elects {event.leader}"
                elected[event.node] = event.leader, event.term
            case "suspect" | "trust":
                kind, text = f"{event.what}s", f"{event.what}s {ids[event.peer]}"
            case "timer":
                kind, text = "waits", f"{event.text} timeout"
            case "crash" | "recover":
                kind, text = event.what, {"crash": "crash", "recover": "is back"}[event.what]
            case "receive":
                kind, text = "gets", ""
            case _:
                continue
        marks.append(Mark(event.node, axis.places[event.time], kind, text))
    return marks


def plot_space_time(log: Log) -> Figure:
    """The space-time diagram of a trial, from its events."""
    return draw_space_time(make_picture(log))
