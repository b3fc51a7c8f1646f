"""What keeps the hub whole: the account, copies, who watches, who ends, what is paused."""

from __future__ import annotations

from typing import Final

from ops.grafana.drawing import Drawn, rate

KEEPING: Final = (
    Drawn(
        title="Conservation: records without an ending, endings without a record",
        queries=(("max(labdispatch_account_gap_records)", "gap"),),
        unit="short",
        limit=1,
        runbook="account",
        advice="Must be 0. labdispatch account gaps names day and laboratory: drop nothing until"
        " the cause is known.",
    ),
    Drawn(
        title="Age of the account by day",
        queries=(("max(labdispatch_account_age_seconds)", "age"),),
        unit="s",
        limit=3_600,
        runbook="account",
        advice="While it is old, a gap between what came and what ended shows"
        " late: is dispatch behind?",
    ),
    Drawn(
        title="Processes that end for good, and why",
        queries=(
            (
                "max by (job, reason) (max_over_time(labdispatch_process_ending[10m]))",
                "{{job}} {{reason}}",
            ),
        ),
        unit="short",
        runbook="process-down",
        advice="No restart mends these: read the runbook of the reason before anything is started.",
    ),
    Drawn(
        title="Age of the last base backup",
        queries=(
            ("max(labdispatch_backup_age_seconds)", "age"),
            ("max(labdispatch_backup_every_seconds)", "every"),
        ),
        unit="s",
        runbook="backup-old",
        advice="Twice as old as it is taken is too old. every 0: this hub takes none itself.",
    ),
    Drawn(
        title="Log that is on this machine alone",
        queries=(("max(labdispatch_wal_archive_lag_bytes)", "not archived"),),
        unit="bytes",
        limit=67_108_864,
        runbook="backup-old",
        advice="With this disk that much would be lost: is the archive's disk away, full or slow?",
    ),
    Drawn(
        title="Pauses: how many, and for how long the oldest",
        queries=(
            ("max(labdispatch_pauses_forgotten)", "forgotten"),
            ("max(labdispatch_pause_oldest_seconds)", "oldest, seconds"),
        ),
        unit="short",
        runbook="pauses",
        advice="labdispatch pauses says since when, by whom and why. Results do not go where they"
        " should meanwhile.",
    ),
    Drawn(
        title="Who watches the database",
        queries=(("sum(labdispatch_database_watched)", "processes"),),
        unit="short",
        limit=1,
        is_bad_below=True,
        runbook="database-unwatched",
        advice="Exactly one. At 0 alerts on standby, archive, transactions and clock see nothing.",
    ),
    Drawn(
        title="Spans of traces, by what became of them",
        queries=rate("trace_spans", "outcome"),
        unit="ops",
        runbook="traces-lost",
        advice="failed: the collector does not take them. dropped: there was no room; raise"
        " LABDISPATCH_TRACES_QUEUE or lower LABDISPATCH_TRACES_RATIO. No message waits for it.",
    ),
)
