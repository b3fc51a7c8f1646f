"""What a range would become, done again: counts and ids of some, never a value. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final
from uuid import UUID

import msgspec

from routing.emitted import PendingEvent
from routing.facts import WHOLE
from schemas.outcome import Duplicate, Outcome, Parked, Refused

LISTED: Final = 20
"""Reports or messages that are named of each change."""
MAX_CHANGES: Final = 2_000
"""Kinds of change that are told apart; what is beyond is counted as one."""


class StreamChange(msgspec.Struct, kw_only=True):
    """Events of one stream, condition and kind that would be emitted."""

    stream: str
    condition: str
    """Empty: the whole report."""
    kind: str
    events: int = 0
    reports: list[UUID] = []
    """The first of them."""


class EndingChange(msgspec.Struct, kw_only=True):
    """Messages that would end otherwise."""

    before: str
    after: str
    messages: int = 0
    some: list[UUID] = []


class RangeDifference(msgspec.Struct, kw_only=True):
    """What would change, if all messages of a range were done again."""

    rules: str
    """The version they were judged by; empty: that in effect."""
    model: str
    looked: int = 0
    differ: int = 0
    """Messages of which a stream would be told something, or that would end otherwise."""
    gone: int = 0
    """Their retention has passed, or their key is destroyed: nothing can be said of them."""
    failed: int = 0
    """Our own code or the database fails on them; a replay would park them."""
    streams: list[StreamChange] = []
    endings: list[EndingChange] = []
    beyond: int = 0
    """Of further kinds of change, how many times."""


class Differences:
    """Adds up what would change; what it keeps is bounded.

    Args:
        stream: Only of this stream; empty: of all.
        rules: For the record.
        model: For the record.
    """

    def __init__(self, stream: str, rules: str, model: str) -> None:
        self._stream = stream
        self._events: dict[tuple[str, str, str], StreamChange] = {}
        self._endings: dict[tuple[str, str], EndingChange] = {}
        self.found = RangeDifference(rules=rules, model=model, streams=[], endings=[])

    def add(
        self, message_id: UUID, before: str, after: str, events: Iterable[PendingEvent]
    ) -> bool:
        """Add what one message would become; say whether it differs.

        Asked about one stream, only what that would be told counts.
        """
        self.found.looked += 1
        differs = False
        for event in events:
            if self._stream in {"", event.stream.value}:
                differs = True
                self._note_event(event)
        if before != after and not self._stream:
            differs = True
            change = self._endings.get((before, after))
            if change is None:
                change = EndingChange(before=before, after=after, some=[])
                if len(self._endings) >= MAX_CHANGES:
                    self.found.beyond += 1
                else:
                    self._endings[before, after] = change
            change.messages += 1
            if len(change.some) < LISTED:
                change.some.append(message_id)
        self.found.differ += differs
        return differs

    def finish(self) -> RangeDifference:
        """Return what was found, the most first."""
        self.found.streams = sorted(
            self._events.values(), key=lambda c: (-c.events, c.stream, c.condition, c.kind)
        )
        self.found.endings = sorted(
            self._endings.values(), key=lambda c: (-c.messages, c.before, c.after)
        )
        return self.found

    def _note_event(self, event: PendingEvent) -> None:
        condition = "" if event.part == WHOLE else event.part
        key = (event.stream.value, condition, event.kind.value)
        change = self._events.get(key)
        if change is None:
            change = StreamChange(stream=key[0], condition=condition, kind=key[2], reports=[])
            if len(self._events) >= MAX_CHANGES:
                self.found.beyond += 1
                return
            self._events[key] = change
        change.events += 1
        if len(change.reports) < LISTED and event.report_id not in change.reports:
            change.reports.append(event.report_id)


def ending_of(outcome: Outcome) -> str:
    """Return an ending and its reason in one word; what a replay finds unchanged is dispatched."""
    match outcome:
        case Parked() | Refused():
            return f"{type(outcome).__name__.lower()} {outcome.reason}"
        case Duplicate():
            return "duplicate"
    return "dispatched"


def held_ending(ending: str, reason: str) -> str:
    """Return the same of a recorded outcome."""
    return f"{ending} {reason}" if ending in {"parked", "refused"} else ending


def difference_as_text(found: RangeDifference) -> str:
    """Write it for a terminal."""
    by = f", rules {found.rules}" if found.rules else ""
    lines = [
        f"{found.looked:,} messages held against today (model {found.model}{by})",
        f"{found.differ:>10,}  of them differ",
    ]
    if found.gone:
        lines.append(f"{found.gone:,} can be read no more")
    if found.failed:
        lines.append(f"{found.failed:,} fail in our own code or in the database")
    for each in found.streams:
        of = f" ({each.condition})" if each.condition else ""
        lines.append(f"{each.events:>10,}  {each.stream}{of}: {each.kind}")
        lines += [f"            {report}" for report in each.reports]
    for ending in found.endings:
        lines.append(f"{ending.messages:>10,}  {ending.before} -> {ending.after}")
        lines += [f"            message {message}" for message in ending.some]
    if found.beyond:
        lines.append(f"{found.beyond:>10,}  of further kinds of change")
    return "\n".join(lines) + "\n"
