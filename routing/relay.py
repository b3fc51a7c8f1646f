"""Publishes the outbox of one stream to its Kafka topic, each event exactly once.

One relay a stream: starting it fences the one before. Where it stands is read from the topic
itself, from the last event of each partition, and compared with the outbox; only where retention
has emptied a partition, from what was noted of it. Any doubt ends the process; the next start
finds out by the tail.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

import msgspec

from ops.runtime.failpoints import hit
from ops.runtime.logs import get_logger
from ops.runtime.metrics import METRICS
from ops.runtime.topic import Tail
from ops.runtime.traces import TRACES
from schemas.errors import FatalError, HistoriesDiverged, PermanentError
from schemas.events import EventHeader, StreamEvent
from schemas.topics import Stream

from .cursors import Lane
from .headers import headers_of
from .outbox_reader import OutboxEvent, share_out
from .positions import History, Noted, Positions
from .streams import StreamReader, encode_line

_log = get_logger(__name__)

_REMEDY: Final = "publish nothing, follow docs/runbooks/histories-diverged.md"

_FIRST_MEAN_BYTES: Final = 8_192.0
"""Of an event, before any was seen."""
Event = tuple[str, int, bytes | None, bytes, Sequence[tuple[str, bytes]]]
"""Topic, partition, key, value, headers."""


class Publisher(Protocol):
    """Publishes in transactions, and fences its predecessor at start."""

    async def start(self) -> None:
        """Fence the predecessor and end its open transaction."""
        ...

    async def publish(self, events: Sequence[Event]) -> Mapping[int, int]:
        """Return the last offset in each partition, once all are committed.

        In doubt, raise and never work again.
        """
        ...

    async def read_tails(self, topic: str) -> Mapping[int, Tail]:
        """Return how each partition ends."""
        ...

    async def close(self) -> None:
        """Let go of the connections."""
        ...


class Relay:
    """Moves one stream from the outbox to its topic.

    Args:
        reader: Reads the outbox.
        positions: Keeps notes of what was published.
        publisher: Has a transactional id of its own, stable over restarts.
        stream: The stream to publish.
        topic: Its topic, with as many partitions as the stream.
        max_events: The most events of one transaction.
        max_bytes: The most bytes of one transaction, unless one event alone has more.
        poll_seconds: How long to wait when there is nothing to publish.
        note_seconds: How old notes may be while events are published.
        is_paused: Whether a person has told the stream to wait; asked before each transaction.
    """

    def __init__(
        self,
        reader: StreamReader,
        positions: Positions,
        publisher: Publisher,
        *,
        stream: Stream,
        topic: str,
        partitions: int,
        max_events: int = 5_000,
        max_bytes: int = 4 * 1024 * 1024,
        poll_seconds: float = 0.02,
        note_seconds: float = 30.0,
        is_paused: Callable[[], bool] = lambda: False,
    ) -> None:
        self._reader = reader
        self._noting = positions
        self._publisher = publisher
        self._stream = stream
        self._topic = topic
        self._partitions = partitions
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._poll_seconds = poll_seconds
        self._note_seconds = note_seconds
        self._is_paused = is_paused
        self._positions: dict[int, int] = {}
        self._ahead: list[OutboxEvent] = []
        self._lag = 0
        self._notes: dict[int, Noted] = {}
        self._noted_at = 0.0
        self._mean_bytes = _FIRST_MEAN_BYTES

    async def run(self, stopping: asyncio.Event) -> None:
        """Publish until `stopping` is set; a transaction under way is ended first.

        Raises:
            HistoriesDiverged: The topic holds what the outbox does not.
            Fenced: Another relay of this stream was started.
            UnknownResult: Nobody can say whether the last transaction is in.
        """
        await self._publisher.start()
        try:
            hit("relay.at_start")
            await self._find_positions()
            _log.info("relay_started", stream=self._stream.value, seq=sum(self._positions.values()))
            while not stopping.is_set():
                if self._is_paused():
                    await self._stand(stopping)
                elif not await self._move():
                    await self._wait(stopping)
                if time.monotonic() - self._noted_at >= self._note_seconds:
                    await self._note(seen=False)
            await self._note(seen=False)
        finally:
            await self._publisher.close()

    async def _find_positions(self) -> None:
        lanes = await self._lanes()
        noted = await self._noting.load(self._stream)
        histories = await self._noting.histories(self._stream)
        tails = await self._publisher.read_tails(self._topic)
        for partition in range(self._partitions):
            tail, note = tails[partition], noted.get(partition)
            history = histories.get(partition)
            if history is not None and _ends_before(tail, history):
                position, note = history.begins - 1, None
            elif tail.value is None:
                position = self._emptied(partition, lanes[partition], tail, note)
            else:
                position = await self._position(partition, lanes[partition], tail.value)
                if note is None or (note.seq, note.log_offset) != (position, tail.offset):
                    self._notes[partition] = Noted(seq=position, log_offset=tail.offset)
            if note is not None and note.seq > position:
                # Where the topic lost its end, or was made anew: it gets the same events again.
                METRICS.relay_again.labels(self._stream.value).inc(note.seq - position)
                _log.error(
                    "relay_topic_lost_events",
                    stream=self._stream.value,
                    partition=partition,
                    events=note.seq - position,
                )
            self._positions[partition] = position
        await self._note(seen=True)

    def _emptied(self, partition: int, lane: Lane, tail: Tail, note: Noted | None) -> int:
        """Return the last seq published to a partition that holds no event."""
        if tail.begin == 0:  # nothing was ever taken from it, so nothing was ever published
            if lane.begins > 1:
                raise self._diverged(partition, "the topic is empty, the outbox begins later")
            return 0
        # A transaction is its records and one mark: behind the noted event no other fits.
        if note is None or tail.end > note.log_offset + 2:
            raise self._diverged(partition, "the topic was emptied of what nobody has noted")
        if not lane.begins - 1 <= note.seq <= lane.last_seq:
            raise self._diverged(partition, "the topic was emptied, and the outbox has another end")
        return note.seq

    async def _position(self, partition: int, lane: Lane, value: bytes) -> int:
        """Return the last seq the topic has, once outbox and topic tell the same of it."""
        try:
            last = msgspec.json.decode(value, type=EventHeader)
        except msgspec.MsgspecError:
            raise self._diverged(partition, "the topic's last record is no event") from None
        if last.stream is not self._stream or last.partition != partition:
            raise self._diverged(partition, "the topic's last event belongs elsewhere")
        if last.seq > lane.last_seq:
            raise self._diverged(partition, "the topic is ahead of the outbox")
        if last.seq < lane.begins - 1:
            raise self._diverged(partition, "the outbox has lost events that were not published")
        if last.seq >= lane.begins:
            known = await self._reader.event_id_at(self._stream, partition, last.seq)
            if known != last.event_id:
                raise self._diverged(partition, "another event stands at the topic's last place")
        return last.seq

    async def _note(self, *, seen: bool) -> None:
        """Write down what was published since the last time."""
        await self._noting.note(self._stream, self._notes, seen=seen)
        self._notes.clear()
        self._noted_at = time.monotonic()

    async def _stand(self, stopping: asyncio.Event) -> None:
        """Publish nothing, and say how much is due; begin again where the topic stands."""
        self._ahead = []
        lanes = await self._lanes()
        lag = sum(lane.last_seq - self._positions[each] for each, lane in lanes.items())
        METRICS.relay_lag.labels(self._stream.value).set(lag)
        await self._wait(stopping)

    async def _move(self) -> bool:
        """Publish one transaction; False where there was nothing to publish."""
        events = self._ahead or await self._read(self._positions)
        self._ahead = []
        if not events:
            return False
        batch = self._cut(events)
        moved = {event.partition: event.seq for event, _ in batch}
        behind = self._positions | moved
        left = self._lag - len(batch)
        # While Kafka confirms, the next events are read; with nothing left nobody reads ahead, for
        # what comes meanwhile is not to wait for a second transaction.
        reading = asyncio.ensure_future(self._read(behind)) if left > 0 else None
        try:
            began = time.perf_counter()
            offsets = await self._publish([packed for _, packed in batch])
            if TRACES.is_on:
                ids = [event.message_id for event in events[: len(batch)]]
                seconds = time.perf_counter() - began
                TRACES.span_batch("relay", seconds, ids, stream=self._stream.value)
            self._positions = behind
            for partition, offset in offsets.items():
                self._notes[partition] = Noted(seq=behind[partition], log_offset=offset)
            hit("relay.after_commit")
            METRICS.relay_events.labels(self._stream.value).inc(len(batch))
            METRICS.relay_batch_events.observe(len(batch))
            METRICS.in_to_kafka_seconds.observe_all(_waited(events[: len(batch)], time.time()))
            METRICS.relay_lag.labels(self._stream.value).set(left)
            if reading is not None:
                self._ahead = await reading
        finally:
            if reading is not None and not reading.done():
                reading.cancel()
                await asyncio.wait({reading})
        if left == 0:
            _log.debug("relay_caught_up", stream=self._stream.value, events=len(batch))
        return True

    async def _read(self, positions: Mapping[int, int]) -> list[OutboxEvent]:
        """Return the next events behind the positions, about as many as one transaction holds."""
        lanes = await self._lanes()
        self._lag = sum(lane.last_seq - positions[each] for each, lane in lanes.items())
        METRICS.relay_lag.labels(self._stream.value).set(self._lag)
        shares = share_out(positions, lanes, self._most())
        if not shares:
            return []
        try:
            events = await self._reader.read_after(self._stream, positions, shares)
        except PermanentError as error:
            raise FatalError(
                "outbox_unreadable", f"{error.reason} in {self._stream.value}: {_REMEDY}"
            ) from None
        hit("relay.read")
        return events

    def _most(self) -> int:
        """Return how many events to read: about what fits into one transaction, as things go.

        What is read beyond it is read again, and opened again, for the next one.
        """
        return max(1, min(self._max_events, int(self._max_bytes / self._mean_bytes)))

    async def _publish(self, events: Sequence[Event]) -> Mapping[int, int]:
        publishing = asyncio.ensure_future(self._publisher.publish(events))
        try:
            await asyncio.sleep(0)  # the transaction is open from here on
            hit("relay.in_transaction")
            return await publishing
        finally:
            publishing.cancel()

    def _cut(self, events: Sequence[OutboxEvent]) -> list[tuple[StreamEvent, Event]]:
        """Return the first events that fit into one transaction; at least one."""
        batch: list[tuple[StreamEvent, Event]] = []
        size = 0
        for each in events:
            event = each.event
            value = encode_line(event).rstrip(b"\n")
            size += len(value)
            if batch and size > self._max_bytes:
                break
            key = str(event.report_id).encode()
            headers = headers_of(each)
            batch.append((event, (self._topic, event.partition, key, value, headers)))
        self._mean_bytes = max(1.0, size / max(1, len(batch)))
        return batch

    async def _lanes(self) -> dict[int, Lane]:
        lanes = await self._reader.lanes(self._stream)
        if set(lanes) != set(range(self._partitions)):
            raise FatalError("partitions_differ", "stream and topic need as many partitions")
        for partition, position in self._positions.items():
            if position > lanes[partition].last_seq:
                raise self._diverged(partition, "the topic is ahead of the outbox")
            if position < lanes[partition].begins - 1:
                raise self._diverged(partition, "retention took events that were not published")
        return lanes

    async def _wait(self, stopping: asyncio.Event) -> None:
        try:
            async with asyncio.timeout(self._poll_seconds):
                await stopping.wait()
        except TimeoutError:
            return

    def _diverged(self, partition: int, what: str) -> HistoriesDiverged:
        return HistoriesDiverged(
            "histories_diverged", f"{self._stream.value} {partition}: {what}; {_REMEDY}"
        )


def _ends_before(tail: Tail, history: History) -> bool:
    """Say whether a topic ends with the very event behind which a new history was declared."""
    if tail.value is None:
        return history.topic_seq is None and tail.begin == tail.end
    try:
        last = msgspec.json.decode(tail.value, type=EventHeader)
    except msgspec.MsgspecError:
        return False  # what it is then, `_position` says
    return (last.seq, last.event_id) == (history.topic_seq, history.topic_event)


def _waited(events: Sequence[OutboxEvent], now: float) -> list[float]:
    """Return how long ago the messages came that made first events; ids begin with the time.

    Later versions say nothing of the road: they may come of a correction, a merge, a replay.
    """
    return [
        max(0.0, now - (each.message_id.int >> 80) / 1_000)
        for each in events
        if each.event.event_version == 1
    ]
