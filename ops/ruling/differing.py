"""Which past reports another set of rules would send elsewhere. Counts, and ids of some. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final
from uuid import UUID

import msgspec

from routing.case import Case
from routing.router import Router
from routing.rules import NO_RULE
from schemas.decision import RoutedPart
from schemas.topics import Stream

LISTED: Final = 20
"""Report ids that are named of each change."""
MAX_CHANGES: Final = 2_000
"""Kinds of change that are told apart; what is beyond is counted as one."""


class Place(msgspec.Struct, frozen=True, array_like=True, order=True):
    """Where a set of rules sends a part of a report in one stream, and by which rule."""

    state: str
    """`due`, `hold` or `no`."""
    rule: str
    what: str
    """The projection, where it is due; the reason, where it waits."""
    condition: str = ""
    """The part; empty: the whole report."""
    rest: str = ""
    """Why the rest waits of what is due."""


class Change(msgspec.Struct, kw_only=True):
    """Parts of reports, of one stream, that both sets judge in the same two ways."""

    stream: Stream
    before: Place
    after: Place
    reports: int = 0
    some: list[UUID] = []

    @property
    def moves(self) -> bool:
        """Whether the stream would hold something else; else another rule says the same."""
        return _holds(self.before) != _holds(self.after)


class Difference(msgspec.Struct, kw_only=True):
    """What would change, if all reports that were looked at were judged again."""

    before: str
    after: str
    reports: int = 0
    unreadable: int = 0
    moved: int = 0
    """Reports of which at least one stream would hold something else."""
    changes: list[Change] = []
    beyond: int = 0
    """Of further kinds of change, how many times."""


class Differing:
    """Holds two routers beside each other, report by report; what it keeps is bounded.

    Args:
        before: Of the rules in effect.
        after: Of the rules that are tried.
    """

    def __init__(self, before: Router, after: Router) -> None:
        self._before, self._after = before, after
        self._changes: dict[tuple[Stream, Place, Place], Change] = {}
        self.found = Difference(before=before.version, after=after.version, changes=[])

    def look(self, cases: Iterable[Case]) -> None:
        """Judge some reports by both."""
        for case in cases:
            one, other = self._places(self._before, case), self._places(self._after, case)
            self.found.reports += 1
            moved = False
            for stream, part in sorted(one.keys() | other.keys()):
                nowhere = Place("no", NO_RULE, "", part)
                before = one.get((stream, part), nowhere)
                after = other.get((stream, part), nowhere)
                if before != after:
                    moved = self._note(stream, before, after, case.report_id) or moved
            self.found.moved += moved

    def finish(self, unreadable: int) -> Difference:
        """Return what was found, what moves most reports first."""
        self.found.unreadable = unreadable
        self.found.changes = sorted(
            self._changes.values(),
            key=lambda c: (not c.moves, -c.reports, c.stream, c.before, c.after),
        )
        return self.found

    @staticmethod
    def _places(router: Router, case: Case) -> dict[tuple[Stream, str], Place]:
        return {
            (stream, part): _place(part, routed)
            for stream, parts in router.route(case).parts.items()
            for part, routed in parts.items()
        }

    def _note(self, stream: Stream, before: Place, after: Place, report_id: UUID) -> bool:
        key = (stream, before, after)
        change = self._changes.get(key)
        if change is None:
            change = Change(stream=stream, before=before, after=after, some=[])
            if len(self._changes) >= MAX_CHANGES:
                self.found.beyond += 1
                return change.moves
            self._changes[key] = change
        change.reports += 1
        if len(change.some) < LISTED:
            change.some.append(report_id)
        return change.moves


def _place(part: str, routed: RoutedPart) -> Place:
    if routed.due:
        assert routed.projection is not None, "what is due is given as something"
        return Place("due", routed.rule, routed.projection.value, part, routed.hold)
    if routed.hold:
        return Place("hold", routed.rule, routed.hold, part)
    return Place("no", routed.rule, "", part)


def _holds(place: Place) -> tuple[str, ...]:
    return place.state, place.what, place.condition, place.rest


def difference_as_text(found: Difference) -> str:
    """Return it for a terminal: numbers, rules and report ids, never a value."""
    by = f"{found.before} (in effect) and by {found.after}"
    lines = [f"{found.reports:,} reports judged by {by}: {found.moved:,} would go elsewhere"]
    if found.unreadable:
        lines.append(f"{found.unreadable:,} can be read no more")
    for change in found.changes:
        note = "" if change.moves else "   (another rule, the same place)"
        lines.append(
            f"{change.reports:>10,}  {change.stream}: {_said(change.before)} -> "
            f"{_said(change.after)}{note}"
        )
        lines += [f"            {each}" for each in change.some if change.moves]
    if found.beyond:
        lines.append(f"{found.beyond:>10,}  of further kinds of change")
    return "\n".join(lines) + "\n"


def _said(place: Place) -> str:
    by = "" if place.rule in {"", NO_RULE} else f" by {place.rule}"
    if place.state == "due":
        of = f" ({place.condition})" if place.condition else ""
        rest = f", the rest waits for {place.rest}" if place.rest else ""
        return f"due as {place.what}{of}{by}{rest}"
    of = f" ({place.condition})" if place.condition else ""
    return f"waits for {place.what}{of}{by}" if place.state == "hold" else f"not due{of}{by}"
