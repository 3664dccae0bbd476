"""Wrong nodes: for each check of `bench.conformance` one that it catches, and no other check does.

`Flood` is right; each of the others breaks one rule, and is right otherwise. Where the rule cannot be broken here (a node
that survives crashes by itself, a module of one page), the table names a page and the one line of it that is changed.
"""

from itertools import count
from typing import ClassVar

from algorithms.model import Arrangement, Bounds, Claims, Id, Message, Model, Node, Port

TOTAL = count()


class Hello(Message, frozen=True):
    id: Id


class Thanks(Message, frozen=True):
    pass


def _messages(arrangement: Arrangement) -> dict[str, int]:
    return {"Hello": len(arrangement.live) * (len(arrangement.live) - 1)}


_SQUARE, _LESS = "n(n−1)", "n(n−1) − 1"
_BOUNDS = Bounds(_SQUARE)


def claim(everybody: Bounds = _BOUNDS, witness: bool = True) -> Claims:
    """What `Flood` claims, or something wrong; it names its best case only where `witness`."""
    return Claims(
        messages=_messages,
        all=everybody,
        one=_BOUNDS,
        time="2δ",
        source="folklore",
        best_case=(lambda n: (tuple(range(1, n + 1)), tuple(range(n)))) if witness else None,
    )


def assume(timing: str = "asynchronous") -> Model:
    """What `Flood` assumes, but for the timing."""
    return Model(topology="complete", timing=timing, channels="reliable", failures="none")


class Flood(Node):
    """Everybody tells everybody; who has heard from all knows the highest."""

    model = assume()
    messages: ClassVar[tuple[type[Message], ...]] = (Hello,)
    claims = claim()

    def init(self) -> None:
        self.started = False
        self.heard: list[Id] = []

    def on_start(self) -> None:
        if not self.started:
            self.started = True
            self.greet()

    def greet(self) -> None:
        self.broadcast(Hello(self.id))

    def on_hello(self, port: Port, msg: Hello) -> None:
        self.on_start()
        self.heard.append(msg.id)
        if len(self.heard) == len(self.ports):
            self.elect(self.choose())

    def choose(self) -> Id:
        return max(self.id, *self.heard)


class Descends(Flood):
    """Claims a best case that is worse than its worst."""

    claims = claim(Bounds(_SQUARE, _LESS), witness=False)


class Nameless(Flood):
    """Has no ids, and no ring to count hops on."""

    model = Model(
        topology="complete", timing="asynchronous", channels="reliable", failures="none", identity="anonymous"
    )

    def greet(self) -> None:
        self.broadcast(Hello(1))

    def choose(self) -> Id:
        return 0


class Shares(Flood):
    """All nodes write into one list: it belongs to the class."""

    diary: list[Id] = []

    def greet(self) -> None:
        self.diary.append(self.id)
        super().greet()


class Counts(Flood):
    """Takes a number that is not its own; three checks must see it, for the next trial goes another way, too."""

    def greet(self) -> None:
        for port in self.ports if next(TOTAL) % 3 else reversed(self.ports):
            self.send(port, Hello(self.id))


class Closes(Flood):
    """Keeps a closure."""

    def init(self) -> None:
        super().init()
        self.highest = lambda: max(self.id, *self.heard)


class Hashes(Flood):
    """Sends in the order of a set of texts."""

    def greet(self) -> None:
        for word in {f"port {port}" for port in self.ports}:
            self.send(int(word[5:]), Hello(self.id))


class Hasty(Flood):
    """Elects whoever is the highest so far, itself excepted, where there are too many nodes to look at every order."""

    model = assume("synchronous")  # so that late messages are not its affair

    def on_hello(self, port: Port, msg: Hello) -> None:
        super().on_hello(port, msg)
        if max(self.heard) > self.id and len(self.ports) > 3:
            self.elect(max(self.heard))


class Order(Message, frozen=True):
    odd: bool


class Rare(Flood):
    """Does not elect the highest where each of four heard of the others in one odd order."""

    messages = (Hello, Order)
    claims = Claims(
        messages=lambda arrangement: _messages(arrangement) | {"Order": _messages(arrangement)["Hello"]},
        all=Bounds("2n(n−1)"),
        time="3δ",
        source="folklore",
    )

    def init(self) -> None:
        super().init()
        self.orders: list[bool] = []

    def on_hello(self, port: Port, msg: Hello) -> None:
        self.on_start()
        self.heard.append(msg.id)
        if len(self.heard) == len(self.ports):
            low, *rest = sorted(self.heard)
            self.orders.append(self.heard == [*rest, low])
            self.broadcast(Order(self.orders[-1]))
            self.conclude()

    def on_order(self, port: Port, msg: Order) -> None:
        self.orders.append(msg.odd)
        self.conclude()

    def conclude(self) -> None:
        if len(self.heard) == len(self.ports) and len(self.orders) > len(self.ports):
            self.elect(self.choose())

    def choose(self) -> Id:
        if all(self.orders) and len(self.orders) == 4 and self.id < max(self.heard):
            return min(self.id, *self.heard)
        return super().choose()


class Impatient(Flood):
    """Takes for granted that a hop takes delta at most, where there are too many nodes to look at every order."""

    def on_start(self) -> None:
        if not self.started and len(self.ports) > 3:
            self.set_timer("all", 3)
        super().on_start()

    def on_hello(self, port: Port, msg: Hello) -> None:
        self.on_start()
        self.heard.append(msg.id)
        if len(self.heard) == len(self.ports) <= 3:
            self.elect(self.choose())

    def on_timeout(self, name: str) -> None:
        self.elect(self.choose())


class Reckons(Flood):
    """Calculates with ids."""

    def choose(self) -> Id:
        return max((identity % 10, identity) for identity in (self.id, *self.heard))[1]


class Peeks(Flood):
    """Reads n, which it is not told."""

    def choose(self) -> Id:
        return max(self.id, *self.heard) if self.n < 1_000_000 else self.id


class Labels(Flood):
    """Takes the label of a link for a distance."""

    def greet(self) -> None:
        for port in self.ports:
            if port < 64:
                self.send(port, Hello(self.id))


class Boasts(Flood):
    """Claims a best case that it does not reach."""

    claims = claim(Bounds(_LESS, _SQUARE))


class Thankful(Flood):
    """Sends one message more than it claims where somebody else had to wake it."""

    messages = (Hello, Thanks)

    def on_hello(self, port: Port, msg: Hello) -> None:
        if not self.started:
            self.send(port, Thanks())
        super().on_hello(port, msg)

    def on_thanks(self, port: Port, msg: Thanks) -> None:
        pass


class Looks(Flood):
    """Looks where it runs."""

    def choose(self) -> Id:
        spec = getattr(__import__("__main__"), "__spec__", None)
        real = spec is not None and spec.name == "bench.launch"
        return min(self.id, *self.heard) if real else super().choose()


Change = tuple[str, str, str]  # page, old line, new line

BROKEN: dict[str | Change, set[str]] = {  # a class here or a changed page -> the checks that catch it
    "Descends": {"declaration"},
    ("ring.lelann", "\nReferences ", "\nSources    "): {"declaration"},
    ("ring.ring", "from algorithms.model import *", "import time\n\nfrom algorithms.model import *"): {"imports"},
    "Shares": {"purity"},
    "Counts": {"purity", "pickling", "determinism"},
    "Closes": {"pickling"},
    "Hashes": {"determinism"},
    ("complete.bully", "self.begin()\n\n    def on_suspect", "self.ports and self.begin()\n\n    def on_suspect"): {
        "lone"
    },
    "Hasty": {"agreement"},
    "Rare": {"interleavings"},
    "Impatient": {"late"},
    "Reckons": {"order"},
    "Peeks": {"knowledge"},
    "Labels": {"labels"},
    "Boasts": {"witness"},
    "Thankful": {"claims"},
    (
        "complete.bully",
        "        if port == self.leader:\n",
        "        if port == self.leader and len(self.suspected) < 2:\n",
    ): {"resilience"},
    (
        "quorum.zookeeper_fle",
        "    def init(self)",
        "    def is_majority(self, others): return others + 1 > self.n // 2 or self.n == 2\n\n    def init(self)",
    ): {"minority"},
    ("quorum.raft", "    def init(self)", "    def on_recover(self, record): self.wait()\n\n    def init(self)"): {
        "adversity"
    },
    "Looks": {"parity"},
    ("ring.itai_rodeh", "self.elect(msg.hop)", "self.leader or self.elect(msg.hop)"): {"knowledge"},
}
