"""Errors over HTTP: problem+json (RFC 9457) with the next step, never a value of a message."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException

from ops.runtime.metrics import METRICS
from ops.stream_tokens.refusals import Refused
from routing.cursors import CursorExpired
from schemas.errors import HubError, PermanentError

PROBLEM: Final = "application/problem+json"
HttpRequest = Request[Any, Any, Any]

_STATUS: Final = {
    "cursor_expired": 410,
    "unreadable_payload": 500,
    "table_unreadable": 503,
    "no_such_laboratory": 404,
    "no_such_certificate": 404,
    "no_such_token": 404,
    "no_such_condition": 404,
    "no_such_file": 404,
    "no_such_table": 404,
    "no_extraction": 404,
    "extraction_gone": 410,
    "token_not_for_indicators": 403,
    "no_such_item": 404,
    "no_such_person": 404,
    "no_such_event": 404,
    "no_such_report": 404,
    "not_parked": 404,
    "not_paused": 404,
    "paused_already": 409,
    "old_release_runs": 409,
    "receiver_stopped": 409,
    "receiver_active": 409,
    "receiver_gap": 409,
    "no_such_steward": 404,
    "no_such_receiver": 404,
    "one_person_already": 409,
    "not_merged": 409,
    "not_standing": 409,
    "not_undoable": 409,
    "several_merges": 409,
    "verdicts_contradict": 409,
    "isolated_person": 409,
    "opposes_already": 409,
    "opposes_not": 409,
    "not_on_hold": 409,
    "not_releasable": 409,
    "steward_exists": 409,
    "token_exists": 409,
    "too_many_persons": 409,
    "too_many_reports": 409,
    "register_conflict": 409,
    "certificate_revoked": 409,
    "certificate_of_another": 409,
    "too_many_certificates": 409,
    "too_many_tokens": 409,
}
"""What is asked and cannot be: 400 unless it stands here."""


class Problem(msgspec.Struct, frozen=True):
    """RFC 9457 problem details."""

    type: str
    title: str
    status: int
    detail: str
    oldest: str | msgspec.UnsetType = msgspec.UNSET
    """Of `cursor_expired`: the cursor that begins with the oldest event kept."""


def hub_problem(_: HttpRequest, error: HubError) -> Response[Problem]:
    """Answer an error of ours: 4xx for what is asked, 503 for what is away."""
    headers: Mapping[str, str] = {}
    if isinstance(error, Refused):
        status, headers = error.status, error.headers
    elif isinstance(error, PermanentError):
        status = _STATUS.get(error.reason, 400)
    else:
        status, headers = 503, {"Retry-After": "5"}
    METRICS.api_requests.labels("error", str(status)).inc()
    return Response(
        Problem(
            type=f"urn:labdispatch:problem:{error.reason}",
            title=error.reason,
            status=status,
            detail=error.remedy,
            oldest=error.oldest if isinstance(error, CursorExpired) else msgspec.UNSET,
        ),
        status_code=status,
        media_type=PROBLEM,
        headers=dict(headers),
    )


def http_problem(_: HttpRequest, error: HTTPException) -> Response[Problem]:
    """Answer an error of the framework, or one raised with a text of ours."""
    METRICS.api_requests.labels("error", str(error.status_code)).inc()
    # Validation details of the framework repeat the input: only our own texts go out.
    detail = error.detail if error.status_code != 400 else "see /docs for the parameters"
    return Response(
        Problem(
            type="about:blank",
            title=f"HTTP {error.status_code}",
            status=error.status_code,
            detail=detail,
        ),
        status_code=error.status_code,
        media_type=PROBLEM,
        headers=error.headers,
    )
