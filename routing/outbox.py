"""Numbers events and writes them: the last statements before COMMIT.

The heads' locks are held for as long as the commit takes and no longer, so that `seq` is in commit
order and has no gap.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final

from ops.runtime.postgres import Connection
from schemas.errors import FatalError
from schemas.topics import Stream

from .emitted import PendingEvent

Seal = Callable[[bytes, bytes], bytes]
"""Plaintext and associated bytes to ciphertext."""

# Locks the heads of the touched lanes, always in the same order: the last locks of a transaction.
HEADS: Final = """
SELECT h.stream, h.partition, h.last_seq FROM stream_head AS h
WHERE (h.stream, h.partition) IN (SELECT * FROM unnest($1::text[], $2::integer[]))
ORDER BY h.stream, h.partition FOR UPDATE
"""

INSERT: Final = """
INSERT INTO stream_event (stream, partition, seq, event_id, report_id, event_version, kind, reason,
    realm, rule, rule_version, person_version, message_id, emitted_at, payload, part)
SELECT stream, partition, seq, event_id, report_id, event_version, kind, reason,
    realm, rule, rule_version, person_version, message_id, emitted_at, payload, part
FROM unnest($1::text[], $2::integer[], $3::bigint[], $4::uuid[], $5::uuid[], $6::integer[],
    $7::text[], $8::text[], $9::text[], $10::text[], $11::text[], $12::bigint[], $13::uuid[],
    $14::timestamptz[], $15::bytea[], $16::text[])
    AS new (stream, partition, seq, event_id, report_id, event_version, kind, reason,
        realm, rule, rule_version, person_version, message_id, emitted_at, payload, part)
"""

ADVANCE: Final = """
UPDATE stream_head AS h SET last_seq = moved.last_seq
FROM unnest($1::text[], $2::integer[], $3::bigint[]) AS moved (stream, partition, last_seq)
WHERE h.stream = moved.stream AND h.partition = moved.partition
"""


async def write(
    conn: Connection,
    events: Sequence[PendingEvent],
    seal: Seal,
    at: datetime,
    *,
    seal_public: Seal | None = None,
) -> dict[str, int]:
    """Number the events in the order given and write them; return how many each stream got.

    Call it last before COMMIT, inside the transaction that made the events.

    Args:
        conn: Inside a transaction.
        events: Of any streams and partitions.
        seal: Bodies are stored as what it gives for (body, the event id's bytes).
        at: The events' `emitted_at`, aware; of hidden ones only its day in UTC is told.
        seal_public: Seals those of public health, which are kept for longer; as the others if None.

    Raises:
        FatalError: A stream has no such partition (`stream_head_missing`).
    """
    if not events:
        return {}
    # Sealing costs time: before the locks.
    public = seal_public or seal
    payloads = [
        None
        if event.body is None
        else (public if event.stream is Stream.PUBLIC_HEALTH else seal)(
            event.body, event.event_id.bytes
        )
        for event in events
    ]
    seqs, heads = await _number(conn, events)
    day = at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    await conn.execute(
        INSERT,
        [event.stream for event in events],
        [event.partition for event in events],
        seqs,
        [event.event_id for event in events],
        [event.report_id for event in events],
        [event.event_version for event in events],
        [event.kind for event in events],
        [event.reason for event in events],
        [event.realm.value for event in events],
        [event.rule for event in events],
        [event.rule_version for event in events],
        [event.person_version for event in events],
        [event.message_id for event in events],
        [day if event.is_hidden else at for event in events],
        payloads,
        [event.part for event in events],
    )
    lanes = sorted(heads)
    await conn.execute(
        ADVANCE,
        [stream for stream, _ in lanes],
        [partition for _, partition in lanes],
        [heads[lane] for lane in lanes],
    )
    return dict(Counter(event.stream.value for event in events))


async def _number(
    conn: Connection, events: Sequence[PendingEvent]
) -> tuple[list[int], dict[tuple[str, int], int]]:
    lanes = sorted({(event.stream.value, event.partition) for event in events})
    rows = await conn.fetch(HEADS, [lane[0] for lane in lanes], [lane[1] for lane in lanes])
    heads = {(row["stream"], row["partition"]): row["last_seq"] for row in rows}
    if len(heads) != len(lanes):
        raise FatalError(
            "stream_head_missing",
            "the number of partitions is fixed at init: was this database made by another one?",
        )
    seqs = []
    for event in events:
        lane = (event.stream.value, event.partition)
        heads[lane] += 1
        seqs.append(heads[lane])
    return seqs, heads
