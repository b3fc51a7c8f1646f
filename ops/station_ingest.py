"""The process that holds the MLLP port."""

from __future__ import annotations

import asyncio

from ingest.checker import prepare_versions
from ops.bootstrap import listener_of, open_door
from ops.closed_door import answering_meanwhile
from ops.opened import opened
from ops.runtime.clock import SystemClock
from ops.runtime.lifecycle import until_first
from ops.runtime.logs import get_logger
from ops.runtime.settings import Settings
from ops.runtime.shared_counts import shared_counts
from ops.supervise import say_ready
from ops.tls_doors import certificate_door, material_of
from ops.upkeep import in_doubt, last_flush, upkeep
from schemas.errors import FatalError, UnknownResult

_log = get_logger(__name__)


async def ingest(settings: Settings, stopping: asyncio.Event) -> None:
    """Take messages over MLLP until told to stop."""
    material = material_of(settings, "mllp")
    prepare_versions()
    async with (
        answering_meanwhile(settings, SystemClock(), material) as meanwhile,
        opened("ingest", settings, stopping, appends=True) as hub,
    ):
        if hub is None:
            return
        # Doors that share a port share the connections that a laboratory may have.
        places = shared_counts(settings.data_dir / "doors") if settings.counts_together else None
        door = await open_door(hub, places)
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
            await until_first(stopping.wait(), in_doubt(door), *upkeep(hub, door, material))
        except UnknownResult:
            listener.close_all()
            raise
        await listener.stop(settings.shutdown_seconds / 2)
        if places is not None:
            places.close()
        await door.appender.stop()
        await last_flush(hub, door)
