"""Answers that give a stream: a page, or all that comes for as long as the reader stays.

Nothing is sent before the first read has gone well, so that whatever is wrong with what was asked
is a problem with its status. What goes wrong later ends the answer in order, behind a whole line:
the reader goes on from its last cursor, and is told then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

import msgspec

from ops.body_limit import Receive, Send
from ops.origins import Origins
from ops.runtime.metrics import METRICS
from ops.stream_sending import Asked, Out, Scope, Unread, cut, until_gone
from ops.stream_tokens.port import Admission, StreamAccess
from routing.following import Chunk, Follower, Tail
from routing.streams import Page, StreamReader
from schemas.errors import HubError, TransientError
from schemas.events import StreamEvent
from schemas.topics import Stream

_PAGE_EVENTS: Final[Mapping[Stream, int]] = {
    Stream.DOSSIER: 200,
    Stream.CONTACT_TRACING: 500,
    Stream.PUBLIC_HEALTH: 1_000,
}
"""About a megabyte each: what one reader holds of memory while it does not read."""
_SCANNED: Final = 5_000
"""Events looked at in one go, at most: then it is seen whether the reader is still there."""
_AWAY_SECONDS: Final = 60.0
"""How long one who follows waits for a database that is away."""
_RETRY_SECONDS: Final = 1.0
_SILENT_SECONDS: Final = 3.0
"""After which a page whose filter keeps all back says how far it is: clients wait for 5 s."""


class StreamLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The bounds of one answer."""

    heartbeat_seconds: float = 15.0
    check_seconds: float = 2.0
    """How often it is looked whether who follows still may, while nothing comes."""
    unread_seconds: float = 60.0
    scan_events: int = 1_000_000


class StreamDoor(msgspec.Struct, frozen=True, kw_only=True):
    """What the route of the streams needs; made by the composition root."""

    access: StreamAccess
    reader: StreamReader
    tails: Mapping[Stream, Tail]
    limits: StreamLimits
    stopping: asyncio.Event
    """Ends whoever follows, in order."""
    origins: Origins = Origins()
    """Says where readers come from."""


class StreamReply:
    """One answer, as an ASGI application.

    Args:
        door: What it is made with.
        asked: What was asked.
        admission: Of the reader; closed in the end.
    """

    def __init__(self, door: StreamDoor, asked: Asked, admission: Admission) -> None:
        self._door = door
        self._asked = asked
        self._admission = admission

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer.

        Raises:
            HubError: What was asked cannot be given; nothing has been sent.
        """
        stream = self._asked.stream.value
        out = Out(send, self._asked, self._door.limits.unread_seconds)
        gone = asyncio.ensure_future(until_gone(receive))
        try:
            async with self._admission:
                reason = await self._give(out, gone)
            await out.end()
        except Unread:
            METRICS.limit_hits.labels("stream_unread").inc()
            reason = "unread"
            await cut(scope, gone)
        finally:
            gone.cancel()
        METRICS.stream_reads_ended.labels(stream, reason).inc()

    async def _give(self, out: Out, gone: asyncio.Future[None]) -> str:
        """Give what was asked; return why it ended."""
        try:
            if self._asked.follows:
                return await self._follow(out, gone)
            return await self._pages(out, gone)
        except HubError as error:
            if not out.is_begun:
                raise
            return error.reason

    async def _pages(self, out: Out, gone: asyncio.Future[None]) -> str:
        asked, limits = self._asked, self._door.limits
        size, left, passed_over = _PAGE_EVENTS[asked.stream], asked.limit, 0
        held: list[StreamEvent] = []
        page = await self._read(asked.after, size if left is None else min(size, left))
        while not gone.done():
            if self._door.stopping.is_set():
                return "stopping"
            self._admission.check()
            cursor = page.cursor
            passed_over += page.scanned - len(page.events)
            events = held + page.events
            if left is not None:
                left -= len(page.events)
            is_last = page.is_end or left == 0 or passed_over >= limits.scan_events
            # The last line tells where to read on: behind all that was kept back too. So one is
            # held until it is known to be the last, or has waited long enough.
            is_due = is_last or out.silent_seconds >= _SILENT_SECONDS
            held = [] if is_due or not events else [events.pop()]
            if is_due and events:
                events[-1] = msgspec.structs.replace(events[-1], cursor=cursor)
            if passed_over >= limits.scan_events:
                METRICS.limit_hits.labels("stream_scan").inc()
            if is_last:
                if not await self._events(out, Chunk(events)):
                    return "quota_used"
                if not events and passed_over:
                    await out.cursor(cursor)
                return "whole"
            # The database looks for the next page while this one is on its way.
            reading = asyncio.ensure_future(
                self._read(cursor, size if left is None else min(size, left))
            )
            try:
                if not await self._events(out, Chunk(events)):
                    return "quota_used"
                if is_due and not events:
                    await out.cursor(cursor)
                page = await reading
            finally:
                _let_go(reading)
        return "gone"

    async def _read(self, cursor: str | None, most: int) -> Page:
        return await self._door.reader.read_page(
            self._asked.stream,
            cursor,
            most,
            self._admission.filter,
            scan=min(_SCANNED, self._door.limits.scan_events),
        )

    async def _follow(self, out: Out, gone: asyncio.Future[None]) -> str:
        asked, door = self._asked, self._door
        told = asyncio.ensure_future(door.stopping.wait())
        try:
            async with door.tails[asked.stream] as tail:
                follower = Follower(
                    door.reader,
                    tail,
                    self._admission.filter,
                    asked.after,
                    page_events=_PAGE_EVENTS[asked.stream],
                )
                for ending in (gone, told):
                    ending.add_done_callback(lambda _: follower.wake())
                return await self._live(out, follower, gone)
        finally:
            told.cancel()

    async def _live(self, out: Out, follower: Follower, gone: asyncio.Future[None]) -> str:
        limits = self._door.limits
        heartbeat = limits.heartbeat_seconds
        now = asyncio.get_running_loop().time
        away_since: float | None = None
        was_live = False
        left = self._asked.limit
        while not gone.done():
            if self._door.stopping.is_set():
                return "stopping"
            self._admission.check()
            try:
                due = out.sent_at + heartbeat - now()
                chunk = await follower.next(max(0.0, min(due, limits.check_seconds)))
                away_since = None
            except TransientError:
                away_since = away_since or now()
                if not out.is_begun or now() - away_since > _AWAY_SECONDS:
                    raise
                chunk = None
                await asyncio.sleep(_RETRY_SECONDS)
            await out.begin()
            if chunk is not None and chunk.events:
                if left is not None:
                    chunk = chunk.first(left)
                    left -= len(chunk.events)
                if not await self._events(out, chunk):
                    return "quota_used"
                if left == 0:
                    return "whole"
            # The first line that is only a cursor says: this was all there is now.
            if follower.cursor is not None and (
                follower.is_live > was_live or out.silent_seconds >= heartbeat
            ):
                was_live = follower.is_live
                await out.cursor(follower.cursor)
        return "gone"

    async def _events(self, out: Out, chunk: Chunk) -> bool:
        """Give events as far as the reader's quota goes; say whether that was all of them."""
        if not chunk.events:
            return True
        may = await self._admission.take(len(chunk.events))
        given = chunk.first(may)
        self._admission.note(len(given.events))
        await out.events(given)
        return given is chunk


def _let_go(reading: asyncio.Future[Page]) -> None:
    """End a read that nobody waits for; whatever it met is met again by who reads on."""
    if not reading.cancel() and not reading.cancelled():
        reading.exception()
