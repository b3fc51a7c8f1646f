"""What a report says of each condition that has cases: its answer, and the variant it found."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Final

import msgspec

from dedup.case_reports import DEAD, DOUBTED
from routing.findings import SPEAKING, ConditionFinding
from schemas.codes import Analysis, Kind, analysis_in, analysis_of
from schemas.report import LabReport, Observation

_NO_ANSWER: Final = 4
"""Precedence of what is no answer of the tables: behind all of them."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a report says of one condition."""

    precedence: int
    """0 positive, 1 negative, 2 indeterminate, 3 unusable, 4 no answer of these; or `DOUBTED`, or
    `DEAD`."""
    is_second_line: bool
    """It holds nothing of the condition but what follows a first line."""
    observed_at: str
    variant: str


def answers_of(
    report: LabReport,
    findings: Sequence[ConditionFinding],
    withheld: Collection[str] = (),
) -> dict[str, Answer]:
    """Return condition -> what the report says of it; pure.

    Only of analyses that can make a case or only ever follow one: an antibody is no part of it.

    Args:
        report: As mapped.
        findings: What it says of tracked conditions.
        withheld: Conditions of which nothing is told before a person has looked.
    """
    found: dict[tuple[str, bool], tuple[int, str]] = {}
    speaks = report.status in SPEAKING

    def note(analysis: Analysis, precedence: int, observed_at: str) -> None:
        if analysis.makes_index_case or analysis.is_second_line:
            key = (analysis.condition.code, analysis.is_second_line)
            if found.get(key, (DEAD, ""))[0] == DEAD:
                found[key] = (precedence if speaks else DEAD, observed_at)

    for each in findings:
        note(each.analysis, each.result.precedence, each.observation.observed_at)
    for observation in report.observations:
        analysis = analysis_in(observation)
        if analysis is not None:
            note(analysis, _unanswered(analysis, observation), observation.observed_at)
    ordered = analysis_of(report.code)
    if ordered is not None and not any(c == ordered.condition.code for c, _ in found):
        said = (_unanswered(ordered, observation) for observation in report.observations)
        note(ordered, max(said, default=DEAD), "")
    variants = _variants(findings) if speaks else {}
    return {
        condition: Answer(
            precedence=DOUBTED
            if condition in withheld and precedence not in {DEAD, _NO_ANSWER}
            else precedence,
            is_second_line=is_second,
            observed_at=observed_at,
            variant="" if condition in withheld else variants.get(condition, ""),
        )
        for (condition, is_second), (precedence, observed_at) in found.items()
        if not (is_second and (condition, False) in found)
    }


def _variants(findings: Iterable[ConditionFinding]) -> dict[str, str]:
    """Return condition -> variant: of a genome before a screening, then the laboratory's order."""
    told = [each for each in findings if each.variant]
    told.sort(key=lambda each: each.analysis.kind is not Kind.SEQUENCE)
    found: dict[str, str] = {}
    for each in told:
        found.setdefault(each.analysis.condition.code, each.variant)
    return found


def _unanswered(analysis: Analysis, observation: Observation) -> int:
    """A sequence whose lineage no table knows says something all the same."""
    return _NO_ANSWER if analysis.is_second_line and observation.status in SPEAKING else DEAD
