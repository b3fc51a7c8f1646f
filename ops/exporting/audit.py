"""Reading of nominative streams by commands is audited before the first byte, and at its end.

Source: ops/stewards/seen.py does the same for what stewards see.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
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
        what: How it is asked for; never a value of a field.

    Raises:
        TransientError: It cannot be audited: then it is not read either.
    """
    tally = Tally()
    if asker is None:
        yield tally
        return
    subject = f"stream {stream.value}: {what}"
    await _append(pool, asker, "stream_read", subject)
    try:
        yield tally
    finally:
        await _append(pool, asker, "stream_read_ended", f"{subject}: {tally.events} given")


async def _append(pool: Pool, asker: Asker, action: str, subject: str) -> None:
    async with lent(pool) as connection:
        await connection.fetchval(AUDIT, asker.actor, action, subject, asker.reason)
