"""Faults: what shall go wrong in a trial, as values that are read from text, and the plan of strikes that follows.

A plan says what is done to whom and when, with nothing left to chance; every engine carries out the same plan. Whom it
strikes may still depend on the trial: the leader is whoever leads at that moment.
"""

import math
import random
import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from algorithms.model import Position
from bench.latency import make_link_sampler, seconds

LEADER, VICTIM, NOBODY = -1, -2, -3  # in place of a position: who leads then; whom the same fault struck last; no one


class Fault(msgspec.Struct, frozen=True):
    """One thing that goes wrong.

    Attributes:
        name: a name in `FAULTS`.
        parameters: texts by name; a positional one has the name "".
    """

    name: str
    parameters: dict[str, str] = {}

    def __str__(self) -> str:
        words = ",".join(value if not name else f"{name}={value}" for name, value in self.parameters.items())
        return f"{self.name}:{words}" if words else self.name


class FaultKind(msgspec.Struct, frozen=True):
    """What a fault does, for the catalogue, and the parameters that it accepts with the check of each.

    Attributes:
        meaning: one line.
        parameters: checks by name; the positional one has the name "".
        needs: groups of parameters of which exactly one must be given.
        blind: whether the perfect detector says nothing of it, so that it needs another.
        covers: whose model covers it: `all`; those that assume no synchrony (`asynchronous`); or `lossy`, those whose
            messages need not arrive as they were sent. That no hop takes longer than delta is looked at apart.
        syntax: how to write it, what is to be filled in being in capitals; nothing where the name is all.
    """

    meaning: str
    parameters: Mapping[str, Callable[[str], object]] = {}
    needs: tuple[tuple[str, ...], ...] = ()
    blind: bool = False
    covers: str = "all"
    syntax: str = ""


def _count(text: str) -> int:
    if int(text) < 1:
        raise ValueError(text)
    return int(text)


def _position(text: str) -> int:
    if int(text) < 0:
        raise ValueError(text)
    return int(text)


def _share(text: str) -> float:
    if not 0 < float(text) <= 1:
        raise ValueError(text)
    return float(text)


def _number(text: str) -> float:
    if not 0 < float(text) < math.inf:
        raise ValueError(text)
    return float(text)


def _word(*words: str) -> Callable[[str], object]:
    def check(text: str) -> str:
        if text not in words:
            raise ValueError(text)
        return text

    return check


def _kind(text: str) -> str:
    if not text.isidentifier():
        raise ValueError(text)
    return text


def _latency(text: str) -> object:
    return make_link_sampler(text, 1.0, random.Random(0))


CUTS = ("majority", "minority", "halves", "leader-alone", "bridge", "one-way")

FAULTS: dict[str, FaultKind] = {
    "none": FaultKind(
        "cold start: nothing fails; the trial goes on for a time (0 unless given)",
        {"for": seconds},
        syntax="none[:for=TIME]",
    ),
    "leader-crash": FaultKind("SIGKILL of the elected leader once all agree; measures the re-election"),
    "crash": FaultKind(
        "SIGKILL of the K-th strongest (rank=K), or of K at random together (random=K), at a moment drawn uniformly over "
        "[0, within) after the start (1 ms unless given)",
        {"rank": _count, "random": _count, "within": seconds},
        (("rank", "random"),),
        syntax="crash:rank=K|random=K[,within=TIME]",
    ),
    "cascade": FaultKind(
        "each new leader is killed as soon as it is agreed on, K times", {"": _count}, (("",),), syntax="cascade:K"
    ),
    "crash-at": FaultKind(
        "a node kills itself before (or after) exactly its K-th send of KIND: the half-finished broadcast, the token lost "
        "in hand; without node=POSITION the first that gets there",
        {"": _kind, "nth": _count, "when": _word("before", "after"), "node": _position},
        (("",),),
        syntax="crash-at:KIND[,nth=K][,before|after][,node=POSITION]",
    ),
    "crash-recover": FaultKind(
        "the leader is killed and comes back with what it saved, and nothing else",
        {"after": seconds},
        (("after",),),
        syntax="crash-recover:after=TIME",
    ),
    "rolling": FaultKind(
        "each node in turn is killed, and comes back half a period later",
        {"every": seconds},
        (("every",),),
        syntax="rolling:every=TIME",
    ),
    "pause": FaultKind(
        "SIGSTOP of the leader or of POSITION, then SIGCONT: the leader that thinks it still leads",
        {"": lambda text: text == "leader" or _position(text), "for": seconds},
        (("",), ("for",)),
        blind=True,
        covers="asynchronous",
        syntax="pause:leader|POSITION,for=TIME",
    ),
    "slow": FaultKind(
        "a node that handles each message FACTOR times 0.1 ms late",
        {"node": _position, "factor": _number},
        (("node",), ("factor",)),
        syntax="slow:node=POSITION,factor=FACTOR",
    ),
    "partition": FaultKind(
        "links are cut, then healed: the leader with the majority or the minority, two halves, the leader alone, two "
        "halves that one node joins, or links that lead to the leader only (one-way)",
        {"": _word(*CUTS), "for": seconds},
        (("",), ("for",)),
        blind=True,
        covers="lossy",
        syntax=f"partition:{'|'.join(CUTS)},for=TIME",
    ),
    "loss": FaultKind(
        "each message is lost with that probability", {"": _share}, (("",),), covers="lossy", syntax="loss:PROBABILITY"
    ),
    "delay": FaultKind(
        "each message takes longer: 5ms, uniform:1ms:9ms, exp:5ms, lan, one-region, five-regions or a matrix in TOML",
        {"": _latency},
        (("",),),
        syntax="delay:LATENCY",
    ),
    "write": FaultKind(
        "stable storage takes so long: what a node sends on what it has just saved leaves that much later",
        {"": seconds},
        (("",),),
        syntax="write:TIME",
    ),
    "duplicate": FaultKind(
        "each message is sent twice with that probability",
        {"": _share},
        (("",),),
        covers="lossy",
        syntax="duplicate:PROBABILITY",
    ),
    "reorder": FaultKind(
        "each message is overtaken by the next with that probability",
        {"": _share},
        (("",),),
        covers="lossy",
        syntax="reorder:PROBABILITY",
    ),
    "false-suspicion": FaultKind(
        "one node suspects the living leader, and says so to all; after a time (50 ms unless given) all trust it again",
        {"for": seconds},
        covers="asynchronous",
        syntax="false-suspicion[:for=TIME]",
    ),
    "churn": FaultKind(
        "crashes and recoveries of random nodes as a Poisson process, RATE a second, for a time (1 s unless given)",
        {"rate": _number, "for": seconds},
        (("rate",),),
        syntax="churn:rate=RATE[,for=TIME]",
    ),
}


def parse_fault(text: str) -> Fault:
    """One fault from text such as `crash:random=2,within=5ms` or `pause:leader,for=200ms`.

    Raises:
        ValueError: says what is wrong and what would be accepted.
    """
    name, _, rest = text.partition(":")
    if name not in FAULTS:
        from difflib import get_close_matches

        near = get_close_matches(name, FAULTS, 1)
        hint = f"did you mean {FAULTS[near[0]].syntax or near[0]}?" if near else f"there are {', '.join(FAULTS)}"
        raise ValueError(f"no fault {name!r}; {hint}")
    kind, parameters = FAULTS[name], {}
    write = f"write {kind.syntax or name} ({kind.meaning})"
    for word in rest.split(",") if rest else ():
        key, equals, value = word.partition("=")
        if not equals and word in ("before", "after") and "when" in kind.parameters:
            key, value = "when", word
        elif not equals:
            key, value = "", word
        if key not in kind.parameters:
            raise ValueError(f"{name} does not take {word!r}; {write}")
        try:
            kind.parameters[key](value)
        except ValueError:
            raise ValueError(f"{name} cannot take {word!r}; {write}") from None
        parameters[key] = value
    if any(sum(key in parameters for key in group) != 1 for group in kind.needs):
        raise ValueError(f"{text!r} lacks something or has too much; {write}")
    return Fault(name, parameters)


Faults = tuple[Fault, ...]


def is_covered(faults: Faults, timing: str, channels: str) -> bool:
    """Whether the model of a page with that timing and those channels covers all of the faults."""
    covers = {FAULTS[fault.name].covers for fault in faults}
    if timing == "synchronous" and "asynchronous" in covers:
        return False
    return channels == "lossy" or "lossy" not in covers


def parse_plan(text: str) -> Faults:
    """Faults that happen in one trial, from text such as `leader-crash+loss:0.05`.

    Raises:
        ValueError: says what is wrong and what would be accepted.
    """
    faults = tuple(parse_fault(word) for word in text.split("+"))
    if len(faults) > 1 and any(fault.name == "none" for fault in faults):
        raise ValueError("none goes with no other fault")
    return faults


def write_plan(faults: Faults) -> str:
    """The text that `parse_plan` reads."""
    return "+".join(map(str, faults))


def parse_faults(text: str) -> list[Faults]:
    """A comma-separated list of plans; a comma followed by something that is no fault's name continues the one before.

    Raises:
        ValueError: says what is wrong and what would be accepted.
    """
    words: list[str] = []
    for word in text.split(","):
        if words and re.split("[:+]", word)[0] not in FAULTS and ("=" in word or word in ("before", "after")):
            words[-1] += "," + word
        else:
            words.append(word)
    return [parse_plan(word) for word in words]


class Strike(msgspec.Struct, frozen=True):
    """One thing done to the system.

    Attributes:
        fault: the fault that it belongs to, as text.
        what: crash, recover, pause, resume, cut, heal, suspect, trust, or rest (nothing is done).
        at: seconds after the measured interval began; of a strike that waits for agreement, after that.
        position: at whom; or LEADER, VICTIM or NOBODY.
        waits: whether it waits until all agree on a leader again.
        detail: which links are cut.
        planned: whether it counts as a fault that should fire; what ends another does not.
    """

    fault: str
    what: str
    at: float = 0.0
    position: Position = NOBODY
    waits: bool = False
    detail: str = ""
    planned: bool = True


class Weather(msgspec.Struct, frozen=True):
    """What the transport does to messages while it is in force.

    Attributes:
        loss, duplicate, reorder: probabilities.
        delay: a latency model that is added to each hop, or nothing.
        write: seconds by which what is sent after a `Save`, at the same event, leaves late.
        slow: seconds by which a position handles each message late.
    """

    loss: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    delay: str = ""
    write: float = 0.0
    slow: dict[Position, float] = {}


class Ambush(msgspec.Struct, frozen=True):
    """A node shall kill itself at exactly one send.

    Attributes:
        kind: name of the message kind.
        nth: which send of that kind, from 1.
        after: whether the message still leaves.
        position: whose, or NOBODY for whoever gets there first.
    """

    fault: str
    kind: str
    nth: int
    after: bool
    position: Position


class Plan(msgspec.Struct, frozen=True):
    """What shall happen in a trial, with nothing left to chance; it round-trips through JSON.

    Attributes:
        strikes: in order.
        weather: in force from the beginning of the measured interval.
        ambush: the crash at a send, if there is one.
        rates: names of faults with a rate: one planned each, and fired once in force.
        settled: whether a leader is elected, and agreed on, before the measured interval begins.
        counts_start: whether counting begins at the start although a strike comes later: the election is under way then.
    """

    strikes: tuple[Strike, ...] = ()
    weather: Weather = Weather()
    ambush: Ambush | None = None
    rates: tuple[str, ...] = ()
    settled: bool = False
    counts_start: bool = False

    @property
    def planned(self) -> int:
        """Faults that should fire."""
        return sum(strike.planned for strike in self.strikes) + len(self.rates) + (self.ambush is not None)


def make_plan(faults: Faults, ids: tuple[int, ...], dead: tuple[Position, ...], seed: int, period: float) -> Plan:
    """The plan of a trial.

    Parameters:
        faults: what shall go wrong.
        ids: by position.
        dead: positions that are down from the start.
        seed: of the trial.
        period: of the detector's heartbeats in seconds, over which the moment of a strike is drawn; 0 if there are none.
    """
    if faults == (Fault("none"),):
        return Plan()  # nothing to draw: two seeds less, a third of a node's reset
    rng = random.Random(f"{seed}/fault")
    strikes: list[Strike] = []
    weather: dict[str, Any] = {"slow": {}}
    ambush, rates = None, []
    live = [position for position in range(len(ids)) if position not in dead]
    moment = random.Random(f"{seed}/moment").uniform(0, period)
    settled = any(fault.name in SETTLED for fault in faults)
    for fault in faults:
        own, name = fault.parameters, str(fault)
        match fault.name:
            case "none":
                if "for" in own:
                    strikes.append(Strike(name, "rest", seconds(own["for"]), planned=False))
            case "leader-crash":
                strikes.append(Strike(name, "crash", moment, LEADER))
            case "crash":
                strikes += _plan_crash(fault, live, ids, rng)
            case "cascade":
                strikes += [Strike(name, "crash", moment, LEADER, waits=k > 0) for k in range(int(own[""]))]
            case "crash-at":
                position = int(own["node"]) if "node" in own else NOBODY
                ambush = Ambush(name, own[""], int(own.get("nth", "1")), own.get("when") == "after", position)
            case "crash-recover":
                strikes.append(Strike(name, "crash", moment, LEADER))
                strikes.append(Strike(name, "recover", moment + seconds(own["after"]), VICTIM))
            case "rolling":
                every = seconds(own["every"])
                for turn, position in enumerate(live):
                    strikes.append(Strike(name, "crash", moment + turn * every, position))
                    strikes.append(Strike(name, "recover", moment + (turn + 0.5) * every, position))
            case "pause":
                position = LEADER if own[""] == "leader" else int(own[""])
                strikes.append(Strike(name, "pause", moment, position))
                strikes.append(Strike(name, "resume", moment + seconds(own["for"]), VICTIM, planned=False))
            case "partition":
                strikes.append(Strike(name, "cut", moment, LEADER, detail=own[""]))
                strikes.append(Strike(name, "heal", moment + seconds(own["for"]), planned=False))
            case "false-suspicion":
                strikes.append(Strike(name, "suspect", moment, LEADER))
                strikes.append(Strike(name, "trust", moment + seconds(own.get("for", "50ms")), VICTIM, planned=False))
            case "churn":
                strikes += _plan_churn(fault, live, rng)
            case "slow":
                weather["slow"][int(own["node"])] = float(own["factor"]) * 1e-4
                rates.append(name)
            case "loss" | "duplicate" | "reorder":
                weather[fault.name] = float(own[""])
                rates.append(name)
            case "write":
                weather["write"] = seconds(own[""])
                rates.append(name)
            case "delay":
                weather["delay"] = own[""]
                rates.append(name)
    strikes.sort(key=lambda strike: strike.at)
    return Plan(
        strikes=tuple(strikes),
        weather=Weather(**weather),
        ambush=ambush,
        rates=tuple(rates),
        settled=settled,
        counts_start=not settled and any(fault.name == "crash" for fault in faults),
    )


SETTLED = {  # faults that strike once a leader is agreed on
    *("leader-crash", "cascade", "crash-recover", "rolling", "pause", "partition", "false-suspicion", "churn"),
}


def _plan_crash(fault: Fault, live: list[Position], ids: tuple[int, ...], rng: random.Random) -> list[Strike]:
    """Kills during the first election, all at one moment."""
    strongest = sorted(live, key=lambda position: -ids[position])
    if "rank" in fault.parameters:
        victims = strongest[int(fault.parameters["rank"]) - 1 :][:1]
    else:
        victims = rng.sample(strongest, min(int(fault.parameters["random"]), len(live) - 1))
    at = rng.uniform(0, seconds(fault.parameters.get("within", "1ms")))
    return [Strike(str(fault), "crash", at, position) for position in sorted(victims)]


def _plan_churn(fault: Fault, live: list[Position], rng: random.Random) -> list[Strike]:
    """Crashes and recoveries of random nodes; at least one lives at any time, and all do at the end."""
    at, last, up, down = 0.0, seconds(fault.parameters.get("for", "1s")), list(live), list[Position]()
    strikes = []
    while (at := at + rng.expovariate(float(fault.parameters["rate"]))) < last:
        if down and (len(up) == 1 or rng.random() < 0.5):
            position = down.pop(rng.randrange(len(down)))
            up.append(position)
            strikes.append(Strike(str(fault), "recover", at, position))
        elif len(up) > 1:
            position = up.pop(rng.randrange(len(up)))
            down.append(position)
            strikes.append(Strike(str(fault), "crash", at, position))
    return strikes + [Strike(str(fault), "recover", last, position) for position in down]


def cut_links(kind: str, live: list[Position], leader: Position) -> set[tuple[Position, Position]]:
    """Which links (from, to) a partition cuts.

    Parameters:
        kind: one of `CUTS`.
        live: all positions that take part, ascending.
        leader: who leads, on whom most kinds depend.
    """
    others = [position for position in live if position != leader]
    if kind == "one-way":
        return {(leader, position) for position in others}
    if kind == "leader-alone":
        side = {leader}
    elif kind in ("majority", "minority"):
        larger = len(live) // 2 + 1
        side = {leader, *others[: (larger if kind == "majority" else len(live) - larger) - 1]}
    else:
        side = set(live[: len(live) // 2])
    bridge = live[len(live) // 2] if kind == "bridge" and len(live) > 2 else NOBODY
    return {
        (one, other)
        for one in live
        for other in live
        if one != other and bridge not in (one, other) and (one in side) != (other in side)
    }
