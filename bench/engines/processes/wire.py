"""What travels through an inbox: frames of at most PIPE_BUF bytes, so that a write is whole or not at all.

A frame is a header, a piece of the encoded message and the excluded positions of its key (two bytes each). A message that
does not fit goes as several frames of one source and sequence number; all but the last carry MORE.
"""

import select
import struct

import msgspec

# length, flags, kind, generation, source, excluded positions, sequence, depth, number of the key, port, time sent (ns)
HEADER = struct.Struct("<HBBIHHIIIqq")
FLAGS = 2  # where in a header the flags are
MORE = 1
ORDER = 2
ASIDE = 4  # a message of the failure detector, or a periodic one: no election traffic
PIPE_BUF = select.PIPE_BUF
READ = 1 << 16  # at least as much as a pipe holds: then a read never ends inside a frame

# Orders of the launcher: the kind of a frame with the flag ORDER. `number` is a position, `port` holds the flags below.
RESET, WAKE, SUSPECT, MARKER, COLLECT, BEGIN, TRUST, CUT, HEAL, HUSH = range(10)
INITIATOR = 1  # with RESET and SUSPECT: be ready to wake
BEGINS = 2  # with RESET: the measured interval begins at once
RECOVERS = 4  # with RESET: come back from a crash; with SUSPECT: learn of one that is past

encode = msgspec.msgpack.Encoder().encode


def order(kind: int, generation: int, sequence: int, number: int = 0, port: int = 0) -> bytes:
    """A frame of the launcher's."""
    return HEADER.pack(HEADER.size, ORDER, kind, generation, 0, 0, sequence, 0, number, port, 0)


def frames(
    kind: int,
    generation: int,
    source: int,
    down: bytes,
    sequence: int,
    depth: int,
    number: int,
    port: int,
    sent_ns: int,
    body: bytes,
) -> list[bytes]:
    """The frames of one message, as many as PIPE_BUF asks for.

    Raises:
        ValueError: if the excluded positions alone fill a frame.
    """
    room = PIPE_BUF - HEADER.size - len(down)
    pieces = [body[i : i + room] for i in range(0, len(body), room)]
    last = len(pieces) - 1
    return [
        HEADER.pack(
            HEADER.size + len(down) + len(piece),
            MORE if i < last else 0,
            kind,
            generation,
            source,
            len(down) // 2,
            sequence,
            depth,
            number,
            port,
            sent_ns,
        )
        + piece
        + down
        for i, piece in enumerate(pieces)
    ]
