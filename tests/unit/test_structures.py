"""Every kind of message that is taken: its reports, its specimens, its document."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import pytest

from ingest.ack import build_acks
from ingest.er7 import read
from ingest.header import Header, read_header
from ingest.judge import Judgement, LabProfile, Ruling, judge
from ingest.mapping import map_message, map_raw
from ingest.structures import STRUCTURES
from routing.fhir_values import attachment_of
from schemas.decision import Realm
from schemas.envelope import AcceptedMessage
from schemas.finding import Finding
from schemas.place import Place
from schemas.report import Document, MappedMessage, ResultStatus

AT = datetime(2026, 3, 6, 9, 0, tzinfo=UTC)
PID = "PID|1||P1^^^LABX^PI||PAT-TROIS^DOMINIQUE^^^^^L||19790328|F"
CDA = base64.b64encode(b"<ClinicalDocument>invented</ClinicalDocument>").decode()
TXA = "TXA|1|CR|TX|20260306090000||20260306100000|||||DOC-PARENT|DOC-1^LABX||PL-1|FI-1||LA||AV"


def message(kind: str, *segments: str, version: str = "2.5.1") -> bytes:
    msh = f"MSH|^~\\&|SGL|990010001|HUB|HUB|20260306101502+0100||{kind}|C1|T|{version}"
    return "\r".join((msh, *segments)).encode() + b"\r"


def ruled(raw: bytes) -> Judgement:
    header = read_header(raw)
    assert isinstance(header, Header)
    return judge(raw, header, LabProfile(), Realm.TEST)


def mapped(raw: bytes) -> MappedMessage:
    judgement = ruled(raw)
    assert judgement.ruling is Ruling.ACCEPT and judgement.mapped is not None, judgement.findings
    assert judgement.mapped == map_raw(raw)
    return judgement.mapped


def obr(number: int, code: str = "94500-6") -> str:
    return f"OBR|1|ORD-{number}|LAB-{number}|{code}^x^LN" + "|" * 21 + "F"


def obx(value: str) -> str:
    return f"OBX|1|ST|1^x^LN||{value}||||||F"


# ---------------------------------------------------------------------- OUL^R22


def test_specimen_by_specimen() -> None:
    found = mapped(
        message(
            "OUL^R22^OUL_R22",
            PID,
            "SPM|1|^S1||258500001^Ecouvillon^SCT",
            obx("hemolysed"),
            "SAC|||TUBE-1",
            obr(1),
            "ORC|NW|ORD-1|FILLER-1",
            "NTE|1||about the first",
            obx("a"),
            obr(2),
            obx("b"),
            "SPM|2|||119297000^Sang^SCT",
            "SAC|||TUBE-2",
            obr(3),
            "ORC|RO|ORD-3|FILLER-3",
            obx("c"),
        )
    )
    reports = found.reports
    assert [r.specimen and r.specimen.identifier for r in reports] == ["S1", "S1", "TUBE-2"]
    assert [r.filler_order_number for r in reports] == ["FILLER-1", "LAB-2", "FILLER-3"]
    assert [r.order_control for r in reports] == ["NW", "", "RO"]
    assert [[o.value for o in r.observations] for r in reports] == [
        ["hemolysed", "a"],
        ["b"],
        ["c"],
    ]
    assert reports[0].notes == ("about the first",)


def test_orders_before_their_obr_among_specimens() -> None:
    segments = ("SPM|1|^S1", "ORC|NW||F1", obr(1), obx("a"), "ORC|RO||F2", obr(2), obx("b"))
    reports = mapped(message("OUL^R22", PID, *segments)).reports
    assert [r.filler_order_number for r in reports] == ["F1", "F2"]
    assert [r.specimen and r.specimen.identifier for r in reports] == ["S1", "S1"]


def test_what_was_observed_of_a_specimen_without_an_order_is_a_finding() -> None:
    raw = message("OUL^R22", PID, "SPM|1|^S1", obr(1), obx("a"), "SPM|2|^S2", obx("stray"))
    codes = {finding.code for finding in map_message(read(raw))[1]}
    assert "observation_outside_group" in codes


# ---------------------------------------------------------------------- ORU^R30 and versions


@pytest.mark.parametrize("kind", ["ORU^R30", "ORU^R30^ORU_R30"])
def test_a_device_beside_the_patient(kind: str) -> None:
    (report,) = mapped(message(kind, PID, "ORC|NW", obr(1), obx("a"))).reports
    assert (report.order_control, report.filler_order_number) == ("NW", "LAB-1")


@pytest.mark.parametrize("version", ["2.3", "2.3.1", "2.4", "2.5", "2.5.1", "2.6", "2.7", "2.7.1"])
@pytest.mark.parametrize("kind", ["^".join(pair) for pair in STRUCTURES])
def test_every_kind_in_every_version(kind: str, version: str) -> None:
    segments = ("EVN||2026", PID, "SPM|1|^S1", obr(1), TXA, obx("a"))
    found = mapped(message(kind, *segments, version=version))
    assert len(found.reports) == 1 and found.reports[0].observations[0].value == "a"


# ---------------------------------------------------------------------- statuses


@pytest.mark.parametrize(
    ("letter", "status"),
    [*zip("OISRPFCXN", "OISRPFCXN", strict=True), ("A", "A"), ("M", "C"), ("Y", "N"), ("Z", "N")],
)
def test_every_status_of_an_order(letter: str, status: str) -> None:
    (report,) = mapped(message("ORU^R01", PID, obr(1).removesuffix("F") + letter, obx("a"))).reports
    assert report.status == status


@pytest.mark.parametrize(
    ("letter", "status"),
    [
        *zip("CDFINOPRUWX", "CDFINOPRUWX", strict=True),
        *(("S", "A"), ("A", "C"), ("B", "C"), ("V", "F")),
    ],
)
def test_every_status_of_an_observation(letter: str, status: str) -> None:
    raw = message("ORU^R01", PID, obr(1), obx("a").removesuffix("F") + letter)
    judgement = ruled(raw)
    assert judgement.mapped is not None
    assert "observation_status_missing" not in {found.code for found in judgement.findings}
    assert judgement.mapped.reports[0].observations[0].status == status


# ---------------------------------------------------------------------- MDM^T02


def document(*segments: str, obx_5: str = f"^TEXT^XML^Base64^{CDA}", status: str = "F") -> bytes:
    held = f"OBX|1|ED|11502-2^CR d'examens biologiques^LN||{obx_5}||||||{status}"
    return message("MDM^T02^MDM_T02", "EVN||20260306", PID, "PV1|1|N", *segments, held)


def test_a_document_is_one_report() -> None:
    meta = "OBX|2|CE|MASQUE_PS^Masqué aux PS^MetaDMPMSS||N^^expandedYes-NoIndicator||||||F"
    raw = document(TXA) + (meta + "\rPRT|1|UC||SB^Sender^participation\r").encode()
    found = mapped(raw)
    (report,) = found.reports
    assert report.code.code == "11502-2" and report.status is ResultStatus.FINAL
    assert (report.placer_order_number, report.filler_order_number) == ("PL-1", "FI-1")
    assert report.collected_at == "2026-03-06T09:00:00+01:00"
    assert report.reported_at == "2026-03-06T10:00:00+01:00"
    held, masked = report.observations
    assert held.value_type == "ED" and held.value == "" and held.document is not None
    assert (held.document.type, held.document.subtype) == ("TEXT", "XML")
    assert (held.document.encoding, held.document.size_characters) == ("Base64", len(CDA))
    assert (masked.code.system, masked.coded and masked.coded.code) == ("MetaDMPMSS", "N")
    message_read = read(raw)
    assert message_read.counts["PRT"] == 1 and message_read.encode() == raw


def test_another_document_under_the_same_number_is_another_content() -> None:
    other = base64.b64encode(b"<ClinicalDocument>corrected</ClinicalDocument>").decode()
    digests, bodies = set(), set()
    for content in (CDA, other, CDA):
        (report,) = mapped(document(TXA, obx_5=f"^TEXT^XML^Base64^{content}")).reports
        held = report.observations[0].document
        assert held is not None
        digests.add(held.digest)
        bodies.add(str(attachment_of(report.observations[0].code, held)))
    # Else the dossier would never hear of a corrected document.
    assert len(digests) == 2 and len(bodies) == 2


@pytest.mark.parametrize(
    ("txa", "obx_status", "expected"),
    [
        (TXA, "F", "F"),
        (TXA, "C", "C"),
        (TXA, "D", "D"),
        (TXA, "", "F"),
        (TXA.replace("|LA|", "|DO|"), "", "P"),
        (TXA.replace("|LA|", "|DI|"), "", "I"),
        (TXA.replace("|AV", "|CA"), "F", "D"),
        ("TXA|1|CR", "", "F"),
    ],
)
def test_the_status_of_a_document(txa: str, obx_status: str, expected: str) -> None:
    (report,) = mapped(document(txa, status=obx_status)).reports
    assert report.status == expected


def test_a_document_with_its_order() -> None:
    orc = "ORC|NW|ORD-9|LAB-9|||||||||10000023084^A^B^^^^^^^^^^RPPS"
    (report,) = mapped(document(orc, obr(1), "NTE|1||of the order", TXA)).reports
    assert (report.order_control, report.filler_order_number) == ("NW", "LAB-9")
    assert report.prescriber is not None and report.prescriber.identifier_type == "RPPS"
    assert report.notes == ("of the order",) and report.code.code == "11502-2"


def test_a_document_without_a_txa_is_kept() -> None:
    (report,) = mapped(document()).reports
    assert report.code.code == "11502-2" and report.order_number == ""


@pytest.mark.parametrize(
    ("segments", "code", "place"),
    [
        ((PID, TXA), "obx_missing", Place("OBX", 1)),
        ((TXA, obx("a")), "pid_missing", Place("PID", 1)),
        ((PID, PID.replace("P1", "P2"), TXA, obx("a")), "several_patients", Place("PID", 2)),
        ((PID, "TXA|1", "OBX|1|ED|||^TEXT^XML^Base64^QUJD"), "service_code_missing", None),
    ],
)
def test_what_is_no_document(segments: tuple[str, ...], code: str, place: Place | None) -> None:
    found = map_raw(message("MDM^T02", *segments))
    assert isinstance(found, Finding) and found.code == code
    assert found.place == (place or Place("TXA", 1, 2))


def test_what_has_no_document_is_refused_at_the_door() -> None:
    judgement = ruled(message("MDM^T02", PID, TXA))
    assert judgement.ruling is Ruling.REFUSE and judgement.findings[0].code == "obx_missing"


def test_a_pointer_is_named() -> None:
    raw = message("ORU^R01", PID, obr(1), "OBX|1|RP|1^x^LN||http&&&&y^APP^Image^JPEG||||||F")
    (observation,) = mapped(raw).reports[0].observations
    held = observation.document
    assert held is not None and (held.type, held.subtype, held.encoding) == ("Image", "JPEG", "")


def test_payloads_of_before_are_still_read() -> None:
    found = mapped(document(TXA))
    held = AcceptedMessage(
        raw=b"", control_id="C", mapping_version=2, profile_version=1, answer="AA", mapped=found
    )
    assert AcceptedMessage.from_bytes(held.to_bytes()) == held
    assert isinstance(found.reports[0].observations[0].document, Document)


# ---------------------------------------------------------------------- ACK


@pytest.mark.parametrize("kind", ["ACK", "ACK^R01^ACK"])
def test_an_acknowledgement_is_read_and_never_answered(kind: str) -> None:
    raw = message(kind, "MSA|AA|X1")
    judgement = ruled(raw)
    assert judgement.ruling is Ruling.REJECT
    assert judgement.findings[0].code == "ack_not_awaited"
    header = read_header(raw)
    assert isinstance(header, Header)
    answers = build_acks(header, judgement.ruling, judgement.findings, at=AT, wants_no_answer=False)
    assert answers == ()


@pytest.mark.parametrize(
    ("accept_ack", "codes"), [("AL", ["CR"]), ("ER", ["CR"]), ("SU", []), ("NE", [])]
)
def test_an_acknowledgement_that_asks_for_it_has_one_commit(
    accept_ack: str, codes: list[str]
) -> None:
    raw = message("ACK^R01^ACK", "MSA|AA|X1").replace(b"|2.5.1", b"|2.5.1|||" + accept_ack.encode())
    header, judgement = read_header(raw), ruled(raw)
    assert isinstance(header, Header)
    answers = build_acks(header, judgement.ruling, judgement.findings, at=AT, wants_no_answer=False)
    msas = [read(answer).first("MSA") for answer in answers]
    assert [msa.field(1) for msa in msas if msa is not None] == codes
    for answer in answers:
        # The commit asks for nothing: whoever gets it has no reason to answer.
        assert read(answer).header.field(15) == "" and read(answer).header.field(16) == ""


# ---------------------------------------------------------------------- injection


@pytest.mark.parametrize("where", ["C1", "SGL", "990010001", "|HUB|", "|T|"])
def test_framing_bytes_in_the_header_never_reach_an_answer(where: str) -> None:
    text = message("ORU^R01", PID, obr(1), obx("a")).decode()
    spoiled = where[:-1] + "\x0b\x1c" + where[-1] if where.startswith("|") else where + "\x0b\x1c"
    raw = text.replace(where, spoiled, 1).encode()
    header = read_header(raw)
    shown = header if isinstance(header, Header) else header.header
    for ruling in Ruling:
        for answer in build_acks(shown, ruling, (), at=AT, wants_no_answer=False):
            assert b"\x0b" not in answer and b"\x1c" not in answer
