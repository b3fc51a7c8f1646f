"""Starts load generators and the yardstick as processes, and watches the product meanwhile."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import msgspec

from benchmarks.load import Order, Phase, Report
from benchmarks.results import BenchmarkFailed
from benchmarks.watch import CpuWatch


class Driven(msgspec.Struct, frozen=True, kw_only=True):
    """A load generator's report, and who used how much of a core meanwhile."""

    report: Report
    cpu: dict[str, float]
    """Role -> cores used on average while it was measured."""


async def drive(
    order: Order,
    pids: dict[str, int],
    during: Callable[[], Awaitable[None]] | None = None,
) -> Driven:
    """Run a load generator to its end.

    Args:
        order: What it sends.
        pids: Role -> pid of those whose CPU is watched.
        during: Runs from the start of measuring and is cancelled at its end.

    Raises:
        BenchmarkFailed: An answer was not what it must be.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.load", stdin=PIPE, stdout=PIPE
    )
    assert process.stdin is not None
    process.stdin.write(msgspec.json.encode(order))
    process.stdin.close()
    watch: CpuWatch | None = None
    beside: asyncio.Task[None] | None = None
    cpu: dict[str, float] = {}
    try:
        async for line in _lines(process):
            if isinstance(line, Report):
                if line.problem:
                    raise BenchmarkFailed(line.problem)
                return Driven(report=line, cpu=cpu)
            if line.name == "measuring":
                watch = CpuWatch({**pids, "client": process.pid})
                beside = asyncio.ensure_future(during()) if during is not None else None
            elif line.name == "measured" and watch is not None:
                cpu = watch.shares()
                await _cancelled(beside)
    finally:
        await _cancelled(beside)
        await end(process)
    raise BenchmarkFailed("the load generator ended without a report")


async def _lines(process: Process) -> AsyncIterator[Phase | Report]:
    assert process.stdout is not None
    decoder = msgspec.json.Decoder(Phase | Report)
    async for line in process.stdout:
        yield decoder.decode(line)


async def _cancelled(task: asyncio.Task[None] | None) -> None:
    if task is not None and not task.done():
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def end(process: Process) -> None:
    """End a process that we started, and wait for it."""
    if process.returncode is None:
        try:
            async with asyncio.timeout(2):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


@asynccontextmanager
async def echo_server() -> AsyncIterator[tuple[int, int]]:
    """Run the yardstick; give its port and its pid."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.echo", stdout=PIPE
    )
    try:
        assert process.stdout is not None
        yield int(await process.stdout.readline()), process.pid
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


def cpu_parameters(cpu: dict[str, float], prefix: str = "cpu_") -> dict[str, float]:
    """Return the shares as parameters of a row: cores used on average."""
    return {f"{prefix}{role}": share for role, share in cpu.items()}
