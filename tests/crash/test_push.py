"""SIGKILL of the process that pushes, between every two of its steps: nothing lost, ids kept.

The receiver folds what it got as its rule says (the highest event_version of a report and part
wins), and that must be what the stream itself says.
"""

from __future__ import annotations

import asyncio
import json
import time
import urllib.request
from typing import Any

import pytest

from ops.runtime.failpoints import FAILPOINTS
from tests.support.load import send_all, simulated
from tests.support.product import Embedded
from tests.support.receiving import Target

PLACES = sorted(name for name in FAILPOINTS if name.startswith("push."))
IN_CI = {"push.after_send"}
Json = dict[str, Any]


@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    "place",
    [pytest.param(name, marks=[] if name in IN_CI else [pytest.mark.proof]) for name in PLACES],
)
async def test_killed_while_it_pushes(place: str) -> None:
    # Sending is hit for each event; taking and noting may be done with all in one step.
    count = 2 if place.endswith("send") else 1
    instance = Embedded({"LABDISPATCH_FAILPOINTS": f"{place}=kill@{count}"})
    target = Target()
    await target.start()
    try:
        await asyncio.to_thread(instance.start)
        made = await looked(
            instance, "receivers", "add", "one", "--kind", "webhook", "--stream", "public-health",
            "--url", target.url, "--json",
        )  # fmt: skip
        token = json.loads(made)["acknowledgement_token"]
        before = instance.pids()["push"]
        journal = await send_all(instance, simulated(5, 40), 0.0)
        until = time.monotonic() + 120
        while instance.pids().get("push") in {before, None}:
            assert time.monotonic() < until, f"push never died at {place}"
            await asyncio.sleep(0.02)
        # From here on nothing may die: the run starts anew without failpoints.
        await asyncio.to_thread(instance.stop)
        instance.env["LABDISPATCH_FAILPOINTS"] = ""
        await asyncio.to_thread(instance.start)
        await asyncio.to_thread(instance.drained)
        events = await asyncio.to_thread(instance.stream, "public-health")
        await target.until(lambda: folded(got_by(target)) == folded(events), seconds=120)
        got = got_by(target)
        assert folded(got) != {}
        for asked, event in zip(target.asked, got, strict=True):
            assert str(asked.event_id) == event["event_id"]
        if place == "push.after_send":
            assert len(got) > len({event["event_id"] for event in got}), "sent again, same id"
        await said_later(instance, [c for c, code in journal if code == "AA"], token)
        (one,) = json.loads(await looked(instance, "receivers", "list", "--json"))
        assert (one["state"], one["waiting"], one["dead"]) == ("active", 0, 0)
    finally:
        await target.stop()
        instance.remove()


async def said_later(instance: Embedded, control_ids: list[str], token: str) -> None:
    """The receiver's answer and its later word stand in the trace of the message."""
    traces = await asyncio.to_thread(instance.trace, control_ids)
    pushed = next(
        (found, station)
        for found in traces
        for station in found["stations"]
        if station["station"] == "receiver" and station["state"] == "accepted"
    )
    found, station = pushed
    assert (station["receiver"], station["protocol"], station["code"]) == ("one", "http", "200")
    answer = await asyncio.to_thread(acknowledge, instance, station["event_id"], token)
    assert b"\rMSA|AA|A-1" in answer
    assert b"MSA|AE" in await asyncio.to_thread(acknowledge, instance, "no-such-message", token)
    (again,) = await asyncio.to_thread(instance.trace, [found["message_id"]])
    assert [s["word"] for s in again["stations"] if "word" in s] == ["ACK_RECEPTION_DMP"]
    with pytest.raises(urllib.error.HTTPError) as refused:
        await asyncio.to_thread(acknowledge, instance, station["event_id"], "another")
    refused.value.close()
    assert refused.value.code == 403


def acknowledge(instance: Embedded, original: str, token: str) -> bytes:
    message = (
        f"MSH|^~\\&|DMP||||||ZAM^Z01^ZAM_Z01|A-1|P|2.5\rOBX|1|CE|ACK_RECEPTION_DMP|{original}|Y\r"
    )
    request = urllib.request.Request(
        f"http://127.0.0.1:{instance.http_port}/v1/receivers/one/acknowledgements",
        data=message.encode(),
        headers={
            "Authorization": f"Bearer {token}",
            "Content-Type": "application/hl7-v2+er7",
        },
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        answer: bytes = response.read()
    return answer


def got_by(target: Target) -> list[Json]:
    return [asked.json for asked in target.asked]


def folded(events: list[Json]) -> dict[str, tuple[int, Any]]:
    """What a receiver holds of each part of a report that is there."""
    newest: dict[str, Json] = {}
    for event in events:
        part = f"{event['report_id']} {event['part']}"
        if event["event_version"] > newest.get(part, {}).get("event_version", 0):
            newest[part] = event
    return {
        report: (event["event_version"], event["body"])
        for report, event in newest.items()
        if event.get("body") is not None
    }


async def looked(instance: Embedded, *words: str) -> str:
    done = await asyncio.to_thread(instance.look, *words)
    assert done.returncode == 0, done.stderr
    return done.stdout
