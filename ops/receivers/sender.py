"""What carries an event to a receiver: the port that HTTP and mail have adapters for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import msgspec

from routing.pushing import Answer
from schemas.events import StreamEvent


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """An event to be sent, and what of the same report may be at the receiver."""

    event: StreamEvent
    earlier: tuple[StreamEvent, ...] = ()
    """Versions that were sent or may have been, the newest first; not all, where retention took
    some."""
    left: Mapping[str, int] = {}
    """What all of them may have left there, by type; known even where retention took the bodies."""

    def __repr__(self) -> str:
        """Return the type's name alone: bodies are personal data."""
        return "<Delivery withheld>"


class Sender(Protocol):
    """Sends to one receiver. Cancelled at any moment: what it had under way is sent again."""

    wants_earlier: bool
    """Whether it has to know what of the same report was sent before."""
    keeps_every_word: bool
    """Whether what was sent cannot be overwritten: a withdrawal is then sent in any case."""

    def puts(self, delivery: Delivery) -> Mapping[str, int]:
        """Return what of the report may be there once this was sent, by type: a count each.

        Raises:
            PermanentError: The event cannot be read.
        """
        ...

    async def send(self, delivery: Delivery) -> Answer:
        """Send an event and return the answer; what the world does is an answer, no error.

        Raises:
            PermanentError: The event cannot be sent to such a receiver: a dead letter.
        """
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...
