"""Asking for the ways of messages; and for their patients, which is audited before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from ops.asking import Asker
from ops.bootstrap import Hub
from ops.register.labs import check_audit
from ops.runtime.postgres import lent
from schemas.envelope import AcceptedMessage, RecordKind, StoredRecord
from schemas.errors import PermanentError
from schemas.patient import Phi

from . import queries
from .finding import Wanted, find
from .ways import Trace, way_of_waiting, ways_of

_SHOWN: Final = 100


async def trace(hub: Hub, wanted: Wanted) -> list[Trace]:
    """Return the way of every record that fits, oldest first; nothing nominative.

    Raises:
        PermanentError: No such laboratory.
        TransientError: The database or the log is away.
    """
    async with lent(hub.pool) as connection:
        found = await find(hub, connection, wanted)
        traces = await ways_of(hub, connection, found.places, found.asked)
    traces.sort(key=lambda each: (each.received_at, each.partition, each.offset))
    return traces + [way_of_waiting(hub.vault, each, found.asked) for each in found.waiting]


async def identities(hub: Hub, traces: Sequence[Trace], asker: Asker) -> dict[str, dict[str, Any]]:
    """Return message id -> the traits that it said, once the audit chain says who saw them.

    Raises:
        PermanentError: No actor or no reason was given, or there are more than 100 messages.
        TransientError: The audit chain could not be written: then nothing is shown.
    """
    check_audit(actor=asker.actor, reason=asker.reason)
    if not asker.reason.strip():
        raise PermanentError("no_reason", "say with --reason why a patient is to be seen")
    if len(traces) > _SHOWN:
        raise PermanentError("too_many", f"name at most {_SHOWN} messages, by their message ids")
    shown: dict[str, dict[str, Any]] = {}
    async with lent(hub.pool) as connection:
        async with connection.transaction():
            for each in traces:
                await connection.fetchval(
                    queries.AUDIT,
                    asker.actor,
                    "trace_identity",
                    f"message {each.message_id}",
                    asker.reason,
                )
        for each in traces:
            record = await hub.log.fetch(each.partition, each.offset)
            shown[str(each.message_id)] = _traits(hub, record)
    return shown


def _traits(hub: Hub, record: StoredRecord | None) -> dict[str, Any]:
    if record is None or record.kind is RecordKind.REPLAY:
        return {}
    try:
        opened = hub.vault.open(record.payload, record.message_id.bytes)
        held = AcceptedMessage.from_bytes(opened)
    except PermanentError as error:
        return {"unreadable": error.reason}
    return {} if held.mapped is None else _by_name(held.mapped.traits)


def _by_name(what: Any) -> Any:
    if isinstance(what, Phi):
        named = {name: _by_name(getattr(what, name)) for name in what.__struct_fields__}
        return {name: value for name, value in named.items() if value not in ("", None, [])}
    if isinstance(what, tuple):
        return [_by_name(each) for each in what]
    return what
