"""`labdispatch holds`: what its commands print."""

from __future__ import annotations

import sys
from pathlib import Path
from uuid import UUID

import msgspec

from ops.asking import Asker
from ops.looking import instance_at
from ops.runtime.postgres import translated
from ops.stewards.commands import desk_at

from .as_text import bulk_as_text, list_as_text, released_as_text, report_as_text
from .looking import Wish, list_holds, show_report
from .rechecking import retry
from .releasing import Releasing


async def print_holds(data_dir: Path, wish: Wish, *, as_json: bool) -> int:
    """Print what waits."""
    async with instance_at(data_dir) as hub:
        now = hub.clock.now()
        with translated():
            async with hub.pool.acquire() as connection:
                found = await list_holds(connection, wish, now)
    _print(found, list_as_text(found, now), as_json=as_json)
    return 0


async def print_held(data_dir: Path, report: UUID, *, as_json: bool) -> int:
    """Print a report with what waits of it."""
    async with instance_at(data_dir) as hub:
        with translated():
            async with hub.pool.acquire() as connection:
                found = await show_report(connection, report)
        now = hub.clock.now()
    _print(found, report_as_text(found, now), as_json=as_json)
    return 0


async def release_one(
    data_dir: Path, report: UUID, stream: str, asker: Asker, *, as_json: bool
) -> int:
    """Let one stream of a report go; 1 where it still waits."""
    async with desk_at(data_dir, role="stewards") as (_, stewards):
        done = await Releasing(stewards.script).release(report, stream, asker)
    _print(done, released_as_text(done), as_json=as_json)
    return int(bool(done.still or done.unreadable))


async def release_many(
    data_dir: Path, wish: Wish, asker: Asker, *, dry_run: bool, as_json: bool
) -> int:
    """Let go what a wish finds; 1 where some could not be released, or wait on."""
    async with desk_at(data_dir, role="stewards") as (_, stewards):
        done = await Releasing(stewards.script).release_many(wish, asker, dry_run=dry_run)
    _print(done, bulk_as_text(done), as_json=as_json)
    return int(bool(done.failed or done.still_waiting))


async def ask_again(data_dir: Path, report: UUID, asker: Asker, *, as_json: bool) -> int:
    """Replay the message that a report stands on, and print the replay's id."""
    async with instance_at(data_dir, appends=True) as hub:
        replayed = await retry(hub, report, asker)
    said = (
        f"replay {replayed} is in the log; `labdispatch holds show {report}` shows what is left\n"
    )
    _print({"replay": replayed}, said, as_json=as_json)
    return 0


def _print(told: object, text: str, *, as_json: bool) -> None:
    sys.stdout.write(msgspec.json.encode(told).decode() + "\n" if as_json else text)
