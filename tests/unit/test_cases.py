"""Cases are a function of a person's reports: which belong together, which counts, which waits."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dedup.case_reports import (
    DEAD,
    CaseReport,
    Numbers,
    is_tracked,
    mark_of,
    moment_of,
    numbers_of,
    tie_of,
)
from dedup.cases import rearrange, regroup
from schemas.decision import Line, Standing
from schemas.report import Coded, LabReport, Specimen
from tests.support.people import observation, report

DAY = date(2026, 11, 20)
AT = datetime(2026, 11, 20, 8, tzinfo=UTC)
POSITIVE, NEGATIVE = 0, 1
SECRET = b"k" * 32


def row(number: int, **changes: Any) -> CaseReport:
    values: dict[str, Any] = {
        "person_id": 1,
        "condition": "sars-cov-2",
        "report_id": UUID(int=number),
        "mark": None,
        "precedence": POSITIVE,
        "sampled_on": DAY,
        "sampled_at": AT,
        "numbers": Numbers(),
        "tie": number,
        "first_at": AT + timedelta(hours=number),
        "received_on": DAY,
    }
    return CaseReport(**(values | changes))


def second(number: int, **changes: Any) -> CaseReport:
    return row(number, **({"mark": Line.SECOND} | changes))


def lines(*rows: CaseReport) -> dict[int, tuple[Line, bool]]:
    return {i.int: (s.line, s.waits) for i, s in regroup(rows).items()}


def cases(*rows: CaseReport) -> set[frozenset[int]]:
    found: dict[UUID, set[int]] = {}
    for report_id, standing in regroup(rows).items():
        found.setdefault(standing.case_id, set()).add(report_id.int)
    return {frozenset(each) for each in found.values()}


COUNTS, BESIDE, WAITS = (Line.FIRST, False), (Line.SECOND, False), (Line.SECOND, True)


def test_one_report_is_a_case() -> None:
    assert lines(row(1)) == {1: COUNTS}


def test_the_same_day_is_one_case_and_the_first_sampled_counts() -> None:
    later = row(1, sampled_at=AT + timedelta(hours=3))
    assert cases(later, row(2)) == {frozenset({1, 2})}
    assert lines(later, row(2)) == {1: BESIDE, 2: COUNTS}


def test_a_positive_counts_before_an_earlier_negative() -> None:
    antigen = row(1, precedence=NEGATIVE)
    assert lines(antigen, row(2, sampled_at=AT + timedelta(hours=1))) == {1: BESIDE, 2: COUNTS}


def test_another_day_is_another_case() -> None:
    assert cases(row(1), row(2, sampled_on=DAY + timedelta(days=1))) == {
        frozenset({1}),
        frozenset({2}),
    }


@pytest.mark.parametrize(("days", "together"), [(2, True), (30, True), (31, False)])
def test_one_specimen_is_one_case_whatever_day_its_laboratories_write(
    days: int, *, together: bool
) -> None:
    tube = Numbers(specimen=77)
    one, other = row(1, numbers=tube), row(2, numbers=tube, sampled_on=DAY + timedelta(days=days))
    assert (len(cases(one, other)) == 1) is together


def test_an_order_number_in_common_joins_no_first_lines() -> None:
    """One request for a test every week is no single episode."""
    weekly = Numbers(placer=5)
    later = row(2, numbers=weekly, sampled_on=DAY + timedelta(days=7))
    assert len(cases(row(1, numbers=weekly), later)) == 2


def test_without_day_and_number_each_stands_alone() -> None:
    nothing: dict[str, Any] = {"sampled_on": None, "sampled_at": None}
    assert lines(row(1, **nothing), row(2, **nothing)) == {1: COUNTS, 2: COUNTS}


def test_a_second_line_hangs_on_its_first_by_day() -> None:
    assert lines(row(1), second(2)) == {1: COUNTS, 2: BESIDE}
    assert cases(row(1), second(2)) == {frozenset({1, 2})}


@pytest.mark.parametrize(
    ("of_first", "of_second"),
    [
        (Numbers(specimen=7), Numbers(specimen=7)),
        (Numbers(filler=7), Numbers(placer=7)),
        (Numbers(filler=7), Numbers(specimen=7)),
        (Numbers(placer=7), Numbers(placer=7)),
    ],
)
def test_a_second_line_finds_its_first_by_any_number_in_common(
    of_first: Numbers, of_second: Numbers
) -> None:
    """The sequencing laboratory writes its own day, and the first one's number somewhere."""
    late = second(2, numbers=of_second, sampled_on=DAY + timedelta(days=4))
    assert lines(row(1, numbers=of_first), late) == {1: COUNTS, 2: BESIDE}


def test_a_second_line_alone_waits_and_so_does_one_of_another_day() -> None:
    assert lines(second(1)) == {1: WAITS}
    assert lines(row(1, sampled_on=DAY - timedelta(days=1)), second(2)) == {1: COUNTS, 2: WAITS}


def test_second_lines_do_not_make_a_case_among_themselves() -> None:
    assert cases(second(1), second(2)) == {frozenset({1}), frozenset({2})}


def test_a_second_line_prefers_its_specimen_to_its_day() -> None:
    tube = Numbers(specimen=7)
    right = row(1, numbers=tube, sampled_on=DAY - timedelta(days=3))
    assert cases(right, row(2), second(3, numbers=tube)) == {frozenset({1, 3}), frozenset({2})}


def test_a_second_line_never_joins_two_cases() -> None:
    one = row(1, numbers=Numbers(specimen=7), sampled_on=DAY - timedelta(days=3))
    assert len(cases(one, row(2), second(3, numbers=Numbers(specimen=7)))) == 2


def test_a_first_line_that_is_taken_back_leaves_its_second_lines_waiting() -> None:
    gone = row(1, precedence=DEAD)
    assert lines(gone, second(2))[2] == WAITS
    assert lines(gone, row(3), second(2)) == {1: BESIDE, 2: BESIDE, 3: COUNTS}


def test_a_case_keeps_its_name_through_what_comes_later() -> None:
    """Named by its eldest first line: neither an orphan that waited nor a newer report renames."""
    named = regroup([row(2)])[UUID(int=2)].case_id
    for rows in (
        [second(1), row(2)],
        [row(2), row(3, sampled_at=AT - timedelta(hours=1))],
        [row(2, precedence=DEAD), row(3)],
    ):
        assert {each.case_id for each in regroup(rows).values()} == {named}


ROWS = st.builds(
    lambda number, mark, precedence, day, specimen, order: (
        number,
        {
            "mark": mark,
            "precedence": precedence,
            "sampled_on": None if day is None else DAY + timedelta(days=day),
            "sampled_at": None if day is None else AT + timedelta(days=day),
            "numbers": Numbers(specimen=specimen, filler=order),
        },
    ),
    st.integers(1, 40),
    st.sampled_from([None, None, Line.FIRST, Line.SECOND]),
    st.integers(DEAD, 4),
    st.none() | st.integers(0, 40),
    st.none() | st.integers(1, 4),
    st.none() | st.integers(1, 4),
)


@given(st.lists(ROWS, min_size=1, max_size=12, unique_by=lambda told: told[0]), st.randoms())
def test_cases_are_the_same_in_every_order(
    told: list[tuple[int, dict[str, Any]]], rng: Any
) -> None:
    rows = [row(number, **changes) for number, changes in told]
    mixed = list(rows)
    rng.shuffle(mixed)
    found = regroup(rows)
    assert regroup(mixed) == found
    by_case: dict[UUID, list[CaseReport]] = {}
    for each in rows:
        by_case.setdefault(found[each.report_id].case_id, []).append(each)
    for members in by_case.values():
        alive = [m for m in members if m.is_alive and m.mark is not Line.SECOND]
        counting = [m for m in alive if found[m.report_id].line is Line.FIRST]
        assert len(counting) == bool(alive), "of what stands, one counts"
        for member in members:
            standing = found[member.report_id]
            if member.mark is Line.SECOND:
                assert standing.line is Line.SECOND
                assert standing.waits is not bool(alive)
            else:
                assert not standing.waits


@given(st.lists(ROWS, min_size=1, max_size=12, unique_by=lambda told: told[0]), st.randoms())
def test_one_after_the_other_ends_as_all_at_once(
    told: list[tuple[int, dict[str, Any]]], rng: Any
) -> None:
    """The incremental step, corrections among them, leads where grouping afresh leads."""
    steps = [row(number, **changes) for number, changes in told]
    steps += [
        msgspec.structs.replace(each, precedence=DEAD) for each in steps if rng.random() < 0.3
    ]
    rng.shuffle(steps)
    held: dict[Any, CaseReport] = {}
    final: dict[UUID, CaseReport] = {}
    for step in steps:
        change = rearrange(held.values(), {step.report_id: {step.condition: step}})
        assert not change.gone
        held = {**held, **{each.key: each for each in change.changed}}
        assert held == change.after
        final[step.report_id] = step
    assert {each.report_id: each.standing for each in held.values()} == regroup(
        list(final.values())
    )


def test_a_report_that_changes_hands_leaves_its_case() -> None:
    held = rearrange([], {UUID(int=n): {"sars-cov-2": row(n)} for n in (1, 2)}).changed
    moved = row(1, person_id=9)
    change = rearrange(held, {moved.report_id: {moved.condition: moved}}, {moved.report_id: 9})
    assert change.gone == [(1, "sars-cov-2", UUID(int=1))]
    standings = {row.key[::2]: row.standing for row in change.after.values()}
    assert {s.line for s in standings.values() if s is not None} == {Line.FIRST}


def test_merge_and_unmerge_lead_back() -> None:
    held = rearrange(
        [],
        {
            UUID(int=1): {"sars-cov-2": row(1)},
            UUID(int=2): {"sars-cov-2": row(2, person_id=2)},
            UUID(int=3): {"sars-cov-2": second(3, person_id=2)},
        },
    ).changed
    merged = rearrange(held, {}, {UUID(int=n): 1 for n in (1, 2, 3)})
    assert len({each.standing.case_id for each in merged.after.values() if each.standing}) == 1
    back = rearrange(merged.after.values(), {}, {UUID(int=1): 1, UUID(int=2): 2, UUID(int=3): 2})
    assert back.after == {each.key: each for each in held}


def test_what_is_said_no_more_stays_as_dead() -> None:
    held = rearrange([], {UUID(int=1): {"sars-cov-2": row(1)}}).changed
    change = rearrange(held, {UUID(int=1): {}}, {UUID(int=1): 1})
    (only,) = change.after.values()
    assert not only.is_alive
    assert rearrange(change.changed, {UUID(int=1): {}}, {UUID(int=1): 1}).changed == []


# ---------------------------------------------------------------- what a report says of itself


@pytest.mark.parametrize(
    ("note", "mark"),
    [
        ("Deuxième intention", Line.SECOND),
        ("2ème intention.", Line.SECOND),
        ("Criblage de variants", Line.SECOND),
        ("Première intention", Line.FIRST),
        ("Pas de deuxième intention", None),
        ("Dossier urgent", None),
        ("x" * 5_000, None),
    ],
)
def test_notes_say_which_line(note: str, mark: Line | None) -> None:
    assert mark_of(report(notes=("Autre ligne", note)), is_sequence=False) is mark
    beside = report(observations=(observation(notes=(f"Texte\n{note}",)),))
    assert mark_of(beside, is_sequence=False) is mark


def test_a_sequence_is_a_second_line_whatever_the_notes_say() -> None:
    assert mark_of(report(notes=("Première intention",)), is_sequence=True) is Line.SECOND


def test_numbers_are_digests_and_short_ones_say_nothing() -> None:
    given_ = report(filler_order_number="F-100", specimen=Specimen(identifier="S1"))
    found = numbers_of(SECRET, given_)
    assert found.specimen is None
    assert found.given == {found.filler}
    other = report(filler_order_number="X-1", placer_order_number="F-100")
    assert numbers_of(SECRET, other).placer == found.filler
    assert numbers_of(b"other" * 4, given_).filler != found.filler


def test_moments() -> None:
    assert moment_of("2026-11-20T09:00:00+01:00") == AT
    assert moment_of("2026-11-20") == datetime(2026, 11, 20, tzinfo=UTC)
    assert moment_of("2026-11") is None
    assert moment_of("") is None
    assert moment_of("9999-12-31T23:59:59-12:00") is None, "beyond what a clock can say"
    assert moment_of("0001-01-01T00:00:00+14:00") is None


@pytest.mark.parametrize(
    ("of", "tracked"),
    [
        (report(), True),
        (report(code=Coded(code="GLY", system="L"), observations=()), False),
        (report(code=Coded(code="X", system="L")), True),
    ],
)
def test_most_reports_belong_to_no_case(of: LabReport, *, tracked: bool) -> None:
    assert is_tracked(of) is tracked


def test_a_standing_is_small() -> None:
    assert len(msgspec.msgpack.encode(Standing(UUID(int=1), Line.FIRST))) < 60


def test_between_equals_the_same_analysis_counts_everywhere() -> None:
    """Whatever key a hub gives its reports: two hubs told the same say the same."""
    keys = [UUID(int=n << 64) for n in (3, 5_000_000_000, 2**63)]
    a, b = (
        report(code=Coded(code=c, system="LN"), observations=(observation(code=Coded(code=c)),))
        for c in ("92142-9", "92141-1")
    )
    told = {tie_of(a, one) < tie_of(b, other) for one in keys for other in keys}
    assert len(told) == 1
    assert tie_of(a, keys[0]) != tie_of(a, keys[2])
