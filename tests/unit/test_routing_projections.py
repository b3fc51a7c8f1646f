from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any
from uuid import RFC_4122, UUID

import msgspec
import pytest

from ops.schemas_page import schema
from routing.ages import age_at
from routing.fhir import Parts
from routing.places import department_of
from routing.pseudonym import addressee_of
from routing.public_health import age_class
from routing.router import Router, load_own_rules
from schemas.codes import OWN_SYSTEM
from schemas.decision import Line, Realm, Standing
from schemas.events import PseudonymReplaced, PublicHealthRow, TracingCase
from schemas.patient import Address
from schemas.report import Coded, Organisation, ResultStatus
from schemas.topics import Stream
from tests.support import parts
from tests.support.json_schema import misfits
from tests.unit.test_routing_cases import (
    CANARIES,
    NOT_DETECTED,
    REPORT_ID,
    TEST_INS,
    case,
    observation,
    report,
    rich_report,
    traits,
)

GOLDEN = Path(__file__).parents[1] / "golden" / "routing"
SECRET = bytes(range(32))
ROUTER = Router(load_own_rules(), SECRET, Realm.TEST)


def projected(stream: Stream, **about: Any) -> Any:
    return parts.projected(ROUTER, stream, case(**about))


def row(**about: Any) -> PublicHealthRow:
    return msgspec.json.decode(projected(Stream.PUBLIC_HEALTH, **about).body, type=PublicHealthRow)


def tracing(**about: Any) -> TracingCase:
    return msgspec.json.decode(projected(Stream.CONTACT_TRACING, **about).body, type=TracingCase)


def bundle(**about: Any) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode(projected(Stream.DOSSIER, **about).body)
    return found


def resources(kind: str, **about: Any) -> list[dict[str, Any]]:
    entries = bundle(**about)["entry"]
    return [e["resource"] for e in entries if e["resource"]["resourceType"] == kind]


def patient(**about: Any) -> dict[str, Any]:
    return resources("Patient", **about)[0]


def test_the_same_case_gives_the_same_bytes_whatever_its_version() -> None:
    for stream in Stream:
        assert projected(stream) == projected(stream, version=2)


# ------------------------------------------------------------------ dossier


def test_every_reference_of_a_bundle_points_into_it() -> None:
    given = bundle(of=rich_report())
    urls = [entry["fullUrl"] for entry in given["entry"]]
    text = msgspec.json.encode(given).decode()
    references = {part.split('"')[0] for part in text.split('"reference":"')[1:]}
    assert len(set(urls)) == len(urls)
    assert {each for each in references if not each.startswith("#")} <= set(urls)
    assert all(url.startswith("urn:uuid:") and str(REPORT_ID) not in url for url in urls)
    parts = [UUID(url) for url in urls]
    assert {(part.version, part.variant) for part in parts} == {(8, RFC_4122)}


def test_parts_of_two_reports_never_share_a_reference() -> None:
    numbers = [0, 1, 2, 3, 2**31]
    urls = {Parts(UUID(int=report)).urn(n) for report in range(50) for n in numbers}
    assert len(urls) == 50 * len(numbers)
    assert Parts(UUID(int=7)).urn(3) == Parts(UUID(int=7)).urn(3)


def test_no_part_of_a_bundle_is_empty() -> None:
    blank = report(observation(notes=("\x01", " "), reference_range=" "), notes=(" \x02",))
    given = bundle(of=blank, about=traits(used_family=" ", phones=(), emails=()))

    def empty(element: Any) -> bool:
        parts = element.values() if isinstance(element, dict) else element
        if isinstance(element, dict | list):
            return not element or any(empty(part) for part in parts)
        return element is None or element == ""

    assert not empty(given)


def test_the_ins_is_the_only_official_identifier_and_nh_is_never_there() -> None:
    given = patient()
    official = [each for each in given["identifier"] if each["use"] == "official"]
    assert [each["value"] for each in official] == [TEST_INS.matricule]
    assert official[0]["type"]["coding"][0]["code"] == "INS-NIR-TEST"
    assert "1.2.250.1.213.1.4.13" not in msgspec.json.encode(given).decode()


def test_an_incomplete_birth_identity_claims_the_plain_profile() -> None:
    whole, plain = patient(), patient(about=traits(birth_place=""))
    assert whole["meta"]["profile"][0].endswith("/fr-core-patient-ins")
    assert plain["meta"]["profile"][0].endswith("/fr-core-patient")
    nameless = patient(about=traits(birth_given="", used_family="", used_given=""))
    assert nameless["name"] == [{"use": "usual", "family": "ZZCANARI"}]


@pytest.mark.parametrize(
    ("sex", "gender"),
    [("M", "male"), ("F", "female"), ("U", "unknown"), ("", "unknown"), ("O", "unknown")],
)
def test_genders(sex: str, gender: str) -> None:
    assert patient(about=traits(sex=sex))["gender"] == gender


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("P", "preliminary"),
        ("F", "final"),
        ("C", "corrected"),
        ("X", "cancelled"),
        ("D", "entered-in-error"),
        ("W", "entered-in-error"),
        ("A", "partial"),
    ],
)
def test_statuses_of_reports(status: str, expected: str) -> None:
    of = report(observation(), status=ResultStatus(status))
    assert resources("DiagnosticReport", of=of)[0]["status"] == expected


def test_every_observation_has_a_value_or_says_why_not() -> None:
    for each in resources("Observation", of=rich_report()):
        values = [key for key in each if key.startswith("value")]
        assert len(values) == ("dataAbsentReason" not in each)


def test_decimals_stay_as_written() -> None:
    assert b'"value":24.60' in projected(Stream.DOSSIER, of=rich_report()).body


@pytest.mark.parametrize("number", ["1e5", "NaN", "Infinity", "1/2", "--1", "", "9" * 40])
def test_strange_numbers_become_text(number: str) -> None:
    of = report(observation(coded=None, value_type="NM", value=f"{number} ", number=number))
    given = resources("Observation", of=of)[0]
    assert "valueQuantity" not in given
    assert given.get("valueString") == (number or None)


def test_the_addressee_never_shows_the_ins() -> None:
    addressee = projected(Stream.DOSSIER).addressee
    assert addressee == addressee_of(SECRET, TEST_INS)
    assert TEST_INS.matricule not in addressee
    assert addressee != addressee_of(bytes(32), TEST_INS)


# ------------------------------------------------------------------ contact tracing


def test_an_index_case_has_what_a_caller_needs_and_no_ins() -> None:
    given = projected(Stream.CONTACT_TRACING)
    assert given.addressee == "75"
    assert TEST_INS.matricule.encode() not in given.body
    found = tracing()
    assert found.phones == ("0639980077",)
    assert (found.birth_family, found.condition, found.method) == ("ZZCANARI", "sars-cov-2", "rna")
    assert found.prescriber_rpps == "10000023084"
    assert found.laboratory_finess == "990000017"


def test_one_episode_is_one_case() -> None:
    one, other = ({"sars-cov-2": Standing(UUID(int=n), Line.FIRST)} for n in (1, 2))
    again = report(observation(), reported_at="")
    found = tracing(standings=one).case_id
    assert found == tracing(of=again, person_id=8, standings=one).case_id
    assert found != tracing(standings=other).case_id
    assert found != row(standings=one).case_id, "no stream can be joined with another"


def test_an_index_case_is_what_the_decree_allows_and_no_more() -> None:
    """Decree 2020-551 art. 2, of a patient zero; a new field needs its ground there."""
    grounds = {
        "names": {"birth_family", "birth_given", "used_family"},
        "birth date and sex": {"birth_date", "sex"},
        "how to reach them": {"phones", "emails", "address_lines", "postcode", "city"},
        "prescriber": {"prescriber_rpps", "prescriber_name"},
        "laboratory": {"laboratory_name", "laboratory_finess"},
        "what establishes positivity": {
            "condition", "result", "status", "test_code", "method", "variant", "sampled_at",
            "reported_at",
        },
        "no datum of the person": {"case_id"},
    }  # fmt: skip
    assert set(TracingCase.__struct_fields__) == set().union(*grounds.values())


def test_the_variant_of_a_case_is_its_episodes() -> None:
    standing = Standing(UUID(int=1), Line.FIRST, variant="BA.2.86")
    assert tracing(standings={"sars-cov-2": standing}).variant == "BA.2.86"
    assert row(standings={"sars-cov-2": standing}).variant == "BA.2.86"
    assert tracing().variant == row().variant == ""


# ------------------------------------------------------------------ public health


def test_a_row_of_public_health_is_its_allow_list() -> None:
    """A new field needs a ground: none may name a person, or be free text of a laboratory."""
    grounds = {
        "stands for the person": {
            "pseudonym", "pseudonym_period", "pseudonym_next", "pseudonym_next_period", "case_id",
        },
        "who, coarse": {"age", "age_class", "sex"},
        "where": {
            "residence_commune", "residence_department", "residence_imputed",
            "laboratory_commune", "laboratory_department", "laboratory_finess",
        },
        "what was found": {
            "condition", "line", "test_code", "method", "result", "second_line_result", "status",
            "variant", "new_case", "recent_positive",
        },
        "when": {"sampled_on", "reported_on", "received_on", "sampled_on_imputed", "dates"},
        "what it is": {"record"},
    }  # fmt: skip
    assert set(PublicHealthRow.__struct_fields__) == set().union(*grounds.values())
    assert set(PseudonymReplaced.__struct_fields__) == {"old", "new", "period", "record"}


@pytest.mark.parametrize(
    ("about", "new_case", "recent_positive"),
    [
        ({}, None, None),
        ({"standings": {"sars-cov-2": Standing(UUID(int=1), Line.FIRST)}}, True, False),
        (
            {"standings": {"sars-cov-2": Standing(UUID(int=1), Line.FIRST, again=True)}},
            False,
            True,
        ),
        ({"standings": {"sars-cov-2": Standing(UUID(int=1), Line.SECOND)}}, None, None),
        (
            {
                "of": report(observation(coded=NOT_DETECTED)),
                "standings": {"sars-cov-2": Standing(UUID(int=1), Line.FIRST, again=True)},
            },
            None,
            True,
        ),
    ],
)
def test_new_cases_are_said_of_first_lines_alone(
    about: dict[str, Any], new_case: bool | None, recent_positive: bool | None
) -> None:
    found = row(**about)
    assert (found.new_case, found.recent_positive) == (new_case, recent_positive)


@pytest.mark.parametrize(
    ("line", "result", "beside"), [(Line.FIRST, "positive", ""), (Line.SECOND, "", "positive")]
)
def test_only_what_counts_gives_a_result(line: Line, result: str, beside: str) -> None:
    found = row(standings={"sars-cov-2": Standing(UUID(int=1), line)})
    assert (found.line, found.result, found.second_line_result) == (line.value, result, beside)
    assert found.case_id == row(standings={"sars-cov-2": Standing(UUID(int=1), line)}).case_id


def test_what_makes_no_case_stands_alone() -> None:
    igg = report(observation(Coded(code="94563-4", system="LN")))
    found = row(of=igg)
    assert (found.case_id, found.line, found.result) == ("", "", "positive")


def test_the_codes_of_the_french_screening_are_ours_and_stay_here() -> None:
    screened = report(
        observation(Coded(code="CRIBLAGE", system=OWN_SYSTEM), coded=None, value="A0B0C1")
    )
    found = row(of=screened, standings={"sars-cov-2": Standing(UUID(int=1), Line.SECOND)})
    assert (found.test_code, found.method) == ("", "screening")
    published = schema(Stream.PUBLIC_HEALTH)
    body = {**published["properties"]["body"], "$defs": published["$defs"]}
    assert misfits(body, msgspec.to_builtins(found)) == []


def test_public_health_never_sees_an_identity() -> None:
    body = projected(Stream.PUBLIC_HEALTH, of=rich_report()).body.decode()
    hidden = (*CANARIES, TEST_INS.matricule, "1979", "28", "75007", "P000123", "TEST", "LAB-5567")
    assert not [each for each in hidden if each in body.replace(row().pseudonym, "")]
    assert "T07" not in body


@pytest.mark.parametrize(
    ("laboratory", "place"),
    [
        (Organisation(identifier="750712184", commune="33063"), ("33", "33063")),
        (Organisation(commune="97411", postcode="97400"), ("974", "97411")),
        (Organisation(commune="2B033"), ("2B", "2B033")),
        (Organisation(identifier="750712184", postcode="20167"), ("2A", "")),
        (Organisation(identifier="750712184", commune="99352"), ("75", "")),
        (Organisation(identifier="750712184", postcode="0"), ("75", "")),
    ],
)
def test_a_laboratorys_place_is_its_address_before_its_number(
    laboratory: Organisation, place: tuple[str, str]
) -> None:
    found = row(laboratory=laboratory)
    assert (found.laboratory_department, found.laboratory_commune) == place


@pytest.mark.parametrize(
    ("finess", "department"),
    [
        ("750712184", "75"),
        ("010000017", "01"),
        ("2A0000014", "2A"),
        ("200000018", ""),
        ("970100228", ""),
        ("980500003", ""),
        ("990000017", ""),
        ("000000000", ""),
        ("", ""),
    ],
)
def test_a_laboratorys_department_is_its_numbers_where_that_tells(
    finess: str, department: str
) -> None:
    of = Organisation(name="L", identifier=finess)
    found = row(laboratory=of)
    assert (found.laboratory_department, found.laboratory_commune) == (department, "")


def test_a_row_of_public_health() -> None:
    found = row()
    assert (found.age, found.age_class, found.sex) == (46, "49", "F")
    assert (found.residence_commune, found.residence_department) == ("75107", "75")
    assert found.residence_imputed is False
    assert (found.sampled_on, found.reported_on, found.received_on) == ("2026-03-06",) * 3
    assert found.pseudonym_period == "2026-H1"
    assert (found.test_code, found.method, found.result) == ("94500-6", "rna", "positive")


@pytest.mark.parametrize(
    ("postcode", "commune", "department", "imputed"),
    [
        ("20167", "2A004", "2A", True),  # of several communes the largest
        ("75007", "75107", "75", True),  # of one commune
        ("75 007", "75107", "75", True),
        ("94390", "91479", "91", True),  # its first digits are another department
        ("75954", "", "75", True),  # a firm's: no commune has it
        ("00100", "", "", False),
        ("", "", "", False),
    ],
)
def test_without_a_commune_residence_is_imputed_from_the_postcode(
    postcode: str, commune: str, department: str, imputed: bool
) -> None:
    found = row(about=traits(address=Address(postcode=postcode, country="FRA")))
    assert (found.residence_commune, found.residence_department) == (commune, department)
    assert found.residence_imputed is imputed


def test_abroad_nothing_is_imputed() -> None:
    found = row(about=traits(address=Address(postcode="75007", country="DEU")))
    assert (found.residence_commune, found.residence_department) == ("", "")
    assert found.residence_imputed is False


def test_the_commune_that_was_given_counts_and_not_the_postcode() -> None:
    found = row(about=traits(address=Address(commune="97411", postcode="75001")))
    assert (found.residence_commune, found.residence_department) == ("97411", "974")
    assert found.residence_imputed is False


@pytest.mark.parametrize(
    ("address", "department"),
    [
        (None, ""),
        (Address(), ""),
        (Address(commune="2B033"), "2B"),
        (Address(commune="97411", postcode="75001"), "974"),
        (Address(postcode="97400"), "974"),
        (Address(postcode="20200"), "2B"),
        (Address(postcode="01 000"), "01"),
        (Address(postcode="75007", country="DEU"), ""),
        (Address(postcode="1234"), ""),
        (Address(commune="PARIS"), ""),
    ],
)
def test_departments(address: Address | None, department: str) -> None:
    assert department_of(address) == department


@pytest.mark.parametrize(
    ("age", "expected"),
    [(None, ""), (0, "09"), (9, "09"), (10, "19"), (19, "19"), (89, "89"), (90, "90"), (107, "90")],
)
def test_age_classes(age: int | None, expected: str) -> None:
    assert age_class(age) == expected


@pytest.mark.parametrize(
    ("birth_date", "age"),
    [
        ("1979-03-28", 46),
        ("1979-03-06", 47),
        ("1979-02", 47),
        ("1979-03", None),
        ("1979-04", 46),
        ("1979", None),
        ("", None),
        ("1979-02-31", None),
        ("1979-13", None),
        ("2026-03-07", None),
        ("2026-03-06", 0),
        ("1800-01-01", None),
        ("19790328", None),
        ("2000-02-29", 26),
    ],
)
def test_completed_years(birth_date: str, age: int | None) -> None:
    assert age_at(birth_date, date(2026, 3, 6)) == age
