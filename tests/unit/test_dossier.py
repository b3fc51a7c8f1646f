"""The dossier's Bundle: its shape, its values, its life, and what it never holds."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings

from routing import fhir, fhir_actors, fhir_units
from routing.fhir import ENCODER
from routing.grouping import members_of
from schemas.patient import Traits
from schemas.report import (
    Coded,
    LabReport,
    Organisation,
    Practitioner,
    ResultStatus,
    Specimen,
)
from tests.support.fhir import reports as drawn
from tests.support.fhir.bundles import DUE, projected
from tests.support.fhir.goldens import (
    CDA,
    GOLDENS,
    amended,
    asked,
    document_report,
    golden_body,
    microbiology,
    parts,
    seen,
    with_status,
)
from tests.unit.test_routing_cases import (
    CANARIES,
    DETECTED,
    LABORATORY,
    PCR,
    case,
    observation,
    report,
)

GOLDEN = Path(__file__).parents[1] / "golden" / "routing"
SHAPE = frozenset((GOLDEN / "dossier-shape.txt").read_text().split())
DECODER = msgspec.json.Decoder(float_hook=Decimal)


@pytest.mark.parametrize("name", GOLDENS)
def test_golden_dossiers(name: str) -> None:
    golden = (GOLDEN / f"dossier-{name}.json").read_bytes()
    assert msgspec.json.format(golden_body(name), indent=2) + b"\n" == golden


# ------------------------------------------------------------------ shape


def paths_of(element: Any, path: str) -> Iterator[str]:
    if isinstance(element, dict):
        for key, value in element.items():
            yield from paths_of(value, f"{path}.{key}")
    elif isinstance(element, list):
        for value in element:
            yield from paths_of(value, path)
    else:
        yield path


def check_shape(body: bytes) -> None:
    """Only allowed paths; nothing empty; each reference has its entry; the bytes are canonical."""
    bundle = msgspec.json.decode(body)
    assert ENCODER.encode(DECODER.decode(body)) == body
    resources = [entry["resource"] for entry in bundle.pop("entry")]
    urls = [entry["fullUrl"] for entry in msgspec.json.decode(body)["entry"]]
    found = set(paths_of(bundle, "Bundle"))
    for resource in resources:
        found |= set(paths_of(resource, resource["resourceType"]))
    assert found <= SHAPE
    assert len(set(urls)) == len(urls)
    text = body.decode()
    references = {part.split('"')[0] for part in text.split('"reference":"')[1:]}
    assert references - {"#hub"} <= set(urls)
    assert not [
        empty for empty in ('""', "[]", "{}", "null", '" ', "\\u0000") if f":{empty}" in text
    ]
    kinds = [each["resourceType"] for each in resources]
    assert (kinds[:2], kinds[-1]) == (["Patient", "DiagnosticReport"], "Provenance")
    for one in ("Patient", "DiagnosticReport", "Provenance"):
        assert kinds.count(one) == 1


@given(drawn.reports, drawn.traits, drawn.organisations)
@settings(max_examples=60, deadline=None)
def test_whatever_a_report_holds_its_bundle_has_the_allowed_shape(
    of: LabReport, about: Traits, laboratory: Organisation
) -> None:
    one = projected(case(of=of, about=about, laboratory=laboratory))
    check_shape(one.body)
    for each in msgspec.json.decode(one.body)["entry"]:
        resource = each["resource"]
        if resource["resourceType"] == "Observation":
            values = [key for key in resource if key.startswith("value")]
            assert len(values) + ("dataAbsentReason" in resource) == 1


@pytest.mark.proof
@given(drawn.reports, drawn.traits, drawn.organisations)
@settings(max_examples=2_000, deadline=None)
def test_many_reports_have_the_allowed_shape(
    of: LabReport, about: Traits, laboratory: Organisation
) -> None:
    check_shape(projected(case(of=of, about=about, laboratory=laboratory)).body)


@pytest.mark.parametrize("name", GOLDENS)
def test_golden_bundles_have_the_allowed_shape(name: str) -> None:
    check_shape(golden_body(name))


# ------------------------------------------------------------------ provenance


def test_the_body_is_what_is_compared_and_a_provenance() -> None:
    given_case = msgspec.structs.replace(case(), model_version="fr-3", mapping_version="2")
    one = projected(given_case)
    assert one.compared is not None
    body, compared = msgspec.json.decode(one.body), msgspec.json.decode(one.compared)
    provenance = body["entry"].pop()["resource"]
    assert body == compared
    assert provenance["resourceType"] == "Provenance"
    (hub,) = provenance["contained"]
    versions = {each["type"]["text"]: each["value"] for each in hub["version"]}
    assert versions == {"rules": DUE.rule_version, "matcher": "fr-3", "mapping": "2"}
    assert provenance["recorded"] == "2026-03-06T09:15:02.000+00:00"
    assert provenance["policy"] == ["urn:labdispatch:rule:dossier-every-report"]


def test_another_version_of_rules_model_or_mapping_is_no_other_content() -> None:
    first = case()
    second = msgspec.structs.replace(first, model_version="fr-9", mapping_version="9")
    later = projected(second, msgspec.structs.replace(DUE, rule_version="another"))
    assert later.compared == projected(first).compared
    assert later.body != projected(first).body


# ------------------------------------------------------------------ what is amended


def statuses_of(of: LabReport) -> tuple[str, list[str]]:
    (whole,) = parts("DiagnosticReport", of=of)
    return whole["status"], [each["status"] for each in parts("Observation", of=of)]


def test_a_corrected_report_is_amended_where_no_result_is_corrected() -> None:
    corrected = with_status("C")
    first, second = corrected.observations
    final = msgspec.structs.replace(second, status=ResultStatus.FINAL)
    beside = msgspec.structs.replace(corrected, observations=(first, final))
    assert statuses_of(corrected) == ("corrected", ["corrected", "corrected"])
    assert statuses_of(amended(corrected)) == ("amended", ["amended", "amended"])
    assert statuses_of(amended(corrected, 1)) == ("corrected", ["amended", "corrected"])
    assert statuses_of(amended(beside, 1)) == ("amended", ["amended", "final"])
    assert statuses_of(beside) == ("corrected", ["corrected", "final"])
    for letter, said in (("X", "amended"), ("D", "corrected"), ("W", "corrected")):
        gone = msgspec.structs.replace(second, status=ResultStatus(letter))
        taken_back = msgspec.structs.replace(corrected, observations=(first, gone))
        assert statuses_of(amended(taken_back, 1))[0] == said
    meta = asked("DESTMSSANTEPAT")
    asking = msgspec.structs.replace(meta, status=ResultStatus.CORRECTED)
    of = amended(corrected)
    of = msgspec.structs.replace(of, observations=(*of.observations, asking))
    assert statuses_of(of) == ("amended", ["amended", "amended"])


@pytest.mark.parametrize("letter", [each for each in ResultStatus if each != "C"])
def test_only_what_is_corrected_is_amended(letter: str) -> None:
    of = with_status(letter)
    assert statuses_of(amended(of)) == statuses_of(of)


def test_an_amended_result_keeps_the_status_that_the_laboratory_gave_its_report() -> None:
    for letter, said in (("F", "final"), ("A", "partial"), ("W", "entered-in-error")):
        of = amended(msgspec.structs.replace(with_status("C"), status=ResultStatus(letter)))
        each = said if letter == "W" else "amended"
        assert statuses_of(of) == (said, [each, each])


def test_an_amended_document_makes_an_amended_report() -> None:
    held = document_report().observations[0]
    held = msgspec.structs.replace(held, status=ResultStatus.CORRECTED)
    of = report(held, status=ResultStatus.CORRECTED)
    assert statuses_of(of) == ("corrected", [])
    assert statuses_of(amended(of)) == ("amended", [])


# ------------------------------------------------------------------ what is taken back


@pytest.mark.parametrize(
    ("letter", "status"),
    [("X", "cancelled"), ("D", "entered-in-error"), ("W", "entered-in-error")],
)
def test_what_is_taken_back_keeps_its_numbers_and_no_value(letter: str, status: str) -> None:
    of = with_status(letter)
    (whole,) = parts("DiagnosticReport", of=of)
    assert whole["status"] == status
    assert len(whole["result"]) == 2
    for each in parts("Observation", of=of):
        assert each["status"] == status
        gone = {"resourceType", "status", "category", "code", "subject", "effectiveDateTime"}
        assert set(each) == gone | {"performer", "dataAbsentReason"}
    assert not parts("Specimen", of=of)
    assert not {"telecom", "address"} & parts("Patient", of=of)[0].keys()
    body = projected(case(of=of)).body
    assert b"24.60" not in body and DETECTED.code.encode() not in body
    assert ("Hémolysé" in body.decode()) is (letter == "X")


def test_a_result_that_is_wrong_within_a_report_has_no_value() -> None:
    def gone(status: ResultStatus) -> dict[str, Any]:
        return seen(
            value_type="NM", value="5", number="5", status=status, notes=("Hémolysé",),
            interpretations=("H",), reference_range="1-2",
        )  # fmt: skip

    wrong, cancelled = gone(ResultStatus.WRONG), gone(ResultStatus.CANCELLED)
    assert (wrong["status"], cancelled["status"]) == ("entered-in-error", "cancelled")
    assert wrong["dataAbsentReason"]["coding"][0]["code"] == "error"
    assert cancelled["dataAbsentReason"]["coding"][0]["code"] == "not-performed"
    assert "note" not in wrong and cancelled["note"] == [{"text": "Hémolysé"}]
    for each in (wrong, cancelled):
        assert not {"interpretation", "referenceRange", "valueQuantity"} & each.keys()


# ------------------------------------------------------------------ MetaDMPMSS and documents


def test_what_a_sender_asks_of_the_national_services_is_a_tag_of_the_report() -> None:
    of = report(
        observation(), asked("INVISIBLE_PATIENT"), asked("DESTMSSANTEPAT", "N"), asked("ELSE"),
        asked("DESTDMP"),
        observation(
            Coded(code="CORPSMAIL_PS", system="MetaDMPMSS"), None, value_type="ED", document=CDA
        ),
    )  # fmt: skip
    (whole,) = parts("DiagnosticReport", of=of)
    system = "urn:labdispatch:dmp-mss"
    assert whole["meta"]["tag"] == [
        {"system": system, "code": code} for code in ("DESTDMP", "INVISIBLE_PATIENT")
    ]
    assert len(parts("Observation", of=of)) == 1
    assert "presentedForm" not in whole, "what a mail is to say is no document of the patient"
    assert "meta" not in parts("DiagnosticReport", of=report(observation()))[0]


def test_a_document_is_named_and_not_sent() -> None:
    (whole,) = parts("DiagnosticReport", of=document_report())
    title = f"CR d'examens biologiques ({CDA.digest}) : dans le message reçu"
    assert whole["presentedForm"] == [{"contentType": "text/xml", "title": title}]
    assert "result" not in whole


def test_another_document_under_the_same_number_is_another_content() -> None:
    bodies = set()
    for digest in ("0a" * 16, "0b" * 16):
        held = msgspec.structs.replace(CDA, digest=digest)
        of = report(observation(PCR, None, value_type="ED", document=held))
        bodies.add(projected(case(of=of)).compared)
    assert len(bodies) == 2


# ------------------------------------------------------------------ what belongs together


def test_an_antibiogram_belongs_to_its_isolate() -> None:
    found = parts("Observation", of=microbiology())
    (whole,) = parts("DiagnosticReport", of=microbiology())
    urls = [each["reference"] for each in whole["result"]]
    members = [[urls.index(m["reference"]) for m in each.get("hasMember", [])] for each in found]
    assert members == [[1, 2], [], [], [4], []]


@pytest.mark.parametrize(
    ("sub_ids", "coded", "expected"),
    [
        (["", "", ""], [1, 0, 0], {}),
        (["1", "1", "1"], [0, 0, 0], {}),
        (["1", "2", "3"], [1, 1, 1], {}),
        (["1", "1.1", "1.2"], [0, 0, 0], {0: [1, 2]}),
        (["1.1", "1", "1.1"], [0, 0, 0], {1: [2]}),
        (["1", "1.1", "1.1.1"], [0, 0, 0], {0: [1], 1: [2]}),
    ],
)
def test_members(sub_ids: list[str], coded: list[int], expected: dict[int, list[int]]) -> None:
    rows = [
        observation(Coded(code=f"c{n}"), DETECTED if is_coded else None, sub_id=sub_id)
        for n, (sub_id, is_coded) in enumerate(zip(sub_ids, coded, strict=True))
    ]
    assert members_of(rows) == expected


# ------------------------------------------------------------------ who


def test_performers_are_entries_once_each() -> None:
    other = Organisation(name="LABORATOIRE Y", identifier="33D1234567", identifier_type="CLIA")
    of = report(
        observation(performer=LABORATORY),
        observation(performer=other),
        observation(performer=other),
    )
    found = parts("Organization", of=of)
    assert [each["name"] for each in found] == ["LABORATOIRE X", "LABORATOIRE Y"]
    assert found[0]["identifier"][0]["value"] == "1990000017"
    assert found[1]["identifier"] == [{"value": "33D1234567"}]
    asked_of = [each["performer"][0]["reference"] for each in parts("Observation", of=of)]
    assert len(set(asked_of)) == 2 and asked_of[1] == asked_of[2]


def test_the_order_has_its_number_its_prescriber_and_no_guessed_status() -> None:
    (order,) = parts("ServiceRequest", of=report(observation()))
    (prescriber,) = parts("Practitioner", of=report(observation()))
    assert order["identifier"][0]["value"] == "ORD-889"
    assert order["status"] == "unknown"
    assert prescriber["identifier"][0]["value"] == "810000023084"
    assert prescriber["name"] == [{"family": "TEST", "given": ["MEDECIN"]}]
    bare = report(observation(), prescriber=None, placer_order_number="")
    assert not parts("ServiceRequest", of=bare) and not parts("Practitioner", of=bare)


# ------------------------------------------------------------------ caches


CACHES = [
    value
    for module in (fhir, fhir_actors, fhir_units)
    for value in vars(module).values()
    if hasattr(value, "cache_clear")
]


def kept_by_caches() -> str:
    """Return everything that the caches of the dossier hold, as text."""
    found: list[str] = []
    todo: list[Any] = [each for cache in CACHES for each in gc.get_referents(cache)]
    known: set[int] = set()
    while todo:
        each = todo.pop()
        if id(each) in known or isinstance(each, type) or callable(each):
            continue
        known.add(id(each))
        if isinstance(each, str | bytes | msgspec.Raw):
            found.append(bytes(each).decode() if not isinstance(each, str) else each)
        elif isinstance(each, msgspec.Struct):
            todo += [getattr(each, name) for name in each.__struct_fields__]
        elif isinstance(each, dict):
            todo += [*each.keys(), *each.values()]
        elif isinstance(each, list | tuple):
            todo += each
    return "\n".join(found)


def test_no_cache_ever_holds_anything_of_a_patient() -> None:
    secrets = [
        "ZZVALUE", "ZZNOTE", "ZZCODED", "ZZRANGE", "ZZORDER", "ZZSPEC", "ZZDOCTOR", "ZZTYPED",
        "4242.4242",
    ]  # fmt: skip
    of = report(
        observation(
            Coded(code="c1", text="Catalogue", system="LABX"),
            Coded(code="ZZCODED", text="ZZVALUE"),
            notes=("ZZNOTE",), reference_range="ZZRANGE", interpretations=("ZZNOTE",),
        ),
        observation(Coded(text="ZZTYPED"), None, value_type="ST", value="ZZVALUE"),
        observation(
            PCR, None, value_type="NM", value="4242.4242", number="4242.4242",
            unit=Coded(code="mmol/L"),
        ),
        filler_order_number="ZZORDER",
        placer_order_number="ZZORDER",
        notes=("ZZNOTE",),
        prescriber=Practitioner(identifier="ZZDOCTOR", family="ZZDOCTOR", given="ZZDOCTOR"),
        specimen=Specimen(identifier="ZZSPEC", type=Coded(text="ZZTYPED")),
    )  # fmt: skip
    assert len(CACHES) == 4
    for cache in CACHES:
        cache.cache_clear()  # of what other tests have put into codes and names of laboratories
    body = projected(case(of=of)).body.decode()
    assert all(secret in body for secret in [*secrets, *CANARIES])
    held = kept_by_caches()
    assert "Catalogue" in held, "the caches are looked into"
    assert not [each for each in [*secrets, *CANARIES, "279035121518989"] if each in held]
