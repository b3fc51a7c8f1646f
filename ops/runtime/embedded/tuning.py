"""The settings of the embedded PostgreSQL, as `-c` arguments: nothing in a file can undo them.

Pure: arithmetic over names and values.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from schemas.errors import FatalError

# Without these an acknowledgement would not mean durable.
PROMISES: Mapping[str, str] = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}

_SETTINGS: Mapping[str, str] = {
    **PROMISES,
    # One transaction of the dispatch worker takes up to 2,000 advisory locks.
    "max_locks_per_transaction": "1024",
    "max_connections": "200",
    "wal_compression": "pglz",  # this build has neither lz4 nor zstd
    "wal_buffers": "16MB",
    "max_wal_size": "4GB",
    "min_wal_size": "256MB",
    "checkpoint_timeout": "15min",
    "checkpoint_completion_target": "0.9",
    "work_mem": "16MB",
    "maintenance_work_mem": "128MB",
    "random_page_cost": "1.1",
    "jit": "off",
    # A container's /dev/shm may be 64 MB, too small for parallel hash tables.
    "max_parallel_workers_per_gather": "0",
    "max_parallel_maintenance_workers": "0",
    # Almost every table only grows: freeze and map visibility early, in small steps.
    "autovacuum_naptime": "15s",
    "autovacuum_vacuum_scale_factor": "0.05",
    "autovacuum_vacuum_insert_scale_factor": "0.05",
    "autovacuum_analyze_scale_factor": "0.02",
    "autovacuum_vacuum_cost_limit": "2000",
    "restart_after_crash": "on",
    "password_encryption": "scram-sha-256",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # Personal data fails closed. At level `log` PostgreSQL writes LOG, FATAL and PANIC, but no
    # ERROR of a session, whose text can quote a value ("invalid input syntax for ...").
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_statement": "none",
    "log_min_duration_statement": "-1",
    "log_min_duration_sample": "-1",
    "log_temp_files": "-1",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
    "log_line_prefix": "%m [%p] ",
    "logging_collector": "on",
    "log_destination": "stderr",
    "log_filename": "postgres-%Y%m%d-%H%M%S.log",
    "log_file_mode": "0600",
    "log_rotation_size": "8MB",
    "log_rotation_age": "1d",
}

# Scram alone, for every role and for replication: no local user is trusted, not even the owner.
HBA = """\
# Written at every start.
local all all scram-sha-256
local replication all scram-sha-256
host all all 127.0.0.1/32 scram-sha-256
"""


def arguments(
    *,
    home: Path,
    socket: Path,
    name: str,
    port: int,
    listen: bool,
    shared_buffers_mb: int,
    extra: Mapping[str, str],
    allow_unsafe: bool = False,
) -> list[str]:
    """Give the `-c name=value` arguments of one start.

    Args:
        home: The folder that holds hba file and log folder.
        socket: The folder of the socket.
        name: `cluster_name`, which PostgreSQL shows in the title of each of its processes.
        port: The port; it also names the socket.
        listen: Whether to listen on 127.0.0.1 at all.
        shared_buffers_mb: Size of the buffer pool.
        extra: Settings that win over ours.
        allow_unsafe: For tests only: let `extra` break a promise of durability.

    Raises:
        FatalError: `unsafe_setting`: `extra` switches durability off.
    """
    for promise, kept in PROMISES.items():
        if extra.get(promise, kept) != kept and not allow_unsafe:
            raise FatalError(
                "unsafe_setting",
                f"{promise} must stay {kept}: without it an acknowledgement is not durable",
            )
    settings = {
        **_SETTINGS,
        "shared_buffers": f"{shared_buffers_mb}MB",
        **extra,
        # Not for `extra` to change: who may reach the server, and how we find its processes.
        "cluster_name": name,
        "port": str(port),
        "listen_addresses": "127.0.0.1" if listen else "",
        "unix_socket_directories": str(socket),
        "unix_socket_permissions": "0700",
        "hba_file": str(home / "pg_hba.conf"),
        "log_directory": str(home / "log"),
    }
    return [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
