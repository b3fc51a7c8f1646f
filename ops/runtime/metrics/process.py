"""Every process: errors, limits, and how it fares on its machine."""

from __future__ import annotations

from .declaring import FAST, counter, counters, gauge, gauges, histogram, refused_labels, seconds
from .labels import (
    ENDING_REASONS,
    ERROR_REASONS,
    ERROR_STATIONS,
    LIMIT_NAMES,
    POOL_STATES,
    SPAN_OUTCOMES,
    STATIONS,
    VERSIONS,
)


class ProcessMetrics:
    """Every process: errors, limits, and how it fares on its machine."""

    def __init__(self) -> None:
        super().__init__()
        self.errors = counters(
            "errors",
            "Classified errors by station and reason",
            station=ERROR_STATIONS,
            reason=ERROR_REASONS,
        )
        self.trace_spans = counters(
            "trace_spans",
            "Spans that were sent to the collector, that it did not take, and for which there was"
            " no room",
            outcome=SPAN_OUTCOMES,
        )
        self.limit_hits = counters(
            "limit_hits", "How often a bound was reached, by bound", limit=LIMIT_NAMES
        )
        self.limit = gauges(
            "limit",
            "What a bound is set to, under the name that counts its hits; the least of all"
            " processes",
            mode="livemin",
            limit=LIMIT_NAMES,
        )
        self.ending = gauges(
            "process_ending",
            "1 in a process that ends for a reason that no restart mends, shortly before it ends",
            mode="livemax",
            station=STATIONS,
            reason=ENDING_REASONS,
        )
        self.label_values_refused = refused_labels()
        self._of_the_machine()
        self._of_the_pool()

    def _of_the_machine(self) -> None:
        self.processes = gauge("processes", "Processes that give figures now", mode="livesum")
        self.builds = gauges(
            "build_processes",
            "Processes that give figures now, by the version of the program they run",
            mode="livesum",
            version=VERSIONS,
        )
        self.resident_bytes = gauge(
            "resident_memory_bytes", "Memory that all processes hold", mode="livesum"
        )
        self.largest_resident_bytes = gauge(
            "resident_memory_largest_bytes", "Memory of the largest process", mode="livemax"
        )
        self.open_files = gauge(
            "open_files", "Open files of the process that has the most", mode="livemax"
        )
        self.cpu_seconds = counter("cpu_seconds", "Time of a processor that was used")
        self.started_at = gauge(
            "youngest_start_timestamp_seconds",
            "When the youngest process started: it moves with every restart",
            mode="livemax",
        )
        self.loop_lag_seconds = histogram(
            "loop_lag_seconds",
            "How late the event loop came to what was due: what everybody waits beside his own",
            buckets=FAST,
        )
        self.collector_seconds = counter(
            "collector_seconds", "Time in which Python's collector stopped a process"
        )
        self.collector_longest = gauge(
            "collector_longest_seconds",
            "The longest stop by Python's collector within the last minute",
            mode="livemax",
        )
        self.disk_free_bytes = gauge(
            "disk_free_bytes", "Room on the disk of the data folder", mode="livemin"
        )
        # Of all processes the least counts, and most of them do not look.
        self.disk_free_bytes.set(float("inf"))

    def _of_the_pool(self) -> None:
        self.pool_acquire_seconds = seconds(
            "pool_acquire_seconds", "How long a connection to the database was waited for"
        )
        self.pool_connections = gauges(
            "pool_connections",
            "Connections to the database, by whether somebody has them",
            mode="livesum",
            state=POOL_STATES,
        )
