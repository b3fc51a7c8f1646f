"""One invented person, as the civil register knows them: the truth behind every message."""

from __future__ import annotations

from datetime import date

import msgspec


class Household(msgspec.Struct, frozen=True, kw_only=True):
    """People who live at one address."""

    number: int
    commune: int
    """Position in the table of communes."""
    street: str
    mobile: str
    landline: str
    """Empty for a household without."""
    first_year: int
    """Year of birth of its first adult, before the person's own class is applied."""
    second_year: int
    first_family: str
    """Birth name of the first adult, which the children bear."""
    second_family: str
    first_sex: str
    married: bool
    children_years: tuple[int, ...] = ()


class Natal(msgspec.Struct, frozen=True, kw_only=True):
    """What a birth certificate says, except for the given names."""

    family: str
    born_on: date
    place: str
    """INSEE code: 75107, 2A004, 97411, 99352."""
    default_date: bool
    """Born abroad with an unknown day and month: 1 January or 31 December stands in."""
    month_code: int
    """Month as the NIR has it: 1-12, or 20-31 where the civil register knows none."""


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """An invented person; `index` is who they are.

    Names are written with their accents; `names.folded` gives the form of the civil register's
    exchanges (RNIV). `ins` is a test number (OID 1.2.250.1.213.1.4.10), empty for people without.
    """

    index: int
    household: int
    sex: str
    birth_family: str
    givens: tuple[str, ...]
    used_family: str = ""
    """Name of a spouse, when borne; else empty."""
    used_given: str = ""
    """Given name used in life, when it is not the first of the certificate; else empty."""
    birth_date: date
    birth_place: str
    ins: str = ""
    mobile: str = ""
    landline: str = ""
    email: str = ""
    street: str
    postcode: str
    city: str
    commune: str
    """INSEE code of the commune of residence."""
    twin_of: int | None = None
    """Index of the twin."""
    homonym_of: int | None = None
    """Index of another person of the same names, born the same day in the same town."""
