"""Reading of nominative streams by commands is audited before the first byte, and at its end.

As those of tokens over HTTP (ops/stream_tokens/reads.py): one look at the chain finds both.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Final

import msgspec

from ops.asking import Asker
from ops.register.labs import check_audit
from ops.runtime.postgres import Pool, lent
from schemas.errors import PermanentError
from schemas.topics import NOMINATIVE_STREAMS, Stream

AUDIT: Final = "SELECT audit_append($1, $2, $3, $4)"


class Tally(msgspec.Struct):
    """How many events or rows were given so far."""

    events: int = 0


def check_asked(stream: Stream, actor: str | None, reason: str) -> Asker | None:
    """Return who asks, None where nobody is to be named.

    Raises:
        PermanentError: `who_asks`: a stream that holds names is read by somebody, for a reason.
    """
    if stream in NOMINATIVE_STREAMS and not ((actor or "").strip() and reason.strip()):
        raise PermanentError(
            "who_asks", f"{stream.value} holds names: give --actor and --reason, for the audit"
        )
    if not actor:
        return None
    check_audit(actor=actor, reason=reason)
    return Asker(actor=actor, reason=reason)


@asynccontextmanager
async def audited(
    pool: Pool, asker: Asker | None, stream: Stream, what: str
) -> AsyncIterator[Tally]:
    """Note that a stream is read before a block, and how much was given after it, however it ends.

    Args:
        pool: Connections of the instance.
        asker: Who, and why; None: nothing is noted.
        stream: Which stream.
        what: How it is asked for, with its filter; never a value of an event.

    Raises:
        TransientError: It cannot be audited: then it is not read either.
    """
    tally = Tally()
    if asker is None:
        yield tally
        return
    entry = await _append(pool, asker, "stream_read", stream, f"{what}; {asker.reason}")
    try:
        yield tally
    finally:
        said = f"{tally.events} events of read {entry}"
        await _append(pool, asker, "stream_read_ended", stream, said)


def told(where: Iterable[tuple[str, str]]) -> str:
    """Return filters as they stand in the chain, behind what they belong to."""
    return "".join(f", {name}={value}" for name, value in where)


async def _append(pool: Pool, asker: Asker, action: str, stream: Stream, said: str) -> int:
    async with lent(pool) as connection:
        entry: int = await connection.fetchval(
            AUDIT, asker.actor, action, f"stream {stream.value}", said
        )
    return entry
