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
from ops.tokens import OPERATOR, is_valid
from schemas.errors import PermanentError

from .conformance import ConformanceReport, report_conformance

HttpRequest = Request[Any, Any, Any]
ReadConformance = Callable[[str | None, str, date | None], Awaitable[ConformanceReport]]
_Vendor = Annotated[str, Parameter(description="Only software of this name: MSH-3, SFT-1, SFT-3.")]
_Since = Annotated[str, Parameter(description="First day, YYYY-MM-DD (UTC); default: 30 days.")]
_DESCRIPTION: Final = "Needs the operator's bearer token (`operator` in tokens.json)."


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


def conformance_routes(
    read: ReadConformance, tokens: dict[str, str]
) -> list[ControllerRouterHandler]:
    """Return the two routes.

    Args:
        read: Draws up a report of one laboratory, or of all.
        tokens: Of the instance; `operator` is asked for.
    """

    @get("/v1/conformance", summary="Conformance of all laboratories", description=_DESCRIPTION)
    async def get_conformance(
        request: HttpRequest, vendor: _Vendor = "", since: _Since = ""
    ) -> ConformanceReport:
        authorise_operator(tokens, request.headers.get("authorization", ""))
        report = await read(None, vendor, _day(since))
        METRICS.api_requests.labels("conformance", "200").inc()
        return report

    @get(
        "/v1/conformance/{lab:str}",
        summary="Conformance of one laboratory",
        description=_DESCRIPTION,
    )
    async def get_conformance_of(
        request: HttpRequest, lab: FromPath[str], vendor: _Vendor = "", since: _Since = ""
    ) -> ConformanceReport:
        authorise_operator(tokens, request.headers.get("authorization", ""))
        try:
            report = await read(lab, vendor, _day(since))
        except PermanentError as error:
            if error.reason != "no_such_laboratory":
                raise
            raise HTTPException(status_code=404, detail=error.remedy) from None
        METRICS.api_requests.labels("conformance", "200").inc()
        return report

    return [get_conformance, get_conformance_of]


def authorise_operator(tokens: dict[str, str], header: str) -> None:
    """Let the operator's token pass.

    Raises:
        HTTPException: 401 without a token, 403 with another.
    """
    scheme, _, given = header.partition(" ")
    if scheme.lower() != "bearer" or not given.strip():
        raise HTTPException(
            status_code=401,
            detail="send Authorization: Bearer TOKEN with `operator` of tokens.json in the data"
            " folder",
            headers={"WWW-Authenticate": "Bearer"},
        )
    if not is_valid(tokens, OPERATOR, given.strip()):
        raise HTTPException(
            status_code=403,
            detail="this token is not the operator's: send `operator` of tokens.json in the data"
            " folder",
        )


def _day(text: str) -> date | None:
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise PermanentError("bad_since", "since is a day as YYYY-MM-DD") from None
