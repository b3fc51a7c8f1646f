"""One run at a steady rate: what became readable when, and whether the rate was held."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import linear_regression
from typing import Final

import msgspec

from benchmarks.driving import Driven, drive, end
from benchmarks.load import Order, Sent
from benchmarks.product import Product, lag_of, until_drained
from benchmarks.reader import Reading
from benchmarks.results import BenchmarkFailed, quantile
from benchmarks.watch import seconds_by_role
from ops.bootstrap import Hub

CONNECTIONS: Final = 100
WARMUP_SECONDS: Final = 3.0
_LAG_SECONDS: Final = 0.25
_SAY_SECONDS: Final = 10.0
# The reader stands for a consumer. Where times of tens of milliseconds are measured it looks every
# 10 ms; where a rate is tried, whose times may be 500 ms, so many looks would be a tenth of a core.
_FINE_RATE: Final = 250.0
_FINE_SECONDS, _COARSE_SECONDS = 0.01, 0.05
_DRAIN_SECONDS: Final = 600.0
# A rate is held when the laboratories got their answers at that rate,
_REACHED: Final = 0.98
# the lag did not grow by more than this share of it,
_GROWTH: Final = 0.02
# and at the end neither dispatch nor a reader was further behind than this.
_BEHIND_SECONDS: Final = 1.0


class Course(msgspec.Struct, frozen=True, kw_only=True):
    """How long something took, in seconds."""

    p50: float
    p99: float


class Probe(msgspec.Struct, frozen=True, kw_only=True):
    """What one run showed."""

    rate: float
    seconds: float
    reached: float
    """Acknowledged a second."""
    sent: int
    matched: int
    """Messages whose report became readable in the dossier; the others' identity was not yet
    qualified, or they told nothing new."""
    readable: Course
    after_ack: Course
    acknowledged: Course
    lag_end: int
    lag_most: int
    lag_slope: float
    """By how many messages a second the lag grew (least squares, without the first third)."""
    held: bool
    cpu: dict[str, float]
    """Role -> cores used on average while it was measured."""
    cost: dict[str, float] = {}
    """Role -> microseconds of CPU time a message, from the first to when all was readable. It is of
    the messages whatever the rate was: what waits for a core costs nothing, it only comes later."""


class Prober:
    """Runs probes on one product, each with other messages.

    Args:
        product: Runs all the time.
        hub: For looking at it.
        folder: For journals.
        seed: Of the first probe.
        connections: Of laboratories, each with one message without an answer: a rate needs as many
            as an answer takes seconds, times the rate.
    """

    def __init__(
        self,
        product: Product,
        hub: Hub,
        folder: Path,
        seed: int,
        connections: int = CONNECTIONS,
    ) -> None:
        self._product = product
        self._hub = hub
        self._folder = folder
        self._seed = seed
        self._connections = connections
        self._acknowledged = 0

    async def probe(self, rate: float, seconds: float) -> Probe:
        """Send at a rate, wait for dispatch and reader, compare the journals.

        Raises:
            BenchmarkFailed: A wrong answer, or an account that does not close.
        """
        self._seed += 1
        lags: list[tuple[float, int]] = []
        journal = self._folder / f"sent-{self._seed}"
        seen = self._folder / f"seen-{self._seed}"
        order = Order(
            port=self._product.settings.mllp_port,
            connections=self._connections,
            seconds=seconds,
            warmup_seconds=WARMUP_SECONDS,
            messages=int(rate * (seconds + WARMUP_SECONDS)) + self._connections,
            seed=self._seed,
            rate=rate,
            journal=str(journal),
        )
        async with self._reading(seen, rate) as reader:
            pids = {**self._product.pids, "reader": reader.pid}
            before = seconds_by_role(pids)
            driven = await drive(order, pids, lambda: self._watch_lag(lags))
            self._acknowledged += driven.report.acknowledged
            await until_drained(self._hub, self._acknowledged, _DRAIN_SECONDS)
            after = seconds_by_role(pids)
            # The relay's last events are on their way when dispatch has nothing left to do.
            await asyncio.sleep(0.5)
        found = _compared(
            rate,
            driven,
            lags,
            msgspec.msgpack.decode(journal.read_bytes(), type=list[Sent]),
            msgspec.msgpack.decode(seen.read_bytes(), type=dict[str, float]),
        )
        messages = driven.report.acknowledged
        found = msgspec.structs.replace(
            found,
            cost={role: round((after[role] - before[role]) * 1e6 / messages) for role in pids},
        )
        state = "held" if found.held else "not held"
        print(
            f"{rate:,.0f}/s for {seconds:.0f} s: {state}; reached {found.reached:,.0f}/s, lag at"
            f" the end {found.lag_end:,} (most {found.lag_most:,}, slope {found.lag_slope:+.2f} a"
            f" second), readable p99 {found.readable.p99 * 1_000:,.0f} ms",
            file=sys.stderr,
        )
        return found

    async def _watch_lag(self, lags: list[tuple[float, int]]) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        said = 0.0
        while True:
            passed, lag = loop.time() - began, await lag_of(self._hub)
            lags.append((began + passed, lag))
            if passed >= said + _SAY_SECONDS:
                said += _SAY_SECONDS
                print(
                    f"  {passed:5.0f} s: lag {lag:,}, growing by {_growth(lags):+.2f} a second",
                    file=sys.stderr,
                    flush=True,
                )
            await asyncio.sleep(_LAG_SECONDS)

    @asynccontextmanager
    async def _reading(self, seen: Path, rate: float) -> AsyncIterator[Process]:
        """Have a reader follow the dossier; at the end it reads up to the present end."""
        reader = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "benchmarks.reader", stdin=PIPE, stdout=PIPE
        )
        assert reader.stdin is not None
        assert reader.stdout is not None
        try:
            settings = self._product.settings.model_dump(mode="json", exclude_none=True)
            dsn = self._product.settings.postgres_dsn
            if dsn is not None:
                settings["postgres_dsn"] = dsn.get_secret_value()
            poll = _FINE_SECONDS if rate <= _FINE_RATE else _COARSE_SECONDS
            reading = Reading(settings=settings, seen=str(seen), poll_seconds=poll)
            reader.stdin.write(msgspec.json.encode(reading))
            reader.stdin.close()
            if await reader.stdout.readline() != b"reading\n":
                raise BenchmarkFailed("the reader did not start")
            yield reader
            reader.terminate()
            async with asyncio.timeout(60):
                await reader.wait()
            if reader.returncode != 0:
                raise BenchmarkFailed("the reader ended with an error")
        finally:
            if reader.returncode is None:
                reader.kill()
            await end(reader)


def _compared(
    rate: float,
    driven: Driven,
    lags: Sequence[tuple[float, int]],
    sent: Sequence[Sent],
    seen: dict[str, float],
) -> Probe:
    report = driven.report
    readable, after_ack = [], []
    for each in sent:
        moments = [seen[key] for key in each.keys if key in seen]
        if moments:
            # A message is readable when the last of its reports is.
            readable.append(max(moments) - each.due_at)
            after_ack.append(max(moments) - each.acknowledged_at)
    if not readable:
        raise BenchmarkFailed("the reader saw none of the reports that were sent")
    reached = report.counted / report.seconds
    lag_end = lags[-1][1] if lags else 0
    late = readable[-max(1, len(readable) // 5) :]
    slope = _growth(lags)
    held = (
        reached >= _REACHED * rate
        and slope <= _GROWTH * rate
        and lag_end <= _BEHIND_SECONDS * rate
        and quantile(late, 0.5) <= _BEHIND_SECONDS
    )
    return Probe(
        rate=rate,
        seconds=round(report.seconds, 1),
        reached=reached,
        sent=len(sent),
        matched=len(readable),
        readable=_course(readable),
        after_ack=_course(after_ack),
        acknowledged=Course(p50=report.p50_seconds, p99=report.p99_seconds),
        lag_end=lag_end,
        lag_most=max((lag for _, lag in lags), default=0),
        lag_slope=round(slope, 3),
        held=held,
        cpu=driven.cpu,
    )


def _growth(lags: Sequence[tuple[float, int]]) -> float:
    """Return by how many messages a second the lag grew, without the first third."""
    settled = lags[len(lags) // 3 :]
    if len(settled) < 3:
        return float("inf")
    return linear_regression([at for at, _ in settled], [lag for _, lag in settled]).slope


def _course(values: Sequence[float]) -> Course:
    return Course(p50=quantile(values, 0.5), p99=quantile(values, 0.99))
