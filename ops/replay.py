"""A replay is a record of the log: it stands in line with the laboratory's other messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import msgspec

from ops.bootstrap import Hub
from ops.outcomes import read_raw
from ops.runtime.ids import new_message_id
from ops.runtime.postgres import translated
from ops.runtime.vault import SealClass
from schemas.envelope import IntakeRecord, RecordKind, ReplayInstruction, StoredRecord
from schemas.errors import PermanentError

HELD: Final = """
SELECT ending, original FROM outcome WHERE partition = $1 AND "offset" = $2
"""
AUDIT: Final = "SELECT audit_append($1, 'replay', m, $2) FROM unnest($3::text[]) AS m"
_AT_ONCE: Final = 50
"""Replays of one append."""
_MAX_TEXT: Final = 200


class Replayable(msgspec.Struct, frozen=True, kw_only=True):
    """What of a record names it in a replay."""

    partition: int
    offset: int
    lab_id: int
    message_id: UUID
    control_key: int


async def append_replay(hub: Hub, *, partition: int, offset: int, reason: str, actor: str) -> UUID:
    """Append a replay of the record at (partition, offset) and enter it into the audit chain.

    Returns:
        The replay's own message id, by which `trace` finds it.

    Raises:
        PermanentError: The record is gone, in flight, or a duplicate of another, or reason or actor
            are empty or too long.
        TransientError: The database or the log is away; nothing was appended for certain.
    """
    _check(reason, actor)
    original = await _original(hub, partition, offset)
    if original is None:
        raise PermanentError("original_gone", "its retention has passed; ask the laboratory")
    await _check_held(hub, partition, offset)
    found = Replayable(
        partition=partition,
        offset=offset,
        lab_id=original.lab_id,
        message_id=original.message_id,
        control_key=original.control_key,
    )
    (message_id,) = await append_replays(hub, [found], reason=reason, actor=actor)
    return message_id


async def append_replays(
    hub: Hub, originals: Sequence[Replayable], *, reason: str, actor: str
) -> list[UUID]:
    """Append replays in the order given, each entered into the audit chain before it is asked for.

    A kill between the two leaves a word in the chain and no replay, never a replay without a word.
    What was appended before an error stays; asked again, doing it twice changes nothing.

    Raises:
        PermanentError: Reason or actor are empty or too long.
        TransientError: The database or the log is away.
    """
    _check(reason, actor)
    ids: list[UUID] = []
    for begin in range(0, len(originals), _AT_ONCE):
        part = originals[begin : begin + _AT_ONCE]
        records = [_record(hub, each, reason, actor) for each in part]
        with translated():
            async with hub.pool.acquire() as connection:
                subjects = [str(each.message_id) for each in part]
                await connection.fetch(AUDIT, actor, reason, subjects)
        await hub.log.append(records)
        ids += [record.message_id for record in records]
    return ids


def _check(reason: str, actor: str) -> None:
    for name, text in (("reason", reason), ("actor", actor)):
        if not text.strip() or len(text) > _MAX_TEXT:
            raise PermanentError(f"bad_{name}", f"give 1 to {_MAX_TEXT} characters")


async def _check_held(hub: Hub, partition: int, offset: int) -> None:
    """Refuse a duplicate: done again it would stand above what came after its original.

    What is in flight may become one, so it is refused too.
    """
    with translated():
        async with hub.pool.acquire() as connection:
            held = await connection.fetchrow(HELD, partition, offset)
    if held is None:
        raise PermanentError("in_flight", "it has no ending yet: ask again once it has one")
    if held["ending"] == "duplicate":
        named = held["original"] or "the first of the same content (`labdispatch trace`)"
        raise PermanentError("duplicate", f"replay its original: {named}")


def _record(hub: Hub, original: Replayable, reason: str, actor: str) -> IntakeRecord:
    message_id = new_message_id()
    instruction = ReplayInstruction(
        partition=original.partition, offset=original.offset, reason=reason, actor=actor
    )
    return IntakeRecord(
        partition=original.partition,
        message_id=message_id,
        lab_id=original.lab_id,
        kind=RecordKind.REPLAY,
        received_at=hub.clock.now(),
        inbox_key=message_id,
        control_key=original.control_key,
        payload=hub.vault.seal(
            SealClass.INTAKE, msgspec.msgpack.encode(instruction), message_id.bytes
        ),
    )


async def _original(hub: Hub, partition: int, offset: int) -> StoredRecord | None:
    """Return what is to be replayed: from the log, else from the cluster's own copy of it."""
    found = await hub.log.fetch(partition, offset)
    if found is not None or not hub.is_cluster:
        return found
    with translated():
        async with hub.pool.acquire() as connection:
            return await read_raw(connection, partition, offset)
