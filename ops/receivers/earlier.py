"""What of a report may be at its receiver already: earlier versions, and what they have left."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Final

import msgspec

from routing.streams import StreamReader
from schemas.events import StreamEvent
from schemas.topics import Stream

from .store import Part, PushStore, Row


class Before(msgspec.Struct, frozen=True, kw_only=True):
    """What may be there of one part of a report."""

    events: tuple[StreamEvent, ...]
    """Versions that were sent or may have been, the newest first; those that can still be read."""
    left: Mapping[str, int]
    """What all of them may have left there, by type; known of those too that cannot be read."""

    def __repr__(self) -> str:
        """Return the type's name alone: bodies are personal data."""
        return "<Before withheld>"


NOTHING: Final = Before(events=(), left={})


async def earlier_of(
    rows: Collection[Row], store: PushStore, reader: StreamReader, stream: Stream
) -> dict[Part, Before]:
    """Return what may be there of the parts of these rows, each the only one of its part."""
    newest = {(row.report_id, row.part): row.event_version for row in rows if row.event_version > 1}
    if not newest:
        return {}
    found = await store.earlier(newest)
    older = {
        part: [each for each in held if each.event_version < newest[part]]
        for part, held in found.items()
    }
    events = await reader.read_at(stream, [e.place for held in older.values() for e in held])
    return {
        part: Before(
            events=tuple(
                event for each in held if isinstance(event := events.get(each.place), StreamEvent)
            ),
            left=_most(each.put for each in held),
        )
        for part, held in older.items()
    }


def _most(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Return the highest count of each type."""
    found: dict[str, int] = {}
    for each in counts:
        for kind, count in each.items():
            found[kind] = max(found.get(kind, 0), count)
    return found
