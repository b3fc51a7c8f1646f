"""The PID segment of a registered person, by the French profile."""

from __future__ import annotations

from functools import cache

from .er7 import Pen
from .numbers import INS_TEST_OID
from .places import countries
from .registration import Registration
from .vendors import Dialect


def patient_segment(
    pen: Pen, dialect: Dialect, namespace: str, digest: str, who: Registration
) -> str:
    """Return PID: identifiers, names (L, D), birth, sex, addresses (H, BDL), phones, status.

    The local number (PI) bears the simulation's digest; an INS always has the test OID.
    """
    return pen.segment("PID", {
        1: "1",
        3: _identifiers(pen, namespace, digest, who),
        5: _names(pen, dialect, who),
        7: who.born_on,
        8: who.sex,
        11: _addresses(pen, who),
        13: _contacts(pen, who),
        31: "N",
        32: who.status,
    })  # fmt: skip


def _identifiers(pen: Pen, namespace: str, digest: str, who: Registration) -> str:
    blank = pen.component * 3
    local = pen.sub.join((namespace, "1.2.250.1.999.1", "ISO"))
    row = [f"P{digest}{who.patient_number}{blank}{local}{pen.component}PI"]
    if who.ins:
        authority = pen.sub.join(("ASIP-SANTE-INS-NIR", INS_TEST_OID, "ISO"))
        row.append(f"{who.ins}{blank}{authority}{pen.component}INS")
    return pen.repetition.join(row)


def _names(pen: Pen, dialect: Dialect, who: Registration) -> str:
    row = [pen.composed(who.family, who.given, who.givens, "", "", "", "L")]
    differs = (who.used_family, who.used_given) != (who.family, who.given)
    if differs or dialect.used_name_always:
        row.append(pen.composed(who.used_family, who.used_given, "", "", "", "", "D"))
    return pen.repetition.join(row)


def _addresses(pen: Pen, who: Registration) -> str:
    row = []
    if who.street:
        row.append(
            pen.composed(who.street, "", who.city, "", who.postcode, "FRA", "H", "", who.commune)
        )
    if who.birth_place:
        iso, name = _abroad().get(who.birth_place, ("", ""))
        code = who.birth_place if iso else ""
        row.append(pen.composed("", "", name, "", code, iso, "BDL", "", who.birth_place))
    return pen.repetition.join(row)


def _contacts(pen: Pen, who: Registration) -> str:
    row = []
    if who.mobile:
        row.append(pen.composed(who.mobile, "PRN", "CP"))
    if who.landline:
        row.append(pen.composed(who.landline, "PRN", "PH"))
    if who.email:
        row.append(pen.composed("", "NET", "Internet", who.email))
    return pen.repetition.join(row)


@cache
def _abroad() -> dict[str, tuple[str, str]]:
    return {country.code: (country.iso, country.name) for country in countries()}
