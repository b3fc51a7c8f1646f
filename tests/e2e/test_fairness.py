"""A laboratory that loops, pipelines, or has used up its day: answered, counted, told."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from ops.client import MllpClient
from ops.simulate.sample import sample_message
from tests.support.product import Embedded

SECONDS = 90.0


@pytest.fixture(scope="module")
def product() -> Iterator[Embedded]:
    instance = Embedded(
        {"LABDISPATCH_LOOP_REPEATS": "3", "LABDISPATCH_LIMIT_PAUSE_SECONDS": "0.05"}
    )
    try:
        yield instance.start()
    finally:
        instance.remove()


def message(number: int, facility: str) -> bytes:
    raw = sample_message().replace(b"|990010001|HUB", f"|{facility}|HUB".encode())
    return raw.replace(b"L0001-20260306-0001", b"FAIR-%d" % number)


def code_of(answer: bytes) -> bytes:
    return answer[answer.index(b"\rMSA|") + 5 :][:2]


async def until_account(product: Embedded, **wanted: int) -> dict[str, Any]:
    limit = time.monotonic() + SECONDS
    while True:
        account: dict[str, Any] = product.account()
        if all(account[name] == n for name, n in wanted.items()) and not account["in_flight"]:
            return account
        assert time.monotonic() < limit, account
        await asyncio.sleep(0.2)


async def test_a_loop_is_answered_alike_counted_and_the_account_closes(product: Embedded) -> None:
    before = await until_account(product)  # tests come in any order: nothing of theirs is under way
    looping = message(1, "LABLOOP")
    async with MllpClient("127.0.0.1", product.mllp_port) as client:
        answers = [(await client.send(looping)).raw for _ in range(10)]
    assert {code_of(answer) for answer in answers} == {b"AA"}
    account = await until_account(
        product, received=before["received"] + 3, answered_again=before["answered_again"] + 7
    )
    assert account["closes"]
    assert account["dispatched"] == before["dispatched"] + 1
    assert account["duplicate"] == before["duplicate"] + 2
    assert "duplicate" not in account["at_the_door"]
    assert "answered again at the door 7" in product.look("account").stdout


async def test_five_hundred_on_one_connection_are_answered_in_order(product: Embedded) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", product.mllp_port)
    frames = (b"\x0b%b\x1c\r" % message(number, "LABPIPE") for number in range(1_000, 1_500))
    writer.write(b"".join(frames))
    async with asyncio.timeout(SECONDS):
        for number in range(1_000, 1_500):
            answer = await reader.readuntil(b"\x1c\r")
            assert code_of(answer) == b"AA"
            assert b"|FAIR-%d\r" % number in answer
    writer.close()


def set_quota(product: Embedded, lab: str, *options: str) -> None:
    assert product.look("labs", "add", lab).returncode == 0
    done = product.look("labs", "quota", lab, *options)
    assert done.returncode == 0, done.stderr


def posted(product: Embedded, raw: bytes) -> tuple[int, str, bytes]:
    asked = urllib.request.Request(
        f"http://127.0.0.1:{product.http_port}/v1/messages",
        data=raw,
        headers={"Content-Type": "application/hl7-v2+er7"},
    )
    try:
        with urllib.request.urlopen(asked, timeout=60) as answer:
            return answer.status, "", answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["Retry-After"], error.read()


async def test_a_quota_is_shared_by_all_doors_and_told_at_each(product: Embedded) -> None:
    set_quota(product, "LABDAY", "--daily", "20")
    await asyncio.sleep(0)  # the register reaches the doors while the first messages are sent
    limit, number, codes = time.monotonic() + SECONDS, 2_000, Counter[bytes]()
    while not codes[b"AR"]:
        # A new connection each: now one process has it, now the other.
        async with MllpClient("127.0.0.1", product.mllp_port) as client:
            codes[code_of((await client.send(message(number, "LABDAY"))).raw)] += 1
        number += 1
        assert time.monotonic() < limit, codes
    while True:
        status, retry_after, body = posted(product, message(number, "LABDAY"))
        number += 1
        if status == 429:
            break
        assert time.monotonic() < limit
    assert b"quota_reached" in body
    assert 1 <= int(retry_after) <= 86_400
    async with MllpClient("127.0.0.1", product.mllp_port) as client:
        assert (await client.send(message(1, "LABOTHER"))).code == "AA"
    url = f"http://127.0.0.1:{product.http_port}/metrics"
    while True:
        with urllib.request.urlopen(url, timeout=60) as answer:
            text = answer.read().decode()
        if "labdispatch_laboratories_over_quota 1.0" in text:
            break
        assert time.monotonic() < limit
        await asyncio.sleep(0.2)
    assert 'limit_hits_total{limit="laboratory_quota"}' in text
    assert "LABDAY" not in text
    account = json.loads(product.look("account", "--json").stdout)
    assert account["at_the_door"]["AR"]["quota_reached"] >= 1


async def test_connections_are_shared_by_the_doors_of_one_port(product: Embedded) -> None:
    """Two processes on one port: many connections, three places, whoever has which."""
    set_quota(product, "LABPLACES", "--connections", "3")
    limit, number = time.monotonic() + SECONDS, 5_000
    while True:
        clients = [MllpClient("127.0.0.1", product.mllp_port) for _ in range(24)]
        try:
            codes = Counter[bytes]()
            for client in clients:
                await client.__aenter__()
                codes[code_of((await client.send(message(number, "LABPLACES"))).raw)] += 1
                number += 1
        finally:
            for client in clients:
                await client.__aexit__(None, None, None)
        if codes == Counter({b"AR": 21, b"AA": 3}):
            break
        # The limit had not reached both doors yet, or places of the last turn were not free yet.
        assert time.monotonic() < limit, codes
        await asyncio.sleep(0.5)
