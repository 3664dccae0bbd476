"""Calibration: the delta that follows, hops counted, peers that run, and limits refused in one line."""

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest

from bench import calibrate
from bench.calibrate import BURST, Limits, check_limits, measure_delta, measure_hop
from bench.engines.processes import HarnessError, Processes
from bench.engines.processes import memory as shm
from bench.engines.processes.summary import records
from bench.scenario import Scenario


@pytest.fixture(scope="module")
def burster() -> Iterator[Processes]:
    with Processes(("chang_roberts", BURST)) as engine:
        yield engine


# -- delta


def test_delta_is_twice_the_burst_but_at_least_50_ms(burster: Processes) -> None:
    measured = measure_delta(burster, (1, 2, 4, 64), budget_s=1.0)
    assert list(measured) == [1, 2, 4, 64]
    for calibration in measured.values():
        assert calibration.burst_s > 0
        assert calibration.delta_s == max(0.05, 2 * calibration.burst_s)
    assert measured[64].burst_s > 2 * measured[4].burst_s  # 256 times as many messages


def test_delta_of_many_nodes_follows_from_a_burst_of_fewer(burster: Processes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibrate, "LARGEST_BURST", 8)
    measured = measure_delta(burster, (8, 1000), budget_s=0.2)
    assert burster.n == 8
    assert measured[1000].burst_s == pytest.approx(measured[8].burst_s * 125**calibrate.GROWTH)


def test_the_warm_up_counts_where_there_is_no_time_for_more(burster: Processes) -> None:
    assert measure_delta(burster, (4,), budget_s=0.0)[4].burst_s > 0


@pytest.mark.parametrize("initiators", ["all", "one"])
def test_a_burst_is_an_election_of_the_highest(burster: Processes, initiators: str) -> None:
    scenario = Scenario(algorithm=BURST, ids=(4, 9, 2), seed=1, delta=0.05, horizon=10, initiators=initiators)
    observation = burster.observe(scenario)
    elected = [[r.value for r in records(node) if r.what == shm.ELECT] for node in observation.nodes]
    sent = [r for node in observation.nodes for r in records(node) if r.what == shm.SEND]
    assert elected == [[9], [9], [9]]
    assert len(sent) == 2 * 3 * 2


def test_a_burst_that_is_none_is_an_error(burster: Processes, monkeypatch: pytest.MonkeyPatch) -> None:
    observation = burster.observe(Scenario(algorithm=BURST, ids=(1, 2), seed=1, delta=1, horizon=10))
    monkeypatch.setattr(burster, "observe", lambda scenario: observation)
    with pytest.raises(HarnessError, match=r"^calibration on 3 nodes: a burst of 4 messages, not of 12$"):
        calibrate.time_burst(burster, 3)
    observation.stop = "horizon"
    with pytest.raises(HarnessError, match=r"^calibration by bench\.calibrate:Burst on 2 nodes: horizon$"):
        measure_delta(burster, (2,))


# -- hops and peers


def test_a_hop_is_a_share_of_the_announcement(burster: Processes) -> None:
    hops = measure_hop(burster, n=16, repetitions=4)
    assert len(hops) == 4
    assert all(0 < hop < 0.05 for hop in hops)
    scenario = Scenario(algorithm="chang_roberts", ids=tuple(range(1, 17)), seed=1, delta=1, horizon=10)
    observation = burster.observe(scenario)
    times = [r.time for node in observation.nodes for r in records(node) if r.what == shm.ELECT]
    assert len(times) == 16  # the winner's and 15 hops
    assert calibrate.time_announcement(observation) == pytest.approx((max(times) - times[15]) / 1e9)


def test_hops_are_refused_where_they_cannot_be_counted(burster: Processes) -> None:
    with pytest.raises(ValueError, match="two nodes"):
        measure_hop(burster, n=1)
    observation = burster.observe(Scenario(algorithm="chang_roberts", ids=(1, 2), seed=1, delta=1, horizon=10))
    observation.nodes[0].log = memoryview(b"")
    with pytest.raises(HarnessError, match=r"nodes elected \[0, 1\] times"):
        calibrate.time_announcement(observation)


# -- the machine and its limits


def test_the_machine_is_plain_json() -> None:
    facts = calibrate.machine()
    assert set(facts) == {"system", "release", "python", "cpu", "cores", "memory_gb", "load"}
    assert json.loads(json.dumps(facts)) == facts


def test_a_node_carries_no_library_of_the_command_line() -> None:
    heavy = {"pandas", "matplotlib", "scipy", "rich", "click", "psutil"}
    code = f"import bench.calibrate, sys; print(*{heavy} & {{*sys.modules}})"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout.strip() == b""


def test_no_limits_nothing_refused() -> None:
    check_limits(65_535, Limits())


def test_this_machine_holds_a_few_nodes() -> None:
    check_limits(8)


@pytest.mark.parametrize(
    ("low", "enough", "says"),
    [
        (
            Limits(descriptors=2063),
            Limits(descriptors=2064),
            "1,000 nodes need 2,064 open files (hard limit), the limit is 2,063; raise it by `ulimit -n 2064` as root",
        ),
        (
            Limits(user_processes=1500, user_running=499),
            Limits(user_processes=1500, user_running=498),
            "1,000 nodes need 1,501 processes of this user, the limit is 1,500; raise it by `ulimit -u 1501`",
        ),
        (
            Limits(pids=1100, pids_running=99),
            Limits(pids=1101, pids_running=99),
            "1,000 nodes need 1,101 process ids (kernel.pid_max), the limit is 1,100; "
            "raise it by `sysctl kernel.pid_max=1101`",
        ),
        (
            Limits(group_processes=1001),
            Limits(group_processes=1002),
            "1,000 nodes need 1,002 processes in this control group (pids.max), the limit is 1,001; "
            "raise it by pids.max = 1002",
        ),
        (
            Limits(memory=1.9e9),
            Limits(memory=2.0e9),
            "1,000 nodes need 1,934 MB of memory, the limit is 1,900; raise it by freeing some, or take fewer nodes",
        ),
    ],
)
def test_a_limit_is_named_with_its_remedy(low: Limits, enough: Limits, says: str) -> None:
    check_limits(1000, enough)
    with pytest.raises(ValueError, match="nodes") as error:
        check_limits(1000, low)
    assert str(error.value) == says


def test_positions_have_16_bits() -> None:
    with pytest.raises(ValueError, match="65,536 nodes are too many; a frame has room for 65,535 positions"):
        check_limits(65_536, Limits())
