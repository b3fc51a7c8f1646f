"""The process that holds the HTTP port, and reads files."""

from __future__ import annotations

import asyncio

from ops.accounting.routes import account_routes
from ops.api import ApiParts, build_api
from ops.batches.door import open_batch_door
from ops.batches.http import routes_of
from ops.behind_the_door import dispatcher_of
from ops.body_limit import BodyLimit
from ops.bootstrap import open_door
from ops.closed_http import refusing_meanwhile
from ops.holding.rechecking import keep_rechecking
from ops.holding.routes import hold_routes
from ops.idempotency import IdempotencyKeys
from ops.indicators.admitting import admit_by
from ops.indicators.commands import published_of
from ops.indicators.routes import indicator_routes
from ops.measuring.opening import database_watch_of, laboratories_of
from ops.measuring.routes import figure_routes
from ops.message_route import PATH, MessageDoor
from ops.opened import opened
from ops.origins import Origins, networks_of
from ops.parking.routes import parked_routes
from ops.pausing.routes import pause_routes
from ops.proofs import Proofs
from ops.receivers.routes import receiver_routes
from ops.register.access import Gate
from ops.register.lab_routes import Desk
from ops.register.routes import reader_of_conformance
from ops.ruling.routes import rule_routes
from ops.runtime.health import readiness
from ops.runtime.lifecycle import closing_after, until_first
from ops.runtime.logs import get_logger
from ops.runtime.metrics import Told
from ops.runtime.settings import Settings
from ops.serving import bound_socket, http_tls, serve_http
from ops.silence.routes import silence_routes
from ops.silence.watch import SilenceDesk, bounds_of
from ops.stewards.opposition_routes import opposition_routes
from ops.stewards.routes import ReviewDesk, review_routes
from ops.stream_door import door_of_streams
from ops.stream_tokens.opening import access_of
from ops.stream_tokens.routes import token_routes
from ops.supervise import say_ready
from ops.tls_doors import certificate_door, material_of
from ops.tokens import load_or_make_tokens
from ops.tracing.routes import trace_routes
from ops.upkeep import in_doubt, last_flush, upkeep

_log = get_logger(__name__)


async def api(settings: Settings, stopping: asyncio.Event) -> None:
    """Serve HTTP, and read files, until told to stop."""
    material = material_of(settings, "http")
    listening = bound_socket(settings.http_host, settings.http_port)
    async with (
        refusing_meanwhile(settings, listening, material) as meanwhile,
        opened("api", settings, stopping, appends=True) as hub,
    ):
        if hub is None:
            return
        door = await open_door(hub)
        door.appender.start()
        closing = asyncio.Event()
        certificates = certificate_door(settings, material, door.register, hub.clock)
        tokens = load_or_make_tokens(settings.data_dir)
        gate = Gate(tokens=tokens, of_token=door.register.of_token)
        proofs = Proofs(door.register, certificates)
        files = open_batch_door(hub, door)
        access = access_of(hub, tokens)
        origins = Origins(networks_of(settings.trusted_proxies))
        desk = Desk(pool=hub.pool, clock=hub.clock, gate=gate)
        review = ReviewDesk(hub.pool, gate, lambda: dispatcher_of(hub).stewards)
        laboratories, told = laboratories_of(hub), Told()
        silence = SilenceDesk(hub.pool, laboratories, bounds_of(settings))
        parts = ApiParts(
            messages=MessageDoor(
                acceptor=door.acceptor,
                proofs=proofs,
                keys=IdempotencyKeys(settings.http_idempotency_keys),
            ),
            streams=door_of_streams(hub, access, origins, closing),
            tokens=tokens,
            desk=desk,
            read_conformance=reader_of_conformance(hub.pool, hub.clock),
            max_body_bytes=settings.max_frame_bytes + 16,
            more_routes=[
                *routes_of(files, proofs),
                *rule_routes(hub.pool, hub.clock, gate),
                *review_routes(review),
                *hold_routes(hub, review),
                *opposition_routes(hub, review),
                *receiver_routes(hub.pool),
                *token_routes(desk),
                *indicator_routes(published_of(hub), admit_by(access, origins)),
                *account_routes(hub, gate, proofs),
                *parked_routes(hub, gate),
                *pause_routes(hub, gate),
                *trace_routes(hub, gate),
                *figure_routes(laboratories, gate),
                *silence_routes(silence, desk),
            ],
            told=told,
            readiness=lambda: readiness(
                hub.pool,
                hub.log,
                door.acceptor.closed_reason,
                log_is_database=not hub.is_cluster,
                draining=stopping.is_set(),
            ),
        )
        await meanwhile.end()
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
            closing,
            shutdown_seconds=settings.shutdown_seconds,
            tls=None if material is None else http_tls(settings, material),
        )
        await until_first(
            serving,
            closing_after(stopping, settings.drain_seconds, closing),
            in_doubt(door),
            *upkeep(hub, door, material),
            keep_rechecking(hub),
            database_watch_of(hub, laboratories, told).watch(),
            access.keep(settings.stream_token_refresh_seconds),
            *(work() for work in files.works),
        )
        await door.appender.stop()
        await last_flush(hub, door)
        await access.last_flush()
