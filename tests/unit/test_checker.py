"""The compiled checker: what is off HL7's own tables, exactly where; the quick look never lies."""

from __future__ import annotations

import random
from functools import lru_cache
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.bounds import MAX_FINDINGS
from ingest.catalogue import RULES
from ingest.checker import (
    _patterns,
    _standard_writing,
    check_structure,
    prepare_versions,
    structure_name,
)
from ingest.er7 import Message, Segment, read
from ingest.hl7_tables import VERSIONS, tables_of
from ingest.leaves import form_is_right
from ingest.line_pattern import field_patterns, line_pattern
from ingest.segment_walk import Budget, walk_segment
from ingest.separators import Separators
from ops.simulate.sample import sample_message
from ops.simulate.simulation import Simulation
from schemas.finding import Level
from schemas.place import Place
from tests.fuzz.mutate import mutated
from tests.unit.test_simulate_messages import LABS, START

MSH = "MSH|^~\\&|LAB|990010001|HUB|HUB|20260306101502+0100||ORU^R01^ORU_R01|C-1|P|2.5.1"
PID = "PID|1||P1^^^LABX^PI||ROE^ANNE^^^^^L||19790328|F"
OBR = "OBR|1|ORD-1|LAB-1|94500-6^ARN^LN|||20260306||||||||||||||||||F"
OBX = "OBX|1|NM|94745-7^Ct^LN||24.6||||||F"


def message(*lines: str, msh: str = MSH) -> Message:
    return read("\r".join((msh, *lines, "")).encode())


def told(*lines: str, msh: str = MSH, version: str = "2.5.1") -> dict[str, str]:
    found = check_structure(message(*lines, msh=msh), version)
    assert all(finding.level is not Level.ERROR for finding in found)
    assert len({(finding.code, finding.place) for finding in found}) == len(found)
    return {str(finding.place): finding.code for finding in found}


def walked(segment: Segment, version: str) -> list[tuple[str, Place]]:
    found: list[tuple[str, Place]] = []
    if segment.name in tables_of(version).segments:
        walk_segment(
            segment,
            tables_of(version),
            lambda code, place: found.append((code, place)),
            Budget(1_000_000),
        )
    return found


def test_a_right_message_has_no_finding() -> None:
    assert told(PID, OBR, OBX) == {}
    assert check_structure(read(sample_message()), "2.5.1") == ()


@pytest.mark.parametrize(
    ("line", "place", "code"),
    [
        (OBX.replace("94745-7^Ct^LN", ""), "OBX[1]-3", "hl7_required_missing"),
        (OBX.replace("|F", "|"), "OBX[1]-11", "hl7_required_missing"),
        (OBX.replace("LN|", "LN~CT^Ct^L|"), "OBX[1]-3(2)", "hl7_too_many"),
        (OBX.replace("24.6", "24,6"), "OBX[1]-5", "hl7_type_wrong"),
        (OBX.replace("24.6", "1~x"), "OBX[1]-5(2)", "hl7_type_wrong"),
        (OBX.replace("OBX|1|", "OBX|10000|"), "OBX[1]-1", "hl7_too_long"),
        (OBX.replace("OBX|1|", "OBX|a|"), "OBX[1]-1", "hl7_type_wrong"),
        (OBX.replace("|F", "|J"), "OBX[1]-11", "hl7_table_value"),
        (OBX.replace("NM", "QQ"), "OBX[1]-2", "hl7_table_value"),
        (OBX.replace("LN|", "LN^^^^^^^^x|"), "OBX[1]-3.11", "hl7_part_unknown"),
        (OBX.replace("94745-7", "94745&7"), "OBX[1]-3.1.2", "hl7_part_unknown"),
        (OBX + "|||||||||||||||x", "OBX[1]-26", "hl7_field_unknown"),
        (OBX + "|||||||||x", "OBX[1]-20", "hl7_withdrawn"),
        (OBX + "|||20260230", "OBX[1]-14.1", "hl7_type_wrong"),
    ],
)
def test_a_wrong_observation(line: str, place: str, code: str) -> None:
    assert told(PID, OBR, line) == {place: code}


def test_places_go_down_to_the_sub_component() -> None:
    line = PID.replace("LABX^PI", "LABX&1.2&XXX^PI~2^^^B&1.2&YYY^??")
    assert told(line, OBR, OBX) == {
        "PID[1]-3.4.3": "hl7_table_value",
        "PID[1]-3(2).4.3": "hl7_table_value",
        "PID[1]-3(2).5": "hl7_table_value",
    }
    assert told(PID.replace("|F", "|Q"), OBR, OBX) == {"PID[1]-8": "hl7_user_table_value"}


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ((PID, OBR, OBX, "PV1|1|O"), {"PV1[1]": "hl7_segment_order"}),
        ((PID, "PD1|", "PD1|", OBR, OBX), {"PD1[2]": "hl7_segment_repeated"}),
        ((PID, OBR, OBX, "XYZ|1"), {"XYZ[1]": "hl7_segment_unknown"}),
        ((PID, OBR, OBX, "ZLB|1|a^b&c"), {}),
        ((PID, OBX), {"OBR[1]": "hl7_segment_missing"}),
        ((OBR, OBX, OBR, OBX, OBX), {}),
        ((PID, OBR, OBX, PID, OBR, OBX), {}),
        ((PID, OBR, OBX, "NTE|1|L|a", "SPM|1|||258500001^E^SCT", "DSC|1"), {}),
    ],
)
def test_the_order_of_segments(lines: tuple[str, ...], expected: dict[str, str]) -> None:
    assert told(*lines) == expected


def test_each_kind_of_message_has_its_structure() -> None:
    def named(kind: str) -> str:
        return structure_name(message(msh=MSH.replace("ORU^R01^ORU_R01", kind)))

    assert named("ORU^R01") == named("ORU") == "ORU_R01"
    assert named("ORU^R30^ORU_R30") == "ORU_R30"
    assert named("OUL^R22") == "OUL_R22" and named("MDM^T02") == "MDM_T02"
    assert named("ACK^R01") == "ACK" and named("ADT^A01") == ""
    msh = MSH.replace("ORU^R01^ORU_R01", "MDM^T02^MDM_T02")
    obx = "OBX|1|ED|1^a^LN||^TEXT^XML^Base64^QUJD||||||F"
    told_of = told("EVN||20260306", PID, "PV1|1|O", obx, msh=msh)
    assert told_of == {"TXA[1]": "hl7_segment_missing"}


def test_a_flood_of_values_ends_the_look_and_not_the_message() -> None:
    flood = PID.replace("P1^^^LABX^PI", "1~" * 300_000)
    wrong = OBX.replace("24.6", "x")
    assert told(OBR, wrong) == {"OBX[1]-5": "hl7_type_wrong"}
    assert told(flood, OBR, wrong) == {}
    assert len(check_structure(message(PID, *["NTE"] * 20_000, *["PID"] * 9_000), "2.5.1")) <= 100


def test_deletion_and_blanks_say_nothing() -> None:
    assert told(PID.replace("19790328", '""'), OBR, OBX.replace("24.6", '""')) == {}
    assert told(PID.replace("19790328", " "), OBR, OBX.replace("24.6", " ")) == {}


def test_other_separators_are_the_same() -> None:
    swapped = str.maketrans("^~&", "@!%")
    lines = [line.translate(swapped) for line in (PID, OBR, OBX.replace("24.6", "24,6"))]
    msh = MSH.replace("^~\\&", "@!\\%").replace("ORU^R01^ORU_R01", "ORU@R01@ORU_R01")
    assert told(*lines, msh=msh) == {"OBX[1]-5": "hl7_type_wrong"}
    right = [line.replace("24,6", "24.6 ^~&") for line in lines]
    assert told(*right, msh=msh) == {"OBX[1]-5": "hl7_type_wrong"}
    assert told(*(line.replace("NM", "ST") for line in right), msh=msh) == {}


@pytest.mark.parametrize("component", ["@", "\u02dc"])
@pytest.mark.parametrize("code", ["94500-6", "Pr\u00e9sence", "\u0152uf \u2713"])
def test_other_separators_are_the_same_in_any_letters(component: str, code: str) -> None:
    # The checker looks at nothing behind a component that the type has not: it must see each.
    right = OBX.replace("94745-7", code)
    wrong = right.replace("^LN", "^LN^^^^^^^x")
    assert told(PID, OBR, wrong)
    for obx, expected in ((right, told(PID, OBR, right)), (wrong, told(PID, OBR, wrong))):
        lines = [line.replace("^", component) for line in (PID, OBR, obx)]
        assert told(*lines, msh=MSH.replace("^", component)) == expected


@given(
    st.permutations("|^~&@!\u02dc\u00e9"),
    st.text("|^~&@!\u02dc\u00e9a\u2713\x00", max_size=30),
)
def test_the_standard_writing_is_one_letter_for_another(letters: list[str], line: str) -> None:
    field, component, repetition, subcomponent = letters[:4]
    writing = _standard_writing(
        Separators(
            field=field, component=component, repetition=repetition, subcomponent=subcomponent
        )
    )
    if writing is not None:
        assert writing.of(line) == line.translate(writing.letters)


@pytest.mark.parametrize("version", ["", "2.1", "2.2", "2.8", "2.9", "x", "../2.5"])
def test_a_version_without_tables_finds_nothing(version: str) -> None:
    assert check_structure(message(PID, OBR, OBX.replace("24.6", "x")), version) == ()


def test_a_version_may_have_components() -> None:
    wrong = message(PID, OBR, OBX.replace("24.6", "x"))
    assert check_structure(wrong, "2.5.1^FRA^2.11") == check_structure(wrong, "2.5.1") != ()


@pytest.mark.parametrize("version", sorted(VERSIONS))
def test_what_is_prepared_is_not_made_at_the_first_message(version: str) -> None:
    prepare_versions()
    patterns, of_fields = dict(_patterns(version)), field_patterns.cache_info().misses
    assert {"MSH", "PID", "OBR", "OBX|NM"} <= patterns.keys()
    off = PID.replace("19790328", "28/03/1979")
    assert told(off, OBR, OBX, msh=MSH.replace("2.5.1", version), version=version)
    assert _patterns(version) == patterns
    assert field_patterns.cache_info().misses == of_fields


def test_findings_are_bounded_and_hold_no_value() -> None:
    canary = "CANARY9"
    lines = [OBX.replace("24.6", canary).replace("|F", f"|{canary}") for _ in range(200)]
    found = check_structure(message(PID, OBR, *lines), "2.5.1")
    assert len(found) == MAX_FINDINGS
    assert canary not in repr(found)


def test_a_document_of_megabytes_is_no_finding() -> None:
    document = "QUJD" * 205_000
    obx = f"OBX|1|ED|1^a^LN||^TEXT^XML^Base64^{document}||||||F"
    assert told(PID, OBR, obx) == {}
    assert told(PID, OBR, obx.replace("||||||F", "||||||")) == {"OBX[1]-11": "hl7_required_missing"}


@pytest.mark.parametrize(
    ("value", "datatype", "is_right"),
    [
        *((text, "NM", True) for text in ("1", "-1.5", "+.5", "5.", "007")),
        *((text, "NM", False) for text in ("1e5", "1,5", "NaN", "<5", "1 ", "\u0663", ".")),
        *((text, "SI", True) for text in ("0", "12")),
        *((text, "SI", False) for text in ("-1", "+1", "1_0", "1.0")),
        *((text, "DT", True) for text in ("2024", "202402", "20240229", "20241231")),
        *((text, "DT", False) for text in ("0000", "202413", "20230229", "20240230", "2024-01")),
        *((text, "TM", True) for text in ("23", "2359", "235959", "235959.1234+0100", "12-0500")),
        *((text, "TM", False) for text in ("24", "1260", "126060", "12+9900", "12.5")),
        *((text, "DTM", True) for text in ("2024", "2024022912", "20241231235959.1+0100")),
        *((text, "DTM", True) for text in ("2024+0100", "202401-0500")),
        *((text, "DTM", False) for text in ("20241232", "2024123", "20230229120000", "00000000")),
    ],
)
def test_forms(value: str, datatype: str, is_right: bool) -> None:
    assert form_is_right(value, datatype) is is_right


STANDARD = (Separators(), Separators(truncation="#"))


def lines_of(raw: bytes) -> list[tuple[Segment, str]]:
    try:
        one = read(raw)
    except Exception:  # noqa: BLE001 - what cannot be read has no lines
        return []
    version = one.header.component(12, 1)
    if version not in VERSIONS or one.separators not in STANDARD:
        return []
    return [(segment, version) for segment in one.segments]


def test_what_the_quick_look_takes_the_walk_takes_too() -> None:
    rng = random.Random(20260306)
    taken = refused = 0
    simulation = Simulation(seed=5, labs=LABS, start_at=START, persons=300)
    for sent in islice(simulation.messages(), 150):
        other = sample_message(600)
        for raw in (sent.raw, *(mutated(sent.raw, other, rng) for _ in range(8))):
            for segment, version in lines_of(raw):
                tables = tables_of(version)
                kind = segment.field(2) if segment.name == "OBX" else ""
                if segment.name not in tables.segments or (kind and kind not in tables.types):
                    continue
                if kept_pattern(version, segment.name, kind).fullmatch(segment.line):
                    taken += 1
                    assert walked(segment, version) == [], segment.name
                else:
                    refused += 1
    assert taken > 2_000 and refused > 300


kept_pattern = lru_cache(maxsize=None)(line_pattern)


@settings(deadline=None)  # an expression is made when it is first asked for
@given(
    st.lists(st.text(st.characters(codec="utf-8"), max_size=60), max_size=6),
    st.sampled_from(sorted(VERSIONS)),
)
def test_any_text_never_raises(lines: list[str], version: str) -> None:
    text = "\r".join((MSH, PID, *(f"OBX|1|{line}" for line in lines), *lines)).replace("\0", "")
    found = check_structure(read(text.encode()), version)
    assert len(found) <= MAX_FINDINGS
    assert {finding.code for finding in found} <= set(RULES)
