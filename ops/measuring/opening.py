"""What looks at database and laboratories, put together for the api process."""

from __future__ import annotations

from ops.bootstrap import Hub, connection_of
from ops.runtime.metrics import Told
from ops.runtime.shared_counts import shared_counts
from ops.silence.watch import SilenceWatch, bounds_of

from .database import DatabaseWatch
from .laboratories import Laboratories
from .top import TopLaboratories


def laboratories_of(hub: Hub) -> Laboratories:
    """Return what reads the figures; connections are known where doors of this machine share."""
    settings = hub.settings
    places = shared_counts(settings.data_dir / "doors") if settings.counts_together else None
    if places is None:
        return Laboratories(hub.pool, hub.clock)
    return Laboratories(hub.pool, hub.clock, places.totals)


def database_watch_of(hub: Hub, laboratories: Laboratories, told: Told) -> DatabaseWatch:
    """Return what looks at the database, and at who leads among the laboratories."""
    settings = hub.settings
    silence = SilenceWatch(bounds_of(settings), learn_most=settings.silence_learn_laboratories)
    top = TopLaboratories(
        laboratories,
        told,
        most=settings.figures_top,
        keep_days=settings.figures_keep_days,
        judge=silence.look,
    )
    return DatabaseWatch(connection_of(settings), hub.clock, top)
