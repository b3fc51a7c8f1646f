"""A person as one laboratory has them on file: the truth, with the desk's mistakes.

A laboratory registers a person once; every message about them says the same, right or wrong.
"""

from __future__ import annotations

from random import Random

import msgspec

from . import names
from .laboratories import Laboratory
from .numbers import mobile
from .person import Person
from .seeds import Stream, below, generator

_PRIME = 99_999_989
"""Local patient numbers are a permutation modulo this prime: unique in a laboratory."""


class ErrorModel(msgspec.Struct, frozen=True, kw_only=True):
    """How often a desk gets what wrong, as shares of registrations (of those it can befall)."""

    without_ins: float = 0.18
    provisional: float = 0.06
    """PROV in PID-32 although an INS is sent."""
    typo_family: float = 0.008
    typo_given: float = 0.008
    spelling: float = 0.04
    """A hyphen, an apostrophe or a space written otherwise."""
    married_as_birth: float = 0.015
    """The used name stands in the place of the birth name."""
    first_given_only: float = 0.25
    swapped_day_month: float = 0.002
    wrong_birth_digit: float = 0.002
    without_birth_place: float = 0.06
    without_phone: float = 0.15
    without_home: float = 0.03
    sex_unknown: float = 0.002
    other_phone: float = 0.04


NO_ERRORS = ErrorModel(
    without_ins=0.0, provisional=0.0, typo_family=0.0, typo_given=0.0, spelling=0.0,
    married_as_birth=0.0, first_given_only=0.0, swapped_day_month=0.0, wrong_birth_digit=0.0,
    without_birth_place=0.0, without_phone=0.0, without_home=0.0, sex_unknown=0.0, other_phone=0.0,
)  # fmt: skip


class Registration(msgspec.Struct, frozen=True, kw_only=True):
    """What a laboratory sends in PID."""

    patient_number: str
    """8 digits, unique in the laboratory under one seed."""
    ins: str
    """Empty when the laboratory has none."""
    status: str
    """PID-32: VALI, PROV or empty."""
    family: str
    given: str
    givens: str
    """All given names, separated by spaces."""
    used_family: str
    used_given: str
    born_on: str
    """YYYYMMDD."""
    sex: str
    birth_place: str
    street: str
    city: str
    postcode: str
    commune: str
    """INSEE code of residence, also empty when the street is."""
    mobile: str
    landline: str
    email: str


def register(seed: int, laboratory: Laboratory, person: Person, errors: ErrorModel) -> Registration:
    """Return a person as a laboratory has them on file: the same for the same arguments, always."""
    rng = generator(seed, Stream.REGISTRATION, person.index, laboratory.index)
    chance = rng.random
    capitals = laboratory.dialect.plain_capitals
    family, used = person.birth_family, person.used_family
    if used and chance() < errors.married_as_birth:
        family = used
    givens = person.givens[:1] if chance() < errors.first_given_only else person.givens
    given = givens[0]
    if chance() < errors.typo_family:
        family = mistyped(rng, family)
    if chance() < errors.typo_given:
        given = mistyped(rng, given)
    if chance() < errors.spelling:
        family, given = respelled(family), respelled(given)
    if capitals:
        family, used, given = names.folded(family), names.folded(used), names.folded(given)
    everything = " ".join((given, *givens[1:]))
    has_ins = bool(person.ins) and chance() >= errors.without_ins
    home = chance() >= errors.without_home
    phone = chance() >= errors.without_phone
    return Registration(
        patient_number=f"{(person.index * 48_271 + laboratory.index + seed) % _PRIME:08d}",
        ins=person.ins if has_ins else "",
        status=_status(rng, has_ins=has_ins, provisional=errors.provisional),
        family=family,
        given=given,
        givens=names.folded(everything) if capitals else everything,
        used_family=used or family,
        used_given=person.used_given or given,
        born_on=_born_on(rng, person, errors),
        sex="U" if chance() < errors.sex_unknown else person.sex,
        birth_place="" if chance() < errors.without_birth_place else person.birth_place,
        street=person.street if home else "",
        city=names.folded(person.city) if capitals else person.city,
        postcode=person.postcode if home else "",
        commune=person.commune if home else "",
        mobile=_mobile(rng, person, errors) if phone else "",
        landline=person.landline if phone else "",
        email=person.email,
    )


def _status(rng: Random, *, has_ins: bool, provisional: float) -> str:
    drawn = rng.random()
    if has_ins:
        return "PROV" if drawn < provisional else "VALI"
    return "VALI" if drawn < 0.4 else "PROV" if drawn < 0.9 else ""


def _born_on(rng: Random, person: Person, errors: ErrorModel) -> str:
    day = person.birth_date
    drawn = rng.random()
    if drawn < errors.swapped_day_month and day.day <= 12:
        return f"{day.year:04d}{day.day:02d}{day.month:02d}"
    if drawn > 1.0 - errors.wrong_birth_digit:
        return f"{day.year:04d}{day.month:02d}{day.day % 28 + 1:02d}"
    return f"{day.year:04d}{day.month:02d}{day.day:02d}"


def _mobile(rng: Random, person: Person, errors: ErrorModel) -> str:
    other = rng.random() < errors.other_phone
    return mobile(below(rng, 10_000)) if other else person.mobile


def mistyped(rng: Random, name: str) -> str:
    """Return a name with one slip of the fingers: a letter lost, doubled, swapped or replaced."""
    if len(name) < 3:
        return name
    place = 1 + below(rng, len(name) - 2)
    slip = below(rng, 4)
    if slip == 0:
        return name[:place] + name[place + 1 :]
    if slip == 1:
        return name[:place] + name[place] + name[place:]
    if slip == 2:
        return name[:place] + name[place + 1] + name[place] + name[place + 2 :]
    return name[:place] + "aeinorstlu"[below(rng, 10)] + name[place + 1 :]


def respelled(name: str) -> str:
    """Return a compound name with its hyphen, apostrophe or space written otherwise."""
    for sign, other in (("-", " "), (" ", "-"), ("'", " ")):
        if sign in name:
            return name.replace(sign, other, 1)
    return name
