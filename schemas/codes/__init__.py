"""Which analysis looks for which tracked condition, and what a laboratory's answer means.

Tables, read once; no text is ever searched for a word inside it: `Non détecté` holds `détecté`.
Sources stand in the JSON files beside this one; docs/conditions.md shows them.
"""

from .answers import Answer, answer_of, is_understood
from .conditions import (
    ANALYSES,
    CONDITIONS,
    OWN_SYSTEM,
    TRACKED_CODES,
    Analysis,
    Condition,
    Identification,
    Kind,
    analysis_of,
    condition_of,
    looked_for,
)
from .organisms import Organism, Says, analysis_in, organism_of
from .results import Result, is_pending, line_of, result_of
from .specimens import is_carried
from .systems import fold, is_loinc, is_snomed
from .units import unit_fits
from .variants import together, variant_of

__all__ = [
    "ANALYSES",
    "CONDITIONS",
    "OWN_SYSTEM",
    "TRACKED_CODES",
    "Analysis",
    "Answer",
    "Condition",
    "Identification",
    "Kind",
    "Organism",
    "Result",
    "Says",
    "analysis_in",
    "analysis_of",
    "answer_of",
    "condition_of",
    "fold",
    "is_carried",
    "is_loinc",
    "is_pending",
    "is_snomed",
    "is_understood",
    "line_of",
    "looked_for",
    "organism_of",
    "result_of",
    "together",
    "unit_fits",
    "variant_of",
]
