"""Real messages of others: each is accepted, acknowledged and mapped; none loses a segment."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ingest import er7, reading
from ingest.ack import build_acks
from ingest.header import Header, read_header
from ingest.judge import LabProfile, Ruling, judge
from ingest.mapping import map_message, map_raw
from schemas.decision import Realm
from schemas.report import MappedMessage

CORPUS = Path(__file__).parent / "corpus"
COUNTS = {
    "dex-covid-elr.hl7": 9,
    "reportstream-batch-pdi.hl7": 20,
    "reportstream-covid-19.hl7": 20,
    "simhospital-oru.hl7": 120,
}
AT = datetime(2026, 3, 6, 9, 0, tzinfo=UTC)


def messages_of(name: str) -> list[bytes]:
    """Cut a file of the corpus into its messages, without the envelopes of a batch."""
    parts = re.split(rb"(?<=[\r\n])(?=MSH\||BTS\||FTS\|)", (CORPUS / name).read_bytes())
    return [part for part in parts if part.startswith(b"MSH")]


def obx_lines(raw: bytes) -> int:
    return len(re.findall(rb"(?:^|[\r\n])OBX\|", raw))


def obr_lines(raw: bytes) -> int:
    return len(re.findall(rb"(?:^|[\r\n])OBR\|", raw))


ALL = [
    pytest.param(message, id=f"{name}-{number}")
    for name in COUNTS
    for number, message in enumerate(messages_of(name), 1)
]


@pytest.mark.parametrize("name", COUNTS)
def test_the_corpus_is_whole(name: str) -> None:
    assert len(messages_of(name)) == COUNTS[name]


@pytest.mark.parametrize("raw", ALL)
def test_every_message_is_accepted_and_mapped_whole(raw: bytes) -> None:
    header = read_header(raw)
    assert isinstance(header, Header)
    judgement = judge(raw, header, LabProfile(), Realm.TEST)
    assert judgement.ruling is Ruling.ACCEPT and judgement.unmappable is None
    mapped = judgement.mapped
    assert isinstance(mapped, MappedMessage)
    assert mapped.control_id == header.control_id
    assert mapped.sending_facility == header.registry_id
    assert len(mapped.reports) == obr_lines(raw)
    assert sum(len(report.observations) for report in mapped.reports) == obx_lines(raw)
    assert mapped == map_raw(raw)
    lines = [line for line in re.split(rb"[\r\n]+", raw) if line.strip()]
    assert len(er7.read(raw).segments) == len(lines)


@pytest.mark.parametrize("raw", ALL)
def test_what_was_read_before_changes_nothing(raw: bytes) -> None:
    warm = map_message(er7.read(raw))
    reading._catalogue.cache_clear()
    assert map_message(er7.read(raw)) == warm


@pytest.mark.parametrize("raw", ALL)
def test_every_message_has_an_answer_that_can_be_read(raw: bytes) -> None:
    header = read_header(raw)
    assert isinstance(header, Header)
    judgement = judge(raw, header, LabProfile(), Realm.TEST)
    (answer, *_) = build_acks(
        header, judgement.ruling, judgement.findings, at=AT, wants_no_answer=False
    )
    read = er7.read(answer)
    msa = read.first("MSA")
    assert msa is not None and msa.field(1) in {"AA", "CA"}
    assert read.text(msa.field(2)) == header.control_id
    assert answer.endswith(b"\r") and b"\n" not in answer
