"""Gate: what a person sees of `regress`."""

from pathlib import Path

import click
from rich.table import Table

from algorithms import ALGORITHMS
from bench import regress
from bench.catalogue import console
from bench.scenario import find_algorithm
from bench.settings import BadInput


def run_and_judge(
    names: str | None, path: Path, update: bool, junit: str | None, bench_json: str | None, quiet: bool
) -> int:
    """Run the gate, print a line a case and what moved, write what was asked for; returns the exit code."""
    algorithms = tuple(dict.fromkeys(names.split(","))) if names else tuple(ALGORITHMS)
    try:
        for name in algorithms:
            find_algorithm(name)
    except ValueError as error:
        raise BadInput(f"--algorithms: {error}") from None
    for option, file in (("baseline", str(path)), ("junit", junit), ("bench-json", bench_json)):
        if file is not None and not Path(file).absolute().parent.is_dir():
            raise BadInput(f"--{option}: there is no folder {str(Path(file).parent)!r} to write {file!r} into")
    baseline = regress.read_baseline(path)
    results = []
    for result in regress.run_gate(algorithms):
        results.append(result)
        if result.wrong or not quiet:
            verdict = "; ".join(result.wrong) if result.wrong else "as the theorem says"
            click.echo(
                f"{'FAIL' if result.wrong else 'ok  '} {result.case.name}: {result.messages} messages, {verdict}"
            )
    means = [wrong for name in algorithms if (wrong := regress.check_mean(name))]
    for wrong in means:
        click.echo(f"FAIL {wrong}")
    if not quiet:
        show_growth(regress.fit_growth(results))
    moves = regress.compare_with_baseline(results, baseline, algorithms)
    if update:
        regress.write_baseline(path, results, baseline, algorithms)
        click.echo(f"{path}: rewritten, {len(moves)} of {len(results)} cases moved")
        moves = []
    for move in moves:
        if move.before is not None:
            click.echo(f"{'WORSE' if move.is_worse else 'moved'} {move}")
    if new := sum(move.before is None for move in moves):
        click.echo(f"{new} cases are not in {path} yet; --update puts them there")
    if junit:
        regress.write_junit(Path(junit), results, moves, means)
    if bench_json:
        regress.write_smaller_is_better(Path(bench_json), results)
    broken = sum(bool(result.wrong) for result in results) + len(means)
    worse = sum(move.is_worse for move in moves)
    click.echo(f"{len(results)} cases on two engines: {broken} broken, {worse} worse than {path}")
    return 1 if broken or worse else 0


def show_growth(growths: list[regress.Growth]) -> None:
    """Print how the counts grow with n."""
    table = Table("series", "messages grow like", "R²", "declared: best / mean / worst")
    for growth in growths:
        fitted = f"n^{growth.exponent:.2f} ± {growth.interval:.2f}"
        table.add_row(growth.series, fitted, f"{growth.r_squared:.4f}", growth.declared)
    table.caption = "least squares on logarithms, n from 4 up, 95 % interval"
    console().print(table)
