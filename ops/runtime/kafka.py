"""Apache Kafka through aiokafka; the only module that knows the client.

Every call has a deadline of its own, because aiokafka retries an idempotent batch for ever. No
text of the client's errors leaves this module, only the names of their types, and records are
sent with `send_batch`, never with `send`, which would print keys and values at level DEBUG.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka import errors as client

from schemas.errors import (
    FatalError,
    HubError,
    OffsetGone,
    PermanentError,
    TransientError,
    UnknownResult,
)

from .kafka_errors import ANY, FENCED, after_sending, away, doubt, fenced, translate
from .kafka_security import KafkaSecurity
from .topic import Compression, Tail

Headers = Sequence[tuple[str, bytes]]
Record = tuple[bytes | None, bytes, Headers]
"""What is written: key, value, headers."""

Event = tuple[str, int, bytes | None, bytes, Headers]
"""What is published: topic, partition, key, value, headers."""

_MIB: Final = 1024 * 1024
MAX_BATCH_BYTES: Final = 10 * _MIB
MAX_RECORD_BYTES: Final = 11 * _MIB
LARGE_RECORDS: Final[Mapping[str, str]] = {"max.message.bytes": str(12 * _MIB)}
"""The topic configuration that batches and records of these sizes need."""

_FETCH_WAIT_SECONDS: Final = 0.1
_CLOSE_SECONDS: Final = 5.0
_POLL_SECONDS: Final = 0.05
_FIRST_WINDOW: Final = 16

# The client's own DEBUG lines hold keys and values; nothing below WARNING is ever wanted.
logging.getLogger("aiokafka").setLevel(logging.WARNING)
logging.getLogger("aiokafka.producer.producer").setLevel(logging.WARNING)


class KafkaSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How to reach the brokers. `bootstrap` is `host:port`, several with commas between."""

    bootstrap: str
    client_id: str
    deadline_seconds: float = 5.0
    security: KafkaSecurity = KafkaSecurity()
    """Read anew whenever a client starts."""

    def client_options(self) -> dict[str, Any]:
        """Return what every client is made with.

        Raises:
            FatalError: A file of the security settings cannot be used.
        """
        return {
            "bootstrap_servers": self.bootstrap,
            "client_id": self.client_id,
            "request_timeout_ms": _milliseconds(self.deadline_seconds),
            **self.security.client_options(),
        }


class RawRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A record as read. `timestamp_ms` is the writer's or the broker's, by the topic's setting."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes
    timestamp_ms: int
    headers: tuple[tuple[str, bytes], ...] = ()
    is_tombstone: bool = False
    """It has no value at all, which is not an empty one."""


class AppendProducer:
    """Appends batches with `acks=all`, idempotent; returns offsets only once all are confirmed.

    After the first result that is unknown, or a batch that the broker refused (its sequence
    numbers are spent, so the next one would be out of order), every call fails at once with the
    same error: the process must exit and start again.

    Args:
        settings: Where the brokers are; `deadline_seconds` bounds each call.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._producer: Any = None
        self._broken: HubError | None = None
        self._lanes: dict[tuple[str, int], asyncio.Lock] = {}

    async def start(self) -> None:
        """Connect and get a producer id.

        Raises:
            TransientError: The brokers are away.
            FatalError: They refuse us.
        """
        producer = _new_producer(self._settings)
        await _started(producer, self._settings, "a producer starts")
        self._producer = producer

    async def append(
        self, topic: str, batches: Mapping[int, Sequence[bytes]]
    ) -> dict[int, list[int]]:
        """Append the values to their partitions, all at once; see `append_batch`.

        Raises what `append_batch` does; the worst result of all stands for all, and is unknown
        as soon as one partition was confirmed and another was not.
        """
        results = await asyncio.gather(
            *(
                self.append_batch(topic, partition, [(None, value, ()) for value in values])
                for partition, values in batches.items()
            ),
            return_exceptions=True,
        )
        faults = [each for each in results if isinstance(each, BaseException)]
        if not faults:
            return dict(zip(batches, results, strict=True))  # type: ignore[arg-type]
        worst = next((each for each in faults if not isinstance(each, TransientError)), faults[0])
        if isinstance(worst, HubError) and len(faults) < len(results):
            worst = self._break(doubt("one partition was confirmed and another was not"))
        raise worst

    async def append_batch(
        self, topic: str, partition: int, records: Sequence[Record]
    ) -> list[int]:
        """Return the offset of each record, in order, once all replicas in sync hold all of them.

        Records that fit into one batch (10 MiB) are contiguous, and all in the log or none.

        Raises:
            TransientError: Surely nothing was sent; it may be tried again.
            UnknownResult: Nobody can say; no more acknowledgements from this process.
            PermanentError: One record is larger than any topic of ours takes.
            FatalError: The topic or partition does not exist, or the broker refuses us.
        """
        if not records:
            return []
        sent = False
        offsets: list[int] = []
        try:
            async with asyncio.timeout(self._settings.deadline_seconds):
                lane = self._lanes.setdefault((topic, partition), asyncio.Lock())
                # One in flight: what waits here when the first result is unknown stays unsent.
                async with lane:
                    producer = self._usable()
                    batches = _pack(producer, records)
                    await _known_partition(producer, topic, partition)
                    for batch in batches:
                        # No await stands between the hand-over and this flag.
                        confirmed = await producer.send_batch(batch, topic, partition=partition)
                        sent = True
                        first = _offset(await confirmed)
                        offsets.extend(range(first, first + batch.record_count()))
        except asyncio.CancelledError:
            if sent:
                self._break(doubt("an append was cancelled"))
            raise
        except ANY as error:
            if not sent:
                raise translate(error, "a batch is handed over") from None
            raise self._break(after_sending(error)) from None
        except UnknownResult as unknown:
            raise self._break(unknown) from None
        return offsets

    async def close(self) -> None:
        """Let go of the connections within seconds, whatever is still in doubt."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await _close(producer, abandon=self._broken is not None)

    def _usable(self) -> Any:
        if self._broken is not None:
            raise self._broken
        if self._producer is None:
            raise FatalError("kafka_not_started", "call start() before append()")
        return self._producer

    def _break(self, error: HubError) -> HubError:
        if self._broken is None:
            self._broken = error
        return error


class PartitionReader:
    """Reads partitions of one topic from given offsets; no group, no committed offsets.

    Args:
        settings: Where the brokers are; `deadline_seconds` bounds each call.
        topic: The only topic it reads.
        read_committed: Only records of finished transactions; ends at the last stable offset.
    """

    def __init__(
        self, settings: KafkaSettings, topic: str, *, read_committed: bool = False
    ) -> None:
        self._settings = settings
        self._topic = topic
        self._read_committed = read_committed
        self._consumer: Any = None
        self._standing: dict[int, int] = {}
        self._heard: tuple[int, float] = (0, 0.0)

    async def start(self) -> None:
        """Connect.

        Raises:
            TransientError: The brokers are away.
            FatalError: They refuse us.
        """
        consumer = AIOKafkaConsumer(
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="none",
            isolation_level="read_committed" if self._read_committed else "read_uncommitted",
            # Requests of one connection are answered in order: an idle fetch holds up a
            # question for offsets, or a seek, for this long.
            fetch_max_wait_ms=_milliseconds(_FETCH_WAIT_SECONDS),
            **self._settings.client_options(),
        )
        await _started(consumer, self._settings, "a reader starts")
        self._consumer = consumer

    async def partitions(self) -> list[int]:
        """Return the partitions of the topic, in order.

        Raises:
            TransientError: The brokers are away, or the topic is not there (yet).
        """
        async with self._deadline("partitions are asked for"):
            # The client offers no public way to await the metadata of one topic.
            known = await self._usable()._client._wait_on_metadata(self._topic)  # noqa: SLF001
            return sorted(known)

    async def read(
        self, positions: Mapping[int, int], limit: int, timeout_seconds: float
    ) -> list[RawRecord]:
        """Return at most `limit` records from these offsets on; waits only when there are none.

        Records of one partition come in offset order. Reading on from where the last read ended
        costs no seek.

        Raises:
            OffsetGone: A position lies below the start of its partition.
            FatalError: A position lies beyond the end: this is not the log it was taken from.
            TransientError: The brokers have not answered for `deadline_seconds`.
        """
        if not positions or limit < 1:
            return []
        async with self._deadline("records are read", more_seconds=timeout_seconds):
            await self._stand_at(positions)
            while True:
                try:
                    found = await self._usable().getmany(
                        timeout_ms=_milliseconds(timeout_seconds), max_records=limit
                    )
                except client.OffsetOutOfRangeError as error:
                    await self._out_of_range(error, positions)
                    continue
                break
        records = [_raw(each) for several in found.values() for each in several]
        for each in records:
            self._standing[each.partition] = each.offset + 1
        if not records:
            self._check_heard(positions)
        return records

    async def begin_offsets(self) -> dict[int, int]:
        """Return the first readable offset of every partition; TransientError when away."""
        places = [TopicPartition(self._topic, each) for each in await self.partitions()]
        async with self._deadline("first offsets are asked for"):
            return _by_partition(await self._usable().beginning_offsets(places))

    async def end_offsets(self) -> dict[int, int]:
        """Return the end of every partition (read_committed: the last stable offset).

        Raises:
            TransientError: The brokers are away.
        """
        places = [TopicPartition(self._topic, each) for each in await self.partitions()]
        async with self._deadline("last offsets are asked for"):
            return _by_partition(await self._usable().end_offsets(places))

    async def tails(self) -> dict[int, Tail]:
        """Return how each partition ends: its last record that is not a control record.

        Looks back in windows that double, since marks of transactions occupy offsets; all
        partitions at once, since a relay that starts reads all of them.

        Raises:
            TransientError: The brokers are away.
        """
        begins, ends = await self.begin_offsets(), await self.end_offsets()
        found: dict[int, RawRecord] = {}
        uppers = {each: end for each, end in ends.items() if end > begins[each]}
        window = _FIRST_WINDOW
        while uppers:
            lowers = {each: max(begins[each], ends[each] - window) for each in uppers}
            async with self._deadline("tails are read"):
                found |= await self._last_within(lowers, uppers)
            uppers = {
                each: lower
                for each, lower in lowers.items()
                if each not in found and lower > begins[each]
            }
            window *= 2
        return {
            each: Tail(begin=begins[each], end=end)
            if each not in found
            else Tail(
                begin=begins[each], end=end, value=found[each].value, offset=found[each].offset
            )
            for each, end in ends.items()
        }

    async def close(self) -> None:
        """Let go of the connections within seconds."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await _close(consumer, abandon=False)

    async def _last_within(
        self, lowers: Mapping[int, int], uppers: Mapping[int, int]
    ) -> dict[int, RawRecord]:
        """Return the last record between two offsets of each partition that has one there."""
        consumer = self._usable()
        self._standing.clear()
        await self._stand_at(lowers)
        waiting = {TopicPartition(self._topic, each): upper for each, upper in uppers.items()}
        lasts: dict[int, RawRecord] = {}
        while waiting:
            batches = await consumer.getmany(*waiting, timeout_ms=_milliseconds(_POLL_SECONDS))
            for place, records in batches.items():
                for each in records:
                    if each.offset < uppers[place.partition]:
                        lasts[place.partition] = _raw(each)
            # The position also passes marks and aborted records, of which no record tells.
            waiting = {
                place: upper
                for place, upper in waiting.items()
                if await consumer.position(place) < upper
            }
        self._standing.clear()
        return lasts

    async def _stand_at(self, positions: Mapping[int, int]) -> None:
        consumer = self._usable()
        if consumer.assignment() != {TopicPartition(self._topic, each) for each in positions}:
            consumer.assign([TopicPartition(self._topic, each) for each in positions])
            self._standing.clear()
            self._heard = (0, time.monotonic())
        for partition, offset in positions.items():
            standing = self._standing.get(partition)
            if standing == offset:
                continue
            place = TopicPartition(self._topic, partition)
            # Between the last record given and the client's position lie no data records.
            if standing is None or not standing < offset <= await consumer.position(place):
                consumer.seek(place, offset)
            self._standing[partition] = offset

    async def _out_of_range(self, error: Any, positions: Mapping[int, int]) -> None:
        begins = await self.begin_offsets()
        for place, offset in error.args[0].items():
            # The error may be about a position left in the meantime.
            if positions.get(place.partition) is None or positions[place.partition] > offset:
                continue
            if offset < begins[place.partition]:
                raise OffsetGone(place.partition, offset, begins[place.partition])
            raise FatalError(
                "offset_beyond_end",
                f"partition {place.partition} of {self._topic} ends before {offset}: the topic was"
                " made anew or restored, see the runbook of histories that diverged",
            )

    def _check_heard(self, positions: Iterable[int]) -> None:
        """The client reads nothing, silently, while brokers are away; make that an error."""
        consumer = self._usable()
        places = (TopicPartition(self._topic, each) for each in positions)
        latest = max((consumer.last_poll_timestamp(each) or 0 for each in places), default=0)
        now = time.monotonic()
        if latest != self._heard[0]:
            self._heard = (latest, now)
        elif now - self._heard[1] > self._settings.deadline_seconds:
            raise away("records are read")

    @contextlib.asynccontextmanager
    async def _deadline(self, doing: str, more_seconds: float = 0.0) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._settings.deadline_seconds + more_seconds):
                yield
        except ANY as error:
            raise translate(error, doing) from None

    def _usable(self) -> Any:
        if self._consumer is None:
            raise FatalError("kafka_not_started", "call start() before reading")
        return self._consumer


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
        producer = _new_producer(self._settings, self._transactional_id, self._compression)
        await _started(producer, self._settings, "a publisher starts")
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
        packed = {lane: _pack(self._producer, records) for lane, records in lanes.items()}
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
            await _close(producer, abandon=self._broken is not None)

    async def _transact(self, packed: Mapping[tuple[str, int], list[Any]]) -> dict[int, int]:
        producer = self._producer
        await producer.begin_transaction()
        confirmed, counts = [], []
        for (topic, partition), batches in packed.items():
            await _known_partition(producer, topic, partition)
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


def _new_producer(
    settings: KafkaSettings,
    transactional_id: str | None = None,
    compression: Compression = Compression.NONE,
) -> Any:
    return AIOKafkaProducer(
        acks="all",
        enable_idempotence=True,
        transactional_id=transactional_id,
        compression_type=None if compression is Compression.NONE else compression.value,
        max_batch_size=MAX_BATCH_BYTES,
        max_request_size=MAX_RECORD_BYTES,
        **settings.client_options(),
    )


async def _started(actor: Any, settings: KafkaSettings, doing: str) -> None:
    try:
        async with asyncio.timeout(settings.deadline_seconds):
            await actor.start()
    except BaseException as error:
        await _close(actor, abandon=True)
        if isinstance(error, ANY):
            raise translate(error, doing) from None
        raise


async def _close(actor: Any, *, abandon: bool) -> None:
    """Stop a client within a bound; `abandon` drops what it still tries to send."""
    sender = getattr(actor, "_sender", None)
    if sender is None or not abandon:
        with contextlib.suppress(*ANY):
            async with asyncio.timeout(_CLOSE_SECONDS):
                await actor.stop()
    if sender is None:
        connections = actor._client  # noqa: SLF001
    else:
        # stop() flushes first, that is, it may retry for ever, and no public way gives batches
        # up. Ending the sender twice: the first time it waits for its requests.
        actor._closed = True  # noqa: SLF001
        connections = actor.client
        task = sender.sender_task
        for _ in range(2):
            if task is not None and not task.done():
                task.cancel()
                await asyncio.wait({task}, timeout=_CLOSE_SECONDS / 5)
    with contextlib.suppress(*ANY):
        async with asyncio.timeout(_CLOSE_SECONDS):
            await connections.close()


async def _known_partition(producer: Any, topic: str, partition: int) -> None:
    if partition not in await producer.partitions_for(topic):
        raise FatalError(
            "kafka_partition_unknown",
            f"topic {topic} has no partition {partition}: the number of partitions is fixed at"
            " init; check the settings",
        )


def _pack(producer: Any, records: Sequence[Record]) -> list[Any]:
    """Return the records in as few batches as possible, in order."""
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


def _offset(metadata: Any) -> int:
    # A duplicate of a batch long ago is confirmed with -1: it is in the log, but where?
    if metadata is None or metadata.offset < 0:
        raise doubt("a batch was confirmed without its offset")
    return int(metadata.offset)


def _raw(record: Any) -> RawRecord:
    return RawRecord(
        partition=record.partition,
        offset=record.offset,
        key=record.key,
        value=record.value if record.value is not None else b"",
        timestamp_ms=record.timestamp,
        headers=tuple((name, value or b"") for name, value in record.headers or ()),
        is_tombstone=record.value is None,
    )


def _by_partition(offsets: Mapping[Any, int]) -> dict[int, int]:
    return {place.partition: offset for place, offset in offsets.items()}


def _milliseconds(seconds: float) -> int:
    return int(seconds * 1000)
