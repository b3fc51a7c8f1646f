"""Why a stream may wait: the closed set, what each means, and whether a person may let it go. Pure.

docs/holds.md says the same at length; tests/unit/test_holding_reasons.py compares.
"""

from __future__ import annotations

from typing import Final

import msgspec

from routing.doubts import Doubt
from routing.rules import FIRST_LINE_AWAITED, NOT_QUALIFIED, WRONG_REALM
from schemas.errors import PermanentError
from schemas.topics import STREAMS


class HoldReason(msgspec.Struct, frozen=True, kw_only=True):
    """One reason: what it means, what to do, and what a release leads to."""

    code: str
    means: str
    to_do: str
    released: str = ""
    """What a release leads to; empty where nobody may release it."""
    alerts_after: str = ""
    """The setting that says how old it may grow; empty where an old one is nobody's fault."""
    mends_by_mapping: bool = False
    """A new row of the laboratory's mapping may bring the answer: it is then asked again."""

    @property
    def may_be_released(self) -> bool:
        """Say whether a person's word is enough."""
        return bool(self.released)


REASONS: Final = {
    each.code: each
    for each in (
        HoldReason(
            code=NOT_QUALIFIED,
            means="the person has no qualified INS, so no dossier is known to send it to",
            to_do="wait: it goes by itself once the INS comes with a validated identity, or once"
            " a steward merges the person with one that has it",
        ),
        HoldReason(
            code=WRONG_REALM,
            means="the message carries a test INS, and this is production",
            to_do="have the laboratory send its tests to a test hub; nothing of it goes out here",
        ),
        HoldReason(
            code=FIRST_LINE_AWAITED,
            means="a second line (screening, sequencing) whose first line has not come",
            to_do="wait for the first line; missing for days: ask the laboratory for the day of"
            " sampling (OBR-7) and the specimen's number (SPM-2) of both",
            alerts_after="hold_first_line_seconds",
        ),
        HoldReason(
            code=Doubt.RESULT_NOT_UNDERSTOOD,
            means="it looks for a tracked condition, and no table knows its answer",
            to_do="map the laboratory's word (`labdispatch labs codes LAB add result`), which"
            " releases it by itself, or have the laboratory correct it",
            alerts_after="hold_doubt_seconds",
            released="it goes on as a report without this answer: nothing is told of it to"
            " contact tracing and public health",
            mends_by_mapping=True,
        ),
        HoldReason(
            code=Doubt.UNIT_UNEXPECTED,
            means="the number that decides has a unit that makes no sense for its analysis",
            to_do="have the laboratory correct the unit (OBX-6) or the code (OBX-3)",
            alerts_after="hold_doubt_seconds",
            released="it goes on as if the unit had been right; a number alone is told to nobody",
            mends_by_mapping=True,
        ),
        HoldReason(
            code=Doubt.STATUS_CONTRADICTS,
            means="OBR-25, OBX-11 and ORC-1 cannot be true together",
            to_do="ask the laboratory which is true, and have it send the report again",
            alerts_after="hold_doubt_seconds",
            released="it goes on as OBR-25 says",
        ),
        HoldReason(
            code=Doubt.BIRTH_DATE_AFTER_SAMPLING,
            means="the patient was born after the specimen was taken: perhaps it is another's",
            to_do="ask the laboratory which date is wrong, and have it send the report again",
            alerts_after="hold_doubt_seconds",
            released="it goes into the dossier of the person it was tied to",
        ),
    )
}
"""By code; the codes are the labels of the metrics."""

PAIRS: Final = tuple((stream.value, code) for stream in STREAMS for code in REASONS)
"""Every stream and reason that can be on hold."""

BY_MAPPING: Final = tuple(each.code for each in REASONS.values() if each.mends_by_mapping)


def releasable(code: str) -> HoldReason:
    """Return a reason that a person may release.

    Raises:
        PermanentError: `not_releasable`, with what to do instead; `no_such_reason`.
    """
    reason = REASONS.get(code)
    if reason is None:
        raise PermanentError("no_such_reason", f"the reasons are {', '.join(REASONS)}")
    if not reason.may_be_released:
        raise PermanentError("not_releasable", f"{code}: {reason.to_do}")
    return reason
