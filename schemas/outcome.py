"""The closed set of endings: every logged message has exactly one."""

from __future__ import annotations

from enum import StrEnum
from uuid import UUID

import msgspec

from .place import NOWHERE, Place


class DuplicateReason(StrEnum):
    """Why nothing had to be done."""

    SAME_MESSAGE = "same_message"
    SAME_CONTENT = "same_content"


class ParkReason(StrEnum):
    """Why a message waits for a person. Every reason has an owner in docs/runbooks/parked.md."""

    UNMAPPABLE = "unmappable"
    UNREADABLE_PAYLOAD = "unreadable_payload"
    DATABASE_REFUSED = "database_refused"
    UNEXPECTED = "unexpected"
    LABORATORY_PAUSED = "laboratory_paused"


class Dispatched(msgspec.Struct, frozen=True, kw_only=True, tag="dispatched"):
    """The reports of the message are in the streams they are due in (or held, or due in none)."""

    report_ids: tuple[UUID, ...] = ()


class Duplicate(msgspec.Struct, frozen=True, kw_only=True, tag="duplicate"):
    """Already handled: the same bytes again, or the same content of every report."""

    reason: DuplicateReason
    original: UUID | None = None
    report_ids: tuple[UUID, ...] = ()


class Refused(msgspec.Struct, frozen=True, kw_only=True, tag="refused"):
    """Answered AE: kept, with the code we answered."""

    reason: str
    place: Place = NOWHERE


class Parked(msgspec.Struct, frozen=True, kw_only=True, tag="parked"):
    """Kept aside whole, with a reason that somebody owns."""

    reason: ParkReason
    code: str = ""
    place: Place = NOWHERE


Outcome = Dispatched | Duplicate | Refused | Parked

ENDINGS = ("dispatched", "duplicate", "refused", "parked")
"""The endings of a message. A replay record ends as `replay` and is counted apart."""
