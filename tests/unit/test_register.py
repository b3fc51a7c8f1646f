"""The pure parts of the register: rows of a table, what may be shown, software, score and trend."""

from __future__ import annotations

from datetime import date

import pytest

from ingest.codes import CodeKind
from ingest.header import Header, read_header
from ingest.software import software_of
from ops.register.code_rows import (
    RESULT_WORDS,
    doubt_about,
    loinc_key_is_right,
    read_csv,
    row_of,
    write_csv,
)
from ops.register.conformance import Counted, score_of, trend_of
from ops.register.unmapped import LocalValue, code_may_be_shown, text_may_be_shown, unmapped_of
from schemas.codes import ANALYSES, result_of
from schemas.envelope import Software
from schemas.errors import PermanentError
from schemas.report import Coded, Practitioner
from tests.support.people import dominique, message, observation, report

# ---------------------------------------------------------------- rows


def test_a_result_word_stands_for_a_code_that_our_own_table_knows() -> None:
    for word in RESULT_WORDS:
        row = row_of("result", "X", "", word.value, "", "")
        assert row.system == "SCT"
        seen = observation(coded=Coded(row.code, row.text, row.system))
        assert result_of(seen) is word
        assert doubt_about(row) == ""


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (("result", "  ", "", "positive", "", ""), "local is empty"),
        (("result", "X", "", "", "", ""), "code is empty"),
        (("result", "X", "", "POSI", "", ""), "name the coding system"),
        (("value", "X", "", "positive", "", ""), "kind is"),
        (("test", "X", "", "94500-7", "", ""), "check digit"),
        (("test", "X" * 201, "", "94500-6", "", ""), "at most 200 bytes"),
        (("test", "X\x07Y", "", "94500-6", "", ""), "printable"),
    ],
)
def test_an_unusable_row_says_which_part(given: tuple[str, ...], says: str) -> None:
    with pytest.raises(PermanentError, match=says):
        row_of(*given)


@pytest.mark.parametrize(
    "given",
    [
        ("test", "CRIB484", "L", "CRIBLAGE-A", "99LABDISPATCH", ""),
        ("test", "HEMOC", "L", "600-7", "", ""),
        ("result", "MYCTUB", "L", "113861009", "SCT", ""),
    ],
)
def test_cultures_organisms_and_screening_are_known_targets(given: tuple[str, ...]) -> None:
    assert doubt_about(row_of(*given)) == ""


def test_every_loinc_code_of_ours_has_a_right_check_digit() -> None:
    assert all(loinc_key_is_right(code) for code, row in ANALYSES.items() if row.system == "LN")
    assert not loinc_key_is_right("94500-5")
    assert not loinc_key_is_right("COV2")


def test_a_csv_is_read_as_it_was_written() -> None:
    rows = (
        row_of("result", 'Présence, "vue"', "L", "positive", "", ""),
        row_of("test", "COV2", "", "94500-6", "", "PCR"),
    )
    found = read_csv(write_csv(rows).encode())
    assert found.rows == rows
    assert not found.errors
    assert not found.warnings


def test_every_wrong_line_is_told_with_its_number() -> None:
    content = (
        "kind;local;code;system\n"
        "result;Vu;positive;\n"
        "result;;positive;\n"
        "result;VU;negative;\n"
        "result;Flou;XX1;99LOC\n"
        "test;COV2;94500-7;LN\n"
    )
    found = read_csv(("\ufeff" + content).encode())
    assert [each.line for each in found.errors] == [3, 4, 6]
    assert "line 2" in found.errors[1].text
    assert [each.line for each in found.warnings] == [5]


@pytest.mark.parametrize(
    "content",
    [b"", b"a,b\n1,2\n", b"kind,local,code\nresult,\xff,positive\n", b'kind,local,code\n"a'],
)
def test_a_file_that_is_none_is_an_error_and_never_an_exception(content: bytes) -> None:
    assert read_csv(content).errors


# ---------------------------------------------------------------- what may be shown


@pytest.mark.parametrize("text", ["Présence avérée", "+", "++", "non vu (douteux)", "d'ARN"])
def test_short_texts_without_digits_may_be_shown(text: str) -> None:
    assert text_may_be_shown(text)


@pytest.mark.parametrize(
    "text", ["", "vu le 3 mars", "a b c d e", "x" * 41, "0639980001", "279035121518989", "a@b"]
)
def test_other_texts_may_not(text: str) -> None:
    assert not text_may_be_shown(text)


def test_a_code_needs_a_system_and_is_no_number_of_a_person() -> None:
    assert code_may_be_shown("ZP9", "L")
    assert code_may_be_shown("260373001", "SCT")
    assert not code_may_be_shown("ZP9", "")
    assert not code_may_be_shown("279035121518989", "L")
    assert not code_may_be_shown("0639980001", "L")
    assert not code_may_be_shown("DUPONT JEAN", "L")


def test_an_unknown_text_of_a_tracked_test_is_listed() -> None:
    found = unmapped_of(
        message(
            None,
            report(
                observations=(observation(value_type="ST", value="Vu  faible", coded=None),) * 2
            ),
        )
    )
    assert found.values == {LocalValue(CodeKind.RESULT, "", "Vu faible", ""): 2}
    assert found.withheld == 0


@pytest.mark.parametrize(
    "value", ["DOMINIQUE", "vu chez Pat-Trois", "MOREAU", "né le 28/03/1979", "CLERMONT"]
)
def test_what_names_somebody_of_the_message_is_withheld(value: str) -> None:
    held = report(
        observations=(observation(value_type="ST", value=value, coded=None),),
        prescriber=Practitioner(family="MOREAU", given="ANNE"),
    )
    found = unmapped_of(message(dominique(), held))
    assert found.values == {}
    assert found.withheld == 1


def test_a_coded_value_keeps_its_code_and_loses_a_text_that_may_not_be_shown() -> None:
    found = unmapped_of(
        message(None, report(observations=(observation(coded=Coded("ZP9", "DOMINIQUE", "L")),)))
    )
    assert list(found.values) == [LocalValue(CodeKind.RESULT, "ZP9", "", "L")]


def test_what_a_table_knows_and_tests_of_no_tracked_condition_are_not_counted() -> None:
    glucose = observation(
        code=Coded("2345-7", "Glucose", "LN"), value_type="ST", value="limpide", coded=None
    )
    number = observation(value_type="NM", value="24.6", number="24.6", coded=None)
    found = unmapped_of(message(None, report(observations=(observation(), glucose, number))))
    assert found.values == {}
    assert found.withheld == 0


def test_what_a_culture_or_a_screening_names_is_known() -> None:
    def seen(code: Coded, value: str) -> dict[LocalValue, int]:
        said = observation(code=code, value_type="ST", value=value, coded=None)
        return unmapped_of(message(None, report(observations=(said,)))).values

    assert seen(Coded("543-9", "", "LN"), "Mycobacterium tuberculosis") == {}
    assert seen(Coded("600-7", "", "LN"), "Escherichia coli") == {}
    assert seen(Coded("CRIBLAGE", "", "99LABDISPATCH"), "A0B0C1") == {}
    assert len(seen(Coded("543-9", "", "LN"), "BAAR à l'examen direct")) == 1


def test_a_local_test_is_listed_as_a_test() -> None:
    found = unmapped_of(
        message(None, report(observations=(observation(code=Coded("COV2", "PCR covid", "L")),)))
    )
    assert LocalValue(CodeKind.TEST, "COV2", "PCR covid", "L") in found.values


# ---------------------------------------------------------------- software


def software(raw: bytes) -> Software:
    header = read_header(raw)
    assert isinstance(header, Header)
    return software_of(header, raw)


def test_software_is_msh_3_and_the_first_sft() -> None:
    head = "MSH|^~\\&|KALIUM^x|LAB|H|H|20260101||ORU^R01|1|T|2.5.1||||||UNICODE UTF-8\r"
    sft = "SFT|Éditeur^D|7.2|Kalium \\T\\ Co|B1\rSFT|Other|1|X\r"
    told = software((head + sft + "PID|1\r").encode())
    assert told == Software("KALIUM", "Éditeur", "Kalium & Co", "7.2")
    assert software((head + "PID|1\r").encode()) == Software("KALIUM", "", "", "")


@pytest.mark.parametrize("end", [b"\r", b"\n", b"\r\n"])
def test_software_is_bounded_and_printable(end: bytes) -> None:
    head = b"MSH|^~\\&||LAB|H|H|20260101||ORU^R01|1|T|2.5" + end
    told = software(head + b"SFT|" + b"V" * 500 + b"|1\x07|P" + end + b"PID|1")
    assert told == Software("", "V" * 200, "P", "1")


# ---------------------------------------------------------------- score


def test_the_score_is_the_mean_of_100_50_and_0() -> None:
    assert score_of(messages=0, warned=0, clean=0) is None
    assert score_of(messages=4, warned=1, clean=2) == 62.5
    assert score_of(messages=3, warned=3, clean=0) == 50.0
    assert score_of(messages=3, warned=0, clean=3) == 100.0


def test_a_short_trend_goes_by_day_and_a_long_one_by_iso_week() -> None:
    days = [
        (date(2026, 11, 2), Counted(messages=1, clean=1)),
        (date(2026, 11, 3), Counted(messages=1, failed=1)),
        (date(2026, 11, 9), Counted(messages=2, warned=2)),
    ]
    by, steps = trend_of(days, date(2026, 11, 1), date(2026, 11, 10))
    assert by == "day"
    assert [step.score for step in steps] == [100.0, 0.0, 50.0]
    by, steps = trend_of(days, date(2026, 1, 1), date(2026, 11, 10))
    assert by == "week"
    assert [(step.begins_on, step.messages, step.score) for step in steps] == [
        (date(2026, 11, 2), 2, 50.0),
        (date(2026, 11, 9), 2, 50.0),
    ]
