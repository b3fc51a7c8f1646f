"""What one laboratory has of a process, and each of its connections of that. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import date
from typing import Protocol

import msgspec

from .fairness_loops import LoopBreaker
from .lab import LabLimits
from .token_bucket import TokenBucket


class FairLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What holds for every laboratory of a process; each is a setting."""

    max_connections: int = 1_000
    """Of one laboratory, where the register sets no other number."""
    window_frames: int = 32
    """Messages of one laboratory without an answer."""
    pause_seconds: float = 1.0
    """How long a connection is not read after it was over a limit or looped, about."""
    loop_repeats: int = 10
    loop_seconds: float = 60.0
    loop_keys: int = 8


class Places(Protocol):
    """Counts the connections of each laboratory."""

    def take(self, lab_id: int, most: int) -> bool:
        """Count one in, unless there are as many as may be; say whether it was."""
        ...

    def give_back(self, lab_id: int) -> None:
        """Count one out that was counted in."""
        ...


class OwnPlaces:
    """The connections of this process alone."""

    def __init__(self) -> None:
        self._taken: Counter[int] = Counter()

    def take(self, lab_id: int, most: int) -> bool:
        """Count one in, unless there are as many as may be; say whether it was."""
        if self._taken[lab_id] >= most:
            return False
        self._taken[lab_id] += 1
        return True

    def give_back(self, lab_id: int) -> None:
        """Count one out that was counted in."""
        self._taken[lab_id] -= 1


class LabShare:
    """What one laboratory has of this process.

    Args:
        lab_id: Of the laboratory.
        window: Messages without an answer.
        places: Counts its connections, here and in the processes beside this one.
    """

    __slots__ = (
        "_limits",
        "_places",
        "_window",
        "bucket",
        "connections",
        "in_flight",
        "is_counted",
        "lab_id",
        "lines",
        "quota",
        "since",
    )

    def __init__(self, lab_id: int, window: int, places: Places) -> None:
        self.lab_id = lab_id
        self._places = places
        self._window = window
        self._limits: LabLimits | None = None
        self.connections = 0
        self.in_flight = 0
        self.lines: dict[Line, None] = {}
        """Connections with a message that waits until the window has room."""
        self.bucket: TokenBucket | None = None
        self.quota: int | None = None
        self.is_counted = False
        self.since: dict[date, int] = {}
        """Messages taken here and not yet told to the other processes, by day."""

    @property
    def is_full(self) -> bool:
        """Say whether as many messages as may be are without an answer."""
        return self.in_flight >= self._window

    def keep_to(self, limits: LabLimits, now: float) -> None:
        """Take the register's limits; what was counted under others goes with them."""
        if limits is self._limits or limits == self._limits:
            self._limits = limits
            return
        self._limits = limits
        self.quota = limits.daily_quota
        self.bucket = None
        if limits.rate_per_second is not None:
            burst = limits.burst if limits.burst is not None else limits.rate_per_second
            self.bucket = TokenBucket(limits.rate_per_second, burst, now)
        self.is_counted = self.bucket is not None or self.quota is not None

    def join(self, most: int) -> bool:
        """Count a connection in; False when there are as many as may be."""
        if not self._places.take(self.lab_id, most):
            return False
        self.connections += 1
        return True

    def part(self) -> None:
        """Count a connection out."""
        self.connections -= 1
        self._places.give_back(self.lab_id)

    def enter(self) -> None:
        """Count a message that has no answer yet."""
        self.in_flight += 1

    def leave(self, _: object = None) -> None:
        """Count it out, and let those connections go on that waited longest."""
        self.in_flight -= 1
        for _ in range(min(len(self.lines), self._window - self.in_flight)):
            # A line that is woken may end others: there can be fewer than there were.
            line = next(iter(self.lines), None)
            if line is None:
                return
            del self.lines[line]
            line.wake()


class Line:
    """One connection, as fairness sees it.

    Args:
        limits: Of the process.
        wake: Called when its laboratory has room again.
        is_patient: It is a file's: who reads it asks again by itself, so a denial is no answer.
    """

    __slots__ = (
        "_bucket",
        "_share_of",
        "hold_seconds",
        "is_over",
        "is_patient",
        "loops",
        "share",
        "wake",
    )

    def __init__(
        self, limits: FairLimits, wake: Callable[[], None], *, is_patient: bool = False
    ) -> None:
        self.wake = wake
        self.is_patient = is_patient
        self.loops = LoopBreaker(
            repeats=limits.loop_repeats, seconds=limits.loop_seconds, keys=limits.loop_keys
        )
        self.share: LabShare | None = None
        """The laboratory of the last message."""
        self._share_of: LabShare | None = None
        """The laboratory that the connection counts for: that of its first message."""
        self.is_over = False
        """It was one connection too many."""
        self.hold_seconds = 0.0
        """How long it is not to be read; whoever reads it sets it back."""
        self._bucket: TokenBucket | None = None

    def turn_to(self, share: LabShare) -> None:
        """Send for this laboratory from here on."""
        if share is not self.share:
            if self.share is not None:
                self.share.lines.pop(self, None)
            self.share = share

    def belong_to(self, share: LabShare, most: int) -> bool:
        """Count the connection for its first laboratory; False when that has too many."""
        self.turn_to(share)
        if self._share_of is None and not self.is_over:
            if share.join(most):
                self._share_of = share
            else:
                self.is_over = True
        return not self.is_over

    def part(self) -> None:
        """Count the connection out."""
        if self._share_of is not None:
            self._share_of.part()
            self._share_of = None
        if self.share is not None:
            self.share.lines.pop(self, None)

    def wait(self) -> bool:
        """Say whether the laboratory is full; the connection is then woken in its turn."""
        if self.share is None:
            return False
        if self.share.is_full:
            self.share.lines.setdefault(self)
            return True
        self.share.lines.pop(self, None)
        return False

    def take_token(self, bucket: TokenBucket, connections: int, now: float) -> bool:
        """Take a token of the laboratory's, if that leaves the others theirs.

        Half of a bucket is for the connections that stay within their even part of the rate; a
        connection that wants more gets it from the upper half alone.
        """
        parts = max(1, connections)
        if parts == 1:
            self._bucket = None
            return bucket.take(now)
        own = self._bucket
        rate, burst = bucket.rate / parts, bucket.burst / (2 * parts)
        if own is None:
            own = self._bucket = TokenBucket(rate, burst, now)
        elif own.rate != rate:
            own.retune(rate, burst, now)
        is_within = own.take(now)
        if not is_within and bucket.level(now) <= bucket.burst / 2:
            return False
        return bucket.take(now)
