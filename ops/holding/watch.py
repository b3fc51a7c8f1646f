"""The figures of holds: how many wait, by stream and reason, and since when the oldest does."""

from __future__ import annotations

import asyncio
from typing import Final

from ops.bootstrap import Hub
from ops.runtime.clock import Clock
from ops.runtime.metrics import METRICS
from ops.runtime.postgres import Connection, translated
from ops.runtime.settings import Settings
from schemas.errors import TransientError

from . import queries
from .reasons import PAIRS, REASONS

_SECONDS: Final = 10.0


async def watch_holds(hub: Hub) -> None:
    """Set the figures for ever."""
    set_limits(hub.settings)
    while True:
        try:
            with translated():
                async with hub.pool.acquire() as connection:
                    await take_figures(connection, hub.clock, most=hub.settings.hold_counted)
        except TransientError as error:
            METRICS.errors.labels("holds", error.reason).inc()
        await asyncio.sleep(_SECONDS)


def set_limits(settings: Settings) -> None:
    """Show how old a hold of each reason may grow, for the alert to compare with."""
    for reason in REASONS.values():
        if reason.alerts_after:
            METRICS.hold_limit.labels(reason.code).set(getattr(settings, reason.alerts_after))


async def take_figures(connection: Connection, clock: Clock, *, most: int) -> None:
    """Set the figures of every stream and reason once; what waits no more becomes 0."""
    rows = await connection.fetch(
        queries.FIGURES, [stream for stream, _ in PAIRS], [reason for _, reason in PAIRS], most
    )
    now = clock.now()
    for row in rows:
        place = (row["stream"], row["reason"])
        age = 0.0 if row["oldest"] is None else (now - row["oldest"]).total_seconds()
        METRICS.holds.labels(*place).set(row["n"])
        METRICS.hold_age.labels(*place).set(max(0.0, age))
