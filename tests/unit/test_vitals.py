"""How a process fares is told while it runs, and not a moment longer."""

from __future__ import annotations

import asyncio
import gc
import time

from ops.runtime.metrics import METRICS
from ops.runtime.vitals import Vitals


def lag_count() -> float:
    (family,) = METRICS.loop_lag_seconds.collect()
    return next(s.value for s in family.samples if s.name.endswith("_count"))


def late() -> float:
    """Return how many looks came half a second late or more."""
    (family,) = METRICS.loop_lag_seconds.collect()
    at = {s.labels.get("le"): s.value for s in family.samples if s.name.endswith("_bucket")}
    return at["+Inf"] - at["0.25"]


async def test_a_loop_that_stands_still_is_seen() -> None:
    before, count = late(), lag_count()
    watching = asyncio.create_task(Vitals().watch())
    await asyncio.sleep(0)
    time.sleep(0.6)
    async with asyncio.timeout(60):
        while lag_count() == count:
            await asyncio.sleep(0.01)
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    assert late() == before + 1


async def test_a_process_tells_memory_files_and_processor() -> None:
    vitals = Vitals()
    vitals.look()
    assert METRICS.resident_bytes._value.get() > 1_000_000
    assert METRICS.open_files._value.get() >= 3
    used = METRICS.cpu_seconds._value.get()
    sum(range(1_000_000))
    vitals.look()
    assert METRICS.cpu_seconds._value.get() > used


async def test_rounds_of_the_collector_are_added_up_and_its_callback_goes() -> None:
    before = METRICS.collector_seconds._value.get()
    vitals = Vitals()
    watching = asyncio.create_task(vitals.watch())
    await asyncio.sleep(0)
    gc.collect()
    vitals.look()
    assert METRICS.collector_seconds._value.get() > before
    assert METRICS.collector_longest._value.get() > 0
    gc.disable()
    try:
        for _ in range(13):  # a round before `disable` is in the first
            vitals.look()
    finally:
        gc.enable()
    assert METRICS.collector_longest._value.get() == 0, "a minute later it is forgotten"
    callbacks = len(gc.callbacks)
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    assert len(gc.callbacks) == callbacks - 1
