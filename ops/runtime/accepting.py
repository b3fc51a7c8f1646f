"""A listening socket of ours: accepted from at a pace, in small steps, and resting when it must."""

from __future__ import annotations

import asyncio
import socket
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

from .metrics import METRICS

_T = TypeVar("_T")
_REST_SECONDS: Final = 0.5
Pace = Callable[[], float]
"""Takes the place of one new peer; else says after how many seconds there is one."""


def at_once() -> float:
    """Let nobody wait."""
    return 0.0


class Accepting(ABC):
    """Accepts until `close`; who comes faster than the pace waits in the socket's backlog.

    Args:
        listening: Bound, listening, not blocking; closed by `close`.
        pace: Says how long to take nobody.
        per_turn: The most peers of one turn of the loop.
    """

    def __init__(self, listening: socket.socket, pace: Pace, per_turn: int) -> None:
        self._listening = listening
        self._pace = pace
        self._per_turn = per_turn
        self._loop = asyncio.get_running_loop()
        self._coming: set[asyncio.Task[Any]] = set()
        self._loop.add_reader(listening, self._accept)

    @abstractmethod
    def _take(self, taken: socket.socket, address: Any) -> bool:
        """Make an accepted socket a peer's; False turns it away."""

    def _bring(self, work: Coroutine[Any, Any, _T]) -> asyncio.Task[_T]:
        """Let the work go on by which a peer is handed on; `close` cancels it."""
        task = self._loop.create_task(work)
        self._coming.add(task)
        task.add_done_callback(self._coming.discard)
        return task

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
        for task in list(self._coming):
            task.cancel()

    def _accept(self) -> None:
        for _ in range(self._per_turn):
            if (seconds := self._pace()) > 0:
                METRICS.limit_hits.labels("accept_rate").inc()
                self._rest(seconds)
                return
            try:
                taken, address = self._listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError:
                # No file descriptor left, most likely: those who hang up give some back.
                METRICS.limit_hits.labels("file_descriptors").inc()
                self._rest(_REST_SECONDS)
                return
            taken.setblocking(False)
            if not self._take(taken, address):
                taken.close()

    def _rest(self, seconds: float) -> None:
        self._loop.remove_reader(self._listening)
        self._loop.call_later(seconds, self._resume)

    def _resume(self) -> None:
        if self._listening.fileno() >= 0:
            self._loop.add_reader(self._listening, self._accept)
