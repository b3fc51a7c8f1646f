"""A replay is a record of the log: it stands in line with the laboratory's other messages."""

from __future__ import annotations

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

AUDIT: Final = "SELECT audit_append($1, 'replay', $2, $3)"
_MAX_TEXT: Final = 200


async def append_replay(hub: Hub, *, partition: int, offset: int, reason: str, actor: str) -> UUID:
    """Append a replay of the record at (partition, offset) and enter it into the audit chain.

    Returns:
        The replay's own message id, by which `trace` finds it.

    Raises:
        PermanentError: The record is gone, or reason or actor are empty or too long.
        TransientError: The database or the log is away; nothing was appended for certain.
    """
    for name, text in (("reason", reason), ("actor", actor)):
        if not text.strip() or len(text) > _MAX_TEXT:
            raise PermanentError(f"bad_{name}", f"give 1 to {_MAX_TEXT} characters")
    original = await _original(hub, partition, offset)
    if original is None:
        raise PermanentError("original_gone", "its retention has passed; ask the laboratory")
    message_id = new_message_id()
    instruction = ReplayInstruction(partition=partition, offset=offset, reason=reason, actor=actor)
    record = IntakeRecord(
        partition=partition,
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
    with translated():
        async with hub.pool.acquire() as connection:
            await connection.fetchval(AUDIT, actor, str(original.message_id), reason)
    await hub.log.append([record])
    return message_id


async def _original(hub: Hub, partition: int, offset: int) -> StoredRecord | None:
    """Return what is to be replayed: from the log, else from the cluster's own copy of it."""
    found = await hub.log.fetch(partition, offset)
    if found is not None or not hub.is_cluster:
        return found
    with translated():
        async with hub.pool.acquire() as connection:
            return await read_raw(connection, partition, offset)
