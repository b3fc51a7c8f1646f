"""What a projection really does with a field: measured on two messages that differ in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec

from routing.case import Case, PersonView
from routing.dossier import bundle_of
from routing.making import Making
from routing.pseudonym import DerivedKeys, Pseudonyms
from routing.public_health import anonymous_row_of, row_of
from routing.redaction import Treatment
from routing.tracing import case_of
from schemas.decision import Line, ProjectionName, Realm, Standing
from schemas.patient import Ins
from schemas.report import MappedMessage, Organisation
from tests.support.fields import message, pairs

_SECRET = bytes(range(32))
_ENCODER = msgspec.json.Encoder(order="deterministic", decimal_format="number")
PSEUDONYMS = Pseudonyms(_SECRET, DerivedKeys(_SECRET))
INS = Ins(matricule="279035121518989", oid="1.2.250.1.213.1.4.10")
MAKING = Making("dossier-every-report", "2026-3", "fr-2", "2")
REPORT_ID = UUID("018f2f6e-0000-7000-8000-000000000001")
RECEIVED_AT = datetime(2026, 3, 8, 9, 15, 2, tzinfo=UTC)


def case_for(message: MappedMessage, **changes: Any) -> Case:
    """Return the case of a message's first report, as dispatch makes it."""
    report = message.reports[0]
    given: dict[str, Any] = {
        "report": report,
        "traits": message.traits,
        "person": PersonView(person_id=7, person_version=3, qualified_ins=INS),
        "realm": Realm.TEST,
        "laboratory": report.performer or Organisation(),
        "report_id": REPORT_ID,
        "received_at": RECEIVED_AT,
        "version": 1,
        "standings": {},
    }
    case = Case(**{**given, **changes})
    if case.findings and "standings" not in changes:
        code = case.findings[0].analysis.condition.code
        standing = Standing(case_id=REPORT_ID, line=Line.FIRST)
        case = msgspec.structs.replace(case, standings={code: standing})
    return case


def body_of(name: ProjectionName, case: Case, making: Making = MAKING) -> bytes:
    """Return the body of a projection; empty where the report says nothing for it."""
    if name is ProjectionName.DOSSIER:
        ins = case.dossier_ins
        return b"" if ins is None else bundle_of(case, ins, making)[0]
    if not case.findings:
        return b""
    made: Mapping[ProjectionName, Callable[..., object]] = {
        ProjectionName.TRACING: case_of,
        ProjectionName.PUBLIC_HEALTH: row_of,
        ProjectionName.PUBLIC_HEALTH_ANONYMOUS: anonymous_row_of,
    }
    return _ENCODER.encode(made[name](case, case.findings[0], PSEUDONYMS))


def measured(name: ProjectionName, path: str) -> Treatment:
    """Return the most that became of a field: its value found, found changed, or not at all."""
    found = {_measured(name, *each) for each in pairs(path)}
    return next(each for each in Treatment if each in found)


def added(name: ProjectionName, path: str) -> Treatment:
    """Return what became of what the hub adds; see `measured`."""
    head, _, part = path.partition(".")
    base, making, value = case_for(message()), MAKING, ADDITIONS[path]
    other = base
    if head == "making":
        making = msgspec.structs.replace(MAKING, **{part: value})
    elif head == "person":
        person = msgspec.structs.replace(base.person, **{part: value})
        other = case_for(message(), person=person)
    elif head == "standing":
        code = base.findings[0].analysis.condition.code
        standing = msgspec.structs.replace(base.standings[code], **{part: value})
        other = case_for(message(), standings={code: standing})
    else:
        # Where nothing is known of a case, the report stands for itself.
        base = case_for(message(), standings={})
        other = case_for(message(), standings={}, **{path: value})
    text = value.matricule if isinstance(value, Ins) else str(value)
    return _became(body_of(name, base), body_of(name, other, making), text)


ADDITIONS: Mapping[str, Any] = {
    "person.person_id": 8,
    "person.qualified_ins": Ins(matricule="255081416802538", oid="1.2.250.1.213.1.4.10"),
    "report_id": UUID("018f2f6e-0000-7000-8000-0000000000ff"),
    "received_at": datetime(2026, 5, 9, 9, 15, 2, tzinfo=UTC),
    "standing.case_id": UUID("018f2f6e-0000-7000-8000-0000000000fe"),
    "standing.line": Line.SECOND,
    "standing.again": True,
    "standing.variant": "BA.2.86",
    "making.rule_version": "2031-1",
    "making.model_version": "fr-99",
    "making.mapping_version": "7777",
}


def _measured(
    name: ProjectionName, base: MappedMessage, other: MappedMessage, value: str
) -> Treatment:
    return _became(body_of(name, case_for(base)), body_of(name, case_for(other)), value)


def _became(before: bytes, after: bytes, value: str) -> Treatment:
    if before == after:
        return Treatment.DROPPED
    texts = list(texts_of(msgspec.json.decode(after))) if after else []
    is_long = len(value) > 4
    if any(value == text or (is_long and value in text) for text in texts):
        return Treatment.KEPT
    return Treatment.TRANSFORMED


def texts_of(value: object) -> Iterator[str]:
    """Yield every text and number that a body holds."""
    if isinstance(value, dict):
        for each in value.values():
            yield from texts_of(each)
    elif isinstance(value, list):
        for each in value:
            yield from texts_of(each)
    elif value is not None:
        yield str(value)
