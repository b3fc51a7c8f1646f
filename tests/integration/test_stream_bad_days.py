"""Readers on bad days, over real sockets and a real database: bounded, answered, counted."""

from __future__ import annotations

import asyncio
import json
import resource
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from ops.bootstrap import Hub
from ops.runtime.metrics import METRICS
from ops.runtime.postgres import lent
from ops.stream_reply import StreamLimits
from ops.stream_tokens import changes
from ops.stream_tokens.access import HubAccess
from tests.support.hub import scratch_hub
from tests.support.postgres import Database
from tests.support.readers import (
    BUILT_IN,
    OPERATOR_ASKS,
    SetClock,
    audited,
    bearer,
    made,
    process_of,
    used,
)
from tests.support.reading import PATIENCE_SECONDS, Served, pending, row_body, served, write

ROWS = "/v1/streams/public-health"
CASES = "/v1/streams/contact-tracing"
CANARY = "Kanarienvogelin"


class Place(msgspec.Struct, kw_only=True):
    """Streams that are served to real tokens."""

    hub: Hub
    clock: SetClock
    access: HubAccess
    streams: Served

    def client(self, header: str, **given: Any) -> httpx.AsyncClient:
        """A reader."""
        return self.streams.client(headers={"authorization": header}, **given)

    async def revoke(self, name: str) -> None:
        """Revoke a token, and let the refresh come."""
        async with lent(self.hub.pool) as connection:
            await changes.revoke(connection, name, now=self.clock.now(), asker=OPERATOR_ASKS)
        await self.access.step()


@pytest.fixture
async def hub(database: Database, tmp_path: Path) -> AsyncIterator[Hub]:
    async with scratch_hub(database, tmp_path) as opened:
        yield opened


@pytest.fixture
async def place(hub: Hub) -> AsyncIterator[Place]:
    clock = SetClock()
    access = process_of(hub, clock)
    async with served(hub, real=access) as streams:
        yield Place(hub=hub, clock=clock, access=access, streams=streams)


async def events_of(answer: httpx.Response, count: int = 10**9) -> list[dict[str, Any]]:
    """Return the next events of an answer, up to its end at most."""
    found: list[dict[str, Any]] = []
    async with asyncio.timeout(PATIENCE_SECONDS):
        async for line in answer.aiter_lines():
            if "event_id" in (each := json.loads(line)):
                found.append(each)
            if len(found) == count:
                break
    return found


def problem(answer: httpx.Response, status: int, reason: str) -> dict[str, Any]:
    """Return a refusal, which is one as it should be."""
    assert (answer.status_code, answer.headers["content-type"]) == (
        status, "application/problem+json"
    ), answer.text  # fmt: skip
    told: dict[str, Any] = answer.json()
    assert told["title"] == reason and told["status"] == status
    assert told["detail"], "it says the next step"
    assert CANARY not in answer.text
    return told


def count_of(metric: Any, *labels: str) -> float:
    return float(metric.labels(*labels)._value.get())


async def until(ready: Any) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not ready():
            await asyncio.sleep(0.02)


@pytest.fixture
def many_files() -> Iterator[None]:
    """Both ends of a thousand connections are files of this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4_096)), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_a_thousand_connections_from_one_token(many_files: None, place: Place) -> None:
    greedy = await made(place.hub, place.clock, "greedy", streams=["contact-tracing"])
    modest = await made(place.hub, place.clock, "modest", streams=["public-health"])
    await write(place.hub, [pending(n, 1, row_body()) for n in range(30)])
    host, port = place.streams.url.removeprefix("http://").split(":")
    request = (
        f"GET {CASES}?follow=true HTTP/1.1\r\nHost: hub\r\nAuthorization: {greedy}\r\n"
        "Accept-Encoding: identity\r\n\r\n"
    ).encode()
    before = count_of(METRICS.stream_admissions, "contact-tracing", "connections_used")
    heads: Counter[int] = Counter()
    bodies: set[str] = set()
    kept: list[asyncio.StreamWriter] = []

    async def connect() -> None:
        reader, writer = await asyncio.open_connection(host, int(port))
        kept.append(writer)
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        status = int(head.split()[1])
        heads[status] += 1
        if status != 200:
            assert "retry-after: 5" in head.lower()
            length = int(head.lower().split("content-length: ")[1].split()[0])
            bodies.add(json.loads(await reader.readexactly(length))["title"])

    try:
        async with asyncio.timeout(2 * PATIENCE_SECONDS), asyncio.TaskGroup() as group:
            for _ in range(1_000):
                group.create_task(connect())
        assert heads == {200: 8, 429: 992}
        assert bodies == {"connections_used"}
        async with place.client(modest) as http:
            answer = await http.get(ROWS)
            assert len(answer.text.splitlines()) == 30, "the others read as ever"
    finally:
        for writer in kept:
            writer.close()
    after = count_of(METRICS.stream_admissions, "contact-tracing", "connections_used")
    assert after - before == 992
    assert len(await audited(place.hub, "stream_read")) == 8
    await until(lambda: not place.access._places.tokens)
    async with place.client(greedy) as http:
        assert (await http.get(CASES)).status_code == 200
    await place.access.flush()
    assert len(await audited(place.hub, "stream_read_ended")) == 9
    assert (await used(place.hub))["2026-03-06"][1:] == (10, 992)


async def test_revoked_while_following(place: Place) -> None:
    header = await made(place.hub, place.clock, "leaver", streams=["public-health"])
    stays = await made(place.hub, place.clock, "stayer", streams=["public-health"])
    await write(place.hub, [pending(n, 1, row_body()) for n in range(5)])
    async with AsyncExitStack() as stack:
        answers = []
        for each in (header, stays):
            http = await stack.enter_async_context(place.client(each))
            answers.append(
                await stack.enter_async_context(http.stream("GET", ROWS, params={"follow": "true"}))
            )
        leaver, stayer = (asyncio.ensure_future(events_of(answer, 10)) for answer in answers)
        while (await used(place.hub)).get("2026-03-06", (0,))[0] < 10:
            await place.access.flush()  # both have what was there
        await place.revoke("leaver")
        await write(place.hub, [pending(n, 1, row_body()) for n in range(5, 10)])
        assert len(await leaver) == 5, "the answer ends, in order, before what came later"
        assert len(await stayer) == 10
    async with place.client(header) as http:
        problem(await http.get(ROWS), 403, "token_revoked")


async def test_who_is_revoked_while_nothing_comes_ends_too(hub: Hub) -> None:
    """No event and no heartbeat is due: the look at the token alone ends it."""
    clock = SetClock()
    access = process_of(hub, clock)
    limits = StreamLimits(heartbeat_seconds=3_600, check_seconds=0.05)
    async with served(hub, real=access, limits=limits) as streams:
        place = Place(hub=hub, clock=clock, access=access, streams=streams)
        header = await made(hub, clock, "leaver")
        async with (
            place.client(header) as http,
            http.stream("GET", ROWS, params={"follow": "true"}) as answer,
        ):
            reading = asyncio.ensure_future(events_of(answer))
            await place.revoke("leaver")
            assert await reading == []
        assert not access._places.tokens


async def test_a_quota_over_midnight_loses_and_repeats_nothing(place: Place) -> None:
    place.clock.at = place.clock.at.replace(hour=23, minute=58)
    header = await made(place.hub, place.clock, daily_events=7)
    await write(place.hub, [pending(n, 1, row_body()) for n in range(20)])
    found: list[dict[str, Any]] = []
    async with place.client(header) as http:
        for day in range(3):
            after = found[-1]["cursor"] if found else ""
            follow = {"follow": "true"} if day == 1 else {}
            async with http.stream("GET", ROWS, params={"after": after, **follow}) as answer:
                found += await events_of(answer, 20 - len(found))
            assert len(found) == min(20, 7 * (day + 1))
            if day == 2:
                break
            refused = await http.get(ROWS, params={"after": found[-1]["cursor"]})
            problem(refused, 429, "quota_used")
            seconds = int(refused.headers["retry-after"])
            assert 0 < seconds <= 86_400
            place.clock.pass_by(seconds=seconds)
            await place.access.step()
    assert len({each["event_id"] for each in found}) == 20


async def test_who_follows_over_midnight_goes_on(place: Place) -> None:
    place.clock.at = place.clock.at.replace(hour=23, minute=59)
    header = await made(place.hub, place.clock, daily_events=10)
    await write(place.hub, [pending(n, 1, row_body()) for n in range(8)])
    async with (
        place.client(header) as http,
        http.stream("GET", ROWS, params={"follow": "true"}) as answer,
    ):
        lines = answer.aiter_lines()
        reading = asyncio.ensure_future(next_events(lines, 8))
        assert len(await reading) == 8
        place.clock.pass_by(minutes=2)
        await write(place.hub, [pending(n, 1, row_body()) for n in range(8, 16)])
        assert len(await next_events(lines, 8)) == 8
    await place.access.flush()


async def next_events(lines: AsyncIterator[str], count: int) -> list[dict[str, Any]]:
    """Return the next events of lines that go on."""
    found: list[dict[str, Any]] = []
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(found) < count:
            if "event_id" in (each := json.loads(await anext(lines))):
                found.append(each)
    return found


async def test_old_cursors_are_answered_with_the_oldest(place: Place) -> None:
    header = await made(place.hub, place.clock)
    await write(place.hub, [pending(n, 1, row_body()) for n in range(20)])
    async with place.client(header) as http:
        first = [json.loads(line) for line in (await http.get(f"{ROWS}?limit=4")).text.splitlines()]
        async with lent(place.hub.pool) as connection:
            await connection.execute("DELETE FROM stream_event WHERE seq <= 3")
        old = {"after": first[-1]["cursor"]}
        told = problem(await http.get(ROWS, params=old), 410, "cursor_expired")
        gone = await http.get(ROWS, params={**old, "follow": "true"})
        problem(gone, 410, "cursor_expired")
        kept = await http.get(ROWS, params={"after": told["oldest"]})
        assert kept.status_code == 200 and kept.text.splitlines()
        for cursor in (CANARY, "AAAA", first[0]["cursor"][:-4], "\x00"):
            problem(await http.get(ROWS, params={"after": cursor}), 400, "bad_cursor")
    assert not place.access._places.tokens, "whoever was refused has no place"


BROKEN = (
    ("condition=" + CANARY, "bad_filter"),
    ("department=7%205", "bad_filter"),
    ("result=Vu%20faible", "bad_filter"),
    ("from=2026-02-30", "bad_filter"),
    ("from=2026-03-02&to=2026-03-01", "bad_filter"),
    ("from=2026-03-02&from=2026-03-03", "bad_parameter"),
    ("department=" + ",".join(["75"] * 600), "bad_filter"),
    ("conditon=" + CANARY, "bad_parameter"),
    ("state=" + CANARY, "bad_parameter"),
    ("limit=100000000000", "HTTP 400"),
    ("limit=" + CANARY, "HTTP 400"),
)


async def test_a_broken_filter_keeps_nothing_back_by_mistake(place: Place) -> None:
    header = await made(place.hub, place.clock, streams=["contact-tracing"])
    async with place.client(header) as http:
        for asked, reason in BROKEN:
            problem(await http.get(f"{CASES}?{asked}"), 400, reason)
            problem(await http.get(f"{CASES}?{asked}&follow=true"), 400, reason)
    assert await audited(place.hub, "stream_read") == []
    assert not place.access._places.tokens


async def test_ten_years_are_given_in_pages_and_within_the_tokens_own_filter(place: Place) -> None:
    header = await made(place.hub, place.clock, filter=(("department", "75"),))
    await write(
        place.hub,
        [
            pending(
                n, 1,
                row_body(
                    residence_department="75" if n % 3 == 0 else "69",
                    sampled_on=f"{2017 + n % 10}-03-06",
                ),
            )
            for n in range(900)
        ],
    )  # fmt: skip
    years = {"from": "2016-01-01", "to": "2025-12-31", "limit": "40"}
    found: list[dict[str, Any]] = []
    async with place.client(header) as http:
        while True:
            lines = [
                json.loads(each) for each in (await http.get(ROWS, params=years)).text.splitlines()
            ]
            if not lines:
                break
            assert len(lines) <= 40
            found += [each for each in lines if "event_id" in each]
            years["after"] = lines[-1]["cursor"]
        assert len(found) == 270
        assert {each["body"]["residence_department"] for each in found} == {"75"}
        beyond = await http.get(ROWS, params={"department": "69"})
        assert "event_id" not in beyond.text, "what it asks for can only narrow it"
        beyond = await http.get(ROWS, params={"department": "69,75", "limit": "1000"})
        assert '"69"' not in beyond.text and beyond.text.count("event_id") == 300


async def test_a_read_of_names_over_http_is_in_the_chain(place: Place) -> None:
    header = await made(
        place.hub, place.clock, streams=["contact-tracing"], filter=(("department", "75"),)
    )
    async with place.client(header) as http:
        assert (await http.get(CASES, params={"condition": "sars-cov-2"})).status_code == 200
        wrong = await http.get("/v1/streams/dossier")
        problem(wrong, 403, "token_not_for_stream")
        problem(await http.get(CASES, headers={"authorization": ""}), 401, "no_token")
        unknown = await http.get(CASES, headers={"authorization": bearer(CANARY)})
        problem(unknown, 401, "unknown_token")
        assert unknown.headers["www-authenticate"] == "Bearer"
    async with place.client(bearer(BUILT_IN["dossier"])) as http:
        assert (await http.get("/v1/streams/dossier")).status_code == 200
    await place.access.flush()
    assert await audited(place.hub, "stream_read") == [
        (
            "token spf",
            "stream contact-tracing",
            "condition sars-cov-2; department 75; from 127.0.0.1",
        ),
        ("token built-in-dossier", "stream dossier", "everything; from 127.0.0.1"),
    ]
    ended = await audited(place.hub, "stream_read_ended")
    assert [each[2].partition(" of ")[0] for each in ended] == ["0 events", "0 events"]


async def test_reads_of_names_in_a_hurry_are_slowed_down(place: Place) -> None:
    header = await made(place.hub, place.clock, streams=["contact-tracing"])
    async with place.client(header) as http:
        statuses = Counter([(await http.get(CASES)).status_code for _ in range(103)])
        assert statuses == {200: 100, 429: 3}
        problem(await http.get(CASES), 429, "reads_too_fast")
    assert len(await audited(place.hub, "stream_read")) == 100
