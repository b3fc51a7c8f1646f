"""The five processes: each starts, says it is ready, works, and stops in order.

What cannot be promised any more ends the process with a code other than 0; the supervisor (ours,
systemd or an orchestrator) starts it again, and the start repairs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

from ops.bootstrap import (
    Hub,
    dispatcher_of,
    kafka_settings,
    relays_of,
    worker_of,
)
from ops.opened import OPEN_TRIES_SECONDS, opened
from ops.runtime import failpoints, metrics
from ops.runtime.kafka import TopicSpec, ensure_topics
from ops.runtime.lifecycle import (
    settle_memory,
    stop_on_signals,
    until_first,
    yield_to_the_door,
)
from ops.runtime.logs import configure, get_logger, place_of
from ops.runtime.metrics import METRICS
from ops.runtime.postgres import translated
from ops.runtime.settings import Settings
from ops.stewards.queue_watch import watch_queue
from ops.stewards.standing import keep_emitting
from ops.supervise import say_ready
from schemas.errors import FatalError, TransientError
from schemas.topics import STREAMS, topic_of

_log = get_logger(__name__)

ROLES: Final = ("ingest", "inbound", "dispatch", "relay", "api")
# A record that waits in its topic is as safe as in ours: laboratories that wait go first.
_BEHIND_THE_DOOR: Final = frozenset({"inbound", "dispatch", "relay"})
_OF_THE_PLACE: Final = frozenset(
    {
        "settings_invalid",
        "port_busy",
        "tls_files_invalid",
        "kafka_security_invalid",
    }
)
"""Reasons that a start with other settings mends: exit code 2."""
_GAUGE_SECONDS: Final = 2.0

GAUGES: Final = """
SELECT (SELECT count(*) FROM parked WHERE resolved_at IS NULL) AS parked,
       (SELECT count(*) FROM reemission) AS reemission,
       (SELECT coalesce(sum(next_offset), 0)::bigint FROM intake_progress) AS handled,
       (SELECT count(*) FROM case_report WHERE waits AND precedence >= 0) AS second_lines
"""


async def run_station(role: str, settings: Settings) -> int:
    """Run one process until it is told to stop; return its exit code.

    0: stopped in order. 2: settings or place do not fit. 3: the database or the broker stayed away
    for a minute at the start. 4: a promise could not be kept.
    """
    configure(settings, role)
    try:
        failpoints.arm(settings.failpoints)
        if role in _BEHIND_THE_DOOR:
            yield_to_the_door(settings.behind_the_door_nice)
        metrics.serve(settings.http_host, settings.metrics_port)
        stopping = stop_on_signals()
        settle_memory()
        await _station(role)(settings, stopping)
    except TransientError as error:
        _log.error("station_ended", reason=error.reason, remedy=error.remedy)
        return 3
    except FatalError as error:
        _log.critical("station_ended", reason=error.reason, remedy=error.remedy)
        return 2 if error.reason in _OF_THE_PLACE else 4
    except Exception as error:  # noqa: BLE001 - boundary: the end of the process; its place, never its text
        _log.critical("station_ended", error=type(error).__name__, where=place_of(error))
        return 4
    _log.info("station_stopped")
    return 0


def _station(role: str) -> Callable[[Settings, asyncio.Event], Coroutine[Any, Any, None]]:
    """Return what a process does; each loads what it needs and no more.

    All but `api` start a third of a second sooner without a web framework.
    """
    if role == "ingest":
        from ops.station_ingest import ingest  # noqa: PLC0415

        return ingest
    if role == "inbound":
        from ops.station_inbound import inbound  # noqa: PLC0415

        return inbound
    if role == "api":
        from ops.station_api import api  # noqa: PLC0415

        return api
    return _dispatch if role == "dispatch" else _relay


async def _dispatch(settings: Settings, stopping: asyncio.Event) -> None:
    async with opened("dispatch", settings, stopping) as hub:
        if hub is None:
            return
        dispatcher = dispatcher_of(hub)
        worker = worker_of(hub, dispatcher)
        say_ready(settings, "dispatch")
        again = keep_emitting(dispatcher.stewards, settings.reemission_seconds)
        queue = watch_queue(hub.pool, hub.clock)
        await until_first(worker.run(stopping), _gauges(hub), again, queue)


async def _gauges(hub: Hub) -> None:
    while True:
        try:
            with translated():
                async with hub.pool.acquire() as connection:
                    row = await connection.fetchrow(GAUGES)
            ends = await hub.log.end_offsets()
            METRICS.parked.set(row["parked"])
            METRICS.reemission_due.set(row["reemission"])
            METRICS.second_lines_waiting.set(row["second_lines"])
            METRICS.lag.set(sum(ends.values()) - row["handled"])
        except TransientError as error:
            METRICS.errors.labels("gauges", error.reason).inc()
        await asyncio.sleep(_GAUGE_SECONDS)


async def _relay(settings: Settings, stopping: asyncio.Event) -> None:
    async with opened("relay", settings, stopping) as hub:
        if hub is None:
            return
        relays = relays_of(hub)
        if relays:
            await _make_topics(hub)
        say_ready(settings, "relay")
        if not relays:
            # The embedded engine's streams are read from the outbox itself.
            _log.info("relay_idle", engine=hub.instance.engine)
            await stopping.wait()
            return
        await asyncio.gather(*(relay.run(stopping) for relay in relays))


async def _make_topics(hub: Hub) -> None:
    settings = hub.settings
    configs = {
        "min.insync.replicas": str(settings.min_insync_replicas),
        "cleanup.policy": "delete",
        "unclean.leader.election.enable": "false",
        "max.message.bytes": str(10 * 1024 * 1024),
    }
    spec = TopicSpec(
        partitions=hub.instance.partitions,
        replication_factor=settings.replication_factor,
        configs=configs,
    )
    topics = {topic_of(stream, settings.kafka_topic_prefix): spec for stream in STREAMS}
    await ensure_topics(kafka_settings(settings, "relay"), topics, OPEN_TRIES_SECONDS)
