"""The loop of the process `indicators`: count what there is, publish when it is time."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import time
from collections.abc import Coroutine, Mapping
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

import msgspec

from ops.runtime.clock import Clock
from ops.runtime.logs import get_logger
from ops.runtime.metrics import METRICS
from ops.runtime.postgres import Pool, translated
from schemas.errors import Fenced, HubError, TransientError
from schemas.figures import Extraction

from . import queries
from .closing import RowCloser
from .counting import Counter
from .reading import Batch, EventReader

_log = get_logger(__name__)

_LONGEST_REST_SECONDS: Final = 5.0
_FEW_EVENTS: Final = 250
_MOST_RESTS: Final = 4.0
_LAST_SECONDS: Final = 2.0
"""For what is under way when it is told to stop: most batches take less."""
STATION: Final = "indicators"


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """How often."""

    poll_seconds: float = 1.0
    extraction_seconds: float = 21_600.0
    lag_events: int = 10_000
    behind_times: int = 4
    """So many times more rarely is published by whoever is behind the stream."""


class Extractor(Protocol):
    """Publishes what is counted."""

    async def extract(self, at: datetime, batch: int, lag: int) -> Extraction | None:
        """Publish what the cells are now, after that many batches; None: a portion of it."""
        ...


class Keeper:
    """Counts, and publishes.

    Args:
        pool: Connections of the role that counts.
        reader: Reads public health.
        counter: Counts batches.
        extractor: Publishes.
        closer: Lets old rows go.
        clock: Says when it is time.
        pace: How often.
    """

    def __init__(
        self,
        pool: Pool,
        reader: EventReader,
        counter: Counter,
        *,
        extractor: Extractor,
        closer: RowCloser,
        clock: Clock,
        pace: Pace,
    ) -> None:
        self._pool = pool
        self._reader = reader
        self._counter = counter
        self._extractor = extractor
        self._closer = closer
        self._clock = clock
        self._pace = pace
        self._positions: Mapping[int, int] | None = None
        self._ahead: Batch | None = None
        self._events = 0
        """How many the last turn counted."""

    async def run(self, stopping: asyncio.Event) -> None:
        """Count until told to stop; what is under way is ended, or given up after some seconds.

        Raises:
            FatalError: What is stored and the stream do not fit: a person must look.
        """
        rest = self._pace.poll_seconds
        while not stopping.is_set():
            try:
                more = await _unless_stopped(self.turn(), stopping)
                rest = rest_of(self._events, self._pace.poll_seconds)
            except (TransientError, Fenced) as error:
                METRICS.errors.labels(STATION, error.reason).inc()
                _log.warning("indicators_again", reason=error.reason)
                self._forget()
                more = False
                rest = min(_LONGEST_REST_SECONDS, rest * 2)
            if not more:
                await _sleep(stopping, rest)

    async def turn(self) -> bool:
        """Count one batch, or publish if it is time; say whether there is more to count.

        Raises:
            Fenced: Another process counts.
            TransientError: The database is away.
        """
        if self._positions is None:
            await self._counter.load()
            self._positions = (await self._reader.positions()).counted
            _log.info("indicators_stand_at", seq=sum(self._positions.values()))
        await self._closer.close(self._clock.now().date())
        batch = self._ahead or await self._reader.read(self._positions)
        self._ahead = None
        self._events = len(batch.heard)
        if not batch.heard:
            METRICS.indicator_lag.set(0)
            if await self._overtaken():
                self._forget()
                return True
            return await self._publish(0)
        await self._count(batch)
        is_unfinished = await self._publish(batch.left)
        return batch.left > 0 or is_unfinished

    async def _count(self, batch: Batch) -> None:
        begun = time.monotonic()
        METRICS.indicator_lag.set(batch.left + len(batch.heard))
        # The next events are opened while the database works on these.
        reading = (
            asyncio.ensure_future(self._reader.read(batch.positions)) if batch.left > 0 else None
        )
        # A batch is millions of objects without a cycle, all of them gone with it: a collector
        # that looks at them again and again takes a fifth of the time.
        gc.disable()
        try:
            await self._counter.count(batch)
            self._positions = batch.positions
            if reading is not None:
                self._ahead = await reading
        finally:
            gc.enable()
            if reading is not None and not reading.done():
                reading.cancel()
                with contextlib.suppress(asyncio.CancelledError, HubError):
                    await reading
        METRICS.indicator_events.inc(len(batch.heard))
        METRICS.indicator_batches.inc()
        METRICS.indicator_batch_seconds.observe(time.monotonic() - begun)
        METRICS.indicator_aliases.set(self._counter.aliases)
        METRICS.indicator_lag.set(batch.left)

    async def _overtaken(self) -> bool:
        """Say whether somebody else has counted, or begun at zero, meanwhile."""
        with translated():
            async with self._pool.acquire() as connection:
                progress = await connection.fetchrow(queries.PROGRESS)
        return bool(progress["batch"] != self._counter.batch)

    async def _publish(self, lag: int) -> bool:
        """Publish if it is time; say whether it goes on with the next turn."""
        now = self._clock.now()
        with translated():
            async with self._pool.acquire() as connection:
                progress = await connection.fetchrow(queries.PROGRESS)
        if not self._counter.batch or not self._is_time(now, progress, lag):
            return False
        begun = time.monotonic()
        extraction = await self._extractor.extract(now, self._counter.batch, lag)
        METRICS.indicator_extraction_seconds.observe(time.monotonic() - begun)
        if extraction is None:
            return True
        METRICS.indicator_extraction.set(extraction.number)
        METRICS.indicator_extraction_age.set(0)
        _log.info("indicators_extracted", number=extraction.number)
        return False

    def _is_time(self, now: datetime, progress: Mapping[str, Any], lag: int) -> bool:
        """Say whether to publish what is counted.

        Behind the stream it is not, for half a day would be read as a decline; but whoever never
        catches up publishes all the same, more rarely: each extraction says how many events waited.
        """
        is_behind = lag > self._pace.lag_events
        if is_behind and progress["is_catching_up"]:
            return False
        last = progress["extracted_at"]
        # A last one that is still to come: a clock was ahead.
        if progress["wanted_at"] is not None or last is None or last > now:
            return True
        times = self._pace.behind_times if is_behind else 1
        return bool(now - last >= times * timedelta(seconds=self._pace.extraction_seconds))

    def _forget(self) -> None:
        self._positions = self._ahead = None


def rest_of(events: int, seconds: float) -> float:
    """Return how long to wait after a turn that counted so many events.

    A cell costs the same whether one event changes it or ten, and so does a transaction. What is
    counted is published every few hours: where many come, up to four times as many are waited for.
    """
    return seconds * min(_MOST_RESTS, max(1.0, events / _FEW_EVENTS))


async def _unless_stopped(turn: Coroutine[Any, Any, bool], stopping: asyncio.Event) -> bool:
    """Await a turn; once told to stop give it up, for an extraction can take minutes."""
    going, told = asyncio.ensure_future(turn), asyncio.ensure_future(stopping.wait())
    await asyncio.wait({going, told}, return_when=asyncio.FIRST_COMPLETED)
    if not going.done():
        await asyncio.wait({going}, timeout=_LAST_SECONDS)
    told.cancel()
    if not going.done():
        going.cancel()
        await asyncio.wait({going})
        if going.cancelled():
            return False
    return going.result()


async def _sleep(stopping: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stopping.wait()
    except TimeoutError:
        return
