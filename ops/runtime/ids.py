"""Identifiers that a process makes up by itself."""

from __future__ import annotations

import os
import time
from uuid import UUID

from schemas.ids import id_of


def new_message_id() -> UUID:
    """Return a UUID version 7 (RFC 9562): by time in front, random behind.

    Neighbours in time are neighbours in an index, and no process asks another for it.
    """
    milliseconds = time.time_ns() // 1_000_000
    random = int.from_bytes(os.urandom(10), "big")
    high = random >> 68 & 0xFFF
    low = random & 0x3FFF_FFFF_FFFF_FFFF
    number = milliseconds << 80 | 0x7 << 76 | high << 64 | 0b10 << 62 | low
    return id_of(number.to_bytes(16, "big"))
