from __future__ import annotations

from datetime import date

import pytest

from ops.simulate import names
from ops.simulate.laboratories import laboratories
from ops.simulate.numbers import LANDLINE_PREFIX, MOBILE_PREFIX, luhn_digit, nir_key, rpps
from ops.simulate.person import Person
from ops.simulate.population import LARGEST, Population
from ops.simulate.registration import NO_ERRORS, ErrorModel, register

TODAY = date(2026, 3, 6)


@pytest.fixture(scope="module")
def people() -> list[Person]:
    return list(Population(7, 6_000, TODAY))


@pytest.mark.parametrize(
    "matricule",
    ["255081416802538", "284052A32102552", "284052B32102579", "279035121518989", "284057505601697"],
)
def test_the_key_agrees_with_published_numbers(matricule: str) -> None:
    assert nir_key(matricule[:13]) == matricule[13:]


def test_every_ins_has_a_right_key_and_belongs_to_one_person(people: list[Person]) -> None:
    numbers = [person.ins for person in people if person.ins]
    assert len(numbers) > 0.9 * len(people)
    assert all(len(ins) == 15 and nir_key(ins[:13]) == ins[13:] for ins in numbers)
    assert len(set(numbers)) == len(numbers)


def test_ins_agree_with_sex_year_and_place_of_birth(people: list[Person]) -> None:
    for person in people:
        if person.ins:
            assert person.ins[0] == ("1" if person.sex == "M" else "2")
            assert person.ins[1:3] == f"{person.birth_date.year % 100:02d}"
            assert person.ins[5:10] == person.birth_place
    assert all(person.birth_date <= TODAY for person in people)


def test_phones_and_mail_are_nobodys(people: list[Person]) -> None:
    for person in people:
        assert not person.mobile or (
            person.mobile.startswith(MOBILE_PREFIX) and len(person.mobile) == 10
        )
        assert not person.landline or (
            person.landline.startswith(LANDLINE_PREFIX) and len(person.landline) == 10
        )
        assert not person.email or person.email.endswith("@example.org")
        assert person.email.isascii()


def test_married_women_bear_used_names(people: list[Person]) -> None:
    grown = [person for person in people if person.birth_date.year < 2000 and person.sex == "F"]
    bearing = [person for person in grown if person.used_family]
    assert 0.1 < len(bearing) / len(grown) < 0.5
    assert all(person.used_family != person.birth_family for person in bearing)


def test_twins_share_a_birth_and_not_a_given_name(people: list[Person]) -> None:
    twins = [person for person in people if person.twin_of is not None]
    assert 0.02 < len(twins) / len(people) < 0.05
    for person in twins:
        assert person.twin_of is not None
        other = people[person.twin_of]
        assert other.twin_of == person.index
        assert (other.birth_date, other.birth_place, other.birth_family) == (
            person.birth_date,
            person.birth_place,
            person.birth_family,
        )
        assert names.folded(other.givens[0]) != names.folded(person.givens[0])


def test_a_person_is_the_same_whoever_was_asked_for_before(people: list[Person]) -> None:
    again = Population(7, 6_000, TODAY)
    for index in (5_999, 3, 2_048, 0):
        assert again.person(index) == people[index]
    assert Population(8, 6_000, TODAY).person(3) != people[3]
    with pytest.raises(IndexError):
        again.person(6_000)
    with pytest.raises(ValueError, match="a population holds"):
        Population(7, LARGEST + 1, TODAY)


def test_a_homonym_has_the_same_names_and_another_ins() -> None:
    population = Population(7, 9_000, TODAY)
    pairs = [person for person in population if person.homonym_of is not None]
    assert pairs
    for person in pairs:
        assert person.homonym_of is not None
        other = population.person(person.homonym_of)
        assert (other.givens[0], other.birth_family, other.birth_date) == (
            person.givens[0],
            person.birth_family,
            person.birth_date,
        )
        assert not person.ins or person.ins != other.ins


def test_everybody_can_be_written_in_latin_9(people: list[Person]) -> None:
    for person in people:
        for text in (*person.givens, person.birth_family, person.used_family, person.city):
            text.encode("iso8859-15")


def test_finess_and_rpps_have_their_luhn_digit_and_no_real_prefix() -> None:
    labs = laboratories(7, 200)
    for lab in labs:
        assert lab.finess.startswith("99") and len(lab.finess) == 9
        assert luhn_digit(lab.finess[:-1]) == lab.finess[-1]
    assert len({lab.finess for lab in labs}) == 200
    assert [lab.finess for lab in laboratories(8, 200)] == [lab.finess for lab in labs]
    assert luhn_digit(rpps(17)[:-1]) == rpps(17)[-1] and rpps(17).startswith("99")
    assert luhn_digit("75071218") == "4"


def test_a_desk_without_errors_files_the_truth(people: list[Person]) -> None:
    lab = laboratories(7, 2)[1]
    for person in people[:500]:
        entry = register(7, lab, person, NO_ERRORS)
        assert (entry.family, entry.given) == (person.birth_family, person.givens[0])
        assert entry.born_on == f"{person.birth_date:%Y%m%d}"
        assert (entry.ins, entry.sex) == (person.ins, person.sex)


def test_desks_err_now_and_then_and_always_in_the_same_way(people: list[Person]) -> None:
    lab = laboratories(7, 2)[1]
    wrong = 0
    for person in people[:2_000]:
        entry = register(7, lab, person, ErrorModel())
        assert entry == register(7, lab, person, ErrorModel())
        wrong += entry.family != person.birth_family
    assert 10 < wrong < 200
    numbers = {register(7, lab, person, ErrorModel()).patient_number for person in people[:2_000]}
    assert len(numbers) == 2_000
