"""One result once: which report a message's OBR group is, and whether it is its newest version.

Pure. The laboratory's own numbers say which report it is; its accept order says which version;
the status rank only keeps P from replacing F, and F from replacing C.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from hashlib import blake2b
from typing import Final
from uuid import UUID

import msgspec

from schemas.ids import id_of
from schemas.patient import Traits
from schemas.report import LabReport, ResultStatus

_KEY: Final = b"report-key-v1"
_ID: Final = b"report-id-v1"
_CONTENT: Final = b"report-content"


class PlacementKind(StrEnum):
    """What an incoming OBR group is beside what is held."""

    NEW = "new"
    SPLIT = "split"
    """The same number, but another person and another sampling date: a new report."""
    VERSION = "version"
    SAME_CONTENT = "same_content"
    OUTRANKED = "outranked"
    """Kept as a version, but an older or lower one: it never becomes current."""


class HeldReport(msgspec.Struct, frozen=True, kw_only=True):
    """A report as it stands: row of the table `report`."""

    report_id: UUID
    report_key: UUID
    person_id: int
    version: int
    status: str
    status_rank: int
    content_digest: UUID
    sampled_on: str
    offset: int
    """Offset of the message that its current version came with."""


class Incoming(msgspec.Struct, frozen=True, kw_only=True):
    """An OBR group that is to be placed."""

    report_key: UUID
    person_id: int
    status: ResultStatus
    content_digest: UUID
    sampled_on: str
    offset: int
    """Offset of the message it came with (of the original, when it is replayed)."""
    is_replay: bool = False


class Placement(msgspec.Struct, frozen=True, kw_only=True):
    """Where it goes: `held` is set unless it is a report of its own."""

    kind: PlacementKind
    held: HeldReport | None = None


def report_key(
    secret: bytes, lab_id: int, report: LabReport, message_id: UUID, occurrence: int
) -> UUID:
    """Return the key that versions of one report share.

    Laboratory, order number (the filler's, else the placer's) and observation code; with neither
    number the report stands alone by its message and position.

    Args:
        secret: Key of the digest.
        lab_id: Of the sender.
        report: The OBR group.
        message_id: Of the message (the original's, when it is replayed).
        occurrence: How many groups before it in the same message have the same number and code.
    """
    number = report.order_number
    code = report.code.code or report.code.alternate_code or report.code.text
    if number:
        kind = "filler" if report.filler_order_number else "placer"
        parts = (str(lab_id), kind, number, code, str(occurrence))
    else:
        parts = (str(lab_id), "alone", message_id.hex, str(report.position), "")
    text = "\x1f".join(parts).encode("utf-8", "surrogatepass")
    return id_of(blake2b(text, digest_size=16, key=secret, person=_KEY).digest())


def report_id(key: UUID, message_id: UUID, position: int) -> UUID:
    """Return the id of a report that is new with this message: the same for every try."""
    text = b"%b%b%d" % (key.bytes, message_id.bytes, position)
    return id_of(blake2b(text, digest_size=16, person=_ID).digest())


def content_digest(secret: bytes, report: LabReport, traits: Traits) -> UUID:
    """Return the digest of what a report says and about whom, whatever message it came in."""
    plain = _encoder.encode((msgspec.structs.replace(report, position=0), traits))
    return id_of(blake2b(plain, digest_size=16, key=secret, person=_CONTENT).digest())


def place(held: Sequence[HeldReport], incoming: Incoming) -> Placement:
    """Say what an incoming OBR group is beside the reports held under the same key."""
    fitting = [report for report in held if not _is_another(report, incoming)]
    if not fitting:
        return Placement(kind=PlacementKind.SPLIT if held else PlacementKind.NEW)
    report = max(fitting, key=lambda r: (_likeness(r, incoming), r.offset, r.report_id.int))
    if report.content_digest == incoming.content_digest:
        return Placement(kind=PlacementKind.SAME_CONTENT, held=report)
    older = incoming.is_replay and incoming.offset < report.offset
    if older or incoming.status.rank < report.status_rank:
        return Placement(kind=PlacementKind.OUTRANKED, held=report)
    return Placement(kind=PlacementKind.VERSION, held=report)


def _is_another(report: HeldReport, incoming: Incoming) -> bool:
    other_person = report.person_id != incoming.person_id
    both = report.sampled_on and incoming.sampled_on
    return bool(other_person and both and report.sampled_on != incoming.sampled_on)


def _likeness(report: HeldReport, incoming: Incoming) -> int:
    same_person = report.person_id == incoming.person_id
    return 2 * same_person + (report.sampled_on == incoming.sampled_on)


_encoder = msgspec.msgpack.Encoder()
