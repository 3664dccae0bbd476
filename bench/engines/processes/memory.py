"""The memory that a cluster shares: what each node writes about itself, and only that node.

One anonymous mapping made before the forks, so that what was written survives SIGKILL and costs no message:

    ids | scenario | for each node: words, counters, error, record | for each node: event log

The ids stay here, where all nodes read the same ones: each with a tuple of its own had 84 bytes for each id, 8 GB in all
on a ring of 10,000 [measured].

Words are 8 bytes, written whole. `TRAFFIC` holds the messages sent (high half) and handled (low half) side by side; a node
writes log record, word, pipe, in that order, and counts a message as handled only after all its effects. `BUSY` is 0 for
an idle node, else `WORKING`, `FAILED`, or the time (ns) at which its next timer is due.
"""

import mmap
import struct
import time
from array import array
from bisect import bisect_left
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from bench.engines.processes import wire
from bench.scenario import Scenario

TRAFFIC, BUSY, ACK, SINCE, LOG_LOST = range(5)
RECEIVED, STALE, TIMEOUTS, DEPTH, MAX_HOP, CPU, RSS, SWITCHES, LEADER, SUSPECTS, DROPPED, DUPLICATED = range(5, 17)
COUNTS = 18
KINDS = 32  # kinds of message that a page may have, Reelection's and the detector's included
BYTES = COUNTS + KINDS
WORDS = BYTES + KINDS
IDLE, WORKING, FAILED = 0, 1, 2
ERROR_BYTES, RECORD_BYTES = 1024, 384
LINE = 64  # bytes that a processor fetches at once; no block shares one with another
BLOCK = -(-(WORDS * 8 + ERROR_BYTES + RECORD_BYTES) // LINE) * LINE

# A record has room for a frame: that of a message that was sent lies there as it left, and what other records tell lies
# where it would in a frame. A log costs what it takes to pack it: eleven values 0.13 us, the five or six of a message 0.09.
BODY = 24  # bytes of a message that are kept
# what, peer, size, kind, sequence, depth, number, value, check, body, time (ns)
RECORD = struct.Struct(f"<BxHI3xB8xIIIqq{BODY}sq")
SEND_RECORD = struct.Struct(f"<BxHI{wire.HEADER.size + BODY}sq")  # what, peer, size, frame, time
RECEIVE_RECORD = struct.Struct(f"<BxH7xB8xI4xI{16 + BODY}xq")  # what, peer, kind, sequence, number, time
SEND, RECEIVE, ELECT, START, SUSPECTED, TIMER, EPOCH, DROP, DUPLICATE, TRUSTED, AMBUSHED, CUT_OFF = range(1, 13)


_encode, _decode = msgspec.msgpack.Encoder().encode, msgspec.msgpack.Decoder(Scenario).decode


class Record(NamedTuple):
    """One entry of an event log. The time is written last: who is killed before leaves no record.

    Attributes:
        what: SEND, RECEIVE, ELECT, START, SUSPECTED, TIMER, EPOCH, DROP and DUPLICATE (by the transport), TRUSTED,
            AMBUSHED (the node kills itself now) or CUT_OFF.
        peer: position of the other side (SEND, RECEIVE, DROP, DUPLICATE, SUSPECTED, TRUSTED).
        size: encoded bytes of the message (SEND).
        kind: index of the message kind (SEND, RECEIVE, DROP, DUPLICATE).
        sequence: number of the message at its source (SEND, RECEIVE, DROP, DUPLICATE).
        depth: length of the longest chain of messages that ends with this one (SEND).
        number: term (ELECT), number of the key (SEND, RECEIVE, DROP, DUPLICATE) or epoch (EPOCH).
        value: leader (ELECT), or how many links are cut (CUT_OFF); where it is a SEND, the frame's port.
        check: checksum of the key's excluded positions (ELECT); where it is a SEND, the frame's time.
        body: the encoded message (SEND), or the name of the timer (TIMER), cut at `BODY` bytes; what is shorter is followed
            by what has no meaning.
        time: CLOCK_MONOTONIC, in ns, of the event that it belongs to.
    """

    what: int
    peer: int = 0
    size: int = 0
    kind: int = 0
    sequence: int = 0
    depth: int = 0
    number: int = 0
    value: int = 0
    check: int = 0
    body: bytes = b""
    time: int = 0


def read_records(log: bytes | memoryview) -> Iterator[Record]:
    """The records of a log, oldest first."""
    return map(Record._make, RECORD.iter_unpack(log))


def last_record(log: bytes | memoryview) -> Record:
    """The last record of a log that has one."""
    return next(read_records(log[-RECORD.size :]))


class Memory:
    """The mapping of a cluster of n nodes whose logs hold `capacity` records each."""

    def __init__(self, n: int, capacity: int) -> None:
        self.n, self.capacity = n, capacity
        self.scenario, self.scenario_bytes = 8 * n, (1 << 14) + 16 * n
        self.blocks = -(-(self.scenario + self.scenario_bytes) // LINE) * LINE
        self.logs = self.blocks + n * BLOCK
        self.map = mmap.mmap(-1, self.logs + n * capacity * RECORD.size)
        self.ids = memoryview(self.map)[: self.scenario].cast("q")
        self.words = memoryview(self.map)[self.blocks : self.logs].cast("Q")
        self.log_words = memoryview(self.map)[self.logs :].cast("q")

    def word(self, node: int) -> int:
        """Index into `words` of the first word of `node`."""
        return node * (BLOCK // 8)

    def write_scenario(self, scenario: Scenario) -> None:
        """Leave the scenario of the next trial where every node reads it.

        Raises:
            ValueError: if it is too long.
        """
        data = _encode(msgspec.structs.replace(scenario, ids=()))
        if len(data) + 4 > self.scenario_bytes:
            raise ValueError(f"a scenario of {len(data)} bytes does not fit into {self.scenario_bytes}")
        self.ids[:] = array("q", scenario.ids)
        self.map[self.scenario : self.scenario + 4 + len(data)] = struct.pack("<I", len(data)) + data

    def read_scenario(self) -> Scenario:
        """The scenario of the current trial; its ids are a view of this memory, to be read like a tuple."""
        (length,) = struct.unpack_from("<I", self.map, self.scenario)
        start = self.scenario + 4
        return msgspec.structs.replace(_decode(self.map[start : start + length]), ids=self.ids)

    def clear(self, node: int) -> None:
        """Zero all words of `node` but its acknowledgement; its log begins now."""
        first = self.word(node)
        ack = self.words[first + ACK]
        start = self.blocks + node * BLOCK
        self.map[start : start + BLOCK] = bytes(BLOCK)
        self.words[first + ACK] = ack
        self.words[first + SINCE] = time.monotonic_ns()

    def write_error(self, node: int, text: str) -> None:
        """Leave a message about what `node` raised."""
        data = text.encode()[: ERROR_BYTES - 1]
        start = self.blocks + node * BLOCK + WORDS * 8
        self.map[start : start + len(data)] = data

    def read_error(self, node: int) -> str:
        """What `write_error` left, or nothing."""
        start = self.blocks + node * BLOCK + WORDS * 8
        return self.map[start : start + ERROR_BYTES].rstrip(b"\0").decode(errors="replace")

    def write_record(self, node: int, data: bytes) -> None:
        """Stable storage of `node`.

        Raises:
            ValueError: if the record is too long.
        """
        if len(data) + 2 > RECORD_BYTES:
            raise ValueError(f"a saved record of {len(data)} bytes does not fit into {RECORD_BYTES - 2}")
        start = self.blocks + node * BLOCK + WORDS * 8 + ERROR_BYTES
        self.map[start : start + 2 + len(data)] = struct.pack("<H", len(data)) + data

    def read_record(self, node: int) -> bytes:
        """What `write_record` left, or nothing."""
        start = self.blocks + node * BLOCK + WORDS * 8 + ERROR_BYTES
        (length,) = struct.unpack_from("<H", self.map, start)
        return self.map[start + 2 : start + 2 + length]

    def read_words(self, node: int) -> tuple[int, ...]:
        """A copy of all words of `node`."""
        first = self.word(node)
        return tuple(self.words[first : first + WORDS])

    def log_offset(self, node: int) -> int:
        """Where the log of `node` begins."""
        return self.logs + node * self.capacity * RECORD.size

    def read_log(self, node: int) -> memoryview:
        """A view of the records of `node`, oldest first; those of trials before, whose times are lower, may follow them.

        No word says how many there are: to write it was a fifth of what a log costs.
        """
        start, since, size = self.log_offset(node), self.words[self.word(node) + SINCE] or 1, RECORD.size
        times, first = self.log_words, (start - self.logs + size) // 8 - 1
        logged = bisect_left(range(self.capacity), True, key=lambda i: times[first + i * size // 8] < since)
        return memoryview(self.map)[start : start + logged * size]
