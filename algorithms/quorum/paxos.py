"""Multi-Paxos, phase 1: whoever has the promises of a majority to heed no lower ballot than its own is the leader.

A ballot is (counter, id), unique for each node and attempt. Who suspects the leader prepares a ballot higher than all that
it has seen. An acceptor promises to heed nothing lower, and saves its promise before it says so; to a lower ballot it
answers with the one that it promised. Who has the promises of a majority leads, and says so by Accept, the first message
of phase 2. Who meets a higher ballot steps back and waits, for a random time that doubles, so that proposers do not duel
for ever.

Model        complete graph · partially synchronous, for liveness alone · lossy channels · crash and recovery with stable
             storage, fewer than half down at a time · unique ids, those of all others known · any initiators
Guarantees   at most one leader a ballot, ever; a leader once a majority can talk
Messages     Prepare(ballot)   "will you heed nothing lower?"              O(log n) bits, as all
             Promise(ballot)   "I will"
             Nack(ballot)      "I have promised this one"
             Accept(ballot)    "I lead", announcement
Complexity   one proposer (n - 1) + (a - 1) + (n - 1) with a of n alive; c proposers at once c(n - 1) Prepare with an answer
             each, and n - 1 Accept for each of them that is not preempted; time 3 delta
Beyond the model   no majority: proposers try on, ever more slowly, or in silence where it is known; a leader that is cut
             off from it leads on until it suspects as many, while the others elect one of a higher ballot
References   L. Lamport, The Part-Time Parliament, ACM TOCS 16(2), 1998; Paxos Made Simple, 2001. Deviations: there is no
             log, so that a promise carries no accepted values and an Accept none to accept; a ballot is one number,
             counter * n + the rank of the id; who promised and hears nothing asks once, by its promise, before it prepares
             a ballot of its own; a leader prepares its ballot again with those who have not promised.
"""

from algorithms.model import *

LONGEST = 8  # times as long as at first is a wait at most


class Prepare(Message, frozen=True):
    ballot: int


class Promise(Prepare, frozen=True): ...


class Nack(Prepare, frozen=True): ...


class Accept(Announcement, frozen=True):
    ballot: int


class Promised(Message, frozen=True):
    """What survives a crash: the ballot that was promised last."""

    epoch: int


def _messages(arrangement: Arrangement) -> dict[str, int]:
    """One proposer asks all others and is answered by the live ones."""
    others = arrangement.n - 1
    return {"Prepare": others, "Promise": len(arrangement.live) - 1, "Accept": others}


class Paxos(Replica):
    messages = (Prepare, Promise, Nack, Accept)
    record = Promised
    timeout: float = number(8, 8, "in delta: how long a node waits at first, and by how much at random")
    claims = Claims(
        messages=_messages,
        exact=lambda arrangement: len(arrangement.initiators) == 1,
        all=Bounds(
            Formula("(n−1)(2n+1)", lambda n, a: a * (n - 1) + a * (a - 1) + n - 1),
            "between",
            Formula("(n−1)(4n−1)", lambda n, a: 2 * a * (n - 1) + a * (a - 1) + (a - 1) ** 2),
        ),
        one=Bounds(Formula("3(n−1)", lambda n, a: n - 1 + a - 1 + n - 1)),
        time="3δ",
        best_case=lambda n: (tuple(range(1, n + 1)), (0,)),
        source="Lamport 1998",
    )

    def init(self) -> None:
        self.epoch = 0  # the ballot that it promised last
        self.ballot = 0  # that it prepared last
        self.promises: set[Port] = set()
        self.asked = False
        self.patience = 1  # times as long as at first is a wait

    def on_start(self) -> None:
        if not self.epoch:
            self.prepare()

    def on_suspect(self, port: Port) -> None:
        stranded = self.leader is not None and not self.is_majority(self.trusted())
        if not self.epoch or port == self.owner() or stranded:
            self.prepare()

    def on_trust(self, port: Port) -> None:
        if self.leader == self.id:
            self.promises.discard(port)
            self.send(port, Accept(self.ballot))
            self.wait()
        elif self.epoch and self.epoch == self.ballot:
            self.send(port, Prepare(self.ballot))
        if self.leader is None:
            self.wait()

    def owner(self) -> Id:
        """Whose ballot this node has promised to heed."""
        return sorted((self.id, *self.ports))[self.epoch % self.n]

    def prepare(self) -> None:
        """Ask for promises to a ballot higher than all that were seen."""
        rank = sorted((self.id, *self.ports)).index(self.id)
        self.ballot = (self.epoch // self.n + 1) * self.n + rank
        self.promises = set()
        self.promise(self.ballot)
        self.broadcast(Prepare(self.ballot))
        self.lead()

    def promise(self, ballot: int) -> None:
        """Heed nothing lower, crash or no crash; there is no leader until it is told of."""
        self.leader, self.asked = None, False
        self.save(Promised(ballot))
        self.wait()

    def wait(self) -> None:
        """Do something if nothing happens for a time, unless it is known that there is no majority."""
        self.cancel_timer("wait")
        if self.is_majority(self.trusted()):
            self.set_timer("wait", self.patience * (self.timeout + self.rng.uniform(0, self.timeout)))

    def on_prepare(self, port: Port, msg: Prepare) -> None:
        if msg.ballot > self.epoch:
            self.promise(msg.ballot)
        if msg.ballot == self.epoch:
            self.send(port, Promise(msg.ballot))
        else:
            self.send(port, Nack(self.epoch))

    def on_promise(self, port: Port, msg: Promise) -> None:
        if msg.ballot != self.ballot or msg.ballot != self.epoch:
            return
        if port in self.promises and self.leader == self.id:  # it has not heard of the outcome
            self.send(port, Accept(self.ballot))
        self.promises.add(port)
        self.lead()

    def on_nack(self, port: Port, msg: Nack) -> None:
        if msg.ballot > self.epoch:
            self.promise(msg.ballot)

    def lead(self) -> None:
        """Lead, with the promises of a majority."""
        if not self.is_majority(len(self.promises - self.suspected)):
            return
        if self.leader is None:
            self.patience = 1
            self.elect(self.id, self.ballot)
            self.broadcast(Accept(self.ballot))
            self.wait()
        if not self.missing(self.promises):
            self.cancel_timer("wait")

    def on_accept(self, port: Port, msg: Accept) -> None:
        if msg.ballot < self.epoch:
            self.send(port, Nack(self.epoch))
            return
        if msg.ballot > self.epoch:
            self.promise(msg.ballot)
        self.cancel_timer("wait")
        self.patience = 1
        self.elect(port, msg.ballot)

    def on_timeout(self, name: str) -> None:
        self.patience = min(2 * self.patience, LONGEST)
        if self.epoch and self.epoch == self.ballot:
            ports = self.missing(self.promises) if self.leader == self.id else sorted(set(self.ports) - self.promises)
            for port in ports:
                self.send(port, Prepare(self.ballot))
            if ports:
                self.wait()
        elif self.asked or not self.epoch or self.owner() in (self.id, *self.suspected):
            self.prepare()
        else:
            self.asked = True
            self.send(self.owner(), Promise(self.epoch))
            self.wait()
