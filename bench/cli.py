"""The command line. Each command is a short function that calls one module."""

import json
import shlex
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench import BadInput, __version__

if TYPE_CHECKING:
    from bench.settings import Settings


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="election-bench")
def cli() -> None:
    """Leader elections on real processes: which one, at what cost, and what happens to it when things fail.

    Each command has its own --help. The pages in bench/docs teach it all; begin with tutorial.md.

    Example: election-bench run -a bully,chang_roberts -n 4,8,16 -t 20
    """


@cli.command("list", short_help="What there is: algorithms, faults, profiles, engines.")
@click.argument("what", type=click.Choice(["algorithms", "faults", "profiles", "engines"]), default="algorithms")
@click.option("--markdown", is_flag=True, help="The table as Markdown.")
def list_(what: str, markdown: bool) -> None:
    """The catalogue: algorithms with their models and costs, faults, profiles or engines.

    Example: election-bench list faults
    """
    from bench.catalogue import print_catalogue

    print_catalogue(what, markdown)


def given_options(options: dict[str, Any]) -> dict[str, Any]:
    """Those that were given, be it as nothing."""
    return {name: list(it) if name == "param" else it for name, it in options.items() if it not in (None, ())}


GRID = {"nodes", "faults", "trials", "detector", "ids", "initiators", "dead", "topology"}


@cli.command(short_help="Run a sweep: rows, figures and a report.")
@click.option("-a", "--algorithms", help="Names (see: list), or package.module:Class for one's own.")
@click.option("-n", "--nodes", help="Sizes, such as 4,8,16.")
@click.option("-f", "--faults", help="What goes wrong: none, leader-crash, ... (see: list faults).")
@click.option("-e", "--engine", help="processes, or simulate (virtual time).")
@click.option("-t", "--trials", help="Trials a cell.")
@click.option("-s", "--seed", help="Everything random comes from it.")
@click.option("--ids", help="random, ascending, descending, best, worst, or 3,1,2 in ring order.")
@click.option("--initiators", help="all, one, random:K, or positions such as 0,3.")
@click.option("--dead", help="Positions that are down from the start.")
@click.option("--topology", help="For pages that run on any graph: grid, torus, hypercube, random regular or tree.")
@click.option("--detector", help="How crashes are noticed: perfect, or heartbeat[:period=...,timeout=...].")
@click.option("--delta", help="Bound on one hop, such as 50ms; auto measures it.")
@click.option(
    "--latency",
    help="How much longer a hop takes (on simulate: how long): 5ms, uniform:1ms:9ms, exp:5ms, lognormal:5ms:0.5.",
)
@click.option("--loss", help="How likely each message is lost, such as 0.05.")
@click.option("--horizon", help="The longest a trial may take, such as 30s, or auto.")
@click.option("--param", multiple=True, help="An algorithm's own, such as bully.coordinator=lower; repeatable.")
@click.option("--profile", help="A name (see: list profiles), or the path of a TOML file.  [default: default]")
@click.option("-o", "--out", help="Folder of the results.  [default: results/<time>]")
@click.option("--resume", is_flag=True, help="Finish the run in --out (or results/latest).")
@click.option("--no-report", is_flag=True, help="Leave figures and report out.")
@click.option("--json", "as_json", is_flag=True, help="Each finished row as one JSON object a line on stdout.")
def run(out: str | None, resume: bool, no_report: bool, as_json: bool, profile: str | None, **given: Any) -> None:
    """Run a sweep on real processes and write RESULTS: raw rows, figures and a report.

    Options that are not given come from the profile.

    Example: election-bench run -a bully,ring -n 4,8 -f none,leader-crash -t 20 -o results/first
    """
    from bench.progress import run_and_show
    from bench.settings import make_settings, options_of, read_profile, settings_of
    from bench.store import Run, read_manifest
    from bench.sweep import make_manifest

    options = given_options(given)
    if resume:
        folder = Path(out or "results/latest").resolve()
        settings = settings_of(read_manifest(folder)["settings"])
        asked = make_settings(
            options_of(settings) | (read_profile(profile) if profile else {}) | options, settings.profile
        )
        for field in settings.__struct_fields__:
            if getattr(asked, field) != getattr(settings, field):
                raise BadInput(f"--{field}: the run to resume has another; leave it out, or start a new run")
        results = Run.resume(folder)
    else:
        base = read_profile(profile or "default")
        if options.keys() & GRID:
            base.pop("also", None)  # the user has a grid in mind: the profile's other ones are not meant
        settings = make_settings(base | options, profile or "default")
        folder = Path(out) if out else choose_folder(settings)
        Run.check_new(folder)
        results = Run.create(folder, make_manifest(settings, folder, "election-bench " + shlex.join(sys.argv[1:])))
        results.point_latest()
    sys.exit(run_and_show(results, settings, as_json, report=not no_report))


def choose_folder(settings: "Settings") -> Path:
    """Where a run goes that was not told: a folder of the moment and the profile, and of no other run of that second."""
    folder = first = Path("results", time.strftime(f"%Y-%m-%d-%H%M%S-{Path(settings.profile).stem}"))
    again = 1
    while folder.exists():
        again += 1
        folder = first.with_name(f"{first.name}-{again}")
    return folder


@cli.command(short_help="Figures and report again, from stored rows.")
@click.argument("folder", metavar="[RUN]", default="results/latest")
def report(folder: str) -> None:
    """Rebuild figures and report from the stored rows of RUN (results/latest unless given) alone.

    Example: election-bench report results/latest
    """
    from bench.report import build_report

    try:
        click.echo(build_report(Path(folder).resolve()))
    except ValueError as error:
        raise BadInput(str(error)) from None


@cli.command(short_help="One stored trial again.")
@click.argument("folder", metavar="RUN")
@click.argument("trial", type=click.IntRange(0))
@click.option("--json", "as_json", is_flag=True, help="The row as a JSON object.")
def replay(folder: str, trial: int, as_json: bool) -> None:
    """Run one stored TRIAL of RUN again, from what is stored, and show both. Exit 1 if it breaks a promise.

    Example: election-bench replay results/latest 17
    """
    from bench.progress import replay_and_show

    sys.exit(replay_and_show(Path(folder).resolve(), trial, as_json))


@cli.command(short_help="What changed from one run to another.")
@click.argument("first", metavar="RUN_A")
@click.argument("second", metavar="RUN_B")
@click.option("--markdown", is_flag=True, help="As Markdown, for a pull request.")
@click.option("-o", "--out", help="Also draw the times to this file, .svg or .png.")
def compare(first: str, second: str, markdown: bool, out: str | None) -> None:
    """What changed from RUN_A to RUN_B: exact counts, promises, and times with intervals.

    Exit 1 if a count of messages grew or more promises are broken. A time that grew is told and no error.

    Example: election-bench compare results/before results/after --markdown
    """
    from bench.catalogue import console
    from bench.compare import changed_table, compare_runs, plot_ratios_by_cell, summarise, write_markdown
    from bench.plots import save_figure

    path = Path(out) if out is not None else None
    if path is not None and (path.suffix not in (".svg", ".png") or not path.absolute().parent.is_dir()):
        raise BadInput(f"--out: {out!r} is no .svg or .png in a folder that exists")
    found = compare_runs(Path(first).resolve(), Path(second).resolve())
    if markdown:
        click.echo(write_markdown(found), nl=False)
    else:
        if any(change.verdict != "same" for change in found.changes):
            console().print(changed_table(found))
        click.echo("\n".join(summarise(found)))
    if path is not None:
        save_figure(plot_ratios_by_cell(found), path.with_suffix(""), (path.suffix,))
    sys.exit(int(found.fails))


SCENARIO = GRID - {"trials"} | {"algorithms", "engine", "seed", "delta", "latency", "loss", "horizon", "param"}


@cli.command(
    short_help="One trial, as text or space-time diagram.",
    params=[option for option in run.params if option.name in SCENARIO],
)
@click.argument("folder", metavar="[RUN", required=False)
@click.argument("trial", metavar="TRIAL]", type=click.IntRange(0), required=False)
@click.option("-o", "--out", help="File; its suffix says what: .txt, .svg, .png, .json (Perfetto), .log (ShiViz).")
def trace(folder: str | None, trial: int | None, out: str | None, **given: Any) -> None:
    """One trial, shown: TRIAL of RUN if its events are kept, or one that is run now.

    As text, one line an event; or, with -o, as space-time diagram, for Perfetto, or for ShiViz.

    Example: election-bench trace -a chang_roberts -n 5 -f leader-crash -e simulate

    Example: election-bench trace results/latest 0 -o trial.svg
    """
    from bench.trace import trace as show

    options = given_options(given)
    sys.exit(show(folder, trial, out, options))


@cli.command(short_help="What this machine can do.")
@click.option("-n", "--nodes", default="8,64,256", help="Sizes whose delta is measured.  [default: 8,64,256]")
@click.option("--json", "as_json", is_flag=True, help="The rows as one JSON list.")
def calibrate(nodes: str, as_json: bool) -> None:
    """What this machine can do: a hop beside a bare pipe ring, start-up beside bare forks, the delta that follows.

    Example: election-bench calibrate -n 8,64
    """
    from bench.catalogue import print_rows
    from bench.perf.table import calibrate as measure
    from bench.settings import check_machine

    try:
        sizes = tuple(int(word) for word in nodes.split(","))
    except ValueError:
        raise BadInput(f"--nodes: {nodes!r} are no sizes; write such as 8,64") from None
    if min(sizes) < 1:
        raise BadInput(f"--nodes: {min(sizes)} is too small; it must be at least 1")
    check_machine((*sizes, 256))
    rows = measure(sizes)
    if as_json:
        click.echo(json.dumps(rows))
    else:
        print_rows(tuple(rows[0]), [tuple(row.values()) for row in rows])


@cli.command(short_help="The gate: counts against theorem and baseline.")
@click.option("-a", "--algorithms", help="Names, or package.module:Class with claims.  [default: the catalogue]")
@click.option("--baseline", default="results/baseline.json", show_default=True, help="Counts to compare with.")
@click.option("--update", is_flag=True, help="Rewrite the baseline from what is measured.")
@click.option("--junit", help="Also write JUnit XML to this file.")
@click.option("--bench-json", help="Also write customSmallerIsBetter JSON to this file.")
@click.option("-q", "--quiet", is_flag=True, help="Only what is wrong or moved.")
def regress(
    algorithms: str | None, baseline: str, update: bool, junit: str | None, bench_json: str | None, quiet: bool
) -> None:
    """The gate: message counts on both engines equal the theorem and do not exceed the baseline.

    Exit 1 if an equality is broken or a count grew.

    Example: election-bench regress -a bully,ring --junit gate.xml
    """
    from bench.gate import run_and_judge

    sys.exit(run_and_judge(algorithms, Path(baseline), update, junit, bench_json, quiet))


@cli.command(short_help="Every interleaving of small systems.")
@click.option("--conformance", "name", help="Instead: the checks any algorithm must pass, for this one.")
@click.option(
    "-e", "--engine", type=click.Choice(["simulate", "processes"]), help="Of --conformance.  [default: simulate]"
)
@click.option("-a", "--algorithms", help="Names, or package.module:Class for one's own.  [default: the catalogue]")
@click.option("-n", "--nodes", default="3", show_default=True, help="Sizes, such as 3,4.")
@click.option("--crashes", default="1", show_default=True, help="How often a node may crash, anywhere.")
@click.option("--recoveries", default="0", show_default=True, help="How often one may come back, with what it saved.")
@click.option(
    "--losses", default="0", show_default=True, help="How many messages may be lost, where channels are lossy."
)
@click.option("--late-timers", is_flag=True, help="Timers may fire at any time, as if the network were late.")
@click.option("--epochs", help="Leave out elections later than this.  [default: 2 with --late-timers]")
@click.option("--ids", default="all", show_default=True, help="All arrangements, or as in run.")
@click.option("--initiators", default="all", show_default=True, help="Who starts, as in run.")
@click.option("--param", multiple=True, help="An algorithm's own, such as bully.coordinator=lower; repeatable.")
@click.option(
    "-s", "--seed", default="1", show_default=True, help="What nodes draw, and what a hunt does, comes from it."
)
@click.option("--hunt", help="So many random executions instead of all, for larger systems, such as 1000.")
@click.option("--limit", default="20000000", show_default=True, help="States after which to give up; 300 bytes each.")
@click.option("--replay", help="One execution, such as '0! 1<0', as a witness gives it.")
@click.option("-o", "--out", default="results/witness", show_default=True, help="Folder of witnesses.")
def verify(name: str | None, engine: str | None, **given: Any) -> None:
    """Every interleaving of small systems: is there ever a second leader, does every execution end with one?

    Exit 1 if a promise is broken: the shortest execution that breaks it is told, drawn, and can be replayed.
    What happens outside of an algorithm's model is shown, too, and is no error.

    Example: election-bench verify -a chang_roberts -n 4 --crashes 1

    Example: election-bench verify -a bully --late-timers

    Example: election-bench verify -a viewstamped --recoveries 1

    Example: election-bench verify -a paxos --crashes 0 --losses 1

    Example: election-bench verify --conformance chang_roberts
    """
    if name is not None:
        from bench.conformance import run_conformance

        try:
            sys.exit(run_conformance(name, engine or "simulate"))
        except ValueError as error:
            raise BadInput(f"--conformance: {error}") from None
    if engine is not None:
        raise BadInput("--engine: it belongs to --conformance; leave it out")
    from bench.verify import answer, make_question

    sys.exit(answer(make_question(given)))
