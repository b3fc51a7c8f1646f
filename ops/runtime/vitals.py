"""How a process fares: memory, files, processor, event loop, connections to the database."""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import time
from collections import deque
from importlib.metadata import version
from pathlib import Path
from typing import Final

from .metrics import METRICS
from .metrics.limits import LIMITS
from .postgres import open_pools
from .settings import Settings

_LOOK_SECONDS: Final = 0.25
_EVERY_SO_OFTEN: Final = 20
"""So many looks at the loop for one at the machine: open files are a list to be read."""

_LOOKS_REMEMBERED: Final = 12
"""Of a minute: a stop is seen by every scrape, and forgotten once it is over."""


def show_limits(settings: Settings) -> None:
    """Give the value of every limit, under the name that counts its hits."""
    for name, limit in LIMITS.items():
        value = getattr(settings, limit.setting) if limit.setting else limit.fixed
        if value is not None:
            METRICS.limit.labels(name).set(value)
    METRICS.limit.labels("file_descriptors").set(resource.getrlimit(resource.RLIMIT_NOFILE)[0])


class Vitals:
    """Looks at the process it is in, for as long as it runs."""

    def __init__(self) -> None:
        self._cpu = 0.0
        self._stopped_at = 0.0
        self._stopped_longest = 0.0
        self._stopped = 0.0
        self._longest: deque[float] = deque(maxlen=_LOOKS_REMEMBERED)

    async def watch(self) -> None:
        """Give the figures for ever; what cannot be read is not given."""
        METRICS.processes.set(1)
        METRICS.builds.labels(version("labdispatch")).set(1)
        METRICS.started_at.set(time.time())
        gc.callbacks.append(self._collecting)
        loop = asyncio.get_running_loop()
        try:
            turn = 0
            while True:
                if turn % _EVERY_SO_OFTEN == 0:
                    self.look()
                turn += 1
                due = loop.time() + _LOOK_SECONDS
                await asyncio.sleep(_LOOK_SECONDS)
                METRICS.loop_lag_seconds.observe(max(0.0, loop.time() - due))
        finally:
            gc.callbacks.remove(self._collecting)

    def look(self) -> None:
        """Give the figures once."""
        used = time.process_time()
        METRICS.cpu_seconds.inc(max(0.0, used - self._cpu))
        self._cpu = used
        resident = _resident_bytes()
        METRICS.resident_bytes.set(resident)
        METRICS.largest_resident_bytes.set(resident)
        METRICS.open_files.set(_open_files())
        stopped, self._stopped = self._stopped, 0.0
        METRICS.collector_seconds.inc(stopped)
        METRICS.collector_longest.set(self._longest_of_late())
        sizes = [pool.sizes() for pool in open_pools()]
        METRICS.pool_connections.labels("used").set(sum(used for used, _ in sizes))
        METRICS.pool_connections.labels("idle").set(sum(idle for _, idle in sizes))

    def _longest_of_late(self) -> float:
        """Return the longest stop of the last looks, and begin the next one's."""
        self._longest.append(self._stopped_longest)
        self._stopped_longest = 0.0
        return max(self._longest)

    def _collecting(self, phase: str, _: dict[str, int]) -> None:
        """Hear of a round of the collector; a figure may hold its lock meanwhile: only add up."""
        if phase == "start":
            self._stopped_at = time.perf_counter()
            return
        stopped = time.perf_counter() - self._stopped_at
        self._stopped_longest = max(self._stopped_longest, stopped)
        self._stopped += stopped


def _resident_bytes() -> int:
    try:
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def _open_files() -> int:
    try:
        return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - thousands of names, no paths
    except OSError:
        return 0
