"""The accepting of the door in clear text: paced, so that a storm of connections waits outside."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Final

from ops.runtime.handshake import Pace
from ops.runtime.metrics import METRICS

from .fairness import TokenBucket

_REST_SECONDS: Final = 0.5
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


class PlainServer:
    """Accepts on a listening socket at a pace; who comes faster waits in its backlog.

    Args:
        listening: Bound, listening, not blocking; closed by `close`.
        factory: Makes the protocol of a peer.
        pace: Says how long to take nobody.
    """

    def __init__(
        self, listening: socket.socket, factory: Callable[[], asyncio.Protocol], pace: Pace
    ) -> None:
        self._listening = listening
        self._factory = factory
        self._pace = pace
        self._loop = asyncio.get_running_loop()
        self._connecting: set[asyncio.Task[None]] = set()
        self._loop.add_reader(listening, self._accept)

    @property
    def port(self) -> int:
        """The port in use."""
        return int(self._listening.getsockname()[1])

    def close(self) -> None:
        """Take no new peer, and drop those that were not handed on yet: nothing was taken."""
        if self._listening.fileno() < 0:
            return
        self._loop.remove_reader(self._listening)
        self._listening.close()
        for task in list(self._connecting):
            task.cancel()

    def _accept(self) -> None:
        for _ in range(_ACCEPTS_PER_TURN):
            if (seconds := self._pace()) > 0:
                METRICS.limit_hits.labels("accept_rate").inc()
                self._rest(seconds)
                return
            try:
                taken, _ = self._listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError:
                # No file descriptor left, most likely: those who hang up give some back.
                METRICS.limit_hits.labels("file_descriptors").inc()
                self._rest(_REST_SECONDS)
                return
            taken.setblocking(False)
            task = self._loop.create_task(self._connect(taken))
            self._connecting.add(task)
            task.add_done_callback(self._connecting.discard)

    async def _connect(self, taken: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._factory, taken)
        except OSError:
            taken.close()
        except asyncio.CancelledError:
            taken.close()
            raise

    def _rest(self, seconds: float) -> None:
        self._loop.remove_reader(self._listening)
        self._loop.call_later(seconds, self._resume)

    def _resume(self) -> None:
        if self._listening.fileno() >= 0:
            self._loop.add_reader(self._listening, self._accept)
