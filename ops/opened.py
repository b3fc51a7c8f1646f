"""The hub of a process, opened once what it needs is there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from ops.bootstrap import Hub, open_hub
from ops.runtime.logs import get_logger
from ops.runtime.metrics import METRICS
from ops.runtime.settings import Settings
from schemas.errors import TransientError

_log = get_logger(__name__)

OPEN_TRIES_SECONDS: Final = 60.0


@asynccontextmanager
async def opened(
    role: str, settings: Settings, stopping: asyncio.Event, *, appends: bool = False
) -> AsyncIterator[Hub | None]:
    """Open the hub, waiting a minute for what is away; None when told to stop meanwhile."""
    loop = asyncio.get_running_loop()
    until = loop.time() + OPEN_TRIES_SECONDS
    while True:
        opening = open_hub(settings, role, connections=settings.pool_connections, appends=appends)
        try:
            hub = await opening.__aenter__()
            break
        except TransientError as error:
            if loop.time() > until:
                raise
            METRICS.errors.labels(role, error.reason).inc()
            _log.warning("station_waits", reason=error.reason)
        if await _slept(stopping, 0.5):
            yield None
            return
    try:
        yield hub
    finally:
        await opening.__aexit__(None, None, None)


async def _slept(stopping: asyncio.Event, seconds: float) -> bool:
    """Wait; say whether it was told to stop meanwhile."""
    try:
        async with asyncio.timeout(seconds):
            await stopping.wait()
    except TimeoutError:
        return False
    return True
