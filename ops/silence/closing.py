"""Closures that are known: added and taken away, audited; a change is learned at the next look."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any, Final

import msgspec

from ops.asking import Asker
from ops.register.labs import check_audit, row_of
from ops.runtime.postgres import Connection
from schemas.errors import PermanentError

from . import queries

_MOST_DAYS: Final = 366
_SHOWN: Final = 5_000


class Closure(msgspec.Struct, frozen=True, kw_only=True):
    """Days on which a laboratory sends nothing, both included."""

    laboratory: str
    first_day: date
    last_day: date
    actor: str
    noted_at: datetime


async def add(
    connection: Connection,
    registry_id: str,
    first: date,
    last: date,
    *,
    asker: Asker,
    now: datetime,
) -> Closure:
    """Note that a laboratory is closed.

    Raises:
        PermanentError: No such laboratory, days in the wrong order or too many, or some of them
            are noted already.
    """
    check_audit(actor=asker.actor, reason=asker.reason)
    if not first <= last <= first + timedelta(days=_MOST_DAYS):
        raise PermanentError(
            "bad_closure", f"--to is --from or later, and within {_MOST_DAYS} days of it"
        )
    async with connection.transaction():
        row = await row_of(connection, queries.LOCK_LAB, registry_id)
        other = await connection.fetchrow(queries.OVERLAPS, row["lab_id"], first, last)
        if other is not None:
            raise PermanentError(
                "closure_overlaps",
                f"{other['first_day']} to {other['last_day']} is noted already: take it away first"
                f" (labs closure remove LAB --from {other['first_day']})",
            )
        await connection.execute(queries.ADD_CLOSURE, row["lab_id"], first, last, asker.actor, now)
        await _changed(connection, row, "closure_added", asker, f"{first} to {last}")
    return Closure(
        laboratory=row["registry_id"], first_day=first, last_day=last, actor=asker.actor,
        noted_at=now,
    )  # fmt: skip


async def remove(connection: Connection, registry_id: str, first: date, asker: Asker) -> date:
    """Take a closure away by its first day; return its last.

    Raises:
        PermanentError: No such laboratory, or none begins on that day.
    """
    check_audit(actor=asker.actor, reason=asker.reason)
    async with connection.transaction():
        row = await row_of(connection, queries.LOCK_LAB, registry_id)
        last = await connection.fetchval(queries.REMOVE_CLOSURE, row["lab_id"], first)
        if last is None:
            raise PermanentError("no_such_closure", "`labs closure list LAB` shows those noted")
        await _changed(connection, row, "closure_removed", asker, f"{first} to {last}")
    found: date = last
    return found


async def listed(connection: Connection, registry_id: str | None, since: date) -> Sequence[Closure]:
    """Return closures that last at least until `since`, the earliest first; 5,000 at most.

    Raises:
        PermanentError: No such laboratory.
    """
    lab_id = None
    if registry_id is not None:
        lab_id = (await row_of(connection, queries.LAB, registry_id))["lab_id"]
    rows = await connection.fetch(queries.CLOSURES, since, lab_id, _SHOWN)
    return [
        Closure(laboratory=row["registry_id"], first_day=row["first_day"],
                last_day=row["last_day"], actor=row["actor"], noted_at=row["noted_at"])
        for row in rows
    ]  # fmt: skip


async def _changed(connection: Connection, lab: Any, action: str, asker: Asker, what: str) -> None:
    await connection.execute(queries.LEARN_ANEW, lab["lab_id"])
    why = what + (f": {asker.reason}" if asker.reason else "")
    subject = f"laboratory {lab['registry_id']}"
    await connection.fetchval(queries.AUDIT, asker.actor, action, subject, why)
