"""An observation of several coded values (OBX-5 repeated) says what each of them says, or waits."""

from __future__ import annotations

import pytest

from routing.findings import answer_missing, findings_of
from schemas.report import Coded, LabReport
from tests.unit.test_routing_cases import DETECTED, NOT_DETECTED, PCR, observation, report

COLI = Coded(code="112283007", text="Escherichia coli", system="SCT")
MENINGOCOCCUS = Coded(code="17872004", text="Neisseria meningitidis", system="SCT")
CULTURE = Coded(code="600-7", text="Hémoculture", system="LN")


def of(code: Coded, *values: Coded) -> LabReport:
    first, *others = values
    return report(observation(code, first, others=tuple(others)), code=code)


@pytest.mark.parametrize("values", [(COLI, MENINGOCOCCUS), (MENINGOCOCCUS, COLI)])
def test_each_organism_of_a_culture_counts(values: tuple[Coded, ...]) -> None:
    found = findings_of(of(CULTURE, *values))
    assert [(each.analysis.condition.code, each.result.value) for each in found] == [
        ("meningococcus", "positive")
    ]
    assert not answer_missing(of(CULTURE, *values))


@pytest.mark.parametrize("values", [(DETECTED, NOT_DETECTED), (NOT_DETECTED, DETECTED)])
def test_values_that_contradict_each_other_say_nothing_and_wait(values: tuple[Coded, ...]) -> None:
    assert findings_of(of(PCR, *values)) == ()
    assert answer_missing(of(PCR, *values)) == {"sars-cov-2"}


def test_the_same_value_twice_is_that_value() -> None:
    found = findings_of(of(PCR, DETECTED, DETECTED))
    assert {each.result.value for each in found} == {"positive"}
    assert not answer_missing(of(PCR, DETECTED, DETECTED))
