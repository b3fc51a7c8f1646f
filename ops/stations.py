"""The five processes: each starts, says it is ready, works, and stops in order.

What cannot be promised any more ends the process with a code other than 0; the supervisor (ours,
systemd or an orchestrator) starts it again, and the start repairs.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Final

from ingest.accept import DoorCounts
from ingest.checker import prepare_versions
from ingest.fairness_store import share_counts
from ops.bootstrap import (
    Door,
    Hub,
    kafka_settings,
    listener_of,
    open_door,
    open_hub,
    reader_of,
    relays_of,
    worker_of,
)
from ops.closed_door import answering_meanwhile
from ops.inbound.door import InboundDoor
from ops.log_watch import LogWatch, WatchLimits
from ops.opening import watch_proof
from ops.runtime import failpoints, metrics
from ops.runtime.clock import SystemClock
from ops.runtime.health import disk_is_low, not_ready
from ops.runtime.kafka import TopicSpec, ensure_topics
from ops.runtime.lifecycle import (
    bounded,
    settle_memory,
    stop_on_signals,
    until_first,
    yield_to_the_door,
)
from ops.runtime.logs import configure, get_logger, place_of
from ops.runtime.metrics import METRICS
from ops.runtime.postgres import Pool, translated
from ops.runtime.settings import Settings
from ops.runtime.tls import TlsMaterial
from ops.supervise import say_ready
from ops.tls_doors import certificate_door, keep_tls_fresh, material_of
from ops.tokens import load_or_make_tokens
from schemas.errors import FatalError, HubError, TransientError, UnknownResult
from schemas.topics import STREAMS, topic_of

_log = get_logger(__name__)

ROLES: Final = ("ingest", "inbound", "dispatch", "relay", "api")
# A record that waits in its topic is as safe as in ours: laboratories that wait go first.
_BEHIND_THE_DOOR: Final = frozenset({"inbound", "dispatch", "relay"})
_OF_THE_PLACE: Final = frozenset({"settings_invalid", "port_busy", "tls_files_invalid"})
"""Reasons that a start with other settings mends: exit code 2."""
_FLUSH_SECONDS: Final = 1.0
_DISK_SECONDS: Final = 1.0
_LOG_SECONDS: Final = 1.0
_MEASURES_EVERY: Final = 30
_GAUGE_SECONDS: Final = 2.0
_OPEN_TRIES_SECONDS: Final = 60.0

FLUSH: Final = """
INSERT INTO door_count (day, answer, reason, n)
SELECT current_date, c.a, c.r, c.n FROM unnest($1::text[], $2::text[], $3::bigint[]) AS c (a, r, n)
ON CONFLICT (day, answer, reason) DO UPDATE SET n = door_count.n + EXCLUDED.n
"""
GAUGES: Final = """
SELECT (SELECT count(*) FROM parked WHERE resolved_at IS NULL) AS parked,
       (SELECT coalesce(sum(next_offset), 0)::bigint FROM intake_progress) AS handled
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
        await _STATIONS[role](settings, stopping)
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


@asynccontextmanager
async def _opened(
    role: str, settings: Settings, stopping: asyncio.Event, *, appends: bool = False
) -> AsyncIterator[Hub | None]:
    """Open the hub, waiting a minute for what is away; None when told to stop meanwhile."""
    loop = asyncio.get_running_loop()
    until = loop.time() + _OPEN_TRIES_SECONDS
    while True:
        opening = open_hub(settings, role, connections=settings.pool_connections, appends=appends)
        try:
            hub = await opening.__aenter__()
            break
        except TransientError as error:
            if loop.time() > until:
                raise
            _log.warning("station_waits", reason=error.reason)
        if await _slept(stopping, 0.5):
            yield None
            return
    try:
        yield hub
    finally:
        await opening.__aexit__(None, None, None)


# -------------------------------------------------------------------------------- ingest


async def _ingest(settings: Settings, stopping: asyncio.Event) -> None:
    material = material_of(settings, "mllp")
    prepare_versions()
    async with (
        answering_meanwhile(settings, SystemClock(), opens=material is None) as meanwhile,
        _opened("ingest", settings, stopping, appends=True) as hub,
    ):
        if hub is None:
            return
        door = await open_door(hub)
        await meanwhile.end()
        door.counts.give_back(meanwhile.counts.take())
        tls = certificate_door(settings, material, door.register, hub.clock)
        door.appender.start()
        listener = listener_of(settings, door.acceptor)
        try:
            await listener.start(
                settings.mllp_host,
                settings.mllp_port,
                reuse_port=settings.mllp_share_port,
                tls=tls,
            )
        except OSError:
            raise FatalError(
                "port_busy", "the MLLP port is taken: end who has it, or set another mllp_port"
            ) from None
        _log.info("listening", host=settings.mllp_host, port=listener.port)
        say_ready(settings, "ingest")
        try:
            await until_first(stopping.wait(), _in_doubt(door), *_upkeep(hub, door, material))
        except UnknownResult:
            listener.close_all()
            raise
        await listener.stop(settings.shutdown_seconds / 2)
        await door.appender.stop()
        await bounded(_flush(hub, door), 1.0, "door counts")
        await bounded(door.foreign.flush(hub.pool), 1.0, "foreign facilities")


async def _in_doubt(door: Door) -> None:
    """End the process once an append's result is unknown: it gives no acknowledgement any more."""
    await door.appender.in_doubt.wait()
    # The connections' own callbacks run first and close without an answer.
    await asyncio.sleep(0)
    raise UnknownResult("append_unknown", "laboratories send again what got no answer")


def _upkeep(hub: Hub, door: Door, material: TlsMaterial | None) -> list[Coroutine[Any, Any, None]]:
    settings = hub.settings
    watch = LogWatch(
        hub.log,
        hub.pool,
        hub.clock,
        time.monotonic,
        WatchLimits(
            away_seconds=settings.log_away_seconds,
            retention_seconds=settings.log_retention_seconds,
            margin_seconds=settings.log_margin_seconds,
        ),
    )
    works = [
        door.register.keep_fresh(settings.register_refresh_seconds),
        _flush_for_ever(hub, door),
        _watch_room(hub, door, watch),
        _watch_log(watch),
        keep_tls_fresh(material, settings.tls_reload_seconds),
    ]
    if hub.held is not None:
        works.append(watch_proof(hub.pool, settings.register_refresh_seconds))
    return works


async def _flush_for_ever(hub: Hub, door: Door) -> None:
    while True:
        await asyncio.sleep(_FLUSH_SECONDS)
        await _flush(hub, door)
        await door.foreign.flush(hub.pool)


async def _flush(hub: Hub, door: Door) -> None:
    await _flush_counts(hub.pool, door.counts)
    await share_counts(door.acceptor.fairness, hub.pool, hub.clock)


async def _flush_counts(pool: Pool, counts: DoorCounts) -> None:
    taken = counts.take()
    if not taken:
        return
    try:
        with translated():
            async with pool.acquire() as connection:
                await connection.execute(
                    FLUSH, [a for a, _ in taken], [r for _, r in taken], list(taken.values())
                )
    except HubError as error:
        counts.give_back(taken)
        METRICS.errors.labels("door_counts", error.reason).inc()


async def _watch_room(hub: Hub, door: Door, watch: LogWatch) -> None:
    """Refuse (AR 207) while the disk is low or the log cannot take it, rather than lose it."""
    settings = hub.settings
    while True:
        low = disk_is_low(settings.data_dir, settings.min_free_disk_bytes)
        reason = "disk_low" if low else watch.reason
        if reason and reason != door.acceptor.closed_reason:
            _log.error("door_closed", reason=reason, remedy="see docs/runbooks/door-closed.md")
        elif not reason and door.acceptor.closed_reason:
            _log.info("door_open")
        door.acceptor.closed_reason = reason
        METRICS.door_closed.set(int(bool(reason)))
        await asyncio.sleep(_DISK_SECONDS)


async def _watch_log(watch: LogWatch) -> None:
    turn = 0
    while True:
        await watch.ask()
        if turn % _MEASURES_EVERY == 0:
            await watch.measure()
        turn += 1
        await asyncio.sleep(_LOG_SECONDS)


# -------------------------------------------------------------------------------- inbound


async def _inbound(settings: Settings, stopping: asyncio.Event) -> None:
    async with _opened("inbound", settings, stopping, appends=True) as hub:
        if hub is None:
            return
        if not settings.inbound_topic_names:
            say_ready(settings, "inbound")
            _log.info("inbound_idle", engine=hub.instance.engine)
            await stopping.wait()
            return
        door = await open_door(hub)
        door.appender.start()
        inbound = InboundDoor(hub, door)
        await inbound.start()
        say_ready(settings, "inbound")
        try:
            works = [work() for work in inbound.works(stopping)]
            await until_first(*works, _in_doubt(door), *_upkeep(hub, door, None))
        finally:
            await inbound.stop()
        await door.appender.stop()
        await bounded(_flush(hub, door), 1.0, "door counts")
        await bounded(door.foreign.flush(hub.pool), 1.0, "foreign facilities")


# -------------------------------------------------------------------------------- dispatch, relay


async def _dispatch(settings: Settings, stopping: asyncio.Event) -> None:
    async with _opened("dispatch", settings, stopping) as hub:
        if hub is None:
            return
        worker = worker_of(hub)
        say_ready(settings, "dispatch")
        await until_first(worker.run(stopping), _gauges(hub))


async def _gauges(hub: Hub) -> None:
    while True:
        try:
            with translated():
                async with hub.pool.acquire() as connection:
                    row = await connection.fetchrow(GAUGES)
            ends = await hub.log.end_offsets()
            METRICS.parked.set(row["parked"])
            METRICS.lag.set(sum(ends.values()) - row["handled"])
        except TransientError as error:
            METRICS.errors.labels("gauges", error.reason).inc()
        await asyncio.sleep(_GAUGE_SECONDS)


async def _relay(settings: Settings, stopping: asyncio.Event) -> None:
    async with _opened("relay", settings, stopping) as hub:
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
    await ensure_topics(kafka_settings(settings, "relay"), topics, _OPEN_TRIES_SECONDS)


# -------------------------------------------------------------------------------- api


async def _api(settings: Settings, stopping: asyncio.Event) -> None:
    # Only here: the other three start a third of a second sooner without a web framework.
    from ops.api import ApiParts, build_api  # noqa: PLC0415
    from ops.batches.door import open_batch_door  # noqa: PLC0415
    from ops.batches.http import routes_of  # noqa: PLC0415
    from ops.body_limit import BodyLimit  # noqa: PLC0415
    from ops.idempotency import IdempotencyKeys  # noqa: PLC0415
    from ops.message_route import PATH, MessageDoor  # noqa: PLC0415
    from ops.proofs import Proofs  # noqa: PLC0415
    from ops.register.access import Gate  # noqa: PLC0415
    from ops.register.lab_routes import Desk  # noqa: PLC0415
    from ops.register.routes import reader_of_conformance  # noqa: PLC0415
    from ops.serving import bound_socket, http_tls, serve_http  # noqa: PLC0415

    async with _opened("api", settings, stopping, appends=True) as hub:
        if hub is None:
            return
        door = await open_door(hub)
        door.appender.start()
        material = material_of(settings, "http")
        certificates = certificate_door(settings, material, door.register, hub.clock)
        tokens = load_or_make_tokens(settings.data_dir)
        gate = Gate(tokens=tokens, of_token=door.register.of_token)
        proofs = Proofs(door.register, certificates)
        files = open_batch_door(hub, door)
        parts = ApiParts(
            messages=MessageDoor(
                acceptor=door.acceptor,
                proofs=proofs,
                keys=IdempotencyKeys(settings.http_idempotency_keys),
            ),
            reader=reader_of(hub),
            tokens=tokens,
            desk=Desk(pool=hub.pool, clock=hub.clock, gate=gate),
            read_conformance=reader_of_conformance(hub.pool, hub.clock),
            max_body_bytes=settings.max_frame_bytes + 16,
            more_routes=routes_of(files, proofs),
            not_ready=lambda: not_ready(hub.pool, hub.log),
        )
        listening = bound_socket(settings.http_host, settings.http_port)
        _log.info("listening", host=settings.http_host, port=listening.getsockname()[1])
        say_ready(settings, "api")
        application = BodyLimit(
            build_api(parts),
            max_bytes=parts.max_body_bytes,
            paths=frozenset({PATH}),
            body_seconds=settings.partial_frame_seconds,
        )
        serving = serve_http(
            application,
            listening,
            stopping,
            shutdown_seconds=settings.shutdown_seconds,
            tls=None if material is None else http_tls(settings, material),
        )
        await until_first(
            serving,
            _in_doubt(door),
            *_upkeep(hub, door, material),
            *(work() for work in files.works),
        )
        await door.appender.stop()
        await bounded(_flush(hub, door), 1.0, "door counts")


async def _slept(stopping: asyncio.Event, seconds: float) -> bool:
    """Wait; say whether it was told to stop meanwhile."""
    try:
        async with asyncio.timeout(seconds):
            await stopping.wait()
    except TimeoutError:
        return False
    return True


_STATIONS: Final = {
    "ingest": _ingest,
    "inbound": _inbound,
    "dispatch": _dispatch,
    "relay": _relay,
    "api": _api,
}
