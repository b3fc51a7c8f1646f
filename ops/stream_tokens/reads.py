"""Every read of names is in the audit chain before its first byte, and its end after the last.

Who, which stream, by which filter, from where; at the end how many events. Never an event, never
a value of one.
"""

from __future__ import annotations

from collections import deque
from typing import Final

import msgspec

from ops.runtime.metrics import METRICS
from ops.runtime.postgres import Pool, lent
from schemas.errors import HubError, TransientError
from schemas.topics import NOMINATIVE_STREAMS, Stream

from . import queries

_MOST_WAITING: Final = 10_000
_AT_ONCE: Final = 500
_MAX_ORIGIN: Final = 60


class Begun(msgspec.Struct, frozen=True, kw_only=True):
    """A read that stands in the chain."""

    entry: int
    """Its number there."""
    actor: str
    stream: Stream


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
                entry = await connection.fetchval(
                    queries.AUDIT,
                    actor,
                    "stream_read",
                    f"stream {stream.value}",
                    f"{told}; from {origin[:_MAX_ORIGIN] or 'somewhere'}",
                )
        except HubError as error:
            METRICS.errors.labels("stream_audit", error.reason).inc()
            raise _not_audited() from None
        return Begun(entry=entry, actor=actor, stream=stream)

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
