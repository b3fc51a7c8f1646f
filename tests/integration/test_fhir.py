"""HAPI's validator finds no fault in a Bundle: a sample here, all of it in `make proof-fhir`.

One Java a session. Missing Java fails.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import islice
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from routing.fhir_tables import HL7_TABLES
from routing.fhir_units import WRITTEN
from routing.fhir_values import FLAGS
from routing.transaction import parts_of, transaction_of, withdrawal_of
from schemas.patient import Traits
from schemas.report import Coded, LabReport, Organisation
from tests.support.fhir import reports as drawn
from tests.support.fhir.bundles import body_of, of_corpus, simulated
from tests.support.fhir.goldens import GOLDENS, golden_body
from tests.support.fhir.judge import Judge
from tests.unit.test_routing_cases import case, observation, report

PLAIN_UNITS = (
    "g/L", "mg/dL", "ug/mL", "ng/L", "pg", "fL", "mmol/L", "umol/L", "nmol/L", "pmol/L",
    "meq/L", "mosm/kg", "U/L", "k[IU]/L", "ukat/L", "%", "10*6/uL", "/uL", "/mm3", "/[HPF]",
    "mL/min", "mm/h", "s", "min", "mm[Hg]", "kPa", "Cel", "[pH]", "mg/mmol", "ug/g{creat}",
    "[arb'U]/mL", "1", "mV", "kcal",
)  # fmt: skip


@pytest.mark.parametrize("name", GOLDENS)
def test_golden_bundles_have_no_fault(fhir_judge: Judge, name: str) -> None:
    assert fhir_judge.faults(golden_body(name)) == []


def test_bundles_of_real_messages_have_no_fault(fhir_judge: Judge) -> None:
    for each in islice(of_corpus(), 0, None, 12):
        assert fhir_judge.faults(body_of(each)) == []


def test_bundles_of_simulated_messages_have_no_fault(fhir_judge: Judge) -> None:
    for each in islice(simulated(60), 0, None, 4):
        assert fhir_judge.faults(body_of(each)) == []


def test_bundles_of_odd_reports_have_no_fault(fhir_judge: Judge) -> None:
    bodies = []

    @given(drawn.reports, drawn.traits, drawn.organisations)
    @settings(
        max_examples=20,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def collect(of: LabReport, about: Traits, laboratory: Organisation) -> None:
        bodies.append(body_of(case(of=of, about=about, laboratory=laboratory)))

    collect()
    assert len(bodies) == 20
    for body in bodies:
        assert fhir_judge.faults(body) == []


def test_every_unit_and_flag_that_we_may_say_is_one_that_the_judge_knows(fhir_judge: Judge) -> None:
    measured: dict[str, Any] = {"coded": None, "value_type": "NM", "value": "1", "number": "1"}
    units = [observation(**measured, unit=Coded(code=text)) for text in (*WRITTEN, *PLAIN_UNITS)]
    flags = [observation(**measured, interpretations=(code,)) for code in FLAGS]
    tables = [
        observation(method=Coded(code=code, system=f"HL7{table}"))
        for table, codes in HL7_TABLES.items()
        for code in sorted(codes)[::12]
    ]
    body = body_of(case(of=report(*units, *flags, *tables)))
    assert body.count(b'"system":"http://unitsofmeasure.org"') == len(units)
    assert body.count(b"CodeSystem/v2-0") >= len(tables)
    assert fhir_judge.faults(body) == []


@pytest.mark.parametrize("name", GOLDENS)
def test_transactions_for_a_fhir_server_have_no_fault(fhir_judge: Judge, name: str) -> None:
    """What receivers of kind fhir get: the Bundle, one that takes something back, a withdrawal."""
    bundle, base = msgspec.json.decode(golden_body(name)), "https://dossier.example.org/fhir"
    stale = [("Observation", str(UUID(int=1))), ("Specimen", str(UUID(int=2)))]
    made = (
        transaction_of(bundle, base, stale),
        withdrawal_of(UUID(int=3), [*parts_of(bundle), *stale], base),
    )
    for each in made:
        faults = fhir_judge.faults(msgspec.json.encode(each))
        # What was taken back has no subject, date and performer: that is what taking back means.
        assert [f for f in faults if not f.id.startswith("All_observations_should_have_a")] == []


def swap(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    def change(body: bytes) -> bytes:
        assert old in body
        return body.replace(old, new)

    return change


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (
            swap(b"/fr-core-identity-reliability", b"/nobody-knows"),
            "(?i)unknown extension|extension",
        ),
        (swap(b"/fr-core-patient-ins", b"/fr-core-patient-none"), "(?i)profile"),
        (swap(b"mmol/L", b"bogus/L"), "bogus"),
        (swap(b'"code":"VALI"', b'"code":"VALIDE"'), "VALIDE"),
        (swap(b'"use":"official","value"', b'"use":"usual","value"'), "(?i)official|identifier"),
        (swap(b'"resourceType":"Specimen"', b'"resourceType":"Specimen","colour":"red"'), "colour"),
        (swap(b'"status":"final"', b'"status":"done"'), "done"),
    ],
)
def test_the_judge_finds_what_is_wrong(
    fhir_judge: Judge, spoil: Callable[[bytes], bytes], said: str
) -> None:
    body = golden_body("rich-final").replace(
        b'"unit":"mmol/L"', b'"code":"mmol/L","system":"http://unitsofmeasure.org","unit":"mmol/L"'
    )
    assert fhir_judge.faults(body) == []
    found = fhir_judge.faults(spoil(body))
    assert [each for each in found if each.severity in {"error", "fatal"}], found
    assert any(re.search(said, each.message) for each in found), found


def test_a_reference_to_no_entry_is_an_error(fhir_judge: Judge) -> None:
    bundle = msgspec.json.decode(golden_body("rich-final"))
    bundle["entry"] = [
        entry for entry in bundle["entry"] if entry["resource"]["resourceType"] != "Specimen"
    ]
    found = fhir_judge.faults(msgspec.json.encode(bundle))
    assert "judge-dangling" in {each.id for each in found}
