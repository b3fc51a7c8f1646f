"""HTTP of silent laboratories and closures, for the operator's token."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Annotated, Final

import msgspec
from litestar import delete, get, post
from litestar.params import FromPath, JSONBody, QueryParameter
from litestar.types import ControllerRouterHandler

from ops.register.access import HttpRequest
from ops.register.lab_routes import OPERATOR_ONLY, Desk
from ops.runtime.metrics import METRICS

from . import closing
from .closing import Closure
from .watch import Seen, SilenceDesk

_LIST: Final = (
    "How live laboratories stand against their own past: the silent first, then those that send too"
    " little, then the doubtful; with `all` the rest. A score is -log10 of a probability. Needs the"
    " operator's bearer token (`operator` in tokens.json)."
)
_PATH: Final = "/v1/laboratories/closures"
_All = Annotated[bool, QueryParameter(name="all", description="Also those that are as usual.")]
NOTICED: Final = frozenset({"silent", "short", "doubtful"})


class NewClosure(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Days on which a laboratory sends nothing, both included."""

    laboratory: str
    first_day: date
    last_day: date


class Closures(msgspec.Struct, frozen=True, kw_only=True):
    """Closures that last until today or later, the earliest first."""

    closures: list[Closure]


def noticed(seen: Seen) -> Seen:
    """Return only those that somebody should look at."""
    rows = [each for each in seen.laboratories if each.standing in NOTICED]
    return msgspec.structs.replace(seen, laboratories=rows)


def silence_routes(silence: SilenceDesk, desk: Desk) -> list[ControllerRouterHandler]:
    """Return the routes.

    Args:
        silence: Judges.
        desk: What the routes of the register need.
    """

    @get("/v1/laboratories/silent", summary="Silent laboratories", description=_LIST)
    async def get_silent(request: HttpRequest, everybody: _All = False) -> Seen:  # noqa: FBT002
        desk.gate.operator(request)
        seen = await silence.ask()
        METRICS.api_requests.labels("laboratories", "200").inc()
        return seen if everybody else noticed(seen)

    @get(_PATH, summary="Closures that are known", description=OPERATOR_ONLY)
    async def get_closures(request: HttpRequest) -> Closures:
        desk.gate.operator(request)
        async with desk.connection() as connection:
            since = desk.clock.now().date() - timedelta(days=1)
            found = await closing.listed(connection, None, since)
        METRICS.api_requests.labels("laboratories", "200").inc()
        return Closures(closures=list(found))

    @post(_PATH, summary="Note a closure", description=OPERATOR_ONLY)
    async def post_closure(request: HttpRequest, data: JSONBody[NewClosure]) -> Closure:
        asker = desk.gate.operator(request)
        async with desk.connection() as connection:
            noted = await closing.add(
                connection,
                data.laboratory,
                data.first_day,
                data.last_day,
                asker=asker,
                now=desk.clock.now(),
            )
        METRICS.api_requests.labels("laboratories", "201").inc()
        return noted

    @delete(
        _PATH + "/{laboratory:str}/{first_day:date}",
        summary="Take a closure away",
        description=OPERATOR_ONLY,
    )
    async def delete_closure(
        request: HttpRequest, laboratory: FromPath[str], first_day: FromPath[date]
    ) -> None:
        asker = desk.gate.operator(request)
        async with desk.connection() as connection:
            await closing.remove(connection, laboratory, first_day, asker)
        METRICS.api_requests.labels("laboratories", "204").inc()

    return [get_silent, get_closures, post_closure, delete_closure]
