"""The road between hub and PostgreSQL, on which packets can be made late.

A socket in a folder of its own, beside the server's; what comes is handed on byte for byte, in
order. Each packet waits `delay_seconds` in each direction: latency is added, nothing is lost, and
as much can be under way as before.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from pathlib import Path
from typing import Final

PORT: Final = 5432
_PIECE_BYTES: Final = 64 * 1024
_START_SECONDS: Final = 10.0


class SlowRoad:
    """Hands connections on to a server's socket.

    Args:
        folder: For the socket; short, since a socket's path holds 107 bytes.
        server: The socket of the server.
    """

    def __init__(self, folder: Path, server: Path) -> None:
        folder.mkdir(mode=0o711)
        self.folder = folder
        self.delay_seconds = 0.0
        self._server = server
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="slow-road", daemon=True)
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Listen."""
        self._thread.start()
        assert self._ready.wait(_START_SECONDS)

    def stop(self) -> None:
        """Listen no more; connections end."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(_START_SECONDS)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        path = str(self.folder / f".s.PGSQL.{PORT}")
        listening = self._loop.run_until_complete(asyncio.start_unix_server(self._serve, path))
        self._ready.set()
        try:
            self._loop.run_forever()
        finally:
            listening.close()
            for task in list(asyncio.all_tasks(self._loop)):
                task.cancel()
            self._loop.run_until_complete(asyncio.sleep(0))
            self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_unix_connection(str(self._server))
        except OSError:
            writer.close()  # the server is away: so is its road
            return
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._hand_on(reader, back))
                group.create_task(self._hand_on(there, writer))
        except* (OSError, asyncio.CancelledError):
            pass
        finally:
            for each in (writer, back):
                with contextlib.suppress(OSError, RuntimeError):
                    each.close()

    async def _hand_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Hand on until the end; ends the other direction too by closing the writer."""
        held: deque[tuple[float, bytes]] = deque()
        news = asyncio.Event()

        async def late() -> None:
            while True:
                await news.wait()
                while held:
                    due, piece = held[0]
                    await asyncio.sleep(max(0.0, due - self._loop.time()))
                    held.popleft()
                    if not piece:
                        writer.close()
                        return
                    writer.write(piece)
                    await writer.drain()
                news.clear()

        writing = asyncio.create_task(late())
        try:
            while piece := await reader.read(_PIECE_BYTES):
                held.append((self._loop.time() + self.delay_seconds, piece))
                news.set()
        finally:
            held.append((self._loop.time(), b""))
            news.set()
            await writing
