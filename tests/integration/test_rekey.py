"""Keys are made anew while results flow: nobody stops, nobody is split, and it can be killed."""

from __future__ import annotations

import asyncio
from datetime import date
from pathlib import Path

import pytest

from dedup.keys import FIRST_KEY_VERSION, KEY_VERSION, VERSION_BITS
from dedup.persons import Bounds
from dedup.rekey import Pace, Rekeying, State, Step
from ops.runtime.clock import SystemClock
from ops.runtime.vault import SealClass
from schemas.errors import TransientError
from schemas.patient import Address, Ins, Traits
from tests.integration.test_hot_keys import fill
from tests.support.people import DOMINIQUE_INS, dominique
from tests.support.postgres import Database
from tests.support.residents import resident
from tests.support.resolving import Resolving, resolving

PEOPLE = 120
QUICK = Pace(persons=10, keys=50, rest=0.0)


class Killed(Exception):
    """What a killed job leaves behind is what a job that failed at that place does."""


async def begin_with_the_first_version(road: Resolving) -> None:
    await road.rows("INSERT INTO person_key_state (live) VALUES ($1)", FIRST_KEY_VERSION)


def job(road: Resolving, *, dies_at: tuple[Step, int] | None = None) -> Rekeying:
    """Give the job; `dies_at` is the step at which it dies, and how often it was told before."""
    times: dict[Step, int] = {}

    def tell(step: Step, _state: State) -> None:
        times[step] = times.get(step, 0) + 1
        if dies_at is not None and dies_at == (step, times[step]):
            raise Killed

    return Rekeying(road.pool, road.store, road.keys, SystemClock(), pace=QUICK, tell=tell)


def spread(number: int) -> Traits:
    """Give somebody of a town of his own and of another day: keys are shared by few."""
    return resident(
        number,
        birth_date=f"19{number % 80 + 10}-0{number % 9 + 1}-1{number % 7}",
        address=Address(lines=(f"{number} RUE HAUTE",), city="ICI", postcode=f"{10_000 + number}"),
        phones=(),
    )


async def state_of(road: Resolving) -> tuple[int, int | None, int | None]:
    (row,) = await road.rows("SELECT live, filling, dropping FROM person_key_state")
    return row["live"], row["filling"], row["dropping"]


async def test_a_new_instance_has_the_newest_version_and_nothing_to_do(
    database: Database, tmp_path: Path
) -> None:
    async with resolving(database, tmp_path) as road:
        assert await job(road).run() is Step.NOTHING
        await road.persons(dominique())
        assert await job(road).run() is Step.NOTHING
        assert await state_of(road) == (KEY_VERSION, None, None)


async def test_results_flow_while_keys_are_made_anew(database: Database, tmp_path: Path) -> None:
    async with resolving(database, tmp_path, connections=8) as road:
        await begin_with_the_first_version(road)
        known = [await road.persons(spread(n)) for n in range(PEOPLE)]
        assert await state_of(road) == (FIRST_KEY_VERSION, None, None)
        done = asyncio.Event()
        made: dict[int, set[int]] = {}

        async def flow(process: Resolving, step: int) -> None:
            """Resend what is known, and bring new people, who come by every process at once."""
            number = 0
            while not done.is_set() or number < PEOPLE:
                old = number * step % PEOPLE
                again, new = await process.persons(spread(old), spread(1_000 + number))
                assert [again] == known[old]
                made.setdefault(number, set()).add(new)
                number += 1

        flows = [asyncio.create_task(flow(road.again(), step)) for step in (1, 7, 11)]
        assert await job(road).run() is Step.DONE
        done.set()
        await asyncio.gather(*flows)
        assert {len(persons) for persons in made.values()} == {1}
        assert await state_of(road) == (KEY_VERSION, None, None)
        for number in range(PEOPLE):
            assert await road.persons(spread(number)) == known[number]


@pytest.mark.parametrize(
    "dies_at", [(Step.FILLING, 3), (Step.SWITCHED, 1), (Step.DROPPING, 2)], ids=str
)
async def test_a_job_that_was_killed_goes_on_where_it_was(
    database: Database, tmp_path: Path, dies_at: tuple[Step, int]
) -> None:
    async with resolving(database, tmp_path) as road:
        await begin_with_the_first_version(road)
        known = [await road.persons(spread(n)) for n in range(60)]
        with pytest.raises(Killed):
            await job(road, dies_at=dies_at).run()
        assert await road.persons(spread(7)) == known[7]
        assert await job(road).run() is Step.DONE
        assert [await road.persons(spread(n)) for n in range(60)] == known


async def test_old_keys_are_gone_at_the_end_and_those_of_ins_stay(
    database: Database, tmp_path: Path
) -> None:
    async with resolving(database, tmp_path) as road:
        await begin_with_the_first_version(road)
        await road.persons(dominique())
        await fill(road, 20)
        await job(road).run()
        rows = await road.rows("SELECT DISTINCT key & $1 AS version FROM person_key", VERSION_BITS)
        assert {row["version"] for row in rows} <= {0, KEY_VERSION}
        by_card = dominique(
            birth_date="1979-03-29", address=None, phones=(), birth_place="", identity_status="VALI"
        )
        (found,) = await road.resolve(by_card)
        assert found.decision.rule == "same_ins"


async def test_somebody_elses_card_does_not_lead_to_its_bearer_after_a_re_keying(
    database: Database, tmp_path: Path
) -> None:
    """A contested INS stands in the traits as they were sent; its key must not be made of them."""
    async with resolving(database, tmp_path) as road:
        await begin_with_the_first_version(road)
        (owner,) = await road.persons(dominique())
        child = resident(3, ins=(DOMINIQUE_INS,), identity_status="VALI")
        (bearer,) = await road.persons(child)
        assert owner != bearer
        await job(road).run()
        key = road.keys.of_ins(DOMINIQUE_INS, KEY_VERSION)
        rows = await road.rows("SELECT person_id FROM person_key WHERE key = $1", key)
        assert [row["person_id"] for row in rows] == [owner]


async def test_keys_that_are_hot_by_the_new_function_are_narrowed_before_the_switch(
    database: Database, tmp_path: Path
) -> None:
    async with resolving(database, tmp_path, bounds=Bounds(key_persons=20)) as road:
        await begin_with_the_first_version(road)
        known = await fill(road, 100)
        await job(road).run()
        assert await road.one(
            "SELECT count(*) FROM hot_key WHERE key & $1 = $2", VERSION_BITS, KEY_VERSION
        )
        assert await fill(road.again(), 100) == known


async def test_what_cannot_be_read_stops_the_switch_until_somebody_says_so(
    database: Database, tmp_path: Path
) -> None:
    async with resolving(database, tmp_path) as road:
        await begin_with_the_first_version(road)
        known = await fill(road, 20)
        road.vault.destroy(SealClass.IDENTITY, date.today())  # noqa: DTZ011 - the vault's day
        assert await job(road).run() is Step.UNREADABLE
        assert (await state_of(road))[0] == FIRST_KEY_VERSION
        assert await job(road).run(forget_unreadable=True) is Step.DONE
        assert len(set(known)) == 20


async def test_two_jobs_at_once_do_no_harm(database: Database, tmp_path: Path) -> None:
    async with resolving(database, tmp_path, connections=8) as road:
        await begin_with_the_first_version(road)
        known = [await road.persons(spread(n)) for n in range(60)]
        ends = await asyncio.gather(job(road).run(), job(road).run(), return_exceptions=True)
        assert all(isinstance(end, Step | TransientError) for end in ends)
        await job(road).run()
        assert await state_of(road) == (KEY_VERSION, None, None)
        assert [await road.persons(spread(n)) for n in range(60)] == known


async def test_an_ins_is_kept_as_it_came(database: Database, tmp_path: Path) -> None:
    async with resolving(database, tmp_path) as road:
        await road.persons(dominique())
        (row,) = await road.rows("SELECT ins_digest, payload FROM person_ins")
        assert road.store.open_ins(row["payload"], row["ins_digest"]) == Ins(
            matricule=DOMINIQUE_INS.matricule, oid=DOMINIQUE_INS.oid
        )


async def test_the_job_waits_for_a_long_transaction_and_lets_others_pass(
    database: Database, tmp_path: Path
) -> None:
    async with resolving(database, tmp_path, connections=6) as road:
        await begin_with_the_first_version(road)
        known = await road.persons(spread(1))
        async with road.pool.acquire() as connection, connection.transaction():
            await road.store.begin(connection, 1)
            running = asyncio.create_task(job(road).run())
            for _ in range(20):
                assert await road.persons(spread(1)) == known
            assert not running.done()
            assert (await state_of(road))[1] is None
        assert await running is Step.DONE
