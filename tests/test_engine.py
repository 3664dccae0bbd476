"""The process engine: what goes wrong inside a node, bulky messages, many nodes, nothing left over."""

import os
import signal
import time
from multiprocessing.connection import Connection

import msgspec
import psutil
import pytest

from algorithms import ALGORITHMS
from bench.complexity import compare_with_theory
from bench.engines.processes import HarnessError, Processes, wire
from bench.engines.processes.launcher import Open
from bench.engines.processes.memory import (
    BODY,
    RECEIVE,
    RECEIVE_RECORD,
    RECORD,
    SEND,
    SEND_RECORD,
    Memory,
    Record,
    read_records,
)
from bench.launch import launch
from bench.observe import make_row
from bench.scenario import Scenario
from bench.trial import Trial
from tests.conftest import SILENT


def run(engine: Processes, algorithm: str, n: int, horizon: float = 20, delta: float = 0.05) -> Trial:
    scenario = Scenario(algorithm=algorithm, ids=tuple(range(1, n + 1)), seed=1, delta=delta, horizon=horizon)
    return make_row(engine.run(scenario), scenario, "test", 0, 0, engine.name)[0]


@pytest.mark.parametrize(
    ("page", "says"),
    [
        ("Raises", "raised RuntimeError: planted at Ping from node"),
        ("RaisesAtBirth", "raised RuntimeError: stillborn at its birth"),
        ("Exits", "ended by itself (status 7)"),
    ],
)
def test_a_node_that_fails_ends_its_trial_and_the_next_goes_on(engine: Processes, page: str, says: str) -> None:
    row = run(engine, f"tests.nodes:{page}", 3)
    assert (row.stop, row.verdict) == ("error", "unknown")
    assert says in row.error
    assert "node " in row.error
    assert row.is_broken
    assert run(engine, "ring", 3).verdict == "elected"


@pytest.mark.parametrize("page", ["Hangs", "Chatters"])
def test_a_trial_that_does_not_end_is_cut_off_at_the_horizon(engine: Processes, page: str) -> None:
    row = run(engine, f"tests.nodes:{page}", 3, horizon=0.5)
    assert (row.stop, row.verdict) == ("horizon", "unknown")
    assert row.unaccounted == 0
    assert run(engine, "bully", 3).verdict == "elected"


def test_two_leaders_of_one_key_are_a_violation(engine: Processes) -> None:
    row = run(engine, "tests.nodes:TwoLeaders", 3)
    assert (row.verdict, row.violations) == ("split", 2)
    assert row.is_broken


def test_messages_of_many_frames_arrive_whole_from_all_at_once(engine: Processes) -> None:
    row = run(engine, "tests.nodes:Bulky", 8)
    assert (row.verdict, row.messages, row.received) == ("elected", 56, 56)
    assert row.bytes > 56 * 10_000


def test_a_log_that_overflows_says_so(engine: Processes) -> None:
    row = run(engine, "tests.nodes:Pours", 2, horizon=20)
    assert (row.stop, row.log_lost > 0) == ("quiescent", True)


def test_a_log_ends_where_what_is_left_of_another_trial_begins() -> None:
    memory = Memory(2, 4)
    for records in (4, 0, 1, 3):
        memory.clear(1)
        for i in range(records):
            at = memory.log_offset(1) + i * RECORD.size
            RECORD.pack_into(memory.map, at, *Record(SEND, sequence=i, time=time.monotonic_ns()))
        assert [record.sequence for record in read_records(memory.read_log(1))] == list(range(records))
        assert not memory.read_log(0)


def test_what_a_record_of_a_message_tells_is_where_any_record_has_it() -> None:
    frame = wire.HEADER.pack(wire.HEADER.size + 3, 0, 4, 5, 6, 0, 7, 8, 9, 10, 11) + b"abc"
    sent, received = read_records(SEND_RECORD.pack(SEND, 1, 3, frame, 2) + RECEIVE_RECORD.pack(RECEIVE, 1, 4, 7, 9, 2))
    assert sent == Record(SEND, 1, 3, kind=4, sequence=7, depth=8, number=9, value=10, check=11, body=sent.body, time=2)
    assert sent.body[:3] == b"abc"
    assert received == Record(RECEIVE, 1, kind=4, sequence=7, number=9, body=bytes(BODY), time=2)


def test_everybody_broadcasting_at_once_does_not_deadlock(engine: Processes) -> None:
    for algorithm in SILENT:
        if ALGORITHMS[algorithm].model.safety == "ever":  # they wait for delta, which is long here
            continue
        scenario = Scenario(algorithm=algorithm, ids=tuple(range(1, 129)), seed=1, delta=2.0, horizon=60)
        execution = engine.run(scenario)
        row, kinds = make_row(execution, scenario, "test", 0, 0, engine.name)
        assert not compare_with_theory(row, kinds, execution, scenario)


def test_a_cluster_leaves_no_process_and_no_descriptor() -> None:
    me = psutil.Process()
    before = me.num_fds(), {child.pid for child in me.children(recursive=True)}
    with Processes(("ring",)) as engine:
        pids = engine.open(16).pids
        assert all(psutil.pid_exists(pid) for pid in pids)
        run(engine, "ring", 16)
    deadline = time.monotonic() + 2
    while any(psutil.pid_exists(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not any(psutil.pid_exists(pid) for pid in pids)
    assert (me.num_fds(), {child.pid for child in me.children(recursive=True)}) == before


def test_a_launcher_whose_parent_hangs_up_ends_without_a_word(capfd: pytest.CaptureFixture[str]) -> None:
    for read in (False, True):
        descriptor, pid = launch()
        connection = Connection(descriptor)
        connection.send_bytes(msgspec.msgpack.encode(Open(16, ("ring",))))
        if read:
            connection.recv_bytes()
            connection.send_bytes(msgspec.msgpack.encode(Open(16, ("ring",))))
            time.sleep(0.3)  # its answer stays unread: it is told of an end that is none of its doing
        connection.close()
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert capfd.readouterr().err == ""


def test_an_engine_whose_launcher_is_killed_says_so() -> None:
    with Processes(("ring",)) as engine:
        pids = engine.open(4).pids
        os.kill(engine.launcher, signal.SIGKILL)
        with pytest.raises(HarnessError, match="launcher of the node processes ended"):
            engine.open(4)
    deadline = time.monotonic() + 2
    while any(psutil.pid_exists(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not any(psutil.pid_exists(pid) for pid in pids)


def test_what_getrusage_says_of_the_nodes_agrees_with_psutil(engine: Processes) -> None:
    opened = engine.open(4)
    for _ in range(200):
        row = run(engine, "lamport", 4)
    assert row.cpu_s is not None
    assert row.ctx_switches is not None
    assert row.max_rss_kb is not None
    assert 0 < row.cpu_s < 1
    nodes = [psutil.Process(pid) for pid in opened.pids]
    assert row.ctx_switches < sum(sum(node.num_ctx_switches()) for node in nodes)
    assert row.max_rss_kb * 1024 == pytest.approx(max(node.memory_info().rss for node in nodes), rel=0.2)
