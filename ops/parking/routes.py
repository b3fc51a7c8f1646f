"""HTTP of parked messages, for the operator: list, show, assign, replay, discard; no value of any.

Whoever does it and why stand in the headers X-Actor and X-Reason. Mending is a command alone: a
patient's message does not travel for it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import get, post
from litestar.params import FromPath, JSONBody, QueryParameter
from litestar.types import ControllerRouterHandler

from ops.asking import Asker
from ops.bootstrap import Hub
from ops.register.access import Gate, HttpRequest
from ops.register.lab_routes import OPERATOR_ONLY
from ops.runtime.metrics import METRICS
from ops.runtime.postgres import lent

from . import acting
from .looking import ParkedMessage, Shown, Wish, check_wish, list_parked, show_parked

_MOST = 1_000


class Selection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which parked messages are meant; `dry_run` only tells what it is about."""

    messages: list[UUID] = []
    reason: str = ""
    code: str = ""
    laboratory: str = ""
    owner: str = ""
    since: datetime | None = None
    until: datetime | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=_MOST)] = 100
    dry_run: bool = True

    @property
    def wish(self) -> Wish:
        """Return it as the commands have it."""
        return Wish(
            reason=self.reason,
            code=self.code,
            laboratory=self.laboratory,
            owner=self.owner,
            since=self.since,
            until=self.until,
            messages=tuple(self.messages),
            limit=max(self.limit, len(self.messages)),
        )


class Assignment(Selection, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which ones, and whose they are from now on."""

    to: str


def parked_routes(hub: Hub, gate: Gate) -> list[ControllerRouterHandler]:
    """Return the routes of parked messages."""
    return [*_looking(hub, gate), *_acting(hub, gate)]


def _looking(hub: Hub, gate: Gate) -> list[ControllerRouterHandler]:
    @get("/v1/parked", summary="What is parked, the longest first", description=OPERATOR_ONLY)
    async def get_parked(  # noqa: PLR0917 - each is a parameter of the query
        request: HttpRequest,
        reason: Annotated[str, QueryParameter(description="Only for this reason.")] = "",
        code: Annotated[str, QueryParameter(description="Only with this code.")] = "",
        laboratory: Annotated[str, QueryParameter(description="Only of this registry id.")] = "",
        owner: Annotated[str, QueryParameter(description="Only of this owner; - of none.")] = "",
        limit: Annotated[int, QueryParameter(ge=1, le=_MOST)] = 100,
    ) -> list[ParkedMessage]:
        gate.operator(request)
        wish = Wish(reason=reason, code=code, laboratory=laboratory, owner=owner, limit=limit)
        check_wish(wish, _MOST)
        async with lent(hub.pool) as connection:
            found = await list_parked(connection, wish)
        METRICS.api_requests.labels("parked", "200").inc()
        return found

    @get("/v1/parked/{message:uuid}", summary="Why one is parked", description=OPERATOR_ONLY)
    async def get_one(request: HttpRequest, message: FromPath[UUID]) -> Shown:
        gate.operator(request)
        async with lent(hub.pool) as connection:
            shown = await show_parked(connection, message)
        METRICS.api_requests.labels("parked", "200").inc()
        return shown

    return [get_parked, get_one]


def _acting(hub: Hub, gate: Gate) -> list[ControllerRouterHandler]:
    how: Any = {"status_code": 200, "description": OPERATOR_ONLY}

    def who(request: HttpRequest) -> Asker:
        asker = gate.operator(request)
        METRICS.api_requests.labels("parked", "200").inc()
        return Asker(actor=asker.actor, reason=asker.reason)

    @post("/v1/parked/assign", summary="Give some an owner, or tell which", **how)
    async def post_assign(request: HttpRequest, data: JSONBody[Assignment]) -> acting.Done:
        asker = who(request)
        return await acting.assign(hub, data.wish, data.to, asker, dry_run=data.dry_run)

    @post("/v1/parked/replay", summary="Do some again, or tell which", **how)
    async def post_replay(request: HttpRequest, data: JSONBody[Selection]) -> acting.Done:
        return await acting.replay(hub, data.wish, who(request), dry_run=data.dry_run)

    @post("/v1/parked/discard", summary="End some, or tell which", **how)
    async def post_discard(request: HttpRequest, data: JSONBody[Selection]) -> acting.Done:
        return await acting.discard(hub, data.wish, who(request), dry_run=data.dry_run)

    return [post_assign, post_replay, post_discard]
