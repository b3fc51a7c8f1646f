"""Laboratories as their operator sees and changes them.

Every change is one transaction with its entry in the audit chain; running doors read it at their
next refresh (5 s).
"""

from __future__ import annotations

import difflib
import pwd
from datetime import datetime
from os import getuid
from typing import Any, Final

import msgspec

from ingest.lab import LabLimits
from ingest.lab_store import changing
from ops.runtime.postgres import Connection
from schemas.errors import PermanentError

from .lab_rows import STATES, normalised

__all__ = ["STATES", "changing", "normalised"]

MAX_AUDIT_CHARACTERS: Final = 200

_SELECT: Final = """
SELECT l.lab_id, l.registry_id, l.name, l.state, l.profile, l.profile_version, l.wants_no_answer,
       l.registered_at, l.rate_per_second, l.burst, l.daily_quota, l.max_connections,
       (SELECT count(*) FROM lab_code c WHERE c.lab_id = l.lab_id) AS codes,
       ARRAY(SELECT f.registry_id FROM lab_facility f WHERE f.lab_id = l.lab_id ORDER BY 1)
           AS facilities,
       (SELECT count(*) FROM lab_certificate c WHERE c.lab_id = l.lab_id AND c.revoked_at IS NULL)
           AS certificates,
       (SELECT count(*) FROM lab_token t WHERE t.lab_id = l.lab_id AND t.revoked_at IS NULL)
           AS tokens
FROM lab l
"""
LIST: Final = _SELECT + " ORDER BY l.registry_id"
PAGE: Final = _SELECT + " WHERE l.registry_id > $1 ORDER BY l.registry_id LIMIT $2"
ONE: Final = _SELECT + " WHERE l.registry_id = $1"
NAMES: Final = "SELECT registry_id FROM lab ORDER BY registry_id LIMIT 20000"
LOCK: Final = """
SELECT lab_id, registry_id, state, resumes_as FROM lab WHERE registry_id = $1 FOR UPDATE
"""
SET_STATE: Final = "UPDATE lab SET state = $2, resumes_as = $3 WHERE lab_id = $1"
AUDIT: Final = "SELECT audit_append($1, $2, $3, $4)"
SOFTWARE: Final = """
SELECT s.application, s.vendor, s.product, s.version, s.first_seen_at,
       max(d.day) AS last_day, coalesce(sum(d.messages), 0)::bigint AS messages
FROM lab_software s LEFT JOIN conformance_day d ON d.software_id = s.software_id
WHERE s.lab_id = $1 GROUP BY s.software_id ORDER BY messages DESC, s.software_id
"""


class Laboratory(msgspec.Struct, frozen=True, kw_only=True):
    """A laboratory of the register, with how many local codes are mapped."""

    lab_id: int
    registry_id: str
    name: str
    state: str
    profile: str
    profile_version: int
    wants_no_answer: bool
    registered_at: datetime
    codes: int
    facilities: list[str]
    """It may speak for, beside its own registry id."""
    limits: LabLimits
    certificates: int
    """And subject rules, that were not revoked."""
    tokens: int
    """That were not revoked."""


class SoftwareSeen(msgspec.Struct, frozen=True, kw_only=True):
    """A program that a laboratory sends with: MSH-3, and SFT-1, 3 and 2."""

    application: str
    vendor: str
    product: str
    version: str
    first_seen_at: datetime
    last_day: str
    messages: int


async def list_labs(connection: Connection) -> list[Laboratory]:
    """Return every laboratory, by registry id."""
    return [_laboratory(row) for row in await connection.fetch(LIST)]


async def page_of_labs(connection: Connection, *, after: str, limit: int) -> list[Laboratory]:
    """Return the laboratories after a registry id, in its order."""
    return [_laboratory(row) for row in await connection.fetch(PAGE, after, limit)]


async def find_lab(connection: Connection, registry_id: str) -> Laboratory:
    """Return a laboratory by its registry id; case does not matter.

    Raises:
        PermanentError: There is none (`no_such_laboratory`), with those of similar names.
    """
    return _laboratory(await row_of(connection, ONE, registry_id))


async def software_of(connection: Connection, lab_id: int) -> list[SoftwareSeen]:
    """Return the programs a laboratory has sent with, the busiest first."""
    return [
        SoftwareSeen(**{**row, "last_day": row["last_day"].isoformat() if row["last_day"] else ""})
        for row in await connection.fetch(SOFTWARE, lab_id)
    ]


async def set_state(
    connection: Connection, registry_id: str, state: str | None, *, actor: str, reason: str
) -> tuple[str, str]:
    """Put a laboratory into a state; return the state before and the one now.

    None resumes it: it gets the state in which it was when it was suspended. Nothing is written,
    and nothing audited, where it was in that state already.

    Raises:
        PermanentError: No such laboratory or state, or an unusable actor or reason.
    """
    if state is not None and state not in STATES:
        raise PermanentError("no_such_state", f"the states are {', '.join(STATES)}")
    check_audit(actor=actor, reason=reason)
    async with changing(connection):
        row = await row_of(connection, LOCK, registry_id)
        before: str = row["state"]
        if state is None:
            state = str(row["resumes_as"]) if before == "suspended" else before
        if before != state:
            resumes_as = before if state == "suspended" else row["resumes_as"]
            await connection.execute(SET_STATE, row["lab_id"], state, resumes_as)
            why = f"{before} -> {state}" + (f": {reason}" if reason else "")
            await audit(connection, actor, "lab_state", row["registry_id"], why)
    return before, state


# -------------------------------------------------------------------------------- parts


async def row_of(connection: Connection, statement: str, registry_id: str) -> Any:
    """Return the row that a statement finds by a registry id; case does not matter.

    Raises:
        PermanentError: There is none (`no_such_laboratory`), with those of similar names.
    """
    row = await connection.fetchrow(statement, normalised(registry_id))
    if row is None:
        raise await no_such_laboratory(connection, registry_id)
    return row


async def no_such_laboratory(connection: Connection, registry_id: str) -> PermanentError:
    """Return the error for a registry id that is not there, with what is like it."""
    names = [row["registry_id"] for row in await connection.fetch(NAMES)]
    near = difflib.get_close_matches(normalised(registry_id), names, n=3, cutoff=0.6)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    return PermanentError(
        "no_such_laboratory", f"{hint}`labdispatch labs list` shows those that are registered"
    )


def check_audit(*, actor: str, reason: str) -> None:
    """Refuse what cannot stand in the audit chain.

    Raises:
        PermanentError: An empty actor, or a text that is too long.
    """
    if not actor.strip() or len(actor) > MAX_AUDIT_CHARACTERS:
        raise PermanentError("bad_actor", f"give 1 to {MAX_AUDIT_CHARACTERS} characters")
    if len(reason) > MAX_AUDIT_CHARACTERS:
        raise PermanentError("bad_reason", f"give at most {MAX_AUDIT_CHARACTERS} characters")


async def audit(
    connection: Connection, actor: str, action: str, registry_id: str, reason: str
) -> None:
    """Append to the audit chain, as the last statement of a transaction: it locks the chain."""
    await connection.fetchval(AUDIT, actor, action, f"laboratory {registry_id}", reason)


def who_asks() -> str:
    """Return the name of this process's user: whom the audit names unless told otherwise."""
    try:
        return pwd.getpwuid(getuid()).pw_name
    except KeyError:
        return f"uid {getuid()}"


def _laboratory(row: Any) -> Laboratory:
    given = dict(row)
    limits = LabLimits(**{name: given.pop(name) for name in LabLimits.__struct_fields__})
    return Laboratory(**given, limits=limits)
