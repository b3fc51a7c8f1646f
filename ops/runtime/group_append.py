"""Group commit in front of the intake log: many submit, one append is in flight.

At most one append is in flight per process and lane (a lane is a set of partitions). The first
unknown result fails everything queued behind it, unsent: otherwise a cut and a resend would put a
correction before the result it corrects.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field

from schemas.envelope import IntakeRecord
from schemas.errors import HubError, TransientError, UnknownResult

from .failpoints import hit
from .intake_log import IntakeLog
from .lab_hours import LAB_HOURS
from .metrics import METRICS

_Queued = tuple[IntakeRecord, asyncio.Future[int]]


@dataclass(slots=True)
class _Lane:
    queues: dict[int, deque[_Queued]] = field(default_factory=dict)
    """What waits, by laboratory; the laboratory whose turn it is comes first."""
    queued: int = 0
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    queued_bytes: int = 0
    began: float = 0.0
    """When its last append went out, by the loop's clock."""
    last_size: int = 0


class GroupAppender:
    """Collects records and appends them in batches, each batch durable as a whole.

    Where more waits than one append takes, each laboratory has its turn, whoever came first; what
    one laboratory sent stays in its order.

    Args:
        log: The engine.
        lanes: How many appends may be in flight at once; each partition belongs to one lane.
        max_batch: The most records of one append.
        max_queued: The most records that may wait; beyond, `TransientError('backpressure')`.
        max_queued_bytes: The most payload bytes that may wait.
        deadline_seconds: The longest one append may take; beyond, its result is unknown.
        gather_seconds: How far apart appends of a lane begin while more than one record came with
            the last. An append costs the database the same whether it holds one record or ten.
    """

    def __init__(
        self,
        log: IntakeLog,
        *,
        lanes: int = 1,
        max_batch: int = 500,
        max_queued: int = 20_000,
        max_queued_bytes: int = 256 * 1024 * 1024,
        deadline_seconds: float = 5.0,
        gather_seconds: float = 0.0,
    ) -> None:
        self._log = log
        self._lanes = [_Lane() for _ in range(lanes)]
        self._max_batch = max_batch
        self._max_queued = max_queued
        self._max_queued_bytes = max_queued_bytes
        self._deadline_seconds = deadline_seconds
        self._gather_seconds = gather_seconds
        self._tasks: list[asyncio.Task[None]] = []
        self._doubt: UnknownResult | None = None
        self._stopping = asyncio.Event()
        self.in_doubt = asyncio.Event()
        """Set once a result is unknown: this process gives no further acknowledgement."""

    def start(self) -> None:
        """Begin to append; call once, inside the running loop."""
        self._tasks = [asyncio.create_task(self._run(lane)) for lane in self._lanes]

    def submit(self, record: IntakeRecord) -> asyncio.Future[int]:
        """Queue a record; the future gives its offset once it is durable.

        Raises:
            TransientError: The queue is full (`backpressure`): nothing was queued.
            UnknownResult: This process is in doubt and takes nothing any more.
        """
        if self._doubt is not None:
            raise UnknownResult(self._doubt.reason, self._doubt.remedy)
        if self._stopping.is_set():
            raise TransientError("stopping", "send again")
        lane = self._lanes[record.partition % len(self._lanes)]
        size = len(record.payload)
        if lane.queued >= self._max_queued or lane.queued_bytes + size > self._max_queued_bytes:
            METRICS.limit_hits.labels("append_queue").inc()
            raise TransientError("backpressure", "send again in a few seconds")
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        queue = lane.queues.get(record.lab_id)
        if queue is None:
            queue = lane.queues[record.lab_id] = deque()
        queue.append((record, future))
        lane.queued += 1
        lane.queued_bytes += size
        lane.wake.set()
        return future

    async def stop(self) -> None:
        """Take nothing more, append what is queued, then end; bounded by the append deadline."""
        self._stopping.set()
        for lane in self._lanes:
            lane.wake.set()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=self._deadline_seconds + 2.0)
            for task in late:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
        for lane in self._lanes:
            self._fail(lane, TransientError("stopping", "send again"))

    async def _run(self, lane: _Lane) -> None:
        while True:
            while lane.queued:
                await self._gather(lane)
                await self._append(lane, self._take(lane))
            if self._stopping.is_set():
                return
            await lane.wake.wait()
            lane.wake.clear()

    async def _gather(self, lane: _Lane) -> None:
        """Let more come while many come; a record that came alone never waits."""
        left = lane.began + self._gather_seconds - asyncio.get_running_loop().time()
        if left > 0 and lane.last_size > 1 and lane.queued < self._max_batch:
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._stopping.wait()
        lane.began = asyncio.get_running_loop().time()

    def _take(self, lane: _Lane) -> list[_Queued]:
        if lane.queued <= self._max_batch:
            batch = [queued for queue in lane.queues.values() for queued in queue]
            lane.queues.clear()
        else:
            batch = in_turns(lane.queues, self._max_batch)
        lane.last_size = len(batch)
        lane.queued -= len(batch)
        lane.queued_bytes -= sum(len(record.payload) for record, _ in batch)
        return batch

    async def _append(self, lane: _Lane, batch: list[_Queued]) -> None:
        records = [record for record, _ in batch]
        METRICS.append_batch.observe(len(records))
        try:
            with METRICS.append_seconds.time():
                async with asyncio.timeout(self._deadline_seconds + 1.0):
                    offsets = await self._log.append(records)
        except TransientError as error:
            # What waits behind goes too: a later version must not overtake this one.
            _reject(batch, error)
            self._fail(lane, error)
        except (HubError, TimeoutError, asyncio.CancelledError) as error:
            self._doubt = UnknownResult("append_unknown", "the laboratory will send again")
            self.in_doubt.set()
            _reject(batch, self._doubt)
            for other in self._lanes:
                self._fail(other, self._doubt)
            if isinstance(error, asyncio.CancelledError):
                raise
        else:
            hit("ingest.after_append")
            for (_, future), offset in zip(batch, offsets, strict=True):
                if not future.done():
                    future.set_result(offset)
            LAB_HOURS.received(records)

    def _fail(self, lane: _Lane, error: HubError) -> None:
        batch = [queued for queue in lane.queues.values() for queued in queue]
        lane.queues.clear()
        lane.queued = lane.queued_bytes = 0
        _reject(batch, error)


def in_turns(queues: dict[int, deque[_Queued]], most: int) -> list[_Queued]:
    """Take one of each laboratory in turn out of `queues`; whose turn is next stays first."""
    batch: list[_Queued] = []
    while len(batch) < most and queues:
        lab_id = next(iter(queues))
        queue = queues.pop(lab_id)
        batch.append(queue.popleft())
        if queue:
            queues[lab_id] = queue  # behind the others
    return batch


def _reject(batch: list[_Queued], error: HubError) -> None:
    for _, future in batch:
        if not future.done():
            future.set_exception(type(error)(error.reason, error.remedy))
            future.exception()  # a peer that is gone does not read it: no warning about that
