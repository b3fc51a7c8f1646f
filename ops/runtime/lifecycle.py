"""How a process ends: in order when asked to, at once when it cannot keep its promise."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import os
import signal
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, Final

from schemas.errors import HubError

from .logs import get_logger
from .metrics import METRICS

_log = get_logger(__name__)

_M_MMAP_THRESHOLD: Final = -3
"""Of malloc.h."""
_LARGE_BLOCK_BYTES: Final = 128 * 1024
"""Measured beside a thousand hostile peers: 282 MiB and flat; with 512 KiB it was 443 MiB."""


def stop_on_signals() -> asyncio.Event:
    """Return an event that SIGTERM and SIGINT set; a second signal ends the process at once."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()

    def asked(number: signal.Signals) -> None:
        if stopping.is_set():
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        stopping.set()
        METRICS.draining.set(1)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked, number)
    return stopping


def yield_to_the_door(nice: int) -> None:
    """Stand back where processors are short: a door answers first, what follows catches up.

    Never takes priority that the process was not given: who starts it may ask for more distance.
    Where Linux shares processors out by session first (sched_autogroup), a process's own nice value
    says nothing to other sessions: the session's is set too.
    """
    if os.getpriority(os.PRIO_PROCESS, 0) < nice:
        os.setpriority(os.PRIO_PROCESS, 0, nice)
        if os.getsid(0) == os.getpid():  # else the session is shared with whoever started us
            with contextlib.suppress(OSError):
                Path("/proc/self/autogroup").write_text(str(nice), "ascii")


def settle_memory() -> None:
    """Take what was loaded at the start out of the collector's rounds, and make these fewer.

    A message is hundreds of objects without a cycle: at Python's own threshold of 700 the collector
    would look at them, and at all the code, several times a message.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    _give_large_blocks_back()


def _give_large_blocks_back() -> None:
    """Let each large block be a mapping of its own, given back to the system when it is freed.

    glibc raises this threshold with every large block that is freed: after one frame of 8 MB what
    large frames took would lie between small blocks, and never be given back.
    """
    with contextlib.suppress(OSError, AttributeError):  # another C library has no such calls
        library = ctypes.CDLL(None)
        library.mallopt(_M_MMAP_THRESHOLD, _LARGE_BLOCK_BYTES)
    give_memory_back()  # what importing took and gave back is the system's again


def give_memory_back() -> None:
    """Give back to the system what lies free between blocks that are held: milliseconds of work."""
    with contextlib.suppress(OSError, AttributeError):  # another C library has no such call
        ctypes.CDLL(None).malloc_trim(0)


async def until_first(*works: Coroutine[Any, Any, object]) -> None:
    """Run works side by side until the first ends; cancel the others; raise what it raised."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException) and not isinstance(result, asyncio.CancelledError):
            raise result


async def closing_after(stopping: asyncio.Event, seconds: float, closing: asyncio.Event) -> None:
    """Set `closing` so long after `stopping`; then wait for ever.

    What is told to stop may still be asked: who sends to it (a load balancer) has to learn of it.
    """
    await stopping.wait()
    _log.info("draining", seconds=seconds)
    await asyncio.sleep(seconds)
    closing.set()
    await asyncio.Event().wait()


async def bounded(work: Awaitable[object], seconds: float, what: str) -> None:
    """Await the end of something, but never longer than this; say so when it was cut short."""
    try:
        async with asyncio.timeout(seconds):
            await work
    except TimeoutError:
        _log.warning("stop_cut_short", reason=what, seconds=seconds)
    except HubError as error:
        _log.warning("stop_failed", reason=error.reason)


async def every(seconds: float, station: str, work: Callable[[], Awaitable[object]]) -> None:
    """Do a piece of upkeep again and again, for ever; an error of ours is counted, no more.

    Args:
        seconds: Between the end of one and the begin of the next.
        station: Label of `labdispatch_errors`.
        work: What is done.
    """
    while True:
        try:
            await work()
        except HubError as error:
            METRICS.errors.labels(station, error.reason).inc()
        await asyncio.sleep(seconds)
