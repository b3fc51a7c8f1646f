"""Where a reader of a stream stands: opaque texts that hold across restarts of either side.

Nothing is stored for a reader. A cursor is the last seq it has of every partition; of a reader that
is still taking the present state in, it says besides up to where that state goes. A filter is no
part of it: the same cursor goes on with any.
"""

from __future__ import annotations

import binascii
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from schemas.errors import PermanentError
from schemas.topics import Stream

PLAIN: Final = 1
SNAPSHOT: Final = 2
"""Versions: what a release does not know it refuses, and never reads it as something else."""
_MOST_BYTES: Final = 16_384
"""Of a text: more than any number of partitions gives."""
_TO_URL: Final = bytes.maketrans(b"+/", b"-_")
_FROM_URL: Final = bytes.maketrans(b"-_", b"+/")
_ALPHABET: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


class Lane(msgspec.Struct, frozen=True, kw_only=True):
    """One partition of a stream: its first seq still there, and its last."""

    begins: int
    last_seq: int


class Cursor(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Where a reader stands: the last seq it has of every partition.

    A partition in `fresh` has given it nothing yet: what retention took there is no loss to it.
    With `until` it takes in the state as it was at these positions: of each part of a report the
    newest version up to there. Once it has reached them it goes on with every event behind.
    """

    version: int
    stream: Stream
    positions: tuple[int, ...]
    fresh: tuple[int, ...] = ()
    until: tuple[int, ...] = ()


class CursorExpired(PermanentError):
    """What comes next is gone.

    Args:
        oldest: The cursor that begins with the oldest event kept.
    """

    def __init__(self, oldest: str) -> None:
        super().__init__(
            "cursor_expired",
            "retention has taken what comes next: go on from the oldest event kept (`oldest`),"
            " or take the present state in (state=latest)",
        )
        self.oldest = oldest


_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(Cursor)


def encode_cursor(cursor: Cursor) -> str:
    """Return the opaque text of a cursor, fit for a URL."""
    text = binascii.b2a_base64(_ENCODER.encode(cursor), newline=False)
    return text.translate(_TO_URL).rstrip(b"=").decode()


def decode_cursor(stream: Stream, text: str, partitions: int) -> Cursor:
    """Return the cursor of a text.

    Raises:
        PermanentError: `bad_cursor`: not one of ours, or one of another stream or instance.
    """
    try:
        raw = text.encode("ascii")
        if len(raw) > _MOST_BYTES or not _ALPHABET.issuperset(raw):
            raise bad_cursor()
        padded = raw.translate(_FROM_URL) + b"=" * (-len(raw) % 4)
        cursor = _DECODER.decode(binascii.a2b_base64(padded))
    except (ValueError, msgspec.MsgspecError):
        raise bad_cursor() from None
    if not _is_whole(cursor, stream, partitions):
        raise bad_cursor()
    return cursor


def _is_whole(cursor: Cursor, stream: Stream, partitions: int) -> bool:
    return (
        cursor.stream is stream
        and cursor.version == (SNAPSHOT if cursor.until else PLAIN)
        and len(cursor.positions) == partitions
        and len(cursor.until) in {0, partitions}
        and all(0 <= position < 1 << 63 for position in cursor.positions)
        and all(
            at <= end < 1 << 63 for at, end in zip(cursor.positions, cursor.until, strict=False)
        )
        and set(cursor.fresh) <= set(range(partitions))
    )


def start_of(stream: Stream, partitions: int) -> Cursor:
    """Return the cursor before every event there is or ever was."""
    return Cursor(
        version=PLAIN,
        stream=stream,
        positions=(0,) * partitions,
        fresh=tuple(range(partitions)),
    )


def oldest_of(stream: Stream, lanes: Mapping[int, Lane]) -> Cursor:
    """Return the cursor that begins with the oldest event kept."""
    return Cursor(
        version=PLAIN,
        stream=stream,
        positions=tuple(lanes[each].begins - 1 for each in range(len(lanes))),
        fresh=tuple(range(len(lanes))),
    )


def at(stream: Stream, positions: Sequence[int]) -> Cursor:
    """Return the cursor of a reader that has everything up to these positions."""
    return Cursor(version=PLAIN, stream=stream, positions=tuple(positions))


def snapshot_of(stream: Stream, lanes: Mapping[int, Lane]) -> Cursor:
    """Return the cursor that takes in the state as it is now, then goes on behind it."""
    until = tuple(lanes[each].last_seq for each in range(len(lanes)))
    if not any(until):
        return start_of(stream, len(lanes))
    return msgspec.structs.replace(oldest_of(stream, lanes), version=SNAPSHOT, until=until)


def bad_cursor() -> PermanentError:
    """Return the refusal of a text that is no cursor here."""
    return PermanentError(
        "bad_cursor", "not a cursor of this stream and instance: start without one"
    )
