"""What public health should hold of pseudonyms that stand for others since a merge."""

from __future__ import annotations

from uuid import UUID

from dedup.deciding import Known
from dedup.review import Pointers
from ops.runtime.postgres import Connection
from ops.stewards.persons import Held
from ops.stewards.replacing import STANDING, Replacer
from routing.emitted import Wanted


async def renamed(connection: Connection, replacer: Replacer, known: Known) -> dict[UUID, Wanted]:
    """Return what is wanted of each replaced pseudonym that was told, by the id of its event.

    From scratch by the pointers of now. A replacement that was never told cannot be seen: what was
    used under a pseudonym is known at the moment of the merge alone.
    """
    rows = await connection.fetch(STANDING, sorted(known.ends))
    if not rows:
        return {}
    into = {start: None if start == end else end for start, end in known.ends.items()}
    held = Held(pointers=Pointers(into=into), isolated=frozenset())
    versions = dict.fromkeys(known.persons, 0)
    pairs = {(row["person_id"], row["period"]) for row in rows}
    return {each.report_id: each for each in replacer.wanted(held, versions, pairs).values()}
