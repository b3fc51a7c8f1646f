"""Who asks for a change of stewards or operators, and why."""

from __future__ import annotations

import msgspec


class Asker(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks, and why: both stand in the audit chain."""

    actor: str
    reason: str = ""
