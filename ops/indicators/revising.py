"""How published figures were changed: what one table after another says of the same time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Any, NamedTuple

import msgspec

from schemas.figures import Extraction, Figure, Revision

from . import extraction_queries
from .asking import Asked, Behind
from .stored import Kept, pick, unpack_table
from .unpacking import Tables, at_once

_Places = dict[tuple[str, str, str], Figure]


class Step(NamedTuple):
    """What one table changed."""

    behind: Behind
    """Where to read on behind it."""
    unpacked: int
    revisions: list[Revision]


class Held(msgspec.Struct):
    """What was told last of the time that is looked at."""

    day: int = 0
    figures: _Places = {}


async def steps(
    tables: Tables, condition: str, asked: Asked, number: int
) -> AsyncGenerator[Step, None]:
    """Give what each table changed: level by level, day by day, in the order of extractions.

    It begins behind `asked.behind`, and holds a few packed tables and two open ones at a time.
    """
    for place, level in enumerate(asked.levels):
        if place < asked.behind.place:
            continue
        resumed = place == asked.behind.place and asked.behind.extraction > 0
        day, extraction = (
            (asked.behind.day, asked.behind.extraction) if resumed else (asked.first, 0)
        )
        held = await _held(tables, condition, asked, level) if resumed else Held()
        most, step = at_once((level,))
        rows: Sequence[Any]
        while True:
            async with tables.lent() as connection:
                rows = await connection.fetch(
                    extraction_queries.REVISIONS,
                    condition,
                    asked.period.value,
                    level,
                    day,
                    asked.last,
                    number,
                    extraction,
                    most,
                )
            for begin in range(0, len(rows), step):
                async with tables.turn():
                    part = rows[begin : begin + step]
                    found = await asyncio.to_thread(_changed, condition, part, asked, place, held)
                for each in found:
                    yield each
            if len(rows) < most:
                break
            day, extraction = rows[-1]["day"], rows[-1]["extraction"]


async def _held(tables: Tables, condition: str, asked: Asked, level: str) -> Held:
    """Return what was told last where an answer ended."""
    behind = asked.behind
    async with tables.lent() as connection:
        rows = await connection.fetch(
            extraction_queries.TABLES,
            condition,
            asked.period.value,
            level,
            [behind.day],
            behind.extraction,
        )
    held = Held(day=behind.day)
    for row in rows:
        async with tables.turn():
            held.figures = await asyncio.to_thread(
                _placed,
                row["figures"],
                Kept(condition, asked.period.value, behind.day, level, row["extraction"]),
                asked,
            )
    return held


def _changed(
    condition: str, rows: Sequence[Any], asked: Asked, place: int, held: Held
) -> list[Step]:
    found = []
    for row in rows:
        if row["day"] != held.day:
            held.day, held.figures = row["day"], {}
        extraction = Extraction(number=row["extraction"], at=row["at"])
        level = asked.levels[place]
        kept = Kept(condition, asked.period.value, row["day"], level, row["extraction"])
        table = unpack_table(row["figures"], kept)
        revisions = []
        for figure in pick(table, asked.areas, asked.age_classes, asked.sexes):
            at = _place(figure)
            last = held.figures.get(at)
            if figure != last:
                revisions.append(Revision(extraction=extraction, before=last, after=figure))
            held.figures[at] = figure
        found.append(Step(Behind(place, row["day"], row["extraction"]), len(table), revisions))
    return found


def _placed(packed: bytes, kept: Kept, asked: Asked) -> _Places:
    figures = pick(unpack_table(packed, kept), asked.areas, asked.age_classes, asked.sexes)
    return {_place(each): each for each in figures}


def _place(figure: Figure) -> tuple[str, str, str]:
    return figure.area, figure.age_class, figure.sex
