"""Settings of a run: what the options and a profile say, checked before anything is written."""

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from bench import BadInput as BadInput
from bench.detector import parse_detector
from bench.faults import FAULTS, Faults, parse_fault, parse_faults, parse_plan, write_plan
from bench.latency import make_link_sampler, read_matrix, seconds
from bench.scenario import (
    Scenario,
    choose_ids,
    choose_initiators,
    find_algorithm,
    parse_parameters,
    trial_seed,
)
from bench.topology import GRAPHS, find_graph

ENGINES = ("processes", "simulate")
PROFILES = Path(__file__).parent / "profiles"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a run is asked to do; the fields are the options of `run`, as text where they are text there."""

    algorithms: tuple[str, ...]
    nodes: tuple[int, ...]
    faults: tuple[str, ...] = ("none", "leader-crash")
    engine: str = "processes"
    trials: int = 20
    seed: int = 1
    ids: str = "random"
    initiators: str = "all"
    dead: tuple[int, ...] = ()
    topology: str = "grid"
    detector: str = "perfect"
    latency: str = ""
    delta: str = "auto"
    horizon: str = "auto"
    parameters: dict[str, dict[str, str]] = {}
    profile: str = ""
    also: tuple["Settings", ...] = ()  # more grids of the same run

    @property
    def grids(self) -> tuple["Settings", ...]:
        """All grids of the run."""
        return (self, *self.also)

    @property
    def sizes(self) -> tuple[int, ...]:
        """All sizes of the run."""
        return tuple(dict.fromkeys(n for grid in self.grids for n in grid.nodes))


class Planned(msgspec.Struct, frozen=True):
    """One trial of a run, before it runs."""

    trial: int
    rep: int
    scenario: Scenario


def read_profile(name: str) -> dict[str, Any]:
    """Options from a TOML profile, by name of `run`'s long options; `name` is one of ours or a path.

    Raises:
        BadInput: if there is no such profile, it is no TOML, or it holds an unknown option.
    """
    path = PROFILES / f"{name}.toml" if "/" not in name and not name.endswith(".toml") else Path(name)
    try:
        options = tomllib.loads(path.read_text())
    except OSError:
        ours = ", ".join(sorted(profile.stem for profile in PROFILES.glob("*.toml")))
        raise BadInput(f"--profile: cannot read {name!r}; there are {ours}, or give the path of a TOML file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"--profile: {name!r} is no TOML: {error}") from None
    known = {*Settings.__struct_fields__, "param", "loss"} - {"profile", "parameters"}
    tables = [options, *options.get("also", [])]
    unknown = [option for table in tables for option in table if option not in known]
    if unknown:
        raise BadInput(f"--profile: {name!r} sets {unknown[0]!r}; it may set {', '.join(sorted(known))}")
    return options


def split_words(value: Any) -> list[str]:
    """A list, or a comma-separated text, as words."""
    return [str(word) for word in value] if isinstance(value, (list, tuple)) else str(value).split(",")


def whole_number(option: str, text: object, least: int) -> int:
    """A whole number of at least `least`.

    Raises:
        BadInput: names the option.
    """
    try:
        value = int(str(text))
    except ValueError:
        several = "; write such as 4,8,16" if option == "nodes" else ""
        raise BadInput(f"--{option}: {text!r} is no whole number{several}") from None
    if value < least:
        raise BadInput(f"--{option}: {value} is too small; it must be at least {least}")
    return value


def collect_parameters(words: list[str], algorithms: tuple[str, ...]) -> dict[str, dict[str, str]]:
    """Parameters by algorithm and name, from words such as `bully.coordinator=lower`, checked.

    Raises:
        BadInput: for the first word or algorithm that is wrong.
    """
    parameters: dict[str, dict[str, str]] = {}
    for word in words:
        target, equals, value = word.partition("=")
        algorithm, dot, name = target.rpartition(".")
        if not equals or not dot:
            raise BadInput(f"--param: {word!r} is not of the form algorithm.name=value")
        if algorithm not in algorithms:
            raise BadInput(f"--param: {word!r} is for {algorithm!r}, which is not among --algorithms")
        parameters.setdefault(algorithm, {})[name] = value
    for algorithm in algorithms:
        try:
            page = find_algorithm(algorithm)
        except ValueError as error:
            raise BadInput(f"--algorithms: {error}") from None
        try:
            parse_parameters(page, parameters.get(algorithm, {}))
        except ValueError as error:
            raise BadInput(f"--param: {algorithm}: {error}") from None
    return parameters


def make_settings(options: Mapping[str, Any], profile: str) -> Settings:
    """Settings from options by their long names (a list or a text each), checked one by one.

    Raises:
        BadInput: for the first that is wrong.
    """
    algorithms = tuple(dict.fromkeys(word.strip() for word in split_words(options["algorithms"])))
    parameters = collect_parameters(split_words(options["param"]) if options.get("param") else [], algorithms)
    if (topology := str(options.get("topology", "grid"))) not in GRAPHS:
        raise BadInput(f"--topology: no topology {topology!r}; there are {', '.join(GRAPHS)}")
    engine, latency = options.get("engine", "processes"), options.get("latency", "")
    parsed = read_faults(options, engine)
    for option in ("delta", "horizon"):
        if options.get(option, "auto") != "auto":
            try:
                if seconds(str(options[option])) <= 0:
                    raise ValueError("it must be more than nothing")
            except ValueError as error:
                raise BadInput(f"--{option}: {error}, or auto") from None
    if engine not in ENGINES:
        raise BadInput(f"--engine: {engine!r} is not to be had; there are {' and '.join(ENGINES)}")
    try:
        times = parse_detector(str(options.get("detector", "perfect")), 1.0)
    except ValueError as error:
        raise BadInput(f"--detector: {error}") from None
    blind = [fault for plan in parsed for fault in plan if FAULTS[fault.name].blind]
    if blind and times is None and any(find_algorithm(name).model.pulse is None for name in algorithms):
        raise BadInput(
            f"--faults: the perfect detector never suspects the living, so {blind[0]} needs --detector heartbeat"
        )
    try:
        make_link_sampler(latency, 1.0, Random(0))
    except ValueError as error:
        raise BadInput(f"--latency: {error}") from None
    nodes = tuple(dict.fromkeys(whole_number("nodes", word, 1) for word in split_words(options["nodes"])))
    if engine == "processes":
        check_machine(nodes)  # before anything is made that grows with n
    settings = Settings(
        algorithms=algorithms,
        nodes=nodes,
        faults=tuple(dict.fromkeys(map(write_plan, parsed))),
        topology=topology,
        detector=str(options.get("detector", "perfect")),
        trials=whole_number("trials", options.get("trials", 20), 1),
        seed=whole_number("seed", options.get("seed", 1), 0),
        ids=",".join(split_words(options.get("ids", "random"))),
        initiators=",".join(split_words(options.get("initiators", "all"))),
        dead=tuple(
            sorted({whole_number("dead", word, 0) for word in split_words(options["dead"])})
            if options.get("dead")
            else ()
        ),
        engine=engine,
        latency=latency if engine == "simulate" and read_matrix(latency) is None else "",
        delta=str(options.get("delta", "auto")),
        horizon=str(options.get("horizon", "auto")),
        parameters=parameters,
        profile=profile,
    )
    check_settings(settings, initiators_given="initiators" in options)
    shared = {name: value for name, value in options.items() if name != "also"}
    return msgspec.structs.replace(
        settings, also=tuple(make_settings(shared | table, profile) for table in options.get("also", []))
    )


def check_machine(sizes: Iterable[int]) -> None:
    """Refuse sizes that this machine cannot hold as real processes.

    Raises:
        BadInput: says which limit is too low and how to raise it.
    """
    from bench.calibrate import check_limits

    try:
        check_limits(max(sizes))
    except ValueError as error:
        raise BadInput(f"--nodes: {error}") from None


def read_faults(options: Mapping[str, Any], engine: str) -> list[Faults]:
    """The plans of faults, with what `--loss` and, on real processes, `--latency` add to each of them.

    Raises:
        BadInput: names the option.
    """
    weather = []
    for option, name in (("loss", "loss"), ("latency", "delay")):
        if options.get(option):
            try:
                if option == "latency" and engine == "simulate" and read_matrix(options[option]) is None:
                    continue  # there it is the model of the links themselves
                weather.append(parse_fault(f"{name}:{options[option]}"))
            except ValueError as error:
                raise BadInput(f"--{option}: {error}") from None
    try:
        parsed = parse_faults(",".join(split_words(options.get("faults", "none,leader-crash"))))
    except ValueError as error:
        raise BadInput(f"--faults: {error}") from None
    own = {fault.name for fault in weather}
    return [
        (*(fault for fault in plan if fault.name not in own and (fault.name != "none" or not weather)), *weather)
        for plan in parsed
    ]


def settings_of(stored: dict[str, Any]) -> Settings:
    """Settings as a manifest holds them."""
    return msgspec.convert(stored, Settings)


def options_of(settings: Settings) -> dict[str, Any]:
    """The options that `make_settings` turns into `settings`."""
    options: dict[str, Any] = msgspec.to_builtins(settings)
    parameters = options.pop("parameters").items()
    del options["profile"]
    if not settings.latency:
        del options["latency"]  # if there was one it is among the faults
    return options | {
        "param": [f"{a}.{name}={text}" for a, texts in parameters for name, text in texts.items()],
        "also": [options_of(grid) for grid in settings.also],
    }


def check_settings(settings: Settings, initiators_given: bool) -> None:
    """Check what depends on several options: dead nodes, ids and initiators for every size.

    Raises:
        BadInput: for the first that is wrong.
    """
    if initiators_given and settings.initiators == "":
        raise BadInput("--initiators: nobody would start; write all, one, random:K or positions")
    for name in settings.algorithms:
        if find_algorithm(name).model.start == "all":
            if settings.initiators != "all":
                raise BadInput(f"--initiators: all nodes of {name} start at once; leave it out")
            if settings.detector != "perfect":
                raise BadInput(f"--detector: all nodes of {name} start at once; only the perfect one tells all at once")
    free = [name for name in settings.algorithms if find_algorithm(name).model.topology == "any"]
    if settings.topology != "grid" and not free:
        raise BadInput(
            f"--topology: {settings.algorithms[0]} has a topology of its own; only a page for any graph takes one"
        )
    for n in settings.nodes:
        if settings.dead and settings.dead[-1] >= n:
            raise BadInput(
                f"--dead: there is no position {settings.dead[-1]} among {n} nodes; positions are 0 to {n - 1}"
            )
        if free:
            try:
                find_graph(settings.topology, n, settings.seed)
            except ValueError as error:
                raise BadInput(f"--topology: {error}") from None
        live = n - len(settings.dead)
        if live < 1:
            raise BadInput(f"--dead: all {n} nodes would be down; leave at least one")
        check_targets(settings, n)
        deadly = [fault for fault in settings.faults if fault != "none"]
        if live < 2 and deadly:
            raise BadInput(f"--faults: {deadly[0]} at n = {n} with {live} live would leave nobody; use more --nodes")
        for algorithm in settings.algorithms:
            try:
                make_scenario(settings, algorithm, n, "none", 0, 1.0)
            except ValueError as error:
                option = "initiators" if "initiator" in str(error) else "ids"
                raise BadInput(f"--{option}: {error}") from None


def check_targets(settings: Settings, n: int) -> None:
    """Check that there is somebody whom each fault can strike.

    Raises:
        BadInput: for the first that could strike nobody.
    """
    pages = [find_algorithm(algorithm) for algorithm in settings.algorithms]
    kinds = sorted({message.__name__ for page in pages for message in page.messages})
    for fault in (fault for text in settings.faults for fault in parse_plan(text)):
        own = fault.parameters
        position = own.get("node") or (own[""] if fault.name == "pause" else "")
        if position.isdigit() and (int(position) >= n or int(position) in settings.dead):
            raise BadInput(f"--faults: {fault}: {position} is not a live position among {n} nodes, 0 to {n - 1}")
        if int(own.get("rank", 1)) > n - len(settings.dead):
            raise BadInput(f"--faults: {fault}: there are only {n - len(settings.dead)} live nodes at n = {n}")
        if fault.name == "crash-at" and own[""] not in kinds:
            raise BadInput(f"--faults: {fault}: nobody sends {own['']!r}; kinds of message are {', '.join(kinds)}")


def make_scenario(settings: Settings, algorithm: str, n: int, fault: str, rep: int, delta: float) -> Scenario:
    """One trial of a run; `delta` (s) is the bound on one hop in force.

    Raises:
        ValueError: if ids or initiators are wrong for n.
    """
    seed = trial_seed(settings.seed, n, rep)
    ids, implied = choose_ids(settings.ids, find_algorithm(algorithm), n, seed)
    initiators = settings.initiators
    if implied is not None and initiators == "all" and (starts := set(implied) - set(settings.dead)):
        initiators = ",".join(map(str, sorted(starts)))
    scenario = Scenario(
        algorithm=algorithm,
        parameters=settings.parameters.get(algorithm, {}),
        topology=settings.topology,
        ids=ids,
        initiators=initiators,
        dead=settings.dead,
        faults=parse_plan(fault),
        detector=str(parse_detector(settings.detector, delta) or "perfect"),
        delta=delta,
        latency=settings.latency,
        horizon=choose_horizon(settings.horizon, n, delta),
        seed=seed,
    )
    choose_initiators(initiators, scenario.live, seed)
    if settings.horizon == "auto":
        span = sum(strike.at for strike in scenario.plan.strikes[-1:])
        scenario = msgspec.structs.replace(scenario, horizon=scenario.horizon + span)
    return scenario


def choose_horizon(text: str, n: int, delta: float) -> float:
    """The longest a trial without faults may take, in seconds; `auto` leaves room for n² messages and many timeouts."""
    return 20 + 40 * delta + 2e-4 * n * n if text == "auto" else seconds(text)


def plan(settings: Settings, deltas: Mapping[int, float]) -> list[Planned]:
    """All trials of a run, in the order in which they run: interleaved over algorithms, repetition by repetition, so
    that drift of the machine hits all alike."""
    cells = [
        (grid, algorithm, n, fault, rep)
        for grid in settings.grids
        for n in grid.nodes
        for fault in grid.faults
        for rep in range(grid.trials)
        for algorithm in grid.algorithms
    ]
    return [
        Planned(trial, rep, make_scenario(grid, algorithm, n, fault, rep, deltas[n]))
        for trial, (grid, algorithm, n, fault, rep) in enumerate(cells)
    ]
