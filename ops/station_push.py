"""The process that carries streams to the receivers that are pushed to."""

from __future__ import annotations

import asyncio

from ops.bootstrap import Hub, connection_of, reader_of
from ops.opened import opened
from ops.receivers.courier import CourierLimits
from ops.receivers.leading import Couriers
from ops.receivers.senders import SenderParts
from ops.runtime.settings import Settings
from ops.supervise import say_ready
from routing.pushing import PushLimits


async def push(settings: Settings, stopping: asyncio.Event) -> None:
    """Serve the receivers that no other process serves, until told to stop."""
    async with opened("push", settings, stopping) as hub:
        if hub is None:
            return
        say_ready(settings, "push")
        await couriers_of(hub).run(stopping)


def couriers_of(hub: Hub) -> Couriers:
    """Return what serves the receivers, within the bounds of the settings."""
    settings = hub.settings
    return Couriers(
        connect=connection_of(settings),
        pool=hub.pool,
        reader=reader_of(hub),
        clock=hub.clock,
        limits=limits_of(settings),
        parts=SenderParts(
            vault=hub.vault,
            clock=hub.clock,
            timeout_seconds=settings.push_timeout_seconds,
            answer_bytes=settings.push_answer_bytes,
            connections=settings.push_in_flight,
            realm=hub.realm,
        ),
        poll_seconds=settings.push_poll_seconds,
        keep_seconds=settings.push_keep_seconds,
        shutdown_seconds=settings.shutdown_seconds - 1.0,
    )


def limits_of(settings: Settings) -> CourierLimits:
    """Return the bounds of one receiver."""
    return CourierLimits(
        waiting=settings.push_waiting,
        in_flight=settings.push_in_flight,
        in_flight_bytes=settings.push_in_flight_bytes,
        dead_letters=settings.push_dead_letters,
        timeout_seconds=settings.push_timeout_seconds,
        settle_seconds=settings.push_settle_seconds,
        retry=PushLimits(
            failures=settings.push_failures,
            base_seconds=settings.push_retry_seconds,
            event_cap_seconds=settings.push_retry_cap_seconds,
            receiver_cap_seconds=settings.push_rest_cap_seconds,
            retry_after_cap_seconds=settings.push_retry_after_cap_seconds,
        ),
    )
