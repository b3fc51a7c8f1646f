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

from .lab import Lab
from .lab_share import FairLimits, LabShare, Line, OwnPlaces, Places
from .token_bucket import TokenBucket

__all__ = ["Denial", "FairLimits", "Fairness", "LabShare", "Line", "TokenBucket"]

Reason = Literal["rate_limited", "quota_reached", "connection_limit_reached", "backpressure"]
_GOLDEN: Final = 0.618034


class Denial(msgspec.Struct, frozen=True):
    """Why a message is not taken now, and when it is worth sending it again."""

    reason: Reason
    limit: str
    """Label of `labdispatch_limit_hits`."""
    hang_up: bool = False
    """The connection is closed behind the answer."""


class Fairness:
    """The shares of all laboratories in one process, and the count of the day they have in common.

    Args:
        limits: What holds for every laboratory.
        places: Counts connections, where other processes have some of the same laboratories.
    """

    def __init__(self, limits: FairLimits | None = None, places: Places | None = None) -> None:
        self.limits = limits or FairLimits()
        self._places: Places = places or OwnPlaces()
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
            share = self._shares[lab.lab_id] = LabShare(
                lab.lab_id, self.limits.window_frames, self._places
            )
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
