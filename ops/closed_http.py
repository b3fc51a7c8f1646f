"""The HTTP port while the api process cannot open yet: 503 with `Retry-After`, nothing is taken.

It needs neither register nor log. The port is bound from the start on, and is the same one that
the real application gets: no request falls between the two.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import msgspec

from ops.closed_door import REASON, REMEDY
from ops.problems import PROBLEM, Problem
from ops.runtime.logs import get_logger
from ops.runtime.metrics import METRICS, render
from ops.runtime.settings import Settings
from ops.runtime.tls import TlsMaterial
from ops.serving import http_tls, serve_http
from schemas.errors import HubError

_log = get_logger(__name__)

_RETRY_SECONDS: Final = 5
_STOP_SECONDS: Final = 2.0
_DRAIN_BYTES: Final = 16 * 1024 * 1024
_DRAIN_SECONDS: Final = 5.0
_TEXT: Final = b"text/plain; charset=utf-8"
_ANSWER: Final = msgspec.json.encode(
    Problem(
        type=f"urn:labdispatch:problem:{REASON}",
        title=REASON,
        status=503,
        detail="the hub waits for its database or its log: keep the message and send it again",
    )
)


async def closed_application(scope: Any, receive: Any, send: Any) -> None:
    """Answer 503 to everything but `/healthz` and `/metrics` (ASGI)."""
    if scope["type"] == "lifespan":
        await _live(receive, send)
        return
    if scope["type"] != "http":
        return
    path = scope["path"]
    if path == "/healthz":
        await _answer(send, 200, _TEXT, b"ok\n")
    elif path == "/metrics":
        await _answer(send, 200, b"text/plain; version=0.0.4", render())
    elif path == "/readyz":
        await _answer(send, 503, _TEXT, b"not ready: it waits for its database or its log\n")
    else:
        await _drained(receive)
        METRICS.api_requests.labels("closed", "503").inc()
        await _answer(send, 503, PROBLEM.encode(), _ANSWER)


class Refusing:
    """Serves the closed application after a while; `end` gives the port to the real one.

    Args:
        settings: Bounds.
        listening: The port; it stays open.
        material: Of a port that speaks TLS. Nobody has to prove who he is: nothing is taken.
    """

    def __init__(
        self, settings: Settings, listening: socket.socket, material: TlsMaterial | None
    ) -> None:
        self._settings = settings
        self._listening = listening
        self._material = material
        self._ended = asyncio.Event()
        self._task = asyncio.create_task(self._serve())

    async def end(self) -> None:
        """Answer what was asked, and stop."""
        self._ended.set()
        with contextlib.suppress(HubError):  # the real application will say it
            await self._task

    async def _serve(self) -> None:
        settings = self._settings
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(settings.log_away_seconds):
                await self._ended.wait()
                return
        METRICS.door_closed.set(1)
        _log.error("door_closed", reason=REASON, remedy=REMEDY)
        await serve_http(
            closed_application,
            self._listening.dup(),
            self._ended,
            shutdown_seconds=_STOP_SECONDS,
            tls=None if self._material is None else http_tls(settings, self._material),
        )


@asynccontextmanager
async def refusing_meanwhile(
    settings: Settings, listening: socket.socket, material: TlsMaterial | None
) -> AsyncIterator[Refusing]:
    """Answer 503 while the block opens what the api process needs, if that takes long."""
    meanwhile = Refusing(settings, listening, material)
    try:
        yield meanwhile
    finally:
        await meanwhile.end()


async def _live(receive: Any, send: Any) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


async def _drained(receive: Any) -> None:
    """Read what is on its way, within bounds: a reset would overtake the answer."""
    left = _DRAIN_BYTES
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_DRAIN_SECONDS):
            while left > 0:
                message = await receive()
                left -= len(message.get("body", b""))
                if message["type"] != "http.request" or not message.get("more_body"):
                    return


async def _answer(send: Any, status: int, kind: bytes, body: bytes) -> None:
    headers = [
        (b"content-type", kind),
        (b"content-length", b"%d" % len(body)),
        # Whoever asks again is to ask the real application.
        (b"connection", b"close"),
    ]
    if status == 503:
        headers.append((b"retry-after", b"%d" % _RETRY_SECONDS))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
