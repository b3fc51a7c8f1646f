"""A parked message's bytes, mended by a person: checked as a door checks them, kept beside the own.

The message keeps its id, its place in its laboratory's line and the time at which it came. Its own
bytes stay where they are; wherever it is read back, the mended ones stand for them
(`ops/sources.py`, `ops/dispatch.py`). Only a message that waits can be mended: what a stream has
seen is corrected by the laboratory.
"""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

import msgspec

from ingest.header import HeaderError, read_header
from ingest.judge import LabProfile, Ruling, judge
from ingest.judgement import Judgement
from ingest.lab import may_speak
from ingest.labs import PostgresLabStore, profile_of
from ingest.software import software_of
from ops.asking import Asker, check_asker
from ops.bootstrap import Hub
from ops.outcomes import read_raw, with_mended
from ops.releases import refuse_beside_older
from ops.replay import Replayable, append_replays
from ops.runtime.metrics import METRICS
from ops.runtime.postgres import Connection, lent
from schemas.envelope import MAPPING_VERSION, AcceptedMessage, StoredRecord, control_key_of
from schemas.errors import PermanentError

from . import queries
from .looking import Told, row_of

_SCHEMA: Final = 21
"""Older processes read a message's own bytes, and would park it again."""
_CODES: Final = {Ruling.REFUSE: "refused", Ruling.REJECT: "rejected"}


class Mended(msgspec.Struct, frozen=True, kw_only=True):
    """What became of mended bytes."""

    message_id: UUID
    dry_run: bool
    number: int
    """How often this message was mended; 0 with `dry_run`."""
    reports: int
    """That can be made of it now."""
    findings: list[Told]
    """What today's checks still say of it: none of it prevents a report."""
    replay: UUID | None
    """The replay that was asked for."""


async def mend(hub: Hub, message_id: UUID, raw: bytes, asker: Asker, *, dry_run: bool) -> Mended:
    """Let mended bytes stand for those of a parked message, and ask for its replay.

    A kill after the bytes are kept and before the replay is in the log leaves the message parked
    and mended: `parked replay` goes on.

    Raises:
        PermanentError: No word why; it does not wait; its own bytes are gone or unreadable; the
            bytes are another message's, or still not such that a report can be made of them: code
            and place are told, no value; or a process of an older release runs that would not read
            them.
    """
    check_asker(asker)
    if not asker.reason.strip():
        raise PermanentError("bad_reason", "say why: it stands in the audit trail")
    async with lent(hub.pool) as connection:
        row = await row_of(connection, message_id)
        if row["resolved_at"] is not None or row["ending"] != "parked":
            raise PermanentError("not_waiting", "it has ended; a correction is the laboratory's")
        own = await _record(hub, connection, row)
        if own is None:
            raise _gone()
        judgement, held = await _judged(hub, connection, row, raw)
        if dry_run:
            return _mended(message_id, judgement, 0, None)
        await refuse_beside_older(connection, _SCHEMA, "a mended message")
        # By the key of the day on which it came: mended bytes live no longer than its own.
        sealed = hub.vault.seal_beside(own.payload, held.to_bytes(), message_id.bytes)
        async with connection.transaction():
            place = row["partition"], row["offset"]
            if await connection.fetchrow(queries.LOCK_PARKED, *place) is None:
                raise PermanentError("not_waiting", "it has ended meanwhile")
            number = await connection.fetchval(queries.MEND, *place, hub.clock.now(), sealed)
            subject = f"message {message_id}, for the {number}. time"
            await connection.fetchval(
                queries.AUDIT, asker.actor, "parked_mended", subject, asker.reason
            )
    original = Replayable(
        partition=row["partition"],
        offset=row["offset"],
        lab_id=row["lab_id"],
        message_id=message_id,
        control_key=row["control_key"],
    )
    (replay,) = await append_replays(hub, [original], reason=asker.reason, actor=asker.actor)
    METRICS.parked_acts.labels("mended").inc()
    return _mended(message_id, judgement, number, replay)


async def raw_of(hub: Hub, message_id: UUID, asker: Asker) -> bytes:
    """Return the bytes of a parked message, mended ones where there are some; audited before.

    Raises:
        PermanentError: No word why, no such message, or it can be read no more.
    """
    check_asker(asker)
    if not asker.reason.strip():
        raise PermanentError("bad_reason", "say why: it stands in the audit trail")
    async with lent(hub.pool) as connection:
        row = await row_of(connection, message_id)
        await connection.fetchval(
            queries.AUDIT,
            asker.actor,
            "parked_show_identity",
            f"message {message_id}",
            asker.reason,
        )
        record = await _record(hub, connection, row)
    if record is None:
        raise _gone()
    opened = hub.vault.open(record.payload, record.message_id.bytes)
    return AcceptedMessage.from_bytes(opened).raw


def _gone() -> PermanentError:
    return PermanentError("original_gone", "its retention has passed; ask the laboratory")


async def _record(hub: Hub, connection: Connection, row: Any) -> StoredRecord | None:
    place = row["partition"], row["offset"]
    found = await hub.log.fetch(*place)
    if found is None and hub.is_cluster:
        found = await read_raw(connection, *place)
    return None if found is None else await with_mended(connection, found)


async def _judged(
    hub: Hub, connection: Connection, row: Any, raw: bytes
) -> tuple[Judgement, AcceptedMessage]:
    """Hold bytes against today's checks, as the laboratory's door would.

    Raises:
        PermanentError: They are not this message's, or no report can be made of them.
    """
    if len(raw) > hub.settings.max_frame_bytes:
        raise PermanentError("too_large", "no door takes a message of this size")
    header = read_header(raw)
    if isinstance(header, HeaderError):
        raise PermanentError(header.finding.code, "give one message, without a frame")
    lab = await PostgresLabStore(hub.pool).one_on(connection, row["lab_id"])
    own = lab is not None and may_speak(lab, header.registry_id)
    if not own or control_key_of(header.control_id) != row["control_key"]:
        raise PermanentError(
            "another_message", "sending facility (MSH-4) and control id (MSH-10) are to stay"
        )
    profile = LabProfile() if lab is None else profile_of(lab)
    judgement = judge(raw, header, profile, hub.realm)
    found = judgement.unmappable or next(iter(judgement.findings), None)
    if judgement.mapped is None:
        assert found is not None, "what is not accepted has a reason"
        what = _CODES.get(judgement.ruling, "still no report can be made of it")
        raise PermanentError(found.code, f"{what}: {found.code} at {found.place}", found.place)
    return judgement, AcceptedMessage(
        raw=raw,
        control_id=header.control_id,
        mapping_version=MAPPING_VERSION,
        profile_version=1 if lab is None else lab.profile_version,
        answer="AA",
        mapped=judgement.mapped,
        findings=judgement.findings,
        software=software_of(header, raw),
    )


def _mended(message_id: UUID, judgement: Judgement, number: int, replay: UUID | None) -> Mended:
    assert judgement.mapped is not None
    return Mended(
        message_id=message_id,
        dry_run=replay is None,
        number=number,
        reports=len(judgement.mapped.reports),
        findings=[
            Told(code=f.code, level=f.level.value, place=str(f.place)) for f in judgement.findings
        ],
        replay=replay,
    )
