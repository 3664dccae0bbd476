"""The views on a run: what is averaged, what theory says, and that figures and report come out whole and the same."""

import csv
import html
import json
import re
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree

import msgspec
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.patches import Rectangle
from matplotlib.text import Annotation, Text
from rich.console import Console

from algorithms import ALGORITHMS
from bench.analyse import (
    HEARTBEATS,
    ONE_STARTS,
    Results,
    count_kinds,
    delay_slopes,
    find_headlines,
    judge_faults,
    link_delay,
    load_results,
    measure_faults,
    median_interval,
    predict,
    share_interval,
)
from bench.answer import find_answer
from bench.engines.recording import record
from bench.events import make_log, read_events, write_events
from bench.faults import parse_plan
from bench.plots import (
    COLOURS,
    MARKERS,
    algorithm_style,
    plot_latency_by_delay,
    plot_latency_by_n,
    plot_latency_by_share,
    plot_leaderless_by_fault,
    plot_leaders_by_time,
    plot_messages_by_kind,
    plot_messages_by_n,
    plot_noticing_by_fault,
    plot_overlap_by_fault,
    plot_phases_by_algorithm,
    plot_phases_by_fault,
    plot_traffic_by_fault,
    plot_verdicts_by_fault,
    save_figure,
)
from bench.report import FAULT_FIGURES, FIGURES, SIGNS, VERDICT_FIGURES, build_report, summary_table
from bench.scenario import Scenario
from bench.store import events_path
from bench.textbook import CLAIMS, CLASSICS, judge_claims
from bench.trial import SCHEMA, Trial

KINDS = {
    "bully": ("Election", "Ok", "Coordinator"),
    "chang_roberts": ("Election", "Leader"),
    "invitation": ("AreYouCoordinator", "Answer", "Invitation", "Accept", "Ready"),
}
STEMS = [plot.__name__.removeprefix("plot_") for plot, _, _ in FIGURES]
FAULT_STEMS = [plot.__name__.removeprefix("plot_") for plot, _, _ in (*VERDICT_FIGURES, *FAULT_FIGURES)]


def make_trial(number: int, algorithm: str = "bully", n: int = 8, fault: str = "none", **changes: Any) -> Trial:
    """A plausible row: n² messages, and 1 ms to elect and 2 ms to agree for each trial before it and itself."""
    crashed = fault != "none"
    topology = ALGORITHMS[algorithm].model.topology if algorithm in ALGORITHMS else "complete"
    row = Trial(
        run="small", trial=number, engine="processes", algorithm=algorithm, parameters="", topology=topology, n=n,
        ids=",".join(map(str, range(1, n + 1))), initiators=",".join(map(str, range(n - crashed))), dead="", fault=fault,
        detector="perfect", seed=1, rep=0, verdict="elected", stop="quiescent", leader=n, term=1, violations=0,
        within_model=True, max_hop_s=1e-4, false_suspicions=0, delta_s=0.05, faults_planned=int(crashed),
        faults_fired=int(crashed), fault_log="", messages=n * n, announcements=n, detector_messages=0, stale_messages=0,
        sent=n * n, duplicated=0, received=n * n, dropped=0, lost=0, in_flight=0, bytes=9 * n * n, max_sent_by_node=n,
        causal_depth=3, epochs=1, timeouts=0, churn=0, detect_s=5e-4 if crashed else None, elect_s=1e-3 * (number + 1),
        agree_s=2e-3 * (number + 1), quiet_s=1e-4, leaderless_s=2e-3, overlap_s=0.0, wall_s=0.01, cpu_s=0.002,
        max_rss_kb=16000, ctx_switches=20, log_lost=0, error="",
    )  # fmt: skip
    return msgspec.structs.replace(row, **changes)


def write_run(folder: Path, rows: list[Trial], **manifest: Any) -> Path:
    """A run's folder, written with plain csv and json."""
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(json.dumps({"schema": SCHEMA, "run": folder.name, **manifest}))
    with (folder / "trials.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(Trial.__struct_fields__)
        writer.writerows(["" if value is None else value for value in msgspec.structs.astuple(row)] for row in rows)
    with (folder / "kinds.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("trial", "kind", "class", "count", "bytes"))
        for row in rows:
            *others, announcement = KINDS.get(row.algorithm, ("Draw", "Won"))
            writer.writerows((row.trial, kind, "election", 10 + row.trial, 90) for kind in others)
            writer.writerow((row.trial, announcement, "announcement", row.n, 9 * row.n))
            writer.writerow((row.trial, "Heartbeat", "detector", 1000, 9000))
    return folder


def grid(algorithms: tuple[str, ...] = ("bully", "chang_roberts"), trials: int = 4) -> list[Trial]:
    """Rows of a small run: two sizes, two faults."""
    cells = [
        (algorithm, n, fault)
        for n in (4, 8)
        for fault in ("none", "leader-crash")
        for _ in range(trials)
        for algorithm in algorithms
    ]
    return [make_trial(number, *cell) for number, cell in enumerate(cells)]


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return write_run(tmp_path / "results" / "small", grid())


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small run with its report."""
    folder = write_run(tmp_path_factory.mktemp("built") / "results" / "small", grid())
    build_report(folder)
    return folder


def read(folder: Path, rows: list[Trial], **manifest: Any) -> Results:
    return load_results(write_run(folder, rows, **manifest))


def row_of(page: str, table: str, *words: str) -> list[str]:
    """The cells of the first row of a table of the page that has all of the words as cells."""
    body = page.split(f'<table id="{table}"', 1)[1].split("</table>", 1)[0]
    rows = [re.sub(r"<span.*?</span>", "", row) for row in body.split("<tr>")[2:]]
    cells = [
        [html.unescape(re.sub("<.*?>", "", cell)) for cell in re.findall("<td.*?</td>", row, re.S)] for row in rows
    ]
    return next(row for row in cells if {*words} <= {*row})


def addresses(page: str) -> list[str]:
    """Whatever of a page could be asked of a network; the name of SVG's language is none."""
    return re.findall("http[^'\"]*", re.sub("xmlns(:xlink)?='[^']*'", "", page))


def test_rows_come_back_as_they_were_written(tmp_path: Path) -> None:
    rows = [make_trial(0), make_trial(1, within_model=False, leader=None, elect_s=None, verdict="no_leader")]
    trials = read(tmp_path / "r", rows).trials
    assert trials["ids"].tolist() == ["1,2,3,4,5,6,7,8"] * 2
    assert trials["within_model"].tolist() == [True, False]
    assert trials["leader"].isna().tolist() == [False, True]
    assert trials["error"].tolist() == ["", ""]
    assert trials["dead"].tolist() == ["", ""]
    assert trials["fault"].tolist() == ["none", "none"]
    assert trials["latency_s"].iloc[0] == pytest.approx(3e-3)
    assert trials["latency_s"].isna().tolist() == [False, True]


def test_what_did_not_finish_is_counted_and_never_averaged(tmp_path: Path) -> None:
    rows = [make_trial(number, fault="leader-crash") for number in range(3)]
    huge: dict[str, Any] = {"messages": 10**6, "elect_s": 99.0, "leaderless_s": 99.0}
    rows.append(make_trial(3, fault="leader-crash", stop="horizon", verdict="unknown", **huge))
    rows.append(make_trial(4, fault="leader-crash", stop="error", verdict="unknown", error="boom", **huge))
    rows.append(make_trial(5, fault="leader-crash", faults_fired=0, **huge))
    rows.append(make_trial(6, "ring", fault="leader-crash", stop="horizon", verdict="unknown"))
    results = read(tmp_path / "r", rows)
    cell = results.at("leader-crash", 8).loc["bully"]
    assert (cell["trials"], cell["finished"], cell["elected"]) == (6, 3, 3)
    assert (cell["horizon"], cell["error"], cell["invalid"]) == (1, 1, 1)
    assert cell["elected_share"] == pytest.approx(3 / 5)
    assert (cell["messages_min"], cell["messages"], cell["messages_max"]) == (64, 64, 64)
    assert cell["latency"] == pytest.approx(6e-3)
    assert cell["latency_max"] == pytest.approx(9e-3)
    assert cell["leaderless"] == pytest.approx(2e-3)
    kinds = count_kinds(results, "leader-crash", 8).set_index("kind")["messages"]
    assert kinds.to_dict() == {"Election": 11.0, "Ok": 11.0, "Coordinator": 8.0}
    page = build_report(results.folder).read_text()
    assert "boom" in page
    assert row_of(page, "answers", "Bully")[:3] == ["Bully", "64", "6.00"]
    assert row_of(page, "answers", "Ring")[:3] == ["Ring", "—", "—"]
    assert "4 are not averaged" in page


def test_a_split_trial_has_no_latency(tmp_path: Path) -> None:
    results = read(tmp_path / "r", [make_trial(0), make_trial(1, verdict="split", violations=2, elect_s=50.0)])
    cell = results.at("none", 8).loc["bully"]
    assert (cell["finished"], cell["split"], cell["violations"]) == (2, 1, 2)
    assert cell["latency_max"] == pytest.approx(3e-3)


def test_the_interval_of_the_median(tmp_path: Path) -> None:
    trials = read(tmp_path / "r", [make_trial(number) for number in range(30)]).trials
    low, high = median_interval(trials["latency_s"])
    assert 3e-3 < low < trials["latency_s"].median() < high < 90e-3
    assert (low, high) == median_interval(trials["latency_s"])
    assert median_interval(trials["delta_s"]) == (0.05, 0.05)
    assert str(median_interval(trials["latency_s"].iloc[:2])) == "(nan, nan)"


@pytest.mark.parametrize(
    ("algorithm", "fault", "initiators", "case", "expected"),
    [
        ("bully", "none", "all", "mean", 63),
        ("bully", "leader-crash", "all", "mean", 56),
        ("bully", "leader-crash", "one", "mean", 27),
        ("chang_roberts", "none", "all", "best", 23),
        ("chang_roberts", "none", "all", "mean", 29.742857),
        ("chang_roberts", "none", "all", "worst", 44),
        ("chang_roberts", "leader-crash", "all", "worst", 35),
        ("ring", "none", "one", "worst", 16),
        ("lamport", "none", "all", "best", 119),
        ("randomized", "none", "all", "mean", 64),
    ],
)
def test_theory_has_the_known_numbers(algorithm: str, fault: str, initiators: str, case: str, expected: float) -> None:
    assert predict(algorithm, fault, initiators, [4, 8]).loc[8, case] == pytest.approx(expected)


def test_theory_is_silent_where_it_knows_nothing(tmp_path: Path) -> None:
    assert predict("randomized", "none", "all", [8])["worst"].isna().all()
    assert predict("bully", "crash:rank=2", "all", [8]).empty
    assert predict("bully", "none", "some", [8]).empty
    assert predict("my.own:Page", "none", "all", [8]).empty
    assert predict("bully", "leader-crash", "all", [1, 2, 3]).index.tolist() == [3]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, 63),
        ({"initiators": "5"}, 28),
        ({"parameters": "coordinator=all"}, 63),
        ({"parameters": "coordinator=lower"}, None),
        ({"initiators": "1,5"}, None),
        ({"dead": "7", "initiators": "0,1,2,3,4,5,6"}, None),
    ],
)
def test_theory_fits_how_the_run_was_made(tmp_path: Path, changes: dict[str, Any], expected: float | None) -> None:
    lines = read(tmp_path / "r", [make_trial(0, **changes)]).theory("bully", "none", [8])
    assert lines["mean"].tolist() == ([] if expected is None else [expected])


def test_an_algorithm_looks_the_same_everywhere() -> None:
    styles = [algorithm_style(name) for name in ALGORITHMS]
    assert len({(style.colour, style.marker) for style in styles}) == len(ALGORITHMS)
    assert [algorithm_style(name)[:2] for name in CLASSICS] == list(zip(COLOURS, MARKERS, strict=True))[:5]
    assert algorithm_style("my.own:Page") == algorithm_style("my.own:Page")
    assert algorithm_style("my.own:Page").marker not in MARKERS
    assert {style.marker for style in styles} <= SIGNS.keys()


def see(colour: str, missing: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    """A colour as CIELAB coordinates, for an eye in which `missing` cones do not work (Machado et al. 2009)."""
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    eye = {
        "no": np.eye(3),
        "green": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
        "red": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    }[missing]
    seen = np.clip(np.asarray(eye) @ linear, 0, 1)
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ seen
    x, y, z = np.where((part := xyz / [0.9505, 1, 1.089]) > 0.008856, np.cbrt(part), 7.787 * part + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("missing", ["no", "green", "red"])
def test_colours_are_told_apart_by_any_eye(missing: str) -> None:
    colours = [see(colour, missing) for colour in COLOURS]
    assert min(float(np.linalg.norm(one - other)) for one, other in combinations(colours, 2)) > 15


def test_figures_say_what_is_seen_and_in_which_units(small: Path) -> None:
    results = load_results(small)
    figure = plot_messages_by_n(results)
    panels = figure.axes
    assert [axis.get_title(loc="left") for axis in panels] == ["cold start", "leader crash"]
    assert panels[0].get_xscale() == panels[0].get_yscale() == "log"
    assert panels[0].get_xticks().tolist() == [8, 4]
    assert "n = 8" in figure.texts[0].get_text()
    assert "4 trials each · engine: processes" in figure.texts[1].get_text()
    assert plot_latency_by_n(results).axes[0].get_ylabel() == "election latency (ms)"
    assert plot_phases_by_algorithm(results).axes[0].get_xlabel() == "time (ms)"
    assert len(plot_latency_by_share(results).axes) == 4
    shown = {text.get_text() for text in plot_messages_by_kind(results).axes[0].texts}
    mean = 10 + sum(row.trial for row in grid() if (row.algorithm, row.n, row.fault) == ("bully", 8, "none")) / 4
    assert f"Election {mean:g} + Ok {mean:g} + Coordinator 8" in shown
    assert f"{2 * mean + 8:g}" in shown


def test_theory_is_drawn_where_the_numbers_are(small: Path) -> None:
    panel = plot_messages_by_n(load_results(small)).axes[0]
    lines = [np.asarray(line.get_ydata(), dtype=float) for line in panel.lines]
    ends = {round(float(line[-1]), 2) for line in lines if len(line) > 2}
    bounds = {7, 21.74}  # n - 1, and n times the n-th harmonic number
    assert ends == {63, 23, 29.74, 44} | bounds  # Bully's three coincide and are drawn once


def test_the_page_stands_alone_and_holds_everything(built: Path) -> None:
    text = (built / "report.html").read_text()
    files = sorted(file.name for file in (built / "figures").iterdir())
    assert files == sorted(f"{stem}.{kind}" for stem in STEMS for kind in ("svg", "png"))
    assert not addresses(text)
    assert text.count('src="data:image/svg+xml,') == len(STEMS)
    for stem in STEMS:
        assert f'href="figures/{stem}.svg"' in text
        assert "http" not in (built / "figures" / f"{stem}.svg").read_text().split("<defs>", 1)[1]
    assert "election-bench report results/small" in text
    assert all(sentence in text for sentence in find_headlines(load_results(built)))
    assert "Nothing: every trial came to rest" in text
    assert "The highest id wins on a unidirectional ring, by filtering ids" in text
    assert row_of(text, "answers", "Bully", "64")[1:4] == ["64", "60.0", "69.0"]
    best = re.findall(r'<td class="numbers least" data-head="([^"]+)">([^<]+)<', text)
    assert best == [(head, text) for head, text in best if head.endswith("(ms)")], "all send as many messages"
    assert [text for head, text in best if head == "Latency, start (ms)"] == ["60.0"]


def test_findings_follow_from_the_rows(tmp_path: Path) -> None:
    rows = [make_trial(number, "bully", elect_s=0.1, agree_s=0.02, messages=4000) for number in range(3)]
    rows += [make_trial(number, "chang_roberts", elect_s=0.01, agree_s=0.002, messages=200) for number in range(3, 6)]
    assert find_headlines(read(tmp_path / "r", rows)) == [
        "Chang–Roberts sends 20 times fewer messages than Bully at n = 8 (cold start)",
        "Chang–Roberts elects fastest, in 12.0 ms at n = 8 (cold start); Bully takes 10 times as long",
        "All 6 trials ended with one leader that every live node agrees on, and no election ever had two",
    ]


def test_nobody_takes_infinitely_many_times_as_long(tmp_path: Path) -> None:
    rows = [make_trial(0, "omega", elect_s=0.0, agree_s=0.0), make_trial(1, "bully", elect_s=0.01, agree_s=0.002)]
    found = find_headlines(read(tmp_path / "r", rows))
    assert "Omega elects fastest, in 0 ms at n = 8 (cold start); Bully takes 12.0 ms" in found


def test_who_elects_nobody_wins_no_prize(tmp_path: Path) -> None:
    rows = [make_trial(0, "bully"), make_trial(1, "ring", messages=0, verdict="no_leader", elect_s=None)]
    found = find_headlines(read(tmp_path / "r", rows))
    assert found[:2] == [
        "Bully sends 64 messages at n = 8 (cold start)",
        "Bully elects in 3.00 ms at n = 8 (cold start)",
    ]
    assert read(tmp_path / "s", rows[1:]).at("none", 8).loc["ring", "no_leader"] == 1
    assert find_headlines(load_results(tmp_path / "s"))[0].startswith("No algorithm elected a leader reliably")


def test_the_largest_n_is_one_that_all_reached(tmp_path: Path) -> None:
    rows = [make_trial(0, "bully", 8), make_trial(1, "chang_roberts", 8), make_trial(2, "chang_roberts", 16)]
    assert read(tmp_path / "r", rows).largest_n("none") == 8


ODD = [
    [make_trial(0, "my.own:Page", fault="leader-crash")],
    [make_trial(0, fault="leader-crash+loss:0.02", leaderless_s=0.0, detect_s=None, elect_s=None, quiet_s=None)],
    [make_trial(0, n=1, messages=0, elect_s=0.0, agree_s=0.0, leaderless_s=0.0), make_trial(1, fault="delay:5ms", n=1)],
]
ODDER = [
    [make_trial(0)],
    [make_trial(0, verdict="split", elect_s=None, agree_s=None, quiet_s=None)],
    [make_trial(0), make_trial(1, fault="leader-crash", stop="horizon", verdict="unknown")],
    [make_trial(0, fault="crash:rank=1"), make_trial(1, fault="crash:rank=2"), make_trial(2, fault="crash:random=2")],
    [make_trial(0, fault="pause:leader,for=1s", stop="horizon", verdict="unknown"), make_trial(1)],
    [make_trial(0, fault="cascade:2", faults_fired=0), make_trial(1, "ring", fault="cascade:2")],
    [make_trial(0, fault="none", detector="heartbeat:period=50ms,timeout=250ms", wall_s=None)],
    [make_trial(0, cpu_s=None, max_rss_kb=None, ctx_switches=None, wall_s=None)],
    [make_trial(number, fault=f"delay:{number}ms") for number in range(1, 4)],
]


@pytest.mark.parametrize("rows", [*ODD, *(pytest.param(rows, marks=pytest.mark.slow) for rows in ODDER)])
def test_small_and_odd_runs_have_a_report(tmp_path: Path, rows: list[Trial]) -> None:
    folder = write_run(tmp_path / "r", rows)
    text = build_report(folder).read_text()
    stems = [file.stem for file in (folder / "figures").glob("*.svg")]
    assert set(STEMS) <= set(stems)
    assert text.count('src="data:image/svg+xml,') == len(stems)


@pytest.mark.parametrize("rows", [[], [make_trial(0, stop="horizon", verdict="unknown")]])
def test_a_run_without_finished_trials_says_so(tmp_path: Path, rows: list[Trial]) -> None:
    settings = {"algorithms": ["bully"], "nodes": [8], "faults": ["none"], "trials": 7}
    folder = write_run(tmp_path / "r", rows, finished=False, settings=settings)
    text = build_report(folder).read_text()
    assert "No trial of this run finished" in text
    assert f"{len(rows)} of 7 planned trials are here" in text
    assert "No trial finished." in str(summary_table(folder).caption)


def test_the_manifest_is_told(tmp_path: Path) -> None:
    manifest = {"command": "election-bench run -a bully <&>", "hop_s": 2.5e-5, "policy": "SCHED_BATCH"}
    calibration = {"16": {"delta_s": 0.06, "burst_s": 0.002}, "8": {"delta_s": 0.05}}
    folder = write_run(tmp_path / "r", [make_trial(0)], calibration=calibration, **manifest)
    text = build_report(folder).read_text()
    assert "election-bench run -a bully &lt;&amp;&gt;" in text
    assert "25.0 µs" in text
    assert "SCHED_BATCH" in text
    assert f"<code>election-bench report {folder}</code>" in text, "it is not in results/"
    assert text.index("<td>8</td><td>50.0</td><td>—</td>") < text.index("<td>16</td><td>60.0</td><td>2.00</td>")


def test_the_terminal_table_fits_a_terminal(small: Path) -> None:
    console = Console(width=80, file=(small / "terminal.txt").open("w"))
    console.print(summary_table(small))
    console.file.close()
    told = find_answer(load_results(small))
    assert told is not None
    text = (small / "terminal.txt").read_text()
    assert "…" not in text
    assert sum(line.startswith(" Chang–Roberts ") for line in text.splitlines()) == 2
    assert "leader crash, n = 8" in text
    assert " ".join(text.split()).endswith(f"{told.reason}.")


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("manifest.json", None, "is no run"),
        ("manifest.json", '{"schema": 99}', "schema 99"),
        ("trials.csv", "a\n1\n", "cannot read"),
    ],
)
def test_a_bad_folder_is_refused_in_one_line(small: Path, name: str, text: str | None, problem: str) -> None:
    (small / name).unlink()
    if text is not None:
        (small / name).write_text(text)
    for function in (build_report, summary_table):
        with pytest.raises(ValueError, match=problem) as caught:
            function(small)
        assert str(small) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_figure_is_saved_without_a_date(small: Path) -> None:
    stem = small / "one"
    save_figure(plot_messages_by_n(load_results(small)), stem)
    assert "<metadata>" not in stem.with_suffix(".svg").read_text()
    assert stem.with_suffix(".png").read_bytes().startswith(b"\x89PNG")


HEARTBEAT = "heartbeat:period=50ms,timeout=250ms"
PAUSE, HALVES = "pause:leader,for=600ms", "partition:halves,for=800ms"


def noticed(number: int, algorithm: str = "bully", n: int = 8, fault: str = "leader-crash", **changes: Any) -> Trial:
    """A plausible row of a run with heartbeats: 20 periods, in which a failure detector sends 2n - 1 messages each."""
    changes = {"detector": HEARTBEAT, "detector_messages": 20 * (2 * n - 1), "wall_s": 1.0, "detect_s": 0.25} | changes
    return make_trial(number, algorithm, n, fault, **changes)


def with_faults(trials: int = 3) -> list[Trial]:
    """The rows of `grid`, and those of a second grid with faults that heartbeats notice."""
    rows = grid()
    for fault in ("leader-crash", PAUSE, HALVES):
        overlap = 0.0 if fault == "leader-crash" else 0.35
        for _ in range(trials):
            for algorithm in ("bully", "chang_roberts"):
                rows.append(noticed(len(rows), algorithm, 8, fault, overlap_s=overlap, messages=5000))
    return rows


def test_a_cell_holds_one_detector(tmp_path: Path) -> None:
    results = read(tmp_path / "r", with_faults())
    alone = read(tmp_path / "s", grid())
    assert results.faults == [*alone.faults, *(fault + HEARTBEATS for fault in ("leader-crash", PAUSE, HALVES))]
    assert results.at("leader-crash", 8).loc["bully", "messages_max"] == 64
    assert results.at(f"leader-crash{HEARTBEATS}", 8).loc["bully", "messages_min"] == 5000
    assert results.headline.summary.equals(alone.summary)
    assert results.headline.theory("bully", "leader-crash", [8])["mean"].tolist() == [56]
    assert results.theory("bully", f"leader-crash{HEARTBEATS}", [8]).empty
    assert find_headlines(results)[:4] == find_headlines(alone)[:4]
    panels = plot_messages_by_n(results.headline).axes
    assert [axis.get_title(loc="left") for axis in panels] == ["cold start", "leader crash"]


def test_of_many_faults_the_plain_ones_are_shown_over_n(tmp_path: Path) -> None:
    many = [noticed(rank, fault=f"crash:rank={rank}") for rank in range(1, 8)]
    results = read(tmp_path / "r", [*many, noticed(8)])
    assert results.headline.faults == [f"leader-crash{HEARTBEATS}"]
    assert len(results.disturbed.faults) == 8
    assert len(read(tmp_path / "s", many[:3]).headline.faults) == 3
    assert len(read(tmp_path / "t", many).headline.faults) == 7


def test_the_interval_of_a_share() -> None:
    assert share_interval(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert share_interval(0, 20) == pytest.approx((0.0, 0.1611), abs=1e-4)
    assert share_interval(20, 20)[1] == 1.0
    assert str(share_interval(0, 0)) == "(nan, nan)"


ENDS: list[dict[str, Any]] = [
    {},
    {"verdict": "no_leader", "leader": None, "within_model": False},
    {"verdict": "split", "within_model": False, "faults_planned": 2},
    {"verdict": "unknown", "stop": "horizon", "within_model": False, "leaderless_s": 99.0},
    {"violations": 2, "overlap_s": 0.1, "within_model": False},
    {"overlap_s": 0.2},
    {"verdict": "split"},
    {"violations": 2},
    {"lost": 1},
    {"in_flight": 1, "sent": 65},
    {"stop": "error", "verdict": "unknown", "error": "boom"},
    {"faults_fired": 0, "verdict": "split", "violations": 2, "leaderless_s": 99.0, "messages": 10**6},
    {"faults_fired": 0},
]


def test_a_broken_promise_is_what_a_trial_says_it_is(tmp_path: Path) -> None:
    rows = [make_trial(number, fault=PAUSE, **end) for number, end in enumerate(ENDS)]
    broken = read(tmp_path / "r", rows).trials["broken"].tolist()
    assert broken == [row.is_broken for row in rows]
    assert [number for number, one in enumerate(broken) if one] == [6, 7, 8, 9, 10]


def test_the_verdicts_count_each_end(tmp_path: Path) -> None:
    rows = [noticed(number, fault=PAUSE, **end) for number, end in enumerate(ENDS)]
    rows.append(noticed(13, "ring", fault=PAUSE, faults_fired=0, leaderless_s=99.0))
    results = read(tmp_path / "r", rows).disturbed
    cell = judge_faults(results).loc[[(PAUSE + HEARTBEATS, "bully")]].iloc[0]
    counted = ("trials", "invalid", "valid", "elected", "no_leader", "split", "unknown", "two_led", "overlapping")
    assert [cell[column] for column in counted] == [13, 3, 10, 6, 1, 1, 2, 2, 2]
    assert (cell["promised"], cell["failed"], cell["broken"]) == (7, 6, 5)
    assert cell["share"] == pytest.approx(0.6)
    assert cell["odd"] == [1, 3, 4, 6, 7, 8, 9, 10]
    cost = measure_faults(results)
    assert cost.index.tolist() == [(PAUSE + HEARTBEATS, "bully")]
    assert cost["leaderless"].item() == pytest.approx(2e-3)
    assert cost["messages"].item() == 64
    assert cost["traffic"].item() == pytest.approx(1.0)


def test_an_error_of_ours_is_told_from_a_result(tmp_path: Path) -> None:
    rows = [noticed(number, fault=PAUSE, overlap_s=0.3) for number in range(3)]
    rows.append(noticed(3, "ring", fault=PAUSE, verdict="split", within_model=False))
    text = build_report(write_run(tmp_path / "r", rows)).read_text()
    assert "No promise was broken: 1 trial failed, all outside what their algorithms assume" in text
    assert row_of(text, "verdicts", "Ring")[2:4] == ["0/1", "0% [0%–79%]"]
    assert row_of(text, "verdicts", "Ring")[-3:] == ["not promised", "1 failed", "3"]
    assert row_of(text, "verdicts", "Bully")[2:4] == ["3/3", "100% [44%–100%]"]
    assert row_of(text, "answers", "Bully")[-1] == "all 1"
    assert row_of(text, "answers", "Ring")[-1] == "0 of 1: not pause:leader, for=600ms"
    rows.append(noticed(4, fault=PAUSE, violations=2))
    results = read(tmp_path / "s", rows)
    told = "1 trial broke a promise of the model, an error of ours: Bully under pause:leader,for=600ms · heartbeats"
    assert find_headlines(results)[-1] == told
    assert plot_verdicts_by_fault(results).texts[0].get_text().replace("\n", " ") == told


def test_the_figures_of_faults_show_every_trial(tmp_path: Path) -> None:
    results = read(tmp_path / "r", with_faults(20)).disturbed
    figure = plot_leaderless_by_fault(results)
    (panel,) = figure.axes
    labels = [label.get_text().replace("\n", " ") for label in panel.get_yticklabels()]
    assert labels == ["leader crash", "pause:leader, for=600ms", "partition:halves, for=800ms"]
    assert panel.get_xlabel() == "time without a leader (ms)"
    assert sum(len(np.asarray(line.get_xdata())) for line in panel.lines if line.get_marker() == ".") == 2 * 3 * 20
    assert "noticed by heartbeats · n = 8" in figure.texts[1].get_text().replace("\n", " ")
    colours = {line.get_color() for line in panel.lines}
    assert colours == {algorithm_style(name)[0] for name in ("bully", "chang_roberts")}
    assert [axis.get_title(loc="left") for axis in plot_noticing_by_fault(results).axes] == [
        "to notice",
        "then to elect and agree",
    ]
    assert len(plot_overlap_by_fault(results).axes[0].get_yticks()) == 2
    traffic = plot_traffic_by_fault(results)
    assert "1.0 to 1.0 times 2n − 1" in traffic.texts[0].get_text()
    assert [axis.get_title(loc="left") for axis in plot_phases_by_fault(results).axes] == ["Bully", "Chang–Roberts"]


LONG = ("leader-crash+delay:uniform:1ms:5ms", "partition:leader-alone,for=800ms", "crash:random=1,within=1ms", HALVES)


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """A run of all algorithms under faults with long names, some of it inside the model and most of it unsafe."""
    cells = [(name, n, fault) for fault in LONG for n in (5, 9) for name in ALGORITHMS for _ in range(51)]
    cells = [(name, n, fault) for name, n, fault in cells if n == 5 or fault != LONG[0]]
    changes: list[dict[str, Any]] = [
        {"within_model": number % 2 == 0, "violations": number % 2} for number in range(len(cells))
    ]
    rows = [make_trial(number, *cell, **changes[number]) for number, cell in enumerate(cells)]
    return read(tmp_path_factory.mktemp("crowded") / "r", rows)


@pytest.mark.parametrize("plot", [plot_verdicts_by_fault, plot_phases_by_fault, plot_messages_by_kind])
def test_no_label_covers_another_or_is_cut(crowded: Results, plot: Callable[[Results], Figure]) -> None:
    figure = plot(crowded)
    figure.draw_without_rendering()
    texts = [text for text in figure.findobj(Text) if text.get_visible() and re.search("[a-z✓✗]", text.get_text())]
    drawn = [(text.get_text(), text.get_window_extent()) for text in texts]
    assert len(drawn) > 50
    whole = figure.bbox.padded(1)
    assert [one for one, box in drawn if not whole.fully_contains(*box.min) or not whole.fully_contains(*box.max)] == []
    assert [(a, b) for (a, one), (b, other) in combinations(drawn, 2) if one.padded(-0.5).overlaps(other)] == []


def test_who_sends_nothing_has_an_empty_bar(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "r", [make_trial(0), make_trial(1, "omega", messages=0)])
    rows = (folder / "kinds.csv").read_text().splitlines(keepends=True)
    (folder / "kinds.csv").write_text("".join(row for row in rows if not row.startswith("1,")))
    shown = {text.get_text() for text in plot_messages_by_kind(load_results(folder)).axes[0].texts}
    assert "0" in shown
    assert "no trial to show" not in shown


def test_a_run_with_faults_says_more_and_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "results" / "r", with_faults())
    page = build_report(folder)
    text = page.read_text()
    assert all(f'id="{word}"' in text for word in (*STEMS, *FAULT_STEMS, "verdicts", "costs"))
    assert "<dt>pause</dt><dd>SIGSTOP of the leader" in text
    assert not addresses(text)
    assert all(sentence in text for sentence in find_headlines(load_results(folder)))
    files = sorted((folder / "figures").iterdir())
    assert len(files) == 2 * (len(STEMS) + len(FAULT_STEMS))
    before = [page.read_bytes(), *(file.read_bytes() for file in files)]
    build_report(folder)
    assert [page.read_bytes(), *(file.read_bytes() for file in files)] == before


def drawing(svg: str) -> tuple[str, list[float]]:
    """What an SVG says, apart from names: words, in which a reference is the place of what it refers to; and numbers."""
    tags = list(ElementTree.fromstring(svg).iter())
    places = {f"#{tag.get('id')}": str(place) for place, tag in enumerate(tags)}
    texts = [f"{tag.tag} {key} {value}" for tag in tags for key, value in tag.items() if key != "id"]
    tokens = [token for text in texts for token in re.findall(r"#[\w-]+|-?\d+(?:\.\d+)?|[^\s\d#-]+|-", text)]
    words = [places.get(token, token) for token in tokens if not token.strip("-")[:1].isdigit()]
    return "".join(words), [float(token) for token in tokens if token.strip("-")[:1].isdigit()]


def test_a_figure_in_the_page_is_the_one_beside_it(built: Path) -> None:
    text = (built / "report.html").read_text()
    for stem in STEMS:
        embedded = text.split(f'<figure id="{stem}">', 1)[1].split("data:image/svg+xml,", 1)[1].split('"', 1)[0]
        words, numbers = drawing(unquote(embedded))
        expected, exact = drawing((built / "figures" / f"{stem}.svg").read_text())
        assert words == expected
        assert np.abs(np.subtract(numbers, exact)).max() < 0.01, "a hundredth of a point"
        assert [one for one in numbers if abs(one) < 1] == [one for one in exact if abs(one) < 1], "no scale changes"


def test_the_page_is_smaller_than_its_figures(built: Path) -> None:
    drawn = sum(file.stat().st_size for file in (built / "figures").glob("*.svg"))
    assert (built / "report.html").stat().st_size < 0.85 * drawn


@pytest.mark.slow
def test_a_hundred_thousand_rows_of_the_whole_catalogue_have_a_page_that_can_be_sent(tmp_path: Path) -> None:
    faults = ("none", "leader-crash", *(f"leader-crash+loss:0.{percent:02}" for percent in range(1, 11)))
    cells = [(name, n, fault) for name in ALGORITHMS for n in (5, 9, 16) for fault in faults]
    rows, chance = list[Trial](), np.random.default_rng(1)
    for name, n, fault in cells:
        for time in 1e-3 * chance.lognormal(size=127):
            times = {"elect_s": time, "agree_s": time, "leaderless_s": time, "overlap_s": time / 9}
            rows.append(make_trial(len(rows), name, n, fault, **times))
    assert len(rows) > 100_000
    assert build_report(write_run(tmp_path / "r", rows)).stat().st_size < 5_000_000


def test_a_run_without_faults_says_nothing_of_them(built: Path) -> None:
    text = (built / "report.html").read_text()
    robust = row_of(text, "claims", "Lamport", "“robust”")
    assert robust[3].startswith("not in this run; this measures it: election-bench run -a bully,ring")
    assert robust[4:] == ["– not measured", ""]
    assert 'href="#latency_by_n"' in text
    assert "When things fail" not in text
    assert not any(f'id="{word}"' in text for word in (*FAULT_STEMS, "verdicts", "costs"))


def test_a_run_cut_off_in_its_second_grid_says_so(tmp_path: Path) -> None:
    one = {"algorithms": ["bully"], "nodes": [8], "faults": ["none"], "trials": 7, "detector": "perfect"}
    settings = {**one, "also": [{**one, "nodes": [5, 9], "detector": "heartbeat"}]}
    text = build_report(write_run(tmp_path / "r", [make_trial(0)], finished=False, settings=settings)).read_text()
    assert "1 of 21 planned trials are here" in text
    assert '<th scope="row">Failure detector</th><td>perfect; heartbeat</td>' in text


def test_the_terminal_tells_of_faults_in_a_few_lines(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "r", with_faults())
    console = Console(width=80, file=(tmp_path / "terminal.txt").open("w"))
    console.print(summary_table(folder))
    console.file.close()
    text = (tmp_path / "terminal.txt").read_text()
    assert "…" not in text
    assert sum(line.startswith(" Chang–Roberts ") for line in text.splitlines()) == 2
    assert [line.split()[-1] for line in text.splitlines() if "pause:leader" in line] == ["6/6"]


def crashes(algorithm: str, leaderless: float, messages: int, first: int, **changes: Any) -> list[Trial]:
    """Three leader crashes that differ by a thousandth, and a cold start."""
    rows = [
        make_trial(
            first + k, algorithm, fault="leader-crash", leaderless_s=leaderless * (1 + k / 1e3), messages=messages
        )
        for k in range(3)
    ]
    return [*rows, make_trial(first + 3, algorithm, **changes)]


def test_the_recommendation_follows_its_rules(tmp_path: Path) -> None:
    fast, slow = crashes("ring", 0.010, 128, 0), crashes("bully", 0.120, 56, 4)
    answer = find_answer(read(tmp_path / "a", [*fast, *slow]))
    assert answer is not None
    assert answer.reason == (
        "Take Ring: it is the fastest of 2 to replace a crashed leader, in 10.0 ms at n = 8, with 128 messages"
    )
    near = crashes("chang_roberts", 0.010, 24, 8)
    answer = find_answer(read(tmp_path / "b", [*fast, *slow, *near]))
    assert answer is not None
    assert answer.chosen == "chang_roberts"  # as fast as Ring, with fewer messages
    assert answer.reason.endswith("with 24 messages, no more than Ring, which is not clearly slower")
    failing = crashes("chang_roberts", 0.010, 24, 8, verdict="no_leader")
    answer = find_answer(read(tmp_path / "c", [*fast, *slow, *failing]))
    assert answer is not None
    assert answer.chosen == "ring"
    assert answer.reason.endswith("; left out: Chang–Roberts (not every start or crash ended with one leader)")
    split = [noticed(12, "ring", fault=HALVES, verdict="split", within_model=False), noticed(13, fault=HALVES)]
    answer = find_answer(read(tmp_path / "d", [*fast, *slow, *split]))
    assert answer is not None
    assert answer.reason == (
        "Take Bully: it replaces a crashed leader, in 120 ms at n = 8, with 56 messages; "
        "left out: Ring (safe under fewer faults)"
    )
    assert answer.table["unsafe"].to_dict() == {"ring": [HALVES + HEARTBEATS], "bully": []}
    two = [make_trial(0, violations=2), make_trial(1, "ring", verdict="split")]
    answer = find_answer(read(tmp_path / "e", two))
    assert answer is not None
    assert answer.chosen is None
    assert answer.reason == (
        "None can be recommended: Bully (two leaders of one election), "
        "Ring (not every start or crash ended with one leader)"
    )


def judged(results: Results) -> dict[tuple[str, str], str]:
    return {(claim.algorithm, claim.says): verdict for claim, _, verdict in judge_claims(results)}


def textbook(**changes: Any) -> list[Trial]:
    """Rows of the five classics at three sizes, with counts of the theorem, delays and a fault."""
    rows: list[Trial] = []
    cells = [(name, n, fault) for n in (4, 8, 16) for fault in ("none", "leader-crash") for name in CLASSICS]
    cells += [(name, 8, f"delay:{ms}ms") for ms in (2, 5, 20) for name in CLASSICS]
    for name, n, fault in cells:
        live = n - (fault == "leader-crash")
        lines = predict(name, "none" if "delay" in fault else fault, "all", [n])
        hops = {"ring": 2 * n, "chang_roberts": 2 * n}.get(name, 2) * (
            1e-3 + max(0.0, np.nan_to_num(link_delay(fault)))
        )
        counts = {
            "messages": round(lines["mean"].item()),
            "max_sent_by_node": 2 * live,
            "elect_s": hops,
            "agree_s": 0.0,
        }
        planned: dict[str, Any] = {"faults_planned": int(fault != "none"), "faults_fired": int(fault != "none")}
        if "delay" in fault:
            planned |= {"ids": ",".join(map(str, range(1, n + 1))), "initiators": ",".join(map(str, range(n)))}
        if name == "lamport":
            counts["leader"] = len(rows) % n + 1
        rows += [make_trial(len(rows), name, n, fault, **(counts | planned | changes)) for _ in range(3)]
    return rows


def test_claims_are_judged_by_their_rules(tmp_path: Path) -> None:
    results = read(tmp_path / "r", textbook())
    found = judged(results)
    assert len(found) == len(CLAIMS) == 12
    assert found["ring", "less traffic than Bully"] == "refuted"
    assert found["ring", "slow where latency is high"] == "confirmed"
    assert found["ring", "slow where the ring is long"] == "confirmed"
    assert found["ring", "must be reconfigured when a node fails"] == "confirmed"
    assert found["bully", "exchanges many messages"] == "partly"
    assert found["lamport", "fair"] == "confirmed"
    assert found["lamport", "robust"] == "not measured"
    assert found["chang_roberts", "more efficient than the simple ring"] == "partly"  # no faster in these rows
    assert delay_slopes(results.delayed)["ring"] == pytest.approx(16, rel=0.01)
    axis = plot_latency_by_delay(results.delayed).axes[0]
    assert axis.get_xlabel() == "delay added to every link (ms)"
    assert "16.0 hops" in {text.get_text() for text in axis.texts}
    heights = sorted(text.xy[1] for text in axis.texts if isinstance(text, Annotation))
    assert min(np.diff(heights)) > 10, "Bully, Lamport and Randomized take as long, and all can be read"


def test_other_rows_turn_the_verdicts(tmp_path: Path) -> None:
    rows = textbook(lost=1, leader=16, ids="16,1,2,3")
    rows += [noticed(len(rows) + k, name, fault=HALVES) for k, name in enumerate(CLASSICS)]
    found = judged(read(tmp_path / "r", rows))
    assert found["ring", "must be reconfigured when a node fails"] == "partly"
    assert found["lamport", "fair"] == "partly"
    assert found["lamport", "robust"] == "confirmed"
    rows[-3] = noticed(rows[-3].trial, "lamport", fault=HALVES, verdict="split", within_model=False)
    found = judged(read(tmp_path / "s", rows))
    assert found["lamport", "robust"] == "refuted"
    assert set(judged(read(tmp_path / "t", [make_trial(0)])).values()) == {"not measured"}


def test_one_that_starts_is_another_case(tmp_path: Path) -> None:
    one = [make_trial(10 + k, name, 8, "leader-crash", initiators="3") for k, name in enumerate(("bully", "ring"))]
    results = read(tmp_path / "r", [make_trial(0), make_trial(1, "ring"), *one])
    assert results.faults == ["none", f"leader-crash{ONE_STARTS}"]
    assert results.theory("bully", f"leader-crash{ONE_STARTS}", [8])["mean"].tolist() == [27]
    assert results.plain.trials.equals(results.trials)
    assert read(tmp_path / "s", one).faults == ["leader-crash"]  # nothing to tell it from


def test_the_leader_timeline_comes_from_the_events(tmp_path: Path) -> None:
    scenario = Scenario(
        algorithm="bully", ids=(1, 2, 3), seed=1, delta=0.05, horizon=20.0, faults=parse_plan("leader-crash")
    )
    execution, events = record(scenario)
    row = make_trial(3, n=3, fault="leader-crash")
    folder = write_run(tmp_path / "r", [make_trial(2, n=3), row])
    write_events(make_log(events, execution, row, scenario), events_path(folder, 3))
    page = build_report(folder).read_text()
    assert 'href="events/3.jsonl.gz"' in page
    (axis,) = plot_leaders_by_time([read_events(events_path(folder, 3))]).axes
    assert axis.get_title(loc="left") == "Bully: elected"
    bully = to_rgb(algorithm_style("bully").colour)
    bars = [patch for patch in axis.patches if isinstance(patch, Rectangle) and patch.get_facecolor()[:3] == bully]
    led = {round(bar.get_y() + bar.get_height() / 2) for bar in bars}
    assert led == {1, 2}  # 3 led, was killed, and 2 leads


@pytest.mark.parametrize(("others", "axes"), [(("bully",), 1), (("chang_roberts", "bully"), 2)])
def test_a_short_trial_beside_a_long_one_can_be_seen(others: tuple[str, ...], axes: int) -> None:
    logs, delta = [], {"bully": 0.05, "chang_roberts": 0.002}
    for number, name in enumerate(("bully", *others)):
        scenario = Scenario(
            algorithm=name, ids=(1, 2, 3), seed=1, delta=delta[name], horizon=20.0, faults=parse_plan("leader-crash")
        )
        execution, events = record(scenario)
        logs.append(make_log(events, execution, make_trial(number, name, n=3, fault="leader-crash"), scenario))
    figure = plot_leaders_by_time(logs)
    ends = [axis.get_xlim()[1] for axis in figure.axes if axis.get_visible()]
    assert (max(ends) > 5 * min(ends)) == (axes == 2)
    assert ("each has a time axis of its own" in figure.texts[1].get_text().replace("\n", " ")) == (axes == 2)


def test_a_trial_in_which_nothing_follows_the_fault_has_an_axis_that_can_be_read() -> None:
    logs, fault = [], "leader-crash+loss:0.9"
    for number, name in enumerate(("bully", "sublinear")):
        scenario = Scenario(algorithm=name, ids=(1, 2, 3), seed=1, delta=1e-3, horizon=20.0, faults=parse_plan(fault))
        execution, events = record(scenario)
        logs.append(make_log(events, execution, make_trial(number, name, n=3, fault=fault), scenario))
    axes = plot_leaders_by_time(logs).axes
    assert axes[1].get_xlim()[1] == axes[0].get_xlim()[1] > 0.1


ROOT = Path(__file__).parent.parent
SHOWN = sorted(set(re.findall(r"results/reference/figures/(\w+)\.png", (ROOT / "README.md").read_text())))


@pytest.mark.parametrize("stem", SHOWN)
def test_a_figure_of_the_readme_is_drawn_from_the_rows_beside_it(tmp_path: Path, stem: str) -> None:
    results = load_results(ROOT / "results" / "reference")
    (plot,) = (plot for plot, _, _ in FIGURES if plot.__name__ == f"plot_{stem}")
    save_figure(plot(results.headline), tmp_path / stem)
    stored = ROOT / "results" / "reference" / "figures" / stem
    again, hint = tmp_path / stem, "it has changed: look at it, then election-bench report results/reference"
    assert again.with_suffix(".svg").read_bytes() == stored.with_suffix(".svg").read_bytes(), hint
    one, other = (np.asarray(imread(path.with_suffix(".png")), dtype=float) for path in (again, stored))
    assert one.shape == other.shape, hint
    assert np.abs(one - other).max() < 0.02, hint
