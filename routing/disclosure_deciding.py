"""What may be shown of a condition's week: finest cells first tried, then told coarser. Pure.

Each area is told as a set of nodes, never finer than its parent, than the group of counts before,
or than an earlier extraction. A node is split only where each of its parts is nobody or enough.
Then, for each parent, what its children withhold is solved against what is known (the transport
problem of disclosure_flow); where a cell could be shown to be small, a sister tells less (secondary
suppression), until none can. Why this holds for all tables at once: ADR 0045.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import Final, NamedTuple

from schemas.areas import areas, parent_of
from schemas.figures import ALL_AGES, FRANCE, Figure, Period

from .disclosure_cells import (
    DAYS,
    GROUPS,
    LIMITS,
    MONTH,
    POSITIVES,
    WEEK,
    Cells,
    Counts,
    Node,
    Shown,
    counts_of,
    first_day,
    last_day,
    tells,
    week_label,
)
from .disclosure_flow import FREE, UNLIMITED, Parts, Row, shown_small
from .disclosure_policy import Policy

Told = dict[Node, bool]
"""The finest nodes that an area tells, and whether nobody is in them."""
Masks = tuple[list[int], list[int]]
_EVERYTHING: Final = (1 << 140) - 1
_NOTHING_HIDDEN: Final[Masks] = ([], [_EVERYTHING])


def decide(
    figures: Sequence[Figure],
    policy: Policy,
    on: date,
    before: Shown | None = None,
    last_week: Sequence[Figure] = (),
) -> Shown:
    """Say what may be shown of a condition's week, or month.

    Args:
        figures: All of it, at least one: `day` figures of its seven days and its `week` figures (of
            a month: its `month` figures), of every area, age class and sex with their margins, as
            counted. An area without figures has nobody.
        policy: What the operator decided.
        on: The day of the extraction. Days from then on, and a week that is not over, wait.
        before: What an earlier extraction said of this block: what was withheld stays withheld.
        last_week: The `week` figures of the week before; they say who is told by days.
    """
    block = _block(figures[0])
    by_month = "-S" not in block
    settled = _settled(block, policy, on)
    cells = Cells(figures)
    deciding = _Deciding(cells, policy, before, settled, by_month=by_month)
    every = _children(areas())
    daily, nodes = {}, {}
    for group in GROUPS:
        daily[group] = (
            before.daily.get(group, ())
            if before is not None
            else _by_days(group, figures, last_week, policy, settled)
        )
        deciding.decide_group(group, frozenset(daily[group]), every)
        nodes[group] = deciding.names(group)
        deciding.add_young(nodes[group], group, block, on)
    return Shown(
        condition=figures[0].condition,
        block=block,
        decided=tuple(sorted({*settled, *(before.decided if before is not None else ())})),
        daily=daily,
        nodes=nodes,
        lowest=() if by_month or WEEK not in settled else deciding.lowest(figures, every),
    )


class _Deciding:
    def __init__(
        self,
        cells: Cells,
        policy: Policy,
        before: Shown | None,
        settled: Sequence[str],
        *,
        by_month: bool,
    ) -> None:
        self._cells = cells
        self._policy = policy
        self._before = before
        self._settled = settled
        self._by_month = by_month
        self._told: dict[str, dict[str, Told]] = {}

    def decide_group(
        self, group: str, daily: frozenset[str], every: Mapping[str, Sequence[str]]
    ) -> None:
        """Decide what all areas tell of a group of counts, parents before children."""
        self._told[group] = told = {}
        told[FRANCE] = self._candidate(group, FRANCE, daily, _NOTHING_HIDDEN)
        for parent, children in every.items():
            known = _masks(told[parent])
            for child in children:
                told[child] = self._candidate(group, child, daily, known)
            self._tell_less(group, parent, children)

    def names(self, group: str) -> dict[str, tuple[str, ...]]:
        """Return the names of what is told, of the areas that tell anything."""
        return {
            area: tuple(node.key + "=" * nobody for node, nobody in sorted(told.items()))
            for area, told in self._told[group].items()
            if told
        }

    def add_young(
        self, names: dict[str, tuple[str, ...]], group: str, block: str, on: date
    ) -> None:
        """Let France tell its total of the days that are not settled, and nobody anything else."""
        if self._by_month:
            return
        young = []
        for at, day in enumerate(DAYS):
            node = Node(day)
            counts = self._cells.of(group, FRANCE, node)
            past = first_day(block) + timedelta(days=at) <= on
            if past and day not in self._settled and all(map(self._policy.safe, counts)):
                young.append(node.key)
        names[FRANCE] = (*names.get(FRANCE, ()), *young)

    def lowest(
        self, figures: Iterable[Figure], every: Mapping[str, Sequence[str]]
    ) -> tuple[str, ...]:
        """Return the areas that get the lowest class of incidence in place of a number.

        All that a parent's children withhold of the week must be in it, else its absence would
        tell of one that it is not; and it must be wide enough to tell nothing of a small count.
        """
        limit, least = self._policy.incidence_classes[1], 2 * self._policy.threshold - 2
        low, withheld = set(), set()
        for figure in figures:
            if figure.period != Period.WEEK or figure.age_class != ALL_AGES or figure.sex:
                continue
            if tells(_masks(self._told[POSITIVES].get(figure.area, {})), Node(WEEK).mask):
                continue
            withheld.add(figure.area)
            inhabitants = figure.population or 0
            widest = (limit * inhabitants - 1) // 100_000
            if widest >= least and (figure.cases or 0) * 100_000 < limit * inhabitants:
                low.add(figure.area)
        found: list[str] = []
        for children in every.values():
            closed = withheld.intersection(children)
            if closed <= low:
                found.extend(closed)
        return tuple(sorted(found))

    def _candidate(self, group: str, area: str, daily: frozenset[str], parent: Masks) -> Told:
        """Return the finest nodes that an area may tell, its sisters left aside."""
        if self._by_month:
            roots: Sequence[str] = (MONTH,)
        else:
            roots = DAYS if area == FRANCE or area in daily else (WEEK,)
        allowed = self._allowed(group, area, parent)
        told: Told = {}
        for time in roots:
            root = Node(time)
            counts = self._cells.of(group, area, root)
            if time in self._settled and all(map(self._policy.safe, counts)) and allowed(root):
                self._grow(group, area, root, allowed, told)
        return told

    def _grow(
        self, group: str, area: str, node: Node, allowed: Callable[[Node], bool], told: Told
    ) -> None:
        nobody = not any(self._cells.of(group, area, node))
        for split in () if nobody else node.splits():
            if all(
                all(map(self._policy.safe, self._cells.of(group, area, part))) and allowed(part)
                for part in split
            ):
                for part in split:
                    self._grow(group, area, part, allowed, told)
                return
        told[node] = nobody

    def _allowed(self, group: str, area: str, parent: Masks) -> Callable[[Node], bool]:
        """Return what says whether a node is no finer than what it must not be finer than."""
        bounds = [parent]
        if group in LIMITS:
            bounds.append(_masks(self._told[LIMITS[group][0]].get(area, {})))
        before = self._before
        earlier = None if before is None else before.masks(group, area)
        decided = () if before is None else before.decided

        def allowed(node: Node) -> bool:
            mask = node.mask
            if earlier is not None and node.time in decided and not tells(earlier, mask):
                return False
            return all(tells(bound, mask) for bound in bounds)

        return allowed

    def _tell_less(self, group: str, parent: str, children: Sequence[str]) -> None:
        """Let children tell less until no cell of theirs can be shown to be small."""
        told = self._told[group]
        finest = [node for node, nobody in told[parent].items() if not nobody]
        levels = [(finest, None), *self._of_unknown(group, finest, children)]
        given_up: set[tuple[int, int, Row, int]] = set()
        found = True
        while found:
            found = False
            for level, (columns, asked) in enumerate(levels):
                solved: list[tuple[Parts, object]] = []
                for measure in range(len(self._cells.of(group, FRANCE, Node(WEEK)))):
                    problem = _Problem(self._cells, group, measure, columns, children, told)
                    limits = self._limits(group, measure, problem)
                    if (problem.parts, limits) in solved:
                        continue
                    solved.append((problem.parts, limits))
                    for row, column in shown_small(
                        problem.parts, self._policy.threshold, limits, asked
                    ):
                        if (level, measure, row, column) not in given_up:
                            found = True
                            if not _close_one(problem, told, row, column):
                                given_up.add((level, measure, row, column))

    def _of_unknown(
        self, group: str, finest: Sequence[Node], children: Sequence[str]
    ) -> list[tuple[list[Node], frozenset[int]]]:
        """Return the coarser levels at which some child has a few, all of unknown age or sex.

        They are in no column of the finest level, so that level does not see them.
        """
        levels: dict[int, dict[Node, None]] = {}
        wider: dict[Node, list[Node]] = {}
        for node in finest:
            above = node.above()
            while above is not None:
                wider.setdefault(above, []).append(node)
                above = above.above()
        for node, parts in wider.items():
            for child in children:
                counts = self._cells.of(group, child, node)
                if all(map(self._policy.safe, counts)):
                    continue
                below = [self._cells.of(group, child, part) for part in parts]
                if any(
                    not self._policy.safe(count) and not any(part[at] for part in below)
                    for at, count in enumerate(counts)
                ):
                    levels.setdefault(_depth(node), {})[node] = None
                    break
        found = []
        for depth, nodes in sorted(levels.items(), reverse=True):
            others = [node for node in wider if _depth(node) == depth and node not in nodes]
            short = [node for node in finest if _depth(node) <= depth]
            found.append(([*nodes, *others, *short], frozenset(range(len(nodes)))))
        return found

    def _limits(self, group: str, measure: int, problem: _Problem) -> dict[Row, dict[int, int]]:
        """Return what counts cannot exceed: positives no more than the tests that are told."""
        if group not in LIMITS:
            return {}
        larger, fields = LIMITS[group]
        masks = {child: _masks(told) for child, told in self._told[larger].items()}
        found: dict[Row, dict[int, int]] = {}
        for row, members in problem.members.items():
            of_row = found.setdefault(row, {})
            for column, children in members.items():
                node = problem.columns[column]
                limit = 0
                for child in children:
                    if tells(masks[child], node.mask):
                        limit += self._cells.of(larger, child, node)[fields[measure]]
                    else:
                        limit += UNLIMITED
                of_row[column] = limit
        return found


class _Exact(NamedTuple):
    """A child that tells a column itself."""

    held: int
    child: str
    node: Node


class _Problem:
    """What the children of a parent withhold of one count, as rows and columns."""

    def __init__(
        self,
        cells: Cells,
        group: str,
        measure: int,
        columns: Sequence[Node],
        children: Sequence[str],
        told: Mapping[str, Told],
    ) -> None:
        self.columns = columns
        self.parts: Parts = {}
        self.members: dict[Row, dict[int, list[str]]] = {}
        self.exact: dict[int, list[_Exact]] = {}
        for child in children:
            rows = [(node, node.mask, nobody) for node, nobody in told[child].items()]
            for column, node in enumerate(columns):
                count = cells.of(group, child, node)[measure]
                mask = node.mask
                within = [each for each, wider, _ in rows if not mask & ~wider]
                if not within and not any(not each & ~mask for _, each, _ in rows):
                    self._add(FREE, column, count, child)
                elif within and within[0].mask != mask and not told[child][within[0]]:
                    self._add((child, within[0].key), column, count, child)
                elif count:
                    self.exact.setdefault(column, []).append(_Exact(count, child, node))

    def _add(self, row: Row, column: int, count: int, child: str) -> None:
        held = self.parts.setdefault(row, {})
        held[column] = held.get(column, 0) + count
        self.members.setdefault(row, {}).setdefault(column, []).append(child)


def _close_one(problem: _Problem, told: Mapping[str, Told], row: Row, column: int) -> bool:
    """Close what tells of a column: a sister's cell, else a row's sum. False: nothing does.

    What was closed since the problem was put needs no closing: it is put again.
    """
    exact = problem.exact.get(column, [])
    for cell in sorted(exact):
        mask = cell.node.mask
        if any(not each.mask & ~mask for each in told[cell.child]):
            _close(told[cell.child], cell.node)
            return True
    rows = [each for each, held in problem.parts.items() if column in held and each != FREE]
    if exact or not rows:
        return bool(exact)
    child, key = (
        row if row in rows else min(rows, key=lambda at: (sum(problem.parts[at].values()), at))
    )
    node = next((each for each in told[child] if each.key == key), None)
    if node is not None:
        _close(told[child], node)
    return True


def _close(told: Told, node: Node) -> None:
    """Tell a node and its sisters of the same split no more, but their sum; of a root, nothing."""
    above = node.above()
    wider = node.mask if above is None else above.mask
    for each in [each for each in told if each.time == node.time and each.mask & ~wider == 0]:
        del told[each]
    if above is not None:
        told[above] = False


def _depth(node: Node) -> int:
    above = node.above()
    return 0 if above is None else 1 + _depth(above)


def _masks(told: Told) -> Masks:
    return [node.mask for node in told], [node.mask for node, nobody in told.items() if nobody]


def _children(every: Iterable[str]) -> dict[str, list[str]]:
    """Return the children of each area that has some, parents before children."""
    found: dict[str, list[str]] = {FRANCE: []}
    for area in every:
        parent = parent_of(area)
        if parent:
            found.setdefault(parent, []).append(area)
    return found


def _settled(block: str, policy: Policy, on: date) -> tuple[str, ...]:
    last = last_day(block)
    wait = timedelta(days=max(1, policy.settle_days))
    if "-S" not in block:
        return (MONTH,) if last + wait <= on else ()
    first = first_day(block)
    days = tuple(day for at, day in enumerate(DAYS) if first + timedelta(days=at) + wait <= on)
    return (*days, WEEK) if last + wait <= on else days


def _by_days(
    group: str,
    figures: Iterable[Figure],
    last_week: Sequence[Figure],
    policy: Policy,
    settled: Sequence[str],
) -> tuple[str, ...]:
    """Return the areas that had enough, a day, in the week before; else in this week so far."""
    period, days = (Period.WEEK, 7) if last_week else (Period.DAY, 0)
    counts: dict[str, int] = {}
    for figure in last_week or figures:
        if figure.period != period or figure.age_class != ALL_AGES or figure.sex:
            continue
        if not last_week and str(date.fromisoformat(figure.label).isoweekday()) not in settled:
            continue
        counts[figure.area] = counts.get(figure.area, 0) + _main(counts_of(figure, group))
    days = days or len([day for day in settled if day != WEEK])
    return tuple(sorted(area for area, n in counts.items() if n >= policy.daily_from * days > 0))


def _main(counts: Counts) -> int:
    return counts[0]


def _block(figure: Figure) -> str:
    if figure.period == Period.DAY:
        return week_label(date.fromisoformat(figure.label))
    return figure.label
