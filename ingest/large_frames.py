"""Room for large frames: few at once, at a pace, and no laboratory takes all of it.

A frame may have megabytes, and a peer may have begun one on each of thousands of connections. What
is small is always read; a frame that grows beyond that waits for a place, unread. Those that have
one are read one after the other at a pace, whatever is in them: to decrypt and to skip a hundred
megabytes a second costs as much as to take a thousand messages.
"""

from __future__ import annotations

from collections import Counter, deque
from typing import Final, Protocol

from ops.runtime.metrics import METRICS

_SHARE: Final = 4
"""One owner holds a quarter of the places at most."""
_AHEAD_BYTES: Final = 2**20
"""What may be read at once where nothing was read for a while: most large frames are no larger."""


class Grower(Protocol):
    """A connection whose frame has grown large."""

    @property
    def owner(self) -> object:
        """Whose places it takes: its laboratory, or its address where none is proved."""
        ...

    def room_given(self) -> None:
        """Read on: there is a place."""
        ...


class Room:
    """The places for large frames of one listener.

    Args:
        places: How many there are.
        bytes_per_second: What all of them together are read at.
    """

    def __init__(self, places: int, bytes_per_second: float) -> None:
        self._places = places
        self._bytes_per_second = bytes_per_second
        self._read_until = 0.0
        """When what was read so far would have come at that pace."""
        self._share = max(1, places // _SHARE)
        self._holders: set[Grower] = set()
        self._held: Counter[object] = Counter()
        self._waiting: deque[Grower] = deque()

    def __len__(self) -> int:
        return len(self._holders) + len(self._waiting)

    def ask(self, grower: Grower) -> bool:
        """Give a place if there is one; else `room_given` comes later."""
        if grower in self._holders:
            return True
        if self._fits(grower):
            self._give(grower)
            return True
        METRICS.limit_hits.labels("large_frames").inc()
        self._waiting.append(grower)
        return False

    def rest_after(self, size: int, now: float) -> float:
        """Return for how many seconds a frame is not to be read, of which so much was read now."""
        ahead = _AHEAD_BYTES / self._bytes_per_second
        self._read_until = max(self._read_until, now) + size / self._bytes_per_second
        rest = self._read_until - now - ahead
        if rest <= 0.0:
            return 0.0
        METRICS.limit_hits.labels("large_frame_rate").inc()
        return rest

    def leave(self, grower: Grower) -> None:
        """Give a place back, or stop waiting for one; whoever waits first and fits goes on."""
        if grower in self._holders:
            self._holders.discard(grower)
            self._held[grower.owner] -= 1
            if not self._held[grower.owner]:
                del self._held[grower.owner]
        elif grower in self._waiting:
            self._waiting.remove(grower)
            return
        else:
            return
        for each in self._waiting:
            if self._fits(each):
                self._waiting.remove(each)
                self._give(each)
                each.room_given()
                return

    def _fits(self, grower: Grower) -> bool:
        return len(self._holders) < self._places and self._held[grower.owner] < self._share

    def _give(self, grower: Grower) -> None:
        self._holders.add(grower)
        self._held[grower.owner] += 1
