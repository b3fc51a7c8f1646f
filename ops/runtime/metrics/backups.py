"""Backups of the embedded database (dispatch)."""

from __future__ import annotations

from .declaring import gauge


class BackupMetrics:
    """Backups of the embedded database (dispatch)."""

    def __init__(self) -> None:
        super().__init__()
        self.backup_age = gauge(
            "backup_age_seconds",
            "Since the last base backup ended, or since the start while there is none",
            mode="livemostrecent",
        )
        self.backup_every = gauge(
            "backup_every_seconds",
            "How often a base backup is to be taken; 0 where none is",
            mode="livemostrecent",
        )
        self.wal_archive_lag = gauge(
            "wal_archive_lag_bytes",
            "Log that is not in the archive yet: lost with this machine",
            mode="livemostrecent",
        )
