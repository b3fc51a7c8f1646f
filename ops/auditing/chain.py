"""The hash chain of the audit trail, as `audit_append` makes it (0001_hub.sql); pure.

Each entry's digest is over the digest before it and all that the entry says: whoever changes, takes
out or puts in one breaks every digest behind it, unless all of those are made anew. Against that,
and against a cut end, stands a digest that somebody kept elsewhere.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Final

import msgspec

ORIGIN: Final = b"\x00"
"""What stands before the first entry."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """An entry as it is stored."""

    audit_id: int
    at: datetime
    actor: str
    action: str
    subject: str
    reason: str
    previous: bytes
    digest: bytes


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """How far the chain is right: the last entry that was looked at."""

    audit_id: int = 0
    digest: bytes = ORIGIN


class Broken(msgspec.Struct, frozen=True, kw_only=True):
    """The first entry that does not fit."""

    audit_id: int
    why: str


def digest_of(entry: Entry) -> bytes:
    """Return the digest that an entry must have behind its `previous`."""
    at = entry.at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")
    told = "\x1f".join(
        (str(entry.audit_id), at, entry.actor, entry.action, entry.subject, entry.reason)
    )
    return hashlib.sha256(entry.previous + told.encode()).digest()


def follow(link: Link, entry: Entry) -> Link | Broken:
    """Return the link of the next entry, or why it is none."""
    if entry.audit_id != link.audit_id + 1:
        return Broken(audit_id=link.audit_id + 1, why=f"it is missing: {entry.audit_id} comes next")
    if entry.previous != link.digest:
        return Broken(audit_id=entry.audit_id, why="it was not appended to the entry before it")
    if digest_of(entry) != entry.digest:
        return Broken(audit_id=entry.audit_id, why="it does not say what was hashed")
    return Link(audit_id=entry.audit_id, digest=entry.digest)
