"""Infrastructure: processes, machine, database, standbys."""

from __future__ import annotations

from typing import Final

from ops.grafana.drawing import Board, Drawn, quantiles, rate

from .keeping import KEEPING

PROCESSES: Final = (
    Drawn(
        title="Processes",
        queries=(
            (
                'up{job=~"ingest|inbound|dispatch|relay|push|indicators|api"}',
                "{{job}} {{instance}}",
            ),
        ),
        unit="bool",
        runbook="process-down",
        advice="Down: read the last line of its log, event station_ended, with reason and remedy.",
    ),
    Drawn(
        title="Errors by station and reason",
        queries=rate("errors", "station", "reason"),
        unit="ops",
        runbook="process-down",
        advice="Classified, none lost. Short spikes mend themselves (database or broker"
        " restarted). A steady line: its reason is the event to look for in the log of"
        " that station.",
    ),
)


MACHINE: Final = (
    Drawn(
        title="Processors used",
        queries=(
            ("sum by (job) (rate(labdispatch_cpu_seconds_total[$__rate_interval]))", "{{job}}"),
        ),
        unit="short",
        runbook="append-slow",
        advice="How many processors the hub's own processes use. Near what the machine has,"
        " answers get slow first: take load away (exports, replays), or move a process.",
    ),
    Drawn(
        title="Memory",
        queries=(
            ("sum by (job, instance) (labdispatch_resident_memory_bytes)", "{{job}} {{instance}}"),
            ("max(labdispatch_resident_memory_largest_bytes)", "largest process"),
        ),
        unit="bytes",
        runbook="process-down",
        advice="Flat after an hour. A steady rise over days: report it, and restart that"
        " process at a quiet hour; a restart loses nothing.",
    ),
    Drawn(
        title="Open files of the process that has most",
        queries=(("max by (job, instance) (labdispatch_open_files)", "{{job}} {{instance}}"),),
        unit="short",
        runbook="process-down",
        advice="A connection is one. Near LimitNOFILE of the unit new connections fail: raise"
        " it, or find who opens so many (connections, readers).",
    ),
    Drawn(
        title="Event loop: how late",
        queries=quantiles("loop_lag_seconds"),
        unit="s",
        limit=0.25,
        runbook="slo-ack",
        advice="What everybody waits beside his own. High: no processor, or one large message"
        " or file keeps a process; *doors and laboratories* shows large files.",
    ),
    Drawn(
        title="Stops by Python's collector",
        queries=(
            ("max by (job, instance) (labdispatch_collector_longest_seconds)", "longest {{job}}"),
            ("sum(rate(labdispatch_collector_seconds_total[$__rate_interval]))", "share of time"),
        ),
        unit="s",
        limit=0.1,
        runbook="slo-ack",
        advice="A long stop is a late answer. Grows with memory: see 'Memory'.",
    ),
    Drawn(
        title="Room on the disk of the data folder",
        queries=(
            ("min by (job, instance) (labdispatch_disk_free_bytes < +Inf)", "{{job}} {{instance}}"),
            ('max(labdispatch_limit{limit="disk"})', "doors close"),
        ),
        unit="bytes",
        runbook="disk",
        advice="Doors close at the lower line, or at a tenth of the disk. Falls steadily: what"
        " grows ('Tables'), is a purge overdue, does somebody else write there?",
    ),
)

DATABASE: Final = (
    Drawn(
        title="Tables: the largest, with their indexes",
        queries=(
            (
                (
                    "topk(12, max by (table)"
                    " (labdispatch_table_bytes + labdispatch_table_index_bytes))"
                ),
                "{{table}}",
            ),
            ("max(labdispatch_database_bytes)", "whole database"),
        ),
        unit="bytes",
        runbook="disk",
        advice="Tables of the log and of streams grow with the days that are kept, then stand."
        " One that goes on growing: retention does not reach it.",
    ),
    Drawn(
        title="Rows that are dead and not cleared away",
        queries=(("topk(12, max by (table) (labdispatch_table_dead_rows))", "{{table}}"),),
        unit="short",
        runbook="database-slow",
        advice="Saw teeth are as they should be. One that only rises: a transaction has been"
        " open for long (beside), or autovacuum does not keep up.",
    ),
    Drawn(
        title="Oldest transaction, longest wait for a lock",
        queries=(
            ("max(labdispatch_transaction_oldest_seconds)", "oldest transaction"),
            ("max(labdispatch_lock_wait_oldest_seconds)", "longest wait for a lock"),
        ),
        unit="s",
        limit=60,
        runbook="database-slow",
        advice="Somebody holds what others wait for: pg_stat_activity names the session; a"
        " session by hand or an export may be ended.",
    ),
    Drawn(
        title="Sessions by what they do",
        queries=(
            ("max by (state) (labdispatch_database_sessions)", "{{state}}"),
            ("max(labdispatch_lock_waiting_sessions)", "wait for a lock"),
            ("max(labdispatch_database_sessions_most)", "most there may be"),
        ),
        unit="short",
        runbook="database-slow",
        advice="Near the most there may be, starts fail. Many that wait: see the panel beside.",
    ),
    Drawn(
        title="Connections of the pools, and how long one is waited for",
        queries=(
            ("sum by (state) (labdispatch_pool_connections)", "{{state}}"),
            (
                quantiles("pool_acquire_seconds")[1][0],
                "p99 of waiting, s",
            ),
        ),
        unit="short",
        runbook="database-slow",
        advice="All used and waited for: the database is slow, or LABDISPATCH_POOL_CONNECTIONS"
        " is too small for this machine.",
    ),
    Drawn(
        title="Standbys: how far behind",
        queries=(
            ("max(labdispatch_standby_lag_seconds)", "seconds behind"),
            ("sum(max by (how) (labdispatch_standbys))", "standbys"),
        ),
        unit="short",
        limit=30,
        runbook="standby",
        advice="Every commit waits for the synchronous standby. None: commits wait for ever;"
        " late: its disk or the network. Embedded has none: 0.",
    ),
    Drawn(
        title="Archive of the log, and transaction ids",
        queries=(
            ("max(labdispatch_wal_archive_age_seconds)", "since the last part was archived, s"),
            ("max(labdispatch_wal_archive_failing)", "archiving fails"),
            ("max(labdispatch_transaction_ids_used_ratio)", "share of transaction ids used"),
        ),
        unit="short",
        runbook="standby",
        advice="Failing: parts of the log pile up on the disk; mend the archive's folder. Ids"
        " near 1: autovacuum is held up, see 'Oldest transaction'.",
    ),
    Drawn(
        title="Clock of the database against ours",
        # As the alert counts it: a database that is behind is as wrong as one that is ahead.
        queries=(("max(abs(labdispatch_database_clock_offset_seconds))", "off by"),),
        unit="s",
        limit=2,
        runbook="clock",
        advice="More than a second: a machine has lost its time server. Ages, quotas and rules"
        " go by these clocks: mend it before anything else.",
    ),
)

BOARD: Final = Board(
    uid="labdispatch-infrastructure",
    title="labdispatch: infrastructure",
    about="Processes, machine, database, standbys: what the road stands on.",
    rows=(
        ("Processes", PROCESSES),
        ("Machine", MACHINE),
        ("Database", DATABASE),
        ("What keeps it whole", KEEPING),
    ),
)
