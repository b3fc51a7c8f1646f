"""`labdispatch review` and the stewards' part of `labdispatch identity`: what they print."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from uuid import UUID

import msgspec

from dedup.model import load_model
from dedup.review import PairVerdict
from ops.asking import Asker
from ops.behind_the_door import dispatcher_of
from ops.bootstrap import Hub
from ops.looking import instance_at
from ops.runtime import failpoints
from ops.runtime.postgres import translated
from schemas.errors import PermanentError

from . import credentials, desk, explaining, seen, what_if
from .acts import Stewards
from .as_text import done_as_text, history_as_text, item_as_text, items_as_text
from .done import Done
from .finding import DuplicateSearch

_UNITS: Final = {"m": 60, "h": 3_600, "d": 86_400}
_LISTED: Final = 50

Act = Callable[[Stewards], Awaitable[Done]]


@asynccontextmanager
async def desk_at(data_dir: Path, *, role: str = "looking") -> AsyncIterator[tuple[Hub, Stewards]]:
    """Open the stewards' part of a running instance."""
    async with instance_at(data_dir, role=role) as hub:
        failpoints.arm(hub.settings.failpoints)
        yield hub, dispatcher_of(hub).stewards


async def run_act(data_dir: Path, act: Act, *, as_json: bool) -> int:
    """Do an act and print what it led to."""
    async with desk_at(data_dir, role="stewards") as (_, stewards):
        done = await act(stewards)
    _print(done, done_as_text(done), as_json=as_json)
    return 0


async def decide(
    data_dir: Path, item: int, verdict: PairVerdict, asker: Asker, *, as_json: bool
) -> int:
    """Say of the two persons of an item what a steward found."""
    async with desk_at(data_dir, role="stewards") as (hub, stewards):
        with translated():
            async with hub.pool.acquire() as connection:
                one, other = await desk.pair_of_item(connection, item)
        done = await stewards.say(one, other, verdict, asker)
    _print(done, done_as_text(done), as_json=as_json)
    return 0


async def print_items(
    data_dir: Path, asker: Asker, *, guard: str, priority: int, limit: int, as_json: bool
) -> int:
    """Print the queue."""
    async with desk_at(data_dir) as (hub, _):
        with translated():
            async with hub.pool.acquire() as connection:
                found = await seen.see_list(
                    connection, asker, guard=guard, priority=priority, limit=limit
                )
        now = hub.clock.now()
    _print(found, items_as_text(found, now), as_json=as_json)
    return 0


async def print_item(
    data_dir: Path, asker: Asker, item: int, *, with_values: bool, as_json: bool
) -> int:
    """Print an item with both sides."""
    async with desk_at(data_dir) as (hub, stewards):
        with translated():
            async with hub.pool.acquire() as connection:
                shown = await seen.see_item(
                    connection, stewards, asker, item, with_values=with_values
                )
        now = hub.clock.now()
    _print(shown, item_as_text(shown, now), as_json=as_json)
    return 0


async def print_history(data_dir: Path, asker: Asker, person: int, *, as_json: bool) -> int:
    """Print what was decided about a person."""
    async with desk_at(data_dir) as (hub, stewards):
        with translated():
            async with hub.pool.acquire() as connection:
                found = await seen.see_history(connection, stewards, asker, person)
    _print(found, history_as_text(found), as_json=as_json)
    return 0


async def print_search(data_dir: Path, *, persons: int, items: int, as_json: bool) -> int:
    """Look for possible duplicates, and print how many items that opened."""
    async with desk_at(data_dir, role="stewards") as (hub, stewards):
        search = DuplicateSearch(hub.pool, stewards.store, stewards.sources, hub.clock)
        done = await search.run(persons=persons, items=items)
    where = f"goes on at person {done.next_person}" if done.next_person else "all were looked at"
    said = f"{done.persons:,} persons looked at, {done.opened:,} items opened; {where}\n"
    _print(done, said, as_json=as_json)
    return 0


async def print_explained(data_dir: Path, asker: Asker, report: UUID, *, as_json: bool) -> int:
    """Print why a report is whose it is; give 1 where it is not recomputed bit for bit."""
    async with desk_at(data_dir) as (hub, stewards):
        with translated():
            async with hub.pool.acquire() as connection:
                told = await seen.see_decision(connection, stewards, asker, report)
    _print(told, explaining.as_text(told), as_json=as_json)
    return 1 if told.recomputed.startswith("different") else 0


async def print_what_if(
    data_dir: Path, *, since: str, model: str, limit: int, as_json: bool
) -> int:
    """Print what another model would decide of what came since."""
    async with desk_at(data_dir) as (hub, stewards):
        first = moment(since, hub.clock.now())
        tried = load_model(model)
        with translated():
            async with hub.pool.acquire() as connection:
                found = await what_if.what_if(
                    connection,
                    stewards.store,
                    stewards.sources,
                    tried,
                    since=first,
                    limit=limit,
                    listed=_LISTED,
                )
    _print(found, what_if.as_text(found), as_json=as_json)
    return 0


# -------------------------------------------------------------------------------- stewards' tokens


async def add_steward(
    data_dir: Path, name: str, asker: Asker, *, sees_identity: bool, as_json: bool
) -> int:
    """Make a steward's token and print it: the only time it is shown."""
    async with instance_at(data_dir) as hub:
        with translated():
            async with hub.pool.acquire() as connection:
                made = await credentials.add_steward(
                    connection, name, sees_identity=sees_identity, asker=asker
                )
    _print(made, f"{made.token}\nthis is the only time it is shown\n", as_json=as_json)
    return 0


async def print_stewards(data_dir: Path, *, as_json: bool) -> int:
    """Print who has a token."""
    async with instance_at(data_dir) as hub:
        with translated():
            async with hub.pool.acquire() as connection:
                found = await credentials.list_stewards(connection)
    lines = [
        f"{each.name:<24} ...{each.last4}  {'sees identities' if each.sees_identity else ''}"
        + (f"  revoked {each.revoked_at:%Y-%m-%d %H:%M}" if each.revoked_at else "")
        for each in found
    ]
    _print(found, "".join(f"{line.rstrip()}\n" for line in lines) or "none\n", as_json=as_json)
    return 0


async def revoke_steward(data_dir: Path, name: str, asker: Asker, *, as_json: bool) -> int:
    """Let a steward's token count no more."""
    async with instance_at(data_dir) as hub:
        with translated():
            async with hub.pool.acquire() as connection:
                await credentials.revoke_steward(connection, name, asker=asker)
    _print({"revoked": name}, f"{name}: revoked, at once\n", as_json=as_json)
    return 0


# -------------------------------------------------------------------------------- parts


def moment(text: str, now: datetime) -> datetime:
    """Return the moment that `30m`, `24h`, `7d` ago or an ISO date or time names.

    Raises:
        PermanentError: It names none (`bad_since`).
    """
    number, unit = text[:-1], text[-1:]
    if unit in _UNITS and number.isdecimal() and len(number) < 6:
        return now - timedelta(seconds=int(number) * _UNITS[unit])
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise PermanentError(
            "bad_since", "give 30m, 24h or 7d, or a date as 2026-11-20, in UTC"
        ) from None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def _print(told: object, text: str, *, as_json: bool) -> None:
    sys.stdout.write(msgspec.json.encode(told).decode() + "\n" if as_json else text)
