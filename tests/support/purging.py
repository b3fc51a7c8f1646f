"""A purge of a scratch hub, some days ahead of now."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec

from ops.asking import Asker
from ops.bootstrap import Hub
from ops.retention.ages import Kind
from ops.retention.keeping import scope_of
from ops.retention.purge import Purger
from ops.runtime.postgres import Connection, connected
from tests.support.postgres import Database

ASKER = Asker(actor="tester", reason="its time has come")


class Ahead:
    """A clock that is some days ahead."""

    def __init__(self, days: int) -> None:
        self.days = days

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(days=self.days)


@asynccontextmanager
async def purging(database: Database, hub: Hub, days: int, **changes: Any) -> AsyncIterator[Purger]:
    """Give a purger whose today is so many days ahead; `changes` are of its limits of parts."""
    # Weeks of the inbox are made for today, and go by days of their own.
    inbox = changes.pop("inbox", 3_650)
    async with connected(database.connect_kwargs, "retention") as connection:
        yield purger_on(connection, hub, Ahead(days), inbox=inbox, **changes)


def purger_on(
    connection: Connection, hub: Hub, clock: Ahead, *, inbox: int = 3_650, **changes: Any
) -> Purger:
    """Return a purger on a connection, by another clock."""
    scope = scope_of(hub)
    return Purger(
        connection,
        hub.vault,
        clock,
        msgspec.structs.replace(
            scope,
            parts=msgspec.structs.replace(scope.parts, **{"least_rows": 1, **changes}),
            ages=msgspec.structs.replace(scope.ages, inbox=inbox),
        ),
    )


def today() -> date:
    """Today's day in UTC, by which keys are named."""
    return datetime.now(UTC).date()


async def nothing_is_held_back(purger: Purger) -> None:
    """Wait until the account has counted: what it has not counted keeps its key, and rightly so.

    A hub that was just started counts soon, and not before it says that it is ready.
    """
    async with asyncio.timeout(120):
        while held := (await purger.plan()).held_back:
            assert held.keys() <= {Kind.INTAKE}, held
            await asyncio.sleep(0.1)
