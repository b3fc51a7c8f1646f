"""The MLLP listener on real sockets: order, half-closes, cuts, peers that starve or never read."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from ingest.accept import Answer, Receipt
from ingest.lab import Peer
from ingest.listener import ListenerLimits, MllpListener

FRAME = b"\x0b%b\x1c\r"


class Echo:
    """An acceptor that answers each message with itself, when the test lets it."""

    def __init__(self) -> None:
        self.received: list[bytes] = []
        self.held: list[tuple[bytes, asyncio.Future[Answer]]] = []
        self.holds = False
        self.in_doubt = False

    def receive(self, raw: bytes, peer: Peer | None = None) -> Receipt:
        self.received.append(raw)
        if self.in_doubt:
            return Receipt(Answer(close=True))
        if not self.holds:
            return Receipt(Answer(parts=(raw,)))
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self.held.append((raw, future))
        return Receipt(Answer(), future)

    def turn_away(self, reason: str, head: bytes) -> Receipt | None:
        return Receipt(Answer(parts=(reason.encode(),))) if head.startswith(b"MSH") else None

    def let_go(self, *, backwards: bool = False) -> None:
        held, self.held = self.held, []
        for raw, future in reversed(held) if backwards else held:
            future.set_result(Answer(parts=(raw,)))


class Door:
    def __init__(self, limits: ListenerLimits) -> None:
        self.echo = Echo()
        acceptor: Any = self.echo
        self.listener = MllpListener(acceptor, limits)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.listener.port)


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    limits = ListenerLimits(
        max_frame_bytes=4_096,
        partial_frame_seconds=1.0,
        window_frames=8,
        unread_answer_seconds=1.0,
        max_connections=5,
    )
    made = Door(limits)
    await made.listener.start("127.0.0.1", 0)
    yield made
    await made.listener.stop(1.0)


async def read_answers(reader: asyncio.StreamReader, count: int) -> list[bytes]:
    async with asyncio.timeout(60):
        return [(await reader.readuntil(b"\x1c\r"))[1:-2] for _ in range(count)]


async def is_closed(reader: asyncio.StreamReader) -> bool:
    async with asyncio.timeout(60):
        try:
            return await reader.read() == b""
        except ConnectionError:
            return True


async def until(condition: Any) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)


async def test_five_hundred_pipelined_are_all_answered_in_order(door: Door) -> None:
    door.echo.holds = True
    reader, writer = await door.connect()
    messages = [b"MSH|%d" % number for number in range(500)]
    writer.write(b"".join(FRAME % message for message in messages))
    got: list[bytes] = []
    while len(got) < 500:
        await until(lambda: door.echo.held)
        assert len(door.echo.held) <= 8  # the window, whatever stands behind it
        ready = len(door.echo.held)
        door.echo.let_go(backwards=True)
        got += await read_answers(reader, ready)
    assert got == messages
    writer.close()


async def test_one_byte_at_a_time(door: Door) -> None:
    reader, writer = await door.connect()
    for byte in FRAME % b"MSH|slow":
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0)
    assert await read_answers(reader, 1) == [b"MSH|slow"]
    writer.close()


async def test_a_half_close_still_gets_its_answer(door: Door) -> None:
    door.echo.holds = True
    reader, writer = await door.connect()
    writer.write(FRAME % b"MSH|last")
    writer.write_eof()
    await until(lambda: door.echo.held)
    door.echo.let_go()
    assert await read_answers(reader, 1) == [b"MSH|last"]
    assert await reader.read() == b""
    writer.close()


async def test_a_reset_in_a_frame_disturbs_nobody(door: Door) -> None:
    broken = socket.create_connection(("127.0.0.1", door.listener.port))
    broken.sendall(b"\x0bMSH|half")
    broken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    broken.close()
    reader, writer = await door.connect()
    writer.write(FRAME % b"MSH|whole")
    assert await read_answers(reader, 1) == [b"MSH|whole"]
    assert door.echo.received == [b"MSH|whole"]
    writer.close()


async def test_a_frame_that_starves_is_closed(door: Door) -> None:
    reader, writer = await door.connect()
    writer.write(b"\x0bMSH|never whole")
    async with asyncio.timeout(60):
        assert await reader.read() == b""
    writer.close()


async def test_a_peer_that_never_reads_is_cut_and_the_others_go_on(door: Door) -> None:
    deaf = socket.socket()
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    deaf.connect(("127.0.0.1", door.listener.port))
    deaf.setblocking(False)
    frame = FRAME % (b"MSH|" + b"x" * 4_000)
    loop = asyncio.get_running_loop()

    async def flood() -> None:
        while True:
            await loop.sock_sendall(deaf, frame)

    flooding = asyncio.ensure_future(flood())
    reader, writer = await door.connect()
    with pytest.raises(OSError):  # noqa: PT011 - reset or broken pipe, as the kernel likes
        async with asyncio.timeout(60):
            await flooding
    writer.write(FRAME % b"MSH|honest")
    assert await read_answers(reader, 1) == [b"MSH|honest"]
    writer.close()
    deaf.close()


async def test_in_doubt_the_connection_closes_without_an_answer(door: Door) -> None:
    door.echo.in_doubt = True
    reader, writer = await door.connect()
    writer.write(FRAME % b"MSH|unknown")
    async with asyncio.timeout(60):
        assert await reader.read() == b""
    writer.close()


async def test_http_and_tls_on_this_port_are_closed(door: Door) -> None:
    for hello in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc"):
        reader, writer = await door.connect()
        writer.write(hello)
        async with asyncio.timeout(60):
            assert await reader.read() == b""
        writer.close()


async def test_an_oversize_frame_is_answered_and_the_next_is_taken(door: Door) -> None:
    reader, writer = await door.connect()
    writer.write(FRAME % (b"MSH|" + b"x" * 10_000) + FRAME % b"MSH|next")
    assert await read_answers(reader, 2) == [b"oversize", b"MSH|next"]
    writer.close()


async def test_connections_are_bounded_and_a_place_becomes_free(door: Door) -> None:
    held = [await door.connect() for _ in range(5)]
    reader, writer = await door.connect()
    assert await is_closed(reader)
    writer.close()
    held[0][1].close()
    await until(lambda: len(door.listener._connections) < 5)
    reader, writer = await door.connect()
    writer.write(FRAME % b"MSH|free")
    assert await read_answers(reader, 1) == [b"MSH|free"]
    for _, each in held[1:]:
        each.close()
    writer.close()


async def test_a_stop_answers_what_was_taken_first(door: Door) -> None:
    door.echo.holds = True
    reader, writer = await door.connect()
    writer.write(FRAME % b"MSH|taken")
    await until(lambda: door.echo.held)
    stopping = asyncio.ensure_future(door.listener.stop(5.0))
    await until(lambda: door.listener.stopping)
    door.echo.let_go()
    assert await read_answers(reader, 1) == [b"MSH|taken"]
    await stopping
    assert await reader.read() == b""
    writer.close()
