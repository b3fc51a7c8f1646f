"""Streams over HTTP: events a second to one reader, and how late 200 followers get what comes.

`python -m benchmarks.streams`. The whole product runs (embedded, `fsync` on, nobody sends). Its
outbox is filled by the outbox's own writer with events of simulated laboratories, sealed as
dispatch seals them. The reader of pages is a process of its own on a bare socket, which counts
lines. Beside the rate on the wall (`figure`) stands the one by the api process's own processor time
(`yardstick`): what others do on the machine is in the first. Followers are connections of one
process, beside some that ask for everything and never read; an event is late by what lies between
the begin of its transaction and when its line is in a follower's hands, on one clock. Every line
must come, else nothing is written down.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from multiprocessing import Process, SimpleQueue
from typing import Final
from urllib.parse import urlencode

import click
import msgspec
import uvloop

from benchmarks.product import Product, running
from benchmarks.relay_events import events_of
from benchmarks.results import BenchmarkFailed, Row, append, load_average, say_floor, show
from ops.bootstrap import Hub
from ops.runtime.ids import new_message_id
from ops.runtime.vault import SealClass
from ops.tokens import load_or_make_tokens
from routing import outbox
from routing.emitted import PendingEvent, event_id_of
from schemas.topics import Stream

FLOOR: Final = 50_000.0
CEILING_SECONDS: Final = 0.25
STREAM: Final = Stream.PUBLIC_HEALTH
_DISTINCT: Final = 3_000
_WRITTEN: Final = 1_000
_PATIENCE_SECONDS: Final = 120.0


class Read(msgspec.Struct, frozen=True, kw_only=True):
    """What a reader of pages has seen."""

    events: int
    seconds: float
    wire_bytes: int


@click.command()
@click.option("--events", type=int, default=300_000, show_default=True, help="In the outbox.")
@click.option("--followers", type=int, default=200, show_default=True)
@click.option("--rate", type=int, default=200, show_default=True, help="Events a second, live.")
@click.option("--seconds", type=int, default=30, show_default=True, help="Of following.")
@click.option("--deaf", type=int, default=20, show_default=True, help="Who ask and never read.")
@click.option("--note/--no-note", default=True, help="Append to results/reading.csv.")
def main(  # noqa: PLR0917 - click gives each option by itself
    events: int,
    followers: int,
    rate: int,
    seconds: int,
    deaf: int,
    note: bool,  # noqa: FBT001
) -> None:
    """Measure, print, and append to results/reading.csv."""
    with running("embedded") as product:
        token = load_or_make_tokens(product.settings.data_dir)[STREAM.value]
        rows = uvloop.run(_measure(product, token, events, followers, rate, seconds, deaf))
    if note:
        append("reading", rows, ["uvicorn", "h11", "litestar", "asyncpg", "msgspec", "zstandard"])
    show(
        "Streams over HTTP",
        ("what", "figure", "unit", "beside"),
        [(_what(row), f"{row.figure:,.4g}", row.unit, row.yardstick or "") for row in rows],
    )
    say_floor("one reader", rows[0].figure, FLOOR, "events/s")
    late = next(row for row in rows if row.unit == "s late, p99")
    say_floor("followers", late.figure, CEILING_SECONDS, "s at p99", most=True)


def _what(row: Row) -> str:
    return " ".join(f"{name}={value}" for name, value in row.parameters.items())


async def _measure(  # noqa: PLR0917 - what is measured
    product: Product, token: str, events: int, followers: int, rate: int, seconds: int, deaf: int
) -> list[Row]:
    distinct = events_of(STREAM, _DISTINCT, product.settings.partition_count)
    rows = []
    async with product.opened() as hub:
        began = time.perf_counter()
        await _fill(hub, distinct, events)
        print(f"filled {events:,} events in {time.perf_counter() - began:.0f} s")
        for coding in ("identity", "gzip", "zstd"):
            rows += await asyncio.to_thread(_pages, product, token, events, coding)
        rows += await asyncio.to_thread(
            _pages, product, token, events, "identity", {"state": "latest"}
        )
        rows += await asyncio.to_thread(
            _pages, product, token, events, "identity", {"department": "75", "result": "positive"}
        )
        rows += await _follow(product, hub, token, distinct, followers, rate, seconds, deaf)
    return rows


async def _fill(hub: Hub, distinct: Sequence[PendingEvent], count: int) -> None:
    for start in range(0, count, _WRITTEN):
        await _write(hub, distinct, range(start, min(count, start + _WRITTEN)))


async def _write(hub: Hub, distinct: Sequence[PendingEvent], numbers: Sequence[int]) -> None:
    def seal(body: bytes, associated: bytes) -> bytes:
        return hub.vault.seal(SealClass.STREAM, body, associated)

    some = [_again(distinct[number % len(distinct)]) for number in numbers]
    async with hub.pool.acquire() as connection, connection.transaction():
        await outbox.write(connection, some, seal, datetime.now(UTC))


def _again(event: PendingEvent) -> PendingEvent:
    report_id = new_message_id()
    return msgspec.structs.replace(
        event,
        report_id=report_id,
        event_id=event_id_of(event.stream, report_id, 1, event.part),
        message_id=new_message_id(),
    )


# ------------------------------------------------------------------------------- pages


def _pages(
    product: Product,
    token: str,
    events: int,
    coding: str,
    asked: dict[str, str] | None = None,
) -> list[Row]:
    parameters = {"limit": str(events), **(asked or {})}
    before = _cpu_seconds(product.pids["api"])
    held: SimpleQueue[bytes] = SimpleQueue()
    reader = Process(
        target=_read, args=(product.settings.http_port, token, parameters, coding, held)
    )
    load = load_average()
    reader.start()
    read = msgspec.msgpack.decode(held.get(), type=Read)
    reader.join()
    cpu = _cpu_seconds(product.pids["api"]) - before
    if coding == "identity" and asked is None and read.events != events:
        raise BenchmarkFailed(f"{read.events} of {events} events were read")
    looked_at = events
    print(coding, asked, f"{events / read.seconds:,.0f} events/s, {cpu / events * 1e6:.1f} us")
    return [
        Row(
            engine="embedded",
            parameters={
                "kind": "pages",
                "coding": coding,
                **(asked or {}),
                "events": events,
                "lines": read.events,
                "cpu_us": round(cpu / looked_at * 1e6, 2),
                "wire_bytes": round(read.wire_bytes / looked_at),
                "load": load,
            },
            figure=looked_at / read.seconds,
            unit="events/s",
            yardstick=looked_at / cpu,
            ratio=None,
        )
    ]


def _read(
    port: int, token: str, parameters: dict[str, str], coding: str, held: SimpleQueue[bytes]
) -> None:
    """Read one answer to its end; count its lines where they are in clear text."""
    request = (
        f"GET /v1/streams/{STREAM.value}?{urlencode(parameters)} HTTP/1.1\r\n"
        f"Host: hub\r\nAuthorization: Bearer {token}\r\nAccept-Encoding: {coding}\r\n"
        "Connection: close\r\n\r\n"
    )
    lines = size = 0
    last = b""
    with socket.create_connection(("127.0.0.1", port)) as peer:
        peer.settimeout(_PATIENCE_SECONDS)
        began = time.perf_counter()
        peer.sendall(request.encode())
        while some := peer.recv(1 << 20):
            size += len(some)
            lines += (last + some).count(b'"}\n')
            last = some[-2:]
    held.put(
        msgspec.msgpack.encode(
            Read(events=lines, seconds=time.perf_counter() - began, wire_bytes=size)
        )
    )


def _cpu_seconds(pid: int) -> float:
    fields = open(f"/proc/{pid}/stat", "rb").read().rpartition(b")")[2].split()  # noqa: PTH123, SIM115
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# ------------------------------------------------------------------------------- followers


async def _follow(  # noqa: PLR0917 - what is measured
    product: Product,
    hub: Hub,
    token: str,
    distinct: Sequence[PendingEvent],
    followers: int,
    rate: int,
    seconds: int,
    deaf: int,
) -> list[Row]:
    """Let many follow while events are written at a rate, and see how late each has each."""
    command = [
        sys.executable, "-m", "benchmarks.stream_followers",
        str(product.settings.http_port), token, str(followers), str(rate * seconds),
    ]  # fmt: skip
    load = load_average()
    following = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, limit=1 << 26
    )
    assert following.stdout is not None
    if await following.stdout.readline() != b"following\n":
        raise BenchmarkFailed("the followers did not get in")
    # Others ask for everything from the start, and read nothing.
    deaf_ones = [_deaf(product.settings.http_port, token) for _ in range(deaf)]
    before = _cpu_seconds(product.pids["api"])
    a_time = max(1, rate // 20)
    next_at = time.perf_counter()
    began = next_at
    for start in range(0, rate * seconds, a_time):
        await _write(hub, distinct, range(start, min(rate * seconds, start + a_time)))
        next_at += a_time / rate
        await asyncio.sleep(max(0.0, next_at - time.perf_counter()))
    took = time.perf_counter() - began
    found = json.loads(await asyncio.wait_for(following.stdout.read(), _PATIENCE_SECONDS))
    cpu = _cpu_seconds(product.pids["api"]) - before
    await following.wait()
    for each in deaf_ones:
        each.close()
    if found["lines"] != followers * rate * seconds:
        raise BenchmarkFailed(f"{found['lines']} lines of {followers * rate * seconds}")
    about = {
        "kind": "follow",
        "followers": followers,
        "deaf": deaf,
        "rate": rate,
        "held_rate": round(rate * seconds / took, 1),
        "seconds": seconds,
        "cpu_api": round(cpu / took, 2),
        "load": load,
    }
    return [
        Row(engine="embedded", parameters=about, figure=found[name], unit=f"s late, {name}")
        for name in ("p50", "p99", "max")
    ]


def _deaf(port: int, token: str) -> socket.socket:
    """Ask for everything, and never read."""
    peer = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    peer.connect(("127.0.0.1", port))
    peer.sendall(
        f"GET /v1/streams/{STREAM.value}?follow=true HTTP/1.1\r\nHost: hub\r\n"
        f"Authorization: Bearer {token}\r\n\r\n".encode()
    )
    return peer


if __name__ == "__main__":
    main()
