"""Writing ER7 in a vendor's separators: fields, components, escapes, times."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from .vendors import Dialect

_LETTERS: Final = "FSRET"
"""Escape letters of field, component, repetition, escape, sub-component, in MSH's order."""


class Pen:
    """Writes pieces of ER7 as one dialect has them.

    Args:
        dialect: Whose separators and times.
    """

    def __init__(self, dialect: Dialect) -> None:
        signs = dialect.separators
        self.field, self.component, self.repetition, self._escape, self.sub = list(signs[:5])
        self.encoding = signs[1:]
        marks = zip(signs, _LETTERS, strict=False)
        self._table = {ord(sign): f"{self._escape}{letter}{self._escape}" for sign, letter in marks}
        if dialect.codec == "iso8859-1":
            # Letters that Latin-1 has not are written as typists write them.
            self._table |= {0x152: "OE", 0x153: "oe", 0x178: "Y", 0x20AC: "EUR", 0x2019: "'"}
        self._zoned = dialect.zone_in_times
        self.time = lru_cache(maxsize=64)(self._time)

    def text(self, value: str) -> str:
        """Return a text with every separator in it escaped (HL7 v2.5.1, 2.7.1)."""
        return value.translate(self._table)

    def composed(self, *components: str) -> str:
        """Return components joined, each escaped, without trailing separators."""
        joined = self.component.join(component.translate(self._table) for component in components)
        return joined.rstrip(self.component)

    def segment(self, name: str, fields: dict[int, str]) -> str:
        """Return a segment whose fields stand at their numbers; what is not given is empty."""
        last = max(fields)
        row = [fields.get(place, "") for place in range(1, last + 1)]
        return self.field.join([name, *row])

    def _time(self, seconds: float) -> str:
        """Return a moment in French local time, with its offset where the dialect sends one."""
        moment = datetime.fromtimestamp(int(seconds), UTC).astimezone(_paris())
        return f"{moment:%Y%m%d%H%M%S%z}" if self._zoned else f"{moment:%Y%m%d%H%M%S}"


@lru_cache(maxsize=1)
def _paris() -> ZoneInfo:
    return ZoneInfo("Europe/Paris")
