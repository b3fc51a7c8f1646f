"""Figures of every laboratory, a row each, over the last hours; and of those that are too old."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

import msgspec

from ops.runtime.clock import Clock
from ops.runtime.lab_hours import hour_of
from ops.runtime.postgres import Connection, Pool, lent

MOST_ROWS: Final = 20_000
MOST_HOURS: Final = 168
_FRESH_SECONDS: Final = 5.0

# Every laboratory has a row, also one that never sent anything: it is what is looked for. Of one
# that sent nothing in these hours the last hour it did is found by its own index.
FIGURES: Final = """
SELECT l.lab_id, l.registry_id, l.name, l.state, l.daily_quota,
       coalesce(h.received, 0) AS received, coalesce(h.turned_away, 0) AS turned_away,
       coalesce(h.dispatched, 0) AS dispatched, coalesce(h.duplicate, 0) AS duplicate,
       coalesce(h.refused, 0) AS refused, coalesce(h.parked, 0) AS parked,
       coalesce(h.flagged, 0) AS flagged, coalesce(d.messages, 0) AS today,
       coalesce(h.last_at, e.last_at) AS last_at
FROM lab l
LEFT JOIN (SELECT lab_id, sum(received)::bigint AS received,
                  sum(turned_away)::bigint AS turned_away, sum(dispatched)::bigint AS dispatched,
                  sum(duplicate)::bigint AS duplicate, sum(refused)::bigint AS refused,
                  sum(parked)::bigint AS parked, sum(flagged)::bigint AS flagged,
                  max(last_at) AS last_at
           FROM lab_hour WHERE hour >= $1 GROUP BY lab_id) h ON h.lab_id = l.lab_id
LEFT JOIN lab_day d ON d.lab_id = l.lab_id AND d.day = $2
LEFT JOIN LATERAL (SELECT b.last_at FROM lab_hour b
                   WHERE h.last_at IS NULL AND b.lab_id = l.lab_id AND b.last_at IS NOT NULL
                   ORDER BY b.hour DESC LIMIT 1) e ON true
ORDER BY l.registry_id
LIMIT $3
"""

FORGET: Final = """
DELETE FROM lab_hour WHERE (lab_id, hour) IN
    (SELECT lab_id, hour FROM lab_hour WHERE hour < $1 ORDER BY hour LIMIT 20000)
"""


class LabFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What one laboratory sent, and what became of it. Counts are of the hours that were asked."""

    laboratory: str
    """Its identifier in the register."""
    name: str
    state: str
    received: int
    """Durable in the log: answered AA or AE."""
    turned_away: int
    """Answered AR: not kept."""
    dispatched: int
    duplicate: int
    refused: int
    """Answered AE: kept, and ended."""
    parked: int
    """Put aside for a person; some of them are mended by now."""
    flagged: int
    """Ended with a warning or an error among its findings."""
    flagged_ratio: float | None
    """Of all that ended; null where nothing did."""
    last_message_at: datetime | None
    """When the last one was received; null where none was in all the hours that are kept."""
    silent_seconds: float | None
    connections: int | None
    """Open now at doors of this machine; null where these do not count together."""
    quota: int | None
    """Messages a day; null: none is set."""
    quota_used_ratio: float | None


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """Rows, and of which hours they are."""

    hours: int
    since: datetime
    at: datetime
    laboratories: list[LabFigures]


class Laboratories:
    """Reads the figures; who asks twice within seconds gets the same, and only one reads.

    Args:
        pool: Where they are.
        clock: Says which hours are the last.
        connections: Looks once for a reading, and returns what says how many a laboratory has
            open; None where nobody knows.
    """

    def __init__(
        self,
        pool: Pool,
        clock: Clock,
        connections: Callable[[], Callable[[int], int | None]] = lambda: lambda _: None,
    ) -> None:
        self._pool = pool
        self._clock = clock
        self._connections = connections
        self._reading = asyncio.Lock()
        self._held: Asked | None = None
        self._held_at = float("-inf")

    def now(self) -> datetime:
        """Return what the clock says."""
        return self._clock.now()

    async def ask(self, hours: int) -> Asked:
        """Return a row for every laboratory, by identifier; `MOST_ROWS` at most.

        Raises:
            TransientError: The database is away.
        """
        async with self._reading:
            held = self._held
            is_fresh = time.monotonic() - self._held_at < _FRESH_SECONDS
            if held is None or held.hours != hours or not is_fresh:
                async with lent(self._pool) as connection:
                    held = self._held = await self.read(connection, hours)
                self._held_at = time.monotonic()
            return held

    async def read(self, connection: Connection, hours: int) -> Asked:
        """Read them now."""
        now = self._clock.now()
        since = hour_of(now) - timedelta(hours=hours - 1)
        rows = await connection.fetch(FIGURES, since, now.date(), MOST_ROWS)
        connections = self._connections()
        figures = []
        for row in rows:
            ended = row["dispatched"] + row["duplicate"] + row["refused"] + row["parked"]
            quota, last_at = row["daily_quota"], row["last_at"]
            silent = None if last_at is None else max(0.0, (now - last_at).total_seconds())
            figures.append(
                LabFigures(
                    laboratory=row["registry_id"],
                    name=row["name"],
                    state=row["state"],
                    received=row["received"],
                    turned_away=row["turned_away"],
                    dispatched=row["dispatched"],
                    duplicate=row["duplicate"],
                    refused=row["refused"],
                    parked=row["parked"],
                    flagged=row["flagged"],
                    flagged_ratio=round(row["flagged"] / ended, 4) if ended else None,
                    last_message_at=last_at,
                    silent_seconds=silent,
                    connections=connections(row["lab_id"]),
                    quota=quota,
                    quota_used_ratio=round(row["today"] / quota, 4) if quota else None,
                )
            )
        return Asked(hours=hours, since=since, at=now, laboratories=figures)


async def forget(connection: Connection, before: datetime) -> None:
    """Let hours that are too old go, some at a time."""
    while (await connection.execute(FORGET, before)).rpartition(" ")[2] == "20000":
        pass
