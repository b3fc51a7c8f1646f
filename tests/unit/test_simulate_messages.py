from __future__ import annotations

import re
from codecs import BOM_UTF8
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice

import msgspec
import pytest

from ops.simulate.broken import Breakage, spoiled
from ops.simulate.er7 import Pen
from ops.simulate.laboratories import Laboratory, laboratories
from ops.simulate.numbers import INS_TEST_OID, luhn_digit, nir_key
from ops.simulate.simulation import SimulatedMessage, Simulation, sample_message
from ops.simulate.vendors import DIALECTS, Dialect, Structure

START = datetime(2026, 3, 6, 8, tzinfo=UTC)
LABS = len(DIALECTS)


@pytest.fixture(scope="module")
def sent() -> list[tuple[Laboratory, SimulatedMessage]]:
    simulation = Simulation(seed=11, labs=LABS, start_at=START, persons=3_000)
    messages = islice(simulation.messages(), 3_500)
    return [(simulation.laboratories[message.lab_index], message) for message in messages]


def segments(message: SimulatedMessage, dialect: Dialect) -> list[list[str]]:
    assert message.raw.startswith(BOM_UTF8) is dialect.byte_order_mark
    text = message.raw.removeprefix(BOM_UTF8).decode(dialect.codec)
    assert text.endswith(dialect.segment_end)
    rows = text.removesuffix(dialect.segment_end).split(dialect.segment_end)
    return [row.split(dialect.separators[0]) for row in rows]


def good(
    sent: list[tuple[Laboratory, SimulatedMessage]],
) -> Iterator[tuple[Laboratory, SimulatedMessage, list[list[str]]]]:
    for lab, message in sent:
        if message.expected == "AA":
            yield lab, message, segments(message, lab.dialect)


def test_each_dialect_writes_what_it_says(sent: list[tuple[Laboratory, SimulatedMessage]]) -> None:
    seen = set()
    for lab, message, rows in good(sent):
        dialect, header = lab.dialect, rows[0]
        seen.add(dialect.name)
        assert header[1] == dialect.separators[1:]
        assert header[2] == dialect.name
        assert lab.finess in header[3]
        assert (header[4], header[5]) == ("HUB", "HUB")
        kind, event, _ = dialect.structure.parts
        assert header[8].startswith(f"{kind}{dialect.separators[1]}{event}")
        assert header[9] == message.control_id and len(message.control_id) <= 20
        assert (header[10], header[11]) == ("T", dialect.version)
        assert (header[14], header[15]) == (dialect.accept_ack, dialect.application_ack)
        assert (header[16], header[17]) == ("FRA", dialect.charset)
        names = [row[0] for row in rows if row[0] != "EVN"]
        assert names[1] == "PID"
        assert ("PV1" in names) is dialect.visit
        assert not dialect.z_segment or names[2] == dialect.z_segment
        is_document = dialect.structure is Structure.MDM_T02
        assert ("EVN" in [row[0] for row in rows]) is is_document
        held = names.count("TXA") if is_document else names.count("OBR")
        assert held == len(message.reports)
        assert names.count("ORC") == names.count("OBR")
        assert ("SPM" in names) is (dialect.specimens.value != "obr-15" and not is_document)
        assert ("SAC" in names) is (dialect.structure is Structure.OUL_R22)
        time = r"\d{14}[+-]\d{4}" if dialect.zone_in_times else r"\d{14}"
        assert re.fullmatch(time, header[6])
    assert seen == {dialect.name for dialect in DIALECTS}


def test_pid_holds_only_test_ins_and_reserved_phones(
    sent: list[tuple[Laboratory, SimulatedMessage]],
) -> None:
    qualified = phones = 0
    for lab, _, rows in good(sent):
        _, component, repetition, _, sub = list(lab.dialect.separators[:5])
        pid = next(row for row in rows if row[0] == "PID")
        for identifier in pid[3].split(repetition):
            parts = identifier.split(component)
            assert parts[4] in {"PI", "INS"}
            if parts[4] == "INS":
                qualified += pid[32] == "VALI"
                assert parts[3].split(sub) == ["ASIP-SANTE-INS-NIR", INS_TEST_OID, "ISO"]
                assert nir_key(parts[0][:13]) == parts[0][13:]
        kinds = [name.split(component)[6] for name in pid[5].split(repetition)]
        assert kinds in (["L"], ["L", "D"])
        for address in filter(None, pid[11].split(repetition)):
            place = address.split(component)
            assert place[6] in {"H", "BDL"} and re.fullmatch(r"\d[\dAB]\d{3}", place[8])
        for contact in filter(None, pid[13].split(repetition)):
            parts = contact.split(component)
            phones += bool(parts[0])
            assert parts[0].startswith(("063998", "019900")) or parts[1] == "NET"
        assert pid[31] == "N" and pid[32] in {"VALI", "PROV", ""}
    assert qualified > 500 and phones > 1_000


def test_order_control_agrees_with_the_status(
    sent: list[tuple[Laboratory, SimulatedMessage]],
) -> None:
    statuses = set()
    for lab, message, rows in good(sent):
        if lab.dialect.structure is Structure.MDM_T02:
            continue
        controls = [row[1] for row in rows if row[0] == "ORC"]
        orders = [row for row in rows if row[0] == "OBR"]
        results = [row for row in rows if row[0] == "OBX" and row[1] == "1"]
        for control, order, result, true in zip(
            controls, orders, results, message.reports, strict=True
        ):
            assert order[3].split(lab.dialect.separators[1])[0] == true.order
            assert order[4].startswith(true.code) and result[3].startswith(true.code)
            assert order[25] == true.status
            assert control == {"P": "NW", "F": "NW", "C": "RO", "X": "CA"}[true.status]
            assert result[11] == (lab.dialect.deleted_status if true.status == "X" else true.status)
            assert bool(result[5]) is bool(true.result)
            statuses.add(result[11])
    assert statuses == {"P", "F", "C", "X", "D"}


def test_the_performing_laboratory_is_named_by_its_finess(
    sent: list[tuple[Laboratory, SimulatedMessage]],
) -> None:
    for lab, _, rows in good(sent):
        result = next(row for row in rows if row[0] == "OBX")
        place = 23 if lab.dialect.names_performer else 15
        number = next(
            part
            for part in result[place].split(lab.dialect.separators[1])
            if part.startswith("199")
        )
        assert number[1:] == lab.finess and luhn_digit(number[1:-1]) == number[-1]


def test_separators_inside_texts_are_escaped(
    sent: list[tuple[Laboratory, SimulatedMessage]],
) -> None:
    escaped = 0
    for lab, _, rows in good(sent):
        for row in rows:
            if row[0] == "NTE":
                assert len(row) == 4
                assert not set(lab.dialect.separators[1:3]) & set(row[3])
                escaped += "\\" in row[3]
    assert escaped > 100


def test_a_pen_escapes_each_separator_once() -> None:
    pen = Pen(Dialect(name="X"))
    assert pen.text("a|b^c~d\\e&f") == r"a\F\b\S\c\R\d\E\e\T\f"
    assert pen.composed("a", "", "b^", "", "") == r"a^^b\S\ ".strip()
    assert pen.segment("ORC", {1: "NW", 3: "n"}) == "ORC|NW||n"
    assert pen.time(datetime(2026, 7, 1, 10, tzinfo=UTC).timestamp()) == "20260701120000+0200"
    bare = Pen(Dialect(name="X", zone_in_times=False))
    assert bare.time(START.timestamp()) == "20260306090000"


@pytest.mark.parametrize("breakage", Breakage)
def test_each_way_of_breaking_breaks_what_it_says(breakage: Breakage) -> None:
    for lab in laboratories(11, LABS):
        simulation = Simulation(seed=11, labs=LABS, start_at=START, persons=500)
        message = next(
            one
            for one in simulation.messages()
            if one.lab_index == lab.index and one.expected == "AA"
        )
        dialect = lab.dialect
        text = message.raw.removeprefix(BOM_UTF8).decode(dialect.codec)
        raw = spoiled(breakage, text, dialect, 0)
        header = raw.split(dialect.separators[0].encode())
        if breakage is Breakage.NOT_HL7:
            assert not raw.startswith(b"MSH")
            continue
        if breakage is Breakage.UTF_16:
            assert raw.decode("utf-16") == text
            continue
        assert raw.startswith(b"MSH")
        assert (b"\rPID" in raw or b"\nPID" in raw) is (breakage is not Breakage.NO_PID)
        truncated = {Breakage.TRUNCATED_IN_PID, Breakage.TRUNCATED_BEFORE_OBR}
        result = b"OBX" if dialect.structure is Structure.MDM_T02 else b"OBR"
        assert (result in raw) is (breakage not in truncated)
        assert (b"\x00" in raw) is (breakage is Breakage.NUL_BYTES)
        assert (b"Z99" in header[8]) is (
            breakage in {Breakage.UNKNOWN_EVENT, Breakage.UNKNOWN_TYPE}
        )
        assert (header[1] == dialect.separators[1].encode(dialect.codec) * 4) is (
            breakage is Breakage.BAD_SEPARATORS
        )
        assert header[8].startswith(b"ZZZ") is (breakage is Breakage.UNKNOWN_TYPE)
        assert (header[11] == b"9.9") is (breakage is Breakage.UNKNOWN_VERSION)
        assert (header[9] == b"") is (breakage is Breakage.NO_CONTROL_ID)
        if breakage is Breakage.WRONG_CHARSET:
            assert b"UNICODE UTF-8" in raw
            with pytest.raises(UnicodeDecodeError):
                raw.decode()
        else:
            raw.decode(dialect.codec)
        assert message.control_id.encode() in raw or not breakage.keeps_control_id


def test_the_sample_is_fixed_and_as_long_as_asked_for() -> None:
    sample = sample_message()
    assert abs(len(sample) - 1_500) <= 25
    assert sample == sample_message(1_500)
    assert abs(len(sample_message(4_000)) - 4_000) <= 25
    assert len(sample_message(0)) < 1_300
    rows = [row.split("|") for row in sample.decode().removesuffix("\r").split("\r")]
    assert [row[0] for row in rows] == ["MSH", "PID", "ORC", "OBR", "OBX", "OBX", "NTE", "SPM"]
    assert f"279035121518989^^^ASIP-SANTE-INS-NIR&{INS_TEST_OID}&ISO^INS" in rows[1][3]
    assert (rows[3][25], rows[4][11]) == ("F", "F")


def test_messages_and_truth_can_be_written_as_json(
    sent: list[tuple[Laboratory, SimulatedMessage]],
) -> None:
    assert msgspec.json.decode(msgspec.json.encode(sent[0][1]), type=SimulatedMessage) == sent[0][1]
