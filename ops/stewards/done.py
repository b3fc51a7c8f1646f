"""What an act of a steward led to, by numbers."""

from __future__ import annotations

import msgspec

from .reemitting import Reemitted


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """What an act led to, by numbers."""

    act: str
    """merge, unmerge, verdict, proposed, oppose, allow or reemit."""
    event: int = 0
    """The number that `undo` takes; 0 where nothing was changed."""
    persons: tuple[int, ...] = ()
    """Who stands now."""
    reports: int = 0
    stream_events: int = 0
    unreadable: int = 0
    """Reports of which nothing can be read any more: moved, and not emitted again."""
    remaining: bool = False
    """More reports are left; dispatch goes on with them."""


def done_of(act: str, event: int, persons: tuple[int, ...], done: Reemitted) -> Done:
    """Return what an act led to, with what became of the reports."""
    return Done(
        act=act,
        event=event,
        persons=persons,
        reports=done.reports,
        stream_events=len(done.events),
        unreadable=done.unreadable,
        remaining=bool(done.remaining),
    )
