"""Blame: whom and what to name when a page raises, on whichever engine."""

import os
from collections.abc import Callable

from algorithms.model import Node, Position
from bench.scenario import Scenario, find_algorithm


class PageError(Exception):
    """A page raised while a node handled an event; the text is by `blame`."""


def blame(scenario: Scenario, position: Position, event: str, error: Exception) -> str:
    """What to say of what the page of a scenario raised: at which node and event, and at which line of the page."""
    module, line = find_line(find_algorithm(scenario.algorithm), error)
    what = f"raised {type(error).__name__}: {error}"
    if isinstance(error, KeyError) and module.startswith("bench.engines"):  # what to send, or where to
        (unknown,), line = error.args, ""  # only the loop for calm elections sends while the page still runs
        if isinstance(unknown, type):
            what = f"sent {unknown.__name__}, which is none of its messages,"
        else:
            what = f"sent over port {unknown}, which it does not have,"
    return f"{scenario.algorithm}: node {position} (id {scenario.ids[position]}) {what} at {event}{line}"


def find_line(page: type[Node], error: Exception) -> tuple[str, str]:
    """The module that raised, and in words the last line of the page on the way there; nothing if it was on none."""
    trace = error.__traceback__
    module = line = ""
    while trace is not None:
        module, code = trace.tb_frame.f_globals["__name__"], trace.tb_frame.f_code
        if module == page.__module__:
            line = f" ({os.path.basename(code.co_filename)}, line {trace.tb_lineno})"
        trace = trace.tb_next
    return module, line


def bear(make: Callable[[Position, int], Node], scenario: Scenario, position: Position, incarnation: int = 0) -> Node:
    """A node, by what `node_maker` gave.

    Raises:
        PageError: if its page does.
    """
    try:
        return make(position, incarnation)
    except Exception as error:
        raise PageError(blame(scenario, position, "its birth", error)) from error
