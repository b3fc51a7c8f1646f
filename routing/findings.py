"""What a report says of tracked conditions: one finding for each analysis that says something."""

from __future__ import annotations

from schemas.codes import Analysis, Kind, Result, analysis_of, is_loinc, is_pending, result_of
from schemas.patient import Phi
from schemas.report import LabReport, Observation, ResultStatus

SPEAKING = frozenset(
    {
        ResultStatus.PARTIAL,
        ResultStatus.PRELIMINARY,
        ResultStatus.UNCHANGED,
        ResultStatus.FINAL,
        ResultStatus.CORRECTED,
    }
)
"""The statuses under which an observation says something: verified, and not taken back."""


class ConditionFinding(Phi, frozen=True, kw_only=True):
    """An observation that says something of a tracked condition."""

    analysis: Analysis
    result: Result
    observation: Observation
    variant: str = ""
    """What a second line has found, of a closed vocabulary (`schemas.codes.variants`), or empty:
    mutations screened for in the order of their letters (`A0B0C1`), or a lineage (`BA.2.86`)."""


def findings_of(report: LabReport) -> tuple[ConditionFinding, ...]:
    """Return the findings, the decisive one first.

    What can make an index case comes before what cannot (a positive antibody never hides a PCR),
    then positive, negative, indeterminate, unusable, then the laboratory's order. Genes of a PCR
    count only where their report gives no whole result for the condition.
    """
    found = [each for each in map(_finding, report.observations) if each is not None]
    if not found:
        found = _by_order_code(report)
    whole = {each.analysis.condition.code for each in found if not each.analysis.target}
    kept = [
        each
        for each in found
        if not (each.analysis.target and each.analysis.condition.code in whole)
    ]
    return tuple(sorted(kept, key=_decisiveness))


def answer_missing(report: LabReport) -> frozenset[str]:
    """Return the conditions that a speaking observation looks for and whose answer no table knows.

    An answer of the same worth answers for it: a PCR for the document beside it, never an antibody
    for a PCR. A quantity (viral load) is answered by its number, and `En cours` is an answer too.
    """
    if report.status not in SPEAKING:
        return frozenset()
    open_ = [
        analysis
        for observation in report.observations
        if (analysis := analysis_of(observation.code)) is not None
        and _leaves_open(analysis, observation)
    ]
    if not open_:
        return frozenset()
    answered = {
        (each.analysis.condition.code, _worth(each.analysis)) for each in findings_of(report)
    }
    return frozenset(
        analysis.condition.code
        for analysis in open_
        if not any((analysis.condition.code, worth) in answered for worth in _at_least(analysis))
    )


def _leaves_open(analysis: Analysis, observation: Observation) -> bool:
    if observation.status not in SPEAKING or result_of(observation) is not None:
        return False
    if analysis.kind is Kind.VIRAL_LOAD and observation.number:
        return False
    if analysis.is_second_line and not observation.value:
        return False  # a genome comes as a document: it answers another question
    return not is_pending(observation)


def _worth(analysis: Analysis) -> int:
    """Say whose answer may stand for whose: 2 makes a case, 1 does not, 0 only follows one."""
    return 2 if analysis.makes_index_case else 0 if analysis.is_second_line else 1


def _at_least(analysis: Analysis) -> tuple[int, ...]:
    worth = _worth(analysis)
    return (0,) if worth == 0 else tuple(range(worth, 3))


def _finding(observation: Observation) -> ConditionFinding | None:
    analysis = analysis_of(observation.code)
    return None if analysis is None else _said(analysis, observation)


def _said(analysis: Analysis, observation: Observation) -> ConditionFinding | None:
    if observation.status not in SPEAKING:
        return None
    result = result_of(observation)
    if result is None:
        return None
    return ConditionFinding(analysis=analysis, result=result, observation=observation)


def _by_order_code(report: LabReport) -> list[ConditionFinding]:
    """Let the order's code (OBR-4) speak for its only observation with a local code.

    With several of them nobody can say which one answers the order.
    """
    analysis = analysis_of(report.code)
    if analysis is None or any(analysis_of(each.code) for each in report.observations):
        return []
    said = [_said(analysis, each) for each in report.observations if not _has_loinc(each)]
    found = [each for each in said if each is not None]
    return found if len(found) == 1 else []


def _has_loinc(observation: Observation) -> bool:
    return is_loinc(observation.code.system) or is_loinc(observation.code.alternate_system)


def _decisiveness(finding: ConditionFinding) -> tuple[bool, int]:
    return (not finding.analysis.makes_index_case, finding.result.precedence)
