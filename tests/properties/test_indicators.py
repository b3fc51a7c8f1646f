"""At once, one by one, in any order, out of a store: the same cells; and the same as SQL counts."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routing.indicator_aliases import Aliases, HeldAlias
from routing.indicator_rows import RowKey, decode_row, encode_row, groups_of
from routing.indicators import Book, Reach
from tests.support.indicator_events import Told, cut, events_of, heard
from tests.support.indicator_sql import Cells, Counted
from tests.support.indicator_total import Total

seeds = st.integers(0, 2**32)
sizes = st.tuples(
    st.integers(1, 25),  # reports
    st.integers(1, 5),  # people
    st.sampled_from((3, 10, 40)),  # days before and after the end of a half-year
)


class Store:
    """Keeps rows as a database would: bytes, found by key and by person."""

    def __init__(self) -> None:
        self.rows: dict[RowKey, bytes] = {}
        self.aliases: dict[RowKey, HeldAlias] = {}
        self.total = Total()

    def take(self, told: Iterable[Told]) -> None:
        """Count one batch with a book of its own."""
        events = heard(told)
        book = Book(Aliases(self.aliases))
        for event in events:
            if event.key in self.rows:
                book.hold(event.key, decode_row(self.rows[event.key]))
        for reach in book.reaches(events):
            for key, kept in self._of(reach):
                book.hold(key, decode_row(kept))
        changes = book.apply(events)
        self.rows |= {key: encode_row(row) for key, row in changes.rows.items()}
        self.aliases |= changes.aliases
        self.total.add(changes.deltas)

    def _of(self, reach: Reach) -> list[tuple[RowKey, bytes]]:
        rows = {key: decode_row(kept) for key, kept in self.rows.items()}
        return [
            (key, self.rows[key])
            for key, row in rows.items()
            if (reach.period, reach.person) in groups_of(row)
            and reach.first_day <= row.day <= reach.last_day
        ]


def told_at_once(told: Iterable[Told]) -> Total:
    total = Total()
    total.add(Book().apply(heard(told)).deltas)
    return total


def check_any_order(seed: int, size: tuple[int, int, int], pieces: int) -> None:
    """Tell events at once, shuffled in batches, and out of a store: the same cells."""
    random = Random(seed)
    told = events_of(random, *size)
    at_once = told_at_once(told)
    shuffled = random.sample(told, len(told))
    one_by_one, kept = Total(), Store()
    book = Book()
    for batch in cut(random, shuffled, pieces):
        one_by_one.add(book.apply(heard(batch)).deltas)
        one_by_one.add(book.apply(heard(batch)).deltas)  # told twice
        kept.take(batch)
    assert one_by_one.named() == at_once.named() == kept.total.named()
    assert one_by_one.named_delays() == at_once.named_delays() == kept.total.named_delays()


def check_sql(seed: int, size: tuple[int, int, int], pieces: int) -> None:
    """Tell events in batches: the cells are those that SQL counts of all of them."""
    random = Random(seed)
    told = events_of(random, *size)
    total, book = Total(), Book()
    for batch in cut(random, told, pieces):
        total.add(book.apply(heard(batch)).deltas)
    counted = Counted.of_events(told)
    try:
        assert total.named() == counted.cells()
        assert total.named_delays() == counted.delays()
        assert _sundays(total.named()) == counted.weeks()
    finally:
        counted.close()


@settings(max_examples=60, deadline=None)
@given(seed=seeds, size=sizes, pieces=st.integers(1, 12))
def test_the_same_events_in_any_order_and_cut_lead_to_the_same_cells(
    seed: int, size: tuple[int, int, int], pieces: int
) -> None:
    check_any_order(seed, size, pieces)


@settings(max_examples=25, deadline=None)
@given(seed=seeds, size=sizes, pieces=st.integers(1, 6))
def test_cells_are_those_that_sql_counts_from_all_events(
    seed: int, size: tuple[int, int, int], pieces: int
) -> None:
    check_sql(seed, size, pieces)


@pytest.mark.proof
@pytest.mark.timeout(3_600)
@settings(max_examples=5_000, deadline=None)
@given(seed=seeds, size=sizes, pieces=st.integers(1, 12))
def test_any_order_at_length(seed: int, size: tuple[int, int, int], pieces: int) -> None:
    check_any_order(seed, size, pieces)


@pytest.mark.proof
@pytest.mark.timeout(3_600)
@settings(max_examples=1_000, deadline=None)
@given(seed=seeds, size=sizes, pieces=st.integers(1, 12))
def test_sql_at_length(seed: int, size: tuple[int, int, int], pieces: int) -> None:
    check_sql(seed, size, pieces)


def test_thousands_of_rows_of_many_people_are_those_that_sql_counts() -> None:
    random = Random(8)
    told = events_of(random, 3_000, 450, 60)
    kept, book = Total(), Book()
    for batch in cut(random, told, 20):
        kept.add(book.apply(heard(batch)).deltas)
    counted = Counted.of_events(told)
    try:
        assert kept.named() == counted.cells()
        assert kept.named_delays() == counted.delays()
        assert _sundays(kept.named()) == counted.weeks()
    finally:
        counted.close()


def test_all_that_is_withdrawn_leaves_nothing() -> None:
    told = events_of(Random(9), 300, 20, 10)
    last = {each.key: max(e.version for e in told if e.key == each.key) for each in told}
    total, book = Total(), Book()
    total.add(book.apply(heard(told)).deltas)
    assert total.named()
    gone = [Told(key.report_id, key.part, version + 1, None) for key, version in last.items()]
    total.add(book.apply(heard(gone)).deltas)
    assert total.named() == {}
    assert total.named_delays() == {}


def _sundays(cells: Cells) -> Cells:
    """Return what the weeks' Sundays say of 7 days."""
    found = {
        key: {name: count for name, count in counts.items() if name.endswith("_7")}
        for key, counts in cells.items()
        if key[1] == "day" and key[2].isoweekday() == 7
    }
    return {key: counts for key, counts in found.items() if counts}
