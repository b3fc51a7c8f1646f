"""Who gets a letter, and what it says."""

from __future__ import annotations

from typing import Any

import pytest

from routing.letter import Letter, To, letter_of, withdrawal_after

MATRICULE = "279035121518989"


def bundle(*tags: str, status: str = "final", **report: Any) -> dict[str, Any]:
    ours = [{"system": "urn:labdispatch:dmp-mss", "code": tag} for tag in tags]
    patient = {
        "resourceType": "Patient",
        "identifier": [
            {"use": "usual", "system": "urn:oid:1.2.3", "value": "P1"},
            {"use": "official", "system": "urn:oid:1.2.250.1.213.1.4.10", "value": MATRICULE},
        ],
        "name": [{"family": "PAT-TROIS"}],
    }
    resources = [
        patient,
        {"resourceType": "DiagnosticReport", "status": status, "code": {"text": "PCR"},
         "effectiveDateTime": "2026-11-20T09:00:00+01:00", "meta": {"tag": ours}, **report},
        {"resourceType": "Organization", "name": "LABORATOIRE X"},
        {"resourceType": "Practitioner", "identifier": [
            {"system": "urn:oid:1.2.250.1.71.4.2.1", "value": "810000023084"}]},
        {"resourceType": "Observation", "status": "final", "code": {"text": "ARN SARS-CoV-2"},
         "valueCodeableConcept": {"text": "Non\r\ndétecté"}},
        {"resourceType": "Observation", "status": "final", "code": {"text": "Ct"},
         "valueQuantity": {"value": 24.6, "unit": "cycles", "comparator": "<"},
         "referenceRange": [{"low": {"value": 10}, "high": {"value": 40}}, {"text": "x"}]},
        {"resourceType": "Observation", "status": "cancelled", "code": {"text": "Autre"}},
    ]  # fmt: skip
    return {"entry": [{"resource": each} for each in resources]}


def letter(*tags: str, to: To = To.PATIENT, **parts: Any) -> Letter:
    found = letter_of(bundle(*tags, **parts), to)
    assert isinstance(found, Letter), found
    return found


def test_a_letter_tells_each_result_on_a_line_of_its_own() -> None:
    found = letter("DESTMSSANTEPAT")
    assert found.matricule == MATRICULE
    assert found.rpps == "10000023084"
    assert found.subject == "Résultat de laboratoire"
    assert "Laboratoire : LABORATOIRE X\nPrélèvement : 2026-11-20\nAnalyse : PCR\n" in found.text
    assert "\n- ARN SARS-CoV-2 : Non détecté\n" in found.text
    assert "\n- Ct : < 24.6 cycles (référence : 10 - 40; x)\n" in found.text
    assert "\n- Autre : annulé\n" in found.text


def test_no_subject_names_anybody_and_no_repr_shows_anything() -> None:
    for status in ("final", "corrected", "cancelled"):
        found = letter("DESTMSSANTEPAT", status=status)
        assert "PAT-TROIS" not in found.subject
        assert MATRICULE not in repr(found)


@pytest.mark.parametrize(
    ("tags", "to", "status", "why"),
    [
        ((), To.PATIENT, "final", "not_asked"),
        (("DESTMSSANTEPS",), To.PATIENT, "final", "not_asked"),
        (("DESTMSSANTEPAT",), To.PROFESSIONAL, "final", "not_asked"),
        (("DESTMSSANTEPAT", "INVISIBLE_PATIENT"), To.PATIENT, "final", "invisible_patient"),
        (("DESTMSSANTEPAT",), To.PATIENT, "preliminary", "not_final"),
        (("DESTMSSANTEPAT",), To.PATIENT, "registered", "not_final"),
    ],
)
def test_who_gets_none(tags: tuple[str, ...], to: To, status: str, why: str) -> None:
    assert letter_of(bundle(*tags, status=status), to) == why


def test_a_professional_may_get_what_the_patient_may_not_see_yet() -> None:
    assert letter("DESTMSSANTEPS", "INVISIBLE_PATIENT", to=To.PROFESSIONAL).rpps


def test_anybody_elses_tag_says_nothing() -> None:
    of = bundle("DESTMSSANTEPAT")
    of["entry"][1]["resource"]["meta"]["tag"][0]["system"] = "urn:other"
    assert letter_of(of, To.PATIENT) == "not_asked"


def test_what_is_taken_back_holds_no_result() -> None:
    for found in (
        letter("DESTMSSANTEPAT", status="entered-in-error"),
        withdrawal_after(letter("DESTMSSANTEPAT")),
    ):
        assert found.is_withdrawal
        assert "SARS" not in found.text
        assert found.subject == "Résultat de laboratoire retiré"
        assert found.matricule == MATRICULE


def test_a_bundle_of_nothing_gives_no_letter() -> None:
    assert letter_of({"entry": []}, To.PATIENT) == "no_report"


def test_a_letter_is_bounded() -> None:
    many = bundle("DESTMSSANTEPAT")
    many["entry"] += [many["entry"][-1]] * 2_000
    found = letter_of(many, To.PATIENT)
    assert isinstance(found, Letter)
    assert found.text.count("\n") < 520
    assert "document joint" in found.text


@pytest.mark.parametrize(
    ("to", "tags", "why"),
    [
        (To.PATIENT, ("DESTMSSANTEPAT", "INVISIBLE_REP_LEGAUX"), "invisible_representatives"),
        (To.PROFESSIONAL, ("DESTMSSANTEPS", "MASQUE_PS"), "masked"),
    ],
)
def test_what_is_to_be_hidden_goes_to_nobody_whoever_asked(
    to: To, tags: tuple[str, ...], why: str
) -> None:
    assert letter_of(bundle(*tags), to) == why
