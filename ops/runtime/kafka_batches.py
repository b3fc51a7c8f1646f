"""Batches of records as they are written: made, bounded, and sent by one kind of producer.

Records are sent with `send_batch`, never with `send`, which would print keys and values at level
DEBUG.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aiokafka import AIOKafkaProducer

from schemas.errors import FatalError, PermanentError

from .kafka_client import MAX_BATCH_BYTES, MAX_RECORD_BYTES, KafkaSettings
from .topic import Compression

Headers = Sequence[tuple[str, bytes]]
Record = tuple[bytes | None, bytes, Headers]
"""What is written: key, value, headers."""


def new_producer(
    settings: KafkaSettings,
    transactional_id: str | None = None,
    compression: Compression = Compression.NONE,
) -> Any:
    """Return a producer whose batches are confirmed by all replicas in sync, each once."""
    return AIOKafkaProducer(
        acks="all",
        enable_idempotence=True,
        transactional_id=transactional_id,
        compression_type=None if compression is Compression.NONE else compression.value,
        max_batch_size=MAX_BATCH_BYTES,
        max_request_size=MAX_RECORD_BYTES,
        **settings.client_options(),
    )


async def known_partition(producer: Any, topic: str, partition: int) -> None:
    """Refuse a partition that does not exist.

    Raises:
        FatalError: It does not (`kafka_partition_unknown`).
    """
    if partition not in await producer.partitions_for(topic):
        raise FatalError(
            "kafka_partition_unknown",
            f"topic {topic} has no partition {partition}: the number of partitions is fixed at"
            " init; check the settings",
        )


def pack(producer: Any, records: Sequence[Record]) -> list[Any]:
    """Return the records in as few batches as possible, in order.

    Raises:
        PermanentError: One is larger than any topic of ours takes (`record_too_large`).
    """
    batch = producer.create_batch()
    batches = [batch]
    for key, value, headers in records:
        size = len(key or b"") + len(value) + sum(len(k) + len(v) + 10 for k, v in headers)
        if size > MAX_RECORD_BYTES:
            raise PermanentError("record_too_large", f"at most {MAX_RECORD_BYTES} bytes a record")
        # A batch always takes its first record, however large.
        if batch.append(timestamp=None, key=key, value=value, headers=list(headers)) is None:
            batch = producer.create_batch()
            batches.append(batch)
            batch.append(timestamp=None, key=key, value=value, headers=list(headers))
    return batches
