"""How many public-health events a second become changes of cells, in memory, on one core.

`python -m benchmarks.indicators`. Bodies are JSON as the stream holds them, in the order in which
they come: people of all departments, ages and sexes, sampled up to 30 days before; one event in
eight corrects or withdraws another, some of weeks ago; a day has `--a-day` of them (France had
some 300,000 tests a day in 2021, and a million and more at its peak). Timed, by CPU: reading
bodies, `Book.apply` in batches, and adding the changes to the cells. Twice: with one book that
holds all rows, and as whoever keeps rows elsewhere does it, with a new book for each batch that
takes kept rows out of their bytes. Yardstick of the same minute: the JSON decoder alone.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import date, timedelta
from random import Random
from typing import Final
from uuid import UUID

import msgspec

from benchmarks.results import Row, append, load_average, say_floor, show
from ops.runtime.lifecycle import settle_memory
from routing.indicator_cells import CellKey, Counts, DelayKey, Delays, Deltas, added
from routing.indicator_rows import Heard, RowKey, decode_row, encode_row, groups_of, hear
from routing.indicators import Book
from schemas.events import PublicHealthRow

FLOOR: Final = 50_000.0
_DEPARTMENTS: Final = (*(f"{n:02d}" for n in range(1, 96) if n != 20), "2A", "2B", "971", "974")
_AGES: Final = ("09", "19", "29", "39", "49", "59", "69", "79", "89", "90")
_FIRST: Final = date(2026, 5, 1)
_LAGS: Final = (0, 1, 2, 3, 5, 10, 30)
_SHARES: Final = (30, 35, 15, 10, 6, 3, 1)
_CLOCKS: Final[dict[str, Callable[[], float]]] = {
    "cpu": time.process_time,
    "wall": time.perf_counter,
}

Event = tuple[UUID, str, int, bytes | None]


class Cells:
    """Cells in memory, and what is added to them."""

    def __init__(self) -> None:
        self.cells: dict[CellKey, Counts] = {}
        self.delays: dict[DelayKey, Delays] = {}

    def add(self, deltas: Deltas) -> None:
        """Add what a batch changes."""
        cells, delays = self.cells, self.delays
        for key, change in deltas.cells.items():
            held = cells.get(key)
            cells[key] = change if held is None else added(held, change)
        for place, both in deltas.delays.items():
            before = delays.get(place)
            delays[place] = (
                both
                if before is None
                else Delays(added(before[0], both[0]), added(before[1], both[1]))
            )


class Kept:
    """Rows as bytes, by key and by person: what a table would be, without its cost."""

    def __init__(self) -> None:
        self.rows: dict[RowKey, bytes] = {}
        self.persons: dict[tuple[str, bytes], set[RowKey]] = {}

    def book(self, events: Sequence[Heard]) -> Book:
        """Return a book that holds what the batch needs."""
        book, rows = Book(), self.rows
        for event in events:
            kept = rows.get(event.key)
            if kept is not None:
                book.hold(event.key, decode_row(kept))
        for reach in book.reaches(events):
            for key in self.persons.get((reach.period, reach.person), ()):
                book.hold(key, decode_row(rows[key]))
        return book


def main() -> None:
    """Measure, print, and append to results/indicators.csv."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=300_000)
    parser.add_argument("--a-day", type=int, default=40_000)
    parser.add_argument("--batch", type=int, default=50_000)
    parser.add_argument("--clock", choices=sorted(_CLOCKS), default="cpu")
    asked = parser.parse_args()
    clock = _CLOCKS[asked.clock]
    events = list(_events(Random(8), asked.events, asked.a_day))
    settle_memory()  # as every process of the hub does
    decoder = msgspec.json.Decoder(PublicHealthRow)
    began = clock()
    for _, _, _, body in events:
        if body is not None:
            decoder.decode(body)
    yardstick = len(events) / (clock() - began)
    in_memory, cells = _in_memory(events, asked.batch, clock)
    from_store, others = _from_store(events, asked.batch, clock)
    assert {k: v for k, v in cells.cells.items() if any(v)} == {
        k: v for k, v in others.cells.items() if any(v)
    }, "both ways count the same"
    parameters = {
        "events": len(events),
        "a_day": asked.a_day,
        "batch": asked.batch,
        "clock": asked.clock,
        "cells": len(cells.cells),
        "load": load_average(),
    }
    rows = [
        Row(
            engine=engine,
            parameters=parameters,
            figure=figure,
            unit="events/s",
            yardstick=yardstick,
            ratio=figure / yardstick,
        )
        for engine, figure in (("one book", in_memory), ("a book a batch", from_store))
    ]
    append("indicators", rows, ("msgspec",))
    show(
        "From bodies to cells",
        ("", "events/s", "of decoding alone"),
        [(row.engine, f"{row.figure:,.0f}", f"{row.ratio:.3f}") for row in rows],
    )
    for row in rows:
        say_floor(row.engine, row.figure, FLOOR, "events/s")


def _in_memory(
    events: Sequence[Event], batch: int, clock: Callable[[], float]
) -> tuple[float, Cells]:
    book, cells = Book(), Cells()
    began = clock()
    for begin in range(0, len(events), batch):
        cells.add(book.apply([hear(*event) for event in events[begin : begin + batch]]).deltas)
    return len(events) / (clock() - began), cells


def _from_store(
    events: Sequence[Event], batch: int, clock: Callable[[], float]
) -> tuple[float, Cells]:
    kept, cells, spent = Kept(), Cells(), 0.0
    for begin in range(0, len(events), batch):
        began = clock()
        heard = [hear(*event) for event in events[begin : begin + batch]]
        changes = kept.book(heard).apply(heard)
        cells.add(changes.deltas)
        encoded = {key: encode_row(row) for key, row in changes.rows.items()}
        spent += clock() - began
        for key, row in changes.rows.items():  # the table's own work
            for person in groups_of(row):
                kept.persons.setdefault(person, set()).add(key)
        kept.rows |= encoded
    return len(events) / spent, cells


def _events(random: Random, count: int, a_day: int) -> Iterator[Event]:
    people: list[tuple[str, str, str, str, str]] = []
    told: list[tuple[int, int, date]] = []  # version, person, day of sampling
    encoder = msgspec.json.Encoder()
    for made in range(count):
        received = _FIRST + timedelta(days=made // a_day)
        if told and random.random() < 0.125:
            number = len(told) - 1 - min(int(random.expovariate(1 / a_day)), len(told) - 1)
            version, person, day = told[number]
            version += 1
            told[number] = (version, person, day)
            if random.random() < 0.1:
                yield UUID(int=number + 1), "sars-cov-2", version, None
                continue
        else:
            day = received - timedelta(days=random.choices(_LAGS, _SHARES)[0])
            number, version, person = len(told), 1, len(people)
            if people and random.random() < 0.15:  # somebody who was tested in the days before
                person = random.randrange(max(0, person - 3 * a_day), person)
            else:
                people.append(_person(random))
            told.append((version, person, day))
        body = encoder.encode(_row(random, people[person], day, received))
        yield UUID(int=number + 1), "sars-cov-2", version, body


def _person(random: Random) -> tuple[str, str, str, str, str]:
    return (
        f"{random.getrandbits(128):032x}",
        f"{random.getrandbits(128):032x}",
        random.choice(_AGES),
        random.choice("MMMMMMMMMMFFFFFFFFFFU"),
        random.choice(_DEPARTMENTS),
    )


def _row(
    random: Random, person: tuple[str, str, str, str, str], day: date, received: date
) -> PublicHealthRow:
    is_late = day >= date(2026, 4, 2)  # the last 90 days of the half-year
    is_positive = random.random() < 0.1
    return PublicHealthRow(
        pseudonym=person[0],
        pseudonym_period="2026-H1",
        age=33,
        age_class=person[2],
        sex=person[3],
        residence_commune=f"{person[4]}056",
        residence_department=person[4],
        residence_imputed=random.random() < 0.05,
        laboratory_finess="750000018",
        condition="sars-cov-2",
        case_id=person[0],
        line="first" if random.random() < 0.95 else "second",
        test_code="94500-6",
        method="rna",
        result="positive" if is_positive else "negative",
        second_line_result="",
        status="F",
        sampled_on=day.isoformat(),
        reported_on=day.isoformat(),
        received_on=received.isoformat(),
        new_case=True if is_positive else None,
        recent_positive=False,
        variant="A0B1C0" if is_positive and random.random() < 0.5 else "",
        laboratory_department="75",
        laboratory_commune="75056",
        pseudonym_next=person[1] if is_late else "",
        pseudonym_next_period="2026-H2" if is_late else "",
    )


if __name__ == "__main__":
    main()
