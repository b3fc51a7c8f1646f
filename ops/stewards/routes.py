"""HTTP of the stewards: the queue, an item, verdicts, merge, unmerge, undo, oppositions.

Each steward has a token of its own (`labdispatch review steward add`), so that the audit chain
names who saw and did what; the operator's token makes and revokes these and does nothing else here.
Why goes into the header X-Reason. Values are given to tokens that may see them, when they are asked
for.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Annotated, Final, Literal, TypeVar
from uuid import UUID

import msgspec
from litestar import delete, get, post
from litestar.exceptions import HTTPException
from litestar.params import FromPath, JSONBody, QueryParameter
from litestar.types import ControllerRouterHandler

from dedup.review import PairVerdict
from ops.asking import Asker
from ops.register.access import Gate, HttpRequest, bearer_of
from ops.runtime.metrics import METRICS
from ops.runtime.postgres import Pool, translated
from schemas.errors import PermanentError

from . import credentials, desk, seen
from .acts import Stewards
from .credentials import Known, NewSteward, StewardEntry
from .desk import Event, Item, Shown
from .done import Done
from .explaining import Explained

STEWARDS_ONLY: Final = (
    "Needs a steward's bearer token (`labdispatch review steward add`). Audited; X-Reason goes into"
    " the audit trail, no personal data there."
)
_OPERATORS_ONLY: Final = "Needs the operator's bearer token (`operator` in tokens.json). Audited."
T = TypeVar("T")
_WORDS: Final = {each.value for each in PairVerdict}


class Verdict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a steward says of the two persons of an item: same, different or later."""

    verdict: str


class Pair(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Two persons by their numbers."""

    one: int
    other: int


class Undo(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The number of a link event."""

    event: int


class Opposition(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether a person opposes the dossier from now on."""

    person: int
    opposes: bool


class StewardName(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whom a token is for, and whether it may ask for values."""

    name: str
    sees_identity: bool = False


class ReviewDesk:
    """What the routes need.

    Args:
        pool: For reading.
        gate: Knows the operator's token.
        make: Makes the acts; at the first request that needs them, for they bring the matcher's
            model along, and many a process is never asked.
    """

    def __init__(self, pool: Pool, gate: Gate, make: Callable[[], Stewards]) -> None:
        self.pool = pool
        self.gate = gate
        self._make = make

    @cached_property
    def stewards(self) -> Stewards:
        """The acts."""
        return self._make()

    async def steward(self, request: HttpRequest) -> tuple[Known, Asker]:
        """Let a steward pass; return who it is, and what the audit names.

        Raises:
            HTTPException: 401 without a token, 403 with another.
        """
        given = bearer_of(request)
        with translated():
            async with self.pool.acquire() as connection:
                known = await credentials.known_by(connection, given)
        if known is None:
            raise HTTPException(
                status_code=403,
                detail="this token is no steward's: `labdispatch review steward add` makes one",
            )
        reason = request.headers.get("x-reason", "").strip()
        return known, Asker(actor=known.name, reason=reason)


def review_routes(desk_: ReviewDesk) -> list[ControllerRouterHandler]:
    """Return the routes of stewards, and those by which the operator makes them."""
    return [*_looking(desk_), *_acting(desk_), *_tokens(desk_)]


def _looking(parts: ReviewDesk) -> list[ControllerRouterHandler]:
    @get("/v1/review", summary="What waits for a steward", description=STEWARDS_ONLY)
    async def get_items(
        request: HttpRequest,
        guard: Annotated[str, QueryParameter(description="Only of this guard.")] = "",
        priority: Annotated[int, QueryParameter(ge=0, le=3, description="0 is all.")] = 0,
        limit: Annotated[int, QueryParameter(ge=1, le=desk.MAX_ITEMS)] = 50,
        skip: Annotated[int, QueryParameter(ge=0, le=1_000_000)] = 0,
    ) -> list[Item]:
        _, asker = await parts.steward(request)
        with translated():
            async with parts.pool.acquire() as connection:
                found = await seen.see_list(
                    connection, asker, guard=guard, priority=priority, limit=limit, skip=skip
                )
        return _counted(found)

    @get("/v1/review/{item:int}", summary="Both sides of an item", description=STEWARDS_ONLY)
    async def get_item(
        request: HttpRequest,
        item: FromPath[int],
        show: Annotated[
            Literal["", "identity"], QueryParameter(description="`identity`: the values too.")
        ] = "",
    ) -> Shown:
        known, asker = await parts.steward(request)
        if show and not known.sees_identity:
            raise HTTPException(status_code=403, detail="this token may not ask for values")
        with translated():
            async with parts.pool.acquire() as connection:
                shown = await seen.see_item(
                    connection, parts.stewards, asker, item, with_values=bool(show)
                )
        return _counted(shown)

    @get("/v1/persons/{person:int}/history", summary="Decisions", description=STEWARDS_ONLY)
    async def get_history(request: HttpRequest, person: FromPath[int]) -> list[Event]:
        _, asker = await parts.steward(request)
        with translated():
            async with parts.pool.acquire() as connection:
                found = await seen.see_history(connection, parts.stewards, asker, person)
        return _counted(found)

    @get("/v1/reports/{report:uuid}/decision", summary="Why it is whose", description=STEWARDS_ONLY)
    async def get_decision(request: HttpRequest, report: FromPath[UUID]) -> Explained:
        _, asker = await parts.steward(request)
        with translated():
            async with parts.pool.acquire() as connection:
                told = await seen.see_decision(connection, parts.stewards, asker, report)
        return _counted(told)

    return [get_items, get_item, get_history, get_decision]


def _acting(parts: ReviewDesk) -> list[ControllerRouterHandler]:
    @post(
        "/v1/review/{item:int}/verdict",
        status_code=200,
        summary="Same, different or later",
        description=STEWARDS_ONLY,
    )
    async def post_verdict(
        request: HttpRequest, item: FromPath[int], data: JSONBody[Verdict]
    ) -> Done:
        _, asker = await parts.steward(request)
        if data.verdict not in _WORDS:
            raise PermanentError("bad_verdict", "say same, different or later")
        with translated():
            async with parts.pool.acquire() as connection:
                one, other = await desk.pair_of_item(connection, item)
        return _counted(await parts.stewards.say(one, other, PairVerdict(data.verdict), asker))

    @post("/v1/persons/merge", status_code=200, summary="Merge", description=STEWARDS_ONLY)
    async def post_merge(request: HttpRequest, data: JSONBody[Pair]) -> Done:
        _, asker = await parts.steward(request)
        return _counted(await parts.stewards.merge(data.one, data.other, asker))

    @post("/v1/persons/unmerge", status_code=200, summary="Unmerge", description=STEWARDS_ONLY)
    async def post_unmerge(request: HttpRequest, data: JSONBody[Pair]) -> Done:
        _, asker = await parts.steward(request)
        return _counted(await parts.stewards.unmerge(data.one, data.other, asker))

    @post("/v1/persons/undo", status_code=200, summary="Take back", description=STEWARDS_ONLY)
    async def post_undo(request: HttpRequest, data: JSONBody[Undo]) -> Done:
        _, asker = await parts.steward(request)
        return _counted(await parts.stewards.undo(data.event, asker))

    @post(
        "/v1/persons/opposition",
        status_code=200,
        summary="A patient's opposition to the dossier",
        description=STEWARDS_ONLY,
    )
    async def post_opposition(request: HttpRequest, data: JSONBody[Opposition]) -> Done:
        _, asker = await parts.steward(request)
        stewards = parts.stewards
        act = stewards.oppose if data.opposes else stewards.allow
        return _counted(await act(data.person, asker))

    return [post_verdict, post_merge, post_unmerge, post_undo, post_opposition]


def _tokens(parts: ReviewDesk) -> list[ControllerRouterHandler]:
    pool = parts.pool

    def operator(request: HttpRequest) -> Asker:
        found = parts.gate.operator(request)
        return Asker(actor=found.actor, reason=found.reason)

    @get("/v1/review/stewards", summary="Stewards", description=_OPERATORS_ONLY)
    async def get_stewards(request: HttpRequest) -> list[StewardEntry]:
        operator(request)
        with translated():
            async with pool.acquire() as connection:
                return _counted(await credentials.list_stewards(connection))

    @post(
        "/v1/review/stewards",
        status_code=201,
        summary="Make a steward's token; this answer alone shows it",
        description=_OPERATORS_ONLY,
    )
    async def post_steward(request: HttpRequest, data: JSONBody[StewardName]) -> NewSteward:
        asker = operator(request)
        with translated():
            async with pool.acquire() as connection:
                made = await credentials.add_steward(
                    connection, data.name, sees_identity=data.sees_identity, asker=asker
                )
        return _counted(made)

    @delete(
        "/v1/review/stewards/{name:str}",
        status_code=204,
        summary="Revoke a steward's token",
        description=_OPERATORS_ONLY,
    )
    async def delete_steward(request: HttpRequest, name: FromPath[str]) -> None:
        asker = operator(request)
        with translated():
            async with pool.acquire() as connection:
                await credentials.revoke_steward(connection, name, asker=asker)
        METRICS.api_requests.labels("review", "204").inc()

    return [get_stewards, post_steward, delete_steward]


def _counted(answer: T) -> T:
    METRICS.api_requests.labels("review", "200").inc()
    return answer
