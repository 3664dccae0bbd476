"""Catalogue: what there is, as tables for the terminal."""

import sys
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Column, Table

from algorithms import ALGORITHMS
from bench.faults import FAULTS
from bench.settings import PROFILES, read_profile


def console() -> Console:
    """Where tables go: as wide as the terminal, or wide enough where there is none."""
    return Console(width=None if sys.stdout.isatty() else 150)


def print_catalogue(what: str, markdown: bool = False) -> None:
    """Print the algorithms, faults, profiles or engines that there are, for the terminal or as Markdown."""
    table = {"algorithms": algorithms, "faults": faults, "profiles": profiles, "engines": engines}[what]()
    if markdown:
        print(write_markdown(table))
    else:
        console().print(table if what != "algorithms" else stack(table), markup=False)


def write_markdown(table: Table) -> str:
    """A table as Markdown."""
    heads = [str(column.header) for column in table.columns]
    rows = [heads, ["---"] * len(heads), *zip(*(map(str, column.cells) for column in table.columns), strict=True)]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)


def stack(table: Table) -> Table:
    """The same with what is beside the first column stacked, for terminals that are not that wide."""
    first, *others = table.columns
    stacked = Table(str(first.header), "", show_lines=True)
    for name, *cells in zip(first.cells, *(column.cells for column in others), strict=True):
        lines = (f"{column.header}: {cell}" for column, cell in zip(others, cells, strict=True))
        stacked.add_row(str(name), "\n".join(lines))
    return stacked


SURVIVES = {"none": "crashes, by re-election", "crash": "crashes", "minority": "crashes of fewer than half"}


def algorithms() -> Table:
    """Each algorithm with what its theorem assumes, and what an election costs, announcement included."""
    table = Table(
        *("algorithm", "assumes", "survives", "ids", "messages, all start: best / mean / worst"),
        *("messages, one starts", "time", "bits", "source"),
    )
    for name, page in ALGORITHMS.items():
        model, claims = page.model, page.claims
        costs = [
            " / ".join(dict.fromkeys(formula.text for formula in (bounds.best, bounds.mean, bounds.worst)))
            for bounds in (claims.all, claims.one)
        ]
        table.add_row(
            name,
            f"{model.topology}, {model.timing}, {model.channels} channels",
            SURVIVES[model.failures],
            ", ".join((model.identity, *(f"{what} known" for what in model.knows))),
            *costs,
            claims.time,
            claims.bits,
            claims.source,
        )
    return table


def faults() -> Table:
    """Each fault, as it is written."""
    table = Table(Column("fault", overflow="fold"), "what happens")
    for name, kind in FAULTS.items():
        table.add_row(kind.syntax or name, kind.meaning)
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


def print_rows(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table."""
    table = Table(*columns)
    for row in rows:
        table.add_row(*row)
    console().print(table)
