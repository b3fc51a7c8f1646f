"""The Patient of a dossier, after FR Core 2.2.0. A billing number (NH) is never in it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from schemas.patient import Address, Ins, Traits

from .fhir import TERMINOLOGY, Clean, date_of, filled, kept, oid_of, told

_CORE: Final = "https://hl7.fr/ig/fhir/core"
_COMMUNES: Final = "https://mos.esante.gouv.fr/NOS/TRE_R13-CommuneOM/FHIR/TRE-R13-CommuneOM"
_INS_TYPES: Final = {
    "1.2.250.1.213.1.4.8": "INS-NIR",
    "1.2.250.1.213.1.4.9": "INS-NIA",
    "1.2.250.1.213.1.4.10": "INS-NIR-TEST",
    "1.2.250.1.213.1.4.11": "INS-NIR-DEMO",
}
_PROFILES: Final = {
    is_complete: kept({"profile": [f"{_CORE}/StructureDefinition/{name}"]})
    for is_complete, name in ((True, "fr-core-patient-ins"), (False, "fr-core-patient"))
}
_COMMUNE_URL: Final = f"{_CORE}/StructureDefinition/fr-core-address-insee-code"
_WHOLE_DATE: Final = len("1979-03-28")
_GIVENS_URL: Final = f"{_CORE}/StructureDefinition/fr-core-patient-birth-list-given-name"
# `other` is no gender of FR Core: O, A and N are as unknown as U.
_GENDERS: Final = {"M": "male", "F": "female"}


def patient_of(traits: Traits, ins: Ins, *, with_contacts: bool = True) -> Clean:
    """Return the Patient of a report about a person whose INS is qualified.

    Claims `fr-core-patient-ins` where the birth identity is complete, else `fr-core-patient`.
    """
    names = (_birth_name(traits), _used_name(traits))
    home = _home(traits.address) if with_contacts else None
    telecom: list[Clean] = []
    if with_contacts:
        telecom = [*_contacts("phone", traits.phones), *_contacts("email", traits.emails)]
    return filled(
        {
            "resourceType": "Patient",
            "meta": _PROFILES[_is_complete(traits)],
            "extension": [*_birth_place(traits), _RELIABILITY],
            "identifier": [_official(ins), *_internal(traits)],
            "name": [name for name in names if name is not None],
            "telecom": telecom,
            "gender": _GENDERS.get(traits.sex, "unknown"),
            "birthDate": date_of(traits.birth_date),
            "address": [home] if home else None,
        }
    )


def _is_complete(traits: Traits) -> bool:
    return bool(
        told(traits.birth_place)
        and told(traits.birth_family)
        and told(traits.birth_given)
        and len(date_of(traits.birth_date) or "") == _WHOLE_DATE
        and traits.sex in {"M", "F"}
    )


def _birth_place(traits: Traits) -> list[Clean]:
    code = told(traits.birth_place)
    if not code:
        return []
    coding = {"system": _COMMUNES, "code": code}
    return [
        {
            "url": "http://hl7.org/fhir/StructureDefinition/patient-birthPlace",
            "valueAddress": {"extension": [{"url": _COMMUNE_URL, "valueCoding": coding}]},
        }
    ]


def _contacts(system: str, numbers: Iterable[str]) -> list[Clean]:
    return [{"system": system, "value": value} for each in numbers if (value := told(each))]


_INS_CONCEPTS: Final = {
    oid: kept({"coding": [{"system": f"{_CORE}/CodeSystem/fr-core-cs-v2-0203", "code": code}]})
    for oid, code in _INS_TYPES.items()
}
# The profile's slice matches with this display only; without it no rule is applied.
_INTERNAL: Final = kept(
    {
        "coding": [
            {
                "system": f"{TERMINOLOGY}/v2-0203",
                "code": "PI",
                "display": "Patient internal identifier",
            }
        ]
    }
)
# The person is qualified, whatever this one message said: hence VALI.
_RELIABILITY: Final = kept(
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
    return {
        "use": "official",
        "type": _INS_CONCEPTS[ins.oid],
        "system": f"urn:oid:{ins.oid}",
        "value": ins.matricule,
    }


def _internal(traits: Traits) -> list[Clean]:
    # Without its authority a number of a patient says nothing; the profile asks for the system.
    return [
        {"use": "usual", "type": _INTERNAL, "system": system, "value": value}
        for each in traits.identifiers
        if each.type == "PI" and (system := oid_of(each.oid)) and (value := told(each.value))
    ]


def _birth_name(traits: Traits) -> Clean | None:
    family, given = told(traits.birth_family), told(traits.birth_given)
    if not family or not given:
        return None  # an official name needs both
    return _name("official", family, given, told(" ".join(traits.birth_givens)) or given)


def _used_name(traits: Traits) -> Clean | None:
    family, given = told(traits.used_family), told(traits.used_given)
    birth_family, birth_given = told(traits.birth_family), told(traits.birth_given)
    if not birth_family or not birth_given:
        family, given = family or birth_family, given or birth_given
    return _name("usual", family, given) if family or given else None


def _name(use: str, family: str, given: str, all_given: str = "") -> Clean:
    return filled(
        {
            "extension": [{"url": _GIVENS_URL, "valueString": all_given}] if all_given else None,
            "use": use,
            "family": family,
            "given": [given] if given else None,
        }
    )


def _home(address: Address | None) -> Clean | None:
    if address is None:
        return None
    home = filled(
        {
            "line": [line for each in address.lines if (line := told(each))],
            "city": told(address.city),
            "state": told(address.state),
            "postalCode": told(address.postcode),
            "country": told(address.country),
        }
    )
    return {"use": "home", **home} if home else None
