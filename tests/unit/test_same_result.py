"""Every order of arrival of a result's states: which version is current, and what makes none."""

from __future__ import annotations

from itertools import product

import pytest

from ops.placing import Placed, Shelf
from schemas.report import LabReport, ResultStatus
from tests.support.people import dominique, report
from tests.unit.test_placing import put, source

STATES = tuple(ResultStatus(letter) for letter in "PFCXDW")
RANKS = {"P": 1, "F": 2, "C": 3, "X": 3, "D": 3, "W": 3}


def state(status: ResultStatus, number: int) -> LabReport:
    """One saying of the result; no two numbers say the same, nor at the same time."""
    at = f"2026-11-21T0{number}:00:00+01:00"
    return report(status=status, notes=(f"version {number}",), reported_at=at)


def told(sequence: tuple[ResultStatus, ...]) -> tuple[Shelf, list[Placed]]:
    shelf = Shelf({}, set())
    return shelf, [put(shelf, source(n), state(s, n))[0] for n, s in enumerate(sequence)]


def test_the_last_of_the_highest_rank_is_current_in_every_order() -> None:
    for sequence in product(STATES, repeat=4):
        _, placed = told(sequence)
        assert len({p.report_id for p in placed}) == 1
        assert [p.version_number for p in placed] == [1, 2, 3, 4]
        ranks = [RANKS[s.value] for s in sequence]
        highest = max(ranks)
        wanted = max(n for n, rank in enumerate(ranks) if rank == highest)
        assert max(n for n, p in enumerate(placed) if p.routes) == wanted
        for number, one in enumerate(placed):
            is_late = ranks[number] < max(ranks[: number + 1])
            assert one.routes is not is_late
            assert (one.finding is not None) is is_late
            if one.finding is not None:
                assert one.finding.code == "version_outranked"


def test_whatever_was_said_before_and_comes_again_is_a_duplicate() -> None:
    """Also what has been replaced since: a resend after the inbox forgot it takes nothing back."""
    for sequence in product(STATES, repeat=3):
        for again, status in enumerate(sequence):
            shelf, _ = told(sequence)
            (late,) = put(shelf, source(9), state(status, again))
            assert (late.version, late.routes, late.finding) == (None, False, None)


def test_a_content_that_is_released_anew_is_a_new_version() -> None:
    """The laboratory goes back to what it said first: no resend, for OBR-22 tells it."""
    shelf = Shelf({}, set())
    for number, value in enumerate(("one", "other")):
        put(shelf, source(number), report(notes=(value,), reported_at=f"2026-11-2{number}"))
    (back,) = put(shelf, source(5), report(notes=("one",), reported_at="2026-11-25"))
    assert back.version is not None
    assert (back.version.version, back.routes) == (3, True)


def test_without_a_time_of_release_the_order_of_arrival_decides() -> None:
    """Nobody can tell a resend from a change of mind: the laboratory's last word holds."""
    shelf = Shelf({}, set())
    for number, value in enumerate(("one", "other", "one")):
        (placed,) = put(shelf, source(number), report(notes=(value,)))
    assert (placed.version_number, placed.routes) == (3, True)


@pytest.mark.parametrize("letter", "CXDW")
def test_a_correction_that_changes_the_patient_takes_the_report_along(letter: str) -> None:
    shelf = Shelf({}, set())
    (first,) = put(shelf, source(1), report(), person_id=1)
    (moved,) = put(shelf, source(2), report(status=ResultStatus(letter)), person_id=2)
    assert moved.report_id == first.report_id
    assert moved.version is not None
    assert (moved.version.person_id, moved.routes) == (2, True)


@pytest.mark.parametrize("letter", "XDW")
def test_what_never_came_can_be_taken_back_and_stays_so(letter: str) -> None:
    shelf = Shelf({}, set())
    (taken_back,) = put(shelf, source(1), report(status=ResultStatus(letter)))
    assert (taken_back.is_new, taken_back.routes) == (True, True)
    (late,) = put(shelf, source(2), report())
    assert (late.report_id, late.routes) == (taken_back.report_id, False)
    (anew,) = put(shelf, source(3), report(status=ResultStatus.CORRECTED))
    assert (anew.report_id, anew.routes) == (taken_back.report_id, True)


def test_another_phone_number_is_another_content() -> None:
    shelf = Shelf({}, set())
    put(shelf, source(1), report())
    (again,) = put(shelf, source(2), report(), about=dominique(phones=("0639980002",)))
    assert again.version is not None
