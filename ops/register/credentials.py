"""What a laboratory proves itself with: certificates, subject rules and tokens.

Several hold at once, so that a new one is taken into use before the old one goes. Every change is
one transaction with its entry in the audit chain; no entry holds a token or a subject.
"""

from __future__ import annotations

import secrets
from datetime import datetime
from hashlib import sha256
from typing import Any, Final

import msgspec

from ops.runtime.certificates import Certificate
from ops.runtime.postgres import Connection
from schemas.errors import PermanentError

from .lab_rows import MAX_BYTES, subject_fault
from .labs import LOCK, audit, changing, check_audit, row_of

MAX_CREDENTIALS: Final = 20
"""Certificates and rules, or tokens, of one laboratory that count at once."""
_TOKEN_BYTES: Final = 32
_SHORTEST: Final = 16
"""Characters of a fingerprint that name it; a shorter text is a number."""

CERTIFICATES: Final = """
SELECT certificate_id, fingerprint, subject, not_before, not_after, added_at, revoked_at
FROM lab_certificate WHERE lab_id = $1 ORDER BY certificate_id
"""
OF_FINGERPRINT: Final = """
SELECT c.certificate_id, c.lab_id, c.revoked_at, l.registry_id
FROM lab_certificate c JOIN lab l ON l.lab_id = c.lab_id WHERE c.fingerprint = $1
"""
OF_RULE: Final = """
SELECT c.certificate_id, c.lab_id, c.revoked_at, l.registry_id
FROM lab_certificate c JOIN lab l ON l.lab_id = c.lab_id
WHERE c.fingerprint IS NULL AND c.revoked_at IS NULL AND c.subject = $1
"""
ADD_CERTIFICATE: Final = """
INSERT INTO lab_certificate (lab_id, fingerprint, subject, not_before, not_after)
VALUES ($1, $2, $3, $4, $5) RETURNING certificate_id
"""
REVOKE_CERTIFICATE: Final = (
    "UPDATE lab_certificate SET revoked_at = now() WHERE certificate_id = $1"
)
BEARERS: Final = """
SELECT token_id, name, last4, added_at, revoked_at FROM lab_token WHERE lab_id = $1
ORDER BY token_id
"""
ADD_BEARER: Final = """
INSERT INTO lab_token (lab_id, digest, name, last4) VALUES ($1, $2, $3, $4) RETURNING token_id
"""
REVOKE_BEARER: Final = "UPDATE lab_token SET revoked_at = now() WHERE token_id = $1"
LAB: Final = "SELECT lab_id, registry_id FROM lab WHERE registry_id = $1"


class CertificateEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A certificate of a laboratory, or a rule about the subject (then without fingerprint)."""

    certificate_id: int
    fingerprint: str
    """SHA-256 of the DER, in hexadecimal."""
    subject: str
    not_before: datetime | None
    not_after: datetime | None
    added_at: datetime
    revoked_at: datetime | None


class TokenEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A token of a laboratory, told from its others by its last four characters."""

    token_id: int
    name: str
    last4: str
    added_at: datetime
    revoked_at: datetime | None


class NewToken(msgspec.Struct, frozen=True, kw_only=True):
    """A token that was just made; this is the only time it is shown."""

    token_id: int
    name: str
    token: str


async def list_certificates(connection: Connection, registry_id: str) -> list[CertificateEntry]:
    """Return the certificates and rules of a laboratory, revoked ones too, the oldest first."""
    lab = await row_of(connection, LAB, registry_id)
    return [_certificate(row) for row in await connection.fetch(CERTIFICATES, lab["lab_id"])]


async def list_tokens(connection: Connection, registry_id: str) -> list[TokenEntry]:
    """Return the tokens of a laboratory, revoked ones too, the oldest first."""
    lab = await row_of(connection, LAB, registry_id)
    return [TokenEntry(**dict(row)) for row in await connection.fetch(BEARERS, lab["lab_id"])]


async def add_certificate(
    connection: Connection,
    registry_id: str,
    given: Certificate | str,
    *,
    now: datetime,
    actor: str,
    reason: str,
) -> tuple[CertificateEntry, bool]:
    """Let a certificate, or whatever has a subject, stand for a laboratory.

    Args:
        connection: Outside any transaction.
        registry_id: Of the laboratory.
        given: The certificate, or the whole subject as a rule.
        now: To refuse a certificate that has expired.
        actor: Who asks; audited.
        reason: Why; audited.

    Returns:
        The entry, and whether it is new: one that is there already is no error.

    Raises:
        PermanentError: No such laboratory; expired, revoked before, another laboratory's; or one
            too many.
    """
    check_audit(actor=actor, reason=reason)
    rule = isinstance(given, str)
    if isinstance(given, str):
        fault = subject_fault(given)
        if fault:
            raise PermanentError("bad_subject", f"a subject rule {fault}")
    elif given.not_after < now:
        raise PermanentError("certificate_expired", "it is over already: give the one that follows")
    async with changing(connection):
        lab = await row_of(connection, LOCK, registry_id)
        if isinstance(given, str):
            there = await connection.fetchrow(OF_RULE, given)
            parts: tuple[object, ...] = (None, given, None, None)
        else:
            there = await connection.fetchrow(OF_FINGERPRINT, given.fingerprint)
            parts = (given.fingerprint, given.subject, given.not_before, given.not_after)
        held = await list_certificates(connection, registry_id)
        if there is not None:
            _check_there(there, lab["lab_id"])
            return _pick(held, there["certificate_id"]), False
        if sum(each.revoked_at is None for each in held) >= MAX_CREDENTIALS:
            raise _too_many("certificate")
        number = await connection.fetchval(ADD_CERTIFICATE, lab["lab_id"], *parts)
        entry = _pick(await list_certificates(connection, registry_id), number)
        what = "a subject rule" if rule else f"certificate {entry.fingerprint[:_SHORTEST]}"
        await _audit(
            connection,
            lab,
            "lab_certificate",
            f"{what} added as {number}",
            actor=actor,
            reason=reason,
        )
    return entry, True


async def revoke_certificate(
    connection: Connection, registry_id: str, which: str, *, actor: str, reason: str
) -> tuple[CertificateEntry, bool]:
    """Let a certificate or rule count no more, for ever; give the entry and whether it was so new.

    Args:
        connection: Outside any transaction.
        registry_id: Of the laboratory.
        which: Its number in the list, or its fingerprint (16 characters of it at least).
        actor: Who asks; audited.
        reason: Why; audited.

    Raises:
        PermanentError: No such laboratory or certificate.
    """
    check_audit(actor=actor, reason=reason)
    wanted = which.replace(":", "").strip().lower()
    async with changing(connection):
        lab = await row_of(connection, LOCK, registry_id)
        found = [
            each
            for each in await list_certificates(connection, registry_id)
            if wanted == str(each.certificate_id)
            or (len(wanted) >= _SHORTEST and each.fingerprint.startswith(wanted))
        ]
        if len(found) != 1:
            raise PermanentError(
                "no_such_certificate",
                "give its number or fingerprint: `labdispatch labs certificate list` shows both",
            )
        (entry,) = found
        if entry.revoked_at is not None:
            return entry, False
        await connection.execute(REVOKE_CERTIFICATE, entry.certificate_id)
        entry = _pick(await list_certificates(connection, registry_id), entry.certificate_id)
        what = f"certificate {entry.fingerprint[:_SHORTEST]}" if entry.fingerprint else "rule"
        said = f"{what} ({entry.certificate_id}) revoked"
        await _audit(connection, lab, "lab_certificate", said, actor=actor, reason=reason)
    return entry, True


async def new_token(
    connection: Connection, registry_id: str, name: str, *, actor: str, reason: str
) -> NewToken:
    """Make a token for a laboratory; only its digest is kept.

    Raises:
        PermanentError: No such laboratory, an unusable name, or one too many.
    """
    check_audit(actor=actor, reason=reason)
    name = name.strip()
    if not name or len(name.encode()) > MAX_BYTES or not name.isprintable():
        raise PermanentError("bad_name", f"name the token in 1 to {MAX_BYTES} printable bytes")
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    async with changing(connection):
        lab = await row_of(connection, LOCK, registry_id)
        held = await list_tokens(connection, registry_id)
        if sum(each.revoked_at is None for each in held) >= MAX_CREDENTIALS:
            raise _too_many("token")
        digest = sha256(token.encode()).digest()
        number = await connection.fetchval(ADD_BEARER, lab["lab_id"], digest, name, token[-4:])
        await _audit(
            connection, lab, "lab_token", f"token {number} made", actor=actor, reason=reason
        )
    return NewToken(token_id=number, name=name, token=token)


async def revoke_token(
    connection: Connection, registry_id: str, token_id: int, *, actor: str, reason: str
) -> tuple[TokenEntry, bool]:
    """Let a token count no more, for ever; give the entry and whether it was so new.

    Raises:
        PermanentError: No such laboratory or token.
    """
    check_audit(actor=actor, reason=reason)
    async with changing(connection):
        lab = await row_of(connection, LOCK, registry_id)
        entry = _token(await list_tokens(connection, registry_id), token_id)
        if entry.revoked_at is not None:
            return entry, False
        await connection.execute(REVOKE_BEARER, token_id)
        entry = _token(await list_tokens(connection, registry_id), token_id)
        await _audit(
            connection, lab, "lab_token", f"token {token_id} revoked", actor=actor, reason=reason
        )
    return entry, True


# -------------------------------------------------------------------------------- parts


async def _audit(
    connection: Connection, lab: Any, action: str, said: str, *, actor: str, reason: str
) -> None:
    why = said + (f": {reason}" if reason else "")
    await audit(connection, actor, action, lab["registry_id"], why)


def _check_there(row: Any, lab_id: int) -> None:
    """Refuse what stands in the register already but cannot be given to this laboratory."""
    if row["revoked_at"] is not None:
        raise PermanentError(
            "certificate_revoked", "it was revoked, and stays so: have another one issued"
        )
    if row["lab_id"] != lab_id:
        raise PermanentError(
            "certificate_of_another", f"it stands for {row['registry_id']}: revoke it there first"
        )


def _too_many(what: str) -> PermanentError:
    return PermanentError(
        f"too_many_{what}s", f"a laboratory has at most {MAX_CREDENTIALS}: revoke an old one"
    )


def _certificate(row: Any) -> CertificateEntry:
    given = dict(row)
    given["fingerprint"] = given["fingerprint"].hex() if given["fingerprint"] else ""
    return CertificateEntry(**given)


def _pick(held: list[CertificateEntry], number: int) -> CertificateEntry:
    return next(each for each in held if each.certificate_id == number)


def _token(held: list[TokenEntry], number: int) -> TokenEntry:
    for each in held:
        if each.token_id == number:
            return each
    raise PermanentError("no_such_token", "give its number: `labdispatch labs token list` shows it")
