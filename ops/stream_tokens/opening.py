"""The readers' tokens of an instance, put together from its settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ops.bootstrap import Hub
from ops.runtime.postgres import Share
from ops.runtime.shared_counts import shared_counts

from .access import HubAccess
from .known import KnownTokens
from .places import COUNTED, Pace, Places
from .quotas import Quotas
from .reads import ReadAudit

_CONNECTIONS: Final = 2
"""Of the process's: whoever brings results finds the others free, however many want to read."""


def access_of(hub: Hub, secrets: Mapping[str, str]) -> HubAccess:
    """Return who says who may read; `keep` is the caller's to run, and `last_flush` to await.

    Args:
        hub: The instance.
        secrets: Of `tokens.json`: these read without quota and end.
    """
    settings = hub.settings
    pool = Share(hub.pool, _CONNECTIONS)
    shared = shared_counts(settings.data_dir / "readers", COUNTED)
    places = Places(settings.stream_connections, shared)
    known = KnownTokens(
        pool,
        hub.clock,
        secrets,
        places=places.of_one,
        stale_seconds=settings.stream_token_stale_seconds,
    )
    pace = Pace(settings.stream_audited_reads_per_second)
    return HubAccess(known, Quotas(pool, hub.clock), ReadAudit(pool), places, pace)
