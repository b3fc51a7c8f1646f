"""Disclosure control: which figures may be shown, so that nobody is singled out. Pure.

What is promised: whatever is shown, of all areas, ages, sexes, days, weeks and extractions together,
nobody can show of any cell that fewer than `threshold` persons (and more than none) are in it.
How, and what is not promised: docs/disclosure.md, ADR 0045.

Two steps. `decide` looks at one condition and ISO week as a whole (or month, of a condition that is
declared anonymously) and says what may be shown; it is kept with the extraction. `protect` applies
it to whatever figures are asked for: a slice of a table is withheld exactly as the whole would be.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

import msgspec

from schemas.figures import Figure


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator decides about disclosure."""

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


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """What may be shown of one condition and block of time. Keep it with the extraction.

    It holds no count. `nodes` names, by group of counts and area, the cells that are open.
    """

    condition: str
    block: str
    """`2026-S10`, or `2026-03` of a condition that is told by months."""
    nodes: dict[str, dict[str, tuple[str, ...]]]
    """Group (`tests`, `positives`, `variants`) -> area -> keys of open nodes."""


Block = tuple[str, str]
"""Condition, and ISO week or month."""


def block_of(figure: Figure) -> str:
    """Return the block that a figure's last day is in: `2026-S10`, or `2026-03` of a month."""
    raise NotImplementedError


def decide(
    figures: Sequence[Figure],
    policy: Policy,
    on: date,
    before: Shown | None = None,
    last_week: Sequence[Figure] = (),
) -> Shown:
    """Say what may be shown of a condition's week, or month.

    Args:
        figures: All of it: `day` figures of its seven days and the `week` figures (of a month: the
            `month` figures), of every area, age class and sex, with their margins, unprotected.
        policy: What the operator decided.
        on: The day of the extraction: days from then on, and a week that is not over, wait.
        before: What the extraction before said of this block: what was withheld stays withheld.
        last_week: The `week` figures of the week before, which say who is told by days.
    """
    raise NotImplementedError


def protect(
    figures: Sequence[Figure], policy: Policy, published: Mapping[Block, Shown]
) -> list[Figure]:
    """Return figures as they may be shown: withheld counts and all rates of them are None, flagged.

    A figure whose block is not in `published` is withheld. A `7days` figure needs the block of its
    last day, and of its first where that is another one.
    """
    raise NotImplementedError
