"""Who may send: the register of laboratories as a door sees it.

The register lives in PostgreSQL; a door keeps a copy in memory, refreshed every few seconds. On
the default (loopback, test realm) a sending facility that is not yet known is registered at first
sight, in state `onboarding`; everywhere else it is refused (AR) with what to do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final, Protocol

import msgspec

from ops.runtime.metrics import METRICS
from ops.runtime.postgres import Connection, Pool, translated
from schemas.errors import HubError

from .codes import NO_CODES, CodeTable, LocalCode
from .judge import LabProfile

_rows: Final = msgspec.json.Decoder(tuple[LocalCode, ...])

# One statement is one snapshot: a mapping table never comes with another version's number. Tables
# that the reader holds already (numbers and versions in $1, $2) are not sent again.
_SELECT: Final = """
SELECT l.lab_id, l.registry_id, l.name, l.state, l.profile, l.profile_version, l.wants_no_answer,
       k.version IS NOT DISTINCT FROM l.profile_version AS is_held,
       CASE WHEN k.version IS DISTINCT FROM l.profile_version THEN
           (SELECT jsonb_agg(jsonb_build_object(
                       'kind', c.kind, 'local', c.local, 'local_system', c.local_system,
                       'code', c.code, 'system', c.system, 'text', c.text))::text
            FROM lab_code c WHERE c.lab_id = l.lab_id)
       END AS codes
FROM lab l
LEFT JOIN unnest($1::integer[], $2::integer[]) AS k (lab_id, version) ON k.lab_id = l.lab_id
"""
LIST: Final = _SELECT
ONE: Final = _SELECT + " WHERE l.lab_id = $3"

# DO UPDATE and not DO NOTHING: the row of whoever was first must come back.
REGISTER: Final = """
INSERT INTO lab (registry_id, name) VALUES ($1, $1)
ON CONFLICT (registry_id) DO UPDATE SET registry_id = EXCLUDED.registry_id
RETURNING lab_id
"""


class Lab(msgspec.Struct, frozen=True, kw_only=True):
    """A laboratory of the register: `registry_id` is its sending facility, normalised."""

    lab_id: int
    registry_id: str
    name: str = ""
    state: str = "onboarding"
    profile: str = "fr"
    profile_version: int = 1
    wants_no_answer: bool = False
    codes: CodeTable = NO_CODES
    """What its own codes mean, at this version of its profile."""


def profile_of(lab: Lab) -> LabProfile:
    """Return what the verdict about a laboratory's message depends on."""
    return LabProfile(name=lab.profile, version=lab.profile_version, codes=lab.codes)


class LabStore(Protocol):
    """Where the register is kept."""

    async def all(self) -> list[Lab]:
        """Return every laboratory."""
        ...

    async def register(self, registry_id: str) -> Lab:
        """Return the laboratory of this registry id, made if it was not there."""
        ...


class PostgresLabStore:
    """`LabStore` on the table `lab`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._held: dict[int, tuple[int, CodeTable]] = {}

    async def all(self) -> list[Lab]:
        """Read the whole register (4,500 rows are 1 MB), and the mapping tables that changed."""
        held = dict(self._held)
        versions = [version for version, _ in held.values()]
        with translated():
            async with self._pool.acquire() as connection:
                rows = await connection.fetch(LIST, list(held), versions)
        labs = [_lab(row, held) for row in rows]
        self._held = {lab.lab_id: (lab.profile_version, lab.codes) for lab in labs}
        return labs

    async def one(self, lab_id: int) -> Lab | None:
        """Return a laboratory as it stands now, None where no such one is registered."""
        with translated():
            async with self._pool.acquire() as connection:
                return await _one(connection, lab_id)

    async def register(self, registry_id: str) -> Lab:
        """Insert in state `onboarding`, or read what is there."""
        with translated():
            async with self._pool.acquire() as connection:
                lab = await _one(connection, await connection.fetchval(REGISTER, registry_id))
        assert lab is not None, "no laboratory is ever deleted"
        return lab


class LabRegister:
    """The door's copy of the register.

    Args:
        store: Where the register is kept.
        register_unknown: Whether a facility seen for the first time is registered.
        max_pending: The most registrations under way at once; beyond, the sender is refused.
    """

    def __init__(
        self, store: LabStore, *, register_unknown: bool, max_pending: int = 1_000
    ) -> None:
        self._store = store
        self._register_unknown = register_unknown
        self._max_pending = max_pending
        self._labs: dict[str, Lab] = {}
        self._pending: dict[str, asyncio.Future[Lab]] = {}

    def __len__(self) -> int:
        return len(self._labs)

    def get(self, registry_id: str) -> Lab | None:
        """Return the laboratory if it is known here; never waits."""
        return self._labs.get(registry_id)

    async def admit(self, registry_id: str) -> Lab | None:
        """Return the laboratory, registered now if that is allowed; None when it is refused.

        Raises:
            TransientError: The register cannot be asked now.
        """
        known = self._labs.get(registry_id)
        if known is not None or not self._register_unknown:
            return known
        pending = self._pending.get(registry_id)
        if pending is None:
            if len(self._pending) >= self._max_pending:
                METRICS.limit_hits.labels("pending_registrations").inc()
                return None
            pending = asyncio.ensure_future(self._store.register(registry_id))
            self._pending[registry_id] = pending
            pending.add_done_callback(lambda _: self._pending.pop(registry_id, None))
        lab = await asyncio.shield(pending)
        self._labs[registry_id] = lab
        return lab

    async def refresh(self) -> None:
        """Read the register again.

        Raises:
            TransientError: The database is away; the copy in memory stays as it was.
        """
        self._labs = {lab.registry_id: lab for lab in await self._store.all()}

    async def keep_fresh(self, period_seconds: float) -> None:
        """Refresh for ever; a database that is away leaves the copy as it is."""
        while True:
            await asyncio.sleep(period_seconds)
            try:
                await self.refresh()
            except HubError as error:
                METRICS.errors.labels("register", error.reason).inc()


async def _one(connection: Connection, lab_id: int) -> Lab | None:
    row = await connection.fetchrow(ONE, [], [], lab_id)
    return None if row is None else _lab(row, {})


def _lab(row: Any, held: Mapping[int, tuple[int, CodeTable]]) -> Lab:
    if row["is_held"]:
        codes = held[row["lab_id"]][1]
    else:
        codes = CodeTable(_rows.decode(row["codes"])) if row["codes"] else NO_CODES
    return Lab(
        lab_id=row["lab_id"],
        registry_id=row["registry_id"],
        name=row["name"],
        state=row["state"],
        profile=row["profile"],
        profile_version=row["profile_version"],
        wants_no_answer=row["wants_no_answer"],
        codes=codes,
    )
