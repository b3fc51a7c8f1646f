"""Which reports have no weight in their cases: what rules keep from being told (docs/cases.md)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from ops.publishing import Due, Publisher
from ops.ruling.in_effect import RulesInEffect
from ops.runtime.postgres import Connection
from schemas.decision import Standing
from schemas.errors import pure_step
from schemas.topics import Stream


class Weighing:
    """Asks the rules in effect; writes and locks nothing.

    Args:
        rules: The rules in effect.
        publisher: Says how a report is given to rules.
    """

    def __init__(self, rules: RulesInEffect, publisher: Publisher) -> None:
        self._rules = rules
        self._publisher = publisher

    async def withheld(
        self, connection: Connection, due: Sequence[Due], at: datetime | None
    ) -> dict[UUID, frozenset[str]]:
        """Return report -> conditions of which nothing is told before a person has looked.

        Of most batches nothing is, and then nothing is asked.

        Args:
            connection: Inside the transaction whose reports these are.
            due: The reports, whatever is known of their cases.
            at: By the rules in effect then; None: now.
        """
        with pure_step():
            odd = {one.placed.report_id for one in due if self._publisher.is_odd(one)}
        if not odd:
            return {}
        # All versions of these: of two in a batch the last one counts, odd or not.
        alone = [
            msgspec.structs.replace(one, standings={}) for one in due if one.placed.report_id in odd
        ]
        router = await self._rules.at(connection, at)
        named = bool(router.sight.laboratories)
        cases = await self._publisher.cases_of(connection, alone, laboratories=named)
        with pure_step():
            return {case.report_id: router.withheld(case) for case in cases}

    async def standing_back(
        self,
        connection: Connection,
        standings: Mapping[UUID, Mapping[str, Standing]],
        stream: Stream,
        at: datetime | None,
    ) -> set[UUID]:
        """Return the reports of which a stream is told nothing as they stand, whatever they say.

        Args:
            connection: Inside the transaction whose reports these are.
            standings: Report -> condition -> where it stands.
            stream: The stream.
            at: By the rules in effect then; None: now.
        """
        if not standings:
            return set()
        router = await self._rules.at(connection, at)
        with pure_step():
            return {
                report
                for report, told in standings.items()
                if router.stands_back(stream, told.values())
            }
