"""HTTP: results in, streams out, health and figures. One Litestar application.

Errors are problem+json (RFC 9457) with the next step in `detail`; none holds a value of a message.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Annotated, Any, Final

import msgspec
from litestar import Litestar, MediaType, Request, Response, get, post
from litestar.exceptions import HTTPException
from litestar.openapi import OpenAPIConfig
from litestar.params import FromPath, QueryParameter
from litestar.response import Stream as StreamingResponse
from litestar.types import ControllerRouterHandler

from ingest.accept import Acceptor
from ops.check_routes import Checker, CheckLimits, check_route
from ops.findings_api import findings_routes
from ops.problems import http_problem, hub_problem
from ops.register.routes import ReadConformance, conformance_routes
from ops.runtime.metrics import METRICS, render
from ops.tokens import is_valid
from routing.streams import StreamReader, encode_line
from schemas.errors import HubError, TransientError
from schemas.topics import Stream

ER7: Final = "application/hl7-v2+er7"
NDJSON: Final = "application/x-ndjson"
_PAGE: Final = 500
_MAX_LIMIT: Final = 100_000

HttpRequest = Request[Any, Any, Any]


class ApiParts(msgspec.Struct, frozen=True, kw_only=True):
    """What the routes need; made by the composition root."""

    acceptor: Acceptor
    reader: StreamReader
    tokens: dict[str, str]
    read_conformance: ReadConformance
    max_body_bytes: int
    more_routes: list[ControllerRouterHandler] = []
    """Routes of other doors (files)."""
    not_ready: Callable[[], Awaitable[list[str]]]
    """Names what is not ready; empty when all is."""


def build_api(parts: ApiParts) -> Litestar:
    """Return the application with all routes and the OpenAPI page at /docs."""
    return Litestar(
        route_handlers=[
            _messages(parts),
            check_route(Checker(CheckLimits(body_bytes=parts.max_body_bytes))),
            _streams(parts),
            *findings_routes(),
            *conformance_routes(parts.read_conformance, parts.tokens),
            *_operations(parts),
            *parts.more_routes,
        ],
        openapi_config=OpenAPIConfig(
            title="labdispatch",
            version="1",
            description="Real-time dispatch of laboratory results.",
            path="/docs",
        ),
        request_max_body_size=parts.max_body_bytes,
        exception_handlers={HubError: hub_problem, HTTPException: http_problem},
        logging_config=None,
        debug=False,
    )


def _messages(parts: ApiParts) -> ControllerRouterHandler:
    @post("/v1/messages", status_code=200, media_type=ER7, summary="Send one HL7 v2 message")
    async def post_message(request: HttpRequest) -> Response[bytes]:
        """Take one ER7 message; the body of the answer is its ACK.

        The same checks and the same verdict as over MLLP. 200 with any verdict but an AR that may
        be sent again, with Retry-After: 503 for want of storage, 429 where the laboratory sends
        more than it may. 415 for another content type.
        """
        given = request.headers.get("content-type", "").split(";")[0].strip().lower()
        if given != ER7:
            raise HTTPException(status_code=415, detail=f"send Content-Type: {ER7}")
        receipt = parts.acceptor.receive(_unframed(await request.body()))
        answer = await receipt.wait()
        if answer.close:
            raise TransientError("append_unknown", "send the same message again")
        status, headers = 200, {}
        if answer.try_again:
            status = 429 if answer.is_over_limit else 503
            headers = {"Retry-After": str(answer.retry_after_seconds)}
        METRICS.api_requests.labels("messages", str(status)).inc()
        return Response(b"".join(answer.parts), media_type=ER7, status_code=status, headers=headers)

    return post_message


def _streams(parts: ApiParts) -> ControllerRouterHandler:
    @get("/v1/streams/{name:str}", media_type=NDJSON, summary="Read a stream as NDJSON")
    async def get_stream(
        request: HttpRequest,
        name: FromPath[str],
        after: Annotated[
            str, QueryParameter(description="The `cursor` of the last line read.")
        ] = "",
        limit: Annotated[
            int, QueryParameter(ge=1, le=_MAX_LIMIT, description="The most lines of this answer.")
        ] = 1_000,
    ) -> StreamingResponse:
        """Return events after `after`, one a line, each with the cursor to read on from.

        Empty when there is nothing new. A cursor holds across restarts. Needs the stream's bearer
        token (`tokens.json` in the data folder).
        """
        stream = _known_stream(name)
        _authorise(parts.tokens, stream, request.headers.get("authorization", ""))
        first = await parts.reader.read_page(stream, after or None, min(limit, _PAGE))
        METRICS.api_requests.labels("streams", "200").inc()

        async def lines() -> AsyncIterator[bytes]:
            page, left = first, limit
            while page:
                METRICS.stream_events_served.labels(stream.value).inc(len(page))
                yield b"".join(encode_line(event) for event in page)
                left -= len(page)
                if left <= 0:
                    return
                cursor = str(page[-1].cursor)
                page = await parts.reader.read_page(stream, cursor, min(left, _PAGE))

        return StreamingResponse(lines, media_type=NDJSON)

    return get_stream


def _operations(parts: ApiParts) -> list[ControllerRouterHandler]:
    @get("/healthz", media_type=MediaType.TEXT, summary="Is the process alive")
    async def healthz() -> str:
        """Answer `ok` as long as the process answers at all."""
        return "ok\n"

    @get("/readyz", media_type=MediaType.TEXT, summary="Can the hub take and give results")
    async def readyz() -> Response[str]:
        """Answer 200, or 503 with the names of what is not ready."""
        missing = await parts.not_ready()
        if missing:
            return Response(
                "not ready: " + ", ".join(missing) + "\n",
                status_code=503,
                media_type=MediaType.TEXT,
            )
        return Response("ready\n", media_type=MediaType.TEXT)

    @get("/metrics", media_type="text/plain; version=0.0.4", summary="Figures of all processes")
    async def metrics() -> bytes:
        """Answer Prometheus text: of `run`, the figures of all its processes."""
        return render()

    return [healthz, readyz, metrics]


def _unframed(body: bytes) -> bytes:
    """Take MLLP framing off a body whose sender put it on."""
    if body[:1] == b"\x0b":
        body = body[1:]
    return body.removesuffix(b"\x1c\r").removesuffix(b"\x1c")


def _known_stream(name: str) -> Stream:
    try:
        return Stream(name)
    except ValueError:
        names = ", ".join(stream.value for stream in Stream)
        raise HTTPException(status_code=404, detail=f"the streams are {names}") from None


def _authorise(tokens: dict[str, str], stream: Stream, header: str) -> None:
    scheme, _, given = header.partition(" ")
    if scheme.lower() != "bearer" or not given:
        raise HTTPException(
            status_code=401,
            detail="send Authorization: Bearer TOKEN; tokens.json in the data folder has one a"
            " stream",
            headers={"WWW-Authenticate": "Bearer"},
        )
    if not is_valid(tokens, stream.value, given.strip()):
        raise HTTPException(status_code=403, detail=f"this token is not one for {stream.value}")
