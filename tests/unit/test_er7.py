"""Reading ER7: dialects, character sets, escapes, what cannot be read."""

from __future__ import annotations

import pytest

from ingest.charset import decode
from ingest.er7 import Message, is_delete, read
from ingest.escapes import unescape
from ingest.separators import Separators, separators_of
from schemas.errors import PermanentError

HEADER = b"MSH|^~\\&|APP|LAB|||20260306||ORU^R01|1|T|2.5.1|||||FRA|UNICODE UTF-8\r"


def header(charset: bytes) -> bytes:
    return HEADER.replace(b"UNICODE UTF-8", charset)


def family(message: Message) -> str:
    pid = message.first("PID")
    assert pid is not None
    return message.text(pid.field(5))


@pytest.mark.parametrize("end", [b"\r", b"\n", b"\r\n"])
@pytest.mark.parametrize("last", [True, False])
def test_segment_ends(end: bytes, last: bool) -> None:
    raw = end.join([HEADER.strip(), b"PID|1||X", b"ZZZ|kept"]) + (end if last else b"")
    message = read(raw)
    assert [segment.name for segment in message.segments] == ["MSH", "PID", "ZZZ"]
    assert ("segment_ends" in message.notes) == (end != b"\r")
    assert ("last_segment_end_missing" in message.notes) == (not last)


def test_mixed_segment_ends() -> None:
    message = read(HEADER.strip() + b"\r\nPID|1\nOBR|1\rOBX|1")
    assert [segment.name for segment in message.segments] == ["MSH", "PID", "OBR", "OBX"]


def test_msh_fields_are_numbered_as_the_standard_does() -> None:
    msh = read(HEADER).header
    assert msh.field(1) == "|" and msh.field(2) == "^~\\&" and msh.field(4) == "LAB"
    assert msh.component(9, 2) == "R01" and msh.field(18) == "UNICODE UTF-8" and msh.field(90) == ""


def test_access_splits_only_what_is_asked() -> None:
    pid = read(HEADER + b"PID|1||a^b&c^d~e^f||x\rPID|2\r").segments[1]
    assert pid.repetitions(3) == ["a^b&c^d", "e^f"] and pid.repetitions(4) == []
    assert [pid.component(3, n) for n in (1, 2, 3, 4)] == ["a", "b&c", "d", ""]
    assert pid.component(5, 1) == "x" and pid.component(5, 2) == "" and pid.component(9, 1) == ""
    assert str(pid.place(3, 2, 1)) == "PID[1]-3(2).1"


def test_sequence_counts_each_name() -> None:
    message = read(HEADER + b"OBX|9\rNTE|9\rOBX|9\r")
    assert [(s.name, s.sequence) for s in message.segments[1:]] == [
        ("OBX", 1),
        ("NTE", 1),
        ("OBX", 2),
    ]


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [
        ("^~\\&", Separators()),
        ("^~\\&#", Separators(truncation="#")),
        ("^\u02dc\\&", Separators(repetition="\u02dc")),
        ("^~", Separators()),
        ("", None),
        ("^^\\&", None),
        ("^~\\&##", None),
        ("^a\\&", None),
        ("^~\\\x9b", None),
        ("^~\\\x7f", None),
    ],
)
def test_separators(encoding: str, expected: Separators | None) -> None:
    if not encoding:
        assert separators_of("|", "|") is None
    else:
        assert separators_of("|", encoding) == expected


def test_own_separators_are_used() -> None:
    message = read(b"MSH$*!?%$A$B\rPID$1$$a*b!c$$A?F?B\r")
    pid = message.segments[1]
    assert pid.repetitions(3) == ["a*b", "c"] and pid.component(3, 2) == "b"
    assert family(message) == "A$B"


@pytest.mark.parametrize(
    ("charset", "encoding"), [(b"UNICODE UTF-8", "utf-8"), (b"8859/1", "cp1252"), (b"", "utf-8")]
)
def test_french_repetition_separator(charset: bytes, encoding: str) -> None:
    raw = header(charset).decode().replace("^~", "^\u02dc") + "PID|1||a\u02dcb\r"
    assert read(raw.encode(encoding)).segments[1].repetitions(3) == ["a", "b"]


@pytest.mark.parametrize(
    ("charset", "encoding", "note"),
    [
        (b"UNICODE UTF-8", "utf-8", ""),
        (b"utf-8", "utf-8", ""),
        (b"8859/15", "iso8859-15", ""),
        (b"8859/15~UNICODE UTF-8", "iso8859-15", ""),
        (b"8859/1", "cp1252", "charset_cp1252"),
        (b"", "utf-8", "charset_not_declared"),
        (b"", "iso8859-15", "charset_not_declared"),
        (b"", "cp1252", "charset_cp1252"),
    ],
)
def test_charsets(charset: bytes, encoding: str, note: str) -> None:
    message = read(header(charset) + "PID|1||||Lœtitia Dœuf €\r".encode(encoding))
    assert family(message) == "Lœtitia Dœuf €"
    assert [each for each in message.notes if each.startswith("charset")] == (
        [note] if note else []
    )


def test_latin_1_without_windows_letters_has_no_note() -> None:
    message = read(header(b"8859/1") + "PID|1||||Éloïse\r".encode("iso8859-1"))
    assert family(message) == "Éloïse" and message.notes == ()


@pytest.mark.parametrize("part", [1, 15])
def test_every_letter_of_the_latin_sets_is_its_own(part: int) -> None:
    for number in range(0xA0, 0x100):
        raw = bytes([0x41, number])
        assert decode(raw, b"8859/%d" % part) == (
            raw.decode(f"iso8859-{part}"),
            f"iso8859-{part}",
            "",
        )


def test_a_charset_of_no_table_is_read_while_it_is_ascii() -> None:
    assert "charset_unknown" in read(header(b"EBCDIC")).notes


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "not_hl7"),
        (b"GET / HTTP/1.1", "not_hl7"),
        (b"PID|1", "not_hl7"),
        (b"FHS|^~\\&|A\rBHS|^~\\&\r" + HEADER, "not_hl7"),
        (b"MSH", "bad_separators"),
        (b"MSH|", "bad_separators"),
        (b"MSHAB~\\&AX", "bad_separators"),
        (b"MSH|||||\r", "bad_separators"),
        (HEADER.decode().encode("utf-16"), "utf16"),
        (HEADER.decode().encode("utf-16-le"), "utf16"),
        (HEADER.decode().encode("utf-16-be"), "utf16"),
        (HEADER + b"PID|1||||A\x00B\r", "nul_bytes"),
        (HEADER + "PID|1||||É\r".encode("iso8859-1"), "undecodable_charset"),
        (HEADER + b"PID|1||||\xed\xa0\x80\r", "undecodable_charset"),
        (header(b"ASCII") + "PID|1||||É\r".encode(), "undecodable_charset"),
        (header(b"EBCDIC") + "PID|1||||É\r".encode(), "undecodable_charset"),
        (header(b"8859/1") + b"PID|1||||\x81\r", "undecodable_charset"),
    ],
)
def test_what_cannot_be_read_is_a_permanent_error(raw: bytes, reason: str) -> None:
    with pytest.raises(PermanentError) as caught:
        read(raw)
    assert caught.value.reason == reason and caught.value.remedy


def test_a_byte_order_mark_and_leading_blanks_are_dropped() -> None:
    assert read(b"\xef\xbb\xbf" + HEADER).notes == ("byte_order_mark",)
    assert read(b"\xef\xbb\xbf" + header(b"8859/15") + b"PID|1||||\xe9\r").segments[0].name == "MSH"
    assert read(b"\r\n " + HEADER).segments[0].field(4) == "LAB"


def test_framing_bytes_in_content_do_not_leave() -> None:
    message = read(HEADER + b"PID|1||||A\x0bB\x1cC\r")
    assert family(message) == "A B C" and message.notes == ("framing_bytes_in_content",)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (r"a\F\b\S\c\T\d\R\e\E\f", "a|b^c&d~e\\f"),
        (r"\E\F\E", r"\F\E"),
        (r"\X41\\X4243\ \XC3A9\ ", "ABC é "),
        (r"x\X0D\y\X0A\z\X0B1C\w\X00\v", "x y z  w v"),
        (r"a\.br\b\.sp2\c\.sp+3\d", "a b c d"),
        (r"a\H\b\N\c", "abc"),
        (r"C:\dir\F\x", r"C:\dir|x"),
        ("ends\\", "ends\\"),
        ("un\\terminated", "un\\terminated"),
        (r"\XZZ\ \Zfoo\ \C2842\ ", r"\XZZ\ \Zfoo\ \C2842\ "),
        (r"\X\ \XED\ ", r"\X\ \XED\ "),
        (r"\P\ ", r"\P\ "),
        ("\\\\\\", "\\\\\\"),
    ],
)
def test_escapes_are_decoded_once(raw: str, expected: str) -> None:
    assert unescape(raw, Separators(), "utf-8") == expected


def test_the_truncation_escape_needs_a_fifth_separator() -> None:
    assert unescape("\\P\\", Separators(truncation="#"), "utf-8") == "#"


def test_delete_is_told_from_empty_and_reads_as_empty() -> None:
    message = read(HEADER + b'PID|1||""||""\r')
    pid = message.segments[1]
    assert is_delete(pid.field(3)) and not is_delete(pid.field(4))
    assert family(message) == ""


def test_megabytes_of_base64_are_not_touched() -> None:
    document = b"QUJD" * 500_000
    message = read(HEADER + b"OBX|1|ED|x||^TEXT^XML^Base64^" + document + b"||||||F\r")
    obx = message.segments[1]
    assert obx._fields is None
    assert len(obx.field(5)) == len(document) + 17 and obx.field(11) == "F"


def test_no_text_form_shows_a_value() -> None:
    message = read(HEADER + b"PID|1||CANARY\r")
    assert "CANARY" not in repr(message) + repr(message.segments)
