"""Which releases run on a database, by what their connections say; and what must wait for the old.

A connection of this release bears the number of its schema behind its role; one of a release that
did not say it yet bears none. What an older process does not know, it would not heed: a pause would
hold half of the messages, mended bytes would be passed over.
"""

from __future__ import annotations

from typing import Final

import msgspec

from ops.runtime.postgres import Connection
from schemas.errors import PermanentError

_RUNNING: Final = r"""
SELECT (regexp_match(application_name, '^labdispatch ([a-z]+)'))[1] AS role,
       (regexp_match(application_name, ' ([0-9]{4})$'))[1]::integer AS schema,
       count(*) AS connections
FROM pg_stat_activity
WHERE datname = current_database() AND application_name ~ '^labdispatch [a-z]+( [0-9]{4})?$'
GROUP BY 1, 2 ORDER BY 1, 2
"""


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """Processes of one role and release, as the database sees them."""

    role: str
    schema: int | None
    """The last migration they know; None: a release that does not say it, 0019 or older."""
    connections: int


async def running(connection: Connection) -> list[Running]:
    """Return which processes are connected, ourselves with them."""
    return [Running(**dict(row)) for row in await connection.fetch(_RUNNING)]


async def refuse_beside_older(connection: Connection, schema: int, what: str) -> None:
    """Refuse an act while a process runs that would not heed it.

    A process that is started after this look is not seen: end an upgrade before such acts.

    Args:
        connection: Of the instance.
        schema: The migration that brought what the act relies on.
        what: The act, for the remedy.

    Raises:
        PermanentError: One of an older release is connected (`old_release_runs`).
    """
    older = {
        each.role
        for each in await running(connection)
        if each.schema is None or each.schema < schema
    }
    if older:
        raise PermanentError(
            "old_release_runs",
            f"{what} is not known to the release of {', '.join(sorted(older))}, which still runs:"
            " end the upgrade first (docs/operate.md)",
        )
