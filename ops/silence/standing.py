"""How each laboratory stands: usual, silent, sending too little, closed. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Final, Literal

import msgspec

from .hours import day_of
from .past import Past
from .surprise import completeness_of_day, completeness_of_week, silence_score, week_score

Word = Literal["silent", "short", "doubtful", "closed", "new", "usual"]
ORDER: Final[tuple[Word, ...]] = ("silent", "short", "doubtful", "closed", "new", "usual")


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """From which scores on a laboratory is called what (settings `silence_*`)."""

    silent: float
    doubtful: float
    short: float
    least_seconds: float
    days: int


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a live laboratory now."""

    laboratory: str
    name: str
    received: int
    """In the hours from `since` of the question on."""
    last_message_at: datetime | None


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How a laboratory stands against its own past."""

    laboratory: str
    name: str
    standing: Word
    score: float
    """Of its silence: 5 is one in 100,000. 0 while it is short, or nothing was due."""
    last_message_at: datetime | None
    silent_seconds: float | None
    received: int
    """In the last 24 hours."""
    expected: float | None
    """Of the same hours; null: it is not known."""
    completeness: float | None
    """Received of expected; null where too little is due."""
    completeness_low: float | None
    completeness_high: float | None
    """Between these with 95 %, for chance and for what its days differ."""
    short_score: float
    """Of what is missing in 24 hours or in two to seven whole days, whichever is highest."""
    week_completeness: float | None
    """Of the seven days before today."""


class Network(msgspec.Struct, frozen=True, kw_only=True):
    """All laboratories that can be judged, together."""

    judged: int
    received: int
    expected: float
    completeness: float | None


def stand(
    sent: Sent,
    past: Past | None,
    closed: frozenset[int],
    *,
    since: datetime,
    now: datetime,
    bounds: Bounds,
    trend: float = 1.0,
) -> Standing:
    """Return how a live laboratory stands now.

    Args:
        sent: What came of it.
        past: What it usually does; None: it has none.
        closed: Local days on which it is known to be closed.
        since: From when on `received` counts.
        now: Now.
        bounds: What is called what.
        trend: The network's last week against the weeks before.
    """
    last, today = sent.last_message_at, day_of(now)
    silent = None if last is None else max(0.0, (now - last).total_seconds())
    if past is None or last is None or past.days < bounds.days:
        return _of(sent, silent, "closed" if today in closed else "new")
    score = 0.0
    if silent is not None and silent >= bounds.least_seconds:
        score = silence_score(past, last.timestamp(), now.timestamp(), closed)
    day = completeness_of_day(
        past, sent.received, since.timestamp(), now.timestamp(), closed, trend=trend
    )
    week = completeness_of_week(past, trend)
    short = max(day.score if day else 0.0, week_score(past, trend))
    word: Word = "usual"
    if score >= bounds.silent:
        word = "silent"
    elif short >= bounds.short:
        word = "short"
    elif score >= bounds.doubtful:
        word = "doubtful"
    elif today in closed:
        word = "closed"
    return Standing(
        laboratory=sent.laboratory,
        name=sent.name,
        standing=word,
        score=round(score, 2),
        last_message_at=last,
        silent_seconds=silent,
        received=sent.received,
        expected=round(day.expected, 1) if day else None,
        completeness=round(day.ratio, 3) if day else None,
        completeness_low=round(day.low, 3) if day else None,
        completeness_high=round(day.high, 3) if day else None,
        short_score=round(short, 2),
        week_completeness=round(week.ratio, 3) if week else None,
    )


def _of(sent: Sent, silent: float | None, word: Word) -> Standing:
    return Standing(
        laboratory=sent.laboratory, name=sent.name, standing=word, score=0.0,
        last_message_at=sent.last_message_at, silent_seconds=silent, received=sent.received,
        expected=None, completeness=None, completeness_low=None, completeness_high=None,
        short_score=0.0, week_completeness=None,
    )  # fmt: skip


def network_of(standings: Iterable[Standing]) -> Network:
    """Return what came of what was expected over all that can be judged."""
    judged, received, expected = 0, 0, 0.0
    for each in standings:
        if each.standing != "new":
            judged += 1
        if each.expected is not None:
            received += each.received
            expected += each.expected
    ratio = round(received / expected, 4) if expected > 0 else None
    return Network(
        judged=judged, received=received, expected=round(expected, 1), completeness=ratio
    )


def worst_first(standings: Iterable[Standing]) -> list[Standing]:
    """Return the silent first, then the short, each by its score."""
    return sorted(
        standings,
        key=lambda each: (
            ORDER.index(each.standing), -max(each.score, each.short_score), each.laboratory
        ),
    )  # fmt: skip


def counted(standings: Iterable[Standing]) -> Mapping[str, int]:
    """Return how many there are of each word."""
    found: dict[str, int] = dict.fromkeys(ORDER, 0)
    for each in standings:
        found[each.standing] += 1
    return found


def days_between(first: date, last: date) -> range:
    """Return the ordinals of a closure's days."""
    return range(first.toordinal(), last.toordinal() + 1)
