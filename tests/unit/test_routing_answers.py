"""What a report leaves open, and which units make sense."""

from __future__ import annotations

from typing import Any

import pytest

from routing.findings import answer_missing
from schemas.codes import unit_fits
from schemas.report import Coded, ResultStatus
from tests.unit.test_routing_cases import PCR, observation, report

IGG = Coded(code="94563-4", text="IgG", system="LN")
NO_WORD: dict[str, Any] = {"coded": None, "value": "voir commentaire"}


def missing(*observations: Any, **changes: Any) -> frozenset[str]:
    return answer_missing(report(*observations, **changes))


def test_an_answer_that_no_table_knows_is_missing() -> None:
    assert missing(observation(**NO_WORD)) == {"sars-cov-2"}
    assert missing(observation(coded=None, value="")) == {"sars-cov-2"}
    assert missing(observation()) == frozenset()


def test_an_answer_beside_it_answers() -> None:
    assert missing(observation(**NO_WORD), observation()) == frozenset()
    ct = observation(Coded(code="94745-7", system="LN"), coded=None, value="24", number="24")
    assert missing(observation(), ct) == frozenset()


def test_an_antibody_never_answers_for_a_pcr() -> None:
    assert missing(observation(**NO_WORD), observation(IGG)) == {"sars-cov-2"}
    assert missing(observation(PCR), observation(IGG, **NO_WORD)) == frozenset()


def test_a_positive_pcr_never_waits_for_a_lineage_that_nobody_reads() -> None:
    lineage = observation(Coded(code="96895-8", system="LN"), coded=None, value="proche de BA.2")
    assert missing(observation(PCR), lineage) == frozenset()
    assert missing(lineage) == {"sars-cov-2"}


def test_a_germ_that_is_named_too_broadly_leaves_its_condition_open() -> None:
    def culture(code: str, value: str) -> frozenset[str]:
        order = Coded(code=code, system="LN")
        return missing(observation(order, coded=None, value=value), code=order)

    assert culture("6579-7", "Vibrio cholerae") == {"cholera"}
    assert culture("600-7", "Listeria sp") == {"listeriosis"}
    assert culture("600-7", "Escherichia coli") == frozenset()
    assert culture("543-9", "Mycobacterium avium") == frozenset()
    assert culture("543-9", "Bacille acido-alcoolo-résistant") == {"tuberculosis"}
    assert culture("543-9", "Culture en cours") == frozenset()


@pytest.mark.parametrize("value", ["En cours", "Résultat à suivre", "PENDING"])
def test_what_comes_later_is_not_missing(value: str) -> None:
    assert missing(observation(coded=None, value=value)) == frozenset()


def test_what_does_not_speak_leaves_nothing_open() -> None:
    assert missing(observation(status=ResultStatus.WRONG, **NO_WORD)) == frozenset()
    assert missing(observation(**NO_WORD), status=ResultStatus.CANCELLED) == frozenset()


def test_units() -> None:
    assert unit_fits("94745-7", Coded(code="{Ct}", system="UCUM"))
    assert unit_fits("94745-7", "cycles")
    assert unit_fits("94500-6", Coded(text="Log10 copies/mL"))
    assert unit_fits("94500-6", Coded(code="l", text="UI/ml")), "one of its spellings is enough"
    assert not unit_fits("94745-7", Coded(code="mg/L", system="UCUM"))
    assert not unit_fits("94500-6", "kg")
    assert unit_fits("94500-6", None), "no unit is none that makes no sense"
    assert unit_fits("1988-5", "kg"), "of what is not tracked nothing is said"
