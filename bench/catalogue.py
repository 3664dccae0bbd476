"""Catalogue: what there is, as tables for the terminal."""

import sys
from typing import Any

from rich.console import Console
from rich.table import Table

from algorithms import ALGORITHMS
from bench.faults import FAULTS
from bench.settings import PROFILES, read_profile


def console() -> Console:
    """Where tables go: as wide as the terminal, or wide enough where there is none."""
    return Console(width=None if sys.stdout.isatty() else 150)


def print_catalogue(what: str) -> None:
    """Print the algorithms, faults, profiles or engines that there are."""
    table = {"algorithms": algorithms, "faults": faults, "profiles": profiles, "engines": engines}[what]()
    console().print(table)


def algorithms() -> Table:
    """Each algorithm with what its theorem assumes and what it costs when all start or one does."""
    table = Table(
        "algorithm", "topology, timing", "survives", "all start: best / mean / worst", "one starts", "time", "source"
    )
    for name, page in ALGORITHMS.items():
        model, claims = page.model, page.claims
        survives = {"none": "by re-election", "crash": "crashes", "minority": "fewer than half down"}[model.failures]
        costs = [
            " / ".join(dict.fromkeys(formula.text for formula in (bounds.best, bounds.mean, bounds.worst)))
            for bounds in (claims.all, claims.one)
        ]
        table.add_row(name, f"{model.topology}, {model.timing}", survives, *costs, claims.time, claims.source)
    table.caption = "messages of one election, announcement included; H is the harmonic number"
    return table


def faults() -> Table:
    """Each fault with its parameters."""
    table = Table("fault", "parameters", "what happens")
    for name, kind in FAULTS.items():
        table.add_row(
            name,
            ", ".join(f"{parameter}=..." if parameter else "a value" for parameter in kind.parameters),
            kind.meaning,
        )
    return table


def profiles() -> Table:
    """Each profile with what it sets."""
    table = Table("profile", "sizes", "faults", "trials a cell")
    for path in sorted(PROFILES.glob("*.toml")):
        options = read_profile(path.stem)
        for grid in (options, *options.get("also", [])):
            sizes = ", ".join(map(str, grid["nodes"]))
            table.add_row(path.stem, sizes, grid["faults"].replace(",", ", "), str(grid["trials"]))
    return table


def engines() -> Table:
    """Each engine in a sentence."""
    table = Table("engine", "what it is")
    table.add_row("processes", "one real process a node, joined by pipes; real kills; times by the machine's clock")
    table.add_row("simulate", "the same pages in virtual time, seeded and repeatable, up to a million nodes")
    return table


def print_calibration(rows: list[dict[str, Any]]) -> None:
    """Print what `calibrate` measured."""
    table = Table("what", "ours", "against", "ratio")
    for row in rows:
        table.add_row(*(str(row[column]) for column in ("what", "ours", "against", "ratio")))
    console().print(table)
