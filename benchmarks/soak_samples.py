"""What a long run looks at every few seconds: processes, connections, tables, WAL, folders."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from asyncpg import Pool

TABLES: Final = """
-- A partitioned table is one: what became of its parts, added up.
SELECT coalesce(pg_partition_root(s.relid), s.relid)::regclass::text AS name,
       sum(s.n_live_tup)::bigint AS live, sum(s.n_dead_tup)::bigint AS dead,
       sum(pg_table_size(s.relid))::bigint AS heap_bytes,
       sum(pg_total_relation_size(s.relid))::bigint AS all_bytes,
       sum(s.autovacuum_count)::bigint AS vacuums
FROM pg_stat_user_tables s GROUP BY 1
"""
DATABASE: Final = """
SELECT (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint AS wal_written,
       (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS connections,
       (SELECT coalesce(extract(epoch FROM max(now() - xact_start)), 0)::float8
        FROM pg_stat_activity WHERE backend_type = 'client backend') AS oldest_transaction_seconds,
       pg_database_size(current_database()) AS database_bytes
"""


def processes(roots: Mapping[str, int]) -> dict[str, dict[str, float]]:
    """Return role -> memory, handles and time of its process tree; of a tree that is gone, none.

    `anonymous_mb` is memory of its own; `resident_mb` has shared pages in it too (PostgreSQL's
    shared buffers, in each of its processes once it has touched them).
    """
    return {role: figures for role, tree in trees(roots).items() if (figures := _added(tree))}


def trees(roots: Mapping[str, int]) -> dict[str, list[int]]:
    """Return role -> pids of its process and of all below it that are no role of their own."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            parent = _parent(entry)
            if parent:
                children.setdefault(parent, []).append(int(entry.name))
    others = set(roots.values())
    found = {}
    for role, root in roots.items():
        tree, open_ = [], [root]
        while open_:
            pid = open_.pop()
            tree.append(pid)
            open_ += [child for child in children.get(pid, ()) if child not in others]
        found[role] = tree
    return found


def put_ahead(roots: Mapping[str, int], by: int) -> None:
    """Let these sessions go before those of others, each as far as `by` beside its own niceness.

    A session shares processors as one (sched(7), autogroups): the niceness of a process says
    nothing against another session's. Each backend of PostgreSQL is a session of its own.
    """
    for pid in (pid for tree in trees(roots).values() for pid in tree) if by else ():
        group, own = Path(f"/proc/{pid}/autogroup"), Path(f"/proc/{pid}/stat")
        try:
            nice = int(own.read_text().rpartition(")")[2].split()[16]) - by
            if group.read_text().split()[-1] != str(nice):
                group.write_text(str(max(-20, nice)))
        except OSError:
            continue


def _added(tree: list[int]) -> dict[str, float]:
    figures = dict.fromkeys(("processes", "anonymous_mb", "resident_mb", "fds", "threads"), 0.0)
    figures["cpu_seconds"] = 0.0
    for pid in tree:
        try:
            status = Path(f"/proc/{pid}/status").read_text()
            handles = sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
            stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        values = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
        if "VmRSS" not in values:
            continue
        figures["processes"] += 1
        figures["anonymous_mb"] += int(values["RssAnon"].split()[0]) / 1024
        figures["resident_mb"] += int(values["VmRSS"].split()[0]) / 1024
        figures["threads"] += int(values["Threads"])
        figures["fds"] += handles
        figures["cpu_seconds"] += sum(map(int, stat[11:13])) / os.sysconf("SC_CLK_TCK")
    return figures if figures["processes"] else {}


def _parent(entry: Path) -> int:
    try:
        return int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


async def database(pool: Pool) -> dict[str, Any]:
    """Return what PostgreSQL says of itself and of each table."""
    async with pool.acquire() as connection:
        tables = await connection.fetch(TABLES)
        whole = await connection.fetchrow(DATABASE)
    assert whole is not None
    return {
        **{name: float(value) for name, value in whole.items()},
        "tables": {
            row["name"]: {part: int(row[part]) for part in row.keys() if part != "name"}  # noqa: SIM118 - a Record iterates its values
            for row in tables
        },
    }


def folder_bytes(folder: Path) -> int:
    """Return how much lies in a folder, all below it together."""
    size = 0
    for path, _, names in os.walk(folder):
        for name in names:
            try:
                size += (Path(path) / name).lstat().st_size
            except OSError:
                continue
    return size


def backs_up(folder: Path) -> bool:
    """Say whether a base backup is copied; before that it waits for a checkpoint."""
    return any(folder.glob("*/.new-*/data/base"))
