"""What indicators count of one row or two: each sentence of docs/indicator-rules.md."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from itertools import permutations
from typing import Any
from uuid import UUID

import msgspec
import pytest

from dedup.cases import regroup
from dedup.episodes import SIXTY_DAYS, Window
from routing.indicator_cells import DELAYS, CellKey, Deltas, Measure, sunday_of, week_of
from routing.indicator_rows import Row, decode_row, encode_row, hear, merged
from routing.indicators import Book
from schemas.days import Reading
from schemas.decision import Line
from schemas.errors import PermanentError
from schemas.events import PseudonymReplaced
from tests.support.indicator_events import Told, pseudonym, public_health_row

from .test_episodes import WORKED, positives

COUNTED = Window(reading=Reading.LAST_COUNTED)


def told(number: int, version: int = 1, **changes: Any) -> Told:
    body = public_health_row(**changes)
    return Told(UUID(int=number), body.condition, version, body)


def deltas_of(*events: Told) -> Deltas:
    return Book().apply([each.heard() for each in events]).deltas


def on(deltas: Deltas, measure: Measure) -> dict[str, int]:
    """Return what is counted of a measure by day."""
    found: dict[str, int] = {}
    for key, counts in sorted(deltas.cells.items()):
        day = date.fromordinal(key.day).isoformat()
        found[day] = found.get(day, 0) + counts[measure]
    return {day: count for day, count in found.items() if count}


def first_and_last(counted: dict[str, int]) -> tuple[str, str, int]:
    return min(counted), max(counted), len(counted)


@pytest.mark.parametrize(
    ("window", "cases"),
    [
        (SIXTY_DAYS, ["2021-01-01", "2021-06-01"]),
        (COUNTED, ["2021-01-01", "2021-03-15", "2021-06-01"]),
    ],
)
def test_the_worked_example_counts_two_cases_or_three_by_the_reading(
    window: Window, cases: list[str]
) -> None:
    reports = positives(*WORKED)
    standings = regroup(reports, window)
    events = []
    for number, report in enumerate(reports, start=1):
        standing = standings[report.report_id]
        assert standing.line is Line.FIRST
        period = "2021-H1"
        events.append(
            told(
                number,
                pseudonym=pseudonym(1, period),
                pseudonym_period=period,
                sampled_on=report.day.isoformat(),
                received_on=report.day.isoformat(),
                new_case=not standing.again,
                recent_positive=standing.again,
            )
        )
    deltas = deltas_of(*events)
    assert list(on(deltas, Measure.POSITIVE_TESTS)) == list(WORKED)
    assert list(on(deltas, Measure.CASES)) == cases
    assert sum(on(deltas, Measure.CASES_7).values()) == 7 * len(cases)
    assert list(on(deltas, Measure.ELIGIBLE_PERSONS)) == cases, (
        "who is positive again is in neither"
    )


def test_a_test_counts_on_its_day_and_in_the_seven_windows_that_hold_it() -> None:
    deltas = deltas_of(told(1))
    key = CellKey("sars-cov-2", "day", date(2026, 3, 6).toordinal(), "75", "39", "F")
    assert deltas.cells[key][Measure.TESTS] == 1
    assert on(deltas, Measure.PERSONS) == {"2026-03-06": 1}
    window = on(deltas, Measure.PERSONS_7)
    assert first_and_last(window) == ("2026-03-06", "2026-03-12", 7)


def test_a_clock_in_the_future_counts_on_the_day_of_reception_with_a_flag() -> None:
    for sampled, imputed in (("2026-03-06", True), ("2026-03-07", False), ("2036-03-06", False)):
        row = told(1, sampled_on=sampled, received_on="2026-03-06", sampled_on_imputed=imputed)
        deltas = deltas_of(row)
        assert on(deltas, Measure.TESTS) == {"2026-03-06": 1}
        assert on(deltas, Measure.BY_RECEPTION_TESTS) == {"2026-03-06": 1}
        assert not deltas.delays, "its delay is not known"
    deltas = deltas_of(told(1, sampled_on="2026-03-05", received_on="2026-03-06"))
    assert on(deltas, Measure.BY_RECEPTION_TESTS) == {}


def test_a_correction_of_later_does_not_take_the_clock_ahead_at_its_word() -> None:
    first = told(1, sampled_on="2026-03-07", received_on="2026-03-06")
    corrected = told(1, 2, sampled_on="2026-03-07", received_on="2026-03-09")
    for order in ((first, corrected), (corrected, first)):
        assert on(deltas_of(*order), Measure.TESTS) == {"2026-03-06": 1}


def test_a_day_before_2000_makes_no_cell_of_its_own() -> None:
    deltas = deltas_of(told(1, sampled_on="1926-03-06", pseudonym_period="2000-H1"))
    assert on(deltas, Measure.TESTS) == {"2000-01-01": 1}


@pytest.mark.parametrize(
    ("changes", "counted"),
    [
        ({}, {Measure.TESTS, Measure.POSITIVE_TESTS}),
        ({"result": "negative", "new_case": None}, {Measure.TESTS}),
        (
            {"result": "indeterminate", "new_case": None},
            {Measure.TESTS, Measure.INDETERMINATE_TESTS},
        ),
        ({"result": "unusable", "new_case": None}, {Measure.UNUSABLE}),
        ({"line": "second", "result": "", "second_line_result": "positive"}, set()),
        ({"line": "", "case_id": ""}, {Measure.OTHER_TESTS, Measure.OTHER_POSITIVE_TESTS}),
        ({"line": "", "case_id": "", "result": "negative"}, {Measure.OTHER_TESTS}),
        ({"line": "", "case_id": "", "result": "unusable"}, {Measure.UNUSABLE}),
        (
            {"residence_imputed": True},
            {Measure.TESTS, Measure.POSITIVE_TESTS, Measure.IMPUTED_TESTS},
        ),
        (
            {"variant": "A0C1"},
            {Measure.TESTS, Measure.POSITIVE_TESTS, Measure.SCREENED, Measure.A0, Measure.C1},
        ),
        (
            {"variant": "BA.2.86"},
            {Measure.TESTS, Measure.POSITIVE_TESTS, Measure.SEQUENCED},
        ),
        ({"result": "new in a later release"}, set()),
    ],
)
def test_each_kind_of_row_counts_where_the_page_says(
    changes: dict[str, Any], counted: set[Measure]
) -> None:
    deltas = deltas_of(told(1, **changes))
    of_persons = {
        *(Measure.PERSONS, Measure.POSITIVE_PERSONS, Measure.ELIGIBLE_PERSONS, Measure.CASES),
        *(Measure.PERSONS_7, Measure.POSITIVE_PERSONS_7),
        *(Measure.ELIGIBLE_PERSONS_7, Measure.CASES_7),
    }
    found = {measure for measure in Measure if on(deltas, measure)}
    assert found - of_persons == counted
    assert bool(found & of_persons) == (Measure.TESTS in counted)


def test_an_anonymous_row_counts_in_its_month_and_in_no_window() -> None:
    first = told(1, condition="hiv", sampled_on="2026-03-01", dates="month")
    again = told(2, condition="hiv", sampled_on="2026-03-01", dates="month")
    deltas = deltas_of(first, again)
    assert {key.period for key in deltas.cells} == {"month"}
    assert on(deltas, Measure.TESTS) == {"2026-03-01": 2}
    assert on(deltas, Measure.PERSONS) == {"2026-03-01": 1}
    assert on(deltas, Measure.PERSONS_7) == {}
    assert not deltas.delays


def test_a_person_of_two_days_is_one_in_the_windows_that_hold_both() -> None:
    deltas = deltas_of(told(1), told(2, sampled_on="2026-03-09", received_on="2026-03-09"))
    window = on(deltas, Measure.PERSONS_7)
    assert first_and_last(window) == ("2026-03-06", "2026-03-15", 10)
    assert set(window.values()) == {1}
    assert on(deltas, Measure.PERSONS) == {"2026-03-06": 1, "2026-03-09": 1}


def test_a_person_stands_where_the_new_case_was_found() -> None:
    case = told(1, residence_department="2A")
    later = told(
        2,
        sampled_on="2026-03-09",
        received_on="2026-03-09",
        result="negative",
        new_case=None,
        recent_positive=True,
    )
    deltas = deltas_of(case, later)
    day = date(2026, 3, 10).toordinal()
    at = {key.department: counts for key, counts in deltas.cells.items() if key.day == day}
    assert set(at) == {"2A"}
    assert at["2A"][Measure.PERSONS_7] == at["2A"][Measure.CASES_7] == 1


def test_nobody_counts_twice_in_the_windows_across_a_half_year() -> None:
    before = told(
        1,
        pseudonym=pseudonym(1, "2026-H1"),
        pseudonym_next=pseudonym(1, "2026-H2"),
        sampled_on="2026-06-29",
        received_on="2026-06-29",
    )
    after = told(
        2,
        pseudonym=pseudonym(1, "2026-H2"),
        pseudonym_period="2026-H2",
        sampled_on="2026-07-02",
        received_on="2026-07-02",
    )
    assert set(on(deltas_of(before, after), Measure.PERSONS_7).values()) == {1}
    window = on(deltas_of(before), Measure.PERSONS_7)
    assert first_and_last(window) == ("2026-06-29", "2026-07-05", 7)


def test_a_replaced_pseudonym_is_the_same_person_until_it_is_withdrawn() -> None:
    one = told(1, pseudonym=pseudonym(1, "2026-H1"))
    other = told(2, pseudonym=pseudonym(2, "2026-H1"))
    alias = Told(
        UUID(int=9),
        "",
        1,
        PseudonymReplaced(
            old=pseudonym(1, "2026-H1"), new=pseudonym(2, "2026-H1"), period="2026-H1"
        ),
    )
    gone = Told(UUID(int=9), "", 2, None)
    book = Book()
    assert on(book.apply([one.heard(), other.heard()]).deltas, Measure.PERSONS) == {"2026-03-06": 2}
    merge = book.apply([alias.heard()])
    assert on(merge.deltas, Measure.PERSONS) == {"2026-03-06": -1}
    assert on(merge.deltas, Measure.TESTS) == {}
    undone = book.apply([gone.heard()])
    assert on(undone.deltas, Measure.PERSONS) == {"2026-03-06": 1}
    assert not book.apply([alias.heard()]).deltas.cells, "an older version changes nothing"


def test_a_row_without_pseudonym_is_a_person_of_its_own() -> None:
    deltas = deltas_of(told(1, pseudonym=""), told(2, pseudonym=""))
    assert on(deltas, Measure.PERSONS) == {"2026-03-06": 2}


def test_what_changes_nothing_that_counts_changes_no_cell() -> None:
    book = Book()
    book.apply([told(1).heard()])
    changes = book.apply([told(1, 2, status="C", reported_on="2026-03-08").heard()])
    assert not changes.deltas.cells
    assert [row.version for row in changes.rows.values()] == [2], "its version is kept all the same"


def test_delays_run_to_the_first_reception() -> None:
    first = told(1, received_on="2026-03-08")
    corrected = told(1, 2, received_on="2026-04-30", result="negative", new_case=None)
    late = told(2, received_on="2026-04-30")
    ((key, delays),) = deltas_of(first, corrected, late).delays.items()
    assert key == ("sars-cov-2", date(2026, 3, 6).toordinal(), "75")
    assert delays.tests == [0, 0, 1] + [0] * (DELAYS - 4) + [1]
    assert delays.positive_tests == [0] * (DELAYS - 1) + [1]


@pytest.mark.parametrize(
    ("day", "week"),
    [("2020-05-18", "2020-S21"), ("2021-01-03", "2020-S53"), ("2026-12-31", "2026-S53")],
)
def test_weeks_are_iso_weeks_and_end_on_sundays(day: str, week: str) -> None:
    ordinal = date.fromisoformat(day).toordinal()
    assert week_of(ordinal) == week
    assert 0 <= sunday_of(week) - ordinal < 7
    assert date.fromordinal(sunday_of(week)).isoweekday() == 7


def test_kept_rows_come_back_as_they_were_and_others_are_refused() -> None:
    row = told(1, variant="A0C1").heard().row
    assert row is not None
    assert decode_row(encode_row(row)) == row
    for broken in (b"", b"\x01", encode_row(row)[:-1], msgspec.msgpack.encode((99, row))):
        with pytest.raises(PermanentError) as refused:
            decode_row(broken)
        assert refused.value.reason == "row_unreadable"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'{"line":"first","result":"positive","sampled_on":"soon"}',
        b'{"line":"first","result":"positive","sampled_on":"2026-03-06","pseudonym_period":"2026"}',
        b'{"line":"first","result":"positive","sampled_on":"2026-03-06","pseudonym":"'
        + b"x" * 32
        + b'"}',
    ],
)
def test_a_body_that_is_none_of_ours_is_refused_without_its_values(body: bytes) -> None:
    with pytest.raises(PermanentError) as refused:
        hear(UUID(int=1), "sars-cov-2", 1, body)
    assert refused.value.reason == "row_unreadable"
    assert "soon" not in str(refused.value)
    assert "xxxx" not in str(refused.value)


def test_versions_of_a_row_merge_in_any_order() -> None:
    versions: Sequence[Row] = [
        Row(1, 30, 3, 20, "c", day=20),
        Row(2, 0),
        Row(3, 27, 1, 28, "c", day=27),
        Row(4, 25, 1, 28, "c", day=25),
    ]
    found = set()
    for order in permutations(versions):
        row = None
        for version in order:
            row = merged(row, version)
        assert row is not None
        found.add((row.version, row.received, row.day, row.flags))
    assert len(found) == 1
    assert found.pop()[:3] == (4, 25, 25)


def test_a_row_that_is_held_after_it_was_asked_for_is_news_no_more() -> None:
    """What `reaches` found out is used by `apply`, but for what was held in between."""
    events = [told(1).heard(), told(2, pseudonym="").heard()]
    book = Book()
    book.reaches(events)
    first = events[0].row
    assert first is not None
    book.hold(events[0].key, first)

    changes = book.apply(events)

    assert set(changes.rows) == {events[1].key}
    assert sum(on(changes.deltas, Measure.TESTS).values()) == 1
