"""What a router makes of a report in a stream: part by part, or of the only part there is."""

from __future__ import annotations

from routing.case import Case, Projection
from routing.router import Router
from schemas.topics import Stream


def projections(router: Router, stream: Stream, case: Case) -> dict[str, Projection]:
    """Part -> what the stream is given of it."""
    decision = router.route(case)
    return {
        part: router.project(stream, part, case, decision)
        for part, routed in decision.parts[stream].items()
        if routed.due
    }


def projected(router: Router, stream: Stream, case: Case) -> Projection:
    """What the stream is given of a report that has one part there."""
    (projection,) = projections(router, stream, case).values()
    return projection
