"""A rate with a burst; time is given in. Pure."""

from __future__ import annotations

from typing import Final

_MIN_BURST: Final = 1.0


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
