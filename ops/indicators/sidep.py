"""Files in SI-DEP's layouts, and the notes beside them, out of what was published."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from routing.sidep_files import LAYOUTS, Layout, file_name, layout_of, lines_of
from routing.sidep_notes import PREFIX, note_lines, notes_name
from schemas.errors import PermanentError
from schemas.figures import Figure

from .answering import Published
from .extractions import Made

PARIS: Final = ZoneInfo("Europe/Paris")
"""The clock of the files' names."""
_LEVELS: Final = {"dep": "department", "reg": "region", "fra": "france"}


class SidepFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file: what it is called, and how it is read line by line."""

    layout: Layout
    is_notes: bool
    """True: not the file itself, but what stands beside it."""
    extraction: Made
    condition: str

    @property
    def name(self) -> str:
        """What it is called."""
        at = self.extraction.at.astimezone(PARIS)
        return notes_name(self.layout, at) if self.is_notes else file_name(self.layout, at)

    @property
    def head(self) -> str:
        """The header, with its end."""
        return next(self._lines())

    def tables(self, published: Published) -> AsyncIterator[list[Figure]]:
        """Give what its lines are made of; one time's table is held at a time."""
        level = _LEVELS[self.layout.level]
        return published.tables(self.condition, self.layout.period, level, self.extraction.number)

    async def part(self, table: list[Figure]) -> str:
        """Return the lines of a table: a file of years is millions of them."""
        return await asyncio.to_thread(self._part, table)

    async def lines(self, published: Published) -> AsyncIterator[str]:
        """Give the lines, header first, a part a table."""
        yield self.head
        async for table in self.tables(published):
            yield await self.part(table)

    def _part(self, table: list[Figure]) -> str:
        lines = self._lines(table)
        next(lines)
        return "".join(lines)

    def _lines(self, *tables: list[Figure]) -> Iterator[str]:
        return (note_lines if self.is_notes else lines_of)(self.layout, tables)


def names() -> list[str]:
    """Return the layouts there are."""
    return sorted(LAYOUTS)


def notes_of(file: SidepFile) -> SidepFile:
    """Return the notes beside a file."""
    return msgspec.structs.replace(file, is_notes=True)


def sidep_file(name: str, condition: str, extraction: Made) -> SidepFile:
    """Return a file of an extraction; `notes-` before its name: the notes beside it.

    Raises:
        PermanentError: `no_such_file`: the names there are.
    """
    layout = name.removeprefix(PREFIX)
    if layout not in LAYOUTS:
        raise PermanentError(
            "no_such_file", f"there are {', '.join(names())}; and each with {PREFIX} before it"
        )
    return SidepFile(
        layout=layout_of(layout),
        is_notes=name.startswith(PREFIX),
        extraction=extraction,
        condition=condition,
    )
