"""The database, the disk of its log, and its clock; one process looks and tells."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from .declaring import Labelled, counter, gauge, gauges
from .labels import SESSION_STATES, STANDBYS, TABLES

_TOLD: Final = (
    "database_bytes", "table_bytes", "table_index_bytes", "table_rows", "table_dead_rows",
    "table_parts", "database_sessions", "database_sessions_most", "lock_waits", "lock_wait_oldest",
    "transaction_oldest", "transaction_ids_used", "clock_offset", "schema_version", "standbys",
    "standby_lag_bytes", "standby_lag_seconds", "archive_age", "archive_failing",
)  # fmt: skip
"""Gauges that one process tells for all."""
_SIZES: Final = (
    "database_bytes", "table_bytes", "table_index_bytes", "table_rows", "table_dead_rows",
    "table_parts",
)  # fmt: skip
_HIDDEN: Final = ("transaction_oldest", "standby_lag_bytes", "standby_lag_seconds")
"""What a role without pg_monitor reads as 0. How many standbys there are it is shown."""


class DatabaseMetrics:
    """The database: sizes, sessions, locks, standbys, archive; one api process looks and tells."""

    def __init__(self) -> None:
        super().__init__()
        self.database_watched = gauge(
            "database_watched",
            "1 in the process that looks at the database for all; 0 in sum: nobody does",
            mode="livesum",
        )
        self._of_tables()
        self._of_sessions()
        self._of_copies()

    def database_is_unknown(self) -> None:
        """Take back what was told: another process looks now, or nobody can."""
        self.database_watched.set(0)
        self._are_unknown(_TOLD)

    def sizes_are_unknown(self) -> None:
        """Take sizes back: they could not be read."""
        self._are_unknown(_SIZES)

    def hidden_is_unknown(self) -> None:
        """Take back what this role is not shown."""
        self._are_unknown(_HIDDEN)

    def _are_unknown(self, names: Iterable[str]) -> None:
        for name in names:
            figure = getattr(self, name)
            for each in figure.told() if isinstance(figure, Labelled) else [figure]:
                each.set(float("nan"))

    def _of_tables(self) -> None:
        self.database_bytes = gauge(
            "database_bytes", "Size of the whole database", mode="livemostrecent"
        )
        self.table_bytes = gauges(
            "table_bytes",
            "Size of a table with all its parts, without indexes",
            mode="livemostrecent",
            table=TABLES,
        )
        self.table_index_bytes = gauges(
            "table_index_bytes",
            "Size of the indexes of a table and its parts",
            mode="livemostrecent",
            table=TABLES,
        )
        self.table_rows = gauges(
            "table_live_rows",
            "Rows of a table, as the server estimates",
            mode="livemostrecent",
            table=TABLES,
        )
        self.table_dead_rows = gauges(
            "table_dead_rows",
            "Rows that nobody sees any more and whose room is not free yet: bloat to come",
            mode="livemostrecent",
            table=TABLES,
        )
        self.table_parts = gauges(
            "table_parts", "Parts of a table; 1: it has none", mode="livemostrecent", table=TABLES
        )

    def _of_sessions(self) -> None:
        self.database_sessions = gauges(
            "database_sessions",
            "Sessions of the database by what they do; of all who use it",
            mode="livemostrecent",
            state=SESSION_STATES,
        )
        self.database_sessions_most = gauge(
            "database_sessions_most", "How many there may be (max_connections)",
            mode="livemostrecent",
        )  # fmt: skip
        self.lock_waits = gauge(
            "lock_waiting_sessions", "Sessions that wait for a lock now", mode="livemostrecent"
        )
        self.lock_wait_oldest = gauge(
            "lock_wait_oldest_seconds",
            "For how long the statement that waits longest for a lock has run",
            mode="livemostrecent",
        )
        self.transaction_oldest = gauge(
            "transaction_oldest_seconds",
            "Age of the oldest open transaction: what is dead since is not cleared away",
            mode="livemostrecent",
        )
        self.transaction_ids_used = gauge(
            "transaction_ids_used_ratio",
            "Share of the transaction ids before the server refuses to write",
            mode="livemostrecent",
        )
        self.database_deadlocks = counter(
            "database_deadlocks", "Deadlocks that the server has broken, since it is looked at"
        )
        self.clock_offset = gauge(
            "database_clock_offset_seconds",
            "How far the database's clock is ahead of this process's",
            mode="livemostrecent",
        )
        self.schema_version = gauge(
            "schema_version", "The last migration that was applied", mode="livemostrecent"
        )

    def _of_copies(self) -> None:
        self.standbys = gauges(
            "standbys", "Standbys that are connected, by how they follow",
            mode="livemostrecent", how=STANDBYS,
        )  # fmt: skip
        self.standby_lag_bytes = gauge(
            "standby_lag_bytes", "Log that the farthest standby has not applied",
            mode="livemostrecent",
        )  # fmt: skip
        self.standby_lag_seconds = gauge(
            "standby_lag_seconds", "How late the farthest standby applies what it gets",
            mode="livemostrecent",
        )  # fmt: skip
        self.archive_age = gauge(
            "wal_archive_age_seconds",
            "Since the last part of the log was archived; 0 where no archive is kept",
            mode="livemostrecent",
        )
        self.archive_failing = gauge(
            "wal_archive_failing",
            "1 while the last try to archive a part of the log failed",
            mode="livemostrecent",
        )
