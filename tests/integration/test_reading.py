"""Streams over HTTP, on a real database and a real socket: pages, following, and bad days."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.hub import scratch_hub
from tests.support.postgres import Database
from tests.support.reading import Served, fold, pending, row_body, served, write

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
