"""What is of age goes: keys first, then rows; the certificate stands in the audit chain."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from datetime import date, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from ops.accounting.keeping import count_now
from ops.auditing.reading import Search, prove, search
from ops.bootstrap import reader_of
from ops.retention.ages import Kind
from ops.retention.families import (
    CHILDREN,
    FAMILIES,
    children_of,
    floors_statement,
    spans_statement,
)
from ops.retention.keeping import take_figures
from ops.runtime.key_folder import FolderKeyStore
from ops.runtime.metrics import METRICS
from ops.runtime.vault import SealClass, Vault
from routing.cursors import CursorExpired
from schemas.errors import FatalError, PermanentError, TransientError
from schemas.topics import Stream
from tests.support.hub import Road, scratch_hub
from tests.support.people import message, report
from tests.support.postgres import Database
from tests.support.purging import ASKER, Ahead, purging, today

OF_AGE = 91
"""Days after which what has names is of age, by the settings as they are."""


@pytest.fixture
async def road(database: Database, tmp_path: Path) -> AsyncIterator[Road]:
    async with scratch_hub(database, tmp_path) as hub:
        yield Road(hub)


async def test_nothing_goes_before_its_day(road: Road, database: Database) -> None:
    await road.put(message())
    await road.dispatch()
    before = road.hub.vault.day_keys()
    async with purging(database, road.hub, OF_AGE - 1) as purger:
        assert await purger.purge(ASKER) == []
    assert road.hub.vault.day_keys() == before
    assert len(await road.events(Stream.DOSSIER)) == 1


async def test_on_its_day_names_are_gone_and_figures_stay(road: Road, database: Database) -> None:
    await road.put(message())
    await road.dispatch()
    async with purging(database, road.hub, OF_AGE) as purger:
        plan = await purger.plan()
        (certificate,) = await purger.purge(ASKER)
        assert (await purger.plan()).is_empty
    day = f"{today():%Y%m%d}"
    assert set(certificate.keys_destroyed) == {
        f"{n}-{day}" for n in ("intake", "identity", "stream")
    }
    assert [key.name for key in plan.keys] == certificate.keys_destroyed
    assert {part.family for part in certificate.partitions} >= {"intake", "stream_event_dossier"}
    # The account closes over what went; pseudonyms are read still; names begin behind the floor.
    account = await road.account()
    assert account.closes and account.received == 1
    (row,) = await road.events(Stream.PUBLIC_HEALTH)
    assert row["body"]["result"] == "positive"
    assert await road.events(Stream.DOSSIER) == []
    assert await road.rows("SELECT FROM intake") == []
    assert await road.rows("SELECT FROM stream_event WHERE stream <> 'public-health'") == []
    assert len(await road.rows("SELECT FROM person_alias WHERE payload = ''")) == 1
    assert len(await road.rows("SELECT FROM person_ins WHERE payload = ''")) == 1


async def test_a_reader_of_before_is_sent_to_what_is_kept(road: Road, database: Database) -> None:
    await road.put(message())
    await road.dispatch()
    reader = reader_of(road.hub)
    page = await reader.read_page(Stream.DOSSIER, None, 1)
    await road.put(message(None, report(filler_order_number="F-2")))
    await road.dispatch()
    # Rows of a partition that is young as a whole stay until all of it is of age.
    async with purging(database, road.hub, OF_AGE, least_rows=1_000) as purger:
        await purger.purge(ASKER)
    with pytest.raises(CursorExpired) as expired:
        await reader.read_page(Stream.DOSSIER, page.cursor, 10)
    # What it is told to go on from can be gone on from.
    assert (await reader.read_page(Stream.DOSSIER, expired.value.oldest, 10)).events == []


async def test_no_look_sorts_a_partition(road: Road) -> None:
    """Each is one row of the primary key: sorted, a day of a country would take hours."""
    async with road.hub.pool.acquire() as connection, connection.transaction():
        for slow in ("seqscan", "bitmapscan", "incremental_sort"):
            await connection.execute(f"SET LOCAL enable_{slow} = off")
        for family in FAMILIES:
            (child, *_) = children_of(await connection.fetch(CHILDREN, family.name))
            statements = [spans_statement(family, child).replace("$1", "16")]
            if family.stream:
                stream = f"'{family.stream}'"
                statements.append(floors_statement(family.stream).replace("$1", stream))
            for statement in statements:
                plan = await connection.fetch("EXPLAIN " + statement.replace("$2", "now()"))
                shown = "\n".join(row[0] for row in plan)
                assert "Index" in shown
                assert "Sort" not in shown, f"{family.name}: {shown}"


async def test_a_person_outlives_the_traits(road: Road, database: Database) -> None:
    await road.put(message())
    await road.dispatch()
    async with purging(database, road.hub, OF_AGE) as purger:
        await purger.purge(ASKER)
    for table in ("person_alias", "person_ins"):
        await road.rows(f"UPDATE {table} SET last_seen_on = last_seen_on - 91")
    await road.put(message(None, report(filler_order_number="F-2")))
    await road.dispatch()
    persons = await road.rows("SELECT DISTINCT person_id FROM report")
    assert len(persons) == 1
    (alias,) = await road.rows("SELECT payload, alias_digest FROM person_alias")
    assert alias["payload"] != b""


async def test_rows_that_are_not_of_age_take_the_place_of_the_others(
    database: Database, tmp_path: Path
) -> None:
    async with scratch_hub(database, tmp_path, partitions=1) as hub:
        await _some_of_age(Road(hub), database)


async def _some_of_age(road: Road, database: Database) -> None:
    await road.put(*(message(None, report(filler_order_number=f"F-{n}")) for n in range(3)))
    await road.dispatch()
    async with road.hub.pool.acquire() as connection:
        for statement in (
            "UPDATE intake SET received_at = now() + interval '40 days' WHERE \"offset\" = 2",
            "UPDATE stream_event SET emitted_at = now() + interval '40 days' WHERE seq = 3",
        ):
            await connection.execute(statement)
    async with purging(database, road.hub, OF_AGE) as purger:
        (certificate,) = await purger.purge(ASKER)
    rows = {part.part: part.rows for part in certificate.partitions}
    assert rows["intake_r0"] == 2 and rows["stream_event_dossier_r0"] == 2
    left = await road.rows('SELECT "offset" FROM intake ORDER BY 1')
    assert [row["offset"] for row in left] == [2]
    account = await road.account()
    assert account.closes and account.received == 3
    # The door goes on in the range that was replaced.
    await road.put(message(None, report(filler_order_number="F-9")))
    await road.dispatch()
    left = await road.rows('SELECT "offset" FROM intake ORDER BY 1')
    assert [row["offset"] for row in left] == [2, 3]
    assert (await road.account()).closes
    left = await road.rows("SELECT FROM pg_class WHERE relname ~ '_(gone|kept)_' AND relkind = 'r'")
    assert left == []


async def test_what_dispatch_has_not_handled_keeps_its_key(road: Road, database: Database) -> None:
    await road.put(message())
    async with purging(database, road.hub, OF_AGE) as purger:
        plan = await purger.plan()
        await purger.purge(ASKER)
    assert Kind.INTAKE in plan.held_back
    assert await road.dispatch() == 1
    assert await road.endings() == [("dispatched", "")]


async def test_too_many_days_at_once_need_a_person(road: Road, database: Database) -> None:
    await road.put(message())
    await road.dispatch()
    day = today().toordinal()
    for back in range(1, 10):
        name = f"intake-{date.fromordinal(day - back):%Y%m%d}"
        FolderKeyStore(road.hub.settings.keys_folder).load_or_make(name)
    async with purging(database, road.hub, OF_AGE) as purger:
        with pytest.raises(PermanentError, match="purge_suspect"):
            await purger.purge(ASKER)
        assert len(road.hub.vault.day_keys()) >= 10
        (certificate,) = await purger.purge(ASKER, days_at_once=100)
    assert len(certificate.keys_destroyed) == 12


async def test_one_purges_at_a_time(road: Road, database: Database) -> None:
    async with purging(database, road.hub, OF_AGE) as one, purging(database, road.hub, 91) as other:
        assert await one._connection.fetchval("SELECT pg_try_advisory_lock(20261, 20)")
        with pytest.raises(TransientError, match="purge_under_way"):
            await other.purge(ASKER)


@pytest.mark.parametrize("step", ["_raise_floors", "_destroy", "_taker"])
async def test_a_purge_that_was_killed_is_ended_by_the_next(
    road: Road, database: Database, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await road.put(message())
    await road.dispatch()
    async with purging(database, road.hub, OF_AGE) as purger:
        broken = purger._taker if step == "_taker" else purger
        name = "take" if step == "_taker" else step

        def die(*_: object) -> None:
            raise FatalError("killed", "for the test")

        monkeypatch.setattr(broken, name, die)
        with pytest.raises(FatalError, match="killed"):
            await purger.purge(ASKER)
    async with purging(database, road.hub, OF_AGE) as purger:
        (certificate,) = await purger.purge(ASKER)
    assert len(certificate.keys_destroyed) == 3
    assert await road.rows("SELECT FROM intake") == []
    assert (await prove(road.hub.pool)).holds


async def test_the_certificate_stands_in_the_chain(road: Road, database: Database) -> None:
    await road.put(message())
    await road.dispatch()
    async with purging(database, road.hub, OF_AGE) as purger:
        await purger.purge(ASKER)
    (row,) = await road.rows("SELECT purge_id, certificate FROM purge")
    (entry,) = await search(road.hub.pool, Search(action="purged"))
    digest = hashlib.sha256(row["certificate"].encode()).hexdigest()
    assert entry["reason"] == f"sha256 {digest}"
    assert entry["subject"] == f"purge {row['purge_id']}"
    assert "PAT-TROIS" not in row["certificate"]
    assert (await prove(road.hub.pool)).holds
    async with road.hub.pool.acquire() as connection:
        await connection.execute("UPDATE purge SET certificate = certificate || ' '")
    proof = await prove(road.hub.pool)
    assert not proof.holds and proof.false_certificate == row["purge_id"]


async def test_copies_of_keys_go_with_them(road: Road, database: Database, tmp_path: Path) -> None:
    copies = tmp_path / "copies"
    hub = road.hub
    store = FolderKeyStore(hub.settings.keys_folder, copies)
    await road.put(message())
    await road.dispatch()
    vault = Vault(store, hub.clock)
    assert vault.copy_keys_out() > 3 and vault.copy_keys_out() == 0
    names = {path.name for path in copies.iterdir()}
    assert "master.key" not in names and f"intake-{today():%Y%m%d}.key" in names
    # A key that somebody restores after its time goes again.
    vault.destroy(SealClass.INTAKE, today())
    assert f"intake-{today():%Y%m%d}.key" not in {path.name for path in copies.iterdir()}
    (copies / f"intake-{today():%Y%m%d}.key").write_bytes(bytes(60))
    async with purging(database, hub, OF_AGE) as purger:
        purger._vault = vault
        (certificate,) = await purger.purge(ASKER)
    assert f"intake-{today():%Y%m%d}" in certificate.keys_destroyed
    left = {key.name for key in vault.day_keys()}
    assert left == {f"public_health-{today():%Y%m%d}"}
    assert f"intake-{today():%Y%m%d}.key" not in {path.name for path in copies.iterdir()}


async def test_a_busy_table_is_left_for_the_next_time(road: Road, database: Database) -> None:
    await road.put(message())
    await road.dispatch()
    async with road.hub.pool.acquire() as connection, connection.transaction():
        await connection.fetch("SELECT FROM intake")
        async with purging(database, road.hub, OF_AGE, tries=2, lock_seconds=0.01) as purger:
            async with asyncio.timeout(60):
                (certificate,) = await purger.purge(ASKER)
        assert "intake" not in {part.family for part in certificate.partitions}
    async with purging(database, road.hub, OF_AGE) as purger:
        (certificate,) = await purger.purge(ASKER)
    assert [part.part for part in certificate.partitions] == ["intake_r0"]


async def test_weeks_of_the_inbox_go(road: Road, database: Database) -> None:
    await road.put(message())
    await road.dispatch()
    async with purging(database, road.hub, 50, inbox=35) as purger:
        (certificate,) = await purger.purge(ASKER)
    assert certificate.keys_destroyed == []
    assert {part.family for part in certificate.partitions} == {"inbox"}
    assert await road.rows("SELECT FROM inbox") == []


async def test_codes_seen_still_are_sealed_anew(road: Road, database: Database) -> None:
    vault = road.hub.vault
    async with road.hub.pool.acquire() as connection:
        for number, age in ((1, 402), (2, -1_000)):
            digest = bytes(15) + bytes([number])
            await connection.execute(
                "INSERT INTO lab_unmapped (lab_id, kind, digest, payload, n, first_seen_at,"
                " last_seen_at) VALUES (1, 'test', $1, $2, 1, now(), now() + $3::interval)",
                UUID(bytes=digest),
                vault.seal(SealClass.CODES, b"local", digest),
                timedelta(days=age),
            )
    async with purging(database, road.hub, 401) as purger:
        # Today's key seals anew what today's key sealed: it is held back, and no row is lost.
        plan = await purger.plan()
        assert Kind.CODES in plan.held_back
        await purger.purge(ASKER)
    (row,) = await road.rows("SELECT payload, digest FROM lab_unmapped")
    assert vault.open(row["payload"], row["digest"].bytes) == b"local"


async def test_what_is_replayed_after_its_day_is_parked(road: Road, database: Database) -> None:
    (at,) = await road.put(message())
    await road.dispatch()
    async with purging(database, road.hub, OF_AGE) as purger:
        await purger.purge(ASKER)
    await road.put_replay(at)
    await road.dispatch()
    # Somebody asked for it: that it could not be done again has an owner, and shows.
    assert await road.endings() == [("parked", "unreadable_payload"), ("replay", "")]
    assert (await road.account()).closes


async def test_doors_and_dispatch_go_on_beside_a_purge(road: Road, database: Database) -> None:
    """Rows are taken, replaced and added at the same time; none is lost and none counted twice."""
    sent = 0

    async def send(rounds: int) -> None:
        nonlocal sent
        for _ in range(rounds):
            numbers = range(sent, sent + 5)
            await road.put(*(message(None, report(filler_order_number=f"F-{n}")) for n in numbers))
            sent += 5
            await road.dispatch()

    await send(2)
    going = asyncio.ensure_future(send(12))
    purges = 0
    while not going.done():
        # Today's rows are of age to it: what comes meanwhile is too, and is sealed by a new key.
        async with purging(database, road.hub, OF_AGE, lock_seconds=0.2) as purger:
            plan = await purger.plan()
            taker = purger._taker
            opened = await purger._begin(plan, ASKER)
            await taker.take(opened.purge_id, plan.kept_from, Ahead(0).now())
            await road.rows("UPDATE purge SET ended_at = now(), certificate = '', audit_id = 1,"
                            " digest = sha256('') WHERE ended_at IS NULL")  # fmt: skip
            purges += 1
    await going
    account = await road.account()
    assert purges > 0
    assert account.closes and account.received == account.dispatched == sent


async def test_figures_say_how_old_the_oldest_is(road: Road) -> None:
    await road.put(message())
    await road.dispatch()
    await take_figures(road.hub)
    assert METRICS.purge_age._value.get() < 3_600
    assert METRICS.retention_oldest.labels("names")._value.get() < 2 * 86_400


async def test_what_the_account_needs_still_is_held_back(road: Road, database: Database) -> None:
    """What is not counted, and what shows why a day does not close: no false gap, no lost proof."""
    await count_now(road.hub)
    await road.put(message(), message(None, report(filler_order_number="F-2")))
    await road.dispatch()
    async with purging(database, road.hub, OF_AGE) as purger:
        plan = await purger.plan()
        assert plan.held_back == {Kind.INTAKE: "the account has not counted all of it"}
        await purger.purge(ASKER)
        assert len(await road.rows("SELECT FROM intake")) == 2
        await road.rows('DELETE FROM outcome WHERE "offset" = 0')
        await count_now(road.hub)
        why = "the account does not close, and nobody has noted why"
        assert (await purger.plan()).held_back == {Kind.INTAKE: why}
        await purger.purge(ASKER)
        assert len(await road.rows("SELECT FROM intake")) == 2
        await road.rows("UPDATE account_gap SET noted_by = 'on call'")
        assert not (await purger.plan()).held_back
        await purger.purge(ASKER)
    assert not await road.rows("SELECT FROM intake")
    await count_now(road.hub)
    (gap,) = await road.rows("SELECT sum(records)::int AS n FROM account_gap")
    assert gap["n"] == 1
