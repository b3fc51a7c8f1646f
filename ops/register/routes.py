"""HTTP of the register: the conformance reports, for the operator's token."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import date
from typing import Annotated, Any, Final

from litestar import Request, get
from litestar.exceptions import HTTPException
from litestar.params import FromPath, Parameter
from litestar.types import ControllerRouterHandler

from ops.runtime.clock import Clock
from ops.runtime.metrics import METRICS
from ops.runtime.postgres import Pool, translated
from schemas.errors import PermanentError

from .access import Gate
from .conformance import ConformanceReport, report_conformance

HttpRequest = Request[Any, Any, Any]
ReadConformance = Callable[[str | None, str, date | None], Awaitable[ConformanceReport]]
_Vendor = Annotated[str, Parameter(description="Only software of this name: MSH-3, SFT-1, SFT-3.")]
_Since = Annotated[str, Parameter(description="First day, YYYY-MM-DD (UTC); default: 30 days.")]
_DESCRIPTION: Final = "Needs the operator's bearer token (`operator` in tokens.json)."
_OWN: Final = f"{_DESCRIPTION} A laboratory reads its own with one of its own tokens."


def reader_of_conformance(pool: Pool, clock: Clock) -> ReadConformance:
    """Return what draws up a report from the database."""

    async def read(registry_id: str | None, vendor: str, since: date | None) -> ConformanceReport:
        with translated():
            async with pool.acquire() as connection:
                return await report_conformance(
                    connection,
                    registry_id=registry_id,
                    vendor=vendor,
                    since=since,
                    today=clock.now().date(),
                )

    return read


def conformance_routes(read: ReadConformance, gate: Gate) -> list[ControllerRouterHandler]:
    """Return the two routes.

    Args:
        read: Draws up a report of one laboratory, or of all.
        gate: Lets the operator pass, and a laboratory to its own.
    """

    @get("/v1/conformance", summary="Conformance of all laboratories", description=_DESCRIPTION)
    async def get_conformance(
        request: HttpRequest, vendor: _Vendor = "", since: _Since = ""
    ) -> ConformanceReport:
        gate.operator(request)
        report = await read(None, vendor, _day(since))
        METRICS.api_requests.labels("conformance", "200").inc()
        return report

    @get(
        "/v1/conformance/{lab:str}",
        summary="Conformance of one laboratory",
        description=_OWN,
    )
    async def get_conformance_of(
        request: HttpRequest, lab: FromPath[str], vendor: _Vendor = "", since: _Since = ""
    ) -> ConformanceReport:
        gate.reader(request, lab)
        try:
            report = await read(lab, vendor, _day(since))
        except PermanentError as error:
            if error.reason != "no_such_laboratory":
                raise
            raise HTTPException(status_code=404, detail=error.remedy) from None
        METRICS.api_requests.labels("conformance", "200").inc()
        return report

    return [get_conformance, get_conformance_of]


def _day(text: str) -> date | None:
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise PermanentError("bad_since", "since is a day as YYYY-MM-DD") from None
