"""`labdispatch parked`: what its commands print."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from uuid import UUID

import msgspec

from ops.asking import Asker
from ops.bootstrap import Hub
from ops.looking import instance_at
from ops.printing import print_json
from ops.runtime.postgres import lent

from . import acting, mending
from .looking import (
    MAX_LISTED,
    Wish,
    check_wish,
    kinds_as_text,
    list_as_text,
    list_kinds,
    list_parked,
    plan_as_text,
    show_parked,
    shown_as_text,
)

_VERBS = {"assign": "assigned", "replay": "put into the log again", "discard": "discarded"}


async def print_parked(data_dir: Path, wish: Wish, *, kinds: bool, as_json: bool) -> int:
    """Print what waits, or how many of each kind."""
    check_wish(wish, MAX_LISTED)
    async with instance_at(data_dir) as hub, lent(hub.pool) as connection:
        now = hub.clock.now()
        if kinds:
            found = await list_kinds(connection)
            _print(found, kinds_as_text(found, now), as_json=as_json)
        else:
            listed = await list_parked(connection, wish)
            _print(listed, list_as_text(listed, now), as_json=as_json)
    return 0


async def print_one(data_dir: Path, message_id: UUID, *, as_json: bool) -> int:
    """Print one parked message; nothing of what it says."""
    async with instance_at(data_dir) as hub, lent(hub.pool) as connection:
        shown = await show_parked(connection, message_id)
    _print(shown, shown_as_text(shown), as_json=as_json)
    return 0


async def write_raw(data_dir: Path, message_id: UUID, asker: Asker, to: Path) -> int:
    """Write the bytes of a parked message into a new file that nobody else reads; audited."""
    async with instance_at(data_dir, role="dispatch") as hub:
        raw = await mending.raw_of(hub, message_id, asker)
    await asyncio.to_thread(_write_alone, to, raw)
    sys.stdout.write(
        f"{to}: {len(raw)} bytes of a patient's message: remove it once it is mended\n"
    )
    return 0


async def mend(
    data_dir: Path, message_id: UUID, file: Path, asker: Asker, *, dry_run: bool, as_json: bool
) -> int:
    """Let the bytes of a file stand for those of a parked message."""
    raw = await asyncio.to_thread(file.read_bytes)
    async with instance_at(data_dir, appends=not dry_run, role="dispatch") as hub:
        done = await mending.mend(hub, message_id, raw, asker, dry_run=dry_run)
    said = f"{done.reports} reports can be made of it\n" + "".join(
        f"  {each.level} {each.code} {each.place}\n" for each in done.findings
    )
    if done.replay is not None:
        said += f"mended; replay {done.replay} is in the log\n"
    _print(done, said, as_json=as_json)
    return 0


async def act(
    data_dir: Path,
    what: str,
    wish: Wish,
    asker: Asker,
    owner: str,
    *,
    dry_run: bool,
    may: bool,
    as_json: bool,
) -> int:
    """Do something with a selection, once it was told what it is about; 1 where nothing was done.

    Args:
        data_dir: Of the instance.
        what: assign, replay or discard.
        wish: Which.
        asker: For the audit chain.
        owner: With assign: whose they are.
        dry_run: Only tell.
        may: Whether a selection by filters was confirmed.
        as_json: For a program.
    """
    only_told = dry_run or not (may or wish.is_named)
    appends = what == "replay" and not only_told
    async with instance_at(data_dir, appends=appends, role="dispatch") as hub:
        done = await _act(what, owner)(hub, wish, asker, only_told)
    said = plan_as_text(done.plan)
    if dry_run:
        said += "nothing was done (--dry-run)\n"
    elif only_told:
        said += "nothing was done: say --yes to do it\n"
    else:
        said += f"{done.done:,} {_VERBS[what]}\n"
    _print(done, said, as_json=as_json)
    return 0 if dry_run or done.done else 1


def _act(what: str, owner: str) -> Callable[[Hub, Wish, Asker, bool], Awaitable[acting.Done]]:
    async def doing(hub: Hub, wish: Wish, asker: Asker, only_told: bool) -> acting.Done:  # noqa: FBT001
        if what == "assign":
            return await acting.assign(hub, wish, owner, asker, dry_run=only_told)
        if what == "replay":
            return await acting.replay(hub, wish, asker, dry_run=only_told)
        return await acting.discard(hub, wish, asker, dry_run=only_told)

    return doing


def _write_alone(to: Path, raw: bytes) -> None:
    to.touch(mode=0o600, exist_ok=False)
    to.write_bytes(raw)


def _print(told: object, text: str, *, as_json: bool) -> None:
    if as_json:
        print_json(msgspec.to_builtins(told))
    else:
        sys.stdout.write(text)
