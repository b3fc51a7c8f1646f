"""Events of simulated laboratories, as dispatch would write them: for the relay's benchmark."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import UUID

from ingest.header import HeaderError, read_header
from ingest.judge import LabProfile, judge
from ops.runtime.ids import new_message_id
from ops.simulate.simulation import Simulation
from routing.emitted import PendingEvent, event_id_of
from routing.router import Case, PersonView, Router, load_own_rules
from schemas.decision import Realm
from schemas.events import EventKind
from schemas.report import LabReport, MappedMessage, Organisation
from schemas.topics import Stream

_START = datetime(2026, 1, 5, 8, tzinfo=UTC)
_SECRET = bytes(range(32))


def events_of(stream: Stream, count: int, partitions: int, seed: int = 1) -> list[PendingEvent]:
    """Return events of a stream, in order of the messages they came of.

    Persons are taken as their messages tell them, and each report is the first of its kind: what
    an event holds is as large as in the field, which is what counts here.
    """
    router = Router(load_own_rules(), _SECRET, Realm.TEST)
    found: list[PendingEvent] = []
    for lab, message in _mapped(seed):
        message_id = new_message_id()
        for report in message.reports:
            event = _event(router, stream, message, report, message_id, lab % partitions)
            if event is not None:
                found.append(event)
        if len(found) >= count:
            return found[:count]
    raise AssertionError("a simulation has no end")


def _mapped(seed: int) -> Iterator[tuple[int, MappedMessage]]:
    profile = LabProfile()
    for each in Simulation(seed=seed, labs=200, start_at=_START).messages():
        header = read_header(each.raw)
        if each.expected != "AA" or isinstance(header, HeaderError):
            continue
        mapped = judge(each.raw, header, profile, Realm.TEST).mapped
        if mapped is not None:
            yield each.lab_index, mapped


def _event(  # noqa: PLR0917 - what one event is made of
    router: Router,
    stream: Stream,
    message: MappedMessage,
    report: LabReport,
    message_id: UUID,
    partition: int,
) -> PendingEvent | None:
    report_id = new_message_id()
    qualified = message.traits.ins[0] if message.traits.ins else None
    case = Case(
        report=report,
        traits=message.traits,
        person=PersonView(
            person_id=message_id.int >> 96, person_version=1, qualified_ins=qualified
        ),
        realm=Realm.TEST,
        laboratory=report.performer or Organisation(),
        report_id=report_id,
        received_at=_START,
        version=1,
    )
    decision = router.route(case)
    if stream not in decision.due:
        return None
    part, routed = next((p, r) for p, r in decision.parts[stream].items() if r.due)
    return PendingEvent(
        stream=stream,
        partition=partition,
        event_id=event_id_of(stream, report_id, 1, part),
        report_id=report_id,
        event_version=1,
        kind=EventKind.PUBLISHED,
        reason="new",
        realm=Realm.TEST,
        rule=routed.rule,
        rule_version=decision.rule_version,
        person_version=1,
        message_id=message_id,
        part=part,
        body=router.project(stream, part, case, decision).body,
    )
