"""Stewards over HTTP: each has a token of its own, so that the audit chain names a person.

With four eyes this matters: two verdicts by one token are one pair of eyes. Only digests are kept.
"""

from __future__ import annotations

import secrets
from datetime import datetime
from hashlib import sha256
from typing import Final

import msgspec

from ops.asking import Asker, check_asker
from ops.runtime.postgres import Connection
from schemas.errors import PermanentError

from . import queries

_TOKEN_BYTES: Final = 24
_MAX_BYTES: Final = 200
_MOST: Final = 200

ADD: Final = """
INSERT INTO steward (name, digest, last4, sees_identity) VALUES ($1, $2, $3, $4)
ON CONFLICT DO NOTHING RETURNING steward_id
"""
LIST: Final = """
SELECT s.steward_id, s.name, s.last4, s.sees_identity, s.added_at, s.revoked_at FROM steward s
ORDER BY s.steward_id
"""
COUNT: Final = "SELECT count(*) FROM steward WHERE revoked_at IS NULL"
REVOKE: Final = """
UPDATE steward SET revoked_at = now() WHERE name = $1 AND revoked_at IS NULL RETURNING steward_id
"""
BY_BEARER: Final = """
SELECT s.name, s.sees_identity FROM steward s WHERE s.digest = $1 AND s.revoked_at IS NULL
"""


class StewardEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A steward's token, without the token."""

    steward_id: int
    name: str
    last4: str
    sees_identity: bool
    added_at: datetime
    revoked_at: datetime | None


class NewSteward(msgspec.Struct, frozen=True, kw_only=True):
    """A token that was just made; this alone shows it."""

    name: str
    sees_identity: bool
    token: str


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks, by the token."""

    name: str
    sees_identity: bool


async def add_steward(
    connection: Connection, name: str, *, sees_identity: bool, asker: Asker
) -> NewSteward:
    """Make a steward's token.

    Raises:
        PermanentError: An unusable name, one that has a token already, or one too many.
    """
    check_asker(asker)
    name = name.strip()
    if not name or len(name.encode()) > _MAX_BYTES or not name.isprintable():
        raise PermanentError("bad_name", f"name the steward in 1 to {_MAX_BYTES} printable bytes")
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    async with connection.transaction():
        if await connection.fetchval(COUNT) >= _MOST:
            raise PermanentError("too_many_tokens", f"there are {_MOST} stewards: revoke one")
        digest = sha256(token.encode()).digest()
        made = await connection.fetchval(ADD, name, digest, token[-4:], sees_identity)
        if made is None:
            raise PermanentError("steward_exists", "revoke this steward's token first")
        sees = "sees identities" if sees_identity else "sees no identity"
        await _audit(connection, asker, name, f"token made, {sees}")
    return NewSteward(name=name, sees_identity=sees_identity, token=token)


async def list_stewards(connection: Connection) -> list[StewardEntry]:
    """Return every token that was made, by number."""
    return [StewardEntry(**row) for row in await connection.fetch(LIST)]


async def revoke_steward(connection: Connection, name: str, *, asker: Asker) -> None:
    """Let a steward's token count no more, at once.

    Raises:
        PermanentError: Nobody of this name has one (`no_such_steward`).
    """
    check_asker(asker)
    async with connection.transaction():
        if await connection.fetchval(REVOKE, name.strip()) is None:
            raise PermanentError("no_such_steward", "`labdispatch review steward list` shows them")
        await _audit(connection, asker, name.strip(), "token revoked")


async def known_by(connection: Connection, token: str) -> Known | None:
    """Return whose token this is; it is looked up by its digest, so no time tells of another's."""
    row = await connection.fetchrow(BY_BEARER, sha256(token.encode()).digest())
    return None if row is None else Known(name=row["name"], sees_identity=row["sees_identity"])


async def _audit(connection: Connection, asker: Asker, name: str, said: str) -> None:
    why = said + (f": {asker.reason}" if asker.reason else "")
    await connection.fetchval(queries.AUDIT, asker.actor, "steward_token", f"steward {name}", why)
