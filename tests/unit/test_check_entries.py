"""What a hub would answer to a message of a file: the verdict of the door, and no value."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.header import Header, read_header
from ingest.judge import LabProfile, judge
from ops.checking.as_json import JsonReport
from ops.checking.as_sarif import SarifReport
from ops.checking.as_text import TextReport
from ops.checking.entries import Entry, Note, Options, check
from ops.checking.shapes import mask_of, shape_of
from ops.simulate.sample import sample_message
from ops.splitting import split_parts
from schemas.decision import Realm
from schemas.finding import Level

GOOD = sample_message()
CANARY = "QXZWV7CANARY"


def checked(content: bytes, options: Options | None = None) -> Entry:
    (entry,) = [
        check(part, "a.hl7", number, options or Options())
        for number, part in enumerate(split_parts(content), 1)
    ]
    return entry


def changed(old: str, new: str) -> bytes:
    text = GOOD.decode()
    assert old in text
    return text.replace(old, new).encode()


def note(entry: Entry, code: str) -> Note:
    (found,) = [each for each in entry.findings if each.code == code]
    return found


# ------------------------------------------------------------------------------------- shapes


@pytest.mark.parametrize(
    ("value", "shape", "mask"),
    [
        ("12345A", "5 digits, 1 letter", "99999A"),
        ("", "empty", ""),
        ("28/03/1979", '2 digits, "/", 2 digits, "/", 4 digits', "99/99/9999"),
        ("DUPONT Zoé", "6 letters, 1 space, 3 letters", "AAAAAA Aaa"),
        ("-", "1 other character", "?"),
        ("+++", "3 other characters", "???"),
        ("<5", "1 other character, 1 digit", "?9"),
    ],
)
def test_a_shape_says_what_a_value_is_made_of(value: str, shape: str, mask: str) -> None:
    assert shape_of(value) == shape
    assert mask_of(value) == mask


def test_a_shape_is_french_too_and_bounded() -> None:
    assert shape_of("12345A", "fr") == "5 chiffres, 1 lettre"
    assert shape_of("a1" * 5_000).endswith("10000 characters in all")
    assert len(mask_of("a" * 5_000)) == 41


@given(st.text(alphabet=st.characters(categories=["L", "N"]), min_size=1))
def test_no_letter_and_no_digit_of_a_value_is_in_its_mask(value: str) -> None:
    assert set(mask_of(value)) <= {"9", "A", "a", "?", "…"}


# ------------------------------------------------------------------------------------- entries


def test_a_good_message_has_an_entry_without_an_error() -> None:
    entry = checked(GOOD)
    assert (entry.verdict, entry.outcome, entry.errors) == ("AA", "dispatched", 0)
    assert (entry.control_id, entry.message_type) == ("L0001-20260306-0001", "ORU^R01")
    assert (entry.file, entry.message, entry.line) == ("a.hl7", 1, 1)


@pytest.mark.parametrize("realm", list(Realm))
@pytest.mark.parametrize("profile", ["fr", "generic"])
def test_the_verdict_is_the_doors(realm: Realm, profile: str) -> None:
    options = Options(profile=LabProfile(name=profile), realm=realm)
    raw = changed("19790328", "28/03/1979")
    header = read_header(raw)
    assert isinstance(header, Header)
    judgement = judge(raw, header, options.profile, realm)
    entry = checked(raw, options)
    assert entry.verdict == {"accept": "AA", "refuse": "AE", "reject": "AR"}[judgement.ruling.value]
    assert sorted(each.code for each in entry.findings) == sorted(
        each.code for each in judgement.findings
    )


@pytest.mark.parametrize(
    ("content", "verdict", "outcome", "code"),
    [
        (changed("ORU^R01^ORU_R01", "ZZZ^Z99"), "AR", "", "message_type_unsupported"),
        (changed("|L0001-20260306-0001|", "||"), "AE", "refused", "control_id_missing"),
        (b"not HL7", "AR", "", "not_hl7"),
        (b"\x0b" + GOOD, "AR", "", "frame_cut"),
        (b"\x0b\x1c\r", "", "", "frame_empty"),
    ],
)
def test_what_is_not_taken_says_so(content: bytes, verdict: str, outcome: str, code: str) -> None:
    entry = checked(content)
    assert (entry.verdict, entry.outcome) == (verdict, outcome)
    assert note(entry, code).level is Level.ERROR and entry.errors == 1


def test_a_message_that_is_kept_but_of_no_use_is_an_error_here() -> None:
    raw = GOOD.replace(b"OBR|1", b"PID|2||OTHER^^^X\rOBR|1")
    entry = checked(raw)
    if entry.outcome != "parked":
        pytest.fail("two patients in a message are expected to be parked")
    assert entry.verdict == "AA" and entry.errors == 1


def test_a_message_larger_than_a_frame_is_rejected_as_the_listener_does() -> None:
    entry = checked(GOOD, Options(max_message_bytes=100))
    assert entry.verdict == "AR" and note(entry, "frame_oversize")


def test_a_finding_stands_at_its_line_and_columns_of_the_file() -> None:
    content = b"FHS|^~\\&\r\n\r\n" + changed("19790328", "28/03/1979")
    found = note(checked(content), "birth_date_unreadable")
    line = content.replace(b"\r\n", b"\r").split(b"\r")[found.line - 1].decode()
    assert (found.line, found.place) == (4, "PID[1]-7")
    assert line[found.column - 1 : found.end_column - 1] == "28/03/1979"
    assert found.shape == '2 digits, "/", 2 digits, "/", 4 digits'
    assert found.excerpt[found.caret : found.caret + found.caret_length] == "99/99/9999"


def test_bytes_of_another_character_set_are_found_where_they_stand() -> None:
    raw = GOOD + "NTE|9|L|Prélevé à domicile\r".encode("iso8859-15")
    found = note(checked(raw), "undecodable_charset")
    assert (found.line, found.place) == (len(GOOD.splitlines()) + 1, "NTE[2]-3")


def test_french_is_told_in_french() -> None:
    raw = changed("19790328", "28/03/1979")
    english = note(checked(raw), "birth_date_unreadable")
    french = note(checked(raw, Options(language="fr")), "birth_date_unreadable")
    assert french.remedy != english.remedy
    assert french.shape.startswith("2 chiffres")


# ------------------------------------------------------------------------------------- mends


@pytest.mark.parametrize(
    ("old", "new", "code", "right"),
    [
        ("|19790328|", "|28/03/1979|", "birth_date_unreadable", "|19790328|"),
        ("|19790328|", "|1979-03-28|", "birth_date_unreadable", "|19790328|"),
        ("|24.6|", "|24,6|", "number_unreadable", "|24.6|"),
        (
            "20260306083000+0100",
            "2026-03-06T08:30:00+01:00",
            "time_unreadable",
            "|20260306083000+0100",
        ),
        ("|T|2.5.1|", "||2.5.1|", "processing_id_missing", "|T|2.5.1|"),
        ("|2.5.1|", "|2.5.1x|", "version_not_listed", "|2.5|"),
        ("ORU^R01^ORU_R01", "ORU", "trigger_missing", "|ORU^R01|"),
        ("|UNICODE UTF-8", "|", "charset_not_declared", "|UNICODE UTF-8"),
    ],
)
def test_a_corrected_line_is_derived_and_mends_the_finding(
    old: str, new: str, code: str, right: str
) -> None:
    raw = changed(old, new)
    found = note(checked(raw, Options(show_values=True)), code)
    assert right in found.corrected
    lines = raw.decode().split("\r")
    lines[found.line - 1] = found.corrected
    mended = checked("\r".join(lines).encode())
    assert (code, found.place) not in [(each.code, each.place) for each in mended.findings]


@pytest.mark.parametrize("value", ["03/04/1979", "99/99/1979", "1979", "soon", "2026-02-30T"])
def test_what_can_be_read_two_ways_is_not_derived(value: str) -> None:
    entry = checked(changed("19790328", value))
    assert not [each for each in entry.findings if each.field == 7 and each.corrected]


def test_without_values_a_corrected_line_is_masks_and_what_is_the_same_for_all() -> None:
    entry = checked(changed("|19790328|", "|28/03/1979|"))
    assert note(entry, "birth_date_unreadable").corrected == "PID|…||…||…||99999999|…"
    entry = checked(changed("|T|2.5.1|", "||2.5.1|"))
    assert note(entry, "processing_id_missing").corrected.endswith("|T|…")


# ------------------------------------------------------------------------------------- no value


def rendered(entry: Entry) -> str:
    reports = (
        TextReport(verbose=True),
        TextReport(language="fr", width=40),
        JsonReport(),
        SarifReport(version="0", hub_url="http://127.0.0.1:8575"),
    )
    return "".join(report.entry(entry) + report.summary() for report in reports)


def test_no_value_of_any_field_is_repeated_in_any_format() -> None:
    lines = GOOD.decode().rstrip("\r").split("\r")
    found = 0
    for number, line in enumerate(lines[1:], 1):
        fields = line.split("|")
        for field in range(1, len(fields)):
            for value in (CANARY, f"{CANARY}^{CANARY}&{CANARY}~{CANARY}", f"{CANARY}|{CANARY}"):
                spoiled = "|".join([*fields[:field], value, *fields[field + 1 :]])
                raw = "\r".join([*lines[:number], spoiled, *lines[number + 1 :], ""])
                entry = checked(raw.encode())
                found += len(entry.findings)
                assert CANARY not in rendered(entry)
                assert CANARY not in repr(entry) + repr(entry.findings)
    assert found > 50


def test_a_terminal_obeys_nothing_of_a_message() -> None:
    raw = changed("|19790328|", "|\x1b[2J28/03/1979\x9b|").replace(
        b"L0001-20260306-0001", b"C\x1b]0;x\x07"
    )
    text = TextReport(verbose=True).entry(checked(raw, Options(show_values=True)))
    assert not {character for character in text if ord(character) < 32} - {"\n"}
    assert "\x9b" not in text


def test_a_terminal_obeys_nothing_that_stands_where_names_and_marks_do() -> None:
    for raw in (
        changed("\rOBX|", "\r\x1b[J|x\r\x9b2J|x\rOBX|"),
        changed("\rPID|1||", "\r\x1b[2\rPID|1||\x1b]8;;x\x07~"),
        GOOD.replace(b"|^~\\&|", b"|^~\\\xc2\x9b|"),
        GOOD.replace(b"|2.5.1|", b"|\x1b[2J|"),
    ):
        for options in (Options(), Options(show_values=True)):
            text = TextReport(verbose=True).entry(checked(raw, options))
            assert not {sign for sign in text if ord(sign) < 32 or 0x7F <= ord(sign) < 0xA0} - {
                "\n"
            }


@settings(max_examples=200, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=200),
        st.builds(
            lambda at, junk, cut: GOOD[:at] + junk + GOOD[at + cut :],
            st.integers(0, len(GOOD)),
            st.binary(max_size=12),
            st.integers(0, 40),
        ),
    )
)
def test_any_bytes_are_checked_and_rendered_without_raising(raw: bytes) -> None:
    for number, part in enumerate(split_parts(raw), 1):
        entry = check(part, "any", number, Options())
        assert entry.verdict in {"AA", "AE", "AR", ""}
        assert rendered(entry)
        assert json.loads(JsonReport().entry(entry)[1:])
        assert check(part, "any", number, Options(show_values=True)).verdict == entry.verdict
        for each in entry.findings:
            assert each.line >= 1 and each.column <= each.end_column
            assert 0 <= each.caret <= len(each.excerpt)
