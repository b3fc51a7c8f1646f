"""Indicators: what is counted, and what is published of it."""

from __future__ import annotations

from .declaring import FAST, counter, gauge, histogram


class IndicatorMetrics:
    """Indicators: what is counted, and what is published of it."""

    def __init__(self) -> None:
        super().__init__()
        self.indicator_events = counter(
            "indicator_events", "Events of public health that were counted"
        )
        self.indicator_batches = counter("indicator_batches", "Transactions that counted some")
        self.indicator_batch_seconds = histogram(
            "indicator_batch_seconds", "From reading a batch to its commit", buckets=FAST
        )
        self.indicator_lag = gauge(
            "indicator_lag_events",
            "Events of public health that are not counted yet",
            mode="livemostrecent",
        )
        self.indicator_lag_seconds = gauge(
            "indicator_lag_seconds",
            "For how long nothing was counted although there is something to count",
            mode="livemostrecent",
        )
        self.indicator_extraction = gauge(
            "indicator_extraction_number",
            "The last extraction that was published",
            mode="livemostrecent",
        )
        self.indicator_extraction_age = gauge(
            "indicator_extraction_age_seconds",
            "How old the last extraction is",
            mode="livemostrecent",
        )
        self.indicator_tables = counter(
            "indicator_tables", "Tables that were published because they had changed"
        )
        self.indicator_extraction_seconds = histogram(
            "indicator_extraction_seconds",
            "How long a portion of an extraction took",
            buckets=(1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0),
        )
        self.indicator_forgotten = counter(
            "indicator_extractions_forgotten", "Extractions that can be asked for no more"
        )
        self.indicator_rows_gone = counter(
            "indicator_rows_gone", "Rows of closed days that indicators let go"
        )
        self.indicator_closed_events = counter(
            "indicator_closed_events",
            "Events about days that are closed: figures of these do not follow them",
        )
        self.indicator_aliases = gauge(
            "indicator_aliases",
            "Replaced pseudonyms that are held in memory",
            mode="livemostrecent",
        )
