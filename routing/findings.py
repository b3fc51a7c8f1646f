"""What a report says of tracked conditions: one finding for each analysis that says something."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from schemas.codes import (
    CONDITIONS,
    Analysis,
    Result,
    Says,
    analysis_in,
    analysis_of,
    answer_of,
    is_carried,
    is_loinc,
    is_understood,
    looked_for,
    organism_of,
    together,
)
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
    mutations screened for in the order of their letters (`A0B0C1`), or a lineage (`BA.2.86`).
    All second lines of a report and condition bear what they tell together."""


def findings_of(report: LabReport) -> tuple[ConditionFinding, ...]:
    """Return the findings, the decisive one first.

    What can make an index case comes before what cannot (a positive antibody never hides a PCR),
    then positive, negative, indeterminate, unusable, then the laboratory's order. Genes of a PCR
    count only where their report gives no whole result for the condition. A germ that many carry
    says nothing where it was sampled where they carry it.
    """
    found = [each for each in map(_finding, _values_of(report)) if each is not None]
    if not found:
        found = _by_order_code(report)
    for each in found:
        if each.analysis.condition.invasive and is_carried(report.specimen):
            found = [one for one in found if not one.analysis.condition.invasive]
            break
    if len(found) < 2:  # nothing to weigh: most reports say one thing or none
        return tuple(found)
    whole = {each.analysis.condition.code for each in found if not each.analysis.target}
    kept = [
        each
        for each in found
        if not (each.analysis.target and each.analysis.condition.code in whole)
    ]
    return tuple(sorted(_with_variants(kept), key=_decisiveness))


def answer_missing(report: LabReport) -> frozenset[str]:
    """Return the conditions that a report leaves open: of whatever kind is the analysis."""
    return frozenset(condition for condition, _ in answers_missing(report))


def answers_missing(report: LabReport) -> frozenset[tuple[str, str]]:
    """Return what a speaking observation looks for and whose answer no table knows.

    By condition and kind of the analysis; no kind where an organism is named too broadly, which
    leaves its condition open, too. An answer of the same worth answers for it, or a better one: a
    PCR for the document beside it and for a lineage that nobody reads, never an antibody for a PCR.
    """
    if report.status not in SPEAKING:
        return frozenset()
    open_ = [each for each in map(_left_open, _values_of(report)) if each is not None]
    if open_ and is_carried(report.specimen):
        open_ = [each for each in open_ if not CONDITIONS[each[0]].invasive]
    if not open_:
        return frozenset()
    answered = {
        (each.analysis.condition.code, _worth(each.analysis)) for each in findings_of(report)
    }
    return frozenset(
        (condition, kind)
        for condition, kind, worth in open_
        if not any((condition, each) in answered for each in range(worth, _CASE + 1))
    )


def _left_open(observation: Observation) -> tuple[str, str, int] | None:
    """Return condition and kind that an observation leaves open, and the worth of an answer."""
    looked = looked_for(observation.code)
    if looked is None or observation.status not in SPEAKING:
        return None
    analysis = analysis_in(observation)
    if analysis is None or (isinstance(looked, Analysis) and looked.organism):
        organism = organism_of(observation)
        if organism is not None and organism.says is Says.DOUBT:
            return organism.condition.code, "", _CASE
    if analysis is None or is_understood(analysis, observation):
        return None
    return analysis.condition.code, analysis.kind.value, _worth(analysis)


_CASE = 2


def _worth(analysis: Analysis) -> int:
    """Say whose answer may stand for whose: 2 makes a case, 1 does not, 0 only follows one."""
    return _CASE if analysis.makes_index_case else 0 if analysis.is_second_line else 1


def _values_of(report: LabReport) -> Sequence[Observation]:
    """Return an observation for each value: a coded one may name several organisms."""
    if not any(each.others for each in report.observations):
        return report.observations
    return [value for each in report.observations for value in _values_in(each)]


def _values_in(observation: Observation) -> list[Observation]:
    """Return an observation for each of its values; where they contradict each other, none of them.

    `Detected` beside `Not detected` is no answer of any table: one text of both stands for them.
    Two organisms of a culture are no contradiction.
    """
    if not observation.others:
        return [observation]
    first = () if observation.coded is None else (observation.coded,)
    values = [
        msgspec.structs.replace(
            observation, coded=each, value=each.text or each.alternate_text or each.code, others=()
        )
        for each in (*first, *observation.others)
    ]
    said: dict[str, set[Result]] = {}
    for found in filter(None, map(_finding, values)):
        if not found.analysis.organism:
            said.setdefault(found.analysis.condition.code, set()).add(found.result)
    if all(len(results) == 1 for results in said.values()):
        return values
    text = "\n".join(each.value for each in values)
    return [msgspec.structs.replace(observation, coded=None, value=text, others=())]


def _finding(observation: Observation) -> ConditionFinding | None:
    analysis = analysis_in(observation)
    return None if analysis is None else _said(analysis, observation)


def _said(analysis: Analysis, observation: Observation) -> ConditionFinding | None:
    if observation.status not in SPEAKING:
        return None
    answer = answer_of(analysis, observation)
    if answer is None or (analysis.positive_only and answer.result is not Result.POSITIVE):
        return None
    return ConditionFinding(
        analysis=analysis, result=answer.result, observation=observation, variant=answer.variant
    )


def _with_variants(found: list[ConditionFinding]) -> list[ConditionFinding]:
    """Give every second line of a condition the variant that all of them tell together."""
    told: dict[str, list[str]] = {}
    for each in found:
        if each.variant:
            told.setdefault(each.analysis.condition.code, []).append(each.variant)
    if not told:
        return found
    said = {condition: together(variants) for condition, variants in told.items()}
    return [
        msgspec.structs.replace(each, variant=said.get(each.analysis.condition.code, ""))
        if each.analysis.is_second_line
        else each
        for each in found
    ]


def _by_order_code(report: LabReport) -> list[ConditionFinding]:
    """Let the order's code (OBR-4) speak for its only observation with a local code.

    With several of them nobody can say which one answers the order.
    """
    if looked_for(report.code) is None:
        return []
    if any(analysis_of(each.code) for each in report.observations):
        return []
    found = []
    for each in _values_of(report):
        if not _has_loinc(each):
            analysis = analysis_in(each, report.code)
            said = None if analysis is None else _said(analysis, each)
            if said is not None:
                found.append(said)
    return found if len(found) == 1 else []


def _has_loinc(observation: Observation) -> bool:
    return is_loinc(observation.code.system) or is_loinc(observation.code.alternate_system)


def _decisiveness(finding: ConditionFinding) -> tuple[bool, int]:
    return (not finding.analysis.makes_index_case, finding.result.precedence)
