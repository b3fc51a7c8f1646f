"""An end that is asked for: what was begun is put away before the process goes."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def until_stopped(work: Coroutine[Any, Any, T]) -> T | None:
    """Return what work gives; None when SIGTERM ended it, after everything it holds was closed."""
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        return await task
    except asyncio.CancelledError:
        if not task.cancelled():
            task.cancel()  # the end came from outside, as by SIGINT: it is still ours to wait
            await asyncio.wait([task])
            raise
        return None
    finally:
        loop.remove_signal_handler(signal.SIGTERM)
