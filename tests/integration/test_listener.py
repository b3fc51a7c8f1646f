"""The MLLP listener on real sockets: order, half-closes, cuts, peers that starve or never read."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date
from typing import Any

import pytest

from ingest.accept import Answer, Receipt
from ingest.fairness import FairLimits, Fairness, Line
from ingest.lab import Lab, LabLimits, Peer
from ingest.listener import ListenerLimits, MllpListener
from ops.runtime.metrics import METRICS

FRAME = b"\x0b%b\x1c\r"


class Echo:
    """An acceptor that answers each message with itself, when the test lets it."""

    def __init__(self) -> None:
        self.received: list[bytes] = []
        self.held: list[tuple[bytes, asyncio.Future[Answer]]] = []
        self.holds = False
        self.in_doubt = False

    def receive(self, raw: bytes, peer: Peer | None = None, line: Line | None = None) -> Receipt:
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
        self.echo: Echo = Echo()
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


async def test_thousands_of_small_frames_in_one_packet_are_answered_and_others_come_between(
    door: Door,
) -> None:
    reader, writer = await door.connect()
    honest_reader, honest = await door.connect()
    writer.write((FRAME % b"MSH|") * 5_000)
    honest.write(FRAME % b"MSH|honest")
    assert await read_answers(honest_reader, 1) == [b"MSH|honest"]
    assert door.echo.received.index(b"MSH|honest") < 5_000
    assert await read_answers(reader, 5_000) == [b"MSH|"] * 5_000
    writer.close()
    honest.close()


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


async def test_large_frames_take_turns_and_each_is_taken() -> None:
    limits = ListenerLimits(large_frame_bytes=1_024, large_frames=1, turn_bytes=2_048)
    made = Door(limits)
    await made.listener.start("127.0.0.1", 0)
    frames = [FRAME % (b"MSH|%d|" % number + b"x" * 300_000) for number in range(6)]
    peers = [await made.connect() for _ in frames]
    for (_, writer), frame in zip(peers, frames, strict=True):
        writer.write(frame)
    small_reader, small = await made.connect()
    small.write(FRAME % b"MSH|small")
    assert await read_answers(small_reader, 1) == [b"MSH|small"]
    for (reader, writer), frame in zip(peers, frames, strict=True):
        async with asyncio.timeout(30):
            assert await reader.readexactly(len(frame)) == frame
        writer.close()
    small.close()
    await until(lambda: not made.listener._connections)
    assert len(made.listener.room) == 0
    await made.listener.stop(1.0)


# ---------------------------------------------------------------------------- fairness


class LabEcho(Echo):
    """An acceptor that knows laboratories by the second field and holds them to their limits."""

    def __init__(self, fairness: Fairness, limits: dict[int, LabLimits]) -> None:
        super().__init__()
        self.fairness = fairness
        self.limits = limits

    def receive(self, raw: bytes, peer: Peer | None = None, line: Line | None = None) -> Receipt:
        assert line is not None
        number = int(raw.split(b"|")[1])
        limits = self.limits.get(number, LabLimits())
        lab, now = Lab(lab_id=number, registry_id=f"LAB{number}", limits=limits), time.monotonic()
        denial = self.fairness.admit(lab, line, now)
        denial = denial or self.fairness.ask(lab, line, now, lambda: date(2026, 3, 9))
        if denial is not None:
            said = Answer(parts=(denial.reason.encode(),), hang_up=denial.hang_up)
            return Receipt(said)
        return super().receive(raw, peer, line)


@asynccontextmanager
async def fair_door(
    limits: ListenerLimits | None = None,
    fair: FairLimits | None = None,
    labs: dict[int, LabLimits] | None = None,
) -> AsyncIterator[Door]:
    made = Door(limits or ListenerLimits())
    fairness = Fairness(fair)
    made.echo = LabEcho(fairness, labs or {})
    made.listener = MllpListener(made.echo, made.listener.limits, fairness)
    await made.listener.start("127.0.0.1", 0)
    yield made
    await made.listener.stop(1.0)


async def test_a_connection_over_its_rate_waits_and_its_neighbours_go_on() -> None:
    fair = FairLimits(pause_seconds=3_600.0)
    async with fair_door(fair=fair, labs={1: LabLimits(rate_per_second=100.0, burst=40)}) as door:
        quiet, quiet_writer = await door.connect()
        quiet_writer.write(FRAME % b"MSH|1|first")
        assert await read_answers(quiet, 1) == [b"MSH|1|first"]
        flood, flood_writer = await door.connect()
        flood_writer.write(b"".join(FRAME % b"MSH|1|%d" % number for number in range(500)))
        await until(lambda: b"MSH|1|0" in door.echo.received)
        answers: list[bytes] = []
        while b"rate_limited" not in answers:
            answers += await read_answers(flood, 1)
        taken = len(door.echo.received)
        for number in range(5):
            quiet_writer.write(FRAME % b"MSH|1|quiet %d" % number)
            assert await read_answers(quiet, 1) == [b"MSH|1|quiet %d" % number]
        assert len(door.echo.received) == taken + 5  # of the flood nothing more was taken
        for writer in (quiet_writer, flood_writer):
            writer.close()


async def test_a_connection_that_waited_is_read_again() -> None:
    fair = FairLimits(pause_seconds=0.05)
    limits = {1: LabLimits(rate_per_second=100.0, burst=1)}
    async with fair_door(fair=fair, labs=limits) as door:
        reader, writer = await door.connect()
        writer.write(b"".join(FRAME % b"MSH|1|%d" % number for number in range(20)))
        answers = await read_answers(reader, 20)
        assert b"rate_limited" in answers
        assert len([each for each in answers if each != b"rate_limited"]) > 1
        writer.close()


async def test_one_connection_too_many_is_told_so_and_then_closed() -> None:
    async with fair_door(fair=FairLimits(max_connections=2)) as door:
        held = [await door.connect() for _ in range(2)]
        for reader, writer in held:
            writer.write(FRAME % b"MSH|1|")
            assert await read_answers(reader, 1) == [b"MSH|1|"]
        reader, writer = await door.connect()
        writer.write(FRAME % b"MSH|1|" + FRAME % b"MSH|1|")
        assert await read_answers(reader, 1) == [b"connection_limit_reached"]
        assert await is_closed(reader)
        writer.close()
        other, other_writer = await door.connect()
        other_writer.write(FRAME % b"MSH|2|")
        assert await read_answers(other, 1) == [b"MSH|2|"]
        other_writer.close()
        for _, each in held:
            each.close()
        await until(lambda: not door.listener._connections)
        reader, writer = await door.connect()
        writer.write(FRAME % b"MSH|1|again")
        assert await read_answers(reader, 1) == [b"MSH|1|again"]
        writer.close()


async def test_a_laboratorys_window_holds_its_connections_and_nobody_elses() -> None:
    async with fair_door(fair=FairLimits(window_frames=4)) as door:
        door.echo.holds = True
        peers = [await door.connect() for _ in range(3)]
        # Each has made itself known, so that its laboratory's window holds it from here on.
        for reader, writer in peers:
            writer.write(FRAME % b"MSH|1|hello")
            await until(lambda: door.echo.held)
            door.echo.let_go()
            await read_answers(reader, 1)
        before = len(door.echo.received)
        for number, (_, writer) in enumerate(peers):
            frames = (FRAME % b"MSH|1|%d.%d" % (number, each) for each in range(30))
            writer.write(b"".join(frames))
        other, other_writer = await door.connect()
        other_writer.write(FRAME % b"MSH|2|")
        await until(lambda: b"MSH|2|" in door.echo.received)
        await until(lambda: len(door.echo.received) == before + 4 + 1)
        got: list[list[bytes]] = [[], [], []]
        while sum(map(len, got)) < 90:
            await until(lambda: door.echo.held)
            assert len([raw for raw, _ in door.echo.held if b"|1|" in raw]) <= 4
            ready = [raw for raw, _ in door.echo.held if b"|1|" in raw]
            door.echo.let_go()
            for raw in ready:
                number = int(raw.split(b"|")[2].split(b".")[0])
                got[number] += await read_answers(peers[number][0], 1)
        for number, answers in enumerate(got):
            assert answers == [b"MSH|1|%d.%d" % (number, each) for each in range(30)]
        assert await read_answers(other, 1) == [b"MSH|2|"]
        for _, writer in [*peers, (other, other_writer)]:
            writer.close()


async def test_many_messages_in_one_packet_leave_others_their_turn() -> None:
    limits = ListenerLimits(turn_frames=2, window_frames=500)
    async with fair_door(limits) as door:
        flood, flood_writer = await door.connect()
        reader, writer = await door.connect()
        for each_reader, each_writer, name in ((flood, flood_writer, b"1"), (reader, writer, b"2")):
            each_writer.write(FRAME % b"MSH|%b|hello" % name)
            assert await read_answers(each_reader, 1) == [b"MSH|%b|hello" % name]
        frames = [b"MSH|1|%d" % number for number in range(500)]
        flood_writer.write(b"".join(FRAME % frame for frame in frames))
        await until(lambda: b"MSH|1|0" in door.echo.received)
        writer.write(FRAME % b"MSH|2|honest")
        assert await read_answers(reader, 1) == [b"MSH|2|honest"]
        assert await read_answers(flood, 500) == frames
        for each in (flood_writer, writer):
            each.close()


async def test_a_peer_that_goes_while_its_laboratory_is_full_leaves_its_place() -> None:
    async with fair_door(fair=FairLimits(window_frames=2)) as door:
        door.echo.holds = True
        peer = socket.create_connection(("127.0.0.1", door.listener.port))
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        peer.sendall(FRAME % b"MSH|1|a" + FRAME % b"MSH|1|b")
        await until(lambda: len(door.echo.held) == 2)
        share = next(iter(door.listener.fairness._shares.values()))
        assert share.in_flight == 2
        peer.close()
        await until(lambda: not door.listener._connections)
        assert share.in_flight == 2  # the log has them still
        door.echo.let_go()
        await until(lambda: share.in_flight == 0)
        assert share.connections == 0


async def test_who_connects_too_fast_waits_in_the_backlog_and_is_taken_later() -> None:
    def pauses() -> float:
        return float(METRICS.limit_hits.labels("accept_rate")._value.get())

    before = pauses()
    async with fair_door(ListenerLimits(accepts_per_second=20.0)) as door:
        peers = [await door.connect() for _ in range(30)]
        for reader, writer in peers:
            writer.write(FRAME % b"MSH|1|")
            assert await read_answers(reader, 1) == [b"MSH|1|"]
        assert pauses() > before
        for _, writer in peers:
            writer.close()
