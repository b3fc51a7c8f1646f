"""Figures of laboratories add up in memory: nothing twice, nothing beyond a bound."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import msgspec
import pytest

from ops.runtime import lab_hours
from ops.runtime.lab_hours import COLUMNS, LabHours, hour_of
from ops.runtime.metrics import METRICS
from schemas.envelope import IntakeRecord, RecordKind
from schemas.errors import TransientError
from schemas.ids import id_of

AT = datetime(2026, 3, 9, 12, 59, 59, tzinfo=UTC)
HOUR = int(AT.timestamp()) // 3_600
ID = id_of(bytes(16))


def record(lab_id: int, at: datetime = AT, kind: RecordKind = RecordKind.MESSAGE) -> IntakeRecord:
    return IntakeRecord(
        partition=0, message_id=ID, lab_id=lab_id, kind=kind, received_at=at,
        inbox_key=ID, control_key=0, payload=b"",
    )  # fmt: skip


def counts(row: list[float]) -> dict[str, float]:
    return {name: n for name, n in zip(COLUMNS, row, strict=False) if n}


class Away:
    def acquire(self) -> Any:
        raise TransientError("database_away")


def test_what_was_received_and_how_it_ended_stand_in_the_hour_of_reception() -> None:
    hours = LabHours()
    later = AT + timedelta(seconds=1)
    hours.received([record(1), record(1, later), record(2, kind=RecordKind.REFUSED)])
    hours.received([record(1, kind=RecordKind.REPLAY)])  # no message came
    hours.ended(1, AT, "dispatched", flagged=True)
    hours.ended(1, later, "parked", flagged=False)
    hours.ended(2, AT, "refused", flagged=True)
    hours.ended(2, AT, "replay", flagged=True)
    hours.turned_away(2, later)
    taken = hours.take()
    assert counts(taken[1, HOUR]) == {"received": 1, "dispatched": 1, "flagged": 1}
    assert counts(taken[1, HOUR + 1]) == {"received": 1, "parked": 1}
    assert counts(taken[2, HOUR]) == {"received": 1, "refused": 1, "flagged": 1}
    assert counts(taken[2, HOUR + 1]) == {"turned_away": 1}
    assert taken[1, HOUR][-1] == AT.timestamp()
    assert hours.take() == {}


async def test_what_could_not_be_written_is_kept_and_counted_once() -> None:
    hours = LabHours()
    hours.received([record(1)])
    before = METRICS.errors.labels("lab_hours", "database_away")._value.get()
    await lab_hours.write(Away(), hours)  # type: ignore[arg-type]
    hours.received([record(1)])
    assert METRICS.errors.labels("lab_hours", "database_away")._value.get() == before + 1
    taken = hours.take()
    assert counts(taken[1, HOUR]) == {"received": 2}
    assert taken[1, HOUR][-1] == AT.timestamp()


class Breaks:
    """Lends connections on which every statement ends with the same error."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[Breaks]:
        yield self

    async def execute(self, query: str, *args: object) -> str:
        raise self.error


@pytest.mark.parametrize(
    ("error", "kept"),
    [
        (asyncpg.DeadlockDetectedError(), 1),
        (asyncpg.ConnectionDoesNotExistError(), 0),
        (asyncpg.AdminShutdownError(), 0),
        (TimeoutError(), 0),
    ],
    ids=["rolled back", "broken", "shut down", "no answer in time"],
)
async def test_what_may_have_been_written_is_not_written_again(error: Exception, kept: int) -> None:
    hours = LabHours()
    hours.received([record(1)])
    await lab_hours.write(Breaks(error), hours)  # type: ignore[arg-type]
    assert len(hours.take()) == kept


def test_a_database_that_is_away_for_ever_fills_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lab_hours, "MOST_HOURS", 3)
    hours = LabHours()
    beyond = METRICS.limit_hits.labels("figures_waiting")
    before = beyond._value.get()
    hours.received([record(number) for number in range(5)])
    hours.received([record(0)])
    assert beyond._value.get() == before + 2
    taken = hours.take()
    assert len(taken) == 3
    assert counts(taken[0, HOUR]) == {"received": 2}


def test_an_hour_begins_in_utc() -> None:
    assert hour_of(AT) == datetime(2026, 3, 9, 12, tzinfo=UTC)


def test_counting_keeps_nothing_of_a_message() -> None:
    hours = LabHours()
    hours.received([msgspec.structs.replace(record(1), payload=b"CANARI")])
    assert "CANARI" not in repr(hours.take())
