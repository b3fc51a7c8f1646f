"""HTTP of the indicators: figures, revisions, extractions, files. Only what was published."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date
from typing import Annotated, Any, Final
from urllib.parse import urlencode

import msgspec
from litestar import Response, get
from litestar.params import FromPath, QueryParameter
from litestar.response import Stream as StreamingResponse
from litestar.types import ControllerRouterHandler

from ops.runtime.metrics import METRICS
from routing.sidep_notes import PREFIX
from schemas.errors import PermanentError
from schemas.figures import Extraction, Figure, Revision

from .answering import Content, Published
from .asking import Asked, known_condition, read_asked
from .columns import figure_rows, revision_rows
from .delay_route import delay_route
from .extractions import Made
from .forms import CSV, MEDIA, Admit, Admitted, HttpRequest, format_of, further, rendered
from .sidep import SidepFile, sidep_file

_MOST: Final = 1_000
_DESCRIPTION: Final = (
    "Needs a bearer token that reads public-health. area: france (the default), regions,"
    " departments, region:84, department:75, several separated by commas. period: day, 7days, week,"
    " month. from, to: 2026-03-06, 2026-S10. age_class: 0 (all), 09 ... 90, * for each. sex: all,"
    " F, M, * for each. as_of: a past day or time. after: `next` of the answer before. format:"
    " json, csv, parquet."
)


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of one extraction. A value that is null is withheld or not known, never zero."""

    extraction: Extraction
    condition: str
    figures: list[Figure]
    next: str | None = None
    """Address of what follows; null at the end."""


class Revisions(msgspec.Struct, frozen=True, kw_only=True):
    """How published figures were changed."""

    extraction: Extraction
    condition: str
    revisions: list[Revision]
    next: str | None = None
    """Address of what follows; null at the end."""


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """Of which times figures of a condition are published."""

    condition: str
    period: str
    first: str
    last: str


class Contents(msgspec.Struct, frozen=True, kw_only=True):
    """What is published, as of which extraction."""

    extraction: Made
    contents: list[Told]


def indicator_routes(published: Published, admit: Admit) -> list[ControllerRouterHandler]:
    """Return the routes.

    Args:
        published: What was published.
        admit: Lets readers in.
    """
    return [
        _contents(published, admit),
        _extractions(published, admit),
        _figures(published, admit),
        _changes(published, admit),
        delay_route(published, admit),
        _file(published, admit),
    ]


def _contents(published: Published, admit: Admit) -> ControllerRouterHandler:
    @get("/v1/indicators", summary="What is published", description=_DESCRIPTION)
    async def get_contents(request: HttpRequest) -> Contents:
        """Return conditions and periods, and from when to when; `as_of` asks of the past."""
        pairs = read_asked(request.query_params.multi_items())
        async with await admit(request, "", pairs) as admitted:
            made, found = await published.contents(admitted.asked.as_of)
        METRICS.api_requests.labels("indicators", "200").inc()
        return Contents(extraction=made, contents=[_told(each) for each in found])

    return get_contents


def _extractions(published: Published, admit: Admit) -> ControllerRouterHandler:
    @get("/v1/indicators/extractions", summary="Extractions, the newest first")
    async def get_extractions(
        request: HttpRequest,
        before: Annotated[int, QueryParameter(ge=1, description="Below this number.")] = 1 << 62,
        limit: Annotated[int, QueryParameter(ge=1, le=_MOST)] = 100,
    ) -> list[Made]:
        """Return which extractions can be asked for by `as_of`."""
        async with await admit(request, "", Asked()):
            found = await published.extractions(before, limit)
        METRICS.api_requests.labels("indicators", "200").inc()
        return found

    return get_extractions


def _figures(published: Published, admit: Admit) -> ControllerRouterHandler:
    @get("/v1/indicators/{condition:str}", summary="Figures", description=_DESCRIPTION)
    async def get_figures(request: HttpRequest, condition: FromPath[str]) -> Response[Any]:
        """Return figures in pages of whole times: `next`, and the header Link, read on."""
        known_condition(condition)
        pairs, form = format_of(request)
        async with await admit(request, condition, read_asked(pairs)) as admitted:
            answer = await published.figures(condition, admitted.asked)
            following, headers = further(
                request.url.path, [*pairs, ("format", form)], answer.extraction, answer.next
            )
            whole = Figures(
                extraction=answer.extraction,
                condition=condition,
                figures=answer.figures,
                next=following,
            )
            rows = figure_rows(answer.figures, answer.extraction)
            content = await rendered(form, rows, whole)
        METRICS.api_requests.labels("indicators", "200").inc()
        return Response(content, media_type=MEDIA[form], headers=headers)

    return get_figures


def _changes(published: Published, admit: Admit) -> ControllerRouterHandler:
    @get(
        "/v1/indicators/{condition:str}/changes",
        summary="Revisions, day by day",
        description=_DESCRIPTION,
    )
    async def get_changes(request: HttpRequest, condition: FromPath[str]) -> Response[Any]:
        """Return how published figures were changed, and by which extraction; in pages."""
        known_condition(condition)
        pairs, form = format_of(request)
        if form == "parquet":
            raise PermanentError("bad_question", "format: json or csv")
        async with await admit(request, condition, read_asked(pairs)) as admitted:
            answer = await published.revisions(condition, admitted.asked)
            following, headers = further(
                request.url.path, [*pairs, ("format", form)], answer.extraction, answer.next
            )
            whole = Revisions(
                extraction=answer.extraction,
                condition=condition,
                revisions=answer.revisions,
                next=following,
            )
            content = await rendered(form, revision_rows(answer.revisions), whole)
        METRICS.api_requests.labels("indicators", "200").inc()
        return Response(content, media_type=MEDIA[form], headers=headers)

    return get_changes


def _file(published: Published, admit: Admit) -> ControllerRouterHandler:
    @get(
        "/v1/indicators/{condition:str}/files/{name:str}",
        media_type=CSV,
        summary="A file in SI-DEP's own layout",
    )
    async def get_file(
        request: HttpRequest,
        condition: FromPath[str],
        name: FromPath[str],
    ) -> StreamingResponse:
        """Return `sp-pos-quot-dep` and the others whole, `;` between values, as SI-DEP wrote them.

        `notes-sp-pos-quot-dep`, to which the header Link leads, says of which lines the numbers are
        of an earlier telling, or withheld. `as_of` asks of the past. An unknown name is answered
        with those there are.
        """
        known_condition(condition)
        asked = read_asked(request.query_params.multi_items())
        admitted = await admit(request, condition, asked)
        try:
            found = await _asked_file(published, condition, name, admitted.asked)
        except BaseException:
            admitted.close()
            raise
        METRICS.api_requests.labels("indicators", "200").inc()
        headers = _file_headers(request.url.path, found)
        return StreamingResponse(
            _given(found, published, admitted), media_type=CSV, headers=headers
        )

    return get_file


def _file_headers(path: str, file: SidepFile) -> dict[str, str]:
    headers = {
        "Content-Disposition": f'attachment; filename="{file.name}"',
        "X-Extraction": str(file.extraction.number),
    }
    if not file.is_notes:
        as_of = urlencode({"as_of": file.extraction.at.isoformat()})  # of the same extraction
        notes = f"{path.rpartition('/')[0]}/{PREFIX}{file.layout.name}?{as_of}"
        headers["Link"] = f'<{notes}>; rel="describedby"'
    return headers


async def _asked_file(published: Published, condition: str, name: str, asked: Asked) -> SidepFile:
    found = sidep_file(name, condition, await published.extraction(asked.as_of))
    if asked.areas:
        raise PermanentError("token_not_for_indicators", "a file is of all areas")
    return found


async def _given(file: SidepFile, published: Published, admitted: Admitted) -> AsyncIterator[str]:
    """Give a file's lines; the reader has its place until the last, and as long as it may read."""
    async with admitted:
        async for lines in file.lines(published):
            admitted.check()
            yield lines


def _told(content: Content) -> Told:
    return Told(
        condition=content.condition,
        period=content.period,
        first=date.fromordinal(content.first).isoformat(),
        last=date.fromordinal(content.last).isoformat(),
    )
