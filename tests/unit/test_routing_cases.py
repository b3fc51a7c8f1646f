"""Invented people and reports for the tests of routing; the tests of the cases themselves too."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from routing.case import Case, PersonView
from schemas.decision import Realm, Standing
from schemas.patient import Address, Identifier, Ins, Traits
from schemas.report import (
    Coded,
    LabReport,
    Observation,
    Organisation,
    Practitioner,
    ResultStatus,
    Specimen,
)

CANARIES = ("ZZCANARI", "QQPRENOM", "XXUSAGE", "YYRUE", "0639980077", "canari@example.org")
TEST_INS = Ins(matricule="279035121518989", oid="1.2.250.1.213.1.4.10")
PRODUCTION_INS = Ins(matricule="255081416802538", oid="1.2.250.1.213.1.4.8")
REPORT_ID = UUID("018f2f6e-0000-7000-8000-000000000001")
RECEIVED_AT = datetime(2026, 3, 6, 9, 15, 2, tzinfo=UTC)
LABORATORY = Organisation(name="LABORATOIRE X", identifier="990000017", identifier_type="FINEG")
PCR = Coded(code="94500-6", text="ARN SARS-CoV-2 PCR", system="LN")
DETECTED = Coded(code="260373001", text="Détecté", system="SCT")
NOT_DETECTED = Coded(code="260415000", text="Non détecté", system="SCT")


def traits(**changes: Any) -> Traits:
    values: dict[str, Any] = {
        "ins": (TEST_INS,),
        "identifiers": (
            Identifier(value="P000123", oid="1.2.250.1.999.1", type="PI"),
            Identifier(value="279035121518989", oid="1.2.250.1.213.1.4.13", type="NH"),
        ),
        "identity_status": "VALI",
        "birth_family": "ZZCANARI",
        "birth_given": "QQPRENOM",
        "birth_givens": ("QQPRENOM", "ANNE"),
        "used_family": "XXUSAGE",
        "used_given": "QQPRENOM",
        "birth_date": "1979-03-28",
        "sex": "F",
        "birth_place": "63220",
        "address": Address(
            lines=("28 AV YYRUE",), city="PARIS", postcode="75007", country="FRA", commune="75107"
        ),
        "phones": ("0639980077",),
        "emails": ("canari@example.org",),
    }
    return Traits(**(values | changes))


def observation(code: Coded = PCR, coded: Coded | None = DETECTED, **changes: Any) -> Observation:
    values: dict[str, Any] = {
        "position": 1,
        "code": code,
        "value_type": "CWE" if coded else "ST",
        "value": coded.text if coded else "",
        "coded": coded,
    }
    return Observation(**(values | changes))


def report(*observations: Observation, **changes: Any) -> LabReport:
    values: dict[str, Any] = {
        "position": 1,
        "code": PCR,
        "status": ResultStatus.FINAL,
        "filler_order_number": "LAB-5567",
        "placer_order_number": "ORD-889",
        "collected_at": "2026-03-06T07:45:00+01:00",
        "reported_at": "2026-03-06T10:10:00+01:00",
        "observations": observations,
        "prescriber": Practitioner(
            identifier="10000023084", identifier_type="RPPS", family="TEST", given="MEDECIN"
        ),
    }
    return LabReport(**(values | changes))


def case(
    of: LabReport | None = None,
    *,
    about: Traits | None = None,
    ins: Ins | None = TEST_INS,
    realm: Realm = Realm.TEST,
    person_id: int = 7,
    laboratory: Organisation = LABORATORY,
    version: int = 1,
    standings: Mapping[str, Standing] | None = None,
    received_at: datetime = RECEIVED_AT,
) -> Case:
    return Case(
        report=of or report(observation()),
        traits=about or traits(),
        person=PersonView(person_id=person_id, person_version=3, qualified_ins=ins),
        realm=realm,
        laboratory=laboratory,
        report_id=REPORT_ID,
        received_at=received_at,
        version=version,
        standings=standings or {},
    )


def rich_report() -> LabReport:
    """A report that uses most of what a report can hold."""
    return report(
        observation(
            interpretations=("POS",),
            observed_at="2026-03-06T07:45+01:00",
            method=Coded(code="PCR", text="RT-PCR", system="L"),
            performer=LABORATORY,
            notes=("Première intention",),
        ),
        observation(
            Coded(code="94745-7", text="Ct ARN SARS-CoV-2", system="LN"),
            None,
            position=2,
            value_type="NM",
            value="24.60",
            number="24.60",
            unit=Coded(code="{Ct}", text="Ct", system="UCUM"),
            reference_range="< 40",
        ),
        observation(
            Coded(code="UREE", text="Urée", system="LABX"),
            None,
            position=3,
            value_type="SN",
            value="<2.5",
            number="2.5",
            comparator="<",
            unit=Coded(code="mmol/L", system="L"),
            status=ResultStatus.PRELIMINARY,
        ),
        observation(
            Coded(text="Commentaire"), None, position=4, value_type="TX", value="Voir\x07 note"
        ),
        observation(
            Coded(code="11502-2", text="Compte rendu", system="LN"),
            None,
            position=5,
            value_type="ED",
        ),
        observation(
            Coded(code="600-7", text="Hémoculture", system="LN"),
            None,
            position=6,
            status=ResultStatus.CANCELLED,
        ),
        specimen=Specimen(
            identifier="LAB-5567-S1",
            type=Coded(code="258500001", text="Écouvillon nasopharyngé", system="SCT"),
            collected_at="2026-03-06T07:45:00+01:00",
            received_at="2026-03-06T08:30:00+01:00",
        ),
        notes=("Dossier urgent",),
    )


def test_no_case_shows_a_value_when_printed() -> None:
    assert not any(canary in repr(case()) for canary in CANARIES)


def test_a_test_ins_counts_in_the_test_realm_only() -> None:
    assert case().dossier_ins == TEST_INS
    assert case().ins_realm_ok
    other = case(realm=Realm.PRODUCTION)
    assert other.dossier_ins is None
    assert not other.ins_realm_ok


def test_a_production_ins_is_no_identity_in_the_test_realm() -> None:
    assert case(ins=PRODUCTION_INS).dossier_ins is None
    about = traits(ins=(PRODUCTION_INS,))
    assert case(about=about, ins=PRODUCTION_INS, realm=Realm.PRODUCTION).dossier_ins is not None
