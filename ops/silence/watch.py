"""Looks at silent laboratories: each minute from the one process that looks; and when asked."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Final

import msgspec

from ops.measuring.laboratories import Asked, Laboratories
from ops.runtime.metrics import METRICS
from ops.runtime.postgres import Connection, Pool, lent
from ops.runtime.settings import Settings

from . import store
from .hours import day_of
from .standing import Bounds, Network, Sent, Standing, counted, network_of, stand, worst_first
from .surprise import trend_of

HOURS: Final = 24
_READ_ANEW_SECONDS: Final = 300.0
_FORGET_EVERY: Final = 720


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """How all live laboratories stand, the silent first."""

    at: datetime
    since: datetime
    """Messages are counted from here on."""
    network: Network
    laboratories: list[Standing]


def bounds_of(settings: Settings) -> Bounds:
    """Return what is called what."""
    return Bounds(
        silent=settings.silence_score,
        doubtful=settings.silence_doubt_score,
        short=settings.silence_short_score,
        least_seconds=settings.silence_least_seconds,
        days=settings.silence_days,
    )


class SilentLaboratories:
    """Judges all live laboratories; pasts are held for minutes, figures read anew.

    Args:
        bounds: What is called what.
    """

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._known: Mapping[str, store.Known] = {}
        self._known_at = float("-inf")
        self._trend = 1.0

    async def judge(self, connection: Connection, asked: Asked) -> Seen:
        """Judge what the figures of `HOURS` hours show.

        Raises:
            HubError: The database is away.
        """
        if time.monotonic() - self._known_at >= _READ_ANEW_SECONDS:
            self._known = await store.pasts(connection)
            self._trend = trend_of(each.past for each in self._known.values())
            self._known_at = time.monotonic()
        closed = await store.closures(connection, day_of(asked.at))
        # In a thread: half a second of arithmetic for 4,500 laboratories.
        return await asyncio.to_thread(self._judged, asked, closed)

    def read_anew(self) -> None:
        """Read the pasts at the next question: some were learned."""
        self._known_at = float("-inf")

    def _judged(self, asked: Asked, closed: Mapping[int, frozenset[int]]) -> Seen:
        found = []
        for row in asked.laboratories:
            if row.state != "live":
                continue
            known = self._known.get(row.laboratory)
            found.append(
                stand(
                    Sent(laboratory=row.laboratory, name=row.name, received=row.received,
                         last_message_at=row.last_message_at),
                    None if known is None else known.past,
                    frozenset() if known is None else closed.get(known.lab_id, frozenset()),
                    since=asked.since,
                    now=asked.at,
                    bounds=self._bounds,
                    trend=self._trend,
                )
            )  # fmt: skip
        return Seen(
            at=asked.at, since=asked.since, network=network_of(found),
            laboratories=worst_first(found),
        )  # fmt: skip


class SilenceDesk:
    """Answers who asks; who asks twice within seconds gets the same.

    Args:
        pool: Where pasts and closures are.
        laboratories: Reads the figures.
        bounds: What is called what.
    """

    def __init__(self, pool: Pool, laboratories: Laboratories, bounds: Bounds) -> None:
        self._pool = pool
        self._laboratories = laboratories
        self._silent = SilentLaboratories(bounds)
        self._asking = asyncio.Lock()
        self._held: Seen | None = None

    async def ask(self) -> Seen:
        """Return how all live laboratories stand now.

        Raises:
            TransientError: The database is away.
        """
        async with self._asking:
            asked = await self._laboratories.ask(HOURS)
            if self._held is None or self._held.at != asked.at:
                async with lent(self._pool) as connection:
                    self._held = await self._silent.judge(connection, asked)
            return self._held


class SilenceWatch:
    """Learns what is due, some laboratories a look, judges all and tells how many are silent.

    Args:
        bounds: What is called what.
        learn_most: How many laboratories are learned in one look.
    """

    def __init__(self, bounds: Bounds, *, learn_most: int) -> None:
        self._silent = SilentLaboratories(bounds)
        self._learn_most = learn_most
        self._turns = 0

    async def look(self, session: Connection, asked: Asked) -> Mapping[str, float]:
        """Look once; return the score of each live laboratory that is silent or sends too little.

        Raises:
            HubError: The database is away.
        """
        today = day_of(asked.at)
        learned, due = await store.learn_some(session, today, self._learn_most)
        if learned:
            self._silent.read_anew()
        METRICS.silence_pasts_due.set(due)
        seen = await self._silent.judge(session, asked)
        for word, number in counted(seen.laboratories).items():
            METRICS.laboratories_standing.labels(word).set(number)
        METRICS.laboratories_judged.set(seen.network.judged)
        ratio = seen.network.completeness
        METRICS.network_completeness.set(float("nan") if ratio is None else ratio)
        if self._turns % _FORGET_EVERY == 0:
            await store.forget_closures(session, today)
        self._turns += 1
        return {
            each.laboratory: max(each.score, each.short_score)
            for each in seen.laboratories
            if each.standing in {"silent", "short", "doubtful"}
        }
