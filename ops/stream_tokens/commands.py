"""`labdispatch tokens`: what its commands do and print."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from ops.asking import Asker
from ops.bootstrap import Hub
from ops.looking import instance_at
from ops.printing import print_json, table_of
from ops.runtime.postgres import Connection, lent
from schemas.errors import PermanentError

from . import changes
from .changes import Entry
from .token import Pairs, Quota, Wish

_HEAD: Final = (
    "name", "state", "streams", "filter", "a day", "connections", "expires", "today", "last4"
)  # fmt: skip
_DAYS_HEAD: Final = ("day", "events", "reads", "refused")
KEEP: Final = "keep"
"""Of a limit that is not named: it stays as it is."""
NONE: Final = "none"


@asynccontextmanager
async def _desk(data_dir: Path) -> AsyncIterator[tuple[Hub, Connection]]:
    async with instance_at(data_dir) as hub, lent(hub.pool) as connection:
        yield hub, connection


async def add(data_dir: Path, wish: Wish, asker: Asker, *, as_json: bool) -> None:
    """Make a token, and print it: the only time it is shown."""
    async with _desk(data_dir) as (hub, connection):
        made = await changes.add(connection, wish, now=hub.clock.now(), asker=asker)
    if as_json:
        print_json(made)
        return
    sys.stdout.write(
        f"{made.name}: reads {', '.join(made.streams)} until {made.expires_at:%Y-%m-%d}, within"
        f" seconds\ntoken  {made.token}\nthis is the only time it is shown\n"
    )


async def print_list(data_dir: Path, *, as_json: bool, everything: bool) -> None:
    """Print the tokens that count, or all."""
    async with _desk(data_dir) as (hub, connection):
        found = await changes.entries(connection, now=hub.clock.now())
    if not everything:
        found = [each for each in found if each.state != "revoked"]
    if as_json:
        print_json(found)
    elif not found:
        sys.stdout.write("no reader has a token but those of tokens.json\n")
    else:
        sys.stdout.write(table_of(_HEAD, [_row(each) for each in found]))


async def print_one(data_dir: Path, name: str, *, as_json: bool) -> None:
    """Print a token, who made it, and what it did in the last days."""
    async with _desk(data_dir) as (hub, connection):
        shown = await changes.show(connection, name, now=hub.clock.now())
    if as_json:
        print_json(shown)
        return
    token = shown.token
    sys.stdout.write(table_of(_HEAD, [_row(token)]))
    sys.stdout.write(f"\nmade {token.made_at:%Y-%m-%d %H:%M} by {token.made_by}\n")
    if token.revoked_at is not None:
        sys.stdout.write(f"revoked {token.revoked_at:%Y-%m-%d %H:%M} by {token.revoked_by}\n")
    days = [(f"{day.day:%Y-%m-%d}", day.events, day.reads, day.refused) for day in shown.days]
    sys.stdout.write("\n" + table_of(_DAYS_HEAD, days) if days else "\nnever used\n")


async def revoke(data_dir: Path, name: str, asker: Asker) -> None:
    """Let a token count no more."""
    async with _desk(data_dir) as (hub, connection):
        await changes.revoke(connection, name, now=hub.clock.now(), asker=asker)
        seconds = hub.settings.stream_token_refresh_seconds
    sys.stdout.write(f"{name}: revoked; who follows by it ends within {seconds:g} s\n")


async def set_quota(
    data_dir: Path, name: str, daily: str, connections: str, asker: Asker, *, as_json: bool
) -> None:
    """Give a token other limits, or print those it has."""
    async with _desk(data_dir) as (hub, connection):
        shown = await changes.show(connection, name, now=hub.clock.now())
        if (daily, connections) != (KEEP, KEEP):
            quota = Quota(
                daily_events=shown.token.daily_events if daily == KEEP else number_in(daily),
                max_connections=(
                    shown.token.max_connections
                    if connections == KEEP
                    else number_in(connections) or 0
                ),
            )
            await changes.set_quota(connection, name, quota, asker=asker)
            shown = await changes.show(connection, name, now=hub.clock.now())
    if as_json:
        print_json(shown.token)
    else:
        sys.stdout.write(table_of(_HEAD, [_row(shown.token)]))


def number_in(word: str) -> int | None:
    """Return the number of a limit; None for `none`.

    Raises:
        PermanentError: `bad_quota`: neither.
    """
    if word == NONE:
        return None
    if not (word.isascii() and word.isdigit() and len(word) < 20):
        raise PermanentError("bad_quota", "give a number, or none")
    return int(word)


def _row(each: Entry) -> tuple[object, ...]:
    return (
        each.name, each.state, " ".join(each.streams), _told(each.filter),
        NONE if each.daily_events is None else f"{each.daily_events:,}", each.max_connections,
        f"{each.expires_at:%Y-%m-%d}", each.events_today, each.last4,
    )  # fmt: skip


def _told(pairs: Pairs) -> str:
    return " ".join(f"{name}={value}" for name, value in pairs) or "-"
