"""How an answer that gives a stream goes out: head, pieces that must be read in time, end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, Final

import msgspec

from ops.body_limit import Receive, Send
from ops.codings import Coding, coder_of
from ops.runtime.metrics import METRICS
from ops.runtime.traces import TRACES
from routing.following import Chunk, Form
from schemas.topics import Stream

ABORT: Final = "labdispatch.abort"
"""In an ASGI scope: what cuts the connection at once (ops/serving.py)."""
MEDIA: Final[Mapping[Form, bytes]] = {
    "ndjson": b"application/x-ndjson",
    "sse": b"text/event-stream; charset=utf-8",
}

Scope = MutableMapping[str, Any]


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What a request asks for, once it may."""

    stream: Stream
    after: str | None
    limit: int | None
    """The most events; None: no bound."""
    follows: bool
    form: Form
    coding: Coding


class Unread(Exception):
    """The reader left what was sent unread for too long."""


class Out:
    """Sends one answer; begins it with the first thing it is given."""

    def __init__(self, send: Send, asked: Asked, unread_seconds: float) -> None:
        self.is_begun = False
        self.sent_at = asyncio.get_running_loop().time()
        self._send = send
        self._asked = asked
        self._unread_seconds = unread_seconds
        self._coder = coder_of(asked.coding)

    @property
    def silent_seconds(self) -> float:
        """For how long nothing was sent."""
        return asyncio.get_running_loop().time() - self.sent_at

    async def begin(self) -> None:
        """Send the head, once."""
        if self.is_begun:
            return
        self.is_begun = True
        METRICS.api_requests.labels("streams", "200").inc()
        headers = [
            (b"content-type", MEDIA[self._asked.form]),
            (b"cache-control", b"no-store"),
            (b"vary", b"accept, accept-encoding"),
            (b"x-accel-buffering", b"no"),
        ]
        if self._asked.coding != "identity":
            headers.append((b"content-encoding", self._asked.coding.encode()))
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})
        if self._asked.form == "sse":
            await self._text(b"retry: 2000\n\n")

    async def events(self, chunk: Chunk) -> None:
        """Send some events."""
        await self.begin()
        stream, count, began = self._asked.stream.value, len(chunk.events), time.perf_counter()
        METRICS.stream_events_served.labels(stream).inc(count)
        await self._body(self._coder.chunk(chunk, self._asked.form))
        if TRACES.is_on:
            seconds = time.perf_counter() - began
            TRACES.span_batch("read", seconds, (), events=count, stream=stream)

    async def cursor(self, cursor: str) -> None:
        """Say where to read on, and nothing else."""
        await self.begin()
        text = f"id: {cursor}\n\n" if self._asked.form == "sse" else f'{{"cursor":"{cursor}"}}\n'
        await self._text(text.encode())

    async def end(self) -> None:
        """End the answer in order."""
        await self.begin()
        await self._body(self._coder.end(), is_last=True)

    async def _text(self, text: bytes) -> None:
        await self._body(self._coder.text(text))

    async def _body(self, body: bytes, *, is_last: bool = False) -> None:
        """Send bytes; the one before them must have been taken.

        Raises:
            Unread: It was not, for too long.
        """
        message = {"type": "http.response.body", "body": body, "more_body": not is_last}
        try:
            async with asyncio.timeout(self._unread_seconds):
                await self._send(message)
        except TimeoutError:
            raise Unread from None
        self.sent_at = asyncio.get_running_loop().time()


async def until_gone(receive: Receive) -> None:
    """Wait until the reader has left."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def cut(scope: Scope, gone: asyncio.Future[None]) -> None:
    """Cut a connection whose reader does not read: its place and what it holds are free at once."""
    abort: Callable[[], None] | None = scope.get(ABORT)
    if abort is not None:
        abort()
        await asyncio.wait({gone}, timeout=1.0)
