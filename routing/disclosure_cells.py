"""The cells that disclosure control speaks of: nodes of a tree over days, ages and sexes. Pure.

A node is a day, the whole week, or a month; of an age range (`0` is all ages); of a sex, or both.
Where a node is told finer, all its parts are told; so whoever is told a part is told the whole.
Persons of unknown age or sex are in no part; they are in the counts of the nodes above.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import date, timedelta
from functools import lru_cache
from typing import Final, NamedTuple

import msgspec

from schemas.areas import is_region
from schemas.figures import AGE_CLASSES, ALL_AGES, FRANCE, SEXES, VARIANT_MARKS, Figure, Period

ELSEWHERE: Final = "elsewhere"
"""Of France, whoever is in none of its regions: the residence is unknown. It is never shown, but it
follows by subtraction, so it is protected as a region that tells nothing."""
WEEK: Final = "w"
MONTH: Final = "m"
DAYS: Final = ("1", "2", "3", "4", "5", "6", "7")
"""Of a week: Monday is `1`."""
TESTS: Final = "tests"
POSITIVES: Final = "positives"
VARIANTS: Final = "variants"
FIELDS: Final = {
    TESTS: ("tests", "persons", "eligible_persons"),
    POSITIVES: ("positive_tests", "positive_persons", "cases"),
    VARIANTS: ("screened",),
}
"""Group -> fields of a figure: they are shown together or not at all. What a group knows of an area
is never finer than what the group before it does."""
GROUPS: Final = tuple(FIELDS)
WINDOWED: Final = frozenset({"persons", "eligible_persons", "positive_persons", "cases"})
"""Fields that over several days are not the sum of the days: a person is counted once."""
WINDOW_GROUPS: Final = tuple(group for group in GROUPS if WINDOWED.intersection(FIELDS[group]))
LIMITS: Final = {POSITIVES: (TESTS, (0, 1, 2)), VARIANTS: (POSITIVES, (0,) * 7)}
"""Group -> the group whose counts its own cannot exceed, count by count."""
_ALL: Final = AGE_CLASSES
# A range that holds a few is told with its neighbour, the others stay apart: so two by two, not ten
# at once.
_SPLITS: Final = {
    _ALL: (_ALL[:4], _ALL[4:]),
    _ALL[:4]: (_ALL[:2], _ALL[2:4]),
    _ALL[4:]: (_ALL[4:6], _ALL[6:]),
    _ALL[6:]: (_ALL[6:8], _ALL[8:]),
    **{pair: ((pair[0],), (pair[1],)) for pair in (_ALL[i : i + 2] for i in range(0, 10, 2))},
}
_PARENTS: Final = {child: parent for parent, children in _SPLITS.items() for child in children}

Counts = tuple[int, ...]


class Node(NamedTuple):
    """A cell or a union of cells."""

    time: str
    """`1` to `7`, `w` or `m`."""
    ages: tuple[str, ...] = _ALL
    sex: str = ""

    @property
    def key(self) -> str:
        """Return its name, as it is kept: `3:0`, `w:09-39`, `3:90F`."""
        if self.ages == _ALL:
            return f"{self.time}:0{self.sex}"
        last = f"-{self.ages[-1]}" if len(self.ages) > 1 else ""
        return f"{self.time}:{self.ages[0]}{last}{self.sex}"

    def splits(self) -> list[tuple[Node, ...]]:
        """Return how it can be told finer: by age, else by sex; nothing of a sex alone."""
        if self.sex:
            return []
        by_sex = tuple(self._replace(sex=sex) for sex in SEXES)
        parts = _SPLITS.get(self.ages)
        by_age = [] if parts is None else [tuple(self._replace(ages=part) for part in parts)]
        return [*by_age, by_sex]


@lru_cache(maxsize=8192)
def wider_than(node: Node) -> tuple[Node, ...]:
    """Return the nodes that a node is a part of, itself among them, the narrowest first."""
    ranges: list[tuple[str, ...]] = [node.ages]
    while ranges[-1] in _PARENTS:
        ranges.append(_PARENTS[ranges[-1]])
    times = (node.time,) if node.time in {WEEK, MONTH} else (node.time, WEEK)
    sexes = (node.sex, "") if node.sex else ("",)
    return tuple(Node(time, ages, sex) for time in times for ages in ranges for sex in sexes)


@lru_cache(maxsize=8192)
def above(node: Node) -> Node | None:
    """Return the node that a node is split from; None of a root."""
    if node.sex:
        return node._replace(sex="")
    parent = _PARENTS.get(node.ages)
    return None if parent is None else node._replace(ages=parent)


@lru_cache(maxsize=4096)
def node_of(key: str) -> Node:
    """Return the node of a name."""
    time, _, rest = key.partition(":")
    sex = rest[-1] if rest[-1] in SEXES else ""
    first, _, last = rest.removesuffix(sex).partition("-")
    if first == ALL_AGES:
        return Node(time, _ALL, sex)
    start = AGE_CLASSES.index(first)
    return Node(time, AGE_CLASSES[start : AGE_CLASSES.index(last or first) + 1], sex)


class Told:
    """What an area tells of a group of counts: the finest nodes, and whether nobody is in them."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self.nodes: dict[Node, bool] = {}
        self._above: Counter[Node] = Counter()
        self.totals: set[Node] = set()
        """Totals of a sex over all ages that may be told beside the ages they are the sum of."""
        for name in names:
            if name.endswith("+"):
                self.totals.add(node_of(name[:-1]))
            else:
                self.tell(node_of(name.rstrip("=")), nobody=name.endswith("="))

    def tell(self, node: Node, *, nobody: bool) -> None:
        """Tell a node, which nothing told is a part of."""
        self.nodes[node] = nobody
        self._count(node, 1)

    def close(self, node: Node) -> None:
        """Tell a node and its sisters of a split no more, but their sum; of a root, nothing."""
        wider = above(node) or node
        for each in [each for each in self.nodes if each == wider or wider in _line(each)]:
            del self.nodes[each]
            self._count(each, -1)
        if wider != node:
            self.tell(wider, nobody=False)

    def tells(self, node: Node) -> bool:
        """Say whether the count of a node is told, or follows from what is."""
        if node in self.nodes or self._above[node] > 0:
            return True
        if any(self.nodes.get(wider, False) for wider in wider_than(node)):
            return True
        if node.time == WEEK and all(self.tells(node._replace(time=day)) for day in DAYS):
            return True
        parts = _SPLITS.get(node.ages) if node.sex else None
        return parts is not None and all(self.tells(node._replace(ages=part)) for part in parts)

    def shows(self, node: Node) -> bool:
        """Say whether the count of a node may be shown.

        As `tells`; but a total of a sex over all ages has persons of unknown age too, who are in
        none of its parts.
        """
        if not node.sex or node.ages != _ALL or node in self.nodes or not self.tells(node):
            return self.tells(node)
        if any(self.nodes.get(wider, False) for wider in wider_than(node)):
            return True
        if node.time == WEEK and node not in self.totals:
            return all(self.shows(node._replace(time=day)) for day in DAYS)
        return node in self.totals

    def holder(self, node: Node) -> Node | None:
        """Return the finest told node that a node is a part of; None where there is none."""
        return next((wider for wider in wider_than(node) if wider in self.nodes), None)

    def names(self) -> tuple[str, ...]:
        """Return the names of what is told, `=` after those that nobody is in."""
        return (
            *(node.key + "=" * nobody for node, nobody in sorted(self.nodes.items())),
            *(f"{node.key}+" for node in sorted(self.totals)),
        )

    def _count(self, node: Node, by: int) -> None:
        for each in _line(node):
            self._above[each] += by


@lru_cache(maxsize=8192)
def _line(node: Node) -> tuple[Node, ...]:
    """Return the nodes above a node, up to its root."""
    parent = above(node)
    return () if parent is None else (parent, *_line(parent))


class Cells:
    """The counts of a block by area and node.

    Args:
        figures: `day` and `week` figures of one week, or `month` figures.
        is_window: They are of one window instead: told as a month is, of its persons alone.
    """

    def __init__(self, figures: Iterable[Figure], *, is_window: bool = False) -> None:
        self._counts: dict[tuple[str, str, str, str, str], Counts] = {}
        self._memory: dict[tuple[str, str, Node], Counts] = {}
        self.areas: set[str] = set()
        for figure in figures:
            time = MONTH if is_window else time_of(figure)
            if not time:
                continue
            self.areas.add(figure.area)
            for group in GROUPS:
                counts = (windowed_of if is_window else counts_of)(figure, group)
                if any(counts):
                    key = (group, figure.area, time, figure.age_class, figure.sex)
                    self._counts[key] = counts

    def of(self, group: str, area: str, node: Node) -> Counts:
        """Return the counts of a node, zeros where there is none."""
        known = self._memory.get((group, area, node))
        if known is None:
            if area == ELSEWHERE:
                known = self._elsewhere(group, node)
                self._memory[group, area, node] = known
                return known
            ages = (ALL_AGES,) if node.ages == _ALL else node.ages
            each = (self._counts.get((group, area, node.time, age, node.sex)) for age in ages)
            known = _sum([counts for counts in each if counts is not None], group)
            self._memory[group, area, node] = known
        return known

    def _elsewhere(self, group: str, node: Node) -> Counts:
        regions = [self.of(group, area, node) for area in self.areas if is_region(area)]
        inside = _sum(regions, group)
        return tuple(
            max(0, count - each)
            for count, each in zip(self.of(group, FRANCE, node), inside, strict=True)
        )


def windowed_of(figure: Figure, group: str) -> Counts:
    """Return the counts of a group that are not sums of days; in the others' place stand zeros."""
    counts = counts_of(figure, group)
    fields = FIELDS[group]
    return tuple(
        count if at < len(fields) and fields[at] in WINDOWED else 0
        for at, count in enumerate(counts)
    )


def counts_of(figure: Figure, group: str) -> Counts:
    """Return the counts of a group in a figure; what is None counts nothing."""
    counts = tuple(getattr(figure, field) or 0 for field in FIELDS[group])
    if group != VARIANTS:
        return counts
    marks = tuple(count or 0 for count in figure.variants)
    return counts + (marks + (0,) * len(VARIANT_MARKS))[: len(VARIANT_MARKS)]


def time_of(figure: Figure) -> str:
    """Return the time of a node that a figure is of; empty of one that is of no node."""
    if figure.period == Period.DAY:
        return str(date.fromisoformat(figure.label).isoweekday())
    if figure.period == Period.WEEK:
        return WEEK
    return MONTH if figure.period == Period.MONTH else ""


def week_label(day: date) -> str:
    """Return the ISO week of a day: `2026-S10`."""
    year, week, _ = day.isocalendar()
    return f"{year:04d}-S{week:02d}"


def first_day(block: str) -> date:
    """Return the Monday of a week, or the first day of a month."""
    if "-S" in block:
        return date.fromisocalendar(int(block[:4]), int(block[6:]), 1)
    return date.fromisoformat(f"{block}-01")


def last_day(block: str) -> date:
    """Return the Sunday of a week, or the last day of a month."""
    first = first_day(block)
    if "-S" in block:
        return first + timedelta(days=6)
    return (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """What may be shown of one condition and block of time. Keep it with the extraction.

    It holds no count. It does tell where counts are few, so it is not published.
    """

    condition: str
    block: str
    """`2026-S10`, or `2026-03` of a condition that is told by months."""
    decided: tuple[str, ...] = ()
    """Times that were decided for every area: what was withheld of them stays withheld."""
    daily: dict[str, tuple[str, ...]] = {}
    """Group -> the areas that are told by days; the others by the week."""
    nodes: dict[str, dict[str, tuple[str, ...]]] = {}
    """Group -> area -> names of the finest nodes that may be shown; `=` after one: nobody is in it,
    so neither is anybody in a part of it; `+`: a total of a sex over all ages."""
    windows: dict[str, dict[str, dict[str, tuple[str, ...]]]] = {}
    """Weekday on which seven days end -> group -> area -> names, as of `nodes`, of the time `m`:
    what may be shown of the window's persons, if its days are shown too."""
    gained: Shown | None = None
    """What could be told of what had come at the last revision; None: there was none."""
    lost: Shown | None = None
    """The same of what had gone."""
    revised: int = 0
    """How many ages of revision had passed."""
    lowest: tuple[str, ...] = ()
    """Areas that are given the lowest class of weekly incidence in place of a number."""

    def told(self, group: str, area: str) -> Told:
        """Return what is told of an area."""
        return Told(self.nodes.get(group, {}).get(area, ()))

    def window(self, ends: str) -> Shown:
        """Return what is told of the seven days that end on a weekday, as of a month."""
        nodes = self.windows.get(ends, {})
        return Shown(condition=self.condition, block=self.block, decided=(MONTH,), nodes=nodes)


def _sum(counts: list[Counts], group: str) -> Counts:
    if len(counts) == 1:
        return counts[0]
    if not counts:
        return (0,) * (len(FIELDS[group]) + (len(VARIANT_MARKS) if group == VARIANTS else 0))
    return tuple(map(sum, zip(*counts, strict=True)))
