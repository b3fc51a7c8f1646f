"""Handshakes that have begun: few in step, a few more that are slow; the slowest make room.

What a peer sends next is taken in the turn in which it comes, and its second flight costs most: a
hundred that answered in the same moment held everybody else up for 150 ms. So no more may be able
to than a turn can bear.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from .metrics import METRICS

_IN_STEP_SECONDS: Final = 0.5
"""A peer that answers later than this is far away, or does not mean to."""


class Shaking:
    """Who is in a handshake; each enters once and leaves once.

    Args:
        most: In step; beyond, no other begins.
        most_slow: Out of step: one more cuts the one that began first.
        cut: Ends the handshake of one, which then leaves.
        go_on: Told that another may begin.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        most: int,
        most_slow: int,
        cut: Callable[[object], object],
        go_on: Callable[[], object],
    ) -> None:
        self._loop = loop
        self._most = most
        self._most_slow = most_slow
        self._cut = cut
        self._go_on = go_on
        self._in_step: dict[object, float] = {}
        """Since when, in the order in which they began; so is what is slow."""
        self._slow: dict[object, None] = {}
        self._watch: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._in_step) + len(self._slow)

    def has_room(self) -> bool:
        """Say whether another may begin."""
        return len(self._in_step) < self._most

    def enter(self, one: object) -> None:
        """Count one in that begins now."""
        self._in_step[one] = self._loop.time()
        self._watch_first()

    def leave(self, one: object) -> None:
        """Count one out, however it ended."""
        self._slow.pop(one, None)
        if self._in_step.pop(one, None) is not None:
            self._go_on()

    def _watch_first(self) -> None:
        if self._watch is None and self._in_step:
            since = next(iter(self._in_step.values()))
            self._watch = self._loop.call_at(since + _IN_STEP_SECONDS, self._look)

    def _look(self) -> None:
        self._watch = None
        until = self._loop.time() - _IN_STEP_SECONDS
        late = [one for one, since in self._in_step.items() if since <= until]
        for one in late:
            del self._in_step[one]
            self._slow[one] = None
        while len(self._slow) > self._most_slow:
            first = next(iter(self._slow))
            del self._slow[first]
            METRICS.limit_hits.labels("slow_handshakes").inc()
            self._cut(first)
        self._watch_first()
        if late:
            self._go_on()
