"""What rules of before would have judged: streams follow new rules with the next look alone.

A report that was last looked at under an older set holds what that set said. That is no fault, and
it is told apart by judging it again as then: what agrees with no set of its time differs.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from ops.publishing import Due, Publisher
from ops.runtime.postgres import Connection
from routing.emitted import Place, Wanted
from routing.holds import Hold
from schemas.patient import Phi

# From when sets were in effect, the newest first.
EFFECTS: Final = """
SELECT DISTINCT e.effective_at FROM rule_effect e WHERE e.effective_at <= now()
ORDER BY e.effective_at DESC LIMIT $1
"""
# When a version of each report was looked at last.
LOOKED_AT: Final = """
SELECT r.report_id, r.updated_at FROM report r WHERE r.report_id = ANY ($1::uuid[])
"""
VERSIONS: Final = "SELECT s.version FROM rule_set s"
MOST_SETS: Final = 20
"""Changes of rules that are looked back upon."""
_BEFORE: Final = timedelta(microseconds=1)

Wishes = Mapping[Place, Sequence[Wanted]]
"""What is wanted of a report in a stream: all its parts."""


class Judged(Phi, frozen=True, kw_only=True):
    """What one set of rules wanted, and of which reports it may have been asked."""

    wanted: Wishes
    holds: Mapping[Place, Hold | None]
    reports: frozenset[UUID]


class Older(Phi, frozen=True, kw_only=True):
    """What sets of before wanted of the reports that differ by the rules of now."""

    judged: tuple[Judged, ...]
    known: frozenset[str]
    """Versions by which they can be judged; by others (of an earlier release) they cannot."""


async def older_of(
    connection: Connection, publisher: Publisher, due: Sequence[Due], differing: Collection[UUID]
) -> Older:
    """Return what sets of before wanted of some reports.

    Args:
        connection: In the snapshot.
        publisher: Says what the streams should hold.
        due: The reports of the page.
        differing: Those that differ by the rules of now.
    """
    looked_at: dict[UUID, datetime] = {
        row["report_id"]: row["updated_at"]
        for row in await connection.fetch(LOOKED_AT, sorted(differing))
    }
    starts = [row["effective_at"] for row in await connection.fetch(EFFECTS, MOST_SETS)]
    judged = []
    for ends_at in starts:
        reports = frozenset(each for each, at in looked_at.items() if at < ends_at)
        again = [each for each in due if each.placed.report_id in reports]
        if again:
            asked = await publisher.ask(connection, again, ends_at - _BEFORE)
            wanted = by_place(asked.wanted)
            judged.append(Judged(wanted=wanted, holds=asked.holds, reports=reports))
    versions = {row["version"] for row in await connection.fetch(VERSIONS)}
    versions |= {
        wish.decision.rule_version
        for one in judged
        for wishes in one.wanted.values()
        for wish in wishes
    }
    return Older(judged=tuple(judged), known=frozenset(versions))


def by_place(wanted: Iterable[Wanted]) -> Wishes:
    """Return wishes by report and stream."""
    found: dict[Place, list[Wanted]] = {}
    for wish in wanted:
        found.setdefault((wish.report_id, wish.stream), []).append(wish)
    return found
