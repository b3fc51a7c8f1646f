"""POST /v1/messages: the same verdict as over MLLP, the ACK as the body of the answer."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from litestar import Request, Response, post
from litestar.exceptions import HTTPException
from litestar.types import ControllerRouterHandler

from ingest.accept import Acceptor
from ingest.lab import Peer
from ops.idempotency import MAX_CHARACTERS, IdempotencyKeys, is_key
from ops.proofs import NotProved, Proofs
from ops.runtime.metrics import METRICS
from schemas.errors import TransientError

ER7: Final = "application/hl7-v2+er7"
PATH: Final = "/v1/messages"

HttpRequest = Request[Any, Any, Any]


class MessageDoor(msgspec.Struct, frozen=True, kw_only=True):
    """What the route needs."""

    acceptor: Acceptor
    proofs: Proofs
    keys: IdempotencyKeys


def proved_peer(proofs: Proofs, request: HttpRequest) -> Peer | None:
    """Return who sends a request; None on loopback in clear text, where nobody has to prove it.

    Raises:
        HTTPException: Nobody is proved: 401 or 403 with what to do.
    """
    peer = proofs.peer(request.scope, request.headers.get("authorization", ""))
    if isinstance(peer, NotProved):
        headers = {"WWW-Authenticate": "Bearer"} if peer.status == 401 else {}
        raise HTTPException(status_code=peer.status, detail=peer.detail, headers=headers)
    return peer


def message_route(door: MessageDoor) -> ControllerRouterHandler:
    """Return the route."""

    @post(PATH, status_code=200, media_type=ER7, summary="Send one HL7 v2 message")
    async def post_message(request: HttpRequest) -> Response[bytes]:
        """Take one ER7 message; the body of the answer is its ACK.

        The same checks and the same verdict as over MLLP, with status 200 whatever the verdict but
        an AR that may be sent again, with Retry-After: 503 for want of storage, 429 where the
        laboratory sends more than it may. Over HTTPS a laboratory shows its client certificate or
        its own bearer token (401, 403). 413: too large; 415: another content type; 422: an
        Idempotency-Key that came with other bytes.
        """
        peer = proved_peer(door.proofs, request)
        given = request.headers.get("content-type", "").split(";")[0].strip().lower()
        if given != ER7:
            raise HTTPException(status_code=415, detail=f"send Content-Type: {ER7}")
        body = await request.body()
        _check_key(door, request, peer, body)
        answer = await door.acceptor.receive(_unframed(body), peer).wait()
        if answer.close:
            raise TransientError("append_unknown", "send the same message again")
        status, headers = 200, {}
        if answer.try_again:
            status = 429 if answer.is_over_limit else 503
            headers = {"Retry-After": str(answer.retry_after_seconds)}
        METRICS.api_requests.labels("messages", str(status)).inc()
        return Response(b"".join(answer.parts), media_type=ER7, status_code=status, headers=headers)

    return post_message


def _check_key(door: MessageDoor, request: HttpRequest, peer: Peer | None, body: bytes) -> None:
    key = request.headers.get("idempotency-key")
    if key is None:
        return
    if not is_key(key):
        raise HTTPException(
            status_code=422,
            detail=f"an Idempotency-Key has 1 to {MAX_CHARACTERS} printable ASCII characters",
        )
    owner = "" if peer is None else peer.registry_id
    if not door.keys.fits(owner, key, body):
        raise HTTPException(
            status_code=422,
            detail="this Idempotency-Key came with another message: give each message its own",
        )


def _unframed(body: bytes) -> bytes:
    """Take MLLP framing off a body whose sender put it on."""
    if body[:1] == b"\x0b":
        body = body[1:]
    return body.removesuffix(b"\x1c\r").removesuffix(b"\x1c")
