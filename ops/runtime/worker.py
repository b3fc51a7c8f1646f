"""The one processing loop: read what is next in the partitions one owns, hand it on, go on.

Membership spreads the partitions over the workers that are alive; it is a hint. Two workers that
believe they own the same partition are kept apart by the fence of the handler's transaction.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from typing import Final, Protocol
from uuid import UUID, uuid4

import msgspec

from schemas.envelope import StoredRecord
from schemas.errors import FatalError, OffsetGone, TransientError

from .failpoints import hit
from .intake_log import IntakeLog
from .logs import get_logger
from .metrics import METRICS
from .postgres import Pool, translated

_log = get_logger(__name__)

# Beats, forgets the dead, and answers who is alive, in one order for all.
BEAT: Final = """
WITH beat AS (
    INSERT INTO dispatch_member (worker_id, seen_at) VALUES ($1, clock_timestamp())
    ON CONFLICT (worker_id) DO UPDATE SET seen_at = EXCLUDED.seen_at
    RETURNING worker_id
), gone AS (
    DELETE FROM dispatch_member
    WHERE seen_at < clock_timestamp() - make_interval(secs => $2) AND worker_id <> $1
)
SELECT worker_id FROM dispatch_member
WHERE seen_at >= clock_timestamp() - make_interval(secs => $2)
UNION SELECT worker_id FROM beat
ORDER BY worker_id
"""
LEAVE: Final = "DELETE FROM dispatch_member WHERE worker_id = $1"
PROGRESS: Final = """
SELECT partition, next_offset FROM intake_progress WHERE partition = ANY ($1::integer[])
"""
ENSURE_PARTITIONS: Final = "SELECT ensure_partitions()"

_FEW_RECORDS: Final = 8
_MOST_LINGERS: Final = 6.0
_TRIES_AS_A_WHOLE: Final = 3
"""So often a batch is tried as it is; then by halves, for it may be too much for this machine."""


class FenceLost(Exception):
    """Somebody else moved a partition on: nothing was committed, read its progress again."""

    def __init__(self, partitions: frozenset[int]) -> None:
        super().__init__("fence lost")
        self.partitions = partitions


class BatchHandler(Protocol):
    """What the worker calls: all of a batch or nothing."""

    async def handle(
        self,
        positions: Mapping[int, int],
        records: list[StoredRecord],
        next_offsets: Mapping[int, int],
    ) -> None:
        """Handle `records`, read from `positions`; progress stands at `next_offsets` after.

        Raises:
            FenceLost: Another worker handled some of it.
            TransientError: Nothing was committed; the same batch may be tried again.
            FatalError: The promise cannot be kept; the process ends.
        """
        ...


class WorkerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How the loop reads: see docs/settings.md, dispatch_*."""

    linger_seconds: float = 0.02
    batch_messages: int = 200
    member_seconds: float = 5.0
    beat_seconds: float = 1.0
    maintenance_seconds: float = 60.0


class Worker:
    """Runs a handler over its share of the partitions until it is told to stop.

    Args:
        pool: For membership and progress, never for the handler's transaction.
        log: Where the records are.
        handler: What to do with them.
        partitions: How many the instance has.
        settings: See `WorkerSettings`.
    """

    def __init__(
        self,
        pool: Pool,
        log: IntakeLog,
        handler: BatchHandler,
        *,
        partitions: int,
        settings: WorkerSettings,
    ) -> None:
        self._pool = pool
        self._log = log
        self._handler = handler
        self._all = partitions
        self._settings = settings
        self._worker_id: UUID = uuid4()
        self._positions: dict[int, int] = {}
        self._limit = settings.batch_messages
        self._failures = 0

    async def run(self, stopping: asyncio.Event) -> None:
        """Work until `stopping`; the batch in hand is finished first.

        Raises:
            FatalError: From the handler, or a log that lost what was not yet handled.
        """
        beats = asyncio.create_task(self._beat_until_cancelled())
        try:
            while not stopping.is_set():
                if beats.done():
                    beats.result()
                try:
                    await self._step(stopping)
                except FenceLost as lost:
                    METRICS.fence_losses.inc()
                    await self._reload(lost.partitions)
                except TransientError as error:
                    await self._back_off(error, stopping)
                else:
                    self._failures = 0
        finally:
            beats.cancel()
            await asyncio.gather(beats, return_exceptions=True)
            await self._leave()

    async def _step(self, stopping: asyncio.Event) -> None:
        positions = dict(self._positions)
        try:
            batch = await self._log.read(positions, self._limit)
        except OffsetGone as gone:
            raise FatalError(
                "intake_lost",
                f"partition {gone.partition} has dropped offset {gone.offset} before it was"
                " handled: see docs/runbooks/intake-lost.md",
            ) from None
        if not batch.records:
            await _wait(stopping, self._settings.linger_seconds)
            return
        hit("dispatch.read")
        await self._handler.handle(positions, batch.records, batch.next_offsets)
        for partition in {record.partition for record in batch.records}:
            if partition in self._positions:
                self._positions[partition] = batch.next_offsets[partition]
        self._limit = min(self._settings.batch_messages, self._limit * 2)
        seconds = linger_of(len(batch.records), self._limit, self._settings.linger_seconds)
        if seconds:
            await _wait(stopping, seconds)

    async def _back_off(self, error: TransientError, stopping: asyncio.Event) -> None:
        self._failures += 1
        METRICS.errors.labels("dispatch", error.reason).inc()
        if error.reason == "lock_memory_short" or self._failures > _TRIES_AS_A_WHOLE:
            self._limit = max(1, self._limit // 2)
        if self._failures in {1, 10, 100}:
            _log.warning("dispatch_retry", reason=error.reason, failures=self._failures)
        ceiling = min(5.0, 0.05 * 2 ** min(self._failures, 7))
        await _wait(stopping, random.uniform(ceiling / 2, ceiling))  # noqa: S311 - jitter
        with_all = frozenset(self._positions)
        try:
            await self._reload(with_all)
        except TransientError:
            return

    async def _reload(self, partitions: frozenset[int]) -> None:
        """Read the progress of these partitions as the database has it."""
        with translated():
            async with self._pool.acquire() as connection:
                rows = await connection.fetch(PROGRESS, sorted(partitions))
        for row in rows:
            if row["partition"] in self._positions or row["partition"] in partitions:
                self._positions[row["partition"]] = row["next_offset"]

    # ------------------------------------------------------------------ membership

    async def _beat_until_cancelled(self) -> None:
        next_maintenance = 0.0
        loop = asyncio.get_running_loop()
        while True:
            try:
                await self._beat()
                if loop.time() >= next_maintenance:
                    next_maintenance = loop.time() + self._settings.maintenance_seconds
                    await self._ensure_partitions()
            except TransientError as error:
                METRICS.errors.labels("membership", error.reason).inc()
            await asyncio.sleep(self._settings.beat_seconds)

    async def _beat(self) -> None:
        with translated():
            async with self._pool.acquire() as connection:
                rows = await connection.fetch(BEAT, self._worker_id, self._settings.member_seconds)
        members = [row["worker_id"] for row in rows]
        place = members.index(self._worker_id)
        mine = {p for p in range(self._all) if p % len(members) == place}
        for partition in set(self._positions) - mine:
            del self._positions[partition]
        new = mine - set(self._positions)
        if new:
            await self._reload(frozenset(new))

    async def _ensure_partitions(self) -> None:
        with translated():
            async with self._pool.acquire() as connection:
                await connection.fetchval(ENSURE_PARTITIONS)

    async def _leave(self) -> None:
        try:
            with translated():
                async with self._pool.acquire() as connection:
                    await connection.execute(LEAVE, self._worker_id)
        except TransientError as error:
            _log.warning("worker_leave_failed", reason=error.reason)


def linger_of(records: int, limit: int, seconds: float) -> float:
    """Return how long to wait for more after a batch of so many records.

    A batch of four costs a message three times what one of a hundred does. So where many come, up
    to six times as long is waited; where few come, nobody's result waits for others; where a batch
    was half full, more wait already.
    """
    if records >= limit // 2:
        return 0.0
    return seconds * min(_MOST_LINGERS, max(1.0, records / _FEW_RECORDS))


async def _wait(stopping: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stopping.wait()
    except TimeoutError:
        return
