"""Who may read the indicators over HTTP: whoever may read public health, as far as that."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Request

from ops.origins import Origins
from ops.request_origin import origin_of
from ops.stream_tokens.port import StreamAccess
from routing.filters import StreamFilter
from schemas.errors import PermanentError
from schemas.topics import Stream

from .asking import Asked
from .forms import Admit, Admitted

HttpRequest = Request[Any, Any, Any]


def admit_by(access: StreamAccess, origins: Origins | None = None) -> Admit:
    """Return what lets readers of public health in.

    A request takes one of the token's connections until its answer is made, of a file until its
    last line is given; and nothing of its quota: what is published is no event.
    """
    origins = Origins() if origins is None else origins

    async def admit(request: HttpRequest, condition: str, asked: Asked) -> Admitted:
        admission = await access.admit(
            request.headers.get("authorization", ""),
            Stream.PUBLIC_HEALTH,
            origin=origin_of(request, origins),
        )
        try:
            return Admitted(admission, allowed(admission.filter, condition, asked))
        except BaseException:
            admission.close()
            raise

    return admit


def allowed(own: StreamFilter, condition: str, asked: Asked) -> Asked:
    """Return what a reader may have of what is asked, by the filter of the token.

    Raises:
        PermanentError: `token_not_for_indicators`: nothing of it.
    """
    if own.results or own.since or own.until or own.is_nothing:
        raise PermanentError(
            "token_not_for_indicators",
            "this token reads rows by result or day; ask the operator for one without",
        )
    if own.conditions and condition and condition not in own.conditions:
        raise PermanentError(
            "token_not_for_indicators", f"this token reads {', '.join(sorted(own.conditions))}"
        )
    if not own.departments or not condition:
        return asked
    own_areas = frozenset(f"department:{code}" for code in own.departments)
    if asked.levels == ("department",):
        kept = own_areas & asked.areas if asked.areas else own_areas
        if kept:
            return msgspec.structs.replace(asked, areas=kept)
    raise PermanentError(
        "token_not_for_indicators",
        "this token reads departments: ask for area=department:CODE of one of them",
    )
