"""An end that is asked for: what was begun is put away before the process goes."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

T = TypeVar("T")

_ENDS: Final = (signal.SIGINT, signal.SIGTERM)


async def until_stopped(work: Coroutine[Any, Any, T]) -> T | None:
    """Return what work gives; None when Ctrl-C or SIGTERM ended it, after all it holds was closed.

    Both are asked for by name: a shell starts what runs in its background with SIGINT ignored.
    """
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    for number in _ENDS:
        loop.add_signal_handler(number, task.cancel)
    try:
        return await task
    except asyncio.CancelledError:
        if not task.cancelled():
            task.cancel()  # the end came from outside: it is still ours to wait
            await asyncio.wait([task])
            raise
        return None
    finally:
        for number in _ENDS:
            loop.remove_signal_handler(number)
