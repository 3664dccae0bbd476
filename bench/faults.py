"""Faults: what shall go wrong in a trial, as values that are read from text and written back to it."""

import math
import random
import re
from collections.abc import Callable, Mapping

import msgspec

from algorithms.model import Position


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
    """What a fault does, for the catalogue, and the parameters that it accepts with the check of each."""

    meaning: str
    parameters: Mapping[str, Callable[[str], object]] = {}
    needs_one_of: tuple[str, ...] = ()


def seconds(text: str) -> float:
    """A duration in seconds from text such as `5ms`, `1.5s` or `200us`.

    Raises:
        ValueError: for anything else.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(us|ms|s)", text)
    if match is None:
        raise ValueError(f"{text!r} is no duration; write one such as 5ms, 1.5s or 200us")
    return float(match[1]) * {"us": 1e-6, "ms": 1e-3, "s": 1.0}[match[2]]


def _count(text: str) -> int:
    if int(text) < 1:
        raise ValueError(text)
    return int(text)


FAULTS: dict[str, FaultKind] = {
    "none": FaultKind("cold start: nothing fails"),
    "leader-crash": FaultKind("SIGKILL of the elected leader once all agree; measures the re-election"),
    "crash": FaultKind(
        "SIGKILL of the K-th strongest (rank=K), or of K at random together (random=K), at a moment drawn uniformly over "
        "[0, within) after the start (1 ms unless given)",
        {"rank": _count, "random": _count, "within": seconds},
        ("rank", "random"),
    ),
}


def parse_fault(text: str) -> Fault:
    """One fault from text such as `crash:random=2,within=5ms`.

    Raises:
        ValueError: says what is wrong and what would be accepted.
    """
    name, _, rest = text.partition(":")
    if name not in FAULTS:
        raise ValueError(f"no fault {name!r}; there are {', '.join(FAULTS)}")
    kind, parameters = FAULTS[name], {}
    for word in rest.split(",") if rest else ():
        key, equals, value = word.partition("=")
        if key not in kind.parameters or not equals:
            accepted = ", ".join(f"{known}=..." for known in kind.parameters) or "no parameters"
            raise ValueError(f"{name} does not take {word!r}; it takes {accepted}")
        try:
            kind.parameters[key](value)
        except ValueError:
            raise ValueError(f"{name}:{key} cannot be {value!r}") from None
        parameters[key] = value
    if kind.needs_one_of and sum(key in parameters for key in kind.needs_one_of) != 1:
        raise ValueError(f"{name} needs one of {', '.join(f'{key}=...' for key in kind.needs_one_of)}")
    return Fault(name, parameters)


def parse_faults(text: str) -> list[Fault]:
    """A comma-separated list of faults; a comma followed by something that is no fault's name continues the one before.

    Raises:
        ValueError: says what is wrong and what would be accepted.
    """
    words: list[str] = []
    for word in text.split(","):
        if words and re.split("[:+]", word)[0] not in FAULTS and "=" in word:
            words[-1] += "," + word
        else:
            words.append(word)
    return [parse_fault(word) for word in words]


class Blow(msgspec.Struct, frozen=True):
    """A planned kill during an election: at whom, and how long (s) after the start."""

    victims: tuple[Position, ...]
    after: float


def plan_blow(fault: Fault, ids: tuple[int, ...], dead: tuple[Position, ...], seed: str) -> Blow | None:
    """The kill that `fault` means during the first election of a trial, or None if it strikes none."""
    if fault.name != "crash":
        return None
    rng = random.Random(f"{seed}/fault")
    live = sorted((p for p in range(len(ids)) if p not in dead), key=lambda p: -ids[p])
    if "rank" in fault.parameters:
        victims = live[int(fault.parameters["rank"]) - 1 :][:1]
    else:
        victims = rng.sample(live, min(int(fault.parameters["random"]), len(live) - 1))
    within = seconds(fault.parameters.get("within", "1ms"))
    return Blow(tuple(sorted(victims)), rng.uniform(0, within) if math.isfinite(within) else 0.0)
