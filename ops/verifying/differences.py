"""Where a stream holds something else than it should: a closed set, never a value. Pure."""

from __future__ import annotations

from collections import Counter
from enum import StrEnum
from typing import Final
from uuid import UUID

import msgspec

from routing.emitted import NOTHING, EmittedRow, Wanted
from schemas.events import EventKind
from schemas.patient import Phi
from schemas.topics import Stream


class What(StrEnum):
    """What differs; docs/runbooks/streams-differ.md has a row for each."""

    MISSING = "missing"
    NOT_WITHDRAWN = "not_withdrawn"
    OTHER_BODY = "other_body"
    OTHER_ADDRESSEE = "other_addressee"
    HOLD_MISSING = "hold_missing"
    HOLD_LEFT = "hold_left"
    HOLD_REASON = "hold_reason"
    FOLD_VERSION = "fold_version"
    FOLD_KIND = "fold_kind"
    FOLD_BODY = "fold_body"
    CASE = "case"
    OWNER = "owner"


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One report that differs."""

    report_id: UUID
    stream: str
    """Empty where it is about the report itself."""
    what: What


class Folded(Phi, frozen=True, kw_only=True):
    """What a consumer holds of a report: its event of the highest version."""

    event_version: int
    kind: EventKind
    rule_version: str
    body: bytes | None
    """None where there is none, or where it can be opened no more."""
    is_destroyed: bool = False


class Verified(msgspec.Struct, kw_only=True):
    """What a run has looked at, and what it has found."""

    persons: int = 0
    reports: int = 0
    compared: Counter[str] = msgspec.field(default_factory=Counter)
    """By stream: reports whose stream was held against what it should hold."""
    published: Counter[str] = msgspec.field(default_factory=Counter)
    """By stream: of how many it holds a body."""
    waiting: Counter[str] = msgspec.field(default_factory=Counter)
    """By stream: of how many it waits."""
    differ: Counter[str] = msgspec.field(default_factory=Counter)
    """By `stream what`."""
    older_rules: int = 0
    """They differ, and were judged by rules that are in effect no more."""
    pending: int = 0
    """They differ, and are still to be emitted again: look later."""
    unreadable: int = 0
    """Reports whose record can be read no more: their streams are compared with the outbox only."""
    expired: int = 0
    """Bodies of events that can be opened no more, or events that retention took."""
    capped: int = 0
    """Persons of more reports than cases are made of: only the dossier was compared."""
    listed: list[Difference] = []
    """The first of those that differ."""

    @property
    def agrees(self) -> bool:
        """Say whether nothing differs that should not."""
        return not self.differ


def by_table(row: EmittedRow | None, wanted: Wanted, digest: UUID | None) -> What | None:
    """Return how the table `emitted` differs from what is wanted; None where it does not.

    A row whose pseudonym nobody can make any more is as it was left, and is not compared.

    Args:
        row: What the table says the stream holds.
        wanted: From scratch.
        digest: Of the wanted body; None where nothing is due.
    """
    stands = row is not None and row.published
    if not wanted.decision.due:
        return What.NOT_WITHDRAWN if stands else None
    assert wanted.projection is not None, "what is due has a projection"
    if row is None or not stands:
        return What.MISSING
    if wanted.projection.lacks_pseudonym:
        return None
    if row.addressee != wanted.projection.addressee:
        return What.OTHER_ADDRESSEE
    return None if row.body_digest == digest else What.OTHER_BODY


def by_outbox(row: EmittedRow | None, fold: Folded | None, digest: UUID | None) -> What | None:
    """Return how the fold of the events differs from the table `emitted`.

    Args:
        row: What the table says the stream holds.
        fold: What a consumer holds; None where there is no event.
        digest: Of the fold's body as bodies are compared; None where it has none.
    """
    if row is None and fold is None:
        return None
    if row is None or fold is None or row.event_version != fold.event_version:
        return What.FOLD_VERSION
    if row.published is (fold.kind is EventKind.WITHDRAWN):
        return What.FOLD_KIND
    if fold.is_destroyed:
        return None
    return None if row.body_digest == (NOTHING if digest is None else digest) else What.FOLD_BODY


def by_hold(held: str, wanted: str) -> What | None:
    """Return how a hold differs; an empty reason is no hold."""
    if held == wanted:
        return None
    if not held:
        return What.HOLD_MISSING
    return What.HOLD_REASON if wanted else What.HOLD_LEFT


STREAMLESS: Final = ""


def name_of(stream: Stream | str, what: What) -> str:
    """Return the key of `Verified.differ`."""
    return f"{stream} {what}".strip()
