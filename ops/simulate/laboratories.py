"""Laboratories that do not exist: a name, a town, a FINESS that nobody has, a vendor's system."""

from __future__ import annotations

import msgspec

from . import names, numbers
from .places import by_population, communes
from .seeds import Stream, Weighted, generator
from .vendors import DIALECTS, Dialect

_KINDS = ("LABORATOIRE", "LBM", "BIOLOGIE MEDICALE", "LABORATOIRE DU CENTRE HOSPITALIER DE")
_SIZES = Weighted([(1.0, 0.6), (3.0, 0.3), (10.0, 0.1)])


class Laboratory(msgspec.Struct, frozen=True, kw_only=True):
    """A sending laboratory; number `index` has the same FINESS under every seed."""

    index: int
    code: str
    """Short name in its own order numbers, control ids and patient numbers."""
    name: str
    finess: str
    """9 digits with a right Luhn digit, sent in MSH-4 and (with a leading 1) in OBX-23."""
    city: str
    dialect: Dialect
    weight: float
    """How much work it has beside the others."""


def laboratories(seed: int, count: int) -> tuple[Laboratory, ...]:
    """Return laboratories 0 .. count - 1 of a seed.

    Raises:
        ValueError: If `count` is below 1 or above 9,999.
    """
    if not 1 <= count <= 9_999:
        raise ValueError("a simulation has 1 to 9999 laboratories")
    return tuple(_laboratory(seed, index) for index in range(count))


def _laboratory(seed: int, index: int) -> Laboratory:
    rng = generator(seed, Stream.LABORATORY, index)
    town = names.folded(communes()[by_population().draw(rng)].town)
    kind = _KINDS[int(rng.random() * len(_KINDS))]
    return Laboratory(
        index=index,
        code=f"L{index + 1:04d}",
        name=f"{kind} {town}",
        finess=numbers.finess(1_000 + index),
        city=town,
        dialect=DIALECTS[index % len(DIALECTS)],
        weight=_SIZES.draw(rng),
    )
