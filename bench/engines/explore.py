"""Engine `explore`: the same pages through every interleaving of a small system.

A node is a state machine, so what it does depends on its state and the event alone. The explorer numbers the states that a
node can be in and the events that can happen to it, runs the page once for each pair, and from then on walks through the
states of the whole system by looking pairs up: a system is a tuple of small numbers.

What can happen: the delivery of the message that is next on any link, a suspicion, a timer, and, as often as is allowed, a
crash, between two events or inside one, after some of its messages are sent and before the others are. Initiators start
before anything is delivered to them, as behind the barrier of the other engines.

Partial-order reduction (P. Godefroid, Partial-Order Methods for the Verification of Concurrent Systems, LNCS 1032, 1996):
events at different nodes commute, so at a state it is enough to go on at one node, if nothing else can reach that node
before it moves (its persistent set). Whether another node may send to it is read off the pairs met so far; since that is
only what was met, the search is repeated until it meets no new pair. Then every execution was covered up to commutation.
"""

import copy
import random
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from algorithms.model import CancelTimer, Elect, Id, Key, Message, Node, Position, Send, SetTimer
from algorithms.reelection import Newer
from bench.scenario import Scenario, choose_initiators, find_algorithm, node_maker

DEAD = 0  # the number of the state of a node that crashed
EMPTY = 0  # the number of what is on an empty link
ENDLESS = 10_000  # steps after which an execution is said not to end
UNENDING = "it does not end"

# for each node the number of its state; for each link of what is on it; of the clock; of the elections that were decided
State = tuple[int, ...]


class Start(msgspec.Struct, frozen=True):
    """A node wakes spontaneously."""


class Suspect(msgspec.Struct, frozen=True):
    """A node is told that the node at `position` crashed."""

    position: Position


class Timer(msgspec.Struct, frozen=True):
    """A timer fires."""

    name: str


class Delivery(msgspec.Struct, frozen=True):
    """A message arrives; `msg` is None where it belongs to a past election and its contents do not matter any more."""

    source: Position
    port: Any
    key: Key
    msg: Message | None


Event = Start | Suspect | Timer | Delivery
STALE = Newer(0)  # in place of the message of a past election


class Outcome(msgspec.Struct):
    """What a node does at an event.

    Attributes:
        local: the number of the state that it is in afterwards.
        sends: link and event (numbers) of each message, in order.
        elected: whom it elected, with how many messages it had sent by then.
        timers: timers (numbers) that it set, with the delay in delta, or withdrew (None), in order.
        error: what it raised.
    """

    local: int
    sends: tuple[tuple[int, int], ...] = ()
    elected: tuple[tuple[int, Id], ...] = ()
    timers: tuple[tuple[int, float | None], ...] = ()
    error: str = ""


class Local(msgspec.Struct):
    """A state that a node can be in.

    Attributes:
        node: a node in that state. It is never run: each event is handled by a copy.
        key: of its election: the page's and its epoch.
        timers: its armed timers (numbers).
        outcomes: what it does at the events that were met in this state (by number).
    """

    node: Node
    key: tuple[Key, int]
    timers: tuple[int, ...]
    outcomes: dict[int, Outcome]


class Move(msgspec.Struct, frozen=True):
    """One step on from a state.

    Attributes:
        position: the node to which something happens.
        event: what happens (number), or -1 for a crash between two events.
        link: the link that the event comes by, or -1.
        kept: messages that it sends before it crashes inside the event, or -1 if it lives on.
    """

    position: Position
    event: int = -1
    link: int = -1
    kept: int = -1


def is_quiet(moves: Iterable[Move]) -> bool:
    """Whether nothing more happens, unless somebody crashes: an end, which is judged."""
    return all(move.event < 0 for move in moves)


class Numbers:
    """Numbers things in the order in which they are first met."""

    def __init__(self, *first: Any) -> None:
        self.things: list[Any] = list(first)
        self.numbers: dict[Any, int] = {thing: number for number, thing in enumerate(first)}

    def __call__(self, thing: Any) -> int:
        number = self.numbers.get(thing)
        if number is None:
            number = self.numbers[thing] = len(self.things)
            self.things.append(thing)
        return number


def freeze(value: Any) -> Any:
    """A hashable value that is equal for two nodes if nothing tells them apart; functions are left out.

    Raises:
        TypeError: if the node holds what cannot be compared.
    """
    if value is None or isinstance(value, (int, str, float, bytes)):
        return value
    if isinstance(value, Node):
        slots = {name for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ())}
        names = sorted({*slots, *getattr(value, "__dict__", ())} - {"effects", "links"})
        return type(value).__name__, *((name, freeze(getattr(value, name))) for name in names)
    if isinstance(value, msgspec.Struct):
        return type(value).__name__, *map(freeze, msgspec.structs.astuple(value))
    if isinstance(value, (list, tuple, range)):
        return tuple(map(freeze, value))
    if isinstance(value, dict):
        return tuple(sorted(((freeze(key), freeze(it)) for key, it in value.items()), key=repr))
    if isinstance(value, (set, frozenset)):
        return tuple(sorted(map(freeze, value), key=repr))
    if isinstance(value, random.Random):
        return value.getstate()
    if callable(value):
        return ""
    raise TypeError(f"a node holds a {type(value).__name__}, which cannot be compared")


class System:
    """All that a small system can do.

    Parameters:
        scenario: who takes part and who starts; its fault, latency and horizon do not matter here.
        crashes: how many nodes may crash; one always lives.
        late: whether a timer may fire at any time; else, as synchrony promises, only when nothing is in flight and no other
            timer is due before (messages take no time, then).
        epochs: steps into a later election than this are left out (None: none are).

    Attributes:
        reduce: whether to use partial-order reduction. It is not used with `epochs`, nor where two leaders of one election
            are an error only at one instant: of a page that survives crashes by itself.
        clipped: steps that were left out.
    """

    def __init__(self, scenario: Scenario, crashes: int = 0, late: bool = False, epochs: int | None = None) -> None:
        self.scenario, self.late, self.epochs = scenario, late, epochs
        self.n, self.ids = scenario.n, scenario.ids
        self.forgets = find_algorithm(scenario.algorithm).model.failures == "none"  # a past election is over for good
        self.reduce = self.forgets and epochs is None
        self.implicit = find_algorithm(scenario.algorithm).model.election == "implicit"
        self.locals: list[Local | None] = [None]
        self.local_numbers: dict[Any, int] = {}
        self.events, self.contents = Numbers(Start()), Numbers(())
        self.clocks = Numbers(())  # timers by the time that is left: (left, position, event)
        self.decided = Numbers(())  # (key, leader) of all elections so far
        self.pairs = self.clipped = 0
        self.reachable: dict[tuple[int, int, int, bool], bool] = {}
        n, live = self.n, scenario.live
        make = node_maker(scenario, steady=crashes == 0 and len(live) > 1)
        locals_, links = [DEAD] * n, [EMPTY] * (n * n + n)  # links between nodes, then from the world to each node
        for position in live:
            locals_[position] = self.register(make(position, 0))
        for position in choose_initiators(scenario.initiators, live, scenario.seed):
            links[n * n + position] = self.contents((0,))
        self.initial: State = (*locals_, *links, 0, 0)
        self.fewest = max(1, len(live) - crashes)
        self.into = [[n + s * n + t for s in range(n) if s != t] + [n + n * n + t] for t in range(n)]

    def register(self, node: Node) -> int:
        """The number of the state that `node` is in."""
        frozen = freeze(node)
        number = self.local_numbers.get(frozen)
        if number is None:
            number = self.local_numbers[frozen] = len(self.locals)
            timers = tuple(self.events(Timer(name)) for name in sorted(node.armed))
            self.locals.append(Local(node, (node.key, node.epoch), timers, {}))
        return number

    def local(self, number: int) -> Local:
        """The state of a live node by its number."""
        found = self.locals[number]
        assert found is not None
        return found

    def ask(self, state: State, position: Position, event: int) -> Outcome:
        """What the node at `position` does at an event."""
        local = self.local(state[position])
        outcome = local.outcomes.get(event)
        if outcome is None:
            self.pairs += 1
            outcome = local.outcomes[event] = self.handle(position, local.node, self.events.things[event])
        return outcome

    def handle(self, position: Position, node: Node, event: Event) -> Outcome:
        """Let a copy of `node` handle an event."""
        node = copy.deepcopy(node)
        try:
            match event:
                case Delivery():
                    node.deliver(event.source, event.port, event.key, event.msg or STALE)
                case Start():
                    node.on_start()
                case Timer():
                    node.fire(event.name)
                case Suspect():
                    node.suspected |= {node.port_to(event.position)}
                    node.on_suspect(node.port_to(event.position))
        except Exception as error:
            return Outcome(DEAD, error=f"it raised {type(error).__name__}: {error}")
        sends: list[tuple[int, int]] = []
        elected: list[tuple[int, Id]] = []
        timers: list[tuple[int, float | None]] = []
        for effect in node.effects:
            if isinstance(effect, Send):
                peer, port = node.links[effect.port]
                arrival = self.events(Delivery(position, port, node.key, effect.msg))
                sends.append((self.n + position * self.n + peer, arrival))
            elif isinstance(effect, Elect):
                elected.append((len(sends), effect.leader))
            elif isinstance(effect, SetTimer):
                timers.append((self.events(Timer(effect.name)), effect.delay))
            elif isinstance(effect, CancelTimer):
                timers.append((self.events(Timer(effect.name)), None))
        node.effects.clear()
        return Outcome(self.register(node), tuple(sends), tuple(elected), tuple(timers))

    # -- steps -------------------------------------------------------------------------------------------------------

    def moves(self, state: State) -> list[Move]:
        """The steps on from a state, in a fixed order; none, if it is an end."""
        n, world = self.n, self.n + self.n * self.n
        live = [position for position in range(n) if state[position] != DEAD]
        deadly = len(live) > self.fewest
        for position in live:
            if state[world + position] != EMPTY and 0 in self.contents.things[state[world + position]]:
                return [*self.with_crashes(state, Move(position, 0, world + position), deadly)]
        if self.reduce and not deadly:
            persistent = [moves for moves in (self.persistent(state, position) for position in live) if moves]
            if persistent:
                return min(persistent, key=len)
        moves = [move for position in live for move in self.moves_at(state, position)]
        if not moves and not self.late:
            clock = self.clocks.things[state[-2]]
            moves = [Move(position, event) for left, position, event in clock if left == clock[0][0]]
        if not deadly:
            return moves
        return [it for move in moves for it in self.with_crashes(state, move, deadly)] + list(map(Move, live))

    def moves_at(self, state: State, position: Position) -> Iterator[Move]:
        """What can happen to one node whatever the others do, crashes apart. Links are FIFO, the world is not."""
        world = self.n + self.n * self.n
        for link in self.into[position]:
            waiting = self.contents.things[state[link]]
            for event in waiting[:1] if link < world else waiting:
                yield Move(position, event, link)
        if self.late:
            for timer in self.local(state[position]).timers:
                yield Move(position, timer)

    def with_crashes(self, state: State, move: Move, deadly: bool) -> Iterator[Move]:
        """A step, and those in which the node crashes inside it; before a start, too."""
        yield move
        if deadly:
            outcome = self.ask(state, move.position, move.event)
            silent = self.forgets and any(sent == 0 for sent, _ in outcome.elected)  # it may elect and tell nobody
            for kept in range(0 if silent else 1, len(outcome.sends)):
                yield msgspec.structs.replace(move, kept=kept)
            if move.event == 0:
                yield Move(move.position)

    def persistent(self, state: State, position: Position) -> list[Move]:
        """What can happen to one node, if nothing more can reach it until it moves; else nothing."""
        n = self.n
        for source in range(n):
            link = n + source * n + position
            if source != position and state[source] != DEAD and state[link] == EMPTY:
                waits = state[n + position * n + source] == EMPTY  # for this node, where it answers to it
                if self.may_send(state[source], state[n + n * n + source], link, waits):
                    return []
        return list(self.moves_at(state, position))

    def may_send(self, number: int, world: int, link: int, waits: bool) -> bool:
        """Whether a node may put something on an empty link before the node at the other end moves.

        Parameters:
            number: of the state that the node is in.
            world: number of the suspicions that it has still to hear of.
            link: the link.
            waits: whether nothing is under way to it from that other node.
        """
        known = self.reachable.get((number, world, link, waits))
        if known is not None:
            return known
        target, things, orders = (link - self.n) % self.n, self.events.things, self.contents.things[world]
        todo, met, found = [number], {number}, False
        while todo and not found:
            for event, outcome in self.local(todo.pop()).outcomes.items():
                what = things[event]
                if waits and isinstance(what, Delivery) and what.source == target:
                    continue
                if isinstance(what, Suspect) and event not in orders:
                    continue
                found = found or any(to == link for to, _ in outcome.sends)
                if outcome.local not in met and outcome.local != DEAD:
                    met.add(outcome.local)
                    todo.append(outcome.local)
        self.reachable[number, world, link, waits] = found
        return found

    def step(self, state: State, move: Move) -> State:
        """The state after a move."""
        after, position, event, link = list(state), move.position, move.event, move.link
        if link >= 0:
            left = list(self.contents.things[state[link]])
            left.remove(event)
            after[link] = self.contents(tuple(left))
        if event >= 0:
            outcome = self.ask(state, position, event)
            if outcome.error:
                return state
            if outcome.elected and self.forgets:
                key = self.local(outcome.local).key
                news = {(key, leader) for _, leader in self.counted(outcome, move) if leader}
                after[-1] = self.decided(tuple(sorted({*self.decided.things[state[-1]], *news})))
            after[position] = outcome.local
            self.send(after, outcome.sends if move.kept < 0 else outcome.sends[: move.kept])
            if not self.late and (outcome.timers or link < 0):
                after[-2] = self.turn(state[-2], position, event, outcome.timers)
            if self.forgets and self.local(outcome.local).key > self.local(state[position]).key:
                for into in self.into[position][:-1]:
                    after[into] = self.forget(after[into], self.local(outcome.local).key[0])
        if event < 0 or move.kept >= 0:
            self.crash(after, position)
        return tuple(after)

    def counted(self, outcome: Outcome, move: Move) -> list[tuple[int, Id]]:
        """Whom a node elected in a step, before it crashed inside it."""
        return [it for it in outcome.elected if move.kept < 0 or it[0] <= move.kept]

    def send(self, after: list[int], sends: tuple[tuple[int, int], ...]) -> None:
        """Put messages on their links; to the dead they are lost."""
        for link, arrival in sends:
            target = after[(link - self.n) % self.n]
            if target != DEAD:
                after[link] = self.contents((*self.contents.things[after[link]], arrival))
                if self.forgets and self.events.things[arrival].key < self.local(target).key[0]:
                    after[link] = self.forget(after[link], self.local(target).key[0])

    def forget(self, contents: int, key: Key) -> int:
        """What is on a link, without the contents of messages of elections before `key`: they will be discarded.

        States that differ in nothing else are one: a third to a half fewer.
        """
        frames = [self.events.things[event] for event in self.contents.things[contents]]
        return self.contents(
            tuple(self.events(Delivery(it.source, 0, (0, ()), None) if it.key < key else it) for it in frames)
        )

    def crash(self, after: list[int], position: Position) -> None:
        """A node is no more; what it sent arrives, and the others are told."""
        after[position] = DEAD
        after[-2] = self.clocks(tuple(timer for timer in self.clocks.things[after[-2]] if timer[1] != position))
        for link in self.into[position]:
            after[link] = EMPTY
        suspicion = self.events(Suspect(position))
        for survivor in range(self.n):
            if after[survivor] != DEAD:
                world = self.n + self.n * self.n + survivor
                after[world] = self.contents((*self.contents.things[after[world]], suspicion))

    def turn(self, clock: int, position: Position, event: int, changes: tuple[tuple[int, float | None], ...]) -> int:
        """The clock after an event at a node; if a timer fired, time has gone on until it was due."""
        running = {(place, name): left for left, place, name in self.clocks.things[clock]}
        passed = running.pop((position, event), 0.0)
        running = {timer: round(left - passed, 9) for timer, left in running.items()}
        for name, delay in changes:
            running.pop((position, name), None)
            if delay is not None:
                running[position, name] = delay
        return self.clocks(tuple(sorted((left, *timer) for timer, left in running.items())))

    def is_beyond(self, after: State, move: Move) -> bool:
        """Whether a step leads into a later election than is looked at."""
        beyond = (
            self.epochs is not None
            and after[move.position] != DEAD
            and self.local(after[move.position]).key[1] > self.epochs
        )
        self.clipped += beyond
        return beyond

    # -- what is wrong -----------------------------------------------------------------------------------------------

    def find_fault(self, state: State, move: Move, after: State) -> str:
        """What is wrong with a step, or nothing: a node raised, or elects another than is elected already."""
        if move.event < 0:
            return ""
        outcome = self.ask(state, move.position, move.event)
        if outcome.error:
            return outcome.error
        if not outcome.elected:
            return ""
        if self.forgets:
            known = dict(self.decided.things[state[-1]])
            key = self.local(outcome.local).key
            for _, leader in filter(lambda it: it[1], self.counted(outcome, move)):
                if known.setdefault(key, leader) != leader:
                    return f"node {move.position} elects {leader} where {known[key]} is elected already"
        elif after[move.position] != DEAD:
            mine = self.local(after[move.position])
            for position in range(self.n):
                if position != move.position and after[position] != DEAD:
                    other = self.local(after[position])
                    same = (other.key[0], other.node.term) == (mine.key[0], mine.node.term)
                    if same and other.node.leader not in (None, mine.node.leader):
                        both = mine.node.leader == mine.node.id and other.node.leader == other.node.id
                        return (
                            f"{'two leaders' if both else 'two opinions'} in one election: node {position} has "
                            f"{other.node.leader}, node {move.position} elects {mine.node.leader}"
                        )
        return ""

    def judge_end(self, state: State) -> str:
        """What is wrong with a state in which nothing more happens, or nothing: all who live agree on one of them."""
        live = [position for position in range(self.n) if state[position] != DEAD]
        leaders = {position: self.local(state[position]).node.leader for position in live}
        chosen = set(leaders.values()) - ({0} if self.implicit else set())
        if chosen <= {self.ids[position] for position in live} and len(chosen) in ((0, 1) if self.implicit else (1,)):
            return ""
        told = ", ".join(f"node {position} has {leader or 'none'}" for position, leader in leaders.items())
        return f"nothing more happens, and not all have the same live leader: {told}"


class Found(msgspec.Struct, kw_only=True):
    """What a search found.

    Attributes:
        states, steps, ends: distinct states of the system; steps between them; states in which nothing more happens.
        locals: distinct states that a node can be in.
        longest: steps of the longest way.
        fault: what is wrong, or nothing.
        witness: a shortest way to it.
        exhausted: whether everything was looked at.
        clipped: steps into later elections than were looked at.
    """

    states: int = 0
    steps: int = 0
    ends: int = 0
    locals: int = 0
    longest: int = 0
    fault: str = ""
    witness: tuple[Move, ...] = ()
    exhausted: bool = True
    clipped: int = 0


class _Visit(msgspec.Struct):
    """A state on the way of a depth-first search: the steps on from it still to be taken, and the longest found so far."""

    state: State
    moves: Iterator[Move]
    longest: int = 0


def search(system: System, limit: int) -> Found:
    """Look at every state of a system, depth first, until something is wrong.

    An execution that comes back to a state of its own does not end, nor does one of `ENDLESS` steps.

    Parameters:
        system: what to search.
        limit: states after which to give up.
    """
    found, pairs = Found(), system.pairs
    system.reachable.clear()
    system.clipped = 0
    under_way = -1  # in place of the length of the longest execution from a state
    lengths = {system.initial: under_way}
    stack = [_Visit(system.initial, iter(system.moves(system.initial)))]
    way: list[Move] = []

    def blame(fault: str, *last: Move) -> Found:
        found.fault, found.witness, found.exhausted = fault, (*way, *last), False
        return found

    while stack:
        visit = stack[-1]
        move = next(visit.moves, None)
        if move is None:
            lengths[visit.state] = visit.longest
            stack.pop()
            if stack:
                way.pop()
                stack[-1].longest = max(stack[-1].longest, visit.longest + 1)
            continue
        after = system.step(visit.state, move)
        if system.is_beyond(after, move):
            continue
        found.steps += 1
        fault = system.find_fault(visit.state, move, after)
        if fault:
            return blame(fault, move)
        length = lengths.get(after)
        if length == under_way or len(stack) == ENDLESS:
            return blame(UNENDING, move)
        if length is not None:
            visit.longest = max(visit.longest, length + 1)
            continue
        lengths[after] = under_way
        way.append(move)
        moves = system.moves(after)
        stack.append(_Visit(after, iter(moves)))
        if is_quiet(moves):
            found.ends += 1
            fault = system.judge_end(after)
            if fault:
                return blame(fault)
        if len(lengths) > limit:
            found.states, found.exhausted = len(lengths), False
            return found
    if system.reduce and system.pairs > pairs:
        return search(system, limit)
    found.states, found.locals, found.clipped = len(lengths), len(system.locals) - 1, system.clipped
    found.longest = lengths[system.initial]
    return found


def find_shortest(system: System, limit: int) -> tuple[Move, ...]:
    """A shortest way to where something is wrong, breadth first; nothing if it is not among the first `limit` states."""
    ways: dict[State, tuple[State, Move] | None] = {system.initial: None}
    layer = [system.initial]
    while layer and len(ways) <= limit:
        following = []
        for state in layer:
            for move in system.moves(state):
                after = system.step(state, move)
                if system.is_beyond(after, move):
                    continue
                if system.find_fault(state, move, after) or (is_quiet(system.moves(after)) and system.judge_end(after)):
                    return _trace_back(ways, state, move)
                if after not in ways:
                    ways[after] = state, move
                    following.append(after)
        layer = following
    return ()


def _trace_back(ways: dict[State, tuple[State, Move] | None], state: State, last: Move) -> tuple[Move, ...]:
    """The steps from the beginning to `state`, and then `last`."""
    steps = [last]
    while (way := ways[state]) is not None:
        state, move = way
        steps.append(move)
    return tuple(reversed(steps))


def explore(system: System, limit: int) -> Found:
    """Search a system; if something is wrong, look for a shortest way to it, if that is feasible."""
    found = search(system, limit)
    if found.fault not in ("", UNENDING):
        reduce, system.reduce = system.reduce, False
        found.witness = find_shortest(system, limit) or found.witness
        system.reduce = reduce
    return found
