"""Communes, departments and regions of France: small tables, read once. Pure.

Sources, licence and what was done: DATA.md beside this module.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Final

import msgspec

from schemas.figures import FRANCE

_REGION: Final = "region:"
_DEPARTMENT: Final = "department:"
_COMMUNE: Final = "commune:"


class Department(msgspec.Struct, frozen=True, kw_only=True):
    """A department, or a territory overseas that has a code like one (975, 977, 978, 987, ...)."""

    code: str
    region: str
    population: int
    """Inhabitants of its communes, all ages and sexes (INSEE's municipal populations)."""
    name: str


class Region(msgspec.Struct, frozen=True, kw_only=True):
    """A region; of a territory that belongs to none, itself."""

    code: str
    name: str


@lru_cache(maxsize=1)
def departments() -> dict[str, Department]:
    """Return all departments by code, in the order of codes."""
    found = {}
    for line in _lines("departments.csv"):
        code, region, population, name = line.split(";")
        found[code] = Department(code=code, region=region, population=int(population), name=name)
    return found


@lru_cache(maxsize=1)
def regions() -> dict[str, Region]:
    """Return all regions by code, in the order of codes."""
    pairs = (line.split(";") for line in _lines("regions.csv"))
    return {code: Region(code=code, name=name) for code, name in pairs}


def region_of(department: str) -> str:
    """Return the code of a department's region; empty where the department is not known."""
    found = departments().get(department)
    return "" if found is None else found.region


def departments_of(region: str) -> tuple[str, ...]:
    """Return the codes of a region's departments, in their order."""
    return tuple(each.code for each in departments().values() if each.region == region)


def commune_of_postcode(postcode: str) -> tuple[str, bool]:
    """Return the INSEE code of the commune of a postcode, and whether it is the only one.

    Of several, the one with most inhabitants: a guess to be flagged, whose department is right for
    all but 16 of 6,310 postcodes. In Paris, Lyon and Marseille it is the arrondissement. Empty and
    False for a postcode that no commune has.
    """
    communes = _postcodes().get(postcode.replace(" ", ""), "")
    return communes.partition(" ")[0], bool(communes) and " " not in communes


def department_of_commune(code: str) -> str:
    """Return the department of an INSEE code; empty where it is none of ours."""
    department = code[:3] if code.startswith(("97", "98")) else code[:2]
    return department if department in departments() else ""


def area_of_commune(code: str) -> str:
    """Return a commune's name among areas: `commune:75107`. Of figures it is none."""
    return _COMMUNE + code


def is_commune(area: str) -> bool:
    """Say whether an area is a commune, or a municipal arrondissement."""
    return area.startswith(_COMMUNE)


def area_of_region(region: str) -> str:
    """Return a region's name in figures: `region:84`."""
    return _REGION + region


def area_of_department(department: str) -> str:
    """Return a department's name in figures: `department:75`."""
    return _DEPARTMENT + department


def code_of(area: str) -> str:
    """Return the code of an area of figures: `84` of `region:84`, `FR` of France."""
    return "FR" if area == FRANCE else area.partition(":")[2]


def is_region(area: str) -> bool:
    """Say whether an area of figures is a region."""
    return area.startswith(_REGION)


def is_department(area: str) -> bool:
    """Say whether an area of figures is a department."""
    return area.startswith(_DEPARTMENT)


def parent_of(area: str) -> str:
    """Return the area that an area of figures is part of; empty for France and what is unknown."""
    if is_region(area):
        return FRANCE
    region = region_of(code_of(area)) if is_department(area) else ""
    return _REGION + region if region else ""


@lru_cache(maxsize=256)
def inhabitants_of(area: str) -> int:
    """Return the inhabitants of an area, all ages and sexes; 0 of one not known."""
    every = departments()
    if area == FRANCE:
        return sum(each.population for each in every.values())
    code = code_of(area)
    if is_commune(area):
        return _communes().get(code, 0)
    if is_region(area):
        return sum(each.population for each in every.values() if each.region == code)
    return every[code].population if code in every else 0


def areas() -> tuple[str, ...]:
    """Return all areas of figures: France, regions, departments."""
    return (FRANCE, *map(area_of_region, regions()), *map(area_of_department, departments()))


@lru_cache(maxsize=1)
def _communes() -> dict[str, int]:
    found = {}
    for line in _path("communes.txt").read_text(encoding="ascii").splitlines():
        department, _, communes = line.partition(";")
        for commune in communes.split(","):
            rest, _, inhabitants = commune.partition(" ")
            found[department + rest] = int(inhabitants)
    return found


@lru_cache(maxsize=1)
def _postcodes() -> dict[str, str]:
    text = _path("postcodes.txt").read_text(encoding="ascii")
    return {line[:5]: line[6:] for line in text.splitlines()}


def _lines(name: str) -> list[str]:
    return _path(name).read_text(encoding="utf-8").splitlines()[1:]


def _path(name: str) -> Path:
    return Path(__file__).with_name(name)
