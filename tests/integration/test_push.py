"""Receivers that are pushed to: at least once, in order, and a dead one delays nobody."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from ops.bootstrap import Hub
from ops.receivers import changes
from ops.receivers.receiver import Kind
from ops.runtime.metrics import METRICS
from ops.runtime.postgres import lent
from schemas.errors import PermanentError, TransientError
from schemas.events import EventKind
from tests.support.hub import scratch_hub
from tests.support.postgres import Database, connected
from tests.support.receiving import (
    ASKER,
    Asked,
    Target,
    Told,
    added,
    deliveries,
    emit,
    event,
    serving,
    until_states,
)

AWAY = (503, 429, 401, 404, 0)
"""Busy, or they do not let us in; 0: the connection is cut."""


@pytest.fixture
async def hub(database: Database, tmp_path: Path) -> AsyncIterator[Hub]:
    async with scratch_hub(database, tmp_path) as made:
        yield made


@pytest.fixture
async def target() -> AsyncIterator[Target]:
    made = Target()
    await made.start()
    yield made
    await made.stop()


def all_are(state: str, count: int) -> Any:
    return lambda found: list(found.values()) == [state] * count


async def operate(hub: Hub, work: Any) -> Any:
    async with lent(hub.pool) as connection:
        return await work(connection)


async def test_every_event_comes_once_signed_and_with_its_id(
    hub: Hub, database: Database, target: Target
) -> None:
    await emit(hub, [event(number) for number in range(1, 11)])
    await added(hub, "one", target.url)
    async with serving(hub, database.connect_kwargs):
        await until_states(hub, "one", all_are("accepted", 10))
        await emit(hub, [event(11)])
        await until_states(hub, "one", all_are("accepted", 11))
    lines = [asked.json for asked in target.asked]
    assert sorted(line["body"]["number"] for line in lines) == list(range(1, 12))
    for asked, line in zip(target.asked, lines, strict=True):
        assert line["event_id"] == asked.headers["webhook-id"] == str(asked.event_id)
        assert asked.headers["webhook-signature"].startswith("v1,")
        assert "cursor" not in line
    assert target.most_at_once <= hub.settings.push_in_flight
    (first, *_) = await deliveries(hub, "one")
    assert (first["protocol"], first["code"], first["attempts"]) == ("http", "200", 1)


async def test_of_a_report_only_the_newest_version_that_waits_is_sent(
    hub: Hub, database: Database, target: Target
) -> None:
    await emit(hub, [event(1), event(1, 2, kind=EventKind.REVISED), event(2)])
    await emit(hub, [event(1, 3, kind=EventKind.WITHDRAWN)])
    await added(hub, "one", target.url)
    async with serving(hub, database.connect_kwargs):
        found = await until_states(hub, "one", lambda f: "waiting" not in f.values() and len(f) > 3)
    assert found == {
        (1, 1): "superseded", (1, 2): "superseded", (1, 3): "accepted", (2, 1): "accepted"
    }  # fmt: skip
    sent = [(asked.json["report_id"], asked.json["event_version"]) for asked in target.asked]
    assert sorted(sent) == [(str(UUID(int=1)), 3), (str(UUID(int=2)), 1)]


async def test_a_newer_version_waits_until_the_older_one_under_way_has_its_answer(
    hub: Hub, database: Database, target: Target
) -> None:
    go_on = asyncio.Event()

    async def slow(asked: Asked) -> Told:
        if asked.json["body"] == {"number": 1, "v": 1}:
            await go_on.wait()
        return Told()

    target.behaviour = slow
    await added(hub, "one", target.url)
    async with serving(hub, database.connect_kwargs):
        await emit(hub, [event(1)])
        await target.until(lambda: len(target.asked) == 1)
        await emit(hub, [event(1, 2, kind=EventKind.REVISED), event(2)])
        await until_states(hub, "one", lambda found: found.get((2, 1)) == "accepted")
        assert [asked.json["event_version"] for asked in target.asked] == [1, 1]
        go_on.set()
        await until_states(hub, "one", all_are("accepted", 3))
    assert target.asked[-1].json["event_version"] == 2


async def test_a_receiver_that_is_away_costs_no_event_and_delays_no_other(
    hub: Hub, database: Database, target: Target
) -> None:
    live = Target()
    await live.start()
    target.behaviour = lambda _: Told(status=AWAY[len(target.asked) % len(AWAY)])
    await added(hub, "dead", target.url)
    await added(hub, "live", live.url)
    try:
        async with serving(hub, database.connect_kwargs, push_failures=2):
            await emit(hub, [event(number) for number in range(1, 31)])
            await until_states(hub, "live", all_are("accepted", 30))
            await target.until(lambda: len(target.asked) > 15)
            rows = await deliveries(hub, "dead")
            assert {row["state"] for row in rows} == {"waiting"}
            assert {row["failures"] for row in rows} == {0}
            # One tries for all while it is away: eight went before anybody knew.
            assert METRICS.push_in_flight.labels("dead")._value.get() <= 8
            target.behaviour = lambda _: Told()
            await until_states(hub, "dead", all_are("accepted", 30))
    finally:
        await live.stop()


async def test_nobody_listens_and_then_somebody_does(
    hub: Hub, database: Database, target: Target
) -> None:
    await target.stop()
    await added(hub, "one", target.url)
    await emit(hub, [event(1), event(2)])
    async with serving(hub, database.connect_kwargs):
        await until_states(hub, "one", lambda found: len(found) == 2)
        async with asyncio.timeout(60):
            while (await deliveries(hub, "one"))[0]["code"] != "no_connection":
                await asyncio.sleep(0.02)
        await target.start()
        await until_states(hub, "one", all_are("accepted", 2))


async def test_retry_after_of_a_receiver_is_waited_for(
    hub: Hub, database: Database, target: Target
) -> None:
    times: list[float] = []

    def once(_: Asked) -> Told:
        times.append(asyncio.get_running_loop().time())
        return Told(status=503, headers={"Retry-After": "1"}) if len(times) == 1 else Told()

    target.behaviour = once
    await added(hub, "one", target.url)
    await emit(hub, [event(1)])
    async with serving(hub, database.connect_kwargs):
        await until_states(hub, "one", all_are("accepted", 1))
    assert times[1] - times[0] >= 0.95


async def test_what_is_refused_for_good_is_a_dead_letter_and_others_go_on(
    hub: Hub, database: Database, target: Target
) -> None:
    outcome = b'{"resourceType":"OperationOutcome","issue":[{"code":"invalid","diagnostics":"x"}]}'
    hl7 = {"Content-Type": "application/hl7-v2+er7"}
    answers = {
        1: Told(status=422, body=outcome),
        2: Told(headers=hl7, body=b"MSH|^~\\&|R\rMSA|AE|1\rERR|||101^Required^HL70357|E\r"),
        3: Told(status=500),
        4: Told(headers=hl7, body=b"MSH|^~\\&|R\rMSA|AR|1\r"),
        5: Told(headers=hl7, body=b"MSH|^~\\&|R\rMSA|AA|1\r"),
        6: Told(),
    }
    target.behaviour = lambda asked: answers[asked.json["body"]["number"]]
    await added(hub, "one", target.url)
    await emit(hub, [event(number) for number in answers])
    async with serving(hub, database.connect_kwargs, push_failures=3):
        await until_states(hub, "one", lambda f: bool(f) and "waiting" not in f.values())
        rows = {row["report_id"].int: row for row in await deliveries(hub, "one")}
        told = {
            number: (row["state"], row["protocol"], row["code"], row["detail"], row["attempts"])
            for number, row in rows.items()
        }
        assert told == {
            1: ("dead", "http", "422", "invalid", 1),
            2: ("dead", "hl7", "AE", "ERR-3 101", 1),
            3: ("dead", "http", "500", "", 3),
            4: ("dead", "hl7", "AR", "", 3),
            5: ("accepted", "hl7", "AA", "", 1),
            6: ("accepted", "http", "200", "", 1),
        }
        target.behaviour = lambda _: Told()
        with pytest.raises(PermanentError, match="no_such_dead_letter"):
            await operate(hub, lambda c: changes.end_dead(
                c, "one", [rows[6]["event_id"]], again=True, asker=ASKER))  # fmt: skip
        await operate(hub, lambda c: changes.end_dead(
            c, "one", [rows[1]["event_id"]], again=False, asker=ASKER))  # fmt: skip
        await operate(hub, lambda c: changes.end_dead(c, "one", None, again=True, asker=ASKER))
        found = await until_states(hub, "one", lambda f: "waiting" not in f.values())
    assert sorted(found.values()) == ["accepted"] * 5 + ["discarded"]


async def test_a_dead_letter_never_follows_a_newer_version(
    hub: Hub, database: Database, target: Target
) -> None:
    target.behaviour = lambda asked: Told(status=422 if asked.json["event_version"] == 1 else 200)
    await added(hub, "one", target.url)
    async with serving(hub, database.connect_kwargs):
        await emit(hub, [event(1)])
        await until_states(hub, "one", all_are("dead", 1))
        await emit(hub, [event(1, 2, kind=EventKind.REVISED)])
        await until_states(hub, "one", lambda found: found.get((1, 2)) == "accepted")
        done = await operate(hub, lambda c: changes.end_dead(
            c, "one", None, again=True, asker=ASKER))  # fmt: skip
    assert done == {"superseded": 1}
    assert len(target.asked) == 2


async def test_a_receiver_that_refuses_everything_is_paused_by_itself(
    hub: Hub, database: Database, target: Target
) -> None:
    target.behaviour = lambda _: Told(status=400)
    await added(hub, "one", target.url)
    await emit(hub, [event(number) for number in range(1, 61)])
    async with serving(hub, database.connect_kwargs, push_dead_letters=5, push_in_flight=2):
        async with asyncio.timeout(60):
            while (held := await operate(hub, lambda c: changes.known(c, "one"))).state == "active":
                await asyncio.sleep(0.02)
    assert (held.state, held.state_reason) == ("paused", "too many dead letters")
    assert len(target.asked) <= 10


async def test_gone_means_paused(hub: Hub, database: Database, target: Target) -> None:
    target.behaviour = lambda _: Told(status=410)
    await added(hub, "one", target.url)
    await emit(hub, [event(1)])
    async with serving(hub, database.connect_kwargs):
        async with asyncio.timeout(60):
            while (held := await operate(hub, lambda c: changes.known(c, "one"))).state == "active":
                await asyncio.sleep(0.02)
    assert "410" in held.state_reason


async def test_paused_nothing_is_sent_and_resumed_nothing_is_missing(
    hub: Hub, database: Database, target: Target
) -> None:
    await added(hub, "one", target.url)
    async with serving(hub, database.connect_kwargs):
        await emit(hub, [event(1)])
        await until_states(hub, "one", all_are("accepted", 1))
        await operate(hub, lambda c: changes.pause(c, "one", ASKER))
        async with asyncio.timeout(60):  # a row says when the process has let go
            while not await operate(hub, lambda c: c.fetchval("SELECT resigned FROM receiver")):
                await asyncio.sleep(0.02)
        await emit(hub, [event(2), event(3)])
        assert len(target.asked) == 1
        await operate(hub, lambda c: changes.resume(c, "one", "", ASKER))
        await until_states(hub, "one", all_are("accepted", 3))


async def test_a_removed_receiver_gets_nothing_more_and_its_name_is_free(
    hub: Hub, database: Database, target: Target
) -> None:
    made = await added(hub, "one", target.url)
    await operate(hub, lambda c: changes.remove(c, hub.vault, "one", ASKER))
    again = await added(hub, "one", target.url, from_start=False)
    assert again.receiver_id != made.receiver_id
    await emit(hub, [event(1)])
    async with serving(hub, database.connect_kwargs):
        await until_states(hub, "one", all_are("accepted", 1))
    assert len(target.asked) == 1
    assert hub.vault.kept_secret(f"receiver-{made.receiver_id}-1") is None


async def test_what_retention_took_unsent_is_a_gap_that_an_operator_closes(
    hub: Hub, database: Database, target: Target
) -> None:
    await added(hub, "one", target.url)
    await emit(hub, [event(4), event(8), event(12)])  # one partition
    await operate(hub, lambda c: c.execute("DELETE FROM stream_event WHERE seq < 2"))
    async with serving(hub, database.connect_kwargs):
        async with asyncio.timeout(60):
            while (held := await operate(hub, lambda c: changes.known(c, "one"))).state == "active":
                await asyncio.sleep(0.02)
        assert (held.state, target.asked) == ("gap", [])
        with pytest.raises(PermanentError, match="receiver_gap"):
            await operate(hub, lambda c: changes.resume(c, "one", "", ASKER))
        await operate(hub, lambda c: changes.resume(c, "one", "start", ASKER))
        await until_states(hub, "one", all_are("accepted", 2))


async def test_of_two_processes_one_serves_and_the_other_takes_over(
    hub: Hub, database: Database, target: Target
) -> None:
    await added(hub, "one", target.url)
    async with serving(hub, database.connect_kwargs):
        async with serving(hub, database.connect_kwargs):
            await emit(hub, [event(number) for number in range(1, 21)])
            await until_states(hub, "one", all_are("accepted", 20))
        await emit(hub, [event(21)])
        await until_states(hub, "one", all_are("accepted", 21))
    assert len({asked.event_id for asked in target.asked}) == len(target.asked) == 21


async def test_a_leader_without_its_session_sends_no_more_and_another_epoch_refuses_it(
    hub: Hub, database: Database, target: Target
) -> None:
    go_on = asyncio.Event()

    async def slow(_: Asked) -> Told:
        await go_on.wait()
        return Told()

    target.behaviour = slow
    await added(hub, "one", target.url)
    await emit(hub, [event(1)])
    async with serving(hub, database.connect_kwargs):
        await target.until(lambda: len(target.asked) == 1)
        await operate(hub, lambda c: c.execute("UPDATE receiver SET epoch = epoch + 1"))
        go_on.set()
        await until_states(hub, "one", all_are("accepted", 1))
    assert [asked.event_id for asked in target.asked] == [target.asked[0].event_id] * 2
    (row,) = await deliveries(hub, "one")
    assert row["attempts"] == 1, "what the older epoch heard was not written"


async def test_a_missing_secret_is_said_and_concerns_no_other(
    hub: Hub, database: Database, target: Target
) -> None:
    made = await added(hub, "one", target.url)
    await added(hub, "two", target.url)
    hub.vault.forget_secret(f"receiver-{made.receiver_id}-1")
    await emit(hub, [event(1)])
    async with serving(hub, database.connect_kwargs):
        await until_states(hub, "two", all_are("accepted", 1))
        async with asyncio.timeout(60):
            while not (held := await operate(hub, lambda c: changes.known(c, "one"))).trouble:
                await asyncio.sleep(0.05)
    assert held.trouble == "secret_missing"


async def test_there_are_so_many_receivers_and_no_more(hub: Hub, target: Target) -> None:
    await added(hub, "one", target.url)
    with pytest.raises(PermanentError, match="receiver_exists"):
        await added(hub, "one", target.url)
    async with lent(hub.pool) as connection:
        wish = changes.Wish(name="two", kind=Kind.WEBHOOK, stream=event(1).stream, url=target.url)
        with pytest.raises(PermanentError, match="too_many_receivers"):
            await changes.add(connection, hub.vault, wish, given=b"x" * 32, asker=ASKER, most=1)


async def test_what_ended_long_ago_is_dropped_and_what_waits_is_kept(
    hub: Hub, database: Database, target: Target
) -> None:
    target.behaviour = lambda asked: Told(status=422 if asked.json["body"]["number"] == 2 else 200)
    await added(hub, "one", target.url)
    await emit(hub, [event(1), event(2), event(3)])
    async with serving(hub, database.connect_kwargs):
        await until_states(hub, "one", lambda f: sorted(f.values()) == ["accepted"] * 2 + ["dead"])
    old = "UPDATE delivery SET ended_at = now() - interval '91 days' WHERE event_version = 1"
    await operate(hub, lambda c: c.execute(old + " AND partition <> 3"))
    async with serving(hub, database.connect_kwargs):
        found = await until_states(hub, "one", lambda f: (1, 1) not in f)
    assert found == {(2, 1): "dead", (3, 1): "accepted"}


async def test_a_database_that_cuts_everybody_off_stops_sending_and_nothing_is_lost(
    hub: Hub, database: Database, target: Target
) -> None:
    await added(hub, "one", target.url)
    async with serving(hub, database.connect_kwargs):
        for number in range(1, 4):
            await persistently(lambda n=number: emit(hub, [event(n)]))  # type: ignore[misc]
            await persistently(
                lambda n=number: until_states(hub, "one", all_are("accepted", n))  # type: ignore[misc]
            )
            async with connected(database.superuser_kwargs) as admin:
                await admin.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
    assert {asked.json["body"]["number"] for asked in target.asked} == {1, 2, 3}


async def persistently(work: Callable[[], Awaitable[object]]) -> None:
    """Do what a connection of the pool that was cut off may refuse; a few times, one by one."""
    async with asyncio.timeout(60):
        while True:
            try:
                await work()
            except TransientError:
                await asyncio.sleep(0.02)
            else:
                return
