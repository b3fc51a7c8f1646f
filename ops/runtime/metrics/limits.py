"""Every limit: which setting it is, and which figure says how often it was hit. Pure.

`labdispatch_limit` gives the value, under the same name as `labdispatch_limit_hits_total` the
hits; where another figure counts these already, `counted` names it. A numeric setting that nothing
can hit (how often, how much at a time, how long something is kept) stands in `NO_LIMITS`, so that
a new setting is put into one of the two: tests/unit/test_metric_table.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple


class Limit(NamedTuple):
    """One limit."""

    setting: str = ""
    """The setting that holds it; empty where it is a constant or each laboratory's own."""
    counted: str = ""
    """The figure that counts its hits, without `labdispatch_`; empty: `limit_hits_total`."""
    fixed: float | None = None
    """Its value where it is a constant."""


_OWN: Final = Limit()

LIMITS: Final[Mapping[str, Limit]] = {
    # -- doors
    "connections": Limit("max_connections"),
    "connections_per_address": Limit("max_connections_per_address"),
    "connections_per_laboratory": Limit("max_connections_per_laboratory"),
    "spare_connections": Limit("spare_connections", "limit_hits_total"),
    "accept_rate": Limit("accepts_per_second"),
    "file_descriptors": _OWN,
    "slow_handshakes": Limit("tls_handshakes_at_once"),
    "tls_handshake_seconds": Limit("tls_handshake_seconds", "tls_handshakes_refused_total"),
    "window": Limit("window_frames"),
    "window_bytes": Limit("window_bytes", "limit_hits_total"),
    "laboratory_window": Limit("laboratory_window_frames"),
    "laboratory_rate": _OWN,
    "laboratory_quota": _OWN,
    "large_frames": Limit("large_frames"),
    "large_frame_rate": Limit("large_frame_bytes_per_second"),
    "frame_bytes": Limit("max_frame_bytes", "frames_total"),
    "frame_seconds": Limit("partial_frame_seconds", "frames_total"),
    "frame_bytes_per_second": Limit("min_bytes_per_second", "frames_total"),
    "unread_answers": Limit("unread_answer_seconds", "connections_closed_total"),
    "loop": Limit("loop_repeats"),
    "first_sight": Limit("max_labs_at_first_sight"),
    "pending_registrations": Limit("registrations_at_once"),
    "foreign_facilities": _OWN,
    "disk": Limit("min_free_disk_bytes", "door_closed"),
    "log_away": Limit("log_away_seconds", "door_closed"),
    "log_margin": Limit("log_margin_seconds", "door_closed"),
    "register_snapshot": Limit("register_snapshot_seconds", "register_snapshot_age_seconds"),
    # -- making durable
    "append_queue": Limit("append_queue"),
    "append_queue_bytes": Limit("append_queue_bytes", "limit_hits_total"),
    "append_batch": Limit("append_batch", "append_batch_records"),
    "append_deadline": Limit("append_deadline_seconds", "connections_closed_total"),
    "kafka_deadline": Limit("kafka_deadline_seconds", "errors_total"),
    "pool_connections": Limit("pool_connections", "pool_acquire_seconds"),
    "figures_waiting": Limit(fixed=100_000),
    # -- HTTP
    "body": Limit("max_frame_bytes"),
    "http_connections": Limit("http_connections"),
    "http_request": Limit("http_request_seconds"),
    "idempotency_keys": Limit("http_idempotency_keys"),
    "check_waiting": _OWN,
    "check_seconds": _OWN,
    # -- files and inbound topics
    "batch_uploads": Limit("batch_uploads"),
    "batch_max_bytes": Limit("batch_max_bytes"),
    "batch_chunk_seconds": Limit("partial_frame_seconds"),
    "batch_folder_files": Limit("batch_folder_files"),
    "batch_at_once": Limit("batch_at_once"),
    "batch_window": Limit("batch_window", "files_reading"),
    "batch_share": Limit("batch_share"),
    "batch_lag": Limit("batch_lag"),
    "batch_patience": Limit("batch_patience_seconds"),
    "inbound_window": Limit("inbound_window"),
    "inbound_message": Limit("max_frame_bytes"),
    "inbound_waits": _OWN,
    "inbound_kept": Limit("inbound_kept"),
    # -- dispatch and persons
    "dispatch_batch": Limit("dispatch_batch_messages", "dispatch_batch_messages"),
    "dispatch_batch_keys": Limit("dispatch_batch_keys", "dispatch_batch_messages"),
    "case_reports": Limit("dispatch_case_reports", "capped_cases_total"),
    "software_of_a_laboratory": Limit(fixed=100),
    "unmapped_values_of_a_laboratory": Limit(fixed=500),
    "key_persons": Limit("identity_key_persons", "hot_keys_total"),
    "narrowed_persons": Limit("identity_narrowed_persons", "narrowings_cut_total"),
    "hot_keys": Limit("identity_hot_keys", "hot_keys_total"),
    "aliases": Limit("identity_aliases", "capped_aliases_total"),
    "review_share": Limit("review_share", "review_items_withheld_total"),
    "review_burst": Limit("review_burst", "review_items_withheld_total"),
    "hold_doubt": Limit("hold_doubt_seconds", "hold_oldest_seconds"),
    "hold_first_line": Limit("hold_first_line_seconds", "hold_oldest_seconds"),
    "hold_counted": Limit("hold_counted", "holds"),
    "steward_reports": Limit("steward_reports", "reemission_due_persons"),
    "steward_persons": Limit("steward_persons", "api_requests_total"),
    "opposition_lines": Limit("opposition_lines", "api_requests_total"),
    "opposition_records": Limit("opposition_records", "opposition_lines_total"),
    "traces_queue": Limit("traces_queue", "trace_spans_total"),
    # -- readers of streams
    "stream_connections": Limit("stream_connections"),
    "stream_token_connections": _OWN,
    "stream_audited_reads": Limit("stream_audited_reads_per_second"),
    "stream_quota": _OWN,
    "stream_unread": Limit("stream_unread_seconds"),
    "stream_scan": Limit("stream_scan_events"),
    "stream_tail": Limit("stream_tail_bytes", "stream_fell_behind_total"),
    "stream_database_reads": Limit("stream_database_reads", "errors_total"),
    "stream_tokens_stale": Limit("stream_token_stale_seconds", "stream_admissions_total"),
    # -- push
    "push_receivers": Limit("push_receivers", "push_receivers"),
    "push_waiting": Limit("push_waiting", "push_waiting_events"),
    "push_in_flight": Limit("push_in_flight", "push_in_flight_events"),
    "push_in_flight_bytes": Limit("push_in_flight_bytes", "push_in_flight_events"),
    "push_timeout": Limit("push_timeout_seconds", "push_deliveries_total"),
    "push_answer_bytes": Limit("push_answer_bytes", "push_deliveries_total"),
    "push_failures": Limit("push_failures", "push_ended_total"),
    "push_dead_letters": Limit("push_dead_letters", "push_receiver_stopped"),
    # -- indicators
    "indicator_answers": Limit("indicators_answers_at_once"),
    "indicator_unpacked": Limit("indicators_answer_unpacked"),
    "indicator_figures": Limit("indicators_answer_figures", "api_requests_total"),
    "indicator_delay_weeks": Limit("indicators_delay_weeks", "indicator_delay_weeks_waiting"),
    "indicator_answer_wait": Limit("indicators_answer_wait_seconds", "limit_hits_total"),
    "indicator_lag": Limit("indicators_lag_events", "indicator_lag_events"),
    "indicator_extractions": Limit(
        "indicators_extractions", "indicator_extractions_forgotten_total"
    ),
    "indicator_rows_days": Limit("indicators_rows_days", "indicator_rows_gone_total"),
    # -- retention
    "retention_lock_seconds": Limit("retention_lock_seconds", "purge_lock_waits_total"),
    "retention_days_at_once": Limit("retention_days_at_once", "errors_total"),
    "retention_tries": Limit("retention_tries", "purge_lock_waits_total"),
    # -- backups
    "wal_keep": Limit("backup_wal_keep_megabytes", "wal_archive_lag_bytes"),
}

NO_LIMITS: Final[frozenset[str]] = frozenset({
    # How the instance is laid out, and what a thing means.
    "partitions", "replication_factor", "min_insync_replicas", "ingest_processes",
    "dispatch_workers", "embedded_buffers_megabytes",
    "append_lanes", "case_window_days", "behind_the_door_nice", "mllp_port", "http_port",
    "metrics_port",
    "disclosure_threshold", "disclosure_settle_days", "disclosure_daily_from",
    "disclosure_class_below",
    "disclosure_rounding", "large_frame_bytes",
    # The account by day, and what is mended by hand.
    "account_seconds", "account_batch_records", "account_in_flight_records",
    "account_close_seconds", "account_keep_days", "account_item_days", "account_report_items",
    "account_reports_at_once", "parked_at_once", "replay_per_second", "replay_batch_messages",
    "pause_refresh_seconds", "pause_forgotten_seconds", "drain_seconds",
    # How long a command waits for what it looks at; it says so itself.
    "doctor_seconds", "look_seconds", "top_seconds",
    # Spans: how many, how often, how long one try takes.
    "traces_ratio", "traces_seconds", "traces_timeout_seconds",
    # How often, and how long an end is shown.
    "last_words_seconds",
    "tls_recheck_seconds", "tls_reload_seconds", "register_refresh_seconds", "batch_poll_seconds",
    "append_gather_seconds", "dispatch_linger_seconds", "relay_poll_seconds", "relay_note_seconds",
    "stream_heartbeat_seconds", "stream_tail_seconds", "push_poll_seconds",
    "indicators_count_seconds", "indicators_poll_seconds", "indicators_portion_seconds",
    "indicators_behind_times",
    "indicators_close_rows", "indicators_verify_rows", "indicators_answers_each",
    "indicators_extraction_seconds", "stream_token_refresh_seconds", "reemission_seconds",
    "hold_retry_seconds", "identity_rekey_rest",
    "figures_write_seconds", "figures_keep_days", "figures_top",
    "silence_score", "silence_doubt_score", "silence_short_score", "silence_least_seconds",
    "silence_days", "silence_learn_laboratories", "retention_seconds",
    # How much at a time: the rest goes on in the next turn.
    "tls_handshakes_per_turn", "turn_bytes", "turn_frames", "laboratory_turn_frames", "loop_keys",
    "relay_batch_events", "relay_batch_bytes", "indicators_batch_events", "steward_page",
    "hold_retry_page", "reemission_persons",
    "identity_rekey_persons", "identity_rekey_keys", "retention_rows", "retention_kept_rows",
    "retention_least_rows",
    # How long something is kept or waited for.
    "tls_shutdown_seconds", "limit_pause_seconds", "loop_seconds", "batch_answer_seconds",
    "batch_keep_days",
    "batch_done_days", "inbound_turn_seconds", "inbound_keep_days", "log_retention_seconds",
    "topic_names_seconds", "topic_public_health_seconds", "push_settle_seconds",
    "push_retry_seconds",
    "push_retry_cap_seconds", "push_rest_cap_seconds", "push_retry_after_cap_seconds",
    "push_keep_seconds",
    "push_secret_overlap_seconds", "shutdown_seconds", "retention_intake_days",
    "retention_names_days", "retention_public_health_days", "retention_identity_days",
    "retention_codes_days", "retention_inbox_days", "backup_every_seconds", "backup_keep",
    "backup_megabytes_per_second",
})  # fmt: skip
"""Numeric settings that nobody hits."""
