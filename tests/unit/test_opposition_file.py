"""A file of oppositions: what a line asks, and that a fault never repeats what stands in it."""

from __future__ import annotations

import pytest

from ops.stewards.opposition_file import DONE, RESULTS, Said, read_lines
from schemas.decision import Realm
from schemas.errors import PermanentError
from tests.support.people import DEMO_OID, DOMINIQUE_INS, PRODUCTION_OID, TEST_OID

INS = DOMINIQUE_INS.matricule


def read(text: str, realm: Realm = Realm.TEST) -> list[Said]:
    return list(read_lines(text.splitlines(keepends=True), realm))


def test_lines_ask_by_ins_or_by_a_laboratorys_own_number() -> None:
    said = read(
        "act,ins,oid,laboratory,patient_number\n"
        f"oppose,{INS},,,\n"
        f" ALLOW , 2 79 03 51 215 189 89 ,{TEST_OID},,\n"
        "\n"
        "oppose,,,LAB1,P-12\n"
    )
    assert [each.line for each in said] == [2, 3, 5]
    assert [each.fault for each in said] == ["", "", ""]
    assert [each.opposes for each in said] == [True, False, True]
    assert {ins.oid for ins in said[0].ins} == {TEST_OID, DEMO_OID}
    assert [ins.oid for ins in said[1].ins] == [TEST_OID]
    assert {ins.matricule for each in said[:2] for ins in each.ins} == {INS}
    assert (said[2].laboratory, said[2].number) == ("LAB1", "P-12")


def test_a_spreadsheet_writes_semicolons_a_mark_and_other_orders() -> None:
    (said,) = read(f"\ufeffINS;Act\r\n{INS};oppose\r\n")
    assert (said.fault, said.ins[0].matricule) == ("", INS)


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        (f"perhaps,{INS},,,", "bad_act"),
        (",,,,", "bad_act"),
        ("oppose,,,,", "bad_line"),
        (f"oppose,{INS},,LAB1,P-12", "bad_line"),
        ("oppose,,,LAB1,", "bad_line"),
        ("oppose,,,,P-12", "bad_line"),
        (f"oppose,,{TEST_OID},LAB1,P-12", "bad_line"),
        (f"oppose,{INS},,,,more", "bad_line"),
        ("oppose,,,LAB1," + "9" * 300, "bad_line"),
        ("oppose,,,LAB1," + "9" * 2_000, "bad_line"),
        ("oppose,279035121518988,,,", "bad_ins"),
        ("oppose,12345,,,", "bad_ins"),
        (f"oppose,{INS},{PRODUCTION_OID},,", "bad_ins"),
        (f"oppose,{INS},1.2.3,,", "bad_ins"),
    ],
)
def test_a_line_that_cannot_be_read_has_a_fault_and_no_value(line: str, fault: str) -> None:
    (said,) = read(f"act,ins,oid,laboratory,patient_number\n{line}\n")
    assert said.fault == fault
    assert fault in RESULTS
    assert fault not in DONE
    assert INS not in repr(said)
    assert (said.ins, said.number) == ((), "")


@pytest.mark.parametrize(
    "head", ["", "ins,oid", "act,ins,name", "act,ins,ins", "oppose,279035121518989,,,"]
)
def test_another_head_is_refused_without_being_repeated(head: str) -> None:
    with pytest.raises(PermanentError) as caught:
        read(f"{head}\n")
    assert caught.value.reason == "bad_head"
    assert INS not in str(caught.value)


def test_an_ins_counts_in_its_own_realm() -> None:
    (said,) = read(f"act,ins\noppose,{INS}\n", Realm.PRODUCTION)
    assert PRODUCTION_OID in {ins.oid for ins in said.ins}
    assert TEST_OID not in {ins.oid for ins in said.ins}
