"""What a filtered reader gets of the events of a stream, so that its fold is the filtered fold.

A withdrawn event has no body, and a revised one may fit no more. So of an event that does not fit,
what counts is whether the version before it did: then its reader holds that version, and is told
that it is withdrawn; else it holds nothing and is told nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple
from uuid import UUID

import msgspec

from schemas.events import EventKind, StreamEvent
from schemas.topics import Stream

from .filters import OUT_OF_FILTER, StreamFilter, fits

Version = tuple[UUID, str, int]
"""A report as its events name it, a part of it, and a version."""
_FIRST: Final = 1


class Judged(NamedTuple):
    """Events, what of them fits, and which earlier versions must be looked at."""

    events: Sequence[StreamEvent]
    fitting: Sequence[bool]
    earlier: Mapping[Version, bool]
    """Of versions that are among the events themselves."""
    unknown: frozenset[Version]


def judge(stream: Stream, asked: StreamFilter, events: Sequence[StreamEvent]) -> Judged:
    """Hold events, in order of their partitions, against a filter."""
    fitting: list[bool] = []
    seen: dict[Version, bool] = {}
    wanted: set[Version] = set()
    for event in events:
        is_fitting = event.body is not None and fits(stream, asked, event.body)
        fitting.append(is_fitting)
        seen[event.report_id, event.part, event.event_version] = is_fitting
        if not is_fitting and event.event_version > _FIRST:
            wanted.add(before(event))
    return Judged(events, fitting, seen, frozenset(wanted - seen.keys()))


def select(judged: Judged, looked_up: Mapping[Version, bool]) -> list[StreamEvent]:
    """Return what the reader gets.

    Args:
        judged: The events.
        looked_up: Whether the versions in `unknown` fitted; one that cannot be read any more is
            absent, and counts as if it had: a withdrawal too many does no harm.
    """
    found = []
    for event, is_fitting in zip(judged.events, judged.fitting, strict=True):
        if is_fitting:
            found.append(event)
        elif event.event_version > _FIRST:
            version = before(event)
            held = judged.earlier.get(version)
            if looked_up.get(version, True) if held is None else held:
                found.append(_withdrawn(event))
    return found


def before(event: StreamEvent) -> Version:
    """Return the version before an event's."""
    return event.report_id, event.part, event.event_version - 1


def _withdrawn(event: StreamEvent) -> StreamEvent:
    if event.kind is EventKind.WITHDRAWN:
        return event
    return msgspec.structs.replace(event, kind=EventKind.WITHDRAWN, reason=OUT_OF_FILTER, body=None)
