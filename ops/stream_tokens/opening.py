"""The readers' tokens of an instance, put together from its settings."""

from __future__ import annotations

from collections.abc import Mapping

from ops.bootstrap import Hub

from .access import HubAccess, Pace, Places
from .known import KnownTokens
from .quotas import Quotas
from .reads import ReadAudit


def access_of(hub: Hub, secrets: Mapping[str, str]) -> HubAccess:
    """Return who says who may read; `keep` is the caller's to run, and `last_flush` to await.

    Args:
        hub: The instance.
        secrets: Of `tokens.json`: these read without quota and end.
    """
    settings = hub.settings
    places = Places(settings.stream_connections)
    known = KnownTokens(
        hub.pool,
        hub.clock,
        secrets,
        places=places.of_one,
        stale_seconds=settings.stream_token_stale_seconds,
    )
    pace = Pace(settings.stream_audited_reads_per_second)
    return HubAccess(known, Quotas(hub.pool, hub.clock), ReadAudit(hub.pool), places, pace)
