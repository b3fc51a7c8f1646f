"""How long each class is kept, and which days are past it; pure.

What is kept for N days of its own day: the key of day D is destroyed on day D + N + 1 (UTC).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from enum import StrEnum
from typing import Final

import msgspec

from ops.runtime.vault import DayKey, SealClass
from schemas.errors import PermanentError


class Kind(StrEnum):
    """Classes that have an age."""

    INTAKE = "intake"
    NAMES = "names"
    PUBLIC_HEALTH = "public-health"
    IDENTITY = "identity"
    CODES = "codes"
    INBOX = "inbox"


OF_SEAL: Final[Mapping[SealClass, Kind]] = {
    SealClass.INTAKE: Kind.INTAKE,
    SealClass.STREAM: Kind.NAMES,
    SealClass.PUBLIC_HEALTH: Kind.PUBLIC_HEALTH,
    SealClass.IDENTITY: Kind.IDENTITY,
    SealClass.CODES: Kind.CODES,
}
"""Which age a key of a day goes by."""

NOMINATIVE: Final = frozenset({Kind.INTAKE, Kind.NAMES, Kind.IDENTITY})
"""Classes whose payloads bear names."""

Cuts = Mapping[Kind, date]
"""The first day of each class that is kept."""


class Ages(msgspec.Struct, frozen=True, kw_only=True):
    """Days that each class is kept for; the settings say them."""

    intake: int
    names: int
    public_health: int
    identity: int
    codes: int
    inbox: int

    def of(self, kind: Kind) -> int:
        """Return the days of a class."""
        return int(getattr(self, kind.value.replace("-", "_")))

    def cuts(self, today: date) -> dict[Kind, date]:
        """Return the first day of each class that is kept."""
        return {kind: today - timedelta(days=self.of(kind)) for kind in Kind}


def keys_due(keys: Iterable[DayKey], cuts: Cuts) -> list[DayKey]:
    """Return the keys whose day is past, the oldest first."""
    due = (key for key in keys if key.day < cuts[OF_SEAL[key.seal_class]])
    return sorted(due, key=lambda key: (key.day, key.seal_class))


def check_days(due: Iterable[DayKey], most: int) -> None:
    """Refuse more days of one class than a purge takes unless a person asks for them.

    A clock that went ahead, or a setting with a digit too few, would destroy what is needed.

    Raises:
        PermanentError: There are more (`purge_suspect`).
    """
    days = Counter(key.seal_class for key in due)
    too_many = sorted(OF_SEAL[each].value for each, n in days.items() if n > most)
    if too_many:
        raise PermanentError(
            "purge_suspect",
            f"more than {most} days of {', '.join(too_many)} are of age at once: look at the clock"
            " and the settings, then: labdispatch retention purge --days-at-once N",
        )


def oldest_days(keys: Iterable[DayKey]) -> dict[Kind, date]:
    """Return the oldest day of each class that can still be read."""
    oldest: dict[Kind, date] = {}
    for key in keys:
        kind = OF_SEAL[key.seal_class]
        oldest[kind] = min(key.day, oldest.get(kind, key.day))
    return oldest
