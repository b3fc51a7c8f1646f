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

from ingest.accept import Acceptor
from ingest.lab import LabLimits
from ingest.labs import LabRegister
from ingest.listener import ListenerLimits, MllpListener
from ops.api import ApiParts, build_api
from ops.batches.door import open_batch_door
from ops.batches.http import routes_of
from ops.batches.place import LabFolder
from ops.bootstrap import open_door
from ops.client import MllpClient
from ops.idempotency import IdempotencyKeys
from ops.inbound.door import SharedTurn
from ops.inbound.replies import Replies
from ops.message_route import MessageDoor
from ops.proofs import Proofs
from ops.runtime.metrics import METRICS
from ops.runtime.settings import load_settings
from schemas.errors import FatalError, TransientError, UnknownResult
from tests.integration.test_batches import lab_folder, names, put, told
from tests.integration.test_disk_full import full_disk
from tests.integration.test_inbound import LABS, Place, numbered
from tests.support.hub import scratch_hub
from tests.support.inbound import read_all
from tests.support.postgres import Database

ER7 = {"Content-Type": "application/hl7-v2+er7"}


class Doors(msgspec.Struct, kw_only=True):
    """All doors of one hub, in this process."""

    place: Place
    acceptor: Acceptor
    register: LabRegister
    port: int
    http: httpx.AsyncClient
    folder: LabFolder
    reading_topic: asyncio.Future[None]

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
            batch_answer_seconds=0.5,
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
        reading = asyncio.ensure_future(topic.run(stopping))
        works.append(reading)
        folder = lab_folder(tmp_path / "root", LABS[0])
        yield Doors(
            place=place,
            acceptor=door.acceptor,
            register=door.register,
            port=listener.port,
            http=http,
            folder=folder,
            reading_topic=reading,
        )
        stopping.set()
        for work in works:
            work.cancel()
        await asyncio.gather(*works, return_exceptions=True)


def waits() -> float:
    return float(METRICS.limit_hits.labels("inbound_waits")._value.get())


async def refused_everywhere(
    doors: Doors, reason: str, *, single_status: int = 503, upload_status: int = 503
) -> None:
    """Send one message to each door: none is taken, each says so as it can."""
    waited = waits()
    put(doors.folder, "day.hl7", numbered(4))
    async with doors.place.writer() as writer:
        await writer.write(numbered(5))
    answer = await doors.over_mllp(1)
    assert b"\rMSA|AR|M-1" in answer
    assert b"|207^" in answer
    assert reason.encode() in answer
    single = await doors.post("/v1/messages", 2)
    assert single.status_code == single_status
    assert int(single.headers["retry-after"]) >= 1
    assert b"\rMSA|AR|M-2" in single.content
    assert reason.encode() in single.content
    upload = await doors.post("/v1/batches?name=a", 3)
    assert upload.status_code == upload_status
    assert upload_status != 503 or int(upload.headers["retry-after"]) >= 1
    async with asyncio.timeout(120):
        while waits() < waited + 2 or names(doors.folder, "in"):
            await asyncio.sleep(0.02)
    assert names(doors.folder, "out") == [], "no answer is worth telling"
    assert await doors.place.in_log() == 0
    assert await doors.place.parked() == []


async def taken_everywhere(doors: Doors) -> None:
    """Send again where that is the sender's part; wait where it is ours."""
    async with asyncio.timeout(240):
        while b"\rMSA|AA|M-1" not in await doors.over_mllp(1):
            await asyncio.sleep(0.05)
        while b"\rMSA|AA|M-2" not in (await doors.post("/v1/messages", 2)).content:
            await asyncio.sleep(0.05)
        while told((await doors.post("/v1/batches?name=a", 3)).content) != ["AA M-3"]:
            await asyncio.sleep(0.05)
        while names(doors.folder, "out") != ["day.hl7.ack"]:
            await asyncio.sleep(0.02)
        assert told((doors.folder["out"] / "day.hl7.ack").read_bytes()) == ["AA M-4"]
        (reply,) = await read_all(doors.place.writer().settings, doors.place.reply_topic, 1)
    assert b"MSA|AA|M-5" in reply.value
    assert await doors.place.in_log() == 5
    assert await doors.place.parked() == []


@pytest.mark.parametrize("reason", ["disk_low", "backlog_old", "log_away", "log_bounded"])
async def test_a_closed_door_says_so_everywhere_and_goes_on_everywhere(
    doors: Doors, reason: str
) -> None:
    doors.acceptor.closed_reason = reason
    await refused_everywhere(doors, reason)
    doors.acceptor.closed_reason = ""
    await taken_everywhere(doors)


async def test_a_full_disk_under_the_log_is_told_everywhere_and_gone_on_with(
    doors: Doors, database: Database
) -> None:
    async with full_disk(database, "intake"):
        await refused_everywhere(doors, "not_now", upload_status=202)
    await taken_everywhere(doors)


async def test_a_quota_is_told_everywhere_and_what_waits_for_it_goes_on(doors: Doors) -> None:
    lab = doors.register.get(LABS[0])
    assert lab is not None
    for quota in (0, None):
        changed = msgspec.structs.replace(lab, limits=LabLimits(daily_quota=quota))
        doors.register.take([changed], doors.place.hub.clock.now())
        if quota == 0:
            await refused_everywhere(doors, "quota_reached", single_status=429, upload_status=202)
    await taken_everywhere(doors)


async def test_a_log_in_doubt_gets_no_answer_from_any_door(
    doors: Doors, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def in_doubt(_: object) -> list[int]:
        raise UnknownResult("append_unknown", "nobody knows")

    monkeypatch.setattr(doors.place.hub.log, "append", in_doubt)
    put(doors.folder, "day.hl7", numbered(4))
    async with doors.place.writer() as writer:
        await writer.write(numbered(5))
    async with MllpClient("127.0.0.1", doors.port) as client:
        with pytest.raises(TransientError):
            await client.send(numbered(1))
    single = await doors.post("/v1/messages", 2)
    assert single.status_code == 503
    assert b"MSA" not in single.content
    assert (await doors.post("/v1/batches?name=a", 3)).status_code in {202, 503}
    with pytest.raises(FatalError, match="append_unknown"):
        await asyncio.wait_for(asyncio.shield(doors.reading_topic), 120)
    assert names(doors.folder, "out") == []
    assert await doors.place.parked() == []
    positions = await doors.place.store.positions(doors.place.topic, {})
    assert not any(positions.values()), "the next start takes the record again"
