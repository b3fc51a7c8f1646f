"""A French population made one person at a time: person i of a seed, whoever asks, in any order.

People come in blocks of eight neighbours that hold a few households each. Everything about a person
is drawn from generators of their own number, so that one of a million costs as little as the first.

INS numbers are unique by construction: eight blocks' worth of order numbers (the last three digits)
repeat only with another class, and the class decides month of birth, year modulo 8 and commune of
birth modulo 32, each shifted by the order number so that nobody sees a pattern. A twin takes the
order number after the twin's, as at a town hall.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from functools import lru_cache
from random import Random

import msgspec

from . import names, numbers
from .blocks import BLOCK, Layout, Pair, Role, household_shape, layout
from .person import Household, Natal, Person
from .places import by_population, communes, countries
from .seeds import Stream, Weighted, below, generator, mixed

_ORDERS = 496
"""Order numbers 1, 3, 5 ... 991 for people of their own, the even ones for their twins."""
_YEARS = 8
_PLACES = 32
LARGEST = _ORDERS * 12 * _YEARS * _PLACES
"""Beyond this number of persons two of them could share an INS."""

_DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_STREETS = (
    "RUE DE LA REPUBLIQUE", "RUE VICTOR HUGO", "AVENUE JEAN JAURES", "RUE PASTEUR",
    "PLACE DE L'EGLISE", "RUE DU MOULIN", "CHEMIN DES VIGNES", "RUE DES ECOLES",
    "BOULEVARD GAMBETTA", "IMPASSE DES LILAS", "RUE DU GENERAL LECLERC", "ALLEE DES TILLEULS",
    "RUE DE LA GARE", "ROUTE DE LA MER", "QUAI DES CHARTRONS", "RUE JULES FERRY",
)  # fmt: skip
_TWINS_ALIKE = 0.3
"""Share of twins who get the elder's sex anyway; with chance, two of three pairs agree."""
_GIVENS = Weighted([(1, 0.25), (2, 0.35), (3, 0.36), (4, 0.04)])


class Shares(msgspec.Struct, frozen=True, kw_only=True):
    """How often something is the case, as shares of the people it can befall."""

    born_abroad: float = 0.11
    default_date: float = 0.25
    """Of adults born abroad."""
    without_ins: float = 0.06
    used_name: float = 0.65
    """Of married women; one married man in fifty bears the other name."""
    used_given: float = 0.03
    email: float = 0.55
    landline: float = 0.45
    without_mobile: float = 0.06


class Population:
    """A population: `person(i)` is always the same person for the same seed and day.

    Args:
        seed: Seed, zero or more.
        size: Number of persons, at most `LARGEST`.
        on: The day on which people have their ages; nobody is born after it.
        shares: How often what happens.

    Raises:
        ValueError: If `size` is out of range.
    """

    def __init__(self, seed: int, size: int, on: date, shares: Shares | None = None) -> None:
        if not 1 <= size <= LARGEST:
            raise ValueError(f"a population holds 1 to {LARGEST} persons")
        self._seed = seed
        self._size = size
        self._on = on
        self._shares = shares or Shares()
        self._layout = lru_cache(maxsize=4096)(lambda block: layout(seed, block))
        self._household = lru_cache(maxsize=4096)(self._make_household)

    def __len__(self) -> int:
        """Return the number of persons."""
        return self._size

    def __iter__(self) -> Iterator[Person]:
        """Make everybody, in the order of their numbers."""
        return (self.person(index) for index in range(self._size))

    def person(self, index: int) -> Person:
        """Return one person; fast in any order and without memory of who was asked for before.

        Raises:
            IndexError: If there is no such person.
        """
        if not 0 <= index < self._size:
            raise IndexError("no such person")
        block, slot = divmod(index, BLOCK)
        plan = self._layout(block)
        pair = self._pair_of(plan, block, slot)
        household = self._household(block, plan.households[slot])
        role = plan.roles[slot]
        original = block * BLOCK + pair.first if pair else index
        rng = generator(self._seed, Stream.PERSON, original)
        sex, natal = self._born(rng, original, plan)
        if pair:
            rng = generator(self._seed, Stream.TWIN, index)
            if pair.twins and rng.random() >= _TWINS_ALIKE:
                sex = _sex(rng, role, household.first_sex)
        givens = _givens(rng, natal.born_on.year, sex)
        if pair:
            givens = self._paired_givens(pair, original, givens)
        return self._finish(
            rng,
            index,
            role=role,
            household=household,
            natal=natal,
            sex=sex,
            givens=givens,
            pair=pair,
        )

    def parent_of(self, index: int) -> int | None:
        """Return the first adult of a child's household; None for adults."""
        block, slot = divmod(index, BLOCK)
        plan = self._layout(block)
        if plan.roles[slot] is not Role.CHILD:
            return None
        first = next(
            place
            for place in range(BLOCK)
            if plan.households[place] == plan.households[slot] and plan.roles[place] is Role.FIRST
        )
        return block * BLOCK + first

    def _pair_of(self, plan: Layout, block: int, slot: int) -> Pair | None:
        """Return the pair this slot is the younger one of, if both of it exist."""
        if plan.pair and plan.pair.second == slot and block * BLOCK + slot < self._size:
            return plan.pair
        return None

    def _paired_givens(self, pair: Pair, original: int, givens: tuple[str, ...]) -> tuple[str, ...]:
        """Give a twin another first name than the elder's, and a homonym the same."""
        first = self.person(original).givens[0]
        others = tuple(name for name in givens if names.folded(name) != names.folded(first))
        if not pair.twins:
            return (first, *others)
        return others or ("Camille" if first != "Camille" else "Dominique",)

    def _make_household(self, block: int, number: int) -> Household:
        rng = generator(self._seed, Stream.HOUSEHOLD, block, number)
        plan = self._layout(block)
        kind = household_shape(plan, number)
        first_year, second_year, children = kind.years(rng, self._on.year)
        return Household(
            number=block * BLOCK + number,
            commune=by_population().draw(rng),
            street=f"{1 + below(rng, 140)} {_STREETS[below(rng, len(_STREETS))]}",
            mobile=numbers.mobile(below(rng, 10_000)),
            landline=numbers.landline(below(rng, 10_000))
            if rng.random() < self._shares.landline
            else "",
            first_year=first_year,
            second_year=second_year,
            first_family=names.surname(rng, first_year),
            second_family=names.surname(rng, second_year),
            first_sex=kind.first_sex(rng),
            married=rng.random() < 0.72,
            children_years=children,
        )

    def _born(self, rng: Random, index: int, plan: Layout) -> tuple[str, Natal]:
        """Draw sex, name, date and place of birth inside the person's class (see the module)."""
        block, slot = divmod(index, BLOCK)
        household = self._household(block, plan.households[slot])
        role = plan.roles[slot]
        sex = _sex(rng, role, household.first_sex)
        classed, order = divmod(index, _ORDERS)
        shift = mixed(self._seed, order)
        classed, month = divmod(classed, 12)
        place, year = divmod(classed, _YEARS)
        month = (month + shift) % 12 + 1
        year = (year + (shift >> 8)) % _YEARS
        place = (place + (shift >> 16)) % _PLACES
        child = role is Role.CHILD
        wanted = _year_of(role, household, plan.ranks[slot])
        born = wanted - (wanted - year) % _YEARS
        abroad = rng.random() < self._shares.born_abroad * (0.3 if child else 1.0)
        code = _abroad(rng, place) if abroad else _in_france(rng, place, household, child=child)
        default = abroad and not child and rng.random() < self._shares.default_date
        born_on = _default_day(rng, born) if default else _day(rng, born, month)
        while born_on > self._on:
            born_on = _moved(born_on, -_YEARS)
        return sex, Natal(
            family=household.second_family if role is Role.PARTNER else household.first_family,
            born_on=born_on,
            place=code,
            default_date=default,
            month_code=month + 19 if default else month,
        )

    def _finish(
        self,
        rng: Random,
        index: int,
        *,
        role: Role,
        household: Household,
        natal: Natal,
        sex: str,
        givens: tuple[str, ...],
        pair: Pair | None,
    ) -> Person:
        shares = self._shares
        home = communes()[household.commune]
        spouse = household.first_family if role is Role.PARTNER else household.second_family
        adult_couple = role in {Role.PARTNER, Role.FIRST} and household.married
        bears = rng.random() < (shares.used_name if sex == "F" else 0.02)
        original = index - index % BLOCK + pair.first if pair else index
        number = original % _ORDERS * 2 + (2 if pair else 1)
        digits = (
            f"{1 if sex == 'M' else 2}{natal.born_on.year % 100:02d}{natal.month_code:02d}"
            f"{natal.place}{number:03d}"
        )
        own_mobile = numbers.mobile(below(rng, 10_000))
        minor = self._on.year - natal.born_on.year < 14
        mobile = household.mobile if minor else own_mobile
        has_mobile = rng.random() >= shares.without_mobile
        has_ins = rng.random() >= shares.without_ins
        second_name = rng.random() < shares.used_given and len(givens) > 1
        mailbox = f"{names.folded(givens[0])}.{names.folded(natal.family)}".lower()
        mailbox = mailbox.replace(" ", "-").replace("'", "")
        has_mail = rng.random() < shares.email and not minor
        return Person(
            index=index,
            household=household.number,
            sex=sex,
            birth_family=natal.family,
            givens=givens,
            used_family=spouse if adult_couple and bears and spouse != natal.family else "",
            used_given=givens[1] if second_name else "",
            birth_date=natal.born_on,
            birth_place=natal.place,
            ins=digits + numbers.nir_key(digits) if has_ins else "",
            mobile=mobile if has_mobile else "",
            landline=household.landline,
            email=f"{mailbox}{index % 97}@example.org" if has_mail else "",
            street=household.street,
            postcode=home.postcode,
            city=home.town,
            commune=home.code,
            twin_of=self._other(index, twins=True),
            homonym_of=self._other(index, twins=False),
        )

    def _other(self, index: int, *, twins: bool) -> int | None:
        """Return who shares this person's birth, if both are in the population."""
        block, slot = divmod(index, BLOCK)
        pair = self._layout(block).pair
        if pair is None or pair.twins is not twins or slot not in {pair.first, pair.second}:
            return None
        if block * BLOCK + pair.second >= self._size:
            return None
        return block * BLOCK + (pair.first + pair.second - slot)


def _givens(rng: Random, year: int, sex: str) -> tuple[str, ...]:
    found: list[str] = []
    for _ in range(_GIVENS.draw(rng)):
        name = names.given_name(rng, year, sex)
        if name not in found:
            found.append(name)
    return tuple(found)


def _sex(rng: Random, role: Role, first_sex: str) -> str:
    """Return M or F; always draws one number, so that what follows stays in step."""
    drawn = "F" if rng.random() < 0.49 else "M"
    if role is Role.CHILD:
        return drawn
    if role is Role.PARTNER:
        return "F" if first_sex == "M" else "M"
    return first_sex


def _year_of(role: Role, household: Household, rank: int) -> int:
    if role is Role.CHILD:
        return household.children_years[rank]
    return household.second_year if role is Role.PARTNER else household.first_year


def _day(rng: Random, year: int, month: int) -> date:
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    length = 29 if leap and month == 2 else _DAYS[month - 1]
    return date(year, month, 1 + below(rng, length))


def _default_day(rng: Random, year: int) -> date:
    return date(year, 12, 31) if rng.random() < 0.35 else date(year, 1, 1)


def _moved(day: date, years: int) -> date:
    """Return the same day in another year; 29 February becomes the 28th."""
    return date(day.year + years, day.month, min(day.day, 28 if day.month == 2 else day.day))


def _abroad(rng: Random, residue: int) -> str:
    table = countries()
    return table[residue if rng.random() < 0.8 else residue + _PLACES].code


def _in_france(rng: Random, residue: int, household: Household, *, child: bool) -> str:
    """Return a commune of birth of this residue, near home for most people."""
    table = communes()
    near = rng.random() < (0.85 if child else 0.5)
    drawn = by_population().draw(rng)
    base = household.commune if near else drawn
    place = base - base % _PLACES + residue
    return table[place if place < len(table) else place - _PLACES].code
