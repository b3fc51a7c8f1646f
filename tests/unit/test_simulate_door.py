"""What simulated laboratories send is answered and read as the truth says, in every dialect."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice

import pytest

from ingest.er7 import read
from ingest.header import Header, read_header
from ingest.judge import LabProfile, Ruling, judge
from ops.simulate.broken import Breakage, Oddity
from ops.simulate.simulation import Habits, Simulation
from ops.simulate.truth import SimulatedMessage
from ops.simulate.vendors import DIALECTS, Structure
from schemas.decision import Realm
from schemas.report import LabReport

START = datetime(2026, 3, 6, 8, tzinfo=UTC)
ANSWERS = {Ruling.ACCEPT: "AA", Ruling.REFUSE: "AE", Ruling.REJECT: "AR"}


@pytest.fixture(scope="module")
def simulation() -> Simulation:
    return Simulation(
        seed=5, labs=len(DIALECTS), start_at=START, persons=2_000, habits=Habits(broken=0.05)
    )


@pytest.fixture(scope="module")
def sent(simulation: Simulation) -> list[SimulatedMessage]:
    return list(islice(simulation.messages(), 4_000))


def reports(raw: bytes) -> tuple[str, tuple[LabReport, ...]]:
    header = read_header(raw)
    if not isinstance(header, Header):
        return "AR", ()
    judgement = judge(raw, header, LabProfile(), Realm.TEST)
    assert judgement.unmappable is None
    return ANSWERS[judgement.ruling], judgement.mapped.reports if judgement.mapped else ()


def test_every_message_is_answered_and_read_as_the_truth_says(
    simulation: Simulation, sent: list[SimulatedMessage]
) -> None:
    accepted, broken = set(), set()
    for message in sent:
        dialect = simulation.laboratories[message.lab_index].dialect
        answer, found = reports(message.raw)
        assert answer == message.expected, (dialect.name, message.kind)
        if answer != "AA":
            broken.add(message.kind)
            continue
        accepted.add(dialect.name)
        assert len(found) == len(message.reports)
        for report, true in zip(found, message.reports, strict=True):
            assert report.filler_order_number == true.order
            assert report.code.code == true.code
            if true.status == "X":
                assert report.status.is_retraction
            else:
                assert report.status == true.status
            is_document = dialect.structure is Structure.MDM_T02
            assert (report.specimen is None) is is_document
            assert report.performer is not None
            assert report.performer.identifier == simulation.laboratories[message.lab_index].finess
    assert accepted == {dialect.name for dialect in DIALECTS}
    assert broken == {f"broken:{way.value}" for way in Breakage}


def test_what_is_wrong_is_told_by_the_code_that_the_truth_names(
    simulation: Simulation, sent: list[SimulatedMessage]
) -> None:
    habits = Habits(broken=0.0, odd=0.3)
    other = Simulation(seed=6, labs=len(DIALECTS), start_at=START, persons=2_000, habits=habits)
    odd = [one for one in islice(other.messages(), 1_500) if one.kind.startswith("odd:")]
    assert {one.reason for one in odd} == {way.value for way in Oddity}
    for message in [*sent, *odd]:
        header = read_header(message.raw)
        if not isinstance(header, Header):
            assert header.finding.code == message.reason
            continue
        judgement = judge(message.raw, header, LabProfile(), Realm.TEST)
        assert ANSWERS[judgement.ruling] == message.expected
        codes = [finding.code for finding in judgement.findings]
        if message.expected == "AA":
            assert not message.reason or message.reason in codes, (message.kind, codes)
        else:
            assert codes[0] == message.reason


def test_what_is_sent_is_written_again_with_the_same_bytes(sent: list[SimulatedMessage]) -> None:
    for message in sent:
        if message.expected == "AA":
            assert read(message.raw).encode() == message.raw


def test_the_dialects_of_the_door_are_all_there() -> None:
    assert {dialect.structure for dialect in DIALECTS} == set(Structure)
    assert {"2.3", "2.3.1", "2.4", "2.5", "2.5.1", "2.6", "2.7"} == {d.version for d in DIALECTS}
    assert {d.codec for d in DIALECTS} == {"utf-8", "iso8859-15", "iso8859-1", "cp1252"}
    assert {d.segment_end for d in DIALECTS} == {"\r", "\n", "\r\n"}
    assert any("\u02dc" in d.separators for d in DIALECTS)
    assert any(len(d.separators) == 6 for d in DIALECTS)
    assert any(d.byte_order_mark for d in DIALECTS)
