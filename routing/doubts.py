"""What makes a report doubtful: a closed set of reasons for which a stream waits. Pure.

Never a guess and never a drop: a rule names the doubts it waits for (`holds_on`), the stream then
waits with the doubt as its reason, and the others flow. What each means, and what to do about it:
docs/holds.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Final, NamedTuple

from schemas.codes import (
    analysis_in,
    analysis_of,
    answer_of,
    is_pending,
    looked_for,
    unit_fits,
)
from schemas.patient import Traits
from schemas.report import LabReport
from schemas.statuses import status_contradicts

from .findings import SPEAKING, ConditionFinding, answers_missing
from .places import sampled_at


class Doubted(NamedTuple):
    """Why a result is doubted, and what is concerned."""

    reason: str
    condition: str = ""
    """Empty: the whole report."""
    kind: str = ""
    """Of the analysis that was not understood; empty: of any."""


Doubts = frozenset[Doubted]

NO_DOUBTS: Final[Doubts] = frozenset()
_DAY: Final = 10


class Doubt(StrEnum):
    """Why a report cannot be taken as it is."""

    RESULT_NOT_UNDERSTOOD = "result_not_understood"
    """It looks for a tracked condition, and no table knows its answer."""
    UNIT_UNEXPECTED = "unit_unexpected"
    """The number that would decide has a unit that makes no sense for its analysis."""
    STATUS_CONTRADICTS = "status_contradicts"
    """OBR-25, OBX-11 and ORC-1 cannot be true together (schemas/statuses.py)."""
    BIRTH_DATE_AFTER_SAMPLING = "birth_date_after_sampling"
    """The patient was not born when the specimen was taken: perhaps another person's."""


DOUBTS: Final = frozenset(each.value for each in Doubt)


def doubts_of(report: LabReport, traits: Traits, findings: Sequence[ConditionFinding]) -> Doubts:
    """Return what is doubtful about a report; the same for the same report, whoever asks.

    Args:
        report: As mapped.
        traits: Of its patient.
        findings: What it says of tracked conditions (`findings_of`).
    """
    found = []
    if status_contradicts(report):
        # By condition too: a rule that found nothing to send waits only for what it looks for.
        named = {"", *_looked_for(report), *(each.analysis.condition.code for each in findings)}
        found += [Doubted(Doubt.STATUS_CONTRADICTS.value, condition) for condition in named]
    if _born_later(report, traits):
        found.append(Doubted(Doubt.BIRTH_DATE_AFTER_SAMPLING.value))
    if report.status in SPEAKING:
        found += _unanswered(report, findings)
    return frozenset(found) if found else NO_DOUBTS


def _unanswered(report: LabReport, findings: Sequence[ConditionFinding]) -> Iterator[Doubted]:
    """Yield what the report looks for without an answer that can be taken."""
    if any(looked_for(each.code) is not None for each in report.observations):
        missing = answers_missing(report)
        odd = _odd_numbers(report)
        # A quantity is answered by its number alone, which its unit has just made nonsense of.
        answered = {each.analysis.condition.code for each in findings}
        nonsense = {(condition, kind) for condition, kind in odd if condition not in answered}
        for condition, kind in missing | nonsense:
            is_odd = (condition, kind) in odd
            reason = Doubt.UNIT_UNEXPECTED if is_odd else Doubt.RESULT_NOT_UNDERSTOOD
            yield Doubted(reason.value, condition, kind)
    elif not findings:
        ordered = analysis_of(report.code)
        if ordered is not None and _leaves_order_open(report):
            reason = Doubt.RESULT_NOT_UNDERSTOOD
            yield Doubted(reason.value, ordered.condition.code, ordered.kind.value)


def _leaves_order_open(report: LabReport) -> bool:
    """Say whether nothing under a tracked order (OBR-4) answers it, in no code that we know."""
    speaking = [each for each in report.observations if each.status in SPEAKING]
    return bool(speaking) and not any(map(is_pending, speaking))


def _odd_numbers(report: LabReport) -> set[tuple[str, str]]:
    """Return condition and kind of numbers that would decide, in a unit that makes no sense."""
    found = set()
    for each in report.observations:
        if each.number and each.status in SPEAKING:
            analysis = analysis_of(each.code)
            if (
                analysis is not None
                and not unit_fits(analysis.loinc, each.unit)
                and answer_of(analysis, each) is None
            ):
                found.add((analysis.condition.code, analysis.kind.value))
    return found


def _looked_for(report: LabReport) -> set[str]:
    """Return the conditions that a report's analyses look for, whatever they say."""
    found = [analysis_of(report.code), *map(analysis_in, report.observations)]
    return {each.condition.code for each in found if each is not None}


def _born_later(report: LabReport, traits: Traits) -> bool:
    """Compare as much of both dates as the birth date has: `2027` is after any day of 2026."""
    born = traits.birth_date
    if not born:
        return False
    sampled = sampled_at(report)
    if not sampled and report.observations:
        sampled = report.observations[0].observed_at
    return len(sampled) >= _DAY and born > sampled[: len(born)]
