"""Reports asked again: one by name, and those that a laboratory's new mapping may answer.

Each is a replay: a record of the log in its laboratory's line, mapped with today's table. A doubt
that is gone releases the stream by itself; one that stays keeps its `since`.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Final
from uuid import UUID

from ops.asking import Asker
from ops.bootstrap import Hub
from ops.replay import append_replay
from ops.runtime.logs import get_logger
from ops.runtime.metrics import METRICS
from ops.runtime.postgres import Connection, translated
from schemas.errors import PermanentError, TransientError
from schemas.topics import STREAMS

from . import queries
from .looking import no_such_report
from .reasons import BY_MAPPING

_log = get_logger(__name__)

_ACTOR: Final = "hub"
_WHY: Final = "the laboratory's mapping has changed"


async def retry(hub: Hub, report: UUID, asker: Asker) -> UUID:
    """Replay the message that a report stands on; return the replay's message id.

    Raises:
        PermanentError: No such report, its message is gone, or no word why.
    """
    with translated():
        async with hub.pool.acquire() as connection:
            row = await connection.fetchrow(queries.REPORT, report)
    if row is None:
        raise no_such_report()
    found = await append_replay(
        hub,
        partition=row["partition"],
        offset=row["offset"],
        reason=asker.reason,
        actor=asker.actor,
    )
    METRICS.hold_retries.inc()
    return found


async def recheck(hub: Hub, page: int, after_seconds: float) -> bool:
    """Ask a page of one laboratory's waiting reports again; say whether there was a laboratory.

    One process does it at a time. No transaction is open while the log is appended to, and how far
    it came is kept after each append: whatever fails, what was asked is not asked in every round
    again. A kill between the two asks one message twice, and the second time changes nothing.
    """
    with translated():
        async with hub.pool.acquire() as connection:
            if not await connection.fetchval(queries.ALONE):
                return False
            try:
                return await _recheck(hub, connection, page, after_seconds)
            finally:
                await connection.fetchval(queries.ALONE_NO_MORE)


async def _recheck(hub: Hub, connection: Connection, page: int, after_seconds: float) -> bool:
    before = hub.clock.now() - timedelta(seconds=after_seconds)
    lab = await connection.fetchrow(queries.RECHECK, before)
    if lab is None:
        return False
    which = lab["lab_id"], lab["changed_at"]
    rows = await connection.fetch(
        queries.TO_RECHECK,
        lab["lab_id"],
        list(BY_MAPPING),
        [each.value for each in STREAMS],
        lab["after_report"],
        page,
    )
    asked: set[tuple[int, int]] = set()
    for row in rows:
        place = row["partition"], row["offset"]
        if place not in asked:
            asked.add(place)
            await _ask(hub, *place)
            if await connection.fetchval(queries.MOVE, *which, row["report_id"]) is None:
                return True  # the mapping has changed again: all of it is asked anew
    if len(rows) < page:
        await connection.execute(queries.DONE, *which)
    else:
        await connection.fetchval(queries.MOVE, *which, rows[-1]["report_id"])
    return True


async def _ask(hub: Hub, partition: int, offset: int) -> None:
    try:
        await append_replay(hub, partition=partition, offset=offset, reason=_WHY, actor=_ACTOR)
    except PermanentError as error:
        # Its message is gone, or cannot be read: it waits for a person as before.
        METRICS.errors.labels("holds", error.reason).inc()
    else:
        METRICS.hold_retries.inc()


async def keep_rechecking(hub: Hub) -> None:
    """Go on for ever with what new mappings may answer."""
    settings = hub.settings
    known_everywhere = 2 * settings.register_refresh_seconds
    while True:
        try:
            if await recheck(hub, settings.hold_retry_page, known_everywhere):
                _log.info("holds_asked_again")
        except TransientError as error:
            METRICS.errors.labels("holds", error.reason).inc()
        await asyncio.sleep(settings.hold_retry_seconds)
