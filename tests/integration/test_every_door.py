"""One reason to take nothing, five doors: what each says, and that each goes on by itself."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from ingest.listener import ListenerLimits, MllpListener
from ops.api import ApiParts, build_api
from ops.batches.door import open_batch_door
from ops.batches.http import routes_of
from ops.batches.place import LabFolder
from ops.bootstrap import Door, open_door
from ops.client import MllpClient
from ops.idempotency import IdempotencyKeys
from ops.inbound.door import SharedTurn
from ops.inbound.replies import Replies
from ops.message_route import MessageDoor
from ops.proofs import Proofs
from ops.runtime.metrics import METRICS
from ops.runtime.settings import load_settings
from tests.integration.test_batches import lab_folder, names, put, told
from tests.integration.test_inbound import LABS, Place, numbered
from tests.support.hub import scratch_hub
from tests.support.inbound import read_all
from tests.support.postgres import Database

ER7 = {"Content-Type": "application/hl7-v2+er7"}


class Doors:
    """All doors of one hub, in this process."""

    def __init__(
        self, place: Place, door: Door, port: int, http: httpx.AsyncClient, folder: LabFolder
    ) -> None:
        self.place = place
        self.acceptor = door.acceptor
        self.port = port
        self.http = http
        self.folder = folder

    async def over_mllp(self, number: int) -> bytes:
        async with MllpClient("127.0.0.1", self.port) as client:
            return (await client.send(numbered(number))).raw

    async def post(self, path: str, number: int) -> httpx.Response:
        return await self.http.post(path, content=numbered(number), headers=ER7)


@pytest.fixture
async def doors(
    database: Database, tmp_path: Path, kafka_bootstrap: str, unique_topic_prefix: str
) -> AsyncIterator[Doors]:
    async with contextlib.AsyncExitStack() as stack:
        hub = await stack.enter_async_context(scratch_hub(database, tmp_path))
        (tmp_path / "root").mkdir()
        settings = load_settings(
            data_dir=tmp_path,
            batch_dir=tmp_path / "root",
            batch_poll_seconds=0.05,
            batch_patience_seconds=0.5,
            batch_answer_seconds=60,
            batch_share=1,
        )
        place = Place(
            msgspec.structs.replace(hub, settings=settings), kafka_bootstrap, unique_topic_prefix
        )
        await place.prepare()
        door = await open_door(place.hub)
        door.appender.start()
        stack.push_async_callback(door.appender.stop)
        listener = MllpListener(door.acceptor, ListenerLimits())
        await listener.start("127.0.0.1", 0)
        stack.push_async_callback(listener.stop, 10.0)
        files = open_batch_door(place.hub, door)
        proofs = Proofs(door.register, None)
        parts = ApiParts(
            messages=MessageDoor(acceptor=door.acceptor, proofs=proofs, keys=IdempotencyKeys(3)),
            reader=None,  # type: ignore[arg-type]
            tokens={},
            read_conformance=None,  # type: ignore[arg-type]
            max_body_bytes=100_000,
            more_routes=routes_of(files, proofs),
            readiness=None,  # type: ignore[arg-type]
        )
        transport = httpx.ASGITransport(app=build_api(parts))  # type: ignore[arg-type]
        http = await stack.enter_async_context(
            httpx.AsyncClient(transport=transport, base_url="http://hub", timeout=60)
        )
        replies = Replies(place.writer().settings, place.reply_topic)
        await replies.start()
        stack.push_async_callback(replies.close)
        stopping = asyncio.Event()
        topic = place.door(door, SharedTurn(place.store, 15), replies)
        works: list[Any] = [asyncio.ensure_future(work()) for work in files.works]
        works.append(asyncio.ensure_future(topic.run(stopping)))
        folder = lab_folder(tmp_path / "root", LABS[0])
        yield Doors(place, door, listener.port, http, folder)
        stopping.set()
        for work in works:
            work.cancel()
        await asyncio.gather(*works, return_exceptions=True)


def waits() -> float:
    return float(METRICS.limit_hits.labels("inbound_waits")._value.get())


@pytest.mark.parametrize("reason", ["disk_low", "backlog_old", "log_away", "log_bounded"])
async def test_a_closed_door_says_so_everywhere_and_goes_on_everywhere(
    doors: Doors, reason: str
) -> None:
    doors.acceptor.closed_reason = reason
    waited = waits()
    put(doors.folder, "day.hl7", numbered(4))
    async with doors.place.writer() as writer:
        await writer.write(numbered(5))
    answer = await doors.over_mllp(1)
    assert b"\rMSA|AR|M-1" in answer
    assert b"|207^" in answer
    assert reason.encode() in answer
    single = await doors.post("/v1/messages", 2)
    assert single.status_code == 503
    assert int(single.headers["retry-after"]) >= 1
    assert b"\rMSA|AR|M-2" in single.content
    assert reason.encode() in single.content
    upload = await doors.post("/v1/batches?name=a", 3)
    assert upload.status_code == 503
    assert int(upload.headers["retry-after"]) >= 1
    async with asyncio.timeout(120):
        while waits() < waited + 2 or names(doors.folder, "in"):
            await asyncio.sleep(0.02)
    assert names(doors.folder, "out") == [], "no answer is worth telling"
    assert await doors.place.in_log() == 0
    assert await doors.place.parked() == []

    doors.acceptor.closed_reason = ""
    assert b"\rMSA|AA|M-1" in await doors.over_mllp(1)
    assert b"\rMSA|AA|M-2" in (await doors.post("/v1/messages", 2)).content
    assert told((await doors.post("/v1/batches?name=a", 3)).content) == ["AA M-3"]
    async with asyncio.timeout(120):
        while names(doors.folder, "out") != ["day.hl7.ack"]:
            await asyncio.sleep(0.02)
    assert told((doors.folder["out"] / "day.hl7.ack").read_bytes()) == ["AA M-4"]
    (reply,) = await read_all(doors.place.writer().settings, doors.place.reply_topic, 1)
    assert b"MSA|AA|M-5" in reply.value
    assert await doors.place.in_log() == 5
    assert await doors.place.parked() == []
