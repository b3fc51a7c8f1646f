"""Events of a token's day: taken from the database before they are given, never after.

So the quota holds for any number of readers and processes together, and over a kill: what a process
had ahead then counts as read (`_AHEAD` at most, and a page of each reader).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from typing import Final

import msgspec

from ops.runtime.clock import Clock
from ops.runtime.metrics import METRICS
from ops.runtime.postgres import Pool, lent
from schemas.errors import HubError

from . import queries, refusals
from .token import StreamToken, seconds_to_midnight

_AHEAD: Final = 200
"""Events that are taken at once where a reader asks for fewer: a follower reads them singly."""
_KEPT: Final = timedelta(days=400)
"""How long is kept what a token did on a day."""


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """Events of a day that a reader may be given."""

    day: date
    events: int


class _Purse(msgspec.Struct, kw_only=True):
    """What this process holds of a token's day."""

    day: date
    held: int = 0
    is_empty: bool = False
    """The quota was used up when it was last asked; asked again after the next refresh."""
    turn: asyncio.Lock


class _Use(msgspec.Struct, kw_only=True):
    """What is still to be added to a token's day."""

    events: int = 0
    back: int = 0
    reads: int = 0
    refused: int = 0


class Quotas:
    """The days of all tokens, at one process.

    Args:
        pool: Connections to the database.
        clock: Says which day it is (UTC).
    """

    def __init__(self, pool: Pool, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock
        self._purses: dict[int, _Purse] = {}
        self._uses: dict[tuple[int, date], _Use] = {}
        self._forgotten: date | None = None

    def left(self, token: StreamToken) -> int | None:
        """Return what is held here of today; None: the token has no quota."""
        if token.daily_events is None:
            return None
        purse = self._purses.get(token.token_id)
        return purse.held if purse is not None and purse.day == self._today() else 0

    async def look(self, token: StreamToken) -> None:
        """Look whether one event at least is left of the day.

        Raises:
            Refused: `quota_used`.
            TransientError: The database is away.
        """
        self.settle(token, await self.take(token, 1), 0)

    async def take(self, token: StreamToken, most: int) -> Taken:
        """Take at most `most` events of the day, and one at least.

        Raises:
            Refused: `quota_used`, until midnight (UTC).
            TransientError: The database is away.
        """
        if token.daily_events is None:
            return Taken(day=self._today(), events=most)
        purse = self._purse(token)
        async with purse.turn:
            day = self._turned(token, purse)
            if purse.held < most and not purse.is_empty:
                asking = asyncio.ensure_future(self._ask(token, purse, day, max(most, _AHEAD)))
                asking.add_done_callback(_seen)
                # A reader that goes away must not take along what was just counted as its own.
                await asyncio.shield(asking)
            if purse.held == 0:
                METRICS.limit_hits.labels("stream_quota").inc()
                raise refusals.quota_used(seconds_to_midnight(self._clock.now()))
            taken = min(most, purse.held)
            purse.held -= taken
        return Taken(day=purse.day, events=taken)

    def settle(self, token: StreamToken, taken: Taken, given: int) -> None:
        """Say how many of the taken events were given; the rest is free again."""
        if token.is_built_in:
            return
        if token.daily_events is None:
            self._use(token.token_id, taken.day).events += given
            return
        rest = max(0, taken.events - given)
        purse = self._purses.get(token.token_id)
        if purse is not None and purse.day == taken.day:
            purse.held += rest
        elif rest:
            self._use(token.token_id, taken.day).back += rest

    def count(self, token: StreamToken, *, refused: bool) -> None:
        """Count a read that was let in, or refused."""
        if token.is_built_in:
            return
        use = self._use(token.token_id, self._today())
        use.reads += not refused
        use.refused += refused

    async def flush(self, open_tokens: Iterable[int]) -> None:
        """Write what was counted, and give back what nobody here reads; never raises."""
        reading = set(open_tokens)
        for number, purse in list(self._purses.items()):
            purse.is_empty = False
            if number not in reading and not purse.turn.locked():
                if purse.held:
                    self._use(number, purse.day).back += purse.held
                del self._purses[number]
        uses, self._uses = self._uses, {}
        try:
            await self._write(uses)
        except HubError as error:
            for key, use in uses.items():
                held = self._use(*key)
                held.events += use.events
                held.reads += use.reads
                held.refused += use.refused
                # `back` is not tried again: what may have been given back already would be given
                # twice, and the quota exceeded.
            METRICS.errors.labels("stream_use", error.reason).inc()

    async def _write(self, uses: Mapping[tuple[int, date], _Use]) -> None:
        today = self._today()
        if not uses and self._forgotten == today:
            return
        rows = [(number, day, use) for (number, day), use in sorted(uses.items(), key=_key)]
        async with lent(self._pool) as connection, connection.transaction():
            await connection.execute(
                queries.ADD_USE,
                [number for number, _, _ in rows],
                [day for _, day, _ in rows],
                [use.events for _, _, use in rows],
                [use.reads for _, _, use in rows],
                [use.refused for _, _, use in rows],
            )
            for number, day, use in rows:
                if use.back:
                    await connection.execute(queries.GIVE_BACK, number, day, use.back)
            if self._forgotten != today:
                await connection.execute(queries.FORGET, today - _KEPT)
        self._forgotten = today

    async def _ask(self, token: StreamToken, purse: _Purse, day: date, wanted: int) -> None:
        asked = wanted - purse.held
        async with lent(self._pool) as connection:
            given = await connection.fetchval(queries.TAKE, token.token_id, day, asked)
        if purse.day != day or self._purses.get(token.token_id) is not purse:
            # Midnight came meanwhile, or nobody waits for it any more.
            self._use(token.token_id, day).back += given
            return
        purse.held += given
        purse.is_empty = given < asked

    def _purse(self, token: StreamToken) -> _Purse:
        purse = self._purses.get(token.token_id)
        if purse is None:
            purse = _Purse(day=self._today(), turn=asyncio.Lock())
            self._purses[token.token_id] = purse
        return purse

    def _turned(self, token: StreamToken, purse: _Purse) -> date:
        """Begin a new day where there is one, and give back what is left of the old one."""
        day = self._today()
        if purse.day != day:
            if purse.held:
                self._use(token.token_id, purse.day).back += purse.held
            purse.day, purse.held, purse.is_empty = day, 0, False
        return day

    def _use(self, number: int, day: date) -> _Use:
        return self._uses.setdefault((number, day), _Use())

    def _today(self) -> date:
        return self._clock.now().date()


def _key(item: tuple[tuple[int, date], _Use]) -> tuple[int, date]:
    return item[0]


def _seen(asking: asyncio.Future[None]) -> None:
    """Take an error that nobody waits for any more: who asked has gone away."""
    if not asking.cancelled():
        asking.exception()
