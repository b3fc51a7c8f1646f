"""The messages of a file that have no place in its answer yet, and the way in that they take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from ingest.accept import Answer, Receipt
from ingest.batch import Closed, ReaderState
from schemas.errors import TransientError


class MessageDoor(Protocol):
    """The way in, as a file sees it: it knows who sends, and how much that laboratory may."""

    async def pause(self) -> None:
        """Wait after a message that was over a limit of its laboratory; else not at all."""
        ...

    def receive(self, raw: bytes) -> Receipt:
        """Take one message. Never raises."""
        ...

    def turn_away(self, reason: str, head: bytes) -> Receipt | None:
        """Answer a message that is not whole, if its header can be read."""
        ...


@dataclass(slots=True)
class Underway:
    """One step of the file that has no place in the answer yet."""

    receipt: Receipt | None = None
    raw: bytes = b""
    """Kept until it is answered: a door that is closed for a moment is asked again."""
    answer: Answer | None = None
    text: bytes = b""
    closed: Closed | None = None
    boundary: ReaderState | None = None
    """Where the reader stood before the bytes that gave this step, and how many it gave before."""
    index: int = 0


def is_answered(underway: Underway) -> bool:
    """Say whether its place in the answer can be filled now."""
    return underway.receipt is None or underway.answer is not None or underway.receipt.done()


async def answer_of(underway: Underway) -> Answer | None:
    """Return the answer of a message once it has one, None for what is no message.

    Raises:
        TransientError: Nobody knows whether it is durable (`append_unknown`).
    """
    if underway.answer is None and underway.receipt is not None:
        underway.answer = await underway.receipt.wait()
    if underway.answer is not None and underway.answer.close:
        raise TransientError("append_unknown", "the file goes on from its last checkpoint")
    return underway.answer
