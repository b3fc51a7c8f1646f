"""Reads what `status` tells: rows of the database, figures over HTTP, processes of this machine."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Sequence
from datetime import timedelta
from importlib.metadata import version
from typing import Final
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

from ops.bootstrap import Hub
from ops.figures import figures_of, tls_of
from ops.lone_thread import in_thread
from ops.pausing.queries import LIST as PAUSES
from ops.runtime.data_folder import Child, DataFolder, ProcessLedger
from ops.runtime.postgres import Connection, lent
from ops.runtime.settings import Settings
from ops.supervise import ready_file

from . import queries
from .situation import Row, Running, Seen

_SOON: Final = timedelta(days=7)
_MOST_BYTES: Final = 10_000


async def look(hub: Hub) -> Seen:
    """Read all of it once.

    Raises:
        TransientError: The database is away.
    """
    settings = hub.settings
    now = hub.clock.now()
    address = address_of(settings)
    figures = await figures_of(address, settings)
    async with lent(hub.pool) as connection:
        schema = await connection.fetchval(queries.SCHEMA)
        head = await _head(hub, connection)
        sessions = await connection.fetch(queries.SESSIONS) if hub.is_cluster else []
        streams = await connection.fetch(queries.STREAMS)
        parked = await connection.fetchrow(queries.PARKED)
        holds = await connection.fetch(queries.HOLDS)
        review = await connection.fetchrow(queries.REVIEW)
        pauses = await connection.fetch(PAUSES)
        receivers = await connection.fetch(queries.RECEIVERS)
        certificates = await connection.fetchrow(queries.CERTIFICATES, now, now + _SOON)
        purged_at = await connection.fetchval(queries.PURGED)
    usage = shutil.disk_usage(settings.data_dir)
    return Seen(
        now=now,
        engine=hub.instance.engine,
        realm=hub.instance.realm,
        release=version("labdispatch"),
        schema=schema,
        is_cluster=hub.is_cluster,
        running=_running(settings),
        sessions=sessions,
        figures=figures,
        ready=await _ready(address, settings),
        head=head,
        streams=streams,
        parked=parked,
        holds=holds,
        review=review,
        pauses=pauses,
        receivers=receivers,
        certificates=certificates,
        purged_at=purged_at,
        free_bytes=usage.free,
        least_bytes=min(settings.min_free_disk_bytes, usage.total // 10),
        pause_forgotten=timedelta(seconds=settings.pause_forgotten_seconds),
    )


async def _head(hub: Hub, connection: Connection) -> Sequence[Row]:
    """Return how far each partition is handled, and where the log ends: Kafka's on the cluster."""
    if not hub.is_cluster:
        rows: Sequence[Row] = await connection.fetch(queries.HEAD)
        return rows
    # The log is asked after the snapshot, so that its end is never behind the progress.
    handled = await connection.fetch(queries.PROGRESS)
    ends = await hub.log.end_offsets()
    return [
        {"handled": row["next_offset"], "head": ends.get(row["partition"], 0), "oldest": None}
        for row in handled
    ]


def address_of(settings: Settings) -> str:
    """Return where the hub of a data folder serves HTTP: as its run tells, else as the settings."""
    owner = DataFolder(settings.data_dir).owner()
    told = "" if owner is None else owner.addresses.get("http", "")
    scheme = "http" if settings.http_tls_cert is None else "https"
    return told or f"{scheme}://{settings.http_host}:{settings.http_port}"


def _running(settings: Settings) -> list[Running]:
    ready = {
        path.read_text("ascii")
        for path in ready_file(settings.data_dir, "any").parent.glob("*.ready")
    }
    return [
        Running(
            role=child.role.rpartition("-")[0] if child.role[-1:].isdigit() else child.role,
            pid=child.process.pid,
            up_seconds=_up_seconds(child),
            is_ready=str(child.process.pid) in ready,
        )
        for child in ProcessLedger(settings.data_dir).children()
    ]


def _up_seconds(child: Child) -> float:
    ticks = os.sysconf("SC_CLK_TCK")
    return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - child.process.started / ticks)


async def _ready(address: str, settings: Settings) -> str:
    def work() -> str:
        try:
            with urlopen(  # noqa: S310 - the address is the hub's own
                f"{address}/readyz",
                timeout=settings.look_seconds,
                context=tls_of(address, settings),
            ) as answer:
                return str(answer.read(_MOST_BYTES), "utf-8", "replace")
        except HTTPError as error:
            with error:
                return error.read(_MOST_BYTES).decode("utf-8", "replace")
        except (URLError, OSError, ValueError):
            return ""

    return await in_thread(work)
