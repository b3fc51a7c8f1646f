"""Reads the next events of public health, opens them, and hears what they say.

Its own way beside `StreamReader`: no header is needed here, and no cursor, for positions are kept
with what follows from them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from ops.runtime.postgres import Pool, translated
from routing.cursors import Lane
from routing.indicator_rows import Heard, hear
from routing.outbox_reader import Opener, share_out
from schemas.errors import FatalError, PermanentError

from . import queries

_READABLE: Final = "follow docs/runbooks/indicators-stand.md"


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """Events that were read, in the order of their partitions, and where they end."""

    heard: list[Heard]
    positions: Mapping[int, int]
    """Of every partition, once these are counted."""
    left: int
    """Events of the stream behind them, as it was then."""


class Positions(msgspec.Struct, frozen=True, kw_only=True):
    """Where counting stands."""

    counted: Mapping[int, int]
    lanes: Mapping[int, Lane]

    @property
    def lag(self) -> int:
        """How many events are not counted."""
        return sum(lane.last_seq - self.counted[each] for each, lane in self.lanes.items())


class EventReader:
    """Reads batches of public health.

    Args:
        pool: Connections of the role that counts.
        opener: Opens the payloads.
        most: The most events of a batch.
    """

    def __init__(self, pool: Pool, opener: Opener, most: int) -> None:
        self._pool = pool
        self._opener = opener
        self._most = most

    async def positions(self, *, skip_gap: bool = False) -> Positions:
        """Return where counting stands, by what is stored.

        Args:
            skip_gap: Go on behind what retention took before it was counted.

        Raises:
            FatalError: Retention took some (`indicators_behind_retention`).
        """
        with translated():
            async with self._pool.acquire() as connection:
                rows = await connection.fetch(queries.LANES)
        return positions_of(rows, skip_gap=skip_gap)

    async def read(self, positions: Mapping[int, int]) -> Batch:
        """Return the next events behind these positions; none at the end.

        Raises:
            FatalError: Some are gone (`indicators_behind_retention`), or cannot be opened or read.
        """
        with translated():
            async with self._pool.acquire() as connection:
                now = positions_of(await connection.fetch(queries.LANES), at=positions)
                shares = share_out(positions, now.lanes, self._most)
                if not shares:
                    return Batch(heard=[], positions=positions, left=0)
                asked = sorted(shares)
                found = await connection.fetch(
                    queries.EVENTS,
                    asked,
                    [positions[each] for each in asked],
                    [shares[each] for each in asked],
                )
        if len(found) != sum(shares.values()):
            raise _behind(sorted(shares))
        behind = {each: positions[each] + shares.get(each, 0) for each in positions}
        return Batch(heard=self._hear(found), positions=behind, left=now.lag - len(found))

    def _hear(self, rows: list[Any]) -> list[Heard]:
        opened = self._opener.open
        heard = []
        try:
            for event_id, report_id, part, version, payload in rows:
                body = None if payload is None else opened(payload, event_id.bytes)
                heard.append(hear(report_id, part, version, body))
        except PermanentError as error:
            reason = error.reason if error.reason == "row_unreadable" else "outbox_unreadable"
            raise FatalError(reason, f"{error.reason} in public-health: {_READABLE}") from None
        return heard


def positions_of(
    rows: list[Any], at: Mapping[int, int] | None = None, *, skip_gap: bool = False
) -> Positions:
    """Return where counting stands in the lanes that were found."""
    lanes, counted, gone = {}, {}, []
    for row in rows:
        partition = row["partition"]
        lane = lanes[partition] = Lane(begins=row["begins"], last_seq=row["last_seq"])
        stored = row["counted"] if at is None else at[partition]
        if stored is None or (stored < lane.begins - 1 and skip_gap):
            stored = lane.begins - 1  # nothing was counted yet: what went before is no gap
        if stored < lane.begins - 1:
            gone.append(partition)
        if stored > lane.last_seq:
            raise FatalError(
                "indicators_ahead",
                f"more of partition {partition} is counted than there is: the database was restored"
                " in part; labdispatch indicators rebuild",
            )
        counted[partition] = stored
    if gone:
        raise _behind(gone)
    return Positions(counted=counted, lanes=lanes)


def _behind(partitions: list[int]) -> FatalError:
    named = ", ".join(str(each) for each in partitions[:20])
    return FatalError(
        "indicators_behind_retention",
        f"retention took events of partitions {named} before they were counted: {_READABLE}",
    )
