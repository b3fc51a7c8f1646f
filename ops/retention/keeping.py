"""Purging by itself: in a dispatch process, one over all of them at a time.

Dispatch stands back from the door where processors are short, runs on every engine, and has the
keys; a role of its own would be one more process that can be forgotten.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, time, timedelta
from typing import Final

from ops.asking import Asker
from ops.bootstrap import Hub, connection_of
from ops.runtime.logs import get_logger
from ops.runtime.metrics import METRICS
from ops.runtime.postgres import Pool, connected, lent, translated
from schemas.errors import HubError, TransientError

from . import queries
from .ages import Ages, oldest_days
from .parts import PartLimits
from .purge import Purger, Scope

_log = get_logger(__name__)

_TICK_SECONDS: Final = 60.0
_CLOCKS_APART: Final = timedelta(hours=1)
_HUB: Final = Asker(actor="hub", reason="its retention has passed")


def scope_of(hub: Hub) -> Scope:
    """Return what a purge of an instance is of."""
    settings = hub.settings
    return Scope(
        instance_id=hub.instance.instance_id,
        partitions=hub.instance.partitions,
        is_cluster=hub.is_cluster,
        sealed_apart_from=hub.instance.sealed_apart_from,
        ages=Ages(
            intake=settings.retention_intake_days,
            names=settings.retention_names_days,
            public_health=settings.retention_public_health_days,
            identity=settings.retention_identity_days,
            codes=settings.retention_codes_days,
            inbox=settings.retention_inbox_days,
        ),
        parts=PartLimits(
            lock_seconds=settings.retention_lock_seconds,
            tries=settings.retention_tries,
            kept_rows=settings.retention_kept_rows,
            least_rows=settings.retention_least_rows,
        ),
        days_at_once=settings.retention_days_at_once,
        rows=settings.retention_rows,
    )


@contextlib.asynccontextmanager
async def purger_of(hub: Hub) -> AsyncIterator[Purger]:
    """Open a purger on a connection of its own.

    Raises:
        TransientError: The database is away, or its clock is another (`clocks_differ`).
    """
    async with connected(connection_of(hub.settings), "retention") as connection:
        with translated():
            theirs = await connection.fetchval(queries.CLOCK)
        if abs(theirs - hub.clock.now()) > _CLOCKS_APART:
            raise TransientError("clocks_differ", "set the clocks of hub and database right")
        yield Purger(connection, hub.vault, hub.clock, scope_of(hub))


async def keep_retention(hub: Hub) -> None:
    """Make keys ahead, copy them, purge what is of age, say how old things are; for ever.

    What fails is logged and tried again: results are dispatched all the same, and the age of the
    last purge alerts.
    """
    # The first look comes soon: a process that is started anew each day would never purge.
    waited = float(hub.settings.retention_seconds)
    while True:
        await asyncio.sleep(_TICK_SECONDS)
        waited += _TICK_SECONDS
        await _attempt("keys_copied", _copy_out(hub))
        if waited >= hub.settings.retention_seconds:
            waited = 0.0
            await _attempt("purged", _purge(hub))
        await _attempt("figures", take_figures(hub))


async def _attempt(what: str, work: object) -> None:
    try:
        await work  # type: ignore[misc]
    except OSError as error:
        METRICS.errors.labels("retention", "folder_away").inc()
        _log.warning("retention_failed", what=what, reason="folder_away", code=error.errno)
    except HubError as error:
        METRICS.errors.labels("retention", error.reason).inc()
        if error.reason != "purge_under_way":
            _log.warning("retention_failed", what=what, reason=error.reason, remedy=error.remedy)


async def _copy_out(hub: Hub) -> None:
    await asyncio.to_thread(hub.vault.make_ahead)
    await asyncio.to_thread(hub.vault.copy_keys_out)


async def _purge(hub: Hub) -> None:
    async with purger_of(hub) as purger:
        for certificate in await purger.purge(_HUB):
            _log.info("purged", number=certificate.purge_id, count=len(certificate.keys_destroyed))


async def found_at(pool: Pool) -> datetime:
    """Return when all that was of age was last found gone."""
    async with lent(pool) as connection:
        moment: datetime = await connection.fetchval(queries.FOUND_AT)
        return moment


async def take_figures(hub: Hub) -> None:
    """Set how old the last purge and the oldest keys are."""
    now = hub.clock.now()
    METRICS.purge_age.set(max(0.0, (now - await found_at(hub.pool)).total_seconds()))
    for kind, day in oldest_days(hub.vault.day_keys()).items():
        began = datetime.combine(day, time(), UTC)
        age = max(0.0, (now - began).total_seconds())  # tomorrow's is made ahead
        METRICS.retention_oldest.labels(kind.value).set(age)
