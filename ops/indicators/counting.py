"""Counts a batch of events in one transaction: rows, cells, what is due, and the positions.

All of it or nothing: whoever dies begins again where the last transaction ended, so every event is
counted once. The fence is `indicator_progress.batch`: a process that another one has overtaken
finds another number than it left, and changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from ops.runtime.failpoints import hit
from ops.runtime.postgres import Connection, Pool, translated
from routing.indicator_aliases import Aliases, HeldAlias
from routing.indicator_cells import Deltas
from routing.indicator_rows import (
    FORMAT as ROW_FORMAT,
)
from routing.indicator_rows import (
    Alias,
    Heard,
    Row,
    RowKey,
    decode_row,
    encode_row,
    groups_of,
)
from routing.indicators import Book, Changes, Reach
from schemas.errors import FatalError, Fenced, PermanentError

from . import packing, queries
from .packing import Packed, Place
from .reading import Batch

LAYOUT: Final = ROW_FORMAT * 1_000 + packing.FORMAT
"""Of what is kept: another one is counted anew, not read wrongly."""


class Counter:
    """Counts batch after batch.

    Args:
        pool: Connections of the role that counts.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._batch = 0
        self._aliases = Aliases()

    @property
    def batch(self) -> int:
        """How many transactions have counted."""
        return self._batch

    @property
    def aliases(self) -> int:
        """How many replaced pseudonyms are held."""
        return len(self._aliases)

    async def load(self) -> None:
        """Take up what is stored; after any failure, for nobody knows how a commit ended.

        Raises:
            FatalError: Another release's rows and cells are kept (`row_unreadable`).
        """
        with translated():
            async with self._pool.acquire() as connection:
                progress = await connection.fetchrow(queries.PROGRESS)
                rows = await connection.fetch(queries.ALIASES)
        if progress["batch"] and progress["layout"] != LAYOUT:
            raise FatalError(
                "row_unreadable", "another release counted these: labdispatch indicators rebuild"
            )
        self._batch = progress["batch"]
        self._aliases = Aliases({RowKey(row[0], row[1]): alias_of(row) for row in rows})

    async def count(self, batch: Batch) -> None:
        """Count a batch that follows what was counted last.

        Raises:
            Fenced: Another process counted meanwhile; load, and begin again.
            TransientError: The database is away; the same.
            FatalError: What is kept cannot be what the events say.
        """
        try:
            with translated():
                async with self._pool.acquire() as connection, connection.transaction():
                    await self._fence(connection)
                    changes = await self._changes(connection, batch.heard)
                    hit("indicators.read")
                    await self._keep(connection, changes)
                    await connection.execute(
                        queries.MOVE, list(batch.positions), list(batch.positions.values())
                    )
                    await connection.execute(queries.RAISE, len(batch.heard), LAYOUT)
                    hit("indicators.before_commit")
        except PermanentError as error:
            raise FatalError(error.reason, error.remedy) from None
        self._batch += 1
        hit("indicators.after_commit")

    async def _fence(self, connection: Connection) -> None:
        found = await connection.fetchrow(queries.FENCE)
        if found["batch"] != self._batch:
            raise Fenced("indicators_overtaken", "another process counts them")

    async def _changes(self, connection: Connection, heard: Sequence[Heard]) -> Changes:
        heard = self._known(heard)
        book = Book(self._aliases)
        # Of a first version nothing is kept: positions go with what follows from them.
        later = [each.key for each in heard if each.version > 1 or each.row is None]
        if later:
            await _hold(
                book,
                connection,
                queries.KEPT,
                [key.report_id for key in later],
                [key.part for key in later],
            )
        asked = asked_of(book.reaches(heard))
        if asked[0]:
            await _hold(book, connection, queries.OF_PERSONS, *asked)
        return book.apply(heard)

    def _known(self, heard: Sequence[Heard]) -> list[Heard]:
        """Leave out that an alias is withdrawn which was told before anything was counted."""
        told: set[RowKey] = set()
        found = []
        for each in heard:
            if each.row is None:
                if each.alias is not None:
                    told.add(each.key)
                elif each.key not in told and self._aliases.held(each.key) is None:
                    continue
            found.append(each)
        return found

    async def _keep(self, connection: Connection, changes: Changes) -> None:
        if changes.rows:
            await connection.execute(queries.KEEP_ROWS, *_row_columns(changes.rows.items()))
        if changes.aliases:
            await connection.execute(queries.KEEP_ALIASES, *_alias_columns(changes.aliases.items()))
        await add_to_cells(connection, changes.deltas, self._batch + 1)


async def add_to_cells(connection: Connection, deltas: Deltas, batch: int) -> None:
    """Add what changes to the cells that are kept, and note whose tables are due."""
    touched = packing.places_of(deltas)
    if not touched:
        return
    places = sorted(touched)
    columns = [list(column) for column in zip(*places, strict=True)]
    held = {
        Place(row[0], row[1], row[2], row[3]): packing.unpack(row[4])
        for row in await connection.fetch(queries.CELLS, *columns)
    }
    kept: list[tuple[Place, bytes]] = []
    gone: list[Place] = []
    for place in places:
        cells = held.get(place) or Packed(cells={})
        packing.change(cells, deltas, *touched[place])
        packed = packing.pack(cells)
        if packed is None:
            gone.append(place)
        else:
            kept.append((place, packed))
    if kept:
        named = zip(*(place for place, _ in kept), strict=True)
        await connection.execute(
            queries.KEEP_CELLS, *map(list, named), [packed for _, packed in kept]
        )
    if gone:
        await connection.execute(queries.DROP_CELLS, *map(list, zip(*gone, strict=True)))
    due = sorted({place[:3] for place in places})
    await connection.execute(queries.DUE, *map(list, zip(*due, strict=True)), batch)


def number_of(person: bytes) -> int:
    """Return the 64 bits of a pseudonym by which its rows are found."""
    return int.from_bytes(person[:8], "big", signed=True)


async def _hold(book: Book, connection: Connection, query: str, *asked: list[Any]) -> None:
    for report_id, part, packed in await connection.fetch(query, *asked):
        book.hold(RowKey(report_id, part), decode_row(packed))


def asked_of(reaches: Iterable[Reach]) -> tuple[list[int], list[int], list[int]]:
    """Return whose rows are asked for, and of which days, each person once."""
    spans: dict[int, tuple[int, int]] = {}
    for reach in reaches:
        person = number_of(reach.person)
        first, last = spans.get(person, (reach.first_day, reach.last_day))
        spans[person] = (min(first, reach.first_day), max(last, reach.last_day))
    most = 1 << 30
    return (
        list(spans),
        [max(first, -most) for first, _ in spans.values()],
        [min(last, most) for _, last in spans.values()],
    )


def _row_columns(rows: Iterable[tuple[RowKey, Row]]) -> tuple[list[Any], ...]:
    columns: tuple[list[Any], ...] = ([], [], [], [], [], [])
    reports, parts, persons, following, days, packed = columns
    for key, row in rows:
        groups = groups_of(row)
        reports.append(key.report_id)
        parts.append(key.part)
        persons.append(number_of(groups[0][1]) if groups else None)
        following.append(number_of(groups[1][1]) if len(groups) > 1 else None)
        days.append(row.day if groups else None)
        packed.append(encode_row(row))
    return columns


def _alias_columns(aliases: Iterable[tuple[RowKey, HeldAlias]]) -> tuple[list[Any], ...]:
    columns: tuple[list[Any], ...] = ([], [], [], [], [], [])
    for key, held in aliases:
        told = held.alias or (None, None, None)
        for column, value in zip(columns, (*key, held.version, *told), strict=True):
            column.append(value)
    return columns


def alias_of(row: Any) -> HeldAlias:
    """Return an alias out of its stored row."""
    _, _, version, period, old, new = row
    return HeldAlias(version, None if period is None else Alias(period, old, new))
