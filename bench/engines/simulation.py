"""Simulation: a trial in virtual time, by a heap of events; same seed, same trace.

Links are FIFO; every hop takes what the latency model draws from the network's own stream. Time is in whole ns, so that
nothing depends on how floats are rounded. Nothing of the wall clock enters a row. What goes wrong with links, and with
nodes that come back, is in `adversity`; an election that nothing disturbs has a loop of its own in `calm`.
"""

import random
from collections import defaultdict
from collections.abc import Callable
from heapq import heappop, heappush, heapreplace
from math import floor
from typing import Any

import msgspec

from algorithms.model import (
    CancelTimer,
    Effect,
    Elect,
    Id,
    Message,
    Node,
    Periodic,
    Port,
    Position,
    Save,
    Send,
    SetTimer,
)
from bench.blame import PageError, bear, blame
from bench.engines.adversity import LATE, NEWS, RECOVER, START, SUSPECT, TIMER, TRUST, Adversity, Event
from bench.faults import LEADER, VICTIM, Plan, Strike
from bench.latency import find_bound, make_sampler
from bench.observe import Execution, Fired, Monitor, classify, kinds_of
from bench.scenario import Scenario, choose_initiators, find_algorithm, node_maker

encode = msgspec.msgpack.Encoder().encode

Put = Callable[[list[Event], Event], object]
Handler = Callable[[Any, Port, Any], None]
Tally = list[Any]  # [how many were sent, their handler]
Observer = Callable[[int, Position, Position, Message, int], None]


class Tallies(dict[tuple[type[Message], int], Tally]):
    """What messages of one kind and size have in common; begun when the first is sent."""

    def __init__(self, page: type[Node]) -> None:
        self.handlers: dict[type[Message], Handler | None] = {kind: page._handlers.get(kind) for kind in kinds_of(page)}

    def __missing__(self, like: tuple[type[Message], int]) -> Tally:
        tally = self[like] = [0, self.handlers[like[0]]]
        return tally


def name_event(source: int, detail: Any, msg: Message | None) -> str:
    """An event in words: a message from a node, or what `source` says if it is none."""
    if source >= 0:
        return f"{type(msg).__name__} from node {source}"
    names = {START: "on_start", SUSPECT: "on_suspect", TRUST: "on_trust", RECOVER: "on_recover"}
    return f"the timer {detail!r}" if source == TIMER else names.get(source, "a heartbeat")


def stillborn(scenario: Scenario, error: PageError) -> Execution:
    """What there is to see of a trial in which a node could not be made."""
    monitor = Monitor(scenario.ids, find_algorithm(scenario.algorithm).model)
    return Execution(monitor=monitor, stop="error", error=str(error))


class Simulation:
    """One trial in virtual time.

    Parameters:
        scenario: the trial.
        observer: told of each delivery before it is handled: time (ns), source, target, message, depth.
        wired: the class of the nodes, if it is not the page itself.

    Attributes:
        heap: events to come, by time and then by the order in which they were scheduled.
        order: of the event that was scheduled last.
        arrivals: the last arrival on each link, by `source * n + target`.
        tallies: messages by kind and size; a message in flight carries its own.
        saved: the record of each position that put one on stable storage.
        struck: whom each fault struck last.
        adversity: what goes wrong beyond crashes that all are told of; None if nothing does.
    """

    def __init__(self, scenario: Scenario, observer: Observer | None = None, wired: type[Node] | None = None) -> None:
        self.scenario, self.observer = scenario, observer
        self.page = find_algorithm(scenario.algorithm)
        n = scenario.n
        times = scenario.times
        steady, live = scenario.steady, scenario.live
        self.plan = Plan() if steady else scenario.plan
        self.make = node_maker(scenario, steady, wired)
        self.nodes: list[Node | None] = [None] * n
        self.effects: list[Effect] = []
        for position in live:
            node = self.nodes[position] = bear(self.make, scenario, position)
            if steady:  # effects are carried out before the next event, so all may record in one list: 56 bytes a node
                node.effects = self.effects
        self.network = random.Random(f"{scenario.seed}/network")
        self.delay = make_sampler(scenario.latency, scenario.delta, self.network)
        self.bound = find_bound(scenario.latency, scenario.delta)
        self.delta = int(scenario.delta * 1e9)
        self.unsaid = {0} if self.page.model.election == "implicit" else set[Id]()  # what need not be agreed on
        self.heap: list[Any] = []
        self.now = 0
        self.order = 0
        self.timers: dict[tuple[Position, str], int] = {}
        self.arrivals: dict[int, int] = defaultdict(int)
        self.epochs = [0] * n
        self.saved: dict[Position, Message] = {}
        self.struck: dict[str, Position] = {}
        self.monitor = Monitor(scenario.ids, self.page.model)
        self.execution = Execution(monitor=self.monitor)
        told = all(strike.what == "crash" for strike in self.plan.strikes) and scenario.tells
        smooth = told and self.plan.ambush is None and not self.plan.rates
        self.adversity = None if smooth else Adversity(self, self.plan, times)
        claims = getattr(self.page, "claims", None)
        self.drawn = claims.drawn if claims is not None else None
        self.max_hop = self.false_suspicions = 0  # of the set-up, too, as violations are
        self.count_from_now()

    def count_from_now(self) -> None:
        """The measured interval begins, with nothing in flight: forget what was counted."""
        n = self.scenario.n
        self.tallies = Tallies(self.page)
        self.received = self.lost = self.stale = self.timeouts = self.deepest = 0
        self.duplicated = self.dropped = 0
        self.depths, self.sent_by = [0] * n, [0] * n
        self.draws: dict[Position, dict[Message, int]] = {}
        self.monitor.begin()

    def run_until(self, limit: int) -> bool:
        """Handle all events up to the time `limit`; returns whether none is left.

        Raises:
            PageError: if the page raises; what it raised itself, before an observer.

        One loop takes an event, lets its node handle it and carries out the effects, in order. Sends are in the loop
        itself, on local names: with calls in between an election took nearly twice as long. Where noted, what a
        plainer way would cost (time of the loop, Chang-Roberts, n of 1,000 to 10,000).
        """
        heap, nodes, depths, epochs, sent_by = self.heap, self.nodes, self.depths, self.epochs, self.sent_by
        arrivals, n, tallies, drawn = self.arrivals, self.scenario.n, self.tallies, self.drawn
        observer, adversity, elect = self.observer, self.adversity, self.monitor.elect
        watched = observer is not None or adversity is not None
        delay, bound, uniform = self.delay, self.bound, self.network.random
        received = lost = stale = 0
        max_hop, deepest, at, order = self.max_hop, self.deepest, self.now, self.order
        try:
            while heap:
                now, mark, target, source, port, key, depth, msg, tally, sent = event = heap[0]
                if now > limit:
                    break
                if adversity is not None:
                    if adversity.flooded:
                        break
                    self.now, self.order = at, order
                    handled = adversity.divert(event)
                    at, order = self.now, self.order
                    if handled:
                        heappop(heap)
                        continue
                node = nodes[target]
                if source >= 0:
                    at = now
                    if node is None:
                        lost += 1
                        if now - sent > max_hop:  # an answer that would have come too late is one that did
                            max_hop = now - sent
                        heappop(heap)
                        continue
                    received += 1
                    if watched:
                        if observer is not None:
                            observer(now, source, target, msg, depth)
                        if now - sent > max_hop:
                            max_hop = now - sent
                    if not node.deliver(source, port, key, msg):
                        stale += 1
                elif node is None or not self.happen(now, mark, node, target, source, port):
                    heappop(heap)
                    continue  # a timer that was withdrawn; time has not come this far
                else:
                    at = now
                reached = depths[target]
                if depth > reached:
                    depths[target] = reached = depth
                if node.epoch != epochs[target]:
                    epochs[target] = node.epoch
                    if adversity is not None:
                        adversity.changed = now
                    self.monitor.enter(now, target, node.epoch)
                put: Put = heapreplace  # the first send takes the place of the event, still the least: else 1.01-1.04
                effects = node.effects
                if effects:
                    depth = reached + 1
                    for effect in effects:
                        if type(effect) is not Send:
                            if type(effect) is Elect:  # by `carry_out`, too: 1.02
                                if adversity is not None:
                                    adversity.changed = now
                                elect(now, target, effect.leader, effect.term or node.epoch, node.key[1])
                                continue
                            self.order = order
                            self.carry_out(now, node, target, effect)
                            order = self.order
                            continue
                        (peer, port), key = node.links[effect.port], node.key
                        link = target * n + peer
                        if adversity is not None:
                            hop = 0 if isinstance(effect.msg, Periodic) else depth
                            if hop > deepest:
                                deepest = hop
                            self.order = order
                            lives = adversity.transmit(now, target, peer, port, key, hop, effect.msg)
                            order = self.order
                            if not lives:
                                break
                            continue
                        if effect.msg is not msg:  # one passed on keeps its tally: encoding it again 1.09-1.12
                            msg = effect.msg
                            kind = type(msg)
                            tally = tallies[kind, len(encode(msg))]
                            if kind is drawn and (value := getattr(msg, "value")) is not None:  # noqa: B009
                                self.draws.setdefault(target, {})[msg] = value
                        tally[0] += 1
                        sent_by[target] += 1
                        hop = floor(uniform() * bound) + 1 if bound else delay()  # always by the call 1.02
                        time = now + hop
                        if time < arrivals[link]:
                            time = arrivals[link]
                            hop = time - now
                        arrivals[link] = time
                        if hop > max_hop:  # at the arrival 1.01
                            max_hop = hop
                        if depth > deepest:
                            deepest = depth
                        order += 1  # a local number: `count().__next__` 1.03
                        put(heap, (time, order, peer, target, port, key, depth, msg, tally, now))
                        put = heappush
                    effects.clear()
                if put is heapreplace:
                    heappop(heap)
        except Exception as error:
            if observer is not None:
                raise  # it may be the observer's, who wants to see it as it is
            if heap and heap[0] is event:
                heappop(heap)
            what = name_event(source, event[4], event[7])
            raise PageError(blame(self.scenario, target, what, error)) from error
        finally:
            self.received, self.lost, self.stale = self.received + received, self.lost + lost, self.stale + stale
            self.max_hop, self.deepest, self.now, self.order = max_hop, deepest, at, order
        return not heap

    def happen(self, now: int, order: int, node: Node, position: Position, what: int, detail: Any) -> bool:
        """Let a node handle what is no message; returns whether it was still to happen."""
        if what == TIMER:
            if self.timers.get((position, detail)) != order:
                return False
            del self.timers[position, detail]
            self.timeouts += 1
            node.fire(detail)
            return True
        if what == START:
            self.monitor.wake(now)
            node.on_start()
        elif what == SUSPECT:
            self.monitor.wake(now)
            node.on_suspect(node.port_to(detail))
        elif what == RECOVER:
            node.on_recover(self.saved.get(position))
            if all(type(effect) is SetTimer for effect in node.effects):  # it waits, and takes part in no election yet
                self.epochs[position] = node.epoch
        elif what == NEWS:
            source, key, msg = detail
            node.deliver(source, node.port_to(source), key, msg)
        else:
            node.on_trust(node.port_to(detail))
        return True

    def carry_out(self, now: int, node: Node, position: Position, effect: Effect) -> None:
        """Carry out an effect that is no message and elects nobody."""
        if type(effect) is SetTimer:
            due, mark = self.arm(now, position, effect)
            heappush(self.heap, (due, mark, position, TIMER, effect.name, None, 0, None, None, now))
        elif type(effect) is CancelTimer:
            self.timers.pop((position, effect.name), None)
        elif type(effect) is Save:
            self.saved[position] = effect.record
            if self.adversity is not None:
                self.adversity.saved = True

    def arm(self, now: int, position: Position, effect: SetTimer) -> tuple[int, int]:
        """Set a timer; returns when it is due and its order, by which it is known."""
        self.order += 1
        mark = self.timers[position, effect.name] = LATE + self.order
        return now + max(0, int(effect.delay * self.delta)), mark

    def tally(self, position: Position, msg: Message) -> Tally:
        """Count a message that `position` sends, as the loop does; returns where those like it are counted."""
        kind = type(msg)
        tally = self.tallies[kind, len(encode(msg))]
        tally[0] += 1
        if classify(kind) != "detector":
            self.sent_by[position] += 1
        if kind is self.drawn and (value := getattr(msg, "value")) is not None:  # noqa: B009
            self.draws.setdefault(position, {})[msg] = value
        return tally

    # -- the trial ---------------------------------------------------------------------------------------------------

    def schedule(self, position: Position, what: int, detail: Any = None, time: int | None = None) -> None:
        """Let something that is no message happen to a node: now, before anything is delivered, unless `time` is given."""
        self.order += 1
        due = self.now if time is None else time
        heappush(self.heap, (due, self.order, position, what, detail, None, 0, None, None, due))

    @property
    def live(self) -> tuple[Position, ...]:
        """Positions that are up."""
        return tuple(position for position, node in enumerate(self.nodes) if node is not None)

    def start(self, initiators: tuple[Position, ...]) -> None:
        """Wake the initiators."""
        for position in initiators:
            self.schedule(position, START)
        if self.adversity is not None:
            for position in self.live:
                self.adversity.watch(position, self.scenario.dead)

    def agreed(self) -> Position | None:
        """Where the live leader is whom all live nodes agree on; None if there is none."""
        leaders = {node.leader for node in self.nodes if node is not None} - self.unsaid
        leader = leaders.pop() if len(leaders) == 1 else None
        position = self.scenario.ids.index(leader) if leader is not None else None
        return position if position is not None and self.nodes[position] is not None else None

    def find_leader(self) -> Position | None:
        """Where the live leader is whom most live nodes follow, the first of several; None if there is none."""
        votes: dict[Position, int] = defaultdict(int)
        for node in self.nodes:
            if node is not None and node.leader:
                votes[self.scenario.ids.index(node.leader)] += 1
        return max((p for p in sorted(votes) if self.nodes[p] is not None), key=votes.__getitem__, default=None)

    def role_of(self, position: Position) -> str:
        """Whether a live node leads, follows or has no leader."""
        node = self.nodes[position]
        if node is None:
            return ""
        if node.leader is None:
            return "candidate"
        return "leader" if node.leader == self.scenario.ids[position] else "follower"

    def crash(self, victims: list[tuple[str, Position]]) -> None:
        """Nodes stop at once, each by a fault; what they sent before arrives. A perfect detector tells the others."""
        positions = tuple(position for _, position in victims)
        self.note_first(positions[0])
        for name, position in victims:
            self.execution.fired.append(Fired(name, "crash", position, self.now, self.role_of(position)))
            self.struck[name] = position
        for position in positions:
            self.nodes[position] = None
            self.monitor.die(self.now, position)
            for timer in [timer for timer in self.timers if timer[0] == position]:
                del self.timers[timer]
            if self.adversity is not None:
                self.adversity.forget(position)
        survivors = self.live
        scenario = self.scenario
        if survivors and scenario.tells:
            self.suspect(positions, choose_initiators(scenario.initiators, survivors, scenario.seed, positions[0]))

    def note_first(self, victim: Position | None) -> None:
        """Times are counted from the first fault that strikes, and who acts on it starts the election that is measured."""
        execution, scenario = self.execution, self.scenario
        if any(fired.what != "rate" for fired in execution.fired):
            return
        execution.began, self.monitor.first = self.now, None
        others = tuple(position for position in self.live if position != victim)
        if self.plan.settled and others:
            policy = scenario.initiators if scenario.pulse is None else "all"  # nobody is told: all timers run
            execution.initiators = choose_initiators(policy, others, scenario.seed, victim)

    def suspect(self, victims: tuple[Position, ...], acting: tuple[Position, ...]) -> None:
        """All others suspect the victims; those of `acting`, and who has no leader yet, act on it.

        Whose leader is dead already is told so again: who was to act on that may be the one that crashed now.
        """
        live = [(p, node) for p, node in enumerate(self.nodes) if node is not None and p not in victims]
        for _, node in live:
            node.suspected |= {node.port_to(victim) for victim in victims}
        act = {*acting, *(position for position, node in live if node.leader is None)}
        for position, node in live:
            leader = self.scenario.ids.index(node.leader) if node.leader else position
            again = () if self.nodes[leader] is not None or leader in victims else (leader,)
            for victim in (*victims, *again) if position in act else ():
                self.schedule(position, SUSPECT, victim)

    def aim(self, strike: Strike) -> Position:
        """At whom a strike goes now; -1 if at nobody."""
        if strike.position == LEADER:
            leader = self.find_leader()
            return -1 if leader is None else leader
        return self.struck.get(strike.fault, -1) if strike.position == VICTIM else strike.position

    def strike(self, strikes: list[Strike]) -> None:
        """Carry out what strikes now. What finds no target has not fired; who crash at once are told of at once."""
        victims: list[tuple[str, Position]] = []
        for strike in strikes:
            if strike.what == "crash":
                position = self.aim(strike)
                if (
                    position >= 0
                    and self.nodes[position] is not None
                    and position not in [struck for _, struck in victims]
                ):
                    victims.append((strike.fault, position))
                continue
            if victims:
                self.crash(victims)
                victims = []
            self.strike_otherwise(strike)
        if victims:
            self.crash(victims)

    def strike_otherwise(self, strike: Strike) -> None:
        """Carry out a strike that is no crash."""
        assert self.adversity is not None
        position = self.aim(strike)
        role = self.role_of(position) if position >= 0 else ""
        if not self.adversity.strike(strike, position):
            return
        self.note_first(position)
        if position >= 0:
            self.struck[strike.fault] = position
        links = strike.what in ("cut", "heal")
        whom = (-1, "") if links else (position, role or self.role_of(position))
        self.execution.fired.append(Fired(strike.fault, strike.what, whom[0], self.now, whom[1], strike.planned))

    def advance(self, limit: int) -> bool:
        """Handle events up to `limit`, or until nothing is left to happen; returns whether that is so."""
        return self.run_until(limit) if self.adversity is None else self.adversity.advance(limit)

    @property
    def clock(self) -> int:
        """The time until which all was handled, if nothing is left to happen."""
        return self.now if self.adversity is None else self.adversity.clock

    def pursue(self, horizon: int) -> bool:
        """Carry out the strikes of the plan, each in its time, until all is over; returns whether that was in time."""
        base = self.now
        timed = [strike for strike in self.plan.strikes if not strike.waits]
        waiting = [strike for strike in self.plan.strikes if strike.waits]
        while True:
            due = base + int(timed[0].at * 1e9) if timed else horizon
            limit = min(due, horizon)
            quiet = bool(waiting or not timed) and self.advance(limit)
            turn = bool(waiting) and all(strike.fault != waiting[0].fault for strike in timed)
            if quiet and turn and self.agreed() is not None:
                then = self.clock + int(waiting[0].at * 1e9)
                if then <= limit:
                    self.strike_at(then, [waiting.pop(0)])
                    continue
            if not timed:
                return quiet and not (waiting and self.agreed() is not None)
            if due > horizon:
                self.run_until(horizon)
                return False
            together = [strike for strike in timed if base + int(strike.at * 1e9) == due]
            del timed[: len(together)]
            self.strike_at(due, together)

    def strike_at(self, time: int, strikes: list[Strike]) -> None:
        """Handle all until `time`, and strike then."""
        self.run_until(time)
        self.now = time
        if self.adversity is not None:
            self.adversity.clock = time
        self.strike(strikes)

    def run(self) -> Execution:
        """Run the trial from start to quiescence or horizon, with its faults, or until its page raises."""
        try:
            self.play()
        except PageError as error:
            self.execution.stop, self.execution.error = "error", str(error)
        return self.conclude(self.execution)

    def play(self) -> None:
        """Let everything happen.

        Raises:
            PageError: if the page raises.
        """
        scenario, execution, plan, adversity = self.scenario, self.execution, self.plan, self.adversity
        horizon = int(scenario.horizon * 1e9)
        execution.initiators = scenario.starters
        execution.planned = plan.planned
        self.start(scenario.live if plan.settled else execution.initiators)
        quiet = plan.settled and self.advance(horizon)
        if quiet and self.agreed() is not None:
            self.now = self.clock
            self.count_from_now()
            execution.began = execution.counted_from = self.now
        if not plan.settled or (quiet and self.agreed() is not None):
            if adversity is not None:
                adversity.begin(self.now)
            quiet = self.pursue(horizon)
        execution.stop = "quiescent" if quiet else "horizon"
        if quiet and adversity is not None:
            execution.stop = "settled" if adversity.settled else "quiescent"
            adversity.silence()

    def pending(self) -> list[bool]:
        """Of each message in flight, whether its target is dead."""
        if self.adversity is not None:
            return list(self.adversity.pending())
        return [self.nodes[event[2]] is None for event in self.heap if event[3] >= 0]

    def conclude(self, execution: Execution) -> Execution:
        """Hand over what was counted."""
        dead = self.pending()
        execution.end = self.now
        if self.adversity is not None and self.adversity.pulse is not None and execution.stop == "settled":
            execution.end = max(execution.began, self.adversity.changed)  # what came later showed that it had settled
        for (kind, size), (messages, _) in self.tallies.items():
            execution.sent[kind] = execution.sent.get(kind, 0) + messages
            execution.bytes[kind] = execution.bytes.get(kind, 0) + messages * size
        execution.sent_by_node = max(self.sent_by)
        execution.received, execution.stale, execution.timeouts = self.received, self.stale, self.timeouts
        execution.lost, execution.in_flight = self.lost + sum(dead), len(dead) - sum(dead)
        execution.duplicated, execution.dropped = self.duplicated, self.dropped
        execution.false_suspicions = self.false_suspicions
        execution.depth, execution.max_hop = self.deepest, self.max_hop
        execution.live = self.live
        execution.draws = {position: tuple(drawn.values()) for position, drawn in self.draws.items()}
        return execution
