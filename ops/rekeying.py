"""Keys of persons, for an operator: made anew by a new key function; and which ones are hot."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from dedup import person_queries
from dedup.key_function import KeyFunction
from dedup.rekey import Pace, Rekeying, State, Step, Tell, read_state
from dedup.store import DedupStore
from ops.behind_the_door import bounds_of
from ops.bootstrap import Hub
from ops.looking import instance_at
from ops.runtime import failpoints
from ops.runtime.postgres import translated

AUDIT: Final = "SELECT audit_append($1, 'rekey', $2, $3)"


class HotKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key that too many persons share; it is a keyed hash, and names nobody."""

    key: str
    """Sixteen hex digits: an advisory lock or a row of `person_key` shows the same number."""
    persons: int
    """How many it was found to lead to."""
    since: datetime


def rekeying_of(hub: Hub, tell: Tell) -> Rekeying:
    """Return the job on an instance."""
    settings = hub.settings
    return Rekeying(
        hub.pool,
        DedupStore(hub.vault, bounds_of(settings)),
        KeyFunction(hub.realm, hub.vault.secret("person")),
        hub.clock,
        pace=Pace(
            persons=settings.identity_rekey_persons,
            keys=settings.identity_rekey_keys,
            rest=settings.identity_rekey_rest,
        ),
        tell=tell,
    )


async def rekey(data_dir: Path, *, actor: str, reason: str, forget_unreadable: bool) -> int:
    """Make keys anew beside the flow of results, and say how far it is.

    Returns:
        The exit code: 1 where something unreadable stops the switch.
    """
    async with instance_at(data_dir) as hub:
        failpoints.arm(hub.settings.failpoints)
        with translated():
            async with hub.pool.acquire() as connection:
                before = await read_state(connection)
                await connection.fetchval(AUDIT, actor, _version_of(before), reason)
        step = await rekeying_of(hub, _say).run(forget_unreadable=forget_unreadable)
    sys.stdout.write(f"{step.value}\n")
    if step is not Step.UNREADABLE:
        return 0
    sys.stdout.write(
        "Some sets of traits cannot be read any more: their day's key was destroyed. By the new\n"
        "keys their persons are found by an INS alone. Both versions stay in use until you say\n"
        "  labdispatch identity rekey --forget-unreadable\n"
    )
    return 1


async def print_hot_keys(data_dir: Path, *, limit: int, as_json: bool) -> int:
    """Print the keys that too many persons share, the newest first."""
    async with instance_at(data_dir) as hub:
        found = await hot_keys(hub, limit)
    if as_json:
        sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
        return 0
    for each in found:
        sys.stdout.write(f"{each.key}  {each.persons:>9,} persons  since {each.since:%Y-%m-%d}\n")
    sys.stdout.write(f"{len(found)} hot keys; docs/runbooks/hot-keys.md\n")
    return 0


async def hot_keys(hub: Hub, limit: int) -> list[HotKey]:
    """Return hot keys, the newest first."""
    with translated():
        async with hub.pool.acquire() as connection:
            rows = await connection.fetch(person_queries.LIST_HOT, limit)
    return [
        HotKey(key=f"{row['key'] % 2**64:016x}", persons=row["persons"], since=row["since"])
        for row in rows
    ]


def _version_of(state: State | None) -> str:
    return "none" if state is None else f"version {state.live}"


def _say(step: Step, state: State) -> None:
    if step is Step.FILLING:
        sys.stdout.write(f"filling: person {state.filled_person:,} of {state.fill_until:,}\n")
    elif step is Step.SWITCHED:
        sys.stdout.write(f"switched: persons are looked up by version {state.live}\n")
