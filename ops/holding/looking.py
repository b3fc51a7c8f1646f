"""What waits, as an operator sees it: reports, streams, reasons and ages; never what a report says.

Reports and persons are named by our own numbers, so nothing here is nominative.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

from ops.runtime.postgres import Connection
from schemas.errors import PermanentError
from schemas.topics import STREAMS

from . import queries
from .reasons import PAIRS, REASONS

MAX_HOLDS: Final = 10_000
"""Of one list."""


class Behind(msgspec.Struct, frozen=True, array_like=True):
    """A place in the list of what waits: one goes on behind it."""

    since: datetime | None = None
    report_id: UUID = UUID(int=0)


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """Which holds are meant; what is empty asks for nothing."""

    stream: str = ""
    reason: str = ""
    laboratory: str = ""
    """Registry id."""
    older_than: timedelta = timedelta()
    limit: int = 50
    behind: Behind = Behind()
    """Of one stream and reason: only what comes after it."""


class HeldStream(msgspec.Struct, frozen=True, kw_only=True):
    """A stream that waits for a report."""

    report_id: UUID
    stream: str
    reason: str
    since: datetime
    laboratory: str
    status: str
    person: int


class Why(msgspec.Struct, frozen=True, kw_only=True):
    """Why a stream waits, and what to do about it."""

    stream: str
    reason: str
    conditions: tuple[str, ...]
    """What it waits for, whatever the reason of each; none: the whole report."""
    since: datetime
    means: str
    to_do: str
    may_be_released: bool


class Word(msgspec.Struct, frozen=True, kw_only=True):
    """That somebody let a stream go; `counts` while the report says what it said then."""

    stream: str
    reason: str
    actor: str
    why: str
    at: datetime
    counts: bool


class HeldReport(msgspec.Struct, frozen=True, kw_only=True):
    """A report with all that waits of it, and all that was let go."""

    report_id: UUID
    laboratory: str
    person: int
    version: int
    status: str
    first_at: datetime
    updated_at: datetime
    message_id: UUID | None
    holds: tuple[Why, ...]
    releases: tuple[Word, ...]


async def list_holds(connection: Connection, wish: Wish, now: datetime) -> list[HeldStream]:
    """Return what waits, the longest first.

    Raises:
        PermanentError: No such stream or reason.
    """
    pairs = pairs_of(wish)
    rows = await connection.fetch(
        queries.LIST,
        [stream for stream, _ in pairs],
        [reason for _, reason in pairs],
        now - wish.older_than,
        wish.laboratory,
        wish.limit,
        wish.behind.since,
        wish.behind.report_id,
    )
    return [
        HeldStream(
            report_id=row["report_id"],
            stream=row["stream"],
            reason=row["reason"],
            since=row["since"],
            laboratory=row["registry_id"],
            status=row["status"],
            person=row["person_id"],
        )
        for row in rows
    ]


def pairs_of(wish: Wish) -> list[tuple[str, str]]:
    """Return the streams and reasons that are meant.

    Raises:
        PermanentError: No such stream or reason.
    """
    if wish.stream and wish.stream not in {each.value for each in STREAMS}:
        raise PermanentError("no_such_stream", f"the streams are {', '.join(STREAMS)}")
    if wish.reason and wish.reason not in REASONS:
        raise PermanentError("no_such_reason", f"the reasons are {', '.join(REASONS)}")
    return [
        (stream, reason)
        for stream, reason in PAIRS
        if wish.stream in {"", stream} and wish.reason in {"", reason}
    ]


async def show_report(connection: Connection, report_id: UUID) -> HeldReport:
    """Return a report with what waits of it.

    Raises:
        PermanentError: There is no such report.
    """
    row: Any = await connection.fetchrow(queries.REPORT, report_id)
    if row is None:
        raise no_such_report()
    return HeldReport(
        report_id=row["report_id"],
        laboratory=row["registry_id"],
        person=row["person_id"],
        version=row["version"],
        status=row["status"],
        first_at=row["first_at"],
        updated_at=row["updated_at"],
        message_id=row["message_id"],
        holds=tuple([_why(each) for each in await connection.fetch(queries.HOLDS, report_id)]),
        releases=tuple(
            [Word(**each) for each in await connection.fetch(queries.RELEASES, report_id)]
        ),
    )


def no_such_report() -> PermanentError:
    """Return the error of a report id that is none."""
    return PermanentError(
        "no_such_report", "`labdispatch holds list` and `labdispatch trace ID` name reports"
    )


def _why(row: Any) -> Why:
    known = REASONS.get(row["reason"])
    return Why(
        stream=row["stream"],
        reason=row["reason"],
        conditions=tuple(row["parts"]),
        since=row["since"],
        means="of another release" if known is None else known.means,
        to_do="see the notes of that release" if known is None else known.to_do,
        may_be_released=known is not None and known.may_be_released,
    )
