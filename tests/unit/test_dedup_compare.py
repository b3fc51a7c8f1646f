"""Levels of agreement, field by field."""

from __future__ import annotations

from typing import Any

import pytest

from dedup.compare import compare
from dedup.levels import (
    BIRTH_PLACE,
    CITY,
    DATE,
    EMAIL,
    FAMILY,
    FIELDS,
    GIVEN,
    HOUSE,
    LEVELS,
    MIDDLE,
    PHONE,
    POSTCODE,
    SEX,
    STREET,
    level_name,
)
from dedup.normalize import normalise
from schemas.patient import Address, Traits
from tests.support.identities import somebody


def level(field: int, one: Traits, other: Traits) -> str:
    levels = compare(normalise(one), normalise(other))
    assert levels == compare(normalise(other), normalise(one))
    return level_name(field, levels[field])


def names(field: str, one: str, other: str) -> str:
    key = "birth_family" if field == "family" else "birth_given"
    changes: tuple[dict[str, Any], dict[str, Any]] = ({key: one}, {key: other})
    if field == "given":
        changes[0]["birth_givens"], changes[1]["birth_givens"] = (one,), (other,)
    return level(FAMILY if field == "family" else GIVEN, *(somebody(**c) for c in changes))


@pytest.mark.parametrize(
    ("one", "other", "found"),
    [
        ("DURAND", "Durand", "exact"),
        ("DURAND", "DURANT", "near"),
        ("DURAND", "DUARND", "near"),
        ("LE GUEN", "LEGUEN", "near"),
        ("DURAND", "DUPOND", "different"),
        ("DURAND", "DURAND-MARTIN", "part"),
        ("MARTIN", "DURAND-MARTIN", "part"),
        ("DE LA TOUR", "LA TOUR", "part"),
        ("DURAND", "D", "initial"),
        ("DURAND", "M", "different"),
        ("DURAND", "", "missing"),
        ("CHALIMBAUD", "SALINBO", "similar"),
        ("Юлия", "ЮЛИЯ", "exact"),
        ("山田", "山田", "exact"),
        ("山田", "田中", "different"),
    ],
)
def test_family_names(one: str, other: str, found: str) -> None:
    assert names("family", one, other) == found


@pytest.mark.parametrize(
    ("one", "other", "found"),
    [
        ("JEANNE", "JEANE", "near"),
        ("MARIE", "MARTINE", "similar"),
        ("ANNE", "ANNE-MARIE", "part"),
        ("JEAN", "PIERRE", "different"),
        ("PHILIPPE", "FILIP", "similar"),
        ("J", "JEANNE", "initial"),
        ("BEBE", "JEANNE", "missing"),
    ],
)
def test_given_names(one: str, other: str, found: str) -> None:
    assert names("given", one, other) == found


def test_a_name_in_the_others_list_is_listed() -> None:
    plain = somebody(birth_given="LOUISE", birth_givens=("LOUISE",))
    assert level(GIVEN, somebody(), plain) == "listed"
    used = somebody(birth_given="LOULOU", birth_givens=("LOULOU",), used_given="JEANNE")
    assert level(GIVEN, somebody(), used) == "listed"


def test_all_given_names_in_one_field_are_the_same_names() -> None:
    whole = somebody(birth_given="JEANNE LOUISE", birth_givens=("JEANNE LOUISE",))
    assert level(GIVEN, somebody(), whole) == "exact"


def test_a_birth_name_that_is_the_others_used_name_is_crossed() -> None:
    married = somebody(used_family="MARTIN")
    assert level(FAMILY, married, somebody(birth_family="MARTIN")) == "crossed"
    assert level(FAMILY, somebody(birth_family="", used_family="DURAND"), somebody()) == "crossed"


def test_swapped_names_are_seen_in_both_fields() -> None:
    swapped = somebody(birth_family="JEANNE", birth_given="DURAND", birth_givens=("DURAND",))
    assert level(FAMILY, somebody(), swapped) == level(GIVEN, somebody(), swapped) == "swapped"


def test_a_name_in_the_others_field_is_moved() -> None:
    one = somebody(birth_family="LODGE", birth_given="ADELE", birth_givens=("ADELE",))
    other = somebody(birth_family="", birth_given="LODGE", birth_givens=("LODGE",))
    assert level(FAMILY, one, other) == "moved"


def test_further_given_names() -> None:
    assert level(MIDDLE, somebody(), somebody(birth_givens=("JEANNE", "MARIE"))) == "different"
    both = somebody(birth_givens=("JEANNE", "MARIE", "LOUISE"))
    assert level(MIDDLE, somebody(), both) == "exact"
    assert level(MIDDLE, somebody(), somebody(birth_givens=("JEANNE",))) == "missing"


@pytest.mark.parametrize(
    ("one", "other", "found"),
    [
        ("1984-05-17", "1984-05-17", "exact"),
        ("19840517", "1984-05-17", "exact"),
        ("1984-05-07", "1984-07-05", "day_month_swapped"),
        ("1984-05-17", "1984-05-18", "one_digit"),
        ("1984-05-17", "1985-05-17", "one_digit"),
        ("1984-05-17", "1985-05-18", "two_digits"),
        ("1984-05-17", "1971-11-30", "different"),
        ("1984-05-17", "1984-05", "partly"),
        ("1984-05-17", "1984", "partly"),
        ("1984", "1984", "partly"),
        ("1984-05-17", "1984-06", "two_digits"),
        ("1984-05-17", "1971", "different"),
        ("1984-01-01", "1984-05-17", "default"),
        ("1984-12-31", "1984-05-17", "default"),
        ("1984-01-01", "1984-01-01", "both_default"),
        ("1984-05-17", "", "missing"),
        ("1984-05-17", "0000-00-00", "missing"),
    ],
)
def test_birth_dates(one: str, other: str, found: str) -> None:
    assert level(DATE, somebody(birth_date=one), somebody(birth_date=other)) == found


@pytest.mark.parametrize(
    ("one", "other", "found"),
    [
        ("63220", "63220", "exact"),
        ("63220", "63221", "close"),
        ("63220", "63113", "area"),
        ("63220", "75056", "apart"),
        ("2A004", "20167", "area"),
        ("75056", "92012", "area"),
        ("99352", "92012", "area"),
        ("99352", "99350", "close"),
        ("99350", "99109", "apart"),
        ("63220", "99999", "missing"),
        ("Berlin", "BERLIN", "exact"),
        ("Berlin", "Berlim", "close"),
    ],
)
def test_birth_places(one: str, other: str, found: str) -> None:
    pair = somebody(birth_place=one), somebody(birth_place=other)
    assert level(BIRTH_PLACE, *pair) == found


def test_sex() -> None:
    assert level(SEX, somebody(), somebody(sex="M")) == "different"
    assert level(SEX, somebody(), somebody(sex="U")) == "missing"


def home(**changes: Any) -> Traits:
    parts: dict[str, Any] = {"lines": ("12 RUE DU MOULIN",), "city": "PARIS", "postcode": "75012"}
    return somebody(address=Address(**{**parts, **changes}))


@pytest.mark.parametrize(
    ("field", "changes", "found"),
    [
        (POSTCODE, {"postcode": "F-75012"}, "exact"),
        (POSTCODE, {"postcode": "75013"}, "close"),
        (POSTCODE, {"postcode": "75102"}, "close"),
        (POSTCODE, {"postcode": "75007"}, "area"),
        (POSTCODE, {"postcode": "75118"}, "area"),
        (POSTCODE, {"postcode": "13001"}, "apart"),
        (POSTCODE, {"postcode": "00000"}, "missing"),
        (CITY, {"city": "Paris 12e"}, "exact"),
        (CITY, {"city": "PARIS CEDEX 12"}, "exact"),
        (CITY, {"city": "PARSI"}, "close"),
        (CITY, {"city": "LYON"}, "apart"),
        (STREET, {"lines": ("12, r du Moulin",)}, "exact"),
        (STREET, {"lines": ("12 MOULIN DU RUE",)}, "close"),
        (STREET, {"lines": ("3 AVENUE JEAN JAURES",)}, "apart"),
        (HOUSE, {"lines": ("12 BIS RUE DU MOULIN",)}, "close"),
        (HOUSE, {"lines": ("148 RUE DU MOULIN",)}, "apart"),
        (HOUSE, {"lines": ("RUE DU MOULIN",)}, "missing"),
    ],
)
def test_residence(field: int, changes: dict[str, Any], found: str) -> None:
    assert level(field, home(), home(**changes)) == found


@pytest.mark.parametrize(
    ("phones", "found"),
    [
        (("+33 6 39 98 00 01",), "exact"),
        (("0033639980001", "0199000002"), "exact"),
        (("0639980010",), "close"),
        (("0199000123",), "apart"),
        (("0000000000",), "missing"),
    ],
)
def test_phones(phones: tuple[str, ...], found: str) -> None:
    assert level(PHONE, somebody(), somebody(phones=phones)) == found


def test_mail() -> None:
    one, other = somebody(emails=("A@example.org",)), somebody(emails=("a@EXAMPLE.org",))
    assert level(EMAIL, one, other) == "exact"


def test_every_field_has_its_levels() -> None:
    levels = compare(normalise(somebody()), normalise(Traits()))
    assert len(levels) == len(FIELDS) == len(LEVELS)
    assert set(levels) == {0}
