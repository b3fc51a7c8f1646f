"""Every metric, declared once, with a help text; labels come from closed sets.

Where several processes run under one supervisor their figures come together in a folder
(prometheus_client's multiprocess mode), and `/metrics` of the api process gives them all.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections import Counter as Counted
from typing import Final, Generic, TypeVar

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    start_http_server,
)
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import REGISTRY

from .settings import metrics_folder

_FAST: Final = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.035, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
GATHERED_SECONDS: Final = 0.25
_MAX_VALUES: Final = 10_000
_SIZES: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000)


M = TypeVar("M", Counter, Gauge)


class Labelled(Generic[M]):
    """A metric with labels, each combination looked up once: label values are closed sets."""

    def __init__(self, metric: M) -> None:
        self.metric: M = metric
        self._children: dict[tuple[str, ...], M] = {}

    def labels(self, *values: str) -> M:
        """Return the figure of these label values."""
        child = self._children.get(values)
        if child is None:
            child = self._children[values] = self.metric.labels(*values)
        return child


class Seconds(Histogram):
    """A histogram that takes many values at once."""

    def observe_all(self, values: list[float]) -> None:
        """Take values as `observe` takes each."""
        found = Counted(bisect_left(self._upper_bounds, value) for value in values)
        for bucket, times in found.items():
            self._buckets[bucket].inc(times)
        self._sum.inc(sum(values))


class Gathered:
    """Figures of a hot path: counted in memory, given to the shared figures together.

    One of ours costs a lock, a look at the process id and two writes into a shared file, and a
    message at the door has ten. They are given a moment after the first (`GATHERED_SECONDS`), at
    once outside of an event loop; a process that is killed takes that moment's with it. Bounded by
    the figures there are, and by `_MAX_VALUES`.
    """

    def __init__(self) -> None:
        self._counts: dict[Counter, float] = {}
        self._values: dict[Seconds, list[float]] = {}
        self._giving: asyncio.AbstractEventLoop | None = None
        """The loop that will give them, while it is due."""

    def add(self, figure: Counter, amount: float = 1) -> None:
        """Count, as `inc` does."""
        self._counts[figure] = self._counts.get(figure, 0) + amount
        if self._giving is None or self._giving.is_closed():
            self._give_soon()

    def observe(self, figure: Seconds, value: float) -> None:
        """Take a value, as `observe` does."""
        values = self._values.setdefault(figure, [])
        values.append(value)
        if len(values) >= _MAX_VALUES:
            self.give()
        elif self._giving is None or self._giving.is_closed():
            self._give_soon()

    def give(self) -> None:
        """Give what has come together."""
        counts, self._counts = self._counts, {}
        values, self._values = self._values, {}
        self._giving = None
        for figure, amount in counts.items():
            figure.inc(amount)
        for histogram, found in values.items():
            histogram.observe_all(found)

    def _give_soon(self) -> None:
        try:
            self._giving = asyncio.get_running_loop()
        except RuntimeError:
            self.give()
        else:
            self._giving.call_later(GATHERED_SECONDS, self.give)


class Metrics:
    """The table of metrics. Attribute names are ours, metric names the operators'."""

    def __init__(self) -> None:
        name = "labdispatch"
        self._of_files_and_topics(name)
        # -- doors
        self.connections = Gauge(
            f"{name}_connections", "MLLP connections open now", multiprocess_mode="livesum"
        )
        self.received_bytes = Counter(f"{name}_received_bytes", "Bytes read from laboratories")
        self.frames = Labelled(
            Counter(
                f"{name}_frames",
                "MLLP frames by what became of them: whole, cut, oversize, ...",
                ["what"],
            )
        )
        self.answers = Labelled(
            Counter(f"{name}_answers", "Messages by verdict at the door (AA, AE, AR)", ["code"])
        )
        self.findings = Labelled(
            Counter(f"{name}_findings", "Findings at the door by code and level", ["code", "level"])
        )
        self.closed = Labelled(
            Counter(
                f"{name}_connections_closed", "Connections the hub closed, by reason", ["reason"]
            )
        )
        self.tls_refused = Labelled(
            Counter(
                f"{name}_tls_handshakes_refused",
                "TLS handshakes that failed, by door and reason; the peer is told nothing",
                ["door", "reason"],
            )
        )
        self.tls_handshaking = Gauge(
            f"{name}_tls_handshakes_open",
            "TLS handshakes under way or waiting for their turn",
            multiprocess_mode="livesum",
        )
        self.tls_handshake_seconds = Histogram(
            f"{name}_tls_handshake_seconds",
            "From a connection to the end of its TLS handshake",
            buckets=_FAST,
        )
        self.tls_reloads = Labelled(
            Counter(
                f"{name}_tls_reloads",
                "TLS files read again after a change, by door and whether they fitted",
                ["door", "result"],
            )
        )
        self.foreign_facilities = Counter(
            f"{name}_foreign_facilities",
            "Messages refused because their sender may not speak for their facility",
        )
        self.limit_hits = Labelled(
            Counter(f"{name}_limit_hits", "How often a bound was reached, by bound", ["limit"])
        )
        self.ack_seconds = Seconds(
            f"{name}_ack_seconds", "From a whole frame to its answer", buckets=_FAST
        )
        self.append_batch = Histogram(
            f"{name}_append_batch_records", "Records of one append", buckets=_SIZES
        )
        self.append_seconds = Histogram(
            f"{name}_append_seconds", "One append, until durable", buckets=_FAST
        )
        self.door_closed = Gauge(
            f"{name}_door_closed",
            "1 while every message is answered AR 207 (disk low, log away, backlog old)",
            multiprocess_mode="livemax",
        )
        self.oldest_unread_seconds = Gauge(
            f"{name}_oldest_unread_seconds",
            "Age of the oldest record in the intake log that dispatch has not handled",
            multiprocess_mode="livemax",
        )
        self.log_retention_seconds = Gauge(
            f"{name}_log_retention_seconds",
            "How long the intake log keeps a record: the setting, or what the topic has, if less",
            multiprocess_mode="livemin",
        )
        # Of all processes the least counts, and most of them know nothing of it.
        self.log_retention_seconds.set(float("inf"))
        self.held_connections = Gauge(
            f"{name}_held_connections",
            "Connections not read for a while because their laboratory was over a limit",
            multiprocess_mode="livesum",
        )
        self.over_quota = Gauge(
            f"{name}_laboratories_over_quota",
            "Laboratories that have used up their quota of the day",
            multiprocess_mode="livemax",
        )
        # -- the register of laboratories
        self.register_age = Gauge(
            f"{name}_register_age_seconds",
            "Since the register was last read from the database; the oldest copy of all doors",
            multiprocess_mode="livemax",
        )
        self.register_snapshot_age = Gauge(
            f"{name}_register_snapshot_age_seconds",
            "Since the register was last written to disk (cluster); the oldest of all doors",
            multiprocess_mode="livemax",
        )
        self.certificate_days = Gauge(
            f"{name}_certificate_soonest_days",
            "Days until the first laboratory has no certificate that holds; +Inf: none has one",
            multiprocess_mode="livemostrecent",
        )
        self.certificates = Labelled(
            Gauge(
                f"{name}_certificate_laboratories",
                "Laboratories by when their last certificate ends",
                ["ends"],
                multiprocess_mode="livemostrecent",
            )
        )
        # -- dispatch
        self.outcomes = Labelled(
            Counter(f"{name}_outcomes", "Messages by ending and reason", ["ending", "reason"])
        )
        self.batch_messages = Histogram(
            f"{name}_dispatch_batch_messages", "Records of one dispatch batch", buckets=_SIZES
        )
        self.batch_seconds = Histogram(
            f"{name}_dispatch_batch_seconds", "One dispatch transaction", buckets=_FAST
        )
        self.in_to_readable_seconds = Histogram(
            f"{name}_in_to_readable_seconds",
            "From the message received to its events readable in the streams",
            buckets=_FAST,
        )
        self.decisions = Labelled(
            Counter(
                f"{name}_match_decisions",
                "Decisions about persons by verdict and rule",
                ["verdict", "rule"],
            )
        )
        self._declare_persons(name)
        self.events = Labelled(
            Counter(
                f"{name}_stream_events",
                "Events written to the outbox by stream and kind",
                ["stream", "kind"],
            )
        )
        self.fence_losses = Counter(
            f"{name}_fence_losses", "Batches given up because another worker went on"
        )
        self.bisections = Counter(f"{name}_bisections", "Batches split to find a culprit")
        self.lag = Gauge(
            f"{name}_lag_records",
            "Records in the intake log that dispatch has not handled",
            multiprocess_mode="livemostrecent",
        )
        self.parked = Gauge(
            f"{name}_parked_records",
            "Parked messages that nobody has resolved",
            multiprocess_mode="livemostrecent",
        )
        # -- relay and api
        self.relay_events = Labelled(
            Counter(f"{name}_relay_events", "Events published to Kafka by stream", ["stream"])
        )
        self.relay_again = Labelled(
            Counter(
                f"{name}_relay_again_events",
                "Events that a topic had lost and gets again, by stream",
                ["stream"],
            )
        )
        self.relay_lag = Labelled(
            Gauge(
                f"{name}_relay_lag_events",
                "Events of the outbox not yet in Kafka, by stream",
                ["stream"],
                multiprocess_mode="livemostrecent",
            )
        )
        self.api_requests = Labelled(
            Counter(
                f"{name}_api_requests", "HTTP requests by route and status", ["route", "status"]
            )
        )
        self.stream_events_served = Labelled(
            Counter(f"{name}_stream_events_served", "Events read over HTTP by stream", ["stream"])
        )
        self._declare_readers(name)
        self._declare_following(name)
        # -- all
        self.errors = Labelled(
            Counter(
                f"{name}_errors", "Classified errors by station and reason", ["station", "reason"]
            )
        )

    def _of_files_and_topics(self, name: str) -> None:
        self.files = Labelled(
            Counter(f"{name}_files", "Files by what became of them: done, refused, waits", ["what"])
        )
        self.file_messages = Labelled(
            Counter(f"{name}_file_messages", "Messages of files by answer", ["code"])
        )
        self.file_findings = Labelled(
            Counter(f"{name}_file_findings", "Findings on files by code", ["code"])
        )
        self.files_reading = Gauge(
            f"{name}_files_reading", "Files being read now", multiprocess_mode="livesum"
        )
        self.files_oldest_seconds = Gauge(
            f"{name}_files_oldest_seconds",
            "For how long the oldest file has been without its whole answer",
            multiprocess_mode="livemax",
        )
        self.inbound_records = Labelled(
            Counter(
                f"{name}_inbound_records",
                "Records of inbound topics by what became of them: AA, AE, parked",
                ["what"],
            )
        )
        self.inbound_parks = Labelled(
            Counter(f"{name}_inbound_parks", "Inbound records parked, by reason", ["reason"])
        )
        self.inbound_parked = Gauge(
            f"{name}_inbound_parked_records",
            "Parked inbound records that nobody has resolved",
            multiprocess_mode="livemostrecent",
        )
        self.inbound_lag = Labelled(
            Gauge(
                f"{name}_inbound_lag_records",
                "Records of inbound topics not taken yet, by topic; told by the one that reads",
                ["topic"],
                multiprocess_mode="livemostrecent",
            )
        )
        self.inbound_reading = Gauge(
            f"{name}_inbound_reading",
            "1 in the process whose turn it is to read inbound topics",
            multiprocess_mode="livesum",
        )

    def _declare_stewards(self, name: str) -> None:
        """Changes of identities and the review queue."""
        self.steward_acts = Labelled(
            Counter(f"{name}_steward_acts", "Changes of identities committed, by act", ["act"])
        )
        self.reemitted_reports = Counter(
            f"{name}_reemitted_reports", "Reports held against the streams again after a change"
        )
        self.unreadable_reports = Counter(
            f"{name}_unreadable_reports",
            "Reports whose person changed and that can be read no more",
        )
        self.reemission_due = Gauge(
            f"{name}_reemission_due_persons",
            "Persons whose reports are still to be held against the streams again",
            multiprocess_mode="livemostrecent",
        )
        self.holds = Labelled(
            Gauge(
                f"{name}_holds",
                "Reports for which a stream waits, by stream and reason; up to"
                " LABDISPATCH_HOLD_COUNTED",
                ["stream", "reason"],
                multiprocess_mode="livemostrecent",
            )
        )
        self.hold_age = Labelled(
            Gauge(
                f"{name}_hold_oldest_seconds",
                "Age of the oldest hold, by stream and reason; 0 where nothing waits",
                ["stream", "reason"],
                multiprocess_mode="livemostrecent",
            )
        )
        self.hold_limit = Labelled(
            Gauge(
                f"{name}_hold_limit_seconds",
                "How old a hold may grow before it alerts, by reason",
                ["reason"],
                multiprocess_mode="livemostrecent",
            )
        )
        self.hold_releases = Labelled(
            Counter(
                f"{name}_hold_releases",
                "Holds that a person released, by stream and reason",
                ["stream", "reason"],
            )
        )
        self.opposition_lines = Labelled(
            Counter(
                f"{name}_opposition_lines",
                "Lines of batches of oppositions, by what became of them",
                ["result"],
            )
        )
        self.hold_retries = Counter(
            f"{name}_hold_retries", "Replays asked for because a report waits"
        )
        self.review_open = Labelled(
            Gauge(
                f"{name}_review_open_items",
                "Review items that wait for a steward, by guard and priority",
                ["guard", "priority"],
                multiprocess_mode="livemostrecent",
            )
        )
        self.review_age = Gauge(
            f"{name}_review_oldest_seconds",
            "Age of the oldest review item that waits and was not put off",
            multiprocess_mode="livemostrecent",
        )
        self.review_withheld = Labelled(
            Counter(
                f"{name}_review_items_withheld",
                "Review items not opened because their share of records was used up, by priority",
                ["priority"],
            )
        )

    def _declare_persons(self, name: str) -> None:
        self._declare_cases(name)
        self._declare_stewards(name)
        self._declare_push(name)
        self._declare_indicators(name)
        self._declare_mending(name)
        self.capped_lookups = Counter(
            f"{name}_capped_lookups", "Candidate look-ups cut at their bound"
        )
        self.capped_aliases = Counter(
            f"{name}_capped_aliases", "Persons compared by a part of their sets of traits"
        )
        self.hot_keys = Counter(
            f"{name}_hot_keys", "Keys that were narrowed because too many persons share them"
        )
        self.narrowings_cut = Counter(
            f"{name}_narrowings_cut", "Keys narrowed for a part of the persons that share them"
        )
        self.second_lookups = Counter(
            f"{name}_second_lookups", "Batches that asked for all wide keys after all"
        )
        self.rekeyed_persons = Counter(
            f"{name}_rekeyed_persons", "Persons that were given keys of a new version"
        )
        self.gained_ins = Counter(
            f"{name}_gained_ins", "Persons that were known and gained their first qualified INS"
        )

    def _declare_following(self, name: str) -> None:
        self.stream_followers = Labelled(
            Gauge(
                f"{name}_stream_followers",
                "Readers that follow a stream over HTTP now, by stream",
                ["stream"],
                multiprocess_mode="livesum",
            )
        )
        self.stream_tail_bytes = Labelled(
            Gauge(
                f"{name}_stream_tail_bytes",
                "Bytes of the newest events kept in memory for those who follow, by stream",
                ["stream"],
                multiprocess_mode="livesum",
            )
        )
        self.stream_fell_behind = Labelled(
            Counter(
                f"{name}_stream_fell_behind",
                "How often a follower was slower than what the tail keeps, by stream",
                ["stream"],
            )
        )
        self.stream_reads_ended = Labelled(
            Counter(
                f"{name}_stream_reads_ended",
                "Reads of a stream over HTTP by stream and why they ended: whole, gone, unread,"
                " stopping, or the reason of an error",
                ["stream", "reason"],
            )
        )

    def _declare_readers(self, name: str) -> None:
        """Those who read streams over HTTP, and their tokens."""
        self.stream_admissions = Labelled(
            Counter(
                f"{name}_stream_admissions",
                "Reads of streams over HTTP by what became of them: admitted, or why not",
                ["stream", "what"],
            )
        )
        self.stream_readers = Labelled(
            Gauge(
                f"{name}_stream_readers",
                "Reads of streams under way, by stream",
                ["stream"],
                multiprocess_mode="livesum",
            )
        )
        self.stream_tokens = Gauge(
            f"{name}_stream_tokens",
            "Tokens of readers that are not revoked",
            multiprocess_mode="livemostrecent",
        )
        self.stream_token_days = Gauge(
            f"{name}_stream_token_soonest_days",
            "Days until the first token of a reader ends; +Inf: none will",
            multiprocess_mode="livemostrecent",
        )
        self.stream_audit_waiting = Gauge(
            f"{name}_stream_audit_waiting_entries",
            "Ends of reads of names that are not in the audit chain yet",
            multiprocess_mode="livesum",
        )

    def _declare_push(self, name: str) -> None:
        """Receivers that are pushed to; their names are few and chosen by operators."""
        receiver = ["receiver"]
        self.push_deliveries = Labelled(
            Counter(
                f"{name}_push_deliveries",
                "Answers of receivers by what they mean: accepted, transient, permanent",
                ["receiver", "outcome"],
            )
        )
        self.push_ended = Labelled(
            Counter(
                f"{name}_push_ended",
                "Deliveries that ended, by ending: accepted, dead, superseded",
                ["receiver", "ending"],
            )
        )
        self.push_seconds = Histogram(
            f"{name}_push_seconds", "From sending an event to its answer", buckets=_FAST
        )
        self.push_in_flight = Labelled(
            Gauge(f"{name}_push_in_flight_events", "Events under way", receiver,
                  multiprocess_mode="livesum")
        )  # fmt: skip
        self.push_waiting = Labelled(
            Gauge(
                f"{name}_push_waiting_events",
                "Events that a receiver has not taken: taken from the outbox, and still in it",
                receiver,
                multiprocess_mode="livemostrecent",
            )
        )
        self.push_oldest = Labelled(
            Gauge(
                f"{name}_push_oldest_seconds",
                "For how long the oldest event taken from the outbox waits for its receiver",
                receiver,
                multiprocess_mode="livemostrecent",
            )
        )
        self.push_failing = Labelled(
            Gauge(
                f"{name}_push_failing_seconds",
                "For how long a receiver has given no good answer to anything",
                receiver,
                multiprocess_mode="livemostrecent",
            )
        )
        self.push_dead = Labelled(
            Gauge(f"{name}_push_dead_letters", "Dead letters that wait for a person", receiver,
                  multiprocess_mode="livemostrecent")
        )  # fmt: skip
        self.push_state = Labelled(
            Gauge(
                f"{name}_push_receiver_stopped",
                "1 where a receiver is not pushed to: paused, gap, trouble",
                ["receiver", "why"],
                multiprocess_mode="livemostrecent",
            )
        )
        self.push_receivers = Gauge(
            f"{name}_push_receivers", "Receivers that this process leads",
            multiprocess_mode="livesum",
        )  # fmt: skip

    def _declare_indicators(self, name: str) -> None:
        """Indicators: what is counted, and what is published of it."""
        self.indicator_events = Counter(
            f"{name}_indicator_events", "Events of public health that were counted"
        )
        self.indicator_batches = Counter(
            f"{name}_indicator_batches", "Transactions that counted some"
        )
        self.indicator_batch_seconds = Histogram(
            f"{name}_indicator_batch_seconds", "From reading a batch to its commit", buckets=_FAST
        )
        self.indicator_lag = Gauge(
            f"{name}_indicator_lag_events", "Events of public health that are not counted yet",
            multiprocess_mode="livemostrecent",
        )  # fmt: skip
        self.indicator_lag_seconds = Gauge(
            f"{name}_indicator_lag_seconds",
            "For how long nothing was counted although there is something to count",
            multiprocess_mode="livemostrecent",
        )  # fmt: skip
        self.indicator_extraction = Gauge(
            f"{name}_indicator_extraction_number", "The last extraction that was published",
            multiprocess_mode="livemostrecent",
        )  # fmt: skip
        self.indicator_extraction_age = Gauge(
            f"{name}_indicator_extraction_age_seconds", "How old the last extraction is",
            multiprocess_mode="livemostrecent",
        )  # fmt: skip
        self.indicator_tables = Counter(
            f"{name}_indicator_tables", "Tables that were published because they had changed"
        )
        self.indicator_extraction_seconds = Histogram(
            f"{name}_indicator_extraction_seconds", "How long a portion of an extraction took",
            buckets=(1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3_600.0),
        )  # fmt: skip
        self.indicator_forgotten = Counter(
            f"{name}_indicator_extractions_forgotten", "Extractions that can be asked for no more"
        )
        self.indicator_rows_gone = Counter(
            f"{name}_indicator_rows_gone", "Rows of closed days that indicators let go"
        )
        self.indicator_closed_events = Counter(
            f"{name}_indicator_closed_events",
            "Events about days that are closed: figures of these do not follow them",
        )
        self.indicator_aliases = Gauge(
            f"{name}_indicator_aliases", "Replaced pseudonyms that are held in memory",
            multiprocess_mode="livemostrecent",
        )  # fmt: skip

    def _declare_mending(self, name: str) -> None:
        """The account by day, and what is mended by hand."""
        self.account_gap = Gauge(
            f"{name}_account_gap_records",
            "Records without an ending, or endings without a record, that nobody has noted",
            multiprocess_mode="livemostrecent",
        )
        self.account_behind = Gauge(
            f"{name}_account_behind_records", "Records with an ending that are not counted yet",
            multiprocess_mode="livemostrecent",
        )  # fmt: skip
        self.account_age = Gauge(
            f"{name}_account_age_seconds",
            "How long ago was accepted what is not counted yet, at most",
            multiprocess_mode="livemostrecent",
        )
        self.account_records = Counter(f"{name}_account_records", "Records that were counted")
        self.account_reports = Counter(
            f"{name}_account_reports", "Daily reports of laboratories that were written"
        )
        self.account_reports_due = Gauge(
            f"{name}_account_reports_due", "Daily reports of laboratories still to be written",
            multiprocess_mode="livemostrecent",
        )  # fmt: skip
        self.parked_acts = Labelled(
            Counter(
                f"{name}_parked_acts",
                "What people did with parked messages: assigned, replayed, mended, discarded",
                ["what"],
            )
        )
        self.replay_looked = Counter(
            f"{name}_replay_looked_records", "Records of ranges that were held against today"
        )
        self.replayed = Counter(
            f"{name}_replayed_records", "Records of ranges that were put into the log again"
        )
        self.replay_left = Gauge(
            f"{name}_replay_left_records", "Records that a range done again has still to look at",
            multiprocess_mode="livemostrecent",
        )  # fmt: skip
        self.paused = Labelled(
            Gauge(
                f"{name}_paused",
                "Streams, laboratories and receivers that a person has paused",
                ["what"],
                multiprocess_mode="livemostrecent",
            )
        )
        self.pause_age = Gauge(
            f"{name}_pause_oldest_seconds", "For how long the oldest pause has lasted",
            multiprocess_mode="livemostrecent",
        )  # fmt: skip
        self.pauses_forgotten = Gauge(
            f"{name}_pauses_forgotten", "Pauses that last longer than is set",
            multiprocess_mode="livemostrecent",
        )  # fmt: skip

    def _declare_cases(self, name: str) -> None:
        """First and second lines (dispatch)."""
        self.capped_cases = Counter(
            f"{name}_capped_cases", "Persons with more reports than cases are looked for among"
        )
        self.second_lines = Labelled(
            Counter(
                f"{name}_second_lines",
                "Second-line reports by what became of them: attached, waits, found, left",
                ["what"],
            )
        )
        self.second_lines_waiting = Gauge(
            f"{name}_second_lines_waiting",
            "Second-line reports whose first line has not come, or was taken back",
            multiprocess_mode="livemostrecent",
        )
        self.unread_companions = Counter(
            f"{name}_unread_companions",
            "Reports whose case changed and that could be read no more: their streams stayed",
        )
        self.rule_changes = Counter(
            f"{name}_rule_changes", "Times a process went over to another set of routing rules"
        )
        self.rules_since = Gauge(
            f"{name}_rules_since_timestamp_seconds",
            "From when the set of routing rules is in effect; 0 where none was ever loaded",
            multiprocess_mode="livemostrecent",
        )


METRICS: Final = Metrics()
GATHERED: Final = Gathered()
"""Takes the figures that every message at the door has."""


def render() -> bytes:
    """Return the figures as Prometheus text: of all processes where they share a folder."""
    folder = metrics_folder()
    if folder is None:
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    MultiProcessCollector(registry, str(folder))  # type: ignore[no-untyped-call]
    return generate_latest(registry)


def serve(host: str, port: int) -> None:
    """Give this process's own `/metrics` on a port of its own; 0 = not at all."""
    if port:
        start_http_server(port, addr=host)


def forget_process(folder: str, pid: int) -> None:
    """Let the live gauges of a process that ended go; its counters stay."""
    mark_process_dead(pid, folder)  # type: ignore[no-untyped-call]
