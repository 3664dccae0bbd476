"""Engine `simulate`: the same pages in virtual time; nodes need no processes, and a million of them fit into one."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from bench.blame import PageError
from bench.engines.calm import Calm, wire
from bench.engines.simulation import Observer, Simulation, stillborn
from bench.observe import Execution
from bench.scenario import Scenario


def make_simulation(scenario: Scenario, observer: Observer | None = None) -> Simulation:
    """What runs a trial: the loop for calm elections, where it is one and nobody observes it."""
    wired = wire(scenario) if scenario.steady and observer is None else None
    return Simulation(scenario, observer) if wired is None else Calm(scenario, wired)


@contextmanager
def uncollected() -> Iterator[None]:
    """No search for cyclic garbage, which took 5 % more; the engine makes none, and a page's own waits for the end."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


class Simulate:
    """Runs trials in virtual time."""

    name = "simulate"
    deterministic = True

    def run(self, scenario: Scenario, observer: Observer | None = None) -> Execution:
        """Run one trial; `observer` is told of each delivery."""
        with uncollected():
            try:
                return make_simulation(scenario, observer).run()
            except PageError as error:
                return stillborn(scenario, error)
