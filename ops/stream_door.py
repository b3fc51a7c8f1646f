"""The door of the streams, put together from the settings."""

from __future__ import annotations

import asyncio

from ops.bootstrap import Hub
from ops.origins import Origins
from ops.stream_reply import StreamDoor, StreamLimits
from ops.stream_tokens.port import StreamAccess
from routing.following import Tail, TailLimits
from routing.streams import StreamReader
from schemas.topics import STREAMS


def door_of_streams(
    hub: Hub, access: StreamAccess, origins: Origins, stopping: asyncio.Event
) -> StreamDoor:
    """Return what the route of the streams needs.

    Readers share a few of the process's connections, so that they are in nobody's way who brings
    results; the tails have one of their own, so that readers of pages are not in theirs.
    """
    settings = hub.settings
    tails = StreamReader(hub.pool, hub.vault, at_once=1)
    limits = TailLimits(
        poll_seconds=settings.stream_tail_seconds, kept_bytes=settings.stream_tail_bytes
    )
    return StreamDoor(
        access=access,
        reader=StreamReader(hub.pool, hub.vault, at_once=settings.stream_database_reads),
        tails={stream: Tail(tails, stream, limits) for stream in STREAMS},
        limits=StreamLimits(
            heartbeat_seconds=settings.stream_heartbeat_seconds,
            check_seconds=settings.stream_token_refresh_seconds,
            unread_seconds=settings.stream_unread_seconds,
            scan_events=settings.stream_scan_events,
        ),
        stopping=stopping,
        origins=origins,
    )
