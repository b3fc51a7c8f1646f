from __future__ import annotations

from typing import Any

import pytest

from schemas.codes import ANALYSES, Kind, Result, analysis_of, condition_of, result_of
from schemas.report import Coded
from tests.unit.test_routing_cases import observation


def text(value: str, **changes: Any) -> Result | None:
    return result_of(observation(coded=None, value=value, **changes))


@pytest.mark.parametrize(
    ("value", "result"),
    [
        ("Positif", "positive"),
        ("POSITIF", "positive"),
        ("Détecté", "positive"),
        ("Non détecté", "negative"),
        ("NON  DÉTECTÉE.", "negative"),
        ("Not detected", "negative"),
        ("Négatif", "negative"),
        ("Absence d’ARN", "negative"),
        ("Indéterminé", "indeterminate"),
        ("Ininterprétable", "indeterminate"),
        ("Prélèvement non conforme", "unusable"),
    ],
)
def test_words_of_laboratories(value: str, result: str) -> None:
    assert text(value) == result


@pytest.mark.parametrize(
    "value", ["", "Positif ou négatif", "pas de virus detecte", "24.6", "-", "VIRUS POSITIF ?"]
)
def test_a_word_inside_a_text_says_nothing(value: str) -> None:
    assert text(value) is None


def test_codes_of_results() -> None:
    def coded(code: str, words: str = "", system: str = "SCT") -> Result | None:
        return result_of(observation(coded=Coded(code=code, text=words, system=system)))

    assert coded("260373001") is Result.POSITIVE
    assert coded("260415000", "Détecté") is Result.NEGATIVE, "a code speaks before its text"
    assert coded("419984006") is Result.INDETERMINATE
    assert coded("125154007") is Result.UNUSABLE
    assert coded("LA11883-8", system="LN") is Result.NEGATIVE
    assert coded("POS", system="HL70078") is Result.POSITIVE
    assert coded("260415000", system="") is Result.NEGATIVE
    assert coded("P", "Positif", system="LABX") is Result.POSITIVE
    assert coded("261665006", "Unknown") is None


def test_a_number_alone_says_nothing_and_abnormal_is_not_positive() -> None:
    assert text("24.6", number="24.6", value_type="NM") is None
    assert text("24.6", number="24.6", value_type="NM", interpretations=("A",)) is None
    assert text("24.6", number="24.6", value_type="NM", interpretations=("H", "POS")) == "positive"


def test_the_value_speaks_before_the_interpretation() -> None:
    assert text("Négatif", interpretations=("POS",)) is Result.NEGATIVE
    assert text("voir note", interpretations=("NEG",)) is Result.NEGATIVE


def test_conditions_by_loinc_only() -> None:
    found = condition_of("LN", "94500-6")
    assert found is not None
    assert found.code == "sars-cov-2"
    assert condition_of("L", "94500-6") is None
    assert condition_of("LN", "94745-7") is None, "a Ct value is no answer"
    alternate = Coded(code="COV", system="LABX", alternate_code="94558-4", alternate_system="LN")
    analysis = analysis_of(alternate)
    assert analysis is not None
    assert analysis.kind is Kind.ANTIGEN


def test_serology_makes_no_index_case_of_sars_cov_2() -> None:
    assert not ANALYSES["94563-4"].makes_index_case
    assert not ANALYSES["94547-7"].makes_index_case
    assert not ANALYSES["94564-2"].makes_index_case
    assert ANALYSES["25338-5"].makes_index_case, "IgM tells of recent dengue"
