"""Which counts a block's figures are made of: those told last, until a revision takes new ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from ops.runtime.compression import Compressor, Decompressor
from ops.runtime.postgres import Connection
from routing.disclosure import Policy, Shown
from routing.disclosure_revising import (
    CellCounts,
    differences,
    next_revision,
    revisions_passed,
)
from routing.disclosure_times import settled_times
from routing.indicator_cells import DAY, MONTH_PERIOD
from schemas.errors import PermanentError

from . import extraction_queries, packing
from .blocks import BlockOfTime

Departments = dict[str, bytes]
"""The cells of a day by department, packed."""
_DECODER: Final = msgspec.msgpack.Decoder(dict[str, bytes])


class Telling(msgspec.Struct, frozen=True, kw_only=True):
    """What an extraction tells of a block: counts by day, and how they came to be these."""

    days: Mapping[int, CellCounts]
    """Of all days that are told, of this block and the week before."""
    revised: int
    """How many ages of revision have passed."""
    told: Mapping[int, CellCounts] = {}
    """Of this block's days as they were told last, where a revision takes others."""
    fresh: Mapping[int, Departments] = {}
    """Days whose counts are kept anew."""
    first: frozenset[int] = frozenset()
    """Days that were not told before."""
    revise_on: int | None = None

    @property
    def is_revision(self) -> bool:
        """Say whether days are told anew."""
        return bool(self.told)

    def changes(self) -> tuple[dict[int, CellCounts], dict[int, CellCounts]]:
        """Return what has come and what has gone, of each day that is told anew."""
        gains: dict[int, CellCounts] = {}
        losses: dict[int, CellCounts] = {}
        for day, told in self.told.items():
            gains[day], losses[day] = differences(self.days[day], told)
        return gains, losses


class ToldDays:
    """Reads and keeps the counts that were told.

    Args:
        connection: Of the role that counts.
        condition: Whose counts.
        number: Of the extraction that is being made.
        today: Its day.
        policy: When what is told, and told anew.
    """

    def __init__(
        self, connection: Connection, condition: str, number: int, today: int, policy: Policy
    ) -> None:
        self._connection = connection
        self._condition = condition
        self._number = number
        self._today = today
        self._policy = policy

    async def of_block(
        self, block: BlockOfTime, settled: Iterable[int], before: Shown | None
    ) -> Telling | None:
        """Return what is told of a block; None: nothing of it is old enough."""
        earlier = await self._told(block, range(block.begins - 7, block.begins), self._number)
        rows = await self._told(block, block.days, self._number - 1)
        passed = revisions_passed(self._policy, self._today - block.last)
        done = max((row["revised"] for row in rows.values()), default=passed)
        is_due = bool(rows) and before is not None and passed > done
        days = {day: cells_of(unpack_told(row["packed"])) for day, row in rows.items()}
        told = dict(days) if is_due else {}
        fresh: dict[int, Departments] = {}
        first = []
        for day in settled:
            if day not in rows:
                first.append(day)
            elif not is_due:
                continue
            fresh[day] = await self._now(block, day)
            days[day] = cells_of(fresh[day])
        if not days:
            return None
        days.update((day, cells_of(unpack_told(row["packed"]))) for day, row in earlier.items())
        revised = passed if is_due or not rows else done
        return Telling(
            days=days,
            revised=revised,
            told=told,
            fresh=fresh,
            first=frozenset(first),
            revise_on=next_revision(self._policy, block.last, revised),
        )

    async def keep(self, block: BlockOfTime, telling: Telling) -> None:
        """Keep what is told from now on."""
        if telling.fresh:
            await self._connection.execute(
                extraction_queries.KEEP_TOLD,
                self._condition,
                _period(block),
                self._number,
                telling.revised,
                telling.revise_on,
                list(telling.fresh),
                [pack_told(each) for each in telling.fresh.values()],
            )

    async def _told(self, block: BlockOfTime, days: range, number: int) -> dict[int, Any]:
        if block.is_month and days != block.days:
            return {}
        rows = await self._connection.fetch(
            extraction_queries.TOLD, self._condition, _period(block), days[0], days[-1], number
        )
        return {row["day"]: row for row in rows}

    async def _now(self, block: BlockOfTime, day: int) -> Departments:
        rows = await self._connection.fetch(
            extraction_queries.CELLS_OF_DAYS, self._condition, _period(block), day, day
        )
        return {row["department"]: row["packed"] for row in rows}


def settled_days(block: BlockOfTime, policy: Policy, today: Any) -> list[int]:
    """Return the days of a block that are old enough to be told."""
    times = settled_times(block.name, policy, today)
    if block.is_month:
        return [block.begins] if times else []
    return [day for at, day in enumerate(block.days, start=1) if str(at) in times]


def pack_told(departments: Departments) -> bytes:
    """Return the bytes of a day's counts."""
    return Compressor("told").compress(msgspec.msgpack.encode(departments))


def unpack_told(packed: bytes) -> Departments:
    """Return a day's counts.

    Raises:
        PermanentError: The bytes are damaged (`row_unreadable`).
    """
    try:
        return _DECODER.decode(Decompressor().decompress(packed))
    except (ValueError, msgspec.MsgspecError):
        raise PermanentError(
            "row_unreadable", "told counts are damaged: docs/runbooks/table-damaged.md"
        ) from None


def cells_of(departments: Departments) -> CellCounts:
    """Return the cells of each department."""
    return {each: packing.unpack(packed).cells for each, packed in departments.items()}


def _period(block: BlockOfTime) -> str:
    return MONTH_PERIOD if block.is_month else DAY
