"""Latency: durations as text, and models of how long a hop takes, as text that becomes a sampler or a matrix."""

import math
import random
import re
from collections.abc import Callable
from functools import cache
from math import floor
from pathlib import Path

from algorithms.model import Position

Sampler = Callable[[], int]  # the delay of the next hop, in ns, at least 1
LinkSampler = Callable[[Position, Position], int]  # the same, from one position to another
MATRICES = Path(__file__).parent / "latencies"


def seconds(text: str) -> float:
    """A duration in seconds from text such as `5ms`, `1.5s` or `200us`.

    Raises:
        ValueError: for anything else.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(us|ms|s)", text)
    if match is None:
        raise ValueError(f"{text!r} is no duration; write one such as 5ms, 1.5s or 200us")
    return float(match[1]) * {"us": 1e-6, "ms": 1e-3, "s": 1.0}[match[2]]


def matrix_names() -> list[str]:
    """Names of the matrices that come with the suite."""
    return sorted(path.stem for path in MATRICES.glob("*.toml"))


@cache
def read_matrix(text: str) -> tuple[tuple[int, ...], ...] | None:
    """One-way delays between places in ns, half of the round trips in a TOML file; None if `text` names no matrix.

    Parameters:
        text: one of `matrix_names`, or the path of a TOML file with `places` and a square `round_trip_ms`.

    Raises:
        ValueError: if the file cannot be read or holds no square of positive numbers.
    """
    if text not in matrix_names() and not text.endswith(".toml"):
        return None
    import tomllib

    try:
        found = tomllib.loads((MATRICES / f"{text}.toml" if text in matrix_names() else Path(text)).read_text())
        rows = tuple(tuple(max(1, round(float(cell) * 5e5)) for cell in row) for row in found["round_trip_ms"])
    except (OSError, tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"no matrix of latencies in {text!r}: {error}") from None
    if not rows or any(len(row) != len(rows) for row in rows) or len(found.get("places", rows)) != len(rows):
        raise ValueError(f"the matrix of latencies in {text!r} is not as wide as it is high")
    return rows


def make_link_sampler(text: str, delta: float, rng: random.Random) -> LinkSampler:
    """The sampler of a latency model or a matrix, link by link; in a matrix position p is at place p modulo their number.

    Raises:
        ValueError: as `make_sampler` and `read_matrix`.
    """
    matrix = read_matrix(text)
    if matrix is None:
        sampler = make_sampler(text, delta, rng)
        return lambda source, target: sampler()
    rows, size = matrix, len(matrix)
    return lambda source, target: rows[source % size][target % size]


def find_bound(text: str, delta: float) -> float:
    """The b, in ns, of a latency that is 1 + floor(b * u) for each u drawn from [0, 1), as it is by default; else 0."""
    return float(int(delta * 1e9)) if text == "" else 0.0


def make_sampler(text: str, delta: float, rng: random.Random) -> Sampler:
    """The sampler of a latency model.

    Parameters:
        text: `` (uniform over (0, delta]), `0`, `5ms`, `uniform:1ms:9ms`, `exp:5ms` (mean) or `lognormal:5ms:0.5` (median,
            sigma of the logarithm).
        delta: the bound on one hop, in seconds.
        rng: source of the delays.

    Raises:
        ValueError: for another text; the message says what is accepted.
    """
    kind, *words = text.split(":")
    uniform = rng.random
    try:
        if text in ("", "0"):
            bound = find_bound(text, delta)
            return lambda: floor(uniform() * bound) + 1  # `int` instead took 1.5 times as long
        if not words:
            constant = max(1, round(seconds(text) * 1e9))
            return lambda: constant
        if kind == "uniform" and len(words) == 2:
            low, high = (seconds(word) * 1e9 for word in words)
            if low <= high:
                return lambda: max(1, int(low + (high - low) * uniform()))
        if kind == "exp" and len(words) == 1:
            mean = seconds(words[0]) * 1e9
            return lambda: max(1, int(-mean * math.log(1.0 - uniform())))
        if kind == "lognormal" and len(words) == 2:
            median, sigma = seconds(words[0]) * 1e9, float(words[1])
            return lambda: max(1, int(median * math.exp(sigma * rng.gauss(0.0, 1.0))))
    except ValueError:
        pass
    known = f"0, 5ms, uniform:1ms:9ms, exp:5ms, lognormal:5ms:0.5, {', '.join(matrix_names())} or a TOML file"
    raise ValueError(f"no latency {text!r}; write {known}")
