"""HTTP of the register for its operator: laboratories, one or a file of them, limits, facilities.

The same functions as the command line's lie below. Who asks and why go into the audit chain: the
headers X-Actor and X-Reason.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Final

import msgspec
from litestar import Response, get, patch, post, put
from litestar.params import FromPath, JSONBody, QueryParameter
from litestar.types import ControllerRouterHandler

from ops.asking import Asker
from ops.runtime.clock import Clock
from ops.runtime.metrics import METRICS
from ops.runtime.postgres import Connection, Pool, translated

from . import labs
from .access import Gate, HttpRequest
from .lab_changes import RegisterChange, change_facilities, change_lab, change_labs
from .lab_plan import Expect
from .lab_rows import LIMITS, Complaint, LabRow, read_csv

OPERATOR_ONLY: Final = (
    "Needs the operator's bearer token (`operator` in tokens.json). X-Actor and X-Reason go into"
    " the audit trail; no personal data there."
)
_READABLE: Final = "Needs the operator's bearer token, or one of the laboratory itself."
_PAGE: Final = 500
_MOST: Final = 5_000


class Desk(msgspec.Struct, frozen=True, kw_only=True):
    """What the routes of the register need."""

    pool: Pool
    clock: Clock
    gate: Gate

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Hold a connection for a block; the client's errors come out as ours."""
        with translated():
            async with self.pool.acquire() as connection:
                yield connection


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All limits of a laboratory; null is none."""

    rate_per_second: float | None = None
    burst: int | None = None
    daily_quota: int | None = None
    max_connections: int | None = None


class LabChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to change of a laboratory; null or left out: stays as it is."""

    name: str | None = None
    state: str | None = None
    profile: str | None = None
    facilities: list[str] | None = None
    subject: str | None = None
    limits: Limits | None = None


class NewLab(LabChange, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A laboratory to add."""

    registry_id: str


class Facilities(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All sending facilities that a laboratory may speak for, beside its own."""

    facilities: list[str]


class LabPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some laboratories by registry id, and where to go on; empty: there are no more."""

    laboratories: list[labs.Laboratory]
    after: str


class ImportReport(msgspec.Struct, frozen=True, kw_only=True):
    """What an import did, or would do; with errors nothing was written."""

    dry_run: bool
    errors: list[Complaint]
    warnings: list[Complaint]
    change: RegisterChange | None


def lab_routes(desk: Desk) -> list[ControllerRouterHandler]:
    """Return the routes of laboratories."""
    return [*_reading(desk), *_writing(desk), *_parts(desk)]


def _reading(desk: Desk) -> list[ControllerRouterHandler]:
    @get("/v1/labs", summary="Laboratories of the register", description=OPERATOR_ONLY)
    async def get_labs(
        request: HttpRequest,
        after: Annotated[str, QueryParameter(description="`after` of the page before.")] = "",
        limit: Annotated[
            int, QueryParameter(ge=1, le=_MOST, description="The most of this page.")
        ] = _PAGE,
    ) -> LabPage:
        desk.gate.operator(request)
        async with desk.connection() as connection:
            found = await labs.page_of_labs(connection, after=after, limit=limit + 1)
        METRICS.api_requests.labels("labs", "200").inc()
        more = found[limit - 1].registry_id if len(found) > limit else ""
        return LabPage(laboratories=found[:limit], after=more)

    @get("/v1/labs/{lab:str}", summary="One laboratory", description=_READABLE)
    async def get_lab(request: HttpRequest, lab: FromPath[str]) -> labs.Laboratory:
        desk.gate.reader(request, lab)
        async with desk.connection() as connection:
            found = await labs.find_lab(connection, lab)
        METRICS.api_requests.labels("labs", "200").inc()
        return found

    return [get_labs, get_lab]


def _writing(desk: Desk) -> list[ControllerRouterHandler]:
    @post("/v1/labs", status_code=201, summary="Add a laboratory", description=OPERATOR_ONLY)
    async def post_lab(request: HttpRequest, data: JSONBody[NewLab]) -> labs.Laboratory:
        asker = desk.gate.operator(request)
        return await _changed(desk, _row(data.registry_id, data), "new", asker)

    @patch("/v1/labs/{lab:str}", summary="Change a laboratory", description=OPERATOR_ONLY)
    async def patch_lab(
        request: HttpRequest, lab: FromPath[str], data: JSONBody[LabChange]
    ) -> labs.Laboratory:
        asker = desk.gate.operator(request)
        return await _changed(desk, _row(lab, data), "known", asker)

    @post(
        "/v1/labs/import",
        status_code=200,
        summary="Add and change laboratories from a CSV, all or nothing",
        description=f"{OPERATOR_ONLY} The body is the CSV that `labdispatch labs import` takes. 422"
        " with the report where it has an error.",
    )
    async def import_labs(
        request: HttpRequest,
        dry_run: Annotated[bool, QueryParameter(description="Only report.")] = False,  # noqa: FBT002
    ) -> Response[ImportReport]:
        asker = desk.gate.operator(request)
        found = read_csv(await request.body())
        errors, change = list(found.errors), None
        if not errors:
            async with desk.connection() as connection:
                change = await change_labs(
                    connection,
                    found.rows,
                    dry_run=dry_run,
                    actor=asker.actor,
                    reason=asker.reason or "import over HTTP",
                )
            errors = change.errors
        status = 422 if errors else 200
        METRICS.api_requests.labels("labs", str(status)).inc()
        report = ImportReport(
            dry_run=dry_run, errors=errors, warnings=list(found.warnings), change=change
        )
        return Response(report, status_code=status)

    return [post_lab, patch_lab, import_labs]


def _parts(desk: Desk) -> list[ControllerRouterHandler]:
    @get("/v1/labs/{lab:str}/facilities", summary="Facilities", description=OPERATOR_ONLY)
    async def get_facilities(request: HttpRequest, lab: FromPath[str]) -> Facilities:
        desk.gate.operator(request)
        async with desk.connection() as connection:
            found = await labs.find_lab(connection, lab)
        METRICS.api_requests.labels("labs", "200").inc()
        return Facilities(facilities=found.facilities)

    @put("/v1/labs/{lab:str}/facilities", summary="Set facilities", description=OPERATOR_ONLY)
    async def put_facilities(
        request: HttpRequest, lab: FromPath[str], data: JSONBody[Facilities]
    ) -> Facilities:
        asker = desk.gate.operator(request)
        async with desk.connection() as connection:
            await change_facilities(
                connection, lab, lambda _: data.facilities, actor=asker.actor, reason=asker.reason
            )
            found = await labs.find_lab(connection, lab)
        METRICS.api_requests.labels("labs", "200").inc()
        return Facilities(facilities=found.facilities)

    @get("/v1/labs/{lab:str}/quota", summary="Limits", description=OPERATOR_ONLY)
    async def get_quota(request: HttpRequest, lab: FromPath[str]) -> Limits:
        desk.gate.operator(request)
        async with desk.connection() as connection:
            found = await labs.find_lab(connection, lab)
        METRICS.api_requests.labels("labs", "200").inc()
        return msgspec.convert(found.limits, Limits, from_attributes=True)

    @put("/v1/labs/{lab:str}/quota", summary="Set all limits", description=OPERATOR_ONLY)
    async def put_quota(request: HttpRequest, lab: FromPath[str], data: JSONBody[Limits]) -> Limits:
        asker = desk.gate.operator(request)
        row = _row(lab, LabChange(limits=data))
        found = await _changed(desk, row, "known", asker)
        return msgspec.convert(found.limits, Limits, from_attributes=True)

    return [get_facilities, put_facilities, get_quota, put_quota]


def _row(registry_id: str, given: LabChange) -> LabRow:
    said: dict[str, object] = {
        name: getattr(given, name)
        for name in ("name", "state", "profile", "facilities", "subject")
        if getattr(given, name) is not None
    }
    if given.limits is not None:
        said.update({name: getattr(given.limits, name) for name in LIMITS})
    return msgspec.convert({"registry_id": registry_id, **said}, LabRow)


async def _changed(desk: Desk, row: LabRow, expect: Expect, asker: Asker) -> labs.Laboratory:
    async with desk.connection() as connection:
        await change_lab(connection, row, expect=expect, actor=asker.actor, reason=asker.reason)
        found = await labs.find_lab(connection, row.registry_id)
    METRICS.api_requests.labels("labs", "201" if expect == "new" else "200").inc()
    return found
