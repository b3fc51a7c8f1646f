"""The process that reads inbound topics."""

from __future__ import annotations

import asyncio

from ops.bootstrap import open_door
from ops.inbound.door import InboundDoor
from ops.opened import opened
from ops.runtime.lifecycle import until_first
from ops.runtime.logs import get_logger
from ops.runtime.settings import Settings
from ops.supervise import say_ready
from ops.upkeep import in_doubt, last_flush, upkeep

_log = get_logger(__name__)


async def inbound(settings: Settings, stopping: asyncio.Event) -> None:
    """Take records of inbound topics until told to stop; idle where none is named."""
    async with opened("inbound", settings, stopping, appends=True) as hub:
        if hub is None:
            return
        if not settings.inbound_topic_names:
            say_ready(settings, "inbound")
            _log.info("inbound_idle", engine=hub.instance.engine)
            await stopping.wait()
            return
        door = await open_door(hub)
        door.appender.start()
        topics = InboundDoor(hub, door)
        await topics.start()
        say_ready(settings, "inbound")
        try:
            works = [work() for work in topics.works(stopping)]
            await until_first(*works, in_doubt(door), *upkeep(hub, door, None))
        finally:
            await topics.stop()
        await door.appender.stop()
        await last_flush(hub, door)
