"""Conformance: what any algorithm must pass. Checks are chosen by what a class declares, never by its name.

Each `check_*` raises `Nonconforming` with what is wrong, what cures it, and a command that shows it again. `checks` yields
those that apply to an algorithm on an engine, and says why the others do not; `run_conformance` prints them.

A page is stepped in the simulator, where every event can be looked at: purity, pickling, agreement after each step and the
labels of links are properties of the page, whichever engine runs it. Everything else runs on the engine that is given.
"""

import ast
import copy
import inspect
import os
import pickle
import random
import subprocess
import sys
import textwrap
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from hashlib import blake2b
from itertools import cycle
from typing import Any, NoReturn, cast

import msgspec

from algorithms.model import Formula, Id, Message, Node, Position
from bench.blame import PageError
from bench.complexity import Engine, check_trial, find_loose
from bench.detector import parse_detector
from bench.engines.explore import explore
from bench.engines.processes import HarnessError, Processes
from bench.engines.simulate import Simulate
from bench.engines.simulation import Observer, Simulation
from bench.faults import parse_plan
from bench.observe import Execution, Monitor, make_row, may_fail
from bench.regress import delta_of, variants
from bench.scenario import Scenario, find_algorithm, parse_parameters, trial_seed
from bench.topology import TOPOLOGIES, graphs_of
from bench.trial import KindCount, Trial
from bench.verify import Question, choose_arrangements, command_for, follow, label_of, make_system

SIZES = (2, 3, 4, 5, 8)
SEEDS = 10_000  # a replay finds the seed again among these
STATES = 500_000  # of a small system that are looked at; more in a system of four, and some orders go unseen
FEW = 25_000  # the same, of a page with terms that falls silent: each order of events is a state of its own
BUDGET = 20_000  # events of one simulated trial: a page that sends more runs away
HEADINGS = ("Model", "Guarantees", "Messages", "Complexity", "Beyond the model", "References")
AMBIENT = {  # what would let a page touch the world
    *("asyncio", "datetime", "multiprocessing", "os", "random", "secrets", "signal"),
    *("socket", "subprocess", "sys", "threading", "time", "uuid"),
}
WORDS = {  # what a model may say
    "topology": (*TOPOLOGIES, "any"),
    "timing": ("asynchronous", "partially synchronous", "synchronous"),
    "channels": ("reliable", "reliable FIFO", "lossy"),
    "failures": ("none", "crash", "minority"),
    "identity": ("unique", "anonymous"),
    "safety": ("instant", "ever", "eventual"),
    "start": ("any", "all"),
    "election": ("explicit", "implicit"),
}


class Nonconforming(AssertionError):
    """A page breaks a rule of the suite, or a promise of its own."""


class Runaway(Exception):
    """A trial does not come to an end."""


class Check(msgspec.Struct, frozen=True):
    """One check of one algorithm.

    Attributes:
        name: of the function `check_<name>`.
        run: raises `Nonconforming`; None where the check does not apply.
        reason: why it does not apply.
    """

    name: str
    run: Callable[[], None] | None
    reason: str = ""


# -- scenarios, and what is said of them -----------------------------------------------------------------------------


def draw_scenarios(
    algorithm: str,
    count: int,
    seed: int,
    engine: str,
    sizes: Sequence[int] = SIZES,
    faults: Sequence[str] = ("none", "leader-crash"),
) -> Iterator[Scenario]:
    """At least `count` scenarios, alike for all algorithms but for their own parameters, and inside every model.

    Ids, initiators, dead nodes and faults are drawn; all counts of the page's variants are covered.
    """
    page = find_algorithm(algorithm)
    rng, parameters, free = random.Random(seed), cycle(variants(page)), page.model.start == "any"
    for n in sizes:
        topologies = cycle(graphs_of(n))
        for _ in range(-(-count // len(sizes))):
            ids = list(range(1, n + 1))
            rng.shuffle(ids)
            if (order := rng.choice(["random", "ascending", "descending"])) != "random":
                ids.sort(reverse=order == "descending")
            strongest = sorted(range(n), key=lambda p: -ids[p])
            sets = [(), tuple(strongest[:1]), tuple(strongest[:2]), (rng.randrange(n),)]
            dead = tuple(sorted(rng.choice([chosen for chosen in sets if len(chosen) <= page.model.spares(n)])))
            fault = rng.choice(faults)
            scenario = Scenario(
                algorithm=algorithm,
                parameters=next(parameters),
                topology=next(topologies),
                ids=tuple(ids),
                seed=trial_seed(rng.randrange(SEEDS), n, 0),
                delta=delta_of(algorithm, engine),
                horizon=30,
                initiators=rng.choice(["one", "all", f"random:{rng.randint(1, n)}"]) if free else "all",
                dead=dead,
                faults=parse_plan(fault if n - len(dead) > 1 else "none"),
            )
            crashes = sum(strike.what == "crash" for strike in scenario.plan.strikes)
            if len(dead) + crashes > page.model.spares(n):
                scenario = msgspec.structs.replace(scenario, faults=parse_plan("none"))
            yield scenario


def replay_command(scenario: Scenario, engine: str) -> str:
    """The command that runs a scenario again."""
    n, name = scenario.n, scenario.algorithm
    seed = next((s for s in range(SEEDS) if trial_seed(s, n, 0) == scenario.seed), scenario.seed)
    words = [f"election-bench run -a {name} -n {n} -e {engine} -f {scenario.fault} -t 1 -s {seed}"]
    words += [f"--ids {','.join(map(str, scenario.ids))} --initiators {scenario.initiators}"]
    words += [f"--delta {scenario.delta * 1e3:g}ms --horizon {scenario.horizon:g}s"]
    words += [f"--dead {','.join(map(str, scenario.dead))}"] if scenario.dead else []
    words += [f"--latency {scenario.latency}"] if scenario.latency else []
    words += [f"--topology '{scenario.topology}'"] if find_algorithm(name).model.topology == "any" else []
    words += [f"--param {name}.{key}={value}" for key, value in scenario.parameters.items()]
    return " ".join(words)


def fail(what: str, cure: str, command: str) -> NoReturn:
    """Say what is wrong, what cures it, and how to see it again.

    Raises:
        Nonconforming: always.
    """
    raise Nonconforming(f"{what}; {cure}. See it again: {command}")


def _suite(algorithm: str) -> str:
    return f"election-bench verify --conformance {algorithm}"


@contextmanager
def blaming(scenario: Scenario, engine: str) -> Iterator[None]:
    """Whatever a page raises in a trial of `scenario` is its failure, with the command that shows it."""
    try:
        yield
    except (Nonconforming, HarnessError):
        raise
    except Runaway:
        cure = "end the election, or send less"
        fail("it does not end: thousands of events, and no end in sight", cure, replay_command(scenario, engine))
    except Exception as error:
        cure = "let every handler cope with every message in every state"
        what = str(error) if isinstance(error, PageError) else f"it raised {type(error).__name__}: {error}"
        fail(what, cure, replay_command(scenario, engine))


# -- engines that look closer ----------------------------------------------------------------------------------------


class Minutes(Monitor):
    """A monitor that also keeps whom nodes took for the leader, ever, by term and excluded positions."""

    def __init__(self, scenario: Scenario, page: type[Node]) -> None:
        super().__init__(scenario.ids, page.model)
        self.minds: dict[tuple[int, Hashable], set[Id]] = defaultdict(set)

    def elect(self, time: int, position: Position, leader: Id, term: int, check: Hashable) -> None:
        if leader:
            self.minds[term, check].add(leader)
        super().elect(time, position, leader, term, check)


class Watch(Simulation):
    """A simulation judged after every step, and given up where it runs away.

    Parameters:
        scenario: the trial.
        budget: events after which it runs away.

    Attributes:
        minutes: its monitor.
    """

    def __init__(self, scenario: Scenario, budget: int = BUDGET) -> None:
        super().__init__(scenario, self.spend)
        self.left = budget
        self.execution.monitor = self.monitor = self.minutes = Minutes(scenario, self.page)

    def spend(self, *_: object) -> None:
        """Count an event."""
        self.left -= 1
        if self.left < 0:
            raise Runaway

    def happen(self, now: int, order: int, node: Node, position: Position, what: int, detail: Any) -> bool:
        self.spend()
        return super().happen(now, order, node, position, what, detail)


class WatchedSimulate(Simulate):
    """The simulator, with an end to what has none."""

    def run(self, scenario: Scenario, observer: Observer | None = None) -> Execution:
        return Watch(scenario).run()


class Probe:
    """Stands in a simulation for a node, and takes its events."""

    def __init__(self, node: Node) -> None:
        self.node = node

    def __getattr__(self, name: str) -> Any:
        return getattr(self.node, name)

    def take(self, event: str, *arguments: Any) -> Any:
        """Let the node handle an event."""
        return getattr(self.node, event)(*arguments)

    def deliver(self, *arguments: Any) -> Any:
        return self.take("deliver", *arguments)

    def fire(self, name: str) -> None:
        self.take("fire", name)

    def on_start(self) -> None:
        self.take("on_start")


class Twin(Probe):
    """Lets a copy of the node handle each event after it, and compares."""

    def take(self, event: str, *arguments: Any) -> Any:
        twin = copy.deepcopy(self.node)
        result = super().take(event, *arguments)
        getattr(twin, event)(*arguments)
        for what in ("effects", "leader", "epoch", "armed"):
            ours, theirs = getattr(self.node, what), getattr(twin, what)
            if ours != theirs:
                raise ValueError(f"from one state and event it got {what} {ours}, then {theirs}")
        return result


class Thawed(Probe):
    """Puts the node to sleep and wakes it before each event."""

    def take(self, event: str, *arguments: Any) -> Any:
        self.node = pickle.loads(pickle.dumps(self.node))
        return super().take(event, *arguments)


def probe(scenario: Scenario, kind: type[Probe]) -> tuple[list[Node], Execution]:
    """Run a trial with probes in place of its nodes; returns the nodes, too."""
    watch = Watch(scenario, BUDGET // 10)  # each event costs a copy of the node
    nodes = [node for node in watch.nodes if node is not None]
    watch.nodes = [cast(Node, kind(node)) if node is not None else None for node in watch.nodes]
    return nodes, watch.run()


def relabel(scenario: Scenario) -> Simulation:
    """A simulation of a steady trial whose links have other labels than usual, in another order."""
    watch, rng = Watch(scenario), random.Random(f"{scenario.seed}/labels")
    page = watch.page
    labels: dict[Position, dict[Any, int]] = {}
    for position in scenario.live:
        node = watch.nodes[position]
        assert node is not None
        labels[position] = dict(zip(node.ports, rng.sample(range(1000), len(node.ports)), strict=True))
    for position, names in labels.items():
        node = watch.nodes[position]
        assert node is not None
        links = {
            name: (node.links[port][0], labels[node.links[port][0]][node.links[port][1]])
            for port, name in names.items()
        }
        view = msgspec.structs.replace(node.view, ports=tuple(links))
        other = page(view, **parse_parameters(page, scenario.parameters))
        other.links, other.key, other.circle, other.place = links, node.key, node.circle, node.place
        watch.nodes[position] = other
    return watch


def run(engine: Engine, scenario: Scenario) -> tuple[Trial, list[KindCount]]:
    """Run a trial inside the model and hold it to what every trial must show, whatever the page claims."""
    row, kinds, _ = observe(engine, scenario)
    return row, kinds


def observe(engine: Engine, scenario: Scenario) -> tuple[Trial, list[KindCount], Execution]:
    """Run a trial as `run` does; returns what was seen of it, too."""
    with blaming(scenario, engine.name):
        for _ in range(5):  # a hop slower than delta says nothing of a synchronous page
            execution = engine.run(scenario)
            row, kinds = make_row(execution, scenario, "", 0, 0, engine.name)
            if row.within_model or row.error or may_fail(find_algorithm(scenario.algorithm), row.verdict):
                break
    judge(row, scenario, engine.name)
    return row, kinds, execution


def look(engine: Engine, scenario: Scenario) -> dict[str, object]:
    """Run a trial; returns all that the schedule must not decide: who is elected where, counts and bytes, claimed depth."""
    row, kinds, execution = observe(engine, scenario)
    claims = getattr(find_algorithm(scenario.algorithm), "claims", None)
    loose = find_loose(execution, scenario)
    seen: dict[str, object] = {}
    if not loose or (claims is not None and claims.leader is not None):
        seen["place"] = scenario.ids.index(row.leader) if row.leader is not None else None
    if claims is not None and claims.depth is not None:
        seen["depth"] = row.causal_depth
    for kind in kinds:
        if kind.kind_class != "detector":
            seen |= {kind.kind: kind.count, f"bytes of {kind.kind}": kind.bytes}
    return {name: value for name, value in seen.items() if loose is not None and name.split()[-1] not in loose}


def judge(row: Trial, scenario: Scenario, engine: str) -> None:
    """Hold a trial to what every trial must show: one leader, agreed by all who live, and every message accounted for."""
    beats = find_algorithm(scenario.algorithm).model.pulse is not None
    unheard = (
        row.stop == "settled" and scenario.times is not None and row.dropped
    )  # a suspicion that was lost is for good
    expected = {
        "error": "",
        "stop": "settled" if beats or unheard else "quiescent",
        "verdict": "elected",
        "violations": 0,
        "unaccounted": 0,
        "faults_fired": row.faults_planned,
    }
    if may_fail(find_algorithm(scenario.algorithm), row.verdict):
        expected |= {"verdict": "no_leader", "faults_fired": row.faults_fired}
    for name, right in expected.items():
        if getattr(row, name) != right:
            what = f"{name} is {getattr(row, name)!r}, not {right!r}"
            fail(what, "elect one live leader, in every node that lives", replay_command(scenario, engine))


# -- the checks ------------------------------------------------------------------------------------------------------


def _declared_bounds(page: type[Node]) -> Iterator[str]:
    """What is wrong with the declared bounds."""
    for which, bounds in (("all", page.claims.all), ("one", page.claims.one)):
        for n in (2, 3, 5, 8, 16):
            values = [formula.value(n, n) for formula in (bounds.best, bounds.mean, bounds.worst) if formula.value]
            if values != sorted(values):
                yield f"claims.{which} has best, mean, worst = {values} at n = {n}, which do not ascend"


def _declared_words(page: type[Node]) -> Iterator[str]:
    """What is wrong with the model, the messages and the parameters."""
    for field, words in WORDS.items():
        if getattr(page.model, field) not in words:
            yield f"model.{field} is {getattr(page.model, field)!r}, none of {', '.join(words)}"
    if not {"n", "diameter", "neighbours"}.issuperset(page.model.knows):
        yield f"model.knows is {page.model.knows}; it may hold n, diameter and neighbours"
    pointing = "ring" in page.model.topology or page.model.election == "implicit"
    if page.model.identity == "anonymous" and not (pointing and "neighbours" not in page.model.knows):
        yield "its nodes are anonymous, and then elect by distance, which takes a ring on which nobody knows a name"
    if len({message.__name__ for message in page.messages}) < len(page.messages):
        yield "two messages have one name"
    for message in page.messages:
        if not (issubclass(message, Message) and message.__struct_config__.frozen):
            yield f"{message.__name__} is no frozen Message"
    for name, parameter in page.parameters.items():
        for text in (parameter.default, *parameter.variants):
            try:
                parameter.parse(text)
            except ValueError:
                yield f"parameter {name} does not accept its own value {text!r}"


def check_declaration(algorithm: str, engine: Engine) -> None:
    """What the class declares is there, is spelt as the suite knows it, and does not contradict itself.

    A module that holds one page and nothing else tells in its docstring what the house asks of a page.
    """
    page = find_algorithm(algorithm)
    wrong = [*_declared_words(page), *(_declared_bounds(page) if hasattr(page, "claims") else ())]
    module = sys.modules[page.__module__]
    own = [it for it in vars(module).values() if inspect.isclass(it) and it.__module__ == page.__module__]
    pages = [it for it in own if issubclass(it, Node)]
    if pages == [page]:
        text = f"\n{module.__doc__ or ''}"
        places = [text.find(f"\n{heading}") for heading in HEADINGS]
        if -1 in places or places != sorted(places):
            wrong.append(f"its docstring lacks one of {', '.join(HEADINGS)}, or has them in another order")
    if wrong:
        fail(wrong[0], "declare what the theorem assumes and promises (algorithms/model.py)", _suite(algorithm))


def imported_modules(source: str) -> set[str]:
    """Names of the modules that a source imports, wherever in it; a relative one keeps its dots."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            found.add("." * node.level + (node.module or ""))
    return found


def check_imports(algorithm: str, engine: Engine) -> None:
    """The page's module imports `algorithms.model`, pure libraries, and nothing else: no clock, no world, no sibling."""
    page = find_algorithm(algorithm)
    own = page.__module__.split(".")[0]
    for name in sorted(imported_modules(inspect.getsource(sys.modules[page.__module__]))):
        root = name.split(".")[0]
        if name != "algorithms.model" and root in {*AMBIENT, "", "bench", "algorithms", own}:
            cure = "import algorithms.model only; chance is self.rng, time is set_timer, the rest belongs in the page"
            fail(f"{page.__module__} imports {name}", cure, _suite(algorithm))


def _mutable_attributes(node: Node) -> dict[str, int]:
    """Identities of the lists, dicts and sets that a node holds, but for those that the engine gave it."""
    given = {"effects", "links"}
    return {k: id(v) for k, v in vars(node).items() if k not in given and isinstance(v, (list, dict, set))}


def _class_state(page: type[Node]) -> dict[str, str]:
    """Lists, dicts and sets on the class itself, as text."""
    names = [name for name in dir(page) if not name.startswith("__")]
    return {name: repr(getattr(page, name)) for name in names if isinstance(getattr(page, name), (list, dict, set))}


def check_purity(algorithm: str, engine: Engine) -> None:
    """The same state and event give the same effects, and two nodes share nothing that changes."""
    before = _class_state(find_algorithm(algorithm))
    for scenario in draw_scenarios(algorithm, 20, 1, "simulate", faults=("none",)):
        if len(scenario.live) < 2:
            continue
        with blaming(scenario, "simulate"):
            nodes, _ = probe(scenario, Twin)
        shared = [
            name
            for name, identity in _mutable_attributes(nodes[0]).items()
            if identity == _mutable_attributes(nodes[1]).get(name)
        ]
        after = _class_state(find_algorithm(algorithm))
        shared += [name for name in after if after[name] != before.get(name)]
        if shared:
            cure = "make it in init, on self: nodes are different machines"
            fail(f"two nodes share {shared[0]}", cure, replay_command(scenario, "simulate"))


def check_pickling(algorithm: str, engine: Engine) -> None:
    """A node can be pickled between any two events, and goes on as if nothing had been."""
    for scenario in draw_scenarios(algorithm, 10, 2, "simulate", faults=("none",)):
        if len(scenario.live) < 2:
            continue
        with blaming(scenario, "simulate"):
            thawed = make_row(probe(scenario, Thawed)[1], scenario, "", 0, 0, "simulate")
            plain = make_row(Watch(scenario).run(), scenario, "", 0, 0, "simulate")
        if thawed != plain:
            cure = "keep all state in attributes that pickle (no closures, no generators)"
            fail("pickled between events it goes another way", cure, replay_command(scenario, "simulate"))


def fingerprint(algorithm: str) -> str:
    """A digest of all deliveries and rows of a handful of simulated trials."""
    digest = blake2b(digest_size=8)
    for scenario in draw_scenarios(algorithm, 10, 3, "simulate"):
        with blaming(scenario, "simulate"):
            watch = Watch(scenario)

            def observe(*delivery: object, watch: Watch = watch) -> None:
                watch.spend()
                digest.update(repr(delivery).encode())

            watch.observer = observe
            digest.update(repr(make_row(watch.run(), scenario, "", 0, 0, "simulate")).encode())
    return digest.hexdigest()


def check_determinism(algorithm: str, engine: Engine) -> None:
    """The same scenario gives the same trace: twice here, and in fresh processes that hash differently."""
    code = "import sys; from bench.conformance import fingerprint; print(fingerprint(sys.argv[1]))"
    path, prints = os.pathsep.join(sys.path), [fingerprint(algorithm), fingerprint(algorithm)]
    for seed in "12":
        fresh = subprocess.run(
            [sys.executable, "-c", code, algorithm],
            env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": path},
            capture_output=True,
            text=True,
        )
        prints.append(fresh.stdout.strip() or (fresh.stderr.strip().splitlines() or ["no output"])[-1])
    if len(set(prints)) > 1:
        cure = "iterate over no set or hash without sorted(), and draw from self.rng alone"
        fail(f"one scenario, several traces: {', '.join(prints)}", cure, _suite(algorithm))


def check_lone(algorithm: str, engine: Engine) -> None:
    """A system of one live node elects it; alone in the world, or sparing the dead, it sends nothing."""
    page, seed = find_algorithm(algorithm), trial_seed(1, 1, 0)
    for ids, dead in (((1,), ()), ((2, 3, 1), (1, 2))):
        if len(dead) > page.model.spares(len(ids)):
            continue
        delta = delta_of(algorithm, engine.name)
        scenario = Scenario(algorithm=algorithm, ids=ids, seed=seed, delta=delta, horizon=30, dead=dead)
        row, _ = run(engine, scenario)
        if row.messages and (page.model.failures == "none" or len(ids) == 1):
            cure = "let a node without neighbours elect itself at once"
            fail(f"one node, and it sent {row.messages} messages", cure, replay_command(scenario, engine.name))


def judge_steps(scenario: Scenario) -> str:
    """Simulate a steady trial, and hold every step of it to one leader a key: nobody ever takes another for it.

    Returns the verdict, which may be that nobody was lucky.
    """
    watch = Watch(scenario)
    with blaming(scenario, "simulate"):
        execution = watch.run()
    row, _ = make_row(execution, scenario, "", 0, 0, "simulate")
    judge(row, scenario, "simulate")
    if watch.page.model.safety == "eventual":
        return row.verdict
    for (term, _), leaders in watch.minutes.minds.items():
        if len(leaders) > 1:
            what = f"in election {term} nodes elected {', '.join(map(str, sorted(leaders)))} in turn"
            fail(what, "elect only once nothing can change the outcome", replay_command(scenario, "simulate"))
    return row.verdict


def check_agreement(algorithm: str, engine: Engine) -> None:
    """Under many random schedules, after every step, all who have elected have elected the same.

    Where nobody may be elected by bad luck, that is rare.
    """
    verdicts = [judge_steps(it) for it in draw_scenarios(algorithm, 200, 4, "simulate", faults=("none",))]
    if verdicts.count("elected") * 5 < len(verdicts) * 4:
        what = f"{verdicts.count('elected')} of {len(verdicts)} elections elected somebody"
        fail(what, "declare an implicit election only where it fails with small probability", _suite(algorithm))
    if engine.name != "simulate":
        for scenario in draw_scenarios(algorithm, 40, 4, engine.name, faults=("none",)):
            run(engine, scenario)


def check_interleavings(algorithm: str, engine: Engine) -> None:
    """Every interleaving of small systems: of four nodes, and of three of which any one may crash at any step.

    Timers of a synchronous model fire when nothing is in flight, and so they do in a partially synchronous one, which
    promises an end only once the network is timely; those of any other, and of a page that never falls silent, at any time.
    Of such a page three nodes that live are enough: it does the more.
    """
    page = find_algorithm(algorithm)
    late = page.model.timing == "asynchronous" or page.model.pulse is not None
    for n, crashes in ((4, 0), (3, 1)) if page.model.pulse is None else ((3, 0),):
        question = Question(algorithms=(algorithm,), nodes=(n,), crashes=crashes, late=late)
        ids = next(choose_arrangements(page, n, "descending", 1))
        system = make_system(question, algorithm, ids)
        found = explore(system, FEW if page.model.safety == "ever" and page.model.pulse is None else STATES)
        if found.fault:
            way = follow(system, [label_of(system, move) for move in found.witness])
            cure = "find the step in the execution that this replays"
            fail(way.fault or found.fault, cure, command_for(question, algorithm, ids, way.schedule))


def check_late(algorithm: str, engine: Engine) -> None:
    """Messages that take any time, some a hundred times as long as others, change nothing in an asynchronous model."""
    for scenario in draw_scenarios(algorithm, 60, 5, "simulate", faults=("none",)):
        for latency in ("exp:20ms", "lognormal:2ms:2"):
            judge_steps(msgspec.structs.replace(scenario, latency=latency, horizon=60))


def check_order(algorithm: str, engine: Engine) -> None:
    """Only the order of ids matters: other ids in the same order elect the same place at the same cost."""
    simulate = WatchedSimulate()  # which repeats the schedule, too
    for scenario in draw_scenarios(algorithm, 20, 6, "simulate"):
        other = msgspec.structs.replace(scenario, ids=tuple(7 * identity + 3 for identity in scenario.ids))
        seen = []
        for one in (scenario, other):
            row, kinds = run(simulate, one)
            assert row.leader is not None
            counts = {kind.kind: kind.count for kind in kinds if kind.kind_class != "detector"}
            seen.append((one.ids.index(row.leader), counts))
        if seen[0] != seen[1]:
            what = f"ids {scenario.ids} give {seen[0]}, {other.ids} give {seen[1]}"
            fail(what, "compare ids and do nothing else with them", replay_command(other, "simulate"))


def check_knowledge(algorithm: str, engine: Engine) -> None:
    """The page reads nothing that its model does not grant: n only where it is known, an id only where there is one.

    What the engines keep on a node for themselves it never reads.
    """
    page = find_algorithm(algorithm)
    holes = {"n"} - set(page.model.knows) | {"links", "key", "circle", "place"}
    if page.model.identity == "anonymous":
        holes |= {"id", "leader"}
    for cls in page.__mro__[: page.__mro__.index(Node)]:
        for node in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(cls)))):
            if isinstance(node, ast.Attribute) and node.attr in holes and ast.unparse(node.value) == "self":
                what = f"it reads self.{node.attr}, which its model does not grant"
                fail(what, "declare it in model, or do without", _suite(algorithm))


def check_labels(algorithm: str, engine: Engine) -> None:
    """Where neighbours' ids are not known, a link's label says nothing: other labels, other order, same counts.

    Where the schedule decides, the order of the labels may, too: then only the election must succeed.
    """
    page = find_algorithm(algorithm)
    for scenario in draw_scenarios(algorithm, 30, 7, "simulate", faults=("none",)):
        if len(scenario.live) < 2:
            continue
        with blaming(scenario, "simulate"):
            execution = relabel(scenario).run()
        row, kinds = make_row(execution, scenario, "", 0, 0, "simulate")
        judge(row, scenario, "simulate")
        if find_loose(execution, scenario) != set():
            continue
        usual, usual_kinds = make_row(Watch(scenario).run(), scenario, "", 0, 0, "simulate")
        if row.leader != usual.leader or [k.count for k in kinds] != [k.count for k in usual_kinds]:
            what = f"with other labels of the links {page.__name__} elects {row.leader} at {row.messages} messages, "
            what += f"not {usual.leader} at {usual.messages}"
            fail(what, "use a port to send and to answer, and for nothing else", replay_command(scenario, "simulate"))


def check_witness(algorithm: str, engine: Engine) -> None:
    """The arrangements that are said to reach the best and the worst case reach them, and cost what the theorem says."""
    claims = find_algorithm(algorithm).claims
    for which, witness in (("best", claims.best_case), ("worst", claims.worst_case)):
        for n in SIZES if witness else ():
            assert witness is not None
            ids, starts = witness(n)
            scenario = Scenario(
                algorithm=algorithm,
                ids=ids,
                seed=trial_seed(1, n, 0),
                delta=delta_of(algorithm, engine.name),
                horizon=30,
                initiators=",".join(map(str, starts)),
            )
            messages = _hold_to_theorem(engine, scenario).messages
            formula: Formula = getattr(claims.all if len(starts) == n else claims.one, which)
            if formula.value is not None and messages != formula.value(n, n):
                what = f"the {which} case of n = {n} costs {messages} messages, not {formula.value(n, n)}"
                fail(what, "correct the bound or its witness", replay_command(scenario, engine.name))


def _hold_to_theorem(engine: Engine, scenario: Scenario) -> Trial:
    """Run a trial; what differs from the closed form is a failure."""
    with blaming(scenario, engine.name):
        checked = check_trial(engine, scenario)
    if checked.wrong:
        cure = "correct the page, or the closed form that it claims"
        fail("; ".join(checked.wrong), cure, replay_command(scenario, engine.name))
    return checked.row


def check_claims(algorithm: str, engine: Engine) -> None:
    """In random arrangements every count by kind, and the causal depth where it is claimed, equals the closed form."""
    for scenario in draw_scenarios(algorithm, 150 if engine.name == "simulate" else 50, 8, engine.name):
        _hold_to_theorem(engine, scenario)


def check_minority(algorithm: str, engine: Engine) -> None:
    """With more nodes down than the model spares, nobody ever takes itself for the leader."""
    page, delta = find_algorithm(algorithm), delta_of(algorithm, engine.name)
    for n in SIZES[:4]:
        down = page.model.spares(n) + 1
        for dead in (tuple(range(down)), tuple(range(n - down, n))):
            scenario = Scenario(
                algorithm=algorithm,
                ids=tuple(range(1, n + 1)),
                seed=trial_seed(1, n, 0),
                delta=delta,
                horizon=50 * delta,
                dead=dead,
            )
            with blaming(scenario, engine.name):
                reigns = engine.run(scenario).monitor.reigns
            if reigns:
                what = f"with {down} of {n} down node {reigns[0].position} leads"
                fail(what, "lead with a majority only", replay_command(scenario, engine.name))


def check_resilience(algorithm: str, engine: Engine) -> None:
    """A crash at any moment, of the leader or of anybody: the survivors agree on one of them, nothing is unaccounted."""
    delta = delta_of(algorithm, engine.name)
    if engine.name == "simulate":
        hop, count = delta, 400
    else:
        hop, count = 0.0002, 30  # a real hop takes far less than its bound
    faults = ["leader-crash"]
    faults += [f"crash:random={k},within={round(hop * hops * 1e6)}us" for hops in (0.5, 2, 6, 16) for k in (1, 1, 2)]
    for scenario in draw_scenarios(algorithm, count, 9, engine.name, faults=faults):
        run(engine, scenario)


def check_adversity(algorithm: str, engine: Engine) -> None:
    """Loss, doubles, pauses, partitions, and nodes that come back, at any moment: in the end one leader, never too many.

    Nodes that come back do so at the pace of an election, too: what they forgot of it is what they might do twice.
    """
    delta, times = delta_of(algorithm, engine.name), find_algorithm(algorithm).model.pulse
    hop = delta if engine.name == "simulate" else 0.0002  # a real hop takes far less than its bound
    long = (2 * times.timeout(parse_parameters(find_algorithm(algorithm), {})) if times else 20) * delta
    cuts = ("leader-alone", "halves", "bridge", "one-way", "minority")
    faults = [f"partition:{cut},for={round(long * 1e6)}us" for cut in cuts]
    faults += [f"pause:leader,for={round(long * 1e6)}us", f"leader-crash+slow:node=0,factor={1e3 * delta:g}"]
    faults += ["loss:0.1", "duplicate:0.2", "reorder:0.2", "leader-crash+loss:0.05"]
    faults += [f"crash-recover:after={round(time * 1e6)}us" for time in (hop, long)]
    faults += [f"rolling:every={round(time * 1e6)}us+loss:0.05" for time in (hop, long)]
    spans = ((time, min(8 * long, 100 * time)) for time in (hop, long / 10))  # twenty crashes or so
    faults += [f"churn:rate={0.2 / time:g},for={round(span * 1e6)}us" for time, span in spans]
    count = 400 if engine.name == "simulate" else 30
    for scenario in draw_scenarios(algorithm, count, 11, engine.name, (3, 4, 5), ("none",)):
        rng = random.Random(scenario.seed)
        plan, detector = parse_plan(rng.choice(faults)), "perfect" if times else str(parse_detector("heartbeat", delta))
        run(engine, msgspec.structs.replace(scenario, dead=(), initiators="all", faults=plan, detector=detector))


def check_parity(algorithm: str, engine: Engine) -> None:
    """Real processes and the simulation agree on winner, counts, bytes and claimed depth, unless the schedule decides."""
    simulate = WatchedSimulate()
    with Processes((algorithm,)) if engine.name == "simulate" else nullcontext(engine) as processes:
        for scenario in draw_scenarios(algorithm, 16, 10, "processes"):
            hops = ("", "0", f"{scenario.delta * 500:g}ms")
            looks = [look(simulate, msgspec.structs.replace(scenario, latency=hop)) for hop in hops]
            real = look(processes, scenario)
            for name, value in looks[0].items() if real else ():  # where the schedule decides, nothing is looked at
                if all(other.get(name) == value for other in looks) and real.get(name) != value:
                    what = f"{name} is {real.get(name)} on processes, {value} in simulation"
                    fail(what, "let nothing but events decide", replay_command(scenario, "processes"))


# -- which of them apply ---------------------------------------------------------------------------------------------

CHECKS: tuple[Callable[[str, Engine], None], ...] = (
    check_declaration,
    check_imports,
    check_purity,
    check_pickling,
    check_determinism,
    check_lone,
    check_agreement,
    check_interleavings,
    check_late,
    check_order,
    check_knowledge,
    check_labels,
    check_witness,
    check_claims,
    check_minority,
    check_resilience,
    check_adversity,
    check_parity,
)


def _reasons(page: type[Node]) -> dict[str, str]:
    """Why checks do not apply to a page, by name; those that apply are not in it."""
    reasons, model, claims = {}, page.model, getattr(page, "claims", None)
    if model.timing != "asynchronous":
        reasons["late"] = f"the model is {model.timing}"
    if model.safety == "eventual":
        reasons["interleavings"] = "it promises nothing of any instant"
    if model.channels != "lossy":
        reasons["adversity"] = "its channels are reliable"
    if model.identity != "unique":
        reasons["order"] = "nodes have no ids"
    if model.topology not in ("complete", "any") or "neighbours" in model.knows:
        reasons["labels"] = "labels of links mean something in this model"
    if model.failures != "minority":
        reasons["minority"] = "one live node is enough"
    if claims is None:
        reasons["claims"] = reasons["witness"] = "it claims no counts"
    elif claims.best_case is None and claims.worst_case is None:
        reasons["witness"] = "it names no best or worst case"
    return reasons


def checks(algorithm: str, engine: Engine) -> Iterator[Check]:
    """Every check of an algorithm on an engine, with the reason where it does not apply.

    Raises:
        ValueError: if there is no such algorithm.
    """
    reasons = _reasons(find_algorithm(algorithm))
    for check in CHECKS:
        name = check.__name__.removeprefix("check_")
        if name in reasons:
            yield Check(name, None, reasons[name])
        else:
            yield Check(name, lambda check=check: check(algorithm, engine))  # type: ignore[misc]


def run_conformance(algorithm: str, engine_name: str) -> int:
    """Print one line for each check of an algorithm on an engine; returns the exit code, 1 if one failed.

    Raises:
        ValueError: if there is no such algorithm.
    """
    find_algorithm(algorithm)
    failed = 0
    with Processes((algorithm,)) if engine_name == "processes" else nullcontext(WatchedSimulate()) as engine:
        for check in checks(algorithm, engine):
            if check.run is None:
                print(f"n/a     {check.name}: {check.reason}")
                continue
            try:
                check.run()
                print(f"ok      {check.name}", flush=True)
            except Nonconforming as wrong:
                failed += 1
                print(f"FAILED  {check.name}: {wrong}", flush=True)
    return 1 if failed else 0
