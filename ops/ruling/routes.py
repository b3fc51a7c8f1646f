"""HTTP of the sets of rules: which is in effect from when, and each one's file. Read only."""

from __future__ import annotations

from typing import Final

from litestar import Response, get
from litestar.exceptions import HTTPException
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from ops.register.access import Gate, HttpRequest
from ops.runtime.clock import Clock
from ops.runtime.metrics import METRICS
from ops.runtime.postgres import Pool, translated
from schemas.errors import PermanentError

from .loading import Effect, effects, source_of

_DESCRIPTION: Final = "Needs the operator's bearer token (`operator` in tokens.json)."


def rule_routes(pool: Pool, clock: Clock, gate: Gate) -> list[ControllerRouterHandler]:
    """Return the two routes.

    Args:
        pool: For reading.
        clock: Says which set is in effect.
        gate: Lets the operator pass.
    """

    @get("/v1/routing/rules", summary="Sets of routing rules", description=_DESCRIPTION)
    async def get_rules(request: HttpRequest) -> list[Effect]:
        gate.operator(request)
        with translated():
            async with pool.acquire() as connection:
                found = await effects(connection, clock.now())
        METRICS.api_requests.labels("rules", "200").inc()
        return found

    @get("/v1/routing/rules/{version:str}", summary="One set", description=_DESCRIPTION)
    async def get_set(request: HttpRequest, version: FromPath[str]) -> Response[bytes]:
        gate.operator(request)
        try:
            with translated():
                async with pool.acquire() as connection:
                    source = await source_of(connection, version, clock.now())
        except PermanentError as error:
            raise HTTPException(status_code=404, detail=error.remedy) from None
        METRICS.api_requests.labels("rules", "200").inc()
        return Response(source, media_type="application/json")

    return [get_rules, get_set]
