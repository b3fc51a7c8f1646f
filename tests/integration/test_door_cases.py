"""What laboratories' systems do to a door, in clear text and over mutual TLS, up to the log."""

from __future__ import annotations

import asyncio
import functools
import socket
import struct
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from ingest.listener import ListenerLimits
from ops.client import MllpClient
from schemas.errors import TransientError
from tests.support.certificates import Authority, Issued, client_context
from tests.support.tls_door import HubDoor, lab_of, message_of, on_uvloop, until

FRAME = b"\x0b%b\x1c\r"
RESET = struct.pack("ii", 1, 0)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


class Case:
    """Two laboratories before one door."""

    def __init__(self, door: HubDoor, issued: dict[int, Issued], *, tls: bool) -> None:
        self.door, self.issued, self.tls = door, issued, tls

    def context(self, number: int) -> Any:
        return client_context(self.door.authority, self.issued[number]) if self.tls else None

    def client(self, number: int = 1) -> MllpClient:
        port = self.door.listener.port
        return MllpClient("127.0.0.1", port, timeout_seconds=60, tls=self.context(number))

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(
            "127.0.0.1", self.door.listener.port, ssl=self.context(1)
        )


@asynccontextmanager
async def opened(folder: Path, authority: Authority, *, tls: bool) -> AsyncIterator[Case]:
    issued = {number: authority.issue(f"LAB{number:02d}") for number in (1, 2)}
    limits = ListenerLimits(max_connections=2, spare_connections=1)
    door = HubDoor(folder, authority, limits=limits)
    door.labs(*(lab_of(number, one) for number, one in issued.items()))
    door.appender.start()
    await door.listener.start("127.0.0.1", 0, tls=door.door if tls else None)
    try:
        yield Case(door, issued, tls=tls)
    finally:
        await door.listener.stop(10)
        await door.appender.stop()


Scenario = Callable[[Case], Coroutine[Any, Any, None]]


async def marks_in_odd_places(case: Case) -> None:
    reader, writer = await case.open()
    # Nothing between the marks; a VT and a FS inside that mark nothing.
    writer.write(FRAME % b"")
    odd = message_of("LAB01", "C-1").replace(b"BRETEUIL", b"BRE\x0bTEU\x1cIL")
    writer.write(FRAME % odd + FRAME % message_of("LAB01", "C-2"))
    async with asyncio.timeout(60):
        for control_id in (b"C-1", b"C-2"):
            answer = await reader.readuntil(b"\x1c\r")
            assert b"\rMSA|AA|" + control_id in answer
    writer.close()


def _more(case: Case, than: int) -> bool:
    return len(case.door.accepted) > than


async def resets(case: Case) -> None:
    whole = FRAME % message_of("LAB01", "C-R")
    for sent, reads in ((whole[:500], 0), (whole, 0), (whole, 1)):
        before = len(case.door.accepted)
        reader, writer = await case.open()
        writer.write(sent)
        await writer.drain()
        if reads:
            await reader.readexactly(reads)  # in the middle of the answer
        elif sent is whole:
            await until(functools.partial(_more, case, before))
        raw = writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        writer.transport.abort()
    await until(lambda: case.door.open == 0)
    assert len(case.door.accepted) == 2
    async with case.client() as hub:
        assert (await hub.send(message_of("LAB01", "C-R"))).code == "AA"


async def one_control_id_on_two_connections(case: Case) -> None:
    async with case.client() as one, case.client() as two:
        answers = await asyncio.gather(
            *(each.send(message_of("LAB01", "C-1")) for each in (one, two))
        )
    assert [each.code for each in answers] == ["AA", "AA"]
    own = {each.raw.split(b"|")[9] for each in answers}
    assert len(own) == 1  # the same verdict, by the same name
    keys = {record.inbox_key for record in case.door.accepted}
    assert (len(case.door.accepted), len(keys)) == (2, 1)


async def one_control_id_of_two_laboratories(case: Case) -> None:
    async with case.client(1) as one, case.client(2) as two:
        await asyncio.gather(one.send(message_of("LAB01")), two.send(message_of("LAB02")))
    keys = {(record.lab_id, record.inbox_key) for record in case.door.accepted}
    assert len(keys) == 2
    assert len({key for _, key in keys}) == 2


async def a_large_document(case: Case) -> None:
    document = b64encode(bytes(range(256)) * 2_400)
    note = b"OBX|3|ED|11502-2^Report^LN||^application^pdf^Base64^" + document + b"||||||F\r"
    message = message_of("LAB01", "C-1")
    assert len(note) > 800_000
    async with case.client() as hub:
        assert (await hub.send(message.replace(b"SPM|", note + b"SPM|"))).code == "AA"
    assert len(case.door.accepted) == 1


async def five_thousand_observations(case: Case) -> None:
    many = b"".join(
        b"OBX|%d|NM|94745-7^Ct^LN||24.6||||||F\r" % number for number in range(3, 5_003)
    )
    message = message_of("LAB01", "C-1").replace(b"SPM|", many + b"SPM|")
    async with case.client() as hub:
        assert (await hub.send(message)).code == "AA"
    assert len(case.door.accepted) == 1


async def one_connection_too_many_of_all(case: Case) -> None:
    """Two places, one that is told why it has to go, and one that is closed."""
    async with case.client(1) as one, case.client(2) as two:
        assert (await one.send(message_of("LAB01", "C-1"))).code == "AA"
        async with case.client(2) as third:
            await until(lambda: case.door.open == 3)
            with pytest.raises((TransientError, OSError)):
                async with case.client(2) as fourth:
                    await fourth.send(message_of("LAB02", "C-4"))
            told = await third.send(message_of("LAB02", "C-3"))
            assert told.code == "AR"
            assert b"connection_limit_reached" in told.raw
            assert b"207" in told.raw
            with pytest.raises((TransientError, OSError)):
                await third.send(message_of("LAB02", "C-3"))
        await until(lambda: case.door.open == 2)
        assert (await two.send(message_of("LAB02", "C-2"))).code == "AA"
    await until(lambda: case.door.open == 0)
    async with case.client(2) as again:
        assert (await again.send(message_of("LAB02", "C-3"))).code == "AA"
    assert len(case.door.accepted) == 3


SCENARIOS: tuple[Scenario, ...] = (
    marks_in_odd_places,
    resets,
    one_control_id_on_two_connections,
    one_control_id_of_two_laboratories,
    a_large_document,
    five_thousand_observations,
    one_connection_too_many_of_all,
)


@pytest.mark.parametrize("tls", [False, True], ids=["clear", "mutual-tls"])
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda each: each.__name__)
def test_case(tmp_path: Path, authority: Authority, scenario: Scenario, tls: bool) -> None:
    @on_uvloop
    async def check() -> None:
        async with opened(tmp_path, authority, tls=tls) as case:
            await scenario(case)
            await until(lambda: case.door.open == 0)

    check()
