from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

from dedup.resolver import Resolution
from ops.placing import Placed, Shelf, key_reports
from schemas.decision import MatchDecision, Verdict
from schemas.envelope import RecordKind, StoredRecord
from schemas.patient import Traits
from schemas.report import LabReport, ResultStatus
from tests.support.people import message, report

SECRET = b"k" * 32


def source(offset: int = 5) -> StoredRecord:
    message_id = uuid4()
    return StoredRecord(
        partition=1,
        offset=offset,
        message_id=message_id,
        lab_id=3,
        kind=RecordKind.MESSAGE,
        received_at=datetime(2026, 11, 24, tzinfo=UTC),
        inbox_key=message_id,
        control_key=1,
        payload=b"",
    )


def resolution(person_id: int = 1) -> Resolution:
    decision = MatchDecision(verdict=Verdict.NEW, person_id=None, rule="new", model_version="x")
    return Resolution(person_id=person_id, person_version=1, decision=decision, qualified_ins=None)


def put(
    shelf: Shelf,
    record: StoredRecord,
    *reports: LabReport,
    person_id: int = 1,
    is_replay: bool = False,
    about: Traits | None = None,
) -> list[Placed]:
    keyed = key_reports(message(about, *reports), record, SECRET)
    return [shelf.put(k, record, resolution(person_id), is_replay=is_replay) for k in keyed]


def test_preliminary_final_corrected_are_three_versions_of_one_report() -> None:
    shelf = Shelf({}, set())
    statuses = (ResultStatus.PRELIMINARY, ResultStatus.FINAL, ResultStatus.CORRECTED)
    placed = [put(shelf, source(n), report(status=s))[0] for n, s in enumerate(statuses)]
    assert len({p.report_id for p in placed}) == 1
    assert [p.version_number for p in placed] == [1, 2, 3]
    assert all(p.routes for p in placed)


def test_a_late_preliminary_is_kept_but_goes_nowhere() -> None:
    shelf = Shelf({}, set())
    put(shelf, source(1), report())
    (late,) = put(shelf, source(2), report(status=ResultStatus.PRELIMINARY))
    assert late.version is not None
    assert (late.version.version, late.version.is_current, late.routes) == (2, False, False)
    (corrected,) = put(shelf, source(3), report(status=ResultStatus.CORRECTED))
    assert corrected.version_number == 3


def test_the_same_content_writes_nothing() -> None:
    shelf = Shelf({}, set())
    put(shelf, source(1), report())
    (again,) = put(shelf, source(2), report())
    assert (again.version, again.routes) == (None, False)


def test_the_same_number_twice_in_a_message_is_two_reports() -> None:
    first, second = put(Shelf({}, set()), source(), report(), report(position=2))
    assert first.report_id != second.report_id


def test_a_replay_routes_again_without_a_second_version() -> None:
    shelf = Shelf({}, set())
    record = source()
    (first,) = put(shelf, record, report())
    (again,) = put(shelf, record, report(), is_replay=True)
    assert (again.report_id, again.version, again.routes) == (first.report_id, None, True)


def test_a_replay_of_an_outdated_message_goes_nowhere() -> None:
    shelf = Shelf({}, set())
    old = source(1)
    (first,) = put(shelf, old, report())
    put(shelf, source(2), report(status=ResultStatus.CORRECTED))
    digest = key_reports(message(), old, SECRET)[0].statement
    shelf = Shelf(shelf._held, {(first.report_id, digest)})
    (again,) = put(shelf, old, report(), is_replay=True)
    assert (again.version, again.routes) == (None, False)


def test_a_replay_moves_the_report_to_whom_it_is_about_today() -> None:
    shelf = Shelf({}, set())
    record = source()
    put(shelf, record, report(), person_id=1)
    (moved,) = put(shelf, record, report(), person_id=2, is_replay=True)
    assert moved.version is not None
    assert (moved.version.person_id, moved.routes) == (2, True)


def test_a_replay_of_another_record_with_the_content_that_stands_goes_nowhere() -> None:
    shelf = Shelf({}, set())
    old = source(1)
    put(shelf, old, report(notes=("one",)))
    put(shelf, source(2), report())
    (again,) = put(shelf, old, report(), is_replay=True)
    assert (again.version, again.routes) == (None, False)


def test_a_replay_with_other_parts_is_a_version_once() -> None:
    shelf = Shelf({}, set())
    record = source()
    put(shelf, record, report())
    now = message(None, report(reported_at="2026-11-21"))
    (keyed,) = key_reports(now, record, SECRET, door=message())
    (door_s,) = key_reports(message(), record, SECRET)
    assert keyed.digest == door_s.digest
    first, second = (shelf.put(keyed, record, resolution(), is_replay=True) for _ in range(2))
    assert first.version is not None
    assert first.version.statement_digest not in {keyed.statement, door_s.statement}
    assert (first.version_number, first.routes) == (2, True)
    assert (second.version, second.version_number, second.routes) == (None, 2, True)


def test_a_replay_as_the_door_had_it_states_what_the_door_did() -> None:
    record = source()
    (keyed,) = key_reports(message(), record, SECRET, door=message())
    assert keyed.replayed is None
    negative = message(None, report(notes=("other",)))
    (keyed,) = key_reports(negative, record, SECRET, door=message())
    assert keyed.replayed is None


def test_a_replay_about_another_and_of_another_day_is_the_same_message_s_report() -> None:
    shelf = Shelf({}, set())
    record = source()
    (first,) = put(shelf, record, report())
    other = report(collected_at="2026-11-23T08:00:00+01:00")
    (moved,) = put(shelf, record, other, person_id=2, is_replay=True)
    assert (moved.report_id, moved.version_number) == (first.report_id, 2)
    assert moved.held_person == 1


def test_a_number_used_again_is_another_report_with_a_finding() -> None:
    shelf = Shelf({}, set())
    (first,) = put(shelf, source(1), report())
    other = report(collected_at="2026-11-23T08:00:00+01:00")
    (second,) = put(shelf, source(2), other, person_id=2)
    assert second.report_id != first.report_id
    assert second.finding is not None
    assert second.finding.code == "order_number_reused"


def test_without_any_number_there_is_a_finding() -> None:
    (placed,) = put(Shelf({}, set()), source(), report(filler_order_number=""))
    assert placed.finding is not None
    assert placed.finding.code == "no_order_number"
