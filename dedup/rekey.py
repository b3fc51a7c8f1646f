"""A new key function for persons that are there: keys made anew beside the flow of results.

1. Both versions are locked and written by every transaction from here on; persons are still looked
   up by the old one.
2. Everybody who was there before gets keys of the new version, a page of persons at a time.
3. Persons are looked up by the new version, and the old one is neither locked nor written any more.
4. The old keys are dropped, a stretch at a time.

Steps 1 and 3 hold a lock alone that every transaction about persons shares: no two of them ever go
by different states. Where the job stands is in the table: it can be killed and started again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Any, Final, TypeVar

import msgspec

from ops.runtime.clock import Clock
from ops.runtime.failpoints import hit
from ops.runtime.metrics import METRICS
from ops.runtime.postgres import Connection, Pool, translated
from schemas.errors import PermanentError, TransientError, pure_step
from schemas.patient import Traits

from . import person_queries
from . import rekey_queries as queries
from .key_function import KeyFunction
from .keys import VERSION_BITS
from .persons import PersonStore
from .search import make_narrower

T = TypeVar("T")

_ALONE_TRIES: Final = 300
_ALONE_REST_SECONDS: Final = 1.0
_LOWEST_KEY: Final = -(2**63)
_HIGHEST_KEY: Final = 2**63 - 1


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """How fast it goes; see docs/settings.md, identity_rekey_*."""

    persons: int = 500
    """Of one page."""
    keys: int = 20_000
    """Looked at in one stretch."""
    rest: float = 1.0
    """How long it rests after each step, as a multiple of the time the step took."""


class Step(StrEnum):
    """Where a re-keying stands."""

    NOTHING = "nothing to do"
    FILLING = "filling"
    NARROWING = "narrowing"
    UNREADABLE = "stopped: unreadable"
    SWITCHED = "switched"
    DROPPING = "dropping"
    DONE = "done"


class State(msgspec.Struct, frozen=True, kw_only=True):
    """The row of `person_key_state`."""

    live: int
    filling: int | None
    dropping: int | None
    fill_until: int
    filled_person: int
    dropped_key: int
    unreadable: int


Tell = Callable[[Step, State], None]


class Rekeying:
    """Brings an instance's keys to the newest version of the key function.

    Args:
        pool: Of a role of its own.
        store: The tables of persons.
        keys: The key function.
        clock: Says when.
        pace: How fast.
        tell: Is told after each step.
    """

    def __init__(
        self,
        pool: Pool,
        store: PersonStore,
        keys: KeyFunction,
        clock: Clock,
        *,
        pace: Pace,
        tell: Tell = lambda _step, _state: None,
    ) -> None:
        self._pool = pool
        self._store = store
        self._keys = keys
        self._clock = clock
        self._pace = pace
        self._tell = tell

    async def run(self, *, forget_unreadable: bool = False) -> Step:
        """Go on from wherever the job stands until it is done.

        Args:
            forget_unreadable: Switch although some sets of traits could not be read (their day's
                key was destroyed): by the new keys their persons are found by an INS alone, or
                after they have come once more.

        Raises:
            PermanentError: Another version is being filled, by a later release.
            TransientError: The database is away; start it again.
        """
        state = await self._patiently(self._start)
        if state is None or (state.filling is None and state.dropping is None):
            return Step.NOTHING
        if state.filling is not None:
            state = await self._fill(state)
            await self.narrow(state.filling or 0)
            if state.unreadable and not forget_unreadable:
                self._tell(Step.UNREADABLE, state)
                return Step.UNREADABLE
            filled = state
            state = await self._patiently(lambda: self._switch(filled))
        await self._drop(state)
        return Step.DONE

    async def _patiently(self, step: Callable[[], Awaitable[T]]) -> T:
        """Do a step that needs the lock alone; where others hold it long, let them, and come back.

        Whoever wants to share the lock waits behind one that wants it alone: so it wants it for a
        moment only, again and again.
        """
        for left in range(_ALONE_TRIES, 0, -1):
            try:
                return await step()
            except TransientError as error:
                if error.reason != "lock_timeout" or left == 1:
                    raise
            await asyncio.sleep(_ALONE_REST_SECONDS)
        raise AssertionError("the last try returns or raises")

    # ------------------------------------------------------------------ the steps

    async def _start(self) -> State | None:
        target = self._keys.newest
        with translated():
            async with self._pool.acquire() as connection, connection.transaction():
                await connection.execute(queries.PATIENCE)
                await connection.execute(queries.ALONE)
                state = await read_state(connection)
                if state is None:
                    return None
                if max(state.live, state.filling or 0) > target:
                    raise PermanentError("release_too_old", "a later release has made keys anew")
                if state.filling not in {None, target}:
                    raise PermanentError("rekey_under_way", "another version is being filled")
                if state.live < target and state.filling is None and state.dropping is None:
                    await connection.execute(queries.START, target, self._clock.now())
                    state = await read_state(connection)
        return state

    async def _fill(self, state: State) -> State:
        while state.filled_person < state.fill_until:
            began = time.perf_counter()
            with translated():
                async with self._pool.acquire() as connection, connection.transaction():
                    await connection.execute(person_queries.HOLD_STATE)
                    await self._fill_page(connection, state)
                    hit("rekey.page")
                    after = await read_state(connection)
            assert after is not None, "the row is never deleted"
            state = after
            self._tell(Step.FILLING, state)
            await self._rest(began)
        return state

    async def _fill_page(self, connection: Connection, state: State) -> None:
        rows = await connection.fetch(
            queries.PAGE, state.filled_person, state.fill_until, self._pace.persons
        )
        last = rows[-1]["person_id"] if rows else state.fill_until
        numbers = [row["person_id"] for row in rows if not row["isolated"]]
        made, unreadable = await self._keys_of(connection, numbers, state.filling or 0)
        if made:
            await self._store.write_keys(connection, made)
        moved = await connection.execute(
            queries.FILLED, state.filled_person, last, unreadable, state.filling
        )
        if not moved.endswith(" 1"):
            raise TransientError("rekey_moved", "another process does the same: leave it to one")
        METRICS.rekeyed_persons.inc(len(rows))

    async def _keys_of(
        self, connection: Connection, numbers: list[int], version: int
    ) -> tuple[set[tuple[int, int]], int]:
        """Return (key, person) of these persons' traits and INS, and how many could not be read."""
        made: set[tuple[int, int]] = set()
        unreadable = 0
        for row in await connection.fetch(queries.ALIASES, numbers):
            traits = self._store.open_traits(row["payload"], row["alias_digest"])
            if traits is None:
                unreadable += 1
                continue
            with pure_step():
                made |= {(key, row["person_id"]) for key in self._of_traits(traits, version)}
        for row in await connection.fetch(queries.INS, numbers):
            ins = self._store.open_ins(row["payload"], row["ins_digest"])
            if ins is None:
                unreadable += 1
                continue
            with pure_step():
                made.add((self._keys.of_ins(ins, version), row["person_id"]))
        return made, unreadable

    def _of_traits(self, traits: Traits, version: int) -> list[int]:
        """Return the keys of traits without those of an INS: it may be somebody else's card."""
        keys = self._keys.derive(traits, version)
        numbers = {k.key for k in (keys.ins, *keys.former_ins) if k is not None}
        return [key for key in keys.blocking if key not in numbers]

    async def narrow(self, version: int) -> None:
        """Mark the new keys that too many persons share, before anybody is looked up by them."""
        most = self._store.bounds.key_persons
        at = _LOWEST_KEY
        while True:
            began = time.perf_counter()
            with translated():
                async with self._pool.acquire() as connection:
                    rows = await connection.fetch(queries.STRETCH, at, self._pace.keys, most)
            crowded = [
                row["key"]
                for row in rows
                if row["persons"] > most and row["key"] & VERSION_BITS == version
            ]
            for key in crowded:
                await self._narrow_one(key)
            if not rows or rows[-1]["key"] == _HIGHEST_KEY:
                return
            end: int = rows[-1]["key"]
            at = end if end > at else end + 1
            await self._rest(began)

    async def _narrow_one(self, key: int) -> None:
        after = 0
        while True:
            with translated():
                async with self._pool.acquire() as connection, connection.transaction():
                    await connection.execute(person_queries.HOLD_STATE)
                    await self._store.lock_keys(connection, [key])
                    under = await self._store.under(connection, [key], after)
                    if not under:
                        return
                    await make_narrower(
                        self._store, self._keys, connection, under, self._clock.now()
                    )
            after = under[key][-1]

    async def _switch(self, state: State) -> State:
        with translated():
            async with self._pool.acquire() as connection, connection.transaction():
                await connection.execute(queries.PATIENCE)
                await connection.execute(queries.ALONE)
                await connection.execute(queries.SWITCH, self._clock.now(), state.filling)
                hit("rekey.switch")
                after = await read_state(connection)
        assert after is not None, "the row is never deleted"
        if after.dropping is None:
            raise TransientError("rekey_moved", "another process does the same: leave it to one")
        self._tell(Step.SWITCHED, after)
        return after

    async def _drop(self, state: State) -> None:
        at = state.dropped_key
        while True:
            began = time.perf_counter()
            with translated():
                async with self._pool.acquire() as connection, connection.transaction():
                    end = await connection.fetchval(queries.END_OF_STRETCH, at, self._pace.keys)
                    if end is None:
                        break
                    await connection.execute(queries.DROP, at, end, state.live)
                    await connection.execute(queries.DROPPED, end)
                    hit("rekey.drop")
            at = end
            self._tell(Step.DROPPING, state)
            await self._rest(began)
        with translated():
            async with self._pool.acquire() as connection, connection.transaction():
                await connection.execute(queries.DROP_HOT, state.live)
                await connection.execute(queries.FINISH, self._clock.now())
        self._tell(Step.DONE, state)

    async def _rest(self, began: float) -> None:
        await asyncio.sleep(min(5.0, (time.perf_counter() - began) * self._pace.rest))


async def read_state(connection: Connection) -> State | None:
    """Return where the keys of an instance stand; None where it has no persons yet."""
    row: Any = await connection.fetchrow(queries.STATE)
    return None if row is None else State(**dict(row))
