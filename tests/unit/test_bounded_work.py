"""What one message may cost: what is cut apart and decoded is bounded, whatever it holds."""

from __future__ import annotations

import pytest

from ingest import er7, escapes, reading
from ingest.bounds import MAX_EXAMINED_PARTS, MAX_NAME_CHARACTERS, MAX_REPETITIONS
from ingest.er7 import MAX_COMPONENTS, MAX_ESCAPES, MAX_FIELDS, MAX_SEGMENTS, read
from ingest.header import Header, HeaderError, read_header
from ingest.judge import Judgement, LabProfile, Ruling, judge
from ingest.separators import Separators
from schemas.decision import Realm
from schemas.finding import Level
from schemas.place import NOWHERE
from tests.fuzz.worst import INS, OBR, OBX, PID, msh, worst_cases

BASE = msh() + PID + OBR


def ruled(raw: bytes) -> Judgement:
    header = read_header(raw)
    assert isinstance(header, Header), header
    return judge(raw, header, LabProfile(), Realm.TEST)


def kept_as(raw: bytes) -> str:
    """Of a message that is kept safe and of which no report can be made: why."""
    found = ruled(raw)
    assert found.ruling is Ruling.ACCEPT and found.mapped is None
    assert found.unmappable is not None and found.findings[0].code == found.unmappable.code
    assert found.findings[0].level is Level.WARNING
    return found.unmappable.code


@pytest.mark.parametrize("line", [b"\r", b"\n", b"\r\n", b"OBX|1\r", b" \r", b"Z\n"])
def test_no_more_segments_are_made_than_the_bound(
    monkeypatch: pytest.MonkeyPatch, line: bytes
) -> None:
    made = 0
    segment = er7.Segment

    def counted(*parts: object) -> er7.Segment:
        nonlocal made
        made += 1
        return segment(*parts)  # type: ignore[arg-type]

    monkeypatch.setattr(er7, "Segment", counted)
    raw = BASE + line * (4 * MAX_SEGMENTS)
    assert kept_as(raw) == "too_many_segments"
    assert made <= MAX_SEGMENTS
    assert read(raw).encode() == raw


def test_what_comes_after_the_bound_may_be_what_is_required() -> None:
    """No message is refused for a segment that was not looked for."""
    assert kept_as(msh() + b"ZZZ|1\r" * MAX_SEGMENTS + PID + OBR + OBX) == "too_many_segments"


def test_a_message_at_the_bound_is_whole() -> None:
    raw = BASE + OBX + b"NTE|1||x\r" * (MAX_SEGMENTS - 4)
    assert read(raw).is_whole and ruled(raw).mapped is not None
    assert not read(raw + b"NTE|1||x\r").is_whole


@pytest.mark.parametrize(
    "many",
    [
        (msh() + b"PID|1||", b"1~", b"\r" + OBR + OBX),
        (msh() + b"PID|1||1||", b"A^B~", b"\r" + OBR + OBX),
        (BASE + b"OBX|1|ST|a^b||", b"~", b"\r"),
        (BASE + OBX + b"NTE|1||", b"x~", b"\r"),
    ],
)
def test_repetitions_are_counted_before_anything_is_done_for_each(
    monkeypatch: pytest.MonkeyPatch, many: tuple[bytes, bytes, bytes]
) -> None:
    before, unit, after = many
    assert ruled(before + unit * MAX_REPETITIONS + after).mapped is not None
    monkeypatch.setattr(reading.Reading, "part", None)
    monkeypatch.setattr(reading.Reading, "comments", None)
    raw = before + unit * (MAX_REPETITIONS + 1) + after
    assert kept_as(raw) == "too_many_repetitions"


def test_the_beginning_of_a_line_that_is_no_segment_is_not_told() -> None:
    """A value with a line end in it begins a line with what may be a patient's name."""
    found = ruled(BASE + b"DURAND|" + b"~" * (MAX_REPETITIONS + 1) + b"\r")
    assert found.unmappable is not None and found.unmappable.place == NOWHERE
    known = ruled(BASE + b"NTE|1|" + b"~" * (MAX_REPETITIONS + 1) + b"\r")
    assert known.unmappable is not None and str(known.unmappable.place) == "NTE[1]"


def test_escapes_are_decoded_up_to_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = 0
    unescape = escapes.unescape

    def counted(raw: str, separators: Separators, charset: str) -> str:
        nonlocal decoded
        decoded += raw.count(separators.escape)
        return unescape(raw, separators, charset)

    monkeypatch.setattr(er7, "unescape", counted)
    notes = b"NTE|1||\\T\\\r" * (MAX_ESCAPES // 4)
    assert ruled(BASE + OBX + notes[: len(notes) // 2]).mapped is not None
    text = b"OBX|1|TX|a||" + b"\\T\\" * (MAX_ESCAPES // 2)
    assert ruled(BASE + text + b"\r").mapped is not None
    decoded = 0
    assert kept_as(BASE + text + b"\\E\\\r") == "too_many_escapes"
    assert decoded <= MAX_ESCAPES


def test_an_escape_of_any_length_is_one_text() -> None:
    digits = "41" * 100_001
    found = ruled(BASE + b"OBX|1|TX|a||\\X" + digits.encode() + b"\\\r")
    assert found.mapped is not None
    assert found.mapped.reports[0].observations[0].value == "A" * 100_001
    odd = ruled(BASE + b"OBX|1|TX|a||\\X" + digits.encode() + b"4\\F\\\r")
    assert odd.mapped is not None
    assert odd.mapped.reports[0].observations[0].value == f"\\X{digits}4|"


def test_fields_and_components_are_cut_apart_up_to_the_bound() -> None:
    message = read(BASE + b"ZZZ|" + b"|" * 100_000 + b"\rOBX|1|ST|" + b"^" * 100_000 + b"\r")
    assert len(message.segments[3].fields()) == MAX_FIELDS + 1
    assert len(message.components(message.segments[4].field(3))) == MAX_COMPONENTS + 1
    line = message.segments[3].with_component(900, 1, 1, "x")
    assert line.split("|")[900] == "x" and line.count("|") == 100_001


@pytest.mark.parametrize("sign", [b"|", b"^", b"&"])
def test_a_segment_of_thousands_of_parts_is_not_compared_with_tables(sign: bytes) -> None:
    for many, compared in ((MAX_EXAMINED_PARTS // 2, True), (MAX_EXAMINED_PARTS + 1, False)):
        judgement = ruled(BASE + b"QQQ|1\rOBX|1|ST|a^b||" + sign * many + b"\r")
        assert judgement.mapped is not None
        told = {finding.code for finding in judgement.findings}
        assert ("hl7_segment_unknown" in told) is compared


def test_a_name_is_bounded() -> None:
    def pid(family: str, repetition: str = "A^B^^^^^L~") -> bytes:
        return msh() + f"PID|1||1||{repetition}{family}^ANNE^^^^^D\r".encode() + OBR + OBX

    assert ruled(pid("A" * MAX_NAME_CHARACTERS)).mapped is not None
    found = ruled(pid("A" * (MAX_NAME_CHARACTERS + 1)))
    assert found.unmappable is not None
    assert (found.unmappable.code, str(found.unmappable.place)) == (
        "name_too_long",
        "PID[1]-5(2).1",
    )


@pytest.mark.parametrize(
    ("old", "code"),
    [(b"|APP|", None), (b"|LAB|", "sender_too_long"), (b"|1|T|", "control_id_too_long")],
)
def test_a_header_field_of_megabytes_is_not_decoded(
    monkeypatch: pytest.MonkeyPatch, old: bytes, code: str | None
) -> None:
    read_at_all = 0
    text = er7.Message._text

    def counted(self: er7.Message, raw: str) -> str:
        nonlocal read_at_all
        read_at_all += len(raw)
        return text(self, raw)

    monkeypatch.setattr(er7.Message, "_text", counted)
    raw = BASE.replace(old, old[:1] + b"\\T\\" * 1_000_000 + old[-3 if b"T" in old else -1 :])
    found = read_header(raw)
    assert isinstance(found, HeaderError)
    assert found.finding.code == (code or "sender_too_long")
    assert read_at_all < 50_000


def test_a_charset_of_megabytes_reads_the_body_as_a_short_one_does() -> None:
    raw = msh(b"UNICODE UTF-8~" + b"x" * 10_000) + PID + OBR + "OBX|1|ST|a||é\r".encode()
    header = read_header(raw)
    assert isinstance(header, Header) and header.start is None
    found = judge(raw, header, LabProfile(), Realm.TEST)
    assert found.mapped is not None and found.mapped.reports[0].observations[0].value == "é"


def test_an_authority_is_told_of_once_however_often_it_comes() -> None:
    raw = msh() + b"PID|1||" + INS % 8 * 500 + INS % 10 + b"\r" + OBR + OBX
    codes = [found.code for found in ruled(raw).findings]
    assert codes.count("ins_of_other_realm") == 1


def test_what_refuses_a_document_is_told_among_a_thousand_warnings() -> None:
    """An error behind more warnings than are told is the first of all."""
    odd = b"OBX|1|NM|||1|||ZZ|||F\r" * 200
    document = b"OBX|1|ED|11502-2^x^LN||^TEXT^XML^Base64^QQ==||||||C\r"
    raw = msh() + PID + b"ORC|NW|1\r" + OBR + odd + document
    found = ruled(raw)
    assert found.ruling is Ruling.REFUSE
    assert found.findings[0].code == "document_order_control_disagrees"
    assert str(found.findings[0].place) == "OBX[201]-11"


def test_a_life_cycle_is_told_once_for_each_place() -> None:
    said = b"OBX|1|NM|94500-6^x^LN||1||||||F\r"
    two = (b"ORC|CA|1\r" + OBR + said * 40) * 2
    told = [
        str(found.place)
        for found in ruled(msh() + PID + two).findings
        if found.code == "order_control_disagrees"
    ]
    assert len(told) == len(set(told)) > 40


def test_the_dearest_messages_are_answered() -> None:
    """Kept safe, unless nobody can tell from whom it is or in what it is written."""
    expected = {"MSH-9": Ruling.REJECT, "UTF-8, wrong at its end": Ruling.REFUSE}
    unusable = set()
    for name, raw in worst_cases(200_000):
        header = read_header(raw)
        if isinstance(header, HeaderError):
            unusable.add(name)
            continue
        found = judge(raw, header, LabProfile(), Realm.TEST)
        assert found.ruling is expected.get(name, Ruling.ACCEPT), (name, found.findings[:1])
        assert "unexpected" not in {each.code for each in found.findings}, name
    assert unusable == {"MSH-3", "MSH-4", "MSH-10"}
