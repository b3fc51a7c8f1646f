"""Tells the delays of weeks that are old enough: each once, with the extraction that finds it so.

What comes later, or is corrected, changes them no more. So no two of them can be compared for what
came between, and a week's delays are all of one state.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any, Final

import msgspec

from ops.runtime.metrics import METRICS
from ops.runtime.postgres import Connection
from routing.delays import ShownDelays, WeekTests, settled_sunday
from routing.disclosure import Shown
from routing.disclosure_revising import told_anew
from routing.indicator_cells import DAY, DELAYS, Measure, week_of

from . import delay_queries, extraction_queries, packing
from .packing import Packed
from .protection import Protection
from .stored import pack_delays
from .telling import unpack_told

_WEEK: Final = 7


class ToldWeek(msgspec.Struct, frozen=True, kw_only=True):
    """A week's delays, packed, and how finely they are told."""

    condition: str
    sunday: int
    shown: bytes
    figures: bytes


class DelayTeller:
    """Makes what is to be told of delays.

    Args:
        protection: What may be told; another policy tells all weeks anew, another population none.
        most_weeks: Of how many weeks and conditions an extraction tells them; others follow.
        most_waiting: While more events wait to be counted nothing is told: it would be told short.
    """

    def __init__(self, protection: Protection, *, most_weeks: int, most_waiting: int) -> None:
        self._protection = protection
        self._name = protection.policy_name
        self._most_weeks = most_weeks
        self._most_waiting = most_waiting

    async def tell(
        self, connection: Connection, number: int, today: date, lag: int
    ) -> list[ToldWeek]:
        """Return the weeks that are told first by an extraction; to be kept with it."""
        if lag > self._most_waiting:
            return []
        due = await connection.fetch(
            delay_queries.DUE, settled_sunday(today), self._name, self._most_weeks + 1
        )
        METRICS.indicator_delay_weeks_waiting.set(max(0, len(due) - self._most_weeks))
        found = []
        for row in due[: self._most_weeks]:
            condition, sunday = row["condition"], row["day"]
            before = None
            if row["shown"] is not None:
                before = msgspec.msgpack.decode(row["shown"], type=ShownDelays)
            found.append(await self._week(connection, number, (condition, sunday), before))
        return found

    async def keep(self, connection: Connection, number: int, weeks: Iterable[ToldWeek]) -> None:
        """Write them, in the transaction that makes the extraction exist."""
        rows = [(each.condition, each.sunday, each.shown, each.figures) for each in weeks]
        if rows:
            columns = map(list, zip(*rows, strict=True))
            await connection.execute(delay_queries.KEEP, number, self._name, *columns)
        METRICS.indicator_delay_weeks.inc(len(rows))

    async def _week(
        self,
        connection: Connection,
        number: int,
        place: tuple[str, int],
        before: ShownDelays | None,
    ) -> ToldWeek:
        condition, sunday = place
        week = week_of(sunday)
        cells = await self._cells(connection, number, condition, sunday)
        row = await connection.fetchrow(extraction_queries.SHOWN, condition, week, number)
        if row is None:
            shown = Shown(condition=condition, block=week)
        else:
            shown = told_anew(msgspec.msgpack.decode(row["packed"], type=Shown))

        def made() -> tuple[bytes, bytes]:
            tests = week_tests(cells, sunday)
            decided = self._protection.decide_delays(tests, shown, before)
            figures = self._protection.delay_figures(condition, week, tests, decided)
            return msgspec.msgpack.encode(decided), pack_delays(figures)

        kept, figures = await asyncio.to_thread(made)
        return ToldWeek(condition=condition, sunday=sunday, shown=kept, figures=figures)

    async def _cells(
        self, connection: Connection, number: int, condition: str, sunday: int
    ) -> list[Mapping[str, Any]]:
        """Return the cells that the week's tests are told from."""
        place = (condition, DAY, sunday - _WEEK + 1, sunday)
        if not self._protection.policy.holds:
            return list(await connection.fetch(extraction_queries.CELLS_OF_DAYS, *place))
        return [
            {"day": row["day"], "department": department, "packed": packed}
            for row in await connection.fetch(extraction_queries.TOLD, *place, number)
            for department, packed in unpack_told(row["packed"]).items()
        ]


def week_tests(rows: Iterable[Mapping[str, Any]], sunday: int) -> WeekTests:
    """Return a week's tests by department, day and delay, out of its cells."""
    delays: dict[str, list[list[int]]] = {}
    imputed: dict[str, list[list[int]]] = {}
    for row in rows:
        at = row["day"] - (sunday - _WEEK + 1)
        held = packing.unpack(row["packed"])
        by_delay = delays.setdefault(row["department"], [[0] * (DELAYS + 1) for _ in range(_WEEK)])
        guessed = imputed.setdefault(row["department"], [[0, 0] for _ in range(_WEEK)])
        by_delay[at], guessed[at] = _of_day(held)
    return WeekTests(delays=delays, imputed=imputed)


def _of_day(held: Packed) -> tuple[list[int], list[int]]:
    """Return tests by delay, the last those of no known one; and by known and imputed residence."""
    tests = sum(counts[Measure.TESTS] for counts in held.cells.values())
    guessed = sum(
        counts[Measure.IMPUTED_TESTS]
        for counts in held.cells.values()
        if len(counts) > Measure.IMPUTED_TESTS
    )
    known = packing.delays_of(held).tests
    return [*known, tests - sum(known)], [tests - guessed, guessed]
