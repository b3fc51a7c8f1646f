"""The order of the segments held against the structure of their message.

One regular expression over the names takes a right order; where it does not, a walk through the
structure says what is missing, repeated, misplaced or unknown. Z segments may stand anywhere; they
are left out before. Source: HL7 v2.5.1 2.5.2 and 2.12 (abstract message syntax).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from schemas.place import Place

from .er7 import Segment
from .hl7_tables import Node, tables_of
from .segment_walk import Note


@lru_cache(maxsize=64)
def order_pattern(version: str, structure: str) -> re.Pattern[str] | None:
    """Return the expression of a structure over names with a space after each; None without one.

    Every step is possessive: what was taken is never undone, so an order costs its length.
    """
    root = tables_of(version).messages.get(structure)
    return None if root is None else re.compile(_pattern(root))


def _pattern(node: Node) -> str:
    one = f"{node.name} " if node.name else "".join(map(_pattern, node.children))
    if node.most == 1:
        return one if node.least else f"(?:{one})?+"
    return f"(?:{one}){'+' if node.least else '*'}+"


def walk_order(segments: Sequence[Segment], version: str, structure: str, note: Note) -> None:
    """Tell what is off in the order of segments; those given are no Z segments."""
    plan = _plan(version, structure)
    walk = _Walk(segments, plan.names, note)
    walk.group(plan, frozenset(), frozenset())
    walk.rest()


class _Plan:
    """A node of a structure, with all that is asked of it while segments are walked."""

    __slots__ = ("children", "first", "names", "node", "rest_first", "rest_names")

    def __init__(self, node: Node) -> None:
        self.node = node
        self.children: tuple[_Plan, ...] = tuple(map(_Plan, node.children))
        none: frozenset[str] = frozenset()
        own = frozenset({node.name}) if node.name else none
        self.names: frozenset[str] = own.union(*(child.names for child in self.children))
        """Every name that stands in it."""
        self.first: frozenset[str] = own | self._first()
        """The names with which it may begin."""
        self.rest_first = none
        """The names with which what follows it in its group may begin."""
        self.rest_names = none
        """Every name of what follows it in its group."""
        for number, child in enumerate(self.children):
            rest = self.children[number + 1 :]
            child.rest_first = none.union(*(one.first for one in rest))
            child.rest_names = none.union(*(one.names for one in rest))

    def _first(self) -> frozenset[str]:
        names: frozenset[str] = frozenset()
        for child in self.children:
            names |= child.first
            if child.node.least and not _may_be_empty(child.node):
                break
        return names


@lru_cache(maxsize=64)
def _plan(version: str, structure: str) -> _Plan:
    return _Plan(tables_of(version).messages[structure])


class _Walk:
    """The segments of one message, and how far the structure has taken them."""

    def __init__(self, segments: Sequence[Segment], known: frozenset[str], note: Note) -> None:
        self.segments = segments
        self.names = [segment.name for segment in segments]
        self.known = known
        self.note = note
        self.at = 0

    def group(self, group: _Plan, begins: frozenset[str], after: frozenset[str]) -> None:
        """Take what belongs to a group.

        Args:
            group: Whose segments come next.
            begins: Names with which something around it may begin after it.
            after: Every name that may come after it.
        """
        for child in group.children:
            node = child.node
            later_first, later = begins | child.rest_first, after | child.rest_names
            taken = 0
            while self._begins(child, later_first, later, taken):
                if taken and node.most == 1:
                    self._told("hl7_segment_repeated")
                    continue
                taken += 1
                before = self.at
                if node.name:
                    self.at += 1
                elif node.most == 1:
                    self.group(child, later_first, later)
                else:
                    self.group(child, later_first | child.first, later | child.names)
                if self.at == before:
                    break
            if taken < node.least:
                self._missing(node)

    def rest(self) -> None:
        """Tell of what no group has taken."""
        while self.at < len(self.names):
            self._told("hl7_segment_order")

    def _begins(
        self, child: _Plan, later_first: frozenset[str], later: frozenset[str], taken: int
    ) -> bool:
        """Say whether the next segment is of this child, past those that are of nothing here."""
        while self.at < len(self.names):
            name = self.names[self.at]
            if name in child.first:
                # Once is taken: another of the same name may begin what comes later.
                return not (taken and child.node.most == 1 and name in later_first)
            # A group that lacks its first segment is entered once, and what it lacks is told.
            if name in child.names and not taken and name not in later_first:
                return True
            if name in later:
                return False
            self._told("hl7_segment_order")
        return False

    def _told(self, code: str) -> None:
        """Tell of the next segment and pass it."""
        segment = self.segments[self.at]
        self.note(code if segment.name in self.known else "hl7_segment_unknown", segment.place())
        self.at += 1

    def _missing(self, node: Node) -> None:
        name = node.name or next(iter(_required(node)), "")
        if name:
            sequence = 1 + sum(name == taken for taken in self.names[: self.at])
            self.note("hl7_segment_missing", Place(name, sequence))


def _may_be_empty(node: Node) -> bool:
    return not node.name and all(not c.least or _may_be_empty(c) for c in node.children)


def _required(node: Node) -> list[str]:
    """Return the names that must stand in a node, in order."""
    names = []
    for child in node.children:
        if child.least:
            names += [child.name] if child.name else _required(child)
    return names
