"""What can be asked of published figures, read from an address or a command line. Pure."""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Final, NamedTuple

import msgspec

from routing.indicator_cells import sunday_of
from schemas.areas import departments, regions
from schemas.codes.conditions import CONDITIONS
from schemas.errors import PermanentError
from schemas.figures import AGE_CLASSES, ALL_AGES, FRANCE, SEXES, Period

LEVELS: Final[Mapping[str, str]] = {
    "france": "france",
    "regions": "region",
    "departments": "department",
}
"""What `area` may ask for, beside single areas."""
MOST_AREAS: Final = 50
_WEEK: Final = re.compile(r"\d{4}-S\d{2}", re.ASCII)
_MONTH: Final = re.compile(r"\d{4}-\d{2}", re.ASCII)
_AFTER: Final = re.compile(r"(\d{1,7}|\d\.\d{1,7}\.\d{1,18})?", re.ASCII)
_NAMES: Final = frozenset({"area", "period", "from", "to", "age_class", "sex", "as_of", "after"})
_EVERY: Final = "*"


class Behind(NamedTuple):
    """Where an answer of revisions ended: the place of a level, a day and an extraction."""

    place: int = 0
    day: int = 0
    extraction: int = 0

    @property
    def text(self) -> str:
        """What `after` gives back."""
        return f"{self.place}.{self.day}.{self.extraction}"


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """Which figures of a condition; empty sets and None ask for all."""

    levels: tuple[str, ...] = ("france",)
    areas: frozenset[str] = frozenset()
    """Single areas; empty: all of the levels."""
    period: Period = Period.DAY
    first: int = 0
    """Ordinals of the last days of times."""
    last: int = date.max.toordinal()
    age_classes: frozenset[str] = frozenset({ALL_AGES})
    sexes: frozenset[str] = frozenset({""})
    as_of: datetime | None = None
    after: int = 0
    """Read on behind this day: from the answer before."""
    behind: Behind = Behind()
    """The same of revisions."""


def read_asked(pairs: Iterable[tuple[str, str]]) -> Asked:
    """Return what is asked for.

    Raises:
        PermanentError: `bad_question`: which word, and what it may be. The value is not repeated.
    """
    given: dict[str, str] = {}
    for name, value in pairs:
        if name not in _NAMES:
            raise _bad("a word that is none", f"the words are {', '.join(sorted(_NAMES))}")
        if name in given:
            raise _bad(name, "once, several values separated by commas")
        given[name] = value.strip()
    levels, areas = _areas(given.get("area", ""))
    period = _period(given.get("period", ""))
    return Asked(
        levels=levels,
        areas=areas,
        period=period,
        first=_day("from", given.get("from", ""), period, 0),
        last=_day("to", given.get("to", ""), period, date.max.toordinal()),
        age_classes=_of("age_class", given.get("age_class", ""), (ALL_AGES, *AGE_CLASSES)),
        sexes=_sexes(given.get("sex", "")),
        as_of=_moment(given.get("as_of", "")),
        after=_after(given.get("after", "")),
        behind=_behind(given.get("after", ""), len(levels)),
    )


def known_condition(condition: str) -> None:
    """Refuse a condition that no table knows.

    Raises:
        PermanentError: `no_such_condition`.
    """
    if condition not in CONDITIONS:
        raise PermanentError("no_such_condition", "its codes are those of docs/conditions.md")


def _areas(text: str) -> tuple[tuple[str, ...], frozenset[str]]:
    asked = [each.strip() for each in (text or "france").split(",")]
    if len(asked) > MOST_AREAS:
        raise _bad("area", f"at most {MOST_AREAS} areas, or departments for all of them")
    levels: dict[str, None] = {}
    single: set[str] = set()
    whole: set[str] = set()
    for each in asked:
        if each in LEVELS:
            levels[LEVELS[each]] = None
            whole.add(LEVELS[each])
            continue
        kind, _, code = each.partition(":")
        known = regions().keys() if kind == "region" else departments().keys()
        if kind not in {"region", "department"} or code not in known:
            raise _bad("area", "france, regions, departments, region:84 or department:75")
        levels[kind] = None
        single.add(each)
    if single and whole:
        single_kinds = {each.partition(":")[0] for each in single}
        if FRANCE in whole and len(whole) == 1:
            single.add(FRANCE)
        elif single_kinds & whole:
            single = set()
        else:
            raise _bad("area", "single areas, or whole levels: ask for each apart")
    return tuple(levels), frozenset(single)


def _period(text: str) -> Period:
    try:
        return Period(text or "day")
    except ValueError:
        raise _bad("period", ", ".join(each.value for each in Period)) from None


def _day(name: str, text: str, period: Period, default: int) -> int:
    """Return a day: of a named week or month the first for `from`, the last for `to`."""
    if not text:
        return default
    try:
        if _WEEK.fullmatch(text):
            last = date.fromordinal(sunday_of(text))
            first = last - timedelta(days=6)
        elif _MONTH.fullmatch(text):
            first = date.fromisoformat(f"{text}-01")
            last = first.replace(day=monthrange(first.year, first.month)[1])
        else:
            first = last = date.fromisoformat(text)
    except (ValueError, OverflowError):
        raise _bad(name, "a day (2026-03-06), a week (2026-S10) or a month (2026-03)") from None
    if name == "to":
        return last.toordinal()
    # A month is kept under its first day.
    return (first.replace(day=1) if period is Period.MONTH else first).toordinal()


def _of(name: str, text: str, allowed: tuple[str, ...]) -> frozenset[str]:
    if not text:
        return frozenset({allowed[0]})
    if text == _EVERY:
        return frozenset()
    asked = frozenset(each.strip() for each in text.split(","))
    if not asked <= set(allowed):
        raise _bad(name, f"{', '.join(allowed)}, or {_EVERY} for all")
    return asked


def _sexes(text: str) -> frozenset[str]:
    if not text:
        return frozenset({""})
    if text == _EVERY:
        return frozenset()
    asked = frozenset(each.strip() for each in text.split(","))
    if not asked <= {*SEXES, "all"}:
        raise _bad("sex", f"all, {', '.join(SEXES)}, or {_EVERY} for each of them")
    return frozenset("" if each == "all" else each for each in asked)


def _moment(text: str) -> datetime | None:
    if not text:
        return None
    try:
        if len(text) == len("2026-03-06"):
            return datetime.combine(date.fromisoformat(text), time.max, UTC)
        found = datetime.fromisoformat(text)
    except ValueError:
        raise _bad("as_of", "a day or a time with its zone: 2026-03-06T08:00:00Z") from None
    if found.tzinfo is None:
        raise _bad("as_of", "a time needs its zone: 2026-03-06T08:00:00Z")
    return found


def _after(text: str) -> int:
    if not _AFTER.fullmatch(text):
        raise _bad("after", "what the answer before gave as `next`")
    return int(text) if text and "." not in text else 0


def _behind(text: str, levels: int) -> Behind:
    if "." not in text:
        return Behind()
    found = Behind(*map(int, text.split(".")))
    if found.place >= levels:
        raise _bad("after", "what the answer before gave as `next`, to the same question")
    return found


def _bad(name: str, should: str) -> PermanentError:
    return PermanentError("bad_question", f"{name}: {should}")
