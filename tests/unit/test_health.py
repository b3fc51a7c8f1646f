"""What `/readyz` goes by: can messages be taken, and what is away although they can."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from ops.runtime.health import Readiness, readiness
from schemas.errors import TransientError


class World:
    """A database and a log, each there or away."""

    def __init__(self, *, database: bool, log: bool) -> None:
        self._database = database
        self._log = log

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[Any]:
        if not self._database:
            raise TransientError("database_away")
        yield self

    async def fetchval(self, _: str, timeout: float) -> int:
        return 1

    async def end_offsets(self) -> dict[int, int]:
        if not self._log:
            raise TransientError("kafka_unavailable")
        return {}


DATABASE = "database (database_away)"
LOG = "intake log (kafka_unavailable)"


@pytest.mark.parametrize(
    ("database", "log", "closed", "cluster", "embedded"),
    [
        (True, True, "", ([], []), ([], [])),
        (False, True, "", ([], [DATABASE]), ([DATABASE], [])),
        (True, False, "", ([LOG], []), ([LOG], [])),
        (False, False, "", ([LOG], [DATABASE]), ([DATABASE, LOG], [])),
        (True, True, "disk_low", (["door (disk_low)"], []), (["door (disk_low)"], [])),
    ],
)
async def test_a_door_of_the_cluster_is_ready_without_its_database(
    database: bool,
    log: bool,
    closed: str,
    cluster: tuple[list[str], list[str]],
    embedded: tuple[list[str], list[str]],
) -> None:
    world: Any = World(database=database, log=log)
    for is_embedded, (missing, without) in ((False, cluster), (True, embedded)):
        found = await readiness(world, world, closed, log_is_database=is_embedded)
        assert found == Readiness(missing=missing, without=without)
