"""Every read of names is in the audit chain before its first byte, and its end after the last.

Who, which stream, by which filter, from where; at the end how many events. Never an event, never
a value of one.
"""

from __future__ import annotations

from collections import deque
from typing import Final

import msgspec

from ops.runtime.metrics import METRICS
from ops.runtime.postgres import Connection, Pool, lent
from schemas.errors import HubError, TransientError
from schemas.topics import NOMINATIVE_STREAMS, Stream

from . import queries

_MOST_WAITING: Final = 10_000
_AT_ONCE: Final = 500
_MAX_ORIGIN: Final = 60
READ: Final = "stream_read"


class Begun(msgspec.Struct, frozen=True, kw_only=True):
    """A read that stands in the chain."""

    entry: int
    """Its number there."""
    actor: str
    stream: Stream


async def note_read(
    connection: Connection, *, actor: str, stream: Stream, told: str, origin: str, reason: str = ""
) -> Begun | None:
    """Append a read to the chain, before anything is given; None: the stream has no names.

    For HTTP, and for commands that print or export a stream.

    Args:
        connection: Of the database.
        actor: Who reads.
        stream: What is read.
        told: The filter as one line.
        origin: Where from: an address, or this machine.
        reason: Why, where it is said.

    Raises:
        PermanentError: A text that cannot stand in the chain.
    """
    if stream not in NOMINATIVE_STREAMS:
        return None
    said = f"{told}; from {origin[:_MAX_ORIGIN] or 'somewhere'}" + (f": {reason}" if reason else "")
    entry = await connection.fetchval(queries.AUDIT, actor, READ, f"stream {stream.value}", said)
    return Begun(entry=entry, actor=actor, stream=stream)


async def note_end(connection: Connection, begun: Begun | None, events: int, how: str) -> None:
    """Append the end of a read: how many events were given."""
    if begun is not None:
        actor, subject, told = _end(begun, events, how)
        await connection.execute(queries.AUDIT_ENDS, [actor], [subject], [told])


class ReadAudit:
    """The reads of one process.

    A beginning is written before it returns, or the read is refused. An end is kept here until it
    is written, for a reader that has gone cannot wait; one of a process that was killed is missing,
    and the beginning stands.

    Args:
        pool: Connections to the database.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._ends: deque[tuple[str, str, str]] = deque()

    async def begin(self, *, actor: str, stream: Stream, told: str, origin: str) -> Begun | None:
        """Have a read in the chain.

        Raises:
            TransientError: It cannot be (`read_not_audited`): nothing may be given.
        """
        if stream not in NOMINATIVE_STREAMS:
            return None
        if len(self._ends) >= _MOST_WAITING:
            raise _not_audited()
        try:
            async with lent(self._pool) as connection:
                return await note_read(
                    connection, actor=actor, stream=stream, told=told, origin=origin
                )
        except HubError as error:
            METRICS.errors.labels("stream_audit", error.reason).inc()
            raise _not_audited() from None

    def end(self, begun: Begun | None, events: int, how: str) -> None:
        """Keep the end of a read until it is written."""
        if begun is not None:
            self._ends.append(_end(begun, events, how))
            METRICS.stream_audit_waiting.set(len(self._ends))

    async def flush(self) -> None:
        """Write the ends that wait; never raises. An answer that got lost can give one twice."""
        while self._ends:
            some = [self._ends[n] for n in range(min(_AT_ONCE, len(self._ends)))]
            try:
                async with lent(self._pool) as connection:
                    await connection.execute(
                        queries.AUDIT_ENDS, *(list(each) for each in zip(*some, strict=True))
                    )
            except HubError as error:
                METRICS.errors.labels("stream_audit", error.reason).inc()
                return
            for _ in some:
                self._ends.popleft()
            METRICS.stream_audit_waiting.set(len(self._ends))


def _end(begun: Begun, events: int, how: str) -> tuple[str, str, str]:
    return (
        begun.actor,
        f"stream {begun.stream.value}",
        f"{events} events of read {begun.entry}, {how}",
    )


def _not_audited() -> TransientError:
    return TransientError(
        "read_not_audited",
        "a read of names stands in the audit chain or does not happen, and it cannot be written"
        " now: ask again, your cursor is good",
    )
