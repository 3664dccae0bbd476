"""Omega: in the end all trust one leader that lives; until then anybody may trust anybody.

Everybody says again and again that it lives. Who is not heard of for a timeout is suspected, until it is heard of again:
then it was wrong to suspect it, and its timeout grows. The leader is the lowest id that is not suspected. Once all timeouts
have outgrown the delays, nobody who lives is suspected any more, and all trust the lowest. If only who trusts itself speaks
(`senders=leader`), and each watches its leader alone, that is as good, and costs n - 1 messages a period.

Model        complete graph · partially synchronous · lossy channels · any number of crashes, with recovery, nothing saved ·
             unique ids, those of all others known · any initiators
Guarantees   eventual: there is a time after which all trust the same live leader; nobody knows when it has come
Messages     Alive()   "I live" (`senders=leader`: "I lead")   O(1) bits, periodic
Complexity   an election none; for ever, in each period of settled times, n(n - 1), or n - 1 with `senders=leader`
             time: a timeout for each that is lower than the leader and dead
Beyond the model   delays that grow faster than timeouts: leaders come and go; a partition: a leader a side until it heals;
             a lower id that comes back takes over from a leader that nobody missed: it is not stable
References   T. Chandra, V. Hadzilacos and S. Toueg, The Weakest Failure Detector for Solving Consensus, J. ACM 43(4), 1996;
             with one sender: M. Larrea, A. Fernandez and S. Arevalo, Optimal Implementation of the Weakest Failure Detector
             for Solving Consensus, SRDS, 2000. Deviations: a leader speaks to all, not to the higher ids alone, so that it
             is heard of when it comes back; who is no initiator wakes when it hears of anybody.
"""

from algorithms.model import *


class Alive(Periodic, frozen=True): ...


_PULSE = Pulse(period=lambda it: it["period"], timeout=lambda it: it["period"] + it["timeout"])


class Omega(Node):
    model = Model(
        "complete", "partially synchronous", "lossy", "crash", knows=("neighbours",), safety="eventual", pulse=_PULSE
    )
    messages = (Alive,)
    senders: str = choice("all", "leader", meaning="who says that it lives")
    period: float = number(1, 0.1, "how often, in delta")
    timeout: float = number(3, 1, "how long a node waits for it at first, in delta; one more each time it was wrong")
    claims = Claims(
        messages=lambda arrangement: {},  # nobody ever sends anything but that it lives
        leader=lambda arrangement: min(arrangement.ids[p] for p in arrangement.live),
        all=Bounds(Formula("0, and n(n−1) or n−1 a period", lambda n, a: 0)),
        time="a timeout for each lower id that is dead",
        bits="O(1) a message",
        source="Chandra, Hadzilacos and Toueg 1996",
    )

    def init(self) -> None:
        self.suspects: set[Port] = set()
        self.patience = dict.fromkeys(self.ports, self.timeout)

    def on_start(self) -> None:
        self.begin()

    def on_recover(self, record: Message | None) -> None:
        self.begin()

    def begin(self) -> None:
        """Speak, watch and trust, from the first event on."""
        if self.leader is None:
            self.trust()
            self.speak()
            for port in self.ports if self.senders == "all" else ():
                self.watch(port)

    def speak(self) -> None:
        """Say that this node lives, and again a period later."""
        if self.senders == "all" or self.leader == self.id:
            self.broadcast(Alive())
        self.set_timer("speak", self.period)

    def watch(self, port: Port) -> None:
        """Suspect a node that is not heard of in time."""
        self.set_timer(str(port), self.patience[port])

    def trust(self) -> None:
        """Take the lowest that is not suspected for the leader."""
        leader = min({self.id, *self.ports} - self.suspects)
        if leader != self.leader:
            self.elect(leader)
            if leader != self.id:
                self.watch(leader)

    def on_alive(self, port: Port, msg: Alive) -> None:
        self.begin()
        if port in self.suspects:
            self.suspects.remove(port)
            self.patience[port] += 1
        self.trust()
        if self.senders == "all" or port == self.leader:
            self.watch(port)

    def on_timeout(self, name: str) -> None:
        if name == "speak":
            self.speak()
        else:
            self.suspects.add(int(name))
            self.trust()
