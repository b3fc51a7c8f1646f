"""A recipient of a purpose of its own: nothing joins what it holds with what another one holds."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import pytest

from ops.receivers.receiver import Kind, check_purpose
from ops.receivers.recipient import Recipient
from routing.pseudonym import DerivedKeys
from schemas.errors import PermanentError
from schemas.events import EventKind, PseudonymReplaced, PublicHealthRow, StreamEvent
from schemas.topics import Stream

KEYS = DerivedKeys(bytes(range(32)))
PERSON, CASE = "a" * 32, "c" * 32


def row(**changes: Any) -> PublicHealthRow:
    texts = {
        field.name: "x" for field in msgspec.structs.fields(PublicHealthRow) if field.type is str
    }
    fields: dict[str, Any] = {
        **texts, "pseudonym": PERSON, "pseudonym_period": "2026-H2", "case_id": CASE, "age": 40,
        "residence_imputed": False, "record": "result", "pseudonym_next": "",
        "pseudonym_next_period": "",
    }  # fmt: skip
    return PublicHealthRow(**{**fields, **changes})


def event(body: Any, version: int = 1, report: int = 7) -> StreamEvent:
    return StreamEvent(
        event_id=UUID(int=report * 1_000 + version),
        stream=Stream.PUBLIC_HEALTH,
        partition=3,
        seq=987_654,
        report_id=UUID(int=report),
        event_version=version,
        kind=EventKind.PUBLISHED if body is not None else EventKind.WITHDRAWN,
        reason="new",
        realm="test",
        rule="r",
        rule_version="1",
        person_version=5,
        emitted_at=datetime(2026, 11, 27, tzinfo=UTC),
        body=None if body is None else msgspec.Raw(msgspec.json.encode(body)),
    )


def recipient(purpose: str) -> Recipient:
    return Recipient(purpose, KEYS, purpose.encode().ljust(32))


def test_two_recipients_and_the_stream_share_no_id() -> None:
    made = [
        msgspec.to_builtins(recipient(purpose).event_for(event(row()))) for purpose in ("a", "b")
    ]
    for each in made:
        told = msgspec.json.encode(each).decode()
        for known in (PERSON, CASE, str(UUID(int=7)), str(UUID(int=7_001)), "987654", "2026-11-27"):
            assert known not in told
    for name in ("event_id", "report_id"):
        assert made[0][name] != made[1][name]
    for name in ("pseudonym", "case_id"):
        assert made[0]["body"][name] != made[1]["body"][name]
    assert made[0]["body"]["condition"] == "x"


def test_one_report_and_one_person_stay_one() -> None:
    first, second, other = (
        recipient("a").event_for(each)
        for each in (event(row()), event(row(result="y"), 2), event(row(), 1, report=8))
    )
    assert first.report_id == second.report_id != other.report_id
    assert first.event_id != second.event_id
    assert first.body.pseudonym == second.body.pseudonym == other.body.pseudonym
    gone = recipient("a").event_for(event(None, 3))
    assert (gone.report_id, gone.body) == (first.report_id, None)


def test_a_replaced_pseudonym_is_that_of_its_rows() -> None:
    told = PseudonymReplaced(old="b" * 32, new=PERSON, period="2026-H2")
    found = recipient("a").event_for(event(told)).body
    assert found.new == recipient("a").event_for(event(row())).body.pseudonym
    assert found.old not in {found.new, "b" * 32}
    assert found.record == "pseudonym_replaced"


def test_what_is_not_known_is_not_handed_on() -> None:
    with pytest.raises(PermanentError, match="body_unknown"):
        recipient("a").event_for(event({"name": "PAT-TROIS"}))


@pytest.mark.parametrize(
    ("kind", "stream", "purpose"),
    [
        (Kind.FHIR, Stream.DOSSIER, "a"),
        (Kind.WEBHOOK, Stream.CONTACT_TRACING, "a"),
        (Kind.WEBHOOK, Stream.PUBLIC_HEALTH, "A"),
        (Kind.WEBHOOK, Stream.PUBLIC_HEALTH, "a.b"),
    ],
)
def test_a_purpose_that_does_not_fit(kind: Kind, stream: Stream, purpose: str) -> None:
    check_purpose(kind, stream, "")
    with pytest.raises(PermanentError, match="bad_purpose"):
        check_purpose(kind, stream, purpose)
