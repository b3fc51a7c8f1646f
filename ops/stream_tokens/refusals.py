"""Why a reader is not served: each refusal has a stable code, a status, and the next step."""

from __future__ import annotations

from typing import Final

from schemas.errors import PermanentError

ASK: Final = "ask the operator of this hub for one (`labdispatch tokens add`)"

STATUS: Final = {
    "no_token": 401,
    "unknown_token": 401,
    "token_not_for_stream": 403,
    "token_expired": 403,
    "token_revoked": 403,
    "token_filter_unreadable": 403,
    "quota_used": 429,
    "connections_used": 429,
    "reads_too_fast": 429,
    "readers_full": 429,
}
"""The closed set of refusals, and what HTTP says to each."""


class Refused(PermanentError):
    """A read that is not served; what is asked again without the next step ends as this one.

    Args:
        reason: One of `STATUS`.
        remedy: The next step. Never a token, never a value that was sent.
        retry_after_seconds: After which asking again can help; None: it cannot.
    """

    def __init__(self, reason: str, remedy: str, *, retry_after_seconds: int | None = None) -> None:
        super().__init__(reason, remedy)
        self.retry_after_seconds = retry_after_seconds

    @property
    def status(self) -> int:
        """The HTTP status."""
        return STATUS[self.reason]

    @property
    def headers(self) -> dict[str, str]:
        """What HTTP says beside."""
        if self.status == 401:
            return {"WWW-Authenticate": "Bearer"}
        if self.retry_after_seconds is not None:
            return {"Retry-After": str(max(1, self.retry_after_seconds))}
        return {}


def no_token() -> Refused:
    """Return the refusal of a request without a bearer token."""
    return Refused("no_token", f"send the header Authorization: Bearer TOKEN; {ASK}")


def unknown_token() -> Refused:
    """Return the refusal of a token that nobody made here."""
    return Refused(
        "unknown_token", f"no token of this hub's readers: check that it was copied whole, or {ASK}"
    )


def not_for_stream(streams: str) -> Refused:
    """Return the refusal of a token of other streams."""
    return Refused("token_not_for_stream", f"this token reads {streams}; for another stream {ASK}")


def expired() -> Refused:
    """Return the refusal of a token whose time is over."""
    return Refused("token_expired", f"its time is over: {ASK}; your cursor stays good")


def revoked() -> Refused:
    """Return the refusal of a token that was revoked."""
    return Refused("token_revoked", f"it was revoked: {ASK}; your cursor stays good")


def filter_unreadable() -> Refused:
    """Return the refusal of a token whose own filter this release does not know."""
    return Refused(
        "token_filter_unreadable", f"this release does not know the token's filter: {ASK}"
    )


def quota_used(seconds: int) -> Refused:
    """Return the refusal of a token whose events of the day are used up."""
    return Refused(
        "quota_used",
        "the day's events of this token are used up: go on from your cursor after midnight UTC,"
        " or ask the operator for more (`labdispatch tokens quota`)",
        retry_after_seconds=seconds,
    )


def connections_used(most: int) -> Refused:
    """Return the refusal of one connection of a token too many."""
    return Refused(
        "connections_used",
        f"this token has its {most} connections: end one, or ask the operator for more"
        " (`labdispatch tokens quota`)",
        retry_after_seconds=5,
    )


def reads_too_fast() -> Refused:
    """Return the refusal of a token that reads names too often."""
    return Refused(
        "reads_too_fast",
        "each read of names is two entries of the audit chain: ask for longer pages (limit=), or"
        " follow (follow=true) instead of asking again and again",
        retry_after_seconds=1,
    )


def readers_full() -> Refused:
    """Return the refusal of a reader when all places of the process are taken."""
    return Refused(
        "readers_full", "too many read here at once: ask again later", retry_after_seconds=10
    )
