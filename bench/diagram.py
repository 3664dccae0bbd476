"""Diagram: the space-time diagram of an execution (L. Lamport, CACM 21(7), 1978): a lane a node, an arrow a message."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import msgspec
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from algorithms.model import Position
from bench.plots import LOOK, save_figure

KIND_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKS = {  # marker and size
    "starts": ("o", 7),
    "elect": ("*", 13),
    "crash": ("X", 11),
    "suspects": ("D", 6),
    "waits": ("s", 6),
    "gets": ("o", 3.5),
}


class Mark(msgspec.Struct):
    """Something that happened at a node.

    Attributes:
        position: the node.
        time: when.
        kind: a key of `MARKS`.
        text: written beside it.
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


def draw_space_time(
    lanes: Sequence[str], marks: Sequence[Mark], arrows: Sequence[Arrow], title: str, subtitle: str, stem: Path
) -> None:
    """Draw a space-time diagram, time from left to right, as `stem`.svg and `stem`.png.

    Parameters:
        lanes: names of the nodes, by position.
        marks: what happened.
        arrows: messages.
        title: what is seen.
        subtitle: what to look at in it.
        stem: path without suffix.
    """
    end = max((mark.time for mark in marks), default=1.0) + 1
    with mpl.rc_context(LOOK):
        width, height = min(40.0, max(7.5, 1.0 + 0.62 * end)), 1.6 + 0.62 * len(lanes)
        figure = Figure(figsize=(width, height), layout="constrained")
        axis = figure.subplots()
        kinds = dict.fromkeys(arrow.kind for arrow in arrows)
        colours = {kind: KIND_COLOURS[i % len(KIND_COLOURS)] for i, kind in enumerate(kinds)}
        deaths = {mark.position: mark.time for mark in marks if mark.kind == "crash"}
        for position in range(len(lanes)):
            axis.plot([0, deaths.get(position, end)], [position, position], color="#888888", linewidth=1.2, zorder=1)
        for arrow in arrows:
            landed = arrow.arrived is not None
            to = arrow.arrived if arrow.arrived is not None else arrow.sent + 0.8
            reach = arrow.target if landed else arrow.source + 0.45 * (arrow.target - arrow.source)
            style = {"color": colours[arrow.kind], "linestyle": "-" if landed else ":", "linewidth": 1.3}
            axis.annotate(
                "",
                (to, reach),
                (arrow.sent, arrow.source),
                arrowprops={"arrowstyle": "-|>" if landed else "-", "shrinkA": 0, "shrinkB": 2, **style},
                zorder=2,
            )
        for mark in marks:
            marker, size = MARKS.get(mark.kind, ("o", 3.5))
            colour = "#B00020" if mark.kind == "crash" else "#222222"
            axis.plot([mark.time], [mark.position], marker=marker, markersize=size, color=colour, zorder=3)
            if mark.text:
                axis.text(mark.time, mark.position - 0.16, mark.text, color=colour, size=7.5, ha="center", va="bottom")
        axis.set_yticks(range(len(lanes)), lanes)
        axis.set_ylim(len(lanes) - 0.5, -0.75)
        axis.set_xlim(0, end)
        axis.set_xlabel("step")
        axis.grid(False)
        for side in ("left", "top", "right"):
            axis.spines[side].set_visible(False)
        axis.tick_params(left=False)
        handles = [Line2D([], [], color=colour, label=kind) for kind, colour in colours.items()]
        if any(arrow.arrived is None for arrow in arrows):
            handles.append(Line2D([], [], color="#555555", linestyle=":", label="not arrived"))
        if handles:
            figure.legend(handles=handles, loc="outside lower left", ncols=6, frameon=False)
        axis.set_title(f"{title}\n{subtitle}" if subtitle else title, loc="left")
    save_figure(figure, stem)
