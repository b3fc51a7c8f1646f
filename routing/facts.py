"""What rules may look at of a report, and the parts of it that are judged apart. Pure."""

from __future__ import annotations

from bisect import bisect_right
from typing import Final

import msgspec

from schemas.codes import Kind, Result
from schemas.decision import Realm
from schemas.report import ResultStatus
from schemas.topics import Stream

from .doubts import Doubted

WHOLE: Final = ""
"""The part that is a whole report: of a stream whose projection is not about one condition."""
BY_CONDITION: Final = frozenset({Stream.CONTACT_TRACING, Stream.PUBLIC_HEALTH})
"""Streams that are given each condition of a report apart; the dossier gets the whole."""

Sign = tuple[str, Kind, Result]
"""A finding as rules see it: condition, kind of analysis, result."""


class Facts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that a rule may look at; also the form of an example."""

    status: ResultStatus
    findings: tuple[Sign, ...] = ()
    """The decisive one first."""
    qualified: bool = True
    """The person has a qualified INS of this realm."""
    ins_realm_ok: bool = True
    """False: a test INS in production."""
    beside: frozenset[str] = frozenset()
    """Conditions of whose case another report counts."""
    waiting: frozenset[str] = frozenset()
    """Conditions whose case is not known: this is a second line, and its first has not come."""
    again: frozenset[str] = frozenset()
    """Conditions whose episode another case of the person opened, in the 60 days before."""
    doubts: frozenset[Doubted] = frozenset()
    """What is doubted of the report (routing/doubts.py)."""
    released: frozenset[tuple[Stream, str]] = frozenset()
    """Doubts that a person has let go, by stream and reason."""
    laboratory: str = ""
    """Its registry id: whose connection the message came over."""
    department: str = ""
    """Of residence; empty where it is not known."""
    age: int | None = None
    """Completed years at sampling; None where it is not known."""
    realm: Realm = Realm.PRODUCTION


class Sight(msgspec.Struct, frozen=True, kw_only=True):
    """Which facts a set of rules looks at; every other is left out, so that few facts differ."""

    laboratories: frozenset[str] = frozenset()
    departments: frozenset[str] = frozenset()
    cuts: tuple[int, ...] = ()
    """Ages at which what rules say may change, in order."""
    realms: bool = False
    again: bool = False
    doubts: frozenset[str] = frozenset()

    def age(self, years: int | None) -> int | None:
        """Return the youngest age that all rules take for the same."""
        if years is None or not self.cuts:
            return None
        place = bisect_right(self.cuts, years)
        return self.cuts[place - 1] if place else 0


def parts_of(stream: Stream, facts: Facts) -> tuple[str, ...]:
    """Return the parts of a report that a stream is given apart: the decisive one first.

    Conditions that are found, then those of which something is doubted, by name.
    """
    if stream not in BY_CONDITION:
        return (WHOLE,)
    found = dict.fromkeys(condition for condition, _, _ in facts.findings)
    if facts.doubts:
        found |= dict.fromkeys(sorted(each.condition for each in facts.doubts if each.condition))
    return tuple(found)
