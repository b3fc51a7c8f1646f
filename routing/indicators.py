"""Indicators that revise themselves: from public-health events to what they change in cells. Pure.

A `Book` holds rows and aliases, and nothing counted; `apply` says by how much cells change. At once
or one by one, in whatever order and cuts, the same events lead to the same cells, and these are the
cells of the newest rows counted from zero. Rules: docs/indicator-rules.md.

Whoever keeps rows elsewhere takes a new book for each batch: `hold` what is kept of the rows that
the batch is about, then of the persons in `reaches`, then `apply`, and write what it says.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Final, NamedTuple

import msgspec

from .indicator_aliases import Aliases, HeldAlias, Person
from .indicator_cells import Deltas, Ledger
from .indicator_rows import WINDOW_DAYS, Heard, Row, RowKey, groups_of, merged

_Span = tuple[int, int]
_Spans = dict[str, _Span]
"""By condition, the first and last day of the rows that a change can touch."""
_EVERY: Final = ""
"""In place of a condition: all of them, on every day."""
_ALWAYS: Final = (0, 1 << 30)


class Reach(NamedTuple):
    """Whose rows a batch needs: those of a person in a half-year, own or as the next one's."""

    period: str
    person: bytes
    first_day: int
    last_day: int
    """Ordinals; rows outside of these days are not needed, and do no harm."""


class Changes(NamedTuple):
    """What a batch changes."""

    deltas: Deltas
    rows: Mapping[RowKey, Row]
    """To be kept from now on."""
    aliases: Mapping[RowKey, HeldAlias]


class Book:
    """What is held of rows and persons.

    Args:
        aliases: Shared by books that follow each other; after a batch that could not be kept, load
            them anew.
    """

    def __init__(self, aliases: Aliases | None = None) -> None:
        self._aliases = Aliases() if aliases is None else aliases
        self._rows: dict[RowKey, Row] = {}
        self._persons: dict[Person, dict[RowKey, Row]] = {}

    def hold(self, key: RowKey, row: Row) -> None:
        """Take a row that is kept, and counted already; one that is held stays as it is."""
        if key not in self._rows:
            self._put(key, row)

    def row(self, key: RowKey) -> Row | None:
        """Return what is held of a row."""
        return self._rows.get(key)

    def reaches(self, events: Iterable[Heard]) -> list[Reach]:
        """Return whose rows must be held before `apply`, when the events' own are."""
        spans = self._touched(*self._said(events))
        return [
            Reach(
                period,
                person,
                min(first for first, _ in by_condition.values()),
                max(last for _, last in by_condition.values()),
            )
            for together, by_condition in spans.items()
            for period, person in together
        ]

    def apply(self, events: Iterable[Heard]) -> Changes:
        """Take events; return what they change. Events of before, or told twice, change nothing."""
        rows, aliases = self._said(events)
        spans = self._touched(rows, aliases)
        ledger = Ledger()
        self._count(ledger, spans, -1)
        for key, row in rows.items():
            self._put(key, row)
        self._aliases.take(aliases)
        self._count(ledger, spans, 1)
        return Changes(ledger.deltas(), rows, aliases)

    def _said(self, events: Iterable[Heard]) -> tuple[dict[RowKey, Row], dict[RowKey, HeldAlias]]:
        """Return rows and aliases as they will be, of those alone that events change."""
        rows: dict[RowKey, Row] = {}
        aliases: dict[RowKey, HeldAlias] = {}
        for key, heard, alias, version in events:
            told = aliases.get(key) or self._aliases.held(key)
            held = rows.get(key) or self._rows.get(key)
            if alias is None and told is None:
                assert heard is not None, "an event is about a row or an alias"
                after = merged(held, heard)
                if after is not held:
                    rows[key] = after
            elif version > max(0 if each is None else each.version for each in (told, held)):
                aliases[key] = HeldAlias(version, alias)
        return rows, aliases

    def _touched(
        self, rows: Mapping[RowKey, Row], aliases: Mapping[RowKey, HeldAlias]
    ) -> dict[tuple[Person, ...], _Spans]:
        """Return whose counts can change, by all their pseudonyms before and after."""
        more: dict[Person, list[Person]] = {}
        for one, other in self._aliases.ends(aliases):
            more.setdefault(one, []).append(other)
            more.setdefault(other, []).append(one)
        found: dict[tuple[Person, ...], _Spans] = {}
        for person in more:
            found[self._aliases.together(person, more)] = {_EVERY: _ALWAYS}
        for key, row in rows.items():
            held = self._rows.get(key)
            if held is None:
                told: Iterable[Row] = (row,)
            elif _counts_alike(held, row):
                continue
            else:
                told = (held, row)
            for each in told:
                day = each.day
                for person in groups_of(each):
                    spans = found.setdefault(self._aliases.together(person, more), {})
                    first, last = spans.get(each.condition, (day, day))
                    spans[each.condition] = (
                        min(first, day - WINDOW_DAYS + 1),
                        max(last, day + WINDOW_DAYS - 1),
                    )
        return found

    def _count(self, ledger: Ledger, spans: Mapping[tuple[Person, ...], _Spans], sign: int) -> None:
        for together, by_condition in spans.items():
            period = together[0][0]
            for persons in self._aliases.parts(together) if len(together) > 1 else (together,):
                rows = self._rows_of(persons)
                if not rows:
                    continue
                asked = by_condition
                if _EVERY in by_condition:
                    asked = dict.fromkeys((row.condition for row in rows), _ALWAYS)
                for condition, (first, last) in asked.items():
                    near = [
                        row
                        for row in rows
                        if row.condition == condition and first <= row.day <= last
                    ]
                    if near:
                        ledger.add(near, period, sign)

    def _rows_of(self, persons: tuple[Person, ...]) -> list[Row]:
        found = (self._persons.get(person) for person in persons)
        return list(chain.from_iterable(rows.values() for rows in found if rows))

    def _put(self, key: RowKey, row: Row) -> None:
        held = self._rows.get(key)
        if held is not None:
            for person in groups_of(held):
                rows = self._persons[person]
                del rows[key]
                if not rows:
                    del self._persons[person]
        self._rows[key] = row
        for person in groups_of(row):
            self._persons.setdefault(person, {})[key] = row


def _counts_alike(held: Row, row: Row) -> bool:
    """Say whether two versions of a row count the same, so that nobody need be counted anew."""
    return (
        held.flags == row.flags
        and held.received == row.received
        and held.sampled == row.sampled
        and held.person == row.person
        and held == msgspec.structs.replace(row, version=held.version)
    )
