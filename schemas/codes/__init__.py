"""Which analysis looks for which tracked condition, and what a laboratory's answer means.

Tables, read once; no text is ever searched for a word inside it: `Non détecté` holds `détecté`.
Sources stand in the JSON files beside this one; docs/conditions.md shows them.
"""

from .conditions import ANALYSES, CONDITIONS, Analysis, Condition, Kind, analysis_of, condition_of
from .results import Result, is_pending, line_of, result_of
from .systems import fold, is_loinc, is_snomed
from .units import unit_fits

__all__ = [
    "ANALYSES",
    "CONDITIONS",
    "Analysis",
    "Condition",
    "Kind",
    "Result",
    "analysis_of",
    "condition_of",
    "fold",
    "is_loinc",
    "is_pending",
    "is_snomed",
    "line_of",
    "result_of",
    "unit_fits",
]
