"""What is paused, as a process knows it; and the figures of pauses."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Final

from ops.bootstrap import Hub
from ops.runtime.metrics import METRICS
from ops.runtime.postgres import Pool, lent
from schemas.errors import HubError
from schemas.topics import Stream

from . import queries
from .changes import KINDS, list_paused

_SECONDS: Final = 10.0


class PausedStreams:
    """Which streams wait; what is read last counts while the database is away.

    Args:
        pool: The database.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._names: frozenset[str] = frozenset()

    def __contains__(self, stream: object) -> bool:
        """Say whether a stream waits."""
        return isinstance(stream, Stream) and stream.value in self._names

    async def read(self) -> None:
        """Look once.

        Raises:
            HubError: The database is away.
        """
        async with lent(self._pool) as connection:
            rows = await connection.fetch(queries.STREAMS)
        self._names = frozenset(row["name"] for row in rows)

    async def keep(self, seconds: float) -> None:
        """Look for ever."""
        while True:
            await asyncio.sleep(seconds)
            try:
                await self.read()
            except HubError as error:
                METRICS.errors.labels("pauses", error.reason).inc()


async def watch_pauses(hub: Hub) -> None:
    """Set the figures of pauses for ever."""
    while True:
        try:
            await take_figures(hub)
        except HubError as error:
            METRICS.errors.labels("pauses", error.reason).inc()
        await asyncio.sleep(_SECONDS)


async def take_figures(hub: Hub) -> None:
    """Set the figures once: how many wait, since when the oldest does, and how many too long."""
    async with lent(hub.pool) as connection:
        found = await list_paused(connection)
    now = hub.clock.now()
    ages = [(now - each.paused_at).total_seconds() for each in found if each.paused_at is not None]
    numbers = Counter(each.what for each in found)
    for what in KINDS:
        METRICS.paused.labels(what).set(numbers[what])
    METRICS.pause_age.set(max(0.0, *ages) if ages else 0.0)
    METRICS.pauses_forgotten.set(sum(age > hub.settings.pause_forgotten_seconds for age in ages))
