"""The explorer: what it finds in the catalogue, that it misses nothing, and that it catches what is planted."""

import random
from pathlib import Path
from typing import Any

import pytest

from algorithms.complete.bully import Bully
from algorithms.model import Message, Node
from algorithms.quorum.raft import Raft, Voted
from algorithms.quorum.viewstamped import Viewstamped
from algorithms.reelection import Reelection
from algorithms.ring.chang_roberts import ChangRoberts
from bench.engines.explore import (
    ENDLESS,
    FLOOD,
    UNDECIDED,
    UNENDING,
    Found,
    Move,
    State,
    System,
    explore,
    freeze,
    search,
)
from bench.scenario import Scenario, find_algorithm, trial_seed
from bench.settings import BadInput
from bench.verify import Question, answer, choose_arrangements, follow, hunt, label_of, make_system, wander
from tests.test_cli import bench

LIMIT = 20_000_000

# algorithm, n, crashes, ids -> number of arrangements, their states, steps and ends, and the longest execution
EXHAUSTED = {
    ("bully", 3, 1, "all"): (1, 897, 2_589, 10, 21),
    ("bully", 3, 2, "all"): (1, 1_200, 5_013, 18, 25),
    ("ring", 3, 2, "all"): (2, 4_457, 17_628, 36, 35),
    ("ring", 4, 1, "all"): (6, 52_389, 145_491, 48, 60),
    ("lamport", 3, 1, "all"): (1, 1_993, 6_045, 14, 27),
    ("chang_roberts", 3, 2, "all"): (2, 1_730, 6_055, 36, 22),
    ("chang_roberts", 4, 1, "all"): (6, 9_808, 22_641, 48, 31),
    ("chang_roberts", 5, 1, "ascending"): (1, 10_512, 23_933, 10, 35),
    ("chang_roberts", 5, 1, "descending"): (1, 21_742, 60_726, 10, 44),
    ("randomized", 3, 1, "all"): (1, 534, 1_261, 6, 18),
    ("randomized", 3, 2, "all"): (1, 1_460, 6_319, 18, 20),
}
EXHAUSTED_SLOWLY = {
    ("bully", 4, 1, "all"): (1, 136_453, 726_825, 22, 39),
    ("chang_roberts", 5, 1, "all"): (24, 343_812, 867_972, 240, 44),
    ("randomized", 4, 1, "all"): (1, 123_124, 382_583, 8, 40),
    ("lamport", 4, 1, "all"): (1, 1_095_084, 4_940_616, 41, 55),
}


# algorithm of three nodes, crashes, recoveries, last election if timers are late -> the same
RECOVERED = {
    ("bully", 1, 1, 0): (1, 5_133, 16_515, 17, 31),
    ("bully", 2, 2, 0): (1, 85_441, 303_965, 126, 50),
    ("chang_roberts", 1, 1, 0): (2, 8_216, 15_018, 92, 28),
    ("randomized", 1, 1, 0): (1, 20_842, 38_528, 189, 27),
    ("raft", 2, 2, 0): (1, 15_955, 30_923, 0, 59),
    ("raft", 1, 1, 1): (1, 73_520, 280_815, 0, 24),
    ("omega", 1, 1, 0): (1, 1_932, 3_966, 0, 49),
}
RECOVERED_SLOWLY = {
    ("ring", 1, 1, 0): (2, 38_939, 72_710, 138, 39),
    ("lamport", 1, 1, 0): (1, 92_643, 189_768, 419, 33),
    ("paxos", 1, 1, 0): (1, 657_060, 1_330_953, 307, 50),
    ("viewstamped", 1, 1, 0): (1, 41_863, 79_363, 67, 37),
    ("zookeeper_fle", 1, 1, 0): (1, 3_264_910, 6_532_443, 221, 89),
}
# algorithm, n, crashes, recoveries, losses, last election if timers are late -> the same
LOST = {
    ("viewstamped", 3, 0, 0, 3, 0): (1, 8_777, 25_022, 148, 34),
    ("viewstamped", 3, 1, 0, 1, 0): (1, 8_014, 26_525, 96, 27),
    ("paxos", 3, 0, 0, 2, 0): (1, 22_316, 92_681, 48, 31),
    ("zookeeper_fle", 3, 0, 0, 2, 0): (1, 7_628, 20_830, 90, 47),
    ("zookeeper_fle", 3, 1, 0, 1, 0): (1, 15_849, 49_594, 138, 48),
    ("raft", 3, 1, 0, 3, 0): (1, 7_142, 19_146, 0, 57),
    ("raft", 3, 1, 1, 1, 0): (1, 7_276, 14_189, 0, 48),
    ("raft", 3, 1, 0, 1, 1): (1, 14_882, 87_657, 0, 20),
    ("viewstamped", 3, 0, 0, 0, 1): (1, 30_540, 151_345, 16, 37),
    ("omega", 3, 1, 0, 2, 0): (1, 8_225, 20_551, 0, 72),
}
LOST_SLOWLY = {
    ("viewstamped", 3, 1, 0, 5, 0): (1, 320_559, 1_157_604, 3_125, 59),
    ("viewstamped", 4, 0, 0, 1, 0): (1, 83_169, 382_013, 17, 28),
    ("viewstamped", 3, 0, 0, 1, 1): (1, 178_658, 965_811, 127, 39),
    ("viewstamped", 3, 1, 0, 0, 1): (1, 99_673, 587_369, 80, 42),
    ("paxos", 3, 1, 0, 3, 0): (1, 283_050, 1_362_700, 1_511, 42),
    ("zookeeper_fle", 3, 1, 0, 3, 0): (1, 202_439, 622_963, 2_003, 80),
    ("raft", 3, 1, 0, 7, 0): (1, 177_537, 526_903, 0, 97),
    ("raft", 3, 1, 0, 4, 1): (1, 27_182, 175_830, 0, 20),
}


def make(
    algorithm: str,
    ids: tuple[int, ...],
    crashes: int = 0,
    initiators: str = "all",
    recoveries: int = 0,
    epochs: int = 0,
    losses: int = 0,
    **parameters: str,
) -> System:
    """A system, all of whose states may be looked at; timers are late if only so many elections are."""
    scenario = Scenario(
        algorithm=algorithm,
        parameters=parameters,
        ids=ids,
        initiators=initiators,
        seed=trial_seed(1, len(ids), 0),
        delta=1,
        horizon=1,
    )
    return System(scenario, crashes, recoveries, epochs > 0, epochs or None, losses)


def exhaust(
    algorithm: str, n: int, crashes: int, ids: str = "all", recoveries: int = 0, epochs: int = 0, losses: int = 0
) -> tuple[int, ...]:
    question = Question(
        algorithms=(algorithm,),
        nodes=(n,),
        crashes=crashes,
        recoveries=recoveries,
        losses=losses,
        late=epochs > 0,
        epochs=epochs,
    )
    arrangements = choose_arrangements(find_algorithm(algorithm), n, ids, 1)
    found = [explore(make_system(question, algorithm, ids), LIMIT) for ids in arrangements]
    assert [it.fault or "given up" for it in found if not it.exhausted] == []
    sums = [sum(getattr(it, what) for it in found) for what in ("states", "steps", "ends")]
    return (len(found), *sums, max(it.longest for it in found))


@pytest.mark.parametrize(("algorithm", "n", "crashes", "ids"), EXHAUSTED)
def test_every_interleaving_elects_one_leader(algorithm: str, n: int, crashes: int, ids: str) -> None:
    assert exhaust(algorithm, n, crashes, ids) == EXHAUSTED[algorithm, n, crashes, ids]


@pytest.mark.slow
@pytest.mark.parametrize(("algorithm", "n", "crashes", "ids"), EXHAUSTED_SLOWLY)
def test_every_interleaving_of_larger_systems_elects_one_leader(algorithm: str, n: int, crashes: int, ids: str) -> None:
    assert exhaust(algorithm, n, crashes, ids) == EXHAUSTED_SLOWLY[algorithm, n, crashes, ids]


@pytest.mark.parametrize(("algorithm", "crashes", "recoveries", "epochs"), RECOVERED)
def test_who_comes_back_disturbs_no_election(algorithm: str, crashes: int, recoveries: int, epochs: int) -> None:
    found = exhaust(algorithm, 3, crashes, "all", recoveries, epochs)
    assert found == RECOVERED[algorithm, crashes, recoveries, epochs]


@pytest.mark.slow
@pytest.mark.parametrize(("algorithm", "crashes", "recoveries", "epochs"), RECOVERED_SLOWLY)
def test_who_comes_back_disturbs_no_election_seen_slowly(
    algorithm: str, crashes: int, recoveries: int, epochs: int
) -> None:
    found = exhaust(algorithm, 3, crashes, "all", recoveries, epochs)
    assert found == RECOVERED_SLOWLY[algorithm, crashes, recoveries, epochs]


@pytest.mark.parametrize(("algorithm", "n", "crashes", "recoveries", "losses", "epochs"), LOST)
def test_lost_messages_are_made_up_for(
    algorithm: str, n: int, crashes: int, recoveries: int, losses: int, epochs: int
) -> None:
    found = exhaust(algorithm, n, crashes, "all", recoveries, epochs, losses)
    assert found == LOST[algorithm, n, crashes, recoveries, losses, epochs]


@pytest.mark.slow
@pytest.mark.parametrize(("algorithm", "n", "crashes", "recoveries", "losses", "epochs"), LOST_SLOWLY)
def test_lost_messages_are_made_up_for_seen_slowly(
    algorithm: str, n: int, crashes: int, recoveries: int, losses: int, epochs: int
) -> None:
    found = exhaust(algorithm, n, crashes, "all", recoveries, epochs, losses)
    assert found == LOST_SLOWLY[algorithm, n, crashes, recoveries, losses, epochs]


def locals_of(system: System) -> set[object]:
    """The states that nodes were in when everything was looked at, whom they told of a later election apart."""
    return {untold(frozen) for (frozen, _), number in system.local_numbers.items() if number in system.seen}


def untold(frozen: Any) -> Any:
    """The state of a node without whom it told of a later election, of which the reduction keeps only what matters."""
    return tuple(it for it in frozen if it[0] != "told")


def ends_of(system: System) -> tuple[Found, set[object]]:
    """Search a system; also returns the states of all nodes wherever nothing more happens."""
    ends: list[State] = []
    judge = system.judge_end

    def collect(state: State) -> str:
        ends.append(state)
        return judge(state)

    begin = system.forget_inferences

    def forget() -> None:
        ends.clear()
        begin()

    system.judge_end, system.forget_inferences = collect, forget  # type: ignore[method-assign]
    found = search(system, LIMIT)
    forms = {number: untold(frozen) for (frozen, _), number in system.local_numbers.items()} | {0: None}
    return found, {tuple(forms[max(number, 0)] for number in end[: system.n]) for end in ends}


@pytest.mark.parametrize("initiators", ["all", "one", "0,1"])
@pytest.mark.parametrize(
    ("algorithm", "ids", "crashes", "parameters"),
    [
        ("bully", (1, 2, 3), 1, {}),
        ("ring", (2, 3, 1), 1, {}),
        ("ring", (2, 3, 1), 2, {}),
        ("ring", (3, 1, 4, 2), 0, {}),
        pytest.param("ring", (3, 1, 4, 2), 1, {}, marks=pytest.mark.slow),
        ("lamport", (1, 2, 3), 1, {}),
        pytest.param("lamport", (1, 2, 3), 2, {}, marks=pytest.mark.slow),
        ("lamport", (1, 2, 3), 1, {"mode": "collect"}),
        pytest.param("lamport", (1, 2, 3), 2, {"mode": "collect"}, marks=pytest.mark.slow),
        ("lamport", (1, 2, 3), 1, {"clock": "random:2"}),
        pytest.param("lamport", (1, 2, 3, 4), 0, {}, marks=pytest.mark.slow),
        ("chang_roberts", (3, 1, 2), 2, {}),
        ("chang_roberts", (3, 1, 2), 2, {"variant": "relay"}),
        ("chang_roberts", (3, 1, 2), 1, {"recoveries": 1}),
        ("ring", (2, 3, 1), 1, {"recoveries": 1}),
        ("viewstamped", (1, 2, 3), 1, {}),
        ("zookeeper_fle", (1, 2, 3), 1, {}),
        ("viewstamped", (1, 2, 3), 0, {"losses": 2}),
        ("viewstamped", (1, 2, 3), 1, {"losses": 1}),
        ("zookeeper_fle", (1, 2, 3), 0, {"losses": 1}),
        ("paxos", (1, 2, 3), 0, {"losses": 1}),
        ("chang_roberts", (3, 1, 4, 2), 1, {}),
        pytest.param("chang_roberts", (3, 1, 4, 2), 1, {"variant": "relay"}, marks=pytest.mark.slow),
        ("randomized", (1, 2, 3), 1, {}),
        ("randomized", (1, 2, 3), 2, {}),
        ("randomized", (1, 2, 3), 1, {"range": "2"}),
        ("randomized", (1, 2, 3), 2, {"redraw": "all"}),
        ("randomized", (1, 2, 3, 4), 0, {}),
    ],
)
def test_the_reduction_misses_nothing(
    algorithm: str, ids: tuple[int, ...], crashes: int, parameters: dict[str, Any], initiators: str
) -> None:
    """Every state that a node can be in, every end and the longest execution are found with it and without it."""
    reduced, whole = (make(algorithm, ids, crashes, initiators, **parameters) for _ in range(2))
    whole.reduce = False
    (some, some_ends), (every, every_ends) = ends_of(reduced), ends_of(whole)
    assert locals_of(reduced) == locals_of(whole)
    assert some_ends == every_ends
    assert (some.longest, some.fault) == (every.longest, every.fault)
    assert some.states <= every.states


@pytest.mark.slow
@pytest.mark.parametrize(
    ("algorithm", "ids", "initiators"),
    [("lamport", (1, 2, 3, 4), "one"), ("chang_roberts", (1, 2, 3, 4, 5), "all"), ("ring", (1, 2, 3, 4), "all")],
)
def test_the_reduction_misses_nothing_in_larger_systems(algorithm: str, ids: tuple[int, ...], initiators: str) -> None:
    test_the_reduction_misses_nothing(algorithm, ids, 1, {}, initiators)


def name_of(system: System, move: Move) -> tuple[object, ...]:
    """A step by what it means in any system."""
    return move.position, None if move.event < 0 else system.events.things[move.event], move.link, move.kept


@pytest.mark.parametrize(
    ("algorithm", "ids", "crashes", "initiators"),
    [
        ("lamport", (1, 2, 3), 1, "all"),
        pytest.param("lamport", (1, 2, 3), 2, "all", marks=pytest.mark.slow),
        ("randomized", (1, 2, 3), 1, "all"),
        ("randomized", (1, 2, 3), 2, "all"),
        pytest.param("chang_roberts", (3, 1, 4, 2), 1, "all", marks=pytest.mark.slow),
        pytest.param("chang_roberts", (3, 1, 4, 2), 2, "one", marks=pytest.mark.slow),
        pytest.param("ring", (2, 3, 1, 4), 2, "one", marks=pytest.mark.slow),
        pytest.param("lamport", (1, 2, 3, 4), 1, "one", marks=pytest.mark.slow),
    ],
)
def test_normal_forms_do_all_that_the_states_do(
    algorithm: str, ids: tuple[int, ...], crashes: int, initiators: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A simulation, step by step and without persistent sets: what is not possible any more changes nothing."""
    small, whole = make(algorithm, ids, crashes, initiators), make(algorithm, ids, crashes, initiators)
    monkeypatch.setattr(small, "persistent", lambda state, position: [])
    found, whole.reduce = search(small, LIMIT), False
    pairs, n = small.pairs, len(ids)

    def places(system: System, state: State) -> list[object]:
        return [untold(freeze(system.local(number).node)) if number else None for number in state[:n]]

    todo = [(whole.initial, small.initial)]
    related = set(todo)
    while todo:
        state, form = todo.pop()
        offered = {name_of(small, move): move for move in small.moves(form)}
        for move in whole.moves(state):
            same = offered.get(name_of(whole, move))
            assert same or (move.event >= 0 and move.kept < 0)
            after = whole.step(state, move), small.step(form, same) if same else form
            if after not in related:
                assert places(whole, after[0]) == places(small, after[1])
                related.add(after)
                todo.append(after)
    assert small.pairs == pairs
    assert len({form for _, form in related}) == found.states


def test_the_reduction_saves_most_of_a_ring() -> None:
    """Without crashes one order is as good as all."""
    found = search(make("ring", (3, 1, 4, 2)), LIMIT)
    assert found.states == found.longest + 1


@pytest.mark.parametrize(
    ("page", "says", "steps"),
    [
        ("Blurts", "elects ", 5),
        ("Waits", "nothing more happens, and not all have the same live leader", 9),
        ("Turns", UNENDING, 0),
        ("Chatters", UNENDING, 0),
        ("Raises", "it raised RuntimeError: planted", 4),
        ("Strays", "it sends over port 99, which it does not have", 4),
        ("TwoLeaders", "elects ", 2),
    ],
)
def test_a_planted_fault_is_caught_by_a_shortest_execution(page: str, says: str, steps: int) -> None:
    system = make(f"tests.nodes:{page}", (1, 2, 3))
    found = explore(system, LIMIT)
    assert says in found.fault
    way = follow(system, [label_of(system, move) for move in found.witness])
    assert says == UNENDING or says in way.fault
    assert len(way.steps) == steps or says == UNENDING
    if steps:  # one step less, and nothing is wrong yet
        assert not follow(system, way.schedule.split()[:-1]).fault


@pytest.mark.parametrize("page", ["Floods", "FloodsForEver"])
def test_a_page_that_floods_is_given_up_before_it_fills_the_memory(page: str) -> None:
    found = explore(make(f"tests.nodes:{page}", (1, 2, 3)), LIMIT)
    assert found.fault == UNENDING
    assert len(found.witness) < 10 * FLOOD < ENDLESS


@pytest.mark.parametrize("crashes", [0, 1, 2])
def test_an_end_is_judged_whether_or_not_more_might_crash(crashes: int) -> None:
    """All wait for ever without a crash; with two the last one leads."""
    assert "nothing more happens" in explore(make("tests.nodes:Waits", (1, 2, 3), crashes), LIMIT).fault


def test_a_node_may_crash_when_it_has_elected_and_told_nobody() -> None:
    way = follow(make("lamport", (1, 2), 1, "0"), ["0!", "1<0", "0<1/0", "1?0"])
    assert (way.steps[2].elected, way.steps[2].sends, way.steps[3].elected, way.fault) == ([1], [], [2], "")


def test_a_broken_combinator_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is in a past election must be told: without that, a node that was left out waits for ever."""
    monkeypatch.setattr(Reelection, "on_suspect", lambda self, port: None)
    assert "nothing more happens" in explore(make("chang_roberts", (1, 2, 3), 1), LIMIT).fault


def test_what_is_wrong_behind_a_dropped_frame_can_be_replayed(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the third election each elects itself: on the way there frames were dropped, and then they are not any more."""

    def elect(self: Node, leader: int, term: int = 0) -> None:
        Node.elect(self, self.id if self.view.seed.endswith("/3") else leader, term)

    monkeypatch.setattr(ChangRoberts, "elect", elect)
    system = make("chang_roberts", (1, 2, 3, 4), 2)
    found = search(system, LIMIT)
    assert not system.drops
    way = follow(system, [label_of(system, move) for move in found.witness])
    assert way.fault == found.fault == "node 1 elects 2 where 3 is elected already"


def forget_vote(self: Raft, record: Message | None) -> None:
    self.wait()


def forget_epoch(self: Bully, record: Message | None) -> None:
    self.begin()


@pytest.mark.parametrize(
    ("page", "forget", "epochs", "says", "schedule"),
    [
        (
            Raft,
            forget_vote,
            1,
            "node 1 elects 2 where 1 is elected already",
            "0! 1! 2! 0@election 1<0 0<1 1@election/1 1+ 1@election 2<1 1<2",
        ),
        (
            Bully,
            forget_epoch,
            0,
            "two leaders in one election: node 1 has 2, node 2 elects 3",
            "0! 1! 2x 0?2 1<0 0<1 1?2 1@answer 2+",
        ),
    ],
)
def test_who_forgets_what_it_saved_is_caught(
    page: type[Node],
    forget: Any,
    epochs: int,
    says: str,
    schedule: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """A shortest execution in which a node comes back, and takes part in an election again as if it never had."""
    monkeypatch.setattr(page, "on_recover", forget)
    system = make(page.__name__.lower(), (1, 2, 3), 1, recoveries=1, epochs=epochs)
    found = explore(system, LIMIT)
    assert found.fault
    way = follow(system, [label_of(system, move) for move in found.witness])
    assert (way.fault, way.schedule) == (says, schedule)
    said: list[str] = []
    question = Question(
        algorithms=(page.__name__.lower(),),
        nodes=(3,),
        recoveries=1,
        late=epochs > 0,
        epochs=epochs,
        schedule=schedule,
        out=tmp_path,
    )
    assert answer(question, said.append) == 1
    assert f"--crashes 1 --recoveries 1 {'--late-timers --epochs 1 ' * epochs}--replay" in said[-1]
    assert (tmp_path / f"{page.__name__.lower()}-n3.svg").stat().st_size > 1000


def ask_nobody_again(self: Viewstamped) -> None:
    pass


def take_silence_for_a_yes(self: Viewstamped, name: str) -> None:
    self.changes |= set(self.ports)
    self.followers |= set(self.ports)
    self.follow()
    self.lead()


@pytest.mark.parametrize(
    ("method", "wrong", "says", "schedule"),
    [
        (
            "wait",
            ask_nobody_again,
            "nothing more happens, and not all have the same live leader: node 0 has 2, node 1 has 2, node 2 has none",
            "0! 1! 2! 0<1 0<2 1<0 1<0 0<1 1<2 2<0 1<2 2<1 2-1",
        ),
        (
            "on_timeout",
            take_silence_for_a_yes,
            "node 2 elects 3 where 2 is elected already",
            "0! 1! 2! 0<1 0<2 1<0 1<0 0<1 1<2 2<0 1<2 2<1 2-1 2@wait",
        ),
    ],
)
def test_what_only_a_loss_reveals_is_caught(
    method: str, wrong: Any, says: str, schedule: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Whatever the order of messages and whoever crashes all is well, but not if the leader's word is lost."""
    monkeypatch.setattr(Viewstamped, method, wrong)
    assert not explore(make("viewstamped", (1, 2, 3), 1), LIMIT).fault
    system = make("viewstamped", (1, 2, 3), losses=1)
    found = explore(system, LIMIT)
    way = follow(system, [label_of(system, move) for move in found.witness])
    assert (way.fault, way.schedule) == (says, schedule)
    lost = way.steps[12]
    assert (lost.lost, lost.what) == (True, "never gets StartView(view=1) from 1: it is lost")
    said: list[str] = []
    question = Question(algorithms=("viewstamped",), nodes=(3,), crashes=0, losses=1, schedule=schedule, out=tmp_path)
    assert answer(question, said.append) == 1
    assert said[-1].endswith(f"--crashes 0 --losses 1 --replay '{schedule}'")
    assert "1→2 lost" in (tmp_path / "viewstamped-n3.svg").read_text()
    _, hunted = hunt(make("viewstamped", (1, 2, 3), losses=1), 1_000, 1)
    assert hunted is not None
    assert hunted.fault
    assert sum(step.lost for step in hunted.steps) == 1
    assert follow(make("viewstamped", (1, 2, 3), losses=1), hunted.schedule.split()) == hunted


def test_who_is_dead_is_not_followed() -> None:
    """Two answers of a leader that crashed arrive when all suspect it: nobody would look for another any more."""
    schedule = (
        "0! 1! 2! 0<2 0<1 1<0 1<0 0<1 1<2 2<0 2<0 2<1 2<1 0@finalize 2<0 1@finalize 2<1 2@finalize 0-2 1-2 "
        "0@resend 1<0 0<1 1<0 2<0 0<2 2<0 2<0 2<1 2x 0?2 0<2 1<0 1?2 1<2"
    )
    way = follow(make("zookeeper_fle", (1, 2, 3), 1, losses=2), schedule.split())
    assert (way.fault, way.open) == ("", True)


def test_what_is_saved_counts_from_then_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash may come between the vote that is saved and the answer that tells of it, and before both."""
    system = make("raft", (1, 2, 3), 1, recoveries=1, epochs=1)
    saved = []
    monkeypatch.setattr(Raft, "on_recover", lambda self, record: saved.append(record))
    follow(system, ["0!", "1!", "2!", "0@election", "1<0/1", "1+"])
    follow(system, ["0!", "1!", "2!", "0@election", "1<0/2", "1+"])
    follow(system, ["0!", "1!", "2!", "0@election", "1x", "1+"])
    assert saved == [Voted(1, 0), Voted(1, 1), None]


def test_who_never_comes_to_agree_is_found() -> None:
    """A page that never falls silent, in which each trusts itself for ever."""
    found = explore(make("tests.nodes:Stubborn", (1, 2, 3)), LIMIT)
    assert found.fault == UNDECIDED


def test_bully_elects_two_leaders_when_timers_are_late(tmp_path: Path) -> None:
    said: list[str] = []
    question = Question(algorithms=("bully",), nodes=(3,), late=True, epochs=2, out=tmp_path)
    assert answer(question, said.append) == 0  # its model is synchronous: that is a result, not an error
    text = "\n".join(said)
    assert "two leaders in one election: node 2 has 3, node 0 elects 1" in text
    assert "the page does not promise otherwise" in text
    assert (tmp_path / "bully-n3.svg").stat().st_size > 1000
    command = text.partition("again: election-bench ")[2].partition(" --replay ")
    schedule = command[2].strip("'")
    assert schedule == "0! 1! 2! 0@answer"
    again = bench(*command[0].split(), "--replay", schedule, "-o", str(tmp_path))
    assert "WRONG: two leaders in one election" in again.stdout


def test_a_broken_promise_ends_with_1_and_bad_input_with_2(tmp_path: Path) -> None:
    out = ("-o", str(tmp_path / "out"))
    broken = bench("verify", "-a", "tests.nodes:Blurts", *out, code=1)
    assert "WRONG: " in broken.stdout
    wrong = bench("verify", "-a", "bully", "--replay", "0! 0<7", code=2)
    assert wrong.stderr.startswith("election-bench: --replay: step 2 cannot be '0<7'; possible there: ")
    assert bench("verify", "-a", "bully", "--ids", "1,2", code=2).stderr.startswith("election-bench: --ids: ")
    assert bench("verify", "-a", "bully", "--crashes", "x", code=2).stderr.startswith("election-bench: --crashes: ")
    assert bench("verify", "-a", "raft,ring", "--losses", "1", code=2).stderr == (
        "election-bench: --losses: ring is for reliable channels; leave it out, or choose among "
        "raft, zookeeper_fle, paxos, viewstamped, omega\n"
    )
    given_up = bench("verify", "-a", "ring", "--limit", "100", *out, code=3)
    assert "not exhausted: given up after 100 states" in given_up.stdout


def test_a_hunt_finds_a_planted_fault_and_shrinks_it() -> None:
    ids, shrunk = tuple(range(1, 9)), 0
    for seed in range(5):
        system = make("tests.nodes:Blurts", ids, 1, "0,1")
        walk, way = hunt(system, 20, seed)
        assert way is not None
        assert "elects" in way.fault
        again = hunt(make("tests.nodes:Blurts", ids, 1, "0,1"), 20, seed)
        assert again == (walk, way)
        assert follow(system, way.schedule.split()) == way
        first = wander(system, random.Random(f"{seed}/{walk}"))
        assert len(way.steps) <= len(first.steps)
        shrunk += len(first.steps) - len(way.steps)
    assert shrunk > 0


@pytest.mark.parametrize("algorithm", ["bully", "ring", "lamport", "chang_roberts", "randomized"])
def test_a_hunt_finds_nothing_in_the_catalogue(algorithm: str) -> None:
    assert hunt(make(algorithm, (3, 1, 4, 2, 6, 5), 2), 60, 1) == (60, None)


def test_a_question_may_be_wrong() -> None:
    with pytest.raises(BadInput, match="initiators"):
        answer(Question(algorithms=("ring",), nodes=(3,), initiators="7"))
