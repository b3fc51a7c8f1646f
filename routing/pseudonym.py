"""Keyed stand-ins for persons: keyed BLAKE2b of the resolved person, never of a name.

Hashing raw names is how SI-DEP overstated incidence until May 2021 (accents made new persons).
"""

from __future__ import annotations

from datetime import date
from hashlib import blake2b
from typing import Final
from uuid import UUID

from schemas.errors import FatalError
from schemas.ids import id_of
from schemas.patient import Ins

_SEPARATOR: Final = b"\x1f"
_SECRET_BYTES: Final = range(16, 65)


def check_secret(secret: bytes) -> bytes:
    """Return the secret if it can key a digest.

    Raises:
        FatalError: It is too short or too long for BLAKE2b.
    """
    if len(secret) not in _SECRET_BYTES:
        raise FatalError("secret_invalid", "a digest's secret has 16 to 64 bytes: check the keys")
    return secret


def pseudonym_of(secret: bytes, person_id: int, purpose: str, period: str) -> str:
    """Return the 32 hex digits that stand for a person within one purpose and one period."""
    return _digest(secret, b"pseudonym", str(person_id), purpose, period)


def case_of(secret: bytes, case_id: UUID, purpose: str) -> str:
    """Return the 32 hex digits that stand for a case within one purpose and stream."""
    return _digest(secret, b"case", case_id.hex, purpose)


def addressee_of(secret: bytes, ins: Ins) -> str:
    """Return the 32 hex digits that stand for the dossier of an INS; never the INS itself."""
    return _digest(secret, b"addressee", ins.oid, ins.matricule)


def body_digest(secret: bytes, body: bytes) -> UUID:
    """Return the keyed digest of a body. Keyed: a body of few possible values could be guessed."""
    return id_of(blake2b(body, digest_size=16, key=secret, person=b"body").digest())


def period_of(day: date) -> str:
    """Return the quarter of a day, as `2026-Q1`: the period of a pseudonym."""
    return f"{day.year:04d}-Q{(day.month + 2) // 3}"


def _digest(secret: bytes, use: bytes, *parts: str) -> str:
    told = _SEPARATOR.join(part.encode() for part in parts)
    return blake2b(told, digest_size=16, key=secret, person=use).hexdigest()
