"""Answer: what users ask of each algorithm, side by side, and the recommendation that follows by stated rules."""

from typing import NamedTuple

import pandas as pd

from bench.analyse import (
    FAULT_LABELS,
    HEARTBEATS,
    Results,
    algorithm_label,
    fault_label,
    format_count,
    format_ms,
    headline_faults,
    join_names,
    judge_faults,
    median_interval,
    told_fault,
)

RULES = (
    "Who may be recommended: in no trial of the run a promise was broken or one election had two leaders, and every trial "
    "of a cold start and of a leader crash whose fault hit ended with one leader that all agree on.",
    "Of these, who is safe under the most faults of the run: never two leaders of one election, no end in disagreement.",
    "Of these, who is without a leader for the shortest time after a leader crash (median at the largest n that all "
    "finished; where no leader crash ran: who elects fastest), and all whose 95% interval reaches to that one's.",
    "Of these, who sends the fewest messages there.",
)


class Answer(NamedTuple):
    """What a run says to whom asks which algorithm to take.

    Attributes:
        table: a row an algorithm: `sound` (may be recommended), `safe` and `faults` (of how many), `unsafe` (the names of
            the others), and in the deciding cell `time` with `low` and `high` (s), and `messages`.
        fault, n: the deciding cell.
        chosen: who is recommended, or None.
        reason: the recommendation in one line.
    """

    table: pd.DataFrame
    fault: str
    n: int
    chosen: str | None
    reason: str


def find_answer(results: Results) -> Answer | None:
    """The recommendation that follows from a run by `RULES`; None if no trial finished."""
    head = results.headline
    if head.finished.empty:
        return None
    faults = headline_faults(head)
    crashes = [fault for fault in faults if told_fault(fault) == "leader-crash"]
    fault = crashes[0] if crashes else faults[0]
    n, column = head.largest_n(fault), "leaderless_s" if crashes else "latency_s"
    judged = judge_faults(results.undelayed).reset_index()
    rows = head.finished[(head.finished["fault"] == fault) & (head.finished["n"] == n)]
    table = pd.DataFrame([_ask(results, judged, rows, name, column) for name in results.algorithms]).set_index("name")
    left = table[table["sound"] & table["time"].notna()]
    where = f"at n = {n} ({fault_label(fault)})"
    if left.empty:
        return Answer(table, fault, n, None, f"None can be recommended: none elected a leader in every trial {where}")
    sound = len(left)
    left = left[left["safe"] == left["safe"].max()]
    first = left.loc[left["time"].idxmin()]
    near = left[left["low"].fillna(left["time"]) <= (first["time"] if pd.isna(first["high"]) else first["high"])]
    chosen = str(near["messages"].idxmin())
    told = near.loc[chosen]
    what = "without a leader for the shortest time" if crashes else "the fastest"
    reason = f"Take {algorithm_label(chosen)}: "
    always = "elected a leader in every cold start and leader crash"
    reason += f"of the {sound} that {always}, " if sound > 1 else f"it alone {always}, "
    if len(left) < sound:
        reason += f"{'it alone' if len(left) == 1 else 'it'} is safe under {told['safe']} of {told['faults']} faults, "
    reason += f"it is {what}, " if len(left) > 1 else "without a leader for " if crashes else "in "
    reason += f"{format_ms(told['time'])} ms {where}"
    if len(near) > 1:
        reason += f", no worse than {join_names(other for other in near.index if other != chosen)}"
    reason += f", with {format_count(told['messages'])} messages" + ", the fewest of these" * (len(near) > 1)
    return Answer(table, fault, n, chosen, reason)


def _ask(results: Results, judged: pd.DataFrame, rows: pd.DataFrame, name: str, column: str) -> dict[str, object]:
    """The row of one algorithm."""
    trials, mine = results.trials[results.trials["algorithm"] == name], judged[judged["algorithm"] == name]
    mine = mine[mine["valid"] > 0]
    plain = mine[mine["fault"].str.removesuffix(HEARTBEATS).isin(FAULT_LABELS)]
    cell = rows[rows["algorithm"] == name]
    low, high = median_interval(cell[column])
    return {
        "name": name,
        "sound": bool(not trials["broken"].any() and not trials["violations"].any() and not plain["failed"].any()),
        "safe": int(mine["safe"].sum()),
        "faults": len(mine),
        "unsafe": list(mine.loc[~mine["safe"], "fault"]),
        "time": cell[column].median(),
        "low": low,
        "high": high,
        "messages": cell["messages"].median(),
    }
