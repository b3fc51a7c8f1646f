"""What a batch asks of the tables of persons, and what it comes to know, under its locks."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from datetime import datetime

from ops.runtime.metrics import METRICS
from ops.runtime.postgres import Connection
from schemas.errors import pure_step

from .deciding import Asked, Known
from .key_function import KeyFunction
from .persons import PersonStore


class Search:
    """Asks by the tight keys of a batch, then by wide ones; hot keys are narrowed on the way.

    Args:
        store: The tables.
        keys: The key function.
        connection: Of the transaction that holds the locks.
        at: Now.
        remembered: Hot keys that this process knows; their narrower keys are locked already.
    """

    def __init__(
        self,
        store: PersonStore,
        keys: KeyFunction,
        connection: Connection,
        at: datetime,
        remembered: AbstractSet[int],
    ) -> None:
        self._store = store
        self._keys = keys
        self._connection = connection
        self._narrowed = set(remembered)
        self._asked_for: set[int] = set()
        self.at = at
        self.asked: list[Asked] = []
        self.locked: set[int] = set()
        """Keys whose locks are held."""
        self.known = Known()
        self.widened: set[int] = set()
        """Places of the records whose wide keys were asked for."""
        self.hot: set[int] = set()
        """Keys that the tables call hot: committed, so that a process may keep them in mind."""

    async def ask_tight(self) -> None:
        """Ask by all tight keys, and which keys of all are hot."""
        tight = {key for asked in self.asked for key in asked.ways.tight}
        everything = {key for asked in self.asked for key in asked.all}
        await self._ask(tight, everything - tight)

    async def ask_wide(self, places: Iterable[int]) -> None:
        """Ask by the wide keys of the records at these places as well."""
        places = [n for n in places if n not in self.widened]
        self.widened.update(places)
        # A wide key may turn out to be hot: its narrower ones are asked in the second round.
        for _ in range(2):
            keys = {key for n in places for key in self.asked[n].ways.all}
            await self._ask(keys - self._asked_for, ())

    async def _ask(self, keys: set[int], also: Iterable[int]) -> None:
        if not keys:
            return
        self._asked_for |= keys
        found = await self._store.look_up(self._connection, keys, also)
        self.hot |= found.hot
        crowded = self._crowded(found.under)
        await self._load(found.under)
        if crowded or found.hot:
            await self._narrow(crowded, found.hot)

    def _crowded(self, under: dict[int, list[int]]) -> set[int]:
        """Take out the keys that too many persons share; cut those that cannot be narrowed."""
        most = self._store.bounds.key_persons
        crowded = {key for key, persons in under.items() if len(persons) > most}
        if not crowded:
            return crowded
        last = {key for asked in self.asked for key in asked.ways.narrow}
        last |= {a.subject.keys.ins.key for a in self.asked if a.subject.keys.ins is not None}
        for key in crowded & last:
            METRICS.capped_lookups.inc()
            del under[key][most:]
        crowded -= last
        for key in crowded:
            del under[key]
        return crowded

    async def _load(self, under: dict[int, list[int]]) -> None:
        """Load whoever stands under these keys and is not known yet."""
        known = self.known
        numbers = {p for persons in under.values() for p in persons} - known.ends.keys()
        if numbers:
            await self._store.load(self._connection, numbers, known)
            known.verdicts = await self._store.verdicts(self._connection, known.ends)
        for key, persons in under.items():
            known.under[key] = sorted({known.ends[p] for p in persons})

    # ------------------------------------------------------------------ hot keys

    async def _narrow(self, crowded: set[int], hot: set[int]) -> None:
        """Replace hot keys by narrower ones in this batch; make these where a key is new to it.

        The locks of narrower keys are taken on top of those that are held, out of the order of
        all. Two batches may wait for each other in a circle once for each hot key and process;
        PostgreSQL ends one of them, and it is tried again.
        """
        self._narrowed |= crowded | hot
        with pure_step():
            self.asked = [self._renewed(asked) for asked in self.asked]
        more = {key for asked in self.asked for key in asked.all} - self.locked
        if more:
            self.locked |= more
            await self._store.lock_keys(self._connection, more)
        if crowded:
            under = await self._store.under(self._connection, crowded)
            await make_narrower(self._store, self._keys, self._connection, under, self.at)

    def _renewed(self, asked: Asked) -> Asked:
        ways = self._keys.ways(asked.subject.keys, self._narrowed)
        also = asked.also
        if asked.other is not None:
            also = self._keys.ways(asked.other, self._narrowed)
        return Asked(subject=asked.subject, ways=ways, other=asked.other, also=also)


async def make_narrower(
    store: PersonStore,
    keys: KeyFunction,
    connection: Connection,
    under: dict[int, list[int]],
    at: datetime,
) -> None:
    """Mark keys as hot, and write the narrower keys of everybody under them.

    The caller holds the locks of the hot keys. Those of the narrower ones are not needed: nobody
    asks for them before the mark is committed.
    """
    await store.mark_hot(connection, {key: len(persons) for key, persons in under.items()}, at)
    METRICS.hot_keys.inc(len(under))
    everybody = Known()
    await store.load(connection, {p for persons in under.values() for p in persons}, everybody)
    made: set[tuple[int, int]] = set()
    with pure_step():
        for key, persons in under.items():
            for number in persons:
                aliases = everybody.persons[everybody.ends[number]].aliases.values()
                for identity in aliases:
                    if identity is not None:
                        made |= {(n, number) for n in keys.narrowed(key, identity)}
    if made:
        await store.write_keys(connection, made)
