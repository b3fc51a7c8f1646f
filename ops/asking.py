"""Who asks for a change of stewards or operators, and why."""

from __future__ import annotations

from typing import Final

import msgspec

from schemas.errors import PermanentError

_MAX_TEXT: Final = 200


class Asker(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks, and why: both stand in the audit chain."""

    actor: str
    reason: str = ""


def check_asker(asker: Asker) -> None:
    """Refuse what cannot stand in the audit chain.

    Raises:
        PermanentError: An empty actor, or a text that is too long.
    """
    if not asker.actor.strip() or len(asker.actor) > _MAX_TEXT:
        raise PermanentError("bad_actor", f"give 1 to {_MAX_TEXT} characters")
    if len(asker.reason) > _MAX_TEXT:
        raise PermanentError("bad_reason", f"give at most {_MAX_TEXT} characters")
