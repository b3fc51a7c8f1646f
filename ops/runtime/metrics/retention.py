"""Retention: what is of age goes (dispatch)."""

from __future__ import annotations

from .declaring import counter, counters, gauge, gauges
from .labels import PURGED_TABLES, RETENTION_CLASSES


class RetentionMetrics:
    """Retention: what is of age goes (dispatch)."""

    def __init__(self) -> None:
        super().__init__()
        self.purge_age = gauge(
            "purge_age_seconds",
            "Since all that was of age was last found gone",
            mode="livemostrecent",
        )
        self.retention_oldest = gauges(
            "retention_oldest_seconds",
            "Since the oldest day whose key is there began, by class",
            mode="livemostrecent",
            kept_as=RETENTION_CLASSES,
        )
        self.purged_keys = counters(
            "purged_keys", "Keys of days destroyed, by class", kept_as=RETENTION_CLASSES
        )
        self.purged_rows = counters(
            "purged_rows", "Rows that retention took or emptied", table=PURGED_TABLES
        )
        self.purged_partitions = counters(
            "purged_partitions", "Partitions of tables that retention took", table=PURGED_TABLES
        )
        self.purge_lock_waits = counter(
            "purge_lock_waits", "Times a purge gave way at a table's lock to others"
        )
