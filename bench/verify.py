"""Verify: every interleaving of a small system, or a hunt through a larger one; what is wrong is told step by step."""

import random
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import permutations
from pathlib import Path
from typing import Any

import click
import msgspec

from algorithms import ALGORITHMS
from algorithms.model import Id, Node, Position
from bench.engines.explore import (
    ENDLESS,
    SAVED,
    Delivery,
    Found,
    Move,
    Recover,
    State,
    Suspect,
    System,
    Timer,
    Trust,
    explore,
    is_quiet,
)
from bench.events import Span
from bench.scenario import Scenario, choose_ids, choose_initiators, find_algorithm, trial_seed
from bench.settings import BadInput, collect_parameters, split_words, whole_number

STRIKING = 0.05  # how often a hunt lets a node crash or come back where it may


class Step(msgspec.Struct):
    """One step of an execution, told.

    Attributes:
        label: the step as text that can be replayed.
        position: the node to which it happened.
        what: what happened to it.
        source: where a message came from, or -1.
        sends: target and text of each message that it sent.
        elected: whom it elected.
        crashed: whether it is no more.
        back: whether it came back.
        lost: whether a message to it was lost, and nothing happened to it.
    """

    label: str
    position: Position
    what: str
    source: Position
    sends: list[tuple[Position, str]]
    elected: list[Id]
    crashed: bool
    back: bool = False
    lost: bool = False


class Way(msgspec.Struct):
    """An execution: its steps, and what is wrong at its end (nothing, if nothing is).

    Attributes:
        open: whether something could still happen.
    """

    steps: list[Step]
    fault: str
    open: bool

    @property
    def schedule(self) -> str:
        """The steps as text that `follow` takes."""
        return " ".join(step.label for step in self.steps)


def label_of(system: System, move: Move) -> str:
    """A step as text: `2!` starts, `2<0` gets the next message from 0, `2-0` never gets it, `2?1` suspects 1, `2@answer` a
    timer fires, `2x` crashes, `2+` comes back, `1<2` hears of that; `2<0/1` crashes when it has sent the first message in
    answer to that, or saved something, where that matters."""
    if move.event < 0:
        return f"{move.position}x"
    match system.events.things[move.event]:
        case Delivery(source=source):
            word = f"-{source}" if move.lost else f"<{source}"
        case Suspect(position=victim):
            word = f"?{victim}"
        case Trust(position=source):
            word = f"<{source}"
        case Recover():
            word = "+"
        case Timer(name=name):
            word = f"@{name}"
        case _:
            word = "!"
    return f"{move.position}{word}" + (f"/{move.kept}" if move.kept >= 0 else "")


def tell(system: System, state: State, move: Move) -> Step:
    """Say what a step does."""
    step = Step(label_of(system, move), move.position, "crashes", -1, [], [], move.event < 0 or move.kept >= 0)
    if move.event < 0:
        return step
    match system.events.things[move.event]:
        case Delivery(source=source, msg=msg):
            step.what, step.source = f"gets {msg or 'what belongs to a past election'} from {source}", source
            if move.lost:
                step.what, step.lost = f"never {step.what}: it is lost", True
                return step
        case Suspect(position=victim):
            step.what = f"suspects {victim}"
        case Trust(position=source):
            step.what = f"trusts {source} again"
        case Recover():
            step.what, step.back = "comes back", True
        case Timer(name=name):
            step.what = f"waits no longer (timer {name})"
        case _:
            step.what = "starts"
    outcome = system.ask(state, move.position, move.event)
    kept = outcome.sends if move.kept < 0 else outcome.sends[: move.kept]
    for link, arrival in kept:
        if link == SAVED:
            continue
        step.sends.append(((link - system.n) % system.n, str(system.events.things[arrival].msg)))
    step.elected = [leader for _, leader in system.counted(outcome, move)]
    return step


def follow(system: System, labels: Iterable[str], lenient: bool = False) -> Way:
    """Replay a schedule until it ends or something is wrong; without reduction, which would leave steps out.

    Parameters:
        system: what to run.
        labels: the steps.
        lenient: leave out what is not possible, and go on at the end until nothing more happens.

    Raises:
        ValueError: for a step that is not possible, unless `lenient`.
    """
    state, way, system.reduce = system.initial, Way([], "", True), False

    def take(move: Move) -> bool:
        nonlocal state
        after = system.step(state, move)
        if system.is_beyond(after, move):
            return False
        way.steps.append(tell(system, state, move))
        way.fault = system.find_fault(state, move, after)
        state = after
        return not way.fault

    for label in labels:
        moves = {label_of(system, move): move for move in system.moves(state)}
        if label in moves:
            if not take(moves[label]):
                return way
        elif not lenient:
            possible = ", ".join(moves) or "nothing"
            raise ValueError(f"step {len(way.steps) + 1} cannot be {label!r}; possible there: {possible}")
    moves_left = system.moves(state)
    while lenient and not is_quiet(moves_left) and len(way.steps) < ENDLESS:
        if not take(next(move for move in moves_left if not move.is_fault)):
            return way
        moves_left = system.moves(state)
    way.open = not is_quiet(moves_left)
    if not way.open:
        way.fault = system.judge_end(state)
    return way


def wander(system: System, rng: random.Random) -> Way:
    """Let chance choose each step until nothing more happens or something is wrong."""
    system.reduce = False
    state, labels, fault = system.initial, list[str](), ""
    while (moves := system.moves(state)) and not fault and len(labels) < ENDLESS:
        if is_quiet(moves) and system.judge_end(state):
            break
        faults = [move for move in moves if move.is_fault]
        others = [move for move in moves if not move.is_fault]
        move = rng.choice(faults if faults and (not others or rng.random() < STRIKING) else others)
        after = system.step(state, move)
        if system.is_beyond(after, move):
            break
        labels.append(label_of(system, move))
        fault, state = system.find_fault(state, move, after), after
    return follow(system, labels)


def shrink(system: System, way: Way) -> Way:
    """A shorter execution that is wrong, too: leave out ever smaller pieces of the schedule while something is wrong."""
    size = len(way.steps) // 2
    while size:
        start = 0
        while start < len(way.steps):
            labels = [step.label for step in way.steps]
            shorter = follow(system, labels[:start] + labels[start + size :], lenient=True)
            if shorter.fault and len(shorter.steps) < len(way.steps):
                way = shorter
            else:
                start += size
        size //= 2
    return way


def hunt(system: System, walks: int, seed: int) -> tuple[int, Way | None]:
    """Wander `walks` times; returns the number of the walk that went wrong and a shrunk execution, or None."""
    for walk in range(walks):
        way = wander(system, random.Random(f"{seed}/{walk}"))
        if way.fault:
            return walk, shrink(system, way)
    return walks, None


# -- telling it ------------------------------------------------------------------------------------------------------


def write_trace(way: Way, ids: Sequence[Id]) -> str:
    """An execution as text, one line a step."""
    width = max((len(step.label) for step in way.steps), default=0)
    lines = []
    for number, step in enumerate(way.steps, 1):
        words = [f"node {step.position} (id {ids[step.position]}) {step.what}"]
        words += [f"elects {leader}" for leader in step.elected]
        by_text: dict[str, list[str]] = {}
        for target, text in step.sends:
            by_text.setdefault(text, []).append(str(target))
        words += [f"sends {text} to {', '.join(targets)}" for text, targets in by_text.items()]
        words += ["crashes"] if step.crashed and step.what != "crashes" else []
        lines.append(f"{number:4}  {step.label:{width}}  {'; '.join(words)}")
    if way.fault:
        lines.append(f"      {'':{width}}  WRONG: {way.fault}")
    return "\n".join(lines)


def draw_way(way: Way, ids: Sequence[Id], title: str, stem: Path) -> None:
    """The space-time diagram of an execution as `stem`.svg and `stem`.png; time is counted in steps."""
    from bench.diagram import Arrow, Mark, Picture, draw_space_time
    from bench.plots import save_figure

    marks, arrows, notes, flying = [], list[Arrow](), [], dict[tuple[Position, Position], list[Arrow]]()
    for time, step in enumerate(way.steps, 1):
        if step.back:
            flying = {
                link: sent for link, sent in flying.items() if link[1] != step.position
            }  # to the dead it was lost
        if step.source >= 0 and flying.get((step.source, step.position)):
            flying[step.source, step.position].pop(0).arrived = None if step.lost else time
        if step.lost:
            notes.append((time, f"{step.source}→{step.position} lost"))
            continue
        elects = "leads" if step.elected[-1:] == [ids[step.position]] else "elect" if step.elected else ""
        kind = "crash" if step.crashed else elects or ("recover" if step.back else step.what.split()[0])
        text = f"elects {step.elected[-1]}" if step.elected else "" if step.source >= 0 else step.what
        marks.append(Mark(step.position, time, kind, re.sub(r"waits no longer \(timer (.*)\)", r"\1 timeout", text)))
        for target, what in step.sends:
            arrow = Arrow(step.position, time, target, None, what.partition("(")[0])
            arrows.append(arrow)
            flying.setdefault((step.position, target), []).append(arrow)
    lanes = [f"node {p} (id {identity})" for p, identity in enumerate(ids)]
    last, down = len(way.steps) + 1, list[Span]()
    for time, step in enumerate(way.steps, 1):
        if step.crashed:
            later = enumerate(way.steps[time:], time + 1)
            returns = (then for then, other in later if other.back and other.position == step.position)
            down.append(Span(step.position, time, next(returns, last), "down"))
    picture = Picture(lanes=lanes, marks=marks, arrows=arrows, title=title, subtitle=way.fault, spans=down, notes=notes)
    save_figure(draw_space_time(picture), stem)


def choose_arrangements(page: type[Node], n: int, policy: str, seed: int) -> Iterator[tuple[Id, ...]]:
    """Ids by position: all arrangements that differ (`all`: on a ring up to rotation; on a complete graph places do
    not matter), or what `choose_ids` takes."""
    if policy != "all":
        yield choose_ids(policy, page, n, trial_seed(seed, n, 0))[0]
    elif "ring" in page.model.topology:
        yield from ((1, *rest) for rest in permutations(range(2, n + 1)))
    elif page.model.topology == "any":
        yield from permutations(range(1, n + 1))
    else:
        yield tuple(range(1, n + 1))


class Question(msgspec.Struct, kw_only=True):
    """What `verify` is asked.

    Attributes:
        algorithms, nodes, ids, initiators, seed, parameters: as in `run`; `ids` may be `all`.
        crashes: how many times a node may crash.
        recoveries: how many times one that crashed may come back.
        losses: how many messages may be lost.
        late: whether timers may fire at any time.
        epochs: later elections are left out; 0 means none are, or as the page needs it.
        limit: states after which a search is given up.
        walks: wander so often instead of searching; 0 means search.
        schedule: replay this instead.
        out: folder of witnesses.
    """

    algorithms: tuple[str, ...]
    nodes: tuple[int, ...]
    ids: str = "all"
    initiators: str = "all"
    seed: int = 1
    parameters: dict[str, dict[str, str]] = {}
    crashes: int = 1
    recoveries: int = 0
    losses: int = 0
    late: bool = False
    epochs: int = 0
    limit: int = 20_000_000
    walks: int = 0
    schedule: str | None = None
    out: Path = Path("results/witness")


def make_question(options: Mapping[str, Any]) -> Question:
    """The question that the command line asks, checked.

    Raises:
        BadInput: for the first option that is wrong.
    """
    algorithms = tuple(split_words(options["algorithms"])) if options["algorithms"] else tuple(ALGORITHMS)
    late, hunted = options["late_timers"], options["hunt"] is not None
    question = Question(
        algorithms=algorithms,
        nodes=tuple(whole_number("nodes", word, 2) for word in split_words(options["nodes"])),
        ids=options["ids"] if options["ids"] != "all" or not hunted else "random",
        initiators=options["initiators"],
        seed=whole_number("seed", options["seed"], 0),
        parameters=collect_parameters(list(options["param"]), algorithms),
        crashes=whole_number("crashes", options["crashes"], 0),
        recoveries=whole_number("recoveries", options["recoveries"], 0),
        losses=whole_number("losses", options["losses"], 0),
        late=late,
        epochs=whole_number("epochs", options["epochs"], 1) if options["epochs"] else 2 * late,
        limit=whole_number("limit", options["limit"], 1),
        walks=whole_number("hunt", options["hunt"], 1) if hunted else 0,
        schedule=options["replay"],
        out=Path(options["out"]),
    )
    for name in algorithms if question.losses else ():
        if (channels := find_algorithm(name).model.channels) != "lossy":
            lossy = ", ".join(other for other, page in ALGORITHMS.items() if page.model.channels == "lossy")
            raise BadInput(f"--losses: {name} is for {channels} channels; leave it out, or choose among {lossy}")
    return question


def make_system(question: Question, algorithm: str, ids: tuple[Id, ...]) -> System:
    """The system that a question is about.

    Raises:
        BadInput: if the initiators are wrong.
    """
    scenario = Scenario(
        algorithm=algorithm,
        parameters=question.parameters.get(algorithm, {}),
        ids=ids,
        initiators=question.initiators,
        seed=trial_seed(question.seed, len(ids), 0),
        delta=1.0,
        horizon=1.0,
    )
    try:
        choose_initiators(question.initiators, scenario.live, scenario.seed)
    except ValueError as error:
        raise BadInput(f"--initiators: {error}") from None
    epochs = question.epochs or None
    return System(scenario, question.crashes, question.recoveries, question.late, epochs, question.losses)


def command_for(question: Question, algorithm: str, ids: tuple[Id, ...], schedule: str) -> str:
    """The command that replays a schedule."""
    words = [f"election-bench verify -a {algorithm} -n {len(ids)} --ids {','.join(map(str, ids))}"]
    words += [f"--crashes {question.crashes}"]
    words += [f"--recoveries {question.recoveries}"] if question.recoveries else []
    words += [f"--losses {question.losses}"] if question.losses else []
    words += ["--late-timers"] if question.late else []
    words += [f"--epochs {question.epochs}"] if question.epochs else []
    words += [f"--initiators {question.initiators}"] if question.initiators != "all" else []
    words += [f"-s {question.seed}"] if question.seed != 1 else []
    words += [f"--param {algorithm}.{name}={text}" for name, text in question.parameters.get(algorithm, {}).items()]
    return " ".join([*words, f"--replay '{schedule}'"])


def describe_coverage(question: Question, system: System) -> str:
    """What was looked at, in words."""
    recoveries = min(question.recoveries, question.crashes)
    crashes = min(question.crashes, system.model.spares(system.n) + recoveries)
    words = ["every order of messages"]
    words += (
        [f"up to {crashes} crash{'es' if crashes > 1 else ''}, between and inside events"] if crashes else ["no crash"]
    )
    words += [f"up to {recoveries} recover{'ies' if recoveries > 1 else 'y'}, at any step"] if recoveries else []
    words += [f"up to {question.losses} message{'s' * (question.losses > 1)} lost, any"] if question.losses else []
    words += ["re-election included"] if crashes else []
    if system.late:
        words += ["timers at any time"]
    elif any(isinstance(event, Timer) for event in system.events.things):
        words += ["timers only when nothing is in flight, in the order in which they are due"]
    words += [f"at most {system.epochs} election{'s' if system.epochs > 1 else ''}"] if system.epochs else []
    words += ["what is said again while it is under way left out"] if system.repeats else []
    words += ["heartbeats left out" if system.late else "delays drawn the same each time"] if system.endless else []
    return ", ".join(words)


def report_witness(question: Question, system: System, way: Way, write: Callable[[str], None]) -> int:
    """Tell an execution that went wrong, draw it, and say how to replay it; returns 1, or 0 outside the page's model.

    Raises:
        BadInput: if the witness cannot be written.
    """
    algorithm, ids = system.scenario.algorithm, system.ids
    promised = not question.late or find_algorithm(algorithm).model.timing != "synchronous"
    if not promised:
        write("      the page does not promise otherwise: its model is synchronous, and here timers may be late")
    stem = question.out / f"{algorithm.rpartition(':')[2]}-n{len(ids)}"
    try:
        question.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"--out: cannot write the witness to {str(question.out)!r}: {error.strerror}") from None
    trace, command = write_trace(way, ids), command_for(question, algorithm, ids, way.schedule)
    write(trace)
    stem.with_suffix(".txt").write_text(f"{trace}\n\n{command}\n")
    draw_way(way, ids, f"{algorithm}, {len(ids)} nodes: {len(way.steps)} steps to what is wrong", stem)
    write(f"      drawn: {stem}.svg")
    write(f"      again: {command}")
    return int(promised)


def answer(question: Question, write: Callable[[str], None] = click.echo) -> int:
    """Search, hunt or replay for each algorithm, size and arrangement; returns the exit code.

    1 if something is wrong inside the model of the page, 3 if a search was given up, else 0.

    Raises:
        BadInput: for ids, initiators or a schedule that are wrong.
    """
    code = 0
    for algorithm in question.algorithms:
        page = find_algorithm(algorithm)
        for n in question.nodes:
            try:
                arrangements = list(choose_arrangements(page, n, question.ids, question.seed))
            except ValueError as error:
                raise BadInput(f"--ids: {error}") from None
            for ids in arrangements:
                system = make_system(question, algorithm, ids)
                head = f"{algorithm}  n={n}  ids {','.join(map(str, ids))}"
                if question.schedule is not None:
                    code = max(code, replay(question, system, head, write))
                elif question.walks:
                    code = max(code, chase(question, system, head, write))
                else:
                    code = max(code, look_everywhere(question, system, head, write))
    return code


def describe_finding(system: System, found: Found) -> tuple[str, str]:
    """What holds of a system in which nothing wrong was found, and in how many states that was seen, in words."""
    ways = f"{found.states:,} states, {found.steps:,} steps"
    if not found.exhausted:
        return "nothing wrong so far", ways
    safe = "" if system.model.safety == "eventual" else "safe"
    if system.repeats:
        return "safe, and every execution that ends ends with one leader", f"{ways}, {found.ends:,} ends"
    if not system.endless:
        ways += f", {found.ends:,} ends, longest execution {found.longest}"
        return "safe, and every execution ends with one leader", ways
    lasting = "every execution comes to one leader, again and again" if system.settles else ""
    return ", and ".join(filter(None, (safe, lasting))) or "nothing to be judged", ways


def look_everywhere(question: Question, system: System, head: str, write: Callable[[str], None]) -> int:
    """Search one system and say what was found; returns the exit code."""
    found = explore(system, question.limit)
    if not found.fault:
        kept, ways = describe_finding(system, found)
        write(f"{head}: {kept} ({ways})")
        coverage = describe_coverage(question, system)
        if not found.exhausted:
            write(
                f"      not exhausted: given up after {question.limit:,} states; use fewer nodes or crashes, or --hunt"
            )
            return 3
        reduced = ", orders that come to the same looked at once" if system.reduce else ""
        write(f"      exhausted: {coverage}{reduced}")
        return 0
    way = follow(system, [label_of(system, move) for move in found.witness])
    way.fault = way.fault or found.fault
    write(f"{head}: {way.fault}")
    return report_witness(question, system, way, write)


def chase(question: Question, system: System, head: str, write: Callable[[str], None]) -> int:
    """Hunt through one system and say what was found; returns the exit code."""
    walk, way = hunt(system, question.walks, question.seed)
    if way is None:
        write(f"{head}: nothing wrong in {question.walks:,} random executions (seed {question.seed})")
        write(f"      covered: a sample of {describe_coverage(question, system)}")
        return 0
    write(f"{head}: {way.fault} (seed {question.seed}, execution {walk}, shrunk to {len(way.steps)} steps)")
    return report_witness(question, system, way, write)


def replay(question: Question, system: System, head: str, write: Callable[[str], None]) -> int:
    """Replay a schedule and tell it; returns the exit code."""
    assert question.schedule is not None
    try:
        way = follow(system, question.schedule.split())
    except ValueError as error:
        raise BadInput(f"--replay: {error}") from None
    write(f"{head}: {way.fault or ('goes on from here' if way.open else 'ends well')}")
    if way.fault:
        return report_witness(question, system, way, write)
    write(write_trace(way, system.ids))
    return 0
