"""Two persons beside each other, field by field, as a steward sees them. Pure.

The pair of identities that speaks most for one person is shown: with the level of each field and
what it weighs, in bits, and the guard that stands between the two.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Final
from uuid import UUID

import msgspec

from .compare import compare
from .identity import Candidate, Identity
from .levels import FIELDS, level_name
from .model import Model
from .score import posterior_of, total_of, weigh

MOST_IDENTITIES: Final = 12
"""Identities of a person that are compared with each of the other's."""

_VALUES: Final[Mapping[str, tuple[str, ...]]] = {
    "family": ("family", "used_family"),
    "given": ("given", "used_given"),
    "middle": ("givens",),
    "birth_date": ("birth_date",),
    "sex": ("sex",),
    "birth_place": ("birth_place",),
    "postcode": ("postcode",),
    "city": ("city",),
    "state": ("state",),
    "street": ("street",),
    "house": ("house",),
    "phone": ("phones",),
    "email": ("emails",),
}


class Field(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One field of both: how far it agrees and what that weighs. Values only where they may be."""

    field: str
    level: str
    bits: float
    one: str = ""
    other: str = ""


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Two persons by the pair of their identities that speaks most for one."""

    model: str
    prior: float
    total: float
    """Bits, the prior taken off: 0 is as likely as not."""
    posterior: float
    fields: tuple[Field, ...]


def compare_persons(
    one: Candidate, other: Candidate, model: Model, *, with_values: bool
) -> Comparison | None:
    """Compare two persons; None where no identity of one of them can be read any more.

    Args:
        one: With its identities.
        other: With its identities.
        model: Weighs.
        with_values: Whether the folded values stand beside the levels.
    """
    best: tuple[int, UUID, UUID] | None = None
    for (mine, its), (theirs, others) in product(_readable(one), _readable(other)):
        weights = weigh(compare(its, others), its, others, model)
        found = (total_of(weights, model), mine, theirs)
        if best is None or (found[0], found[1].int, found[2].int) > (
            best[0],
            best[1].int,
            best[2].int,
        ):
            best = found
    if best is None:
        return None
    total, mine, theirs = best
    first, second = one.aliases[mine], other.aliases[theirs]
    assert first is not None
    assert second is not None
    levels = compare(first, second)
    return Comparison(
        model=model.version,
        prior=-model.prior / 1000,
        total=total / 1000,
        posterior=posterior_of(total),
        fields=tuple(
            Field(
                field=name,
                level=level_name(number, levels[number]),
                bits=weight / 1000,
                one=shown(first, name) if with_values else "",
                other=shown(second, name) if with_values else "",
            )
            for number, (name, weight) in enumerate(
                zip(FIELDS, weigh(levels, first, second, model), strict=True)
            )
        ),
    )


def shown(identity: Identity, field: str) -> str:
    """Return the values of a field for a steward's eyes; only where they may be shown."""
    parts: list[str] = []
    for name in _VALUES[field]:
        value = getattr(identity, name)
        parts += [value] if isinstance(value, str) else list(value)
    return " / ".join(part for part in parts if part)


def _readable(person: Candidate) -> list[tuple[UUID, Identity]]:
    known = [(digest, alias) for digest, alias in person.aliases.items() if alias is not None]
    return sorted(known, key=lambda each: each[0].int)[:MOST_IDENTITIES]
