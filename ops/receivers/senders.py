"""The sender of a receiver, by its kind; a client is loaded when the first such one comes."""

from __future__ import annotations

import ssl
from pathlib import Path

import msgspec

from ops.runtime.clock import Clock
from ops.runtime.vault import Vault
from schemas.decision import Realm
from schemas.errors import PermanentError

from .receiver import Kind, Options, Receiver
from .sender import Sender


class SenderParts(msgspec.Struct, frozen=True, kw_only=True):
    """What senders are made of."""

    vault: Vault
    clock: Clock
    timeout_seconds: float
    answer_bytes: int
    connections: int
    realm: Realm


def open_sender(receiver: Receiver, parts: SenderParts) -> Sender:
    """Return what sends to a receiver.

    Raises:
        PermanentError: A secret or a TLS file of it is missing or does not fit.
        FatalError: The keys are damaged.
    """
    if receiver.kind is Kind.WEBHOOK:
        from .http_sender import WebhookSender  # noqa: PLC0415

        return WebhookSender(receiver, parts)
    if receiver.kind is Kind.FHIR:
        from .http_sender import FhirSender  # noqa: PLC0415

        return FhirSender(receiver, parts)
    from .mail_sender import MailSender  # noqa: PLC0415

    return MailSender(receiver, parts)


def tls_of(options: Options) -> ssl.SSLContext:
    """Return whom we trust and who we are towards a receiver: TLS 1.2 or newer, names checked.

    Raises:
        PermanentError: `receiver_tls_files`: a file is not there, or is none such.
    """
    try:
        context = ssl.create_default_context(cafile=options.ca or None)
        if options.client_cert:
            context.load_cert_chain(Path(options.client_cert), options.client_key or None)
    except (OSError, ssl.SSLError, ValueError):
        raise PermanentError(
            "receiver_tls_files", "--ca, --client-cert or --client-key cannot be read as PEM"
        ) from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
