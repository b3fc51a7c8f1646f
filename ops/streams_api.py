"""HTTP: the streams, as NDJSON or server-sent events; in pages, or followed live."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Final, cast

from litestar import Request, get
from litestar.exceptions import HTTPException
from litestar.params import FromPath, QueryParameter
from litestar.types import ASGIApp, ControllerRouterHandler

from ops.codings import coding_of
from ops.request_origin import origin_of
from ops.stream_reply import StreamDoor, StreamReply
from ops.stream_sending import Asked
from routing.filters import PARAMETERS, parse_filter
from schemas.errors import PermanentError, TransientError
from schemas.topics import Stream

NDJSON: Final = "application/x-ndjson"
_SSE: Final = "text/event-stream"
_MAX_LIMIT: Final = 1_000_000
_PAGE: Final = 1_000
_NAMES: Final = ("after", "limit", "state", "follow", *PARAMETERS)
_LISTS: Final = frozenset({"condition", "department", "result"})
_AT_THE_END: Final = "end"

HttpRequest = Request[Any, Any, Any]
Values = Annotated[list[str] | None, QueryParameter(description="One or more, with commas.")]


def stream_routes(door: StreamDoor | None) -> list[ControllerRouterHandler]:
    """Return the route of the streams.

    Args:
        door: What it is made with; None: no stream is served here.
    """

    @get("/v1/streams/{name:str}", media_type=NDJSON, summary="Read a stream, or follow it")
    async def get_stream(
        request: HttpRequest,
        name: FromPath[str],
        *,
        after: Annotated[
            str,
            QueryParameter(
                description="The `cursor` of the last line read; `end`: from now on only."
                " `Last-Event-ID` says the same and comes first."
            ),
        ] = "",
        limit: Annotated[
            int | None,
            QueryParameter(
                ge=1,
                le=_MAX_LIMIT,
                description="The most events of this answer: 1000 of a page, without end of what"
                " is followed.",
            ),
        ] = None,
        shape: Annotated[
            str,
            QueryParameter(
                name="state",
                description="`latest`: the newest version of each part of a report as it stands"
                " now, then all that comes after; `all`: every event.",
            ),
        ] = "all",
        follow: Annotated[
            bool, QueryParameter(description="Stay, and get what comes as it comes.")
        ] = False,
        condition: Values = None,
        department: Values = None,
        result: Values = None,
        first_day: Annotated[
            str | None,
            QueryParameter(name="from", description="Sampled on this day or later."),
        ] = None,
        last_day: Annotated[
            str | None,
            QueryParameter(name="to", description="Sampled on this day or before."),
        ] = None,
    ) -> ASGIApp:
        """Return events, one a line, each with the cursor to read on from behind it.

        A page is empty when there is nothing new. A line that holds only a `cursor` says where to
        read on behind events that the filter kept back. A cursor holds across restarts, for as
        long as what it stands before is kept. Who follows gets such a line when there is nothing
        more for now, and every few seconds while nothing comes. With `Accept: text/event-stream`
        the same goes as server-sent events, whose ids are the cursors. Needs a bearer token.
        """
        stream = _known_stream(name)
        if door is None:
            raise TransientError("streams_away", "no stream is served here")
        asked_for = parse_filter(
            stream,
            _pairs(
                ("condition", condition),
                ("department", department),
                ("result", result),
                ("from", None if first_day is None else [first_day]),
                ("to", None if last_day is None else [last_day]),
            ),
        )
        _check_names([name for name, _ in request.query_params.multi_items()])
        if shape not in {"all", "latest"}:
            raise PermanentError("bad_parameter", "state: all or latest")
        is_sse = _SSE in request.headers.get("accept", "").lower()
        follows = follow or is_sse
        admission = await door.access.admit(
            request.headers.get("authorization", ""),
            stream,
            asked_for,
            origin=origin_of(request, door.origins),
            follows=follows,
        )
        try:
            start = await _start(
                door, stream, request.headers.get("last-event-id") or after, state=shape
            )
        except BaseException:
            admission.close()
            raise
        asked = Asked(
            stream=stream,
            after=start,
            limit=limit if follows or limit is not None else _PAGE,
            follows=follows,
            form="sse" if is_sse else "ndjson",
            coding=coding_of(request.headers.get("accept-encoding", ""), follows=follows),
        )
        return cast("ASGIApp", StreamReply(door, asked, admission))

    return [get_stream]


async def _start(door: StreamDoor, stream: Stream, after: str, *, state: str) -> str | None:
    """Return where to read on; a cursor that was given knows of the state it came of."""
    if after == _AT_THE_END:
        return await door.reader.end(stream)
    if not after and state == "latest":
        return await door.reader.snapshot(stream)
    return after or None


def _pairs(*given: tuple[str, list[str] | None]) -> Iterable[tuple[str, str]]:
    return ((name, value) for name, values in given for value in values or ())


def _check_names(names: Sequence[str]) -> None:
    """Refuse what is not known: a filter with a slip in its name would keep nothing back."""
    if not set(names) <= set(_NAMES):
        raise PermanentError("bad_parameter", f"a parameter is one of {', '.join(_NAMES)}")
    twice = [name for name in _NAMES if names.count(name) > 1 and name not in _LISTS]
    if twice:  # which of both was meant?
        raise PermanentError("bad_parameter", f"give {', '.join(twice)} once")


def _known_stream(name: str) -> Stream:
    try:
        return Stream(name)
    except ValueError:
        names = ", ".join(stream.value for stream in Stream)
        raise HTTPException(status_code=404, detail=f"the streams are {names}") from None
