"""Elections by majorities: their counts, what they do without a majority, and never two leaders of one term."""

import math
import random
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import fmean, stdev

import msgspec
import pytest

from algorithms import ALGORITHMS
from algorithms.model import Arrangement, Elect, Node, Save, Send, View
from algorithms.quorum.paxos import Accept, Nack, Paxos, Prepare, Promise, Promised
from algorithms.quorum.viewstamped import DoViewChange, LastView, StartView, StartViewChange, Viewstamped
from algorithms.quorum.zookeeper_fle import Accepted, FollowerInfo, LeaderInfo, Notification, ZooKeeperFLE
from bench.complexity import Engine, check_trial
from bench.engines.processes import Processes
from bench.engines.simulate import Simulate
from bench.faults import parse_plan
from bench.observe import make_row
from bench.scenario import Scenario, find_algorithm
from bench.trial import Trial
from tests.mutants import plant

PAGES = ("zookeeper_fle", "paxos", "viewstamped")
SIZES = (2, 3, 4, 5, 8, 16, 32, 64)


def trial(engine: Engine, algorithm: str, n: int, fault: str = "none", **more: object) -> tuple[Trial, dict[str, int]]:
    """A trial of nodes with ascending ids, and its messages by kind."""
    fixed = {"ids": tuple(range(1, n + 1)), "seed": 1, "delta": 0.05, "horizon": 30, "faults": parse_plan(fault)}
    scenario = Scenario(algorithm=algorithm, **(fixed | more))  # type: ignore[arg-type]
    row, kinds = make_row(engine.run(scenario), scenario, "", 0, 0, engine.name)
    assert row.unaccounted == 0
    return row, {kind.kind: kind.count for kind in kinds if kind.kind_class != "detector"}


def make(page: type[Node], identity: int, n: int) -> Node:
    """A node among ids 1 to n."""
    others = tuple(other for other in range(1, n + 1) if other != identity)
    return page(View(identity, others, n, f"{identity}"))


def take(node: Node) -> list[object]:
    """What the node said, saved and elected since the last look; timers apart."""
    effects: list[object] = [it for it in node.effects if isinstance(it, (Send, Save, Elect))]
    node.effects.clear()
    return effects


def hear(node: Node, port: int, message: object) -> list[object]:
    """What a node says to a message."""
    node.deliver(port, port, (0, ()), message)  # type: ignore[arg-type]
    return take(node)


# -- counts ----------------------------------------------------------------------------------------------------------


def test_bounds_of_zookeeper_are_those_of_the_literature() -> None:
    ranges = ALGORITHMS["zookeeper_fle"].claims.ranges
    spans = [ranges(Arrangement(ids=tuple(range(1, n + 1)), initiators=tuple(range(n))))["Notification"] for n in SIZES]
    assert [span.start for span in spans] == [3, 10, 21, 36, 105, 465, 1953, 8001]
    assert [span[-1] for span in spans] == [3, 12, 30, 60, 252, 2040, 16368, 131040]


def mean_notifications(n: int, trials: int) -> tuple[float, float]:
    """Mean and standard error over random orders of arrival; no vote arrives by a third node before it does directly."""
    counts = []
    for seed in range(trials):
        ids = tuple(random.Random(seed).sample(range(1, n + 1), n))
        row, kinds = trial(Simulate(), "zookeeper_fle", n, ids=ids, seed=seed, latency="uniform:25ms:50ms")
        assert (row.verdict, row.leader, row.epochs) == ("elected", n, 1)
        assert kinds["Notification"] in range((n - 1) * (2 * n - 1), n * (n - 1) * (n + 1) // 2 + 1, n - 1)
        counts.append(kinds["Notification"])
    return fmean(counts), stdev(counts) / math.sqrt(trials)


@pytest.mark.parametrize(("n", "mean"), [(3, 11), (4, 25), (5, 45.67), (8, 152.2), (16, 811.37)])
def test_the_mean_of_zookeeper_is_that_of_chang_roberts_in_disguise(n: int, mean: float) -> None:
    measured, error = mean_notifications(n, 200)
    assert abs(measured - mean) <= 4 * error + 0.005
    assert mean == pytest.approx(n * (n - 1) * sum(1 / k for k in range(1, n + 1)), abs=0.005)


@pytest.mark.parametrize("n", [3, 5, 8])
def test_a_late_joiner_of_zookeeper_asks_all_and_is_answered_by_all(n: int) -> None:
    _, whole = trial(Simulate(), "zookeeper_fle", n, "crash-recover:after=2s")
    _, crash = trial(Simulate(), "zookeeper_fle", n, "leader-crash")
    assert whole["Notification"] - crash["Notification"] == (n - 1) + (n - 1)


@pytest.mark.parametrize("n", [3, 4, 5, 8, 16])
def test_a_view_change_costs_n_squared_less_2(n: int) -> None:
    row, kinds = trial(Simulate(), "viewstamped", n, "leader-crash", initiators="one")
    assert (row.messages, row.epochs) == (n * n - 2, 1)
    assert kinds == {"StartViewChange": (n - 1) ** 2, "DoViewChange": n - 2, "StartView": n - 1}


@pytest.mark.parametrize(("n", "dead"), [(3, (1,)), (5, (1,)), (5, (1, 2)), (8, (1, 2, 3))])
def test_each_view_with_a_dead_primary_costs_as_much_again(n: int, dead: tuple[int, ...]) -> None:
    row, kinds = trial(Simulate(), "viewstamped", n, dead=dead)
    a, failed = n - len(dead), len(dead)
    assert (row.verdict, row.epochs, row.leader) == ("elected", failed + 1, len(dead) + 2)
    assert row.messages == a * (n - 1) + (a - 1) + (n - 1) + failed * (a * (n - 1) + a)
    assert kinds["DoViewChange"] == a - 1 + failed * a


@pytest.mark.parametrize("n", [3, 5, 8, 16])
def test_proposers_at_once_each_ask_and_are_answered(n: int) -> None:
    for seed in range(20):
        row, kinds = trial(Simulate(), "paxos", n, seed=seed)
        assert (row.verdict, row.leader, row.violations) == ("elected", n, 0)
        assert kinds["Prepare"] == n * (n - 1)
        assert kinds["Accept"] % (n - 1) == 0
        late = kinds["Promise"] + kinds["Nack"] - n * (n - 1)  # to leaders that were preempted
        assert 0 <= late <= kinds["Accept"] - (n - 1)


# -- no majority -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", PAGES)
@pytest.mark.parametrize("fault", ["leader-crash", "none"])
def test_without_a_majority_there_is_no_leader(engine: Processes, algorithm: str, fault: str) -> None:
    for one in (Simulate(), engine):
        n, dead = (2, ()) if fault == "leader-crash" else (4, (0, 3))
        row, _ = trial(one, algorithm, n, fault, dead=dead)
        assert (row.verdict, row.stop, row.within_model, row.violations) == ("no_leader", "quiescent", False, 0)
        assert not row.is_broken


@pytest.mark.parametrize("algorithm", [*PAGES, "raft"])
def test_counts_are_held_to_the_theorem_only_while_hops_keep_their_bound(algorithm: str) -> None:
    """Timers fire for nothing where hops are late: then a trial is run again, and compared at last if that is no help."""
    scenario = Scenario(algorithm=algorithm, ids=(1, 2, 3, 4, 5), seed=1, delta=0.001, horizon=5.0, latency="20ms")
    assert check_trial(Simulate(), scenario).attempts == 5
    assert check_trial(Simulate(), msgspec.structs.replace(scenario, latency="1ms")).attempts == 1


@pytest.mark.parametrize("algorithm", PAGES)
def test_a_leader_that_is_cut_off_is_one_of_an_older_term(algorithm: str) -> None:
    for seed in range(10):
        fault = "partition:leader-alone,for=3s"
        row, _ = trial(Simulate(), algorithm, 5, fault, seed=seed, detector="heartbeat")
        assert (row.verdict, row.violations, row.faults_fired) == ("elected", 0, 1)
        assert row.overlap_s > 0
        assert row.term is not None
        assert row.term > 1


# -- the pages, event by event ---------------------------------------------------------------------------------------


def judge_epochs(page: type[Node]) -> None:
    """A vote is counted in its epoch only, and who is behind is told."""
    node = make(page, 3, 3)
    node.on_recover(Accepted(4))
    assert take(node) == [Send(port, Notification(5, 4, 3, True)) for port in (1, 2)]
    assert hear(node, 1, Notification(4, 4, 3, True)) == [Send(1, Notification(5, 4, 3, True))]
    assert "finalize" not in node.armed
    assert hear(node, 1, Notification(5, 4, 3, True)) == []
    assert "finalize" in node.armed


def judge_following(page: type[Node]) -> None:
    """Who decides saves it before it says so, and follows once it is told that a majority does."""
    node = make(page, 1, 3)
    node.on_start()
    hear(node, 3, Notification(1, 0, 3, True))
    node.fire("finalize")
    assert take(node) == [Save(Accepted(1)), Send(3, FollowerInfo(1))]
    assert hear(node, 3, LeaderInfo(1)) == [Elect(3, 1)]
    assert hear(node, 2, Notification(1, 0, 2, True)) == [Send(2, Notification(1, 1, 3, False))]


def judge_leading(page: type[Node]) -> None:
    """Votes do not make a leader, a majority of followers does."""
    node = make(page, 5, 5)
    node.on_start()
    for port in (1, 2):
        hear(node, port, Notification(1, 0, 5, True))
    take(node)
    node.fire("finalize")
    assert take(node) == [Save(Accepted(1))]
    assert hear(node, 1, FollowerInfo(1)) == []
    assert Elect(5, 1) in hear(node, 2, FollowerInfo(1))


def judge_promises(page: type[Node]) -> None:
    """An acceptor promises upwards only, crash or no crash, and saves its promise before it says so."""
    node = make(page, 1, 3)
    assert hear(node, 3, Prepare(5)) == [Save(Promised(5)), Send(3, Promise(5))]
    assert hear(node, 2, Prepare(4)) == [Send(2, Nack(5))]
    assert hear(node, 2, Accept(4)) == [Send(2, Nack(5))]
    back = make(page, 1, 3)
    back.on_recover(Promised(5))
    assert hear(back, 2, Prepare(4)) == [Send(2, Nack(5))]
    assert hear(back, 2, Prepare(7)) == [Save(Promised(7)), Send(2, Promise(7))]


def judge_ballots(page: type[Node]) -> None:
    """No two nodes, and no node twice, prepare one ballot."""
    ballots = set()
    for identity in (1, 2, 3, 4):
        node = make(page, identity, 4)
        node.on_start()
        for _ in range(4):
            ballots.add(node.epoch)
            hear(node, node.ports[0], Nack(node.epoch + 1))
            node.fire("wait")
            node.fire("wait")
        ballots.add(node.epoch)
    assert len(ballots) == 5 * 4


def judge_preemption(page: type[Node]) -> None:
    """Who meets a higher ballot leads no more, and no promise to the lower one counts."""
    node = make(page, 2, 3)
    node.on_start()
    hear(node, 3, Nack(8))
    assert hear(node, 1, Promise(4)) == []
    assert node.leader is None
    assert hear(node, 3, Accept(8)) == [Elect(3, 8)]


def judge_changes(page: type[Node]) -> None:
    """A replica tells the new primary once a majority leaves, of which it is one, but no two."""
    node = make(page, 1, 5)
    node.on_start()
    assert take(node) == [Save(LastView(1)), *(Send(port, StartViewChange(1)) for port in (2, 3, 4, 5))]
    assert hear(node, 3, StartViewChange(1)) == []
    assert hear(node, 4, StartViewChange(1)) == [Send(2, DoViewChange(1))]
    assert hear(node, 2, StartView(1)) == [Elect(2, 1)]


def judge_views(page: type[Node]) -> None:
    """A view that was left is never entered again, crash or no crash, and who is in one is told."""
    node = make(page, 1, 3)
    node.on_recover(LastView(6))
    assert hear(node, 3, StartView(5)) == []
    assert hear(node, 2, StartViewChange(4)) == [Send(2, StartViewChange(6))]


JUDGES = (
    *((ZooKeeperFLE, judge) for judge in (judge_epochs, judge_following, judge_leading)),
    *((Paxos, judge) for judge in (judge_promises, judge_ballots, judge_preemption)),
    *((Viewstamped, judge) for judge in (judge_changes, judge_views)),
)


@pytest.mark.parametrize(("page", "judge"), JUDGES, ids=lambda it: it.__name__)
def test_the_page_does_as_the_paper_says(page: type[Node], judge: Callable[[type[Node]], None]) -> None:
    judge(page)


FORGETS = ("    def init(self)", "    def on_recover(self, record): self.wait()\n\n    def init(self)")

ERRORS = (  # what no count shows: page, error, old, new, who sees it
    (ZooKeeperFLE, "the epoch of a vote is ignored", "and msg.epoch < self.epoch:", "and False:", judge_epochs),
    (
        ZooKeeperFLE,
        "a follower does not save it",
        "self.save(Accepted(self.epoch))",
        "self.accepted = self.epoch",
        judge_following,
    ),
    (
        ZooKeeperFLE,
        "votes make a leader",
        " and self.is_majority(len(self.followers - self.suspected)):",
        ":",
        judge_leading,
    ),
    (Paxos, "a promise is not saved", "self.save(Promised(ballot))", "self.epoch = ballot", judge_promises),
    (
        Paxos,
        "a lower ballot is promised",
        "        if msg.ballot == self.epoch:",
        "        if True:",
        judge_promises,
    ),
    (
        Paxos,
        "a promise is forgotten in a crash",
        *FORGETS,
        judge_promises,
    ),
    (Paxos, "ballots are not unique", "* self.n + rank", "* self.n", judge_ballots),
    (
        Paxos,
        "promises to a ballot that was preempted count",
        "msg.ballot != self.ballot or msg.ballot != self.epoch",
        "msg.ballot != self.ballot",
        judge_preemption,
    ),
    (
        Viewstamped,
        "its own departure counts",
        "self.is_majority(len(self.changes))",
        "len(self.changes) + 2 > self.n // 2",
        judge_changes,
    ),
    (Viewstamped, "a view is not saved", "self.save(LastView(view))", "self.epoch = view", judge_changes),
    (Viewstamped, "a view is forgotten in a crash", *FORGETS, judge_views),
)


@pytest.mark.parametrize(("page", "error", "old", "new", "judge"), ERRORS, ids=[error for _, error, *_ in ERRORS])
def test_a_planted_error_is_seen(
    page: type[Node],
    error: str,
    old: str,
    new: str,
    judge: Callable[[type[Node]], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    planted = find_algorithm(plant(tmp_path, page.__module__.removeprefix("algorithms."), old, new))
    module = sys.modules[planted.__module__]
    for message in (*page.messages, page.record):
        assert message is not None
        monkeypatch.setattr(sys.modules[__name__], message.__name__, getattr(module, message.__name__))
    with pytest.raises(AssertionError):
        judge(planted)
