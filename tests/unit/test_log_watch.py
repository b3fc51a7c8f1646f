"""When a door closes for its log: silent, or about to forget what nobody has read."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from ops.log_watch import BACKLOG_OLD, LOG_AWAY, LOG_BOUNDED, LogWatch, WatchLimits
from ops.runtime.intake_log import Kept
from ops.runtime.metrics import METRICS
from schemas.errors import FatalError, TransientError
from tests.contract.test_intake_log import record
from tests.fakes.intake_log import FakeIntakeLog

NOW = datetime(2026, 3, 9, 12, tzinfo=UTC)


class Log(FakeIntakeLog):
    is_away = False

    async def end_offsets(self) -> dict[int, int]:
        if self.is_away:
            raise TransientError("kafka_unavailable")
        return await super().end_offsets()


class Place:
    """A log, the progress of dispatch, and a time that the test sets."""

    def __init__(self) -> None:
        self.log = Log(2)
        self.progress: dict[int, int] = {0: 0, 1: 0}
        self.database_is_away = False
        self.seconds = 0.0
        pool: Any = self
        self.watch = LogWatch(
            self.log, pool, self, lambda: self.seconds, WatchLimits(margin_seconds=86_400.0)
        )

    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.seconds)

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[Any]:
        if self.database_is_away:
            raise TransientError("database_away")
        yield self

    async def fetch(self, _: str) -> list[dict[str, int]]:
        return [{"partition": p, "next_offset": n} for p, n in self.progress.items()]

    async def put(self, partition: int, age: timedelta) -> None:
        held = msgspec.structs.replace(record(partition), received_at=NOW - age)
        await self.log.append([held])

    async def looked(self) -> str:
        await self.watch.measure()
        await self.watch.measure()
        return self.watch.reason


@pytest.fixture
def place() -> Place:
    return Place()


async def test_a_log_that_is_silent_closes_the_door_after_five_seconds(place: Place) -> None:
    await place.watch.ask()
    assert place.watch.reason == ""
    place.log.is_away = True
    for seconds, reason in ((1.0, ""), (4.9, ""), (5.0, LOG_AWAY), (60.0, LOG_AWAY)):
        place.seconds = seconds
        await place.watch.ask()
        assert place.watch.reason == reason
    place.log.is_away = False
    await place.watch.ask()
    assert place.watch.reason == ""


async def test_an_old_record_that_nobody_has_read_closes_the_door(place: Place) -> None:
    await place.put(0, timedelta(days=5, hours=23))
    assert await place.looked() == ""
    place.seconds = 2 * 3_600.0
    assert await place.looked() == BACKLOG_OLD
    place.progress[0] = 1
    assert await place.looked() == ""


async def test_a_long_backlog_that_is_young_closes_nothing(place: Place) -> None:
    for _ in range(500):
        await place.put(0, timedelta(minutes=5))
    assert await place.looked() == ""


async def test_what_was_handled_may_be_as_old_as_it_likes(place: Place) -> None:
    await place.put(1, timedelta(days=6, hours=23))
    place.progress[1] = 1
    assert await place.looked() == ""


async def test_a_topic_that_keeps_less_than_the_setting_is_believed(place: Place) -> None:
    await place.put(0, timedelta(days=2, hours=1))
    assert await place.looked() == ""
    place.log.forgets = Kept(seconds=3 * 86_400.0)
    assert await place.looked() == BACKLOG_OLD
    place.log.forgets = Kept(seconds=30 * 86_400.0)
    assert await place.looked() == "", "more than the setting is not counted on"
    place.log.forgets = Kept(seconds=3_600.0)  # less than the margin
    assert await place.looked() == BACKLOG_OLD
    place.progress[0] = 1
    assert await place.looked() == "", "who has read everything can lose nothing"


async def test_a_log_that_forgets_by_size_closes_the_door_until_it_does_not(place: Place) -> None:
    place.log.forgets = Kept(is_bounded_by_size=True)
    assert await place.looked() == LOG_BOUNDED
    place.log.forgets = Kept()
    assert await place.looked() == ""


async def test_a_log_that_does_not_tell_is_taken_as_it_was(place: Place) -> None:
    place.log.forgets = Kept(is_bounded_by_size=True)
    assert await place.looked() == LOG_BOUNDED

    async def refused() -> Kept:
        raise FatalError("kafka_error", "no permission")

    place.log.kept = refused  # type: ignore[method-assign]
    assert await place.looked() == LOG_BOUNDED


async def test_the_backlog_grows_older_while_the_database_is_away(place: Place) -> None:
    await place.put(0, timedelta(days=5))
    assert await place.looked() == ""
    place.database_is_away = True
    place.seconds = 86_400.0 + 60.0
    assert await place.looked() == BACKLOG_OLD


async def test_what_the_log_has_dropped_already_closes_the_door_too(place: Place) -> None:
    for _ in range(3):
        await place.put(0, timedelta(days=6, hours=1))
    place.log.drop_below(0, 2)
    assert await place.looked() == BACKLOG_OLD


async def test_a_log_that_is_away_while_it_is_measured_is_no_end(place: Place) -> None:
    place.log.is_away = True
    assert await place.looked() == ""


async def test_the_figure_of_what_the_log_keeps_is_the_lesser_of_both(place: Place) -> None:
    for said, wanted in ((None, 7 * 86_400.0), (3_600.0, 3_600.0), (1e9, 7 * 86_400.0)):
        place.log.forgets = Kept(seconds=said)
        await place.watch.measure()
        (family,) = METRICS.log_retention_seconds.collect()
        (sample,) = family.samples
        assert sample.value == wanted
