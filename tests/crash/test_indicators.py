"""SIGKILL of the process that counts, between every two of its steps: each event counted once."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest

from ops.runtime.failpoints import FAILPOINTS
from tests.support.load import send_all, simulated
from tests.support.product import Embedded

PLACES = sorted(name for name in FAILPOINTS if name.startswith("indicators."))
IN_CI = {"indicators.before_commit"}
Json = dict[str, Any]


@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    "place",
    [pytest.param(name, marks=[] if name in IN_CI else [pytest.mark.proof]) for name in PLACES],
)
async def test_killed_while_it_counts(place: str) -> None:
    instance = Embedded(
        {
            "LABDISPATCH_FAILPOINTS": f"{place}=kill@1",
            "LABDISPATCH_INDICATORS_POLL_SECONDS": "0.1",
            "LABDISPATCH_INDICATORS_BATCH_EVENTS": "20",
        }
    )
    try:
        await asyncio.to_thread(instance.start)
        before = instance.pids()["indicators"]
        await send_all(instance, simulated(5, 60), 0.0)
        until = time.monotonic() + 120
        while instance.pids().get("indicators") in {before, None}:
            assert time.monotonic() < until, f"indicators never died at {place}"
            await asyncio.sleep(0.02)
        # From here on nothing may die: the run starts anew without failpoints.
        await asyncio.to_thread(instance.stop)
        instance.env["LABDISPATCH_FAILPOINTS"] = ""
        await asyncio.to_thread(instance.start)
        await asyncio.to_thread(instance.drained)
        events = await asyncio.to_thread(instance.stream, "public-health")
        told = await until_counted(instance, len(events))
        assert told["events"] == len(events), "each event once"
        numbers = [each["number"] for each in told["extractions"]]
        assert numbers == list(range(len(numbers), 0, -1)), "published whole, or not at all"
        verified = json.loads(await looked(instance, "indicators", "verify", "--json"))
        kept = {(event["report_id"], event["part"]) for event in events if event["part"]}
        assert (verified["rows"], verified["differing"]) == (len(kept), [])
        await looked(instance, "indicators", "rebuild", "--actor", "j.doe", "--reason", "test")
        assert (await until_counted(instance, len(events)))["events"] == len(events)
        again = json.loads(await looked(instance, "indicators", "verify", "--json"))
        assert again == verified
    finally:
        instance.remove()


async def until_counted(instance: Embedded, count: int) -> Json:
    until = time.monotonic() + 120
    while True:
        told: Json = json.loads(await looked(instance, "indicators", "extractions", "--json"))
        if told["lag"] == 0 and told["events"] >= count and told["extractions"]:
            return told
        assert time.monotonic() < until, f"not counted: {told}"
        await asyncio.sleep(0.2)


async def looked(instance: Embedded, *words: str) -> str:
    done = await asyncio.to_thread(instance.look, *words)
    assert done.returncode == 0, done.stderr
    return done.stdout
