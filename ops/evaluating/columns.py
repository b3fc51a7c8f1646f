"""Columns of anybody's file as traits: what is known by its name, what a map says. Pure.

No error holds a value of the file: it names the row, the column and the remedy.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from ingest.numbers import INS_OIDS, ins_key_is_right
from schemas.decision import Realm
from schemas.errors import PermanentError
from schemas.patient import Address, Ins, Traits

MAX_CHARACTERS: Final = 200
"""Of one value: what the doors hold a trait to (the rest is cut, never refused)."""
_NIR_OF: Final = {Realm.TEST: "1.2.250.1.213.1.4.10", Realm.PRODUCTION: "1.2.250.1.213.1.4.8"}

KNOWN: Final = {
    "given_name": "given_name", "surname": "surname", "used_name": "used_name",
    "date_of_birth": "date_of_birth", "sex": "sex", "birth_place": "birth_place",
    "street": "street", "address_1": "street", "postcode": "postcode", "suburb": "city",
    "city": "city", "state": "state", "phone": "phone", "phone_number": "phone", "ins": "ins",
    "identity_status": "identity_status",
}  # fmt: skip
"""Column -> trait, without any map."""
TRAITS: Final = frozenset(KNOWN.values()) | {
    "given_names", "used_given_name", "commune", "country", "email", "ins_oid",
}  # fmt: skip
"""What a map may name."""
FRENCH: Final = frozenset({"ins", "identity_status", "birth_place", "used_name"})
"""A file with none of them is matched by the model `generic`."""

_ISO: Final = re.compile(r"(\d{4})[-/. ]?(\d{2})[-/. ]?(\d{2})(?:[T ].*)?")
_DAY_FIRST: Final = re.compile(r"(\d{1,2})[-/. ](\d{1,2})[-/. ](\d{4})")
_PARTIAL: Final = re.compile(r"(\d{4})(?:[-/.](\d{2}))?")
_SEXES: Final = {
    "M": "M", "F": "F", "1": "M", "2": "F", "MALE": "M", "FEMALE": "F", "H": "M", "MASCULIN": "M",
    "FEMININ": "F", "FÉMININ": "F", "HOMME": "M", "FEMME": "F", "W": "F", "MAN": "M", "WOMAN": "F",
}  # fmt: skip


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """What stands where in a row."""

    places: dict[str, tuple[int, ...]]
    """Trait -> its columns, in their order."""
    truth: int
    id: int | None
    ignored: tuple[str, ...]

    @property
    def is_french(self) -> bool:
        """Say whether the file has what the French model is made for."""
        return not FRENCH.isdisjoint(self.places)


def read_map(text: str) -> dict[str, str]:
    """Return column -> trait of a map: a table `columns` of TOML, or its lines without a table.

    Raises:
        PermanentError: It is no TOML, or names a trait that does not exist.
    """
    try:
        read = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        raise PermanentError("map_unreadable", 'write lines like: "Nom" = "surname"') from None
    table = read.get("columns", read)
    if not isinstance(table, dict) or not all(isinstance(v, str) for v in table.values()):
        raise PermanentError("map_unreadable", 'write lines like: "Nom" = "surname"')
    for trait in table.values():
        if trait not in TRAITS:
            raise PermanentError(
                "map_trait_unknown", f"a trait is one of {', '.join(sorted(TRAITS))}"
            )
    return {str(column).strip().lower(): trait for column, trait in table.items()}


def layout_of(
    header: Sequence[str], truth: str, identifier: str | None, mapped: Mapping[str, str]
) -> Layout:
    """Return what stands where.

    Args:
        header: The first row.
        truth: Name of the column that says who it is.
        identifier: Name of the column that is a record's own id.
        mapped: Column, in small letters, -> trait; wins over what is known.

    Raises:
        PermanentError: A column that was asked for is not there, or none holds a trait.
    """
    names = [name.strip().lstrip("\ufeff").lower() for name in header]
    of_truth = _place(names, truth)
    of_id = None if identifier is None else _place(names, identifier)
    places: dict[str, tuple[int, ...]] = {}
    ignored = []
    for place, name in enumerate(names):
        trait = mapped.get(name, KNOWN.get(name, ""))
        if place == of_truth or (place == of_id and not trait):
            continue
        if trait:
            places[trait] = (*places.get(trait, ()), place)
        else:
            ignored.append(header[place].strip() or f"column {place + 1}")
    missing = sorted(set(mapped) - set(names))
    if missing:
        raise PermanentError("map_column_missing", "the map names a column that the file has not")
    if not places:
        raise PermanentError("no_known_column", f"name one of {', '.join(KNOWN)}, or give --map")
    return Layout(places=places, truth=of_truth, id=of_id, ignored=tuple(ignored))


def traits_of(row: Sequence[str], layout: Layout, realm: Realm) -> Traits:
    """Return a row as traits, as received; what cannot be read is left out."""

    def every(trait: str) -> list[str]:
        found = (row[place] for place in layout.places.get(trait, ()) if place < len(row))
        return [value for value in (_clean(text) for text in found) if value]

    def first(trait: str) -> str:
        return next(iter(every(trait)), "")

    given = first("given_name")
    givens = tuple(first("given_names").replace(",", " ").split())[:40]
    home = (every("street"), every("city"), first("postcode"), first("state"))
    return Traits(
        ins=_ins(first("ins"), first("ins_oid"), realm),
        identity_status=first("identity_status").upper()[:8],
        birth_family=first("surname"),
        birth_given=given,
        birth_givens=givens or ((given,) if given else ()),
        used_family=first("used_name"),
        used_given=first("used_given_name"),
        birth_date=birth_date(first("date_of_birth")),
        sex=_SEXES.get(first("sex").upper(), first("sex").upper()[:1]),
        birth_place=first("birth_place").upper(),
        address=Address(
            lines=tuple(home[0]), city=" ".join(home[1])[:MAX_CHARACTERS], postcode=home[2],
            country=first("country"), commune=first("commune"), state=home[3],
        ) if any(home) else None,
        phones=tuple(every("phone")),
        emails=tuple(every("email")),
    )  # fmt: skip


def birth_date(text: str) -> str:
    """Return a birth date as ISO 8601, shortened where less is said, empty where none is read.

    A day that no calendar has (19230085) is kept as written: one digit off, it still says much.
    Of two numbers before a year the day stands first, unless only the other order is a date.
    """
    text = text.strip()
    if (found := _ISO.fullmatch(text)) is not None:
        return "-".join(found.groups())
    if (found := _DAY_FIRST.fullmatch(text)) is not None:
        day, month, year = int(found[1]), int(found[2]), found[3]
        if month > 12 >= day:
            day, month = month, day
        return f"{year}-{month:02d}-{day:02d}"
    if (found := _PARTIAL.fullmatch(text)) is not None:
        return "-".join(part for part in found.groups() if part)
    return ""


def _ins(number: str, oid: str, realm: Realm) -> tuple[Ins, ...]:
    """Return the INS of a value: `NUMBER`, `OID|NUMBER` or CX (`NUMBER^^^&OID&ISO`)."""
    text = number.replace(" ", "").upper()
    if "^" in text:
        text, _, rest = text.partition("^")
        oid = next((part for part in rest.split("&") if part in INS_OIDS), oid)
    elif "|" in text:
        oid, _, text = text.partition("|")
    oid = oid or _NIR_OF[realm]
    if not text or not ins_key_is_right(text, oid):
        return ()
    return (Ins(matricule=text, oid=oid),)


def _place(names: Sequence[str], wanted: str) -> int:
    name = wanted.strip().lower()
    if name not in names:
        raise PermanentError(
            "column_missing", f"the file has no column {wanted!r}: see its first row"
        )
    return names.index(name)


def _clean(text: str) -> str:
    """Return a value without what no column of a database takes, cut to a bounded length."""
    kept = text[: 4 * MAX_CHARACTERS].replace("\x00", "")
    kept = kept.encode("utf-8", "replace").decode("utf-8")
    return " ".join(kept.split())[:MAX_CHARACTERS]
