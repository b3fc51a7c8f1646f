"""Streams over HTTP, on a real database and a real socket: pages, following, and bad days."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from ops.runtime.metrics import METRICS
from ops.stream_reply import StreamLimits
from routing.following import TailLimits
from tests.support.hub import scratch_hub
from tests.support.postgres import Database
from tests.support.reading import (
    PATIENCE_SECONDS,
    TOKEN,
    Served,
    fold,
    pending,
    row_body,
    served,
    write,
)

PATH = "/v1/streams/public-health"


@pytest.fixture
async def hub(database: Database, tmp_path: Path) -> AsyncIterator[Any]:
    async with scratch_hub(database, tmp_path) as hub:
        yield hub


@pytest.fixture
async def streams(hub: Any) -> AsyncIterator[Served]:
    async with served(hub) as streams:
        yield streams


async def pages(http: httpx.AsyncClient, **params: Any) -> list[dict[str, Any]]:
    """Read pages up to the present end, as a reader does."""
    found: list[dict[str, Any]] = []
    while True:
        answer = await http.get(PATH, params=params)
        answer.raise_for_status()
        lines = [json.loads(line) for line in answer.text.splitlines()]
        if not lines:
            return found
        found += [line for line in lines if "event_id" in line]
        params["after"] = lines[-1]["cursor"]


async def test_pages_give_every_event_once(streams: Served) -> None:
    await write(streams.hub, [pending(n, 1, row_body()) for n in range(57)])
    async with streams.client() as http:
        for limit in (10, 1000):
            found = await pages(http, limit=limit)
            assert len({each["event_id"] for each in found}) == len(found) == 57


async def test_filtered_pages_fold_to_the_filtered_state(streams: Served) -> None:
    await write(
        streams.hub,
        [pending(n, 1, row_body(residence_department="75" if n % 2 else "69")) for n in range(40)],
    )
    await write(
        streams.hub, [pending(n, 2, row_body(residence_department="13")) for n in range(10)]
    )
    await write(streams.hub, [pending(n, 2, None) for n in range(10, 15)])
    async with streams.client() as http:
        everything = fold(await pages(http))
        found = await pages(http, department="75", limit=3)
        assert fold(found) == {
            k: b for k, b in everything.items() if b["residence_department"] == "75"
        }
        assert {e["reason"] for e in found if e["kind"] == "withdrawn"} == {"out_of_filter", "new"}
        assert fold(await pages(http, state="latest", department="75")) == fold(found)
        latest = await pages(http, state="latest", limit=7)
        assert fold(latest) == everything
        assert len(latest) == len(everything)
        none = await http.get(PATH, params={"department": "974"})
        (line,) = none.text.splitlines()
        assert set(json.loads(line)) == {"cursor"}


async def lines_of(answer: httpx.Response, count: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    async for line in answer.aiter_lines():
        each = json.loads(line)
        if "event_id" in each:
            found.append(each)
        if len(found) == count:
            return found
    return found


@pytest.mark.parametrize("coding", ["identity", "gzip", "zstd"])
async def test_who_follows_gets_what_was_there_and_what_comes(streams: Served, coding: str) -> None:
    await write(streams.hub, [pending(n, 1, row_body()) for n in range(20)])
    async with (
        streams.client(headers={"accept-encoding": coding}) as http,
        http.stream("GET", PATH, params={"follow": "true"}) as answer,
    ):
        assert answer.headers.get("content-encoding", "identity") == coding
        reading = asyncio.ensure_future(lines_of(answer, 120))
        for n in range(20, 120, 5):
            await write(streams.hub, [pending(n + k, 1, row_body()) for k in range(5)])
        found = await reading
    assert len({each["event_id"] for each in found}) == 120


# ------------------------------------------------------------------ what goes wrong is said


BROKEN = (
    ({"after": "nonsense"}, "bad_cursor", "start without one"),
    ({"after": "nonsense", "follow": "true"}, "bad_cursor", "start without one"),
    ({"department": "Zebulon"}, "bad_filter", "department: one or more as 01"),
    ({"from": "yesterday"}, "bad_filter", "from: one day as 2026-03-06"),
    ({"conditon": "rsv"}, "bad_parameter", "a parameter is one of after, limit"),
    ({"state": "Zebulon"}, "bad_parameter", "state: all or latest"),
)


async def test_a_broken_question_is_a_problem_with_the_next_step(streams: Served) -> None:
    async with streams.client() as http:
        for params, reason, told in BROKEN:
            answer = await http.get(PATH, params=params)
            assert answer.status_code == 400
            assert answer.headers["content-type"] == "application/problem+json"
            problem = answer.json()
            assert problem["type"] == f"urn:labdispatch:problem:{reason}"
            assert told in problem["detail"]
            assert "Zebulon" not in answer.text
    assert streams.access.open == 0


async def test_other_questions_have_their_status(streams: Served) -> None:
    async with streams.client() as http:
        assert (await http.get("/v1/streams/nothing")).status_code == 404
        assert (await http.get(PATH, params={"limit": "0"})).status_code == 400
        assert (await http.get("/v1/streams/dossier?department=75")).status_code == 400
        stranger = await http.get(PATH, headers={"authorization": "Bearer x"})
        assert stranger.status_code == 401
        assert stranger.headers["www-authenticate"] == "Bearer"
        streams.access.left = 0
        used = await http.get(PATH)
        assert (used.status_code, used.headers["retry-after"]) == (429, "60")


async def test_an_expired_cursor_is_gone_and_comes_with_the_oldest(streams: Served) -> None:
    await write(streams.hub, [pending(n, 1, row_body()) for n in range(30)])
    async with streams.client() as http:
        first = (await http.get(PATH, params={"limit": 8})).text.splitlines()
        stale = json.loads(first[-1])["cursor"]
        async with streams.hub.pool.acquire() as connection:
            await connection.execute("DELETE FROM stream_event WHERE seq <= 4")
        for params in ({"after": stale}, {"after": stale, "follow": "true"}):
            answer = await http.get(PATH, params=params)
            assert answer.status_code == 410
            assert answer.json()["type"] == "urn:labdispatch:problem:cursor_expired"
        again = await pages(http, after=answer.json()["oldest"])
        assert again == await pages(http)
        assert {each["seq"] for each in again} >= {5}
        assert len(again) == 30 - 4 * 4


# ------------------------------------------------------------------ following


async def raw_lines(answer: httpx.Response, until: str) -> list[str]:
    found: list[str] = []
    async for line in answer.aiter_lines():
        found.append(line)
        if until in line:
            return found
    return found


async def test_server_sent_events_go_on_from_the_last_event_id(streams: Served) -> None:
    await write(streams.hub, [pending(n, 1, row_body()) for n in range(6)])
    sse = {"accept": "text/event-stream"}
    async with streams.client(headers=sse) as http:
        async with http.stream("GET", PATH) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            seen = await raw_lines(answer, '"seq":2')
        assert seen[0] == "retry: 2000"
        identities = [line.removeprefix("id: ") for line in seen if line.startswith("id: ")]
        data = [json.loads(line.removeprefix("data: ")) for line in seen if "data: " in line]
        assert identities == [event["cursor"] for event in data]
        async with http.stream(
            "GET", PATH, params={"after": "nonsense"}, headers={"last-event-id": identities[-1]}
        ) as answer:
            rest: list[str] = []
            async for line in answer.aiter_lines():
                rest.append(line)
                if sum("data: " in each for each in rest) == 6 - len(data):
                    break
    more = [json.loads(line.removeprefix("data: ")) for line in rest if "data: " in line]
    ids = [event["event_id"] for event in data + more]
    assert len(set(ids)) == len(ids) == 6


async def test_while_nothing_comes_a_cursor_does(streams: Served) -> None:
    await write(streams.hub, [pending(n, 1, row_body()) for n in range(3)])
    params = {"follow": "true", "department": "69"}
    async with streams.client() as http:
        async with http.stream("GET", PATH, params=params) as answer:
            cursors = []
            async for line in answer.aiter_lines():
                cursors.append(json.loads(line))
                if len(cursors) == 3:
                    break
        assert all(set(each) == {"cursor"} for each in cursors)
        # It stands behind what the filter kept back.
        assert await pages(http, after=cursors[0]["cursor"]) == []


async def test_from_now_on_is_from_the_end(streams: Served) -> None:
    await write(streams.hub, [pending(n, 1, row_body()) for n in range(3)])
    params: dict[str, str | int] = {"follow": "true", "after": "end", "limit": 2}
    async with streams.client() as http, http.stream("GET", PATH, params=params) as answer:
        lines = answer.aiter_lines()
        assert set(json.loads(await anext(lines))) == {"cursor"}
        await write(streams.hub, [pending(n, 1, row_body()) for n in range(10, 13)])
        found = [json.loads(line) async for line in lines]  # ends with the limit
    assert len([each for each in found if "event_id" in each]) == 2


async def test_a_quota_ends_a_page_and_a_revoked_token_ends_who_follows(streams: Served) -> None:
    await write(streams.hub, [pending(n, 1, row_body()) for n in range(20)])
    streams.access.left = 7
    async with streams.client() as http:
        page = await http.get(PATH)
        assert (page.status_code, len(page.text.splitlines())) == (200, 7)
        assert (await http.get(PATH)).status_code == 429
        streams.access.left = None
        rest = await pages(http, after=json.loads(page.text.splitlines()[-1])["cursor"])
        assert len(rest) == 13
        async with http.stream("GET", PATH, params={"follow": "true"}) as answer:
            seen = 0
            async for _ in answer.aiter_lines():
                seen += 1
                streams.access.is_revoked = True
        assert seen >= 20  # it ended in order
    assert streams.access.open == 0


async def test_a_stop_ends_who_follows_in_order(hub: Any) -> None:
    async with served(hub) as streams, streams.client() as http:
        for coding in ("identity", "gzip", "zstd"):
            await write(hub, [pending(hash(coding) % 10**9, 1, row_body())])
        async with http.stream("GET", PATH, params={"follow": "true"}) as answer:
            ended = asyncio.ensure_future(lines_of(answer, 10))
            await asyncio.sleep(0)
            while not streams.access.open:
                await asyncio.sleep(0.01)
            streams.stopping.set()
            assert len(await ended) == 3


# ------------------------------------------------------------------ slow ones


async def deaf(streams: Served, query: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Open a connection that asks and then reads nothing; its own buffer is as small as can be."""
    peer = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    peer.setblocking(False)
    host, _, port = streams.url.removeprefix("http://").partition(":")
    await asyncio.get_running_loop().sock_connect(peer, (host, int(port)))
    reader, writer = await asyncio.open_connection(sock=peer, limit=2)
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    writer.write(
        f"GET {PATH}?{query} HTTP/1.1\r\nhost: hub\r\n"
        f"authorization: Bearer {TOKEN}\r\n\r\n".encode()
    )
    return reader, writer


async def test_who_does_not_read_slows_nobody_and_is_cut(hub: Any) -> None:
    limits = StreamLimits(heartbeat_seconds=0.2, unread_seconds=1.0)
    small = TailLimits(poll_seconds=0.02, kept_bytes=64 * 1024)
    cut = METRICS.limit_hits.labels("stream_unread")._value
    before = cut.get()
    async with served(hub, limits=limits, tail=small) as streams:
        sleepers = [await deaf(streams, query) for query in ("follow=true", "limit=1000000") * 3]
        async with (
            streams.client() as http,
            http.stream("GET", PATH, params={"follow": "true"}) as answer,
        ):
            reading = asyncio.ensure_future(lines_of(answer, 4_000))
            for start in range(0, 4_000, 250):
                await write(
                    hub, [pending(start + n, 1, row_body(variant="x" * 50)) for n in range(250)]
                )
            found = await reading
            assert len({each["event_id"] for each in found}) == 4_000
            # A page asked for now, that nobody takes, is cut as well.
            sleepers.append(await deaf(streams, "limit=1000000"))
            async with asyncio.timeout(PATIENCE_SECONDS):
                while streams.access.open > 1:
                    await asyncio.sleep(0.05)
        assert cut.get() >= before + 3
        # A cursor of who was cut stays good: nothing was lost to anybody.
        async with streams.client() as http:
            assert len(await pages(http, limit=1000)) == 4_000
    for _, writer in sleepers:
        writer.close()


async def test_a_reader_that_leaves_is_forgotten(streams: Served) -> None:
    await write(streams.hub, [pending(n, 1, row_body()) for n in range(5)])
    async with streams.client() as http:
        for _ in range(3):
            async with http.stream("GET", PATH, params={"follow": "true"}) as answer:
                await lines_of(answer, 5)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while streams.access.open:
                await asyncio.sleep(0.01)
    assert not any(tail.is_reading for tail in streams.door.tails.values())


async def test_many_follow_at_once_and_each_gets_everything(streams: Served) -> None:
    asked = [{}, {"department": "75"}, {"state": "latest"}]

    async def one(number: int) -> int:
        params = {"follow": "true", **asked[number % len(asked)]}
        headers = {"accept-encoding": ("identity", "gzip", "zstd")[number % 3]}
        async with (
            streams.client(headers=headers) as http,
            http.stream("GET", PATH, params=params) as answer,
        ):
            return len(await lines_of(answer, 30))

    await write(streams.hub, [pending(n, 1, row_body()) for n in range(10)])
    following = [asyncio.ensure_future(one(number)) for number in range(15)]
    for start in range(10, 30, 5):
        await write(streams.hub, [pending(start + n, 1, row_body()) for n in range(5)])
    assert await asyncio.gather(*following) == [30] * 15


async def test_a_page_for_what_is_rare_ends_early_with_a_cursor_to_go_on_from(hub: Any) -> None:
    """Who asks for ten years of a rare thing is answered, in pages of bounded work."""
    await write(
        hub,
        [
            pending(n, 1, row_body(residence_department="75" if n % 50 == 0 else "69"))
            for n in range(2_500)
        ],
    )
    async with (
        served(hub, limits=StreamLimits(scan_events=600)) as streams,
        streams.client() as http,
    ):
        asked: dict[str, Any] = {"department": "75", "limit": 1_000_000}
        ended_early = METRICS.limit_hits.labels("stream_scan")._value
        before = ended_early.get()
        first = await http.get(PATH, params=asked)
        assert 0 < len(first.text.splitlines()) < 50
        assert ended_early.get() == before + 1
        found = await pages(http, **asked)
        assert len({each["event_id"] for each in found}) == len(found) == 50
        (only,) = (await http.get(PATH, params={"department": "13"})).text.splitlines()
        assert set(json.loads(only)) == {"cursor"}
        assert await pages(http, department="13") == []
