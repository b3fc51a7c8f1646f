"""Who made, ordered and passed on a report: Organization, Practitioner and Provenance."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from typing import Final

import msgspec

from schemas.report import Organisation, Practitioner

from .fhir import Clean, clean, concept, filled, kept, oid_of, told
from .making import Making
from .places import finess_of, rpps_of

_TYPES: Final = "https://hl7.fr/ig/fhir/core/CodeSystem/fr-core-cs-v2-0203"


def _type(code: str) -> msgspec.Raw:
    return kept({"coding": [{"system": _TYPES, "code": code}]})


_STRUCTURE: Final = _type("IDNST")
_PROFESSIONAL: Final = _type("IDNPS")


@lru_cache(maxsize=8_192)
def organisation_of(organisation: Organisation) -> msgspec.Raw | None:
    """Return an Organization with its FINESS number; None where neither name nor number is known.

    It is kept: an organisation is nobody.
    """
    name, identifier = told(organisation.name), _number(organisation)
    if not name and identifier is None:
        return None
    return kept(
        filled(
            {
                "resourceType": "Organization",
                "identifier": None if identifier is None else [identifier],
                "name": name,
            }
        )
    )


def _number(organisation: Organisation) -> Clean | None:
    """Return the FINESS as national structure identifier (`1` + FINESS), else what there is."""
    finess = finess_of(organisation)
    if finess:
        return {"type": _STRUCTURE, "system": "urn:oid:1.2.250.1.71.4.2.2", "value": f"1{finess}"}
    number = told(organisation.identifier)
    if not number:
        return None
    oid = oid_of(number)
    if oid is not None:
        return {"system": "urn:ietf:rfc:3986", "value": oid}
    return {"value": number}


def practitioner_of(practitioner: Practitioner | None) -> Clean | None:
    """Return a Practitioner with its RPPS number (`8` + RPPS); None where nothing is known."""
    if practitioner is None:
        return None
    number = told(practitioner.identifier)
    rpps = rpps_of(practitioner)
    identifier: Clean | None = None
    if rpps:
        identifier = {
            "type": _PROFESSIONAL,
            "system": "urn:oid:1.2.250.1.71.4.2.1",
            "value": f"8{rpps}",
        }
    elif number:
        identifier = {"value": number}
    name = clean({"family": practitioner.family, "given": [practitioner.given]})
    if identifier is None and name is None:
        return None
    return filled(
        {
            "resourceType": "Practitioner",
            "identifier": None if identifier is None else [identifier],
            "name": None if name is None else [name],
        }
    )


def provenance_of(making: Making, report: Clean, laboratory: Clean | None, at: datetime) -> Clean:
    """Return a Provenance: that the hub made the Bundle, under which rule and versions.

    Args:
        making: Rule and versions.
        report: Reference to what was made.
        laboratory: Reference to whose report it is.
        at: When the message was accepted.
    """
    hub, agent, policy = _made(making)
    return filled(
        {
            "resourceType": "Provenance",
            "contained": [hub],
            "target": [report],
            "recorded": at.isoformat(timespec="milliseconds"),
            "policy": policy,
            "agent": [agent]
            if laboratory is None
            else [agent, {"type": _AUTHOR, "who": laboratory}],
        }
    )


@lru_cache(maxsize=256)
def _made(making: Making) -> tuple[msgspec.Raw, msgspec.Raw, msgspec.Raw | None]:
    versions = (
        ("rules", making.rule_version),
        ("matcher", making.model_version),
        ("mapping", making.mapping_version),
    )
    hub = clean(
        {
            "resourceType": "Device",
            "id": "hub",
            "deviceName": [{"name": "labdispatch", "type": "user-friendly-name"}],
            "version": [
                {"type": {"text": what}, "value": version} for what, version in versions if version
            ],
        }
    )
    assert hub is not None, "it has a type"
    agent = kept({"type": _ASSEMBLER, "who": {"reference": "#hub"}})
    policy = kept([f"urn:labdispatch:rule:{making.rule}"]) if making.rule else None
    return kept(hub), agent, policy


_ASSEMBLER: Final = concept("assembler", "provenance-participant-type")
_AUTHOR: Final = concept("author", "provenance-participant-type")
