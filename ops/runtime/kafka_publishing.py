"""Events published in transactions; aiokafka's transactional producer lies below.

Every call has a deadline of its own, because aiokafka retries an idempotent batch for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from schemas.errors import FatalError, HubError

from .kafka_batches import Headers, Record, known_partition, new_producer, pack
from .kafka_client import KafkaSettings, close, started
from .kafka_errors import ANY, FENCED, after_sending, doubt, fenced
from .kafka_reading import PartitionReader
from .topic import Compression, Tail

Event = tuple[str, int, bytes | None, bytes, Headers]
"""What is published: topic, partition, key, value, headers."""


class TransactionalPublisher:
    """Publishes events in transactions, each wholly or not at all; fences its predecessor.

    After any failure every call fails at once with the same error: exit, and let the next start
    repair, by the tail of the topic.

    Args:
        settings: Where the brokers are; `deadline_seconds` bounds each call.
        transactional_id: Stable over restarts; whoever starts with it last is the only one.
        compression: Of each batch.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        transactional_id: str,
        *,
        compression: Compression = Compression.NONE,
    ) -> None:
        self._settings = settings
        self._transactional_id = transactional_id
        self._compression = compression
        self._producer: Any = None
        self._broken: HubError | None = None

    async def start(self) -> None:
        """Fence the predecessor and end its open transaction, if it left one.

        Raises:
            TransientError: The brokers are away.
            FatalError: They refuse us.
        """
        producer = new_producer(self._settings, self._transactional_id, self._compression)
        await started(producer, self._settings, "a publisher starts")
        self._producer = producer

    async def publish(self, events: Sequence[Event]) -> dict[int, int]:
        """Return once all events are committed; those of one partition in the order given.

        Returns:
            The offset of the last event of each partition, where the broker told it.

        Raises:
            Fenced: A newer process has this transactional id. Nothing was published.
            UnknownResult: Nobody can say; the next start finds out by the tail.
            PermanentError: One event is larger than any topic of ours takes.
        """
        if self._broken is not None:
            raise self._broken
        if self._producer is None:
            raise FatalError("kafka_not_started", "call start() before publish()")
        if not events:
            return {}
        lanes: dict[tuple[str, int], list[Record]] = {}
        for topic, partition, key, value, headers in events:
            lanes.setdefault((topic, partition), []).append((key, value, headers))
        packed = {lane: pack(self._producer, records) for lane, records in lanes.items()}
        try:
            async with asyncio.timeout(self._settings.deadline_seconds):
                return await self._transact(packed)
        except asyncio.CancelledError:
            self._broken = doubt("a publication was cancelled")
            raise
        except FENCED:
            self._broken = fenced()
            raise self._broken from None
        except ANY as error:
            self._broken = after_sending(error)
            raise self._broken from None

    async def read_tails(self, topic: str) -> dict[int, Tail]:
        """Return how each partition ends, of committed records; see `tails`.

        Ask after `start`: only then no predecessor can add to the tail.
        """
        reader = PartitionReader(self._settings, topic, read_committed=True)
        await reader.start()
        try:
            return await reader.tails()
        finally:
            await reader.close()

    async def close(self) -> None:
        """Let go of the connections within seconds."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await close(producer, abandon=self._broken is not None)

    async def _transact(self, packed: Mapping[tuple[str, int], list[Any]]) -> dict[int, int]:
        producer = self._producer
        await producer.begin_transaction()
        confirmed, counts = [], []
        for (topic, partition), batches in packed.items():
            await known_partition(producer, topic, partition)
            for batch in batches:
                confirmed.append(await producer.send_batch(batch, topic, partition=partition))
                counts.append(batch.record_count())
        lasts: dict[int, int] = {}
        # All are awaited, also behind a failure: an exception nobody fetched would be printed.
        results = await asyncio.gather(*confirmed, return_exceptions=True)
        for result, count in zip(results, counts, strict=True):
            if isinstance(result, BaseException):
                raise result
            if result is not None and result.offset >= 0:  # else a duplicate, of unknown place
                lasts[result.partition] = result.offset + count - 1
            else:
                lasts.clear()
        await producer.commit_transaction()
        return lasts
