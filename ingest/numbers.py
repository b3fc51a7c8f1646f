"""French numbers: INS, RPPS, FINESS and codes of communes, by their form and key. Pure.

Sources: CNAM NirValidator and NirKey (format and key of the NIR), ANS list of OIDs. A right key is
necessary, never sufficient.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from schemas.decision import Realm
from schemas.patient import INS_PRODUCTION_OIDS, INS_TEST_OIDS

INS_OIDS: Final = INS_PRODUCTION_OIDS | INS_TEST_OIDS
OID_NIR: Final = "1.2.250.1.213.1.4.8"
OID_NIA: Final = "1.2.250.1.213.1.4.9"
INS_CHARACTERS: Final = 15
INS_C_OIDS: Final = frozenset({"1.2.250.1.213.1.4.2", "1.2.250.1.213.1.4.6", "1.2.250.1.213.1.4.7"})
"""The historical computed INS and its test and demonstration roots: never an INS."""

# Sex, year, month (01-12, or 20-99 where it is not known), department with Corsica's letters only
# there, commune and order, key. re.ASCII: `\d` would take any script's digits.
_INS: Final = re.compile(
    r"([1-8])\d\d(?:0[1-9]|1[0-2]|[2-9]\d)(\d\d|2[AB])\d{6}(0[1-9]|[1-8]\d|9[0-7])", re.ASCII
)
_CORSICA: Final = {"2A": "19", "2B": "18"}
_DOUBLED: Final = str.maketrans("0123456789", "0246813579")
_COMMUNE: Final = re.compile(r"(?:\d\d|2[AB])\d{3}", re.ASCII)


def ins_key_is_right(matricule: str, oid: str) -> bool:
    """Say whether 15 characters are an INS of this OID: form, month, key modulo 97.

    The first digit is 1 or 2 for a NIR (.8, .10, .11); a NIA (.9) may also begin with 3 to 8.
    """
    match = _INS.fullmatch(matricule)
    if match is None or oid not in INS_OIDS:
        return False
    if match[1] > "2" and oid != OID_NIA:
        return False
    department = _CORSICA.get(match[2], match[2])
    number = int(f"{matricule[:5]}{department}{matricule[7:13]}")
    return 97 - number % 97 == int(match[3])


def realm_of(oid: str) -> Realm | None:
    """Return the realm to which an INS OID belongs, None for an OID that is no INS."""
    if oid in INS_PRODUCTION_OIDS:
        return Realm.PRODUCTION
    if oid in INS_TEST_OIDS:
        return Realm.TEST
    return None


def luhn_holds(digits: str) -> bool:
    """Say whether a number of digits ends in its Luhn key."""
    if not (digits.isascii() and digits.isdigit()):
        return False
    doubled = digits[-2::-2].translate(_DOUBLED)
    return (sum(map(int, digits[-1::-2])) + sum(map(int, doubled))) % 10 == 0


def rpps_of(identifier: str) -> str:
    """Return the RPPS an identifier holds (11 digits, or `8` and 11 digits), empty if none."""
    if len(identifier) == 12 and identifier.startswith("8"):
        identifier = identifier[1:]
    return identifier if len(identifier) == 11 and luhn_holds(identifier) else ""


@lru_cache(maxsize=8_192)
def finess_of(identifier: str) -> str:
    """Return the FINESS an identifier holds (9 digits, or `1` and 9 digits), empty if none."""
    if len(identifier) == 10 and identifier.startswith("1"):
        identifier = identifier[1:]
    return identifier if len(identifier) == 9 and luhn_holds(identifier) else ""


def commune_of(code: str) -> str:
    """Return an INSEE code of a commune or country (five characters), empty if it is none."""
    return code if _COMMUNE.fullmatch(code) else ""
