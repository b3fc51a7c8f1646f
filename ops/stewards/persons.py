"""Persons under lock: everybody that some persons stand for, by the protocol that dispatch keeps.

All blocking keys of all of them, sorted, in one statement; then a look, in a statement of its own;
then the persons' rows. A record that could be about any of them shares one of these keys, so it is
decided before or after the change, never beside it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from uuid import UUID

import msgspec

from dedup.review import Pointers, Rows
from dedup.store import DedupStore
from ops.runtime.failpoints import hit
from ops.runtime.postgres import Connection
from schemas.errors import PermanentError, TransientError

from . import queries


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """Persons whose keys and rows this transaction holds."""

    pointers: Pointers
    isolated: frozenset[int]

    @property
    def everybody(self) -> list[int]:
        """All of them, by number."""
        return sorted(self.pointers.into)

    def cluster(self, end: int) -> list[int]:
        """Return an end and everybody merged into it, by number."""
        return sorted(self.pointers.below(end))


async def hold(
    connection: Connection, store: DedupStore, asked: Collection[int], *, most: int
) -> Held:
    """Lock some persons and everybody they stand for; inside a transaction that holds nothing yet.

    Raises:
        PermanentError: There is no such person, or more than `most` are merged together.
        TransientError: They changed while their keys were waited for: try again from the start.
    """
    before = await look(connection, asked, most=most)
    locked = await store.lock_keys_of(connection, before.everybody)
    hit("stewards.after_locks")
    # A statement of its own: its snapshot is younger than the locks.
    held = await look(connection, asked, most=most)
    if not await _keys_of(connection, held.everybody) <= set(locked):
        raise TransientError("persons_moved", "they changed meanwhile; it is tried again")
    await store.lock_persons(connection, held.everybody)
    return held


async def look(connection: Connection, asked: Collection[int], *, most: int) -> Held:
    """Return everybody that some persons stand for, without a lock.

    Raises:
        PermanentError: There is no such person, or more than `most` are merged together.
    """
    wanted = sorted(set(asked))
    rows = await connection.fetch(queries.MEMBERS, wanted, most + 1)
    if len(rows) > most:
        raise PermanentError(
            "too_many_persons",
            f"more than {most} persons are merged together here: undo some of it, or raise"
            " LABDISPATCH_STEWARD_PERSONS",
        )
    into = {row["person_id"]: row["merged_into"] for row in rows}
    missing = [str(each) for each in wanted if each not in into]
    if missing:
        raise PermanentError(
            "no_such_person",
            f"nobody has the number {', '.join(missing)}: `labdispatch review list` and"
            " `labdispatch trace ID` name persons",
        )
    isolated = frozenset(row["person_id"] for row in rows if row["isolated"])
    return Held(pointers=Pointers(into=into), isolated=isolated)


async def own_rows(connection: Connection, persons: Iterable[int]) -> dict[int, Rows]:
    """Return what each person is known by itself, as digests and keys."""
    wanted = sorted(set(persons))
    aliases: dict[int, set[UUID]] = {each: set() for each in wanted}
    ins: dict[int, set[UUID]] = {each: set() for each in wanted}
    keys: dict[int, set[int]] = {each: set() for each in wanted}
    for row in await connection.fetch(queries.ALIASES, wanted):
        aliases[row["person_id"]].add(row["alias_digest"])
    for row in await connection.fetch(queries.INS, wanted):
        ins[row["person_id"]].add(row["ins_digest"])
    for row in await connection.fetch(queries.KEYS, wanted):
        keys[row["person_id"]].add(row["key"])
    return {
        each: Rows(
            aliases=frozenset(aliases[each]), ins=frozenset(ins[each]), keys=frozenset(keys[each])
        )
        for each in wanted
    }


async def _keys_of(connection: Connection, persons: list[int]) -> set[int]:
    return {row["key"] for row in await connection.fetch(queries.KEYS, persons)}
