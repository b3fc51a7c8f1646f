"""Fairness between laboratories: rates, quotas, connections and turns of one process. Pure.

Time is given in. A limit is None until somebody sets it for a laboratory, and then nothing is
counted for it here. What is over a limit is answered (AR 207, HTTP 429), never dropped, and the
connection that was over it is the first to wait.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import date
from typing import Final, Literal

import msgspec

from .fairness_loops import LoopBreaker
from .lab import Lab, LabLimits

Reason = Literal["rate_limited", "quota_reached", "connection_limit_reached", "backpressure"]
_MIN_BURST: Final = 1.0
_GOLDEN: Final = 0.618034


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


class Denial(msgspec.Struct, frozen=True):
    """Why a message is not taken now, and when it is worth sending it again."""

    reason: Reason
    limit: str
    """Label of `labdispatch_limit_hits`."""
    hang_up: bool = False
    """The connection is closed behind the answer."""


class TokenBucket:
    """Gives at most `burst + rate x t` tokens in any time `t`, whatever is asked.

    Args:
        rate: Tokens a second.
        burst: The most that come together; at least one, else nothing could ever be given.
        now: Monotonic seconds.
    """

    __slots__ = ("_at", "_level", "burst", "rate")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self.rate = rate
        self.burst = max(_MIN_BURST, burst)
        self._level = self.burst
        self._at = now

    def level(self, now: float) -> float:
        """Return how many tokens there are; below zero others took more than there were."""
        if now > self._at:
            self._level = min(self.burst, self._level + (now - self._at) * self.rate)
            self._at = now
        return self._level

    def take(self, now: float) -> bool:
        """Take a token if there is one."""
        if self.level(now) < 1.0:
            return False
        self._level -= 1.0
        return True

    def retune(self, rate: float, burst: float, now: float) -> None:
        """Go on at another rate with the tokens there are."""
        self.level(now)
        self.rate, self.burst = rate, max(_MIN_BURST, burst)
        self._level = min(self._level, self.burst)

    def charge(self, tokens: float, now: float) -> None:
        """Take what another process gave away already, also below zero (a minute's worth)."""
        self._level = max(self.level(now) - tokens, -60.0 * self.rate - self.burst)


class LabShare:
    """What one laboratory has of this process."""

    __slots__ = (
        "_limits",
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

    def __init__(self, lab_id: int, window: int) -> None:
        self.lab_id = lab_id
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
            if share.connections >= most:
                self.is_over = True
            else:
                self._share_of = share
                share.connections += 1
        return not self.is_over

    def part(self) -> None:
        """Count the connection out."""
        if self._share_of is not None:
            self._share_of.connections -= 1
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


class Fairness:
    """The shares of all laboratories in one process, and the count of the day they have in common.

    Args:
        limits: What holds for every laboratory.
    """

    def __init__(self, limits: FairLimits | None = None) -> None:
        self.limits = limits or FairLimits()
        self._shares: dict[int, LabShare] = {}
        self._lines: dict[int, Line] = {}
        self._pauses = 0
        self.day = date.min
        """Of the totals that were learned last."""
        self._totals: dict[int, int] = {}

    def pause(self) -> float:
        """Return how long a connection waits: its setting, give or take a quarter.

        Connections that were held together so come back one after the other.
        """
        self._pauses += 1
        # Steps of the golden ratio spread any number of them evenly.
        return self.limits.pause_seconds * (0.75 + (self._pauses * _GOLDEN % 1.0) / 2)

    def line(self, wake: Callable[[], None]) -> Line:
        """Return the state of a new connection."""
        return Line(self.limits, wake)

    def line_of_file(self) -> Line:
        """Return the state of a file that is read."""
        return Line(self.limits, lambda: None, is_patient=True)

    def line_of(self, lab: Lab, now: float) -> Line:
        """Return the one line of a laboratory for what comes without a connection of its own."""
        line = self._lines.get(lab.lab_id)
        if line is None:
            line = self._lines[lab.lab_id] = Line(self.limits, lambda: None)
        line.share = self.share_of(lab, now)
        return line

    def share_of(self, lab: Lab, now: float) -> LabShare:
        """Return what a laboratory has of this process; as many as there are laboratories."""
        share = self._shares.get(lab.lab_id)
        if share is None:
            share = self._shares[lab.lab_id] = LabShare(lab.lab_id, self.limits.window_frames)
        share.keep_to(lab.limits, now)
        return share

    def admit(self, lab: Lab, line: Line, now: float) -> Denial | None:
        """Count a connection for its laboratory; a denial where it is one too many.

        A file is no connection, and has a window of its own: it takes nobody's place.
        """
        most = lab.limits.max_connections
        share = self.share_of(lab, now)
        if line.is_patient:
            line.turn_to(share)
            return None
        if line.belong_to(share, self.limits.max_connections if most is None else most):
            return None
        return Denial("connection_limit_reached", "connections_per_laboratory", hang_up=True)

    def admit_alone(self, lab: Lab, now: float) -> tuple[Line, Denial | None]:
        """Return the common line of a laboratory, and a denial where its window is full."""
        line = self.line_of(lab, now)
        if line.share is not None and line.share.is_full:
            return line, Denial("backpressure", "laboratory_window")
        return line, None

    def ask(self, lab: Lab, line: Line, now: float, today: Callable[[], date]) -> Denial | None:
        """Take one message of a laboratory against its rate and its quota, or say why not."""
        share = line.share or self.share_of(lab, now)
        if not share.is_counted:
            return None
        day = today()
        if share.quota is not None and self.count_of(lab.lab_id, day) >= share.quota:
            line.hold_seconds = self.pause()
            return Denial("quota_reached", "laboratory_quota")
        if share.bucket is not None and not line.take_token(share.bucket, share.connections, now):
            line.hold_seconds = self.pause()
            return Denial("rate_limited", "laboratory_rate")
        share.since[day] = share.since.get(day, 0) + 1
        return None

    def count_of(self, lab_id: int, day: date) -> int:
        """Return the messages of a day: what all processes told, and what this one took since."""
        told = self._totals.get(lab_id, 0) if day == self.day else 0
        share = self._shares.get(lab_id)
        return told + (share.since.get(day, 0) if share is not None else 0)

    # ------------------------------------------------------------------ between processes

    def take_counts(self) -> list[tuple[int, date, int]]:
        """Return what was taken since the last time, by laboratory and day, to be told."""
        taken = [
            (share.lab_id, day, n)
            for share in self._shares.values()
            for day, n in share.since.items()
        ]
        for share in self._shares.values():
            if share.since:
                share.since = {}
        return sorted(taken)

    def give_back(self, counts: Iterable[tuple[int, date, int]]) -> None:
        """Count again what could not be told."""
        for lab_id, day, n in counts:
            since = self._shares[lab_id].since
            since[day] = since.get(day, 0) + n

    def learn(
        self,
        day: date,
        totals: Mapping[int, int],
        told: Iterable[tuple[int, date, int]],
        now: float,
    ) -> None:
        """Take the totals of a day from all processes; what the others took is charged here too.

        So a laboratory that comes through several processes gets its rate once, late by the time
        between two calls.

        Args:
            day: Of the totals.
            totals: Messages by laboratory.
            told: What this process told since the last call.
            now: Monotonic seconds.
        """
        own = {lab_id: n for lab_id, at, n in told if at == day}
        if day == self.day:
            for lab_id, total in totals.items():
                share = self._shares.get(lab_id)
                others = total - self._totals.get(lab_id, 0) - own.get(lab_id, 0)
                if share is not None and share.bucket is not None and others > 0:
                    share.bucket.charge(others, now)
        self.day, self._totals = day, dict(totals)

    def over_quota(self, day: date) -> int:
        """Return how many laboratories have used up their quota of a day."""
        return sum(
            share.quota is not None and self.count_of(share.lab_id, day) >= share.quota
            for share in self._shares.values()
        )
