"""Tokens of readers on a real database: made, found, limited, counted, revoked, audited."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ops.bootstrap import Hub
from ops.runtime.postgres import Share, lent, open_pool
from ops.stream_tokens import changes
from ops.stream_tokens.access import HubAccess
from ops.stream_tokens.port import Admission
from ops.stream_tokens.refusals import Refused
from ops.stream_tokens.token import Quota, told_filter
from routing.filters import parse_filter
from schemas.errors import PermanentError, TransientError
from schemas.topics import Stream
from tests.support.hub import scratch_hub
from tests.support.postgres import Database
from tests.support.readers import (
    BUILT_IN,
    OPERATOR_ASKS,
    SetAge,
    SetClock,
    audited,
    bearer,
    made,
    process_of,
    used,
)

ROWS = Stream.PUBLIC_HEALTH
CASES = Stream.CONTACT_TRACING


@pytest.fixture
async def hub(database: Database, tmp_path: Path) -> AsyncIterator[Hub]:
    async with scratch_hub(database, tmp_path) as opened:
        yield opened


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


async def read_all(access: HubAccess, header: str, page: int = 500) -> int:
    """Read as long as events are given, as from a stream without an end."""
    total = 0
    try:
        async with await access.admit(header, ROWS) as admission:
            while True:
                may = await admission.take(page)
                admission.note(may)
                total += may
    except Refused as refused:
        if refused.reason != "quota_used":
            raise
    return total


# ---------------------------------------------------------------------------- who may


async def test_a_token_is_made_used_and_revoked(hub: Hub, clock: SetClock) -> None:
    access = process_of(hub, clock, age=SetAge())
    header = await made(hub, clock, filter=(("department", "75"),))
    asked = parse_filter(ROWS, [("condition", "sars-cov-2")])
    admission = await access.admit(header, ROWS, asked, origin="10.0.0.7")
    assert admission.token_name == "spf"
    assert told_filter(admission.filter) == "condition sars-cov-2; department 75"
    assert admission.left is None
    assert await admission.take(500) == 500
    admission.note(17)
    with pytest.raises(Refused, match="token_not_for_stream"):
        await access.admit(header, CASES)
    async with lent(hub.pool) as connection:
        await changes.revoke(connection, "spf", now=clock.now(), asker=OPERATOR_ASKS)
    admission.check()  # it follows until the refresh
    await access.step()
    for over in (lambda: admission.take(1), lambda: access.admit(header, ROWS)):
        with pytest.raises(Refused, match="token_revoked"):
            await over()
    with pytest.raises(Refused, match="token_revoked"):
        admission.check()
    admission.close()
    await access.flush()
    assert await used(hub) == {"2026-03-06": (17, 1, 2)}
    entries = await audited(hub, "stream_token")
    assert [each[2] for each in entries] == [
        "made for public-health, 1 parts of a filter, until 2027-03-06: agreement 12",
        "revoked: agreement 12",
    ]
    async with lent(hub.pool) as connection:
        kept = await connection.fetchval("SELECT string_agg(t::text, '') FROM stream_token t")
        chain = await connection.fetchval("SELECT string_agg(a::text, '') FROM audit a")
    secret = header.removeprefix("Bearer ")
    assert secret not in kept and secret not in chain


STRANGERS = (
    ("", "no_token"),
    ("Bearer ", "no_token"),
    ("Basic c3BmOng=", "no_token"),
    ("Bearer nonsense", "unknown_token"),
    ("Bearer \udcff\x00", "unknown_token"),
    (bearer(BUILT_IN["dossier"]), "token_not_for_stream"),
    (bearer(BUILT_IN["operator"]), "token_not_for_stream"),
)


async def test_whoever_has_no_token_for_it_is_told_so(hub: Hub, clock: SetClock) -> None:
    access = process_of(hub, clock)
    for header, reason in STRANGERS:
        with pytest.raises(Refused, match=reason):
            await access.admit(header, CASES)
    assert await audited(hub, "stream_read") == []


async def test_strangers_cause_few_refreshes_and_a_new_token_reads_at_once(
    hub: Hub, clock: SetClock
) -> None:
    age = SetAge()
    access = process_of(hub, clock, age=age)
    asked: list[int] = []
    plain = access.known.refresh

    async def counted() -> None:
        asked.append(1)
        await plain()

    access.known.refresh = counted  # type: ignore[method-assign]
    for _ in range(50):
        with pytest.raises(Refused, match="unknown_token"):
            await access.admit("Bearer stranger", ROWS)
    assert len(asked) == 1
    header = await made(hub, clock)
    age.at += 0.3
    async with await access.admit(header, ROWS):
        pass
    assert len(asked) == 2


async def test_time_ends_a_token_also_for_who_follows(hub: Hub, clock: SetClock) -> None:
    access = process_of(hub, clock)
    header = await made(hub, clock, expires_days=1)
    async with await access.admit(header, ROWS, follows=True) as admission:
        clock.pass_by(hours=23, minutes=59)
        admission.check()
        clock.pass_by(minutes=1)
        with pytest.raises(Refused, match="token_expired"):
            admission.check()
        with pytest.raises(Refused, match="token_expired"):
            await access.admit(header, ROWS)
        clock.pass_by(hours=-5)  # a clock that is set back: as it says, it counts again
        admission.check()


async def test_an_old_copy_lets_nobody_in_but_the_built_in(
    database: Database, hub: Hub, clock: SetClock
) -> None:
    age = SetAge()
    own = await open_pool(database.connect_kwargs, "api", max_size=2)
    access = process_of(hub, clock, age=age, pool=own)
    header = await made(hub, clock)
    follower = await access.admit(header, ROWS)
    await own.close()
    age.at += 29
    (await access.admit(header, ROWS)).close()
    age.at += 2
    await access.step()
    for over in (lambda: access.admit(header, ROWS), lambda: follower.take(1)):
        with pytest.raises(TransientError, match="tokens_unread"):
            await over()
    follower.close()
    async with await access.admit(bearer(BUILT_IN["public-health"]), ROWS) as admission:
        assert await admission.take(10) == 10


async def test_names_are_taken_once_and_tokens_are_bounded(
    hub: Hub, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "MAX_TOKENS", 2)
    await made(hub, clock)
    with pytest.raises(PermanentError, match="token_exists"):
        await made(hub, clock)
    await made(hub, clock, "other")
    with pytest.raises(PermanentError, match="too_many_tokens"):
        await made(hub, clock, "third")
    async with lent(hub.pool) as connection:
        await changes.revoke(connection, "spf", now=clock.now(), asker=OPERATOR_ASKS)
        with pytest.raises(PermanentError, match="no_such_token"):
            await changes.revoke(connection, "spf", now=clock.now(), asker=OPERATOR_ASKS)
        await made(hub, clock)  # the name is free again, and means the new one
        assert (await changes.show(connection, "spf", now=clock.now())).token.state == "live"
        listed = await changes.entries(connection, now=clock.now())
        assert [(each.name, each.state) for each in listed] == [
            ("other", "live"), ("spf", "live"), ("spf", "revoked")
        ]  # fmt: skip
        clock.pass_by(days=366)
        listed = await changes.entries(connection, now=clock.now())
        assert [each.state for each in listed] == ["expired", "expired", "revoked"]


# ---------------------------------------------------------------------------- how much


async def test_a_quota_holds_for_all_processes_together_and_comes_back_at_midnight(
    hub: Hub, clock: SetClock
) -> None:
    clock.at = clock.at.replace(hour=23, minute=50)
    header = await made(hub, clock, daily_events=1_777)
    one, two = process_of(hub, clock), process_of(hub, clock)
    reads = await asyncio.gather(*(read_all(each, header, 100) for each in (one, two) * 3))
    assert sum(reads) == 1_777
    with pytest.raises(Refused) as refused:
        await one.admit(header, ROWS)
    assert (refused.value.status, refused.value.retry_after_seconds) == (429, 601)
    follower_waits = await two.admit(bearer(BUILT_IN["public-health"]), ROWS)
    follower_waits.close()
    clock.pass_by(minutes=10)
    assert await read_all(one, header) == 1_777
    await one.flush()
    await two.flush()
    days = await used(hub)
    assert {day: use[0] for day, use in days.items()} == {"2026-03-06": 1_777, "2026-03-07": 1_777}
    assert days["2026-03-06"][2] >= 1


async def test_who_follows_over_midnight_is_given_the_new_day(hub: Hub, clock: SetClock) -> None:
    clock.at = clock.at.replace(hour=23, minute=59)
    header = await made(hub, clock, daily_events=300)
    access = process_of(hub, clock)
    async with await access.admit(header, ROWS, follows=True) as admission:
        assert await admission.take(250) == 250
        clock.pass_by(minutes=2)  # midnight comes while the page is read
        admission.note(100)
        assert await admission.take(500) == 300
        admission.note(300)
        with pytest.raises(Refused, match="quota_used"):
            await admission.take(1)
    await access.flush()
    assert {day: use[0] for day, use in (await used(hub)).items()} == {
        "2026-03-06": 100, "2026-03-07": 300
    }  # fmt: skip


async def test_a_clock_set_back_gives_no_day_twice(hub: Hub, clock: SetClock) -> None:
    header = await made(hub, clock, daily_events=300)
    access = process_of(hub, clock)
    assert await read_all(access, header) == 300
    clock.pass_by(days=1)
    assert await read_all(access, header) == 300
    clock.pass_by(days=-1)
    with pytest.raises(Refused, match="quota_used"):
        await access.admit(header, ROWS)


async def test_what_a_reader_does_not_use_is_free_for_others(hub: Hub, clock: SetClock) -> None:
    header = await made(hub, clock, daily_events=400)
    one, two = process_of(hub, clock), process_of(hub, clock)
    async with await one.admit(header, ROWS) as admission:
        assert await admission.take(500) == 400
        admission.note(40)
    with pytest.raises(Refused, match="quota_used"):
        await two.admit(header, ROWS)  # the first still holds the rest
    await one.flush()
    await two.flush()
    assert await read_all(two, header) == 360
    assert (await used(hub))["2026-03-06"][0] == 400


async def test_what_a_killed_process_had_ahead_counts_as_read(hub: Hub, clock: SetClock) -> None:
    header = await made(hub, clock, daily_events=1_000)
    killed, other = process_of(hub, clock), process_of(hub, clock)
    admission = await killed.admit(header, ROWS)
    assert await admission.take(100) == 100
    admission.note(10)
    assert await read_all(other, header) == 1_000 - 200


async def test_a_quota_is_never_exceeded_whatever_readers_do(hub: Hub, clock: SetClock) -> None:
    """Many readers at several processes, some of whom leave in the middle of anything."""
    header = await made(hub, clock, daily_events=5_000, max_connections=400)
    processes = [process_of(hub, clock) for _ in range(3)]
    rng, given, reasons = random.Random(8), [0], set[str]()

    async def one_reader(access: HubAccess) -> None:
        try:
            async with await access.admit(header, ROWS) as admission:
                for _ in range(rng.randint(1, 12)):
                    may = await admission.take(rng.choice((1, 10, 200)))
                    await asyncio.sleep(0)
                    served = rng.randint(0, may)
                    given[0] += served
                    admission.note(served)
        except Refused as refused:
            reasons.add(refused.reason)

    async def flushing(access: HubAccess) -> None:
        while True:
            await access.step()
            await asyncio.sleep(0.01)

    upkeep = [asyncio.ensure_future(flushing(each)) for each in processes]
    for _ in range(4):
        readers = [asyncio.ensure_future(one_reader(rng.choice(processes))) for _ in range(60)]
        await asyncio.sleep(0.02)
        for each in rng.sample(readers, 10):
            each.cancel()
        await asyncio.gather(*readers, return_exceptions=True)
        for each in readers:
            if not each.cancelled():
                each.result()
    for work in upkeep:
        work.cancel()
    await asyncio.gather(*upkeep, return_exceptions=True)
    for access in processes:
        await access.flush()
    ((events, _, _),) = (await used(hub)).values()
    assert given[0] <= events <= 5_000
    assert reasons <= {"quota_used"}
    assert events - given[0] < 3 * 400, "what nobody was given came back, but for cut steps"


async def test_limits_change_while_somebody_reads(hub: Hub, clock: SetClock) -> None:
    header = await made(hub, clock, daily_events=10, max_connections=1)
    access = process_of(hub, clock)
    assert await read_all(access, header) == 10
    async with lent(hub.pool) as connection:
        await changes.set_quota(
            connection, "spf", Quota(daily_events=30, max_connections=2), asker=OPERATOR_ASKS
        )
    await access.step()
    assert await read_all(access, header) == 20
    async with lent(hub.pool) as connection:
        await changes.set_quota(
            connection, "spf", Quota(daily_events=None, max_connections=1), asker=OPERATOR_ASKS
        )
    await access.step()
    async with await access.admit(header, ROWS) as admission:
        assert await admission.take(9_000) == 9_000
        with pytest.raises(Refused, match="connections_used"):
            await access.admit(header, ROWS)


# ---------------------------------------------------------------------------- bad days


async def test_a_thousand_connections_of_one_token_cost_the_others_nothing(
    hub: Hub, clock: SetClock
) -> None:
    header = await made(hub, clock, "greedy", streams=["contact-tracing"])
    modest = await made(hub, clock, "modest", streams=["contact-tracing"])
    access = process_of(hub, clock, places=100)
    answers = await asyncio.gather(
        *(access.admit(header, CASES, origin="10.0.0.66") for _ in range(1_000)),
        return_exceptions=True,
    )
    refused = [each for each in answers if isinstance(each, Refused)]
    assert len(refused) == 1_000 - 8
    assert {each.reason for each in refused} == {"connections_used"}
    admission = await access.admit(modest, CASES)
    assert len(await audited(hub, "stream_read")) == 9, "only who reads stands in the chain"
    admission.close()
    for each in answers:
        if not isinstance(each, BaseException):
            each.close()
            each.close()
    async with await access.admit(header, CASES):
        pass
    await access.flush()
    assert await used(hub) == {"2026-03-06": (0, 10, 992)}


async def test_readers_that_wait_for_the_chain_leave_connections_to_others(
    database: Database, hub: Hub, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ops.runtime.postgres._CONNECT_SECONDS", 2.0)
    access = process_of(hub, clock, pool=Share(hub.pool, 2))
    dossier = bearer(BUILT_IN["dossier"])
    holder = await database.connect()
    try:
        async with holder.transaction():
            await holder.execute("LOCK TABLE audit IN SHARE ROW EXCLUSIVE MODE")
            reads = [
                asyncio.ensure_future(access.admit(dossier, Stream.DOSSIER)) for _ in range(20)
            ]
            async with asyncio.timeout(60):
                while sum(each.done() for each in reads) < 18:
                    await asyncio.sleep(0.02)
            done = [each for each in reads if each.done()]
            waiting = [each for each in reads if not each.done()]
            for each in done:
                with pytest.raises(TransientError, match="read_not_audited"):
                    await each
            async with lent(hub.pool) as connection:
                assert await connection.fetchval("SELECT 1") == 1, "the others' work goes on"
        for each in waiting:
            (await each).close()
    finally:
        await holder.close()
    assert not access._places.tokens


async def test_who_leaves_before_the_first_byte_leaves_no_place_behind(
    hub: Hub, clock: SetClock
) -> None:
    header = await made(hub, clock, max_connections=1)
    access = process_of(hub, clock)

    async def answer(admission: Admission) -> AsyncIterator[bytes]:
        async with admission:
            yield b""

    for _ in range(3):
        never_begun = answer(await access.admit(header, ROWS))
        del never_begun


async def test_a_read_of_names_is_in_the_chain_before_and_after(hub: Hub, clock: SetClock) -> None:
    header = await made(hub, clock, streams=["contact-tracing"])
    access = process_of(hub, clock)
    asked = parse_filter(CASES, [("department", "75")])
    admission = await access.admit(header, CASES, asked, origin="10.0.0.7", follows=True)
    begun = await audited(hub, "stream_read")
    assert begun == [
        ("token spf", "stream contact-tracing", "department 75; follows; from 10.0.0.7")
    ]
    assert await admission.take(500) == 500
    admission.note(12)
    admission.close()
    async with await access.admit(bearer(BUILT_IN["public-health"]), ROWS):
        pass  # it has no names
    await access.flush()
    ((actor, subject, told),) = await audited(hub, "stream_read_ended")
    assert (actor, subject) == ("token spf", "stream contact-tracing")
    assert told.startswith("12 events of read ") and told.endswith(", done")
    assert len(await audited(hub, "stream_read")) == 1
    built_in = await access.admit(bearer(BUILT_IN["dossier"]), Stream.DOSSIER)
    built_in.close()
    assert (await audited(hub, "stream_read"))[-1][0] == "token built-in-dossier"


async def test_a_read_that_cannot_be_audited_does_not_happen(
    database: Database, hub: Hub, clock: SetClock
) -> None:
    own = await open_pool(database.connect_kwargs, "api", max_size=2)
    access = process_of(hub, clock, pool=own)
    dossier = bearer(BUILT_IN["dossier"])
    kept = await access.admit(dossier, Stream.DOSSIER)
    await own.close()
    with pytest.raises(TransientError, match="read_not_audited"):
        await access.admit(dossier, Stream.DOSSIER)
    kept.close()
    await access.flush()  # it is away: the end is kept
    assert await audited(hub, "stream_read_ended") == []
    back = process_of(hub, clock)
    access.audit._pool = back.audit._pool
    await access.flush()
    await access.flush()
    assert len(await audited(hub, "stream_read_ended")) == 1
    async with await access.admit(dossier, Stream.DOSSIER):
        pass  # no place was lost


async def test_a_chain_that_is_behind_takes_no_new_read(
    hub: Hub, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ops.stream_tokens.reads._MOST_WAITING", 3)
    access = process_of(hub, clock)
    dossier = bearer(BUILT_IN["dossier"])
    for _ in range(3):
        (await access.admit(dossier, Stream.DOSSIER)).close()
    with pytest.raises(TransientError, match="read_not_audited"):
        await access.admit(dossier, Stream.DOSSIER)
    await access.flush()
    (await access.admit(dossier, Stream.DOSSIER)).close()
