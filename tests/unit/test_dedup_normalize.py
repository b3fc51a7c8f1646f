from __future__ import annotations

from typing import Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dedup.keys import derive
from dedup.names import fold_name, phonetic, real_family, real_given, stored_form
from dedup.normalize import as_traits, full_date, normalise
from dedup.places import fold_city, fold_place, fold_street
from dedup.telecoms import fold_phone
from schemas.decision import Realm
from schemas.patient import Address, Traits
from tests.support.identities import somebody


@pytest.mark.parametrize(
    ("typed", "stored", "folded"),
    [
        ("Céline", "CELINE", "CELINE"),
        ("CELINE", "CELINE", "CELINE"),
        ("Jean-Noël", "JEAN-NOEL", "JEAN NOEL"),
        ("JEAN NOEL", "JEAN NOEL", "JEAN NOEL"),
        ("D’Artagnan", "D'ARTAGNAN", "D ARTAGNAN"),
        ("d'Artagnan", "D'ARTAGNAN", "D ARTAGNAN"),
        ("Lœtitia", "LOETITIA", "LOETITIA"),
        ("CŒUR", "COEUR", "COEUR"),
        ("Nuñez", "NUNEZ", "NUNEZ"),
        ("Le  Guen", "LE GUEN", "LE GUEN"),
    ],
)
def test_one_name_has_one_form(typed: str, stored: str, folded: str) -> None:
    assert stored_form(typed) == stored
    assert fold_name(typed) == folded


def test_celine_is_celine() -> None:
    """Hashing names as typed counted people twice until May 2021."""
    assert fold_name("Céline") == fold_name("CELINE") == fold_name("ce\u0301line")


def test_the_quick_way_folds_as_the_slow_one() -> None:
    slow = "\u0301"  # a mark of its own is nothing, and sends the whole text the slow way
    for code in range(0xA0, 0x250):
        name = f"a{chr(code)}b"
        assert fold_name(name) == fold_name(name + slow), hex(code)


def test_another_alphabet_is_never_folded_away() -> None:
    assert fold_name("Юлия") != ""
    assert phonetic("Юлия") != ""


def test_digits_are_not_stripped() -> None:
    assert fold_name("DUPONT2") != fold_name("DUPONT")


@given(st.text(max_size=60))
def test_folding_twice_is_folding_once(name: str) -> None:
    assert fold_name(fold_name(name)) == fold_name(name)


@given(st.text(min_size=1, max_size=40).filter(lambda n: any(c.isalpha() for c in n)))
def test_a_name_with_a_letter_never_folds_to_nothing(name: str) -> None:
    assert fold_name(name)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("CATHERINE", "KATHERINE"),
        ("DUPONT", "DUPOND"),
        ("PHILIPPE", "FILIP"),
        ("MARTIN", "MARTAIN"),
    ],
)
def test_what_sounds_alike_shares_a_key(one: str, other: str) -> None:
    assert phonetic(one) == phonetic(other)


def test_placeholders_are_no_names() -> None:
    for family in ("", "INCONNU", "X", "SANS NOM"):
        assert not real_family(family)
    for given_name in ("", "BEBE", "BB 2", "FILLE", "JUMEAU A", "NOUVEAU NE"):
        assert not real_given(given_name)
    assert (real_family("MARTIN"), real_given("JEAN")) == ("MARTIN", "JEAN")


def test_partial_dates_and_unknown_places_are_nothing() -> None:
    assert full_date("1979-03") == ""
    assert full_date("1979-03-28") == "1979-03-28"
    assert fold_place("99999") == ""
    assert fold_place("2a004") == "2A004"


# ------------------------------------------------------------------ the whole identity


@pytest.mark.parametrize(
    ("typed", "folded"),
    [
        ("Ævar", "AEVAR"),
        ("Þór", "THOR"),
        ("Straße", "STRASSE"),
        ("Łukasz", "LUKASZ"),
        ("François\u00a0-\u2011Xavier", "FRANCOIS XAVIER"),
        ("\u202eDUPONT\u200f", "DUPONT"),
        ("DU\u200bPONT", "DUPONT"),
        ("DU\x00PONT\x07", "DU PONT"),
        ("Юлия", "ЮЛИЯ"),
        ("Ελένη", "ΕΛΕΝΗ"),
        ("مُحَمَّد", "محمد"),
        ("ガブリエル", "ガブリエル"),
        ("김민준", "김민준"),
        ("हिन्दी", "हिन्दी"),
        ("DUPONT2", "DUPONT2"),
        ("DUPONT 😀", "DUPONT 😀"),
        ("\u0301", ""),
    ],
)
def test_accents_and_what_is_not_seen_go_letters_stay(typed: str, folded: str) -> None:
    assert fold_name(typed) == folded
    assert fold_name(folded) == folded


def test_one_person_typed_in_two_ways_has_one_identity() -> None:
    plain = somebody(birth_family="LE GUEN", birth_given="CELINE", birth_givens=("CELINE",))
    typed = somebody(
        birth_family="Le-Guen",
        birth_given="Céline",
        birth_givens=("Céline",),
        phones=("+33 (0)6 39 98 00 01",),
        birth_date="19840517",
        sex="female",
        address=Address(
            lines=("12, r. du Moulin",),
            city="Clermont-Ferrand Cedex 1",
            postcode="F-63000",
            commune="63113",
        ),
    )
    assert normalise(typed) == normalise(plain)


@pytest.mark.parametrize(
    ("sent", "date", "kind"),
    [
        ("1984-05-17", "1984-05-17", "full"),
        ("19840517", "1984-05-17", "full"),
        ("1984-05", "1984-05", "partial"),
        ("1984", "1984", "partial"),
        ("1984-01-01", "1984-01-01", "default"),
        ("1984-12-31", "1984-12-31", "default"),
        ("2184-05-17", "2184-05-17", "full"),
        ("1784-05-17", "1784-05-17", "full"),
        ("1984-13-45", "1984-13-45", "full"),
        ("0000-00-00", "", "none"),
        ("9999-12-31", "", "none"),
        ("17/05/1984", "", "none"),
        ("yesterday", "", "none"),
        ("١٩٨٤-٠٥-١٧", "", "none"),
        ("", "", "none"),
    ],
)
def test_dates_are_marked(sent: str, date: str, kind: str) -> None:
    found = normalise(somebody(birth_date=sent))
    assert (found.birth_date, found.date_kind) == (date, kind)


@pytest.mark.parametrize(
    ("sent", "digits"),
    [
        ("06 39 98 00 01", "33639980001"),
        ("+33639980001", "33639980001"),
        ("0033 6 39 98 00 01", "33639980001"),
        ("+33 (0)6 39 98 00 01", "33639980001"),
        ("+49 30 901820", "4930901820"),
        ("0000000000", ""),
        ("0606060606", ""),
        ("0666666666", ""),
        ("12", ""),
        ("néant", ""),
        ("1" * 50, ""),
    ],
)
def test_phones(sent: str, digits: str) -> None:
    assert fold_phone(sent) == digits
    assert fold_phone(digits) == digits


@pytest.mark.parametrize(
    ("lines", "street", "house"),
    [
        (("12 RUE DU MOULIN",), "RUE DU MOULIN", "12"),
        (("12BIS, av. Jean-Jaurès",), "AVENUE JEAN JAURES", "12B"),
        (("12 ter bd Gambetta", "Bâtiment C"), "BOULEVARD GAMBETTA BATIMENT C", "12T"),
        (("RUE DU 8 MAI 1945",), "RUE DU 8 MAI 1945", ""),
        (("12",), "", "12"),
        (("12345678 RUE",), "12345678 RUE", ""),
        ((), "", ""),
    ],
)
def test_streets(lines: tuple[str, ...], street: str, house: str) -> None:
    assert fold_street(lines) == (street, house)


@pytest.mark.parametrize(
    ("sent", "city"),
    [
        ("St Étienne", "SAINT ETIENNE"),
        ("STE-FOY", "SAINTE FOY"),
        ("Paris 15e", "PARIS"),
        ("LYON CEDEX 03", "LYON"),
        ("MARSEILLE 1er arrondissement", "MARSEILLE"),
        ("inconnu", ""),
        ("（", ""),
    ],
)
def test_towns(sent: str, city: str) -> None:
    assert fold_city(sent) == city


def test_the_used_name_that_is_the_birth_name_says_nothing() -> None:
    found = normalise(somebody(used_family="Durand", used_given="Jeanne"))
    assert (found.used_family, found.used_given) == ("", "")


def test_placeholders_are_nothing() -> None:
    nobody = normalise(somebody(birth_family="INCONNU", birth_given="BEBE 2", birth_givens=()))
    assert (nobody.family, nobody.given, nobody.is_nobody) == ("", "", True)
    child = normalise(somebody(birth_given="BEBE FILLE", birth_givens=("BEBE FILLE",)))
    assert (child.given, child.givens, child.is_nobody) == ("", (), False)
    used = normalise(somebody(birth_family="X", used_family="DURAND"))
    assert (used.family, used.used_family, used.is_nobody) == ("", "DURAND", False)


def test_nothing_at_all_is_nobody() -> None:
    assert normalise(Traits()).is_nobody


HOSTILE: Final = (
    "A" * 10_240,
    "é" * 10_240,
    "\ufdfa" * 10_240,
    "😀" * 10_240,
    "\u202e\u200f\u2066",
    "\x00\x01\x02",
    "\ud800",
    "'-' - '",
    " ",
)


@pytest.mark.parametrize("value", HOSTILE)
def test_bad_input_is_bounded_and_never_an_exception(value: str) -> None:
    traits = Traits(
        birth_family=value,
        birth_given=value,
        birth_givens=(value,) * 40,
        used_family=value,
        used_given=value,
        birth_date=value,
        sex=value,
        birth_place=value,
        address=Address(lines=(value,) * 40, city=value, postcode=value, commune=value),
        phones=(value,) * 40,
        emails=(f"{value}@{value}",) * 40,
    )
    keys = derive(traits, Realm.TEST, b"k" * 32)
    found = keys.identity
    assert normalise(as_traits(found)) == found
    assert all(len(text) <= 200 for text in msgspec.structs.astuple(found) if isinstance(text, str))
    assert len(keys.blocking) < 40


def test_forty_given_names_are_the_first_twelve() -> None:
    many = tuple(f"N{chr(65 + n // 26)}{chr(65 + n % 26)}" for n in range(40))
    found = normalise(somebody(birth_given=many[0], birth_givens=many))
    assert found.givens == many[1:12]
