"""Which extraction answers: the last, or the last one at or before a moment."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from ops.runtime.postgres import Connection
from schemas.errors import PermanentError
from schemas.figures import Extraction

from . import extraction_queries


class Made(Extraction, frozen=True, kw_only=True):
    """An extraction and how it came about."""

    events: int
    """Events of public health that had been counted."""
    lag: int
    """Events that had not been, though they were there."""
    policy: str
    """Disclosure control and population that were in effect."""
    tables: int
    """How many tables it changed."""


async def extraction_of(connection: Connection, as_of: datetime | None) -> Made:
    """Return the last extraction, or the last one at or before a moment.

    Raises:
        PermanentError: As `Published.extraction` says.
    """
    if as_of is None:
        row = await connection.fetchrow(extraction_queries.LAST)
    else:
        row = await connection.fetchrow(extraction_queries.AS_OF, as_of)
    if row is not None:
        return made_of(row)
    first = await connection.fetchrow(extraction_queries.FIRST)
    if first is None:
        raise PermanentError("no_extraction", "nothing was published yet: try again later")
    if first["number"] > 1:
        raise PermanentError(
            "extraction_gone", f"the oldest that is kept is of {first['at'].isoformat()}"
        )
    raise PermanentError("no_extraction", f"the first is of {first['at'].isoformat()}")


def made_of(row: Any) -> Made:
    """Return an extraction out of its row."""
    return Made(
        number=row["number"],
        at=row["at"],
        events=row["events"],
        lag=row["lag"],
        policy=row["policy"],
        tables=row["tables"],
    )
