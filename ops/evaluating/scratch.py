"""The real resolver on a database that lives as long as the run: made, used, removed."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from dedup.key_function import KeyFunction
from dedup.model import Model
from dedup.resolver import Resolver, Subject
from dedup.store import DedupStore
from ops.runtime.clock import SystemClock
from ops.runtime.embedded import EmbeddedPostgres
from ops.runtime.migrate import migrate
from ops.runtime.postgres import Pool, open_pool, translated
from ops.runtime.vault import FolderKeyStore, Vault
from schemas.decision import MatchDecision, Realm
from schemas.patient import Traits

_BUFFERS_MB: Final = 128


class ScratchPersons:
    """Finds or makes persons as dispatch does: one transaction a batch, one batch at a time."""

    def __init__(self, pool: Pool, vault: Vault, model: Model, realm: Realm) -> None:
        self._pool = pool
        self._keys = KeyFunction(realm, vault.secret("person"), model)
        self._resolver = Resolver(DedupStore(vault), self._keys, model)
        self._offset = 0

    async def take(self, batch: Sequence[Traits]) -> list[tuple[int, MatchDecision]]:
        """Return person and decision of each record; what was decided is committed."""
        subjects = []
        for traits in batch:
            keys = self._keys.derive(traits)
            subjects.append(Subject(traits=traits, keys=keys, partition=0, offset=self._offset))
            self._offset += 1
        with translated():
            async with self._pool.acquire() as connection, connection.transaction():
                found = await self._resolver.resolve(connection, subjects, datetime.now(UTC))
        return [(resolution.person_id, resolution.decision) for resolution in found]


@asynccontextmanager
async def scratch_persons(model: Model, realm: Realm) -> AsyncIterator[ScratchPersons]:
    """Hold a scratch database for a block; its folder is removed at the end, whatever happens."""
    folder = _folder()
    server = EmbeddedPostgres(
        folder / "data", state_dir=folder / "state", shared_buffers_mb=_BUFFERS_MB
    )
    try:
        await asyncio.to_thread(server.start)
        connect = server.connect_kwargs()
        await migrate(connect)
        vault = Vault(FolderKeyStore(folder / "keys"), SystemClock())
        pool = await open_pool(connect, "dispatch", max_size=1)
        try:
            yield ScratchPersons(pool, vault, model, realm)
        finally:
            await pool.close()
    finally:
        await asyncio.to_thread(server.stop)
        shutil.rmtree(folder, ignore_errors=True)


def _folder() -> Path:
    """Make a folder that the server's own system user can pass through, where there is one."""
    folder = Path(tempfile.mkdtemp(prefix="ld-evaluate-"))
    folder.chmod(0o711)
    return folder
