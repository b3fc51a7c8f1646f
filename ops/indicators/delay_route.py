"""HTTP of delays from sampling to reception. Only what was told."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from litestar import Response, get
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from ops.runtime.metrics import METRICS
from schemas.figures import DelayFigure, Extraction

from .answering import Published
from .asking import known_condition
from .columns import delay_rows
from .delayed import read_delays_asked
from .forms import MEDIA, Admit, HttpRequest, format_of, further, rendered

_OF_DELAYS: Final = (
    "Needs a bearer token that reads public-health. Of tests that were sampled in a week: how many"
    " days later they came, as finely as may be told; once the week is 22 days old. area: as of"
    " figures. period: week (the default); day of France. from, to, as_of, after, format: as of"
    " figures. Of all ages and sexes together."
)


class Delays(msgspec.Struct, frozen=True, kw_only=True):
    """Delays from sampling to reception; a value that is null is withheld or not known."""

    extraction: Extraction
    condition: str
    delays: list[DelayFigure]
    next: str | None = None
    """Address of what follows; null at the end."""


def delay_route(published: Published, admit: Admit) -> ControllerRouterHandler:
    """Return the route of delays."""

    @get(
        "/v1/indicators/{condition:str}/delays",
        summary="Delays from sampling to reception",
        description=_OF_DELAYS,
    )
    async def get_delays(request: HttpRequest, condition: FromPath[str]) -> Response[Any]:
        """Return how long tests took, by area and week, in pages of whole weeks."""
        known_condition(condition)
        pairs, form = format_of(request)
        async with await admit(request, condition, read_delays_asked(pairs)) as admitted:
            answer = await published.delays(condition, admitted.asked)
            following, headers = further(
                request.url.path, [*pairs, ("format", form)], answer.extraction, answer.next
            )
            whole = Delays(
                extraction=answer.extraction,
                condition=condition,
                delays=answer.delays,
                next=following,
            )
            content = await rendered(form, delay_rows(answer.delays, answer.extraction), whole)
        METRICS.api_requests.labels("indicators", "200").inc()
        return Response(content, media_type=MEDIA[form], headers=headers)

    return get_delays
