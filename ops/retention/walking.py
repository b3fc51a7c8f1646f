"""Rows that go one by one: traits of persons who were not seen again, and local codes unseen.

Traits are sealed by the key of the day on which their person was last seen with them, so that the
key's end is theirs; what is done here gives back the room of what nobody can read any more. Local
codes are sealed on the day they first came: those that are seen still are sealed anew.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from typing import Final
from uuid import UUID

from ops.runtime.metrics import METRICS
from ops.runtime.postgres import Connection, translated
from ops.runtime.vault import SealClass, Vault
from schemas.errors import PermanentError

from . import queries

_NIL: Final = UUID(int=0)
_PAGE: Final = 2_000
_CODES_PAGE: Final = 500


async def empty_traits(connection: Connection, cut: date, most: int) -> dict[str, int]:
    """Empty payloads of whom nobody has seen since `cut`, some rows further; return how many.

    It goes on where the last time ended, and begins again at the end. The person and the keyed
    digests stay: whoever comes again is the same person.

    Raises:
        TransientError: The database is away.
    """
    emptied: dict[str, int] = {}
    for table, statement in queries.EMPTY.items():
        emptied[table] = 0
        looked = 0
        while looked < most:
            with translated():
                place = await connection.fetchrow(queries.WALKED, table)
                row = await connection.fetchrow(
                    statement, place["person_id"], place["digest"], cut, _PAGE
                )
                ends = row is None or row["looked"] < _PAGE
                where = (0, _NIL) if ends else (row["person_id"], row["digest"])
                await connection.execute(queries.WALK_ON, table, *where, int(ends))
            if row is not None:
                emptied[table] += row["emptied"]
                looked += row["looked"]
            if ends:
                break
        METRICS.purged_rows.labels(table).inc(emptied[table])
    return emptied


async def renew_codes(connection: Connection, vault: Vault, cut: date) -> int:
    """Forget local codes unseen since `cut`, and seal anew what is older and seen still.

    Returns:
        How many were forgotten.

    Raises:
        TransientError: The database is away.
    """
    since = datetime.combine(cut, time(), UTC)
    with translated():
        told = await connection.execute(queries.FORGET_CODES, since)
        behind: tuple[int, str, UUID] = (0, "", _NIL)
        while rows := await connection.fetch(queries.OLD_CODES, cut, _CODES_PAGE, *behind):
            behind = (rows[-1]["lab_id"], rows[-1]["kind"], rows[-1]["digest"])
            fresh = [_again(vault, row["payload"], row["digest"].bytes) for row in rows]
            await connection.execute(
                queries.RESEAL_CODES,
                [row["lab_id"] for row in rows],
                [row["kind"] for row in rows],
                [row["digest"] for row in rows],
                [row["payload"] for row in rows],
                fresh,
            )
    forgotten = int(told.rpartition(" ")[2])
    METRICS.purged_rows.labels("lab_unmapped").inc(forgotten)
    return forgotten


def _again(vault: Vault, payload: bytes, digest: bytes) -> bytes:
    """Seal by today's key; what cannot be opened any more is empty."""
    try:
        return vault.seal(SealClass.CODES, vault.open(payload, digest), digest)
    except PermanentError:
        return b""
