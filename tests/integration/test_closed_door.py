"""The port of a door that cannot open yet: AR 207, then the real door has it."""

from __future__ import annotations

import asyncio
import ssl
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest

from ingest.accept import DoorCounts
from ingest.lab import Lab
from ingest.lab_snapshot import FILE_NAME, SECRET, SnapshotKeeper
from ops.client import MllpClient
from ops.closed_door import ClosedDoor, answering_meanwhile
from ops.runtime.clock import SystemClock
from ops.runtime.migrate import Instance
from ops.runtime.settings import Settings, load_settings
from ops.runtime.tls import TlsMaterial
from ops.runtime.vault import FolderKeyStore, Vault
from ops.simulate.sample import sample_message
from ops.supervise import choose_port
from ops.tls_doors import material_of
from schemas.errors import TransientError
from tests.support.certificates import Authority, client_context
from tests.support.tls_door import closed, lab_of, message_of, on_uvloop

NOON = datetime(2026, 3, 6, 12, tzinfo=UTC)


class Noon:
    def now(self) -> datetime:
        return NOON


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    port = choose_port("127.0.0.1", 0, "mllp_port")
    return load_settings(data_dir=tmp_path, mllp_port=port, log_away_seconds=0.05)


async def connected(port: int, tls: ssl.SSLContext | None = None) -> MllpClient:
    async with asyncio.timeout(60):
        while True:
            client = MllpClient("127.0.0.1", port, tls=tls)
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


async def test_a_door_that_opens_in_time_never_shows_a_closed_one(settings: Settings) -> None:
    given = settings.model_copy(update={"log_away_seconds": 3_600.0})
    async with answering_meanwhile(given, Noon()):
        await asyncio.sleep(0.05)
        with pytest.raises(OSError):  # noqa: PT011 - refused, as the kernel likes
            await asyncio.open_connection("127.0.0.1", given.mllp_port)


def over_tls(tmp_path: Path, authority: Authority) -> tuple[Settings, TlsMaterial]:
    files = authority.files
    settings = load_settings(
        data_dir=tmp_path,
        mllp_port=choose_port("127.0.0.1", 0, "mllp_port"),
        log_away_seconds=0.05,
        engine="cluster",
        postgres_dsn="postgresql://nobody@127.0.0.1/none",
        mllp_tls_cert=files.cert,
        mllp_tls_key=files.key,
        mllp_tls_client_ca=files.client_ca,
        mllp_tls_crl=files.crl,
    )
    material = material_of(settings, "mllp")
    assert material is not None
    return settings, material


async def keep_register(settings: Settings, *labs: Lab) -> None:
    """Leave the copy of the register that a door wrote before."""
    clock = SystemClock()
    instance = Instance(instance_id=UUID(int=7), realm="test", engine="cluster", partitions=4)
    keeper = SnapshotKeeper(
        settings.data_dir / FILE_NAME,
        Vault(FolderKeyStore(settings.keys_folder), clock).secret(SECRET),
        instance=instance,
        topic_prefix="",
        clock=clock,
        max_age_seconds=settings.register_snapshot_seconds,
    )
    await keeper.keep(labs, changed=True)


@on_uvloop
async def test_over_tls_who_is_in_the_copy_of_the_register_is_told(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    mine, nobody = authority.issue("LAB01"), authority.issue("NOBODY")
    settings, material = over_tls(tmp_path, authority)
    await keep_register(settings, lab_of(1, mine))
    async with answering_meanwhile(settings, SystemClock(), material) as meanwhile:
        client = await connected(settings.mllp_port, client_context(authority, mine))
        answer = await client.send(message_of("LAB01"))
        assert answer.code == "AR"
        assert b"207" in answer.raw
        assert b"not_now" in answer.raw
        await client.__aexit__(None, None, None)
        before = closed("unknown_certificate")
        stranger = MllpClient(
            "127.0.0.1", settings.mllp_port, tls=client_context(authority, nobody)
        )
        with pytest.raises(TransientError):
            async with stranger:
                await stranger.send(message_of("LAB01"))
        assert closed("unknown_certificate") == before + 1
        await meanwhile.end()
        assert meanwhile.counts.take() == {("AR", "not_now"): 1}


@on_uvloop
async def test_over_tls_without_a_copy_nobody_can_be_known_and_the_port_refuses(
    tmp_path: Path,
) -> None:
    authority = Authority(tmp_path / "ca")
    settings, material = over_tls(tmp_path, authority)
    async with answering_meanwhile(settings, SystemClock(), material) as meanwhile:
        await asyncio.wait_for(asyncio.shield(meanwhile.opening), 60)
        with pytest.raises(OSError):  # noqa: PT011 - refused, as the kernel likes
            await asyncio.open_connection("127.0.0.1", settings.mllp_port)


def test_what_cannot_be_read_is_told_so() -> None:
    counts = DoorCounts()
    door = ClosedDoor(Noon(), counts)
    assert b"MSA|AR" in door.receive(b"MSH|^~\\&|A\r").answer().parts[0].replace(b"|CR", b"|AR")
    assert door.turn_away("empty", b"") is None
    oversize = door.turn_away("oversize", sample_message())
    assert oversize is not None
    assert b"frame_oversize" in oversize.answer().parts[0]
    assert ("unreadable", "empty") in counts.take()
