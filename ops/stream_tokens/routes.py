"""HTTP of readers' tokens, for the operator: the same as `labdispatch tokens`."""

from __future__ import annotations

import msgspec
from litestar import delete, get, post, put
from litestar.params import FromPath, JSONBody
from litestar.types import ControllerRouterHandler

from ops.asking import Asker
from ops.register.access import HttpRequest
from ops.register.lab_routes import OPERATOR_ONLY, Desk
from ops.runtime.metrics import METRICS

from . import changes
from .changes import Entry, Made, Shown
from .token import Quota, Wish


def token_routes(desk: Desk) -> list[ControllerRouterHandler]:
    """Return the routes of readers' tokens."""
    return [*_reading(desk), *_writing(desk)]


def _reading(desk: Desk) -> list[ControllerRouterHandler]:
    @get("/v1/tokens", summary="Tokens of readers of streams", description=OPERATOR_ONLY)
    async def get_reader_tokens(request: HttpRequest) -> list[Entry]:
        desk.gate.operator(request)
        async with desk.connection() as connection:
            found = await changes.entries(connection, now=desk.clock.now())
        METRICS.api_requests.labels("tokens", "200").inc()
        return found

    @get(
        "/v1/tokens/{name:str}",
        summary="A token, and what it did in the last days",
        description=OPERATOR_ONLY,
    )
    async def get_reader_token(request: HttpRequest, name: FromPath[str]) -> Shown:
        desk.gate.operator(request)
        async with desk.connection() as connection:
            found = await changes.show(connection, name, now=desk.clock.now())
        METRICS.api_requests.labels("tokens", "200").inc()
        return found

    return [get_reader_tokens, get_reader_token]


def _writing(desk: Desk) -> list[ControllerRouterHandler]:
    @post(
        "/v1/tokens",
        status_code=201,
        summary="Make a token for a reader; this answer alone shows it",
        description=f"{OPERATOR_ONLY} One for a stream with names needs X-Reason.",
    )
    async def post_reader_token(request: HttpRequest, data: JSONBody[Wish]) -> Made:
        asker = _asker(desk, request)
        async with desk.connection() as connection:
            made = await changes.add(connection, data, now=desk.clock.now(), asker=asker)
        METRICS.api_requests.labels("tokens", "201").inc()
        return made

    @put("/v1/tokens/{name:str}/quota", summary="Set a token's limits", description=OPERATOR_ONLY)
    async def put_reader_quota(
        request: HttpRequest, name: FromPath[str], data: JSONBody[Quota]
    ) -> Shown:
        asker = _asker(desk, request)
        async with desk.connection() as connection:
            await changes.set_quota(connection, name, data, asker=asker)
            found = await changes.show(connection, name, now=desk.clock.now())
        METRICS.api_requests.labels("tokens", "200").inc()
        return found

    @delete(
        "/v1/tokens/{name:str}",
        status_code=200,
        summary="Revoke a token: who follows by it ends within seconds",
        description=OPERATOR_ONLY,
    )
    async def delete_reader_token(request: HttpRequest, name: FromPath[str]) -> Shown:
        asker = _asker(desk, request)
        async with desk.connection() as connection:
            await changes.revoke(connection, name, now=desk.clock.now(), asker=asker)
            found = await changes.show(connection, name, now=desk.clock.now())
        METRICS.api_requests.labels("tokens", "200").inc()
        return found

    return [post_reader_token, put_reader_quota, delete_reader_token]


def _asker(desk: Desk, request: HttpRequest) -> Asker:
    found = desk.gate.operator(request)
    return msgspec.convert(found, Asker, from_attributes=True)
