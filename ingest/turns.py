"""Turns: laboratories are judged one after the other, a few messages a turn of the loop. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable
from typing import Protocol


class Taker(Protocol):
    """A connection that has messages to be judged."""

    @property
    def lane(self) -> Hashable:
        """Its laboratory, or its address as long as nobody knows that."""
        ...

    def take_turn(self) -> bool:
        """Take one message; say whether there is another to take at once."""
        ...


class Turns:
    """Who may be judged next: a round of the laboratories, in each a round of its connections.

    As long as a turn of the loop has not judged `per_turn` messages, or `per_lane` of a laboratory,
    and nobody waits, a message is judged as it comes. What is beyond waits for the next turn, after
    what the sockets brought. Holds each connection once at most.

    A laboratory that floods so has short turns, for an append needs several of them and the others
    wait for theirs; many laboratories at once have long ones, for each turn costs a look at all
    sockets.

    Args:
        call_soon: Calls back in the next turn of the loop.
        per_turn: The most messages of one turn.
        per_lane: The most of them of one laboratory.
    """

    def __init__(
        self,
        call_soon: Callable[[Callable[[], None]], object],
        per_turn: int,
        per_lane: int,
    ) -> None:
        self._call_soon = call_soon
        self._per_turn = per_turn
        self._per_lane = per_lane
        self._left = per_turn
        self._taken: dict[Hashable, int] = {}
        """Messages of this turn, by lane: as many as there are messages in a turn, at most."""
        self._is_called = False
        self._lanes: dict[Hashable, deque[Taker]] = {}
        self._waiting: set[Taker] = set()

    def __len__(self) -> int:
        return len(self._waiting)

    def take(self, taker: Taker) -> bool:
        """Say whether a message may be judged now; if not, its connection is called in its turn."""
        if self._left > 0 and not self._waiting and self._count(taker.lane):
            self._call()
            return True
        self._enrol(taker)
        return False

    def forget(self, taker: Taker) -> None:
        """Let a connection that is gone lose its place."""
        self._waiting.discard(taker)

    def _count(self, lane: Hashable) -> bool:
        """Count a message of a lane; False where it has had its part of this turn."""
        taken = self._taken.get(lane, 0)
        if taken >= self._per_lane:
            return False
        self._taken[lane] = taken + 1
        self._left -= 1
        return True

    def _enrol(self, taker: Taker) -> None:
        if taker in self._waiting:
            return
        self._waiting.add(taker)
        lane = self._lanes.get(taker.lane)
        if lane is None:
            lane = self._lanes[taker.lane] = deque()
        lane.append(taker)
        self._call()

    def _call(self) -> None:
        if not self._is_called:
            self._is_called = True
            self._call_soon(self._turn)

    def _turn(self) -> None:
        self._is_called = False
        self._left = self._per_turn
        self._taken.clear()
        while self._left > 0 and self._lanes:
            key = next(iter(self._lanes))
            # Lanes go round: when the first has had its part, so have the others that were here.
            if self._taken.get(key, 0) >= self._per_lane:
                break
            lane = self._lanes.pop(key)
            taker = lane.popleft()
            if lane:
                self._lanes[key] = lane  # behind the others: dicts keep the order of insertion
            if taker not in self._waiting:
                continue
            self._waiting.discard(taker)
            self._count(key)
            if taker.take_turn():
                self._enrol(taker)
        if self._waiting:
            self._call()
