"""The intake log: one port, two engines below it (PostgreSQL, Apache Kafka), and nobody else knows.

Offsets are strictly increasing within a partition, not gapless.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol
from uuid import UUID

import msgspec

from schemas.envelope import IntakeRecord, RecordKind, StoredRecord
from schemas.errors import PermanentError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class ReadBatch(msgspec.Struct, frozen=True, kw_only=True):
    """What a read gave.

    `next_offsets` has every partition asked for: where to read on. It may be beyond the last
    record's offset plus one (control records of Kafka occupy offsets).
    """

    records: list[StoredRecord]
    next_offsets: dict[int, int]


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """By what a log forgets records, as far as it does so by itself."""

    seconds: float | None = None
    """From this age on; None: none is forgotten for its age, or we decide it."""
    is_bounded_by_size: bool = False
    """Also where it grows too large: then nobody can say which record is safe."""


class IntakeLog(Protocol):
    """An append-only log of intake records, in partitions."""

    async def append(self, records: Sequence[IntakeRecord]) -> list[int]:
        """Return the offsets of the records, in their order, once all of them are durable.

        Records of one partition get offsets in the order given. All of them or none.

        Raises:
            TransientError: Surely none of them is in the log; it may be tried again.
            UnknownResult: Nobody can say. No answer may be given for any of them.
        """
        ...

    async def read(self, positions: Mapping[int, int], limit: int) -> ReadBatch:
        """Return at most `limit` records from the given offsets on, without waiting for more.

        Records of one partition come in offset order; a partition with a long backlog does not
        keep the others waiting.

        Raises:
            OffsetGone: A position lies below the start of its partition.
            TransientError: The engine is away.
        """
        ...

    async def fetch(self, partition: int, offset: int) -> StoredRecord | None:
        """Return the record at exactly this place, or None when there is none (any more)."""
        ...

    async def begin_offsets(self) -> dict[int, int]:
        """Return the first readable offset of every partition."""
        ...

    async def end_offsets(self) -> dict[int, int]:
        """Return the offset the next record of every partition will get, at the earliest."""
        ...

    async def kept(self) -> Kept:
        """Return by what the log forgets records.

        Raises:
            HubError: It cannot be asked now, or does not tell us.
        """
        ...

    async def close(self) -> None:
        """Let go of connections; never waits for more than the engine's own deadline."""
        ...


class _Envelope(msgspec.Struct, frozen=True, array_like=True):
    message_id: UUID
    lab_id: int
    kind: int
    received_at_us: int
    inbox_key: UUID
    control_key: int
    payload: bytes


_ENVELOPE_VERSION = b"\x01"
_encoder = msgspec.msgpack.Encoder(uuid_format="bytes")
_decoder = msgspec.msgpack.Decoder(_Envelope)


def encode_record(record: IntakeRecord) -> bytes:
    """Return the bytes of a record without its place, for a log that holds bytes (Kafka)."""
    return _ENVELOPE_VERSION + _encoder.encode(
        _Envelope(
            record.message_id,
            record.lab_id,
            int(record.kind),
            (record.received_at - _EPOCH) // _MICROSECOND,
            record.inbox_key,
            record.control_key,
            record.payload,
        )
    )


def decode_record(partition: int, offset: int, value: bytes) -> StoredRecord:
    """Read back what `encode_record` wrote.

    Raises:
        PermanentError: These are not the bytes of a record (`foreign_record`).
    """
    if value[:1] != _ENVELOPE_VERSION:
        raise _foreign(partition, offset)
    try:
        held = _decoder.decode(memoryview(value)[1:])
        kind = RecordKind(held.kind)
    except (msgspec.DecodeError, ValueError):
        raise _foreign(partition, offset) from None
    return StoredRecord(
        partition=partition,
        offset=offset,
        message_id=held.message_id,
        lab_id=held.lab_id,
        kind=kind,
        received_at=_EPOCH + timedelta(microseconds=held.received_at_us),
        inbox_key=held.inbox_key,
        control_key=held.control_key,
        payload=held.payload,
    )


def _foreign(partition: int, offset: int) -> PermanentError:
    return PermanentError(
        "foreign_record",
        f"partition {partition}, offset {offset} holds no intake record: find out who writes to"
        " the intake topic; only ingest may",
    )
