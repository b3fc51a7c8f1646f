"""The 60-day rule: what is a new case does not depend on who reported first."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dedup.case_reports import DEAD, DOUBTED, POSITIVE, CaseReport, Numbers
from dedup.cases import rearrange, regroup
from dedup.episodes import SIXTY_DAYS, Episode, Window, are_again
from schemas.days import Reading
from schemas.decision import Line, Standing

FIRST = date(2021, 1, 1)
NEGATIVE = 1
COUNTED = Window(reading=Reading.LAST_COUNTED)
WORKED = ("2021-01-01", "2021-02-10", "2021-03-02", "2021-03-15", "2021-06-01")
"""french-profile 4: positives of one person; gaps of 40, 20, 13 and 78 days."""


def row(number: int, day: date | None, **changes: Any) -> CaseReport:
    moment = None if day is None else datetime(day.year, day.month, day.day, 8, tzinfo=UTC)
    values: dict[str, Any] = {
        "person_id": 1,
        "condition": "sars-cov-2",
        "report_id": UUID(int=number),
        "mark": None,
        "precedence": POSITIVE,
        "sampled_on": day,
        "sampled_at": moment,
        "numbers": Numbers(),
        "tie": number,
        "first_at": datetime(2021, 9, 1, number % 24, tzinfo=UTC),
        "received_on": date(2021, 9, 1) if day is None else day,
    }
    return CaseReport(**(values | changes))


def positives(*days: str) -> list[CaseReport]:
    return [row(n, date.fromisoformat(day)) for n, day in enumerate(days, start=1)]


def new_cases(rows: list[CaseReport], window: Window = SIXTY_DAYS) -> list[str]:
    standings = regroup(rows, window)
    leads = [r for r in rows if standings[r.report_id].line is Line.FIRST and r.is_alive]
    return sorted(str(r.day) for r in leads if not standings[r.report_id].again)


@pytest.mark.parametrize(
    ("window", "counted"),
    [
        (Window(), ["2021-01-01", "2021-06-01"]),
        (COUNTED, ["2021-01-01", "2021-03-15", "2021-06-01"]),
    ],
)
def test_the_worked_example_in_both_readings(window: Window, counted: list[str]) -> None:
    rows = positives(*WORKED)
    assert new_cases(rows, window) == counted
    assert new_cases(rows[::-1], window) == counted


@pytest.mark.parametrize(("days", "again"), [(1, True), (59, True), (60, True), (61, False)])
def test_sixty_days_are_not_more_than_sixty(days: int, *, again: bool) -> None:
    later = row(2, FIRST + timedelta(days=days))
    assert regroup([row(1, FIRST), later])[later.report_id].again is again


def test_the_window_can_be_another() -> None:
    rows = positives("2021-01-01", "2021-01-20")
    assert len(new_cases(rows, Window(days=18))) == 2
    assert len(new_cases(rows, Window(days=19))) == 1


def test_a_negative_looks_back_and_keeps_nobody_from_being_new() -> None:
    rows = [
        row(1, FIRST, precedence=NEGATIVE),
        row(2, FIRST + timedelta(days=10)),
        row(3, FIRST + timedelta(days=30), precedence=NEGATIVE),
        row(4, FIRST + timedelta(days=90), precedence=NEGATIVE),
    ]
    standings = regroup(rows)
    assert [standings[UUID(int=n)].again for n in (1, 2, 3, 4)] == [False, False, True, False]


def test_what_was_taken_back_opens_no_episode() -> None:
    first, second = positives("2021-01-01", "2021-02-01")
    gone = msgspec.structs.replace(first, precedence=DEAD)
    assert new_cases([first, second]) == ["2021-01-01"]
    assert new_cases([gone, second]) == ["2021-02-01"]
    assert not regroup([gone, second])[gone.report_id].again


def test_what_is_in_doubt_comes_behind_whatever_stands() -> None:
    """Alone it leads its case and looks back; it hides nobody, of its day or of the days after."""
    doubted = row(1, FIRST, precedence=DOUBTED, variant="BA.2")
    same = row(2, FIRST, precedence=NEGATIVE)
    later = row(3, FIRST + timedelta(days=20))
    standings = regroup([doubted, same, later])
    assert standings[doubted.report_id].line is Line.SECOND
    assert not standings[later.report_id].again
    alone = regroup([doubted, row(4, FIRST - timedelta(days=9))])[doubted.report_id]
    assert (alone.line, alone.again, alone.variant) == (Line.FIRST, True, "")


def test_a_late_report_takes_the_place_of_the_first() -> None:
    """What came first counts no more as new: just it changes, and the others stay."""
    held = rearrange([], {r.report_id: {r.condition: r} for r in positives(*WORKED[1:])}).changed
    late = row(9, date.fromisoformat(WORKED[0]))
    change = rearrange(held, {late.report_id: {late.condition: late}})
    assert {str(r.day) for r in change.changed} == {"2021-01-01", "2021-02-10"}


def test_second_lines_and_the_rest_of_a_case_say_nothing_of_it() -> None:
    day = FIRST + timedelta(days=20)
    rows = [
        row(1, FIRST),
        row(2, day),
        row(3, day, sampled_at=datetime(2021, 1, 21, 18, tzinfo=UTC)),
        row(4, day, mark=Line.SECOND, variant="BA.2"),
    ]
    standings = regroup(rows)
    assert standings[UUID(int=2)].again
    assert not any(standings[UUID(int=n)].again for n in (1, 3, 4))
    assert [standings[UUID(int=n)].variant for n in (2, 3, 4)] == ["BA.2", "", ""]


def test_a_day_that_nobody_gave_or_that_lies_ahead_is_that_of_reception() -> None:
    received = date(2021, 2, 1)
    unknown = row(2, None, received_on=received)
    assert regroup([row(1, FIRST), unknown])[unknown.report_id] == Standing(
        regroup([unknown])[unknown.report_id].case_id, Line.FIRST, again=True, day=received
    )
    ahead = row(3, date(2031, 2, 1), received_on=received)
    tomorrow = row(4, date(2021, 2, 2), received_on=received)
    assert regroup([ahead])[ahead.report_id].day == received
    assert regroup([tomorrow])[tomorrow.report_id].day == date(2021, 2, 2), "east of Greenwich"


def test_a_correction_does_not_move_the_day_of_reception() -> None:
    first = row(1, None, received_on=FIRST)
    held = rearrange([], {first.report_id: {first.condition: first}}).changed
    later = msgspec.structs.replace(first, received_on=FIRST + timedelta(days=9), precedence=1)
    (only,) = rearrange(held, {later.report_id: {later.condition: later}}).changed
    assert only.received_on == FIRST


# ---------------------------------------------------------------- variants


@pytest.mark.parametrize(
    ("told", "variant"),
    [
        ([("A0B0C1", 2)], "A0B0C1"),
        ([("A0B0C1", 2), ("BA.2.86", 3)], "BA.2.86"),
        ([("BA.2.86", 2), ("XBB.1.5", 3)], "BA.2.86"),
        ([("A.1", 3), ("A1B0C0", 2)], "A.1"),
        ([("21K", 3), ("A1B0C0", 2)], "21K"),
        ([("", 2)], ""),
    ],
)
def test_a_case_has_the_variant_of_its_lines(told: list[tuple[str, int]], variant: str) -> None:
    lines = [row(n, FIRST, mark=Line.SECOND, variant=v) for v, n in told]
    assert regroup([row(1, FIRST), *lines])[UUID(int=1)].variant == variant
    assert regroup([*lines[::-1], row(1, FIRST)])[UUID(int=1)].variant == variant


def test_a_variant_of_what_is_no_positive_or_was_taken_back_says_nothing() -> None:
    line = row(2, FIRST, mark=Line.SECOND, variant="BA.2")
    gone = msgspec.structs.replace(line, precedence=DEAD)
    assert regroup([row(1, FIRST, precedence=NEGATIVE), line])[UUID(int=1)].variant == ""
    assert regroup([row(1, FIRST), gone])[UUID(int=1)].variant == ""
    assert regroup([row(1, FIRST, variant="A0B0C1")])[UUID(int=1)].variant == "A0B0C1"
    assert regroup([row(1, FIRST, precedence=DEAD, variant="BA.2")])[UUID(int=1)].variant == ""
    assert regroup([line])[UUID(int=2)].variant == "", "it waits"


# ---------------------------------------------------------------- properties


EPISODES = st.lists(
    st.builds(
        lambda day, positive: (FIRST + timedelta(days=day), positive),
        st.integers(0, 400),
        st.booleans(),
    ),
    min_size=1,
    max_size=12,
)


@given(EPISODES, st.sampled_from(Reading), st.integers(1, 90), st.randoms())
def test_new_cases_by_their_definition_in_every_order(
    told: list[tuple[date, bool]], reading: Reading, days: int, rng: Random
) -> None:
    window = Window(days=days, reading=reading)
    cases = [Episode(day=d, is_positive=p, order=(n,)) for n, (d, p) in enumerate(told)]
    found = are_again(cases, window)
    mixed = list(range(len(cases)))
    rng.shuffle(mixed)
    assert are_again([cases[n] for n in mixed], window) == [found[n] for n in mixed]

    def before(one: Episode, other: Episode) -> bool:
        if one.day != other.day:
            return one.day < other.day
        return other.is_positive and one.order < other.order

    for case, again in zip(cases, found, strict=True):
        earlier = [
            each
            for each, says in zip(cases, found, strict=True)
            if each.is_positive
            and before(each, case)
            and not (says and reading is Reading.LAST_COUNTED)
        ]
        assert again is any((case.day - each.day).days <= days for each in earlier)


ROWS = st.lists(
    st.builds(
        lambda number, day, precedence, mark, variant, specimen: row(
            number,
            None if day is None else FIRST + timedelta(days=day),
            precedence=precedence,
            mark=mark,
            variant=variant,
            numbers=Numbers(specimen=specimen),
        ),
        st.integers(1, 40),
        st.none() | st.integers(0, 200),
        st.sampled_from([DEAD, POSITIVE, POSITIVE, POSITIVE, NEGATIVE, DOUBTED]),
        st.sampled_from([None, None, Line.SECOND]),
        st.sampled_from(["", "A0B0C1", "BA.2"]),
        st.none() | st.integers(1, 3),
    ),
    min_size=1,
    max_size=10,
    unique_by=lambda told: told.report_id,
)


@given(ROWS, st.sampled_from([Window(), COUNTED]), st.randoms())
def test_one_after_the_other_ends_as_all_at_once(
    rows: list[CaseReport], window: Window, rng: Random
) -> None:
    """Late, corrected and taken back: the incremental step ends where a fresh start ends."""
    steps = rows + [
        msgspec.structs.replace(each, precedence=rng.choice([DEAD, POSITIVE, NEGATIVE]))
        for each in rows
        if rng.random() < 0.4
    ]
    rng.shuffle(steps)
    held: dict[Any, CaseReport] = {}
    final: dict[UUID, CaseReport] = {}
    for step in steps:
        change = rearrange(held.values(), {step.report_id: {step.condition: step}}, window=window)
        held = {**held, **{each.key: each for each in change.changed}}
        final[step.report_id] = step
    fresh = regroup(list(final.values()), window)
    assert {each.report_id: each.standing for each in held.values()} == fresh
    mixed = list(final.values())
    rng.shuffle(mixed)
    assert regroup(mixed, window) == fresh


@given(ROWS, ROWS)
def test_merge_and_unmerge_lead_back(one: list[CaseReport], other: list[CaseReport]) -> None:
    theirs = [
        msgspec.structs.replace(each, person_id=2, report_id=UUID(int=each.report_id.int + 1_000))
        for each in other
    ]
    held = rearrange([], {r.report_id: {r.condition: r} for r in (*one, *theirs)}).after
    merged = rearrange(held.values(), {}, {r.report_id: 1 for r in (*one, *theirs)})
    back = rearrange(merged.after.values(), {}, {r.report_id: r.person_id for r in (*one, *theirs)})
    assert back.after == held
