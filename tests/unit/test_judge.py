"""The door's rulings: what is accepted, refused, rejected; and what is told of it."""

from __future__ import annotations

from typing import NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.codes import CodeTable
from ingest.header import Header, HeaderError, read_header
from ingest.judge import Judgement, LabProfile, Ruling, judge
from schemas.decision import Realm
from schemas.finding import Level
from schemas.place import Place

TEST_NIR = "1.2.250.1.213.1.4.10"
CANARY = "CANARYNAME"
MSH = (
    "MSH|^~\\&|SGL-LABX|300017985|HUB|NATIONAL|20260306101502+0100||ORU^R01^ORU_R01|C-1|P|2.5.1||||"
    "|FRA|UNICODE UTF-8"
)
PID = (
    f"PID|1||P1^^^LABX^PI~279035121518989^^^X&{TEST_NIR}&ISO^INS||{CANARY}^ANNE^ANNE^^^^L||19790328"
    "|F|||^^^^^^BDL^^63220" + "|" * 21 + "VALI"
)
OBR = "OBR|1|ORD-1|LAB-1|94500-6^ARN^LN|||20260306||||||||||||||||||F"
OBX = "OBX|1|NM|94745-7^Ct^LN||24.6||||||F"


def message(*segments: str, msh: str = MSH) -> bytes:
    return "\r".join((msh, *segments)).encode() + b"\r"


def ruled(raw: bytes, realm: Realm = Realm.TEST) -> Judgement:
    header = read_header(raw)
    assert isinstance(header, Header), header
    return judge(raw, header, LabProfile(), realm)


def refused(raw: bytes, realm: Realm = Realm.TEST) -> tuple[Ruling, str, int, str]:
    judgement = ruled(raw, realm)
    (finding,) = judgement.findings
    assert finding.level is Level.ERROR and "again will not help" in finding.text
    assert judgement.mapped is None and judgement.unmappable is None
    return judgement.ruling, finding.code, finding.hl7_code, str(finding.place)


def unusable(raw: bytes) -> HeaderError:
    found = read_header(raw)
    assert isinstance(found, HeaderError)
    assert found.finding.level is Level.ERROR and 200 <= found.finding.hl7_code <= 203
    return found


# ---------------------------------------------------------------------- the header


def test_a_header() -> None:
    header = read_header(message(PID, OBR, OBX))
    assert isinstance(header, Header)
    assert (header.separators, header.charset_name) == (b"|^~\\&", b"UNICODE UTF-8")
    assert (header.control_id, header.control_id_raw) == ("C-1", b"C-1")
    assert (header.message_type, header.trigger) == ("ORU", "R01")
    assert (header.version, header.processing_id) == ("2.5.1", "P")
    assert (header.sending_application, header.sending_facility) == (b"SGL-LABX", b"300017985")
    assert (header.receiving_application, header.receiving_facility) == (b"HUB", b"NATIONAL")
    assert (header.accept_ack, header.application_ack) == ("", "")
    assert header.registry_id == "300017985"


def test_a_header_alone_or_cut_off_is_read() -> None:
    whole = message(PID, OBR, OBX)
    for at in range(MSH.index("P|2.5.1"), len(whole)):
        header = read_header(whole[:at])
        assert isinstance(header, Header) and header.control_id == "C-1"


@pytest.mark.parametrize(
    ("application", "facility", "registry_id"),
    [
        ("A", "labo^1.2.3^ISO", "LABO^1.2.3"),
        ("A", "  labo   x ^", "LABO X"),
        ("a^b", "", "A^B"),
        ("a", '""', "A"),
        ("a", r"R\T\D", "R&D"),
        ("a", "Éloïse", "ÉLOÏSE"),
    ],
)
def test_registry_ids(application: str, facility: str, registry_id: str) -> None:
    msh = MSH.replace("|SGL-LABX|300017985|", f"|{application}|{facility}|")
    header = read_header(message(msh=msh))
    assert isinstance(header, Header) and header.registry_id == registry_id


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"", "not_hl7"),
        (b"\x00\x01garbage", "not_hl7"),
        (b"FHS|^~\\&|A\r", "not_hl7"),
        (b"MSH", "bad_separators"),
        (b"MSHAAAA", "bad_separators"),
        (MSH.encode("utf-16"), "utf16"),
        (message(msh=MSH.replace("|SGL-LABX|300017985|", "|||")), "sender_missing"),
        (message(msh=MSH.replace("|300017985|", f"|{'é' * 101}|")), "sender_too_long"),
        (message(msh=MSH.replace("|300017985|", "|A\x07B|")), "sender_unreadable"),
        (message(msh=MSH.replace("|300017985|", "|A\x00B|")), "nul_bytes"),
        (message(msh=MSH.replace("C-1", "9" * 201)), "control_id_too_long"),
        (MSH.replace("300017985", "É").encode("iso8859-1"), "sender_unreadable"),
    ],
)
def test_unusable_headers(raw: bytes, code: str) -> None:
    assert unusable(raw).finding.code == code


def test_an_unusable_header_has_defaults_to_answer_with() -> None:
    header = unusable(b"\x16\x03\x01").header
    assert (header.separators, header.version, header.control_id) == (b"|^~\\&", "2.5", "")


def test_echoed_fields_are_bounded() -> None:
    header = read_header(message(msh=MSH.replace("|HUB|", f"|{'H' * 2_000}|")))
    assert isinstance(header, Header) and header.receiving_application == b""


@given(st.binary(max_size=200), st.booleans())
def test_reading_and_judging_never_raise(tail: bytes, whole: bool) -> None:
    raw = (message(PID, OBR) if whole else b"MSH|^~\\&|") + tail
    header = read_header(raw)
    if isinstance(header, Header):
        judge(raw, header, LabProfile(), Realm.TEST)


# ---------------------------------------------------------------------- rulings


def test_a_good_message_is_accepted_without_a_finding() -> None:
    judgement = ruled(message(PID, OBR, OBX))
    assert judgement.ruling is Ruling.ACCEPT and judgement.findings == ()
    assert judgement.mapped is not None and judgement.unmappable is None


def test_missing_segments_and_fields_are_refused() -> None:
    assert refused(message(OBR, OBX)) == (Ruling.REFUSE, "pid_missing", 100, "PID[1]")
    assert refused(message(PID, OBX)) == (Ruling.REFUSE, "obr_missing", 100, "OBR[1]")
    assert refused(message(PID, OBR, OBX, msh=MSH.replace("C-1", ""))) == (
        Ruling.REFUSE,
        "control_id_missing",
        101,
        "MSH[1]-10",
    )


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (message() + "PID|1||||É\r".encode("iso8859-1"), "undecodable_charset"),
        (message() + b"PID|1||||A\x00B\r", "nul_bytes"),
    ],
)
def test_what_cannot_be_decoded_is_refused(raw: bytes, code: str) -> None:
    assert refused(raw)[:3] == (Ruling.REFUSE, code, 102)


@pytest.mark.parametrize(
    ("kind", "code", "hl7_code"),
    [
        ("ADT^A01", "message_type_unsupported", 200),
        ("", "message_type_unsupported", 200),
        ("ORU^R32", "event_unsupported", 201),
        ("OUL^R21", "event_unsupported", 201),
        ("OUL", "event_unsupported", 201),
        ("MDM^T01", "event_unsupported", 201),
    ],
)
def test_types_and_events(kind: str, code: str, hl7_code: int) -> None:
    raw = message(PID, OBR, msh=MSH.replace("ORU^R01^ORU_R01", kind))
    assert refused(raw) == (Ruling.REJECT, code, hl7_code, "MSH[1]-9")
    assert "ORU^R01" in ruled(raw).findings[0].text


@pytest.mark.parametrize("version", ["", "2", "2.9", "3.0", "x"])
def test_unknown_versions_are_rejected(version: str) -> None:
    raw = message(PID, OBR, msh=MSH.replace("|2.5.1|", f"|{version}|"))
    assert refused(raw) == (Ruling.REJECT, "version_unsupported", 203, "MSH[1]-12")


_TOLD_OF_2_3 = {
    "hl7_part_unknown": "MSH[1]-9.3",
    "hl7_field_unknown": "PID[1]-32",
}


@pytest.mark.parametrize("version", ["2.1", "2.3", "2.5^FRA^2.11", "2.6", "2.8.2"])
def test_known_versions_are_accepted(version: str) -> None:
    judgement = ruled(message(PID, OBR, msh=MSH.replace("|2.5.1|", f"|{version}|")))
    assert judgement.ruling is Ruling.ACCEPT
    # What an old version has not yet, or requires, is told and refuses nothing.
    told = {finding.code: str(finding.place) for finding in judgement.findings}
    assert told == (_TOLD_OF_2_3 if version == "2.3" else {})


def test_odd_envelopes_are_findings_only() -> None:
    msh = MSH.replace("|2.5.1|", "|2.3.z|").replace("|P|", "||").replace("ORU^R01^ORU_R01", "ORU")
    judgement = ruled(message(PID, OBR, msh=msh))
    assert judgement.ruling is Ruling.ACCEPT
    assert [finding.code for finding in judgement.findings] == [
        "trigger_missing",
        "version_not_listed",
        "processing_id_missing",
    ]


@pytest.mark.parametrize(
    ("processing_id", "realm", "ruling"),
    [
        ("P", Realm.PRODUCTION, Ruling.ACCEPT),
        ("P^T", Realm.PRODUCTION, Ruling.ACCEPT),
        ("", Realm.PRODUCTION, Ruling.ACCEPT),
        ("T", Realm.PRODUCTION, Ruling.REJECT),
        ("D", Realm.PRODUCTION, Ruling.REJECT),
        ("X", Realm.PRODUCTION, Ruling.REJECT),
        ("P", Realm.TEST, Ruling.ACCEPT),
        ("T", Realm.TEST, Ruling.ACCEPT),
        ("D", Realm.TEST, Ruling.ACCEPT),
        ("", Realm.TEST, Ruling.ACCEPT),
        ("X", Realm.TEST, Ruling.REJECT),
    ],
)
def test_processing_ids(processing_id: str, realm: Realm, ruling: Ruling) -> None:
    raw = message(PID, OBR, msh=MSH.replace("|P|", f"|{processing_id}|"))
    assert ruled(raw, realm).ruling is ruling
    if ruling is Ruling.REJECT:
        assert refused(raw, realm)[1:3] == ("processing_id_unsupported", 202)


def test_an_ins_of_the_other_realm_is_a_finding() -> None:
    judgement = ruled(message(PID, OBR, OBX), Realm.PRODUCTION)
    assert judgement.ruling is Ruling.ACCEPT
    (finding,) = judgement.findings
    assert finding.code == "ins_of_other_realm" and finding.place == Place("PID", 1, 3, 2, 4, 2)


def test_what_cannot_be_mapped_is_accepted_and_told() -> None:
    judgement = ruled(message(PID, "OBR|1"))
    assert judgement.ruling is Ruling.ACCEPT and judgement.mapped is None
    assert judgement.unmappable is not None
    assert judgement.unmappable.code == "service_code_missing"
    assert judgement.findings[0].code == "service_code_missing"
    assert judgement.findings[0].level is Level.WARNING


class Broken(CodeTable):
    """A table that fails: an error of ours, wherever it comes from."""

    def __bool__(self) -> NoReturn:
        raise RuntimeError(CANARY)


def test_an_unexpected_failure_is_accepted_as_unmappable() -> None:
    header = read_header(message(PID, OBR))
    assert isinstance(header, Header)
    judgement = judge(message(PID, OBR), header, LabProfile(codes=Broken()), Realm.TEST)
    assert judgement.ruling is Ruling.ACCEPT
    assert judgement.unmappable is not None and judgement.unmappable.code == "unexpected"
    assert CANARY not in repr(judgement.unmappable)


def test_no_finding_holds_a_value() -> None:
    raws = [
        message(PID.replace("19790328", CANARY), OBR.replace("20260306", CANARY), OBX),
        message(PID.replace("279035121518989", CANARY), OBR, OBX.replace("24.6", CANARY)),
        message(PID, "OBR|1", CANARY),
        message(PID, OBR, PID.replace("P1", CANARY), OBR),
        message(PID, OBR.replace("LAB-1", CANARY * 30)),
        message(OBR),
        message(PID) + b"OBR|\xff",
        message(PID, OBR, msh=MSH.replace("R01", CANARY)),
        message(PID, OBR, msh=MSH.replace("2.5.1", CANARY)),
    ]
    for raw in raws:
        judgement = ruled(raw)
        assert judgement.findings
        assert CANARY not in repr(judgement.findings) + repr(judgement.unmappable)
        assert CANARY not in repr(judgement) + repr(read_header(raw))


def test_judging_is_pure() -> None:
    raw = message(PID, OBR, OBX)
    assert ruled(raw) == ruled(raw)


def test_a_level_and_its_text_are_one_key() -> None:
    # Equal ones must hash alike: a figure is looked up by either.
    assert {Level.ERROR: 1, Level.WARNING: 2, Level.INFO: 3}["warning"] == 2  # type: ignore[index]
    assert {level: level for level in Level} == {level.value: level for level in Level}
