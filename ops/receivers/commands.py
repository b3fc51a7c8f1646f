"""`labdispatch receivers`: what its commands do and print."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final
from uuid import UUID

import msgspec

from ops.asking import Asker
from ops.bootstrap import Hub
from ops.looking import instance_at
from ops.printing import print_json, table_of
from ops.runtime.postgres import Connection, lent
from schemas.errors import PermanentError
from schemas.topics import Stream

from . import changes, operating, queries, secret
from .changes import Wish
from .receiver import Kind, Options, check_domain
from .senders import tls_of
from .store import receiver_of

_HEAD: Final = ("name", "kind", "stream", "state", "waiting", "dead", "last", "since", "url")
_DEAD_HEAD: Final = ("event", "report", "version", "kind", "attempts", "code", "detail", "ended")


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """A receiver as an operator sees it."""

    name: str
    kind: str
    stream: str
    url: str
    options: Options
    state: str
    state_reason: str
    trouble: str
    failing_since: datetime | None
    answered_at: datetime | None
    last_code: str
    waiting: int
    """Taken from the outbox, and still in it."""
    oldest_at: datetime | None
    dead: int
    secret_version: int
    old_secret_until: datetime | None
    added_at: datetime


@asynccontextmanager
async def _desk(data_dir: Path) -> AsyncIterator[tuple[Hub, Connection]]:
    async with instance_at(data_dir) as hub, lent(hub.pool) as connection:
        yield hub, connection


async def add(
    data_dir: Path, wish: Wish, secret_file: Path | None, asker: Asker, *, as_json: bool
) -> None:
    """Add a receiver, and print its token and key: the only time they are shown."""
    given = secret.made_for(wish.kind, secret_file)
    tls_of(wish.options)
    async with _desk(data_dir) as (hub, connection):
        if wish.kind is Kind.MSSANTE:
            check_domain(wish.options.domain, hub.realm)
        made = await changes.add(
            connection,
            hub.vault,
            wish,
            given=given,
            asker=asker,
            most=hub.settings.push_receivers,
        )
    if as_json:
        print_json(made)
        return
    sys.stdout.write(f"{made.name}: added, served within seconds\n")
    if made.webhook_key and secret_file is None:
        sys.stdout.write(f"webhook key            {made.webhook_key}\n")
    sys.stdout.write(
        f"acknowledgement token  {made.acknowledgement_token}\nthis is the only time it is shown\n"
    )


async def print_list(data_dir: Path, *, as_json: bool) -> None:
    """Print every receiver."""
    async with _desk(data_dir) as (_, connection):
        found = await seen(connection)
    if as_json:
        print_json(found)
    elif not found:
        sys.stdout.write("no receiver is pushed to\n")
    else:
        sys.stdout.write(table_of(_HEAD, [_row(each) for each in found]))


async def print_one(data_dir: Path, name: str, *, as_json: bool) -> None:
    """Print one receiver, with what to do where it is not served."""
    async with _desk(data_dir) as (_, connection):
        await changes.known(connection, name)
        (found,) = [each for each in await seen(connection) if each.name == name]
    if as_json:
        print_json(found)
        return
    sys.stdout.write(table_of(_HEAD, [_row(found)]))
    if found.state == "gap":
        sys.stdout.write(
            f"  {found.state_reason}: `receivers resume {name} --from start` or `--from now`\n"
        )
    elif found.state_reason or found.trouble or found.failing_since:
        said = ", ".join(filter(None, (found.state_reason, found.trouble, found.last_code)))
        sys.stdout.write(f"  {said}: docs/runbooks/receiver-dead.md\n")


async def pause(data_dir: Path, name: str, asker: Asker) -> None:
    """Stop sending to a receiver."""
    async with _desk(data_dir) as (_, connection):
        await changes.pause(connection, name, asker)
    sys.stdout.write(f"{name}: paused; what is due waits in the outbox\n")


async def resume(data_dir: Path, name: str, where: str, asker: Asker) -> None:
    """Send to a receiver again."""
    async with _desk(data_dir) as (_, connection):
        await changes.resume(connection, name, where, asker)
    sys.stdout.write(f"{name}: served again within seconds\n")


async def remove(data_dir: Path, name: str, asker: Asker) -> None:
    """Send to a receiver no more."""
    async with _desk(data_dir) as (hub, connection):
        await changes.remove(connection, hub.vault, name, asker)
    sys.stdout.write(f"{name}: removed\n")


async def rotate(data_dir: Path, name: str, secret_file: Path | None, asker: Asker) -> None:
    """Give a receiver a new secret, and print a key that was made."""
    async with _desk(data_dir) as (hub, connection):
        held = await changes.known(connection, name)
        given = secret.made_for(held.kind, secret_file)
        if given is None:
            raise PermanentError("bad_secret", "give --secret-file")
        until = hub.clock.now() + timedelta(seconds=hub.settings.push_secret_overlap_seconds)
        await changes.rotate(connection, hub.vault, name, given=given, until=until, asker=asker)
    if held.kind is Kind.WEBHOOK:
        if secret_file is None:
            sys.stdout.write(f"{secret.shown(given)}\nthis is the only time it is shown\n")
        sys.stdout.write(f"the old key signs too until {until:%Y-%m-%d %H:%M} UTC\n")
    else:
        sys.stdout.write(f"{name}: the new secret holds within seconds\n")


async def print_dead(data_dir: Path, name: str, *, limit: int, as_json: bool) -> None:
    """Print the dead letters of a receiver, the oldest first; none of their content."""
    async with _desk(data_dir) as (_, connection):
        held = await changes.known(connection, name)
        rows = await connection.fetch(operating.DEAD, held.receiver_id, limit)
    if as_json:
        print_json([dict(row) for row in rows])
    elif not rows:
        sys.stdout.write("no dead letter waits\n")
    else:
        sys.stdout.write(
            table_of(
                _DEAD_HEAD,
                [
                    (row["event_id"], row["report_id"], row["event_version"], row["kind"],
                     row["attempts"], f"{row['protocol']} {row['code']}", row["detail"],
                     f"{row['ended_at']:%Y-%m-%d %H:%M}")
                    for row in rows
                ],
            )
        )  # fmt: skip


async def end_dead(
    data_dir: Path, name: str, events: list[UUID] | None, *, again: bool, asker: Asker
) -> None:
    """Send dead letters again, or let them be."""
    async with _desk(data_dir) as (_, connection):
        done = await changes.end_dead(connection, name, events, again=again, asker=asker)
    told = ", ".join(f"{count:,} {state}" for state, count in sorted(done.items()))
    sys.stdout.write(f"{name}: {told}\n")


async def seen(connection: Connection) -> list[Seen]:
    """Return every receiver with what waits."""
    receivers = [receiver_of(row) for row in await connection.fetch(queries.LIST)]
    counts = {
        (row["receiver_id"], row["state"]): row for row in await connection.fetch(operating.COUNTS)
    }
    behind = {row["receiver_id"]: row["n"] for row in await connection.fetch(operating.BEHIND)}
    found = []
    for each in receivers:
        waiting = counts.get((each.receiver_id, "waiting"))
        dead = counts.get((each.receiver_id, "dead"))
        found.append(
            Seen(
                name=each.name,
                kind=each.kind.value,
                stream=each.stream.value,
                url=each.url,
                options=each.options,
                state=each.state,
                state_reason=each.state_reason,
                trouble=each.trouble,
                failing_since=each.failing_since,
                answered_at=each.answered_at,
                last_code=each.last_code,
                waiting=(waiting["n"] if waiting else 0) + behind.get(each.receiver_id, 0),
                oldest_at=waiting["oldest_at"] if waiting else None,
                dead=dead["n"] if dead else 0,
                secret_version=each.secret_version,
                old_secret_until=each.old_secret_until,
                added_at=each.added_at,
            )
        )
    return found


def wish_of(
    name: str, kind: str, stream: str, url: str, options: Options, *, from_start: bool
) -> Wish:
    """Return what the command line asked for."""
    return Wish(
        name=name,
        kind=Kind(kind),
        stream=Stream(stream),
        url=url,
        options=options,
        from_start=from_start,
    )


def _row(each: Seen) -> tuple[object, ...]:
    state = f"{each.state} ({each.trouble})" if each.trouble else each.state
    since = each.failing_since or each.answered_at
    failing = "failing " if each.failing_since else ""
    return (
        each.name, each.kind, each.stream, state, each.waiting, each.dead, each.last_code,
        f"{failing}{since:%Y-%m-%d %H:%M}" if since else "", each.url,
    )  # fmt: skip
