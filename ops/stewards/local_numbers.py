"""Persons by a laboratory's own patient number, found by reading its line of the log backwards.

No table holds such numbers: they would be one more thing to know people by. A batch of oppositions
is rare, and reads at most so many records of each laboratory, the newest first.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from ingest.judge import LabProfile
from ingest.numbers import INS_OIDS
from ops.runtime.postgres import Connection, Pool, translated
from ops.sources import Sources
from schemas.envelope import partition_of
from schemas.patient import Phi, Traits

from . import queries
from .persons import look

_PAGE: Final = 500
"""Records that are open at a time."""
_NO_LOCAL: Final = frozenset({"INS", "NH"})
"""Types of PID-3 that are nobody's own number: a national one, or that of an insured person."""


class Wanted(Phi, frozen=True, kw_only=True):
    """A number of a laboratory's own."""

    laboratory: str
    number: str


Whose = Mapping[Wanted, list[int] | str]
"""Who has it (none: nobody was found), or why that cannot be said."""


class LocalNumbers:
    """Finds persons by laboratories' own numbers.

    Args:
        pool: For reading.
        sources: Opens records.
        partitions: Of the instance.
        most: The most records of a laboratory's line that are looked at.
        most_persons: The most persons that may be merged together.
    """

    def __init__(
        self, pool: Pool, sources: Sources, *, partitions: int, most: int, most_persons: int
    ) -> None:
        self._pool = pool
        self._sources = sources
        self._partitions = partitions
        self._most = most
        self._most_persons = most_persons

    async def find(self, wanted: Collection[Wanted]) -> Whose:
        """Return whose each number is."""
        found: dict[Wanted, list[int] | str] = {}
        for laboratory in sorted({each.laboratory for each in wanted}):
            numbers = {each.number for each in wanted if each.laboratory == laboratory}
            with translated():
                async with self._pool.acquire() as connection:
                    whose = await self._of(connection, laboratory, numbers)
            for number in numbers:
                here = Wanted(laboratory=laboratory, number=number)
                found[here] = whose if isinstance(whose, str) else _one(whose.get(number, {}))
        return found

    async def _of(
        self, connection: Connection, laboratory: str, numbers: set[str]
    ) -> dict[str, dict[int, int]] | str:
        lab = await connection.fetchval(queries.LABORATORY, laboratory)
        if lab is None:
            return "no_such_laboratory"
        partition = partition_of(laboratory, self._partitions)
        top = await connection.fetchval(queries.LAST_OUTCOME, partition)
        found: dict[str, dict[int, int]] = {}
        profiles: dict[int, LabProfile] = {}
        end = -1 if top is None else top + 1
        last = max(0, end - self._most)
        while end > last:
            begin = max(last, end - _PAGE)
            rows = await connection.fetch(queries.OUTCOMES, partition, begin, end, lab)
            records = await self._sources.records(
                connection, [(partition, row["offset"]) for row in rows]
            )
            for row in rows:
                record = records.get((partition, row["offset"]))
                if record is None:
                    continue
                prepared = await self._sources.prepared(connection, record, profiles)
                mapped = prepared.mapped
                named = numbers & _local(mapped.traits) if mapped is not None else set()
                if named:
                    owners = await self._owners(connection, row["report_ids"])
                    for number in named:
                        found.setdefault(number, {}).update(owners)
            end = begin
        return found

    async def _owners(self, connection: Connection, reports: Collection[object]) -> dict[int, int]:
        """Return whose reports these are now, and for whom each of those stands."""
        rows = await connection.fetch(queries.OWNERS_OF, list(reports))
        persons = {row["person_id"] for row in rows}
        if not persons:
            return {}
        held = await look(connection, persons, most=self._most_persons)
        return {each: held.pointers.end_of(each) for each in persons}


def _one(whose: Mapping[int, int]) -> list[int] | str:
    """Return those who are one person by now; of several people none is meant."""
    return sorted(whose) if len(set(whose.values())) < 2 else "several"


def _local(traits: Traits) -> set[str]:
    return {
        each.value
        for each in traits.identifiers
        if each.type not in _NO_LOCAL and each.oid not in INS_OIDS
    }
