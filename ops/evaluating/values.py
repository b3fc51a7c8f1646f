"""What a model must know of a file: its size, common values, whether families are in it. Pure.

A model of another country supposes how often two people share a value (u). Where a file shows that
they share it more often, equality weighs less: never more, and no likeness more than equality.
Values of a few records may be one person's own and count as if there were none.

FEBRL, by which `generic` was trained, knows one person an address. Where a file shows that people
who share an address often differ in given name and birth date, there are families in it, and what
tells their members apart becomes a guard. The truth is never looked at.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from dedup.compare import compare_dates, compare_names
from dedup.identity import DEFAULT, FULL, Identity
from dedup.levels import (
    BOTH_DEFAULT,
    DATE,
    DATE_DIFFERENT,
    EXACT,
    FIELDS,
    NAME_DIFFERENT,
    TWO_DIGITS,
)
from dedup.model import Model
from dedup.normalize import normalise
from schemas.patient import Traits

MAX_VALUES: Final = 100_000
"""Distinct values of a field that are counted; what is common comes early."""
FAMILY_SHARE: Final = 0.2
"""Of the pairs of one address, those of two people, from which on there are families."""
FAMILY_GUARDS: Final = {
    "given_missing": "review",
    "given_different": "new",
    "date_not_exact": "review",
}
_FEW: Final = 5
_PEOPLE_OF_A_HOME: Final = 4
_OTHER_DATE: Final = frozenset({TWO_DIGITS, DATE_DIFFERENT})
ONE_PERSON: Final = 10
"""Records that may well be one person's."""

_VALUES: Final[dict[str, Callable[[Identity], str]]] = {
    "family": lambda i: i.family,
    "given": lambda i: i.given,
    "birth_place": lambda i: i.birth_place,
    "postcode": lambda i: i.postcode,
    "city": lambda i: i.city,
    "street": lambda i: i.street,
    "house": lambda i: i.house,
    "phone": lambda i: i.phones[0] if i.phones else "",
    "email": lambda i: i.emails[0] if i.emails else "",
    "state": lambda i: i.state,
}


def suited(model: Model, records: Iterable[Traits]) -> tuple[Model, int]:
    """Return a model whose prior and weights hold for these records, and their number."""
    counts: dict[str, Counter[str]] = {name: Counter() for name in _VALUES}
    days: dict[str, Counter[str]] = {FULL: Counter(), DEFAULT: Counter()}
    homes = _Homes()
    size = 0
    for traits in records:
        size += 1
        identity = normalise(traits)
        for name, value_of in _VALUES.items():
            _count(counts[name], value_of(identity))
        if identity.date_kind in days:
            _count(days[identity.date_kind], identity.birth_date)
        homes.take(identity)
    weights = [list(row) for row in model.weights]
    for name, count in counts.items():
        _lower(weights[FIELDS.index(name)], EXACT, _most(count, count.total()))
    dated = days[FULL].total() + days[DEFAULT].total()
    _lower(weights[DATE], EXACT, _most(days[FULL], dated))
    weights[DATE][BOTH_DEFAULT] = min(weights[DATE][BOTH_DEFAULT], _most(days[DEFAULT], dated))
    fitted = msgspec.structs.replace(
        model,
        weights=tuple(tuple(row) for row in weights),
        guards={**FAMILY_GUARDS, **model.guards} if homes.hold_families else model.guards,
    )
    return fitted.for_population(size), size


class _Homes:
    """Compares people of one address with each other, a few of each."""

    def __init__(self) -> None:
        self._people: dict[str, list[Identity]] = {}
        self._pairs = 0
        self._unlike = 0

    @property
    def hold_families(self) -> bool:
        """Say whether many pairs of one address are two people."""
        return self._unlike >= _FEW and self._unlike > FAMILY_SHARE * self._pairs

    def take(self, identity: Identity) -> None:
        """Compare somebody with those who came before from the same address."""
        if not identity.street or not (identity.given and identity.birth_date):
            return
        place = identity.postcode or identity.city
        address = f"{identity.house}|{identity.street}|{place}"
        known = self._people.get(address)
        if known is None:
            if len(self._people) < MAX_VALUES:
                self._people[address] = [identity]
            return
        for other in known:
            self._pairs += 1
            given = compare_names(identity.given, other.given)
            date = compare_dates(identity, other)
            self._unlike += given == NAME_DIFFERENT and date in _OTHER_DATE
        if len(known) < _PEOPLE_OF_A_HOME:
            known.append(identity)


def _count(counter: Counter[str], value: str) -> None:
    if value and (value in counter or len(counter) < MAX_VALUES):
        counter[value] += 1


def _most(count: Counter[str], total: int) -> int:
    """Return the most that equality may weigh: -log2 of the chance that two share a value."""
    shared = sum(max(0, n - ONE_PERSON) ** 2 for n in count.values())
    if not shared:
        return 10**6
    return round(-1000 * math.log2(min(1.0, shared / total**2)))


def _lower(row: list[int], exact: int, most: int) -> None:
    """Bring the weight of equality down, and with it every likeness that would weigh more."""
    if row[exact] <= most:
        return
    row[exact] = most
    for level, weight in enumerate(row):
        row[level] = min(weight, most)
