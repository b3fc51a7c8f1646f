"""Pauses and their ends, audited.

A stream that is paused is published to no topic and pushed to no receiver; its events wait in the
outbox, in their order. A laboratory that is paused is answered as always; each of its messages is
parked (`laboratory_paused`) until the pause ends, and then done again in its place.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

import msgspec

from ops.asking import Asker, check_asker
from ops.bootstrap import Hub
from ops.receivers import changes as receivers
from ops.releases import refuse_beside_older
from ops.replay import Replayable, append_replays
from ops.runtime.postgres import Connection, lent
from schemas.errors import PermanentError
from schemas.topics import STREAMS

from . import queries

STREAM: Final = "stream"
LABORATORY: Final = "laboratory"
RECEIVER: Final = "receiver"
_SCHEMA: Final = 21
"""Older processes know no pause of a stream or a laboratory."""
KINDS: Final = (STREAM, LABORATORY, RECEIVER)


class Paused(msgspec.Struct, frozen=True, kw_only=True):
    """Something that was told to wait."""

    what: str
    name: str
    paused_at: datetime | None
    """None: by a release that did not note it."""
    actor: str
    reason: str


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    """What of a laboratory's parked messages is in the log again, and how many wait still."""

    messages: int
    waiting: int


async def pause(connection: Connection, what: str, name: str, asker: Asker, now: datetime) -> None:
    """Let something wait.

    Raises:
        PermanentError: No word why, no such stream, laboratory or receiver, it waits already, or
            a process of an older release runs that would not let it wait.
    """
    _check(asker)
    if what == RECEIVER:
        await receivers.pause(connection, name, asker)
        return
    lab_id = await _known(connection, what, name)
    await refuse_beside_older(connection, _SCHEMA, f"a pause of a {what}")
    async with connection.transaction():
        done = await connection.fetchval(
            queries.PAUSE, what, name, lab_id, now, asker.actor, asker.reason
        )
        if done is None:
            raise PermanentError("paused_already", "`labdispatch pauses` says since when")
        await connection.fetchval(
            queries.AUDIT, asker.actor, "paused", f"{what} {name}", asker.reason
        )


async def resume(connection: Connection, what: str, name: str, asker: Asker) -> int | None:
    """Let something go on; return the number of a laboratory.

    Raises:
        PermanentError: No word why, or it does not wait.
        TransientError: Of a laboratory: a batch is under way for long; nothing was changed.
    """
    _check(asker)
    if what == RECEIVER:
        await receivers.resume(connection, name, "", asker)
        return None
    async with connection.transaction():
        if what == LABORATORY:
            # No batch is under way then, and none that comes parks for the pause any more: what
            # waits now is all there is.
            await connection.fetch(queries.STAND_STILL)
        rows = await connection.fetch(queries.RESUME, what, name)
        if not rows:
            raise PermanentError("not_paused", "`labdispatch pauses` names what is")
        await connection.fetchval(
            queries.AUDIT, asker.actor, "resumed", f"{what} {name}", asker.reason
        )
    lab_id: int | None = rows[0]["lab_id"]
    return lab_id


async def replay_paused(
    hub: Hub, lab_id: int, asker: Asker, progress: Callable[[int], None] = lambda _: None
) -> int:
    """Do again what was parked while a laboratory was paused, in its order; say how many.

    Bounded: so many a second as is set, so that the line of all others is not slowed. Stopped and
    asked for again (`parked replay --for laboratory_paused`) it goes on with what is left; what is
    done twice changes nothing.
    """
    return (await replay_some(hub, lab_id, asker, sys.maxsize, progress)).messages


async def replay_some(
    hub: Hub,
    lab_id: int,
    asker: Asker,
    most: int,
    progress: Callable[[int], None] = lambda _: None,
) -> Replayed:
    """Do so many of them again at most, in their order."""
    page = max(1, int(hub.settings.replay_per_second))
    total, after = 0, -1
    while total < most:
        async with lent(hub.pool) as connection:
            rows = await connection.fetch(queries.TO_REPLAY, lab_id, after, min(page, most - total))
        if not rows:
            return Replayed(messages=total, waiting=0)
        originals = [Replayable(**dict(row)) for row in rows]
        await append_replays(hub, originals, reason=asker.reason, actor=asker.actor)
        total, after = total + len(rows), rows[-1]["offset"]
        progress(total)
        await asyncio.sleep(1.0)
    async with lent(hub.pool) as connection:
        waiting: int = await connection.fetchval(queries.LEFT, lab_id, after)
    return Replayed(messages=total, waiting=waiting)


async def list_paused(connection: Connection) -> list[Paused]:
    """Return what waits, the longest first."""
    return [Paused(**dict(row)) for row in await connection.fetch(queries.LIST)]


def paused_as_text(found: Sequence[Paused], now: datetime) -> str:
    """Write it for a person."""
    if not found:
        return "nothing is paused\n"
    return "".join(
        f"{each.what} {each.name}: {_age(each.paused_at, now)},"
        f" by {each.actor or '?'}: {each.reason}\n"
        for each in found
    )


def _age(since: datetime | None, now: datetime) -> str:
    return "?" if since is None else f"for {(now - since).total_seconds() / 3600:.1f} h"


async def _known(connection: Connection, what: str, name: str) -> int | None:
    if what == STREAM:
        if name not in {each.value for each in STREAMS}:
            raise PermanentError("no_such_stream", f"the streams are {', '.join(STREAMS)}")
        return None
    lab_id: int | None = await connection.fetchval(queries.LAB, name)
    if lab_id is None:
        raise PermanentError("no_such_laboratory", "`labdispatch labs list` names them")
    return lab_id


def _check(asker: Asker) -> None:
    check_asker(asker)
    if not asker.reason.strip():
        raise PermanentError("bad_reason", "say why: it stands in the audit trail")
