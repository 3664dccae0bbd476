"""Textbook: what the textbooks say of the five classics in words, held against the rows of a run.

A claim is judged by tests that its rule states: all hold, it is confirmed; some, partly; none, refuted. Unless said
otherwise they speak of medians at the largest n that all algorithms finished, and compare with the other classics.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from bench.analyse import (
    FAULT_LABELS,
    Results,
    algorithm_label,
    delay_slopes,
    fault_label,
    format_count,
    format_ms,
    judge_faults,
    told_fault,
)

CLASSICS = ("bully", "ring", "lamport", "chang_roberts", "randomized")
STEEP = 1.5  # an exponent between that of n and that of n²
PLAIN_RUN = f"election-bench run -a {','.join(CLASSICS)} -n 4,8,16,32,64 -f none,leader-crash"
DELAY_RUN = f"election-bench run -a {','.join(CLASSICS)} -n 8 -f none,delay:5ms,delay:10ms,delay:20ms"
FAULT_RUN = (
    f"election-bench run -a {','.join(CLASSICS)} -n 5,9 --detector heartbeat -f leader-crash,pause:leader,for=600ms"
)

Test = tuple[str, bool]  # what was measured, and whether the claim's rule holds


class Claim(NamedTuple):
    """One thing that a textbook says.

    Attributes:
        algorithm: of which it is said.
        says: the words.
        rule: what must hold for it, test by test.
        figure: the stem of the figure to look at.
        command: a run that has what the tests need.
        measure: the tests made on a run; none if it lacks the rows.
    """

    algorithm: str
    says: str
    rule: str
    figure: str
    command: str
    measure: Callable[[Results], list[Test]]


class Judgement(NamedTuple):
    """A claim with what a run says to it: `confirmed`, `partly`, `refuted` or `not measured`."""

    claim: Claim
    measured: list[str]
    verdict: str


def judge_claims(results: Results) -> list[Judgement]:
    """Every claim, judged by the rows of a run."""
    found = []
    for claim in CLAIMS:
        tests = claim.measure(results)
        held = sum(holds for _, holds in tests)
        verdict = "not measured" if not tests else {0: "refuted", len(tests): "confirmed"}.get(held, "partly")
        found.append(Judgement(claim, [f"{'✓' if holds else '✗'} {text}" for text, holds in tests], verdict))
    return found


def _faults(results: Results) -> list[str]:
    """Cold start and leader crash, as far as they ran; last the leader crash that one node notices."""
    return [fault for fault in results.headline.ran if told_fault(fault) in FAULT_LABELS]


def _compare(results: Results, fault: str, name: str, others: tuple[str, ...] = CLASSICS) -> tuple[pd.DataFrame, str]:
    """The cells of an algorithm and the others under a fault, and where that is; empty unless there are two."""
    head = results.headline
    n = head.largest_n(fault)
    cells = head.at(fault, n)
    cells = cells[cells.index.isin([name, *others]) & (cells["finished"] > 0)]
    enough = name in cells.index and len(cells) > 1
    return (cells if enough else cells.iloc[:0]), f"n = {n}, {fault_label(fault)}"


def _exponent(results: Results, name: str, fault: str, column: str) -> float:
    """The fitted power of n with which a median grows; NaN for fewer than three sizes."""
    cells = results.headline.over_n(name, fault)[column].dropna()
    cells = cells[(cells > 0) & (cells.index > 1)]
    return float(stats.linregress(np.log(cells.index), np.log(cells)).slope) if len(cells) > 2 else float("nan")


def _others(cells: "pd.Series[float]", name: str) -> float:
    return float(cells.drop(name).median())


def _many_messages(results: Results) -> list[Test]:
    tests: list[Test] = []
    for fault in _faults(results)[:1]:
        cells, where = _compare(results, fault, "bully")
        power = _exponent(results, "bully", fault, "messages")
        if cells.empty or np.isnan(power):
            continue
        mine, rest = cells["messages"]["bully"], _others(cells["messages"], "bully")
        tests.append((f"messages grow like n^{power:.2f} ({fault_label(fault)})", power >= STEEP))
        tests.append(
            (f"{format_count(mine)} messages against the others' {format_count(rest)} ({where})", mine >= rest)
        )
    return tests


def _slower(name: str, results: Results) -> list[Test]:
    """Whether an algorithm takes longer than the median of the others."""
    tests: list[Test] = []
    for fault in _faults(results)[:2]:
        cells, where = _compare(results, fault, name)
        latency = cells["latency"].dropna()
        if name in latency.index and len(latency) > 1:
            rest = _others(latency, name)
            text = f"{format_ms(latency[name])} ms against the others' {format_ms(rest)} ms ({where})"
            tests.append((text, bool(latency[name] > rest)))
    return tests


def _fewer_messages(name: str, other: str, results: Results) -> list[Test]:
    """Whether an algorithm sends fewer messages than another."""
    tests: list[Test] = []
    for fault in _faults(results):
        cells, where = _compare(results, fault, name, (other,))
        if not cells.empty:
            mine, theirs = cells["messages"][name], cells["messages"][other]
            text = f"{format_count(mine)} messages against {algorithm_label(other)}'s {format_count(theirs)} ({where})"
            tests.append((text, bool(mine < theirs)))
    return tests


def _slow_links(results: Results) -> list[Test]:
    slopes = {name: slope for name, slope in delay_slopes(results.delayed).items() if name in CLASSICS}
    if "ring" not in slopes or len(slopes) < 2:
        return []
    n, mine = results.delayed.trials["n"].iloc[0], slopes.pop("ring")
    rest = float(np.median(list(slopes.values())))
    text = f"each ms of delay on a link costs {mine:.1f} ms at n = {n}"
    return [(text, mine >= n), (f"twice the others' {rest:.1f} ms or more", mine >= 2 * rest)]


def _long_ring(results: Results) -> list[Test]:
    faults = _faults(results)[:1]
    powers = [(fault, _exponent(results, "ring", fault, "latency")) for fault in faults]
    tests = [
        (f"latency grows like n^{power:.2f} ({fault_label(fault)})", power >= 0.9)
        for fault, power in powers
        if not np.isnan(power)
    ]
    return [*tests, *_slower("ring", results)[:1]] if tests else []


def _reconfigured(results: Results) -> list[Test]:
    tests: list[Test] = []
    for fault in [fault for fault in _faults(results)[:2] if told_fault(fault) == "leader-crash"]:
        rows = results.headline.finished
        rows = rows[(rows["fault"] == fault) & (rows["algorithm"] == "ring")]
        expected = results.headline.theory("ring", fault, sorted(set(rows["n"])))["mean"]
        rows = rows[rows["n"].isin(expected.index)]
        if rows.empty:
            continue
        exact = int((rows["messages"] == rows["n"].map(expected)).sum())
        text = f"{exact:,} of {len(rows):,} trials sent exactly what a ring of the n − 1 survivors sends"
        tests.append((text, exact == len(rows)))
        tests.append(
            (f"{format_count(rows['lost'].max())} messages to the dead at most", bool(rows["lost"].max() == 0))
        )
    return tests


def _fair(results: Results) -> list[Test]:
    tests: list[Test] = []
    for fault in [fault for fault in _faults(results)[:1] if told_fault(fault) == "none"]:
        rows = results.headline.finished
        rows = rows[(rows["fault"] == fault) & (rows["algorithm"] == "lamport") & (rows["dead"] == "")]
        rows = rows[rows["verdict"] == "elected"]
        if rows.empty:
            continue
        strongest = rows["ids"].map(lambda ids: max(map(int, ids.split(","))))
        won = (rows["leader"] == strongest).mean()
        even = (1 / rows["n"]).mean()
        text = f"the highest id won {won:.0%} of {len(rows):,} elections; its even share is {even:.0%}"
        tests.append((text, bool(won <= 2 * even)))
        largest = rows[rows["n"] == rows["n"].max()]
        load = (largest["max_sent_by_node"] / (largest["messages"] / largest["n"])).median()
        tests.append(
            (f"the busiest node sends {load:.1f} times the mean (n = {largest['n'].iloc[0]})", bool(load <= 2))
        )
    return tests


def _robust(results: Results) -> list[Test]:
    rows = results.disturbed
    if "lamport" not in rows.algorithms or not set(rows.algorithms) & (set(CLASSICS) - {"lamport"}):
        return []
    cells = judge_faults(rows).reset_index()
    sums = cells[cells["algorithm"].isin(CLASSICS)].groupby("algorithm")[["elected", "valid"]].sum()
    share = (sums["elected"] / sums["valid"]).dropna()
    if "lamport" not in share or len(share) < 2:
        return []
    unsafe = cells.loc[(cells["algorithm"] == "lamport") & ~cells["safe"], "fault"]
    mine, rest = sums.loc["lamport"], _others(share, "lamport")
    text = f"{mine['elected']:,} of {mine['valid']:,} trials with faults ended with one leader, {share['lamport']:.0%}"
    text += f" against the others' {rest:.0%}"
    where = f" (not under {', '.join(map(fault_label, unsafe))})" if len(unsafe) else ""
    return [(text, bool(share["lamport"] >= rest)), (f"safe under every fault of the run{where}", not len(unsafe))]


def _more_efficient(results: Results) -> list[Test]:
    tests = _fewer_messages("chang_roberts", "ring", results)[:2]
    for fault in _faults(results)[:2]:
        cells, where = _compare(results, fault, "chang_roberts", ("ring",))
        latency = cells["latency"].dropna()
        if len(latency) == 2:
            mine, theirs = latency["chang_roberts"], latency["ring"]
            text = f"{format_ms(mine)} ms against Ring's {format_ms(theirs)} ms ({where})"
            tests.append((text, bool(mine < theirs)))
    return tests


def _simple(results: Results) -> list[Test]:
    plain = results.trials.loc[results.trials["fault"].isin(_faults(results)), ["trial", "algorithm"]]
    kinds = results.kinds[results.kinds["class"] != "detector"].merge(plain, on="trial")
    counts = kinds[kinds["count"] > 0].groupby("algorithm")["kind"].nunique()
    counts = counts[counts.index.isin(CLASSICS)]
    if "randomized" not in counts or len(counts) < 2:
        return []
    mine, rest = counts["randomized"], counts.drop("randomized").min()
    plural = "s" if mine > 1 else ""
    return [(f"{mine} kind{plural} of message; the fewest of the others have {rest}", bool(mine <= rest))]


def _large_scale(results: Results) -> list[Test]:
    tests: list[Test] = []
    for fault in _faults(results)[:1]:
        cells, where = _compare(results, fault, "randomized")
        power = _exponent(results, "randomized", fault, "messages")
        latency = cells["latency"].dropna()
        if np.isnan(power) or "randomized" not in latency or len(latency) < 2:
            continue
        mine, best = latency["randomized"], latency.min()
        tests.append((f"messages grow like n^{power:.2f} ({fault_label(fault)})", power < STEEP))
        tests.append(
            (f"{format_ms(mine)} ms against the fastest's {format_ms(best)} ms ({where})", bool(mine <= 2 * best))
        )
    return tests


def _uncertain(results: Results) -> list[Test]:
    tests: list[Test] = []
    for fault in _faults(results)[:1]:
        cells, where = _compare(results, fault, "randomized")
        sizes = results.headline.over_n("randomized", fault)
        stretch = (cells["latency_p95"] / cells["latency"]).dropna()
        if "randomized" not in stretch or len(stretch) < 2 or sizes["finished"].max() < 3:
            continue
        spread = (sizes["messages_max"] / sizes["messages_min"]).replace(np.inf, np.nan)
        text = f"up to {spread.max():.1f} times as many messages in one trial as in another of n = {spread.idxmax()}"
        tests.append((text, bool(spread.max() >= 2)))
        mine, rest = stretch["randomized"], _others(stretch, "randomized")
        tests.append(
            (f"p95 is {mine:.1f} times the median against the others' {rest:.1f} ({where})", bool(mine > rest))
        )
    return tests


CLAIMS = (
    Claim(
        "bully",
        "exchanges many messages",
        f"Its messages grow at least like n^{STEEP}; it sends no fewer than the median of the others.",
        "messages_by_n",
        PLAIN_RUN,
        _many_messages,
    ),
    Claim(
        "bully",
        "slow in large systems",
        "It takes longer than the median of the others: from a cold start; after a leader crash.",
        "latency_by_n",
        PLAIN_RUN,
        partial(_slower, "bully"),
    ),
    Claim(
        "ring",
        "less traffic than Bully",
        "It sends fewer messages than Bully: from a cold start; after a leader crash that all notice; that one notices.",
        "messages_by_n",
        PLAIN_RUN,
        partial(_fewer_messages, "ring", "bully"),
    ),
    Claim(
        "ring",
        "slow where latency is high",
        "Each ms of delay on every link costs at least n ms; at least twice the median of the others.",
        "latency_by_delay",
        DELAY_RUN,
        _slow_links,
    ),
    Claim(
        "ring",
        "slow where the ring is long",
        "Its latency grows at least like n^0.9; it takes longer than the median of the others.",
        "latency_by_n",
        PLAIN_RUN,
        _long_ring,
    ),
    Claim(
        "ring",
        "must be reconfigured when a node fails",
        "After a leader crash the messages are exactly those of a ring of the n − 1 survivors; none goes to the dead.",
        "messages_by_n",
        PLAIN_RUN,
        _reconfigured,
    ),
    Claim(
        "lamport",
        "fair",
        "From a cold start the highest id wins at most twice its even share of 1/n; nobody sends more than twice the mean.",
        "cost_by_n",
        PLAIN_RUN,
        _fair,
    ),
    Claim(
        "lamport",
        "robust",
        "With faults it elects in no smaller share of the trials than the median of the others; it is safe under all.",
        "verdicts_by_fault",
        FAULT_RUN,
        _robust,
    ),
    Claim(
        "chang_roberts",
        "more efficient than the simple ring",
        "It sends fewer messages than Ring, and is faster: from a cold start; after a leader crash.",
        "messages_by_n",
        PLAIN_RUN,
        _more_efficient,
    ),
    Claim(
        "randomized",
        "simple",
        "It has no more kinds of message than any other.",
        "messages_by_kind",
        PLAIN_RUN,
        _simple,
    ),
    Claim(
        "randomized",
        "good at large scale",
        f"Its messages grow slower than n^{STEEP}; it takes at most twice as long as the fastest.",
        "latency_by_n",
        PLAIN_RUN,
        _large_scale,
    ),
    Claim(
        "randomized",
        "uncertain in time",
        "At one size, a trial sends at least twice what another does; p95 is further from the median than the others' is.",
        "latency_by_share",
        PLAIN_RUN,
        _uncertain,
    ),
)
