"""Departments out of communes and postcodes, days out of times, numbers that name somebody."""

from __future__ import annotations

import re
from datetime import date
from typing import Final, NamedTuple

from schemas.areas import commune_of_postcode
from schemas.patient import Address
from schemas.report import LabReport, Organisation, Practitioner

_COMMUNE: Final = re.compile(r"(?:\d{2}|2[AB])\d{3}")
_POSTCODE: Final = re.compile(r"\d{5}")
_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
_FRANCE: Final = frozenset({"", "FRA", "FR", "FRANCE", "99100"})
_FINESS: Final = re.compile(r"(?:\d{2}|2[AB])\d{7}")
_METROPOLITAN: Final = re.compile(r"0[1-9]|1\d|2[1-9AB]|[3-8]\d|9[0-5]")
_RPPS: Final = re.compile(r"\d{11}")


class Residence(NamedTuple):
    """Where somebody lives."""

    commune: str
    """INSEE code; empty where nothing tells."""
    department: str
    is_imputed: bool
    """The sender gave no commune: what stands here is of the postcode."""


_NOWHERE: Final = Residence("", "", False)


def commune_of(address: Address | None) -> str:
    """Return the INSEE code of the commune of residence where the sender gave one, else empty."""
    commune = "" if address is None else address.commune.strip().upper()
    return commune if _COMMUNE.fullmatch(commune) else ""


def department_of(address: Address | None) -> str:
    """Return the department of residence, empty where nothing tells (see `residence_of`)."""
    return residence_of(address).department


def residence_of(address: Address | None) -> Residence:
    """Return where somebody lives: by the commune that the sender gave, else by the postcode.

    Of a postcode of several communes the largest is taken, and said to be imputed: its department
    is right for all but 16 of 6,310. Of one that no commune has (a firm's, say) the first digits
    are the department, and there is no commune. Abroad there is neither. Source: french-profile 4
    (an incomplete address is imputed from the postal code).
    """
    if address is None:
        return _NOWHERE
    commune = commune_of(address)
    if commune:
        return Residence(commune, _department_of_commune(commune), False)
    if address.country.strip().upper() not in _FRANCE:
        return _NOWHERE
    postcode = address.postcode.replace(" ", "")
    imputed, _ = commune_of_postcode(postcode)
    if imputed:
        return Residence(imputed, _department_of_commune(imputed), True)
    department = _department_of_postcode(postcode)
    return Residence("", department, bool(department))


def place_of(laboratory: Organisation) -> tuple[str, str]:
    """Return department and commune of a laboratory, empty where nothing tells.

    By the address it wrote (OBX-24), else by its FINESS number, whose first two digits are the
    department of a metropolitan one. Overseas they are 97 or 98 for several: not guessed apart.
    """
    commune = laboratory.commune
    if _COMMUNE.fullmatch(commune) and not commune.startswith("99"):  # 99 is another country
        return _department_of_commune(commune), commune
    department = _department_of_postcode(laboratory.postcode)
    if not department:
        digits = finess_of(laboratory)[:2]
        department = digits if _METROPOLITAN.fullmatch(digits) else ""
    return department, ""


def _department_of_commune(commune: str) -> str:
    return commune[:3] if commune.startswith(("97", "98")) else commune[:2]


def _department_of_postcode(postcode: str) -> str:
    if not _POSTCODE.fullmatch(postcode):
        return ""
    if postcode.startswith(("97", "98")):
        return postcode[:3]
    if postcode.startswith("20"):
        return "2A" if postcode[2] in "01" else "2B"
    return "" if postcode.startswith("00") else postcode[:2]


def day_of(moment: str) -> date | None:
    """Return the day of an ISO 8601 date or time as its sender wrote it, None if it names none."""
    if not _DAY.match(moment):
        return None
    try:
        return date.fromisoformat(moment[:10])
    except ValueError:
        return None


def sampled_at(report: LabReport, observed_at: str = "") -> str:
    """Return when the specimen was taken: of the report, the specimen, or the observation."""
    if report.collected_at:
        return report.collected_at
    if report.specimen is not None and report.specimen.collected_at:
        return report.specimen.collected_at
    return observed_at


def finess_of(laboratory: Organisation) -> str:
    """Return the FINESS number of an establishment, empty where its number is another one."""
    number = laboratory.identifier.upper()
    return number if _FINESS.fullmatch(number) else ""


def rpps_of(prescriber: Practitioner | None) -> str:
    """Return the RPPS number of a professional, empty where the number is another one."""
    if prescriber is None or prescriber.identifier_type not in {"RPPS", "IDNPS"}:
        return ""
    return prescriber.identifier if _RPPS.fullmatch(prescriber.identifier) else ""
