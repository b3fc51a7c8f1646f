"""HTTP of `trace`, for the operator: the same ways, never a patient."""

from __future__ import annotations

from typing import Annotated

from litestar import get
from litestar.exceptions import NotFoundException
from litestar.params import FromPath, QueryParameter
from litestar.types import ControllerRouterHandler

from ops.bootstrap import Hub
from ops.register.access import Gate, HttpRequest
from ops.register.lab_routes import OPERATOR_ONLY
from ops.runtime.metrics import METRICS

from .asking import trace
from .finding import Wanted
from .ways import Trace


def trace_routes(hub: Hub, gate: Gate) -> list[ControllerRouterHandler]:
    """Return the routes of `trace`."""

    @get(
        "/v1/trace/{wanted:str}",
        summary="Every station of a message, an order, a report or an event",
        description=OPERATOR_ONLY,
    )
    async def get_trace(
        request: HttpRequest,
        wanted: FromPath[str],
        laboratory: Annotated[
            str, QueryParameter(description="Registry id: its control ids and orders alone.")
        ] = "",
        code: Annotated[
            str, QueryParameter(description="Of an order: what was ordered (OBR-4).")
        ] = "",
    ) -> list[Trace]:
        gate.operator(request)
        asked = Wanted(ids=(wanted,), laboratory=laboratory, codes=(code,) if code else ())
        found = await trace(hub, asked)
        if not found:
            raise NotFoundException(detail="nothing has this id")
        METRICS.api_requests.labels("trace", "200").inc()
        return found

    return [get_trace]
