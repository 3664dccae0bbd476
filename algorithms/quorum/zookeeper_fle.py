"""ZooKeeper's Fast Leader Election: a majority that votes alike in one election epoch makes the best of the voters leader.

Who looks for a leader raises its election epoch and tells everybody its vote, first for itself. Who hears of a better one
takes it over and tells everybody again. Once a majority votes as it does, it waits whether something better is still under
way, and then follows the one it votes for; who has followers enough leads. Whoever is asked by a node that looks for a
leader, and has one, says so. Who repeats a worse vote has missed the better one, and is told it again. A vote is (epoch,
id): the last epoch in which the voter followed or led, then its id.

Model        complete graph · partially synchronous, for liveness alone · lossy channels · crash and recovery with stable
             storage, fewer than half down at a time · unique ids, those of all others known · any initiators
Guarantees   at most one leader an election epoch, ever; a leader once a majority can talk
Messages     Notification(epoch, accepted, leader, looking)  "I vote for ..." or, not looking, "I follow ..."
             FollowerInfo(epoch)                             "I follow you, and nobody else in this epoch"
             LeaderInfo(epoch)                               "a majority follows me", announcement
Complexity   all start: Notification best (n - 1)(2n - 1), mean n(n - 1)H(n), worst n(n - 1)(n + 1)/2; of a live nodes a - 1
             send FollowerInfo, and there are n - 1 LeaderInfo
             time 2 delta to the last vote, the wait, and 2 delta
Beyond the model   no majority: it looks for ever, ever more slowly, or in silence where it is known; a leader that is cut
             off from it leads on until it suspects as many, while the others elect one of a later epoch
References   FastLeaderElection.java of ZooKeeper; P. Hunt et al., USENIX ATC 2010; F. Junqueira, B. Reed, M. Serafini, Zab,
             DSN 2011. Deviations: votes may change until the wait is over, so that the election alone may end with two
             leaders of one epoch if a message is late; what prevents it in ZooKeeper is the discovery of Zab, of which
             FollowerInfo and LeaderInfo are left here. A node follows in an epoch once and saves that it did, and only who
             is followed by a majority leads. There are no transactions, hence no zxid in a vote.
"""

from algorithms.model import *

LONGEST = 8  # times as long as at first is a wait at most, once elections failed

Vote = tuple[int, Id]  # the last epoch in which a node followed or led, and its id


class Notification(Message, frozen=True):
    epoch: int
    accepted: int
    leader: Id
    looking: bool


class FollowerInfo(Message, frozen=True):
    epoch: int


class LeaderInfo(Announcement, frozen=True):
    epoch: int


class Accepted(Message, frozen=True):
    """What survives a crash: the last epoch in which it followed or led."""

    accepted: int


def _messages(arrangement: Arrangement) -> dict[str, int]:
    return {"FollowerInfo": len(arrangement.live) - 1, "LeaderInfo": arrangement.n - 1}


def _ranges(arrangement: Arrangement) -> dict[str, range]:
    """Each live node tells all others of every vote that it has: at least its first, at most all from there up."""
    ids, live, others = arrangement.ids, arrangement.live, arrangement.n - 1
    best, starts = max(ids[p] for p in live), [ids[p] for p in arrangement.initiators]
    least = len(live) + sum(start < best for start in starts)
    most = 0
    for voter in (ids[p] for p in live):
        first = voter if voter in starts else max(voter, min(starts))
        most += sum(ids[p] >= first for p in live)
    return {"Notification": range(least * others, most * others + 1, others or 1)}


def _with_outcome(votes: float, n: int, a: int) -> float:
    """Messages of an election with so many votes told to all others."""
    return votes * (n - 1) + a - 1 + n - 1


_MOST = Formula("n(n−1)(n+1)/2 + 2(n−1)", lambda n, a: _with_outcome(a * (a + 1) / 2, n, a))


class ZooKeeperFLE(Replica):
    messages = (Notification, FollowerInfo, LeaderInfo)
    record = Accepted
    finalize_wait: float = number(3, 3, "in delta: how long a better vote is waited for")
    notification_timeout: float = number(8, 8, "in delta: silence after which a node asks again, at first")
    claims = Claims(
        messages=_messages,
        ranges=_ranges,
        leader=lambda arrangement: max(arrangement.ids[p] for p in arrangement.live),
        all=Bounds(
            Formula("(n−1)(2n+1)", lambda n, a: _with_outcome(2 * a - 1, n, a)),
            Formula("n(n−1)Hₙ + 2(n−1)", lambda n, a: _with_outcome(a * harmonic(a), n, a)),
            _MOST,
        ),
        one=Bounds(Formula("(n−1)(n+2)", lambda n, a: _with_outcome(a, n, a)), "between", _MOST),
        time="4δ, and the wait of 3δ",
        source="Hunt et al. 2010",
    )

    def init(self) -> None:
        self.state = ""  # looking, or decided: it follows, or wants to lead
        self.accepted = 0
        self.vote: Vote = (0, 0)
        self.votes: dict[Port, Vote] = {}
        self.answers: dict[Port, tuple[int, Id]] = {}
        self.followers: set[Port] = set()
        self.patience = 1  # times as long as at first is a wait

    def on_start(self) -> None:
        if not self.state:
            self.look(self.epoch)

    def on_recover(self, record: Message | None) -> None:
        super().on_recover(record)
        self.look(self.accepted + 1)

    def on_suspect(self, port: Port) -> None:
        if not self.state:
            self.look(self.epoch)
        elif port == self.vote[1] or (self.leader is not None and not self.is_majority(self.trusted())):
            self.look(self.epoch + 1)

    def on_trust(self, port: Port) -> None:
        if self.leader == self.id:
            self.followers.discard(port)
            self.send(port, LeaderInfo(self.epoch))
            self.remind()
        elif self.state == "looking":
            self.send(port, Notification(self.epoch, *self.vote, True))
            self.count()

    def look(self, epoch: int, vote: Vote = (0, 0)) -> None:
        """Look for a leader in a new epoch, and vote for oneself unless `vote` is better."""
        self.epoch, self.leader, self.state = epoch, None, "looking"
        self.votes, self.answers, self.followers = {}, {}, set()
        self.propose(max(vote, (self.accepted, self.id)))
        self.count()

    def propose(self, vote: Vote) -> None:
        """Vote, and tell everybody."""
        self.vote = vote
        self.broadcast(Notification(self.epoch, *vote, True))

    def count(self) -> None:
        """If a majority votes alike, wait for a better vote; else for more votes, if a majority can be there."""
        self.cancel_timer("resend", "finalize")
        if self.is_majority(sum(vote == self.vote for vote in self.votes.values())):
            self.set_timer("finalize", self.patience * self.finalize_wait)
        elif self.is_majority(self.trusted()):
            self.wait()

    def wait(self) -> None:
        """Ask again, or start over, unless something happens."""
        self.set_timer("resend", self.patience * self.notification_timeout)

    def on_notification(self, port: Port, msg: Notification) -> None:
        vote, later = (msg.accepted, msg.leader), msg.epoch > self.epoch
        if not msg.looking:
            self.learn(port, msg)
            return
        if later:
            self.followers.discard(port)
        if self.leader is not None and self.has_leader(msg.accepted) and not (later and port == self.leader):
            self.send(port, Notification(self.epoch, self.accepted, self.leader, False))
        elif later or not self.state:
            self.look(msg.epoch, vote)
            self.votes[port] = vote
            self.count()
        elif self.state == "looking" and msg.epoch < self.epoch:
            self.send(port, Notification(self.epoch, *self.vote, True))
        elif self.state == "looking":
            if vote > self.vote:
                self.propose(vote)
            elif vote < self.vote and vote == self.votes.get(port):  # again: it has missed the better one
                self.send(port, Notification(self.epoch, *self.vote, True))
            self.votes[port] = vote
            self.count()

    def has_leader(self, accepted: int) -> bool:
        """Whether its leader is one for who followed in epoch `accepted`: not dead, nor deserted, nor superseded."""
        deserted = self.leader == self.id and not self.is_majority(len(self.followers))
        return self.leader not in self.suspected and not deserted and accepted <= self.epoch

    def learn(self, port: Port, msg: Notification) -> None:
        """Who has a leader tells of it: follow, if a majority does, and the leader says that it leads, and is not dead."""
        self.answers[port] = (msg.epoch, msg.leader)
        agree = [one for one, answer in self.answers.items() if answer == (msg.epoch, msg.leader)]
        leads = msg.leader in agree and msg.leader not in self.suspected  # what it said may arrive after its crash
        if self.state == "looking" and leads and self.is_majority(len(agree)):
            self.follow(msg.leader, msg.epoch)
            self.send(msg.leader, FollowerInfo(msg.epoch))

    def on_timeout(self, name: str) -> None:
        if name == "finalize":
            self.decide()
            return
        self.patience = min(2 * self.patience, LONGEST)
        if self.state == "looking":
            self.broadcast(Notification(self.epoch, *self.vote, True))
            self.count()
        elif self.leader == self.id:
            for port in self.missing(self.followers):
                self.send(port, LeaderInfo(self.epoch))
            self.remind()
        else:
            self.look(self.epoch + 1)

    def accept(self, leader: Id) -> None:
        """Follow in this epoch, or lead: nobody else's follower in it any more, crash or no crash."""
        self.vote = (self.epoch, leader)
        self.save(Accepted(self.epoch))
        if leader != self.id:
            self.send(leader, FollowerInfo(self.epoch))

    def decide(self) -> None:
        """The wait is over: follow the one voted for; whoever is followed by too few looks again."""
        self.state = "decided"
        self.accept(self.vote[1])
        self.wait()
        self.lead()

    def on_follower_info(self, port: Port, msg: FollowerInfo) -> None:
        if msg.epoch == self.epoch:
            self.followers.add(port)
            self.lead()

    def lead(self) -> None:
        """Lead, once followed by a majority."""
        if self.state != "decided" or self.vote[1] != self.id:
            return
        if self.leader is None and self.is_majority(len(self.followers - self.suspected)):
            self.patience = 1
            self.elect(self.id, self.epoch)
            self.broadcast(LeaderInfo(self.epoch))
        if self.leader is not None:
            self.remind()

    def remind(self) -> None:
        """Tell again who leads, if somebody does not follow."""
        self.cancel_timer("resend")
        if self.missing(self.followers):
            self.wait()

    def on_leader_info(self, port: Port, msg: LeaderInfo) -> None:
        if self.leader == port and msg.epoch == self.epoch:
            self.send(port, FollowerInfo(self.epoch))
        elif msg.epoch >= self.epoch:
            self.follow(port, msg.epoch)

    def follow(self, leader: Id, epoch: int) -> None:
        """Take `leader` for the leader of `epoch`, unless it followed in a later one."""
        if epoch < self.accepted:
            return
        self.epoch, self.state = epoch, "decided"
        self.vote = (epoch, leader)
        if epoch > self.accepted:
            self.accept(leader)
        self.cancel_timer("finalize", "resend")
        self.patience = 1
        self.elect(leader, epoch)
