"""The database: there, durable, of this release, its clock ours, partitions made ahead of need."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from ops.bootstrap import connection_of
from ops.runtime.data_folder import DataFolder
from ops.runtime.migrate import check_schema, load_instance
from ops.runtime.postgres import Connection, check_durability, connected, translated
from ops.runtime.settings import Engine, Settings
from schemas.errors import FatalError, HubError, TransientError

from .checks import Check, advice, good, not_used, wrong

_AREA: Final = "database"
_LEAST_VERSION: Final = 160_000
_CLOCKS: Final = timedelta(seconds=2)
_SOON: Final = timedelta(days=30)
_BLOATED: Final = 0.4
_FULL: Final = 0.8

LOOK: Final = """
SELECT current_setting('server_version_num')::integer AS version,
       current_setting('server_version') AS named, clock_timestamp() AS now,
       current_setting('max_connections')::integer AS most,
       (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS sessions,
       (SELECT count(*) FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum')) AS standbys
"""
# How far the ranges of numbers reach beyond the heads (ensure_partitions).
AHEAD: Final = """
SELECT p.relname AS parent, max(substring(c.relname FROM '_r(\\d+)$')::bigint) * 1048576 AS reaches,
       coalesce(CASE WHEN p.relname IN ('intake', 'message')
                     THEN (SELECT max(next_offset) FROM intake_progress)
                     ELSE (SELECT max(last_seq) FROM stream_head) END, 0) AS head
FROM pg_class p JOIN pg_inherits i ON i.inhparent = p.oid JOIN pg_class c ON c.oid = i.inhrelid
WHERE p.relname IN ('intake', 'message', 'stream_event_dossier', 'stream_event_contact_tracing',
                    'stream_event_public_health')
GROUP BY p.relname ORDER BY 1
"""
BLOAT: Final = """
SELECT relname, n_dead_tup::float8 / nullif(n_live_tup + n_dead_tup, 0) AS share
FROM pg_stat_user_tables WHERE n_live_tup + n_dead_tup > 100000
ORDER BY 2 DESC NULLS LAST LIMIT 1
"""
CERTIFICATES: Final = """
SELECT count(*) FILTER (WHERE c.not_after < $1) AS over,
       count(*) FILTER (WHERE c.not_after >= $1 AND c.not_after < $2) AS soon, count(*) AS known
FROM lab_certificate c JOIN lab l ON l.lab_id = c.lab_id
WHERE c.revoked_at IS NULL AND c.not_after IS NOT NULL AND l.state <> 'suspended'
"""


async def look_at_database(settings: Settings) -> list[Check]:
    """Look at the database of the settings; one that is not started is no fault."""
    try:
        connect = connection_of(settings)
    except FatalError as error:
        if error.reason != "no_embedded_postgres":
            raise
        return [not_used(_AREA, "PostgreSQL", "no instance runs on this data folder")]
    try:
        async with connected(connect, "looking") as connection:
            return await _look(connection, settings)
    except TransientError:
        stopped = DataFolder(settings.data_dir).owner() is None
        if settings.engine is Engine.EMBEDDED and stopped:
            return [not_used(_AREA, "PostgreSQL", "no instance runs on this data folder")]
        return [
            wrong(_AREA, "PostgreSQL", "it does not answer",
                  "start it, or mend postgres_dsn: docs/runbooks/database-slow.md")
        ]  # fmt: skip


async def _look(connection: Connection, settings: Settings) -> list[Check]:
    asked_at = datetime.now(UTC)
    with translated():
        row: Any = await connection.fetchrow(LOOK)
    found = [_version(row), _clocks(asked_at, row["now"]), _sessions(row)]
    found += await _promises(connection, settings, row)
    if all(each.name != "schema" or each.state.value == "good" for each in found):
        with translated():
            found += [_ahead(each) for each in await connection.fetch(AHEAD)]
            found += [_bloat(await connection.fetchrow(BLOAT))]
            ends = await connection.fetchrow(CERTIFICATES, asked_at, asked_at + _SOON)
        found.append(_ends(ends))
    return found


async def _promises(connection: Connection, settings: Settings, row: Any) -> list[Check]:
    found = []
    for name, said, work in (
        ("durability", "fsync, synchronous_commit and full_page_writes are on",
         check_durability(connection, needs_standby=settings.needs_standby)),
        ("schema", "of this release", check_schema(connection)),
        ("instance", "as the settings say", load_instance(connection, settings)),
    ):  # fmt: skip
        try:
            with translated():
                await work
        except HubError as error:
            found.append(wrong(_AREA, name, error.reason, error.remedy))
        else:
            found.append(good(_AREA, name, said))
    if not settings.needs_standby:
        found.append(not_used(_AREA, "standby", "this engine needs none"))
    elif row["standbys"] < 1:
        found.append(
            wrong(_AREA, "standby", "none is connected: commits wait", "docs/runbooks/standby.md")
        )
    else:
        found.append(good(_AREA, "standby", f"{row['standbys']} connected"))
    return found


def _version(row: Any) -> Check:
    if row["version"] < _LEAST_VERSION:
        return wrong(_AREA, "PostgreSQL", row["named"], "16 or newer is wanted")
    return good(_AREA, "PostgreSQL", row["named"])


def _clocks(ours: datetime, theirs: datetime) -> Check:
    apart = abs(theirs - ours)
    said = f"{apart.total_seconds():.2f} s from this machine's"
    if apart > _CLOCKS:
        return wrong(_AREA, "clock", said, "let NTP set both: docs/runbooks/clock.md")
    return good(_AREA, "clock", said)


def _sessions(row: Any) -> Check:
    said = f"{row['sessions']} of {row['most']}"
    if row["sessions"] > _FULL * row["most"]:
        return advice(_AREA, "connections", said, "raise max_connections, or see who holds them")
    return good(_AREA, "connections", said)


def _ahead(row: Any) -> Check:
    left = (row["reaches"] or 0) + 1_048_576 - row["head"]
    name = f"ranges of {row['parent']}"
    if left <= 0:
        return wrong(
            _AREA, name, "the last one is full",
            "`labdispatch migrate` makes more; a running hub does so by itself",
        )  # fmt: skip
    return good(_AREA, name, f"made for {left:,} numbers more")


def _bloat(row: Any) -> Check:
    if row is None or row["share"] is None:
        return good(_AREA, "dead rows", "no table is large enough to matter")
    said = f"{row['share']:.0%} of {row['relname']}, the most of any large table"
    if row["share"] > _BLOATED:
        return advice(_AREA, "dead rows", said, f"see why autovacuum is behind; VACUUM {row[0]}")
    return good(_AREA, "dead rows", said)


def _ends(row: Any) -> Check:
    said = f"{row['known']} of laboratories: {row['over']} over, {row['soon']} within 30 days"
    if row["over"] or row["soon"]:
        return advice("certificates", "laboratories", said, "docs/runbooks/certificates.md")
    if not row["known"]:
        return not_used("certificates", "laboratories", "none is registered")
    return good("certificates", "laboratories", said)
