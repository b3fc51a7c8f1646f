"""Reads the audit chain in pages: to prove it, and to look something up."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from ops.runtime.postgres import Pool, lent

from .chain import Broken, Entry, Link, follow

_PAGE: Final = 5_000

PAGE: Final = """
SELECT a.audit_id, a.at, a.actor, a.action, a.subject, a.reason, a.previous, a.digest
FROM audit a WHERE a.audit_id > $1 ORDER BY a.audit_id LIMIT $2
"""
# Certificates of purges that are not what the chain says of them (or says nothing of).
CERTIFICATES: Final = """
SELECT p.purge_id FROM purge p LEFT JOIN audit a ON a.audit_id = p.audit_id
WHERE p.ended_at IS NOT NULL AND (a.audit_id IS NULL OR a.action <> 'purged'
   OR a.subject <> 'purge ' || p.purge_id
   OR a.reason <> 'sha256 ' || encode(sha256(convert_to(p.certificate, 'UTF8')), 'hex')
   OR p.digest <> sha256(convert_to(p.certificate, 'UTF8')))
ORDER BY p.purge_id LIMIT 1
"""
# The newest first, behind a place. Each condition that is not asked for is NULL.
SEARCH: Final = """
SELECT a.audit_id, a.at, a.actor, a.action, a.subject, a.reason FROM audit a
WHERE a.audit_id < $1
  AND ($2::text IS NULL OR a.actor = $2)
  AND ($3::text IS NULL OR a.action = $3)
  AND ($4::text IS NULL OR a.subject = $4)
  AND ($5::timestamptz IS NULL OR a.at >= $5)
  AND ($6::timestamptz IS NULL OR a.at < $6)
ORDER BY a.audit_id DESC LIMIT $7
"""


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the chain is whole."""

    entries: int
    head: str
    """Digest of the last entry that fits, in hexadecimals: keep it elsewhere."""
    broken_at: int | None = None
    why: str = ""
    has_anchor: bool | None = None
    """Whether the digest that was asked for is one of the chain's."""
    false_certificate: int | None = None
    """The first purge whose certificate is not what the chain says."""

    @property
    def holds(self) -> bool:
        """Whether all that was asked is as it should be."""
        faults = (self.broken_at, self.false_certificate)
        return faults == (None, None) and self.has_anchor is not False


class Search(msgspec.Struct, frozen=True, kw_only=True):
    """What is looked for; None: whatever."""

    who: str | None = None
    action: str | None = None
    about: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    before: int | None = None
    """Only entries of a lower number: the next page."""
    limit: int = 50


async def prove(pool: Pool, anchor: bytes | None = None) -> Proof:
    """Walk the whole chain; stop at the first entry that does not fit.

    Args:
        pool: Connections of the role that looks.
        anchor: A digest that was kept elsewhere, and must be one of the chain's.

    Raises:
        TransientError: The database is away.
    """
    link, seen = Link(), anchor is None
    while True:
        async with lent(pool) as connection:
            rows = await connection.fetch(PAGE, link.audit_id, _PAGE)
        for row in rows:
            found = follow(link, Entry(**row))
            if isinstance(found, Broken):
                return _proof(link, anchor, seen, broken=found)
            link = found
            seen = seen or link.digest == anchor
        if len(rows) < _PAGE:
            break
    async with lent(pool) as connection:
        false = await connection.fetchval(CERTIFICATES)
    return _proof(link, anchor, seen, false=false)


def _proof(
    link: Link,
    anchor: bytes | None,
    seen: bool,  # noqa: FBT001 - an answer, not an option
    *,
    broken: Broken | None = None,
    false: int | None = None,
) -> Proof:
    return Proof(
        entries=link.audit_id,
        head=link.digest.hex(),
        broken_at=None if broken is None else broken.audit_id,
        why="" if broken is None else broken.why,
        has_anchor=None if anchor is None else seen,
        false_certificate=false,
    )


async def search(pool: Pool, asked: Search) -> Sequence[Any]:
    """Return a page of entries, the newest first.

    Raises:
        TransientError: The database is away.
    """
    async with lent(pool) as connection:
        rows: Sequence[Any] = await connection.fetch(
            SEARCH,
            asked.before or 2**63 - 1,
            asked.who,
            asked.action,
            asked.about,
            asked.since,
            asked.until,
            asked.limit,
        )
    return rows
