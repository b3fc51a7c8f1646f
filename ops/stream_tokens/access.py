"""Who may read a stream: token, time, stream, place, pace, quota, audit, in this order.

Whatever refuses costs nothing behind it: a thousand connections of one token are answered from
memory, and only those that get a place stand in the audit chain.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

from ops.runtime.lifecycle import bounded
from ops.runtime.metrics import METRICS
from routing.filters import EVERYTHING, StreamFilter, both
from schemas.errors import HubError
from schemas.topics import Stream

from . import refusals
from .known import KnownTokens
from .places import Pace, Places
from .quotas import Quotas, Taken
from .reads import Begun, ReadAudit
from .refusals import Refused
from .token import StreamToken, told_filter


class HubAdmission:
    """`Admission` of a token: made by `HubAccess` alone, which holds its place for it."""

    def __init__(
        self,
        access: HubAccess,
        token: StreamToken,
        stream: Stream,
        filter: StreamFilter,  # noqa: A002 - the port's word
        begun: Begun | None,
    ) -> None:
        self._access = access
        self._token = token
        self._stream = stream
        self._filter = filter
        self._begun = begun
        self._taken: Taken | None = None
        self._events = 0
        self._how = "done"
        self._is_open = True

    @property
    def token_name(self) -> str:
        """Whose read this is."""
        return self._token.name

    @property
    def filter(self) -> StreamFilter:
        """What to read by."""
        return self._filter

    @property
    def left(self) -> int | None:
        """How many events of the day this process holds; None: no quota."""
        return self._access.quotas.left(self._token)

    async def take(self, most: int) -> int:
        """Return how many events may be read now.

        Raises:
            Refused: It is over.
            TransientError: The database is away.
        """
        self.note(0)  # of what was taken before and never told: nothing was given
        self.check()
        try:
            self._taken = await self._access.quotas.take(self._token, most)
        except Refused as refused:
            self._how = refused.reason
            raise
        return self._taken.events

    def note(self, events: int) -> None:
        """Say how many were given of those taken."""
        taken, self._taken = self._taken, None
        if taken is not None:
            self._events += events
            self._access.quotas.settle(self._token, taken, events)

    def check(self) -> None:
        """Look whether it may still read.

        Raises:
            Refused: It was revoked, or its time is over.
        """
        try:
            self._token = self._access.known.standing(self._token)
        except HubError as error:
            self._how = error.reason
            raise

    def close(self) -> None:
        """Give the place back; twice is once."""
        if self._is_open:
            self._is_open = False
            self.note(0)
            self._access.part(self._token, self._stream)
            self._access.audit.end(self._begun, self._events, self._how)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        # An answer whose reader left before its first byte is never begun, and so never ended.
        self.close()


class HubAccess:
    """`StreamAccess` on the tokens of an instance.

    Args:
        known: The tokens.
        quotas: Their days.
        audit: The chain.
        places: The bound of readers.
        pace: The bound of reads of names.
    """

    def __init__(
        self, known: KnownTokens, quotas: Quotas, audit: ReadAudit, places: Places, pace: Pace
    ) -> None:
        self.known = known
        self.quotas = quotas
        self.audit = audit
        self._places = places
        self._pace = pace

    async def admit(
        self,
        header: str,
        stream: Stream,
        asked: StreamFilter = EVERYTHING,
        *,
        origin: str = "",
        follows: bool = False,
    ) -> HubAdmission:
        """Let a reader in.

        Raises:
            Refused: 401, 403 or 429, with the next step.
            TransientError: 503: it cannot be asked or audited.
        """
        try:
            admission = await self._admit(header, stream, asked, origin, follows=follows)
        except HubError as error:
            what = error.reason if error.reason in _TOLD else "away"
            METRICS.stream_admissions.labels(stream.value, what).inc()
            raise
        METRICS.stream_admissions.labels(stream.value, "admitted").inc()
        return admission

    async def keep(self, seconds: float) -> None:
        """Read tokens again, write what was counted and the ends of reads; for ever."""
        while True:
            await asyncio.sleep(seconds)
            await self.step()

    async def step(self) -> None:
        """Do so once; what cannot be done now is kept for the next time."""
        try:
            await self.known.refresh()
        except HubError as error:
            METRICS.errors.labels("stream_tokens", error.reason).inc()
        await self.flush()

    async def flush(self) -> None:
        """Write what was counted, and the ends of reads."""
        self._pace.forget()
        await self.quotas.flush(self._places.tokens)
        await self.audit.flush()

    async def last_flush(self) -> None:
        """Write it within a second: the process stops."""
        await bounded(self.flush(), 1.0, "reads of streams")
        self._places.close()

    def part(self, token: StreamToken, stream: Stream) -> None:
        """Count a reader out."""
        self._places.leave(token)
        METRICS.stream_readers.labels(stream.value).dec()

    async def _admit(
        self, header: str, stream: Stream, asked: StreamFilter, origin: str, *, follows: bool
    ) -> HubAdmission:
        token = await self.known.of_header(header)
        try:
            token = self.known.standing(token)
            narrowed = both(token.filter_for(stream), asked)
            self._places.take(token)
        except Refused:
            self.quotas.count(token, refused=True)
            raise
        METRICS.stream_readers.labels(stream.value).inc()
        try:
            self._pace.take(token, stream)
            await self.quotas.look(token)
            told = told_filter(narrowed) + ("; follows" if follows else "")
            begun = await self.audit.begin(
                actor=f"token {token.name}", stream=stream, told=told, origin=origin
            )
        except BaseException as error:
            self.part(token, stream)
            if isinstance(error, Refused):
                self.quotas.count(token, refused=True)
            raise
        self.quotas.count(token, refused=False)
        return HubAdmission(self, token, stream, narrowed, begun)


_TOLD = frozenset({*refusals.STATUS, "tokens_unread", "read_not_audited"})
