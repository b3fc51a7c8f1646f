"""What ended long ago at receivers is dropped, some at a time; how long a database may be silent.

What may stand at a FHIR server is kept at whatever age: a withdrawal has to know what to take back.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Final

from ops.runtime.postgres import Connection, translated

from . import queries

POOL_DEADLINE_SECONDS: Final = 10.0
"""Of what is looked at beside: a database that went silent must not hold everything up."""
_SWEEP_SECONDS: Final = 2.0
"""After so long no other share is swept in one look: the session has to be proved again."""
_SWEPT_ROWS: Final = 1_000
_SWEEPS: Final = 20
"""In one look: 2,000 rows a second go, more than ever come."""


async def sweep(connection: Connection, before: datetime) -> None:
    """Drop what ended before a moment, some at a time."""
    await connection.execute(queries.LET_GO_OF_REMOVED, _SWEPT_ROWS)
    loop = asyncio.get_running_loop()
    ends = loop.time() + _SWEEP_SECONDS
    for _ in range(_SWEEPS):
        swept = await connection.fetchval(queries.SWEEP, before, _SWEPT_ROWS)
        if swept < _SWEPT_ROWS or loop.time() > ends:
            return


@asynccontextmanager
async def answering(seconds: float) -> AsyncIterator[None]:
    """Give a database so many seconds for a block, its errors turned into ours.

    Raises:
        HubError: As `translated` says; `database_away` where it stays silent.
    """
    with translated():
        async with asyncio.timeout(seconds):
            yield
