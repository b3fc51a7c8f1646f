"""Which keys of days a restored database needs and does not have, and what that means.

Days come from the account, which counts as laboratories do (Europe/Paris); keys are of UTC days.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import Final

import msgspec

from ops.retention.ages import OF_SEAL
from ops.runtime.vault import DayKey, SealClass

# In single-user mode a statement is one line.
DAYS: Final = (
    "SELECT day::text FROM account_day WHERE name = 'received'"
    " UNION SELECT day::text FROM account_in_flight ORDER BY 1"
)
"""Days on which something was accepted, as far as it was counted."""
KEPT_FROM: Final = (
    "SELECT key || ' ' || max(value) FROM purge, jsonb_each_text(cuts) GROUP BY key ORDER BY 1"
)
"""Class and first day that purges have kept: keys of days before are gone as they should be."""

_MEANS: Final = {
    SealClass.INTAKE: "messages as they came; none is replayed or mended, nor dispatched yet",
    SealClass.IDENTITY: "traits of persons as they were received on it",
    SealClass.STREAM: "events with names (dossier, contact tracing)",
    SealClass.CODES: "local codes that no table knows",
    SealClass.PUBLIC_HEALTH: "events of public health",
}


class Lacking(msgspec.Struct, frozen=True, kw_only=True):
    """Days of a class that has no key of them."""

    sealed: str
    """The class, as in the names of its keys."""
    days: list[date]
    means: str
    """What cannot be read of these days."""


def lacking(
    names: Iterable[str],
    days: Iterable[str],
    kept_from: Iterable[str],
    last_commit_at: datetime | None,
) -> list[Lacking]:
    """Return what is missing; nothing where the database knows of no day and no commit.

    Args:
        names: Of the keys that are there.
        days: As `DAYS` tells them.
        kept_from: As `KEPT_FROM` tells it.
        last_commit_at: Of that day records may not have been counted yet.
    """
    wanted = {date.fromisoformat(day) for day in days}
    if last_commit_at is not None:
        wanted.add(last_commit_at.date())
    cuts = {kind: date.fromisoformat(day) for kind, _, day in (e.partition(" ") for e in kept_from)}
    there = set(names)
    found = []
    for each in SealClass:
        kept = cuts.get(OF_SEAL[each], date.min)
        without = [day for day in wanted if day >= kept and DayKey(each, day).name not in there]
        if without:
            name = each.name.lower()
            found.append(Lacking(sealed=name, days=sorted(without), means=_MEANS[each]))
    return found


def told(found: Sequence[Lacking], *, none_given: bool) -> str:
    """Say what is missing, a class a line, days in a row as one.

    Args:
        found: What is missing.
        none_given: No keys were put in place yet: these are needed.
    """
    if not found:
        return ""
    lines = "".join(f"  {e.sealed:<14} {_ranges(e.days)}: {e.means}\n" for e in found)
    if none_given:
        return f"keys that are needed, of classes and days, to read what was sealed:\n{lines}"
    return (
        "KEYS ARE MISSING. Of these days cannot be read, where the hub has sealed any of it:\n"
        f"{lines}"
        "  Look for them on the old machine's disk BEFORE the first start: a key of today is made"
        " anew then,\n  and what the lost one has sealed is parked as unreadable"
        " (docs/runbooks/restore.md).\n"
    )


def _ranges(days: Sequence[date]) -> str:
    """Return sorted days, those in a row as first..last."""
    parts = []
    for _, row in groupby(enumerate(days), lambda each: each[1] - timedelta(each[0])):
        first, *rest = [day for _, day in row]
        parts.append(f"{first}..{rest[-1]}" if rest else f"{first}")
    return ", ".join(parts)
