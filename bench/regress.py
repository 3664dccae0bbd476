"""Regress: the gate on message complexity. Counts are held to the theorem and to a baseline; nothing is fitted to time.

Every case whose count does not depend on the schedule is run on real processes and in simulation, and must equal the closed
form in every trial. Means over random arrangements and draws must lie within four standard errors of the theorem's.
"""

import math
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from statistics import fmean, stdev
from xml.etree import ElementTree

import msgspec

from algorithms.model import Node, Periodic
from bench.complexity import Engine, check_trial, foresee
from bench.engines.processes import Processes
from bench.engines.simulate import Simulate
from bench.faults import Fault
from bench.observe import classify
from bench.scenario import Scenario, choose_ids, find_algorithm, trial_seed
from bench.settings import BadInput
from bench.topology import graphs_of

SIZES = (2, 3, 4, 5, 8, 16, 32)
SEED = 1
MEAN_SIZE, MEAN_TRIALS = 16, 400
DELTAS = {"processes": 0.05, "simulate": 0.001}  # seconds
SHORT = 0.02  # the same on real processes, of pages that need no bound for safety and wait for many of it


def delta_of(algorithm: str, engine: str) -> float:
    """The bound on one hop under which counts of an algorithm are checked on an engine, in seconds."""
    beats = find_algorithm(algorithm).model.pulse is not None
    return SHORT if beats and engine == "processes" else DELTAS[engine]


class Case(msgspec.Struct, frozen=True):
    """One scenario of the gate, to be run on an engine.

    Attributes:
        name: as in the baseline, such as `bully worst n=16`.
        series: the cases that differ from it in n alone.
        scenario: with the delta of a simulation.
    """

    name: str
    series: str
    scenario: Scenario


class Result(msgspec.Struct):
    """What came of a case: messages and bytes of its trial in simulation, and everything that is wrong."""

    case: Case
    messages: int
    bytes: int
    wrong: list[str]


class Growth(msgspec.Struct):
    """How a series grows: fitted exponent of n with its 95 % interval, R², and the form that is declared."""

    series: str
    exponent: float
    interval: float
    r_squared: float
    declared: str


class Move(msgspec.Struct):
    """A case whose messages differ from the baseline; `before` or `after` is None where it is new or gone."""

    name: str
    before: int | None
    after: int | None

    @property
    def is_worse(self) -> bool:
        """Whether the gate fails for it: more messages, or a case that does not run any more."""
        return self.after is None or (self.before is not None and self.after > self.before)

    def __str__(self) -> str:
        if self.before is None or self.after is None:
            return f"{self.name}: {'new' if self.before is None else 'gone'}"
        share = f", {(self.after / self.before - 1) * 100:+.1f} %" if self.before else ""
        return f"{self.name}: {self.before} -> {self.after}{share}"


def variants(page: type[Node]) -> Iterator[dict[str, str]]:
    """The page's defaults, then each other value whose counts the theorem gives."""
    yield {}
    for name, parameter in page.parameters.items():
        for text in parameter.variants:
            yield {name: text}


def _worlds(page: type[Node]) -> Iterator[tuple[int, str]]:
    """Sizes, each with every graph that it allows if the page runs on any."""
    for n in SIZES:
        for topology in graphs_of(n) if page.model.topology == "any" else [""]:
            yield n, topology


def make_cases(algorithm: str) -> Iterator[Case]:
    """All cases of one algorithm: its witnesses, random ids with all and with one initiator, dead nodes, a leader crash.

    Those of a page for any graph are run on each.

    Raises:
        BadInput: if it claims no counts.
    """
    page = find_algorithm(algorithm)
    if not hasattr(page, "claims"):
        raise BadInput(f"--algorithms: {algorithm!r} declares no claims, so there is nothing to hold it to")
    if all(issubclass(message, Periodic) for message in page.messages):
        return  # an election of it has no messages
    for parameters in variants(page):
        label = algorithm + "".join(f"[{name}={text}]" for name, text in parameters.items())
        for n, topology in _worlds(page):
            seed = trial_seed(SEED, n, 0)
            ids, _ = choose_ids("random", page, n, seed)
            strongest = ids.index(n)
            plans: dict[str, dict[str, object]] = {
                "all": {},
                "one": {"initiators": "one"},
                "some": {"initiators": "random:2"},
                "strongest-dead": {"dead": (strongest,)},
                "leader-crash": {"faults": (Fault("leader-crash"),)},
            }
            for which, witness in (("best", page.claims.best_case), ("worst", page.claims.worst_case)):
                if witness is not None:
                    order, starts = witness(n)
                    plans[which] = {"ids": order, "initiators": ",".join(map(str, starts))}
            if page.model.start == "all":
                del plans["one"], plans["some"]
            for kind, plan in plans.items():
                if (kind in ("strongest-dead", "leader-crash")) > page.model.spares(n):
                    continue
                fixed = {"algorithm": algorithm, "parameters": parameters, "ids": ids, "seed": seed}
                if topology:
                    fixed, kind = fixed | {"topology": topology}, f"on {topology} {kind}"
                scenario = msgspec.convert(fixed | {"delta": DELTAS["simulate"], "horizon": 60.0} | plan, Scenario)
                if page.claims.exact(foresee(scenario)):
                    yield Case(f"{label} {kind} n={n}", f"{label} {kind}", scenario)


def run_case(case: Case, engines: list[Engine]) -> Result:
    """Run a case on every engine and hold it to the theorem."""
    result = Result(case, 0, 0, [])
    for engine in engines:
        scenario = msgspec.structs.replace(case.scenario, delta=delta_of(case.scenario.algorithm, engine.name))
        checked = check_trial(engine, scenario)
        result.wrong += [f"{engine.name}: {difference}" for difference in checked.wrong]
        if checked.fixed and result.messages and checked.row.messages != result.messages:
            result.wrong.append(
                f"{engine.name}: {checked.row.messages} messages, {result.messages} on the other engine"
            )
        result.messages, result.bytes = checked.row.messages, checked.row.bytes
    return result


def check_mean(algorithm: str) -> str:
    """What is wrong with the mean over random ids and draws in simulation, or nothing.

    The mean of `MEAN_TRIALS` elections must lie within four standard errors of the declared one.
    """
    page = find_algorithm(algorithm)
    declared = page.claims.all.mean.value
    if declared is None:
        return ""
    totals = []
    for rep in range(MEAN_TRIALS):
        seed = trial_seed(SEED, MEAN_SIZE, rep)
        ids, _ = choose_ids("random", page, MEAN_SIZE, seed)
        scenario = Scenario(
            algorithm=algorithm,
            ids=ids,
            seed=seed,
            delta=DELTAS["simulate"],
            horizon=60.0,
            latency="uniform:500us:1ms",  # no two hops are faster than one
        )
        sent = Simulate().run(scenario).sent
        totals.append(sum(count for kind, count in sent.items() if classify(kind) != "detector"))
    mean, expected = fmean(totals), declared(MEAN_SIZE, MEAN_SIZE)
    if abs(mean - expected) <= 4 * stdev(totals) / math.sqrt(MEAN_TRIALS):
        return ""
    return f"{algorithm} mean n={MEAN_SIZE}: {mean:.2f} over {MEAN_TRIALS} trials, {expected:.2f} by the theorem"


def fit_growth(results: list[Result]) -> list[Growth]:
    """Exponents of n, by least squares on logarithms, for every series with at least three sizes from 4 up."""
    from scipy import stats

    growths = []
    for series, members in groupby(sorted(results, key=lambda r: r.case.series), key=lambda r: r.case.series):
        points = [(r.case.scenario.n, r.messages) for r in members if r.case.scenario.n >= 4 and r.messages]
        if len(points) < 3:
            continue
        fit = stats.linregress([math.log(n) for n, _ in points], [math.log(count) for _, count in points])
        interval = float(stats.t.ppf(0.975, len(points) - 2) * fit.stderr)
        claims = find_algorithm(series.split("[")[0].split(" ")[0]).claims
        bounds = claims.one if series.endswith(" one") else claims.all
        texts = dict.fromkeys(formula.text for formula in (bounds.best, bounds.mean, bounds.worst))
        growths.append(Growth(series, float(fit.slope), interval, float(fit.rvalue**2), " / ".join(texts)))
    return growths


def run_gate(algorithms: tuple[str, ...]) -> Iterator[Result]:
    """Every case of the algorithms on both engines, size by size so that a cluster serves all of one size."""
    cases = [case for algorithm in algorithms for case in make_cases(algorithm)]
    with Processes(algorithms) as processes:
        engines: list[Engine] = [processes, Simulate()]
        for case in sorted(cases, key=lambda case: case.scenario.n):
            yield run_case(case, engines)


def read_baseline(path: Path) -> dict[str, int]:
    """Messages by case; empty if there is no baseline yet.

    Raises:
        BadInput: if the file is no baseline.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, int])
    except FileNotFoundError:
        return {}
    except (OSError, msgspec.DecodeError) as error:
        raise BadInput(f"--baseline: {str(path)!r} is no baseline: {error}") from None


def compare_with_baseline(results: list[Result], baseline: dict[str, int], algorithms: tuple[str, ...]) -> list[Move]:
    """What moved; cases of other algorithms than those that ran are left alone."""
    counts = {result.case.name: result.messages for result in results}
    ran = {name for name in baseline if name.split("[")[0].split(" ")[0] in algorithms}
    names = [*counts, *sorted(ran - counts.keys())]
    moves = [Move(name, baseline.get(name), counts.get(name)) for name in names]
    return [move for move in moves if move.before != move.after]


def write_baseline(path: Path, results: list[Result], baseline: dict[str, int], algorithms: tuple[str, ...]) -> None:
    """Replace what the baseline says of the algorithms that ran."""
    kept = {name: count for name, count in baseline.items() if name.split("[")[0].split(" ")[0] not in algorithms}
    counts = kept | {result.case.name: result.messages for result in results}
    path.write_bytes(msgspec.json.format(msgspec.json.encode(dict(sorted(counts.items()))), indent=1) + b"\n")


def write_junit(path: Path, results: list[Result], moves: list[Move], means: list[str]) -> None:
    """JUnit XML: a test case for each case, one for all means."""
    worse = {move.name: str(move) for move in moves if move.is_worse}
    failures = {r.case.name: [*r.wrong, *([worse[r.case.name]] if r.case.name in worse else [])] for r in results}
    failures |= {name: [text] for name, text in worse.items() if name not in failures} | {"means": means}
    suite = ElementTree.Element("testsuite", name="election-bench regress", tests=str(len(failures)))
    suite.set("failures", str(sum(bool(reasons) for reasons in failures.values())))
    for name, reasons in failures.items():
        element = ElementTree.SubElement(suite, "testcase", classname=name.split(" ")[0], name=name)
        if reasons:
            ElementTree.SubElement(element, "failure", message=reasons[0]).text = "\n".join(reasons)
    ElementTree.ElementTree(suite).write(path, encoding="utf-8", xml_declaration=True)


def write_smaller_is_better(path: Path, results: list[Result]) -> None:
    """The `customSmallerIsBetter` JSON that github-action-benchmark reads."""
    entries = [{"name": result.case.name, "unit": "messages", "value": result.messages} for result in results]
    path.write_bytes(msgspec.json.encode(entries))
