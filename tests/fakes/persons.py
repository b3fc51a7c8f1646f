"""The tables of persons in memory: what a resolver asks of them, for one process at a time."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

import msgspec

from dedup.decide import Verdicts
from dedup.deciding import AliasRow, InsRow, Known
from dedup.identity import Candidate, HeldIns
from dedup.person_writing import LinkRow
from dedup.persons import Bounds, Found, KeyVersions, PersonStore


class PersonsInMemory(PersonStore):
    """Holds persons, keys and links in dictionaries; the connection is not looked at."""

    def __init__(self, bounds: Bounds | None = None) -> None:
        self.bounds = bounds or Bounds()
        self.keys: dict[int, list[int]] = {}
        self.persons: dict[int, Candidate] = {}
        self.versions: dict[int, int] = {}
        self.seen: dict[tuple[int, UUID], date] = {}
        self.hot: set[int] = set()
        self.links: list[LinkRow] = []
        self.statements = 0
        self._number = 0

    async def begin(self, connection: Any, count: int) -> list[int]:
        self.statements += 1
        first = self._number + 1
        self._number += count
        return list(range(first, first + count))

    async def lock_keys(self, connection: Any, keys: Iterable[int]) -> KeyVersions | None:
        self.statements += 1
        return KeyVersions(live=2)

    async def look_up(
        self, connection: Any, keys: Iterable[int], also: Iterable[int] = ()
    ) -> Found:
        self.statements += 1
        asked = set(keys)
        most = self.bounds.key_persons + 1
        return Found(
            under={
                key: sorted(self.keys[key])[:most] for key in asked - self.hot if self.keys.get(key)
            },
            hot=self.hot & (asked | set(also)),
        )

    async def load(self, connection: Any, numbers: Iterable[int], known: Known) -> None:
        self.statements += 1
        for number in set(numbers):
            held = self.persons[number]
            known.ends[number] = number
            known.persons[number] = msgspec.structs.replace(
                held, ins=dict(held.ins), aliases=dict(held.aliases)
            )
            for (person, digest), on in self.seen.items():
                if person == number:
                    known.rows[person, digest] = (person, on)

    async def verdicts(self, connection: Any, ends: Mapping[int, int]) -> Verdicts:
        self.statements += 1
        return {}

    async def under(
        self, connection: Any, keys: Iterable[int], after: int = 0
    ) -> dict[int, list[int]]:
        self.statements += 1
        return {key: sorted(self.keys.get(key, ())) for key in keys}

    async def mark_hot(self, connection: Any, persons: dict[int, int], at: datetime) -> None:
        self.statements += 1
        self.hot |= persons.keys()

    async def lock_persons(self, connection: Any, numbers: Iterable[int]) -> dict[int, int]:
        self.statements += 1
        return {number: self.versions[number] for number in numbers}

    async def write_persons(
        self,
        connection: Any,
        *,
        new: Sequence[tuple[int, int, bool]],
        versions: dict[int, int],
        at: datetime,
    ) -> None:
        self.statements += 1
        for number, version, isolated in new:
            self.persons[number] = Candidate(
                person_id=number, ins={}, aliases={}, isolated=isolated
            )
            self.versions[number] = version
        self.versions |= versions

    async def write_identities(
        self,
        connection: Any,
        *,
        ins: Sequence[InsRow],
        aliases: Sequence[AliasRow],
        keys: Collection[tuple[int, int]],
        on: date,
    ) -> None:
        self.statements += 1
        for row in ins:
            held = HeldIns(row.ins, row.is_former, row.strict_digest)
            self.persons[row.person_id].ins[row.digest] = held
            self.seen[row.person_id, row.digest] = on
        for alias in aliases:
            self.persons[alias.person_id].aliases[alias.digest] = alias.alias.identity
            self.seen[alias.person_id, alias.digest] = on
        await self.write_keys(connection, keys)

    async def write_keys(self, connection: Any, keys: Collection[tuple[int, int]]) -> None:
        for key, person in keys:
            under = self.keys.setdefault(key, [])
            if person not in under:
                under.append(person)

    async def write_links(self, connection: Any, rows: Sequence[LinkRow], at: datetime) -> None:
        self.statements += 1
        self.links += rows
