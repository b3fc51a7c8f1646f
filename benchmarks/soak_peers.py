"""Those beside the laboratories in a long run: a reader, a follower, receivers, a scraper."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

from benchmarks.reader import Outbox, keys_of
from benchmarks.soak_load import Laboratories

_POLL_SECONDS: Final = 0.01
_ANSWER: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


class Receiver:
    """A webhook that takes everything."""

    def __init__(self) -> None:
        self.taken = 0
        self.port = 0

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Listen for a block."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]
                await reader.readexactly(int(length or 0))
                self.taken += 1
                writer.write(_ANSWER)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the run is over, or push opens another connection when it needs one
        finally:
            writer.close()


class Follower:
    """Follows a stream over HTTP; opens anew where it ended, which is counted."""

    def __init__(self, port: int, stream: str, token: str) -> None:
        self._port = port
        self._ask = (
            f"GET /v1/streams/{stream}?follow=true&after=end HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"Authorization: Bearer {token}\r\n\r\n"
        ).encode()
        self.bytes = 0
        self.opened = 0

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            self.opened += 1
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
                writer.write(self._ask)
                try:
                    while got := await reader.read(1 << 16):
                        self.bytes += len(got)
                finally:
                    writer.close()
            except OSError:
                pass  # the door is away for a moment
            await asyncio.sleep(1)


async def scraped(port: int, path: str, token: str = "") -> tuple[int, int, float]:
    """Ask for a page; return its status, its size and how long it took."""
    began = time.monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        bearer = f"Authorization: Bearer {token}\r\n" if token else ""
        writer.write(
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{bearer}Connection: close\r\n\r\n".encode()
        )
        answer = await reader.read(-1)
    finally:
        writer.close()
    return int(answer.split(b" ", 2)[1]), len(answer), time.monotonic() - began


class Reader:
    """Reads the dossier as it grows: when was what a laboratory sent there for a reader."""

    def __init__(self, source: Outbox, laboratories: Laboratories) -> None:
        self._source = source
        self._laboratories = laboratories
        self.readable: list[float] = []
        """Seconds from due to readable since somebody last took them."""
        self.events = 0

    async def run(self) -> None:
        """Read until cancelled."""
        unread = self._laboratories.unread
        while True:
            bodies = await self._source.next()
            now = time.monotonic()
            self.events += len(bodies)
            for body in bodies:
                for key in keys_of(body) if body is not None else ():
                    due = unread.pop(key, None)
                    if due is not None:
                        self.readable.append(now - due.due_at)
            if not bodies:
                await asyncio.sleep(_POLL_SECONDS)


@asynccontextmanager
async def running(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run something beside a block; what ended it early ends the block too."""
    task = asyncio.ensure_future(work)
    try:
        yield
        if task.done():
            task.result()
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
