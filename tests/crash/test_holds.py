"""SIGKILL in the middle of letting a report go, while results of everybody come in.

A release that died before its commit is not there: nothing of it reached the stream, and the report
waits. One that died after it is there, once; the next command finds nothing locked.
"""

from __future__ import annotations

import asyncio
import json
import signal
from typing import Any

import pytest

from ops.client import MllpClient
from ops.simulate.sample import sample_message
from tests.support.load import simulated, under_load
from tests.support.product import Embedded, run

PLACES = ("stewards.after_locks", "stewards.before_outbox", "stewards.before_commit")
STREAM = "dossier"


@pytest.mark.timeout(600)
async def test_killed_while_a_report_is_let_go() -> None:
    instance = Embedded()
    try:
        instance.start()
        sent = [("HELD-0001", await put_one_in_doubt(instance))]
        report = await the_one_on_hold(instance)

        async def release_and_die() -> None:
            for place in PLACES:
                await release(instance, report, dies_at=place)
                assert await events_of(instance, report) == []
                assert await the_one_on_hold(instance) == report
            await release(instance, report, dies_at="stewards.after_commit")
            assert await events_of(instance, report) == ["published"]
            again = await run(instance, "holds", "release", report, "--stream", STREAM, *ASKED)
            assert again.returncode != 0, "it waits no more"
            assert "not_on_hold" in again.stderr

        await under_load(
            instance, simulated(23, 100), release_and_die, pause_seconds=0.05, before=sent
        )
        assert await events_of(instance, report) == ["published"]
    finally:
        instance.remove()


ASKED = ("--actor", "Camille Martin", "--reason", "the laboratory was called")


async def put_one_in_doubt(instance: Embedded) -> str:
    """Send a result of somebody who was born after the specimen was taken; return the code."""
    raw = sample_message().replace(b"||19790328|F", b"||20270328|F")
    raw = raw.replace(b"L0001-20260306-0001", b"HELD-0001")
    async with MllpClient("127.0.0.1", instance.mllp_port) as client:
        answer = (await client.send(raw)).raw
    return answer[answer.index(b"\rMSA|") + 5 :][:2].decode()


async def the_one_on_hold(instance: Embedded) -> str:
    for _ in range(60):
        listed = await run(
            instance, "holds", "list", "--stream", STREAM, "--for", "birth_date_after_sampling",
            "--json",
        )  # fmt: skip
        assert listed.returncode == 0, listed.stderr
        if found := json.loads(listed.stdout):
            return str(found[0]["report_id"])
        await asyncio.sleep(0.2)
    raise AssertionError("nothing waits")


async def release(instance: Embedded, report: str, *, dies_at: str) -> None:
    done = await run(
        instance, "holds", "release", report, "--stream", STREAM, *ASKED, dies_at=dies_at
    )
    assert done.returncode == -signal.SIGKILL, (dies_at, done.returncode, done.stderr)


async def events(instance: Embedded) -> list[dict[str, Any]]:
    return await asyncio.to_thread(instance.stream, STREAM)


async def events_of(instance: Embedded, report: str) -> list[str]:
    return [each["kind"] for each in await events(instance) if each["report_id"] == report]
