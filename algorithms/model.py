"""The model of computation: what a node is, what it may know, and how it touches the world.

An algorithm is a `Node`: a pure state machine that receives events and records effects. It has no clock, no I/O and no
global randomness, so the same page runs on real processes, in virtual time and through every interleaving. Time is in
units of delta, the bound on one hop.
"""

import random
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import msgspec
from msgspec.structs import replace

# the vocabulary of a page
__all__ = ["NEXT", "PREVIOUS", "Id", "Port", "Position"]
__all__ += [
    "Announcement",
    "Arrangement",
    "Bounds",
    "Claims",
    "Formula",
    "Message",
    "Model",
    "Node",
    "Periodic",
    "Pulse",
    "Replica",
]
__all__ += ["choice", "count", "fibonacci", "harmonic", "number", "parameter", "peaks", "replace", "sides", "switch"]

Id = int  # what is compared; unique, at least 1
Port = int  # a node's own label for one of its links
Position = int  # a place among 0..n-1; known to the bench and to `Reelection`, never to a page
Key = tuple[int, tuple[Position, ...]]  # one election: (number, excluded positions), totally ordered

NEXT: Port = 0  # a ring's link to the neighbour in the direction of travel
PREVIOUS: Port = 1  # a ring's link to the other neighbour


class Message(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=True):
    """What nodes say to one another; subclass it once for each kind, with the paper's noun as the name."""


class Announcement(Message, frozen=True, gc=False):
    """A message that tells the outcome of an election; counted apart from those that decide it."""


class Periodic(Message, frozen=True, gc=False):
    """A message that is sent for ever, again and again; counted with failure detection, never with the election."""


class Effect(msgspec.Struct, gc=False):
    """One way of touching the world. An engine applies a node's effects in the order in which they were recorded."""


class Send(Effect):
    """Send `msg` over the link labelled `port`."""

    port: Port
    msg: Message


class SetTimer(Effect):
    """Fire the timer `name` after `delay` (in delta); replaces a pending one of the same name."""

    name: str
    delay: float


class CancelTimer(Effect):
    """The timer `name` shall not fire."""

    name: str


class Elect(Effect):
    """The node now takes `leader` (0: nobody any more) to be the leader of `term` (0: of its epoch)."""

    leader: Id
    term: int = 0


class Save(Effect):
    """Write `record` to stable storage, before any later `Send`; it replaces the previous record."""

    record: Message


class View(msgspec.Struct, frozen=True):
    """All that a node knows at birth; what the theorem does not grant is `None`.

    Attributes:
        id: the node's own id, or None where nodes are anonymous.
        ports: labels of its links. Where neighbours' ids are known (KT1) a label *is* the neighbour's id.
        n: number of nodes in its world, or None where that is not known.
        seed: seeds `Node.rng`.
        diameter: most hops between two nodes of its world, or None where that is not known.
    """

    id: Id | None
    ports: Sequence[Port]
    n: int | None
    seed: str
    diameter: int | None = None


class Pulse(msgspec.Struct, frozen=True):
    """The heartbeats of a page that never falls silent, in delta, as functions of its parameters.

    Attributes:
        period: between two `Periodic` messages of the leader; the moment of a fault is drawn over it.
        timeout: the longest that a node waits for one. Agreed on and unchanged for so long, an election is settled.
    """

    period: Callable[[Mapping[str, Any]], float]
    timeout: Callable[[Mapping[str, Any]], float]


class Model(msgspec.Struct, frozen=True):
    """What the theorem assumes (the facts of the docstring's `Model` line, as data).

    Attributes:
        topology: a name in `bench.topology.TOPOLOGIES`, or any: then a scenario chooses a graph of `GRAPHS` there.
        timing: asynchronous, partially synchronous or synchronous.
        channels: reliable, reliable FIFO, or lossy: messages may be lost, doubled and overtaken, and links cut.
        failures: what the page itself survives: none, crash (any number), or minority (fewer than half down at a time).
        identity: unique or anonymous.
        knows: which of `n`, `diameter` and `neighbours` (their ids) a node is told.
        start: who may wake spontaneously: any, or all, and then at once.
        safety: which leaders are too many: `instant`, two of one election at one instant; `ever`, two of one term, ever;
            `eventual`, none: there is one in the end.
        pulse: of a page that never falls silent and finds out by itself who crashed; None for the others.
        election: explicit, or implicit: each node learns only whether it is the leader, and by bad luck nobody is.
    """

    topology: str
    timing: str
    channels: str
    failures: str
    identity: str = "unique"
    knows: tuple[str, ...] = ()
    start: str = "any"
    safety: str = "instant"
    pulse: Pulse | None = None
    election: str = "explicit"

    def spares(self, n: int) -> int:
        """How many of n nodes may be down at once."""
        return (n - 1) // 2 if self.failures == "minority" else n - 1


class Arrangement(msgspec.Struct, frozen=True, kw_only=True):
    """What an exact count may depend on: places, ids, who is down, who starts, and what was drawn.

    Attributes:
        ids: ids by position; on a ring position i sends to i + 1.
        initiators: live positions that start spontaneously, ascending.
        dead: positions that are down, ascending.
        crashed: those of them whose crash the election is about.
        parameters: the page's parameters, parsed.
        draws: random numbers that each position drew, in order (pages that draw).
        edges, diameter: links of the graph of the live, and most hops between two of them (pages for any graph).
    """

    ids: tuple[Id, ...]
    initiators: tuple[Position, ...]
    dead: tuple[Position, ...] = ()
    crashed: tuple[Position, ...] = ()
    parameters: Mapping[str, Any] = {}
    draws: Mapping[Position, tuple[int, ...]] = {}
    edges: int = 0
    diameter: int = 0

    @property
    def n(self) -> int:
        """Configured nodes, the dead ones included."""
        return len(self.ids)

    @property
    def live(self) -> tuple[Position, ...]:
        """Positions that are up, ascending."""
        return tuple(p for p in range(len(self.ids)) if p not in self.dead)

    @property
    def ring(self) -> tuple[Id, ...]:
        """Ids of those that are up, in ascending order of position: the ring of the living."""
        return tuple(self.ids[p] for p in self.live)

    @property
    def starts(self) -> tuple[int, ...]:
        """Places of the initiators in `ring`, ascending."""
        initiators = set(self.initiators)
        return tuple(i for i, p in enumerate(self.live) if p in initiators)


def harmonic(n: int) -> float:
    """1 + 1/2 + ... + 1/n: how often, on average, the highest so far is beaten in a random order."""
    return sum(1 / k for k in range(1, n + 1))


def fibonacci(k: int) -> int:
    """The k-th number of Fibonacci: 1, 1, 2, 3, 5 ..."""
    small, large = 0, 1
    for _ in range(k):
        small, large = large, small + large
    return small


def peaks(n: int) -> tuple[Id, ...]:
    """A ring on which every other id is a local maximum, and the maxima are again in this order."""
    if n == 1:
        return (1,)
    low = iter(range(1, n - n // 2 + 1))
    return (*(t for peak in peaks(n // 2) for t in (peak + n - n // 2, next(low))), *low)


_CLOSED = re.compile(r"([\dn+−·/²^() ]|Hₙ|⌊lg n⌋|⌈lg n⌉)*n([\dn+−·/²^() ]|Hₙ|⌊lg n⌋|⌈lg n⌉)*")
_PYTHON = {"−": "-", "·": "*", "²": "**2", "^": "**", "Hₙ": "harmonic(n)"}
_PYTHON |= {"⌊lg n⌋": "(n.bit_length() - 1)", "⌈lg n⌉": "(n - 1).bit_length()"}


def _read(text: str) -> Callable[[int, int], float] | None:
    """The value of a closed form in n, read off its text: n is how many are alive. None for any other text."""
    if not _CLOSED.fullmatch(text):
        return None
    source = re.sub(r"(?<=[\dn)])(?=[n(H⌊⌈])", "*", text)  # 2n(n−1) is a product
    for sign, python in _PYTHON.items():
        source = source.replace(sign, python)
    value: Callable[[int, int], float] = eval(f"lambda _, n: {source}", {"harmonic": harmonic})
    return value


class Formula(msgspec.Struct, frozen=True):
    """A closed form: its text, and its value for n configured nodes of which the a weakest are alive.

    The value need not be given where the text alone says it: a text such as `n(n−1)/2`, `n² + n·Hₙ` or `2n⌊lg n⌋`, in which
    n is how many are alive. Any other text without a value (`None`) is known only as a bound or not at all.
    """

    text: str
    value: Callable[[int, int], float] | None = None

    def __post_init__(self) -> None:
        if self.value is None:
            msgspec.structs.force_setattr(self, "value", _read(self.text))


class Bounds:
    """Messages of one election, announcement included: best, mean and worst over ids, places and draws.

    A text is a `Formula` without a value of its own. What is not given is as the one before it.
    """

    def __init__(self, best: Formula | str, mean: Formula | str = "", worst: Formula | str = "") -> None:
        formulas = (
            one if isinstance(one, Formula) else Formula(one) for one in (best, mean or best, worst or mean or best)
        )
        self.best, self.mean, self.worst = formulas


class Claims(msgspec.Struct, frozen=True, kw_only=True):
    """What the theorem promises, as data that is checked.

    Attributes:
        messages: exact count by kind, `Periodic` ones apart, for one arrangement of at least two live nodes (Bully: of
            any).
        exact: whether it holds in an arrangement; where it does not the schedule decides.
        ranges: counts among which the schedule decides, by kind, for the kinds that are not in `messages`.
        epochs: how many elections are opened until one ends well.
        leader: who is elected in one arrangement of at least two live nodes, or None where the schedule decides it.
        depth: exact length of the longest happened-before chain of messages, where the schedule does not decide it.
        all: bounds when every node starts.
        one: bounds when one node starts, uniformly chosen; the same as `all` if not given.
        time: latency in delta, in words.
        bits: size of all messages, in words.
        source: author and year.
        drawn: the kind of message whose `value` tells what its sender drew (None: nothing), for pages whose count
            depends on it.
        best_case: n -> (ids, initiators) that reach the fewest messages, or None.
        worst_case: the same for the most.
    """

    messages: Callable[[Arrangement], dict[str, int]]
    all: Bounds
    one: Bounds = None  # type: ignore[assignment]  # never None once it is made
    time: str
    bits: str = "O(log n) a message"
    source: str
    exact: Callable[[Arrangement], bool] = lambda arrangement: True
    ranges: Callable[[Arrangement], dict[str, range]] = lambda arrangement: {}
    epochs: Callable[[Arrangement], int] = lambda arrangement: 1
    leader: Callable[[Arrangement], Id] | None = None
    depth: Callable[[Arrangement], int] | None = None
    drawn: type[Message] | None = None
    best_case: Callable[[int], tuple[tuple[Id, ...], tuple[Position, ...]]] | None = None
    worst_case: Callable[[int], tuple[tuple[Id, ...], tuple[Position, ...]]] | None = None

    def __post_init__(self) -> None:
        if self.one is None:
            msgspec.structs.force_setattr(self, "one", self.all)


class Parameter(msgspec.Struct, frozen=True):
    """An algorithm's own knob: default as text, what it accepts, what it means, and how to read it.

    A page declares it as an attribute of its class: `timeout: float = number(5, 1, "how long to wait")`.

    `parse` raises ValueError for what is not accepted; `variants` are other values whose counts the theorem gives, too.
    """

    default: str
    accepts: str
    meaning: str
    parse: Callable[[str], Any]
    variants: tuple[str, ...] = ()


def parameter(
    default: str, accepts: str, meaning: str, parse: Callable[[str], Any], variants: tuple[str, ...] = ()
) -> Any:
    """Declare a parameter, in a page's class, as the default of the attribute that holds its value: like `field` of
    dataclasses.
    """
    return Parameter(default, accepts, meaning, parse, variants)


def choice(*words: str, meaning: str) -> Any:
    """A parameter that is one of `words`; the first is the default."""

    def parse(text: str) -> str:
        if text not in words:
            raise ValueError(text)
        return text

    return Parameter(words[0], " or ".join(words), meaning, parse, words[1:])


def switch(meaning: str) -> Any:
    """A parameter that is off, which is the default, or on."""

    def parse(text: str) -> bool:
        if text not in ("off", "on"):
            raise ValueError(text)
        return text == "on"

    return Parameter("off", "off or on", meaning, parse, ("on",))


def number(default: float, least: float, meaning: str) -> Any:
    """A parameter that is a number of at least `least`."""

    def parse(text: str) -> float:
        value = float(text)
        if not least <= value < float("inf"):
            raise ValueError(text)
        return value

    return Parameter(f"{default:g}", f"a number >= {least:g}", meaning, parse)


def count(meaning: str) -> Any:
    """A parameter that is a whole number of at least 0, which is the default."""

    def parse(text: str) -> int:
        if int(text) < 0:
            raise ValueError(text)
        return int(text)

    return Parameter("0", "a whole number >= 0", meaning, parse)


def sides(meaning: str) -> Any:
    """A parameter that is how many values a node draws from: as many as there are nodes (0), or a number of at least 2."""

    def parse(text: str) -> int:
        if text == "n":
            return 0
        if int(text) < 2:
            raise ValueError(text)
        return int(text)

    return Parameter("n", "n, or a whole number >= 2", meaning, parse, ("2",))


def _handler_name(message: type[Message]) -> str:
    return "on_" + re.sub(r"(?<!^)(?=[A-Z])", "_", message.__name__).lower()


_NOBODY: frozenset[Port] = frozenset()
_NOTHING: frozenset[str] = frozenset()
_NOWHERE: Mapping[Port, tuple[Position, Port]] = {}  # one for all, so never to be written to


class Node:
    """A participant. Subclass it, declare `model`, `messages` and `claims`, and write one handler for each message.

    Events, all optional: `init`, `on_start`, `on_<message>(port, msg)`, `on_timeout(name)`, `on_suspect(port)`,
    `on_trust(port)`, `on_recover(record)`. Effects, to call: `send`, `broadcast`, `pass_on`, `set_timer`, `cancel_timer`,
    `elect`, `decline`, `doubt`, `save`.

    Attributes:
        id, ports, n: the node's `View`.
        leader: whom it last elected; 0 where it knows only that it is not itself.
        epoch: number of the election that it takes part in, from 1; engines read it to count elections.
        effects: what it did since an engine last looked.
        suspected: output of its failure detector (Chandra and Toueg, JACM 43(2), 1996), kept by the engine.
        armed: names of its pending timers.
        links, key: where its ports lead, (position, label there) by port, and the election they belong to; for engines.
        circle, place: where nodes are anonymous, the ids in ring order of those that take part, and this node's place
            among them; for `elect`.

    Raises:
        TypeError: when the class is made, for a message without a handler or a handler without an event.
    """

    # the simulator took 0.95 (n = 10,000) and 0.92 (50,000) of the time once these had slots; a page's own need none
    __slots__ = (
        *("_rng", "armed", "circle", "effects", "epoch", "id", "key", "leader"),
        *("links", "n", "place", "ports", "suspected", "view"),
    )
    model: ClassVar[Model]
    messages: ClassVar[tuple[type[Message], ...]] = ()
    claims: ClassVar[Claims]
    parameters: ClassVar[Mapping[str, Parameter]] = {}  # collected from its attributes when the class is made
    record: ClassVar[type[Message] | None] = None
    _handlers: ClassVar[dict[type[Message], Callable[[Any, Port, Any], None]]] = {}

    def __init_subclass__(cls) -> None:
        names = {_handler_name(message): message for message in cls.messages}
        events = {"on_start", "on_timeout", "on_suspect", "on_trust", "on_recover"}
        for name in dir(cls):
            if name.startswith("on_") and name not in names and name not in events:
                raise TypeError(f"{cls.__name__}.{name} handles no event and none of its messages")
        missing = [name for name in names if not hasattr(cls, name)]
        if missing:
            raise TypeError(f"{cls.__name__} declares messages but lacks {', '.join(missing)}")
        cls._handlers = {message: getattr(cls, name) for name, message in names.items()}
        own = {name: value for name, value in vars(cls).items() if isinstance(value, Parameter)}
        cls.parameters = {**cls.parameters, **own}
        for name, parameter in own.items():  # so that nodes hold only what is not as usual
            setattr(cls, name, parameter.parse(parameter.default))

    def __init__(self, view: View, **parameters: Any) -> None:
        self.view = view
        self.id: Id = view.id if view.id is not None else 0
        self.ports = view.ports
        self.n: int = view.n if view.n is not None else 0
        self.leader: Id | None = None
        self.epoch = 1
        self.effects: list[Effect] = []
        self.suspected: frozenset[Port] = _NOBODY
        self.armed: frozenset[str] = _NOTHING
        self.links = _NOWHERE
        self.key: Key = (0, ())
        self.circle: tuple[Id, ...] = ()
        self.place = 0
        self._rng: random.Random | None = None
        for name, value in parameters.items():
            setattr(self, name, value)
        self.init()

    @property
    def term(self) -> int:
        """What its leader leads: its epoch, unless the page tells groups in one epoch apart."""
        return self.epoch

    @property
    def rng(self) -> random.Random:
        """The node's own source of random numbers, seeded by its view."""
        if self._rng is None:
            self._rng = random.Random(self.view.seed)
        return self._rng

    # -- events ------------------------------------------------------------------------------------------------------

    def init(self) -> None:
        """Set the state that a node has before anything happened."""

    def on_start(self) -> None:
        """Wake spontaneously: be an initiator."""

    def on_timeout(self, name: str) -> None:
        """A timer that was set fires."""

    def on_suspect(self, port: Port) -> None:
        """Act on the suspicion that the node behind `port` crashed (`suspected` holds it already)."""

    def on_trust(self, port: Port) -> None:
        """The node behind `port` is suspected no longer."""

    def on_recover(self, record: Message | None) -> None:
        """Come back after a crash, with nothing but the last record saved."""

    def port_to(self, position: Position) -> Port:
        """The label by which this node is told of the node at `position`; for engines."""
        return next(port for port in self.ports if self.links[port][0] == position)

    def deliver(self, source: Position, port: Port, key: Key, msg: Message) -> bool:
        """Receive `msg`; called by engines. Returns False if it belonged to a past election and was discarded."""
        self._handlers[type(msg)](self, port, msg)
        return True

    def fire(self, name: str) -> None:
        """The timer `name` is due; called by engines."""
        self.armed -= {name}
        self.on_timeout(name)

    # -- effects -----------------------------------------------------------------------------------------------------

    def send(self, port: Port, msg: Message) -> None:
        """Send `msg` over the link `port`."""
        self.effects.append(Send(port, msg))

    def broadcast(self, msg: Message) -> None:
        """Send `msg` over every link."""
        record = self.effects.append
        for port in self.ports:
            record(Send(port, msg))

    def pass_on(self, port: Port, msg: Message) -> None:
        """Send `msg`, which came over `port`, on round a bidirectional ring."""
        self.effects.append(Send(PREVIOUS if port == NEXT else NEXT, msg))

    def set_timer(self, name: str, delay: float) -> None:
        """Ask for `on_timeout(name)` after `delay` (in delta)."""
        self.armed |= {name}
        self.effects.append(SetTimer(name, delay))

    def cancel_timer(self, *names: str) -> None:
        """Withdraw the timers `names`, pending or not."""
        for name in names:
            if name in self.armed:
                self.armed -= {name}
                self.effects.append(CancelTimer(name))

    def elect(self, leader: Id, term: int = 0) -> None:
        """Take `leader` to be the leader of `term`.

        Anonymous nodes can only point at one another: theirs is a number of hops up the ring, 0 for the node itself.
        """
        if self.circle:
            leader = self.circle[self.place - leader]
        self.leader = leader
        self.effects.append(Elect(leader, term))

    def doubt(self) -> None:
        """Take nobody for the leader any more, in the same election."""
        if self.leader is not None:
            self.leader = None
            self.effects.append(Elect(0))

    def decline(self) -> None:
        """Know that this node is not the leader, whoever is: the other outcome of an implicit election."""
        self.leader = 0
        self.effects.append(Elect(0))

    def save(self, record: Message) -> None:
        """Put `record` on stable storage before anything sent later."""
        self.effects.append(Save(record))


class Replica(Node):
    """One of n servers that bear the crash of fewer than half: what pages that elect by majorities have in common.

    Their elections are numbered, and in none may a server do two things, crash or no crash. What it must not forget are
    the fields of its `record`, which are attributes, too: `save` sets them, and who comes back has them again.
    """

    model = Model("complete", "partially synchronous", "lossy", "minority", knows=("n", "neighbours"), safety="ever")

    def on_recover(self, record: Message | None) -> None:
        """Come back after a crash with what was saved last, and wait for what the others say."""
        if record is not None:
            self._hold(record)
        self.wait()

    def save(self, record: Message) -> None:
        """Set the attributes that `record` names, and put it on stable storage before anything sent later."""
        self._hold(record)
        super().save(record)

    def _hold(self, record: Message) -> None:
        for name in record.__struct_fields__:
            setattr(self, name, getattr(record, name))

    def wait(self) -> None:
        """Do something if nothing happens for a time."""

    def is_majority(self, others: int) -> bool:
        """Whether so many others and this server are more than half."""
        return others + 1 > self.n // 2

    def trusted(self) -> int:
        """How many others are not suspected."""
        return len(self.ports) - len(self.suspected)

    def missing(self, followers: set[Port]) -> list[Port]:
        """Who is neither suspected nor one of `followers`, ascending."""
        return sorted(set(self.ports) - followers - self.suspected)
