"""Viewstamped Replication, the view change: views are numbered, and the primary of view v is replica v mod n.

Who suspects the primary starts a view change to the next view and tells all; who hears of a later view joins. Once a
majority has started the change to a view, each of it tells the new primary that it enters. The primary that hears so from
a majority starts the view. If it is down, its view times out, and the next is tried: nobody is compared with anybody.

Model        complete graph · partially synchronous, for liveness alone · lossy channels · crash and recovery with stable
             storage, fewer than half down at a time · unique ids, those of all others known · any initiators; replicas are
             numbered in the order of ids
Guarantees   at most one leader a view, ever: nobody else can be; a leader once a majority can talk
Messages     StartViewChange(view)   "I leave for view ..."           O(log n) bits, as all
             DoViewChange(view)      "a majority does; I follow you"
             StartView(view)         "I lead", announcement
Complexity   with a of n alive a(n - 1) + (a - 1) + (n - 1), whoever starts: n^2 - 2 if only the old primary is dead; each
             view whose primary is dead, too, costs a(n - 1) + a more; time 3 delta if all start, else 4 delta
Beyond the model   no majority: replicas try view after view, ever more slowly, or in silence where it is known; a primary
             that is cut off from it leads on until it suspects as many, while the others enter a later view
References   B. Oki, B. Liskov, PODC 1988; B. Liskov, J. Cowling, Viewstamped Replication Revisited, MIT-CSAIL-TR-2012-021.
             Deviations: there is no log, so that nothing but the view is told and DoViewChange carries no state; a view is
             saved before it is spoken of, where VR Revisited asks the others after a crash; DoViewChange is sent once a
             view, at the latest as an answer to StartView; who waits in vain for a primary that it does not suspect says
             all again before it leaves for the next view; a primary says StartView again to who has not answered.
"""

from algorithms.model import *

LONGEST = 8  # times as long as at first is a wait at most


class StartViewChange(Message, frozen=True):
    view: int


class DoViewChange(Message, frozen=True):
    view: int


class StartView(Announcement, frozen=True):
    view: int


class LastView(Message, frozen=True):
    """What survives a crash: the view that was entered last."""

    epoch: int


def _views(arrangement: Arrangement) -> list[Id]:
    """The primaries of all views that are tried: the last is the first that lives."""
    ids = sorted(arrangement.ids)
    first = 1 if not arrangement.crashed else ids.index(arrangement.ids[arrangement.crashed[0]]) + 1
    live = {arrangement.ids[p] for p in arrangement.live}
    order = [ids[view % len(ids)] for view in range(first, first + len(ids))]
    tried = next(number for number, primary in enumerate(order) if primary in live)
    return order[: tried + 1]


def _messages(arrangement: Arrangement) -> dict[str, int]:
    """All leave for every view that is tried, and tell its primary."""
    others, live, failed = arrangement.n - 1, len(arrangement.live), len(_views(arrangement)) - 1
    return {
        "StartViewChange": live * others * (failed + 1),
        "DoViewChange": live * failed + live - 1,
        "StartView": others,
    }


class Viewstamped(Replica):
    messages = (StartViewChange, DoViewChange, StartView)
    record = LastView
    timeout: float = number(8, 8, "in delta: how long a view change may take at first")
    claims = Claims(
        messages=_messages,
        epochs=lambda arrangement: len(_views(arrangement)),
        leader=lambda arrangement: _views(arrangement)[-1],
        all=Bounds(Formula("(n−1)(n+2)", lambda n, a: a * (n - 1) + a - 1 + n - 1)),
        time="4δ, and a timeout for each view whose primary is dead",
        best_case=lambda n: (tuple(range(1, n + 1)), (0,)),
        source="Oki and Liskov 1988",
    )

    def init(self) -> None:
        self.epoch = 0  # the view
        self.changes: set[Port] = set()  # who left for this view
        self.followers: set[Port] = set()  # who told its primary
        self.told = False  # whether this replica did
        self.asked = False
        self.patience = 1  # times as long as at first is a wait

    def on_start(self) -> None:
        if not self.epoch:
            self.change(1)

    def on_suspect(self, port: Port) -> None:
        stranded = self.leader is not None and not self.is_majority(self.trusted())
        if not self.epoch or port == self.primary() or stranded:
            self.change(self.epoch + 1)

    def on_trust(self, port: Port) -> None:
        if self.leader == self.id:
            self.followers.discard(port)
            self.send(port, StartView(self.epoch))
            self.wait()
        elif self.leader is None and self.epoch:
            self.send(port, StartViewChange(self.epoch))
            self.wait()

    def primary(self) -> Id:
        """Who leads in this view, if anybody does."""
        return sorted((self.id, *self.ports))[self.epoch % self.n]

    def enter(self, view: int) -> None:
        """Be in `view`, and never again in one before, crash or no crash."""
        self.leader, self.changes, self.followers, self.told, self.asked = None, set(), set(), False, False
        self.save(LastView(view))

    def change(self, view: int) -> None:
        """Leave for a later view."""
        self.enter(view)
        self.broadcast(StartViewChange(view))
        self.wait()
        self.follow()

    def wait(self) -> None:
        """Do something if nothing happens for a time, unless it is known that there is no majority."""
        self.cancel_timer("wait")
        if self.is_majority(self.trusted()):
            self.set_timer("wait", self.patience * self.timeout)

    def on_start_view_change(self, port: Port, msg: StartViewChange) -> None:
        if msg.view > self.epoch:
            self.change(msg.view)
        if msg.view < self.epoch or port in self.changes:  # late, or it asks again
            if self.leader == self.id:
                self.send(port, StartView(self.epoch))
            elif self.leader is None and msg.view < self.epoch:
                self.send(port, StartViewChange(self.epoch))
            return
        self.changes.add(port)
        self.follow()

    def follow(self) -> None:
        """Tell the new primary, once a majority has left for its view."""
        if self.told or not self.is_majority(len(self.changes)):
            return
        self.told = True
        if self.primary() == self.id:
            self.lead()
        else:
            self.send(self.primary(), DoViewChange(self.epoch))

    def on_do_view_change(self, port: Port, msg: DoViewChange) -> None:
        if msg.view > self.epoch:
            self.change(msg.view)
        if msg.view == self.epoch:
            self.followers.add(port)
            self.lead()

    def lead(self) -> None:
        """Start the view, once a majority is there."""
        if not self.told or not self.is_majority(len(self.followers - self.suspected)):
            return
        if self.leader is None:
            self.patience = 1
            self.elect(self.id, self.epoch)
            self.broadcast(StartView(self.epoch))
            self.wait()
        if not self.missing(self.followers):
            self.cancel_timer("wait")

    def on_start_view(self, port: Port, msg: StartView) -> None:
        if msg.view < self.epoch:
            return
        if msg.view > self.epoch:
            self.enter(msg.view)
        if not self.told or self.leader is not None:
            self.told = True
            self.send(port, DoViewChange(self.epoch))
        self.cancel_timer("wait")
        self.patience = 1
        self.elect(port, self.epoch)

    def on_timeout(self, name: str) -> None:
        self.patience = min(2 * self.patience, LONGEST)
        if self.leader == self.id:
            for port in self.missing(self.followers):
                self.send(port, StartView(self.epoch))
            if self.missing(self.followers):
                self.wait()
        elif self.asked or not self.epoch or self.primary() in (self.id, *self.suspected):
            self.change(self.epoch + 1)
        else:
            self.asked = True
            self.broadcast(StartViewChange(self.epoch))
            if self.told:
                self.send(self.primary(), DoViewChange(self.epoch))
            self.wait()
