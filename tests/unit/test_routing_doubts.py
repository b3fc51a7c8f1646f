"""Doubts: what is held back with a reason, and what is not doubted although it looks odd."""

from __future__ import annotations

from typing import Any

import pytest

from routing.doubts import Doubt, doubts_of
from routing.findings import findings_of
from schemas.report import Coded, LabReport, Observation, ResultStatus, Specimen
from schemas.statuses import status_contradicts
from tests.support.people import dominique, observation, report

S = ResultStatus


def with_statuses(said: str, *seen: str, order_control: str = "RE") -> LabReport:
    return report(
        status=S(said),
        order_control=order_control,
        observations=tuple(observation(position=n, status=S(s)) for n, s in enumerate(seen, 1)),
    )


def reasons(of: LabReport, **traits: str) -> set[str]:
    return {each.reason for each in doubts_of(of, dominique(**traits), findings_of(of))}


@pytest.mark.parametrize(
    ("said", "seen"),
    [
        ("F", "X"), ("F", "XD"), ("F", "W"), ("F", "P"), ("F", "PX"), ("F", "RN"), ("U", "I"),
        ("C", "P"), ("C", "IX"),
        ("P", "C"), ("P", "FC"), ("P", "XX"), ("A", "D"),
        ("O", "F"), ("I", "PF"), ("S", "C"), ("R", "F"), ("N", "U"),
    ],
)  # fmt: skip
def test_statuses_that_cannot_be_true_together_are_doubted(said: str, seen: str) -> None:
    assert status_contradicts(with_statuses(said, *seen))
    assert Doubt.STATUS_CONTRADICTS in reasons(with_statuses(said, *seen))


@pytest.mark.parametrize(
    ("said", "seen"),
    [
        ("F", ""), ("F", "F"), ("F", "FX"), ("F", "FP"), ("F", "C"), ("F", "U"), ("F", "N"),
        ("C", "C"), ("C", "F"), ("C", "W"), ("C", "XD"), ("C", "FD"),
        ("P", "P"), ("P", "F"), ("P", "PF"), ("P", "R"), ("A", "FP"), ("A", "AC"),
        ("X", "F"), ("D", "C"), ("W", "F"), ("X", "X"), ("X", ""),
        ("O", ""), ("I", "I"), ("I", "P"), ("R", "R"), ("R", "P"), ("N", "N"), ("O", "X"),
    ],
)  # fmt: skip
def test_statuses_that_can_be_true_together_are_not(said: str, seen: str) -> None:
    assert not status_contradicts(with_statuses(said, *seen))


@pytest.mark.parametrize("control", ["CA", "CR", "OC"])
def test_a_result_of_an_order_that_is_cancelled_is_doubted(control: str) -> None:
    assert status_contradicts(with_statuses("F", "F", order_control=control))
    assert status_contradicts(with_statuses("A", "F", "P", order_control=control))
    assert not status_contradicts(with_statuses("F", "D", order_control=control))
    assert not status_contradicts(with_statuses("X", "F", order_control=control))
    assert not status_contradicts(with_statuses("C", "X", order_control=control))
    assert not status_contradicts(with_statuses("O", "O", order_control=control))


@pytest.mark.parametrize("control", ["", "RE", "NW", "SC", "DC", "OD", "UC"])
def test_an_order_that_stands_or_was_discontinued_keeps_its_result(control: str) -> None:
    assert not status_contradicts(with_statuses("F", "F", order_control=control))


@pytest.mark.parametrize(
    ("born", "sampled"),
    [
        ("2026-11-21", "2026-11-20T09:00:00+01:00"),
        ("2026-12", "2026-11-20"),
        ("2027", "2026-11-20T23:59:00+01:00"),
    ],
)
def test_who_was_sampled_before_birth_is_doubted(born: str, sampled: str) -> None:
    assert reasons(report(collected_at=sampled), birth_date=born) == {
        Doubt.BIRTH_DATE_AFTER_SAMPLING
    }


@pytest.mark.parametrize(
    ("born", "sampled"),
    [
        ("2026-11-20", "2026-11-20T09:00:00+01:00"),
        ("2026-11", "2026-11-20"),
        ("2026", "2026-01-01"),
        ("", "2026-11-20"),
        ("1979-03-28", ""),
        ("2027-01-01", ""),
        ("2027-01-01", "2026"),
    ],
)
def test_a_newborn_and_a_date_that_is_not_known_are_not_doubted(born: str, sampled: str) -> None:
    assert reasons(report(collected_at=sampled), birth_date=born) == set()


def test_the_sampling_may_stand_at_the_specimen_or_the_observation() -> None:
    of_specimen = report(collected_at="", specimen=Specimen(collected_at="2026-11-20"))
    of_observation = report(
        collected_at="", observations=(observation(observed_at="2026-11-20T09:00:00+01:00"),)
    )
    for each in (of_specimen, of_observation):
        assert reasons(each, birth_date="2026-11-21") == {Doubt.BIRTH_DATE_AFTER_SAMPLING}


def test_an_ordinary_report_is_not_doubted() -> None:
    assert doubts_of(report(), dominique(), findings_of(report())) == frozenset()


def test_a_contradiction_names_the_conditions_looked_for_too() -> None:
    doubted = with_statuses("F", "X")
    assert doubts_of(doubted, dominique(), findings_of(doubted)) == {
        (Doubt.STATUS_CONTRADICTS, "", ""),
        (Doubt.STATUS_CONTRADICTS, "sars-cov-2", ""),
    }


def pcr(**changes: Any) -> Observation:
    return observation(**{"value": "", "coded": None, **changes})


def doubted(of: LabReport) -> set[tuple[str, str]]:
    return {each[:2] for each in doubts_of(of, dominique(), findings_of(of))}


def test_a_doubt_names_the_kind_of_the_analysis_that_was_not_understood() -> None:
    igg = Coded(code="94563-4", text="IgG", system="LN")
    of = report(observations=(pcr(value="voir"), pcr(position=2, code=igg, value="voir")))
    reason = Doubt.RESULT_NOT_UNDERSTOOD
    assert doubts_of(of, dominique(), findings_of(of)) == {
        (reason, "sars-cov-2", "rna"),
        (reason, "sars-cov-2", "igg"),
    }


@pytest.mark.parametrize("value", ["voir commentaire", "", "non transmis"])
def test_an_answer_that_no_table_knows_is_doubted_for_its_condition(value: str) -> None:
    held = report(observations=(pcr(value=value),))
    assert doubted(held) == {(Doubt.RESULT_NOT_UNDERSTOOD, "sars-cov-2")}


def test_only_the_condition_without_an_answer_is_doubted() -> None:
    rsv = Coded(code="92131-2", text="RSV RNA", system="LN")
    held = report(observations=(observation(), pcr(position=2, code=rsv, value="voir commentaire")))
    assert doubted(held) == {(Doubt.RESULT_NOT_UNDERSTOOD, "rsv")}


@pytest.mark.parametrize("status", ["X", "W", "I", "O"])
def test_what_does_not_speak_has_no_answer_to_be_missed(status: str) -> None:
    held = report(status=S(status), observations=(pcr(value="voir", status=S(status)),))
    assert doubted(held) == set()


def test_an_order_that_nothing_answers_is_doubted() -> None:
    local = Coded(code="COV", text="Covid", system="L")
    two = report(
        observations=(
            pcr(code=local, value="Cf. ligne suivante"),
            pcr(position=2, code=local, value="Cf. ligne precedente"),
        )
    )
    assert doubted(two) == {(Doubt.RESULT_NOT_UNDERSTOOD, "sars-cov-2")}
    one = report(observations=(pcr(code=local, value="Positif"),))
    assert doubted(one) == set()
    later = report(observations=(pcr(code=local, value="En cours"),))
    assert doubted(later) == set()
    nothing = report(observations=())
    assert doubted(nothing) == set()


def test_a_number_in_an_odd_unit_is_doubted_where_it_would_decide() -> None:
    odd = Coded(code="mg/L", system="UCUM")
    number: dict[str, Any] = {"value_type": "NM", "value": "24", "number": "24"}
    decides = report(observations=(pcr(unit=odd, **number),))
    assert doubted(decides) == {(Doubt.UNIT_UNEXPECTED, "sars-cov-2")}
    beside = report(observations=(observation(), pcr(position=2, unit=odd, **number)))
    assert doubted(beside) == set()
    said = report(observations=(pcr(unit=odd, interpretations=("POS",), **number),))
    assert doubted(said) == set()
    fits = report(observations=(pcr(unit=Coded(code="{Ct}"), **number),))
    assert doubted(fits) == {(Doubt.RESULT_NOT_UNDERSTOOD, "sars-cov-2")}


def test_a_quantity_is_answered_by_its_number_unless_its_unit_makes_no_sense() -> None:
    load = Coded(code="62469-2", text="HIV RNA", system="LN")
    number: dict[str, Any] = {"code": load, "value_type": "NM", "value": "40", "number": "40"}
    fits = report(code=load, observations=(pcr(unit=Coded(code="{copies}/mL"), **number),))
    odd = report(code=load, observations=(pcr(unit=Coded(code="kg"), **number),))
    assert doubted(fits) == set()
    assert doubted(odd) == {(Doubt.UNIT_UNEXPECTED, "hiv")}


def test_an_unknown_analysis_is_no_doubt_whatever_it_says() -> None:
    unknown = Coded(code="00000-0", text="?", system="LN")
    held = report(code=unknown, observations=(pcr(code=unknown, value="xyz"),))
    assert doubted(held) == set()
