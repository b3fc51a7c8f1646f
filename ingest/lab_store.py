"""The register of laboratories in PostgreSQL, as doors and dispatch read it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import msgspec

from ops.runtime.postgres import Connection, Pool, lent

from .codes import NO_CODES, CodeTable, LocalCode
from .lab import Lab, LabCertificate, LabLimits

_rows: Final = msgspec.json.Decoder(tuple[LocalCode, ...])
_certificates: Final = msgspec.json.Decoder(tuple[LabCertificate, ...])

_ROWS_AT_ONCE: Final = 200

VERSION: Final = "SELECT version FROM register_version"

# One statement is one snapshot: a mapping table never comes with another version's number. Tables
# that the reader holds already (numbers and versions in $1, $2) are not sent again. A subject rule
# that was revoked is gone; a fingerprint stays, so that no rule lets it in.
_SELECT: Final = """
SELECT l.lab_id, l.registry_id, l.name, l.state, l.profile, l.profile_version, l.wants_no_answer,
       l.rate_per_second, l.burst, l.daily_quota, l.max_connections,
       k.version IS NOT DISTINCT FROM l.profile_version AS is_held,
       CASE WHEN k.version IS DISTINCT FROM l.profile_version THEN
           (SELECT jsonb_agg(jsonb_build_object(
                       'kind', c.kind, 'local', c.local, 'local_system', c.local_system,
                       'code', c.code, 'system', c.system, 'text', c.text))::text
            FROM lab_code c WHERE c.lab_id = l.lab_id)
       END AS codes,
       ARRAY(SELECT f.registry_id FROM lab_facility f WHERE f.lab_id = l.lab_id) AS facilities,
       (SELECT jsonb_agg(jsonb_build_object(
                   'fingerprint', coalesce(encode(c.fingerprint, 'base64'), ''),
                   'subject', c.subject, 'not_before', c.not_before, 'not_after', c.not_after,
                   'revoked', c.revoked_at IS NOT NULL) ORDER BY c.certificate_id)::text
        FROM lab_certificate c
        WHERE c.lab_id = l.lab_id AND (c.fingerprint IS NOT NULL OR c.revoked_at IS NULL)
       ) AS certificates,
       ARRAY(SELECT t.digest FROM lab_token t
             WHERE t.lab_id = l.lab_id AND t.revoked_at IS NULL ORDER BY t.token_id) AS tokens
FROM lab l
LEFT JOIN unnest($1::integer[], $2::integer[]) AS k (lab_id, version) ON k.lab_id = l.lab_id
"""
LIST: Final = _SELECT
ONE: Final = _SELECT + " WHERE l.lab_id = $3"

# Whoever changes the register locks this row first, in a statement of its own: what is read after
# it is what whoever came before has committed.
LOCK_REGISTER: Final = "SELECT version FROM register_version FOR UPDATE"

KNOWN: Final = """
SELECT lab_id FROM lab WHERE registry_id = $1
UNION ALL
SELECT lab_id FROM lab_facility WHERE registry_id = $1
"""
# Under the lock of the register: two doors that see the last free place one after the other.
REGISTER: Final = """
INSERT INTO lab (registry_id, name) SELECT $1, $1
WHERE (SELECT count(*) FROM lab) < $2
RETURNING lab_id
"""
# Its number and not its name: what a sender writes into MSH-4 may be anything, and the chain
# forgets nothing.
NOTE: Final = """
SELECT audit_append('hub', 'lab_registered', 'laboratory ' || $1::integer, 'seen first now')
"""


@asynccontextmanager
async def changing(connection: Connection) -> AsyncIterator[None]:
    """Change the register in a block: one transaction, behind whoever changes it now."""
    async with connection.transaction():
        await connection.execute(LOCK_REGISTER)
        yield


class PostgresLabStore:
    """`LabStore` on the tables of the register.

    Args:
        pool: Connections to the database.
        max_labs: From so many laboratories on nobody is registered at first sight.
    """

    def __init__(self, pool: Pool, *, max_labs: int = 10_000) -> None:
        self._pool = pool
        self._max_labs = max_labs
        self._held: dict[int, tuple[int, CodeTable]] = {}
        self._version: int | None = None
        self._read: list[Lab] = []

    async def all(self) -> list[Lab]:
        """Return every laboratory; the same list object while the register has not moved.

        One number is asked for; only when it moved is the register read (4,500 rows are 1 MB), and
        of mapping tables those that changed.
        """
        async with lent(self._pool) as connection:
            # The number first: what is read after it can only be newer, and is read again.
            version = await connection.fetchval(VERSION)
            if version == self._version:
                return self._read
            held = dict(self._held)
            versions = [number for number, _ in held.values()]
            rows = await connection.fetch(LIST, list(held), versions)
        labs = []
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            labs += [_lab(row, held) for row in rows[start : start + _ROWS_AT_ONCE]]
            await asyncio.sleep(0)  # a door answers between two slices of a large register
        self._held = {lab.lab_id: (lab.profile_version, lab.codes) for lab in labs}
        self._version, self._read = version, labs
        return labs

    async def one(self, lab_id: int) -> Lab | None:
        """Return a laboratory as it stands now, None where no such one is registered."""
        async with lent(self._pool) as connection:
            return await _one(connection, lab_id)

    async def one_on(self, connection: Connection, lab_id: int) -> Lab | None:
        """Return a laboratory, asked for on a connection at hand: a transaction needs no other."""
        return await _one(connection, lab_id)

    async def register(self, registry_id: str) -> Lab | None:
        """Insert in state `onboarding`, audited, or read what is there; None where it is full."""
        async with lent(self._pool) as connection:
            async with changing(connection):
                lab_id = await connection.fetchval(KNOWN, registry_id)
                if lab_id is None:
                    lab_id = await connection.fetchval(REGISTER, registry_id, self._max_labs)
                    if lab_id is None:
                        return None
                    await connection.execute(NOTE, lab_id)
            return await _one(connection, lab_id)


async def _one(connection: Connection, lab_id: int) -> Lab | None:
    row = await connection.fetchrow(ONE, [], [], lab_id)
    return None if row is None else _lab(row, {})


def _lab(row: Any, held: Mapping[int, tuple[int, CodeTable]]) -> Lab:
    if row["is_held"]:
        codes = held[row["lab_id"]][1]
    else:
        codes = CodeTable(_rows.decode(row["codes"])) if row["codes"] else NO_CODES
    return Lab(
        lab_id=row["lab_id"],
        registry_id=row["registry_id"],
        name=row["name"],
        state=row["state"],
        profile=row["profile"],
        profile_version=row["profile_version"],
        wants_no_answer=row["wants_no_answer"],
        codes=codes,
        facilities=frozenset(row["facilities"]),
        limits=LabLimits(
            rate_per_second=row["rate_per_second"],
            burst=row["burst"],
            daily_quota=row["daily_quota"],
            max_connections=row["max_connections"],
        ),
        certificates=_certificates.decode(row["certificates"]) if row["certificates"] else (),
        tokens=tuple(row["tokens"]),
    )
