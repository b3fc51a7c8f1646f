"""The 60-day rule: which cases of a person and condition are new, and which go on. Pure.

An infection is counted once: a person who was positive in the 60 days before is no new case, and is
not among those who were tested anew. Computed here, on the resolved person, so that neither the
rotation of pseudonyms nor the cut of an extract can split an episode. Sources: french-profile 4;
docs/cases.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any, Final

import msgspec

from schemas.days import Reading


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """How long a positive keeps the next from being a new case; fixed for an instance."""

    days: int = 60
    reading: Reading = Reading.LAST_POSITIVE


SIXTY_DAYS: Final = Window()


class Episode(msgspec.Struct, frozen=True, kw_only=True):
    """A case as the rule sees it."""

    day: date
    is_positive: bool
    order: tuple[Any, ...]
    """Decides between positives of one day; of two cases never the same."""


def are_again(cases: Sequence[Episode], window: Window) -> list[bool]:
    """Return for each case whether a positive of another came in the days of the window before it.

    A positive exactly `days` before still counts: a new case needs more than that between. What is
    no positive looks back only, to the days before its own. The order of `cases` plays no part.
    """
    found = [False] * len(cases)
    last: date | None = None
    for place in sorted(range(len(cases)), key=lambda each: _order(cases[each])):
        case = cases[place]
        found[place] = last is not None and (case.day - last).days <= window.days
        if case.is_positive and not (found[place] and window.reading is Reading.LAST_COUNTED):
            last = case.day
    return found


def _order(case: Episode) -> tuple[Any, ...]:
    return case.day, case.is_positive, case.order
