"""The seven processes: each starts, says it is ready, works, and stops in order.

What cannot be promised any more ends the process with a code other than 0; the supervisor (ours,
systemd or an orchestrator) starts it again, and the start repairs.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any, Final

from ops.runtime import failpoints, metrics
from ops.runtime.lifecycle import (
    settle_memory,
    stop_on_signals,
    yield_to_the_door,
)
from ops.runtime.logs import configure, get_logger, place_of
from ops.runtime.metrics import METRICS
from ops.runtime.metrics.labels import ENDING_REASONS
from ops.runtime.settings import Settings, metrics_folder
from ops.runtime.traces import TRACES
from ops.runtime.vitals import Vitals, show_limits
from schemas.errors import FatalError, TransientError

_log = get_logger(__name__)

ROLES: Final = ("ingest", "inbound", "dispatch", "relay", "push", "indicators", "api")
# A record that waits in its topic is as safe as in ours: laboratories that wait go first.
_BEHIND_THE_DOOR: Final = frozenset({"inbound", "dispatch", "relay", "push", "indicators"})
_OF_THE_PLACE: Final = frozenset(
    {
        "settings_invalid",
        "port_busy",
        "tls_files_invalid",
        "kafka_security_invalid",
    }
)
"""Reasons that a start with other settings mends: exit code 2."""

_FOR_A_PERSON: Final = frozenset(ENDING_REASONS.values)
"""Reasons that no restart mends: whoever scrapes this process must see them before it is gone."""


async def run_station(role: str, settings: Settings) -> int:
    """Run one process until it is told to stop; return its exit code.

    0: stopped in order. 2: settings or place do not fit. 3: the database or the broker stayed away
    for a minute at the start. 4: a promise could not be kept.
    """
    configure(settings, role)
    stopping: asyncio.Event | None = None
    try:
        failpoints.arm(settings.failpoints)
        TRACES.start(settings, role)
        if role in _BEHIND_THE_DOOR:
            yield_to_the_door(settings.behind_the_door_nice)
        metrics.serve(settings.http_host, settings.metrics_port)
        show_limits(settings)
        stopping = stop_on_signals()
        settle_memory()
        await _watched(_station(role)(settings, stopping))
    except TransientError as error:
        _log.error("station_ended", reason=error.reason, remedy=error.remedy)
        return 3
    except FatalError as error:
        _log.critical("station_ended", reason=error.reason, remedy=error.remedy)
        if error.reason in _FOR_A_PERSON and stopping is not None:
            await _last_words(role, error.reason, settings, stopping)
        return 2 if error.reason in _OF_THE_PLACE else 4
    except Exception as error:  # noqa: BLE001 - boundary: the end of the process; its place, never its text
        _log.critical("station_ended", error=type(error).__name__, where=place_of(error))
        return 4
    _log.info("station_stopped")
    return 0


async def _last_words(role: str, reason: str, settings: Settings, stopping: asyncio.Event) -> None:
    """Show why this process ends for long enough to be scraped; at once where nobody scrapes it."""
    # Without a port of its own, api gives the figures of all that share a folder (`run`).
    if not settings.metrics_port and metrics_folder() is None:
        return
    METRICS.ending.labels(role, reason).set(1)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(settings.last_words_seconds):
            await stopping.wait()


async def _watched(station: Coroutine[Any, Any, None]) -> None:
    """Run a station, and beside it tell how its process fares."""
    vitals = asyncio.create_task(Vitals().watch())
    try:
        await station
    finally:
        vitals.cancel()
        TRACES.stop()


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
    if role == "dispatch":
        from ops.station_dispatch import dispatch  # noqa: PLC0415

        return dispatch
    if role == "push":
        from ops.station_push import push  # noqa: PLC0415

        return push
    if role == "indicators":
        from ops.station_indicators import indicators  # noqa: PLC0415

        return indicators
    from ops.station_relay import relay  # noqa: PLC0415

    return relay
