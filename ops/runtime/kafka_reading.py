"""Partitions of one topic, read from given offsets.

Every call has a deadline of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any, Final

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka import errors as client

from schemas.errors import FatalError, OffsetGone

from .kafka_client import KafkaSettings, close, milliseconds, started
from .kafka_errors import ANY, away, translate
from .topic import Tail

_FETCH_WAIT_SECONDS: Final = 0.1
_POLL_SECONDS: Final = 0.05
_FIRST_WINDOW: Final = 16


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
            fetch_max_wait_ms=milliseconds(_FETCH_WAIT_SECONDS),
            **self._settings.client_options(),
        )
        await started(consumer, self._settings, "a reader starts")
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
                        timeout_ms=milliseconds(timeout_seconds), max_records=limit
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
            await close(consumer, abandon=False)

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
            batches = await consumer.getmany(*waiting, timeout_ms=milliseconds(_POLL_SECONDS))
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
