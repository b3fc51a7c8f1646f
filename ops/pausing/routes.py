"""HTTP of pauses, for the operator: what waits, let something wait, let it go on.

Whoever does it and why stand in the headers X-Actor and X-Reason.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from litestar import delete, get, post
from litestar.params import FromPath, JSONBody
from litestar.types import ControllerRouterHandler

from ops.asking import Asker
from ops.bootstrap import Hub
from ops.register.access import Gate, HttpRequest
from ops.register.lab_routes import OPERATOR_ONLY
from ops.runtime.metrics import METRICS
from ops.runtime.postgres import lent

from . import changes
from .changes import Paused

_PATH: Final = "/v1/pauses"
_REPLAYED_MOST: Final = 1_000
"""Messages of a laboratory that one request does again: seconds, at `replay_per_second`."""
_WAITS: Final = (
    "Let a stream, a laboratory or a receiver wait; nothing of it is lost or refused. "
    + OPERATOR_ONLY
)
_GOES_ON: Final = (
    "Let it go on where it stopped. Of a laboratory, what was parked meanwhile is done again in its"
    f" order, at most {_REPLAYED_MOST:,} messages; `waiting` says how many are left, for POST"
    " /v1/parked/replay with reason laboratory_paused. " + OPERATOR_ONLY
)


class NewPause(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to wait."""

    what: Literal["stream", "laboratory", "receiver"]
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=300)]


class Pauses(msgspec.Struct, frozen=True, kw_only=True):
    """What waits, the longest first."""

    pauses: list[Paused]


class WentOn(msgspec.Struct, frozen=True, kw_only=True):
    """What goes on."""

    what: str
    name: str
    replayed: int = 0
    """Of a laboratory: messages that were parked meanwhile, and are in the log again."""
    waiting: int = 0
    """Those that are still to be done again."""


def pause_routes(hub: Hub, gate: Gate) -> list[ControllerRouterHandler]:
    """Return the routes of pauses."""

    def who(request: HttpRequest) -> Asker:
        asker = gate.operator(request)
        return Asker(actor=asker.actor, reason=asker.reason)

    @get(_PATH, summary="What is paused", description=OPERATOR_ONLY)
    async def get_pauses(request: HttpRequest) -> Pauses:
        gate.operator(request)
        async with lent(hub.pool) as connection:
            found = await changes.list_paused(connection)
        METRICS.api_requests.labels("pauses", "200").inc()
        return Pauses(pauses=found)

    @post(_PATH, summary="Let something wait", description=_WAITS)
    async def post_pause(request: HttpRequest, data: JSONBody[NewPause]) -> Paused:
        asker = who(request)
        now = hub.clock.now()
        async with lent(hub.pool) as connection:
            await changes.pause(connection, data.what, data.name, asker, now)
        METRICS.api_requests.labels("pauses", "201").inc()
        return Paused(
            what=data.what,
            name=data.name,
            paused_at=now,
            actor=asker.actor,
            reason=asker.reason,
        )

    @delete(
        _PATH + "/{what:str}/{name:str}",
        status_code=200,
        summary="Let something go on",
        description=_GOES_ON,
    )
    async def delete_pause(
        request: HttpRequest, what: FromPath[str], name: FromPath[str]
    ) -> WentOn:
        asker = who(request)
        async with lent(hub.pool) as connection:
            lab_id = await changes.resume(connection, what, name, asker)
        done = changes.Replayed(messages=0, waiting=0)
        if lab_id is not None:
            done = await changes.replay_some(hub, lab_id, asker, _REPLAYED_MOST)
        METRICS.api_requests.labels("pauses", "200").inc()
        return WentOn(what=what, name=name, replayed=done.messages, waiting=done.waiting)

    return [get_pauses, post_pause, delete_pause]
