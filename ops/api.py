"""HTTP: results in, streams out, health and figures. One Litestar application.

Errors are problem+json (RFC 9457) with the next step in `detail`; none holds a value of a message.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
from litestar import Litestar, MediaType, Response, get
from litestar.exceptions import HTTPException
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
from ops.runtime.metrics import Told, render
from ops.stream_reply import StreamDoor
from ops.streams_api import stream_routes
from schemas.errors import HubError


class ApiParts(msgspec.Struct, frozen=True, kw_only=True):
    """What the routes need; made by the composition root."""

    messages: MessageDoor
    tokens: dict[str, str]
    read_conformance: ReadConformance
    max_body_bytes: int
    more_routes: list[ControllerRouterHandler] = []
    """Routes of other doors (files)."""
    streams: StreamDoor | None = None
    """Reads streams; None: none is served."""
    readiness: Callable[[], Awaitable[Readiness]]
    """Names what is away."""
    told: Told | None = None
    """Figures that this process tells beside those of all."""
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
            *stream_routes(parts.streams),
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
        # The files of all processes are read: whoever follows a stream does not wait for that.
        return await asyncio.to_thread(render, parts.told)

    return [healthz, readyz, metrics]
