"""How much of the last days has come, of France, as an extraction sees it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from routing import nowcast
from routing.indicator_cells import LONGEST_DELAY, Measure
from schemas.figures import FRANCE, Figure, Flag, Period
from schemas.holidays import holidays_between

from .packing import Packed

BACK_DAYS: Final = nowcast.DEFAULT.window + nowcast.DEFAULT.delays + 7
"""So many days are looked at."""
LATE_DAYS: Final = nowcast.DEFAULT.delays
"""So many days are estimated: what was sampled before is taken as complete."""
COMPLETE: Final = 0.95
"""Below this share a figure is flagged as incomplete."""
FEWEST: Final = 30
"""Of fewer tests in France nothing is estimated in public: the interval would tell how many."""

Share = tuple[float | None, float | None, float | None]
"""What has come, and the bounds of its 95 % interval; None where nothing can be said yet."""
Shares = dict[str, dict[int, Share]]
"""Period -> last day -> share."""


def shares_of(days: Mapping[int, Iterable[Packed]], today: int) -> Shares:
    """Return how much has come of the last days, and of the seven days that end on each.

    Args:
        days: The cells of all departments, of the last `BACK_DAYS`.
        today: Ordinal; its own results are still coming, so nothing is learned of them.
    """
    triangle: dict[int, list[int]] = {}
    settled: dict[int, int] = {}
    for day, places in days.items():
        counts = triangle[day] = [0] * (LONGEST_DELAY + 1)
        for packed in places:
            for delay, count in enumerate(packed.delays[: LONGEST_DELAY + 1]):
                counts[delay] += count
            for cell in packed.cells.values():
                if len(cell) > Measure.BY_RECEPTION_TESTS:
                    settled[day] = settled.get(day, 0) + cell[Measure.BY_RECEPTION_TESTS]
    holidays = holidays_between(today - BACK_DAYS, today + LATE_DAYS)
    learned = nowcast.learn(triangle, today - 1, holidays=holidays)
    found: Shares = {Period.DAY.value: {}, Period.SEVEN_DAYS.value: {}}
    for day in range(today - LATE_DAYS, today + 1):
        one = nowcast.estimate(learned, triangle, day, settled.get(day, 0))
        _note(found[Period.DAY.value], day, one)
        seven = nowcast.estimate_over(learned, triangle, range(day - 6, day + 1), settled)
        _note(found[Period.SEVEN_DAYS.value], day, seven)
    return found


def as_told(shares: Shares, before: Shares, told: Mapping[int, tuple[bool, int]]) -> Shares:
    """Return the estimates of numbers that stay as they were told.

    Args:
        shares: As they are estimated now.
        before: As they were told last.
        told: Day -> whether its number is told by this extraction, and how often it was revised.
            Of a revised one nothing is estimated; of one that is not told, that it is to come.
    """
    found: Shares = {}
    for period, by_day in shares.items():
        of_period = found[period] = {}
        for day, share in by_day.items():
            is_new, revised = told.get(day, (True, 0))
            if day not in told:
                of_period[day] = (None, None, None)
            elif revised == 0 and (is_new or day in before.get(period, {})):
                of_period[day] = share if is_new else before[period][day]
    return found


def pack_shares(shares: Shares) -> bytes:
    """Return the bytes of what was estimated."""
    return msgspec.msgpack.encode(shares)


def unpack_shares(packed: bytes | None) -> Shares:
    """Return what was estimated; nothing where nothing was."""
    return {} if packed is None else msgspec.msgpack.decode(packed, type=Shares)


def with_completeness(figure: Figure, shares: Shares, day: int) -> Figure:
    """Return a figure with what is known of its completeness.

    The estimate is of all tests in France, and stands on the figures of France; a flag warns
    whoever reads the same days of smaller areas.
    """
    period = Period.SEVEN_DAYS.value if figure.period == Period.WEEK else figure.period
    found = shares.get(period, {}).get(day)
    if found is None:
        return figure
    share, low, high = found
    flags = figure.flags
    if (share is None or share < COMPLETE) and Flag.INCOMPLETE.value not in flags:
        flags = (*flags, Flag.INCOMPLETE.value)
    if figure.area != FRANCE:
        return figure if flags is figure.flags else msgspec.structs.replace(figure, flags=flags)
    return msgspec.structs.replace(
        figure, completeness=share, completeness_low=low, completeness_high=high, flags=flags
    )


def _note(found: dict[int, Share], day: int, estimated: nowcast.Completeness) -> None:
    share = estimated.share
    if share is not None and share >= COMPLETE and estimated.reported < FEWEST:
        return
    if share is None or estimated.share_95 is None or estimated.reported < FEWEST:
        found[day] = (None, None, None)  # today, above all: not a decline, but not known
        return
    low, high = estimated.share_95
    found[day] = (round(share, 3), round(low, 3), round(high, 3))
