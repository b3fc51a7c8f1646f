"""What is asked of the database about itself; nothing here reads a row of ours."""

from __future__ import annotations

from typing import Final

ALONE: Final = "SELECT pg_try_advisory_lock(20261, 53)"
"""Held as long as the session lives: of several processes one looks."""

PATIENCE: Final = "SET lock_timeout = '1s'; SET statement_timeout = '20s'"

# Sizes are asked of the files, so they are right between two rounds of vacuum. A part that is being
# dropped is waited for no longer than the session's patience.
TABLES: Final = """
SELECT r.relname AS name,
       count(*) AS parts,
       coalesce(sum(pg_table_size(c.oid)), 0)::bigint AS bytes,
       coalesce(sum(pg_indexes_size(c.oid)), 0)::bigint AS index_bytes,
       coalesce(sum(s.n_live_tup), 0)::bigint AS live,
       coalesce(sum(s.n_dead_tup), 0)::bigint AS dead
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = current_schema()
JOIN pg_class r ON r.oid = coalesce(pg_partition_root(c.oid), c.oid)
LEFT JOIN pg_stat_user_tables s ON s.relid = c.oid
WHERE c.relkind = 'r'
GROUP BY r.relname
"""

SIZE: Final = "SELECT pg_database_size(current_database())"

CLOCK: Final = "SELECT clock_timestamp()"
"""Alone: half of what a statement takes counts as the clocks' difference."""

# Without pg_read_all_stats, which pg_monitor holds, the server shows the sessions of others and its
# standbys as rows full of NULL: nobody would be late, and no transaction old.
STATE: Final = """
SELECT pg_has_role('pg_read_all_stats', 'USAGE') AS sees,
       current_setting('max_connections')::integer AS sessions_most,
       (SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()) AS deadlocks,
       (SELECT age(datfrozenxid) FROM pg_database WHERE datname = current_database())
           / 2146483647.0 AS ids_used,
       greatest((SELECT max(version) FROM schema_migration),
                (SELECT max(version) FROM schema_expansion)) AS schema_version
"""

SESSIONS: Final = """
SELECT CASE WHEN wait_event_type = 'Lock' THEN 'waiting'
            WHEN state LIKE 'idle in transaction%' THEN 'idle_in_transaction'
            WHEN state = 'idle' THEN 'idle'
            ELSE 'active' END AS state,
       count(*) AS n,
       coalesce(max(extract(epoch FROM clock_timestamp() - xact_start)), 0)::float8 AS oldest,
       coalesce(max(extract(epoch FROM clock_timestamp() - query_start))
                FILTER (WHERE wait_event_type = 'Lock'), 0)::float8 AS waits
FROM pg_stat_activity
WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
GROUP BY 1
"""

STANDBYS: Final = """
SELECT CASE WHEN sync_state IN ('sync', 'quorum') THEN 'sync' ELSE 'async' END AS how,
       count(*) AS n,
       coalesce(max(pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)), 0)::float8 AS bytes,
       coalesce(max(extract(epoch FROM replay_lag)), 0)::float8 AS seconds
FROM pg_stat_replication
GROUP BY 1
"""

ARCHIVE: Final = """
SELECT current_setting('archive_mode') <> 'off' AS kept,
       coalesce(extract(epoch FROM clock_timestamp() - coalesce(last_archived_time, stats_reset)),
                0)::float8 AS age,
       coalesce(last_failed_time > coalesce(last_archived_time, '-infinity'), false) AS failing
FROM pg_stat_archiver
"""
