"""The table by which doors share a laboratory's day."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from ingest.fairness import Fairness
from ingest.fairness_store import share_counts
from ingest.lab import Lab, LabLimits
from ops.bootstrap import Hub
from schemas.errors import TransientError
from tests.support.hub import scratch_hub
from tests.support.postgres import Database

LAB = Lab(lab_id=1, registry_id="LAB1", limits=LabLimits(daily_quota=5))


class At:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 3, 9, 12, tzinfo=UTC)

    def now(self) -> datetime:
        return self.moment


class Away:
    """A database that nobody reaches."""

    def acquire(self) -> Any:
        raise TransientError("database_away")


def taken(fairness: Fairness, day: date) -> bool:
    line = fairness.line_of(LAB, 0.0)
    return fairness.ask(LAB, line, 0.0, lambda: day) is None


async def rows(hub: Hub) -> list[tuple[int, date, int]]:
    async with hub.pool.acquire() as connection:
        found = await connection.fetch("SELECT lab_id, day, messages FROM lab_day ORDER BY day")
    return [(row["lab_id"], row["day"], row["messages"]) for row in found]


async def test_doors_share_a_day_and_forget_it_when_it_is_over(
    database: Database, tmp_path: Path
) -> None:
    clock, one, other = At(), Fairness(), Fairness()
    today = clock.now().date()
    async with scratch_hub(database, tmp_path) as hub:
        for fairness in (one, other):
            await share_counts(fairness, hub.pool, clock)
        assert [taken(one, today) for _ in range(3)] == [True] * 3
        await share_counts(one, hub.pool, clock)
        await share_counts(other, hub.pool, clock)
        assert [taken(other, today) for _ in range(3)] == [True, True, False]
        await share_counts(other, hub.pool, clock)
        await share_counts(one, hub.pool, clock)
        assert not taken(one, today)
        assert await rows(hub) == [(1, today, 5)]
        begun_again = Fairness()
        await share_counts(begun_again, hub.pool, clock)
        assert not taken(begun_again, today)
        clock.moment = clock.moment.replace(day=11)
        assert taken(one, clock.now().date())
        await share_counts(one, hub.pool, clock)
        assert await rows(hub) == [(1, date(2026, 3, 11), 1)]


async def test_what_was_taken_while_the_database_is_away_is_told_when_it_is_back(
    database: Database, tmp_path: Path
) -> None:
    clock, fairness = At(), Fairness()
    today = clock.now().date()
    away: Any = Away()
    async with scratch_hub(database, tmp_path) as hub:
        await share_counts(fairness, hub.pool, clock)
        for _ in range(3):
            assert taken(fairness, today)
            await share_counts(fairness, away, clock)
        assert await rows(hub) == []
        await share_counts(fairness, hub.pool, clock)
        await share_counts(fairness, hub.pool, clock)
        assert await rows(hub) == [(1, today, 3)]
