"""Parse + check + map of one ORU^R01 against hl7apy and python-hl7, on one core.

`python -m benchmarks.parse`. Ours is what the door does with a message before it is stored:
`read_header` and `judge`. The others only parse. Rounds of the three take turns, so that a machine
that drifts drifts for all of them; the garbage collector runs as it does in a service. The same
message over and over meets every cache; `many messages` is the mean over different ones of the
simulator. Two large messages have a ceiling each: 5,000 OBX, and a document of 820 kB in Base64.
Run it with `-X labdispatch=plain` for plain Python where compiled twins are there.
"""

from __future__ import annotations

import base64
import gc
import os
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import islice
from random import Random
from typing import Final

import click
import hl7
from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.parser import parse_message

import ingest
from benchmarks.results import BenchmarkFailed, Row, append, load_average, say_floor, show
from ingest.header import HeaderError, read_header
from ingest.judge import LabProfile, Ruling, judge
from ops.simulate.sample import sample_message
from ops.simulate.simulation import Simulation
from schemas.decision import Realm

FLOOR_HL7APY: Final = 200.0
FLOOR_PYTHON_HL7: Final = 8.0
CEILINGS_MS: Final = {"5,000 OBX": 250.0, "820 kB of Base64": 5.0}
_VARIANT: Final = "compiled" if ingest.IS_COMPILED else "plain"


@click.command()
@click.option("--rounds", type=click.IntRange(min=7), default=9, show_default=True)
@click.option(
    "--seconds", type=float, default=0.4, show_default=True, help="Of each reader, each round."
)
def main(rounds: int, seconds: float) -> None:
    """Measure, print, and append to results/parse.csv."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    raw = sample_message()
    text = raw.decode()
    readers: dict[str, Callable[[], object]] = {
        "labdispatch": lambda: _ours(raw),
        "hl7apy": lambda: parse_message(
            text, validation_level=VALIDATION_LEVEL.TOLERANT, find_groups=False
        ),
        "python-hl7": lambda: hl7.parse(text),
    }
    _check(raw)
    busy = load_average()
    counts = {name: _calls_within(reader, seconds) for name, reader in readers.items()}
    times: dict[str, list[float]] = {name: [] for name in readers}
    for _ in range(rounds):
        for name, reader in readers.items():
            times[name].append(_nanoseconds(reader, counts[name]))
            gc.collect()
    _report(times, {"bytes": len(raw), "rounds": rounds, "load": busy, "variant": _VARIANT})
    _report_different(statistics.median(times["python-hl7"]), rounds, busy)
    _report_large(rounds, busy)


def _ours(raw: bytes) -> object:
    header = read_header(raw)
    assert not isinstance(header, HeaderError)
    return judge(raw, header, LabProfile(), Realm.TEST)


def _check(raw: bytes) -> None:
    """Refuse to measure anything but a message that is accepted and mapped."""
    header = read_header(raw)
    if isinstance(header, HeaderError):
        raise BenchmarkFailed("the sample's header cannot be read")
    judgement = judge(raw, header, LabProfile(), Realm.TEST)
    if judgement.ruling is not Ruling.ACCEPT or judgement.mapped is None:
        raise BenchmarkFailed("the sample is not accepted as a report")


def _calls_within(reader: Callable[[], object], seconds: float) -> int:
    """Return how many calls take about so long, after warming up."""
    calls, until = 0, time.perf_counter() + seconds
    while time.perf_counter() < until:
        reader()
        calls += 1
    return max(3, calls)


def _nanoseconds(reader: Callable[[], object], calls: int) -> float:
    began = time.perf_counter_ns()
    for _ in range(calls):
        reader()
    return (time.perf_counter_ns() - began) / calls


def _report(times: dict[str, list[float]], parameters: dict[str, object]) -> None:
    medians = {name: statistics.median(found) for name, found in times.items()}
    ours = medians["labdispatch"]
    lines, rows = [], []
    for name, found in times.items():
        median, ratio = medians[name], medians[name] / ours
        lines.append(
            (
                name,
                f"{median / 1_000:,.1f}",
                f"{min(found) / 1_000:,.1f}",
                f"{1e9 / median:,.0f}",
                f"{ratio:,.1f}",
            )
        )
        if name != "labdispatch":
            rows.append(
                Row(
                    engine="none",
                    parameters=parameters
                    | {
                        "against": name,
                        "best_ns": round(min(times["labdispatch"])),
                        "best_of_yardstick_ns": round(min(found)),
                    },
                    figure=ours,
                    unit="ns/message (median)",
                    yardstick=median,
                    ratio=ratio,
                )
            )
    show(
        f"one ORU^R01 of {parameters['bytes']} bytes, {parameters['rounds']} rounds in turns",
        ("reader", "median us", "best us", "messages/s", "x ours"),
        lines,
    )
    say_floor("parse + check + map", medians["hl7apy"] / ours, FLOOR_HL7APY, "x hl7apy")
    say_floor("parse + check + map", medians["python-hl7"] / ours, FLOOR_PYTHON_HL7, "x python-hl7")
    append("parse", rows, ("hl7apy", "hl7", "msgspec"))


def _report_different(yardstick: float, rounds: int, busy: float) -> None:
    """Say what a message costs when no two are of the same patient, time or order."""
    messages = different_messages()
    for raw in messages:
        _check(raw)
    found = []
    for _ in range(rounds):
        began = time.perf_counter_ns()
        for raw in messages:
            _ours(raw)
        found.append((time.perf_counter_ns() - began) / len(messages))
        gc.collect()
    size = round(statistics.mean(map(len, messages)))
    median = statistics.median(found)
    many = f"{len(messages)} different messages of {size} bytes in the mean"
    print(f"{many}: {median / 1_000:.1f} us each")
    append(
        "parse",
        [
            Row(
                engine="none",
                parameters={"messages": len(messages), "bytes": size, "rounds": rounds}
                | {"load": busy, "variant": _VARIANT, "against": "python-hl7"},
                figure=median,
                unit="ns/message (many messages)",
                yardstick=yardstick,
                ratio=yardstick / median,
            )
        ],
        ("hl7", "msgspec"),
    )


def _report_large(rounds: int, busy: float) -> None:
    """Say how long the two large messages take."""
    rows = []
    for name, raw in (("5,000 OBX", many_observations()), ("820 kB of Base64", long_document())):
        _check(raw)
        found = []
        for _ in range(rounds):
            found.append(_nanoseconds(lambda raw=raw: _ours(raw), 3) / 1e6)  # type: ignore[misc]
            gc.collect()
        median = statistics.median(found)
        say_floor(name, median, CEILINGS_MS[name], "ms", most=True)
        rows.append(
            Row(
                engine="none",
                parameters={"message": name.replace(" ", "_"), "bytes": len(raw), "rounds": rounds}
                | {"load": busy, "variant": _VARIANT, "best_ms": round(min(found), 3)},
                figure=median,
                unit="ms (median)",
            )
        )
    append("parse", rows, ("msgspec",))


def different_messages(count: int = 2_000) -> list[bytes]:
    """Return messages of the simulated laboratories that the door accepts as reports."""
    start = datetime(2026, 3, 6, 8, tzinfo=UTC)
    simulation = Simulation(seed=7, labs=16, start_at=start)
    accepted = (each.raw for each in simulation.messages() if each.expected == "AA")
    return list(islice(accepted, count))


def many_observations() -> bytes:
    """Return a message of 5,000 numeric observations with units, ranges and flags."""
    head = sample_message().split(b"\r")[:4]
    lines = [
        b"OBX|%d|NM|%d-1^Analyse %d^LN||%d.5|mmol/L^^UCUM|3.5 - 5.0|N|||F|||2026030607%02d00+0100"
        % (number, number, number, number % 90, number % 60)
        for number in range(1, 5_001)
    ]
    return b"\r".join([*head, *lines, b""])


def long_document() -> bytes:
    """Return a message with a document of 820 kB in Base64 in OBX-5."""
    head = sample_message().split(b"\r")[:4]
    content = base64.b64encode(Random(1).randbytes(615_000))
    held = b"OBX|1|ED|11502-2^CR^LN||^TEXT^XML^Base64^%b||||||F" % content
    return b"\r".join([*head, held, b""])


if __name__ == "__main__":
    main()
