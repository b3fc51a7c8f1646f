"""Parked messages as an operator sees them: reasons, codes, places and ages; never a value."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from ops.printing import table_of
from ops.runtime.postgres import Connection
from schemas.errors import PermanentError
from schemas.outcome import ParkReason

from . import queries

MAX_LISTED: Final = 10_000
_KINDS: Final = 1_000
_NAMED: Final = 20


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """Which parked messages are meant; what is empty asks for nothing."""

    reason: str = ""
    code: str = ""
    laboratory: str = ""
    """Registry id."""
    owner: str = ""
    """`-`: those without one."""
    since: datetime | None = None
    until: datetime | None = None
    messages: tuple[UUID, ...] = ()
    limit: int = 100

    @property
    def is_named(self) -> bool:
        """Say whether messages are named one by one."""
        return bool(self.messages)

    @property
    def asks(self) -> bool:
        """Say whether anything is asked for: an empty wish is everything there is."""
        chosen = self.reason or self.code or self.laboratory or self.owner
        return bool(chosen or self.since or self.until or self.messages)


class ParkedMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message that was parked; `resolution` is empty while it waits."""

    message_id: UUID
    partition: int
    offset: int
    laboratory: str
    reason: str
    code: str
    place: str
    owner: str
    received_at: datetime
    parked_at: datetime
    resolved_at: datetime | None
    resolution: str
    mended: int
    """How often its bytes were mended."""


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """How many wait for one reason and code of one laboratory."""

    reason: str
    code: str
    laboratory: str
    messages: int
    oldest_at: datetime


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """A finding of a message."""

    code: str
    level: str
    place: str


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """One message with what was found in it."""

    message: ParkedMessage
    findings: list[Told]


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What a selection is about, before anything is done."""

    messages: int
    by_kind: dict[str, int]
    """Reason and laboratory -> messages."""
    some: list[UUID]
    """The first of them."""
    there_are_more: bool
    """The selection was cut at its limit."""


def check_wish(wish: Wish, most: int) -> None:
    """Refuse what no selection can be.

    Raises:
        PermanentError: No such reason, or a limit beyond the bound.
    """
    if wish.reason and wish.reason not in {each.value for each in ParkReason}:
        raise PermanentError("no_such_reason", f"the reasons are {', '.join(ParkReason)}")
    if not 1 <= wish.limit <= most:
        raise PermanentError("bad_limit", f"give 1 to {most} (parked_at_once)")


async def list_parked(connection: Connection, wish: Wish) -> list[ParkedMessage]:
    """Return what waits, the longest first."""
    return [_message(row) for row in await rows_of(connection, wish)]


async def rows_of(connection: Connection, wish: Wish) -> list[Any]:
    """Return the rows of what waits, the longest first."""
    return await connection.fetch(
        queries.LIST,
        wish.reason,
        wish.laboratory,
        wish.code,
        wish.owner,
        wish.since,
        wish.until,
        list(wish.messages) or None,
        wish.limit,
    )


async def list_kinds(connection: Connection) -> list[Kind]:
    """Return how many wait of each kind, the most first."""
    return [Kind(**dict(row)) for row in await connection.fetch(queries.KINDS, _KINDS)]


async def show_parked(connection: Connection, message_id: UUID) -> Shown:
    """Return one parked message.

    Raises:
        PermanentError: No message of this id was ever parked.
    """
    row = await row_of(connection, message_id)
    found = await connection.fetch(queries.FINDINGS, row["partition"], row["offset"])
    return Shown(message=_message(row), findings=[Told(**dict(each)) for each in found])


async def row_of(connection: Connection, message_id: UUID) -> Any:
    """Return the row of one parked message.

    Raises:
        PermanentError: No message of this id was ever parked.
    """
    row = await connection.fetchrow(queries.ONE, message_id)
    if row is None:
        raise PermanentError("not_parked", "no message of this id was ever parked")
    return row


def plan_of(rows: Sequence[Any], limit: int) -> Plan:
    """Return what a selection is about."""
    kinds = Counter(f"{row['reason']} {row['laboratory'] or '?'}" for row in rows)
    return Plan(
        messages=len(rows),
        by_kind=dict(kinds.most_common()),
        some=[row["message_id"] for row in rows[:_NAMED]],
        there_are_more=len(rows) >= limit,
    )


def _message(row: Any) -> ParkedMessage:
    return ParkedMessage(**{name: row[name] for name in ParkedMessage.__struct_fields__})


def list_as_text(found: Sequence[ParkedMessage], now: datetime) -> str:
    """Write a list for a person."""
    if not found:
        return "nothing is parked that fits\n"
    return table_of(
        ["message", "laboratory", "reason", "code", "place", "owner", "hours", "mended"],
        [
            [each.message_id, each.laboratory, each.reason, each.code, each.place, each.owner,
             f"{(now - each.parked_at).total_seconds() / 3600:.1f}", each.mended]
            for each in found
        ],
    )  # fmt: skip


def kinds_as_text(kinds: Sequence[Kind], now: datetime) -> str:
    """Write how many wait for a person."""
    if not kinds:
        return "nothing is parked\n"
    return table_of(
        ["messages", "reason", "code", "laboratory", "oldest, hours"],
        [
            [each.messages, each.reason, each.code, each.laboratory,
             f"{(now - each.oldest_at).total_seconds() / 3600:.1f}"]
            for each in kinds
        ],
    )  # fmt: skip


def shown_as_text(shown: Shown) -> str:
    """Write one message for a person."""
    each = shown.message
    lines = [
        f"{each.message_id} from {each.laboratory}",
        f"  partition {each.partition}, offset {each.offset}",
        f"  received {each.received_at.isoformat()}, parked {each.parked_at.isoformat()}",
        f"  {each.reason} {each.code} {each.place}".rstrip(),
        f"  owner {each.owner or 'nobody'}, mended {each.mended} times",
    ]
    if each.resolved_at is not None:
        lines.append(f"  ended {each.resolved_at.isoformat()}: {each.resolution}")
    lines += [f"  {told.level} {told.code} {told.place}" for told in shown.findings]
    return "\n".join(lines) + "\n"


def plan_as_text(plan: Plan) -> str:
    """Write a plan for a person."""
    more = " (the selection is cut at --limit: there may be more)" if plan.there_are_more else ""
    lines = [f"{plan.messages:,} parked messages{more}"]
    lines += [f"{n:>10,}  {kind}" for kind, n in plan.by_kind.items()]
    lines += [f"            {each}" for each in plan.some]
    return "\n".join(lines) + "\n"
