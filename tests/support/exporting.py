"""Streams full of invented events, and what stands in them by the reader's one rule."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from ops.bootstrap import Hub
from ops.runtime.ids import new_message_id
from ops.runtime.vault import SealClass
from routing.emitted import PendingEvent, event_id_of
from routing.outbox import write
from schemas.decision import Realm
from schemas.events import EventKind, PseudonymReplaced, PublicHealthRow, TracingCase
from schemas.topics import Stream
from tests.support.hub import PARTITIONS

FIRST_DAY = date(2026, 3, 1)
CONDITIONS = ("sars-cov-2", "influenza-a", "rsv", "hiv")
DEPARTMENTS = ("75", "01", "2A", "974", "")
RESULTS = ("positive", "negative", "negative", "indeterminate")


class Silence:
    """Hears nothing."""

    def reading(self, events: int, total: int) -> None:
        """So many events were read."""

    def writing(self, rows: int, total: int) -> None:
        """So many rows were written."""


def health_row(draw: random.Random, sampled: date, condition: str) -> PublicHealthRow:
    """A row that could be of anybody."""
    age = draw.choice([None, draw.randrange(0, 105)])
    positive = draw.choice([True, False, None])
    return PublicHealthRow(
        pseudonym=f"{draw.getrandbits(128):032x}",
        pseudonym_period="2026-H1",
        age=age,
        age_class="" if age is None else "90" if age >= 90 else f"{age // 10}9",
        sex=draw.choice("MFU"),
        residence_commune="",
        residence_department=draw.choice(DEPARTMENTS),
        residence_imputed=draw.random() < 0.1,
        laboratory_finess=draw.choice(["990010001", ""]),
        condition=condition,
        case_id=f"{draw.getrandbits(128):032x}",
        line="first",
        test_code="94500-6",
        method="rna",
        result=draw.choice(RESULTS),
        second_line_result="",
        status="F",
        sampled_on=sampled.isoformat(),
        reported_on=draw.choice(["", sampled.isoformat()]),
        received_on=(sampled + timedelta(days=1)).isoformat(),
        new_case=positive,
        recent_positive=draw.choice([True, False, None]),
    )


def case(draw: random.Random, sampled: date) -> TracingCase:
    """A case of an invented person."""
    return TracingCase(
        case_id=f"{draw.getrandbits(128):032x}",
        condition="sars-cov-2",
        result="positive",
        status="F",
        birth_family="PAT-TROIS",
        birth_given='DOMINIQUE, dite "DODO"',
        used_family="",
        birth_date="1979-03",
        sex="F",
        phones=("0639980001", "0199990002"),
        emails=(),
        address_lines=("1 RUE DU TEST",),
        postcode=draw.choice(["75001", "01000", ""]),
        city="SAINT-ÉTIENNE\n\t\\ 😀",
        sampled_at=draw.choice([f"{sampled}T09:00:00+01:00", sampled.isoformat()[:7], ""]),
        reported_at=draw.choice(["", sampled.isoformat()]),
        laboratory_name="LABO",
        laboratory_finess="990010001",
        prescriber_rpps="",
        prescriber_name="",
        test_code="94500-6",
        method="rna",
    )


class Filler:
    """Writes histories of reports: published, revised, withdrawn, published again.

    Args:
        hub: On a scratch database.
        seed: The same one gives the same events.
    """

    def __init__(self, hub: Hub, seed: int = 1) -> None:
        self._hub = hub
        self._draw = random.Random(seed)
        self._held: dict[tuple[Stream, UUID, str], tuple[int, int, bool]] = {}

    async def fill(
        self, stream: Stream, count: int, *, days: int = 4, at: datetime | None = None
    ) -> None:
        """Write so many events, emitted one after the other over some days."""
        each = max(1, count // (2 * days))
        begin = at or datetime(2026, 3, 4, 9, 0, 0, 250_000, UTC)
        left = count
        while left:
            moment = begin + timedelta(hours=12 * ((count - left) // each))
            taken = min(each, left)
            await self.write([self._event(stream) for _ in range(taken)], moment)
            left -= taken

    async def write(self, events: Sequence[PendingEvent], at: datetime) -> None:
        """Write events as dispatch does."""

        def seal(body: bytes, associated: bytes) -> bytes:
            return self._hub.vault.seal(SealClass.STREAM, body, associated)

        async with self._hub.pool.acquire() as connection, connection.transaction():
            await write(connection, events, seal, at)

    def _event(self, stream: Stream) -> PendingEvent:
        draw = self._draw
        if self._held and draw.random() < 0.4:
            of_stream = [key for key in self._held if key[0] is stream]
            if of_stream:
                return self._next(draw.choice(of_stream))
        replaced = stream is Stream.PUBLIC_HEALTH and draw.random() < 0.05
        part = "" if replaced or stream is Stream.DOSSIER else draw.choice(CONDITIONS)
        key = (stream, UUID(int=draw.getrandbits(128), version=4), "-" if replaced else part)
        self._held[key] = (0, draw.randrange(PARTITIONS), False)
        return self._next(key)

    def _next(self, key: tuple[Stream, UUID, str]) -> PendingEvent:
        stream, report_id, part = key
        version, partition, there = self._held[key]
        withdrawn = there and self._draw.random() < 0.4
        kind = (
            EventKind.WITHDRAWN
            if withdrawn
            else (EventKind.REVISED if there else EventKind.PUBLISHED)
        )
        self._held[key] = (version + 1, partition, not withdrawn)
        replaced = part == "-"
        part = "" if replaced else part
        return PendingEvent(
            stream=stream,
            partition=partition,
            event_id=event_id_of(stream, report_id, version + 1, part),
            report_id=report_id,
            event_version=version + 1,
            kind=kind,
            reason="cancelled" if withdrawn else "new_version" if there else "new",
            realm=Realm.TEST,
            rule="persons_merged" if replaced else f"{stream.value}-rule",
            rule_version="" if replaced else "1",
            person_version=version + 1,
            message_id=new_message_id(),
            part=part,
            body=None if withdrawn else msgspec.json.encode(self._body(stream, part, replaced)),
        )

    def _body(self, stream: Stream, part: str, replaced: bool) -> Any:
        sampled = FIRST_DAY + timedelta(days=self._draw.randrange(4))
        if replaced:
            return PseudonymReplaced(old="0" * 32, new="1" * 32, period="2026-H1")
        if stream is Stream.PUBLIC_HEALTH:
            return health_row(self._draw, sampled, part)
        if stream is Stream.CONTACT_TRACING:
            return case(self._draw, sampled)
        return {"resourceType": "Bundle", "type": "collection", "id": str(self._draw.random())}


def folded(events: Iterable[dict[str, Any]]) -> dict[tuple[str, str], dict[str, Any]]:
    """What stands: of each (report, part) the highest version, unless it is withdrawn."""
    held: dict[tuple[str, str], dict[str, Any]] = {}
    for event in events:
        key = str(event["report_id"]), event["part"]
        if event["event_version"] > held.get(key, {"event_version": 0})["event_version"]:
            held[key] = event
    return {key: event for key, event in held.items() if event["kind"] != "withdrawn"}
