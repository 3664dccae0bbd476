"""Reelection: makes any one-shot election survive crashes, by running a fresh instance of the page for each key.

A key is (number, down): `down` holds the excluded positions, and keys are totally ordered. It rides in every frame beside
the message, so that kinds and counts stay the page's. The page sees the positions outside `down` as its whole world: its
n, its ports, its ring. Nothing is sent to the excluded.

* Suspecting p opens (number + 1, all I suspect) with this node as an initiator, if p is in my view and the election is
  unsettled or p is the leader, or may be it for all I know (implicit elections).
* A frame with a higher key: if I am excluded by it, I wait for its leader's notice; if I suspect somebody whom it does
  not exclude, I open (its number + 1, the union); otherwise I join, fresh and not an initiator (unless all are).
* An equal key is delivered. A lower one is discarded and its sender told of mine, once for each sender and key.
* When a node is trusted again the leader tells it who leads; a leader elected meanwhile tells those whom its key
  excludes and who are trusted. The higher key wins.
* Who recovers has only the number of its last key, enters none up to it, and waits to be told; if nobody does, it opens.
  It runs no election that it meets under way and that counts on it: what was sent to it while it was down is missing. If
  that election is over, it follows its leader, else it opens the next.

Safe, because nobody re-enters a key: the frames of one key are one execution of the page on a fixed set of nodes, some of
which stop, so there is at most one leader a key. Live, because after the last crash has been suspected by all, every new
key excludes exactly the crashed and has a live initiator, and nobody has reason to open another: the page's own theorem
applies. Lost messages are outside this argument: pages do not retransmit.
"""

from collections.abc import Callable, Mapping
from typing import Any

from algorithms.model import Announcement, Id, Key, Message, Node, Port, Position, View

Links = Mapping[Port, tuple[Position, Port]]


class Newer(Announcement, frozen=True):
    """ "There is a later election than yours": its key is the frame's, `leader` is 0 while it is unsettled."""

    leader: Id


class Saved(Message, frozen=True):
    """What survives a crash: the number of the last key."""

    number: int


NOTICE_TIMEOUT = 8  # in delta: a period of heartbeats or two, and their hops; only liveness hangs on it


class Reelection(Node):
    """A node that runs `page` again for each key.

    Parameters:
        view: the node's own; its ports are positions, reached through `~position`.
        page: the one-shot algorithm.
        position: this node's place.
        ids: ids of all nodes, by position.
        down: positions known to be down at birth.
        world: excluded positions -> the links of this node on the topology that the page runs on, and its diameter, if
            the page is told that.
        parameters: the page's, parsed.
    """

    messages = (Newer,)
    record = Saved

    def __init__(
        self,
        view: View,
        page: type[Node],
        position: Position,
        ids: tuple[Id, ...],
        down: tuple[Position, ...],
        world: Callable[[tuple[Position, ...]], tuple[Links, int | None]],
        **parameters: Any,
    ) -> None:
        self.page_class, self.position, self.ids, self.world, self.page_parameters = (
            page,
            position,
            ids,
            world,
            parameters,
        )
        self.page: Node | None = None
        super().__init__(view)
        self.links = {}
        self.suspected |= set(down)
        self.enter((1, down))

    def port_to(self, position: Position) -> Port:
        return position

    def enter(self, key: Key, watching: bool = False) -> None:
        """Leave the election under way, if any, and take a fresh page for `key`; only wait, if it excludes this node.

        It only waits, too, if it is `watching`: when it came back, the election was over.
        """
        if self.page is not None:
            for name in sorted(self.page.armed):
                self.page.cancel_timer(name)
        self.cancel_timer("notice")
        self.key, self.epoch, self.leader, self.page = key, key[0], None, None
        if key[0] > 1:
            self.save(Saved(key[0]))
        self.told: set[Position] = set()
        live, excluded = len(self.ids) - len(key[1]), self.position in key[1]
        self.alone = live == 1 and not excluded
        if excluded or watching or self.alone:
            return
        links, diameter = self.world(key[1])
        self.links = dict(links)
        n = live if "n" in self.page_class.model.knows else None
        view = View(self.view.id, tuple(self.links), n, f"{self.view.seed}/{key[0]}", diameter)
        self.page = self.page_class(view, **self.page_parameters)
        if self.view.id is None:
            circle = [position for position in range(len(self.ids)) if position not in key[1]]
            self.page.circle = tuple(self.ids[position] for position in circle)
            self.page.place = circle.index(self.position)
        self.page.effects = self.effects

    def open(self, key: Key) -> None:
        """Start the election `key` as an initiator."""
        self.enter(key)
        self.on_start()

    def settle(self) -> None:
        """Take the page's leader for this node's."""
        if self.page is None or self.page.leader is None or self.page.leader == self.leader:
            return
        self.leader = self.page.leader
        if self.leader == self.ids[self.position]:
            self.announce()

    def announce(self) -> None:
        """A new leader tells whom its key excludes, if they are back by now."""
        for position in self.key[1]:
            if position not in self.suspected:
                self.notify(position)

    def on_start(self) -> None:
        if self.page is not None:
            self.page.on_start()
            self.settle()
        elif self.alone:
            self.elect(self.ids[self.position])
            self.announce()

    def on_suspect(self, port: Port) -> None:
        number, down = self.key
        concerned = self.leader in (None, self.ids[port]) or self.page_class.model.election == "implicit"
        if port not in down and concerned:
            self.open((number + 1, tuple(sorted(self.suspected))))

    def on_trust(self, port: Port) -> None:
        if self.leader == self.ids[self.position]:
            self.notify(port)

    def on_recover(self, record: Message | None) -> None:
        number = record.number if isinstance(record, Saved) else 1
        self.key, self.epoch, self.leader, self.page = (number, (len(self.ids),)), number, None, None
        self.set_timer("notice", NOTICE_TIMEOUT)

    @property
    def waits(self) -> bool:
        """Whether this node has recovered and takes part in no election yet: its key follows all with its number."""
        return self.key[1] == (len(self.ids),)

    def on_timeout(self, name: str) -> None:
        if name == "notice":
            self.open((self.key[0] + 1, tuple(sorted(self.suspected))))
        elif self.page is not None:
            self.page.fire(name)
            self.settle()

    def notify(self, position: Position) -> None:
        """Tell the node at `position` of this node's key and leader."""
        assert isinstance(self.links, dict)
        self.links[~position] = (position, ~self.position)
        self.send(~position, Newer(self.leader or 0))

    def deliver(self, source: Position, port: Port, key: Key, msg: Message) -> bool:
        if key > self.key:
            late = self.waits and self.position not in key[1]
            unknown = self.suspected.difference(key[1])
            if late and type(msg) is Newer and msg.leader:
                self.enter(key, watching=True)
            elif late or (unknown and self.position not in key[1]):
                self.open((key[0] + 1, tuple(sorted(unknown.union(key[1])))))
            else:
                self.enter(key)
                if self.page_class.model.start == "all":
                    self.on_start()
        if key < self.key:
            if source not in self.told and not self.waits:
                self.told.add(source)
                self.notify(source)
            return False
        if type(msg) is Newer:
            self.on_newer(port, msg)
        elif self.page is not None:
            self.page.deliver(source, port, key, msg)
            self.settle()
        return True

    def on_newer(self, port: Port, msg: Newer) -> None:
        if msg.leader and self.leader is None:
            self.elect(msg.leader)
