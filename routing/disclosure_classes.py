"""How finely an area may tell what its tests of a week divide into: delays, say. Pure.

The tests of a week are divided into *bins*, each test in one. A `Division` is a ladder: a level
names classes of bins, and each class of a level is a union of those of the level before. An area
tells one level of it, or nothing; France tells its days besides.

What is promised: of every class that an area does not tell there are counts, none below zero, that
agree with all that is told and give that class `threshold` or more, or nobody is in it.

How: two tests of one day, of two areas, change bins with each other. The tests of every area and
day, age and sex stay as they are; so do the bins of whatever both areas are part of. An area that
tells classes sees nothing of it where both bins are in one class. It is counted how many such
exchanges there are at least; where they are too few, a sister tells less (ADR 0048).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from schemas.areas import region_of
from schemas.figures import FRANCE

from .disclosure_cells import ELSEWHERE
from .disclosure_policy import Policy

Bins = Sequence[int]
"""Tests by bin."""
Class = tuple[int, ...]
"""Its bins."""
_WEEK: Final = 7


class Division(msgspec.Struct, frozen=True, kw_only=True):
    """What tests divide into, and how coarsely that may be told, the finest level first."""

    levels: tuple[tuple[Class, ...], ...]

    @property
    def bins(self) -> int:
        """How many bins there are."""
        return sum(map(len, self.levels[0]))


class Levels(msgspec.Struct, frozen=True, kw_only=True):
    """Which level each area tells; who is not in it tells nothing. Keep it with the extraction."""

    areas: dict[str, int] = {}
    days: int | None = None
    """What France tells of each day of the week."""


class ToldTests(msgspec.Struct, frozen=True, kw_only=True):
    """What is told of the number of tests: no division is told where that is not."""

    of_week: frozenset[str]
    """Areas whose tests of the week are told."""
    of_any: frozenset[str]
    """Areas of which anything of the week is told."""
    days: bool
    """Those of each day, of France."""


def decide_classes(
    division: Division,
    tests: Mapping[str, Sequence[Bins]],
    told: ToldTests,
    policy: Policy,
    before: Levels | None = None,
) -> Levels:
    """Say how finely each area may tell a division of its tests of a week.

    Args:
        division: The ladder.
        tests: Of each department (empty: unknown, or none of ours) the seven days' tests by bin.
        told: What is told of the tests themselves.
        policy: What the operator decided.
        before: What was told of this week already: nothing is told finer than that.
    """
    return _Deciding(division, tests, told, policy, before).decide()


def area_bins(tests: Mapping[str, Sequence[Bins]]) -> dict[str, list[list[int]]]:
    """Return the seven days' tests by bin of every area; of who lives nowhere known, `elsewhere`.

    Departments that are none of ours are among those.
    """
    found: dict[str, list[list[int]]] = {}
    for department, days in tests.items():
        region = region_of(department) if department else ""
        places = (f"region:{region}", f"department:{department}") if region else (ELSEWHERE,)
        for area in (FRANCE, *places):
            held = found.get(area)
            if held is None:
                found[area] = [list(day) for day in days]
            else:
                for sums, day in zip(held, days, strict=True):
                    sums[:] = map(sum, zip(sums, day, strict=True))
    return found


class _Deciding:
    def __init__(
        self,
        division: Division,
        tests: Mapping[str, Sequence[Bins]],
        told: ToldTests,
        policy: Policy,
        before: Levels | None,
    ) -> None:
        self._ladder = division.levels
        self._untold = len(division.levels)
        self._told = told
        self._policy = policy
        self._before = before
        bins = area_bins(tests)
        self._children = _children(bins)
        self._parents = {child: area for area, some in self._children.items() for child in some}
        # The last level is that of who tells nothing: all tests are one class.
        every = (*division.levels, (tuple(range(division.bins)),))
        self._counts = {
            area: [[[_of(day, each) for day in days] for each in level] for level in every]
            for area, days in bins.items()
        }
        self._above = [
            [
                {
                    level: next(at for at, other in enumerate(every[level]) if each[0] in other)
                    for level in range(lower, len(every))
                }
                for each in classes
            ]
            for lower, classes in enumerate(every)
        ]
        self._level: dict[str, int] = {}

    def decide(self) -> Levels:
        if FRANCE not in self._counts:
            return Levels()
        self._level[FRANCE] = self._finest(FRANCE, 0)
        for area in (FRANCE, *self._children.get(FRANCE, ())):
            for child in self._children.get(area, ()):
                self._level[child] = self._finest(child, self._level[area])
        asked = set(self._level) - {FRANCE}
        while asked and self._level[FRANCE] < self._untold:
            exposed = sorted(area for area in asked if self._exposed(area) is not None)
            asked = set(exposed)
            for area in exposed:
                place = self._exposed(area)  # what was told coarser since may do for it too
                if place is not None:
                    asked |= self._tell_less(area, *place)
        return Levels(
            areas={
                area: level
                for area, level in sorted(self._level.items())
                if level < self._untold and self._level[FRANCE] < self._untold
            },
            days=self._days(),
        )

    def _finest(self, area: str, least: int) -> int:
        """Return the finest level, from one on, of which each class is nobody or enough."""
        if area == ELSEWHERE or area not in self._told.of_week:
            return self._untold
        if self._before is not None:
            least = max(least, self._before.areas.get(area, self._untold))
        for level in range(least, self._untold):
            if all(self._policy.safe(sum(days)) for days in self._counts[area][level]):
                return level
        return self._untold

    def _exposed(self, area: str) -> tuple[int, int] | None:
        """Return a class (level and place) of an area that could be shown to be small."""
        for level in range(self._level[FRANCE], self._level[area]):
            for at, days in enumerate(self._counts[area][level]):
                count = sum(days)
                if self._policy.safe(count):
                    continue
                if self._gain(area, level, at) < self._policy.threshold - count:
                    return level, at
        return None

    def _gain(self, area: str, level: int, at: int) -> int:
        """Return how many more tests of a class an area could have, for all that is told."""
        partners = self._partners(area)
        mates = self._mates(area)
        own = (area, *mates)
        gained = sum(sum(self._counts[mate][level][at]) for mate in mates)
        by_level: dict[int, list[str]] = {}
        for partner, shared in partners.items():
            if shared > level and partner not in mates:
                by_level.setdefault(shared, []).append(partner)
        above = self._above[level][at]
        for day in range(_WEEK):
            used = 0
            of_class = sum(self._counts[each][level][at][day] for each in own)
            for shared, some in sorted(by_level.items()):
                whole = sum(self._counts[each][shared][above[shared]][day] for each in own)
                there = sum(self._counts[each][level][at][day] for each in some)
                used += max(0, min(there, whole - of_class - used))
            gained += used
        return gained

    def _partners(self, area: str) -> dict[str, int]:
        """Return with whom an area's tests may change bins, and within classes of which level.

        Two sisters: within what both tell. An area and one in another region: within what both
        regions tell, for departments tell no finer than these.
        """
        parent = self._parents[area]
        found = {
            each: min(self._level[area], self._level[each])
            for each in self._children[parent]
            if each != area
        }
        if parent != FRANCE:
            found |= {
                each: min(self._level[parent], self._level[each])
                for each in self._children[FRANCE]
                if each != parent
            }
        return found

    def _mates(self, area: str) -> tuple[str, ...]:
        """Return whose tests may as well be an area's own, for nothing is told of either's."""
        if not self._is_free(area):
            return ()
        parent = self._parents[area]
        found = [each for each in self._children[parent] if each != area and self._is_free(each)]
        if parent != FRANCE and self._is_free(parent):
            found += [e for e in self._children[FRANCE] if e != parent and self._is_free(e)]
        return tuple(found)

    def _is_free(self, area: str) -> bool:
        return area not in self._told.of_any

    def _tell_less(self, area: str, level: int, at: int) -> set[str]:
        """Let a sister tell less, the smallest that has what is wanted; else who is above."""
        line = [area]
        while line[-1] != FRANCE:
            line.append(self._parents[line[-1]])
        for each in line[:-1]:
            sisters = [
                (sum(self._counts[sister][level][at]), sister)
                for sister in self._children[self._parents[each]]
                if sister not in line and self._level[sister] < self._untold
            ]
            some = [(count, sister) for count, sister in sisters if count]
            if some:
                return self._raise(min(some)[1])
            above = self._parents[each]
            if above != FRANCE and self._level[above] < self._untold:
                return self._raise(above)
        return self._raise(FRANCE)

    def _raise(self, area: str) -> set[str]:
        """Let an area tell the next coarser level, and its parts none finer; return who changed."""
        level = self._finest(area, self._level[area] + 1)
        changed, waiting = set(), [area]
        while waiting:
            each = waiting.pop()
            own = level if each == area else self._finest(each, max(level, self._level[each]))
            if own == self._level[each] and each != area:
                continue
            self._level[each] = own
            changed.add(each)
            waiting += self._children.get(each, ())
        return changed - {FRANCE}

    def _days(self) -> int | None:
        """Return the level that France tells of each day."""
        least = self._level[FRANCE]
        if self._before is not None:
            least = max(least, self._untold if self._before.days is None else self._before.days)
        if not self._told.days:
            return None
        for level in range(least, self._untold):
            counts = self._counts[FRANCE][level]
            if all(map(self._policy.safe, _each(counts))) and self._days_hold(level):
                return level
        return None

    def _days_hold(self, told: int) -> bool:
        """Say whether no class of a day can be shown to be small.

        Two tests of one department, of two days, change bins: its week stays as it is.
        """
        leaves = [area for area in self._counts if area not in self._children]
        for level in range(self._level[FRANCE], told):
            for at, days in enumerate(self._counts[FRANCE][level]):
                whole = self._above[level][at][told]
                for day, count in enumerate(days):
                    if self._policy.safe(count):
                        continue
                    gain = 0
                    for leaf in leaves:
                        own = self._counts[leaf][level][at]
                        others = self._counts[leaf][told][whole][day] - own[day]
                        gain += min(sum(own) - own[day], others)
                    if gain < self._policy.threshold - count:
                        return False
        return True


def _children(areas: Iterable[str]) -> dict[str, list[str]]:
    """Return who is part of whom, of areas that have any tests."""
    found: dict[str, list[str]] = {FRANCE: []}
    for area in sorted(areas):
        kind, _, code = area.partition(":")
        if kind == "department":
            found.setdefault(f"region:{region_of(code)}", []).append(area)
        elif area != FRANCE:
            found[FRANCE].append(area)
    return found


def _of(day: Bins, some: Class) -> int:
    return sum(day[each] for each in some)


def _each(classes: Iterable[Iterable[int]]) -> Iterable[int]:
    return (count for days in classes for count in days)
