"""Invented people and reports for tests: test INS numbers only."""

from __future__ import annotations

from typing import Any

from schemas.patient import Address, Ins, Traits
from schemas.report import Coded, LabReport, MappedMessage, Observation, ResultStatus

TEST_OID = "1.2.250.1.213.1.4.10"
DEMO_OID = "1.2.250.1.213.1.4.11"
PRODUCTION_OID = "1.2.250.1.213.1.4.8"
NIA_OID = "1.2.250.1.213.1.4.9"

DOMINIQUE_INS = Ins(matricule="279035121518989", oid=TEST_OID)
OTHER_INS = Ins(matricule="279036322001778", oid=TEST_OID)
"""Of a woman born in March 1979 too: it contradicts nobody's traits by itself."""


def dominique(**changes: Any) -> Traits:
    """PAT-TROIS DOMINIQUE, the ANS's published test patient, with what a test changes."""
    traits: dict[str, Any] = {
        "ins": (DOMINIQUE_INS,),
        "identity_status": "VALI",
        "birth_family": "PAT-TROIS",
        "birth_given": "DOMINIQUE",
        "birth_givens": ("DOMINIQUE", "MARIE"),
        "birth_date": "1979-03-28",
        "sex": "F",
        "birth_place": "63220",
        "address": Address(
            lines=("1 RUE DU TEST",), city="CLERMONT-FERRAND", postcode="63000", commune="63113"
        ),
        "phones": ("0639980001",),
    }
    return Traits(**{**traits, **changes})


def observation(**changes: Any) -> Observation:
    """A positive SARS-CoV-2 PCR."""
    values: dict[str, Any] = {
        "position": 1,
        "code": Coded(code="94500-6", text="SARS-CoV-2 RNA", system="LN"),
        "value_type": "CWE",
        "value": "Detected",
        "coded": Coded(code="260373001", text="Detected", system="SCT"),
        "status": ResultStatus.FINAL,
    }
    return Observation(**{**values, **changes})


def report(**changes: Any) -> LabReport:
    """A report with one observation."""
    values: dict[str, Any] = {
        "position": 1,
        "code": Coded(code="94500-6", text="SARS-CoV-2 RNA", system="LN"),
        "status": ResultStatus.FINAL,
        "filler_order_number": "F-1",
        "collected_at": "2026-11-20T09:00:00+01:00",
        "observations": (observation(),),
    }
    return LabReport(**{**values, **changes})


def message(traits: Traits | None = None, *reports: LabReport) -> MappedMessage:
    """A mapped message about one person."""
    return MappedMessage(
        control_id="C-1",
        sending_facility="LAB",
        sent_at="2026-11-20T10:00:00+01:00",
        processing_id="P",
        traits=traits or dominique(),
        reports=reports or (report(),),
    )
