"""Honest laboratories over mutual TLS, a process of its own: each sends a message every so often.

`python -m benchmarks.tls_peers` takes an `Order` as JSON on standard input and prints one `Report`
for each line that it is then given: `send SECONDS` or `reconnect`.
"""

from __future__ import annotations

import asyncio
import gc
import random
import ssl
import sys
import time
from typing import Final

import msgspec
import uvloop

from benchmarks.results import quantile
from ops.simulate.sample import sample_message

_END: Final = b"\x1c\r"


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """Who connects where."""

    port: int
    ca: str
    labs: dict[str, tuple[str, str]]
    """Registry id -> its certificate and key."""
    connections: int
    every_seconds: float


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one command."""

    answered: int
    lost: int
    """Connections that ended, and answers that were none of AA."""
    seconds: float
    """From the command to the last answer."""
    p50_seconds: float
    p99_seconds: float
    most_seconds: float


class _Peer:
    def __init__(self, order: Order, lab: str, number: int, context: ssl.SSLContext) -> None:
        self._order, self._lab, self._number, self._context = order, lab, number, context
        head, _, rest = sample_message().partition(b"\r")
        self._fields, self._rest = head.split(b"|"), rest
        self._sent = 0
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def connect(self) -> None:
        self._reader, self._writer = await asyncio.open_connection(
            "127.0.0.1",
            self._order.port,
            ssl=self._context,
            server_hostname="localhost",
            ssl_handshake_timeout=120,
        )

    def abort(self) -> None:
        if self._writer is not None:
            self._writer.transport.abort()

    async def send(self) -> float:
        """Send one message of its own; return the seconds until its AA."""
        assert self._reader is not None
        assert self._writer is not None
        self._sent += 1
        fields = list(self._fields)
        fields[3] = self._lab.encode()
        fields[9] = b"%d-%d" % (self._number, self._sent)
        began = time.perf_counter()
        self._writer.write(b"\x0b" + b"|".join(fields) + b"\r" + self._rest + _END)
        answer = await self._reader.readuntil(_END)
        if b"\rMSA|AA|" not in answer:
            raise ConnectionError
        return time.perf_counter() - began


def _contexts(order: Order) -> dict[str, ssl.SSLContext]:
    made = {}
    for lab, (cert, key) in order.labs.items():
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(order.ca)
        context.load_cert_chain(cert, key)
        made[lab] = context
    return made


async def _all(peers: list[_Peer], seconds: float, every: float) -> Report:
    """Let each peer send at its own moment of each period."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    took: list[float] = []
    lost = 0

    async def one(peer: _Peer, at: float) -> None:
        nonlocal lost
        while at < seconds:
            await asyncio.sleep(max(0.0, began + at - loop.time()))
            try:
                took.append(await peer.send())
            except (OSError, asyncio.IncompleteReadError):
                lost += 1
                return
            at += every

    spread = random.Random(1)
    await asyncio.gather(*(one(peer, spread.uniform(0, every)) for peer in peers))
    return _report(took, lost, loop.time() - began)


async def _storm(peers: list[_Peer]) -> Report:
    """Cut every connection, connect all at once, and wait for an AA on each."""
    loop = asyncio.get_running_loop()
    for peer in peers:
        peer.abort()
    await asyncio.sleep(1)
    began = loop.time()
    took: list[float] = []
    lost = 0

    async def one(peer: _Peer) -> None:
        nonlocal lost
        try:
            await peer.connect()
            await peer.send()
            took.append(loop.time() - began)
        except (OSError, asyncio.IncompleteReadError):
            lost += 1

    await asyncio.gather(*(one(peer) for peer in peers))
    return _report(took, lost, loop.time() - began)


def _report(took: list[float], lost: int, seconds: float) -> Report:
    measured = took or [0.0]
    return Report(
        answered=len(took),
        lost=lost,
        seconds=seconds,
        p50_seconds=quantile(measured, 0.5),
        p99_seconds=quantile(measured, 0.99),
        most_seconds=max(measured),
    )


async def _main() -> None:
    order = msgspec.json.decode(sys.stdin.readline(), type=Order)
    contexts = _contexts(order)
    names = list(order.labs)
    peers = [
        _Peer(order, names[number % len(names)], number, contexts[names[number % len(names)]])
        for number in range(order.connections)
    ]
    gate = asyncio.Semaphore(50)

    async def connect(peer: _Peer) -> None:
        async with gate:
            await peer.connect()

    await asyncio.gather(*(connect(peer) for peer in peers))
    gc.collect()
    gc.freeze()
    print("connected", flush=True)
    loop = asyncio.get_running_loop()
    # A connection that is cut under its session is reported by uvloop; lost ones are counted here.
    loop.set_exception_handler(lambda _loop, _context: None)
    while command := (await loop.run_in_executor(None, sys.stdin.readline)).split():
        if command[0] == "send":
            report = await _all(peers, float(command[1]), order.every_seconds)
        else:
            report = await _storm(peers)
        print(msgspec.json.encode(report).decode(), flush=True)
    for peer in peers:
        peer.abort()


if __name__ == "__main__":
    uvloop.run(_main())
