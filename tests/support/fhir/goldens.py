"""Bundles that stand for a kind each: their reports, and what the router makes of them."""

from __future__ import annotations

from typing import Any

import msgspec

from schemas.report import (
    Coded,
    Document,
    LabReport,
    Observation,
    Organisation,
    ResultStatus,
    Specimen,
)
from tests.support.fhir.bundles import body_of
from tests.unit.test_routing_cases import (
    DETECTED,
    LABORATORY,
    NOT_DETECTED,
    PCR,
    case,
    observation,
    report,
    rich_report,
    traits,
)

CDA = Document(type="TEXT", subtype="XML", encoding="Base64", size_characters=40, digest="0a" * 16)


def told(**about: Any) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode(body_of(case(**about)))
    return found


def parts(kind: str, **about: Any) -> list[dict[str, Any]]:
    resources = [entry["resource"] for entry in told(**about)["entry"]]
    return [each for each in resources if each["resourceType"] == kind]


def seen(**changes: Any) -> dict[str, Any]:
    """Return the Observation of one OBX."""
    changes = {"coded": None, "code": PCR} | changes
    return parts("Observation", of=report(observation(**changes)))[0]


def asked(code: str, answer: str = "Y") -> Observation:
    flag = Coded(code=answer, system="expandedYes-NoIndicator")
    return observation(Coded(code=code, system="MetaDMPMSS"), flag, value_type="CE")


def with_status(letter: str, **changes: Any) -> LabReport:
    status = ResultStatus(letter)
    measured = observation(
        Coded(code="94745-7", text="Ct ARN SARS-CoV-2", system="LN"), None, position=2,
        value_type="NM", value="24.60", number="24.60", unit=Coded(code="{Ct}", system="UCUM"),
        reference_range="< 40", status=status,
    )  # fmt: skip
    values: dict[str, Any] = {
        "status": status, "notes": ("Hémolysé",), "performer": LABORATORY,
        "specimen": Specimen(identifier="S1", type=Coded(code="BLD", system="HL70487")),
    }  # fmt: skip
    found = observation(status=status, interpretations=("POS",), performer=LABORATORY)
    return report(found, measured, **(values | changes))


def amended(of: LabReport, *which: int) -> LabReport:
    """Return a report whose results, or those of these places, came with OBX-11 A or B."""
    found = (
        msgspec.structs.replace(each, amended=not which or each.position in which)
        for each in of.observations
    )
    return msgspec.structs.replace(of, observations=tuple(found))


def microbiology() -> LabReport:
    def grown(position: int, sub_id: str, code: str, name: str, **about: Any) -> Observation:
        coded = Coded(code=code, text=name, system="LN")
        return observation(
            coded, about.pop("coded", None), position=position, sub_id=sub_id, **about
        )

    bug = {"coded": Coded(code="112283007", text="Escherichia coli", system="SCT")}
    other = {"coded": Coded(code="3092008", text="Staphylococcus aureus", system="SCT")}
    measured = {"value_type": "NM", "value": "0.5", "number": "0.5", "comparator": "<="}
    return report(
        grown(1, "1", "600-7", "Hémoculture", **bug),
        grown(2, "1", "18864-9", "Ampicilline", interpretations=("R",), **measured),
        grown(3, "1.1", "18900-1", "Céfotaxime", interpretations=("S",), **measured),
        grown(4, "2", "600-7", "Hémoculture", **other),
        grown(5, "2", "18961-3", "Oxacilline", interpretations=("S",), **measured),
        code=Coded(code="600-7", text="Hémoculture", system="LN"),
    )


def document_report() -> LabReport:
    held = observation(
        Coded(code="11502-2", text="CR d'examens biologiques", system="LN"), None, value_type="ED",
        document=CDA,
    )  # fmt: skip
    return report(
        held, asked("DESTMSSANTEPAT"), asked("INVISIBLE_PATIENT", "N"), asked("MASQUE_PS"),
        code=Coded(code="11502-2", text="CR d'examens biologiques", system="LN"),
    )  # fmt: skip


def every_value() -> LabReport:
    """A report with a value of each kind, and the limits that stand beside numbers."""
    litre = {"unit": Coded(code="g/L", system="UCUM")}
    kinds: tuple[tuple[str, str, dict[str, Any]], ...] = (
        ("NM", "24.60", {"number": "24.60", "reference_range": "20-30", **litre}),
        ("SN", "<2.5", {"number": "2.5", "comparator": "<", "reference_range": "> 3", **litre}),
        ("SN", "100-200", litre),
        ("SN", "1:128", {}),
        ("SN", "2+", {}),
        ("DT", "20260306", {}),
        ("DTM", "202603061015+0100", {}),
        ("TM", "1015", {}),
        ("TS", "20260306101502", {}),
        ("FT", "ligne 1\nligne 2", {"notes": ("une note", "une autre")}),
        ("CWE", "Détecté", {"coded": DETECTED, "interpretations": ("POS", "A", "**")}),
        ("CE", "Un", {"coded": Coded(code="1", text="Un", system="L"), "others": (DETECTED,)}),
        ("ST", "", {}),
        ("NM", "", {"status": ResultStatus.NOT_ASKED}),
    )
    return report(
        *(
            observation(
                **{"coded": None, "position": number, **about}, value_type=kind, value=value
            )
            for number, (kind, value, about) in enumerate(kinds, 1)
        ),
        specimen=Specimen(identifier="S1", type=Coded(code="BLD", text="Sang", system="HL70487")),
    )


GOLDENS: dict[str, dict[str, Any]] = {
    "rich-final": {"of": rich_report()},
    "wrong-incomplete-identity": {
        "of": report(
            observation(coded=NOT_DETECTED, status=ResultStatus.WRONG),
            status=ResultStatus.WRONG,
            collected_at="2026-03-06",
            reported_at="",
            prescriber=None,
        ),
        "about": traits(birth_given="", birth_place="", birth_date="1979", sex="O"),
        "laboratory": Organisation(),
    },
    **{f"status-{letter}": {"of": with_status(letter)} for letter in "PFCXDW"},
    "status-amended": {"of": amended(with_status("C"))},
    "microbiology": {"of": microbiology()},
    "document": {"of": document_report()},
    "every-value": {"of": every_value()},
}


def golden_body(name: str) -> bytes:
    return body_of(case(**GOLDENS[name]))
