"""Invitation: groups that meet merge under one of their coordinators; every group has a leader, on a complete graph.

Everybody begins as the coordinator of a group of its own. A coordinator asks all others whether they are coordinators,
waits, the longer the more of those that answer are stronger and about to merge, too, and then makes a new group: it
invites the coordinators that it found and its own members, an invited coordinator passes the invitation on to its
members, and who is invited accepts and is ready. A group is numbered (epoch, coordinator) above all that were found; an
invitation to a lower one than one's own comes too late. Who misses its coordinator is a group of one again.

Model        complete graph · asynchronous · reliable channels · any number of crashes, with recovery, and partitions ·
             unique ids, those of all others known (a port is the neighbour's id) · any initiators
Guarantees   one leader a group, always; one group once nobody has reason to suspect the living
Messages     AreYouCoordinator()                    "do you lead a group?"              O(1) bits
             Answer(epoch, coordinator, merging)    "I am in the group of ..."          O(log n) bits
             Invitation(epoch, coordinator)         "come to the group of ..."          O(log n) bits
             Accept(epoch)                          "I come"                            O(log n) bits
             Ready(epoch)                           "you are in; I lead"                O(log n) bits, announcement
Complexity   one starts: (n - 1) + 4(a - 1) with a nodes alive, whoever that is; each other initiator asks, too, and is
             answered: n - 1 + a - 1, and no more if timeouts are kept; else groups merge more than once
             time T + 3 delta, 4 delta where invitations are passed on; T = 2 delta
Beyond the model   a partition: a group and a leader a side, which merge when it heals; loss: who is not answered or
             not told is left out until it suspects somebody
References   H. Garcia-Molina, Elections in a Distributed Computing System, IEEE Trans. Computers C-31(1), 1982, the second
             algorithm. Deviations: nobody polls in vain: a coordinator asks when it starts, when it is back and whom it
             trusts again (AreYouCoordinator), a member learns of its coordinator's death from the detector (AreYouThere)
             and where it is not told to act remembers it when it is asked; a lower group gives way, where the paper has
             both ignore one another until the next poll; who is left alone while groups merge is invited by whom it
             answered, or asks, where the paper waits and polls again; Accept and Ready are not acknowledged.
"""

from algorithms.model import *


class AreYouCoordinator(Message, frozen=True): ...


class Answer(Message, frozen=True):
    epoch: int
    coordinator: Id
    merging: bool


class Invitation(Message, frozen=True):
    epoch: int
    coordinator: Id


class Accept(Message, frozen=True):
    epoch: int


class Ready(Announcement, frozen=True):
    epoch: int


class Epoch(Message, frozen=True):
    """What survives a crash."""

    epoch: int


def _messages(arrangement: Arrangement) -> dict[str, int]:
    """Every initiator asks all others, and all that live answer."""
    starts = len(arrangement.initiators)
    return {"AreYouCoordinator": starts * (arrangement.n - 1), "Answer": starts * (len(arrangement.live) - 1)}


def _ranges(arrangement: Arrangement) -> dict[str, range]:
    """One merge if timeouts are kept, or one initiator; else an initiator may make a group for its timer and each answer,
    and an invitation to it may be passed on, or answered with another.
    """
    others, starts = len(arrangement.live) - 1, len(arrangement.initiators)
    most = others if starts == 1 else starts * (others + 1) * others
    once = range(others, most + 1)
    return {"Invitation": range(others, most * min(starts, 3) + 1), "Accept": once, "Ready": once}


class GarciaMolina(Node):
    model = Model("complete", "asynchronous", "reliable", "crash", knows=("n", "neighbours"))
    messages = (AreYouCoordinator, Answer, Invitation, Accept, Ready)
    record = Epoch
    timeout: float = number(2, 2, "T, in delta: how long to wait for answers, and for each stronger")
    claims = Claims(
        messages=_messages,
        ranges=_ranges,
        all=Bounds(Formula("2n(n−1) + 3(n−1)", lambda n, a: a * (n - 1) + (a + 3) * (a - 1)), "O(n²)"),
        one=Bounds(Formula("(n−1) + 4(n−1)", lambda n, a: n - 1 + 4 * (a - 1))),
        time="T + 3δ",
        source="Garcia-Molina 1982",
        best_case=lambda n: (tuple(range(1, n + 1)), (0,)),
    )

    def init(self) -> None:
        self.group = (self.epoch, 0)  # (epoch, coordinator); 0 while it is alone and not numbered
        self.members: list[Port] = []  # that are in the group of this node
        self.found: dict[Port, tuple[int, Id]] = {}  # coordinators that are not, with theirs

    @property
    def term(self) -> int:
        """The group as one number."""
        epoch, coordinator = self.group
        return epoch * (self.n + 1) + sum(port <= coordinator for port in (self.id, *self.ports))

    @property
    def coordinates(self) -> bool:
        """Whether this node is the coordinator of its group."""
        return self.group[1] in (0, self.id)

    def on_start(self) -> None:
        self.ask(*self.ports)

    def ask(self, *ports: Port) -> None:
        """Look for other coordinators."""
        for port in ports:
            self.send(port, AreYouCoordinator())
        if "merge" not in self.armed:
            self.set_timer("merge", self.timeout)

    def enter(self, epoch: int, coordinator: Id) -> None:
        """Be in another group, without a leader yet."""
        if epoch > self.epoch:
            self.epoch = epoch
            self.save(Epoch(epoch))
        self.group, self.leader, self.members = (epoch, coordinator), None, []
        self.cancel_timer("merge")

    def leave(self) -> None:
        """Be alone again: the coordinator is gone."""
        self.enter(self.epoch + 1, 0)
        self.found = {}

    def on_suspect(self, port: Port) -> None:
        if port == self.group[1]:
            self.leave()
        self.seek()

    def seek(self) -> None:
        """Ask all, if it is alone and does not do so yet."""
        if self.group[1] == 0 and "merge" not in self.armed:
            self.ask(*self.ports)

    def on_trust(self, port: Port) -> None:
        if self.coordinates:
            self.ask(port)

    def on_recover(self, record: Message | None) -> None:
        if isinstance(record, Epoch):
            self.epoch = record.epoch
        self.leave()
        self.ask(*self.ports)

    def on_are_you_coordinator(self, port: Port, msg: AreYouCoordinator) -> None:
        if self.group[1] in self.suspected:
            self.leave()
        self.send(port, Answer(*self.group, "merge" in self.armed))

    def on_answer(self, port: Port, msg: Answer) -> None:
        theirs = (msg.epoch, msg.coordinator)
        astray = msg.coordinator == self.id and theirs != self.group  # it belongs to a group that is no more
        if not self.coordinates and not msg.coordinator and not msg.merging:
            self.send(port, Invitation(*self.group))  # it is alone, and nobody else asks it
        if not self.coordinates or not (msg.coordinator in (0, port) or astray):
            return
        self.found[port] = theirs
        if "merge" not in self.armed and theirs < self.group:
            self.send(port, Invitation(*self.group))
        elif "merge" not in self.armed:
            self.merge()
        elif msg.merging and port > self.id:
            stronger = sum(other > self.id for other in self.found)
            self.set_timer("merge", self.timeout * (1 + stronger))

    def on_timeout(self, name: str) -> None:
        if self.found or self.group[1] == 0:
            self.merge()

    def merge(self) -> None:
        """Make a group above all that were found, and invite them and the members."""
        invited = dict.fromkeys((*self.found, *self.members))
        epoch = max(epoch + (coordinator >= self.id) for epoch, coordinator in (self.group, *self.found.values()))
        self.enter(epoch, self.id)
        self.elect(self.id, self.term)
        for port in invited:
            self.send(port, Invitation(*self.group))

    def on_invitation(self, port: Port, msg: Invitation) -> None:
        if (msg.epoch, msg.coordinator) < self.group and self.group[1] and msg.coordinator != self.id:
            self.send(msg.coordinator, Invitation(*self.group))
        if (msg.epoch, msg.coordinator) <= self.group:
            self.seek()
            return
        if msg.coordinator in self.suspected:
            if port == self.group[1]:  # which has left this group
                self.leave()
                self.seek()
            return
        astray = (one for one, (_, coordinator) in self.found.items() if coordinator == self.id)
        for member in dict.fromkeys((*self.members, *astray)):
            self.send(member, msg)
        self.enter(msg.epoch, msg.coordinator)
        self.found = {}
        self.send(msg.coordinator, Accept(msg.epoch))

    def on_accept(self, port: Port, msg: Accept) -> None:
        if self.group == (msg.epoch, self.id):
            self.members.append(port)
            self.found.pop(port, None)
            self.send(port, Ready(msg.epoch))
        elif self.group[1]:
            self.send(port, Invitation(*self.group))
        else:  # it came to a group that is no more
            self.found[port] = (msg.epoch, self.id)

    def on_ready(self, port: Port, msg: Ready) -> None:
        if self.group == (msg.epoch, port):
            self.elect(port, self.term)
