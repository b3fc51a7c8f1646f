"""Indicators that revise themselves: from public-health events to what they change in cells. Pure.

A `Book` holds rows and aliases, and nothing counted; `apply` says by how much cells change. At once
or one by one, in whatever order and cuts, the same events lead to the same cells, and these are the
cells of the newest rows counted from zero. Rules: docs/indicator-rules.md.

Whoever keeps rows elsewhere takes a new book for each batch: `hold` what is kept of the rows that
the batch is about, then of the persons in `reaches`, then `apply`, and write what it says.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from .indicator_aliases import Aliases, HeldAlias, Person
from .indicator_cells import Deltas
from .indicator_ledger import Ledger
from .indicator_rows import WINDOW_DAYS, Heard, Row, RowKey, groups_of, merged

_Span = tuple[int, int]
_Spans = dict[str, _Span]
"""By condition, the first and last day of the rows that a change can touch."""
_AROUND: Final = WINDOW_DAYS - 1
"""Days before and after a row on which another of the person can matter to it."""
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


class _Said(NamedTuple):
    """What events say, where it is news."""

    rows: Mapping[RowKey, Row]
    held: Sequence[Row | None]
    """What was held of each of these rows, in their order."""
    aliases: Mapping[RowKey, HeldAlias]


class _Touched(NamedTuple):
    """Whose counts can change, before a batch is taken."""

    lone: dict[Person, Row]
    """Persons of whom nothing is held, and of whom the batch has one row: most are."""
    spans: dict[tuple[Person, ...], _Spans]
    """The others, by all their pseudonyms before and after."""

    def join(self, row: Row) -> None:
        """Take a row that is held: its persons have another one than the batch's."""
        for person in groups_of(row):
            of_batch = self.lone.pop(person, None)
            if of_batch is not None:
                # Nobody is joined to it: it would not have been alone.
                found = self.spans[(person,)] = {}
                found[of_batch.condition] = (of_batch.day - _AROUND, of_batch.day + _AROUND)


class _Ready(NamedTuple):
    """What `reaches` has found out of a batch, for `apply` need not do it again."""

    events: Sequence[Heard]
    said: _Said
    touched: _Touched


class Book:
    """What is held of rows and persons.

    Args:
        aliases: Shared by books that follow each other; after a batch that could not be kept, load
            them anew.
    """

    def __init__(self, aliases: Aliases | None = None) -> None:
        self._aliases = Aliases() if aliases is None else aliases
        self._rows: dict[RowKey, Row] = {}
        self._persons: dict[Person, Row | list[Row]] = {}
        # Of most persons there is one row: a list of it would be as large as the row itself.
        self._ready: _Ready | None = None

    def hold(self, key: RowKey, row: Row) -> None:
        """Take a row that is kept, and counted already; one that is held stays as it is."""
        if key in self._rows:
            return
        self._put(key, row)
        ready = self._ready
        if ready is None:
            return
        if key in ready.said.rows or not key.part:
            self._ready = None  # what the batch says of it is other news than it seemed
        else:
            ready.touched.join(row)

    def row(self, key: RowKey) -> Row | None:
        """Return what is held of a row."""
        return self._rows.get(key)

    def reaches(self, events: Sequence[Heard]) -> list[Reach]:
        """Return whose rows must be held before `apply`, when the events' own are."""
        said, touched = self._looked_at(events)
        self._ready = _Ready(events, said, touched)
        found = [
            Reach(*person, row.day - _AROUND, row.day + _AROUND)
            for person, row in touched.lone.items()
        ]
        for together, spans in touched.spans.items():
            first = min(first for first, _ in spans.values())
            last = max(last for _, last in spans.values())
            found += [Reach(*person, first, last) for person in together]
        return found

    def apply(self, events: Sequence[Heard]) -> Changes:
        """Take events; return what they change. Events of before, or told twice, change nothing."""
        said, touched = self._looked_at(events)
        self._ready = None
        ledger = Ledger()
        self._count(ledger, touched.spans, -1)
        self._take_out(said.held)
        for key, row in said.rows.items():
            self._put(key, row)
        self._aliases.take(said.aliases)
        self._count(ledger, touched.spans, 1)
        for (period, _), row in touched.lone.items():
            ledger.add_one(row, period, 1)
        return Changes(ledger.deltas(), said.rows, said.aliases)

    def _looked_at(self, events: Sequence[Heard]) -> tuple[_Said, _Touched]:
        ready = self._ready
        if ready is not None and ready.events is events:
            return ready.said, ready.touched
        said = self._said(events)
        return said, self._touched(said)

    def _said(self, events: Iterable[Heard]) -> _Said:
        """Return rows and aliases as they will be, of those alone that events change."""
        rows: dict[RowKey, Row] = {}
        held: list[Row | None] = []
        aliases: dict[RowKey, HeldAlias] = {}
        for event in events:
            key, heard = event.key, event.row
            if heard is None or not key.part:
                before = rows.get(key) or self._rows.get(key)
                if self._is_alias(event, before, aliases) or heard is None:
                    continue
            told = rows.get(key)
            before = self._rows.get(key) if told is None else told
            after = merged(before, heard)
            if after is not before:
                rows[key] = after
                if told is None:
                    held.append(before)
        return _Said(rows, held, aliases)

    def _is_alias(self, event: Heard, row: Row | None, aliases: dict[RowKey, HeldAlias]) -> bool:
        """Take what is said of an alias; False where the event is about none.

        A withdrawal does not say of what it is: where no alias is known, it is taken as a row's.
        """
        key, alias, version = event.key, event.alias, event.version
        held = aliases.get(key) or self._aliases.held(key)
        if alias is None and held is None:
            return False
        if version > max(0 if each is None else each.version for each in (held, row)):
            aliases[key] = HeldAlias(version, alias)
        return True

    def _touched(self, said: _Said) -> _Touched:
        """Return whose counts can change."""
        more: dict[Person, list[Person]] = {}
        for one, other in self._aliases.ends(said.aliases):
            more.setdefault(one, []).append(other)
            more.setdefault(other, []).append(one)
        lone: dict[Person, Row] = {}
        spans: dict[Person, _Spans] = {person: {_EVERY: _ALWAYS} for person in more}
        persons, is_joined = self._persons, self._aliases.is_joined
        for row, held in zip(said.rows.values(), said.held, strict=True):
            if held is None:
                for person in groups_of(row):
                    if person in persons or person in spans or is_joined(person):
                        _widen(spans, person, row)
                    elif person in lone:
                        _widen(spans, person, lone.pop(person))
                        _widen(spans, person, row)
                    else:
                        lone[person] = row
            elif not _counts_alike(held, row):
                for each in (held, row):
                    for person in groups_of(each):
                        if person in lone:
                            _widen(spans, person, lone.pop(person))
                        _widen(spans, person, each)
        together: dict[tuple[Person, ...], _Spans] = {}
        for person, found in spans.items():
            all_of_them = self._aliases.together(person, more)
            others = together.get(all_of_them)
            together[all_of_them] = found if others is None else _both(others, found)
        return _Touched(lone, together)

    def _count(self, ledger: Ledger, spans: Mapping[tuple[Person, ...], _Spans], sign: int) -> None:
        for together, asked in spans.items():
            period = together[0][0]
            for persons in self._aliases.parts(together) if len(together) > 1 else (together,):
                rows = self._rows_of(persons)
                if not rows:
                    continue
                for condition, (first, last) in _conditions_of(asked, rows).items():
                    near = [
                        row
                        for row in rows
                        if first <= row.day <= last and row.condition == condition
                    ]
                    if near:
                        ledger.add(near, period, sign)

    def _rows_of(self, persons: tuple[Person, ...]) -> list[Row]:
        found: list[Row] = []
        for person in persons:
            rows = self._persons.get(person)
            if isinstance(rows, list):
                found += rows
            elif rows is not None:
                found.append(rows)
        return found

    def _take_out(self, held: Iterable[Row | None]) -> None:
        """Take rows from their persons; of a person who has thousands, all at once."""
        gone: dict[Person, set[int]] = {}
        for row in held:
            if row is not None:
                for person in groups_of(row):
                    gone.setdefault(person, set()).add(id(row))
        for person, rows in gone.items():
            left = [row for row in self._rows_of((person,)) if id(row) not in rows]
            if left:
                self._persons[person] = left
            else:
                del self._persons[person]

    def _put(self, key: RowKey, row: Row) -> None:
        self._rows[key] = row
        for person in groups_of(row):
            beside = self._persons.get(person)
            if beside is None:
                self._persons[person] = row
            elif isinstance(beside, list):
                beside.append(row)
            else:
                self._persons[person] = [beside, row]


def _widen(spans: dict[Person, _Spans], person: Person, row: Row) -> None:
    """Let a person's span reach around a row."""
    first, last = row.day - _AROUND, row.day + _AROUND
    held = spans.get(person)
    if held is None:
        spans[person] = {row.condition: (first, last)}
        return
    before = held.get(row.condition)
    if before is not None:
        first, last = min(first, before[0]), max(last, before[1])
    held[row.condition] = (first, last)


def _both(one: _Spans, other: _Spans) -> _Spans:
    found = dict(one)
    for condition, (first, last) in other.items():
        held = found.get(condition, (first, last))
        found[condition] = (min(first, held[0]), max(last, held[1]))
    return found


def _conditions_of(asked: _Spans, rows: Iterable[Row]) -> _Spans:
    return dict.fromkeys((row.condition for row in rows), _ALWAYS) if _EVERY in asked else asked


def _counts_alike(held: Row, row: Row) -> bool:
    """Say whether two versions of a row count the same, so that nobody need be counted anew."""
    return (
        held.flags == row.flags
        and held.received == row.received
        and held.sampled == row.sampled
        and held.person == row.person
        and held == msgspec.structs.replace(row, version=held.version)
    )
