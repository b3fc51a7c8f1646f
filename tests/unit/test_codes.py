"""A laboratory's own codes: compared whole after folding, the standard code beside them."""

from __future__ import annotations

import pytest

from ingest.codes import NO_CODES, CodeKind, CodeTable, LocalCode, apply_codes, fold_local
from ingest.header import Header, read_header
from ingest.judge import LabProfile, judge, map_again
from ops.simulate.sample import sample_message
from schemas.codes import Result, result_of
from schemas.decision import Realm
from schemas.report import Coded, MappedMessage
from tests.support.people import message, observation, report

POSITIVE = {"code": "10828004", "system": "SCT", "text": "Positive"}


def row(local: str, local_system: str = "", **target: str) -> LocalCode:
    kind = CodeKind(target.pop("kind", "result"))
    return LocalCode(kind=kind, local=local, local_system=local_system, **{**POSITIVE, **target})


def seen(table: CodeTable, **changes: object) -> MappedMessage:
    return apply_codes(message(None, report(observations=(observation(**changes),))), table)


@pytest.mark.parametrize(
    ("one", "other"),
    [("Négatif", "NEGATIF"), ("  non \u00a0 détecté ", "NON DÉTECTÉ"), ("d’arn", "D'ARN")],
)
def test_case_accents_and_blanks_fold(one: str, other: str) -> None:
    assert fold_local(one) == fold_local(other)
    assert fold_local(fold_local(one)) == fold_local(one)


@pytest.mark.parametrize(("one", "other"), [("A", "A*"), ("+", "-"), ("+", "++"), ("P", "P.")])
def test_punctuation_is_part_of_a_code(one: str, other: str) -> None:
    assert fold_local(one) != fold_local(other)


def test_a_text_gets_the_standard_code_and_keeps_its_own() -> None:
    table = CodeTable([row("Présence avérée")])
    mapped = seen(table, value_type="ST", value="PRESENCE  AVEREE", coded=None)
    (told,) = mapped.reports[0].observations
    assert told.coded == Coded("10828004", "Positive", "SCT", "", "PRESENCE  AVEREE", "")
    assert told.value == "PRESENCE  AVEREE"
    assert result_of(told) is Result.POSITIVE


def test_nothing_is_searched_inside_a_text() -> None:
    table = CodeTable([row("avérée"), row("présence")])
    text = observation(value_type="ST", value="Présence non avérée", coded=None)
    before = message(None, report(observations=(text,)))
    assert apply_codes(before, table) is before


def test_a_number_is_never_a_local_code() -> None:
    table = CodeTable([row("1")])
    mapped = seen(table, value_type="NM", value="1", number="1", coded=None)
    assert mapped.reports[0].observations[0].coded is None


def test_a_row_with_a_coding_system_speaks_before_one_without() -> None:
    table = CodeTable([row("1", "L"), row("1", code="260385009", text="Negative")])
    of_system = seen(table, coded=Coded("1", "un", "L")).reports[0].observations[0]
    of_other = seen(table, coded=Coded("1", "un", "99X")).reports[0].observations[0]
    assert result_of(of_system) is Result.POSITIVE
    assert result_of(of_other) is Result.NEGATIVE
    assert of_system.coded is not None
    assert of_system.coded.alternate_code == "1"
    assert of_system.coded.alternate_system == "L"


def test_the_laboratorys_table_speaks_before_ours() -> None:
    table = CodeTable([row("Positif", code="82334004", text="Indeterminate")])
    told = seen(table, value_type="ST", value="Positif", coded=None).reports[0].observations[0]
    assert result_of(told) is Result.INDETERMINATE


def test_the_alternate_triple_is_looked_up_second() -> None:
    table = CodeTable([row("PX", "L")])
    told = seen(table, coded=Coded("zz", "?", "99Z", "PX", "pixel", "L")).reports[0].observations[0]
    assert told.coded == Coded("10828004", "Positive", "SCT", "PX", "pixel", "L")


def test_a_local_test_becomes_a_loinc_code_in_the_report_and_the_observation() -> None:
    table = CodeTable(
        [row("COV2", "L", kind="test", code="94500-6", system="LN", text="SARS-CoV-2 RNA")]
    )
    before = message(
        None,
        report(
            code=Coded("COV2", "covid", "L"),
            observations=(observation(code=Coded("cov2", "covid", "L")),),
        ),
    )
    told = apply_codes(before, table).reports[0]
    assert told.code == Coded("94500-6", "SARS-CoV-2 RNA", "LN", "COV2", "covid", "L")
    assert told.observations[0].code.code == "94500-6"
    assert told.observations[0].code.alternate_code == "cov2"


def test_without_a_table_the_message_is_the_same_object() -> None:
    before = message()
    assert apply_codes(before, NO_CODES) is before
    assert apply_codes(before, CodeTable([row("something else")])) is before


def local_sample() -> bytes:
    return sample_message().replace("|260373001^Détecté^SCT|||POS|".encode(), b"|ZP9^Vu^L||||")


def header_of(raw: bytes) -> Header:
    header = read_header(raw)
    assert isinstance(header, Header)
    return header


def test_the_verdict_is_a_function_of_bytes_and_profile_version() -> None:
    raw = local_sample()
    profile = LabProfile(version=2, codes=CodeTable([row("ZP9", "L")]))
    first = judge(raw, header_of(raw), profile, Realm.TEST)
    again = judge(raw, header_of(raw), LabProfile(version=2, codes=CodeTable([row("zp9", "l")])),
                  Realm.TEST)  # fmt: skip
    bare = judge(raw, header_of(raw), LabProfile(), Realm.TEST)
    assert first == again
    assert first.mapped is not None
    assert bare.mapped is not None
    assert result_of(first.mapped.reports[0].observations[0]) is Result.POSITIVE
    assert result_of(bare.mapped.reports[0].observations[0]) is None
    assert first.findings == bare.findings
    assert map_again(raw, profile) == first.mapped
