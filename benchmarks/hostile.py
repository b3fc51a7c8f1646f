"""A thousand hostile peers at once, and what they cost an honest laboratory.

`python -m benchmarks.hostile` (make proof-hostile). The whole product runs; honest laboratories
send over mutual TLS first alone and then beside the crowd of tests/support/hostile.py. Their
answers must all be AA: else exit 1 and nothing written.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Final, Self

import click
import msgspec

from benchmarks import tls_peers
from benchmarks.results import BenchmarkFailed, Row, append, load_average, say_floor, show
from benchmarks.tls_hub import TlsHub, running_with_tls
from tests.support import hostile

_HONEST: Final = 20
_START_SECONDS: Final = 120.0
_MIB: Final = 2**20


class Honest:
    """The process of the honest laboratories."""

    def __init__(self, hub: TlsHub, *, connections: int, every_seconds: float) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.tls_peers"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        order = tls_peers.Order(
            port=hub.settings.mllp_port,
            ca=str(hub.authority.ca),
            labs={name: (str(each.cert), str(each.key)) for name, each in hub.labs.items()},
            connections=connections,
            every_seconds=every_seconds,
        )
        self._say(msgspec.json.encode(order).decode())
        if self._hear() != "connected":
            raise BenchmarkFailed("the honest laboratories could not connect")

    def ask(self, command: str) -> tls_peers.Report:
        """Give a command, and return what came of it."""
        self._say(command)
        return msgspec.json.decode(self._hear(), type=tls_peers.Report)

    def end(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def _hear(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


@click.command()
@click.option("--peers", default=1_000, show_default=True, help="Hostile ones, of ten kinds.")
@click.option("--seconds", default=60.0, show_default=True, help="Of the crowd.")
@click.option("--every", default=0.2, show_default=True, help="Seconds between honest messages.")
@click.option("--crowd-nice", default=10, show_default=True, help="Of the crowd's process.")
def main(peers: int, seconds: float, every: float, crowd_nice: int) -> None:
    """Measure, print, and append to results/hostile.csv."""
    try:
        with running_with_tls(_HONEST + 1) as hub:
            _measure(hub, peers, seconds, every, crowd_nice)
    except BenchmarkFailed as failed:
        print(f"FAILED, nothing written: {failed}", file=sys.stderr)
        sys.exit(1)


def _measure(hub: TlsHub, peers: int, seconds: float, every: float, crowd_nice: int) -> None:
    attacker = hub.labs.popitem()[1]
    honest = Honest(hub, connections=_HONEST, every_seconds=every)
    load = load_average()
    try:
        alone = honest.ask(f"send {seconds / 2}")
        before = hub.resident_bytes()
        order = hostile.Order(
            port=hub.settings.mllp_port,
            peers=peers,
            ca=str(hub.authority.ca),
            cert=str(attacker.cert),
            key=str(attacker.key),
            bad_cert=str(hub.stranger.cert),
            bad_key=str(hub.stranger.key),
        )
        with _crowd(order, crowd_nice) as crowd:
            # From the crowd's first byte on: its beginning is the worst of it.
            half = honest.ask(f"send {seconds / 2}")
            at_half = hub.resident_bytes()
            beside = honest.ask(f"send {seconds / 2}")
            at_end = hub.resident_bytes()
            toll = crowd.end()
    finally:
        honest.end()
    for report in (alone, half, beside):
        if report.lost or not report.answered:
            raise BenchmarkFailed(f"{report.lost} honest messages without an AA")
    worst = max(half.p99_seconds, beside.p99_seconds)
    about = {
        "peers": peers,
        "seconds": seconds,
        "honest": _HONEST,
        "crowd_nice": crowd_nice,
        "messages": half.answered + beside.answered,
        "attempts": sum(toll.attempts.values()),
        "load": load,
    }
    figures = (
        (worst * 1_000, "ms p99 of an honest ACK", alone.p99_seconds * 1_000),
        (max(half.most_seconds, beside.most_seconds) * 1_000, "ms the slowest honest ACK",
         alone.most_seconds * 1_000),
        (at_half / _MIB, "MiB of the ingest processes after half of it", before / _MIB),
        (at_end / _MIB, "MiB of the ingest processes at its end", at_half / _MIB),
    )  # fmt: skip
    show(
        f"{peers} hostile peers",
        ("what", "beside the crowd", "alone / before"),
        [(unit, f"{figure:.1f}", f"{yardstick:.1f}") for figure, unit, yardstick in figures],
    )
    print("attempts: " + " ".join(f"{kind}={n}" for kind, n in sorted(toll.attempts.items())))
    say_floor("p99 of an honest ACK", worst * 1_000, 100, "ms", most=True)
    append(
        "hostile",
        [
            Row(engine="embedded", parameters=about, figure=figure, unit=unit,
                yardstick=yardstick, ratio=figure / yardstick)
            for figure, unit, yardstick in figures
        ],
        ("uvloop", "cryptography"),
    )  # fmt: skip


class _crowd:  # noqa: N801 - used as a function
    """The process of the crowd, running while the block does."""

    def __init__(self, order: hostile.Order, nice: int) -> None:
        self._process = subprocess.Popen(
            # The crowd would be on other machines: its own work must not take the hub's cores.
            ["nice", "-n", str(nice), sys.executable, "-m", "tests.support.hostile"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[1],
        )
        assert self._process.stdin is not None
        self._process.stdin.write(msgspec.json.encode(order))
        self._process.stdin.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    def end(self) -> hostile.Toll:
        """Stop the crowd, and return what it did; every peer must have had its try."""
        assert self._process.stdout is not None
        until = time.monotonic() + _START_SECONDS
        if self._process.stdout.readline().strip() != b"begun" or time.monotonic() > until:
            raise BenchmarkFailed("not every hostile peer had its try")
        self._process.send_signal(signal.SIGTERM)
        return msgspec.json.decode(self._process.stdout.readline(), type=hostile.Toll)


if __name__ == "__main__":
    main()
