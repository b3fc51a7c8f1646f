"""What an operator decides about disclosure. Pure."""

from __future__ import annotations

import msgspec


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """How much may be shown."""

    threshold: int = 5
    """A count from 1 to this less 1 is protected; 0 or 1 protects nothing."""
    settle_days: int = 2
    """Of areas below France, days younger than this wait: what is shown once stays decided."""
    daily_from: int = 10
    """Per day: an area that had fewer in the week before is told by weeks, not by days."""
    class_below: int = 0
    """Areas with fewer inhabitants are given classes of rates instead of counts; 0: none."""
    rounding: int = 1
    """Counts are rounded to multiples of this, up from half; 1: they are exact."""
    revision_days: tuple[int, ...] = ()
    """Ages, after its last day, at which a week or month is told anew; between them it stays as it
    was told. Empty: every extraction tells what has come, and what came is not protected."""
    incidence_classes: tuple[int, ...] = (0, 20, 50, 150, 250, 500, 1000)
    """Where classes begin, per 100,000 inhabitants."""
    positivity_classes: tuple[int, ...] = (0, 1, 2, 5, 10, 20, 50)
    """Where classes begin, in percent."""
    screening_classes: tuple[int, ...] = (0, 500, 1000, 2000, 4000, 8000)
    """Where classes begin, per 100,000 inhabitants."""

    @property
    def protects(self) -> bool:
        """Say whether any count is protected."""
        return self.threshold > 1

    @property
    def holds(self) -> bool:
        """Say whether what was told stays as it is until a revision."""
        return self.protects and bool(self.revision_days)

    def safe(self, count: int) -> bool:
        """Say whether a count may be told by itself: nobody, or enough of them."""
        return count == 0 or count >= self.threshold

    def rounded(self, count: int) -> int:
        """Return a count as it is told: to a multiple, up from half."""
        base = self.rounding
        return count if base <= 1 else (2 * count + base) // (2 * base) * base
