"""The accepting of the door in clear text: paced, so that a storm of connections waits outside."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any, Final

from ops.runtime.accepting import Accepting, Pace

from .token_bucket import TokenBucket

_ACCEPTS_PER_TURN: Final = 64


def pace_of(rate: float, now: Callable[[], float]) -> Pace:
    """Return what lets at most `rate` peers in a second, and as many at once."""
    bucket = TokenBucket(rate, rate, now())

    def pace() -> float:
        at = now()
        if bucket.take(at):
            return 0.0
        return max(0.001, (1.0 - bucket.level(at)) / rate)

    return pace


class PlainServer(Accepting):
    """Accepts on a listening socket at a pace; who comes faster waits in its backlog.

    Args:
        listening: Bound, listening, not blocking; closed by `close`.
        factory: Makes the protocol of a peer.
        pace: Says how long to take nobody.
    """

    def __init__(
        self, listening: socket.socket, factory: Callable[[], asyncio.Protocol], pace: Pace
    ) -> None:
        super().__init__(listening, pace, _ACCEPTS_PER_TURN)
        self._factory = factory

    def _take(self, taken: socket.socket, _address: Any) -> bool:
        self._bring(self._connect(taken))
        return True

    async def _connect(self, taken: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._factory, taken)
        except OSError:
            taken.close()
        except asyncio.CancelledError:
            taken.close()
            raise
