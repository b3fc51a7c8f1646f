"""Files in the layouts of SI-DEP's open data, out of what was published."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from routing.sidep_files import LAYOUTS, Layout, file_name, layout_of, lines_of
from schemas.errors import PermanentError
from schemas.figures import Figure

from .answering import Published
from .extractions import Made

PARIS: Final = ZoneInfo("Europe/Paris")
"""The clock of the files' names."""
_LEVELS: Final = {"dep": "department", "reg": "region", "fra": "france"}


class SidepFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file: what it is called, and how it is read line by line."""

    name: str
    extraction: Made
    condition: str
    layout: str

    async def lines(self, published: Published) -> AsyncIterator[str]:
        """Give the lines, header first; one time's table is held at a time."""
        layout = layout_of(self.layout)
        for line in lines_of(layout, ()):
            yield line
        tables = published.tables(
            self.condition, layout.period, _LEVELS[layout.level], self.extraction.number
        )
        async for table in tables:
            # One part a table: a file of years is millions of lines.
            yield await asyncio.to_thread(_part, layout, table)


def _part(layout: Layout, table: list[Figure]) -> str:
    """Return the lines of a table, without their header."""
    lines = iter(lines_of(layout, (table,)))
    next(lines)
    return "".join(lines)


def names() -> list[str]:
    """Return the layouts there are."""
    return sorted(LAYOUTS)


def sidep_file(layout: str, condition: str, extraction: Made) -> SidepFile:
    """Return a file of an extraction.

    Raises:
        PermanentError: `no_such_file`: the names there are.
    """
    if layout not in LAYOUTS:
        raise PermanentError("no_such_file", f"there are {', '.join(names())}")
    name = file_name(layout_of(layout), extraction.at.astimezone(PARIS))
    return SidepFile(name=name, extraction=extraction, condition=condition, layout=layout)
