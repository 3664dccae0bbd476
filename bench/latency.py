"""Latency models: how long a hop takes, as text that becomes a sampler."""

import math
import random
from collections.abc import Callable
from math import floor

from bench.faults import seconds

Sampler = Callable[[], int]  # the delay of the next hop, in ns, at least 1


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
            bound = float(int(delta * 1e9)) if text == "" else 0.0
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
    raise ValueError(f"no latency {text!r}; write 0, 5ms, uniform:1ms:9ms, exp:5ms or lognormal:5ms:0.5")
