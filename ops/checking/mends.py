"""What would stand right in a place, where it follows from what stands there. Pure.

Only what is certain is derived: never an identity, never a key, never a result. A text that is the
same for everybody (`UNICODE UTF-8`) may be shown; one made from the value may not, but as a mask.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

import msgspec

from ingest.profile import VERSIONS
from schemas.decision import Realm
from schemas.place import Place

from .lines import Lines, Spot

_NAMES: Final = {"utf-8": "UNICODE UTF-8", "ascii": "UNICODE UTF-8", "iso8859-15": "8859/15"}
_RESULT_STATUSES: Final = frozenset("ACDFINOPRSUVWXYZ")
_ISO_TIME: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:\.\d+)?)?)?(Z|[+-]\d\d:?\d\d)?",
    re.ASCII,
)
_DAY_FIRST: Final = re.compile(r"(\d\d)[/.-](\d\d)[/.-](\d{4})", re.ASCII)
_DECIMAL_COMMA: Final = re.compile(r"[+-]?\d+,\d+", re.ASCII)


class Mend(msgspec.Struct, frozen=True, kw_only=True):
    """A text for a place; `is_constant` says that it holds nothing of the value."""

    place: Place
    text: str
    is_constant: bool = False

    def __repr__(self) -> str:
        """Return the place alone: the text may be personal data."""
        return f"<Mend of {self.place}>"


class _Case(msgspec.Struct, frozen=True):
    """A finding to mend: where, in which message, on which instance."""

    place: Place
    spot: Spot
    lines: Lines
    realm: Realm


def mend_of(code: str, place: Place, spot: Spot, lines: Lines, realm: Realm) -> Mend | None:
    """Return what would stand right there; None where it does not follow."""
    derive = _DERIVATIONS.get(code)
    if derive is None or place.field < (3 if place.segment == "MSH" else 1):
        return None
    return derive(_Case(place, spot, lines, realm))


def _constant(place: Place, text: str, component: int = 0) -> Mend:
    if component:
        place = Place(place.segment, place.sequence, place.field, 1, component)
    return Mend(place=place, text=text, is_constant=True)


def _charset(case: _Case) -> Mend | None:
    name = _NAMES.get(case.lines.codec)
    return _constant(case.place, name) if name else None


def _trigger(case: _Case) -> Mend | None:
    return _constant(case.place, "R01", 2) if case.spot.value.upper().startswith("ORU") else None


def _version(case: _Case) -> Mend | None:
    near = case.spot.value.strip()[:3]
    return _constant(case.place, near, 1) if near in VERSIONS else None


def _processing_id(case: _Case) -> Mend | None:
    return _constant(case.place, "P" if case.realm is Realm.PRODUCTION else "T", 1)


def _time(case: _Case) -> Mend | None:
    value = case.spot.value.strip()
    if match := _ISO_TIME.fullmatch(value):
        year, month, day, *clock, zone = match.groups(default="")
        if zone and not clock[0]:
            return None
        zone = zone.replace(":", "").replace("Z", "+0000")
        return _dated(case, year, month, day, "".join(clock) + zone)
    if match := _DAY_FIRST.fullmatch(value):
        day, month, year = match.groups()
        # 03/04 is two days, one of each side of the ocean: only what can be read one way.
        return _dated(case, year, month, day, "") if int(day) > 12 else None
    return None


def _dated(case: _Case, year: str, month: str, day: str, rest: str) -> Mend | None:
    if not (1 <= int(month) <= 12 and 1 <= int(day) <= 31):
        return None
    return Mend(place=_of_value(case.place), text=f"{year}{month}{day}{rest}")


def _of_value(place: Place) -> Place:
    """Return the place whose text is the value: the first repetition where none is named."""
    return Place(
        place.segment,
        place.sequence,
        place.field,
        place.repetition or 0,
        place.component,
        place.subcomponent,
    )


def _number(case: _Case) -> Mend | None:
    value = case.spot.value.strip()
    if not _DECIMAL_COMMA.fullmatch(value):
        return None
    return Mend(place=_of_value(case.place), text=value.replace(",", "."))


def _status(case: _Case) -> Mend | None:
    value = case.spot.value.strip()
    if value in _RESULT_STATUSES or value.upper() not in _RESULT_STATUSES:
        return None
    return Mend(place=_of_value(case.place), text=value.upper())


def _value_type(case: _Case) -> Mend | None:
    value = case.spot.segment.field(5)
    separators = case.lines.separators
    if re.fullmatch(r"[+-]?\d+(?:\.\d+)?", value, re.ASCII):
        return _constant(case.place, "NM")
    if value and separators.component not in value and separators.repetition not in value:
        return _constant(case.place, "ST")
    return None


_DERIVATIONS: Final[dict[str, Callable[[_Case], Mend | None]]] = {
    "charset_not_declared": _charset,
    "charset_unknown": _charset,
    "undecodable_charset": _charset,
    "trigger_missing": _trigger,
    "version_not_listed": _version,
    "processing_id_missing": _processing_id,
    "processing_id_unsupported": _processing_id,
    "time_unreadable": _time,
    "birth_date_unreadable": _time,
    "number_unreadable": _number,
    "report_status_missing": _status,
    "report_status_derived": _status,
    "observation_status_missing": _status,
    "value_type_missing": _value_type,
}
