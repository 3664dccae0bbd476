"""Answer: what users ask of each algorithm, side by side, and the recommendation that follows by stated rules."""

from typing import NamedTuple

import pandas as pd

from bench.analyse import (
    FAULT_LABELS,
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
    "Who may be recommended: who in no trial of the run had two leaders of one election or broke a promise, and ended "
    "every cold start, and every leader crash that hit, with one leader that all agree on.",
    "Of these, who is safe under the most faults of the run: never two leaders of one election, no end in disagreement.",
    "Of these, who is without a leader for the shortest time after a leader crash (median at the largest n that all "
    "finished; where no leader crash ran: who elects fastest), and all whose 95% interval reaches to that one's.",
    "Of these, who sends the fewest messages there.",
)


class Answer(NamedTuple):
    """What a run says to whom asks which algorithm to take.

    Attributes:
        table: a row an algorithm: `against` (why it may not be recommended, or nothing), `safe` and `faults` (of how many),
            `unsafe` (the names of the others), and in the deciding cell `time` with `low` and `high` (s), and `messages`.
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
    where = f"at n = {n}" + (f" ({fault_label(fault)})" if fault not in FAULT_LABELS else "")
    left = table[table["against"] == ""]
    if left.empty:
        return Answer(table, fault, n, None, f"None can be recommended: {_left_out(table['against'])}")
    table.loc[(table["against"] == "") & (table["safe"] < left["safe"].max()), "against"] = "safe under fewer faults"
    left = table[table["against"] == ""]
    first = left.sort_values("time", kind="stable").iloc[0]
    near = left[left["low"].fillna(left["time"]) <= (first["time"] if pd.isna(first["high"]) else first["high"])]
    chosen = str(near["messages"].idxmin())
    told = near.loc[chosen]
    verb, whom = ("replace", "a crashed leader") if crashes else ("elect", "a leader")
    reason = f"Take {algorithm_label(chosen)}: it "
    reason += f"is the fastest of {len(left)} to {verb} {whom}" if len(left) > 1 else f"{verb}s {whom}"
    reason += f", in {format_ms(told['time'])} ms {where}, with {format_count(told['messages'])} messages"
    if len(near) > 1:
        others = join_names(other for other in near.index if other != chosen)
        reason += f", no more than {others}, which {'are' if len(near) > 2 else 'is'} not clearly slower"
    reason += f"; left out: {_left_out(table['against'])}" if len(left) < len(table) else ""
    return Answer(table, fault, n, chosen, reason)


def _left_out(against: "pd.Series[str]") -> str:
    """Who may not be recommended, and why."""
    groups = against[against != ""].groupby(against, sort=False).groups
    return ", ".join(f"{join_names(names)} ({reason})" for reason, names in groups.items())


def _ask(results: Results, judged: pd.DataFrame, rows: pd.DataFrame, name: str, column: str) -> dict[str, object]:
    """The row of one algorithm."""
    trials, mine = results.trials[results.trials["algorithm"] == name], judged[judged["algorithm"] == name]
    mine = mine[mine["valid"] > 0]
    plain = mine[mine["fault"].map(told_fault).isin(FAULT_LABELS)]
    cell = rows[rows["algorithm"] == name]
    against = {
        "two leaders of one election": trials["violations"].any(),
        "not every start or crash ended with one leader": plain["failed"].any(),
        "broke a promise": trials["broken"].any(),
        "no time to compare": cell[column].isna().all(),
    }
    low, high = median_interval(cell[column])
    return {
        "name": name,
        "against": next((words for words, found in against.items() if found), ""),
        "safe": int(mine["safe"].sum()),
        "faults": len(mine),
        "unsafe": list(mine.loc[~mine["safe"], "fault"]),
        "time": cell[column].median(),
        "low": low,
        "high": high,
        "messages": cell["messages"].median(),
    }
