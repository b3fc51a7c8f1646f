"""How large a request may be: said before the body is read where its length is, else as it comes.

The answer is 413 in both cases, and it arrives: what is still on its way is read and let go,
within bounds. A socket that is closed with unread bytes resets, and the reset overtakes the answer.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

import msgspec

from ops.runtime.metrics import METRICS

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Any, Any, Any], Awaitable[None]]

_DRAIN_BYTES: Final = 64 * 1024 * 1024
_DRAIN_SECONDS: Final = 5.0


class BodyLimit:
    """An ASGI application that passes on requests up to a size.

    Args:
        application: What they are passed to.
        max_bytes: The largest body.
        paths: Whose bodies are watched; others pass (a route may read its body as a stream).
        body_seconds: The longest a body may take; then 408.
    """

    def __init__(
        self,
        application: Application,
        *,
        max_bytes: int,
        paths: frozenset[str],
        body_seconds: float = 30.0,
    ) -> None:
        self._paths = paths
        self._application = application
        self._max_bytes = max_bytes
        self._body_seconds = body_seconds

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or scope["path"].rstrip("/") not in self._paths:
            await self._application(scope, receive, send)
            return
        headers = dict(scope["headers"])
        length = headers.get(b"content-length", b"")
        if length.isdigit() and int(length) > self._max_bytes:
            await self._refuse(send, receive, is_waiting=b"expect" in headers)
        elif b"transfer-encoding" in headers or length not in {b"", b"0"}:
            await self._read_first(scope, receive, send)
        else:
            await self._application(scope, receive, send)

    async def _read_first(
        self, scope: MutableMapping[str, Any], receive: Receive, send: Send
    ) -> None:
        """Read a body, up to the limits of size and time, and pass it on in one piece."""
        body = bytearray()
        is_more = True
        try:
            async with asyncio.timeout(self._body_seconds):
                while is_more:
                    message = await receive()
                    if message["type"] != "http.request":
                        return  # who sent it is gone
                    body += message.get("body", b"")
                    is_more = message.get("more_body", False)
                    if len(body) > self._max_bytes:
                        body.clear()
                        await self._refuse(send, receive, is_waiting=not is_more)
                        return
        except TimeoutError:
            await _answer(send, 408, "the body took too long: send it faster, or with its length")
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        whole = bytes(body)
        given = False

        async def replay() -> Message:
            nonlocal given
            if given:
                return await receive()
            given = True
            return {"type": "http.request", "body": whole, "more_body": False}

        await self._application(scope, replay, send)

    async def _refuse(self, send: Send, receive: Receive, *, is_waiting: bool) -> None:
        METRICS.limit_hits.labels("body").inc()
        await _answer(send, 413, f"a body of at most {self._max_bytes} bytes is taken")
        if not is_waiting:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_DRAIN_SECONDS):
                    await _let_go(receive)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _let_go(receive: Receive) -> None:
    left = _DRAIN_BYTES
    while left > 0:
        message = await receive()
        left -= len(message.get("body", b""))
        if not message.get("more_body", False):
            return


async def _answer(send: Send, status: int, detail: str) -> None:
    """Write the whole answer, and leave it open: the client has it before the rest is read."""
    METRICS.api_requests.labels("error", str(status)).inc()
    body = msgspec.json.encode(
        {"type": "about:blank", "title": f"HTTP {status}", "status": status, "detail": detail}
    )
    headers = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", b"%d" % len(body)),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": True})
