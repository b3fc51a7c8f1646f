"""Following a stream live: one tail a stream reads for all who follow it.

The tail asks the outbox every few hundredths of a second and keeps the newest batches in memory,
within a bound of bytes. What a follower gets of a batch is made once for all who ask for the same.
Each follower goes at its own pace: one that falls behind what is kept reads by itself from its own
cursor until it has caught up. So the slowest follower slows nobody, and nothing waits for it.
"""

from __future__ import annotations

import asyncio
import zlib
from collections import deque
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Final, Literal, Self

import msgspec

from ops.runtime.logs import get_logger
from ops.runtime.metrics import METRICS
from schemas.errors import HubError, PermanentError, TransientError
from schemas.events import StreamEvent
from schemas.topics import Stream

from . import selecting
from .cursors import at, decode_cursor, encode_cursor
from .filters import EVERYTHING, StreamFilter, fits
from .streams import StreamReader, encode_line

_log = get_logger(__name__)

Form = Literal["ndjson", "sse"]
_DEFLATE_LEVEL: Final = 1
_REST_SECONDS: Final = 0.5
"""After the database was away."""
_KEPT_FILTERS: Final = 16
"""Of a batch, what so many filters leave of it is kept; for more it is made for each who asks."""


class TailLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The bounds of a tail."""

    poll_seconds: float = 0.05
    batch_events: int = 1_000
    kept_bytes: int = 16 * 1024 * 1024


def _uncounted(_: int) -> None:
    """Count nothing: what is not kept goes with whoever got it."""


class Chunk:
    """Some events in order, encoded once for all who get them.

    Args:
        events: The events.
        grown: Told of the bytes of each encoding that is kept.
    """

    def __init__(
        self, events: Sequence[StreamEvent], grown: Callable[[int], None] = _uncounted
    ) -> None:
        self.events = events
        self._grown = grown
        self._encoded: dict[Form, bytes] = {}
        self._deflated: dict[Form, bytes] = {}

    def encoded(self, form: Form) -> bytes:
        """Return the events as lines of NDJSON, or as server-sent events."""
        held = self._encoded.get(form)
        if held is None:
            encode = encode_line if form == "ndjson" else encode_sent_event
            held = self._encoded[form] = b"".join([encode(event) for event in self.events])
            self._grown(len(held))
        return held

    def deflated(self, form: Form) -> bytes:
        """Return the same as DEFLATE blocks that need nothing of what came before (RFC 1951).

        They end at a byte, and none is the last: any number of them, one behind the other, is one
        stream that only lacks its end.
        """
        held = self._deflated.get(form)
        if held is None:
            held = self._deflated[form] = deflate(self.encoded(form))
            self._grown(len(held))
        return held

    def let_go(self) -> None:
        """Tell nobody any more: it goes with whoever still has it.

        Its batch holds it, and whom it tells is the batch: a ring, that would lie there until the
        collector's longest round, which comes rarely (ops/runtime/lifecycle.py).
        """
        self._grown = _uncounted

    def first(self, count: int) -> Chunk:
        """Return the first so many of them."""
        return self if count >= len(self.events) else Chunk(self.events[:count])


def deflate(encoded: bytes) -> bytes:
    """Return DEFLATE blocks that stand alone, and are not the last."""
    if not encoded:
        return b""
    compressor = zlib.compressobj(_DEFLATE_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    return compressor.compress(encoded) + compressor.flush(zlib.Z_FULL_FLUSH)


def encode_sent_event(event: StreamEvent) -> bytes:
    """Return an event as a server-sent one (WHATWG HTML, 9.2): its id is the cursor behind it."""
    return b"id: %s\ndata: %s\n" % (str(event.cursor).encode(), encode_line(event))


class _Batch:
    """What one look of the tail has found."""

    def __init__(
        self,
        reader: StreamReader,
        stream: Stream,
        number: int,
        events: list[StreamEvent],
        cursor: str,
        *,
        grown: Callable[[int], None],
    ) -> None:
        self.number = number
        self.cursor = cursor
        self.is_kept = True
        self.bytes = sum(len(each.body or b"") + 400 for each in events)
        self._reader = reader
        self._stream = stream
        self._events = events
        self._tell = grown
        self._chunks = {EVERYTHING: Chunk(events, self._grown)}
        self._earlier: asyncio.Future[dict[selecting.Version, bytes | None]] | None = None

    async def chunk(self, asked: StreamFilter) -> Chunk:
        """Return what is given of it to those who ask so.

        Raises:
            TransientError: The database is away.
        """
        held = self._chunks.get(asked)
        if held is None:
            judged = selecting.judge(self._stream, asked, self._events)
            earlier = await self._bodies() if judged.unknown else {}
            found = selecting.select(
                judged,
                {
                    version: body is not None and fits(self._stream, asked, body)
                    for version in judged.unknown & earlier.keys()
                    for body in (earlier[version],)
                },
            )
            if asked not in self._chunks and len(self._chunks) > _KEPT_FILTERS:
                return Chunk(found)
            grown = self._grown if self.is_kept else _uncounted
            held = self._chunks.setdefault(asked, Chunk(found, grown))
        return held

    def let_go(self) -> None:
        """Be kept no more: what is encoded of it from now on is not the tail's."""
        self.is_kept = False
        for chunk in self._chunks.values():
            chunk.let_go()

    def _grown(self, count: int) -> None:
        if self.is_kept:
            self.bytes += count
            self._tell(count)

    async def _bodies(self) -> dict[selecting.Version, bytes | None]:
        """Return the versions before those of the batch: looked up once, for every filter."""
        if self._earlier is None:
            versions = [selecting.before(each) for each in self._events if each.event_version > 1]
            self._earlier = asyncio.ensure_future(self._reader.earlier(self._stream, versions))
        try:
            # Who waits may leave; the others' look-up goes on.
            return await asyncio.shield(self._earlier)
        except HubError:
            self._earlier = None
            raise


class Tail:
    """The newest events of one stream, for all who follow it in this process.

    It reads while somebody follows: enter it as a block for that.

    Args:
        reader: Reads for the tail alone, so that readers of pages are not in its way.
        stream: Which.
        limits: Its bounds.
    """

    def __init__(self, reader: StreamReader, stream: Stream, limits: TailLimits) -> None:
        self.stream = stream
        self.number = 0
        """Of the newest batch; they are counted over all starts of the tail."""
        self.positions: tuple[int, ...] = ()
        self._reader = reader
        self._limits = limits
        self._batches: deque[_Batch] = deque()
        self._bytes = 0
        self._followers = 0
        self._reading: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()
        self._bells: set[Callable[[], None]] = set()

    async def __aenter__(self) -> Self:
        """Follow; the first one starts it at the present end.

        Raises:
            TransientError: The database is away.
        """
        async with self._starting:
            if self._reading is None or self._reading.done():
                await self._start_at_the_end()
                self._reading = asyncio.create_task(self._read(), name=f"tail {self.stream}")
            self._followers += 1
        METRICS.stream_followers.labels(self.stream.value).inc()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave; the last one stops it."""
        METRICS.stream_followers.labels(self.stream.value).dec()
        self._followers -= 1
        if self._followers == 0 and self._reading is not None:
            self._reading.cancel()
            self._reading = None
            self._forget()

    @property
    def is_reading(self) -> bool:
        """Whether it looks for what comes; what ends it unexpectedly is in the log."""
        return self._reading is not None and not self._reading.done()

    def since(self, number: int) -> Sequence[_Batch] | None:
        """Return the batches behind one, the oldest first; None where some are kept no more."""
        behind = self.number - number
        if behind > len(self._batches):
            return None
        return [self._batches[at] for at in range(len(self._batches) - behind, len(self._batches))]

    def listen(self, bell: Callable[[], None]) -> None:
        """Have this called with every batch."""
        self._bells.add(bell)

    def leave(self, bell: Callable[[], None]) -> None:
        """Have it called no more."""
        self._bells.discard(bell)

    async def _start_at_the_end(self) -> None:
        lanes = await self._reader.lanes(self.stream)
        self._forget()
        self.number += 1  # whatever a follower stands at is not kept any more
        self.positions = tuple(lanes[each].last_seq for each in range(len(lanes)))

    async def _read(self) -> None:
        while True:
            try:
                is_end = await self._look()
            except PermanentError as error:
                # Who follows finds it by its own cursor, and is told; the tail goes on behind it.
                METRICS.errors.labels("stream_tail", error.reason).inc()
                _log.error("stream_tail_broken", stream=self.stream.value, reason=error.reason)
                await self._go_on_at_the_end()
            except HubError as error:
                METRICS.errors.labels("stream_tail", error.reason).inc()
                await asyncio.sleep(_REST_SECONDS)
                continue
            else:
                if not is_end:
                    continue
            await asyncio.sleep(self._limits.poll_seconds)

    async def _go_on_at_the_end(self) -> None:
        try:
            await self._start_at_the_end()
        except HubError as error:
            METRICS.errors.labels("stream_tail", error.reason).inc()
        self._ring()

    async def _look(self) -> bool:
        """Take in what is new; say whether that is all."""
        page = await self._reader.read_page(
            self.stream, encode_cursor(at(self.stream, self.positions)), self._limits.batch_events
        )
        if page.events:
            self.number += 1
            batch = _Batch(
                self._reader, self.stream, self.number, page.events, page.cursor, grown=self._grown
            )
            self._batches.append(batch)
            self._grown(batch.bytes)
        found = decode_cursor(self.stream, page.cursor, len(self.positions))
        self.positions = found.positions
        if page.events:
            self._ring()
        return page.is_end

    def _grown(self, count: int) -> None:
        """Count what is kept, also what was encoded since; the oldest batches go for it."""
        self._bytes += count
        while self._bytes > self._limits.kept_bytes and len(self._batches) > 1:
            gone = self._batches.popleft()
            gone.let_go()
            self._bytes -= gone.bytes
        METRICS.stream_tail_bytes.labels(self.stream.value).set(self._bytes)

    def _ring(self) -> None:
        for bell in tuple(self._bells):
            bell()

    def _forget(self) -> None:
        for batch in self._batches:
            batch.let_go()
        self._batches.clear()
        self._bytes = 0
        METRICS.stream_tail_bytes.labels(self.stream.value).set(0)


class Follower:
    """One who follows: first by its own cursor, then by the tail.

    Args:
        reader: For what is behind the tail.
        tail: Entered for as long as this is used.
        asked: What it gets.
        cursor: Where it begins, None for the start of the stream.
        page_events: The most events of a page while it catches up.
    """

    def __init__(
        self,
        reader: StreamReader,
        tail: Tail,
        asked: StreamFilter,
        cursor: str | None,
        *,
        page_events: int = 500,
    ) -> None:
        self.cursor = cursor
        """Behind all that was looked at for it; None while that is nothing."""
        self._reader = reader
        self._tail = tail
        self._asked = asked
        self._page_events = page_events
        self._number: int | None = None
        self._goal: tuple[int, tuple[int, ...]] | None = None
        self._bell: asyncio.Future[None] | None = None

    @property
    def is_live(self) -> bool:
        """Whether it gets what the tail finds."""
        return self._number is not None

    def wake(self) -> None:
        """End its waiting."""
        if self._bell is not None and not self._bell.done():
            self._bell.set_result(None)

    async def next(self, seconds: float) -> Chunk | None:
        """Return what comes next; None when nothing has within so many seconds, or it was woken.

        A chunk may be empty: then there is more to ask for at once.

        Raises:
            PermanentError: `bad_cursor`, `bad_filter`, `cursor_expired`.
            TransientError: The database is away.
        """
        if self._number is None:
            return await self._catch_up()
        batches = self._tail.since(self._number)
        if batches is None:
            METRICS.stream_fell_behind.labels(self._tail.stream.value).inc()
            self._number = None
            return await self._catch_up()
        if not batches:
            if not self._tail.is_reading:
                raise TransientError("stream_tail_ended", "follow again from your cursor")
            await self._wait(seconds)
            return None if self._tail.number == self._number else Chunk(())
        batch = batches[0]
        chunk = await batch.chunk(self._asked)
        self._number, self.cursor = batch.number, batch.cursor
        return chunk

    async def _catch_up(self) -> Chunk:
        """Read a page up to where the tail stood, and join it there."""
        if self._goal is None:
            self._goal = self._tail.number, self._tail.positions
        number, positions = self._goal
        page = await self._reader.read_page(
            self._tail.stream, self.cursor, self._page_events, self._asked, until=positions
        )
        self.cursor = page.cursor
        if page.is_end:
            self._goal = None
            found = decode_cursor(self._tail.stream, page.cursor, len(positions))
            if found.positions == positions:
                self._number = number
            else:  # a cursor that is ahead of the tail, which will soon be there
                await self._wait(0.05)
        return Chunk(page.events)

    async def _wait(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        self._bell = loop.create_future()
        timer = loop.call_later(seconds, self.wake)
        self._tail.listen(self.wake)
        try:
            await self._bell
        finally:
            timer.cancel()
            self._tail.leave(self.wake)
            self._bell = None
