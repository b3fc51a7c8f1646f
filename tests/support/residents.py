"""Very many people who share a birth date, an address and a telephone, and nothing else."""

from __future__ import annotations

from random import Random

from schemas.patient import Address, Traits

_SYLLABLES = [
    "BA",
    "CRO",
    "DU",
    "FEL",
    "GRI",
    "HOM",
    "JAX",
    "KLE",
    "LU",
    "MON",
    "NIV",
    "PRA",
    "QUI",
    "RSO",
    "STU",
    "TAV",
    "VEL",
    "WIM",
    "XOR",
    "ZED",
]


def resident(number: int, **changes: object) -> Traits:
    """One of very many who were born on the same day (as far as anybody knows) and live together.

    Their names are as unlike as can be: nobody is anybody else by them.
    """
    random = Random(number)
    values: dict[str, object] = {
        "identity_status": "PROV",
        "birth_family": "".join(random.choices(_SYLLABLES, k=4)),
        "birth_given": "".join(random.choices(_SYLLABLES, k=4)),
        "birth_date": "1944-06-13",
        "sex": "F",
        "birth_place": f"{random.randrange(1_001, 95_000):05d}",
        "address": Address(lines=("1 RUE DU FOYER",), city="LENS", postcode="62300"),
        "phones": ("0321000000",),
    }
    return Traits(**{**values, **changes})  # type: ignore[arg-type]
