"""The rules in effect: asked for inside each transaction, compiled once a process and version.

Asked inside the transaction, so that all workers change at the time that was set, without a word
between them; what they judged stands on its events by version.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime
from typing import Final

from ops.runtime.logs import get_logger
from ops.runtime.metrics import METRICS
from ops.runtime.postgres import Connection
from routing.router import Router
from routing.rule_file import load_own_rules, load_rules
from routing.rules import Rules
from schemas.errors import FatalError

_log = get_logger(__name__)

IN_EFFECT: Final = """
SELECT version, effective_at FROM rule_effect WHERE effective_at <= coalesce($1, now())
ORDER BY effective_at DESC, rule_effect_id DESC LIMIT 1
"""
SOURCE: Final = "SELECT source FROM rule_set WHERE version = $1"
LABORATORIES: Final = "SELECT lab_id, registry_id FROM lab WHERE lab_id = ANY ($1::integer[])"

_ROUTERS: Final = 4
"""Sets that are kept compiled: the one in effect, and those of before and after a change."""
_LABORATORIES: Final = 100_000


class RulesInEffect:
    """Gives the router whose rules are in effect at a moment.

    Where none was ever loaded, the rules that this release ships are in effect.

    Args:
        make: Makes the router of a set.
        tried: These instead, whatever is in effect: for what is only rehearsed.
    """

    def __init__(self, make: Callable[[Rules], Router], tried: Rules | None = None) -> None:
        self._make = make
        self._tried = None if tried is None else make(tried)
        self._own = load_own_rules()
        self._routers: dict[str, Router] = {}
        self._laboratories: dict[int, str] = {}
        self._version: str | None = None

    async def at(self, connection: Connection, moment: datetime | None) -> Router:
        """Return the router of the rules in effect at a moment; None: now.

        Raises:
            FatalError: `rules_invalid`: this release cannot read the set that another one loaded.
        """
        if self._tried is not None:
            return self._tried
        row = await connection.fetchrow(IN_EFFECT, moment)
        version = "" if row is None else row["version"]
        router = self._routers.get(version)
        if router is None:
            rules = await self.load(connection, version) if version else self._own
            if len(self._routers) >= _ROUTERS:
                self._routers.clear()
            router = self._routers[version] = self._make(rules)
        if version != self._version:
            if self._version is not None:
                # A process that goes over; a command that only begins has nothing to tell.
                METRICS.rule_changes.inc()
                _log.info("rules_in_effect", version=router.version)
            self._version = version
            METRICS.rules_since.set(0 if row is None else row["effective_at"].timestamp())
        return router

    async def load(self, connection: Connection, version: str) -> Rules:
        """Return a set that was loaded; its examples run again, in this release.

        Raises:
            FatalError: `rules_unknown`: there is none; `rules_invalid`: it fails in this release.
        """
        source = await connection.fetchval(SOURCE, version)
        if source is None:
            raise FatalError("rules_unknown", f"no set {version}: labdispatch route list shows all")
        return load_rules(source.encode(), version)

    async def laboratories(self, connection: Connection, ids: Collection[int]) -> dict[int, str]:
        """Return the numbers of laboratories in the register, by our id; none ever changes."""
        missing = sorted(set(ids) - self._laboratories.keys())
        if missing:
            if len(self._laboratories) + len(missing) > _LABORATORIES:
                self._laboratories.clear()
                missing = sorted(set(ids))
            rows = await connection.fetch(LABORATORIES, missing)
            self._laboratories |= {row["lab_id"]: row["registry_id"] for row in rows}
        return {each: self._laboratories.get(each, "") for each in ids}
