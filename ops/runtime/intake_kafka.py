"""The intake log on Apache Kafka: `acks=all`, idempotent, never transactional.

Because no transaction writes the topic, its offsets are gapless in practice; nobody relies on it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from schemas.envelope import IntakeRecord, StoredRecord

from .intake_log import Kept, ReadBatch, decode_record, encode_record
from .kafka_appending import AppendProducer
from .kafka_client import KafkaSettings
from .kafka_reading import PartitionReader
from .kafka_topics import ensure_topics, topic_limits
from .topic import TopicLimits, TopicSpec

_READ_SECONDS: Final = 0.02
_FETCH_SECONDS: Final = 5.0
_TOPIC_SECONDS: Final = 30.0

RETENTION_SECONDS: Final = 7 * 24 * 3_600

# A frame of 8 MiB, what was mapped out of it, and the envelope.
TOPIC_CONFIGS: Final = {
    "max.message.bytes": str(10 * 1024 * 1024),
    "cleanup.policy": "delete",
    "retention.ms": str(RETENTION_SECONDS * 1_000),
    # By size the brokers would drop what nobody has read, however young.
    "retention.bytes": "-1",
    "unclean.leader.election.enable": "false",
}


class KafkaIntakeLog:
    """`IntakeLog` on one topic.

    Args:
        producer: Of this process, or None where it only reads.
        reader: Of this process; its position follows what `read` is asked.
        finder: A second reader for `fetch`, so that a look-up never moves the first.
        topic: The intake topic, with the instance's prefix.
        limits: Asks when the brokers drop its records.
    """

    def __init__(
        self,
        *,
        producer: AppendProducer | None,
        reader: PartitionReader,
        finder: PartitionReader,
        topic: str,
        limits: Callable[[], Awaitable[TopicLimits]] | None = None,
    ) -> None:
        self._producer = producer
        self._reader = reader
        self._finder = finder
        self._topic = topic
        self._limits = limits

    async def kept(self) -> Kept:
        """Ask the brokers by what they drop records of the topic."""
        if self._limits is None:
            return Kept()
        found = await self._limits()
        return Kept(
            seconds=found.seconds, is_bounded_by_size=found.bytes_of_a_partition is not None
        )

    async def append(self, records: Sequence[IntakeRecord]) -> list[int]:
        """Append each partition's records as one batch; see `IntakeLog.append`.

        Several partitions are several batches: when one fails, the others may be in the log, so
        the result of all is unknown (never "surely not").
        """
        assert self._producer is not None, "this process was opened to read only"
        lanes: dict[int, list[int]] = {}
        for place, record in enumerate(records):
            lanes.setdefault(record.partition, []).append(place)
        batches = {
            partition: [encode_record(records[place]) for place in places]
            for partition, places in lanes.items()
        }
        answered = await self._producer.append(self._topic, batches)
        offsets = [0] * len(records)
        for partition, places in lanes.items():
            for place, offset in zip(places, answered[partition], strict=True):
                offsets[place] = offset
        return offsets

    async def read(self, positions: Mapping[int, int], limit: int) -> ReadBatch:
        """Poll the partitions; see `IntakeLog.read`."""
        if not positions or limit < 1:
            return ReadBatch(records=[], next_offsets=dict(positions))
        raw = await self._reader.read(positions, limit, _READ_SECONDS)
        next_offsets = dict(positions)
        records = []
        for held in raw:
            records.append(decode_record(held.partition, held.offset, held.value))
            next_offsets[held.partition] = held.offset + 1
        return ReadBatch(records=records, next_offsets=next_offsets)

    async def fetch(self, partition: int, offset: int) -> StoredRecord | None:
        """Seek and read one record."""
        begins = await self._finder.begin_offsets()
        ends = await self._finder.end_offsets()
        if not begins.get(partition, 0) <= offset < ends.get(partition, 0):
            return None
        raw = await self._finder.read({partition: offset}, 1, _FETCH_SECONDS)
        if not raw or raw[0].offset != offset:
            return None
        return decode_record(partition, offset, raw[0].value)

    async def begin_offsets(self) -> dict[int, int]:
        """Ask the broker."""
        return await self._reader.begin_offsets()

    async def end_offsets(self) -> dict[int, int]:
        """Ask the broker."""
        return await self._reader.end_offsets()

    async def close(self) -> None:
        """Close producer and readers."""
        if self._producer is not None:
            await self._producer.close()
        await self._reader.close()
        await self._finder.close()


async def open_kafka_log(
    settings: KafkaSettings,
    *,
    topic: str,
    partitions: int,
    replication_factor: int,
    min_insync_replicas: int,
    retention_seconds: float = RETENTION_SECONDS,
    appends: bool = True,
) -> KafkaIntakeLog:
    """Make the topic if it is not there, connect, and return the log.

    Args:
        settings: Where the brokers are.
        topic: With the instance's prefix.
        partitions: As fixed at init; a topic with another number is fatal.
        replication_factor: For a topic that is made now.
        min_insync_replicas: For a topic that is made now.
        retention_seconds: For a topic that is made now.
        appends: False for a process that only reads.

    Raises:
        TransientError: The brokers are away.
        FatalError: The topic does not fit.
    """
    configs = {
        **TOPIC_CONFIGS,
        "min.insync.replicas": str(min_insync_replicas),
        "retention.ms": str(int(retention_seconds * 1_000)),
    }
    spec = TopicSpec(partitions=partitions, replication_factor=replication_factor, configs=configs)
    await ensure_topics(settings, {topic: spec}, _TOPIC_SECONDS)
    reader, finder = PartitionReader(settings, topic), PartitionReader(settings, topic)
    producer = AppendProducer(settings) if appends else None
    log = KafkaIntakeLog(
        producer=producer,
        reader=reader,
        finder=finder,
        topic=topic,
        limits=lambda: topic_limits(settings, topic),
    )
    try:
        await reader.start()
        await finder.start()
        if producer is not None:
            await producer.start()
    except BaseException:
        await log.close()
        raise
    return log
