"""HTTP of oppositions in batch: many lines in, what became of each by its number out."""

from __future__ import annotations

from typing import Final

import msgspec
from litestar import post
from litestar.params import JSONBody
from litestar.types import ControllerRouterHandler

from ops.bootstrap import Hub
from ops.register.access import HttpRequest
from ops.runtime.metrics import METRICS
from schemas.errors import PermanentError

from .opposition_commands import batch_of
from .opposition_file import Answered, said_of
from .routes import STEWARDS_ONLY, ReviewDesk

MAX_LINES: Final = 1_000
"""Of one request."""


class OppositionLine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One act, `oppose` or `allow`: by INS, or by laboratory and its own patient number."""

    act: str
    ins: str = ""
    oid: str = ""
    laboratory: str = ""
    patient_number: str = ""

    def __repr__(self) -> str:
        """Return the type's name alone: a line is personal data."""
        return "<OppositionLine withheld>"


def opposition_routes(hub: Hub, desk: ReviewDesk) -> list[ControllerRouterHandler]:
    """Return the route."""

    @post(
        "/v1/persons/oppositions",
        status_code=200,
        summary="Oppositions to the dossier, many at once",
        description=f"{STEWARDS_ONLY} At most {MAX_LINES} lines; each is answered by its number,"
        " from 1. Sent again, what was done says so and changes nothing.",
    )
    async def post_oppositions(
        request: HttpRequest, data: JSONBody[list[OppositionLine]]
    ) -> list[Answered]:
        _, asker = await desk.steward(request)
        if len(data) > MAX_LINES:
            raise PermanentError("too_many_lines", f"send at most {MAX_LINES} lines at a time")
        lines = [
            said_of(
                number,
                act=each.act,
                ins=each.ins,
                oid=each.oid,
                laboratory=each.laboratory,
                number=each.patient_number,
                realm=hub.realm,
            )
            for number, each in enumerate(data, start=1)
        ]
        answers = [each async for each in batch_of(hub, desk.stewards).run(lines, asker)]
        METRICS.api_requests.labels("review", "200").inc()
        return answers

    return [post_oppositions]
