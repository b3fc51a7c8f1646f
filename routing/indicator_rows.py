"""What indicators keep of a public-health row: the few fields that count, and how they count. Pure.

A row is kept for each (`report_id`, `part`), also of one that counts nowhere (withdrawn, second
line): its version, and the day of its first reception. `merged` is commutative and associative, so
the order in which versions come plays no part. Rules: docs/indicator-rules.md.
"""

from __future__ import annotations

import re
from datetime import date
from functools import lru_cache
from hashlib import blake2b
from typing import Final, NamedTuple
from uuid import UUID

import msgspec

from schemas.errors import PermanentError

from .pseudonym import next_period_of, period_of

FORMAT: Final = 1
"""Of a kept row's bytes."""
FIRST_DAY: Final = date(2000, 1, 1).toordinal()
"""What was sampled before counts as of that day: a wrong date must not make cells without end."""
WINDOW_DAYS: Final = 7
"""Length of the window that moves."""

TEST: Final = 1 << 0
"""A first line that found something or nothing: positive, negative or indeterminate."""
POSITIVE: Final = 1 << 1
CASE: Final = 1 << 2
"""A new case by the 60-day rule."""
ELIGIBLE: Final = 1 << 3
"""A test of somebody who was not positive in the 60 days before: the rule's denominator."""
INDETERMINATE: Final = 1 << 4
UNUSABLE: Final = 1 << 5
IMPUTED: Final = 1 << 6
"""A test whose residence is imputed from the postcode."""
BY_RECEPTION: Final = 1 << 7
"""It counts on its day of reception: nobody gave a day of sampling, or one after reception."""
OTHER: Final = 1 << 8
"""An analysis that makes no case (antibodies), whatever it found, unless unusable."""
OTHER_POSITIVE: Final = 1 << 9
SCREENED: Final = 1 << 10
SEQUENCED: Final = 1 << 11
MONTH: Final = 1 << 12
"""Its dates say no more than the month (conditions that are declared anonymously)."""
LETTERS: Final = {
    mark: 1 << 13 + place
    for place, mark in enumerate(("A0", "A1", "B0", "B1", "C0", "C1", "D0", "D1"))
}
"""Mutations that screening has found absent or present (schemas/codes/variants.json)."""

_PERIOD: Final = re.compile(r"(\d{4})-H([12])", re.ASCII)
_HEX_DIGITS: Final = 32
_ANSWERS: Final = frozenset({"positive", "negative", "indeterminate"})
_SCREENING: Final = re.compile(r"(?:[A-D][01])+", re.ASCII)


class RowKey(NamedTuple):
    """What the stream's consumer keeps the newest version of."""

    report_id: UUID
    part: str


class Row(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What is kept of a (`report_id`, `part`): its newest version, compactly."""

    version: int
    received: int
    """Ordinal of the first reception of all versions heard of; 0 where none said one."""
    flags: int = 0
    """How it counts; 0: nowhere."""
    sampled: int = 0
    """Ordinal of the day the row says; 0 where it counts nowhere."""
    condition: str = ""
    department: str = ""
    age_class: str = ""
    sex: str = ""
    period: str = ""
    """Half-year of its pseudonym."""
    person: bytes = b""
    """Its pseudonym; where it has none, its own report: a person of its own."""
    next_period: str = ""
    """The half-year that follows, where a window of 7 days reaches into it; else empty."""
    next_person: bytes = b""
    day: int = 0
    """Ordinal of the day it counts on: never after its first reception (a clock in the future)."""


class Alias(NamedTuple):
    """Two pseudonyms of a half-year that stand for one person."""

    period: str
    old: bytes
    new: bytes


class Heard(msgspec.Struct, frozen=True, gc=False):
    """An event of `public-health` as indicators understand it."""

    key: RowKey
    row: Row | None
    """Of a result; of a withdrawal one that counts nowhere, for it does not say of what it is."""
    alias: Alias | None
    """Of a replaced pseudonym."""
    version: int


class _Told(msgspec.Struct, frozen=True, gc=False):
    """The fields of both bodies that indicators read; the others are skipped unread."""

    record: str = "result"
    pseudonym: str = ""
    pseudonym_period: str = ""
    age_class: str = ""
    sex: str = "U"
    residence_department: str = ""
    residence_imputed: bool = False
    condition: str = ""
    line: str = ""
    result: str = ""
    sampled_on: str = ""
    received_on: str = ""
    sampled_on_imputed: bool = False
    new_case: bool | None = None
    recent_positive: bool | None = None
    variant: str = ""
    pseudonym_next: str = ""
    pseudonym_next_period: str = ""
    dates: str = "day"
    old: str = ""
    new: str = ""
    period: str = ""


_TOLD: Final = msgspec.json.Decoder(_Told)
_ROW: Final = msgspec.msgpack.Decoder(tuple[int, Row])
_ENCODER: Final = msgspec.msgpack.Encoder()


def hear(report_id: UUID, part: str, version: int, body: bytes | None) -> Heard:
    """Return what an event says.

    Args:
        report_id: As in its header.
        part: As in its header; empty of a replaced pseudonym, a condition of a row.
        version: Its `event_version`.
        body: JSON; None where it is withdrawn.

    Raises:
        PermanentError: `row_unreadable`: the body is neither of the two that the stream holds.
    """
    key = RowKey(report_id, part)
    if body is None:
        return Heard(key, Row(version, 0), None, version)
    try:
        told = _TOLD.decode(body)
        if told.record == "pseudonym_replaced" and not part:
            alias = Alias(told.period, person_of(told.old, key), person_of(told.new, key))
            return Heard(key, None, alias, version)
        return Heard(key, _row(told, key, version), None, version)
    except (ValueError, msgspec.MsgspecError):
        raise PermanentError(
            "row_unreadable",
            "an event of public-health has a body that indicators cannot read: "
            "compare its version with schemas/events.py",
        ) from None


def merged(held: Row | None, heard: Row) -> Row:
    """Return what is kept of two versions of one row: the newer, with their first reception."""
    if held is None:
        return heard
    newer = heard if heard.version > held.version else held
    received = min(held.received or heard.received, heard.received or held.received)
    if received == newer.received:
        return newer
    if not newer.flags or newer.sampled <= received:
        return msgspec.structs.replace(newer, received=received)
    return msgspec.structs.replace(
        newer, received=received, flags=newer.flags | BY_RECEPTION, day=received
    )


def encode_row(row: Row) -> bytes:
    """Return the bytes of a kept row, with their format."""
    return _ENCODER.encode((FORMAT, row))


def decode_row(kept: bytes) -> Row:
    """Return the row of its bytes.

    Raises:
        PermanentError: `row_unreadable`: bytes of another format.
    """
    try:
        made, row = _ROW.decode(kept)
    except msgspec.MsgspecError:
        made, row = 0, Row(0, 0)
    if made != FORMAT:
        raise PermanentError("row_unreadable", "a kept row has another format: rebuild indicators")
    return row


def groups_of(row: Row) -> tuple[tuple[str, bytes], ...]:
    """Return where a row's person is counted: half-year and pseudonym, of one or two half-years."""
    if not row.flags:
        return ()
    own = (row.period, row.person)
    return (own, (row.next_period, row.next_person)) if row.next_period else (own,)


@lru_cache(maxsize=4096)
def bounds_of(period: str) -> tuple[int, int]:
    """Return the ordinals of the first and last day of a half-year (`2026-H1`)."""
    match = _PERIOD.fullmatch(period)
    if match is None:
        raise ValueError("no half-year")
    year, half = int(match[1]), int(match[2])
    if half == 1:
        return date(year, 1, 1).toordinal(), date(year, 6, 30).toordinal()
    return date(year, 7, 1).toordinal(), date(year, 12, 31).toordinal()


@lru_cache(maxsize=16384)
def _ordinal(day: str) -> int:
    return max(date.fromisoformat(day).toordinal(), FIRST_DAY)


def person_of(pseudonym: str, key: RowKey) -> bytes:
    """Return 16 bytes that stand for a person; of a row without pseudonym, of its report alone."""
    if len(pseudonym) == _HEX_DIGITS:
        return bytes.fromhex(pseudonym)
    if not pseudonym:
        return key.report_id.bytes
    return blake2b(pseudonym.encode(), digest_size=16, person=b"pseudonym").digest()


def _row(told: _Told, key: RowKey, version: int) -> Row:
    received = _ordinal(told.received_on) if told.received_on else 0
    flags = _flags(told)
    if not flags:
        return Row(version, received)
    sampled = _ordinal(told.sampled_on)
    day = received if 0 < received < sampled else sampled
    if told.sampled_on_imputed or day != sampled:
        flags |= BY_RECEPTION
    period = told.pseudonym_period or period_of(date.fromordinal(sampled))
    following, next_person = "", b""
    if sampled + WINDOW_DAYS - 1 > bounds_of(period)[1] and not flags & MONTH:
        following = told.pseudonym_next_period or next_period_of(date.fromordinal(sampled))
        next_person = person_of(told.pseudonym_next, key) if following else b""
    return Row(
        version,
        received,
        flags,
        sampled,
        told.condition,
        told.residence_department,
        told.age_class,
        told.sex,
        period,
        person_of(told.pseudonym, key),
        following,
        next_person,
        day,
    )


def _flags(told: _Told) -> int:
    """Return how a row counts; 0 of second lines: their case counts where its first line is."""
    if told.line == "second":
        return 0
    result = told.result
    month = MONTH if told.dates == "month" else 0
    if result == "unusable":
        return UNUSABLE | month
    if result not in _ANSWERS:
        return 0
    if not told.line:
        return OTHER | month | (OTHER_POSITIVE if result == "positive" else 0)
    flags = TEST | month
    if result == "positive":
        flags |= POSITIVE | _variant(told.variant)
        if told.new_case:
            flags |= CASE
    elif result == "indeterminate":
        flags |= INDETERMINATE
    if not told.recent_positive:
        flags |= ELIGIBLE
    if told.residence_imputed:
        flags |= IMPUTED
    return flags


@lru_cache(maxsize=4096)
def _variant(variant: str) -> int:
    if not variant:
        return 0
    if not _SCREENING.fullmatch(variant):
        return SEQUENCED
    flags = SCREENED
    for place in range(0, len(variant), 2):
        flags |= LETTERS[variant[place : place + 2]]
    return flags
