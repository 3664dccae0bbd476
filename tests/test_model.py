"""The model of computation: what is checked when a page is written, and what a node records."""

import pytest

from algorithms import ALGORITHMS
from algorithms.complete.bully import Bully, Coordinator, Election, Epoch, Ok
from algorithms.model import (
    Bounds,
    CancelTimer,
    Claims,
    Effect,
    Elect,
    Formula,
    Message,
    Node,
    Port,
    Replica,
    Save,
    Send,
    SetTimer,
    View,
    number,
    switch,
)
from bench.scenario import parse_parameters


def bully(identity: int, n: int, **parameters: object) -> Bully:
    ports = tuple(port for port in range(1, n + 1) if port != identity)
    return Bully(View(identity, ports, n, "seed"), **(parse_parameters(Bully, {}) | parameters))


def take(node: Node) -> list[Effect]:
    effects = list(node.effects)
    node.effects.clear()
    return effects


class Hello(Message, frozen=True):
    pass


def test_a_message_without_a_handler_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="lacks on_hello"):
        type("Deaf", (Node,), {"messages": (Hello,)})


def test_a_misspelt_handler_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="on_helo handles no event"):
        type("Misspelt", (Node,), {"messages": (Hello,), "on_hello": lambda *_: None, "on_helo": lambda *_: None})


def test_the_strongest_wins_at_once_and_tells_all() -> None:
    node = bully(3, 3)
    node.on_start()
    assert take(node) == [Elect(3, 1), Send(1, Coordinator(1, 3)), Send(2, Coordinator(1, 3))]


def test_the_strongest_may_be_told_to_wait() -> None:
    node = bully(3, 3, victory="wait")
    node.on_start()
    assert take(node) == [SetTimer("answer", 2)]


def test_an_election_is_answered_and_joined_once() -> None:
    node = bully(2, 3)
    node.deliver(0, 1, (0, ()), Election(1))
    assert take(node) == [Send(1, Ok(1)), Send(3, Election(1)), SetTimer("answer", 2)]
    node.deliver(0, 1, (0, ()), Election(1))
    assert take(node) == [Send(1, Ok(1))]


def test_who_hears_nothing_wins_and_who_was_answered_waits_and_starts_over() -> None:
    node = bully(2, 3)
    node.on_start()
    take(node)
    node.fire("answer")
    assert take(node)[0] == Elect(2, 1)
    node = bully(2, 3)
    node.on_start()
    node.deliver(2, 3, (0, ()), Ok(1))
    take(node)
    node.fire("answer")
    assert take(node) == [SetTimer("coordinator", 3)]
    node.fire("coordinator")
    assert take(node) == [Save(Epoch(2)), Send(3, Election(2)), SetTimer("answer", 2)]


def test_a_weaker_coordinator_is_bullied_back() -> None:
    node = bully(2, 3)
    node.deliver(0, 1, (0, ()), Coordinator(1, 1))
    assert take(node) == [Save(Epoch(2)), Send(3, Election(2)), SetTimer("answer", 2)]


def test_a_coordinator_that_died_meanwhile_is_not_followed() -> None:
    node = bully(1, 3)
    node.suspected |= {3}
    node.deliver(2, 3, (0, ()), Coordinator(1, 3))
    assert take(node)[-1] == SetTimer("coordinator", 3)
    assert node.leader is None
    node.on_timeout("coordinator")
    assert Save(Epoch(2)) in take(node)


def test_a_coordinator_that_is_trusted_again_is_followed() -> None:
    node = bully(1, 3)
    node.suspected |= {3}
    node.deliver(2, 3, (0, ()), Coordinator(1, 3))
    node.suspected -= {3}
    node.on_trust(3)
    assert node.leader == 3


def test_what_is_stale_is_answered_with_the_current_coordinator() -> None:
    node = bully(2, 3)
    node.deliver(2, 3, (0, ()), Coordinator(4, 3))
    take(node)
    for stale in (Election(3), Coordinator(3, 1)):
        node.deliver(0, 1, (0, ()), stale)
        assert take(node) == [Send(1, Coordinator(4, 3))]
    assert (node.leader, node.epoch) == (3, 4)


def test_a_coordinator_withdraws_the_timers() -> None:
    node = bully(2, 3)
    node.on_start()
    take(node)
    node.deliver(2, 3, (0, ()), Coordinator(1, 3))
    assert take(node) == [CancelTimer("answer"), Elect(3, 1)]


def test_a_suspicion_matters_only_if_it_concerns_the_leader() -> None:
    node = bully(2, 4)
    node.deliver(3, 4, (0, ()), Coordinator(1, 4))
    take(node)
    node.on_suspect(3)
    assert take(node) == []
    node.on_suspect(4)
    assert take(node)[0] == Save(Epoch(2))


def test_what_recovers_listens_and_starts_after_every_epoch_it_knows_of() -> None:
    node = bully(3, 3)
    node.on_recover(Epoch(6))
    assert take(node) == [SetTimer("coordinator", 5)]
    node.on_timeout("coordinator")
    assert [it for it in take(node) if not isinstance(it, CancelTimer)][:2] == [Save(Epoch(7)), Elect(3, 7)]
    late = bully(3, 3)
    late.on_recover(Epoch(6))
    late.deliver(0, 1, (0, ()), Election(9))
    late.on_timeout("coordinator")
    assert Elect(3, 10) in take(late)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_parameters_have_defaults_and_refuse_nonsense(name: str) -> None:
    page = ALGORITHMS[name]
    assert parse_parameters(page, {}).keys() == page.parameters.keys()
    for parameter in page.parameters:
        with pytest.raises(ValueError, match=f"{parameter} cannot be 'nonsense'; it accepts "):
            parse_parameters(page, {parameter: "nonsense"})
    with pytest.raises(ValueError, match="no parameter 'colour'"):
        parse_parameters(page, {"colour": "red"})


def test_parameters_are_attributes_and_inherited() -> None:
    class Patient(Node):
        timeout: float = number(3, 1, "how long to wait")

    class Polite(Patient):
        asks: bool = switch("whether it asks first")

    assert (list(Patient.parameters), list(Polite.parameters)) == (["timeout"], ["timeout", "asks"])
    node = Polite(View(1, (), 1, ""), asks=Polite.parameters["asks"].parse("on"))
    assert (node.timeout, node.asks, Polite(View(1, (), 1, "")).asks) == (3, True, False)


def test_what_a_replica_saved_it_has_again_after_a_crash() -> None:
    class Voted(Message, frozen=True):
        epoch: int
        voted: int

    class Server(Replica):
        record = Voted
        voted = 0

    node, back = (Server(View(1, (2, 3), 3, "")) for _ in range(2))
    node.save(Voted(4, 2))
    assert take(node) == [Save(Voted(4, 2))]
    back.on_recover(Voted(4, 2))
    assert (node.epoch, node.voted) == (back.epoch, back.voted) == (4, 2)


@pytest.mark.parametrize(
    ("text", "five"),
    [
        *(
            ("2n⌊lg n⌋ + 3n", 35),
            ("4(2^⌈lg n⌉−1) + 3n", 43),
            ("(2n+1)(n−1)", 44),
            ("n(n+1)/2 + n", 20),
            ("2n² − 1", 49),
        ),
        *(("n·Hₙ + n", 5 * (1 + 1 / 2 + 1 / 3 + 1 / 4 + 1 / 5) + 5), ("(5n−1)/2", 12)),
        *(
            (text, None)
            for text in ("≈ 1.2 n lg n", "O(n²)", "≤ 2n", "2mD", "4m − n + 1", "0", "∞", "between", "unbounded")
        ),
    ],
)
def test_a_closed_form_is_its_text(text: str, five: float | None) -> None:
    value = Formula(text).value
    assert (None if value is None else value(8, 5)) == five


def test_bounds_that_are_the_same_are_told_once() -> None:
    bounds = Bounds("n", "O(n)")
    assert [it.text for it in (bounds.best, bounds.mean, bounds.worst)] == ["n", "O(n)", "O(n)"]
    claims = Claims(messages=lambda arrangement: {}, all=bounds, time="", source="")
    assert claims.one is bounds


def test_the_same_seed_draws_the_same_numbers() -> None:
    def numbers(seed: str) -> list[int]:
        node = bully(1, 2)
        node.view = View(1, (2,), 2, seed)
        return [node.rng.randint(0, 10**9) for _ in range(3)]

    assert numbers("a") == numbers("a") != numbers("b")


def test_handlers_receive_the_port_and_the_message() -> None:
    class Echo(Node):
        messages = (Hello,)

        def on_hello(self, port: Port, msg: Hello) -> None:
            self.send(port, msg)

    node = Echo(View(1, (7,), None, ""))
    assert node.deliver(0, 7, (0, ()), Hello())
    assert take(node) == [Send(7, Hello())]
