"""What the inbound door needs around it: a topic, a place for progress, a turn, a way in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import msgspec

from ops.runtime.kafka_reading import RawRecord

from .accept import Answer, Receipt
from .fairness import Line
from .inbound_store import Park
from .lab import Peer


class MessageDoor(Protocol):
    """The way in: `ingest.accept.Acceptor`."""

    def receive(self, raw: bytes, peer: Peer | None = None, line: Line | None = None) -> Receipt:
        """Take one message, on a line. Never raises."""
        ...


class Source(Protocol):
    """A topic to read: `ops.runtime.kafka_reading.PartitionReader`, committed records alone."""

    async def start(self) -> None:
        """Connect."""
        ...

    async def begin_offsets(self) -> dict[int, int]:
        """Return the first readable offset of every partition."""
        ...

    async def end_offsets(self) -> dict[int, int]:
        """Return the end of every partition."""
        ...

    async def read(
        self, positions: dict[int, int], limit: int, timeout_seconds: float
    ) -> list[RawRecord]:
        """Return records from these offsets on."""
        ...

    async def close(self) -> None:
        """Let go."""
        ...


class Progress(Protocol):
    """Where it is kept how far each partition is taken: `ingest.inbound_store.InboundStore`."""

    async def positions(self, topic: str, begins: dict[int, int]) -> dict[int, int]:
        """Return where each partition goes on."""
        ...

    async def advance(
        self, topic: str, before: dict[int, int], after: dict[int, int], parks: Sequence[Park]
    ) -> None:
        """Move on and park, all or nothing."""
        ...


class Turn(Protocol):
    """Whose turn it is to read, among processes."""

    async def is_mine(self) -> bool:
        """Say so; asks the database when that was long ago."""
        ...


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """What was answered to one record whose laboratory was proved."""

    record: RawRecord
    laboratory: str
    answer: Answer


Send = Callable[[str, Sequence[Reply]], Awaitable[None]]
"""Makes the replies to records of a topic durable; awaited before the topic moves on."""


class InboundLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The bounds of taking records."""

    max_message_bytes: int
    window_records: int
    window_bytes: int
