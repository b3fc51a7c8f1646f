"""Which events of a stream a reader gets: by condition, department, result and day of sampling.

A filter is no part of a cursor. The fold of what a filtered reader gets (the highest
`event_version` of a part wins) is the filtered fold of the stream: what fitted and fits no more is
withdrawn of it (`routing/selecting.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Final, NamedTuple

import msgspec

from schemas.codes import CONDITIONS, Result
from schemas.errors import PermanentError
from schemas.patient import Address
from schemas.topics import Stream

from .places import department_of

OUT_OF_FILTER: Final = "out_of_filter"
"""The reason of a withdrawal that only a filtered reader gets."""
PARAMETERS: Final = ("condition", "department", "result", "from", "to")
"""What a filter is asked by, over HTTP and on the command line."""

_DEPARTMENT: Final = re.compile(r"\d\d|2[AB]|97\d|98\d")
_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
_MOST_VALUES: Final = 500
"""Of one filter: more than there are of anything."""
_REPLACED: Final = "pseudonym_replaced"


class StreamFilter(msgspec.Struct, frozen=True, kw_only=True):
    """What a reader gets; an empty set asks for nothing in particular.

    Public health: `condition`, `residence_department`, `result` and `sampled_on` of the row (a
    second line has no `result`; of an anonymous row the first day of its month stands for all).
    `PseudonymReplaced` is about rows of any kind and fits every filter but `is_nothing`. Contact
    tracing: `condition`, the department of the postcode, `result`, and the day of `sampled_at`,
    else of `reported_at`; what has no day fits any. The dossier takes no filter.
    """

    conditions: frozenset[str] = frozenset()
    departments: frozenset[str] = frozenset()
    results: frozenset[str] = frozenset()
    since: date | None = None
    """sampled_on >= since"""
    until: date | None = None
    """sampled_on <= until"""
    is_nothing: bool = False
    """Fits nothing at all: what two filters that exclude each other have in common."""

    def __bool__(self) -> bool:
        """Say whether it keeps anything back."""
        return self != EVERYTHING


EVERYTHING: Final = StreamFilter()


class _Facts(NamedTuple):
    condition: str
    department: str
    result: str
    day: str


class _Row(msgspec.Struct):
    record: str = "result"
    condition: str = ""
    residence_department: str = ""
    result: str = ""
    sampled_on: str = ""


class _Case(msgspec.Struct):
    condition: str = ""
    postcode: str = ""
    result: str = ""
    sampled_at: str = ""
    reported_at: str = ""


_ROW: Final = msgspec.json.Decoder(_Row)
_CASE: Final = msgspec.json.Decoder(_Case)


def parse_filter(stream: Stream, pairs: Iterable[tuple[str, str]]) -> StreamFilter:
    """Return the filter of `name=value` pairs; a value may list several, with commas.

    Raises:
        PermanentError: `bad_filter`, with the name and what it may be; never the value.
    """
    asked: dict[str, list[str]] = {}
    for name, value in pairs:
        if name not in PARAMETERS:
            raise _bad(f"a filter is one of {', '.join(PARAMETERS)}")
        asked.setdefault(name, []).extend(value.split(","))
        if len(asked[name]) > _MOST_VALUES:
            raise _bad(f"{name}: at most {_MOST_VALUES} values")
    since, until = _day(asked, "from"), _day(asked, "to")
    if since is not None and until is not None and since > until:
        raise _bad("from: not after `to`")
    found = StreamFilter(
        conditions=_values(asked, "condition", CONDITIONS),
        departments=_departments(asked),
        results=_values(asked, "result", {each.value: each for each in Result}),
        since=since,
        until=until,
    )
    check_filter(stream, found)
    return found


def check_filter(stream: Stream, asked: StreamFilter) -> None:
    """Let pass what this stream can be filtered by.

    Raises:
        PermanentError: `bad_filter`: nothing of the dossier is given for what cannot be looked at.
    """
    if stream is Stream.DOSSIER and asked:
        raise _bad("the dossier takes no filter: a Bundle is a whole report")


def pairs_of(asked: StreamFilter) -> list[tuple[str, str]]:
    """Return what `parse_filter` takes, in one order: for logs of who read what, and for eyes."""
    found = [
        (name, ",".join(sorted(values)))
        for name, values in (
            ("condition", asked.conditions),
            ("department", asked.departments),
            ("result", asked.results),
        )
        if values
    ]
    found += [
        (name, day.isoformat())
        for name, day in (("from", asked.since), ("to", asked.until))
        if day is not None
    ]
    return found


def both(one: StreamFilter, other: StreamFilter) -> StreamFilter:
    """Return the filter that what fits both fits, and nothing else."""
    since = max(filter(None, (one.since, other.since)), default=None)
    until = min(filter(None, (one.until, other.until)), default=None)
    conditions = _common(one.conditions, other.conditions)
    departments = _common(one.departments, other.departments)
    results = _common(one.results, other.results)
    if (
        one.is_nothing
        or other.is_nothing
        or conditions is None
        or departments is None
        or results is None
        or (since is not None and until is not None and since > until)
    ):
        return StreamFilter(is_nothing=True)
    return StreamFilter(
        conditions=conditions, departments=departments, results=results, since=since, until=until
    )


def fits(stream: Stream, asked: StreamFilter, body: bytes | msgspec.Raw) -> bool:
    """Say whether a body is what the filter asks for.

    Raises:
        PermanentError: `bad_filter`: this stream takes none.
    """
    if asked == EVERYTHING:
        return True
    if asked.is_nothing:
        return False
    check_filter(stream, asked)
    facts = _row(body) if stream is Stream.PUBLIC_HEALTH else _case(body)
    return facts is None or (
        _is_in(facts.condition, asked.conditions)
        and _is_in(facts.department, asked.departments)
        and _is_in(facts.result, asked.results)
        and _is_within(facts.day, asked)
    )


def is_told_by_part(asked: StreamFilter, part: str) -> bool:
    """Say whether the part alone tells that no version of it can fit: nothing need be opened."""
    return asked.is_nothing or bool(part and asked.conditions and part not in asked.conditions)


def _row(body: bytes | msgspec.Raw) -> _Facts | None:
    row = _ROW.decode(body)
    if row.record == _REPLACED:
        return None
    return _Facts(row.condition, row.residence_department, row.result, row.sampled_on)


def _case(body: bytes | msgspec.Raw) -> _Facts:
    case = _CASE.decode(body)
    day = next((each for each in (case.sampled_at, case.reported_at) if _DAY.match(each)), "")
    department = department_of(Address(postcode=case.postcode))
    return _Facts(case.condition, department, case.result, day)


def _is_in(value: str, asked: frozenset[str]) -> bool:
    return not asked or value in asked


def _is_within(day: str, asked: StreamFilter) -> bool:
    """Compare as texts: ISO days sort as days do."""
    if not day:
        return True
    return (asked.since is None or day[:10] >= asked.since.isoformat()) and (
        asked.until is None or day[:10] <= asked.until.isoformat()
    )


def _common(one: frozenset[str], other: frozenset[str]) -> frozenset[str] | None:
    """Return what both ask for, None where that is nothing; an empty set asks for anything."""
    if not one or not other:
        return one or other
    return (one & other) or None


def _values(
    asked: Mapping[str, list[str]], name: str, allowed: Mapping[str, object]
) -> frozenset[str]:
    values = frozenset(asked.get(name, ()))
    if not values <= allowed.keys():
        raise _bad(f"{name}: one or more of {', '.join(allowed)}")
    return values


def _departments(asked: Mapping[str, list[str]]) -> frozenset[str]:
    values = frozenset(asked.get("department", ()))
    if not all(_DEPARTMENT.fullmatch(each) and each.isascii() for each in values):
        raise _bad("department: one or more as 01, 2A, 75, 974")
    return values


def _day(asked: Mapping[str, list[str]], name: str) -> date | None:
    values = asked.get(name)
    if values is None:
        return None
    try:
        if len(values) == 1 and values[0].isascii() and _DAY.fullmatch(values[0]):
            return date.fromisoformat(values[0])
    except ValueError:
        pass
    raise _bad(f"{name}: one day as 2026-03-06")


def _bad(remedy: str) -> PermanentError:
    return PermanentError("bad_filter", remedy)
