"""The search for possible duplicates: persons that share a key and might be joined today.

It never joins. It walks all persons, some at a time, holds each against whoever shares a key with
it, and opens review items of the lowest priority; where it stands is kept, so it goes on after a
stop. What a steward has settled is not asked again.
"""

from __future__ import annotations

from typing import Final

import msgspec

from dedup.decide import decide
from dedup.deciding import Known
from dedup.identity import Candidate, PersonKeys
from dedup.model import SERVICE_MODEL, load_model
from dedup.queue import POSSIBLE_DUPLICATE, ItemKind, Priority, items_of
from dedup.store import DedupStore
from ops.runtime.clock import Clock
from ops.runtime.postgres import Connection, Pool, translated
from ops.sources import Sources
from schemas.decision import MatchDecision, Verdict

from .as_of import UNDER

_PAGE: Final = 50

WHERE: Final = "SELECT next_person_id FROM duplicate_search FOR UPDATE"
MOVE: Final = "UPDATE duplicate_search SET next_person_id = $1"
NEXT: Final = """
SELECT p.person_id FROM person p
WHERE p.person_id >= $1 AND p.merged_into IS NULL AND NOT p.isolated
ORDER BY p.person_id LIMIT $2
"""
# A pair whose item there is, of whatever guard, is asked about already.
OPEN: Final = """
INSERT INTO review_item (opened_at, person_id, other_person_id, guard, evidence, kind, priority,
                         bits, model_version)
SELECT $1, $2, $3, $4, $5::jsonb, $6, $7, $8, $9
WHERE NOT EXISTS (
    SELECT 1 FROM review_item r
    WHERE (r.person_id = $2 AND r.other_person_id = $3)
       OR (r.person_id = $3 AND r.other_person_id = $2))
ON CONFLICT DO NOTHING RETURNING review_item_id
"""


class Searched(msgspec.Struct, kw_only=True):
    """What a run of the search did."""

    persons: int = 0
    opened: int = 0
    next_person: int = 0
    """Where the next run goes on; 0: all have been looked at, it begins again."""


class _Found(msgspec.Struct, frozen=True, kw_only=True):
    other: int
    guard: str
    priority: int
    kind: ItemKind
    bits: int | None
    decision: MatchDecision


class DuplicateSearch:
    """Looks for possible duplicates.

    Args:
        pool: One connection is used.
        store: Opens identities.
        sources: Derives keys.
        clock: Says when an item was opened.
    """

    def __init__(self, pool: Pool, store: DedupStore, sources: Sources, clock: Clock) -> None:
        self._pool = pool
        self._store = store
        self._sources = sources
        self._clock = clock
        self._model = load_model(SERVICE_MODEL)

    async def run(self, *, persons: int, items: int) -> Searched:
        """Look at some persons more; stop at so many items."""
        done = Searched()
        while done.persons < persons and done.opened < items:
            limit = min(_PAGE, persons - done.persons)
            with translated():
                async with self._pool.acquire() as connection, connection.transaction():
                    is_end = await self._page(connection, done, limit, items)
            if is_end:
                break
        return done

    async def _page(self, connection: Connection, done: Searched, limit: int, items: int) -> bool:
        at = await connection.fetchval(WHERE)
        rows = await connection.fetch(NEXT, at, limit)
        for row in rows:
            person = row["person_id"]
            for found in await self._look(connection, person):
                if done.opened < items:
                    done.opened += await self._open(connection, person, found)
            done.persons += 1
        done.next_person = rows[-1]["person_id"] + 1 if len(rows) == limit else 0
        await connection.execute(MOVE, done.next_person)
        return done.next_person == 0

    async def _look(self, connection: Connection, person: int) -> list[_Found]:
        """Return whom a person may be the same as, by each of its own sets of traits."""
        found: dict[int, _Found] = {}
        traits = await self._store.traits_of(connection, [person])
        for each in traits.values():
            if each is None:
                continue
            keys = self._sources.keys_of(each)
            known = await self._known(connection, keys)
            others: list[Candidate] = [c for p, c in sorted(known.persons.items()) if p != person]
            decision = decide(keys, others, self._model, known.verdicts)
            if decision.verdict is Verdict.LINK and decision.person_id is not None:
                total = next(
                    (c.total for c in decision.candidates if c.person_id == decision.person_id),
                    None,
                )
                found[decision.person_id] = _Found(
                    other=decision.person_id,
                    guard=POSSIBLE_DUPLICATE,
                    priority=Priority.LAST,
                    kind=ItemKind.DUPLICATE,
                    bits=total,
                    decision=decision,
                )
            for item in items_of(decision):
                found.setdefault(
                    item.other_person_id,
                    _Found(
                        other=item.other_person_id,
                        guard=item.guard,
                        priority=Priority.LAST,
                        kind=item.kind,
                        bits=item.bits,
                        decision=decision,
                    ),
                )
        settled = await self._settled(connection, person, list(found))
        return [each for other, each in found.items() if other not in settled]

    async def _known(self, connection: Connection, keys: PersonKeys) -> Known:
        """Return whoever shares a key, without a lock: nothing is linked by what is found."""
        hot = await self._store.hot_of(connection, keys.blocking, self._clock.now())
        asked = self._sources.asked_by(keys, hot).all
        rows = await connection.fetch(UNDER, list(asked), self._store.bounds.key_persons)
        known = Known()
        await self._store.load(connection, {row["person_id"] for row in rows}, known)
        known.verdicts = await self._store.verdicts(connection, known.ends)
        return known

    async def _settled(self, connection: Connection, person: int, others: list[int]) -> set[int]:
        if not others:
            return set()
        known = Known()
        await self._store.load(connection, [person, *others], known)
        verdicts = await self._store.verdicts(connection, known.ends)
        return {
            other
            for other in others
            if verdicts.get((min(person, other), max(person, other))) in {"same", "different"}
        }

    async def _open(self, connection: Connection, person: int, found: _Found) -> int:
        one, other = max(person, found.other), min(person, found.other)
        opened = await connection.fetchval(
            OPEN,
            self._clock.now(),
            one,
            other,
            found.guard,
            msgspec.json.encode(found.decision).decode(),
            found.kind.value,
            found.priority,
            found.bits,
            found.decision.model_version,
        )
        return int(opened is not None)
