"""What people mend: the account by day, parked messages, ranges done again, pauses."""

from __future__ import annotations

from .declaring import counter, counters, gauge, gauges
from .labels import PARKED_ACTS, PAUSED_THINGS


class MendingMetrics:
    """What people mend: the account by day, parked messages, ranges done again, pauses."""

    def __init__(self) -> None:
        super().__init__()
        self.draining = gauge(
            "draining",
            "Processes that were told to stop and still answer what they have",
            mode="livesum",
        )
        self.account_gap = gauge(
            "account_gap_records",
            "Records without an ending, or endings without a record, that nobody has noted",
            mode="livemostrecent",
        )
        self.account_behind = gauge(
            "account_behind_records",
            "Records with an ending that the account by day has not counted yet",
            mode="livemostrecent",
        )
        self.account_age = gauge(
            "account_age_seconds",
            "How long ago was accepted what the account by day has not counted yet, at most",
            mode="livemostrecent",
        )
        self.account_records = counter(
            "account_records", "Records that the account by day has counted"
        )
        self.account_reports = counter(
            "account_reports", "Daily reports of laboratories that were written"
        )
        self.account_reports_due = gauge(
            "account_reports_due",
            "Daily reports of laboratories still to be written",
            mode="livemostrecent",
        )
        self.parked_acts = counters(
            "parked_acts", "Parked messages by what a person did with them", what=PARKED_ACTS
        )
        self.replay_looked = counter(
            "replay_looked_records", "Records of ranges that were held against today"
        )
        self.replayed = counter(
            "replayed_records", "Records of ranges that were put into the log again"
        )
        self.paused = gauges(
            "paused",
            "Streams, laboratories and receivers that wait because a person said so",
            mode="livemostrecent",
            what=PAUSED_THINGS,
        )
        self.pause_age = gauge(
            "pause_oldest_seconds", "For how long the oldest pause has lasted",
            mode="livemostrecent",
        )  # fmt: skip
        self.pauses_forgotten = gauge(
            "pauses_forgotten",
            "Pauses that last longer than `pause_forgotten_seconds`",
            mode="livemostrecent",
        )
