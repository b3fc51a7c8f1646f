from __future__ import annotations

from uuid import UUID, uuid4

import pytest

from dedup.results import (
    HeldReport,
    Incoming,
    PlacementKind,
    content_digest,
    place,
    report_key,
    statement_digest,
)
from schemas.report import Coded, LabReport, Organisation, ResultStatus
from tests.support.people import dominique, observation, report

SECRET = b"k" * 32
KEY, ONE, OTHER = uuid4(), uuid4(), uuid4()


def held(status: ResultStatus = ResultStatus.FINAL, **changes: object) -> HeldReport:
    values: dict[str, object] = {
        "report_id": UUID(int=1),
        "report_key": KEY,
        "person_id": 1,
        "version": 1,
        "status": status.value,
        "status_rank": status.rank,
        "content_digest": ONE,
        "sampled_on": "2026-11-20",
        "offset": 5,
    }
    return HeldReport(**{**values, **changes})  # type: ignore[arg-type]


def incoming(status: ResultStatus = ResultStatus.FINAL, **changes: object) -> Incoming:
    values: dict[str, object] = {
        "report_key": KEY,
        "person_id": 1,
        "status": status,
        "content_digest": OTHER,
        "statement_digest": OTHER,
        "sampled_on": "2026-11-20",
        "offset": 9,
    }
    return Incoming(**{**values, **changes})  # type: ignore[arg-type]


def test_the_first_is_new() -> None:
    assert place([], incoming()).kind is PlacementKind.NEW


def test_a_correction_replaces() -> None:
    assert place([held()], incoming(ResultStatus.CORRECTED)).kind is PlacementKind.VERSION


def test_a_preliminary_never_replaces_a_final() -> None:
    assert place([held()], incoming(ResultStatus.PRELIMINARY)).kind is PlacementKind.OUTRANKED


def test_a_final_never_replaces_a_correction_or_a_cancellation() -> None:
    for status in (ResultStatus.CORRECTED, ResultStatus.CANCELLED, ResultStatus.DELETED):
        assert place([held(status)], incoming()).kind is PlacementKind.OUTRANKED


def test_the_later_of_one_rank_wins() -> None:
    assert place([held()], incoming()).kind is PlacementKind.VERSION


def test_the_same_content_is_the_same_result() -> None:
    found = place([held()], incoming(content_digest=ONE))
    assert found.kind is PlacementKind.SAME_CONTENT


def test_the_same_number_for_another_person_on_another_day_is_another_report() -> None:
    found = place([held()], incoming(person_id=2, sampled_on="2026-11-22"))
    assert (found.kind, found.held) == (PlacementKind.SPLIT, None)


def test_another_person_on_the_same_day_is_a_corrected_identity() -> None:
    assert place([held()], incoming(person_id=2)).kind is PlacementKind.VERSION


def test_the_same_person_on_another_day_is_a_corrected_date() -> None:
    assert place([held()], incoming(sampled_on="2026-11-22")).kind is PlacementKind.VERSION


def test_a_day_nobody_gave_is_no_other_day() -> None:
    assert place([held(sampled_on="")], incoming(person_id=2)).kind is PlacementKind.VERSION


def test_of_two_reports_under_a_number_the_likelier_gets_the_version() -> None:
    first = held(report_id=UUID(int=1), person_id=1, sampled_on="2026-11-20")
    second = held(report_id=UUID(int=2), person_id=2, sampled_on="2026-11-22")
    found = place([first, second], incoming(person_id=2, sampled_on="2026-11-22"))
    assert found.held is not None
    assert found.held.report_id == UUID(int=2)


def test_a_replay_of_an_older_message_never_replaces_a_newer() -> None:
    found = place([held(offset=9)], incoming(offset=5, is_replay=True))
    assert found.kind is PlacementKind.OUTRANKED


def test_versions_share_laboratory_number_and_code() -> None:
    message = uuid4()
    key = report_key(SECRET, 1, report(), message, 0)
    assert key == report_key(SECRET, 1, report(status=ResultStatus.CORRECTED), uuid4(), 0)
    assert key != report_key(SECRET, 2, report(), message, 0)
    assert key != report_key(SECRET, 1, report(filler_order_number="F-2"), message, 0)
    assert key != report_key(SECRET, 1, report(), message, 1)


def test_the_placers_number_stands_in_and_without_any_the_report_stands_alone() -> None:
    one, other = uuid4(), uuid4()
    placer = report(filler_order_number="", placer_order_number="F-1")
    alone = report(filler_order_number="")
    assert report_key(SECRET, 1, placer, one, 0) == report_key(SECRET, 1, placer, other, 0)
    assert report_key(SECRET, 1, placer, one, 0) != report_key(SECRET, 1, report(), one, 0)
    assert report_key(SECRET, 1, alone, one, 0) != report_key(SECRET, 1, alone, other, 0)


def test_content_is_what_is_said_and_about_whom_not_where_it_stood() -> None:
    same = content_digest(SECRET, report(), dominique())
    assert same == content_digest(SECRET, report(position=3), dominique())
    assert same != content_digest(SECRET, report(status=ResultStatus.CORRECTED), dominique())
    assert same != content_digest(SECRET, report(), dominique(identity_status="PROV"))


def test_another_further_repetition_is_another_content() -> None:
    digests = {
        content_digest(SECRET, report(observations=(observation(others=others),)), dominique())
        for others in ((), (Coded(code="A"),), (Coded(code="B"),), (Coded(code="A"), Coded("B")))
    }
    assert len(digests) == 4


def test_amended_is_another_content_than_corrected_and_than_final() -> None:
    digests = {
        content_digest(
            SECRET, report(observations=(observation(status=status, amended=amended),)), dominique()
        )
        for status, amended in (
            (ResultStatus.FINAL, False),
            (ResultStatus.CORRECTED, False),
            (ResultStatus.CORRECTED, True),
        )
    }
    assert len(digests) == 3


LOCAL_FIRST = Coded(
    code="COVPCR", text="PCR COVID", system="L", alternate_code="94500-6", alternate_system="LN"
)
ANOTHER_TEXT = Coded(code="260373001", text="Détecté", system="SCT")


@pytest.mark.parametrize(
    "noise",
    [
        report(position=4, order_control="RE"),
        report(performer=Organisation(name="SITE B", identifier="990000017")),
        report(reported_at="2026-11-20T11:00:00+01:00"),
        report(code=LOCAL_FIRST, observations=(observation(code=LOCAL_FIRST),)),
        report(observations=(observation(coded=ANOTHER_TEXT, value="Détecté"),)),
        report(observations=(observation(value_type="CE", position=7),)),
    ],
)
def test_what_another_system_of_the_laboratory_writes_otherwise_is_no_content(
    noise: LabReport,
) -> None:
    message = uuid4()
    assert content_digest(SECRET, noise, dominique()) == content_digest(
        SECRET, report(), dominique()
    )
    assert report_key(SECRET, 1, noise, message, 0) == report_key(SECRET, 1, report(), message, 0)


@pytest.mark.parametrize(
    "change",
    [
        report(status=ResultStatus.CORRECTED),
        report(collected_at="2026-11-20T09:30:00+01:00"),
        report(notes=("Prélèvement hémolysé",)),
        report(observations=(observation(status=ResultStatus.PRELIMINARY),)),
        report(observations=(observation(coded=None, value="Détecté, faible"),)),
        report(observations=(observation(interpretations=("A",)),)),
        report(observations=(observation(reference_range="<1"),)),
        report(observations=(observation(unit=Coded(code="g/L")),)),
        report(observations=(observation(notes=("à contrôler",)),)),
        report(observations=(observation(), observation(position=2, sub_id="2"))),
    ],
)
def test_everything_clinical_is_content(change: LabReport) -> None:
    assert content_digest(SECRET, change, dominique()) != content_digest(
        SECRET, report(), dominique()
    )


def test_a_statement_is_a_content_and_when_it_was_released() -> None:
    again = report(reported_at="2026-11-21T08:00:00+01:00")
    assert statement_digest(ONE, report()) == statement_digest(ONE, report(position=2))
    assert statement_digest(ONE, report()) != statement_digest(ONE, again)
    assert statement_digest(ONE, report()) != statement_digest(OTHER, report())
