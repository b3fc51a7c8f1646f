"""Who may ask the register over HTTP: its operator all of it, a laboratory what concerns itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec
from litestar import Request
from litestar.exceptions import HTTPException

from ingest.lab import Lab, may_speak
from ops.asking import Asker
from ops.tokens import OPERATOR, is_valid

from .labs import check_audit, normalised

HttpRequest = Request[Any, Any, Any]
OfToken = Callable[[str], Lab | None]

_OPERATORS: Final = "`operator` of tokens.json in the data folder"


def nobody(_: str) -> Lab | None:
    """Know no laboratory's token."""
    return None


class Gate(msgspec.Struct, frozen=True, kw_only=True):
    """The tokens of an instance, and how a laboratory's own are known."""

    tokens: dict[str, str]
    of_token: OfToken = nobody

    def operator(self, request: HttpRequest) -> Asker:
        """Let the operator pass; return whom and what the audit names (headers X-Actor, X-Reason).

        Raises:
            HTTPException: 401 without a token, 403 with another.
            PermanentError: A header that cannot stand in the audit chain.
        """
        given = bearer_of(request)
        if not is_valid(self.tokens, OPERATOR, given):
            raise HTTPException(
                status_code=403, detail=f"this token is not the operator's: send {_OPERATORS}"
            )
        asker = Asker(
            actor=request.headers.get("x-actor", "").strip() or "operator over HTTP",
            reason=request.headers.get("x-reason", "").strip(),
        )
        check_audit(actor=asker.actor, reason=asker.reason)
        return asker

    def reader(self, request: HttpRequest, registry_id: str) -> None:
        """Let the operator pass, and the laboratory that is asked about.

        Raises:
            HTTPException: 401 without a token, 403 with another's, whether or not there is such a
                laboratory.
        """
        given = bearer_of(request)
        if is_valid(self.tokens, OPERATOR, given):
            return
        lab = self.of_token(given)
        if lab is None or not may_speak(lab, normalised(registry_id)):
            raise HTTPException(
                status_code=403,
                detail=f"this token does not read this: send the laboratory's own, or {_OPERATORS}",
            )


def bearer_of(request: HttpRequest) -> str:
    """Return the bearer token of a request.

    Raises:
        HTTPException: 401: there is none.
    """
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not given.strip():
        raise HTTPException(
            status_code=401,
            detail=f"send Authorization: Bearer TOKEN with {_OPERATORS}, or a laboratory's own",
            headers={"WWW-Authenticate": "Bearer"},
        )
    return given.strip()
