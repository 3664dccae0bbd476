"""Mutants: ten planted errors of one line in each page, and the smallest check that catches each."""

import re
from pathlib import Path

import msgspec

ROOT = Path(__file__).parent.parent


class Mutant(msgspec.Struct, frozen=True):
    """One planted error: what is wrong, which text of the page becomes which, and the smallest check that catches it."""

    page: str
    error: str
    old: str
    new: str
    caught_by: str = "witness"


def plant(folder: Path, page: str, old: str, new: str) -> str:
    """Write a page with `old` replaced by `new` into a module of its own below `folder`; returns `package.module:Class`.

    `folder` must be on `sys.path`; its name, unlike any other's in the session, becomes the package's.
    """
    source = (ROOT / "algorithms" / page.replace(".", "/")).with_suffix(".py").read_text()
    assert source.count(old) == 1, f"{old!r} is {source.count(old)} times in {page}"
    package = f"mutant_{folder.name}"
    (folder / package).mkdir()
    (folder / package / "__init__.py").touch()
    (folder / package / "page.py").write_text(source.replace(old, new))
    (name,) = re.findall(r"^class (\w+)\((?:Node|Replica)\)", source, re.MULTILINE)
    return f"{package}.page:{name}"


def twice(page: str, error: str, line: str, caught_by: str = "witness") -> Mutant:
    """A line that is carried out twice."""
    return Mutant(page, error, line, f"{line}; {line}", caught_by)


def without(page: str, error: str, line: str, caught_by: str = "witness") -> Mutant:
    """A line that is not carried out."""
    return Mutant(page, error, line, "pass", caught_by)


BULLY, RING, LAMPORT = "complete.bully", "ring.ring", "complete.lamport"
CHANG_ROBERTS, RANDOMIZED = "ring.chang_roberts", "complete.randomized"
LELANN, HIRSCHBERG_SINCLAIR, FRANKLIN = "ring.lelann", "ring.hirschberg_sinclair", "ring.franklin"
DOLEV_KLAWE_RODEH, PETERSON = "ring.dolev_klawe_rodeh", "ring.peterson"
HIGHAM_PRZYTYCKA, ITAI_RODEH = "ring.higham_przytycka", "ring.itai_rodeh"
ZOOKEEPER_FLE, PAXOS, VIEWSTAMPED = "quorum.zookeeper_fle", "quorum.paxos", "quorum.viewstamped"
RAFT, OMEGA = "quorum.raft", "omega.omega"
AFEK_GAFNI, INVITATION = "complete.afek_gafni", "complete.invitation"
SUBLINEAR = "complete.sublinear"
ECHO_EXTINCTION, FLOOD_MAX = "graph.echo_extinction", "graph.flood_max"

MUTANTS = (
    without(BULLY, "Ok is skipped", "self.send(port, Ok(msg.epoch))"),
    twice(BULLY, "Ok is sent twice", "self.send(port, Ok(msg.epoch))"),
    Mutant(BULLY, "the weaker are asked", "if port > self.id]", "if port < self.id]"),
    Mutant(
        BULLY,
        "one is not told",
        "for port in self.ports:\n            if",
        "for port in self.ports[1:]:\n            if",
    ),
    Mutant(
        BULLY,
        "the epoch is not raised when the leader is gone",
        "if port == self.leader:\n            self.adopt(self.epoch + 1)",
        "if port == self.leader:\n            self.adopt(self.epoch)",
        "claims",
    ),
    Mutant(
        BULLY,
        "a later epoch is not adopted",
        "self.adopt(msg.epoch)\n        self.send",
        "pass\n        self.send",
        "claims",
    ),
    Mutant(BULLY, "an election is started at every message", "if self.started:\n            return", "pass"),
    Mutant(BULLY, "answers are not noted", "self.answered = True", "self.answered = False", "claims"),
    Mutant(BULLY, "who was answered wins", "and not self.answered:", "and self.answered:", "lone"),
    Mutant(
        BULLY,
        "the stronger is bullied back",
        "        elif msg.leader < self.id:",
        "        elif msg.leader > self.id:",
    ),
    twice(RING, "a token starts twice", "self.send(NEXT, Election(self.id, (self.id,)))"),
    twice(RING, "the outcome is passed on twice", "self.send(NEXT, msg)"),
    Mutant(RING, "the lowest wins", "max(msg.ids)", "min(msg.ids)"),
    Mutant(RING, "the last to sign does not count", "max(msg.ids)", "max(msg.ids[:-1])"),
    Mutant(RING, "the origin wins", "self.elect(max(msg.ids))", "self.elect(msg.origin)"),
    Mutant(RING, "nobody signs", "(*msg.ids, self.id)", "msg.ids"),
    Mutant(RING, "a token changes hands", "Election(msg.origin, (*", "Election(self.id, (*"),
    Mutant(RING, "an origin does not sign", "Election(self.id, (self.id,))", "Election(self.id, ())"),
    Mutant(RING, "the outcome stops at its first hop", "if msg.origin != self.id", "if msg.origin == self.id"),
    Mutant(RING, "the outcome circles for ever", "if msg.origin != self.id", "if True"),
    without(LAMPORT, "an initiator's clock stands still", "self.clock += 1"),
    Mutant(LAMPORT, "a candidacy starts at every message", "if not self.joined:", "if True:"),
    Mutant(LAMPORT, "the comparison is turned", "if (stamp, self.id) < (msg.stamp", "if (stamp, self.id) > (msg.stamp"),
    Mutant(LAMPORT, "ids do not break ties", "if (stamp, self.id) < (msg.stamp, msg.id)", "if stamp < msg.stamp"),
    without(LAMPORT, "Ack is skipped", "self.send(port, Ack())"),
    twice(LAMPORT, "Object is sent twice", "self.send(port, Object(stamp, self.id))"),
    Mutant(
        LAMPORT,
        "the stamp is frozen after the news",
        "stamp = self.freeze()\n        self.clock = max(self.clock, msg.clock) + 1",
        "self.clock = max(self.clock, msg.clock) + 1\n        stamp = self.freeze()",
    ),
    Mutant(LAMPORT, "one reply is not awaited", "< len(self.ports):", "< len(self.ports) - 1:", "claims"),
    Mutant(LAMPORT, "the worst objector is appointed", "> self.best[:2]", "< self.best[:2]", "claims"),
    Mutant(
        LAMPORT,
        "one is not told",
        "self.broadcast(Coordinator(self.freeze(), self.id))",
        "[self.send(port, Coordinator(self.freeze(), self.id)) for port in self.ports[1:]]",
    ),
    twice(CHANG_ROBERTS, "a token starts twice", "self.send(NEXT, Election(self.id))"),
    Mutant(CHANG_ROBERTS, "the comparison is turned", "elif msg.id > self.id", "elif msg.id < self.id"),
    without(CHANG_ROBERTS, "who is woken does not compete", "self.on_start()", "claims"),
    Mutant(
        CHANG_ROBERTS,
        "a higher token is passed on as one's own",
        'self.variant == "wake"\n            self.send(NEXT, msg)',
        'self.variant == "wake"\n            self.send(NEXT, Election(self.id))',
    ),
    Mutant(
        CHANG_ROBERTS, "competitors pass everything on", "and not self.participant)", "and self.participant)", "claims"
    ),
    without(CHANG_ROBERTS, "a competitor starts again at every lower token", "self.participant = True"),
    without(CHANG_ROBERTS, "the winner keeps it to itself", "self.send(NEXT, Leader(self.id))"),
    Mutant(
        CHANG_ROBERTS,
        "the outcome is not passed on",
        "self.elect(msg.id)\n            self.send(NEXT, msg)",
        "self.elect(msg.id)",
    ),
    Mutant(CHANG_ROBERTS, "the outcome circles for ever", "if msg.id != self.id:", "if True:"),
    Mutant(CHANG_ROBERTS, "everybody elects itself", "self.elect(msg.id)", "self.elect(self.id)"),
    twice(RANDOMIZED, "a draw is sent twice", "self.broadcast(Draw(self.round, value))", "claims"),
    Mutant(
        RANDOMIZED,
        "one is not told",
        "self.broadcast(Draw(self.round, value))",
        "[self.send(port, Draw(self.round, value)) for port in self.ports[1:]]",
        "claims",
    ),
    Mutant(RANDOMIZED, "the lowest wins", "highest = max(", "highest = min(", "claims"),
    Mutant(RANDOMIZED, "all but the highest are tied", "if value == highest", "if value != highest", "claims"),
    Mutant(RANDOMIZED, "a draw at every message", "if self.round == 0:", "if True:", "claims"),
    Mutant(
        RANDOMIZED,
        "the round of a draw is not heeded",
        "self.draws.setdefault(msg.round, {})[port]",
        "self.draws.setdefault(self.round, {})[port]",
        "claims",
    ),
    Mutant(RANDOMIZED, "who is out draws on", "if self.id in self.active:", "if True:", "claims"),
    Mutant(RANDOMIZED, "one draw is not awaited", "== len(self.active):", "== len(self.active) - 1:", "claims"),
    Mutant(RANDOMIZED, "who is woken does not draw", "self.on_start()\n        self.draws", "self.draws", "claims"),
    Mutant(
        RANDOMIZED,
        "the tied do not draw again",
        "self.active = tied\n            self.draw()",
        "self.active = tied\n            return",
        "claims",
    ),
    twice(LELANN, "a token starts twice", "self.send(NEXT, Token(self.id))"),
    Mutant(LELANN, "the lowest is noted", "max(self.highest, msg.id)", "min(self.highest, msg.id)"),
    without(LELANN, "nobody is noted", "self.highest = max(self.highest, msg.id)"),
    Mutant(
        LELANN,
        "a lower token passes for one's own",
        "if msg.id != self.id:\n            self.h",
        "if msg.id > self.id:\n            self.h",
    ),
    Mutant(LELANN, "every initiator elects itself", "self.elect(self.highest)", "self.elect(self.id)"),
    Mutant(LELANN, "the others announce", "if self.highest == self.id", "if self.highest != self.id"),
    without(LELANN, "the winner keeps it to itself", "self.send(NEXT, Leader(self.id))"),
    Mutant(
        LELANN,
        "the outcome circles for ever",
        "if msg.id != self.id:\n            self.e",
        "if True:\n            self.e",
    ),
    Mutant(
        LELANN,
        "the outcome is not passed on",
        "self.elect(msg.id)\n            self.send(NEXT, msg)",
        "self.elect(msg.id)",
    ),
    Mutant(LELANN, "everybody elects itself", "self.elect(msg.id)", "self.elect(self.id)"),
    Mutant(
        HIRSCHBERG_SINCLAIR,
        "one side is not probed",
        "self.candidate = True\n        self.broadcast(",
        "self.candidate = True\n        self.send(NEXT, ",
    ),
    Mutant(HIRSCHBERG_SINCLAIR, "probes go too far", "msg.hop < 2**msg.phase", "msg.hop <= 2**msg.phase"),
    Mutant(HIRSCHBERG_SINCLAIR, "hops are not counted", "msg.hop + 1", "msg.hop"),
    Mutant(HIRSCHBERG_SINCLAIR, "who did not start swallows", " or not self.candidate", "", "claims"),
    Mutant(HIRSCHBERG_SINCLAIR, "one reply is enough", "self.replies == 2", "self.replies == 1"),
    Mutant(HIRSCHBERG_SINCLAIR, "the phase does not rise", "self.phase + 1", "self.phase"),
    without(HIRSCHBERG_SINCLAIR, "candidates swallow nothing", "self.candidate = True"),
    Mutant(HIRSCHBERG_SINCLAIR, "both probes announce", "self.id and self.leader is None:", "self.id:"),
    Mutant(HIRSCHBERG_SINCLAIR, "replies go the long way", "self.send(port, Reply(", "self.pass_on(port, Reply("),
    Mutant(HIRSCHBERG_SINCLAIR, "the comparison is turned", "elif msg.id > self.id or", "elif msg.id < self.id or"),
    Mutant(FRANKLIN, "the comparison is turned", "if highest < self.id", "if highest > self.id"),
    Mutant(FRANKLIN, "one side is not awaited", "all(self.heard", "any(self.heard"),
    Mutant(FRANKLIN, "who is lower wins", "elif highest == self.id", "elif highest >= self.id"),
    Mutant(
        FRANKLIN, "nobody turns passive", "else:\n                self.active = False", "else:\n                pass"
    ),
    Mutant(FRANKLIN, "the active pass on", "if not self.active:", "if True:"),
    Mutant(
        FRANKLIN,
        "who stays speaks twice",
        "if highest < self.id:\n                self.broadcast(Token(self.id))",
        "if highest < self.id:\n                [self.broadcast(Token(self.id)) for _ in range(2)]",
    ),
    Mutant(FRANKLIN, "tokens are sent back", "self.pass_on(side", "self.send(side"),
    Mutant(FRANKLIN, "the lower neighbour decides", "highest = max(", "highest = min("),
    without(FRANKLIN, "the winner keeps it to itself", "self.send(NEXT, Leader(self.id))"),
    without(FRANKLIN, "the outcome is not passed on", "self.send(NEXT, msg)"),
    twice(DOLEV_KLAWE_RODEH, "a token starts twice", "self.send(NEXT, One(self.id))"),
    Mutant(DOLEV_KLAWE_RODEH, "who meets its own id wins", "msg.id == self.value", "msg.id == self.id"),
    without(DOLEV_KLAWE_RODEH, "the one before is not noted", "self.before = msg.id"),
    Mutant(DOLEV_KLAWE_RODEH, "Two tells of oneself", "Two(msg.id))", "Two(self.value))"),
    Mutant(DOLEV_KLAWE_RODEH, "Two does not count", "self.before > msg.id", "self.before", "claims"),
    Mutant(DOLEV_KLAWE_RODEH, "who stays keeps its name", "self.value = self.before\n", "pass\n"),
    Mutant(DOLEV_KLAWE_RODEH, "who stays sends its own id", "One(self.value))", "One(self.id))"),
    Mutant(
        DOLEV_KLAWE_RODEH, "nobody turns passive", "else:\n            self.active = False", "else:\n            pass"
    ),
    Mutant(DOLEV_KLAWE_RODEH, "the outcome circles for ever", "if self.leader is None:", "if True:"),
    Mutant(DOLEV_KLAWE_RODEH, "the detector is announced", "Leader(msg.id))", "Leader(self.id))"),
    twice(PETERSON, "a token starts twice", "self.send(NEXT, Token(self.id))"),
    Mutant(PETERSON, "who meets its own id wins", "msg.id == self.value", "msg.id == self.id"),
    Mutant(PETERSON, "the comparison is turned", "== self.odd", "!= self.odd"),
    Mutant(PETERSON, "phases do not alternate", "= not self.odd,", "= self.odd,"),
    Mutant(PETERSON, "who stays keeps its name", "max(self.value, msg.id)", "self.value"),
    Mutant(PETERSON, "who stays takes any name", "max(self.value, msg.id)", "msg.id"),
    Mutant(PETERSON, "who stays sends its own id", "Token(self.value))", "Token(self.id))"),
    Mutant(PETERSON, "nobody turns passive", "else:\n            self.active = False", "else:\n            pass"),
    Mutant(PETERSON, "the outcome circles for ever", "if self.leader is None:", "if True:"),
    Mutant(PETERSON, "the detector is announced", "Leader(msg.id))", "Leader(self.id))"),
    Mutant(HIGHAM_PRZYTYCKA, "who is woken is silent", "self.on_start()\n        label", "label", "claims"),
    without(HIGHAM_PRZYTYCKA, "the winner keeps it to itself", "self.send(NEXT, Leader(label))"),
    Mutant(HIGHAM_PRZYTYCKA, "odd rounds drop the lower", "(label < mine if odd", "(label > mine if odd"),
    Mutant(
        HIGHAM_PRZYTYCKA,
        "even rounds drop the higher",
        "if odd else label > mine)",
        "if odd else label < mine)",
        "claims",
    ),
    Mutant(HIGHAM_PRZYTYCKA, "counts do not promote", "(meets or count == 0) if odd", "meets if odd", "claims"),
    Mutant(HIGHAM_PRZYTYCKA, "winners are not promoted", "(meets or count == 0) if odd", "count == 0 if odd"),
    Mutant(
        HIGHAM_PRZYTYCKA,
        "any meeting promotes",
        "(turn - 1 == mark and label > mine)",
        "turn - 1 == mark",
        "claims",
    ),
    Mutant(
        HIGHAM_PRZYTYCKA,
        "counts stand still",
        "Envelope(label, turn, count - 1)",
        "Envelope(label, turn, count)",
        "claims",
    ),
    Mutant(
        HIGHAM_PRZYTYCKA,
        "later counts are too low",
        "fibonacci(turn + 3)\n            self",
        "fibonacci(turn + 2)\n            self",
        "claims",
    ),
    Mutant(HIGHAM_PRZYTYCKA, "the detector is announced", "Leader(label))", "Leader(self.id))", "claims"),
    twice(ITAI_RODEH, "a token starts twice", "self.send(NEXT, Token(self.round, self.number, 1, True))", "claims"),
    Mutant(ITAI_RODEH, "equals are purged", "theirs >= mine", "theirs > mine", "claims"),
    Mutant(ITAI_RODEH, "the comparison is turned", "theirs >= mine", "theirs <= mine", "claims"),
    Mutant(ITAI_RODEH, "equals leave no mark", "msg.clean and not tied", "msg.clean", "claims"),
    Mutant(ITAI_RODEH, "hops are not counted", "msg.hop + 1, msg.clean", "msg.hop, msg.clean", "claims"),
    Mutant(
        ITAI_RODEH,
        "the tied do not draw again",
        "self.n:\n            self.draw()",
        "self.n:\n            pass",
        "claims",
    ),
    Mutant(ITAI_RODEH, "who is woken does not draw", "self.on_start()\n        theirs", "theirs", "claims"),
    Mutant(ITAI_RODEH, "the one before wins", "self.elect(0)", "self.elect(1)", "claims"),
    Mutant(ITAI_RODEH, "everybody elects itself", "self.elect(msg.hop)", "self.elect(0)", "claims"),
    Mutant(ITAI_RODEH, "the way to the leader is not counted", "Leader(msg.hop + 1)", "Leader(msg.hop)", "claims"),
    twice(RAFT, "votes are asked for twice", "self.broadcast(RequestVote(self.epoch + 1, *self.log))"),
    Mutant(RAFT, "a vote is given twice", "self.voted in (0, port)", "True", "adversity"),
    Mutant(
        RAFT,
        "half is a majority",
        'self.is_majority(len(self.heard)) and self.role == "c',
        '2 * len(self.heard) + 2 >= self.n and self.role == "c',
    ),
    Mutant(
        RAFT,
        "a candidate does not vote for itself",
        "Voted(self.epoch + 1, self.id)",
        "Voted(self.epoch + 1, 0)",
        "adversity",
    ),
    Mutant(RAFT, "refusals count", "if msg == self.awaited:", "if msg.term == self.epoch:", "adversity"),
    Mutant(RAFT, "the term does not rise", "Voted(self.epoch + 1, self.id)", "Voted(self.epoch, self.id)"),
    Mutant(
        RAFT,
        "a later term deposes nobody",
        'self.role, self.awaited, self.leader = "follower", None, None',
        "self.leader = None",
        "adversity",
    ),
    Mutant(
        RAFT,
        "a heartbeat does not reset the timer",
        'self.role, self.awaited = "follower", None\n            self.wait()',
        'self.role, self.awaited = "follower", None',
    ),
    without(RAFT, "the winner keeps it to itself", "self.broadcast(AppendEntries(self.epoch))"),
    Mutant(
        RAFT,
        "only one heartbeat comes",
        "self.broadcast(Heartbeat(self.epoch))\n            self.set_timer",
        "self.broadcast(Heartbeat(self.epoch))\n            0 and self.set_timer",
    ),
    Mutant(OMEGA, "the highest is trusted", "leader = min(", "leader = max(", "claims"),
    Mutant(OMEGA, "nobody trusts oneself", "{self.id, *self.ports}", "{*self.ports}", "lone"),
    Mutant(OMEGA, "everybody elects itself", "self.elect(leader)", "self.elect(self.id)", "claims"),
    without(OMEGA, "nobody is suspected", "self.suspects.add(int(name))", "claims"),
    Mutant(OMEGA, "a suspicion changes no mind", "(int(name))\n            self.trust()", "(int(name))", "claims"),
    without(OMEGA, "who is suspected is so for ever", "self.suspects.remove(port)", "adversity"),
    without(OMEGA, "who speaks does so once", 'self.set_timer("speak", self.period)', "claims"),
    Mutant(OMEGA, "who wakes is silent", "self.trust()\n            self.speak()", "self.trust()", "claims"),
    Mutant(OMEGA, "the leader is not watched", "self.watch(leader)", "pass", "claims"),
    Mutant(OMEGA, "who waits in vain suspects itself", "add(int(name))", "add(self.id)", "claims"),
    Mutant(AFEK_GAFNI, "owners are not asked", "if self.owner is not None:", "if False:", "claims"),
    Mutant(
        AFEK_GAFNI,
        "everybody gives way",
        "if self.alive and (level, id) < (self.level, self.id):",
        "if False:",
        "agreement",
    ),
    Mutant(AFEK_GAFNI, "who gives way goes on", "self.alive = False\n        return True", "return True", "claims"),
    Mutant(
        AFEK_GAFNI,
        "the dead are not asked",
        "self.gives_way(msg.level, msg.id):\n            self.send(",
        "self.alive and self.gives_way(msg.level, msg.id):\n            self.send(",
        "agreement",
    ),
    Mutant(AFEK_GAFNI, "the dead rise", "if not self.alive:", "if False:", "agreement"),
    Mutant(AFEK_GAFNI, "levels do not rise", "self.level += 1", "self.level += (self.level == 0)"),
    Mutant(AFEK_GAFNI, "one is left out", "self.level < len(self.ports)", "self.level + 1 < len(self.ports)"),
    without(AFEK_GAFNI, "the winner keeps it to itself", "self.broadcast(Leader(self.id))"),
    twice(AFEK_GAFNI, "all is accepted twice", "self.send(self.owner, Accept())"),
    Mutant(AFEK_GAFNI, "the stale level is told", "Ask(msg.level, msg.id)", "Ask(self.level, msg.id)", "agreement"),
    Mutant(
        ECHO_EXTINCTION,
        "the lower wave wins",
        "msg.id > self.wave",
        "self.wave in (0, self.id) and msg.id < self.wave or not self.wave",
        "claims",
    ),
    Mutant(ECHO_EXTINCTION, "waves are not extinguished", "if msg.id == self.wave:", "if True:", "agreement"),
    Mutant(
        ECHO_EXTINCTION,
        "what was heard of a wave counts for the next",
        "self.heard = msg.id, port, 0",
        "self.heard = msg.id, port, self.heard",
        "agreement",
    ),
    Mutant(
        ECHO_EXTINCTION,
        "the father stays",
        "self.father, self.heard = msg.id, port, 0",
        "self.heard = msg.id, 0",
        "agreement",
    ),
    Mutant(
        ECHO_EXTINCTION,
        "one neighbour is not awaited",
        "== len(self.ports)",
        "== max(1, len(self.ports) - 1)",
        "claims",
    ),
    Mutant(
        ECHO_EXTINCTION,
        "waves go back at once",
        "self.send_on(port, msg)\n        if",
        "self.broadcast(msg)\n        if",
        "claims",
    ),
    Mutant(ECHO_EXTINCTION, "the echo goes everywhere", "self.send(self.father, msg)", "self.broadcast(msg)", "claims"),
    without(ECHO_EXTINCTION, "the winner keeps it to itself", "self.broadcast(Leader(self.id))", "claims"),
    Mutant(
        ECHO_EXTINCTION,
        "the news goes back",
        "self.elect(msg.id)\n            self.send_on(port, msg)",
        "self.elect(msg.id)\n            self.broadcast(msg)",
        "claims",
    ),
    Mutant(ECHO_EXTINCTION, "the news circles for ever", "if self.leader is None:", "if True:", "claims"),
    Mutant(
        FLOOD_MAX, "one round too few", "== self.view.diameter", "== max(1, (self.view.diameter or 0) - 1)", "claims"
    ),
    Mutant(
        FLOOD_MAX,
        "one round too many",
        "self.round == self.view.diameter",
        "self.round - 1 == self.view.diameter",
        "claims",
    ),
    Mutant(FLOOD_MAX, "the lowest is told", "max(self.highest, *self", "min(self.highest, *self", "claims"),
    Mutant(
        FLOOD_MAX, "one neighbour is not awaited", "== len(self.ports)", "== max(1, len(self.ports) - 1)", "agreement"
    ),
    Mutant(FLOOD_MAX, "rounds are mixed up", "setdefault(msg.round, [])", "setdefault(self.round, [])", "agreement"),
    Mutant(
        FLOOD_MAX,
        "everybody tells of itself alone",
        "Flood(self.round, self.highest)",
        "Flood(self.round, self.id)",
        "claims",
    ),
    Mutant(FLOOD_MAX, "who is woken is silent", "self.on_start()\n        self.heard", "self.heard", "claims"),
    Mutant(
        FLOOD_MAX,
        "what it knew is forgotten",
        "max(self.highest, *self.heard.pop(self.round))",
        "max(self.heard.pop(self.round))",
        "claims",
    ),
    Mutant(FLOOD_MAX, "the round stands still", "self.round += 1", "self.round = 1", "claims"),
    twice(FLOOD_MAX, "all is said twice", "self.broadcast(Flood(self.round, self.highest))", "claims"),
    twice(INVITATION, "everybody is asked twice", "self.send(port, AreYouCoordinator())"),
    without(INVITATION, "nobody is ready", "self.send(port, Ready(msg.epoch))"),
    Mutant(
        INVITATION,
        "late answers are lost",
        "        self.found[port] = theirs\n",
        '        if "merge" in self.armed:\n            self.found[port] = theirs\n',
        "interleavings",
    ),
    Mutant(
        INVITATION,
        "what is passed on is one's own",
        "self.send(member, msg)",
        "self.send(member, Invitation(*self.group))",
        "late",
    ),
    Mutant(INVITATION, "nothing is passed on", "(*self.members, *astray)", "()", "late"),
    Mutant(INVITATION, "any invitation is accepted", "<= self.group:", "== self.group:", "late"),
    Mutant(INVITATION, "groups are not above those found", "epoch + (coordinator >= self.id)", "epoch", "late"),
    Mutant(INVITATION, "who is asked does not remember", "if self.group[1] in self.suspected:", "if False:", "claims"),
    Mutant(
        INVITATION,
        "the dead are not missed",
        "if port == self.group[1]:\n            self.leave()\n        self.seek()",
        "self.seek()",
        "resilience",
    ),
    Mutant(
        INVITATION,
        "groups have one number",
        "return epoch * (self.n + 1) + sum(port <= coordinator for port in (self.id, *self.ports))",
        "return epoch",
        "late",
    ),
    twice(SUBLINEAR, "a rank is told twice", "self.send(port, Rank(self.rank))", "claims"),
    without(SUBLINEAR, "referees are silent", "self.send(port, Best(best))", "claims"),
    Mutant(
        SUBLINEAR,
        "one referee is not asked",
        "in self.rng.sample(self.ports, _referees(self.n)):",
        "in self.rng.sample(self.ports, _referees(self.n))[1:]:",
        "claims",
    ),
    Mutant(SUBLINEAR, "a candidate is not its own referee", "[self.rank, *(rank for", "[0, *(rank for", "agreement"),
    Mutant(SUBLINEAR, "ties go to all", "if ranks.count(max(ranks)) == 1 else 0", "", "agreement"),
    Mutant(SUBLINEAR, "the beaten win", "if self.beaten:", "if False:", "agreement"),
    Mutant(SUBLINEAR, "rounds are one", 'self.set_timer("answer", 2)', 'self.set_timer("answer", 0)', "agreement"),
    Mutant(
        SUBLINEAR,
        "it decides before all have answered",
        "self.answers == _referees(self.n)",
        "self.answers == 1",
        "interleavings",
    ),
    Mutant(SUBLINEAR, "who is no candidate does not know", "self.decline()\n            return", "return", "agreement"),
    Mutant(SUBLINEAR, "the one before wins", "self.elect(0)", "self.elect(1)", "agreement"),
    without(
        ZOOKEEPER_FLE,
        "a vote is not told",
        "self.vote = vote\n        self.broadcast(Notification(self.epoch, *vote, True))",
        "claims",
    ),
    twice(ZOOKEEPER_FLE, "a vote is told twice", "self.broadcast(Notification(self.epoch, *vote, True))", "claims"),
    Mutant(ZOOKEEPER_FLE, "the worst vote is taken over", "if vote > self.vote:", "if vote < self.vote:", "claims"),
    Mutant(ZOOKEEPER_FLE, "nobody waits for a better vote", "self.patience * self.finalize_wait", "0", "claims"),
    Mutant(
        ZOOKEEPER_FLE,
        "a minority decides",
        "    def init(self)",
        "    def is_majority(self, others): return others + 2 > self.n // 2\n\n    def init(self)",
        "minority",
    ),
    without(ZOOKEEPER_FLE, "who follows does not say so", "self.send(leader, FollowerInfo(self.epoch))", "claims"),
    twice(ZOOKEEPER_FLE, "who follows says so twice", "self.send(leader, FollowerInfo(self.epoch))", "claims"),
    without(ZOOKEEPER_FLE, "the leader keeps it to itself", "self.broadcast(LeaderInfo(self.epoch))", "claims"),
    Mutant(
        ZOOKEEPER_FLE,
        "who is woken votes for another",
        "max(vote, (self.accepted, self.id))",
        "vote if vote[1] else (self.accepted, self.id)",
        "claims",
    ),
    Mutant(ZOOKEEPER_FLE, "the dead keep their votes", "elif port == self.vote[1] or", "elif", "resilience"),
    Mutant(PAXOS, "ballots are not unique", "* self.n + rank", "* self.n", "agreement"),
    twice(PAXOS, "all are asked twice", "self.broadcast(Prepare(self.ballot))"),
    Mutant(
        PAXOS,
        "a ballot is not higher",
        "(self.epoch // self.n + 1) * self.n",
        "(self.epoch // self.n) * self.n",
        "claims",
    ),
    Mutant(PAXOS, "nothing is promised", "self.send(port, Promise(msg.ballot))", "pass"),
    twice(PAXOS, "a promise is said twice", "self.send(port, Promise(msg.ballot))"),
    Mutant(
        PAXOS,
        "a minority is enough",
        "    def init(self)",
        "    def is_majority(self, others): return others + 2 > self.n // 2\n\n    def init(self)",
        "minority",
    ),
    without(PAXOS, "the leader keeps it to itself", "self.broadcast(Accept(self.ballot))"),
    Mutant(PAXOS, "promises are not noted", "self.promises.add(port)", "pass"),
    Mutant(PAXOS, "everybody elects itself", "self.elect(port, msg.ballot)", "self.elect(self.id, msg.ballot)"),
    Mutant(
        PAXOS,
        "a suspicion is ignored",
        "not self.epoch or port == self.owner() or stranded",
        "not self.epoch or stranded",
        "claims",
    ),
    without(VIEWSTAMPED, "nobody hears who leaves", "self.broadcast(StartViewChange(view))"),
    twice(VIEWSTAMPED, "who leaves says so twice", "self.broadcast(StartViewChange(view))"),
    Mutant(
        VIEWSTAMPED,
        "one does not hear who leaves",
        "self.broadcast(StartViewChange(view))",
        "[self.send(port, StartViewChange(view)) for port in self.ports[1:]]",
    ),
    Mutant(
        VIEWSTAMPED,
        "who hears of a view does not leave for it",
        "self.change(msg.view)\n        if msg.view < self",
        "self.enter(msg.view)\n        if msg.view < self",
    ),
    Mutant(
        VIEWSTAMPED,
        "another is told",
        "self.primary(), DoViewChange(self.epoch))\n\n",
        "self.ports[0], DoViewChange(self.epoch))\n\n",
    ),
    Mutant(
        VIEWSTAMPED,
        "the primary is told again and again",
        "self.told = True\n        if self.primary",
        "if self.primary",
    ),
    Mutant(
        VIEWSTAMPED,
        "there is a gap between views",
        "stranded:\n            self.change(self.epoch + 1)",
        "stranded:\n            self.change(self.epoch + 2)",
        "claims",
    ),
    without(VIEWSTAMPED, "the primary keeps it to itself", "self.broadcast(StartView(self.epoch))"),
    Mutant(
        VIEWSTAMPED,
        "everybody elects itself",
        "self.elect(port, self.epoch)",
        "self.elect(self.id, self.epoch)",
    ),
    Mutant(VIEWSTAMPED, "the old primary stays", "or port == self.primary()", "", "claims"),
)
