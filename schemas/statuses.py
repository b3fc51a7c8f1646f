"""Whether the statuses of a report and of its observations can be true together: one table.

Source: HL7 v2.5.1 tables 0123 (OBR-25), 0085 (OBX-11) and 0119 (ORC-1); which of them contradict is
our own reading (docs/holds.md). What OBR-25 takes back (X, D, W) is taken back whatever its
observations say: that is the safe reading, and no contradiction.
"""

from __future__ import annotations

from typing import Final

from .report import LabReport, ResultStatus

_S = ResultStatus
_TAKEN_BACK: Final = frozenset({_S.CANCELLED, _S.DELETED, _S.WRONG})
_STANDS: Final = frozenset({_S.FINAL, _S.CORRECTED, _S.UNCHANGED})
"""What an observation says that is verified for good."""
_SPEAKS: Final = _STANDS | {_S.PARTIAL, _S.PRELIMINARY}
_CANCELS: Final = frozenset({"CA", "CR", "OC"})
"""ORC-1: the order is cancelled. Discontinued (DC, OD) is not: what came before stays."""


def status_contradicts(report: LabReport) -> bool:
    """Say whether a report's statuses cannot be true together.

    | OBR-25 | contradicts |
    |---|---|
    | F, U | observations, and none of them is final, corrected or unchanged |
    | C | the same, unless they are all taken back: a correction may do that |
    | P | a corrected one, or all of them taken back |
    | A | all of them taken back |
    | O, S, I, R, N | one that is final, corrected or unchanged |
    | A, P, F, C, U with ORC-1 CA, CR or OC | an observation that is not taken back |

    Observations that were never asked for (N) say nothing either way. ORC-1 CA, CR or OC with every
    observation taken back agree, whatever OBR-25 says: so a document is cancelled (ANS).
    """
    said = report.status
    seen = {each.status for each in report.observations}
    if len(seen) == 1 and said in seen:
        return said in _SPEAKS and report.order_control in _CANCELS
    seen.discard(_S.NOT_ASKED)
    if not seen or said in _TAKEN_BACK:
        return False
    if said in _SPEAKS and report.order_control in _CANCELS:
        return not seen <= _TAKEN_BACK
    if said in _STANDS:
        return not seen & _STANDS and not (said is _S.CORRECTED and seen <= _TAKEN_BACK)
    if said is _S.PRELIMINARY:
        return _S.CORRECTED in seen or seen <= _TAKEN_BACK
    if said is _S.PARTIAL:
        return seen <= _TAKEN_BACK
    return bool(seen & _STANDS)
