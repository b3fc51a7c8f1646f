"""Whether the intake log can take messages: does it answer, and does it keep them long enough.

A log keeps a record for a limited time. A door closes before dispatch is so far behind that a
record could be dropped unread; a backlog that is young closes nothing, however long it is. A log
that also forgets by size says of no record how long it is safe: it closes the door at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Final

import msgspec

from ops.runtime.clock import Clock
from ops.runtime.intake_log import IntakeLog, Kept
from ops.runtime.metrics import METRICS
from ops.runtime.metrics.labels import PARTITIONS
from ops.runtime.postgres import Pool, translated
from schemas.errors import HubError

LOG_AWAY: Final = "log_away"
LOG_BOUNDED: Final = "log_bounded"
BACKLOG_OLD: Final = "backlog_old"

PROGRESS: Final = "SELECT partition, next_offset FROM intake_progress"


class WatchLimits(msgspec.Struct, frozen=True, kw_only=True):
    """When a door closes; each is a setting."""

    away_seconds: float = 5.0
    """How long the log may leave us without an answer."""
    retention_seconds: float = 7 * 86_400.0
    """How long the log is to keep a record; a log that says less is believed."""
    margin_seconds: float = 86_400.0
    unanswered: str = "kafka_unavailable"
    """As which error no answer at all counts: of the brokers, or embedded of the database."""


class LogWatch:
    """Looks at the log; `reason` says why the door is to be closed, empty while it may be open.

    Args:
        log: The log of this process.
        pool: Where the progress of dispatch is; while it is away the last known one counts.
        clock: Gives the age of a record.
        monotonic: Gives seconds that only go on.
        limits: When the door closes.
    """

    def __init__(
        self,
        log: IntakeLog,
        pool: Pool,
        clock: Clock,
        monotonic: Callable[[], float],
        limits: WatchLimits,
    ) -> None:
        self._log = log
        self._pool = pool
        self._clock = clock
        self._monotonic = monotonic
        self._limits = limits
        self._heard_at = monotonic()
        self._positions: dict[int, int] = {}
        self._ends: dict[int, int] = {}
        self._kept = Kept()
        self._is_away = False
        self._is_old = False

    @property
    def reason(self) -> str:
        """Why nothing may be taken, one of our stable codes."""
        if self._is_away:
            return LOG_AWAY
        if self._kept.is_bounded_by_size:
            return LOG_BOUNDED
        return BACKLOG_OLD if self._is_old else ""

    async def ask(self) -> None:
        """Ask the log for a sign of life; never raises for a log that is away."""
        try:
            async with asyncio.timeout(self._limits.away_seconds):
                await self._log.end_offsets()
        except (HubError, TimeoutError) as error:
            reason = error.reason if isinstance(error, HubError) else self._limits.unanswered
            METRICS.errors.labels("log_watch", reason).inc()
            silent = self._monotonic() - self._heard_at
            self._is_away = silent >= self._limits.away_seconds
        else:
            self._heard_at = self._monotonic()
            self._is_away = False

    async def measure(self) -> None:
        """Find the oldest record that dispatch has not handled; never raises for who is away."""
        try:
            self._kept = await self._log.kept()
        except HubError as error:
            # Away, or we may not ask: what was known holds.
            METRICS.errors.labels("log_watch", error.reason).inc()
        try:
            with translated():
                async with self._pool.acquire() as connection:
                    rows = await connection.fetch(PROGRESS)
            self._positions = {row["partition"]: row["next_offset"] for row in rows}
        except HubError as error:
            # What was unread stays unread, and grows older.
            METRICS.errors.labels("log_watch", error.reason).inc()
        try:
            oldest = await self._oldest_seconds()
        except HubError as error:
            METRICS.errors.labels("log_watch", error.reason).inc()
            return
        retention = self._limits.retention_seconds
        if self._kept.seconds is not None:
            retention = min(retention, self._kept.seconds)
        METRICS.oldest_unread_seconds.set(oldest)
        METRICS.log_retention_seconds.set(retention)
        self._is_old = oldest > max(0.0, retention - self._limits.margin_seconds)

    async def _oldest_seconds(self) -> float:
        # Only what stood in the log at the last look already can be old.
        before, self._ends = self._ends, await self._log.end_offsets()
        behind = {
            partition: position
            for partition, position in self._positions.items()
            if position < before.get(partition, 0)
        }
        oldest = dict.fromkeys(self._ends, timedelta(0))
        begins = await self._log.begin_offsets() if behind else {}
        for partition, position in behind.items():
            # Below the begin records are gone already: the oldest that is left tells how old.
            record = await self._log.fetch(partition, max(position, begins.get(partition, 0)))
            if record is not None:
                oldest[partition] = self._clock.now() - record.received_at
        if len(oldest) <= len(PARTITIONS.values):
            for partition, age in oldest.items():
                METRICS.partition_oldest.labels(str(partition)).set(max(0.0, age.total_seconds()))
        return max((timedelta(0), *oldest.values())).total_seconds()
