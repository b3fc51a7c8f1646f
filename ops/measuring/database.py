"""Looks at the database, each minute and from one process: sizes, sessions, locks, copies."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from ops.runtime.clock import Clock
from ops.runtime.logs import get_logger
from ops.runtime.metrics import METRICS
from ops.runtime.metrics.labels import SESSION_STATES, STANDBYS
from ops.runtime.postgres import Connection, connected, translated
from ops.runtime.settings import metrics_folder
from schemas.errors import HubError

from . import queries
from .top import TopLaboratories

_log = get_logger(__name__)

STATION: Final = "measuring"
_SIZES_SECONDS: Final = 60.0
_LOOK_SECONDS: Final = 10.0
"""Sizes move slowly; who waits for a lock does so within seconds."""


class DatabaseWatch:
    """Looks as long as this process is the one that does.

    Args:
        connect: How to reach the database: the session that looks is nobody else's.
        clock: This process's, which the database's is held against.
        top: Looks at the laboratories with the same session, as often as at sizes.
    """

    def __init__(
        self, connect: Mapping[str, Any], clock: Clock, top: TopLaboratories | None = None
    ) -> None:
        self._top = top
        self._connect = connect
        self._clock = clock
        self._deadlocks: int | None = None
        self._leads = False
        self._sees = True

    async def watch(self) -> None:
        """Look for ever; a database that is away is an error counted, no more."""
        # In a folder that is shared what was never told is not there, and one word of ours would
        # stand over those of the process that looks.
        if metrics_folder() is None:
            METRICS.database_is_unknown()
        while True:
            try:
                with translated():
                    async with connected(self._connect, "looking") as session:
                        await self._lead(session)
            except HubError as error:
                METRICS.errors.labels(STATION, error.reason).inc()
            finally:
                self._lead_no_more()
            await asyncio.sleep(_LOOK_SECONDS)

    async def _lead(self, session: Connection) -> None:
        """Look, if no other process does; return where one does."""
        if not await session.fetchval(queries.ALONE):
            return
        self._leads = True
        self._deadlocks = None  # those between two times of ours are another's
        METRICS.database_watched.set(1)
        await session.execute(queries.PATIENCE)
        sized_at = float("-inf")
        while True:
            await self.look(session)
            if time.monotonic() - sized_at >= _SIZES_SECONDS:
                sized_at = time.monotonic()
                await self._look_beside(session)
            await asyncio.sleep(_LOOK_SECONDS)

    def _lead_no_more(self) -> None:
        """Take back what was told, if it was this process that told it."""
        if self._leads:
            self._leads = False
            METRICS.database_is_unknown()
            if self._top is not None:
                self._top.stop()

    async def _look_beside(self, session: Connection) -> None:
        """Look at what is large, each part for itself: alerts on the database live without it."""
        if not await _done("sizes_not_read", self.look_at_sizes, session):
            METRICS.sizes_are_unknown()
        if self._top is not None:
            if not await _done("leaders_not_read", self._top.look, session):
                self._top.stop()
            await _done("hours_not_forgotten", self._top.tidy, session)

    async def look(self, session: Connection) -> None:
        """Give sessions, locks, copies and clock once."""
        asked = self._clock.now()
        there = await session.fetchval(queries.CLOCK)
        half_way = asked + (self._clock.now() - asked) / 2
        METRICS.clock_offset.set((there - half_way).total_seconds())
        state = await session.fetchrow(queries.STATE)
        METRICS.database_sessions_most.set(state["sessions_most"])
        METRICS.transaction_ids_used.set(float(state["ids_used"]))
        METRICS.schema_version.set(state["schema_version"])
        self._count_deadlocks(state["deadlocks"] or 0)
        await _look_at_sessions(session)
        await _look_at_copies(session)
        self._tell_what_is_hidden(sees=state["sees"])

    async def look_at_sizes(self, session: Connection) -> None:
        """Give the database, its tables and their indexes once."""
        METRICS.database_bytes.set(await session.fetchval(queries.SIZE))
        for row in await session.fetch(queries.TABLES):
            name = row["name"]
            METRICS.table_bytes.labels(name).set(row["bytes"])
            METRICS.table_index_bytes.labels(name).set(row["index_bytes"])
            METRICS.table_rows.labels(name).set(row["live"])
            METRICS.table_dead_rows.labels(name).set(row["dead"])
            METRICS.table_parts.labels(name).set(row["parts"])

    def _tell_what_is_hidden(self, *, sees: bool) -> None:
        """Tell as unknown what this role is not shown, and count that as an error."""
        if not sees:
            METRICS.errors.labels(STATION, "database_hidden").inc()
            METRICS.hidden_is_unknown()
            if self._sees:
                remedy = "as superuser: GRANT pg_monitor TO the role of POSTGRES_DSN"
                _log.error("database_hidden", reason="database_hidden", remedy=remedy)
        self._sees = sees

    def _count_deadlocks(self, counted: int) -> None:
        """Count those since the last look; a server whose figures began anew has none before."""
        before = counted if self._deadlocks is None else self._deadlocks
        METRICS.database_deadlocks.inc(counted - before if counted >= before else counted)
        self._deadlocks = counted


async def _done(
    reason: str, look: Callable[[Connection], Awaitable[None]], session: Connection
) -> bool:
    """Look once; count an error under a reason and say that it was not done."""
    try:
        with translated():
            await look(session)
    except HubError as error:
        METRICS.errors.labels(STATION, reason).inc()
        _log.warning("look_failed", reason=reason, error=error.reason, remedy=error.remedy)
        return False
    return True


async def _look_at_sessions(session: Connection) -> None:
    found = {row["state"]: row for row in await session.fetch(queries.SESSIONS)}
    for state in SESSION_STATES.values:
        METRICS.database_sessions.labels(state).set(found[state]["n"] if state in found else 0)
    METRICS.lock_waits.set(found["waiting"]["n"] if "waiting" in found else 0)
    METRICS.lock_wait_oldest.set(max((row["waits"] for row in found.values()), default=0.0))
    METRICS.transaction_oldest.set(max((row["oldest"] for row in found.values()), default=0.0))


async def _look_at_copies(session: Connection) -> None:
    found = {row["how"]: row for row in await session.fetch(queries.STANDBYS)}
    for how in STANDBYS.values:
        METRICS.standbys.labels(how).set(found[how]["n"] if how in found else 0)
    METRICS.standby_lag_bytes.set(max((row["bytes"] for row in found.values()), default=0.0))
    METRICS.standby_lag_seconds.set(max((row["seconds"] for row in found.values()), default=0.0))
    archive = await session.fetchrow(queries.ARCHIVE)
    METRICS.archive_age.set(archive["age"] if archive["kept"] else 0.0)
    METRICS.archive_failing.set(int(archive["kept"] and archive["failing"]))
