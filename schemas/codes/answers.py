"""What one observation answers: a result, and of a second line the variant."""

from __future__ import annotations

from typing import Final

import msgspec

from schemas.report import Observation

from .conditions import Analysis
from .organisms import Says, organism_of
from .results import Result, is_pending, result_of
from .variants import variant_of


class Answer(msgspec.Struct, frozen=True, gc=False):
    """An answer that the tables know."""

    result: Result
    variant: str = ""


_PLAIN: Final = {result: Answer(result) for result in Result}
_OF_ORGANISM: Final = {Says.POSITIVE: Result.POSITIVE, Says.NEGATIVE: Result.NEGATIVE}


def answer_of(analysis: Analysis, observation: Observation) -> Answer | None:
    """Return what an observation says as an answer of this analysis, None where no table knows.

    What was typed was found: a variant is a positive second line, a mutation that is absent too.
    """
    if analysis.is_second_line:
        variant = variant_of(analysis, observation)
        if variant:
            return Answer(Result.POSITIVE, variant)
    result = result_of(observation)
    if result is None and analysis.organism:
        organism = organism_of(observation)
        if organism is not None and organism.condition is analysis.condition:
            result = _OF_ORGANISM.get(organism.says)
    return None if result is None else _PLAIN[result]


def is_understood(analysis: Analysis, observation: Observation) -> bool:
    """Say whether the tables know what an observation says, even where that is not yet an answer.

    A quantity of what makes no case (a viral load, a titre of IgG) is answered by its number;
    a genome comes as a document, and answers another question.
    """
    if answer_of(analysis, observation) is not None or is_pending(observation):
        return True
    if observation.number and not analysis.makes_index_case:
        return not analysis.is_second_line
    return analysis.is_second_line and not observation.value
