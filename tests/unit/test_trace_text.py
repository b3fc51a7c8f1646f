"""The way of a message as a person reads it: no brackets of Python, nothing that is empty."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from ops.tracing.as_text import NOTHING, as_text
from ops.tracing.ways import Trace
from schemas.finding import Level


def test_stations_are_lines_that_a_person_can_read() -> None:
    at = datetime(2026, 3, 6, 12, tzinfo=UTC)
    findings = [
        {"code": "country_not_fra", "level": Level.INFO, "place": "MSH[1]-17"},
        {"code": "sex_not_m_or_f", "level": Level.WARNING, "place": "PID[1]-8"},
    ]
    told = as_text(
        [
            Trace(
                message_id=UUID(int=1),
                control_id="C-1",
                partition=3,
                offset=7,
                kind="message",
                laboratory="990010001",
                received_at=at,
                stations=[
                    {"station": "answered", "answer": "AA", "reports": 1, "findings": findings},
                    {"station": "identity", "at": at, "kind": "new", "evidence": {}},
                    {"station": "outcome", "decided_at": at, "ending": "dispatched", "reason": ""},
                ],
            )
        ]
    )
    head, answered, identity, outcome = told.splitlines()
    assert head.endswith("from 990010001 at partition 3, offset 7")
    assert answered.split()[:5] == ["answered", "answer", "AA,", "reports", "1,"]
    assert answered.endswith(
        "findings code country_not_fra level info place MSH[1]-17;"
        " code sex_not_m_or_f level warning place PID[1]-8"
    )
    assert identity.split() == ["identity", "2026-03-06", "12:00:00+00:00", "kind", "new"]
    assert outcome.split()[-2:] == ["ending", "dispatched"]


def test_nothing_found_is_said() -> None:
    assert as_text([]) == NOTHING
