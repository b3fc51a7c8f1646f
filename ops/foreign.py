"""Who spoke for a facility that is not its own: an entry in the audit chain an hour, not a message.

A laboratory whose software names another's facility sends thousands a day. The first of an hour is
what somebody has to know; all of them are counted (`labdispatch_foreign_facilities`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from ingest.lab import Peer
from ops.runtime.clock import Clock
from ops.runtime.metrics import METRICS
from ops.runtime.postgres import Pool, translated
from schemas.errors import HubError

# Another process may have written the same entry: looked for under the lock of the chain, in its
# last stretch only.
LOCK: Final = "LOCK TABLE audit IN SHARE ROW EXCLUSIVE MODE"
NOTE: Final = """
SELECT audit_append('hub', 'facility_not_yours', $1, $2)
WHERE NOT EXISTS (
    SELECT 1 FROM audit a
    WHERE a.audit_id > (SELECT coalesce(max(m.audit_id), 0) - 10000 FROM audit m)
      AND a.action = 'facility_not_yours' AND a.subject = $1 AND a.reason = $2
      AND a.at >= date_trunc('hour', clock_timestamp())
)
"""
_NUMBER: Final = re.compile(r"[0-9]{5,20}", re.ASCII)
_HOUR: Final = 3_600


class ForeignFacilities:
    """Collects who spoke for whom, each once an hour, until it is written.

    Args:
        is_registered: Says whether a facility is one of the register.
        clock: Says which hour it is.
        max_held: The most entries of one hour; beyond, the messages are only counted.
    """

    def __init__(
        self, is_registered: Callable[[str], bool], clock: Clock, *, max_held: int = 1_000
    ) -> None:
        self._is_registered = is_registered
        self._clock = clock
        self._max_held = max_held
        self._hour = 0
        self._seen: set[tuple[str, str]] = set()
        self._due: list[tuple[str, str]] = []

    def note(self, peer: Peer, facility: str) -> None:
        """Remember that a peer spoke for a facility that is not its own."""
        hour = int(self._clock.now().timestamp()) // _HOUR
        if hour != self._hour:
            self._hour, self._seen = hour, set()
        # Free text of a sender never gets into the chain, which forgets nothing.
        is_plain = self._is_registered(facility) or _NUMBER.fullmatch(facility) is not None
        said = f"spoke for {facility}" if is_plain else "spoke for a facility nobody registered"
        entry = (f"laboratory {peer.registry_id}", said)
        if entry in self._seen:
            return
        if len(self._seen) >= self._max_held or len(self._due) >= self._max_held:
            METRICS.limit_hits.labels("foreign_facilities").inc()
            return
        self._seen.add(entry)
        self._due.append(entry)

    async def flush(self, pool: Pool) -> None:
        """Write what is due; what cannot be written now stays due."""
        due, self._due = self._due, []
        while due:
            try:
                with translated():
                    async with pool.acquire() as connection, connection.transaction():
                        await connection.execute(LOCK)
                        await connection.fetchval(NOTE, *due[0])
            except HubError as error:
                METRICS.errors.labels("foreign_facilities", error.reason).inc()
                break
            due.pop(0)
        self._due = due + self._due
