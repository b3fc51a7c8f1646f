"""A range done again: what differs is put into the log, in its laboratory's line, so many a second.

One at a time. How far it came stands in `replay_run_place` after each page, so a kill costs a page
that is looked at once more. What is replayed twice changes nothing: `emitted` holds what each
stream was told, and a replay only ever tells the difference.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Final

import msgspec

from ops.asking import Asker, check_asker
from ops.bootstrap import Hub
from ops.replay import append_replays
from ops.runtime.metrics import METRICS
from ops.runtime.postgres import Connection, lent
from schemas.errors import PermanentError

from . import queries
from .looking import Looking
from .ranges import Range, Span, read_page, spans_of

_LISTED: Final = 50
Progress = Callable[[int], None]


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """A range that is or was done again."""

    run_id: int
    state: str
    from_at: datetime
    until_at: datetime
    laboratory: str
    stream: str
    actor: str
    reason: str
    asked_at: datetime
    ended_at: datetime | None
    looked: int
    differ: int
    replayed: int
    left_to_look: int
    """Places of the log; not all of them are messages of the range."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How fast: the live line goes first."""

    per_second: float
    page: int


def limits_of(hub: Hub) -> Limits:
    """Return how fast, from the settings."""
    settings = hub.settings
    return Limits(per_second=settings.replay_per_second, page=settings.replay_batch_messages)


async def rehearse_range(
    hub: Hub, looking: Looking, of: Range, limits: Limits, *, most: int, progress: Progress
) -> None:
    """Look at the messages of a range, `most` of them at most; nothing is written."""
    async with lent(hub.pool) as connection:
        spans = await spans_of(connection, of)
    looked = 0
    for begin in spans:
        span = begin
        while span.next_offset < span.end_offset and looked < most:
            started = time.monotonic()
            async with lent(hub.pool) as connection:
                page = await read_page(connection, of, span, limits.page)
            rows = page.rows[: most - looked]
            await looking.look(span.partition, rows)
            looked += len(rows)
            progress(looked)
            span = msgspec.structs.replace(span, next_offset=page.next_offset)
            await _paced(started, len(rows), limits)


async def begin(hub: Hub, of: Range, asker: Asker) -> int:
    """Note a range that is to be done again, with where each partition stands now.

    Raises:
        PermanentError: No word why, or another one is not done yet.
    """
    check_asker(asker)
    if not asker.reason.strip():
        raise PermanentError("bad_reason", "say why: it stands in the audit trail")
    async with lent(hub.pool) as connection:
        spans = await spans_of(connection, of)
        async with connection.transaction():
            run_id = await connection.fetchval(
                queries.BEGIN, of.since, of.until, of.lab_id, of.stream, asker.actor,
                asker.reason, hub.clock.now(),
            )  # fmt: skip
            if run_id is None:
                raise PermanentError(
                    "one_at_a_time", "another range is not done: --resume or --abandon it first"
                )
            await connection.execute(
                queries.PLACE,
                run_id,
                [span.partition for span in spans],
                [span.next_offset for span in spans],
                [span.end_offset for span in spans],
            )
            await connection.fetchval(
                queries.AUDIT, asker.actor, "replay_range", f"run {run_id}", asker.reason
            )
    return int(run_id)


async def go_on(hub: Hub, looking_of: Callable[[str], Looking], progress: Progress) -> Run:
    """Do the range that is noted, from where it stands to its end.

    Args:
        hub: The instance, with a log that can be appended to.
        looking_of: Makes what looks, for a stream or for all.
        progress: Told how many messages were looked at.

    Raises:
        PermanentError: None is noted, or another process does it now.
        TransientError: Database or log are away: it can be resumed.
    """
    limits = limits_of(hub)
    async with _alone(hub) as connection:
        row = await connection.fetchrow(queries.RUNNING)
        if row is None:
            raise PermanentError("nothing_runs", "no range is to be done again")
        run_id, asker = row["run_id"], Asker(actor=row["actor"], reason=row["reason"])
        of = Range(
            since=row["from_at"],
            until=row["until_at"],
            lab_id=row["lab_id"],
            stream=row["stream"],
        )
        looking = looking_of(of.stream)
        looked = row["looked"]
        for place in await connection.fetch(queries.PLACES, run_id):
            span = Span(**dict(place))
            while span.next_offset < span.end_offset:
                started = time.monotonic()
                page = await read_page(connection, of, span, limits.page)
                differing = await looking.look(span.partition, page.rows)
                await append_replays(hub, differing, reason=asker.reason, actor=asker.actor)
                async with connection.transaction():
                    moved = (run_id, span.partition, page.next_offset)
                    await connection.execute(queries.MOVE, *moved)
                    counts = len(page.rows), len(differing), len(differing)
                    await connection.execute(queries.COUNT, run_id, *counts)
                METRICS.replayed.inc(len(differing))
                looked += len(page.rows)
                progress(looked)
                span = msgspec.structs.replace(span, next_offset=page.next_offset)
                await _paced(started, len(page.rows), limits)
        await connection.fetchval(queries.END, run_id, "done", hub.clock.now())
        return next(run for run in await list_runs(connection) if run.run_id == run_id)


async def abandon(connection: Connection, asker: Asker, now: datetime) -> int:
    """End the range that is noted where it stands; what was replayed stays.

    Raises:
        PermanentError: No word why, or none is noted.
    """
    check_asker(asker)
    if not asker.reason.strip():
        raise PermanentError("bad_reason", "say why: it stands in the audit trail")
    async with connection.transaction():
        row = await connection.fetchrow(queries.RUNNING)
        if row is None:
            raise PermanentError("nothing_runs", "no range is to be done again")
        await connection.fetchval(queries.END, row["run_id"], "stopped", now)
        await connection.fetchval(
            queries.AUDIT,
            asker.actor,
            "replay_range_abandoned",
            f"run {row['run_id']}",
            asker.reason,
        )
    return int(row["run_id"])


async def list_runs(connection: Connection) -> list[Run]:
    """Return the last ranges, the newest first."""
    return [Run(**dict(row)) for row in await connection.fetch(queries.LIST, _LISTED)]


@asynccontextmanager
async def _alone(hub: Hub) -> AsyncIterator[Connection]:
    """Hold the one place of a range for a block, by the session of a connection."""
    async with lent(hub.pool) as session:
        if not await session.fetchval(queries.ALONE):
            raise PermanentError("one_at_a_time", "another process does it now")
        try:
            yield session
        finally:
            await session.fetchval(queries.ALONE_NO_MORE)


async def _paced(started: float, records: int, limits: Limits) -> None:
    """Wait until so many records may have been looked at."""
    due = started + records / limits.per_second
    await asyncio.sleep(max(0.0, due - time.monotonic()))
