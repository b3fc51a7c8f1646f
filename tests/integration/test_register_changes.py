"""Changes of the register on a real PostgreSQL: whole, audited, repeatable, seen by doors."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ingest.labs import Lab, LabLimits, LabRegister, PostgresLabStore
from ops.register import credentials, labs
from ops.register.lab_changes import change_facilities, change_lab, change_labs, limits_row
from ops.register.lab_rows import LabRow, read_csv
from ops.runtime.certificates import Certificate
from ops.runtime.postgres import Connection
from schemas.errors import PermanentError, TransientError
from tests.support.hub import Road, scratch_hub
from tests.support.postgres import Database

NOW = datetime.now(UTC)
BY: dict[str, Any] = {"actor": "tester", "reason": "a test"}
CANARY = "ZZCANARY"


@pytest.fixture
async def road(database: Database, tmp_path: Path) -> AsyncIterator[Road]:
    async with scratch_hub(database, tmp_path) as hub:
        yield Road(hub)


@pytest.fixture
async def connection(road: Road) -> AsyncIterator[Connection]:
    async with road.hub.pool.acquire() as held:
        yield held


async def door(road: Road) -> LabRegister:
    register = LabRegister(PostgresLabStore(road.hub.pool), register_unknown=True)
    await register.refresh()
    return register


def certificate(number: int, *, ends: int = 90) -> Certificate:
    return Certificate(
        fingerprint=bytes([number]) * 32,
        subject=f"CN={CANARY}{number}",
        issuer=b"\x30\x00",
        serial=number,
        not_before=NOW - timedelta(days=100),
        not_after=NOW + timedelta(days=ends),
    )


async def chain(road: Road) -> list[tuple[str, str]]:
    rows = await road.rows("SELECT subject, reason FROM audit ORDER BY audit_id")
    return [(row["subject"], row["reason"]) for row in rows]


# ---------------------------------------------------------------- at first sight


async def test_first_sight_is_audited_once_by_number_and_ends_at_the_bound(road: Road) -> None:
    (row,) = await road.rows("SELECT count(*) AS n FROM lab")
    store = PostgresLabStore(road.hub.pool, max_labs=row["n"] + 1)
    doors = [LabRegister(store, register_unknown=True) for _ in range(2)]
    for each in doors:
        await each.refresh()
    wanted = [each.admit(name) for name in (CANARY, f"{CANARY}2") for each in doors]
    done = await asyncio.gather(*wanted, return_exceptions=True)
    made = {each.registry_id: each.lab_id for each in done if isinstance(each, Lab)}
    assert len(made) == 1, "the last free place is one laboratory's, whoever asks"
    refused = [each for each in done if isinstance(each, TransientError)]
    assert [each.reason for each in refused] == ["first_sight_full"] * 2
    ((name, number),) = made.items()
    assert await chain(road) == [(f"laboratory {number}", "seen first now")]
    again = await store.register(name)
    assert again is not None
    assert again.lab_id == number, "who is there is no new one"
    (after,) = await road.rows("SELECT count(*) AS n FROM lab")
    assert after["n"] == row["n"] + 1


# ---------------------------------------------------------------- laboratories


async def test_a_laboratory_is_added_once_and_a_second_time_is_told(
    road: Road, connection: Connection
) -> None:
    row = LabRow(registry_id="new", name=CANARY, state="live", profile="generic")
    change = await change_lab(connection, row, expect="new", **BY)
    assert (change.added, change.written) == (1, True)
    with pytest.raises(PermanentError, match="register_conflict: registry_id is registered"):
        await change_lab(connection, row, expect="new", **BY)
    with pytest.raises(PermanentError, match="no_such_laboratory: did you mean NEW"):
        await change_lab(connection, LabRow(registry_id="NEWW"), expect="known", **BY)
    lab = (await door(road)).get("NEW")
    assert lab is not None
    assert (lab.name, lab.state, lab.profile, lab.limits) == (
        CANARY, "live", "generic", LabLimits(),
    )  # fmt: skip
    ((subject, reason),) = await chain(road)
    assert subject == "laboratory NEW"
    assert reason.startswith("added; a test")
    assert CANARY not in reason


async def test_another_profile_is_another_version_of_it(road: Road, connection: Connection) -> None:
    for profile, version in (("generic", 2), ("generic", 2), ("fr", 3)):
        row = LabRow(registry_id="LAB1", profile=profile)
        await change_lab(connection, row, expect="known", **BY)
        lab = await labs.find_lab(connection, "LAB1")
        assert (lab.profile, lab.profile_version) == (profile, version)


async def test_a_suspended_laboratory_resumes_as_what_it_was(
    road: Road, connection: Connection
) -> None:
    for before in ("onboarding", "live"):
        await labs.set_state(connection, "LAB1", before, **BY)
        await change_lab(
            connection, LabRow(registry_id="LAB1", state="suspended"), expect="known", **BY
        )
        assert await labs.set_state(connection, "LAB1", None, **BY) == ("suspended", before)
        await labs.set_state(connection, "LAB1", "suspended", **BY)
        assert await labs.set_state(connection, "LAB1", None, **BY) == ("suspended", before)
        assert await labs.set_state(connection, "LAB1", None, **BY) == (before, before)


async def test_limits_are_none_until_set_and_each_alone(road: Road, connection: Connection) -> None:
    await change_lab(connection, limits_row("LAB1", rate_per_second=2.5), expect="known", **BY)
    await change_lab(connection, limits_row("LAB1", daily_quota=7), expect="known", **BY)
    register = await door(road)
    one, two = register.get("LAB1"), register.get("LAB2")
    assert one is not None and two is not None
    assert one.limits == LabLimits(rate_per_second=2.5, daily_quota=7)
    assert two.limits == LabLimits()
    await change_lab(connection, limits_row("LAB1", rate_per_second=None), expect="known", **BY)
    assert (await labs.find_lab(connection, "LAB1")).limits == LabLimits(daily_quota=7)
    with pytest.raises(PermanentError, match="bad_laboratory: burst must"):
        await change_lab(connection, limits_row("LAB1", burst=-1), expect="known", **BY)


async def test_a_facility_belongs_to_one_laboratory(road: Road, connection: Connection) -> None:
    await change_facilities(connection, "LAB1", lambda held: held | {"site b", "SITE C"}, **BY)
    with pytest.raises(PermanentError, match="SITE B is a facility of LAB1"):
        await change_facilities(connection, "LAB2", lambda held: held | {"SITE B"}, **BY)
    with pytest.raises(PermanentError, match="LAB3 is a laboratory of its own"):
        await change_facilities(connection, "LAB2", lambda held: held | {"LAB3"}, **BY)
    with pytest.raises(PermanentError, match="registry_id is a facility of LAB1"):
        await change_lab(connection, LabRow(registry_id="SITE B"), expect="new", **BY)
    register = await door(road)
    lab = register.get("SITE B")
    assert lab is not None
    assert lab.registry_id == "LAB1"
    of_facility = await PostgresLabStore(road.hub.pool).register("SITE B")
    assert of_facility is not None
    assert of_facility.registry_id == "LAB1"
    await change_facilities(connection, "LAB1", lambda held: held - {"SITE B"}, **BY)
    assert (await labs.find_lab(connection, "LAB1")).facilities == ["SITE C"]


# ---------------------------------------------------------------- files


def national(count: int) -> bytes:
    lines = ["registry_id,name,state,facilities,subject,daily_quota"]
    lines += [f"N{n},Lab {n},live,N{n}A+N{n}B,CN=n{n},{n}" for n in range(1, count + 1)]
    return "\n".join(lines).encode()


async def test_4500_laboratories_are_imported_in_seconds_and_once(
    road: Road, connection: Connection
) -> None:
    found = read_csv(national(4_500))
    assert not found.errors
    dry = await change_labs(connection, found.rows, dry_run=True, **BY)
    assert (dry.added, dry.written) == (4_500, False)
    assert await chain(road) == []
    began = asyncio.get_running_loop().time()
    done = await change_labs(connection, found.rows, **BY)
    seconds = asyncio.get_running_loop().time() - began
    assert (done.added, done.changed, done.written) == (4_500, 0, True)
    assert seconds < 30, f"{seconds:.1f} s"
    again = await change_labs(connection, found.rows, **BY)
    assert (again.added, again.changed, again.unchanged, again.written) == (0, 0, 4_500, False)
    assert len(await chain(road)) == 4_500
    register = await door(road)
    lab = register.get("N4500B")
    assert lab is not None
    assert (lab.registry_id, lab.limits.daily_quota) == ("N4500", 4_500)
    assert register.of_certificate(b"\x01" * 32, "CN=n4500") is lab


async def test_an_import_with_one_error_writes_nothing_and_names_each_line(
    road: Road, connection: Connection
) -> None:
    await change_lab(
        connection, LabRow(registry_id="OWNER", facilities=("SITE X",), subject="CN=x"),
        expect="new", **BY,
    )  # fmt: skip
    found = read_csv(
        b"registry_id,facilities,subject\n"
        b"GOOD,SITE G,CN=g\n"
        b"BAD1,SITE X,\n"
        b"BAD2,LAB1,\n"
        b"SITE X,,\n"
        b"BAD3,,CN=x\n"
        b"BAD4,SITE G,CN=g\n"
    )
    assert not found.errors
    change = await change_labs(connection, found.rows, **BY)
    assert not change.written
    assert sorted({(each.line, each.column) for each in change.errors}) == [
        (3, "facilities"), (4, "facilities"), (5, "registry_id"), (6, "subject"),
        (7, "facilities"), (7, "subject"),
    ]  # fmt: skip
    assert await road.rows("SELECT 1 FROM lab WHERE registry_id = 'GOOD'") == []


async def test_a_facility_moves_from_one_laboratory_to_another_in_one_file(
    road: Road, connection: Connection
) -> None:
    await change_labs(connection, read_csv(b"registry_id,facilities\nA,S1+S2\nB,S3\n").rows, **BY)
    moved = read_csv(b"registry_id,facilities\nA,S3+S2\nB,S1\n")
    assert (await change_labs(connection, moved.rows, **BY)).changed == 2
    assert (await labs.find_lab(connection, "A")).facilities == ["S2", "S3"]
    assert (await labs.find_lab(connection, "B")).facilities == ["S1"]


# ---------------------------------------------------------------- credentials


async def test_a_certificate_rotates_and_is_revoked_for_ever(
    road: Road, connection: Connection
) -> None:
    first, second = certificate(1), certificate(2)
    _, new = await credentials.add_certificate(connection, "LAB1", first, now=NOW, **BY)
    assert new
    _, new = await credentials.add_certificate(connection, "LAB1", first, now=NOW, **BY)
    assert not new
    await credentials.add_certificate(connection, "LAB1", second, now=NOW, **BY)
    register = await door(road)
    for each in (first, second):
        lab = register.of_certificate(each.fingerprint, each.subject)
        assert lab is not None
        assert lab.registry_id == "LAB1"
    name = ":".join(f"{byte:02X}" for byte in first.fingerprint)
    assert (await credentials.revoke_certificate(connection, "LAB1", name, **BY))[1]
    assert not (await credentials.revoke_certificate(connection, "LAB1", name, **BY))[1]
    await credentials.add_certificate(connection, "LAB1", first.subject, now=NOW, **BY)
    await register.refresh()
    assert register.of_certificate(first.fingerprint, first.subject) is None
    assert register.of_certificate(second.fingerprint, second.subject) is not None
    assert register.of_certificate(b"\x09" * 32, first.subject) is not None
    with pytest.raises(PermanentError, match="certificate_revoked"):
        await credentials.add_certificate(connection, "LAB1", first, now=NOW, **BY)
    for subject, reason in await chain(road):
        assert subject == "laboratory LAB1"
        assert CANARY not in reason


async def test_what_stands_for_another_or_is_over_is_refused(
    road: Road, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    await credentials.add_certificate(connection, "LAB1", certificate(1), now=NOW, **BY)
    await credentials.add_certificate(connection, "LAB1", "CN=rule", now=NOW, **BY)
    monkeypatch.setattr(credentials, "MAX_CREDENTIALS", 2)
    cases: tuple[tuple[str, Certificate | str, str], ...] = (
        ("LAB2", certificate(1), "certificate_of_another: it stands for LAB1"),
        ("LAB2", "CN=rule", "certificate_of_another"),
        ("LAB2", certificate(2, ends=-1), "certificate_expired"),
        ("LAB2", "lab 2", "bad_subject"),
        ("LAB1", certificate(3), "too_many_certificates"),
        ("NOBODY", certificate(3), "no_such_laboratory"),
    )
    for lab, given, says in cases:
        with pytest.raises(PermanentError, match=says):
            await credentials.add_certificate(connection, lab, given, now=NOW, **BY)
    for which in ("999", "01010101", "ff" * 32):
        with pytest.raises(PermanentError, match="no_such_certificate"):
            await credentials.revoke_certificate(connection, "LAB1", which, **BY)


async def test_a_token_is_shown_once_and_kept_as_a_digest(
    road: Road, connection: Connection
) -> None:
    made = await credentials.new_token(connection, "lab1", "middleware", **BY)
    register = await door(road)
    lab = register.of_token(made.token)
    assert lab is not None
    assert lab.registry_id == "LAB1"
    (held,) = await credentials.list_tokens(connection, "LAB1")
    assert (held.name, held.last4) == ("middleware", made.token[-4:])
    for row in await road.rows("SELECT lab_token::text AS t FROM lab_token"):
        assert made.token not in row["t"]
    assert all(made.token[-4:] not in reason for _, reason in await chain(road))
    assert (await credentials.revoke_token(connection, "LAB1", held.token_id, **BY))[1]
    assert not (await credentials.revoke_token(connection, "LAB1", held.token_id, **BY))[1]
    await register.refresh()
    assert register.of_token(made.token) is None
    with pytest.raises(PermanentError, match="no_such_token"):
        await credentials.revoke_token(connection, "LAB2", held.token_id, **BY)


# ---------------------------------------------------------------- what doors see


async def test_a_door_reads_the_register_only_when_its_version_moved(
    road: Road, connection: Connection
) -> None:
    store = PostgresLabStore(road.hub.pool)
    first = await store.all()
    assert await store.all() is first
    versions = [await connection.fetchval("SELECT version FROM register_version")]
    made = await credentials.new_token(connection, "LAB1", "t", **BY)
    for change in (
        change_lab(connection, LabRow(registry_id="LAB1", name="x"), expect="known", **BY),
        change_facilities(connection, "LAB1", lambda held: {"S"}, **BY),
        credentials.add_certificate(connection, "LAB1", certificate(1), now=NOW, **BY),
        credentials.revoke_token(connection, "LAB1", made.token_id, **BY),
        labs.set_state(connection, "LAB1", "suspended", **BY),
        store.register("FIRST SIGHT"),
    ):
        await change
        versions.append(await connection.fetchval("SELECT version FROM register_version"))
    assert all(one < next_ for one, next_ in itertools.pairwise(versions))
    assert await store.all() is not first


async def test_changes_at_once_stand_one_after_the_other(road: Road) -> None:
    async def change(number: int) -> None:
        async with road.hub.pool.acquire() as own:
            if number % 3 == 0:
                state = "live" if number % 2 else "suspended"
                await labs.set_state(own, f"LAB{1 + number % 4}", state, **BY)
            elif number % 3 == 1:
                row = LabRow(registry_id=f"LAB{1 + number % 4}", name=str(number))
                other = LabRow(registry_id=f"LAB{1 + (number + 1) % 4}", name=str(number))
                await change_labs(own, [row, other], **BY)
            else:
                await PostgresLabStore(road.hub.pool).register(f"LAB{1 + number % 6}")

    await asyncio.gather(*(change(number) for number in range(24)))
    rows = await road.rows("SELECT count(*) AS n, max(audit_id) AS last FROM audit")
    assert rows[0]["n"] == rows[0]["last"]
