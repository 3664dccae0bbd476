"""Engine `explore`: the same pages through every interleaving of a small system.

A node is a state machine, so what it does depends on its state and the event alone. The explorer numbers the states that a
node can be in and the events that can happen to it, runs the page once for each pair, and from then on walks through the
states of the whole system by looking pairs up: a system is a tuple of small numbers.

What can happen: the delivery of the message that is next on any link, a suspicion, a timer, and, as often as is allowed, a
crash, between two events or inside one, after some of its messages are sent and before the others are, the recovery of
a node that crashed, with what it had saved by then, and the loss of the message that is next on any link. Initiators start
before anything is delivered to them, as behind the barrier of the other engines.

Partial-order reduction (P. Godefroid, Partial-Order Methods for the Verification of Concurrent Systems, LNCS 1032, 1996):
events at different nodes commute, so at a state it is enough to go on at one node, if nothing else can reach that node
before it moves (its persistent set). Whether another node may send to it is read off the pairs met so far; since that is
only what was met, the search is repeated until it meets no new pair. Then every execution was covered up to commutation.

Most states differ only in what a past election left behind. So a state is put in a normal form, bisimilar to all that it
stands for (`System.settle`, whatever was met): whom a node told of a later election does not count where nobody is left to
be told, nor who was elected where nobody can be in that election again. And frames that a node will ignore whenever they
arrive are dropped (`System.tidy`): confluent steps, taken at once (S. Blom and J. van de Pol, State Space Reduction by
Proving Confluence, CAV 2002, LNCS 2404). Which they are is inferred from the pairs met, too, and holds at the last
repetition. A drop counts as the step that it stands for: the longest execution stays the longest.

Neither is used while a crash, a recovery or a loss may still come. Losses share one allowance, so that the last that is
taken at one node disables those at all others: they do not commute, and no node's steps are persistent then. Once all are
taken what is left is a system without any, with the same pairs.

Pages that never fall silent have no end. Where their timers are on time, they must come to agree again and again, whatever
happens. Where timers fire at any time their heartbeats, which say again what was said, are left out, and what is judged is
safety, up to some election. Neither has one that asks again and again where timers fire at any time and need not: what it
says again while that is still under way is left out, as if it were lost; safety is judged, and the ends that there are.
What a node draws, there, are delays: the same each time, or it would never be in a state again.
"""

import copy
import random
from collections.abc import Container, Iterable, Iterator, Sequence
from typing import Any

import msgspec

from algorithms.model import CancelTimer, Elect, Id, Key, Message, Node, Periodic, Position, Save, Send, SetTimer
from algorithms.reelection import Newer, Reelection
from bench.blame import bear, find_line
from bench.observe import kinds_of
from bench.scenario import Scenario, choose_initiators, find_algorithm, node_maker

DEAD = 0  # the number of the state of a node that crashed; below zero of one that may come back
EMPTY = 0  # the number of what is on an empty link
ENDLESS = 10_000  # steps after which an execution is said not to end
FLOOD = 100  # frames on one link after which it is said so, too: it would fill the memory of the machine
UNENDING = "it does not end"
UNDECIDED = "it may go on for ever without a leader whom all agree on"

# for each node the number of its state; for each link of what is on it; losses so far; recoveries so far; the number of the
# clock; of the elections that were decided
State = tuple[int, ...]


class Start(msgspec.Struct, frozen=True):
    """A node wakes spontaneously."""


class Suspect(msgspec.Struct, frozen=True):
    """A node is told that the node at `position` crashed."""

    position: Position


class Recover(msgspec.Struct, frozen=True):
    """A node comes back when those at the positions `dead` are not there."""

    dead: tuple[Position, ...]


class Trust(msgspec.Struct, frozen=True):
    """A node is told that the node at `position` came back: over the link from there, before anything that it says."""

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


Event = Start | Suspect | Recover | Trust | Timer | Delivery
SAVED = -1  # in place of a link
STALE = Newer(0)  # in place of the message of a past election


class Outcome(msgspec.Struct):
    """What a node does at an event.

    Attributes:
        local: the number of the state that it is in afterwards.
        sends: link and event (numbers) of each message, in order; where nodes come back also what it saves: `SAVED` and the
            number of the state that it would be in after a crash from then on.
        elected: whom it elected in which term (0: none is given), with how many of `sends` were done by then.
        timers: timers (numbers) that it set, with the delay in delta, or withdrew (None), in order.
        error: what it raised.
    """

    local: int
    sends: tuple[tuple[int, int], ...] = ()
    elected: tuple[tuple[int, Id, int], ...] = ()
    timers: tuple[tuple[int, float | None], ...] = ()
    error: str = ""


class Local(msgspec.Struct):
    """A state that a node can be in.

    Attributes:
        node: a node in that state. It is never run: each event is handled by a copy.
        key: of its election: the page's and its epoch.
        timers: its armed timers (numbers).
        down: the number of the state that it would be in after a crash: `DEAD`, or below zero where it may come back.
        outcomes: what it does at the events that were met in this state (by number); below zero, the same with more told.
        ignored: whether it ignores a message (by number), met in this state or not.
    """

    node: Node
    key: tuple[Key, int]
    timers: tuple[int, ...]
    outcomes: dict[int, Outcome]
    down: int = DEAD
    ignored: dict[int, bool] = msgspec.field(default_factory=dict)


class Move(msgspec.Struct, frozen=True):
    """One step on from a state.

    Attributes:
        position: the node to which something happens.
        event: what happens (number), or -1 for a crash between two events.
        link: the link that the event comes by, or -1.
        kept: messages that it sends before it crashes inside the event, or -1 if it lives on; where nodes come back, what
            it saves counts as well.
        recovers: whether it comes back.
        lost: whether nothing happens to it: the message that was next on the link is lost.
    """

    position: Position
    event: int = -1
    link: int = -1
    kept: int = -1
    recovers: bool = False
    lost: bool = False

    @property
    def is_fault(self) -> bool:
        """Whether a node crashes or comes back or a message is lost: what may happen, and need not."""
        return self.event < 0 or self.kept >= 0 or self.recovers or self.lost


def is_quiet(moves: Iterable[Move]) -> bool:
    """Whether nothing more happens, unless somebody crashes or comes back: an end, which is judged."""
    return all(move.event < 0 or move.recovers for move in moves)


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
        crashes: how many times a node may crash, but never more are down than the page bears.
        recoveries: how many times one that crashed may come back, with what it saved.
        losses: how many messages may be lost.
        late: whether a timer may fire at any time; else, as synchrony promises, only when nothing is in flight and no other
            timer is due before (messages take no time, then).
        epochs: steps into a later election than this are left out (None: none are; of a page that never falls silent, if
            `late`, later than 2).

    Attributes:
        endless: whether the page never falls silent.
        repeats: whether timers that fire too early may keep it from ever falling silent: what is said again while it is
            under way is left out, and an execution need not end.
        settles: whether it is judged if all come to agree again and again.
        reduce: whether to use partial-order reduction. It is not used with `epochs`, nor where two leaders of one election
            are an error only at one instant, nor of a page that never falls silent.
        drops: whether frames that will be ignored are dropped, where `reduce` is used.
        clipped: steps that were left out.
        seen: numbers of the states that nodes were in, in this search.
        dropped: frames that the last step dropped, since they will be ignored; each stands for one step.
    """

    def __init__(
        self,
        scenario: Scenario,
        crashes: int = 0,
        recoveries: int = 0,
        late: bool = False,
        epochs: int | None = None,
        losses: int = 0,
    ) -> None:
        self.page = find_algorithm(scenario.algorithm)
        self.model, self.kinds = self.page.model, frozenset(kinds_of(self.page))
        self.endless = self.model.pulse is not None
        self.scenario, self.recoveries, self.losses, self.late = scenario, recoveries, losses, late
        self.repeats = late and not self.endless and self.model.timing == "partially synchronous"
        self.epochs = 2 if epochs is None and late and self.endless else epochs
        self.n, self.ids = scenario.n, scenario.ids
        self.settles = self.endless and not late and epochs is None
        self.forgets = self.model.failures == "none"  # a past election is over for good
        self.lasts = self.forgets or self.model.safety == "ever"  # who was elected is so for good, in that election
        self.implicit = self.model.election == "implicit"
        self.reduce, self.drops = self.lasts and self.epochs is None and not self.endless, True
        self.locals: list[Local | None] = [None]
        self.local_numbers: dict[Any, int] = {}
        self.down = Numbers(None)  # what a node has on stable storage and how often it came back, by -number
        self.returns: dict[tuple[int, Position, int], Outcome] = {}
        self.events, self.contents = Numbers(Start()), Numbers(())
        self.clocks = Numbers(())  # timers by the time that is left: (left, position, event)
        self.decided = Numbers(())  # (key, leader) of all elections so far
        self.pairs = self.clipped = self.dropped = 0
        self.flooded = False
        self.seen: set[int] = set()
        self.excused: dict[tuple[int, Position], int] = {}
        self.reachable: dict[tuple[int, int, int, bool], bool] = {}
        self.ahead: dict[tuple[int, int, tuple[int, ...]], frozenset[int]] = {}
        self.tidied: dict[tuple[int, int, int], int] = {}
        n, live = self.n, scenario.live
        self.make = node_maker(scenario, steady=crashes == 0 and len(live) > 1)
        locals_, links = [DEAD] * n, [EMPTY] * (n * n + n)  # links between nodes, then from the world to each node
        for position in live:
            locals_[position] = self.register(
                bear(self.make, scenario, position), -self.down((None, 0)) if recoveries else DEAD
            )
        for position in choose_initiators(scenario.initiators, live, scenario.seed):
            links[n * n + position] = self.contents((0,))
        self.initial: State = (*locals_, *links, 0, 0, 0, 0)
        self.fewest = len(live) - crashes
        self.into = [[n + s * n + t for s in range(n) if s != t] + [n + n * n + t] for t in range(n)]

    def register(self, node: Node, down: int) -> int:
        """The number of the state that `node` is in, if it would be in `down` after a crash."""
        frozen = freeze(node), down
        number = self.local_numbers.get(frozen)
        if number is None:
            number = self.local_numbers[frozen] = len(self.locals)
            timers = tuple(self.events(Timer(name)) for name in sorted(node.armed))
            self.locals.append(Local(node, (node.key, node.epoch), timers, {}, down))
        return number

    def local(self, number: int) -> Local:
        """The state of a live node by its number."""
        found = self.locals[number]
        assert found is not None
        return found

    def ask(self, state: State, position: Position, event: int) -> Outcome:
        """What the node at `position` does at an event."""
        number = state[position]
        if number < DEAD:
            return self.come_back(number, position, event)
        local = self.local(number)
        outcome = local.outcomes.get(event)
        if outcome is None:
            self.pairs += 1
            node = copy.deepcopy(local.node)
            outcome = local.outcomes[event] = self.handle(position, node, local.down, self.events.things[event])
        self.seen.add(outcome.local)
        return outcome

    def come_back(self, number: int, position: Position, event: int) -> Outcome:
        """What the node at `position` does when it comes back with what it saved."""
        outcome = self.returns.get((number, position, event))
        if outcome is None:
            self.pairs += 1
            saved, incarnation = self.down.things[-number]
            node = bear(self.make, self.scenario, position, incarnation + 1)
            down = -self.down((saved, incarnation + 1))
            outcome = self.handle(position, node, down, self.events.things[event])
            self.returns[number, position, event] = outcome
        self.seen.add(outcome.local)
        return outcome

    def handle(self, position: Position, node: Node, down: int, event: Event) -> Outcome:
        """Let `node`, which would be in `down` after a crash, handle an event."""
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
                case Trust():
                    node.suspected -= {node.port_to(event.position)}
                    node.on_trust(node.port_to(event.position))
                case Recover():
                    node.suspected = frozenset(map(node.port_to, event.dead))
                    node.on_recover(self.down.things[-down][0])
        except Exception as error:
            return Outcome(DEAD, error=f"it raised {type(error).__name__}: {error}{find_line(self.page, error)[1]}")
        sends: list[tuple[int, int]] = []
        elected: list[tuple[int, Id, int]] = []
        timers: list[tuple[int, float | None]] = []
        for effect in node.effects:
            if isinstance(effect, Send) and not (self.late and isinstance(effect.msg, Periodic)):
                if effect.port not in node.links:
                    return Outcome(DEAD, error=f"it sends over port {effect.port}, which it does not have")
                if type(effect.msg) not in self.kinds:
                    return Outcome(DEAD, error=f"it sends {type(effect.msg).__name__}, which is none of its messages")
                peer, port = node.links[effect.port]
                arrival = self.events(Delivery(position, port, node.key, effect.msg))
                sends.append((self.n + position * self.n + peer, arrival))
            elif isinstance(effect, Elect) and effect.leader:
                elected.append((len(sends), effect.leader, effect.term))
            elif isinstance(effect, Save) and self.recoveries:
                down = -self.down((effect.record, self.down.things[-down][1]))
                sends.append((SAVED, down))
            elif isinstance(effect, SetTimer):
                timers.append((self.events(Timer(effect.name)), effect.delay))
            elif isinstance(effect, CancelTimer):
                timers.append((self.events(Timer(effect.name)), None))
        node.effects.clear()
        if self.endless or self.repeats:
            node._rng = None
        return Outcome(self.register(node, down), tuple(sends), tuple(elected), tuple(timers))

    # -- steps -------------------------------------------------------------------------------------------------------

    def moves(self, state: State) -> list[Move]:
        """The steps on from a state, in a fixed order; none, if it is an end."""
        n, world = self.n, self.n + self.n * self.n
        live = [position for position in range(n) if state[position] > DEAD]
        deadly = self.is_deadly(state)
        for position in live:
            if state[world + position] != EMPTY and 0 in self.contents.things[state[world + position]]:
                return [*self.with_crashes(state, Move(position, 0, world + position), deadly)]
        if self.reduce and not deadly and min(state[:n]) >= DEAD and state[-4] == self.losses:
            persistent = [moves for moves in (self.persistent(state, position) for position in live) if moves]
            if persistent:
                return min(persistent, key=len)
        moves = [move for position in live for move in self.moves_at(state, position)]
        if not moves and not self.late:
            clock = self.clocks.things[state[-2]]
            moves = [Move(position, event) for left, position, event in clock if left == clock[0][0]]
        dead = [position for position in range(n) if state[position] <= DEAD]
        for position in dead:
            if state[position] < DEAD:
                others = Recover(tuple(other for other in dead if other != position and not self.endless))
                moves.append(Move(position, self.events(others), recovers=True))
        if not deadly:
            return moves
        return [it for move in moves for it in self.with_crashes(state, move, deadly)] + list(map(Move, live))

    def is_deadly(self, state: Sequence[int]) -> bool:
        """Whether one more node may crash."""
        live = sum(number > DEAD for number in state[: self.n])
        return live > self.n - self.model.spares(self.n) and live - state[-3] > self.fewest

    def moves_at(self, state: State, position: Position) -> Iterator[Move]:
        """What can happen to one node whatever the others do, crashes apart. Links are FIFO, the world is not."""
        world = self.n + self.n * self.n
        for link in self.into[position]:
            waiting = self.contents.things[state[link]]
            for event in waiting[:1] if link < world else dict.fromkeys(waiting):
                if not self.recoveries or not self.is_early(state[position], event):
                    yield Move(position, event, link)
                    if state[-4] < self.losses and isinstance(self.events.things[event], Delivery):
                        yield Move(position, event, link, lost=True)
        if self.late:
            for timer in self.local(state[position]).timers:
                yield Move(position, timer)

    def is_early(self, number: int, event: int) -> bool:
        """Whether the state of a node must change first: it suspects whom it trusts, and trusts whom it suspects."""
        match self.events.things[event]:
            case Suspect(position=other) | Trust(position=other) as news:
                node = self.local(number).node
                return (node.port_to(other) in node.suspected) == isinstance(news, Suspect)
        return False

    def with_crashes(self, state: State, move: Move, deadly: bool) -> Iterator[Move]:
        """A step, and those in which the node crashes inside it; before a start, too."""
        yield move
        if deadly and not move.lost:
            outcome = self.ask(state, move.position, move.event)
            silent = self.lasts and any(it[0] == 0 for it in outcome.elected)  # it may elect and tell nobody
            for kept in range(0 if silent else 1, len(outcome.sends)):
                yield msgspec.structs.replace(move, kept=kept)
            if move.event == 0:
                yield Move(move.position)

    def persistent(self, state: State, position: Position) -> list[Move]:
        """What can happen to one node, if nothing more can reach it until it moves; else nothing."""
        n = self.n
        for source in range(n):
            link = n + source * n + position
            if source != position and state[source] > DEAD and state[link] == EMPTY:
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
                what = things[event] if event >= 0 else None
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
        number, self.dropped = state[position], 0
        if link >= 0:
            left = list(self.contents.things[state[link]])
            left.remove(event)
            after[link] = self.contents(tuple(left))
        if move.lost:
            after[-4] += 1
            return tuple(after)
        if event >= 0:
            outcome = self.ask(state, position, event)
            if outcome.error:
                return state
            if outcome.elected and self.lasts:
                news = self.counted(outcome, move)
                after[-1] = self.decided(tuple(sorted({*self.decided.things[state[-1]], *news})))
            after[position] = outcome.local
            if move.recovers:
                self.welcome(after, position)
            self.send(after, outcome.sends if move.kept < 0 else outcome.sends[: move.kept])
            if not self.late and (outcome.timers or link < 0):
                after[-2] = self.turn(state[-2], position, event, outcome.timers)
            if self.forgets and number > DEAD and self.local(outcome.local).key > self.local(number).key:
                for into in self.into[position][:-1]:
                    after[into] = self.forget(after[into], self.local(outcome.local).key[0])
        crashes = event < 0 or move.kept >= 0
        if crashes:
            down = number if number < DEAD else self.local(number).down
            saved = [thing for to, thing in outcome.sends[: move.kept] if to == SAVED] if event >= 0 else []
            self.crash(after, position, saved[-1] if saved else down)
        if self.reduce and self.forgets and not self.recoveries:
            if self.drops and not self.is_deadly(after) and after[-4] == self.losses:
                ends = range(self.n, self.n + self.n * self.n) if crashes else self.into[position][:-1]
                for link in {*ends, *(to for to, _ in outcome.sends)} if event >= 0 else ends:
                    if after[link] != EMPTY:
                        self.tidy(after, link)
            self.settle(after, range(self.n) if crashes else (position,))
        return tuple(after)

    def counted(self, outcome: Outcome, move: Move) -> list[tuple[tuple[Key, int], Id]]:
        """Whom a node elected in a step, and in which election, before it crashed inside it."""
        if not outcome.elected:
            return []
        key, epoch = self.local(outcome.local).key
        done = [it for it in outcome.elected if move.kept < 0 or it[0] <= move.kept]
        return [((key, term or epoch), leader) for _, leader, term in done]

    def send(self, after: list[int], sends: tuple[tuple[int, int], ...]) -> None:
        """Put messages on their links; to the dead they are lost."""
        for link, arrival in sends:
            target = after[(link - self.n) % self.n] if link != SAVED else DEAD
            if target > DEAD:
                waiting = self.contents.things[after[link]]
                if self.repeats and arrival in waiting:
                    continue
                after[link] = self.contents((*waiting, arrival))
                self.flooded = self.flooded or len(waiting) == FLOOD
                if self.forgets and self.events.things[arrival].key < self.local(target).key[0]:
                    after[link] = self.forget(after[link], self.local(target).key[0])

    def forget(self, contents: int, key: Key) -> int:
        """What is on a link, without the contents of messages of elections before `key`: they will be discarded.

        States that differ in nothing else are one: a third to a half fewer.
        """
        frames = [self.events.things[event] for event in self.contents.things[contents]]
        return self.contents(
            tuple(
                self.events(Delivery(it.source, 0, (0, ()), None) if isinstance(it, Delivery) and it.key < key else it)
                for it in frames
            )
        )

    def tidy(self, after: list[int], link: int) -> None:
        """Drop the frames on a link that the node at its end will ignore, whatever it does until they arrive.

        Only messages of past elections and news of later ones, and only once nobody can crash any more: then each takes
        one step in every execution, at which nothing changes. What is ahead of a node is read off the pairs met
        (`look_ahead`), so an early search may drop too much; the last, which met no new pair, did not: whatever can happen
        until a dropped frame arrives was met. A step of the node puts nothing more ahead of it, and frames further behind
        do not matter: so drops commute with all steps, and the persistent sets stay right.
        """
        target = (link - self.n) % self.n
        number, world = after[target], after[self.n + self.n * self.n + target]
        tidied = self.tidied.get((number, world, after[link]))
        waiting = self.contents.things[after[link]]
        if tidied is None:
            left: tuple[int, ...] = ()
            for event in waiting:
                ahead = self.look_ahead(number, world, left) if self.is_old_news(event) else ()
                if not ahead or not all(self.ignores(it, event) for it in ahead):
                    left = (*left, event)
            tidied = self.tidied[number, world, after[link]] = self.contents(left)
        self.dropped += len(waiting) - len(self.contents.things[tidied])
        after[link] = tidied

    def settle(self, after: list[int], changed: Iterable[Position]) -> None:
        """Make one of states that nothing can tell apart any more.

        Whom a node told that there is a later election matters only while a frame of an earlier one may come from there.
        Keys never sink and links are FIFO, so none comes once that node is dead, or in this election or a later one, and
        none is under way: then it counts as told. When this node itself enters a later election, it has told nobody again.
        Who was elected matters only while somebody is in that election or an earlier one.

        Another node's step may so renumber this one's state; `excuse` records that, and what is inferred follows it.
        """
        live = [position for position in range(self.n) if after[position] > DEAD]
        keys = {position: self.local(after[position]).key[0] for position in live}
        for target in live:
            if keys[target][0] == 1:
                continue
            for source in range(self.n) if target in changed else changed:
                waiting = self.contents.things[after[self.n + source * self.n + target]]
                if source == target or (source in keys and keys[source] < keys[target]):
                    continue
                if not waiting or all(self.events.things[event].key >= keys[target] for event in waiting):
                    after[target] = self.excuse(after[target], source)
        lowest = min(keys.values(), default=(0, ()))
        if any(key < lowest for (key, _), _ in self.decided.things[after[-1]]):
            after[-1] = self.decided(tuple(it for it in self.decided.things[after[-1]] if it[0][0] >= lowest))

    def excuse(self, number: int, source: Position) -> int:
        """The state of a node that differs only in that the node at `source` counts as told."""
        excused = self.excused.get((number, source))
        if excused is None:
            node = copy.deepcopy(self.local(number).node)
            if isinstance(node, Reelection):
                node.told.add(source)
            excused = self.excused[number, source] = self.register(node, self.local(number).down)
            if excused != number:
                self.pairs += 1
                self.local(number).outcomes[~excused] = Outcome(excused)
        return excused

    def forget_inferences(self) -> None:
        """Begin anew with what is inferred from the pairs met."""
        self.seen = {*self.initial[: self.n]}
        self.reachable.clear()
        self.ahead.clear()
        self.tidied.clear()

    def look_ahead(self, number: int, world: int, before: tuple[int, ...]) -> frozenset[int]:
        """The states that a node may be in after certain frames of one link, by the pairs met.

        Parameters:
            number: of the state that the node is in.
            world: number of the suspicions that it has still to hear of.
            before: the frames (numbers), in order.
        """
        known = self.ahead.get((number, world, before))
        if known is not None:
            return known
        things, orders = self.events.things, self.contents.things[world]
        todo = [] if before else [number]  # where what is before was never met, none is known
        for earlier in self.look_ahead(number, world, before[:-1]) if before else ():
            then = self.local(earlier).outcomes.get(before[-1])
            if then is not None and then.local != DEAD:
                todo.append(then.local)
            elif self.is_old_news(before[-1]) and self.ignores(earlier, before[-1]):
                todo.append(earlier)  # there it was dropped, so that the pair was not met
        met = set(todo)
        while todo:
            for event, outcome in self.local(todo.pop()).outcomes.items():
                heard = event < 0 or not isinstance(things[event], Suspect) or event in orders
                if heard and outcome.local not in met and outcome.local != DEAD:
                    met.add(outcome.local)
                    todo.append(outcome.local)
        found = self.ahead[number, world, before] = frozenset(met)
        return found

    def is_old_news(self, event: int) -> bool:
        """Whether a frame is a message of a past election or news of a later one: all that may be dropped."""
        return self.events.things[event].msg is None or type(self.events.things[event].msg) is Newer

    def ignores(self, number: int, event: int) -> bool:
        """Whether old news does nothing in a state of a node. The pair does not count as met."""
        local, what = self.local(number), self.events.things[event]
        known = local.ignored.get(event)
        if known is None:
            node = copy.deepcopy(local.node)
            try:
                node.deliver(what.source, what.port, what.key, what.msg or STALE)
                known = not node.effects and self.local_numbers.get((freeze(node), local.down)) == number
            except Exception:
                known = False
            local.ignored[event] = known
        return known

    def crash(self, after: list[int], position: Position, down: int) -> None:
        """A node is no more, or in `down` if it may come back; what it sent arrives, and the others are told."""
        after[position] = down if after[-3] < self.recoveries else DEAD
        after[-2] = self.clocks(tuple(timer for timer in self.clocks.things[after[-2]] if timer[1] != position))
        for link in self.into[position]:
            after[link] = EMPTY
        if self.endless:
            return  # nobody is told: nodes find out by themselves
        suspicion = self.events(Suspect(position))
        for survivor in range(self.n):
            if after[survivor] > DEAD:
                world = self.n + self.n * self.n + survivor
                after[world] = self.contents(tuple(sorted((*self.contents.things[after[world]], suspicion))))

    def welcome(self, after: list[int], position: Position) -> None:
        """A node is back: its links say so before anything else. If it was the last, who is down stays dead."""
        after[-3] += 1
        for other in range(self.n) if not self.endless else ():
            if after[other] > DEAD and other != position:
                link = self.n + position * self.n + other
                after[link] = self.contents((*self.contents.things[after[link]], self.events(Trust(position))))
        if after[-3] == self.recoveries:
            after[: self.n] = [max(number, DEAD) for number in after[: self.n]]

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
            and after[move.position] > DEAD
            and self.local(after[move.position]).key[1] > self.epochs
        )
        self.clipped += beyond
        return beyond

    # -- what is wrong -----------------------------------------------------------------------------------------------

    def find_fault(self, state: State, move: Move, after: State) -> str:
        """What is wrong with a step, or nothing: a node raised, or elects another than is elected already.

        Where elections do not last, two that lead one at one instant are wrong; so are two opinions of who leads it, unless
        nodes come back: then one may be that of a leader which crashed and was told of none yet.
        """
        if move.event < 0 or move.lost:
            return ""
        outcome = self.ask(state, move.position, move.event)
        if outcome.error:
            return outcome.error
        if not outcome.elected:
            return ""
        if self.model.safety == "eventual":
            return ""
        if self.lasts:
            known = dict(self.decided.things[state[-1]])
            for key, leader in self.counted(outcome, move):
                if known.setdefault(key, leader) != leader:
                    return f"node {move.position} elects {leader} where {known[key]} is elected already"
        elif after[move.position] > DEAD and self.model.safety != "eventual":
            mine = self.local(after[move.position])
            for position in range(self.n):
                if position != move.position and after[position] > DEAD:
                    other = self.local(after[position])
                    same = (other.key[0], other.node.term) == (mine.key[0], mine.node.term)
                    if same and other.node.leader not in (None, mine.node.leader):
                        both = mine.node.leader == mine.node.id and other.node.leader == other.node.id
                        if both or not self.recoveries:
                            return (
                                f"{'two leaders' if both else 'two opinions'} in one election: node {position} has "
                                f"{other.node.leader}, node {move.position} elects {mine.node.leader}"
                            )
        return ""

    def judge_end(self, state: State) -> str:
        """What is wrong with a state in which nothing more happens, or nothing: all who live agree on one of them."""
        live = [position for position in range(self.n) if state[position] > DEAD]
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
        witness: a shortest way to it; nothing, if none was found that can be replayed.
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
    """A state on the way of a depth-first search.

    Attributes:
        state: the state.
        moves: the steps on from it that are still to be taken.
        cost: steps that led to it from the state before: one, and one for each frame that was dropped.
        longest: steps of the longest way on that was found so far.
    """

    state: State
    moves: Iterator[Move]
    cost: int = 1
    longest: int = 0


def search(system: System, limit: int) -> Found:
    """Look at every state of a system, depth first, until something is wrong.

    An execution that comes back to a state of its own does not end, nor does one of `ENDLESS` steps. That of a page which
    never falls silent shall not: there, what matters is whether all come to agree, again and again. No page may put more
    than `FLOOD` frames on a link.

    Parameters:
        system: what to search.
        limit: states after which to give up.
    """
    found, pairs = Found(), system.pairs
    system.flooded = False
    system.forget_inferences()
    system.clipped = 0
    under_way = -1  # in place of the length of the longest execution from a state
    lengths = {system.initial: under_way}
    stack = [_Visit(system.initial, iter(system.moves(system.initial)))]
    way: list[Move] = []

    def blame(fault: str, *last: Move) -> Found:
        """Take down what is wrong. Where frames were dropped on the way it may be due to that: then look without."""
        if system.dropped or any(visit.cost > 1 for visit in stack):
            system.drops = False
            return search(system, limit)
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
                stack[-1].longest = max(stack[-1].longest, visit.longest + visit.cost)
            continue
        after = system.step(visit.state, move)
        if system.is_beyond(after, move):
            continue
        found.steps += 1
        fault = system.find_fault(visit.state, move, after)
        length = lengths.get(after)
        unending = (length == under_way or len(stack) == ENDLESS) and not system.endless and not system.repeats
        if not fault and (unending or system.flooded):
            fault = UNENDING
        if fault:
            return blame(fault, move)
        if length is not None:
            visit.longest = max(visit.longest, length + 1 + system.dropped)
            continue
        lengths[after] = under_way
        way.append(move)
        cost, moves = 1 + system.dropped, system.moves(after)
        stack.append(_Visit(after, iter(moves), cost))
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
    if system.settles and (undecided := find_undecided(system, lengths)):
        found.witness, found.fault, found.exhausted = find_shortest(system, limit, undecided), UNDECIDED, False
        return found
    found.states, found.locals, found.clipped = len(lengths), len(system.seen - {DEAD}), system.clipped
    found.longest = lengths[system.initial]
    return found


def find_undecided(system: System, states: Iterable[State]) -> set[State]:
    """Those of all states from which an execution may go on for ever without any in which all agree on a leader."""
    apart = {state for state in states if system.judge_end(state)}
    following = {state: [system.step(state, move) for move in system.moves(state)] for state in apart}
    while ending := [state for state in apart if apart.isdisjoint(following[state])]:
        apart.difference_update(ending)
    return apart


def find_shortest(system: System, limit: int, wrong: Container[State] = ()) -> tuple[Move, ...]:
    """A shortest way to where something is wrong, breadth first; nothing if it is not among the first `limit` states.

    Parameters:
        system: what to search.
        limit: states after which to give up.
        wrong: states that are wrong in themselves.
    """
    ways: dict[State, tuple[State, Move] | None] = {system.initial: None}
    layer = [system.initial]
    while layer and len(ways) <= limit:
        following = []
        for state in layer:
            for move in system.moves(state):
                after = system.step(state, move)
                if system.is_beyond(after, move):
                    continue
                bad = after in wrong or system.find_fault(state, move, after)
                if bad or (is_quiet(system.moves(after)) and system.judge_end(after)):
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
    if found.fault not in ("", UNENDING, UNDECIDED):
        reduce, system.reduce = system.reduce, False
        found.witness = find_shortest(system, limit) or found.witness
        system.reduce = reduce
    return found
