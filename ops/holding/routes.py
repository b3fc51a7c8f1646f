"""HTTP of holds, for stewards: what waits, why, and letting it go; the same as the commands.

Whoever does it is known by the steward's token; why goes into the header X-Reason.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, TypeVar
from uuid import UUID

import msgspec
from litestar import get, post
from litestar.params import FromPath, JSONBody, QueryParameter
from litestar.types import ControllerRouterHandler

from ops.bootstrap import Hub
from ops.register.access import HttpRequest
from ops.runtime.metrics import METRICS
from ops.runtime.postgres import translated
from ops.stewards.routes import STEWARDS_ONLY, ReviewDesk

from .looking import Behind, HeldReport, HeldStream, Wish, list_holds, show_report
from .rechecking import retry
from .releasing import MAX_BULK, Bulk, Released, Releasing

_MOST = 1_000
T = TypeVar("T")


class StreamOf(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which stream is let go."""

    stream: str


class ManyOf(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which holds are let go; `dry_run` lists them."""

    stream: str
    reason: str
    laboratory: str = ""
    older_than_seconds: Annotated[int, msgspec.Meta(ge=0, le=10_000_000_000)] = 0
    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_BULK)] = 100
    dry_run: bool = True
    behind: Behind | None = None
    """Where an answer said to go on."""


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    """The message id of a replay."""

    replay: UUID


def hold_routes(hub: Hub, desk: ReviewDesk) -> list[ControllerRouterHandler]:
    """Return the routes of holds."""
    return [*_looking(hub, desk), *_acting(hub, desk)]


def _looking(hub: Hub, desk: ReviewDesk) -> list[ControllerRouterHandler]:
    @get("/v1/holds", summary="What waits, the longest first", description=STEWARDS_ONLY)
    async def get_holds(  # noqa: PLR0917 - each is a parameter of the query
        request: HttpRequest,
        stream: Annotated[str, QueryParameter(description="Only of this stream.")] = "",
        reason: Annotated[str, QueryParameter(description="Only for this reason.")] = "",
        laboratory: Annotated[str, QueryParameter(description="Only of this registry id.")] = "",
        older_than_seconds: Annotated[int, QueryParameter(ge=0, le=10_000_000_000)] = 0,
        limit: Annotated[int, QueryParameter(ge=1, le=_MOST)] = 50,
    ) -> list[HeldStream]:
        await desk.steward(request)
        wish = Wish(
            stream=stream,
            reason=reason,
            laboratory=laboratory,
            older_than=timedelta(seconds=older_than_seconds),
            limit=limit,
        )
        with translated():
            async with hub.pool.acquire() as connection:
                return _counted(await list_holds(connection, wish, hub.clock.now()))

    @get("/v1/holds/{report:uuid}", summary="Why a report waits", description=STEWARDS_ONLY)
    async def get_held(request: HttpRequest, report: FromPath[UUID]) -> HeldReport:
        await desk.steward(request)
        with translated():
            async with hub.pool.acquire() as connection:
                return _counted(await show_report(connection, report))

    return [get_holds, get_held]


def _acting(hub: Hub, desk: ReviewDesk) -> list[ControllerRouterHandler]:
    def releasing() -> Releasing:
        return Releasing(desk.stewards.script)

    how: Any = {"status_code": 200, "description": STEWARDS_ONLY}

    @post("/v1/holds/{report:uuid}/release", summary="Let a stream go", **how)
    async def post_release(
        request: HttpRequest, report: FromPath[UUID], data: JSONBody[StreamOf]
    ) -> Released:
        _, asker = await desk.steward(request)
        return _counted(await releasing().release(report, data.stream, asker))

    @post("/v1/holds/release", summary="Let many go, or list them", **how)
    async def post_many(request: HttpRequest, data: JSONBody[ManyOf]) -> Bulk:
        _, asker = await desk.steward(request)
        wish = Wish(
            stream=data.stream,
            reason=data.reason,
            laboratory=data.laboratory,
            older_than=timedelta(seconds=data.older_than_seconds),
            limit=data.limit,
            behind=data.behind or Behind(),
        )
        done = await releasing().release_many(wish, asker, dry_run=data.dry_run, tries=MAX_BULK)
        return _counted(done)

    @post("/v1/holds/{report:uuid}/retry", summary="Map the message again", **how)
    async def post_retry(request: HttpRequest, report: FromPath[UUID]) -> Replayed:
        _, asker = await desk.steward(request)
        return _counted(Replayed(replay=await retry(hub, report, asker)))

    return [post_release, post_many, post_retry]


def _counted(answer: T) -> T:
    METRICS.api_requests.labels("holds", "200").inc()
    return answer
