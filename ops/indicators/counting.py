"""Counts a batch of events in one transaction: rows, cells, what is due, and the positions.

All of it or nothing: whoever dies begins again where the last transaction ended, so every event is
counted once. The fence is `indicator_progress.batch`: a process that another one has overtaken
finds another number than it left, and changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from ops.runtime.failpoints import hit
from ops.runtime.metrics import METRICS
from ops.runtime.postgres import Connection, Pool, translated
from routing.indicator_aliases import Aliases, HeldAlias
from routing.indicator_cells import Deltas, Place
from routing.indicator_rows import (
    FORMAT as ROW_FORMAT,
)
from routing.indicator_rows import (
    Alias,
    Heard,
    Row,
    RowKey,
    decode_row,
)
from routing.indicators import Book, Changes, Reach
from schemas.errors import FatalError, Fenced, PermanentError

from . import packing, queries
from .packing import Packed
from .reading import Batch
from .rows import is_copied, number_of, write_rows

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
            try:
                late = await self._transact(batch, trusts=True)
            except PermanentError:
                # A row of a first version may be kept all the same (positions that a person moved
                # back): then all of them are looked up, and what is known changes nothing. Nobody
                # may have counted meanwhile: their fence is not ours to take over.
                before = self._batch
                await self.load()
                if self._batch != before:
                    raise Fenced("indicators_overtaken", "another process counts them") from None
                late = await self._transact(batch, trusts=False)
        except PermanentError as error:
            raise FatalError(error.reason, error.remedy) from None
        self._batch += 1
        METRICS.indicator_closed_events.inc(late)
        hit("indicators.after_commit")

    async def _transact(self, batch: Batch, *, trusts: bool) -> int:
        """Count in one transaction; return how many rows came too late.

        Args:
            batch: What to count.
            trusts: Believe that nothing is kept of what comes in its first version.
        """
        with translated():
            async with self._pool.acquire() as connection, connection.transaction():
                closed = await self._fence(connection)
                changes, known, late = await self._changes(
                    connection, batch.heard, closed, trusts=trusts
                )
                hit("indicators.read")
                await self._keep(connection, changes, known)
                await connection.execute(
                    queries.MOVE, list(batch.positions), list(batch.positions.values())
                )
                await connection.execute(queries.RAISE, len(batch.heard), LAYOUT)
                hit("indicators.before_commit")
        return late

    async def _fence(self, connection: Connection) -> int:
        """Hold off whoever else counts; return before which day nothing changes any more."""
        found = await connection.fetchrow(queries.FENCE)
        if found["batch"] != self._batch:
            raise Fenced("indicators_overtaken", "another process counts them")
        return int(found["closed_before"])

    async def _changes(
        self, connection: Connection, heard: Sequence[Heard], closed: int, *, trusts: bool
    ) -> tuple[Changes, set[RowKey], int]:
        """Return what events change of days that are not closed, and how many came too late.

        And of which rows something was kept.
        """
        heard = self._known(heard)
        book = Book(self._aliases)
        # Of a first version nothing is kept: positions go with what follows from them.
        later = [each.key for each in heard if each.version > 1 or each.row is None or not trusts]
        if later:
            await _hold(
                book,
                connection,
                queries.KEPT,
                [key.report_id for key in later],
                [key.part for key in later],
            )
        asked = asked_of(book.reaches(heard))
        if asked[0] != "{}":
            await _hold(book, connection, queries.OF_PERSONS, *asked)
        before = {key: row for key in later if (row := book.row(key)) is not None}
        changes = book.apply(heard)
        late = _late(changes.rows, before, closed) if closed else 0
        return changes._replace(deltas=_open_ones(changes.deltas, closed)), set(before), late

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

    async def _keep(self, connection: Connection, changes: Changes, known: set[RowKey]) -> None:
        fresh: list[tuple[RowKey, Row]] = []
        others: list[tuple[RowKey, Row]] = []
        for each in changes.rows.items():
            (fresh if each[0] not in known and is_copied(each[1]) else others).append(each)
        await write_rows(connection, fresh, others)
        if changes.aliases:
            await connection.execute(queries.KEEP_ALIASES, *_alias_columns(changes.aliases.items()))
        await add_to_cells(connection, changes.deltas, self._batch + 1)


def _late(rows: Mapping[RowKey, Row], before: Mapping[RowKey, Row], closed: int) -> int:
    """Return how many rows are, or were, of a closed day; or gone, and withdrawn only now."""
    late = 0
    for key, row in rows.items():
        held = before.get(key)
        if held is not None and held.flags:
            late += held.day < closed or (row.flags != 0 and row.day < closed)
        elif row.flags:
            late += row.day < closed
        else:
            late += held is None and row.version > 1
    return late


def _open_ones(deltas: Deltas, closed: int) -> Deltas:
    return Deltas(
        {place: cells for place, cells in deltas.places.items() if place.day >= closed},
        {key: delays for key, delays in deltas.delays.items() if key.day >= closed},
    )


async def add_to_cells(connection: Connection, deltas: Deltas, batch: int) -> None:
    """Add what changes to the cells that are kept, and note whose tables are due."""
    touched = packing.touched_by(deltas)
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
        packing.change(cells, deltas, place, touched[place])
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


async def _hold(book: Book, connection: Connection, query: str, *asked: object) -> None:
    for report_id, part, packed in await connection.fetch(query, *asked):
        book.hold(RowKey(report_id, part), decode_row(packed))


def asked_of(reaches: Iterable[Reach]) -> tuple[str, str, str]:
    """Return whose rows are asked for, and of which days, each person once.

    As the text of arrays: the client looks at each element of a list several times.
    """
    spans: dict[bytes, tuple[int, int]] = {}
    for _, person, first_day, last_day in reaches:
        found = person[:8]
        held = spans.get(found)
        if held is None:
            spans[found] = (first_day, last_day)
        else:
            spans[found] = (min(held[0], first_day), max(held[1], last_day))
    most = 1 << 30
    firsts = [max(first, -most) for first, _ in spans.values()]
    lasts = [min(last, most) for _, last in spans.values()]
    return _array(map(number_of, spans)), _array(firsts), _array(lasts)


def _array(numbers: Iterable[int]) -> str:
    return "{" + ",".join(map(str, numbers)) + "}"


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
