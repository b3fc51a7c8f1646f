"""The port of a door that cannot open yet: AR 207, then the real door has it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ingest.accept import DoorCounts
from ops.client import MllpClient
from ops.closed_door import ClosedDoor, answering_meanwhile
from ops.runtime.settings import Settings, load_settings
from ops.simulate.sample import sample_message
from ops.supervise import choose_port

NOON = datetime(2026, 3, 6, 12, tzinfo=UTC)


class Noon:
    def now(self) -> datetime:
        return NOON


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    port = choose_port("127.0.0.1", 0, "mllp_port")
    return load_settings(data_dir=tmp_path, mllp_port=port, log_away_seconds=0.05)


async def connected(port: int) -> MllpClient:
    async with asyncio.timeout(60):
        while True:
            client = MllpClient("127.0.0.1", port)
            try:
                return await client.__aenter__()
            except Exception:  # noqa: BLE001 - nobody listens yet
                await asyncio.sleep(0.01)


async def test_while_a_door_cannot_open_each_message_may_be_sent_again(settings: Settings) -> None:
    async with answering_meanwhile(settings, Noon()) as meanwhile:
        client = await connected(settings.mllp_port)
        for number in range(3):
            answer = await client.send(sample_message() + b"ZZZ|%d\r" % number)
            assert answer.code == "AR"
            assert b"207" in answer.raw
            assert b"not_now" in answer.raw
        await client.__aexit__(None, None, None)
        await meanwhile.end()
        assert meanwhile.counts.take() == {("AR", "not_now"): 3}
        server = await asyncio.start_server(
            lambda _, writer: writer.close(), "127.0.0.1", settings.mllp_port
        )
        server.close()
        await server.wait_closed()


async def test_a_door_that_opens_in_time_or_speaks_tls_never_shows_a_closed_one(
    settings: Settings,
) -> None:
    for opens, seconds in ((True, 3_600.0), (False, 0.001)):
        given = settings.model_copy(update={"log_away_seconds": seconds})
        async with answering_meanwhile(given, Noon(), opens=opens):
            await asyncio.sleep(0.05)
            with pytest.raises(OSError):  # noqa: PT011 - refused, as the kernel likes
                await asyncio.open_connection("127.0.0.1", given.mllp_port)


def test_what_cannot_be_read_is_told_so() -> None:
    counts = DoorCounts()
    door = ClosedDoor(Noon(), counts)
    assert b"MSA|AR" in door.receive(b"MSH|^~\\&|A\r").answer().parts[0].replace(b"|CR", b"|AR")
    assert door.turn_away("empty", b"") is None
    oversize = door.turn_away("oversize", sample_message())
    assert oversize is not None
    assert b"frame_oversize" in oversize.answer().parts[0]
    assert ("unreadable", "empty") in counts.take()
