"""What is known of one file of messages: kept while it is read, shown afterwards."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from ingest.batch import ReaderState
from schemas.errors import PermanentError
from schemas.finding import Level

NAME_BYTES: Final = 128
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


class Reading(msgspec.Struct, kw_only=True):
    """How far a file is read and answered: all that is needed to go on."""

    reader: ReaderState
    answers: int = 0
    """Answers in the batch that is open: what its BTS will say."""
    steps: int = 0
    """Steps behind the reader's position that are answered and kept already."""


class Counts(msgspec.Struct, kw_only=True):
    """Messages of a file by what was answered."""

    AA: int = 0
    AE: int = 0
    AR: int = 0
    none: int = 0
    """No answer was wanted, or there was no header to answer to."""


class Batch(msgspec.Struct, kw_only=True):
    """One file. `name` was chosen by its sender: it is shown to people, and never logged."""

    batch_id: UUID
    door: str
    sender: str
    name: str
    content: bytes
    size_bytes: int
    received_at: datetime
    reading: Reading
    state: str = "reading"
    ended_at: datetime | None = None
    pieces: int = 0
    counts: Counts = msgspec.field(default_factory=Counts)

    def __repr__(self) -> str:
        """Return number and state alone: a name may be a person's."""
        return f"<Batch {self.batch_id} {self.state}>"


class ShownFinding(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A finding on a file, as people and programs read it."""

    code: str
    level: Level
    text: str
    message: int
    at: int
    said: int | None = None
    found: int | None = None


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What `GET /v1/batches/ID` and `labdispatch batches` tell."""

    batch_id: UUID
    door: str
    sender: str
    name: str
    state: str
    size_bytes: int
    position: int
    received_at: datetime
    ended_at: datetime | None
    messages: int
    answers: Counts
    findings: list[ShownFinding]
    more_findings: int


def summary_of(batch: Batch) -> Summary:
    """Return what is told of a batch."""
    reader = batch.reading.reader
    return Summary(
        batch_id=batch.batch_id,
        door=batch.door,
        sender=batch.sender,
        name=batch.name,
        state=batch.state,
        size_bytes=batch.size_bytes,
        position=reader.position,
        received_at=batch.received_at,
        ended_at=batch.ended_at,
        messages=reader.messages,
        answers=batch.counts,
        findings=[
            ShownFinding(
                code=found.code,
                level=found.finding.level,
                text=found.finding.text,
                message=found.message,
                at=found.at,
                said=found.said,
                found=found.found,
            )
            for found in reader.findings
        ],
        more_findings=reader.more_findings,
    )


def is_plain_name(name: str) -> bool:
    """Say whether a file may have this name: letters, digits, `.`, `_` and `-`, 128 at most."""
    return _NAME.fullmatch(name) is not None


def checked_name(name: str) -> str:
    """Return a name as it is.

    Raises:
        PermanentError: It is not one (`batch_name_invalid`).
    """
    if not is_plain_name(name):
        raise PermanentError(
            "batch_name_invalid",
            f"a name has letters, digits, '.', '_' and '-', {NAME_BYTES} at most, a letter or digit"
            " first",
        )
    return name
