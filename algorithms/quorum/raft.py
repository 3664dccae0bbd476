"""Raft: a majority elects, at most once in each term, whoever asks first and has all that may be committed.

A follower that hears no leader for a timeout, drawn anew each time, becomes a candidate: it begins the next term, votes
for itself and asks all others. A server gives one vote a term, on stable storage before it says so, and none to a log older
than its own. A majority makes a leader, which says so at once and then sends heartbeats; two majorities share a server, so
a term has one leader at most. If votes are split, the next timeout is drawn and the next term begins.

Model        complete graph · partially synchronous, for liveness alone · lossy channels · crash and recovery with stable
             storage, fewer than half down at a time · unique ids, those of all others known · any initiators
Guarantees   never two leaders of one term, under any timing, loss and partition; a leader once hops take at most delta
Messages     RequestVote(term, log_term, log_index)     "vote for me in this term; my log ends so"   O(log) bits
             Vote(term, granted)                        "yes" or "no"                                O(log) bits
             RequestPreVote(term, log_term, log_index)  "would you vote for me in the term after?"   O(log) bits
             PreVote(term, granted)                     "yes" or "no"                                O(log) bits
             AppendEntries(term)                        "I lead this term"         O(log) bits, announcement
             Heartbeat(term)                            "I still lead this term"   O(log) bits, periodic
             Appended(term)                             the answer to both         O(log) bits, periodic
Complexity   with a of n servers alive, one candidate: 2(n - 1) + a - 1, so 3(n - 1), the best; pre-votes add n + a - 2;
             each candidate more of a term adds n + a - 2, each split term begins anew: no worst case
             time: a timeout and 2 delta, 4 delta with pre-votes
Beyond the model   half or more down, or cut off: no leader, and terms rise for ever (with pre-votes they do not); a paused
             leader still believes that it leads until it hears of a later term; hops near the timeout: elections go on
References   D. Ongaro and J. Ousterhout, In Search of an Understandable Consensus Algorithm, USENIX ATC, 2014; D. Ongaro,
             Consensus: Bridging Theory and Practice, Stanford, 2014, sections 3.4, 4.2.3, 6.2, 9. Deviations: logs do not
             grow, so entries travel nowhere; an initiator is a server whose timer runs, the others wake when they hear of
             it; a candidate writes down its own vote while its requests travel; a candidate does not ask again within a
             term; a leader that resigns for want of a majority stands again at once.
"""

from algorithms.model import *


class RequestVote(Message, frozen=True):
    term: int
    log_term: int
    log_index: int


class Vote(Message, frozen=True):
    term: int
    granted: bool


class RequestPreVote(RequestVote, frozen=True): ...


class PreVote(Vote, frozen=True): ...


class AppendEntries(Announcement, frozen=True):
    term: int


class Heartbeat(Periodic, frozen=True):
    term: int


class Appended(Heartbeat, frozen=True): ...


class Voted(Message, frozen=True):
    """What survives a crash: the term, and who got this server's vote in it (0: nobody)."""

    epoch: int
    voted: Id


def _messages(arrangement: Arrangement) -> dict[str, int]:
    """One candidate asks all, hears from all that live, and tells all."""
    others, living = arrangement.n - 1, len(arrangement.live) - 1
    first = {"RequestPreVote": others, "PreVote": living} if arrangement.parameters["pre_vote"] else {}
    return first | {"RequestVote": others, "Vote": living, "AppendEntries": others}


_ONE = Formula("3(n−1)", lambda n, a: 2 * (n - 1) + a - 1)
_PULSE = Pulse(period=lambda it: it["timeout"] / 2, timeout=lambda it: it["timeout"] + it["spread"])


class Raft(Replica):
    model = replace(Replica.model, pulse=_PULSE)
    messages = (RequestVote, Vote, RequestPreVote, PreVote, AppendEntries, Heartbeat, Appended)
    record = Voted
    timeout: float = number(5, 1, "the shortest election timeout, in delta; heartbeats come twice as often")
    spread: float = number(5, 0, "how much longer the longest is, in delta")
    behind: int = count("how many servers, those of the lowest ids, have an older log and cannot win")
    pre_vote: bool = switch("whether a candidate asks first whether it could win")
    check_quorum: bool = switch("whether a leader without a majority resigns, and one with it is safe")
    claims = Claims(
        messages=_messages,
        # one candidate, and it can win
        exact=lambda it: len(it.initiators) == 1 and 2 * len(it.live) > it.n and not it.parameters["behind"],
        leader=lambda arrangement: arrangement.ids[arrangement.initiators[0]],
        depth=lambda arrangement: (arrangement.n > 1) * (5 if arrangement.parameters["pre_vote"] else 3),
        all=Bounds(_ONE, "3(n−1), and 2(n−1) a rival", "unbounded"),
        one=Bounds(_ONE),
        time="a timeout and 2δ",
        source="Ongaro and Ousterhout 2014",
        best_case=lambda n: (tuple(range(1, n + 1)), (0,)),
    )

    def init(self) -> None:
        self.epoch = self.voted = 0  # the term, and who got this server's vote in it
        self.role = "follower"
        self.awaited: Message | None = None  # the answer that counts
        # who gave it, to a leader since its last heartbeat, and who did between the two before
        self.heard, self.before = set[Port](), set[Port]()
        # the log of who is behind is longer, but its last entry is of an older term
        self.log = (0, 2) if sum(port < self.id for port in self.ports) < self.behind else (1, 1)

    def on_start(self) -> None:
        """Hope to hear from a leader, or to become one, within a timeout."""
        self.set_timer("election", self.timeout + self.spread * self.rng.random())

    wait = on_start

    def observe_term(self, term: int) -> None:
        """Whoever led or stood for an earlier term is a follower in a later one, and has given no vote in it."""
        if term > self.epoch:
            if self.role == "leader":
                self.cancel_timer("heartbeat")
                self.wait()
            self.role, self.awaited, self.leader = "follower", None, None
            self.save(Voted(term, 0))

    def on_timeout(self, name: str) -> None:
        if name == "heartbeat" and (not self.check_quorum or self.is_majority(len(self.heard | self.before))):
            self.before, self.heard = self.heard, set()
            self.broadcast(Heartbeat(self.epoch))
            self.set_timer("heartbeat", self.timeout / 2)
        elif name != "lease":  # it hears from no leader, or leads and hears from no majority
            self.stand("pre-candidate" if self.pre_vote else "candidate")

    def stand(self, role: str) -> None:
        """Ask all for their votes in the next term, or whether they would give them; count until the next timeout."""
        self.doubt()
        if role == "candidate":
            self.broadcast(RequestVote(self.epoch + 1, *self.log))
            self.save(Voted(self.epoch + 1, self.id))
        else:
            self.broadcast(RequestPreVote(self.epoch, *self.log))
        self.role, self.heard = role, set()
        self.awaited = Vote(self.epoch, True) if role == "candidate" else PreVote(self.epoch, True)
        self.wait()
        self.count()

    def count(self) -> None:
        """With a majority a pre-candidate becomes a candidate, and a candidate the leader."""
        if self.is_majority(len(self.heard)) and self.role == "pre-candidate":
            self.stand("candidate")
        elif self.is_majority(len(self.heard)) and self.role == "candidate":
            self.lead()

    def lead(self) -> None:
        """Be the leader of this term, and say so."""
        self.role, self.awaited = "leader", Appended(self.epoch)
        self.cancel_timer("election")
        self.elect(self.id, self.epoch)
        self.broadcast(AppendEntries(self.epoch))
        self.set_timer("heartbeat", self.timeout / 2)

    @property
    def is_led(self) -> bool:
        """Whether it leads, or heard from a leader within the shortest timeout."""
        return self.role == "leader" or "lease" in self.armed

    def on_request_vote(self, port: Port, msg: RequestVote) -> None:
        if not (self.check_quorum and self.is_led):
            self.observe_term(msg.term)
        granted = msg.term == self.epoch and self.voted in (0, port) and (msg.log_term, msg.log_index) >= self.log
        if granted:
            self.save(Voted(self.epoch, port))
            self.wait()
        self.send(port, Vote(self.epoch, granted))

    def on_request_pre_vote(self, port: Port, msg: RequestPreVote) -> None:
        granted = msg.term >= self.epoch and not self.is_led and (msg.log_term, msg.log_index) >= self.log
        self.send(port, PreVote(msg.term if granted else self.epoch, granted))

    def on_vote(self, port: Port, msg: Vote | Appended) -> None:
        """An answer: it counts, unless it is a refusal, late, or to what this server asked in another role."""
        self.observe_term(msg.term)
        if msg == self.awaited:
            self.heard.add(port)
            self.count()

    on_pre_vote = on_appended = on_vote

    def on_append_entries(self, port: Port, msg: AppendEntries | Heartbeat) -> None:
        self.observe_term(msg.term)
        if msg.term == self.epoch:
            self.role, self.awaited = "follower", None
            self.wait()
            if self.pre_vote or self.check_quorum:
                self.set_timer("lease", self.timeout)
            if self.leader != port:
                self.elect(port, self.epoch)
        self.send(port, Appended(self.epoch))

    on_heartbeat = on_append_entries
