"""What operators do with readers' tokens: made, limited, revoked, looked at; changes are audited.

No entry of the chain and no row holds a secret.
"""

from __future__ import annotations

import secrets
from datetime import date, datetime, timedelta
from hashlib import sha256
from typing import Any, Final

import msgspec

from ops.asking import Asker
from ops.register.labs import check_audit
from ops.runtime.postgres import Connection
from schemas.errors import PermanentError

from . import queries
from .token import Pairs, Quota, Wish, check_quota, check_wish, told_streams

MAX_TOKENS: Final = 500
"""That count at once: each is looked at every refresh, and its figures are kept in memory."""
MAX_LISTED: Final = 1_000
_DAYS_SHOWN: Final = 31
_TOKEN_BYTES: Final = 32
_PREFIX: Final = "ldr_"
"""Of every secret: whoever looks for leaked ones can tell it."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A token as an operator sees it, without its secret."""

    name: str
    last4: str
    streams: list[str]
    filter: Pairs
    daily_events: int | None
    max_connections: int
    state: str
    """live, expired or revoked."""
    expires_at: datetime
    made_by: str
    made_at: datetime
    revoked_by: str | None
    revoked_at: datetime | None
    events_today: int
    """Under a quota with what readers hold ahead."""
    reads_today: int
    refused_today: int


class Day(msgspec.Struct, frozen=True, kw_only=True):
    """What a token did on a day (UTC)."""

    day: date
    events: int
    reads: int
    refused: int


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """A token, and what it did in the last days."""

    token: Entry
    days: list[Day]


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """A token that was just made; this is the only time it is shown."""

    name: str
    token: str
    streams: list[str]
    expires_at: datetime


async def add(connection: Connection, wish: Wish, *, now: datetime, asker: Asker) -> Made:
    """Make a token; it holds at every api process within the refresh.

    Args:
        connection: Outside any transaction.
        wish: What is asked for.
        now: The present moment.
        asker: Who asks; for a nominative stream with a reason.

    Raises:
        PermanentError: What does not fit, a name that is taken, or one token too many.
    """
    check_audit(actor=asker.actor, reason=asker.reason)
    streams = told_streams(check_wish(wish, asker.reason))
    token = _PREFIX + secrets.token_urlsafe(_TOKEN_BYTES)
    expires_at = now + timedelta(days=wish.expires_days)
    async with connection.transaction():
        await connection.execute(queries.ALONE)
        if await connection.fetchval(queries.COUNT) >= MAX_TOKENS:
            raise PermanentError(
                "too_many_tokens", f"there are {MAX_TOKENS}: revoke those that nobody uses"
            )
        number = await connection.fetchval(
            queries.ADD, wish.name, sha256(token.encode()).digest(), token[-4:],
            streams.split(", "), msgspec.json.encode(wish.filter).decode(), wish.daily_events,
            wish.max_connections, expires_at, asker.actor, now,
        )  # fmt: skip
        if number is None:
            raise PermanentError("token_exists", "give it another name, or revoke that one first")
        narrowed = f", {len(wish.filter)} parts of a filter" if wish.filter else ""
        await _audit(
            connection,
            asker,
            wish.name,
            f"made for {streams}{narrowed}, until {expires_at:%Y-%m-%d}",
        )
    return Made(name=wish.name, token=token, streams=streams.split(", "), expires_at=expires_at)


async def revoke(connection: Connection, name: str, *, now: datetime, asker: Asker) -> None:
    """Let a token count no more, for ever; who follows by it ends within the refresh.

    Raises:
        PermanentError: No live token has this name (`no_such_token`).
    """
    check_audit(actor=asker.actor, reason=asker.reason)
    async with connection.transaction():
        if await connection.fetchval(queries.REVOKE, name, now, asker.actor) is None:
            raise _no_such_token()
        await _audit(connection, asker, name, "revoked")


async def set_quota(connection: Connection, name: str, quota: Quota, *, asker: Asker) -> None:
    """Give a token other limits; they hold within the refresh.

    Raises:
        PermanentError: Limits that are none, or no live token of this name.
    """
    check_audit(actor=asker.actor, reason=asker.reason)
    check_quota(quota)
    async with connection.transaction():
        found = await connection.fetchval(
            queries.QUOTA, name, quota.daily_events, quota.max_connections
        )
        if found is None:
            raise _no_such_token()
        a_day = "no quota" if quota.daily_events is None else f"{quota.daily_events} events a day"
        await _audit(
            connection, asker, name, f"limits: {a_day}, {quota.max_connections} connections"
        )


async def entries(connection: Connection, *, now: datetime) -> list[Entry]:
    """Return the tokens: those that count by name, then those revoked, the newest first."""
    rows = await connection.fetch(queries.LIST, now.date(), MAX_LISTED)
    return [_entry(row, now) for row in rows]


async def show(connection: Connection, name: str, *, now: datetime) -> Shown:
    """Return a token of a name: the live one, or the one that was revoked last.

    Raises:
        PermanentError: There is none (`no_such_token`).
    """
    row = await connection.fetchrow(queries.BY_NAME, now.date(), name)
    if row is None:
        raise _no_such_token()
    days = await connection.fetch(queries.DAYS, row["token_id"], _DAYS_SHOWN)
    return Shown(token=_entry(row, now), days=[Day(**dict(each)) for each in days])


def _entry(row: Any, now: datetime) -> Entry:
    if row["revoked_at"] is not None:
        state = "revoked"
    else:
        state = "live" if now < row["expires_at"] else "expired"
    return Entry(
        name=row["name"],
        last4=row["last4"],
        streams=list(row["streams"]),
        filter=msgspec.json.decode(row["filter"], type=Pairs),
        daily_events=row["daily_events"],
        max_connections=row["max_connections"],
        state=state,
        expires_at=row["expires_at"],
        made_by=row["made_by"],
        made_at=row["made_at"],
        revoked_by=row["revoked_by"],
        revoked_at=row["revoked_at"],
        events_today=row["events"],
        reads_today=row["reads"],
        refused_today=row["refused"],
    )


def _no_such_token() -> PermanentError:
    return PermanentError("no_such_token", "`labdispatch tokens list` shows those that count")


async def _audit(connection: Connection, asker: Asker, name: str, said: str) -> None:
    why = said + (f": {asker.reason}" if asker.reason else "")
    await connection.fetchval(queries.AUDIT, asker.actor, "stream_token", f"token {name}", why)
