"""Analyse: a run's stored rows as data frames, and what they say: summaries, theory's lines, findings.

Everything here is a view on `results/<run>/`; nothing is stored and no engine is needed. A trial that reached the horizon,
ended in an error, or whose fault did not hit is counted and shown, and never averaged. What heartbeats notice is another
fault than what all are told at once, so that no cell mixes detectors. Times are in seconds.
"""

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from types import UnionType
from typing import Any, NamedTuple, get_args, get_type_hints

import numpy as np
import pandas as pd
from scipy import stats
from scipy.special import digamma

from algorithms import ALGORITHMS
from bench.detector import parse_detector
from bench.latency import seconds
from bench.settings import BadInput
from bench.store import KIND_COLUMNS, read_manifest
from bench.trial import Trial

ALGORITHM_LABELS = {
    "bully": "Bully",
    "ring": "Ring",
    "lamport": "Lamport",
    "chang_roberts": "Chang–Roberts",
    "randomized": "Randomized",
    "lelann": "LeLann",
    "hirschberg_sinclair": "Hirschberg–Sinclair",
    "franklin": "Franklin",
    "dolev_klawe_rodeh": "Dolev–Klawe–Rodeh",
    "peterson": "Peterson",
    "higham_przytycka": "Higham–Przytycka",
    "itai_rodeh": "Itai–Rodeh",
    "afek_gafni": "Afek–Gafni",
    "zookeeper_fle": "ZooKeeper FLE",
    "echo_extinction": "Echo with extinction",
    "flood_max": "FloodMax",
}
FAULT_LABELS = {"none": "cold start", "leader-crash": "leader crash"}
HEARTBEATS = " · heartbeats"  # ends the name of a fault that is noticed by heartbeats
ONE_STARTS = " · one starts"  # ends the name of a fault after which one node starts, in a run in which else all do
MOST_PANELS = 6  # faults that get a panel each in a figure over n
P99_TRIALS = 100  # a 99th percentile of fewer is an extrapolation
P95_TRIALS = 20  # and so is a 95th
PHASES = ("detect", "elect", "agree", "quiet")
CELL = ["algorithm", "fault", "n"]
VERDICTS = ("elected", "no_leader", "split", "unknown")
COSTS = (
    "messages",
    "stale_messages",
    "epochs",
    "churn",
    "false_suspicions",
    "detector_messages",
    "dropped",
    "duplicated",
)
TROUBLES = ("horizon", "error", "invalid", "no_leader", "split", "violations", "outside_model")
_DTYPES: dict[type, str] = {int: "int64", float: "float64", bool: "bool", str: "str"}
_RESAMPLES = 2000


def algorithm_label(name: str) -> str:
    """The name of an algorithm as people write it."""
    words = name.rpartition(":")[2].replace("_", " ")
    return ALGORITHM_LABELS.get(name, words[0].upper() + words[1:])


def told_fault(fault: str) -> str:
    """The fault as it was asked for, whatever noticed it."""
    return fault.removesuffix(HEARTBEATS).removesuffix(ONE_STARTS)


def fault_label(fault: str) -> str:
    """The name of a fault as people write it."""
    told = told_fault(fault)
    return " + ".join(FAULT_LABELS.get(word, word) for word in told.split("+")) + fault.removeprefix(told)


def link_delay(fault: str) -> float:
    """How much longer each hop takes under `fault` (s) if that is all that happens, and the same for all; else NaN."""
    name, _, text = fault.partition(":")
    try:
        return seconds(text) if name == "delay" else 0.0 if fault == "none" else float("nan")
    except ValueError:
        return float("nan")


def format_count(value: float) -> str:
    """A number of messages: whole if it is, else with one decimal; an em dash for NaN."""
    return "—" if np.isnan(value) else f"{value:,.0f}" if abs(value - round(value)) < 0.05 else f"{value:,.1f}"


def format_ms(seconds: float) -> str:
    """A duration given in seconds as milliseconds, three significant digits, without the unit; an em dash for NaN."""
    if np.isnan(seconds):
        return "—"
    decimals = 0 if seconds == 0 else max(0, 2 - int(np.floor(np.log10(seconds * 1e3))))
    return f"{seconds * 1e3:,.{min(decimals, 3)}f}"


def _dtype(annotation: object) -> str:
    if isinstance(annotation, UnionType):
        return {int: "Int64", float: "float64"}[get_args(annotation)[0]]
    return _DTYPES[annotation]  # type: ignore[index]


def _read_csv(path: Path, dtypes: dict[str, str]) -> pd.DataFrame:
    """A table with exactly the columns of `dtypes`; an empty one if the file is missing or has no rows."""
    empty = {column: pd.Series(dtype=dtype) for column, dtype in dtypes.items()}
    missing = {column: [""] for column, dtype in dtypes.items() if dtype != "str"}
    try:
        return pd.read_csv(path, dtype=dtypes, keep_default_na=False, na_values=missing)[list(dtypes)]
    except (FileNotFoundError, pd.errors.EmptyDataError):
        return pd.DataFrame(empty)
    except (ValueError, KeyError) as error:
        raise ValueError(f"cannot read {str(path)!r}: {str(error).splitlines()[0]}") from None


def _length(texts: "pd.Series[str]") -> "pd.Series[int]":
    """How many words each of some comma-separated texts has."""
    return (texts.str.count(",") + 1).where(texts != "", 0)


def _who_starts(rows: pd.DataFrame) -> "np.ndarray[Any, Any]":
    """`all` or `one` if that many live nodes started the election, else `some`, for each row."""
    started, live = _length(rows["initiators"]), rows["n"] - _length(rows["dead"]) - rows["faults_fired"]
    return np.select([started >= live, started == 1], ["all", "one"], "some")


def _is_broken(rows: pd.DataFrame) -> "pd.Series[bool]":
    """`Trial.is_broken` of each row."""
    arrived = rows["received"] + rows["dropped"] + rows["lost"] + rows["in_flight"]
    kept = (rows["verdict"] == "elected") & (rows["violations"] == 0) & (rows["in_flight"] == 0)
    kept &= rows["sent"] + rows["duplicated"] == arrived
    return (rows["stop"] == "error") | (rows["within_model"] & (rows["faults_fired"] == rows["faults_planned"]) & ~kept)


@dataclass(frozen=True)
class Results:
    """A run, read back.

    Attributes:
        folder: where it lies.
        manifest: how it came about.
        trials: one row a trial, the columns of `Trial`, `fault` with `HEARTBEATS` where these notice it; and `finished`
            (may be averaged), `invalid` (the fault did not hit), `broken` (as `Trial.is_broken`), `starts` (all, one or
            some), `latency_s` (start or first suspicion to the last live node's agreement) and `traffic` (messages of the
            failure detector in one period of heartbeats, of the 2n - 1 that it sends when nothing happens).
        kinds: one row a trial and kind of message: trial, kind, class, count, bytes.
    """

    folder: Path
    manifest: dict[str, Any]
    trials: pd.DataFrame
    kinds: pd.DataFrame

    @cached_property
    def finished(self) -> pd.DataFrame:
        """The trials that may be averaged."""
        return self.trials[self.trials["finished"]]

    @cached_property
    def algorithms(self) -> list[str]:
        """Algorithms in the order in which they ran."""
        return list(self.trials["algorithm"].unique())

    @cached_property
    def faults(self) -> list[str]:
        """Faults in the order in which they ran."""
        return list(self.trials["fault"].unique())

    @cached_property
    def ran(self) -> list[str]:
        """Faults under which trials finished, in the order in which they ran."""
        return list(self.finished["fault"].unique())

    @cached_property
    def sizes(self) -> list[int]:
        """Sizes at which trials finished, ascending."""
        return sorted(self.finished["n"].unique().tolist())

    @cached_property
    def headline(self) -> "Results":
        """The part that is shown over n: one detector, the perfect one if it ran; of many faults only the plain ones."""
        rows = self.trials
        for unlike in (rows["fault"].str.endswith(HEARTBEATS), rows["fault"].isin(self.slow_links)):
            rows = rows if unlike[rows.index].all() else rows[~unlike[rows.index]]
        plain = rows[rows["fault"].isin([fault for fault in self.faults if told_fault(fault) in FAULT_LABELS])]
        many = rows["fault"].nunique() > MOST_PANELS
        return replace(self, trials=plain if many and not plain.empty else rows)

    @cached_property
    def plain(self) -> "Results":
        """The part without faults, or with nothing but a leader crash or links that are slow, of which all are told."""
        told = [fault for fault in self.faults if not fault.endswith(HEARTBEATS)]
        plain = [fault for fault in told if told_fault(fault) in FAULT_LABELS]
        return replace(self, trials=self.trials[self.trials["fault"].isin([*plain, *self.slow_links])])

    @cached_property
    def slow_links(self) -> list[str]:
        """Faults that do nothing but make all links slow, by the same time."""
        return [fault for fault in self.faults if link_delay(fault) > 0]

    @cached_property
    def disturbed(self) -> "Results":
        """The part with faults: all that is not `plain`."""
        return replace(self, trials=self.trials.drop(self.plain.trials.index))

    @cached_property
    def undelayed(self) -> "Results":
        """The part without the trials in which links were slow and nothing else happened, if there are others."""
        rows = self.trials[~self.trials["fault"].isin(self.slow_links)]
        return self if rows.empty else replace(self, trials=rows)

    @cached_property
    def delayed(self) -> "Results":
        """The part that is shown over the delay of links, in column `delay` (s): cold starts at the size where most vary.

        Without delays there is nothing in it. In simulation a cold start has delays of its own, and is left out.
        """
        delays = {fault: link_delay(fault) for fault in self.faults}
        rows = self.finished.assign(delay=self.finished["fault"].map(delays)).dropna(subset=["delay", "latency_s"])
        rows = rows[(rows["delay"] > 0) | (rows["engine"] != "simulate")]
        sizes = rows[rows["delay"] > 0].groupby("n")["delay"].nunique()
        return replace(self, trials=rows[rows["n"] == (sizes.idxmax() if len(sizes) else 0)])

    @cached_property
    def noticed(self) -> str:
        """What tells the nodes of a fault, in words."""
        heartbeats = sorted({fault.endswith(HEARTBEATS) for fault in self.faults})
        words = {False: "told at once by a perfect detector", True: "noticed by heartbeats"}
        return words[heartbeats[0]] if len(heartbeats) == 1 else "noticed as named"

    def label(self, fault: str) -> str:
        """The name of a fault as people write it; what notices it goes without saying if that is the same for all."""
        return fault_label(fault if self.noticed == "noticed as named" else told_fault(fault))

    @cached_property
    def engine(self) -> str:
        """The engine, or engines, that ran the trials."""
        return ", ".join(self.trials["engine"].unique())

    @cached_property
    def summary(self) -> pd.DataFrame:
        """One row a cell, indexed by algorithm, fault and n (see `summarise`)."""
        return summarise(self.trials)

    def largest_n(self, fault: str) -> int:
        """The largest n at which all algorithms have finished trials under `fault`; if there is none, the largest of any.

        Raises:
            ValueError: if no trial under `fault` finished.
        """
        rows = self.finished[self.finished["fault"] == fault]
        present = rows.groupby("n")["algorithm"].nunique()
        return int(max(present.index[present == present.max()]))

    def at(self, fault: str, n: int) -> pd.DataFrame:
        """The summary under `fault` at `n`, indexed by algorithm."""
        rows = self.summary.reset_index()
        return rows[(rows["fault"] == fault) & (rows["n"] == n)].set_index("algorithm")

    def over_n(self, algorithm: str, fault: str) -> pd.DataFrame:
        """The summary of `algorithm` under `fault` at the sizes with finished trials, indexed by n, ascending."""
        rows = self.summary[self.summary["finished"] > 0].reset_index()
        return rows[(rows["algorithm"] == algorithm) & (rows["fault"] == fault)].set_index("n").sort_index()

    def theory(self, algorithm: str, fault: str, nodes: Iterable[int]) -> pd.DataFrame:
        """Theory's lines for an algorithm as it ran: columns best, mean and worst (messages), indexed by n.

        Empty where no closed form applies: other parameters than the default, dead nodes, another fault than `none` and
        `leader-crash`, neither all nor one node that starts, or an algorithm outside the catalogue.
        """
        rows = self.finished[(self.finished["algorithm"] == algorithm) & (self.finished["fault"] == fault)]
        starts = rows.loc[rows["n"] == rows["n"].max(), "starts"].unique()
        fault = fault.removesuffix(ONE_STARTS)
        if len(starts) != 1 or algorithm not in ALGORITHMS or rows["dead"].any():
            return predict(algorithm, fault, "some", nodes)
        known = ALGORITHMS[algorithm].parameters
        chosen = (word.partition("=") for text in rows["parameters"].unique() if text for word in text.split(","))
        special = any(known[name].default != value for name, _, value in chosen)
        return predict(algorithm, fault, "some" if special else starts[0], nodes)


def load_results(folder: Path) -> Results:
    """Read a run.

    Raises:
        ValueError: if `folder` is no run, has another schema, or a table that cannot be read; the message is one line.
    """
    try:
        manifest = read_manifest(folder)
    except BadInput as error:
        raise ValueError(str(error)) from None
    trials = _read_csv(folder / "trials.csv", {name: _dtype(kind) for name, kind in get_type_hints(Trial).items()})
    kinds = _read_csv(
        folder / "kinds.csv", dict(zip(KIND_COLUMNS, ("int64", "str", "str", "int64", "int64"), strict=True))
    )
    trials["invalid"] = trials["faults_fired"] < trials["faults_planned"]
    trials["finished"] = ~trials["stop"].isin(["horizon", "error"]) & ~trials["invalid"]
    trials["broken"] = _is_broken(trials)
    trials["starts"] = _who_starts(trials)
    trials["latency_s"] = (trials["elect_s"] + trials["agree_s"]).where(trials["verdict"] == "elected")
    times = {detector: parse_detector(detector, 1.0) for detector in trials["detector"].unique()}
    periods = trials["detector"].map({detector: time.period if time else np.nan for detector, time in times.items()})
    trials["traffic"] = trials["detector_messages"] * periods / trials["wall_s"] / (2 * trials["n"] - 1)
    perfect = trials["detector"] == "perfect"
    alone = perfect & (trials["starts"] == "one")
    mixed = bool((perfect & (trials["starts"] == "all")).any())
    trials["fault"] += np.where(perfect, np.where(alone, ONE_STARTS if mixed else "", ""), HEARTBEATS)
    return Results(folder, manifest, trials, kinds)


def median_interval(sample: "pd.Series[float]") -> tuple[float, float]:
    """95% bootstrap interval of the median, repeatable; NaN for fewer than three values.

    Returns:
        Lower and upper end, in the sample's unit.
    """
    return _median_interval(sample.dropna().to_numpy(dtype=float).tobytes())


@cache  # views that overlap ask for the same samples
def _median_interval(sample: bytes) -> tuple[float, float]:
    values = np.frombuffer(sample)
    if len(values) < 3:
        return float("nan"), float("nan")
    if np.ptp(values) == 0:
        return float(values[0]), float(values[0])
    found = stats.bootstrap(
        (values,), np.median, n_resamples=_RESAMPLES, batch=100, method="percentile", rng=np.random.default_rng(0)
    )
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


def _summarise_cell(rows: pd.DataFrame) -> dict[str, Any]:
    done = rows[rows["finished"]]
    low, high = median_interval(done["latency_s"])
    return {
        "initiators": "some" if rows["starts"].nunique() > 1 else rows["starts"].iloc[0],
        "trials": len(rows),
        "finished": len(done),
        "elected": int((done["verdict"] == "elected").sum()),
        "elected_share": (rows.loc[~rows["invalid"], "verdict"] == "elected").mean(),
        "messages_min": done["messages"].min(),
        "messages": done["messages"].median(),
        "messages_max": done["messages"].max(),
        "latency": done["latency_s"].median(),
        "latency_low": low,
        "latency_high": high,
        "latency_p95": done["latency_s"].quantile(0.95),
        "latency_p99": done["latency_s"].quantile(0.99),
        "latency_max": done["latency_s"].max(),
        "leaderless": done["leaderless_s"].median(),
        **{phase: done[f"{phase}_s"].median() for phase in PHASES},
        "epochs": done["epochs"].median(),
        "timeouts": done["timeouts"].median(),
        "delta": done["delta_s"].median(),
        "horizon": int((rows["stop"] == "horizon").sum()),
        "error": int((rows["stop"] == "error").sum()),
        "invalid": int(rows["invalid"].sum()),
        "no_leader": int((rows["verdict"] == "no_leader").sum()),
        "split": int((rows["verdict"] == "split").sum()),
        "violations": int(rows["violations"].sum()),
        "outside_model": int((~rows["within_model"]).sum()),
    }


def summarise(trials: pd.DataFrame) -> pd.DataFrame:
    """Every cell of a run in one row, indexed by algorithm, fault and n.

    Averages are over finished trials alone, times in seconds; `trials`, `elected_share` (of the valid trials) and what
    went wrong (`TROUBLES`) are over all. `violations` counts nodes, the other troubles count trials.
    """
    cells = [
        {**dict(zip(CELL, key, strict=True)), **_summarise_cell(rows)} for key, rows in trials.groupby(CELL, sort=False)
    ]
    return pd.DataFrame(cells, columns=None if cells else CELL).set_index(CELL)


def predict(algorithm: str, fault: str, initiators: str, nodes: Iterable[int]) -> pd.DataFrame:
    """Messages by the theorem: columns best, mean and worst, indexed by n; empty where no closed form applies.

    Parameters:
        algorithm: a name; outside the catalogue nothing is known.
        fault: `none` (all n live) or `leader-crash` (n - 1 do); nothing is known of others.
        initiators: `all` or `one`; nothing is known of other policies.
        nodes: sizes; those with fewer than two live nodes are left out.
    """
    columns = ("best", "mean", "worst")
    if algorithm not in ALGORITHMS or fault not in FAULT_LABELS or initiators not in ("all", "one"):
        return pd.DataFrame(columns=columns, dtype=float)
    dead = int(fault == "leader-crash")
    bounds = getattr(ALGORITHMS[algorithm].claims, initiators)
    formulas = [getattr(bounds, column).value for column in columns]
    sizes = [n for n in nodes if n - dead >= 2]
    values = [[float("nan") if value is None else value(n, n - dead) for value in formulas] for n in sizes]
    return pd.DataFrame(values, index=pd.Index(sizes, name="n"), columns=columns, dtype=float)


class Bound(NamedTuple):
    """A lower bound on messages: what it is called, and its value for so many live nodes."""

    text: str
    value: Callable[[float], float]


def _harmonic(n: float) -> float:
    return float(digamma(n + 1) + np.euler_gamma)


LOWER_BOUNDS = {
    "": Bound("n − 1: all must hear of it", lambda n: n - 1),
    "unidirectional ring": Bound("n·Hₙ: one-way ring, n unknown, mean", lambda n: n * _harmonic(n)),
    "bidirectional ring": Bound("½ n·Hₙ: two-way ring, n unknown, mean", lambda n: n * _harmonic(n) / 2),
}  # Pachl, Korach, Rotem 1984; Bodlaender 1988: of elections that all start


def lower_bounds(results: Results, fault: str) -> list[Bound]:
    """What no algorithm of the run can do with less under `fault`: nothing unless it is plain."""
    rows = results.finished[results.finished["fault"] == fault]
    if told_fault(fault) not in FAULT_LABELS or fault.endswith(HEARTBEATS):
        return []
    known = ["", *rows["topology"].unique()] if (rows["starts"] == "all").all() else [""]
    return [LOWER_BOUNDS[topology] for topology in known if topology in LOWER_BOUNDS]


def count_kinds(results: Results, fault: str, n: int) -> pd.DataFrame:
    """Mean messages a finished trial: columns algorithm, kind, kind_class and messages; what decides comes first."""
    trials = results.finished[(results.finished["fault"] == fault) & (results.finished["n"] == n)]
    kinds = results.kinds[results.kinds["class"] != "detector"].merge(trials[["trial", "algorithm"]], on="trial")
    sums = kinds.groupby(["algorithm", "kind", "class"], sort=False)["count"].sum().reset_index()
    sums["messages"] = sums["count"] / sums["algorithm"].map(trials["algorithm"].value_counts())
    return sums.rename(columns={"class": "kind_class"}).sort_values("kind_class", ascending=False, kind="stable")


def _ratio(most: float, least: float) -> str:
    if least == 0:
        return "∞"
    ratio = most / least
    return f"{ratio:,.0f}" if ratio >= 9.95 else f"{ratio:.1f}"


def join_names(algorithms: Iterable[Hashable]) -> str:
    """Names of algorithms as people write them in a sentence."""
    words = [algorithm_label(str(name)) for name in algorithms]
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _rivals(results: Results, fault: str, n: int) -> pd.DataFrame:
    """The summary of the algorithms that may be compared: most of their finished trials ended with a leader."""
    cells = results.at(fault, n)
    return cells[cells["elected"] > cells["finished"] / 2]


def find_fewest_messages(results: Results, fault: str) -> str:
    """Who sends the fewest messages under `fault` at the largest common n, and how many times fewer than who sends most."""
    n = results.largest_n(fault)
    messages = _rivals(results, fault, n)["messages"]
    where = f"at n = {n} ({fault_label(fault)})"
    if messages.empty:
        return f"No algorithm elected a leader reliably {where}"
    if len(messages) == 1:
        return f"{join_names(messages.index)} sends {format_count(messages.iloc[0])} messages {where}"
    if messages.max() <= messages.min() * 1.05:
        return f"All send about {format_count(messages.median())} messages {where}"
    fewest = messages.index[messages <= messages.min() * 1.01]
    verb = "sends" if len(fewest) == 1 else "send"
    if messages.min() == 0:
        return f"{join_names(fewest)} {verb} no message {where}"
    times = _ratio(messages.max(), messages.min())
    return f"{join_names(fewest)} {verb} {times} times fewer messages than {join_names([messages.idxmax()])} {where}"


def find_fastest(results: Results, fault: str) -> str:
    """Who elects fastest under `fault` at the largest common n; those with overlapping intervals share the place."""
    n = results.largest_n(fault)
    cells = _rivals(results, fault, n).dropna(subset="latency").sort_values("latency")
    where = f"at n = {n} ({fault_label(fault)})"
    if cells.empty:
        return f"No algorithm elected a leader reliably {where}"
    best, worst = cells.iloc[0], cells.iloc[-1]
    end = best["latency"] if np.isnan(best["latency_high"]) else best["latency_high"]
    fastest = cells.index[cells["latency_low"].fillna(cells["latency"]) <= end]
    if len(cells) == 1:
        return f"{join_names(fastest)} elects in {format_ms(best['latency'])} ms {where}"
    if len(fastest) == len(cells):
        return f"All elect in about {format_ms(cells['latency'].median())} ms {where}"
    verb = "elects" if len(fastest) == 1 else "elect"
    times = f"{_ratio(worst['latency'], best['latency'])} times as long" if best["latency"] else ""
    slow = f"{join_names(cells.index[-1:])} takes {times or format_ms(worst['latency']) + ' ms'}"
    return f"{join_names(fastest)} {verb} fastest, in {format_ms(best['latency'])} ms {where}; {slow}"


def find_longest_tail(results: Results, fault: str) -> str:
    """Whose 99th percentile (of fewer than 100 trials: slowest one) is the furthest from its median at the largest n."""
    n = results.largest_n(fault)
    cells = _rivals(results, fault, n).dropna(subset="latency")
    where = f"at n = {n} ({fault_label(fault)})"
    if cells.empty:
        return f"No algorithm elected a leader reliably {where}"
    enough = cells["finished"].min() >= P99_TRIALS
    slow = cells["latency_p99" if enough else "latency_max"]
    stretch = (slow / cells["latency"]).fillna(1.0).sort_values()  # a lone node takes no time at all
    what = "99th percentile" if enough else "slowest trial"
    text = (
        f"{join_names(stretch.index[-1:])}'s {what} takes {_ratio(stretch.iloc[-1], 1)} times its median time {where}"
    )
    return text + (
        f", {join_names(stretch.index[:1])}'s {_ratio(stretch.iloc[0], 1)} times" if len(stretch) > 1 else ""
    )


def find_announcements(results: Results, fault: str) -> str:
    """How large a part of their messages announces the outcome, for who announces most and least."""
    n = results.largest_n(fault)
    kinds = count_kinds(results, fault, n)
    kinds["announcing"] = kinds["messages"].where(kinds["kind_class"] == "announcement", 0.0)
    sums = kinds.groupby("algorithm", sort=False)[["announcing", "messages"]].sum()
    shares = (sums["announcing"] / sums["messages"].where(sums["messages"] > 0)).dropna().sort_values()
    if shares.empty:
        return f"No message was sent at n = {n} ({fault_label(fault)})"
    most = f"{shares.iloc[-1]:.0%} of {join_names(shares.index[-1:])}'s messages announce the outcome"
    share = f"{shares.iloc[0]:.0%}" if shares.iloc[0] else "none"
    least = f", {share} of {join_names(shares.index[:1])}'s" if len(shares) > 1 else ""
    return f"{most}{least} at n = {n} ({fault_label(fault)})"


def find_longest_phase(results: Results, fault: str) -> str:
    """What the slowest algorithm spends most of its time on under `fault` at the largest common n."""
    n = results.largest_n(fault)
    phases = results.at(fault, n)[list(PHASES)].dropna(how="all").fillna(0.0)
    where = f"at n = {n} ({fault_label(fault)})"
    if phases.empty:
        return f"No election ended in agreement {where}"
    slowest = phases.iloc[int(phases.sum(axis=1).argmax())]
    verb = {"detect": "detecting the fault", "elect": "electing", "agree": "agreeing", "quiet": "falling quiet"}
    share = slowest.max() / slowest.sum() if slowest.sum() else 0.0
    name = join_names([str(slowest.name)])
    return f"{name} spends {share:.0%} of its {format_ms(slowest.sum())} ms on {verb[str(slowest.idxmax())]} {where}"


def find_crash_cost(results: Results) -> str | None:
    """How long a crashed leader leaves the system without one at the largest common n, or None if nothing tells."""
    crashes = [fault for fault in headline_faults(results) if told_fault(fault) == "leader-crash"]
    if not crashes:
        return None
    n = results.largest_n(crashes[0])
    cells = _rivals(results, crashes[0], n).sort_values("leaderless")
    if cells.empty:
        return None
    shortest, longest = cells.iloc[0], cells.iloc[-1]
    text = f"A leader crash at n = {n} leaves nobody in charge for {format_ms(shortest['leaderless'])} ms"
    if len(cells) > 1:
        text += f" ({join_names(cells.index[:1])}) to {format_ms(longest['leaderless'])} ms"
        text += f" ({join_names(cells.index[-1:])})"
    else:
        text += f" ({join_names(cells.index)})"
    waiting = cells[cells["timeouts"] > 0]
    if not waiting.empty:
        delta = format_ms(waiting["delta"].max())
        verb = "waits" if len(waiting) == 1 else "wait"
        text += f"; of that, {join_names(waiting.index)} {verb} for a timeout to run out, a multiple of δ = {delta} ms"
    return text


def find_troubles(results: Results) -> str:
    """Whether anything went wrong, in one sentence."""
    total, left_out = len(results.trials), len(results.trials) - len(results.finished)
    agreed = int((results.finished["verdict"] == "elected").sum())
    violations, outside = int(results.trials["violations"].sum()), int((~results.trials["within_model"]).sum())
    trials = f"All {total:,} trials" if total > 1 else "The only trial"
    if agreed == total and not violations:
        text = f"{trials} ended with one leader that every live node agrees on, and no election ever had two"
    else:
        text = f"{agreed:,} of {total:,} trials ended with one leader that every live node agrees on"
        text += f"; {left_out:,} are not averaged" if left_out else ""
        text += f"; {violations:,} times an election had two" if violations else ""
    return text + (f"; {outside:,} went outside what the algorithm assumes" if outside else "")


def headline_faults(results: Results) -> list[str]:
    """The faults that the headline speaks of: cold start and leader crash where they ran, else the first that did."""
    plain = [fault for fault in results.ran if fault.removesuffix(HEARTBEATS) in FAULT_LABELS]
    return plain or results.ran[:1]


def find_headlines(results: Results) -> list[str]:
    """The answer in a few sentences; empty if no trial finished."""
    head, disturbed = results.headline, results.disturbed
    faults = headline_faults(head)
    sentences = []
    if faults:
        sentences += [find_fewest_messages(head, faults[-1]), *(find_fastest(head, fault) for fault in faults)]
        sentences += [crash] if (crash := find_crash_cost(head)) else []
    if not disturbed.finished.empty:
        sentences += [find_noticing(disturbed)] if disturbed.finished["detect_s"].any() else []
        sentences.append(find_longest_leaderless(disturbed))
        sentences += [find_longest_overlap(disturbed)] if disturbed.finished["overlap_s"].any() else []
    if sentences:
        sentences.append(find_troubles(results))
        sentences += [find_promises(results)] if len(disturbed.trials) or results.trials["broken"].any() else []
    return sentences


def share_interval(successes: int, trials: int) -> tuple[float, float]:
    """Wilson's 95% interval of a share; NaN if there was no trial.

    Returns:
        Lower and upper end.
    """
    if not trials:
        return float("nan"), float("nan")
    found = stats.binomtest(successes, trials).proportion_ci(method="wilson")
    return float(found.low), float(found.high)


def _promise(promised: int, valid: int) -> str:
    """In words, of how many of the valid trials the model promised the outcome."""
    if not valid:
        return ""
    return {0: "not promised", valid: "promised"}.get(promised, f"promised: {promised:,} of {valid:,}")


def judge_faults(results: Results) -> pd.DataFrame:
    """How the trials of each fault and algorithm ended, pooled over n, indexed by fault and algorithm.

    Columns, in trials: `trials`; `invalid`, whose fault did not hit, which are in no other column but `broken`; `valid`;
    of these `elected`, `no_leader`, `split` and `unknown`; `two_led` (two leaders of one election), `overlapping` (two
    leaders at once), `promised` (inside the model), `failed` (no leader of all, or two of one election); and `broken`
    (failed though promised). `share`, `low` and `high` are of `elected` among `valid`; `safe` tells whether no valid trial
    had two leaders of one election or ended in disagreement; `promise` says in words how many were promised; `odd` lists
    trials that failed.
    """
    rows = []
    for key, trials in results.trials.groupby(["fault", "algorithm"], sort=False):
        valid = trials[~trials["invalid"]]
        counts = {verdict: int((valid["verdict"] == verdict).sum()) for verdict in VERDICTS}
        failed = (trials["verdict"] != "elected") | (trials["violations"] > 0)
        low, high = share_interval(counts["elected"], len(valid))
        rows.append(
            {
                **dict(zip(("fault", "algorithm"), key, strict=True)),
                **counts,
                "trials": len(trials),
                "invalid": len(trials) - len(valid),
                "valid": len(valid),
                "two_led": int((valid["violations"] > 0).sum()),
                "overlapping": int((valid["overlap_s"] > 0).sum()),
                "promised": int(valid["within_model"].sum()),
                "failed": int(failed[valid.index].sum()),
                "broken": int(trials["broken"].sum()),
                "share": counts["elected"] / len(valid) if len(valid) else float("nan"),
                "low": low,
                "high": high,
                "safe": not ((valid["violations"] > 0) | (valid["verdict"] == "split")).any(),
                "promise": _promise(int(valid["within_model"].sum()), len(valid)),
                "odd": trials.loc[(failed & ~trials["invalid"]) | trials["broken"], "trial"].tolist(),
            }
        )
    return pd.DataFrame(rows).set_index(["fault", "algorithm"])


def _largest(results: Results) -> pd.DataFrame:
    """The finished trials at the largest n that all algorithms finished, fault by fault."""
    rows = results.finished
    sizes = {fault: results.largest_n(fault) for fault in results.ran}
    return rows[rows["n"] == rows["fault"].map(sizes)]


def measure_faults(results: Results) -> pd.DataFrame:
    """What each fault cost each algorithm at the largest common n, over finished trials, indexed by fault and algorithm.

    Medians of `leaderless` (with `low`, `high`, `p95`), `detect` and `latency`, and of `traffic`; means a trial of all
    that is counted; `n` and `finished`.
    """
    rows = []
    for key, trials in _largest(results).groupby(["fault", "algorithm"], sort=False):
        low, high = median_interval(trials["leaderless_s"])
        rows.append(
            {
                **dict(zip(("fault", "algorithm"), key, strict=True)),
                "n": trials["n"].iloc[0],
                "finished": len(trials),
                "leaderless": trials["leaderless_s"].median(),
                "low": low,
                "high": high,
                "p95": trials["leaderless_s"].quantile(0.95) if len(trials) >= P95_TRIALS else float("nan"),
                "detect": trials["detect_s"].median(),
                "latency": trials["latency_s"].median(),
                "traffic": trials["traffic"].median(),
                **{column: trials[column].mean() for column in COSTS},
            }
        )
    return pd.DataFrame(rows).set_index(["fault", "algorithm"])


def find_promises(results: Results) -> str:
    """Whether an algorithm broke a promise, which is an error, or failed only where it promises nothing."""
    trials = results.trials
    broken = trials[trials["broken"]]
    if not broken.empty:
        where = [
            f"{algorithm_label(str(name))} under {fault_label(str(fault))}"
            for name, fault in dict.fromkeys(zip(broken["algorithm"], broken["fault"], strict=True))
        ]
        places = ", ".join(where[:3]) + (f" and {len(where) - 3:,} more" if len(where) > 3 else "")
        return f"{_trials(len(broken))} broke a promise of the model, an error of ours: {places}"
    failed = trials[~trials["invalid"] & ((trials["verdict"] != "elected") | (trials["violations"] > 0))]
    if failed.empty:
        return "No promise was broken: no trial failed"
    return f"No promise was broken: {_trials(len(failed))} failed, all outside what their algorithms assume"


def _trials(count: int) -> str:
    return f"{count:,} trial{'s' if count != 1 else ''}"


def find_longest_leaderless(results: Results) -> str:
    """Which fault leaves which algorithm without a leader for longest."""
    worst = measure_faults(results).reset_index().sort_values("leaderless", kind="stable").iloc[-1]
    return (
        f"{algorithm_label(worst['algorithm'])} is longest without a leader under {fault_label(worst['fault'])}: "
        f"{format_ms(worst['leaderless'])} ms at n = {worst['n']} (median)"
    )


def find_longest_overlap(results: Results) -> str:
    """How long two nodes led at once, at most."""
    rows = _largest(results)
    if not rows["overlap_s"].any():
        rows = results.finished
    worst = rows.sort_values("overlap_s", kind="stable").iloc[-1]
    return (
        f"Two nodes took themselves to lead for up to {format_ms(worst['overlap_s'])} ms at once: "
        f"{algorithm_label(worst['algorithm'])} under {fault_label(worst['fault'])} at n = {worst['n']}"
    )


def find_noticing(results: Results) -> str:
    """How long noticing takes beside electing: after a leader crash if there is one."""
    rows, where = _largest(results), "medians over all faults"
    if (crashes := rows["fault"].map(told_fault) == "leader-crash").any():
        rows = rows[crashes]
        where = f"medians, {fault_label(rows['fault'].iloc[0])}, n = {rows['n'].iloc[0]}"
    detect, latency = rows["detect_s"].median(), rows["latency_s"].median()
    return f"Noticing takes {format_ms(detect)} ms, electing then {format_ms(latency)} ms ({where})"


def find_largest_phase(results: Results) -> str:
    """Which phase takes most of the time over all faults and algorithms."""
    cells = _largest(results).groupby(["fault", "algorithm"], sort=False)
    sums = cells[[f"{phase}_s" for phase in PHASES]].median().sum()
    if not sums.sum():
        return "No phase took any time"
    verb = dict(zip(PHASES, ("Noticing the fault", "Electing", "Agreeing", "Falling quiet"), strict=True))
    phase = str(sums.idxmax()).removesuffix("_s")
    return f"{verb[phase]} takes {sums.max() / sums.sum():.0%} of the time, over all faults and algorithms"


def delay_slopes(delayed: Results) -> dict[str, float]:
    """By how many seconds the latency of each algorithm grows with each second of delay of every link: hops in a row.

    A line fitted by least squares to the medians; algorithms with fewer than three delays are left out.
    """
    medians = delayed.trials.groupby(["algorithm", "delay"], sort=False)["latency_s"].median().reset_index()
    return {
        str(name): float(stats.linregress(rows["delay"], rows["latency_s"]).slope)
        for name, rows in medians.groupby("algorithm", sort=False)
        if len(rows) >= 3
    }


def find_slopes(delayed: Results) -> str:
    """Who suffers most from slow links, and who least."""
    slopes = pd.Series(delay_slopes(delayed), dtype=float).sort_values()
    n = delayed.trials["n"].iloc[0]
    if slopes.empty:
        return f"Latency on slow links at n = {n}"
    text = f"Each ms of delay on a link costs {join_names(slopes.index[-1:])} {slopes.iloc[-1]:.1f} ms at n = {n}"
    return text + (f", {join_names(slopes.index[:1])} {slopes.iloc[0]:.1f} ms" if len(slopes) > 1 else "")


def find_busiest(results: Results, fault: str) -> str:
    """Whose busiest node sends most messages in one election at the largest common n, and whose fewest."""
    n = results.largest_n(fault)
    rows = results.finished[(results.finished["fault"] == fault) & (results.finished["n"] == n)]
    most = rows.groupby("algorithm", sort=False)["max_sent_by_node"].median().sort_values()
    where = f"at n = {n} ({fault_label(fault)})"
    text = f"{join_names(most.index[-1:])}'s busiest node sends {format_count(most.iloc[-1])} messages"
    return (
        text + (f", {join_names(most.index[:1])}'s {format_count(most.iloc[0])}" if len(most) > 1 else "") + f" {where}"
    )


def find_traffic(results: Results) -> str:
    """How many messages a period heartbeats take, beside what they take when nothing happens."""
    shares = _largest(results).groupby("fault")["traffic"].median().dropna()
    spread = f"{shares.min():.1f} to {shares.max():.1f} times 2n − 1"
    return f"The failure detector sends {spread} messages a period (medians by fault)"
