"""Acknowledgements: modes, codes, errors, the sender's own separators, nothing of the patient."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from ingest.ack import (
    ACK_CODES,
    build_acks,
    framing_finding,
    not_now,
    suspended_sender,
    told_of,
    unknown_sender,
)
from ingest.catalogue import RULES, finding, french
from ingest.er7 import Message, read
from ingest.header import Header, HeaderError, read_header
from ingest.judge import Judgement, LabProfile, Ruling, judge
from schemas.decision import Realm
from schemas.finding import Finding, Level
from schemas.place import NOWHERE, Place

AT = datetime(2026, 3, 6, 9, 15, 2, tzinfo=UTC)
MSH = (
    "MSH|^~\\&|APP^1|LAB|HUB|NATIONAL|20260306101502+0100||ORU^R01^ORU_R01|C-1|P^A|2.5.1|||{0}|{1}|"
    "FRA|8859/15"
)
MISSING = Finding("pid_missing", Level.ERROR, Place("PID", 1), 100, "A result needs a PID segment.")
WARNING = Finding("number_unreadable", Level.WARNING, Place("OBX", 2, 5), 102, "Kept as text.")


def header_of(accept: str = "", application: str = "", msh: str = MSH) -> Header:
    header = read_header(msh.format(accept, application).encode("iso8859-15") + b"\r")
    assert isinstance(header, Header)
    return header


def acks(
    header: Header, ruling: Ruling = Ruling.ACCEPT, *findings: Finding, silent: bool = False
) -> tuple[bytes, ...]:
    return build_acks(header, ruling, findings, at=AT, wants_no_answer=silent)


def codes(
    accept: str, application: str, ruling: Ruling = Ruling.ACCEPT, *, silent: bool = False
) -> list[str]:
    answers = acks(header_of(accept, application), ruling, silent=silent)
    return [read(answer).segments[1].field(1) for answer in answers]


def errors(message: Message) -> list[list[str]]:
    return [segment.fields() for segment in message.segments if segment.name == "ERR"]


def test_the_original_mode() -> None:
    (answer,) = acks(header_of())
    assert answer.endswith(b"\r") and b"\n" not in answer
    msh, msa = read(answer).segments
    assert [msh.field(number) for number in range(3, 9)] == [
        "HUB",
        "NATIONAL",
        "APP^1",
        "LAB",
        "20260306091502+0000",
        "",
    ]
    assert (msh.field(9), msh.field(11), msh.field(12)) == ("ACK^R01^ACK", "P^A", "2.5.1")
    assert len(msh.field(10)) == 20 and msh.field(18) == "8859/15"
    assert (msa.field(1), msa.field(2)) == ("AA", "C-1")


@pytest.mark.parametrize("ruling", list(Ruling))
def test_the_codes_of_the_original_mode(ruling: Ruling) -> None:
    assert codes("", "", ruling) == [ACK_CODES[ruling]]
    assert codes("", "", ruling, silent=True) == [ACK_CODES[ruling]]


@pytest.mark.parametrize(
    ("accept", "application", "accepted", "refused", "rejected"),
    [
        ("AL", "", ["CA"], ["CE"], ["CR"]),
        ("AL", "NE", ["CA"], ["CE"], ["CR"]),
        ("AL", "AL", ["CA", "AA"], ["CE", "AE"], ["CR", "AR"]),
        ("AL", "ER", ["CA"], ["CE", "AE"], ["CR", "AR"]),
        ("AL", "SU", ["CA", "AA"], ["CE"], ["CR"]),
        ("NE", "AL", ["AA"], ["AE"], ["AR"]),
        ("", "AL", ["AA"], ["AE"], ["AR"]),
        ("", "ER", [], ["AE"], ["AR"]),
        ("NE", "SU", ["AA"], [], ["AR"]),
        ("ER", "", [], ["CE"], ["CR"]),
        ("ER", "NE", [], ["CE"], ["CR"]),
        ("SU", "", ["CA"], [], ["CR"]),
        ("NE", "NE", ["CA"], ["CE"], ["CR"]),
        ("NE", "", ["CA"], ["CE"], ["CR"]),
        ("al", "zz", ["CA", "AA"], ["CE", "AE"], ["CR", "AR"]),
    ],
)
def test_the_enhanced_mode(
    accept: str, application: str, accepted: list[str], refused: list[str], rejected: list[str]
) -> None:
    assert codes(accept, application, Ruling.ACCEPT) == accepted
    assert codes(accept, application, Ruling.REFUSE) == refused
    assert codes(accept, application, Ruling.REJECT) == rejected


def test_silence_is_kept_only_where_the_message_asks_for_it_too() -> None:
    assert codes("NE", "NE", silent=True) == []
    assert codes("NE", "NE", Ruling.REFUSE, silent=True) == []
    assert codes("NE", "NE", Ruling.REJECT, silent=True) == ["CR"]
    assert codes("AL", "NE", silent=True) == ["CA"]


@pytest.mark.parametrize(
    ("kind", "version", "modes", "expected"),
    [
        ("ORU^R01", "2.3", ("", ""), ["ACK^R01"]),
        ("ORU^R01", "2.3.1", ("", ""), ["ACK^R01^ACK"]),
        ("ORU^R01^ORU_R01", "2.4", ("", ""), ["ACK^R01^ACK"]),
        ("ORU", "2.4", ("", ""), ["ACK"]),
        ("ORU^R30^ORU_R30", "2.5.1", ("", ""), ["ACK^R33^ACK"]),
        ("ORU^R30^ORU_R30", "2.7", ("AL", "AL"), ["ACK^R30^ACK", "ACK^R33^ACK"]),
        ("MDM^T02^MDM_T02", "2.6", ("", ""), ["ACK^T02^ACK"]),
    ],
)
def test_msh_9_is_of_the_event_and_the_version(
    kind: str, version: str, modes: tuple[str, str], expected: list[str]
) -> None:
    msh = MSH.replace("ORU^R01^ORU_R01", kind).replace("2.5.1", version)
    answers = acks(header_of(*modes, msh=msh))
    assert [answer.split(b"|")[8].decode() for answer in answers] == expected


def test_errors_since_2_5() -> None:
    place = Place("PID", 1, 3, 2, 4, 2)
    other = Finding("some_code", Level.ERROR, place, 101, "Fill A|B^C.")
    (answer,) = acks(header_of(), Ruling.REFUSE, MISSING, other)
    message = read(answer)
    first, second = errors(message)
    assert first[2] == "PID^1" and first[3] == "100^Segment sequence error^HL70357"
    assert (first[4], first[5], first[7]) == ("E", "pid_missing^^L", MISSING.text)
    assert first[8] == french(RULES["pid_missing"])
    assert second[2] == "PID^1^3^2^4^2" and second[3].startswith("101^")
    assert second[7] == r"Fill A\F\B\S\C." and message.text(second[7]) == "Fill A|B^C."
    assert message.segments[1].field(3) == ""


def test_errors_before_2_5() -> None:
    header = header_of(msh=MSH.replace("2.5.1", "2.3.1"))
    odd = Finding("time_unreadable", Level.ERROR, Place("OBR", 2, 7), 102, "A time.")
    (answer,) = acks(header, Ruling.REFUSE, odd)
    msa = read(answer).segments[1]
    assert (msa.field(1), msa.field(3)) == ("AE", "A time.")
    assert msa.field(6) == "102^Data type error^HL70357"
    assert errors(read(answer)) == [["ERR", "OBR^2^7^102&Data type error&HL70357"]]


def test_an_acceptance_tells_the_worst_first_and_what_has_a_text_alone() -> None:
    quiet, told = Finding("segment_ends", Level.INFO), finding("segment_ends")
    (answer,) = acks(header_of(), Ruling.ACCEPT, quiet, told, *[WARNING] * 9)
    found = errors(read(answer))
    assert [error[4] for error in found] == ["W"] * 9 + ["I"]
    (plain,) = acks(header_of(), Ruling.ACCEPT, quiet)
    assert errors(read(plain)) == []


def test_several_errors_before_2_5_share_one_segment_and_the_first_is_told() -> None:
    header = header_of(msh=MSH.replace("2.5.1", "2.4"))
    nowhere = finding("framing_bytes_in_content")
    (answer,) = acks(header, Ruling.REFUSE, WARNING, nowhere, finding("pid_missing"))
    message = read(answer)
    (error,) = errors(message)
    assert error[1].split("~") == [
        "PID^1^^100&Segment sequence error&HL70357",
        "OBX^2^5^102&Data type error&HL70357",
    ]
    msa = message.segments[1]
    assert msa.field(3) == finding("pid_missing").text
    assert msa.field(6) == "100^Segment sequence error^HL70357"


def test_msa_3_holds_eighty_characters_and_whole_words() -> None:
    header = header_of(msh=MSH.replace("2.5.1", "2.3"))
    long = finding("frame_oversize")
    (answer,) = acks(header, Ruling.REJECT, long)
    text = read(answer).segments[1].field(3)
    assert len(text) <= 80 < len(long.text) and long.text.startswith(text + " ")


@pytest.mark.parametrize(
    ("charset", "codec", "word"),
    [
        ("UNICODE UTF-8", "utf-8", "r\u00e9sultat"),
        ("8859/1", "iso8859-1", "r\u00e9sultat"),
        ("8859/15", "iso8859-15", "r\u00e9sultat"),
        ("ASCII", "ascii", "resultat"),
        ("", "ascii", "resultat"),
        ("KLINGON", "ascii", "resultat"),
    ],
)
def test_french_is_told_in_the_letters_that_the_sender_reads(
    charset: str, codec: str, word: str
) -> None:
    header = header_of(msh=MSH.replace("8859/15", charset))
    (answer,) = acks(header, Ruling.REFUSE, finding("pid_missing"))
    shown = errors(read(answer))[0][8] if charset != "KLINGON" else answer.decode("ascii")
    assert word in shown and word in answer.decode(codec)


def test_what_a_laboratory_is_told_depends_on_its_state_and_not_on_the_verdict() -> None:
    info, error = finding("segment_ends"), finding("pid_missing")
    warned = Judgement(ruling=Ruling.ACCEPT, findings=(WARNING, info))
    assert told_of(warned, "onboarding") == (WARNING, info) and told_of(warned, "live") == ()
    refused = Judgement(ruling=Ruling.REFUSE, findings=(info, error))
    assert told_of(refused, "onboarding") == (info, error)
    assert told_of(refused, "live") == (error,)
    lost = finding("service_code_missing")
    parked = Judgement(ruling=Ruling.ACCEPT, findings=(lost, WARNING), unmappable=lost)
    assert told_of(parked, "live") == (lost,) and len(told_of(parked, "onboarding")) == 2


@pytest.mark.parametrize("letter", [b"\x0b", b"\x1c", b"\n"])
def test_no_byte_of_a_name_is_a_segment_or_a_frame_on_the_way_out(letter: bytes) -> None:
    for field in (b"APP^1", b"LAB", b"HUB", b"NATIONAL", b"C-1", b"P^A", b"2.5.1"):
        raw = MSH.format("AL", "AL").encode().replace(field, field + letter + b"MSA|AA|X", 1)
        header = read_header(raw + b"\r")
        used = header.header if isinstance(header, HeaderError) else header
        for answer in acks(used, Ruling.REFUSE, MISSING):
            assert not {0x0A, 0x0B, 0x1C} & set(answer)
            assert [part[:3] for part in answer.split(b"\r")[:-1]] == [b"MSH", b"MSA", b"ERR"]


def test_errors_are_bounded_and_stand_first() -> None:
    (answer,) = acks(header_of(), Ruling.REFUSE, *[WARNING] * 50, MISSING)
    found = errors(read(answer))
    assert len(found) == 20 and found[0][4] == "E"


def test_the_sender_separators_are_used_and_escaped() -> None:
    raw = "MSH$*!?%$APP$LAB$HUB$NAT$20260306$$ORU*R01$C?T?1$P$2.5\r"
    header = read_header(raw.encode())
    assert isinstance(header, Header)
    odd = Finding("x", Level.ERROR, Place("PID", 1, 3), 101, "A $ and a * and a ? here.")
    (answer,) = acks(header, Ruling.REFUSE, odd)
    assert answer.startswith(b"MSH$*!?%$HUB$NAT$APP$LAB$20260306091502+0000$$ACK*R01*ACK$")
    message = read(answer)
    assert message.segments[1].field(2) == "C?T?1"
    assert message.text(errors(message)[0][7]) == odd.text


def test_french_separators_and_letters_come_back_as_they_were() -> None:
    msh = MSH.replace("^~", "^\u02dc").replace("LAB", "Labo Œ").replace("8859/15", "UNICODE UTF-8")
    header = read_header(msh.format("", "").encode())
    assert isinstance(header, Header)
    (answer,) = acks(header, Ruling.REFUSE, MISSING)
    message = read(answer)
    assert message.separators.repetition == "\u02dc" and message.header.field(6) == "Labo Œ"


def test_an_answer_depends_on_bytes_ruling_and_findings_only() -> None:
    assert acks(header_of()) == acks(header_of())
    own = [
        read(answer).header.field(10)
        for header in (header_of("AL", "AL"), header_of(msh=MSH.replace("C-1", "C-2")))
        for answer in acks(header)
    ]
    assert len(set(own)) == 3


def test_an_unusable_header_is_answered_with_defaults() -> None:
    found = read_header(b"\x16\x03\x01\x00")
    assert isinstance(found, HeaderError)
    (answer,) = acks(found.header, Ruling.REJECT, found.finding)
    message = read(answer)
    assert message.header.field(9) == "ACK" and message.header.field(12) == "2.5"
    assert message.segments[1].fields()[1:3] == ["AR", ""]
    assert errors(message)[0][3] == "200^Unsupported message type^HL70357"


@pytest.mark.parametrize("reason", ["garbage", "oversize", "empty", "cut"])
def test_framing_findings(reason: str) -> None:
    found = framing_finding(reason)
    assert found.code == f"frame_{reason}" and found.level is Level.ERROR
    assert found.text and found.hl7_code in {200, 207}


def test_ready_made_findings() -> None:
    assert unknown_sender().hl7_code == 200 and "will not help" in unknown_sender().text
    assert suspended_sender().hl7_code == 200 and suspended_sender().code == "suspended_sender"
    found = not_now("disk_low")
    assert (found.code, found.hl7_code, found.place) == ("disk_low", 207, NOWHERE)
    assert "may be sent again" in found.text and not_now("lock_timeout").code == "not_now"


def test_no_answer_holds_a_value_of_the_patient() -> None:
    canary = "CANARYNAME"
    pid = f"PID|1||{canary}^^^X&1.2.250.1.213.1.4.10&ISO^INS||{canary}^{canary}||{canary}|F"
    for rest in (f"OBR|1|||94500-6^X^LN|||{canary}\rOBX|1|NM|1^x||{canary}\r", "OBR|1\r", ""):
        for version in ("2.5.1", "2.3"):
            msh = MSH.format("AL", "AL").replace("2.5.1", version)
            raw = f"{msh}\r{pid}\r{rest}".encode()
            header = read_header(raw)
            assert isinstance(header, Header)
            judgement = judge(raw, header, LabProfile(), Realm.TEST)
            answers = acks(header, judgement.ruling, *judgement.findings)
            assert len(answers) == 2 and judgement.findings
            assert canary.encode() not in b"".join(answers)
