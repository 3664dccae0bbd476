"""Nodes that misbehave, for tests that need one."""

import os
import time

import msgspec

from algorithms.model import NEXT, Announcement, Message, Model, Node, Periodic, Port, Pulse, replace
from algorithms.ring.chang_roberts import ChangRoberts, Election

MODEL = Model(
    topology="complete", timing="asynchronous", channels="reliable", failures="none", knows=("n", "neighbours")
)


class Ping(Message, frozen=True):
    value: int


class Beat(Periodic, frozen=True):
    pass


class Bulk(Announcement, frozen=True):
    ids: tuple[int, ...]


class Raises(Node):
    """Raises at its first message."""

    model = MODEL
    messages = (Ping,)

    def on_start(self) -> None:
        self.broadcast(Ping(1))

    def on_ping(self, port: Port, msg: Ping) -> None:
        raise RuntimeError("planted")


class RaisesAtBirth(Raises):
    def init(self) -> None:
        raise RuntimeError("stillborn")


class Hangs(Raises):
    """Never comes back from its first message."""

    def on_ping(self, port: Port, msg: Ping) -> None:
        while True:
            time.sleep(1)


class Exits(Raises):
    """Ends its process at its first message."""

    def on_ping(self, port: Port, msg: Ping) -> None:
        os._exit(7)


class Chatters(Raises):
    """Answers for ever."""

    def on_ping(self, port: Port, msg: Ping) -> None:
        self.send(port, Ping(msg.value + 1))


class Strays(Raises):
    """Sends over a link that it does not have."""

    def on_ping(self, port: Port, msg: Ping) -> None:
        self.send(99, msg)


class Floods(Raises):
    """Says two things whenever it hears one."""

    def on_ping(self, port: Port, msg: Ping) -> None:
        for more in (1, 2):
            self.send(port, Ping(2 * msg.value + more))


class FloodsForEver(Floods):
    """The same, of a page that shall never fall silent."""

    model = replace(MODEL, timing="partially synchronous", pulse=Pulse(lambda it: 5.0, lambda it: 20.0))


class Bulky(Node):
    """All send all a message of many frames, at once."""

    model = MODEL
    messages = (Bulk,)

    def init(self) -> None:
        self.seen = 0

    def on_start(self) -> None:
        self.broadcast(Bulk(tuple(range(self.id * 10_000, self.id * 10_000 + 5_000))))

    def on_bulk(self, port: Port, msg: Bulk) -> None:
        assert msg.ids == tuple(range(port * 10_000, port * 10_000 + 5_000)), "a frame was torn"
        self.seen += 1
        if self.seen == self.n - 1:
            self.elect(max(self.id, *self.ports))


class Doubled(ChangRoberts):
    """Chang-Roberts with one message too many: every token it starts is sent twice."""

    def on_start(self) -> None:
        if not self.participant:
            self.participant = True
            self.send(0, Election(self.id))
            self.send(0, Election(self.id))


class TwoLeaders(Raises):
    """Everybody leads."""

    def on_start(self) -> None:
        self.elect(self.id)

    def on_ping(self, port: Port, msg: Ping) -> None:
        msgspec.structs.asdict(msg)


class Stubborn(Node):
    """Trusts itself alone, and says so for ever."""

    model = Model(
        topology="complete",
        timing="partially synchronous",
        channels="lossy",
        failures="crash",
        knows=("n", "neighbours"),
        safety="eventual",
        pulse=Pulse(period=lambda parameters: 1, timeout=lambda parameters: 1),
    )
    messages = (Beat,)

    def on_start(self) -> None:
        self.elect(self.id)
        self.set_timer("beat", 1)

    def on_timeout(self, name: str) -> None:
        self.broadcast(Beat())
        self.set_timer("beat", 1)

    def on_beat(self, port: Port, msg: Beat) -> None:
        pass


class Turns(Raises):
    """Sends one message to and fro for ever."""

    def on_start(self) -> None:
        if self.id == 1:
            self.send(self.ports[0], Ping(1))

    def on_ping(self, port: Port, msg: Ping) -> None:
        self.send(port, msg)


class Waits(Raises):
    """Waits for one answer more than there are."""

    def init(self) -> None:
        self.heard = 0

    def on_ping(self, port: Port, msg: Ping) -> None:
        self.heard += 1
        if self.heard == self.n:
            self.elect(max(self.id, *self.ports))


class Blurts(Raises):
    """Elects the first that it hears of: wrong, if not all hear of the same first."""

    def on_start(self) -> None:
        self.broadcast(Ping(self.id))

    def on_ping(self, port: Port, msg: Ping) -> None:
        if self.leader is None:
            self.elect(msg.value)


class Pours(Raises):
    """Sends more than a log holds."""

    def on_start(self) -> None:
        for value in range(101_000):
            self.send(self.ports[0], Ping(value))

    def on_ping(self, port: Port, msg: Ping) -> None:
        if msg.value == 100_999:
            self.elect(max(self.id, *self.ports))


class RaisesLate(Raises):
    """Raises when its timer fires."""

    def on_start(self) -> None:
        self.set_timer("alarm", 1.0)

    def on_timeout(self, name: str) -> None:
        raise RuntimeError("planted")


class SendsBeyond(Raises):
    """Sends over a port that it does not have."""

    def on_start(self) -> None:
        self.send(7, Ping(1))


class SendsBack(SendsBeyond):
    """Sends to its neighbour, and on to where its ring has no link."""

    model = Model(topology="unidirectional ring", timing="asynchronous", channels="reliable", failures="none")

    def on_start(self) -> None:
        self.send(NEXT, Ping(1))

    def on_ping(self, port: Port, msg: Ping) -> None:
        self.send(port, msg)


class SendsUndeclared(Raises):
    """Sends a message that its page does not declare."""

    def on_start(self) -> None:
        self.send(self.ports[0], Beat())
