"""A resolver alone on a scratch database: traits in, persons out, one transaction a batch."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

from dedup.key_function import KeyFunction
from dedup.persons import Bounds
from dedup.resolver import Resolution, Resolver, Subject
from dedup.store import DedupStore
from ops.runtime.clock import SystemClock
from ops.runtime.postgres import Pool, open_pool, translated
from ops.runtime.vault import FolderKeyStore, Vault
from schemas.decision import Realm
from schemas.errors import TransientError
from schemas.patient import Traits
from tests.support.postgres import Database

SECRET = b"s" * 32
NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
_TRIES = 50


class Resolving:
    """Resolves batches as one dispatch process does; several of them are several processes."""

    def __init__(
        self, pool: Pool, vault: Vault, *, realm: Realm = Realm.TEST, bounds: Bounds | None = None
    ) -> None:
        self.pool = pool
        self.vault = vault
        self.keys = KeyFunction(realm, SECRET)
        self.store = DedupStore(vault, bounds)
        self.resolver = Resolver(self.store, self.keys)
        self._realm = realm
        self._bounds = bounds
        self._offsets = count()
        self.retries = 0

    def again(self) -> Resolving:
        """Return another process on the same database."""
        return Resolving(self.pool, self.vault, realm=self._realm, bounds=self._bounds)

    async def resolve(self, *traits: Traits, at: datetime = NOW) -> list[Resolution]:
        """Resolve one batch in a transaction of its own, again where the world was at fault."""
        for _ in range(_TRIES):
            try:
                return await self._once(traits, at)
            except TransientError:
                self.retries += 1
        raise AssertionError("the world is at fault for ever")

    async def _once(self, traits: Sequence[Traits], at: datetime) -> list[Resolution]:
        subjects = [
            Subject(
                traits=each, keys=self.keys.derive(each), partition=0, offset=next(self._offsets)
            )
            for each in traits
        ]
        with translated():
            async with self.pool.acquire() as connection, connection.transaction():
                return await self.resolver.resolve(connection, subjects, at)

    async def persons(self, *traits: Traits, at: datetime = NOW) -> list[int]:
        """Resolve one batch; return the persons' numbers."""
        return [found.person_id for found in await self.resolve(*traits, at=at)]

    async def rows(self, query: str, *arguments: object) -> list[Any]:
        """Read."""
        async with self.pool.acquire() as connection:
            return await connection.fetch(query, *arguments)

    async def one(self, query: str, *arguments: object) -> Any:
        """Read one figure."""
        async with self.pool.acquire() as connection:
            return await connection.fetchval(query, *arguments)


@asynccontextmanager
async def resolving(
    database: Database,
    folder: Path,
    *,
    connections: int = 4,
    realm: Realm = Realm.TEST,
    bounds: Bounds | None = None,
) -> AsyncIterator[Resolving]:
    """Open a resolver on a scratch database."""
    pool = await open_pool(database.connect_kwargs, "dispatch", max_size=connections)
    try:
        vault = Vault(FolderKeyStore(folder / "keys"), SystemClock())
        yield Resolving(pool, vault, realm=realm, bounds=bounds)
    finally:
        await pool.close()
