"""What an OBX becomes in the dossier: values, ranges, flags, units, codes."""

from __future__ import annotations

from typing import Any

import pytest

from routing.fhir_units import WRITTEN, ucum_of, unit_of
from schemas.report import (
    Coded,
    Specimen,
)
from tests.support.fhir.goldens import (
    parts,
    seen,
)
from tests.unit.test_routing_cases import (
    NOT_DETECTED,
    observation,
    report,
)


@pytest.mark.parametrize(
    ("value_type", "value", "expected"),
    [
        ("ST", "Négatif", {"valueString": "Négatif"}),
        ("FT", "ligne 1\nligne 2", {"valueString": "ligne 1\nligne 2"}),
        ("DT", "20260306", {"valueDateTime": "2026-03-06"}),
        ("DT", "202603", {"valueDateTime": "2026-03"}),
        ("DT", "20260231", {"valueString": "20260231"}),
        ("DTM", "202603061015+0100", {"valueDateTime": "2026-03-06T10:15:00+01:00"}),
        ("TS", "20260306101502.5+0100", {"valueDateTime": "2026-03-06T10:15:02.5+01:00"}),
        ("TS", "20260306101502", {"valueString": "20260306101502"}),
        ("TM", "1015", {"valueTime": "10:15:00"}),
        ("TM", "101559.5", {"valueTime": "10:15:59.5"}),
        ("TM", "2515", {"valueString": "2515"}),
        ("SN", "100-200", {"valueRange": {"low": {"value": 100}, "high": {"value": 200}}}),
        ("SN", "200-100", {"valueString": "200-100"}),
        ("SN", "1:128", {"valueRatio": {"numerator": {"value": 1}, "denominator": {"value": 128}}}),
        ("SN", "2+", {"valueString": "2+"}),
        ("ST", "1:128", {"valueString": "1:128"}),
    ],
)
def test_values_by_type(value_type: str, value: str, expected: dict[str, Any]) -> None:
    found = seen(value_type=value_type, value=value)
    assert {key: part for key, part in found.items() if key.startswith("value")} == expected


def test_of_several_coded_values_none_hides_the_others() -> None:
    several = observation(others=(NOT_DETECTED, Coded(code="X", system="L")))
    (found,) = parts("Observation", of=report(several))
    assert found["valueCodeableConcept"] == {"text": "Détecté\nNon détecté\nX"}


def test_a_text_of_more_than_a_megabyte_is_cut_and_says_so() -> None:
    text = seen(value_type="TX", value="x" * 1_100_000)["valueString"]
    assert len(text) == 1_048_576
    assert text.endswith(" [...]")


@pytest.mark.parametrize(
    ("written", "limits"),
    [
        ("2.5-7.5", {"low": 2.5, "high": 7.5}),
        ("3,5 - 5,0", {"low": 3.5, "high": 5.0}),
        ("-2 à 2", {"low": -2, "high": 2}),
        ("< 40", {"high": 40}),
        ("≥ 3", {"low": 3}),
        ("7-2", {}),
        ("négatif", {}),
        ("1-2-3", {}),
    ],
)
def test_reference_ranges(written: str, limits: dict[str, float]) -> None:
    found = seen(
        value_type="NM", value="5", number="5", reference_range=written,
        unit=Coded(code="mmol/L", system="UCUM"),
    )["referenceRange"]  # fmt: skip
    unit = {"unit": "mmol/L", "system": "http://unitsofmeasure.org", "code": "mmol/L"}
    expected = {end: {"value": number, **unit} for end, number in limits.items()}
    assert found == [{"text": written, **expected}]


def test_a_range_beside_a_text_stays_a_text() -> None:
    found = seen(value_type="ST", value="Négatif", reference_range="0-1")
    assert found["referenceRange"] == [{"text": "0-1"}]


@pytest.mark.parametrize(
    ("flag", "system"),
    [("POS", "v3-ObservationInterpretation"), ("h", "v3-ObservationInterpretation"), ("**", "")],
)
def test_interpretations(flag: str, system: str) -> None:
    (found,) = seen(value_type="NM", value="5", number="5", interpretations=(flag,))[
        "interpretation"
    ]
    if system:
        coding = {"system": f"http://terminology.hl7.org/CodeSystem/{system}", "code": flag.upper()}
        assert found == {"coding": [coding]}
    else:
        assert found == {"text": flag}


@pytest.mark.parametrize(
    ("unit", "code"),
    [
        (Coded(code="mmol/L", system="UCUM"), "mmol/L"),
        (Coded(code="mmol/L"), "mmol/L"),
        (Coded(code="µmol/L"), "umol/L"),
        (Coded(code="G/L"), "10*9/L"),
        (Coded(code="g/L"), "g/L"),
        (Coded(code="UI/L", text="UI par litre"), "[IU]/L"),
        (Coded(code="mmol/L", system="L"), None),
        (Coded(code="gouttes"), None),
        (Coded(code="bogus/L", system="UCUM"), None),
        (Coded(code="x", system="L", alternate_code="%", alternate_system="UCUM"), "%"),
        (Coded(text="mmol par litre"), None),
    ],
)
def test_only_a_code_of_ucum_has_its_system(unit: Coded, code: str | None) -> None:
    found = unit_of(unit)
    assert found.get("code") == code
    assert ("system" in found) is (code is not None)
    assert found["unit"] == (unit.text or unit.code)


def test_what_laboratories_write_for_units_leads_to_codes_of_ucum() -> None:
    assert {ucum_of(written) for written in WRITTEN} == set(WRITTEN.values())


def test_an_unknown_code_of_a_known_table_is_a_local_one() -> None:
    def kind(code: str, system: str) -> dict[str, Any]:
        specimen = Specimen(identifier="", type=Coded(code=code, text="Sang", system=system))
        (found,) = parts("Specimen", of=report(observation(), specimen=specimen))
        (coding,) = found["type"]["coding"]
        assert isinstance(coding, dict)
        return coding

    table = "http://terminology.hl7.org/CodeSystem/v2-0487"
    assert kind("BLD", "HL70487") == {"system": table, "code": "BLD", "display": "Sang"}
    assert kind("SANG1", "HL70487") == {"code": "SANG1", "display": "Sang"}
    assert kind("BLD", "HL79999") == {"code": "BLD", "display": "Sang"}
