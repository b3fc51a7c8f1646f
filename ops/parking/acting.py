"""What people do with parked messages: an owner, a replay, an end. Who and why stand in the audit.

A selection is bounded and told before anything is done. Messages of a laboratory are done again in
the order in which they came; their places, and the times at which they came, stay.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from ops.asking import Asker, check_asker
from ops.bootstrap import Hub
from ops.replay import Replayable, append_replays
from ops.runtime.metrics import METRICS
from ops.runtime.postgres import Connection, lent
from schemas.errors import PermanentError

from . import queries
from .looking import Plan, Wish, check_wish, plan_of, rows_of

_MAX_OWNER: Final = 200


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """What was done, or with `dry_run` would be."""

    dry_run: bool
    plan: Plan
    done: int
    """Messages; others were settled meanwhile."""


async def assign(hub: Hub, wish: Wish, owner: str, asker: Asker, *, dry_run: bool) -> Done:
    """Give messages an owner; empty: nobody.

    Raises:
        PermanentError: No word why, nothing selected, or an owner that is too long.
    """
    if len(owner) > _MAX_OWNER:
        raise PermanentError("bad_owner", f"give at most {_MAX_OWNER} characters")
    ids: list[UUID] = []
    async with _selection(hub, wish, asker) as (connection, rows):
        if not dry_run:
            async with connection.transaction():
                changed = await connection.fetch(queries.ASSIGN, *_places(rows), owner)
                ids = _ids(rows, changed)
                await _audit(connection, asker, "parked_assigned", ids)
    return _done(wish, rows, "assigned", len(ids), dry_run=dry_run)


async def replay(hub: Hub, wish: Wish, asker: Asker, *, dry_run: bool) -> Done:
    """Put messages into the log again, each in its laboratory's line, in the order they came.

    Raises:
        PermanentError: No word why, or nothing selected.
    """
    async with _selection(hub, wish, asker) as (_, rows):
        originals = sorted(
            (
                Replayable(
                    partition=row["partition"],
                    offset=row["offset"],
                    lab_id=row["lab_id"],
                    message_id=row["message_id"],
                    control_key=row["control_key"],
                )
                for row in rows
            ),
            key=lambda each: (each.partition, each.offset),
        )
    if not dry_run:
        await append_replays(hub, originals, reason=asker.reason, actor=asker.actor)
    return _done(wish, rows, "replayed", 0 if dry_run else len(rows), dry_run=dry_run)


async def discard(hub: Hub, wish: Wish, asker: Asker, *, dry_run: bool) -> Done:
    """End messages: parked, discarded. The bytes stay as long as those of any message.

    Raises:
        PermanentError: No word why, or nothing selected.
    """
    ids: list[UUID] = []
    async with _selection(hub, wish, asker) as (connection, rows):
        if not dry_run:
            at = hub.clock.now()
            async with connection.transaction():
                ids = await _discard(connection, rows, at)
                await _audit(connection, asker, "parked_discarded", ids)
    return _done(wish, rows, "discarded", len(ids), dry_run=dry_run)


async def _discard(connection: Connection, rows: list[Any], at: datetime) -> list[UUID]:
    held = await connection.fetch(queries.LOCK_ENDINGS, *_places(rows))
    ended = await connection.fetch(queries.DISCARD, *_places(held), at)
    await connection.execute(queries.END, *_places(ended), at)
    return _ids(rows, ended)


@asynccontextmanager
async def _selection(
    hub: Hub, wish: Wish, asker: Asker
) -> AsyncIterator[tuple[Connection, list[Any]]]:
    """Hold a connection and the rows of a wish for a block."""
    check_asker(asker)
    if not asker.reason.strip():
        raise PermanentError("bad_reason", "say why: it stands in the audit trail")
    check_wish(wish, hub.settings.parked_at_once)
    if not wish.asks:
        raise PermanentError("name_some", "name messages, a reason, a laboratory or a time")
    async with lent(hub.pool) as connection:
        yield connection, await rows_of(connection, wish)


async def _audit(connection: Connection, asker: Asker, action: str, ids: list[UUID]) -> None:
    if ids:
        await connection.fetch(queries.AUDIT_ALL, asker.actor, action, asker.reason, ids)


def _ids(rows: list[Any], places: list[Any]) -> list[UUID]:
    """Return the messages of some places."""
    known = {(row["partition"], row["offset"]): row["message_id"] for row in rows}
    return [known[place["partition"], place["offset"]] for place in places]


def _places(rows: list[Any]) -> tuple[list[int], list[int]]:
    return [row["partition"] for row in rows], [row["offset"] for row in rows]


def _done(wish: Wish, rows: list[Any], what: str, done: int, *, dry_run: bool) -> Done:
    METRICS.parked_acts.labels(what).inc(done)
    return Done(dry_run=dry_run, plan=plan_of(rows, wish.limit), done=done)
