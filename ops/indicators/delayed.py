"""Answers what was told of delays from sampling to reception. Nothing is counted here."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any, Final

import msgspec

from schemas.errors import PermanentError
from schemas.figures import ALL_AGES, FRANCE, DelayFigure, Extraction, Period

from . import delay_queries
from .asking import Asked, read_asked
from .extractions import extraction_of
from .stored import Kept, unpack_delays
from .unpacking import Tables

_WEEKS_AT_ONCE: Final = 16
_REACH: Final = 6
"""Days from a Monday to its Sunday, under which a week is kept."""


class Delayed(msgspec.Struct, frozen=True, kw_only=True):
    """Delays as of one extraction, in order of time; `next` reads on where there are more."""

    extraction: Extraction
    condition: str
    delays: list[DelayFigure]
    next: str | None = None


def read_delays_asked(pairs: Iterable[tuple[str, str]]) -> Asked:
    """Return which delays are asked for: by week, unless it is said.

    Raises:
        PermanentError: `bad_question`: which word, and what it may be.
    """
    given = list(pairs)
    if not any(name == "period" and value.strip() for name, value in given):
        given = [*((n, v) for n, v in given if n != "period"), ("period", "week")]
    asked = read_asked(given)
    if asked.period not in {Period.WEEK, Period.DAY}:
        raise PermanentError("bad_question", "period: week; day of France")
    if asked.period is Period.DAY and asked.levels != (FRANCE,):
        raise PermanentError("bad_question", "period: week; delays are told by day of France alone")
    if asked.age_classes != {ALL_AGES} or asked.sexes != {""}:
        raise PermanentError("bad_question", "age_class, sex: delays are told of all together")
    return asked


class PublishedDelays:
    """Reads what was told of delays.

    Args:
        tables: Lends connections, and turns to unpack.
        most: The most figures of an answer; it holds whole weeks, and at least one.
    """

    def __init__(self, tables: Tables, most: int) -> None:
        self._tables = tables
        self._most = most

    async def delays(self, condition: str, asked: Asked) -> Delayed:
        """Return the delays asked for, in pages of whole weeks.

        Raises:
            PermanentError: No such extraction (`no_extraction`, `extraction_gone`), or a damaged
                table (`table_unreadable`).
        """
        async with self._tables.answering():
            async with self._tables.lent() as connection:
                made = await extraction_of(connection, asked.as_of)
            found, further = await self._page(condition, asked, made.number)
        return Delayed(
            extraction=Extraction(number=made.number, at=made.at),
            condition=condition,
            delays=found,
            next=None if further is None else str(further),
        )

    async def _page(
        self, condition: str, asked: Asked, number: int
    ) -> tuple[list[DelayFigure], int | None]:
        """Return whole weeks until there are enough, and behind which Sunday to read on."""
        found: list[DelayFigure] = []
        behind: int | None = None
        is_day = asked.period is Period.DAY
        last = min(asked.last + (_REACH if is_day else 0), date.max.toordinal())
        first = max(asked.first, asked.after + 1)
        while True:
            async with self._tables.lent() as connection:
                rows = await connection.fetch(
                    delay_queries.TOLD, condition, first, last, number, _WEEKS_AT_ONCE
                )
            async with self._tables.turn():
                weeks = await asyncio.to_thread(_opened, condition, rows, asked)
            for sunday, figures in weeks:
                if behind is not None and len(found) + len(figures) > self._most:
                    return found, behind
                found += figures
                behind = sunday
            if len(rows) < _WEEKS_AT_ONCE:
                return found, None
            first = rows[-1]["day"] + 1


def _opened(
    condition: str, rows: Sequence[Any], asked: Asked
) -> list[tuple[int, list[DelayFigure]]]:
    found = []
    for row in rows:
        kept = Kept(condition, "delays", row["day"], "all", row["extraction"])
        figures = [
            each
            for each in unpack_delays(row["figures"], kept)
            if each.period == asked.period and _is_asked(each, asked)
        ]
        found.append((row["day"], figures))
    return found


def _is_asked(figure: DelayFigure, asked: Asked) -> bool:
    if asked.areas and figure.area not in asked.areas:
        return False
    if figure.area.partition(":")[0] not in asked.levels:
        return False
    if figure.period != Period.DAY:
        return True
    return asked.first <= date.fromisoformat(figure.label).toordinal() <= asked.last
