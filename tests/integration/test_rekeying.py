"""What an operator does to keys of persons: made anew on a whole hub, hot ones listed."""

from __future__ import annotations

import asyncio
from pathlib import Path

from dedup.keys import FIRST_KEY_VERSION, KEY_VERSION
from dedup.rekey import State, Step
from ops.rekeying import hot_keys, rekeying_of
from schemas.errors import TransientError
from tests.integration.test_rekey import spread
from tests.support.hub import Road, scratch_hub
from tests.support.people import message, report
from tests.support.postgres import Database

PEOPLE = 40


async def test_a_hub_goes_on_while_its_keys_are_made_anew(
    database: Database, tmp_path: Path
) -> None:
    async with scratch_hub(database, tmp_path) as hub:
        road = Road(hub)
        async with hub.pool.acquire() as connection:
            await connection.execute(
                "INSERT INTO person_key_state (live) VALUES ($1)", FIRST_KEY_VERSION
            )
        await bring(road, "A")
        told: list[Step] = []

        def tell(step: Step, _state: State) -> None:
            told.append(step)

        job, flow = rekeying_of(hub, tell).run(), bring(road, "B")
        step, _ = await asyncio.gather(job, flow)
        assert step is Step.DONE
        assert Step.SWITCHED in told
        await bring(road, "C")
        account = await road.account()
        assert account.closes
        assert account.dispatched == 3 * PEOPLE
        persons = await road.rows("SELECT person_id FROM person")
        assert len(persons) == PEOPLE
        (state,) = await road.rows("SELECT live, filling, dropping FROM person_key_state")
        assert tuple(state.values()) == (KEY_VERSION, None, None)


async def bring(road: Road, order: str) -> None:
    """Bring a result of everybody; the loop tries again where keys changed, as the worker does."""
    await road.put(
        *(message(spread(n), report(filler_order_number=f"{order}-{n}")) for n in range(PEOPLE))
    )
    while True:
        try:
            if not await road.dispatch(5):
                return
        except TransientError as error:
            assert error.reason == "keys_changed"  # noqa: PT017 - the loop goes on


async def test_hot_keys_are_listed_without_a_trait(database: Database, tmp_path: Path) -> None:
    async with scratch_hub(database, tmp_path) as hub:
        async with hub.pool.acquire() as connection:
            await connection.execute(
                "INSERT INTO hot_key (key, persons, since) VALUES (-2, 301, now()), (1, 400, now())"
            )
        listed = await hot_keys(hub, 10)
        assert {(each.key, each.persons) for each in listed} == {
            ("fffffffffffffffe", 301),
            ("0000000000000001", 400),
        }
