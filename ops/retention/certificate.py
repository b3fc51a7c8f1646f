"""The certificate of a purge: what went, when, by whom, as a text with a digest; pure.

The text is kept as it was hashed, and its digest stands in the audit chain: whoever has both can
say years later that neither was changed. It holds names of keys and tables, numbers and days alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Final
from uuid import UUID

import msgspec

ACTION: Final = "purged"
"""The action of its entry in the audit chain."""


class Part(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """Rows that went with a partition of a table."""

    family: str
    part: str
    rows: int


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    """What one purge did."""

    purge_id: int
    instance_id: UUID
    began_at: datetime
    ended_at: datetime
    actor: str
    why: str
    kept_from: Mapping[str, date]
    """Class -> the first day that can still be read."""
    keys_destroyed: Sequence[str]
    """By name: class and day."""
    partitions: Sequence[Part]


def written(certificate: Certificate) -> tuple[str, bytes]:
    """Return the text of a certificate, always the same for the same, and its SHA-256."""
    text = msgspec.json.encode(certificate, order="deterministic").decode()
    return text, digest_of(text)


def digest_of(text: str) -> bytes:
    """Return the SHA-256 of a certificate's text."""
    return hashlib.sha256(text.encode()).digest()


def subject_of(purge_id: int) -> str:
    """Return about what the audit entry is."""
    return f"purge {purge_id}"


def reason_of(digest: bytes) -> str:
    """Return what the audit entry says."""
    return f"sha256 {digest.hex()}"
