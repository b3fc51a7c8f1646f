"""Communes, departments, regions and population: tables that add up, and files that are read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas import areas as tables
from schemas.areas import (
    area_of_commune,
    area_of_department,
    area_of_region,
    areas,
    code_of,
    commune_of_postcode,
    department_of_commune,
    departments,
    departments_of,
    inhabitants_of,
    is_department,
    is_region,
    parent_of,
    region_of,
    regions,
)
from schemas.areas.population import HEADER, read_population, synthetic_population
from schemas.errors import PermanentError
from schemas.figures import AGE_CLASSES, FRANCE, SEXES


def test_every_department_is_in_a_region_and_every_region_has_one() -> None:
    assert len(departments()) == 109
    assert {region_of(code) for code in departments()} == set(regions())
    assert sorted(code for region in regions() for code in departments_of(region)) == sorted(
        departments()
    )


@pytest.mark.parametrize(
    ("department", "region"),
    [("75", "11"), ("2A", "94"), ("974", "04"), ("69", "84"), ("977", "977"), ("99", ""), ("", "")],
)
def test_the_region_of_a_department(department: str, region: str) -> None:
    assert region_of(department) == region


@pytest.mark.parametrize(
    ("postcode", "commune", "certain"),
    [
        ("75011", "75111", True),
        ("75 011", "75111", True),
        ("69001", "69381", True),
        ("13001", "13201", True),
        ("97133", "97701", True),
        ("01400", "01093", False),
        ("00000", "", False),
        ("7501", "", False),
        ("", "", False),
    ],
)
def test_the_commune_of_a_postcode(postcode: str, commune: str, certain: bool) -> None:
    assert commune_of_postcode(postcode) == (commune, certain)


def test_postcodes_hold_communes_of_known_departments() -> None:
    lines = Path(tables.__file__).with_name("postcodes.txt").read_text("ascii").splitlines()
    assert len(lines) == 6310
    for line in lines:
        assert re.fullmatch(r"\d{5}( (\d{5}|2[AB]\d{3}))+", line)
        for commune in line.split()[1:]:
            department = commune[:3] if commune[:2] in {"97", "98"} else commune[:2]
            assert department in departments()


def test_names_of_areas_lead_back() -> None:
    assert code_of(FRANCE) == "FR"
    assert (area_of_region("84"), code_of("region:84")) == ("region:84", "84")
    assert parent_of(area_of_department("2B")) == "region:94"
    assert parent_of("region:94") == FRANCE
    assert parent_of(FRANCE) == parent_of("department:99") == ""
    assert len(set(areas())) == 1 + 26 + 109
    assert is_region("region:84")
    assert not is_region("department:84")
    assert is_department("department:84")
    assert inhabitants_of("region:94") == inhabitants_of("department:2A") + inhabitants_of(
        "department:2B"
    )
    assert inhabitants_of("department:99") == 0


def test_the_default_population_says_that_it_is_synthetic_and_adds_up() -> None:
    population = synthetic_population()
    assert population.synthetic
    assert "synthetic" in population.source
    assert population.of(FRANCE) == inhabitants_of(FRANCE) == 68_952_941
    for area in ("department:48", "region:11", FRANCE):
        assert population.of(area) == inhabitants_of(area)
        by_age = [population.of(area, age) or 0 for age in AGE_CLASSES]
        by_sex = [population.of(area, "0", sex) or 0 for sex in SEXES]
        assert sum(by_age) == sum(by_sex) == population.of(area)
    assert population.of("department:984") is None  # nobody lives there: no rate, not zero
    assert population.of("department:99") is None


def lines(*changes: tuple[int, str]) -> Iterator[str]:
    text = [HEADER]
    text += [
        f"{dep};{age};{sex};100" for dep in ("2A", "2B") for age in AGE_CLASSES for sex in SEXES
    ]
    for at, line in changes:
        text[at] = line
    yield from (f"{line}\r\n" for line in text)


def test_an_operators_file_is_read_and_added_up() -> None:
    population = read_population(lines((1, "2A;09;F;150")), "INSEE 2026")
    assert not population.synthetic
    assert population.source == "INSEE 2026"
    assert population.of("department:2A", "09", "F") == 150
    assert population.of("department:2A", "09") == 250
    assert population.of("department:2A") == 2_050
    assert population.of("region:94") == population.of(FRANCE) == 4_050
    assert population.of("department:75") is None


@pytest.mark.parametrize(
    ("at", "line", "said"),
    [
        (0, "departement;age;sexe;population", "line 1"),
        (3, "99;09;F;100", "a department's code"),
        (3, "2A;9;F;100", "an age class"),
        (3, "2A;09;H;100", "a sex"),
        (3, "2A;09;F;1 000", "a whole number"),
        (3, "2A;09;F;-1", "a whole number"),
        (3, "2A;09;F;99999999", "at most"),
        (3, "2A;09;F", "four fields"),
        (3, "2A;09;F;100", "once"),
        (3, "", "no line for age 19 and sex F"),
    ],
)
def test_a_broken_file_is_refused_with_its_line(at: int, line: str, said: str) -> None:
    with pytest.raises(PermanentError) as refused:
        read_population(lines((at, line)), "a file")
    assert refused.value.reason == "population_file_invalid"
    assert said in refused.value.remedy


def test_a_file_without_departments_is_refused() -> None:
    with pytest.raises(PermanentError):
        read_population([HEADER], "a file")
    with pytest.raises(PermanentError):
        read_population([], "a file")
    with pytest.raises(PermanentError):
        read_population([HEADER, *["\n"] * 30_000, "2A;09;F;1"], "a file")


def test_the_licence_and_the_source_stand_beside_the_tables() -> None:
    folder = Path(tables.__file__).parent
    assert "MIT License" in (folder / "LICENSE").read_text("utf-8")
    assert "@etalab/decoupage-administratif` 6.0.0" in (folder / "DATA.md").read_text("utf-8")


@pytest.mark.parametrize(
    ("commune", "inhabitants"),
    [("75107", 48_015), ("75056", 2_103_778), ("01001", 860), ("99999", None), ("", None)],
)
def test_a_communes_inhabitants(commune: str, inhabitants: int | None) -> None:
    assert synthetic_population().of(area_of_commune(commune)) == inhabitants


def test_communes_add_up_to_their_departments() -> None:
    wholes = {"75056", "69123", "13055"}  # their arrondissements are in it too
    sums: dict[str, int] = {}
    for line in Path(tables.__file__).with_name("communes.txt").read_text("ascii").splitlines():
        department, _, communes = line.partition(";")
        for each in communes.split(","):
            commune = department + each.partition(" ")[0]
            assert department_of_commune(commune) == department
            if commune not in wholes:
                sums[department] = sums.get(department, 0) + inhabitants_of(
                    area_of_commune(commune)
                )
    expected = {code: each.population for code, each in departments().items() if each.population}
    assert sums == expected


def test_ages_of_a_commune_are_its_departments_in_proportion() -> None:
    population = synthetic_population()
    commune, department = area_of_commune("75107"), area_of_department("75")
    share = inhabitants_of(commune) / inhabitants_of(department)
    for age in (*AGE_CLASSES, "0"):
        for sex in SEXES:
            whole = population.of(department, age, sex)
            assert whole is not None
            assert population.of(commune, age, sex) == pytest.approx(whole * share, abs=0.51)
