"""What a certificate says of itself, for the register and for the doors that are shown one."""

from __future__ import annotations

from datetime import datetime
from hashlib import sha256

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from schemas.errors import PermanentError

MAX_BYTES = 64 * 1024


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    """The identity of a certificate: what the register compares, and when it holds."""

    fingerprint: bytes
    """SHA-256 of the DER."""
    subject: str
    """The whole subject as RFC 4514 writes it."""
    not_before: datetime
    not_after: datetime


def read_certificate(content: bytes) -> Certificate:
    """Return what the first certificate of a PEM or DER text says.

    Raises:
        PermanentError: It is none (`no_certificate`).
    """
    try:
        if len(content) > MAX_BYTES:
            raise ValueError  # noqa: TRY301 - one answer for whatever is no certificate
        if b"-----BEGIN" in content:
            found = x509.load_pem_x509_certificate(content)
        else:
            found = x509.load_der_x509_certificate(content)
        subject = found.subject.rfc4514_string()
    except ValueError:
        raise PermanentError(
            "no_certificate", "give one X.509 certificate, as PEM or DER, and not its key"
        ) from None
    return Certificate(
        fingerprint=sha256(found.public_bytes(Encoding.DER)).digest(),
        subject=subject,
        not_before=found.not_valid_before_utc,
        not_after=found.not_valid_after_utc,
    )
