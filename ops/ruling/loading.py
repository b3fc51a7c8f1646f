"""Sets of rules in the database: loaded, put into effect at a time, listed. Each act is audited.

A set that fails is not written, so the old rules stay. A version stands on events: it is never
another text, and never goes.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from ops.runtime.postgres import Connection
from routing.rule_file import load_rules, own_source
from schemas.errors import FatalError, PermanentError

MAX_TEXT: Final = 200
MAX_AHEAD: Final = timedelta(days=366)
LISTED: Final = 200
"""The most changes that are shown."""
SHIPPED_BY: Final = "labdispatch"

# Two that load at once come one after the other, so that each sees what the other decided.
ALONE: Final = "SELECT pg_advisory_xact_lock(20261, 30)"
KEEP: Final = """
INSERT INTO rule_set (version, source, loaded_at, actor, why) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (version) DO NOTHING
"""
KEPT: Final = "SELECT source FROM rule_set WHERE version = $1"
THEN: Final = """
SELECT version FROM rule_effect WHERE effective_at <= $1
ORDER BY effective_at DESC, rule_effect_id DESC LIMIT 1
"""
TAKE_EFFECT: Final = """
INSERT INTO rule_effect (version, effective_at, decided_at, actor, why)
VALUES ($1, $2, $3, $4, $5)
"""
ALL: Final = """
SELECT e.version, e.effective_at, e.decided_at, e.actor, e.why FROM rule_effect e
ORDER BY e.effective_at DESC, e.rule_effect_id DESC LIMIT $1
"""
CHOSEN: Final = "SELECT EXISTS (SELECT 1 FROM rule_effect WHERE actor <> $1)"
AUDIT: Final = "SELECT audit_append($1, 'rules', $2, $3)"


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks for a set, why, and when: the audit chain's words."""

    actor: str
    why: str
    """No personal data."""
    now: datetime


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """What loading a set led to."""

    version: str
    effective_at: datetime
    before: str
    """The set that it follows; empty where it is the first."""
    is_new: bool
    """Whether anything was written: a set that is in effect then anyway is not put there again."""


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """A set, and from when until when it is in effect."""

    version: str
    effective_at: datetime
    until: datetime | None
    state: str
    """`past`, `in effect`, `to come`, or `replaced`: another was asked for at the same moment."""
    decided_at: datetime
    actor: str
    why: str


async def put_into_effect(
    connection: Connection, source: bytes, order: Order, effective_at: datetime
) -> Loaded:
    """Load a set and put it into effect at a time; inside a transaction of its own.

    Args:
        connection: Of the transaction.
        source: A file whose rules hold their examples.
        order: Who asks, and why.
        effective_at: Now, or a time to come: what was judged before stays as it was judged.

    Raises:
        FatalError: `rules_invalid`: the set fails; nothing was written.
        PermanentError: A time that has passed or is more than a year ahead, a version that holds
            other rules already, an actor or a reason that is empty or too long.
    """
    version = load_rules(source).version
    _check(effective_at, order)
    await connection.execute(ALONE)
    await _keep(connection, version, source, order)
    before = await connection.fetchval(THEN, effective_at) or ""
    loaded = Loaded(
        version=version, effective_at=effective_at, before=before, is_new=before != version
    )
    if loaded.is_new:
        await connection.execute(
            TAKE_EFFECT, version, effective_at, order.now, order.actor, order.why
        )
        when = effective_at.astimezone(UTC).isoformat(timespec="seconds")
        said = f"in effect from {when}, after {before or 'none'}: {order.why}"
        await connection.fetchval(AUDIT, order.actor, f"set {version}", said)
    return loaded


async def take_shipped(connection: Connection, now: datetime) -> Loaded | None:
    """Put the rules that this release ships into effect, unless a person has chosen others.

    At every start: a release brings its rules along, but never over what a person has loaded.

    Returns:
        None where a person has chosen, or the shipped set is in effect already.
    """
    await connection.execute(ALONE)
    if await connection.fetchval(CHOSEN, SHIPPED_BY):
        return None
    order = Order(actor=SHIPPED_BY, why="comes with the release", now=now)
    try:
        loaded = await put_into_effect(connection, own_source(), order, now)
    except PermanentError as error:
        raise FatalError(error.reason, error.remedy) from None
    return loaded if loaded.is_new else None


async def effects(connection: Connection, now: datetime, limit: int = LISTED) -> list[Effect]:
    """Return which set is in effect from when until when, the latest first."""
    rows = await connection.fetch(ALL, limit)
    found: list[Effect] = []
    until: datetime | None = None
    begun = False
    for row in rows:
        at = row["effective_at"]
        if until == at:
            state = "replaced"
        elif at > now:
            state = "to come"
        else:
            state = "past" if begun else "in effect"
            begun = True
        found.append(
            Effect(
                version=row["version"],
                effective_at=at,
                until=until,
                state=state,
                decided_at=row["decided_at"],
                actor=row["actor"],
                why=row["why"],
            )
        )
        until = at
    return found


async def source_of(connection: Connection, version: str, now: datetime) -> bytes:
    """Return the file of a set, as it was loaded; without a version, of the one in effect.

    Raises:
        PermanentError: `rules_unknown`: there is none of this version.
    """
    wanted = version or await connection.fetchval(THEN, now)
    if not wanted:
        return own_source()
    source = await connection.fetchval(KEPT, wanted)
    if source is None:
        raise PermanentError("rules_unknown", "`labdispatch route list` shows the sets there are")
    return str(source).encode()


async def _keep(connection: Connection, version: str, source: bytes, order: Order) -> None:
    """Keep the text of a set, or find that it is the one that is kept already."""
    text = source.decode()
    await connection.execute(KEEP, version, text, order.now, order.actor, order.why)
    if await connection.fetchval(KEPT, version) != text:
        raise PermanentError(
            "rules_version_taken",
            f"{version} holds other rules already, and stands on events: give a version of its own",
        )


def _check(effective_at: datetime, order: Order) -> None:
    for name, text in (("actor", order.actor), ("why", order.why)):
        if not text.strip() or len(text) > MAX_TEXT:
            raise PermanentError(f"bad_{name}", f"give 1 to {MAX_TEXT} characters")
    if effective_at < order.now:
        raise PermanentError(
            "bad_from", "that time has passed: what was judged stays; give a time to come, or now"
        )
    if effective_at > order.now + MAX_AHEAD:
        raise PermanentError("bad_from", "that is more than a year ahead: give a nearer time")
