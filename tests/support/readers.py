"""Readers of streams for tests: tokens, who admits them, a clock that is set."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from ops.asking import Asker
from ops.bootstrap import Hub
from ops.runtime.postgres import lent
from ops.stream_tokens import changes
from ops.stream_tokens.access import HubAccess
from ops.stream_tokens.known import KnownTokens
from ops.stream_tokens.places import Pace, Places
from ops.stream_tokens.quotas import Quotas
from ops.stream_tokens.reads import ReadAudit
from ops.stream_tokens.token import Wish
from schemas.topics import STREAMS

OPERATOR_ASKS = Asker(actor="o.perator", reason="agreement 12")
BUILT_IN = {stream.value: f"built-in-secret-{stream.value}" for stream in STREAMS} | {
    "operator": "operator-secret"
}


class SetClock:
    """A clock that stands until it is set."""

    def __init__(self, at: datetime = datetime(2026, 3, 6, 12, tzinfo=UTC)) -> None:
        self.at = at

    def now(self) -> datetime:
        """The time that was set."""
        return self.at

    def pass_by(self, **spans: float) -> None:
        """Let time pass; negative: somebody sets the clock back."""
        self.at += timedelta(**spans)


class SetAge:
    """A monotonic clock that stands until time passes."""

    def __init__(self) -> None:
        self.at = 1_000.0

    def __call__(self) -> float:
        return self.at


def process_of(
    hub: Hub, clock: SetClock, *, places: int = 1_000, age: SetAge | None = None, pool: Any = None
) -> HubAccess:
    """One api process: what it knows and counts is its own."""
    at, age = pool or hub.pool, age or SetAge()
    bound = Places(places)
    known = KnownTokens(at, clock, BUILT_IN, places=bound.of_one, stale_seconds=30.0, monotonic=age)
    return HubAccess(known, Quotas(at, clock), ReadAudit(at), bound, Pace(10, age))


async def made(hub: Hub, clock: SetClock, name: str = "spf", **given: Any) -> str:
    """Make a token, and return its header."""
    wish = Wish(**{"name": name, "streams": ["public-health"], **given})
    async with lent(hub.pool) as connection:
        found = await changes.add(connection, wish, now=clock.now(), asker=OPERATOR_ASKS)
    return bearer(found.token)


def bearer(token: str) -> str:
    """The header of a token."""
    return f"Bearer {token}"


async def audited(hub: Hub, action: str) -> list[tuple[str, str, str]]:
    """Actor, subject and reason of the entries of an action."""
    async with lent(hub.pool) as connection:
        rows = await connection.fetch(
            "SELECT actor, subject, reason FROM audit WHERE action = $1 ORDER BY audit_id", action
        )
    return [(row["actor"], row["subject"], row["reason"]) for row in rows]


async def used(hub: Hub) -> dict[str, tuple[int, int, int]]:
    """Events, reads and refusals of each day, all tokens together."""
    async with lent(hub.pool) as connection:
        rows = await connection.fetch(
            "SELECT day, sum(events) AS e, sum(reads) AS r, sum(refused) AS f FROM stream_use"
            " GROUP BY day"
        )
    return {row["day"].isoformat(): (int(row["e"]), int(row["r"]), int(row["f"])) for row in rows}
