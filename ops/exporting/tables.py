"""What a stream looks like as flat tables: names and kinds of columns, derived from its types.

An event is one row: its header, then the fields of its body by their own names. What is an empty
text in the stream is null here. A stream with two kinds of body is two tables, so that nobody who
counts rows counts something else with them. Source: schemas/events.py, schemas/patterns.py.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

import msgspec

from schemas import patterns
from schemas.events import EventHeader, PseudonymReplaced, PublicHealthRow, TracingCase
from schemas.topics import Stream

REPLACED_RULE: Final = "persons_merged"
"""The rule that events `pseudonym_replaced` bear, withdrawn ones too, which have no body."""


class Kind(StrEnum):
    """What a column holds, whichever the format."""

    TEXT = "text"
    CODE = "code"
    """A text of a short list: stored once, referred to by number."""
    TEXTS = "texts"
    DAY = "day"
    MOMENT = "moment"
    """UTC, to the microsecond."""
    WHOLE = "whole"
    LONG = "long"
    FLAG = "flag"
    JSON = "json"
    """An object as it stands in the stream."""


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """A column of a table."""

    name: str
    kind: Kind
    is_body: bool = False
    """It is a field of the body: null where the event has none (it withdraws)."""


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of row of a stream."""

    stream: Stream
    name: str
    columns: tuple[Column, ...]
    body: Any
    """The type of its body; None: the body is one JSON object (dossier)."""
    sampled: tuple[str, ...] = ()
    """Fields that tell the day of sampling: the first that has one. Source: routing/filters.py."""


_OF_HEADER: Final = (
    "report_id", "part", "event_version", "kind", "reason", "emitted_at", "partition", "seq",
    "event_id", "person_version", "realm", "rule", "rule_version",
)  # fmt: skip
_HEADER_KINDS: Final[Mapping[str, Kind]] = {
    "event_version": Kind.WHOLE,
    "partition": Kind.WHOLE,
    "seq": Kind.LONG,
    "person_version": Kind.LONG,
    "emitted_at": Kind.MOMENT,
    "report_id": Kind.TEXT,
    "event_id": Kind.TEXT,
}
_DAY: Final = patterns.PUBLIC_HEALTH["sampled_on"]
_PSEUDONYM: Final = patterns.PUBLIC_HEALTH["pseudonym"]
_MANY: Final = frozenset({"birth_date", "sampled_at", "reported_at", "prescriber_rpps"})
"""Texts with a pattern, of which nearly every row has another."""
_RECORD: Final = "record"
"""Tells bodies of one stream from each other: here the table does."""


def _header() -> tuple[Column, ...]:
    known = set(EventHeader.__struct_fields__) - {"stream"}
    assert known == set(_OF_HEADER), "every field of the header has its place"
    return tuple(Column(name=name, kind=_HEADER_KINDS.get(name, Kind.CODE)) for name in _OF_HEADER)


def _body(body: type[msgspec.Struct], allowed: Mapping[str, str]) -> tuple[Column, ...]:
    hints = typing.get_type_hints(body)
    return tuple(
        Column(name=name, kind=_kind(name, hints[name], allowed), is_body=True)
        for name in body.__struct_fields__
        if name != _RECORD
    )


def _kind(name: str, hint: Any, allowed: Mapping[str, str]) -> Kind:
    if typing.get_origin(hint) is types.UnionType:
        (hint,) = (each for each in typing.get_args(hint) if each is not type(None))
    if hint is bool:
        return Kind.FLAG
    if hint is int:
        return Kind.WHOLE
    if typing.get_origin(hint) is tuple:
        return Kind.TEXTS
    assert hint is str, f"{name} is of a kind that no table has yet"
    pattern = allowed.get(name, "")
    if pattern == _DAY:
        return Kind.DAY
    return Kind.TEXT if pattern in {"", _PSEUDONYM} or name in _MANY else Kind.CODE


RESULT: Final = Table(
    stream=Stream.PUBLIC_HEALTH,
    name="result",
    columns=_header() + _body(PublicHealthRow, patterns.PUBLIC_HEALTH),
    body=PublicHealthRow,
    sampled=("sampled_on",),
)
REPLACED: Final = Table(
    stream=Stream.PUBLIC_HEALTH,
    name="pseudonym_replaced",
    columns=_header() + _body(PseudonymReplaced, patterns.PSEUDONYM_REPLACED),
    body=PseudonymReplaced,
)
CASE: Final = Table(
    stream=Stream.CONTACT_TRACING,
    name="case",
    columns=_header() + _body(TracingCase, patterns.CONTACT_TRACING),
    body=TracingCase,
    sampled=("sampled_at", "reported_at"),
)
BUNDLE: Final = Table(
    stream=Stream.DOSSIER,
    name="bundle",
    columns=(*_header(), Column(name="body", kind=Kind.JSON, is_body=True)),
    body=None,
)

TABLES: Final[Mapping[Stream, tuple[Table, ...]]] = {
    Stream.PUBLIC_HEALTH: (RESULT, REPLACED),
    Stream.CONTACT_TRACING: (CASE,),
    Stream.DOSSIER: (BUNDLE,),
}


def table_of_rule(stream: Stream, rule: str) -> Table:
    """Return the table of an event, which its rule tells also where there is no body."""
    if stream is Stream.PUBLIC_HEALTH and rule == REPLACED_RULE:
        return REPLACED
    return TABLES[stream][0]
