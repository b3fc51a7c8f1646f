"""HTTP: results in, streams out, health and figures. One Litestar application.

Errors are problem+json (RFC 9457) with the next step in `detail`; none holds a value of a message.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Annotated, Any, Final

import msgspec
from litestar import Litestar, MediaType, Request, Response, get
from litestar.exceptions import HTTPException
from litestar.params import FromPath, QueryParameter
from litestar.response import Stream as StreamingResponse
from litestar.types import ControllerRouterHandler

from ops.check_routes import Checker, CheckLimits, check_route
from ops.contracts.routes import docs_config
from ops.findings_api import findings_routes
from ops.message_route import MessageDoor, message_route
from ops.problems import http_problem, hub_problem
from ops.register.access import Gate
from ops.register.credential_routes import credential_routes
from ops.register.lab_routes import Desk, lab_routes
from ops.register.routes import ReadConformance, conformance_routes
from ops.runtime.health import Readiness
from ops.runtime.metrics import METRICS, render
from ops.stream_tokens.port import StreamAccess
from ops.tokens import is_valid
from routing.streams import StreamReader, encode_line
from schemas.errors import HubError
from schemas.topics import Stream

NDJSON: Final = "application/x-ndjson"
_PAGE: Final = 500
_MAX_LIMIT: Final = 100_000

HttpRequest = Request[Any, Any, Any]


class ApiParts(msgspec.Struct, frozen=True, kw_only=True):
    """What the routes need; made by the composition root."""

    messages: MessageDoor
    reader: StreamReader
    tokens: dict[str, str]
    read_conformance: ReadConformance
    max_body_bytes: int
    more_routes: list[ControllerRouterHandler] = []
    """Routes of other doors (files)."""
    access: StreamAccess | None = None
    """Says who may read a stream; None: no stream is served."""
    readiness: Callable[[], Awaitable[Readiness]]
    """Names what is away."""
    desk: Desk | None = None
    """Of the register; None: it is not served."""


def build_api(parts: ApiParts) -> Litestar:
    """Return the application with all routes and the OpenAPI page at /docs."""
    desk = parts.desk
    gate = desk.gate if desk is not None else Gate(tokens=parts.tokens)
    return Litestar(
        route_handlers=[
            message_route(parts.messages),
            check_route(Checker(CheckLimits(body_bytes=parts.max_body_bytes))),
            _streams(parts),
            *findings_routes(),
            *conformance_routes(parts.read_conformance, gate),
            *((lab_routes(desk) + credential_routes(desk)) if desk is not None else ()),
            *_operations(parts),
            *parts.more_routes,
        ],
        openapi_config=docs_config(),
        request_max_body_size=parts.max_body_bytes,
        exception_handlers={HubError: hub_problem, HTTPException: http_problem},
        logging_config=None,
        debug=False,
    )


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
            while page.events:
                METRICS.stream_events_served.labels(stream.value).inc(len(page.events))
                yield b"".join(encode_line(event) for event in page.events)
                left -= len(page.events)
                if left <= 0:
                    return
                page = await parts.reader.read_page(stream, page.cursor, min(left, _PAGE))

        return StreamingResponse(lines, media_type=NDJSON)

    return get_stream


def _operations(parts: ApiParts) -> list[ControllerRouterHandler]:
    @get("/healthz", media_type=MediaType.TEXT, summary="Is the process alive")
    async def healthz() -> str:
        """Answer `ok` as long as the process answers at all."""
        return "ok\n"

    @get("/readyz", media_type=MediaType.TEXT, summary="Can the hub take messages")
    async def readyz() -> Response[str]:
        """Answer 200 while messages can be taken, else 503; name what is away in both cases."""
        found = await parts.readiness()
        if found.missing:
            return Response(
                f"not ready: {', '.join(found.missing + found.without)}\n",
                status_code=503,
                media_type=MediaType.TEXT,
            )
        without = f", without {', '.join(found.without)}" if found.without else ""
        return Response(f"ready{without}\n", media_type=MediaType.TEXT)

    @get("/metrics", media_type="text/plain; version=0.0.4", summary="Figures of all processes")
    async def metrics() -> bytes:
        """Answer Prometheus text: of `run`, the figures of all its processes."""
        return render()

    return [healthz, readyz, metrics]


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
