"""Peers that mean harm, or are broken: slow, silent, deaf, resetting, oversize, in clear text.

`crowd` runs in the caller's loop; `python -m tests.support.hostile` runs one as a process of its
own: an `Order` as JSON on standard input, a line when all have begun, a `Toll` after SIGTERM.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import ssl
import struct
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Final, cast

import msgspec
import uvloop

_RESET: Final = struct.pack("ii", 1, 0)
_BAD: Final = b"\x0bMSH|^~\\&|x|NOBODY|y|z|20260306||ORU^R01|1|T|2.5.1\r\x1c\r"
_CHUNK: Final = b"x" * 65_536


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """Who the crowd attacks, and as whom."""

    port: int
    peers: int
    ca: str
    cert: str
    """Of a laboratory: most of these peers have a certificate that is good."""
    key: str
    bad_cert: str
    bad_key: str
    oversize_bytes: int = 9 * 1024 * 1024
    kinds: tuple[str, ...] = ()
    """Which of them; none named: all, one after the other."""
    pause_seconds: float = 1.0
    """Between one attempt of a peer and its next."""


class Toll(msgspec.Struct, frozen=True, kw_only=True):
    """How often each kind tried, and how often it could open its connection at all."""

    attempts: dict[str, int]
    opened: dict[str, int]


class _Ground:
    """What the peers of one crowd share."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self.attempts: Counter[str] = Counter()
        self.opened: Counter[str] = Counter()
        self.good = self._context(order.cert, order.key)
        self.bad = self._context(order.bad_cert, order.bad_key)
        self.none = self._context("", "")

    def _context(self, cert: str, key: str) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.order.ca)
        if cert:
            context.load_cert_chain(cert, key)
        return context

    async def open(
        self, context: ssl.SSLContext | None
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        raw = socket.socket()
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        raw.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(raw, ("127.0.0.1", self.order.port))
        except BaseException:
            raw.close()
            raise
        name = "localhost" if context is not None else None
        return await asyncio.open_connection(sock=raw, ssl=context, server_hostname=name)


Kind = Callable[[_Ground, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def _slow(_: _Ground, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A frame of one byte a second."""
    for byte in _BAD:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(1)


async def _silent(_: _Ground, reader: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
    """Nothing at all, until the other side has had enough."""
    await reader.read()


async def _deaf(_: _Ground, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Messages, and no answer is ever read."""
    transport = cast("asyncio.Transport", writer.transport)
    transport.pause_reading()
    for _number in range(300):
        writer.write(_BAD)
        await writer.drain()
        await asyncio.sleep(0.1)


async def _resetting(_: _Ground, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Half a frame, then a reset."""
    writer.write(_BAD + _BAD[:20])
    await writer.drain()
    raw = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()


async def _oversize(
    ground: _Ground, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """A frame that is larger than any may be, and its answer."""
    writer.write(_BAD[:-2])
    for _number in range(ground.order.oversize_bytes // len(_CHUNK) + 1):
        writer.write(_CHUNK)
        await writer.drain()
    writer.write(b"\x1c\r")
    await reader.readuntil(b"\x1c\r")


async def _talking(_: _Ground, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Clear text where a handshake belongs."""
    writer.write(_BAD)
    await reader.read()


_KINDS: Final[tuple[tuple[str, str, Kind], ...]] = (
    ("slow", "good", _slow),
    ("half-open", "clear", _silent),
    ("silent", "good", _silent),
    ("deaf", "good", _deaf),
    ("resetting", "good", _resetting),
    ("oversize", "good", _oversize),
    ("no-certificate", "none", _silent),
    ("other-authority", "bad", _silent),
    ("clear-text", "clear", _talking),
    ("garbage", "clear", _talking),
)
KINDS: Final = tuple(name for name, _, _ in _KINDS)


async def crowd(order: Order, stopping: asyncio.Event, begun: asyncio.Event) -> Toll:
    """Attack until told to stop; `begun` once every peer has tried at least once."""
    ground = _Ground(order)
    kinds = [each for each in _KINDS if not order.kinds or each[0] in order.kinds]
    first: set[int] = set()

    def tried(number: int) -> None:
        first.add(number)
        if len(first) == order.peers:
            begun.set()

    async def one(number: int) -> None:
        name, proof, act = kinds[number % len(kinds)]
        context = {"good": ground.good, "none": ground.none, "bad": ground.bad, "clear": None}[
            proof
        ]
        while True:
            writer: asyncio.StreamWriter | None = None
            ground.attempts[name] += 1
            try:
                reader, writer = await ground.open(context)
                ground.opened[name] += 1
                tried(number)
                await act(ground, reader, writer)
            except (OSError, TimeoutError, asyncio.IncompleteReadError):
                pass  # that is what it asked for
            finally:
                tried(number)
                if writer is not None:
                    writer.transport.abort()
                    with contextlib.suppress(OSError):
                        await writer.wait_closed()
            await asyncio.sleep(order.pause_seconds)

    tasks = [asyncio.ensure_future(one(number)) for number in range(order.peers)]
    await stopping.wait()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return Toll(attempts=dict(ground.attempts), opened=dict(ground.opened))


async def _main() -> None:
    order = msgspec.json.decode(sys.stdin.buffer.read(), type=Order)
    stopping, begun = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stopping.set)
    # What uvloop says of a connection that was cut under its session is what was meant.
    loop.set_exception_handler(lambda _loop, _context: None)
    running = asyncio.ensure_future(crowd(order, stopping, begun))
    await begun.wait()
    print("begun", flush=True)
    print(msgspec.json.encode(await running).decode(), flush=True)


if __name__ == "__main__":
    uvloop.run(_main())
