"""What a listener needs of whoever answers its frames, and what it allows its peers."""

from __future__ import annotations

from typing import Protocol

import msgspec

from .accept import Receipt
from .fairness import Line
from .lab import Peer


class Receiver(Protocol):
    """What answers the frames of a listener: `Acceptor`, or the sandbox's."""

    def receive(self, raw: bytes, peer: Peer | None = None, line: Line | None = None) -> Receipt:
        """Take one message of a peer, None where none is proved, on a line; never raises."""
        ...

    def turn_away(self, reason: str, head: bytes) -> Receipt | None:
        """Answer a frame that was not taken whole; None where nobody can."""
        ...


class ListenerLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What one listener allows; each is a setting."""

    max_frame_bytes: int = 8 * 1024 * 1024
    partial_frame_seconds: float = 30.0
    min_bytes_per_second: int = 100
    max_connections: int = 6_000
    max_connections_per_address: int = 6_000
    spare_connections: int = 0
    """Beyond both: let in to be told so in the answer to their first message."""
    accepts_per_second: float = 1_000.0
    large_frame_bytes: int = 64 * 1024
    """A partial frame beyond this takes one of the places for large ones."""
    large_frames: int = 16
    large_frame_bytes_per_second: int = 32 * 1024 * 1024
    turn_bytes: int = 64 * 1024
    """What is read of one connection before the others come."""
    turn_frames: int = 8
    """Messages judged in one turn of the loop."""
    laboratory_turn_frames: int = 2
    """Of one laboratory."""
    window_frames: int = 32
    window_bytes: int = 8 * 1024 * 1024
    unread_answer_seconds: float = 30.0
    keepalive_seconds: int = 60
