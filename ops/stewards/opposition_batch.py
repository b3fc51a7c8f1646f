"""Many oppositions: each line one act of its own, answered by its number.

A line that was done before says so and changes nothing, so a batch that was stopped is simply given
again. An INS that nobody is known by yet is kept ahead (`opposition_ahead`), under the lock of the
INS's key: a record that bears it comes before or after, never beside it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from itertools import islice
from typing import Final
from uuid import UUID

from ops.asking import Asker, check_asker
from ops.runtime.logs import get_logger
from ops.runtime.metrics import METRICS
from ops.runtime.postgres import Connection, translated
from schemas.errors import PermanentError
from schemas.patient import Ins, Traits

from . import queries
from .acts import Stewards
from .local_numbers import LocalNumbers, Wanted
from .opposition_file import Answered, Said

_log = get_logger(__name__)

_AT_ONCE: Final = 500
"""Lines that are looked up together."""
_KEY_VERSIONS: Final = (1, 2)
"""An INS has a key of the first function and one that all later ones share."""


class OppositionBatch:
    """Does the lines of a batch.

    Args:
        stewards: The acts.
        numbers: Finds persons by laboratories' own numbers.
    """

    def __init__(self, stewards: Stewards, numbers: LocalNumbers) -> None:
        self._stewards = stewards
        self._numbers = numbers

    async def run(self, lines: Iterable[Said], asker: Asker) -> AsyncIterator[Answered]:
        """Do the lines in their order, and answer each.

        Raises:
            TransientError: The world is at fault; what was answered is done, the rest is not.
        """
        check_asker(asker)
        source = iter(lines)
        while chunk := list(islice(source, _AT_ONCE)):
            wanted = {
                Wanted(laboratory=each.laboratory, number=each.number)
                for each in chunk
                if each.number and not each.fault
            }
            found = await self._numbers.find(wanted)
            for said in chunk:
                result = said.fault
                if not result and said.number:
                    at = found[Wanted(laboratory=said.laboratory, number=said.number)]
                    result = at if isinstance(at, str) else await self._act(said, at, asker)
                elif not result:
                    result = await self._by_ins(said, asker)
                METRICS.opposition_lines.labels(result).inc()
                yield Answered(line=said.line, result=result)

    async def _by_ins(self, said: Said, asker: Asker) -> str:
        # The connection goes back before an act takes its own.
        async with self._stewards.pool.acquire() as connection:
            with translated():
                found: list[int] | str = await self._persons(connection, said.ins)
                if not found:
                    found = await self._ahead(connection, said, asker)
        return found if isinstance(found, str) else await self._act(said, found, asker)

    async def _act(self, said: Said, persons: Sequence[int], asker: Asker) -> str:
        """Let each person who bears the number oppose, or allow; what was done of it counts.

        All of them: an INS is one dossier, whoever its reports are filed under. And each by itself,
        not as whom it is merged into: undoing a merge that was wrong must leave the word with those
        who gave it.
        """
        if not persons:
            return "nobody"
        results = {await self._act_for(person, said, asker) for person in persons}
        done = "opposed" if said.opposes else "allowed"
        return next(each for each in ("failed", done, *sorted(results)) if each in results)

    async def _act_for(self, person: int, said: Said, asker: Asker) -> str:
        try:
            if said.opposes:
                await self._stewards.oppose(person, asker)
            else:
                await self._stewards.allow(person, asker, alone=True)
        except PermanentError as error:
            if error.reason == "opposes_already":
                return "opposed_already"
            if error.reason == "opposes_not":
                return "not_opposed"
            _log.error("opposition_failed", reason=error.reason, count=said.line)
            return "failed"
        return "opposed" if said.opposes else "allowed"

    async def _ahead(self, connection: Connection, said: Said, asker: Asker) -> list[int] | str:
        """Keep or end an opposition of somebody who is not known; whoever is by now is returned."""
        pairs = [pair for ins in said.ins for pair in self._keys(ins)]
        async with connection.transaction():
            await self._stewards.store.lock_keys(connection, [key for key, _ in pairs])
            persons = await self._persons(connection, said.ins)
            if persons:
                return persons
            digests = sorted({digest for _, digest in pairs})
            return await self._keep(connection, digests, asker, opposes=said.opposes)

    async def _keep(
        self, connection: Connection, digests: Sequence[UUID], asker: Asker, *, opposes: bool
    ) -> str:
        if opposes:
            at = self._stewards.clock.now()
            rows = await connection.fetch(queries.OPPOSE_AHEAD, digests, at, asker.actor)
            result = "opposed_ahead" if rows else "opposed_already"
        else:
            rows = await connection.fetch(queries.ALLOW_AHEAD, digests)
            result = "allowed" if rows else "not_opposed"
        if rows:
            action = "oppose" if opposes else "allow"
            await connection.fetchval(
                queries.AUDIT, asker.actor, action, "an INS that is not known yet", asker.reason
            )
        return result

    async def _persons(self, connection: Connection, numbers: Sequence[Ins]) -> list[int]:
        """Return who bears an INS, each by its own number."""
        pairs = [pair for ins in numbers for pair in self._keys(ins)]
        rows = await connection.fetch(
            queries.BY_INS, [key for key, _ in pairs], [digest for _, digest in pairs]
        )
        return sorted({row["person_id"] for row in rows})

    def _keys(self, ins: Ins) -> list[tuple[int, UUID]]:
        found = []
        for version in _KEY_VERSIONS:
            keys = self._stewards.sources.keys_of(
                Traits(ins=(ins,), identity_status="VALI"), version
            )
            assert keys.ins is not None, "an INS of this realm, and validated"
            found.append((keys.ins.key, keys.ins.digest))
        return found
