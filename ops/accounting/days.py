"""A day's account, of a laboratory or of all: read from the rows that are kept of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, Final

import msgspec

from ops.asking import Asker, check_asker
from ops.runtime.postgres import Connection
from schemas.errors import PermanentError

from . import queries
from .drawing import ENDINGS, RECEIVED, REPLAY, REPLAY_ASKED

MOST_DAYS: Final = 400
_MOST_GAPS: Final = 1_000


class DayAccount(msgspec.Struct, frozen=True, kw_only=True):
    """The sum of a day of reception (Europe/Paris) that must close.

    received = dispatched + duplicate + refused + parked + in_flight + gap.
    """

    day: date
    laboratory: str
    """Registry id; empty: all laboratories."""
    received: int
    """Messages that are in the log; requests for a replay are none."""
    dispatched: int
    duplicate: int
    duplicate_by_reason: dict[str, int]
    refused: int
    refused_by_reason: dict[str, int]
    parked: int
    parked_by_reason: dict[str, int]
    """`discarded`: a person has ended them."""
    in_flight: int
    replays: int
    """Requests for a replay of that day; they are beside the sum."""
    gap: int
    """Records without an ending (above 0) or endings without a record."""
    closes: bool
    closed_at: datetime | None
    """When everything of the day had its ending; None: the day is open."""


class DayLine(msgspec.Struct, frozen=True, kw_only=True):
    """A day in a list of days."""

    day: date
    closed_at: datetime | None
    received: int
    dispatched: int
    duplicate: int
    refused: int
    parked: int
    in_flight: int
    gap: int


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    """A difference that was found, and by whom it was noted."""

    day: date
    laboratory: str
    """Empty: of no laboratory that anybody could name."""
    records: int
    seen_at: datetime
    noted_by: str | None


async def lab_of(connection: Connection, laboratory: str) -> tuple[int, str]:
    """Return number and registry id of a laboratory.

    Raises:
        PermanentError: There is none of that registry id.
    """
    row = await connection.fetchrow(queries.LAB, laboratory)
    if row is None:
        raise PermanentError("no_such_laboratory", "`labdispatch labs list` names them")
    return row["lab_id"], row["registry_id"]


async def read_day(
    connection: Connection, day: date, *, lab_id: int | None = None, laboratory: str = ""
) -> DayAccount:
    """Return the account of a day, of one laboratory or of all."""
    rows: Sequence[Any]
    if lab_id is None:
        rows = await connection.fetch(queries.OF_DAY_ALL, day)
    else:
        rows = await connection.fetch(queries.OF_DAY, day, lab_id)
    flying = await connection.fetchval(queries.FLYING, day, lab_id)
    gap = await connection.fetchval(queries.GAP, day, lab_id)
    closed_at = await connection.fetchval(queries.CLOSED_AT, day)
    return _drawn(day, laboratory, rows, flying=flying, gap=gap, closed_at=closed_at)


def _drawn(
    day: date,
    laboratory: str,
    rows: Sequence[Any],
    *,
    flying: int,
    gap: int,
    closed_at: datetime | None,
) -> DayAccount:
    found = {(row["name"], row["reason"]): row["records"] for row in rows}

    def one(name: str) -> int:
        return sum(n for (each, _), n in found.items() if each == name)

    def by_reason(name: str) -> dict[str, int]:
        return {reason: n for (each, reason), n in sorted(found.items()) if each == name}

    ended = sum(one(name) for name in ENDINGS)
    # Of a request for a replay that has no ending the gap is the same: it is told together.
    gap_here = one(RECEIVED) + one(REPLAY_ASKED) - one(REPLAY) - ended
    return DayAccount(
        day=day,
        laboratory=laboratory,
        received=one(RECEIVED) + flying,
        dispatched=one("dispatched"),
        duplicate=one("duplicate"),
        duplicate_by_reason=by_reason("duplicate"),
        refused=one("refused"),
        refused_by_reason=by_reason("refused"),
        parked=one("parked"),
        parked_by_reason=by_reason("parked"),
        in_flight=flying,
        replays=one(REPLAY_ASKED),
        gap=gap_here,
        closes=gap_here == 0 and gap == 0,
        closed_at=closed_at,
    )


async def list_days(
    connection: Connection, after: date, *, lab_id: int | None = None
) -> list[DayLine]:
    """Return the days after one, the oldest first."""
    rows = await connection.fetch(queries.DAYS, after, lab_id)
    return [DayLine(**dict(row)) for row in rows[-MOST_DAYS:]]


async def list_gaps(connection: Connection) -> list[Gap]:
    """Return what was found not to close, the newest day first."""
    return [Gap(**dict(row)) for row in await connection.fetch(queries.GAPS, _MOST_GAPS)]


async def note_gap(connection: Connection, day: date, asker: Asker) -> int:
    """Note that somebody knows why a day does not close: it alerts no more; say of how many rows.

    The difference itself stays where it is, for ever.

    Raises:
        PermanentError: No word why, or nothing to note.
    """
    check_asker(asker)
    if not asker.reason.strip():
        raise PermanentError("bad_reason", "say why: it stands in the audit trail")
    async with connection.transaction():
        noted = await connection.fetch(queries.NOTE_GAP, day, asker.actor)
        if not noted:
            raise PermanentError("no_gap", "no difference of that day waits for a word")
        await connection.fetchval(
            queries.AUDIT, asker.actor, "account_gap_noted", f"day {day}", asker.reason
        )
    return len(noted)


def day_as_text(account: DayAccount) -> str:
    """Write a day's account for a person."""
    of = account.laboratory or "all laboratories"
    state = "open" if account.closed_at is None else f"closed {account.closed_at:%Y-%m-%d %H:%M}Z"
    lines = [f"{account.day}  {of}  ({state})", f"received    {account.received:>10,}"]
    for name, n, split in (
        ("dispatched", account.dispatched, {}),
        ("duplicate", account.duplicate, account.duplicate_by_reason),
        ("refused", account.refused, account.refused_by_reason),
        ("parked", account.parked, account.parked_by_reason),
        ("in flight", account.in_flight, {}),
    ):
        shown = ", ".join(f"{reason} {count:,}" for reason, count in split.items())
        lines.append(f"{name:<11} {n:>10,}   {shown}".rstrip())
    if account.replays:
        lines.append(f"replays     {account.replays:>10,}   asked for on that day, beside the sum")
    lines.append(
        "the day's account closes"
        if account.closes
        else f"THE DAY DOES NOT CLOSE: {account.gap:+,} (see docs/runbooks/account.md)"
    )
    return "\n".join(lines) + "\n"


def days_as_text(days: Sequence[DayLine]) -> str:
    """Write a list of days for a person."""
    head = ("day", "received", "dispatched", "duplicate", "refused", "parked", "in flight", "gap")
    lines = [f"{head[0]:<11}" + "".join(f"{name:>12}" for name in head[1:]) + "  state"]
    for each in days:
        numbers = (each.received + each.in_flight, each.dispatched, each.duplicate, each.refused,
                   each.parked, each.in_flight, each.gap)  # fmt: skip
        state = "open" if each.closed_at is None else "closed"
        lines.append(f"{each.day!s:<11}" + "".join(f"{n:>12,}" for n in numbers) + f"  {state}")
    return "\n".join(lines) + "\n"


def gaps_as_text(gaps: Sequence[Gap]) -> str:
    """Write what does not close for a person."""
    if not gaps:
        return "every day closes\n"
    return "".join(
        f"{each.day}  {each.laboratory or '(no laboratory)'}  {each.records:+,} since"
        f" {each.seen_at:%Y-%m-%d %H:%M}Z{'  noted by ' + each.noted_by if each.noted_by else ''}\n"
        for each in gaps
    )
