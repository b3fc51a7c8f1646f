"""The Patient of a dossier, after FR Core 2.2.0. A billing number (NH) is never in it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from schemas.events import JsonObject
from schemas.patient import Address, Ins, Traits

from .fhir import TERMINOLOGY, Clean, date_of, filled, told
from .places import day_of

_CORE: Final = "https://hl7.fr/ig/fhir/core"
_COMMUNES: Final = "https://mos.esante.gouv.fr/NOS/TRE_R13-CommuneOM/FHIR/TRE-R13-CommuneOM"
_INS_TYPES: Final = {
    "1.2.250.1.213.1.4.8": "INS-NIR",
    "1.2.250.1.213.1.4.9": "INS-NIA",
    "1.2.250.1.213.1.4.10": "INS-NIR-TEST",
    "1.2.250.1.213.1.4.11": "INS-NIR-DEMO",
}
_PROFILES: Final = {
    is_complete: Clean(profile=[f"{_CORE}/StructureDefinition/{name}"])
    for is_complete, name in ((True, "fr-core-patient-ins"), (False, "fr-core-patient"))
}
_COMMUNE_URL: Final = f"{_CORE}/StructureDefinition/fr-core-address-insee-code"
_GIVENS_URL: Final = f"{_CORE}/StructureDefinition/fr-core-patient-birth-list-given-name"
_GENDERS: Final = {"M": "male", "F": "female", "O": "other", "A": "other", "N": "other"}


def patient_of(traits: Traits, ins: Ins) -> JsonObject:
    """Return the Patient of a report about a person whose INS is qualified.

    Claims `fr-core-patient-ins` where the birth identity is complete, else `fr-core-patient`.
    """
    names = (_birth_name(traits), _used_name(traits))
    home = _home(traits.address)
    return filled(
        {
            "resourceType": "Patient",
            "meta": _PROFILES[_is_complete(traits)],
            "extension": [*_birth_place(traits), _RELIABILITY],
            "identifier": [_official(ins), *_internal(traits)],
            "name": [name for name in names if name is not None],
            "telecom": [*_contacts("phone", traits.phones), *_contacts("email", traits.emails)],
            "gender": _GENDERS.get(traits.sex, "unknown"),
            "birthDate": date_of(traits.birth_date),
            "address": [home] if home else None,
        }
    )


def _is_complete(traits: Traits) -> bool:
    return bool(
        traits.birth_place
        and traits.birth_family.strip()
        and traits.birth_given.strip()
        and day_of(traits.birth_date)
        and traits.sex in {"M", "F"}
    )


def _birth_place(traits: Traits) -> list[Clean]:
    code = told(traits.birth_place)
    if not code:
        return []
    coding = Clean(system=_COMMUNES, code=code)
    return [
        Clean(
            url="http://hl7.org/fhir/StructureDefinition/patient-birthPlace",
            valueAddress={"extension": [{"url": _COMMUNE_URL, "valueCoding": coding}]},
        )
    ]


def _contacts(system: str, numbers: Iterable[str]) -> list[Clean]:
    # A contact of which nothing is left keeps its system: it was given, and is unreadable.
    return [filled({"system": system, "value": told(each)}) for each in numbers]


_INS_CONCEPTS: Final = {
    oid: Clean(coding=[{"system": f"{_CORE}/CodeSystem/fr-core-cs-v2-0203", "code": code}])
    for oid, code in _INS_TYPES.items()
}
# The profile's slice matches with this display only; without it no rule is applied.
_INTERNAL: Final = Clean(
    coding=[
        {
            "system": f"{TERMINOLOGY}/v2-0203",
            "code": "PI",
            "display": "Patient internal identifier",
        }
    ]
)
# The person is qualified, whatever this one message said: hence VALI.
_RELIABILITY: Final = Clean(
    {
        "url": f"{_CORE}/StructureDefinition/fr-core-identity-reliability",
        "extension": [
            {
                "url": "identityStatus",
                "valueCoding": {"system": f"{_CORE}/CodeSystem/fr-core-cs-v2-0445", "code": "VALI"},
            }
        ],
    }
)


def _official(ins: Ins) -> Clean:
    return Clean(
        use="official",
        type=_INS_CONCEPTS[ins.oid],
        system=f"urn:oid:{ins.oid}",
        value=ins.matricule,
    )


def _internal(traits: Traits) -> list[Clean]:
    return [
        filled(
            {
                "use": "usual",
                "type": _INTERNAL,
                "system": told(f"urn:oid:{each.oid}"),
                "value": told(each.value),
            }
        )
        for each in traits.identifiers
        if each.type == "PI" and each.oid and each.value
    ]


def _birth_name(traits: Traits) -> Clean | None:
    if not traits.birth_family.strip() or not traits.birth_given.strip():
        return None  # an official name needs both
    all_given = told(" ".join(traits.birth_givens) or traits.birth_given)
    return _name("official", traits.birth_family, traits.birth_given, all_given)


def _used_name(traits: Traits) -> Clean | None:
    family, given = traits.used_family, traits.used_given
    if not traits.birth_family.strip() or not traits.birth_given.strip():
        family, given = family or traits.birth_family, given or traits.birth_given
    return _name("usual", family, given) if family or given else None


def _name(use: str, family: str, given: str, all_given: str = "") -> Clean:
    first = told(given)
    return filled(
        {
            "extension": [Clean(url=_GIVENS_URL, valueString=all_given)] if all_given else None,
            "use": use,
            "family": told(family),
            "given": [first] if first else None,
        }
    )


def _home(address: Address | None) -> Clean | None:
    if address is None:
        return None
    home = filled(
        {
            "line": [line for each in address.lines if (line := told(each))],
            "city": told(address.city),
            "postalCode": told(address.postcode),
            "country": told(address.country),
        }
    )
    return Clean(use="home", **home) if home else None
