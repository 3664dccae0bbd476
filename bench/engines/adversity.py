"""Adversity: what goes wrong in a simulation, beyond crashes that everybody is told of.

Links that lose, double, reorder, delay or are cut; nodes that pause, are slow, come back, or die at exactly one send; and
failure detectors of the nodes' own. A `Simulation` that meets any of this hands its events and sends over to an
`Adversity`; the others know nothing of it, and are as fast as if it did not exist.
"""

import random
from collections import defaultdict
from collections.abc import Iterator
from heapq import heappush
from typing import TYPE_CHECKING, Any

from algorithms.model import Id, Message, Node, Periodic, Position
from algorithms.reelection import Newer, Reelection
from bench.blame import bear
from bench.detector import Heartbeat, HeartbeatDetector, Reaction, Suspicion, Times
from bench.faults import NOBODY, Ambush, Plan, Strike, Weather, cut_links
from bench.latency import LinkSampler, make_link_sampler
from bench.observe import Fired
from bench.scenario import choose_initiators

if TYPE_CHECKING:
    from bench.engines.simulation import Simulation

# in place of a source: the event is no message. From TICK on it is nothing that happens to a node
TIMER, START, SUSPECT, TRUST, RECOVER, NEWS, TICK, RELEASE = range(-1, -9, -1)

LATE = 1 << 60  # added to the order of timers: a message that arrives when one is due is handled before it
ASIDE = (Heartbeat, Suspicion, Periodic)  # messages that belong to no election
FLOOD = 20_000  # messages in flight, beyond what any election needs, at which a trial is given up

# time, order, target, source (or what it is), port (or a timer's name, a suspect), key, depth, message, tally, time sent
Event = tuple[int, int, Position, Position, Any, Any, int, Any, Any, int]

# the same of a message before it leaves: time sent, source, target, port, key, depth, message, tally
Parcel = tuple[int, Position, Position, Any, Any, int, Message, Any]


class Adversity:
    """What goes wrong in one simulated trial.

    Parameters:
        simulation: whose events and sends are handed over.
        plan: what shall happen.
        times: of the heartbeats; None where the engine tells who crashed.

    Attributes:
        began: whether the measured interval began: before it nothing goes wrong.
        gone: the order of the last event that was scheduled when a node crashed; what was on its way to it is lost.
        paused: what waits for each paused node, in order.
        cuts: links (from, to) that are cut, by fault.
        saved: whether a record was saved at this event.
        kept: messages held back on each link, until the next has been sent.
        clock: time until which events were handled.
        pulse: times of the page's own heartbeats, if it never falls silent.
        changed: when anything last happened that was no detector's message, and no heartbeat of the page.
        slowest: the longest hop of a detector's message.
        settled: whether the trial fell silent with suspicions that are wrong, or never does.
        flooded: whether messages multiplied without end, as doubled ones may that a page passes on: the trial is given up.
    """

    def __init__(self, simulation: "Simulation", plan: Plan, times: Times | None) -> None:
        scenario = simulation.scenario
        self.simulation, self.scenario, self.plan, self.times = simulation, scenario, plan, times
        self.pulse = scenario.pulse
        self.places = {identity: position for position, identity in enumerate(scenario.ids)}
        self.began = False
        self.weather = Weather()
        self.ambush: Ambush | None = None
        self.shots: dict[Position, int] = defaultdict(int)
        self.winds: dict[Position, tuple[random.Random, LinkSampler | None]] = {}
        self.incarnations: dict[Position, int] = defaultdict(int)
        self.gone: dict[Position, int] = {}
        self.paused: dict[Position, list[Event]] = {}
        self.cuts: dict[str, set[tuple[Position, Position]]] = {}
        self.kept: dict[tuple[Position, Position], tuple[int, list[Parcel]]] = {}
        self.free: dict[Position, int] = defaultdict(int)  # when a slow node is done with what it has
        self.served: set[int] = set()  # events that a slow node is done with
        self.detectors: dict[Position, HeartbeatDetector] = {}
        self.saved = False
        self.clock = self.changed = self.slowest = 0
        self.settled, self.flooded = self.pulse is not None, False
        self.most = FLOOD + 2 * scenario.n**2

    def begin(self, now: int) -> None:
        """The measured interval begins, and with it the weather."""
        self.began, self.weather, self.ambush, self.changed = True, self.plan.weather, self.plan.ambush, now
        for name in self.plan.rates:
            self.simulation.execution.fired.append(Fired(name, "rate", -1, now))

    # -- events ------------------------------------------------------------------------------------------------------

    def divert(self, event: Event) -> bool:
        """Deal with an event before its node does; returns whether that was all."""
        now, mark, target, source, detail, key, _, msg, tally, sent = event
        self.saved = False
        if source == RELEASE:
            self.release(now, target, detail, key)
            return True
        if mark <= self.gone.get(target, 0):
            self.lose(event)
            return True
        if target in self.paused:
            self.paused[target].append(event)
            return True
        if source == TICK:
            self.tick(now, target)
            return True
        if source < 0:
            return False
        if target in self.weather.slow and self.is_late(event):
            return True
        if type(msg) is Heartbeat or type(msg) is Suspicion:
            if self.simulation.nodes[target] is None:
                self.lose(event)
            else:
                self.simulation.received += tally
                self.slowest = max(self.slowest, now - sent)
                self.hear(now, target, source, key, msg)
            return True
        if isinstance(msg, Periodic):
            if self.simulation.nodes[target] is None:
                self.lose(event)
                return True
            self.simulation.received += (
                tally - 1
            )  # the loop counts it, also if it was sent before the measured interval
        return False

    def lose(self, event: Event) -> None:
        """An event for a node that crashed does not happen; a message is lost."""
        if event[3] >= 0:
            self.simulation.lost += self.counts(event[7], event[8])

    def counts(self, msg: Message, tally: Any) -> int:
        """1 if a message belongs to the measured interval, as all do that were sent in it, else 0."""
        counted: int = tally if isinstance(msg, ASIDE) else 1
        return counted

    def is_late(self, event: Event) -> bool:
        """Whether a slow node has still to come to a message; it handles one after another."""
        now, mark, target = event[:3]
        if mark in self.served:
            self.served.discard(mark)
            return False
        self.free[target] = max(now, self.free[target]) + int(self.weather.slow[target] * 1e9)
        self.simulation.order += 1
        self.served.add(self.simulation.order)
        heappush(self.simulation.heap, (self.free[target], self.simulation.order, *event[2:]))
        return True

    def resume(self, now: int, position: Position) -> None:
        """A paused node goes on: messages that waited for it come first, then timers that were due."""
        simulation = self.simulation
        waiting = self.paused.pop(position)
        for event in sorted(waiting, key=lambda event: (event[3] in (TIMER, TICK), event[:2])):
            simulation.order += 1
            if event[3] == TIMER:
                if simulation.timers.get((position, event[4])) != event[1]:
                    continue
                simulation.timers[position, event[4]] = LATE + simulation.order
            late = LATE if event[3] == TIMER else 0
            heappush(simulation.heap, (now, late + simulation.order, *event[2:]))

    # -- sends -------------------------------------------------------------------------------------------------------

    def transmit(
        self, now: int, source: Position, target: Position, port: Any, key: Any, depth: int, msg: Message
    ) -> bool:
        """Send a message over links as they are now; returns whether its sender lives on.

        Parameters:
            port: the label of the link at the target.
            key: of the sender's election.
        """
        ambush, deadly = self.ambush, False
        if ambush is not None and type(msg).__name__ == ambush.kind and ambush.position in (NOBODY, source):
            self.shots[source] += 1
            deadly = self.shots[source] == ambush.nth
            if deadly and not ambush.after:
                self.fall(now, source, ambush)
                return False
        tally: Any = self.simulation.tally(source, msg)
        if isinstance(msg, ASIDE):
            tally = int(self.began)  # those sent before the measured interval arrive in it, and do not count
        else:
            self.changed = now
        self.travel((now, source, target, port, key, depth, msg, tally))
        if deadly and ambush is not None:
            self.fall(now, source, ambush)
        return not deadly

    def fall(self, now: int, position: Position, ambush: Ambush) -> None:
        """A node dies at a send."""
        self.ambush = None  # one is enough, whoever else gets there
        self.simulation.now = now
        self.simulation.crash([(ambush.fault, position)])

    def travel(self, parcel: Parcel) -> None:
        """A message leaves, on a link as it is: cut, or one that loses, doubles or holds back what it carries."""
        simulation, weather, link = self.simulation, self.weather, parcel[1:3]
        now, source, target = parcel[:3]
        if any(link in cut for cut in self.cuts.values()):
            simulation.dropped += self.counts(parcel[6], parcel[7])
            return
        rng, _ = self.wind(source)
        if weather.loss and rng.random() < weather.loss:
            simulation.dropped += self.counts(parcel[6], parcel[7])
            return
        parcels = [parcel]
        if weather.duplicate and rng.random() < weather.duplicate:
            simulation.duplicated += self.counts(parcel[6], parcel[7])
            parcels.append(parcel)
        if weather.reorder and link not in self.kept and rng.random() < weather.reorder:
            simulation.order += 1
            self.kept[link] = (simulation.order, parcels)
            due = now + 2 * simulation.delta  # if no other message comes
            reminder = (due, simulation.order, source, RELEASE, target, simulation.order, 0, None, None, now)
            heappush(simulation.heap, reminder)
            return
        _, overtaken = self.kept.pop(link, (0, []))
        for one in parcels + overtaken:
            self.launch(now, one)

    def wind(self, source: Position) -> tuple[random.Random, LinkSampler | None]:
        """The random stream of what a node sends, and the sampler of delays on it, if there are any."""
        if source not in self.winds:
            rng = random.Random(f"{self.scenario.seed}/weather/{source}")
            delay = self.plan.weather.delay
            self.winds[source] = rng, make_link_sampler(delay, self.scenario.delta, rng) if delay else None
        return self.winds[source]

    def launch(self, now: int, parcel: Parcel) -> None:
        """A message is on its way; links are FIFO."""
        sent, source, target, port, key, depth, msg, tally = parcel
        simulation = self.simulation
        time = now + simulation.delay()
        if self.weather.delay and (delay := self.wind(source)[1]) is not None:
            time += delay(source, target)
        if self.saved:
            time += int(self.weather.write * 1e9)
        link = source * self.scenario.n + target
        time = simulation.arrivals[link] = max(time, simulation.arrivals[link])
        simulation.order += 1
        heappush(simulation.heap, (time, simulation.order, target, source, port, key, depth, msg, tally, sent))
        if len(simulation.heap) > self.most:
            self.flooded = True

    def release(self, now: int, source: Position, target: Position, token: int) -> None:
        """A message was held back for long enough."""
        if self.kept.get((source, target), (0, []))[0] == token:
            for parcel in self.kept.pop((source, target))[1]:
                self.launch(now, parcel)

    # -- detectors ---------------------------------------------------------------------------------------------------

    def watch(self, position: Position, suspected: tuple[Position, ...], back: bool = False) -> None:
        """The detector of a node that comes up, or back, starts, with those that it suspects."""
        if self.times is not None:
            period, timeout = int(self.times.period * 1e9), int(self.times.timeout * 1e9)
            now, n = self.simulation.now, self.scenario.n
            self.detectors[position] = HeartbeatDetector(position, n, set(suspected), period, timeout, now, back)
            self.simulation.schedule(position, TICK)

    def tick(self, now: int, position: Position) -> None:
        """A period of a detector has passed."""
        node = self.simulation.nodes[position]
        if node is not None:
            detector, leader = self.detectors[position], node.leader
            title: Id = leader if leader is not None and leader == self.scenario.ids[position] else 0
            reaction = detector.tick(now, self.places[leader] if leader is not None else None, title)
            self.simulation.schedule(position, TICK, time=detector.due)
            self.react(now, position, node, reaction)
            idle = now - self.changed > detector.timeout
            if idle and node.leader is not None and self.places[node.leader] in detector.suspected:
                self.simulation.schedule(
                    position, SUSPECT, self.places[node.leader], time=now
                )  # whose turn it is did not act

    def hear(self, now: int, position: Position, source: Position, key: Any, msg: Message) -> None:
        """A message of a detector arrives at a live node; a leader's tells it of the election, too."""
        node = self.simulation.nodes[position]
        assert node is not None
        self.react(now, position, node, self.detectors[position].hear(source, msg, now), source)
        if self.simulation.nodes[position] is not node or not isinstance(msg, Heartbeat) or not msg.leader:
            return
        if isinstance(node, Reelection) and (key != node.key or node.leader is None):  # else it is no news
            self.simulation.schedule(position, NEWS, (source, key, Newer(msg.leader)), time=now)

    def react(
        self, now: int, position: Position, node: Node, reaction: Reaction, source: Position | None = None
    ) -> None:
        """Carry out what a detector does, on a message from `source` if any."""
        for other, msg in reaction.sends:
            if not self.transmit(now, position, other, None, node.key, 0, msg):
                return
        for other in reaction.trusts:
            self.trust(now, position, node, other)
        for other in reaction.suspects:
            self.simulation.false_suspicions += self.simulation.nodes[other] is not None and other != source
            self.suspect(now, position, node, other)

    def suspect(self, now: int, position: Position, node: Node, other: Position) -> None:
        """A node begins to suspect another; it acts on it by the policy of initiators, or if it has no leader.

        Whose leader is suspected already looks again whether it is its turn: who was to act may be the one that is gone.
        """
        scenario, simulation = self.scenario, self.simulation
        self.changed = now
        node.suspected |= {node.port_to(other)}
        suspected = self.detectors[position].suspected
        trusted = tuple(one for one in range(scenario.n) if one not in suspected)
        victims = [other]
        if node.leader is not None and (leader := self.places[node.leader]) in suspected and leader != other:
            victims.append(leader)
        for victim in victims:
            chosen = choose_initiators(scenario.initiators, trusted, scenario.seed, victim)
            if node.leader is None or position in chosen:
                simulation.schedule(position, SUSPECT, victim, time=now)

    def trust(self, now: int, position: Position, node: Node, other: Position) -> None:
        """A node does not suspect another any longer."""
        self.changed = now
        node.suspected -= {node.port_to(other)}
        self.simulation.schedule(position, TRUST, other, time=now)

    # -- strikes -----------------------------------------------------------------------------------------------------

    def strike(self, strike: Strike, position: Position) -> bool:
        """Do to a position what a strike says (crashes apart); returns whether it hit."""
        simulation, now = self.simulation, self.simulation.now
        alive = position >= 0 and simulation.nodes[position] is not None
        match strike.what:
            case "recover":
                hit = position >= 0 and not alive
                if hit:
                    self.recover(position)
            case "pause":
                hit = alive and position not in self.paused
                if hit:
                    self.paused[position] = []
            case "resume":
                hit = position in self.paused
                if hit:
                    self.resume(now, position)
            case "cut":
                hit = alive
                if hit:
                    self.cuts[strike.fault] = cut_links(strike.detail, list(simulation.live), position)
            case "heal":
                hit = self.cuts.pop(strike.fault, None) is not None
            case "suspect" | "trust":
                hit = alive
                if hit:
                    self.mislead(position, strike.what == "suspect")
            case "rest":
                hit = False
            case what:
                raise ValueError(f"no strike {what!r}")
        self.changed = now
        return hit

    def recover(self, position: Position) -> None:
        """A dead node comes back with what it saved, and nothing else."""
        simulation = self.simulation
        self.incarnations[position] += 1
        node = simulation.nodes[position] = bear(simulation.make, self.scenario, position, self.incarnations[position])
        simulation.monitor.recover(position)
        simulation.epochs[position] = 0
        dead = [other for other in range(self.scenario.n) if simulation.nodes[other] is None]
        node.suspected = frozenset(node.port_to(other) for other in dead if self.scenario.tells)
        simulation.schedule(position, RECOVER)
        self.watch(position, (), back=True)
        if self.scenario.tells:
            for other in simulation.live:
                peer = simulation.nodes[other]
                if peer is not None and peer is not node:
                    self.trust(simulation.now, other, peer, position)

    def mislead(self, victim: Position, suspect: bool) -> None:
        """All live others suspect a living node, or trust it again; nodes that find out by themselves do not listen."""
        if self.pulse is not None:
            return
        simulation, scenario, misled = self.simulation, self.scenario, []
        for position in simulation.live:
            node = simulation.nodes[position]
            assert node is not None
            if position == victim or (node.port_to(victim) in node.suspected) == suspect:
                continue
            misled.append(position)
            if self.times is not None:
                detector = self.detectors[position]
                if suspect:
                    detector.suspect(victim, Reaction([], [], []))
                else:
                    detector.suspected.discard(victim)
            if not suspect:
                self.trust(simulation.now, position, node, victim)
            elif self.times is not None:
                self.suspect(simulation.now, position, node, victim)
        if suspect:
            simulation.false_suspicions += len(misled)
        if suspect and self.times is None and misled:
            simulation.suspect((victim,), choose_initiators(scenario.initiators, tuple(misled), scenario.seed, victim))

    def forget(self, position: Position) -> None:
        """A node crashed: what is on its way to it is lost, and what waited for it."""
        self.gone[position] = self.simulation.order
        self.changed = self.simulation.now
        for event in self.paused.pop(position, ()):
            self.lose(event)
        self.detectors.pop(position, None)

    # -- the end -----------------------------------------------------------------------------------------------------

    def advance(self, limit: int) -> bool:
        """Handle events up to `limit`, or until nothing is left but detectors' traffic; returns whether that is so.

        As long as suspicions are wrong or there is no leader whom all agree on, detectors may still mend it: only if
        nothing has changed for two timeouts is that the end.
        """
        simulation, times = self.simulation, self.times
        if self.pulse is not None:
            return self.settle(limit, self.pulse)
        if times is None:
            quiet = simulation.run_until(limit)
            self.clock = simulation.now if quiet else limit
            return quiet
        while self.clock < limit and not self.flooded:
            self.clock = min(limit, self.clock + int(times.period * 1e9))
            simulation.run_until(self.clock)
            if self.is_still():
                dead = {position for position in range(self.scenario.n) if simulation.nodes[position] is None}
                exact = all(detector.suspected == dead for detector in self.detectors.values())
                if exact and simulation.agreed() is not None:
                    return True
                if self.clock - self.changed > 2 * (int(times.timeout * 1e9) + self.slowest):
                    self.settled = not exact
                    return True
        return False

    def settle(self, limit: int, pulse: Times) -> bool:
        """Handle events up to `limit`, or until all agree on a leader and for a timeout nothing came but heartbeats."""
        simulation, period, patience = self.simulation, int(pulse.period * 1e9), int(pulse.timeout * 1e9)
        while self.clock < limit and not self.flooded:
            due = self.changed + patience
            self.clock = min(limit, due if due > self.clock else self.clock + period)
            simulation.run_until(self.clock)
            if self.clock - self.changed >= patience and self.is_still() and simulation.agreed() is not None:
                return True
        return False

    def is_still(self) -> bool:
        """Whether nothing is pending but what detectors do, or a page that never falls silent."""
        if (self.simulation.timers and self.pulse is None) or self.paused:
            return False
        if any(not isinstance(parcel[6], ASIDE) for _, parcels in self.kept.values() for parcel in parcels):
            return False
        return all(
            isinstance(event[7], ASIDE) if event[3] >= 0 else event[3] in (TIMER, TICK, RELEASE)
            for event in self.simulation.heap
        )

    def pending(self) -> Iterator[bool]:
        """For each message of the measured interval that is on its way, whether it will be lost."""
        nodes = self.simulation.nodes
        waiting = [event for events in self.paused.values() for event in events]
        for _, mark, target, source, _, _, _, msg, tally, _ in [*self.simulation.heap, *waiting]:
            if source >= 0 and self.counts(msg, tally):
                yield nodes[target] is None or mark <= self.gone.get(target, 0)
        for _, parcels in self.kept.values():
            for _, _, target, _, _, _, msg, tally in parcels:
                if self.counts(msg, tally):
                    yield nodes[target] is None

    def silence(self) -> None:
        """The trial is over: detectors stop, and what they still have on the way arrives."""
        simulation = self.simulation
        lost = list(self.pending())
        simulation.lost += sum(lost)
        simulation.received += len(lost) - sum(lost)
        simulation.heap.clear()
        self.kept.clear()
