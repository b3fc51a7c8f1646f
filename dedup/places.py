"""Folding of where somebody was born and lives: codes, postcodes, towns, streets. Pure."""

from __future__ import annotations

import re
from typing import Final

from schemas.patient import Address

from .names import fold_name

_PUNCTUATION: Final = str.maketrans(dict.fromkeys('.,;:/()°"', " "))
_CODE: Final = re.compile(r"[0-9][0-9AB][0-9]{3}")
_NOT_POSTCODE: Final = re.compile(r"[^0-9A-Z]")
_NO_PLACES: Final = frozenset({"99999", "00000", "INCONNU", "INCONNUE", "NC", "X", "UNKNOWN"})
_NO_POSTCODES: Final = frozenset({"00000", "99999", "0000", "9999", "NC", "X"})
_DISTRIBUTION: Final = re.compile(r"(?: (?:CEDEX|[0-9]{1,2}(?:ER|E|EME)?|ARRONDISSEMENT))+$")
_HOUSE: Final = re.compile(
    r"([0-9]{1,6})(?![0-9])(?: ?(BIS|TER|QUATER|[A-D])(?![A-Z0-9]))?(?: (?=[^ ])|$)(.*)", re.DOTALL
)
_SUFFIXES: Final = {"BIS": "B", "TER": "T", "QUATER": "Q"}
_WAYS: Final = {
    "AV": "AVENUE", "AVE": "AVENUE", "BD": "BOULEVARD", "BLD": "BOULEVARD", "BVD": "BOULEVARD",
    "BOUL": "BOULEVARD", "R": "RUE", "PL": "PLACE", "CHE": "CHEMIN", "CHEM": "CHEMIN",
    "ALL": "ALLEE", "IMP": "IMPASSE", "RTE": "ROUTE", "SQ": "SQUARE", "LOT": "LOTISSEMENT",
    "RES": "RESIDENCE", "CRS": "COURS", "FG": "FAUBOURG", "FBG": "FAUBOURG", "QU": "QUAI",
}  # fmt: skip
MAX_TEXT: Final = 100


def fold_place(place: str) -> str:
    """Return an INSEE code, or a folded name; nothing for 99999 and other words for unknown."""
    code = place if len(place) == 5 and _CODE.fullmatch(place) else place.strip().upper()
    if len(code) != 5 or not _CODE.fullmatch(code):
        code = fold_name(place)
        if len(code) < 2:
            return ""
    return "" if code in _NO_PLACES else code


def fold_postcode(postcode: str) -> str:
    """Return a postcode without blanks, country letters before it, or nothing for placeholders."""
    code = postcode[:20]
    if not (code.isascii() and code.isdigit()):
        code = _NOT_POSTCODE.sub("", code.upper())
        if len(code) > 5 and code[1:].isdigit() and code[0] == "F":
            code = code[1:]
    return "" if code in _NO_POSTCODES else code


def _fold(text: str) -> str:
    """Fold as a name, then take punctuation for spaces: folding can bring some (U+FF08)."""
    folded = fold_name(text)
    if folded.replace(" ", "").isalnum():
        return folded
    return " ".join(folded.translate(_PUNCTUATION).split())


def fold_city(city: str) -> str:
    """Return a town without CEDEX, arrondissement and abbreviation (ST is SAINT)."""
    text = _fold(city)
    if text[-1:].isdigit() or "CEDEX" in text or text[-1:] in {"E", "R", "T"}:
        text = _DISTRIBUTION.sub("", text)
    if text.startswith(("ST ", "STE ")):
        head, _, rest = text.partition(" ")
        text = f"{'SAINT' if head == 'ST' else 'SAINTE'} {rest}"[:MAX_TEXT].rstrip()
    return "" if text in _NO_PLACES else text


def fold_state(address: Address | None) -> str:
    """Return a state or province, folded; France has none."""
    if address is None or not address.state:
        return ""
    text = _fold(address.state)
    return "" if text in _NO_PLACES else text


def fold_street(lines: tuple[str, ...]) -> tuple[str, str]:
    """Return street and house number (`12B`); the first four lines as one."""
    text = _fold(" ".join(lines[:4])[: 2 * MAX_TEXT])
    house = ""
    if text[:1].isdigit():
        found = _HOUSE.fullmatch(text)
        if found is not None:
            suffix = found[2] or ""
            house = found[1] + _SUFFIXES.get(suffix, suffix)
            text = found[3]
    head, _, rest = text.partition(" ")
    if head in _WAYS and rest:
        text = f"{_WAYS[head]} {rest}"[: MAX_TEXT - 10].rstrip()
    return text, house
