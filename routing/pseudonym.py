"""Keyed stand-ins for persons and cases: of the resolved person, never of a name.

Hashing raw names is how SI-DEP overstated incidence until May 2021 (accents made new persons). A
pseudonym is an HMAC-SHA256 (RFC 2104), cut to 128 bits, under a key of its own for each purpose and
half-year: without that key nobody can tell that two recipients, or two half-years, speak of one
person, and once it is destroyed nobody can ever again (docs/pseudonyms.md).
"""

from __future__ import annotations

import hmac
from datetime import date, timedelta
from hashlib import blake2b
from typing import Final, Protocol
from uuid import UUID

import msgspec

from schemas.errors import FatalError
from schemas.events import PublicHealthRow
from schemas.ids import id_of
from schemas.patient import Ins

NEXT_DAYS: Final = 90
"""So many days before a period ends, rows carry the pseudonym of the next one too."""
_FIRST_DAY: Final = date(2000, 1, 1)
"""What was sampled before counts as of that day: a wrong date must not make keys without end."""
_SEPARATOR: Final = b"\x1f"
_SECRET_BYTES: Final = range(16, 65)
_HEX_DIGITS: Final = 32


class PeriodKeys(Protocol):
    """Where the keys of pseudonyms are: the vault, which makes one when it is first asked for."""

    def pseudonym_key(self, purpose: str, period: str) -> bytes | None:
        """Return the key of a purpose and period; None once it was destroyed."""
        ...


class DerivedKeys:
    """Keys made of one secret: for tests and for tools that keep nothing. They never rotate apart.

    Args:
        secret: 16 to 64 bytes.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = check_secret(secret)

    def pseudonym_key(self, purpose: str, period: str) -> bytes | None:
        """Return the key of a purpose and period."""
        return hmac.digest(self._secret, f"{purpose} {period}".encode(), "sha256")


class Pseudonyms:
    """Gives the stand-ins of an instance.

    Args:
        secret: Keys the names of cases; it must never change.
        keys: Of pseudonyms.
    """

    def __init__(self, secret: bytes, keys: PeriodKeys) -> None:
        self._secret = check_secret(secret)
        self._keys = keys

    def person(self, person_id: int, purpose: str, period: str) -> str:
        """Return 32 hex digits for a person; empty where the period's key was destroyed."""
        key = self._keys.pseudonym_key(purpose, period)
        return "" if key is None else pseudonym_of(key, person_id, purpose, period)

    def case(self, case_id: UUID, purpose: str) -> str:
        """Return 32 hex digits for a case within one purpose."""
        return case_of(self._secret, case_id, purpose)


def check_secret(secret: bytes) -> bytes:
    """Return the secret if it can key a digest.

    Raises:
        FatalError: It is too short or too long for BLAKE2b.
    """
    if len(secret) not in _SECRET_BYTES:
        raise FatalError("secret_invalid", "a digest's secret has 16 to 64 bytes: check the keys")
    return secret


def pseudonym_of(key: bytes, person_id: int, purpose: str, period: str) -> str:
    """Return the 32 hex digits that stand for a person within one purpose and one period."""
    return _stand_in(key, "person", str(person_id), purpose, period)


def repseudonymised(row: PublicHealthRow, keys: PeriodKeys, purpose: str) -> PublicHealthRow:
    """Return a row for a recipient of another purpose: pseudonyms and case of its own.

    Made of the row alone, so whoever hands rows on needs no person. What the other recipient holds
    cannot be joined with the first one's without the key of this purpose; it can be counted, for
    equal stays equal. The header's `report_id` is not the recipient's: leave it out.
    """
    return msgspec.structs.replace(
        row,
        pseudonym=handed_on(row.pseudonym, row.pseudonym_period, keys, purpose),
        pseudonym_next=handed_on(row.pseudonym_next, row.pseudonym_next_period, keys, purpose),
        case_id=handed_on(row.case_id, row.pseudonym_period, keys, purpose),
    )


def handed_on(told: str, period: str, keys: PeriodKeys, purpose: str) -> str:
    """Return what stands for a pseudonym or case with a recipient of another purpose."""
    key = keys.pseudonym_key(purpose, period) if told else None
    return "" if key is None else _stand_in(key, "recipient", told, purpose, period)


def case_of(secret: bytes, case_id: UUID, purpose: str) -> str:
    """Return the 32 hex digits that stand for a case within one purpose and stream."""
    return _digest(secret, b"case", case_id.hex, purpose)


def replaced_id(secret: bytes, person_id: int, period: str) -> UUID:
    """Return the id under which a replaced pseudonym is told of; no report ever has it."""
    told = _SEPARATOR.join([str(person_id).encode(), period.encode()])
    return id_of(blake2b(told, digest_size=16, key=secret, person=b"replaced").digest())


def apart_id(secret: bytes, report_id: UUID, part: str) -> UUID:
    """Return the id under which a part of a report is told of that must not be joined to the rest.

    No report ever has it, and without the secret nobody can tell of which report it is.
    """
    told = _SEPARATOR.join([report_id.bytes, part.encode()])
    return id_of(blake2b(told, digest_size=16, key=secret, person=b"apart").digest())


def addressee_of(secret: bytes, ins: Ins) -> str:
    """Return the 32 hex digits that stand for the dossier of an INS; never the INS itself."""
    return _digest(secret, b"addressee", ins.oid, ins.matricule)


def body_digest(secret: bytes, body: bytes) -> UUID:
    """Return the keyed digest of a body. Keyed: a body of few possible values could be guessed."""
    return id_of(blake2b(body, digest_size=16, key=secret, person=b"body").digest())


def period_of(day: date) -> str:
    """Return the half-year of a day, as `2026-H1`: the period of a pseudonym."""
    day = max(day, _FIRST_DAY)
    return f"{day.year:04d}-H{1 if day.month <= 6 else 2}"


def next_period_of(day: date) -> str:
    """Return the half-year that follows within `NEXT_DAYS`; empty where none does."""
    now, soon = period_of(day), period_of(day + timedelta(days=NEXT_DAYS))
    return soon if soon != now else ""


def _stand_in(key: bytes, use: str, *parts: str) -> str:
    told = _SEPARATOR.join(part.encode() for part in (use, *parts))
    return hmac.digest(key, told, "sha256").hex()[:_HEX_DIGITS]


def _digest(secret: bytes, use: bytes, *parts: str) -> str:
    told = _SEPARATOR.join(part.encode() for part in parts)
    return blake2b(told, digest_size=16, key=secret, person=use).hexdigest()
