"""Files and inbound topics."""

from __future__ import annotations

from .declaring import counters, gauge, gauges
from .labels import FILE_ANSWERS, FILES, FINDING_CODES, INBOUND, INBOUND_PARKS, INBOUND_TOPICS


class FileMetrics:
    """Files and inbound topics."""

    def __init__(self) -> None:
        super().__init__()
        self.files = counters(
            "files", "Files by what became of them: done, refused, waits", what=FILES
        )
        self.file_messages = counters(
            "file_messages", "Messages of files by answer", code=FILE_ANSWERS
        )
        self.file_findings = counters(
            "file_findings", "Findings on files by code", code=FINDING_CODES
        )
        self.files_reading = gauge("files_reading", "Files being read now", mode="livesum")
        self.files_oldest_seconds = gauge(
            "files_oldest_seconds",
            "For how long the oldest file has been without its whole answer",
            mode="livemax",
        )
        self.inbound_records = counters(
            "inbound_records",
            "Records of inbound topics by what became of them: AA, AE, parked",
            what=INBOUND,
        )
        self.inbound_parks = counters(
            "inbound_parks", "Inbound records parked, by reason", reason=INBOUND_PARKS
        )
        self.inbound_parked = gauge(
            "inbound_parked_records",
            "Parked inbound records that nobody has resolved",
            mode="livemostrecent",
        )
        self.inbound_lag = gauges(
            "inbound_lag_records",
            "Records of inbound topics not taken yet, by topic; told by the one that reads",
            mode="livemostrecent",
            topic=INBOUND_TOPICS,
        )
        self.inbound_reading = gauge(
            "inbound_reading",
            "1 in the process whose turn it is to read inbound topics",
            mode="livesum",
        )
