"""Sends over HTTP: webhooks (signed) and FHIR transactions. The only importer of the client.

No redirect is followed, no proxy or credential is taken from the environment, no cookie is kept,
and of an answer a bounded part is read and none is logged.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any, Final

import httpx
import msgspec

from routing.pushing import Answer, Outcome, Protocol
from routing.transaction import Part, counted, named, parts_of, transaction_of, withdrawal_of
from schemas.errors import PermanentError, pure_step
from schemas.events import StreamEvent

from .answers import answer_of
from .receiver import Receiver
from .recipient import Recipient, RecipientEvent
from .secret import held
from .sender import Delivery
from .senders import SenderParts, tls_of
from .signing import signed_headers

_FHIR: Final = "application/fhir+json"
_IDLE_SECONDS: Final = 30.0
_ALWAYS: Final = {"User-Agent": "labdispatch", "Accept": "*/*", "Accept-Encoding": "identity"}


class _HttpSender:
    """One receiver's connections."""

    wants_earlier = False
    keeps_every_word = False

    def __init__(self, receiver: Receiver, parts: SenderParts) -> None:
        self._receiver = receiver
        self._parts = parts
        secure = receiver.url.startswith("https:")
        self._url = httpx.URL(receiver.url)
        self._timeouts = {"timeout": httpx.Timeout(parts.timeout_seconds).as_dict()}
        # The library's transport without its client, which merges addresses, cookies, redirects and
        # credentials of which there are none here: a third of a request's work.
        self._transport = httpx.AsyncHTTPTransport(
            verify=tls_of(receiver.options) if secure else ssl.create_default_context(),
            trust_env=False,
            limits=httpx.Limits(
                max_connections=parts.connections,
                max_keepalive_connections=parts.connections,
                keepalive_expiry=_IDLE_SECONDS,
            ),
        )

    def puts(self, delivery: Delivery) -> Mapping[str, int]:  # noqa: ARG002 - the port's
        """Return nothing: what was sent before is named by its report's id alone."""
        return {}

    async def close(self) -> None:
        await self._transport.aclose()

    async def _post(
        self, event: StreamEvent | RecipientEvent, body: bytes, headers: dict[str, str]
    ) -> Answer:
        """Post and return the answer; a connection that fails is one too."""
        request = httpx.Request(
            "POST",
            self._url,
            headers={
                **_ALWAYS,
                "Idempotency-Key": str(event.event_id),
                "X-Labdispatch-Event-Version": str(event.event_version),
                "X-Labdispatch-Report": str(event.report_id),
                "X-Labdispatch-Part": event.part,
                **headers,
            },
            content=body,
            extensions=self._timeouts,
        )
        try:
            response = await self._transport.handle_async_request(request)
            try:
                return answer_of(
                    response.status_code,
                    response.headers.get("content-type", ""),
                    response.headers.get("retry-after", ""),
                    await self._bounded(response),
                    self._parts.clock.now(),
                )
            finally:
                await response.aclose()
        except httpx.TimeoutException:
            return _away("timeout", unsure=True)
        except httpx.ConnectError as error:
            return _away("tls_refused" if _is_tls(error) else "no_connection")
        except httpx.HTTPError:
            return _away("connection_broken", unsure=True)

    async def _bounded(self, response: httpx.Response) -> bytes:
        """Read what may be read; the status alone has said enough where there is more."""
        read = b""
        async for piece in response.aiter_raw(16_384):
            read += piece
            if len(read) >= self._parts.answer_bytes:
                return read[: self._parts.answer_bytes]
        return read


class WebhookSender(_HttpSender):
    """Posts each event as its line of the stream, signed after Standard Webhooks."""

    def __init__(self, receiver: Receiver, parts: SenderParts) -> None:
        self._key = held(parts.vault, receiver.receiver_id, receiver.secret_version)
        if self._key is None:
            raise PermanentError("secret_missing", "rotate-secret gives the receiver a new one")
        until = receiver.old_secret_until
        self._old: bytes | None = None
        if until is not None and parts.clock.now() < until:
            self._old = held(parts.vault, receiver.receiver_id, receiver.old_secret_version)
        purpose = receiver.options.purpose
        self._recipient: Recipient | None = None
        if purpose:
            secret = parts.vault.secret(f"recipient-{purpose}")
            self._recipient = Recipient(purpose, parts.vault, secret)
        super().__init__(receiver, parts)

    async def send(self, delivery: Delivery) -> Answer:
        """Send one event."""
        now = self._parts.clock.now()
        until = self._receiver.old_secret_until
        old = self._old if until is not None and now < until else None
        keys = [key for key in (self._key, old) if key is not None]
        event: StreamEvent | RecipientEvent = delivery.event
        if self._recipient is not None:
            with pure_step():
                event = self._recipient.event_for(delivery.event)
        body = msgspec.json.encode(event)
        headers = signed_headers(str(event.event_id), int(now.timestamp()), body, keys)
        return await self._post(event, body, {"Content-Type": "application/json", **headers})


class FhirSender(_HttpSender):
    """Posts each report as a transaction Bundle to a FHIR server's base."""

    wants_earlier = True

    def __init__(self, receiver: Receiver, parts: SenderParts) -> None:
        super().__init__(receiver, parts)
        token = held(parts.vault, receiver.receiver_id, receiver.secret_version)
        self._headers = {"Content-Type": _FHIR, "Accept": _FHIR, "Prefer": "return=minimal"}
        if token is not None:
            self._headers["Authorization"] = f"Bearer {token.decode()}"

    def puts(self, delivery: Delivery) -> Mapping[str, int]:
        """Return what of the report may be there: of this version, and of those before."""
        with pure_step():
            parts = _left_by(delivery)
            if delivery.event.body is not None:
                parts |= parts_of(msgspec.json.decode(delivery.event.body))
            return counted(delivery.event.report_id, parts)

    async def send(self, delivery: Delivery) -> Answer:
        """Send one report, or its withdrawal."""
        with pure_step():
            body = msgspec.json.encode(transaction_for(delivery, self._receiver.url))
        return await self._post(delivery.event, body, self._headers)


def transaction_for(delivery: Delivery, base: str) -> dict[str, Any]:
    """Return the transaction of an event, with what earlier versions left behind taken back."""
    stale = _left_by(delivery)
    if delivery.event.body is None:
        return withdrawal_of(delivery.event.report_id, stale, base)
    return transaction_of(msgspec.json.decode(delivery.event.body), base, stale)


def _left_by(delivery: Delivery) -> set[Part]:
    """Return what earlier versions may have left at the receiver."""
    left = set(named(delivery.event.report_id, delivery.left))
    for earlier in delivery.earlier:
        if earlier.body is not None:
            left |= parts_of(msgspec.json.decode(earlier.body))
    return left


def _away(code: str, *, unsure: bool = False) -> Answer:
    return Answer(
        outcome=Outcome.TRANSIENT, protocol=Protocol.HUB, code=code, whole=True, unsure=unsure
    )


def _is_tls(error: BaseException) -> bool:
    """Say whether a connection failed at its TLS, by the types of its causes alone."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return True
        cause = cause.__cause__ or cause.__context__
    return False
