"""The page of the burst: everybody tells everybody, ten times at once. Node processes load this module: keep it lean."""

from algorithms.model import Id, Message, Model, Node, Port

TIMES = 10


class Hello(Message, frozen=True):
    """ "I am here": eight bytes for ids below 128."""

    id: Id


class Shout(Node):
    """n nodes that all start send 10 n(n - 1) messages; who has heard all takes the highest id for the leader."""

    model = Model(topology="complete", timing="asynchronous", channels="reliable", failures="none")
    messages = (Hello,)

    def init(self) -> None:
        self.heard, self.highest = 0, self.id

    def on_start(self) -> None:
        for _ in range(TIMES):
            self.broadcast(Hello(self.id))

    def on_hello(self, port: Port, msg: Hello) -> None:
        self.heard += 1
        self.highest = max(self.highest, msg.id)
        if self.heard == TIMES * len(self.ports):
            self.elect(self.highest)
