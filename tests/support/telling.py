"""Public health as dispatch would tell it: rows of invented persons, straight into the outbox."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import msgspec

from ops.runtime.clock import SystemClock
from ops.runtime.postgres import Pool
from ops.runtime.vault import FolderKeyStore, SealClass, Vault
from routing import outbox
from routing.emitted import PendingEvent, event_id_of
from routing.pseudonym import next_period_of, period_of
from schemas.decision import Realm
from schemas.events import EventKind, PseudonymReplaced, PublicHealthRow
from schemas.topics import Stream

CONDITION = "sars-cov-2"
DEPARTMENTS = ("75", "69", "13", "971", "2A", "")


def row(  # noqa: PLR0917
    person: int,
    day: date,
    result: str = "negative",
    department: str = "75",
    age_class: str = "39",
    sex: str = "F",
    **more: Any,
) -> PublicHealthRow:
    """Return a first line of a person, sampled and received on a day."""
    following = next_period_of(day)
    fields: dict[str, Any] = {
        "pseudonym": pseudonym_of(person, period_of(day)),
        "pseudonym_period": period_of(day),
        "age": None,
        "age_class": age_class,
        "sex": sex,
        "residence_commune": "",
        "residence_department": department,
        "residence_imputed": False,
        "laboratory_finess": "",
        "condition": CONDITION,
        "case_id": uuid4().hex,
        "line": "first",
        "test_code": "94500-6",
        "method": "pcr",
        "result": result,
        "second_line_result": "",
        "status": "F",
        "sampled_on": day.isoformat(),
        "reported_on": day.isoformat(),
        "received_on": day.isoformat(),
        "new_case": True if result == "positive" else None,
        "recent_positive": False,
        "pseudonym_next": pseudonym_of(person, following) if following else "",
        "pseudonym_next_period": following,
    }
    return PublicHealthRow(**{**fields, **more})


def pseudonym_of(person: int, period: str) -> str:
    """Return 32 hexadecimal digits of a person and half-year."""
    return random.Random(f"{person} {period}").randbytes(16).hex()


class Telling:
    """Writes events of public health into an instance's outbox, in transactions as dispatch does.

    Args:
        pool: Of a role that writes.
        keys: Folder of the instance's keys.
        partitions: Of the instance.
    """

    def __init__(self, pool: Pool, keys: Path, partitions: int) -> None:
        self._pool = pool
        self._vault = Vault(FolderKeyStore(keys), SystemClock())
        self._partitions = partitions
        self._versions: dict[tuple[UUID, str], int] = {}

    @property
    def vault(self) -> Vault:
        """What opens the payloads."""
        return self._vault

    def event(
        self, report: UUID, body: PublicHealthRow | PseudonymReplaced | None, part: str = CONDITION
    ) -> PendingEvent:
        """Return the next version of a report's part; no body withdraws it."""
        version = self._versions[report, part] = self._versions.get((report, part), 0) + 1
        kind = EventKind.REVISED if version > 1 else EventKind.PUBLISHED
        return PendingEvent(
            stream=Stream.PUBLIC_HEALTH,
            partition=report.int % self._partitions,
            event_id=event_id_of(Stream.PUBLIC_HEALTH, report, version, part),
            report_id=report,
            event_version=version,
            kind=EventKind.WITHDRAWN if body is None else kind,
            reason="new",
            realm=Realm.TEST,
            rule="r",
            rule_version="1",
            person_version=1,
            message_id=uuid4(),
            part=part,
            body=None if body is None else msgspec.json.encode(body),
        )

    async def write(self, events: Sequence[PendingEvent], at: datetime | None = None) -> None:
        """Commit events in one transaction."""
        async with self._pool.acquire() as connection, connection.transaction():
            await outbox.write(
                connection,
                events,
                lambda body, associated: self._vault.seal(SealClass.STREAM, body, associated),
                at or datetime.now(UTC),
            )

    async def tell(self, rows: Sequence[PublicHealthRow]) -> list[UUID]:
        """Publish rows, each of a report of its own; return the reports."""
        reports = [uuid4() for _ in rows]
        await self.write(
            [
                self.event(report, each, each.condition)
                for report, each in zip(reports, rows, strict=True)
            ]
        )
        return reports


def some_rows(seed: int, count: int, until: date, days: int = 20) -> list[PublicHealthRow]:
    """Return rows of persons who are tested again and again, over departments, ages and sexes."""
    source = random.Random(seed)
    found = []
    for _ in range(count):
        person = source.randrange(max(2, count // 3))
        own = random.Random(person)
        day = until - timedelta(days=source.randrange(days))
        late = min(source.randrange(4), (until - day).days)
        result = source.choices(("negative", "positive", "indeterminate"), (8, 3, 1))[0]
        found.append(
            row(
                person,
                day,
                result,
                own.choice(DEPARTMENTS),
                own.choice(("09", "39", "59", "90", "")),
                own.choice("FFMMU"),
                received_on=(day + timedelta(days=late)).isoformat(),
                new_case=source.random() < 0.7 if result == "positive" else None,
                recent_positive=source.random() < 0.1,
                variant=source.choice(("", "A1B0C0")) if result == "positive" else "",
            )
        )
    return found
