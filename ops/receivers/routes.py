"""`POST /v1/receivers/NAME/acknowledgements`: what a receiver says later of what it took."""

from __future__ import annotations

from hashlib import sha256
from typing import Any, Final
from uuid import UUID

from litestar import Request, Response, post
from litestar.exceptions import HTTPException
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from ops.register.access import bearer_of
from ops.runtime.metrics import METRICS
from ops.runtime.postgres import Connection, Pool, lent
from schemas.envelope import control_key_of
from schemas.errors import PermanentError

from . import operating
from .words import acknowledgement, by_original, words_of

ER7: Final = "application/hl7-v2+er7"
_MOST_EVENTS: Final = 200
_MOST_MESSAGES: Final = 50
"""That have one control id: more are not looked through."""
_MAX_BYTES: Final = 64 * 1024
HttpRequest = Request[Any, Any, Any]


def receiver_routes(pool: Pool) -> list[ControllerRouterHandler]:
    """Return the handler of business acknowledgements."""

    @post(
        "/v1/receivers/{name:str}/acknowledgements",
        status_code=200,
        media_type=ER7,
        summary="Say later what became of an event (ZAM^Z01, ZAM^Z02)",
        request_max_body_size=_MAX_BYTES,
    )
    async def post_acknowledgement(request: HttpRequest, name: FromPath[str]) -> Response[bytes]:
        """Take a business acknowledgement; needs the token that `receivers add` has shown.

        OBX-4 names the event: its id (webhook-id, Idempotency-Key), or the MSH-10 of the
        laboratory's message. 200 with MSA AA, also for one that was said before; with AE where
        nothing is known by that name. 401, 403, 413.
        """
        token = bearer_of(request)
        raw = await request.body()
        async with lent(pool) as connection:
            digest = sha256(token.encode()).digest()
            number = await connection.fetchval(operating.WHO_SPEAKS, digest, name)
            if number is None:
                raise HTTPException(status_code=403, detail="this token is not this receiver's")
            control_id, words = words_of(raw)
            try:
                async with connection.transaction():
                    for original, said in by_original(words).items():
                        events = await events_of(connection, number, original)
                        for each in said:
                            await connection.fetch(
                                operating.SAY, number, events, each.word, each.code
                            )
            except PermanentError as error:
                METRICS.api_requests.labels("acknowledgements", "200").inc()
                return _answer(acknowledgement(control_id, "AE", error.reason))
        METRICS.api_requests.labels("acknowledgements", "200").inc()
        return _answer(acknowledgement(control_id, "AA"))

    return [post_acknowledgement]


async def events_of(connection: Connection, number: int, original: str) -> list[UUID]:
    """Return the events of this receiver that an original names.

    Raises:
        PermanentError: There is none, or several laboratories' messages have this control id.
    """
    asked = _as_uuid(original)
    if asked is not None:
        event = await connection.fetchval(operating.BY_EVENT, number, asked)
        if event is not None:
            return [event]
    named = await connection.fetch(
        operating.NAMED, asked, control_key_of(original), _MOST_MESSAGES + 1
    )
    if len(named) > _MOST_MESSAGES:
        raise _several_originals()
    rows = await connection.fetch(
        operating.BY_MESSAGE, number, [row["message_id"] for row in named], _MOST_EVENTS
    )
    events: dict[UUID, set[UUID]] = {}
    for row in rows:
        events.setdefault(row["message_id"], set()).add(row["event_id"])
    told = {frozenset(each) for each in events.values()}
    if len(told) > 1:
        raise _several_originals()
    if not told:
        raise PermanentError("no_such_original", "nothing of this name was sent to this receiver")
    return sorted(told.pop())


def _several_originals() -> PermanentError:
    return PermanentError("several_originals", "name the event's id in OBX-4")


def _answer(body: bytes) -> Response[bytes]:
    return Response(body, media_type=ER7)


def _as_uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
