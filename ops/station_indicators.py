"""The process that counts public health, and publishes what it has counted."""

from __future__ import annotations

import asyncio
from typing import Final

from ops.bootstrap import Hub
from ops.indicators.closing import RowCloser
from ops.indicators.counting import Counter
from ops.indicators.extracting import TableExtractor
from ops.indicators.keeper import STATION, Keeper, Pace
from ops.indicators.protection import protection_of
from ops.indicators.reading import EventReader
from ops.indicators.watch import Watch
from ops.opened import opened
from ops.runtime.lifecycle import every, until_first
from ops.runtime.settings import Settings
from ops.supervise import say_ready

_WATCH_SECONDS: Final = 5.0


async def indicators(settings: Settings, stopping: asyncio.Event) -> None:
    """Count public health until told to stop."""
    async with opened(STATION, settings, stopping) as hub:
        if hub is None:
            return
        keeper = keeper_of(hub)
        say_ready(settings, STATION)
        await until_first(
            keeper.run(stopping), every(_WATCH_SECONDS, STATION, Watch(hub.pool, hub.clock).look)
        )


def keeper_of(hub: Hub) -> Keeper:
    """Return what counts and publishes, within the bounds of the settings."""
    settings = hub.settings
    return Keeper(
        hub.pool,
        EventReader(hub.pool, hub.vault, settings.indicators_batch_events),
        Counter(hub.pool),
        extractor=TableExtractor(
            hub.pool,
            protection_of(settings),
            settings.indicators_extractions,
            portion_seconds=settings.indicators_portion_seconds,
            delay_weeks=settings.indicators_delay_weeks,
            most_waiting=settings.indicators_lag_events,
        ),
        closer=RowCloser(
            hub.pool, settings.indicators_rows_days, page=settings.indicators_close_rows
        ),
        clock=hub.clock,
        pace=Pace(
            poll_seconds=settings.indicators_poll_seconds,
            count_seconds=settings.indicators_count_seconds,
            extraction_seconds=settings.indicators_extraction_seconds,
            lag_events=settings.indicators_lag_events,
            behind_times=settings.indicators_behind_times,
        ),
    )
