"""Folding of traits, so that one identity has one form however it was typed. Pure.

Normalising twice is normalising once; whatever the traits hold, it never raises, and the work on
any field is bounded. Default dates: EXI ID 11/12 in french-profile 1.4.
"""

from __future__ import annotations

import re
from typing import Final

from schemas.patient import Address, Traits

from .identity import DEFAULT, FULL, NONE, PARTIAL, Identity
from .names import first_sound, fold_name, real_family, real_given, sound_of
from .places import fold_city, fold_place, fold_postcode, fold_state, fold_street
from .telecoms import fold_emails, fold_phones

NORMALISE_VERSION: Final = 2
"""1 was the strict first form, which kept no identity."""
MAX_GIVENS: Final = 12

_FULL_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_BARE_DATE: Final = re.compile(r"[0-9]{8}")
_PARTIAL_DATE: Final = re.compile(r"[0-9]{4}(-[0-9]{2})?")
_NO_DATES: Final = frozenset({"0000-00-00", "0001-01-01", "1111-11-11", "9999-12-31", "9999-99-99"})

_SEXES: Final = {
    "M": "M", "F": "F", "H": "M", "MALE": "M", "FEMALE": "F", "HOMME": "M", "FEMME": "F",
    "MASCULIN": "M", "FEMININ": "F",
}  # fmt: skip


def fold_sex(sex: str) -> str:
    """Return M, F or nothing: whatever else is sent says nothing about who it is."""
    return _SEXES.get(sex, "") if sex in _SEXES else _SEXES.get(sex.strip().upper()[:10], "")


def full_date(date: str) -> str:
    """Return an ISO date that has its day, or nothing."""
    return date if _FULL_DATE.fullmatch(date) else ""


def fold_date(date: str) -> tuple[str, str]:
    """Return a birth date and its kind; what is no date is nothing, what is no day stays digits."""
    if _FULL_DATE.fullmatch(date):
        pass
    elif _BARE_DATE.fullmatch(date):
        date = f"{date[:4]}-{date[4:6]}-{date[6:]}"
    elif _PARTIAL_DATE.fullmatch(date) and date[:4] not in {"0000", "9999"}:
        return date, PARTIAL
    else:
        return "", NONE
    if date in _NO_DATES:
        return "", NONE
    return date, DEFAULT if date[5:] in {"01-01", "12-31"} else FULL


def normalise(traits: Traits) -> Identity:
    """Return the identity of traits as received; whatever they hold, it never raises."""
    family = real_family(fold_name(traits.birth_family))
    given = real_given(fold_name(traits.birth_given))
    givens = _givens(traits.birth_givens) if traits.birth_givens else ()
    if not given and givens:
        given = givens[0]
    used_family = real_family(fold_name(traits.used_family)) if traits.used_family else ""
    if used_family == family:
        used_family = ""
    used_given = real_given(fold_name(traits.used_given)) if traits.used_given else ""
    if used_given == given:
        used_given = ""
    birth_date, kind = fold_date(traits.birth_date) if traits.birth_date else ("", NONE)
    postcode, commune, city, street, house = _residence(traits.address)
    return Identity(
        family,
        given,
        tuple(name for name in givens if name != given),
        used_family,
        used_given,
        birth_date,
        kind,
        fold_sex(traits.sex),
        fold_place(traits.birth_place) if traits.birth_place else "",
        postcode,
        commune,
        city,
        street,
        house,
        fold_phones(traits.phones) if traits.phones else (),
        fold_emails(traits.emails) if traits.emails else (),
        sound_of(family) if family else "",
        first_sound(given),
        sound_of(used_family) if used_family else "",
        first_sound(used_given),
        not family and not used_family,
        fold_state(traits.address),
    )


def _givens(names: tuple[str, ...]) -> tuple[str, ...]:
    found = dict.fromkeys([real_given(fold_name(name)) for name in names[: 2 * MAX_GIVENS]])
    found.pop("", None)
    return tuple(found)[:MAX_GIVENS]


def _residence(address: Address | None) -> tuple[str, str, str, str, str]:
    if address is None:
        return "", "", "", "", ""
    street, house = fold_street(address.lines) if address.lines else ("", "")
    return (
        fold_postcode(address.postcode) if address.postcode else "",
        fold_place(address.commune) if address.commune else "",
        fold_city(address.city) if address.city else "",
        street,
        house,
    )


def as_traits(identity: Identity) -> Traits:
    """Return traits that say what an identity says; normalised, they are that identity again."""
    lines = (f"{identity.house} {identity.street}".strip(),)
    home = Address(
        lines if lines[0] else (),
        identity.city,
        identity.postcode,
        "",
        identity.commune,
        identity.state,
    )
    return Traits(
        birth_family=identity.family,
        birth_given=identity.given,
        birth_givens=identity.givens,
        used_family=identity.used_family,
        used_given=identity.used_given,
        birth_date=identity.birth_date,
        sex=identity.sex,
        birth_place=identity.birth_place,
        address=home,
        phones=identity.phones,
        emails=identity.emails,
    )
