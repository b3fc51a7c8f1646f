"""A stream of identity records with the truth: what the matcher is trained and tested on.

Record n of a seed is always the same record, whoever asks: nothing is kept, so a million persons
cost as much memory as one. Every person has at least one record, and the records of all persons are
shuffled. What a person is (names from abroad, a move) is drawn from the person's own generator,
what a desk does to it from the record's.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import gcd
from random import Random

import msgspec

from schemas.patient import Address, Ins, Traits

from . import names
from .desk import Desk
from .foreign import foreign_family, foreign_given, transliterated
from .numbers import INS_TEST_OID, mobile
from .person import Person
from .population import Population
from .seeds import Stream, below, generator, mixed
from .slips import digit_off, spelled, tested_slip, trained_slip, turned

_ABROAD = 0.7
"""Share of people born abroad whose names are from there too."""
_STRIDE = 0x9E3779B1


class TrueRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One record: what was sent, whom it is about, and what the desk got wrong."""

    person: int
    traits: Traits
    slips: tuple[str, ...]
    """Names of the fields of `Desk` that struck."""


class _Sheet(msgspec.Struct):
    """What a desk writes, while it writes it."""

    family: str
    givens: tuple[str, ...]
    used_family: str
    used_given: str
    born_on: str
    sex: str
    place: str
    street: str
    postcode: str
    city: str
    commune: str
    phones: list[str]
    slips: list[str]


class IdentityStream:
    """Records of a population, in a shuffled order.

    Args:
        population: Whom they are about.
        desk: What goes wrong, and how often.
        records: How many; at least as many as there are persons.
        seed: Of the records, apart from that of the population.

    Raises:
        ValueError: If there are fewer records than persons.
    """

    def __init__(self, population: Population, desk: Desk, records: int, seed: int) -> None:
        if records < len(population):
            raise ValueError("a stream holds at least one record a person")
        self._population = population
        self._desk = desk
        self._records = records
        self._seed = seed
        stride = _STRIDE % records or 1
        while gcd(stride, records) != 1:
            stride += 1
        self._stride = stride

    def __len__(self) -> int:
        """Return the number of records."""
        return self._records

    def __iter__(self) -> Iterator[TrueRecord]:
        """Make every record, in the order of the stream."""
        return (self.record(number) for number in range(self._records))

    def record(self, number: int) -> TrueRecord:
        """Return record `number` of the stream."""
        persons = len(self._population)
        slot = (number * self._stride + self._seed) % self._records
        index = slot if slot < persons else mixed(self._seed, slot) % persons
        person = self.settled(index)
        rng = generator(self._seed, Stream.RECORD, index, slot)
        sheet = self._sheet(person, slot)
        self._spoil(rng, person, sheet)
        return TrueRecord(
            person=index,
            traits=self._traits(rng, person, sheet),
            slips=tuple(sheet.slips),
        )

    def settled(self, index: int) -> Person:
        """Return a person of the population, with names from abroad where they came from there."""
        person = self._population.person(index)
        if not person.birth_place.startswith("99"):
            return person
        rng = generator(self._seed, Stream.SETTLED, index)
        if rng.random() >= _ABROAD:
            return person
        return msgspec.structs.replace(
            person,
            birth_family=foreign_family(rng),
            givens=(foreign_given(rng, person.sex),),
            used_given="",
        )

    def _sheet(self, person: Person, slot: int) -> _Sheet:
        desk, rng = self._desk, generator(self._seed, Stream.SETTLED, person.index, 1)
        late = slot % 2 == 1
        moved, renumbered = rng.random() < desk.moved, rng.random() < desk.new_phone
        home = person
        if moved and late:
            home = self._population.person(below(rng, len(self._population)))
        phones = [number for number in (person.mobile, person.landline) if number]
        if renumbered and late:
            phones = [mobile(below(rng, 10_000))]
        return _Sheet(
            family=person.birth_family, givens=person.givens, used_family=person.used_family,
            used_given=person.used_given, born_on=person.birth_date.isoformat(), sex=person.sex,
            place=person.birth_place, street=home.street, postcode=home.postcode, city=home.city,
            commune=home.commune, phones=phones, slips=[],
        )  # fmt: skip

    # ------------------------------------------------------------------ what goes wrong

    def _spoil(self, rng: Random, person: Person, sheet: _Sheet) -> None:
        self._spoil_names(rng, person, sheet)
        self._spoil_birth(rng, person, sheet)
        self._spoil_home(rng, person, sheet)

    def _spoil_names(self, rng: Random, person: Person, sheet: _Sheet) -> None:
        desk, struck = self._desk, _striking(rng, sheet)
        slip = tested_slip if desk.scans else trained_slip
        if person.birth_place.startswith("99"):
            if struck("transliterated", desk.transliterated):
                sheet.family = transliterated(rng, sheet.family)
            if struck("transliterated", desk.transliterated):
                sheet.givens = (transliterated(rng, sheet.givens[0]), *sheet.givens[1:])
        if sheet.used_family and struck("married_as_birth", desk.married_as_birth):
            sheet.family = sheet.used_family
        elif sheet.used_family and struck("double_name", desk.double_name):
            sheet.family = f"{sheet.family}-{sheet.used_family}"
        if sheet.used_given and struck("used_given_as_birth", desk.used_given_as_birth):
            sheet.givens = (sheet.used_given, *sheet.givens)
        elif len(sheet.givens) > 1 and struck("given_order", desk.given_order):
            sheet.givens = (*sheet.givens[1:], sheet.givens[0])
        if struck("first_given_only", desk.first_given_only):
            sheet.givens = sheet.givens[:1]
        first = sheet.givens[0]
        if "-" in first and struck("compound_cut", desk.compound_cut):
            first = first.partition("-")[0]
        if struck("slip_given", desk.slip_given):
            first = slip(rng, first)
        if struck("slip_family", desk.slip_family):
            sheet.family = slip(rng, sheet.family)
        if struck("spelling", desk.spelling):
            first, sheet.family = spelled(rng, first), spelled(rng, sheet.family)
        sheet.givens = (first, *sheet.givens[1:])
        if struck("names_swapped", desk.names_swapped):
            sheet.family, sheet.givens = first, (sheet.family, *sheet.givens[1:])
        if person.birth_date.year >= 2025 and struck("nameless_newborn", desk.nameless_newborn):
            sheet.givens = ((), ("BEBE",), ("BB",), ("NOUVEAU NE",))[below(rng, 4)]

    def _spoil_birth(self, rng: Random, person: Person, sheet: _Sheet) -> None:
        desk, struck = self._desk, _striking(rng, sheet)
        if struck("date_turned", desk.date_turned):
            sheet.born_on = turned(sheet.born_on)
        if struck("date_digit", desk.date_digit):
            sheet.born_on = digit_off(rng, sheet.born_on)
        abroad = person.birth_place.startswith("99")
        if abroad and struck("date_default", desk.date_default):
            sheet.born_on = f"{sheet.born_on[:4]}-01-01"
        if struck("date_partial", desk.date_partial):
            sheet.born_on = sheet.born_on[: (4, 7)[below(rng, 2)]]
        if struck("without_date", desk.without_date):
            sheet.born_on = ""
        if struck("without_place", desk.without_place):
            sheet.place = ""
        elif struck("other_place", desk.other_place):
            sheet.place = person.commune
        if struck("sex_unknown", desk.sex_unknown):
            sheet.sex = "U"
        elif struck("sex_wrong", desk.sex_wrong):
            sheet.sex = "F" if sheet.sex == "M" else "M"

    def _spoil_home(self, rng: Random, person: Person, sheet: _Sheet) -> None:
        desk, struck = self._desk, _striking(rng, sheet)
        if struck("without_phone", desk.without_phone):
            sheet.phones = []
        elif struck("other_phone", desk.other_phone):
            sheet.phones = [mobile(below(rng, 10_000))]
        elif person.landline and struck("household_phone", desk.household_phone):
            sheet.phones = [person.landline]
        if struck("without_home", desk.without_home):
            sheet.street = sheet.postcode = sheet.commune = ""
        elif struck("street_respelled", desk.street_respelled):
            sheet.street = sheet.street.replace("RUE DE LA ", "R ").replace("AVENUE", "AV")

    # ------------------------------------------------------------------ as it is sent

    def _traits(self, rng: Random, person: Person, sheet: _Sheet) -> Traits:
        number, status = self._card(rng, person, sheet)
        capitals = rng.random() < 0.5
        write = names.folded if capitals else str
        givens = tuple(write(name) for name in sheet.givens)
        return Traits(
            ins=(Ins(matricule=number, oid=INS_TEST_OID),) if number else (),
            identity_status=status,
            birth_family=write(sheet.family),
            birth_given=givens[0] if givens else "",
            birth_givens=givens,
            used_family=write(sheet.used_family),
            used_given=write(sheet.used_given),
            birth_date=sheet.born_on,
            sex=sheet.sex,
            birth_place=sheet.place,
            address=Address(
                lines=(sheet.street,) if sheet.street else (), city=write(sheet.city),
                postcode=sheet.postcode, country="FRA", commune=sheet.commune,
            ),
            phones=tuple(sheet.phones),
            emails=(person.email,) if person.email and rng.random() < 0.4 else (),
        )  # fmt: skip

    def _card(self, rng: Random, person: Person, sheet: _Sheet) -> tuple[str, str]:
        """Return the INS and the status (PID-32) that stand on a record."""
        desk, drawn = self._desk, rng.random()
        parent = self._population.parent_of(person.index)
        child = generator(self._seed, Stream.SETTLED, person.index, 2)
        if parent is not None and child.random() < desk.parent_ins:
            card = self._population.person(parent).ins
            if card and rng.random() < desk.parent_ins_record:
                sheet.slips.append("parent_ins")
                return card, "VALI"
            return "", "PROV"
        if person.ins and rng.random() >= desk.without_ins:
            return person.ins, "PROV" if drawn < desk.provisional else "VALI"
        return "", "VALI" if drawn < 0.4 else "PROV" if drawn < 0.9 else ""


class _striking:  # noqa: N801 - reads as the question it asks
    """Asks whether an error strikes, and notes it when it does."""

    def __init__(self, rng: Random, sheet: _Sheet) -> None:
        self._rng = rng
        self._sheet = sheet

    def __call__(self, name: str, share: float) -> bool:
        if self._rng.random() >= share:
            return False
        self._sheet.slips.append(name)
        return True
