"""What FHIR calls the status of a report and of its observations (docs/dossier.md). Pure.

Source: HL7's v2-to-FHIR maps of tables 0123 (reports) and 0085 (observations).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from schemas.report import Observation, ResultStatus

_REPORT: Final = {
    ResultStatus.ORDERED: "registered",
    ResultStatus.IN_PROCESS: "registered",
    ResultStatus.SCHEDULED: "registered",
    ResultStatus.RESULTS_ENTERED: "partial",
    ResultStatus.PARTIAL: "partial",
    ResultStatus.PRELIMINARY: "preliminary",
    ResultStatus.FINAL: "final",
    ResultStatus.UNCHANGED: "final",
    ResultStatus.CORRECTED: "corrected",
    ResultStatus.CANCELLED: "cancelled",
    ResultStatus.NOT_ASKED: "cancelled",
    ResultStatus.DELETED: "entered-in-error",
    ResultStatus.WRONG: "entered-in-error",
}
_OBSERVATION: Final = {
    **_REPORT,
    ResultStatus.RESULTS_ENTERED: "preliminary",
    ResultStatus.PARTIAL: "preliminary",
}
_AMENDED: Final = "amended"
_ERRED: Final = frozenset({ResultStatus.CORRECTED, ResultStatus.DELETED, ResultStatus.WRONG})
"""Of an observation: something was wrong, unless it was amended."""


def status_of_observation(observation: Observation, status: ResultStatus) -> str:
    """Return an observation's status.

    Args:
        observation: The observation.
        status: Its own, or that of its report, where that is taken back.
    """
    if observation.amended and status is ResultStatus.CORRECTED:
        return _AMENDED
    return _OBSERVATION[status]


def status_of_report(status: ResultStatus, observations: Iterable[Observation]) -> str:
    """Return a report's status: one that is corrected is `amended` where nothing was wrong.

    OBR-25 has no letter for it (its A is partial): the results say it, by OBX-11 A or B.
    """
    if status is ResultStatus.CORRECTED:
        amended = {
            each.amended and each.status is status for each in observations if each.status in _ERRED
        }
        if amended == {True}:
            return _AMENDED
    return _REPORT[status]
