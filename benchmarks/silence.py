"""Silent laboratories: how soon an outage is found, and how often one is that is none.

python -m benchmarks.silence [--laboratories 4500] [--first-seed 1000000]
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Final

import msgspec
import numpy as np

from ops.silence.past import Past, learn
from ops.silence.surprise import (
    DAY_SECONDS,
    completeness_of_day,
    silence_score,
    trend_of,
    week_score,
)

from .results import Row, append, show
from .silence_world import FIRST, JUDGED_DAYS, LEARNED_DAYS, World, begins, hours_of, life

HUB: Final = 4_500
THRESHOLDS: Final = (3.0, 3.5, 4.0, 5.0)
LEAST_SECONDS: Final = 1_800.0
CLASSES: Final = ((1_000.0, "over 1,000 a day"), (300.0, "300 to 1,000"), (100.0, "100 to 300"),
                  (30.0, "30 to 100"), (0.0, "under 30"))  # fmt: skip
LOST: Final = (("half", 0.5), ("one facility of three", 1 / 3))
_MINUTE: Final = 60.0
_OUTAGE_DAYS: Final = 7
_PART_DAYS: Final = 12
_SHORT_EVERY: Final = 6
"""Of so many one is judged on completeness, if it has no day off that nobody told."""
_FOR_TRENDS: Final = 150


class Found(msgspec.Struct, kw_only=True):
    """What was found over all laboratories; times in hours."""

    false: dict[float, int] = msgspec.field(default_factory=lambda: defaultdict(int))
    untold: dict[float, int] = msgspec.field(default_factory=lambda: defaultdict(int))
    whole: dict[tuple[float, str, str], list[float]] = msgspec.field(
        default_factory=lambda: defaultdict(list)
    )
    missed: dict[tuple[float, str], list[float]] = msgspec.field(
        default_factory=lambda: defaultdict(list)
    )
    short_false: dict[float, int] = msgspec.field(default_factory=lambda: defaultdict(int))
    part: dict[tuple[float, str, str], list[float]] = msgspec.field(
        default_factory=lambda: defaultdict(list)
    )
    trends: dict[int, float] = msgspec.field(default_factory=dict)
    """Of each judged day, as a hub would know it from all its laboratories."""
    judged: int = 0
    held: int = 0


def class_of(volume: float) -> str:
    """Return the class of a volume a working day."""
    return next(name for least, name in CLASSES if volume >= least)


def pasts_of(world: World) -> list[Past]:
    """Return what was learned on the first judged day and a week later; a hub does each day."""
    found = []
    for number in (0, 7):
        day = FIRST + LEARNED_DAYS + number
        past = learn(hours_of(world.sent, begins(day)), day, world.closed)
        if past is None:
            return []
        found.append(past)
    return found


def trends_of(begins_at: int) -> dict[int, float]:
    """Return of each judged day how the network's last week was against the weeks before."""
    worlds = [life(seed) for seed in range(begins_at, begins_at + _FOR_TRENDS)]
    found = {}
    for day in range(FIRST + LEARNED_DAYS, FIRST + LEARNED_DAYS + JUDGED_DAYS + 1):
        pasts = [learn(hours_of(each.sent, begins(day)), day, each.closed) for each in worlds]
        found[day] = trend_of(past for past in pasts if past is not None)
    return found


def gaps(world: World, first: float, last: float) -> Iterator[tuple[float, float]]:
    """Give the silences of at least the shortest that is looked at, within the judged days."""
    sent = world.sent
    inside = np.concatenate((sent[(sent >= first) & (sent < last)], [last]))
    earlier = sent[sent < first]
    before = np.concatenate((earlier[-1:], inside[:-1])) if len(earlier) else inside[:-1]
    inside = inside[len(inside) - len(before) :]
    for index in np.flatnonzero(inside - before >= LEAST_SECONDS):
        yield float(before[index]), float(inside[index])


def judge(seed: int, found: Found) -> None:
    """Judge one laboratory."""
    world = life(seed)
    pasts = pasts_of(world)
    if not pasts:
        return
    found.judged += 1
    first = begins(FIRST + LEARNED_DAYS)
    last = begins(FIRST + LEARNED_DAYS + JUDGED_DAYS)
    middle = begins(FIRST + LEARNED_DAYS + 7)
    for begun, ended in gaps(world, first, last):
        past = pasts[ended >= middle]
        score = silence_score(past, begun, ended, world.closed)
        off = any(begun <= begins(day + 1) and begins(day) <= ended for day in world.off)
        for threshold in THRESHOLDS:
            if score >= threshold:
                (found.untold if off else found.false)[threshold] += 1
    _whole(world, pasts[0], first, seed, found)
    if seed % _SHORT_EVERY == 0 and not world.off:
        found.held += 1
        _short(world, pasts, first, seed, found)


def _whole(world: World, past: Past, first: float, seed: int, found: Found) -> None:
    """Stop everything at a moment of the first week: any, and one of a working morning."""
    random = np.random.default_rng((seed, 1))
    name = class_of(world.volume)
    starts = {"any moment": first + random.uniform(0, 7 * DAY_SECONDS),
              "working hours": begins(FIRST + LEARNED_DAYS + int(random.choice((0, 1, 2))))
              + random.uniform(9, 17) * 3_600}  # fmt: skip
    for when, start in starts.items():
        earlier = world.sent[world.sent < start]
        if not len(earlier):
            continue
        for threshold in THRESHOLDS:
            took = _first_minute(past, float(earlier[-1]), start, world.closed, threshold)
            found.whole[threshold, when, name].append(took / 3_600)
            if when == "any moment":
                lost = np.sum((world.sent >= start) & (world.sent < start + took))
                found.missed[threshold, name].append(float(lost))


def _first_minute(
    past: Past, last: float, start: float, closed: frozenset[int], threshold: float
) -> float:
    """Return how long after `start` the first look finds it; infinite: not within the outage."""
    low, high = 0, int(_OUTAGE_DAYS * DAY_SECONDS / _MINUTE)
    if silence_score(past, last, start + high * _MINUTE, closed) < threshold:
        return float("inf")
    while low < high:
        half = (low + high) // 2
        now = start + half * _MINUTE
        if now - last >= LEAST_SECONDS and silence_score(past, last, now, closed) >= threshold:
            high = half
        else:
            low = half + 1
    return low * _MINUTE


def _short(world: World, pasts: list[Past], first: float, seed: int, found: Found) -> None:
    """Look each hour at the last 24, and each day at the week, with all and with a part."""
    usual = _usual_scores(world, pasts, first, found.trends)
    for threshold in THRESHOLDS:
        found.short_false[threshold] += _episodes(usual, threshold)
    random = np.random.default_rng((seed, 2))
    name = class_of(world.volume)
    start = first + random.uniform(0, 2 * DAY_SECONDS)
    for what, share in LOST:
        kept = (world.sent < start) | (random.random(len(world.sent)) >= share)
        less = msgspec.structs.replace(world, sent=world.sent[kept])
        scores = list(_scores(less, pasts[0], start, _PART_DAYS, trends=found.trends, learned=True))
        for threshold in THRESHOLDS:
            took = next((n for n, score in enumerate(scores, 1) if score >= threshold), None)
            found.part[threshold, what, name].append(float("inf") if took is None else float(took))


def _scores(
    world: World, past: Past, start: float, days: int, *, trends: dict[int, float], learned: bool
) -> Iterator[float]:
    """Give the score of each hour after `start`."""
    week = 0.0
    for hour in range(1, days * 24 + 1):
        now = start + hour * 3_600.0
        day = min(FIRST + int((now - begins(FIRST)) / DAY_SECONDS), max(trends))
        if learned and hour % 24 == 0:
            anew = learn(hours_of(world.sent, begins(day)), day, world.closed)
            week = week_score(anew, trends[day]) if anew is not None else 0.0
        begun = (now // 3_600 - 23) * 3_600
        received = np.searchsorted(world.sent, now) - np.searchsorted(world.sent, begun)
        held = completeness_of_day(
            past, float(received), begun, now, world.closed, trend=trends[day]
        )
        yield max(week, held.score if held is not None else 0.0)


def _usual_scores(
    world: World, pasts: list[Past], first: float, trends: dict[int, float]
) -> list[float]:
    """Return the score of each hour of the judged days, with nothing missing."""
    scores: list[float] = []
    for number, past in enumerate(pasts):
        least = week_score(past, trends[FIRST + LEARNED_DAYS + number * 7])
        begun = first + number * 7 * DAY_SECONDS
        scores += [
            max(each, least)
            for each in _scores(world, past, begun, 7, trends=trends, learned=False)
        ]
    return scores


def _episodes(scores: list[float], threshold: float) -> int:
    """Return how often it is called short; again only after 24 hours in which it was not."""
    number, quiet_until = 0, -1
    for hour, score in enumerate(scores):
        if score >= threshold:
            number += hour > quiet_until
            quiet_until = hour + 24
    return number


def rows_of(found: Found, cpu: float) -> list[Row]:
    """Return what is written down."""
    about = {"laboratories": found.judged, "days": JUDGED_DAYS}
    rows = [Row(engine="none", parameters={**about, "what": "learning and judging", "clock": "cpu"},
                figure=cpu, unit="seconds")]  # fmt: skip
    a_day = HUB / max(1, found.judged) / JUDGED_DAYS
    of_held = a_day * found.judged / max(1, found.held)
    for threshold in THRESHOLDS:
        at = {**about, "threshold": threshold}
        rows += [
            Row(engine="none", parameters={**at, "what": what}, figure=number[threshold] * scale,
                unit="a day of 4,500 laboratories")
            for what, number, scale in (
                ("false alarms of silence", found.false, a_day),
                ("days off that nobody told", found.untold, a_day),
                ("false alarms of too few", found.short_false, of_held),
            )
        ]  # fmt: skip
        for _, name in CLASSES:
            for when in ("any moment", "working hours"):
                told = {**at, "what": "whole outage", "when": when, "class": name}
                rows += _times(told, found.whole[threshold, when, name])
            rows += _times({**at, "what": "missed until found", "class": name},
                           found.missed[threshold, name], "messages")  # fmt: skip
            for what, _ in LOST:
                rows += _times({**at, "what": what, "class": name},
                               found.part[threshold, what, name])  # fmt: skip
    return rows


def _times(about: Mapping[str, object], times: list[float], unit: str = "hours") -> list[Row]:
    if not times:
        return []
    ordered = sorted(times)
    within = sum(each != float("inf") for each in times) / len(times)
    about = {**about, "outages": len(times), "found": f"{within:.3f}"}
    return [
        Row(engine="none", parameters={**about, "share": name}, unit=unit,
            figure=ordered[min(len(ordered) - 1, int(share * len(ordered)))])
        for name, share in (("p50", 0.5), ("p90", 0.9))
    ]  # fmt: skip


def main() -> None:
    """Judge, print and write down."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--laboratories", type=int, default=HUB)
    parser.add_argument("--first-seed", type=int, default=0,
                        help="The detector was made with the laboratories from 0.")  # fmt: skip
    parser.add_argument("--no-write", action="store_true")
    given = parser.parse_args()
    found, begun = Found(trends=trends_of(given.first_seed)), time.process_time()
    for seed in range(given.first_seed, given.first_seed + given.laboratories):
        judge(seed, found)
    rows = [
        msgspec.structs.replace(row, parameters={**row.parameters, "first_seed": given.first_seed})
        for row in rows_of(found, time.process_time() - begun)
    ]
    show(
        "silence",
        ("what", "figure", "unit"),
        [(" ".join(str(v) for v in row.parameters.values()), f"{row.figure:.3g}", row.unit)
         for row in rows],
    )  # fmt: skip
    if not given.no_write:
        append("silence", rows, ("numpy",))


if __name__ == "__main__":
    main()
