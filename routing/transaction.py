"""A dossier's Bundle as a transaction that a FHIR server can take twice without harm; pure.

What belongs to one report (DiagnosticReport, Observation, Specimen, ServiceRequest, Provenance) is
put under the id of its `urn:uuid`: sending again overwrites it with itself. What reports share
(Patient, Organization, Practitioner) is created only where nobody has its identifier: the
receiver's own register is never overwritten. Source: FHIR R4, 3.1.0.11 (transaction).

A withdrawal leaves a stub `entered-in-error` without content, no hole: somebody may have read the
result, and servers refuse to delete what is referred to.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import quote
from uuid import UUID

from schemas.events import JsonObject

from .fhir import Parts

Part = tuple[str, str]
"""Type and id of a resource at the receiver."""

SHARED: Final = frozenset({"Patient", "Organization", "Practitioner"})
_URN: Final = "urn:uuid:"
_WITHDRAWN: Final = "Résultat retiré"
_STUBS: Final[Mapping[str, JsonObject]] = {
    "DiagnosticReport": {"code": {"text": _WITHDRAWN}},
    "Observation": {"code": {"text": _WITHDRAWN}},
    "Specimen": {},
    "ServiceRequest": {"intent": "order", "subject": {"display": _WITHDRAWN}},
}
"""What R4 demands of a resource of each type, beside its status."""
_FIRST: Final[Mapping[str, int]] = {
    "DiagnosticReport": Parts.REPORT,
    "Observation": Parts.OBSERVATIONS,
    "Specimen": Parts.SPECIMEN,
    "ServiceRequest": Parts.ORDER,
}
"""The number of the first part of each type that has a stub; the others of it follow."""
_DIGITS: Final = 8
"""Of a part's number at the end of its id."""


def transaction_of(bundle: JsonObject, base: str, stale: Iterable[Part] = ()) -> JsonObject:
    """Return the transaction that brings a server to what this Bundle says.

    Args:
        bundle: A collection Bundle whose full URLs are `urn:uuid`.
        base: The server's base URL, without a slash at its end.
        stale: What earlier versions of the report put there; what is not put again is withdrawn.
    """
    places: dict[str, str] = {}
    """Full URL in the collection -> what references say in the transaction."""
    created: dict[tuple[str, str], str] = {}
    kept: list[tuple[str, JsonObject, str]] = []
    for entry in bundle.get("entry", ()):
        url, resource = entry["fullUrl"], entry["resource"]
        kind = resource["resourceType"]
        condition = _condition(resource) if kind in SHARED else ""
        if not condition:
            places[url] = f"{kind}/{url.removeprefix(_URN)}"
        elif (kind, condition) in created:  # one server refuses, another makes two
            places[url] = created[kind, condition]
            continue
        else:
            created[kind, condition] = places[url] = url
        kept.append((url, resource, condition))
    entries = [
        _entry(_pointed(resource, places), base, url, places[url], condition)
        for url, resource, condition in kept
    ]
    put = {tuple(place.split("/", 1)) for place in places.values() if not place.startswith(_URN)}
    return _transaction(entries + _stubs(sorted(set(stale) - put), base))


def withdrawal_of(report_id: UUID, parts: Iterable[Part], base: str) -> JsonObject:
    """Return the transaction that takes a report back.

    Args:
        report_id: Of the report; its DiagnosticReport is taken back in any case.
        parts: What was put there before, as far as it is known.
        base: The server's base URL, without a slash at its end.
    """
    report = ("DiagnosticReport", Parts(report_id).urn(Parts.REPORT).removeprefix(_URN))
    return _transaction(_stubs(sorted({report, *parts}), base))


def parts_of(bundle: JsonObject) -> frozenset[Part]:
    """Return what the transaction of a Bundle puts under ids of ours."""
    return frozenset(
        (entry["resource"]["resourceType"], entry["fullUrl"].removeprefix(_URN))
        for entry in bundle.get("entry", ())
        if entry["resource"]["resourceType"] not in SHARED or not _condition(entry["resource"])
    )


def counted(report_id: UUID, parts: Iterable[Part]) -> dict[str, int]:
    """Return how many parts of a report there are by type: enough to name them all again.

    Only types that a withdrawal leaves a stub of; ids that are not of this report count nothing.
    """
    whose = Parts(report_id)
    found: dict[str, int] = {}
    for kind, part in parts:
        first = _FIRST.get(kind)
        if first is None:
            continue
        place = int(part[-_DIGITS:], 16) - first
        if place >= 0 and whose.urn(first + place) == f"{_URN}{part}":
            found[kind] = max(found.get(kind, 0), place + 1)
    return found


def named(report_id: UUID, counts: Mapping[str, int]) -> frozenset[Part]:
    """Return the parts of a report that `counted` has counted."""
    whose = Parts(report_id)
    return frozenset(
        (kind, whose.urn(_FIRST[kind] + place).removeprefix(_URN))
        for kind, count in counts.items()
        if kind in _FIRST
        for place in range(count)
    )


def _transaction(entries: list[JsonObject]) -> JsonObject:
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


def _entry(resource: Any, base: str, url: str, place: str, condition: str) -> JsonObject:
    kind = resource["resourceType"]
    if condition:
        request = {"method": "POST", "url": kind, "ifNoneExist": condition}
        return {"fullUrl": url, "resource": resource, "request": request}
    named = {"resourceType": kind, "id": place.partition("/")[2], **resource}
    return {
        "fullUrl": f"{base}/{place}",
        "resource": named,
        "request": {"method": "PUT", "url": place},
    }


def _stubs(parts: Iterable[Part], base: str) -> list[JsonObject]:
    return [
        {
            "fullUrl": f"{base}/{kind}/{part}",
            "resource": {
                "resourceType": kind,
                "id": part,
                "status": "entered-in-error",
                **_STUBS[kind],
            },
            "request": {"method": "PUT", "url": f"{kind}/{part}"},
        }
        for kind, part in parts
        if kind in _STUBS
    ]


def _condition(resource: JsonObject) -> str:
    """Return the search that finds a shared resource, empty where it has no identifier.

    A patient is found by the official identifier alone, the INS: a local number is another
    person's elsewhere.
    """
    official = resource["resourceType"] == "Patient"
    for each in resource.get("identifier", ()):
        system, value = each.get("system"), each.get("value")
        if system and value and (not official or each.get("use") == "official"):
            return f"identifier={quote(system, safe=':/.-')}|{quote(value, safe='')}"
    return ""


def _pointed(part: Any, places: Mapping[str, str]) -> Any:
    """Return an element with its references leading to where the resources go."""
    if isinstance(part, dict):
        return {
            key: places.get(value, value)
            if key == "reference" and isinstance(value, str)
            else _pointed(value, places)
            for key, value in part.items()
        }
    if isinstance(part, list | tuple):
        return [_pointed(each, places) for each in part]
    return part
