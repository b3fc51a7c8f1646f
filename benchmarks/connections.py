"""Thousands of laboratories connected over mutual TLS: memory, answers, and all at once again.

`python -m benchmarks.connections`. The whole product runs. Each connection sends one message every
ten seconds and waits for its AA; then all are cut and connect again at once. A connection that is
lost, or an answer that is no AA, fails the run (exit 1) and writes nothing.
"""

from __future__ import annotations

import sys
import threading
import time
from typing import Final, Self

import click

from benchmarks.hostile import Honest
from benchmarks.results import BenchmarkFailed, Row, append, load_average, say_floor, show
from benchmarks.tls_hub import TlsHub, running_with_tls
from benchmarks.tls_peers import Report

_MIB: Final = 2**20
_LABS: Final = 900
_SETTLE_SECONDS: Final = 2.0


class Most:
    """Watches the memory of the ingest processes beside a step, and keeps the most of it."""

    def __init__(self, hub: TlsHub) -> None:
        self.resident_bytes = self.taken_bytes = 0
        self._hub = hub
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._over.wait(0.25):
            self.resident_bytes = max(self.resident_bytes, self._hub.resident_bytes())
            self.taken_bytes = max(self.taken_bytes, self._hub.taken_bytes())

    def end(self) -> Self:
        """Stop watching; the most there was is known."""
        self._over.set()
        self._thread.join()
        return self


@click.command()
@click.option("--connections", default=4_500, show_default=True)
@click.option("--every", default=10.0, show_default=True, help="Seconds between messages of one.")
@click.option("--seconds", default=40.0, show_default=True, help="Of sending.")
@click.option("--doors", default=2, show_default=True, help="Ingest processes.")
def main(connections: int, every: float, seconds: float, doors: int) -> None:
    """Measure, print, and append to results/connections.csv."""
    try:
        with running_with_tls(
            min(_LABS, connections), LABDISPATCH_INGEST_PROCESSES=str(doors)
        ) as hub:
            _measure(hub, connections, every, seconds)
    except BenchmarkFailed as failed:
        print(f"FAILED, nothing written: {failed}", file=sys.stderr)
        sys.exit(1)


def _measure(hub: TlsHub, connections: int, every: float, seconds: float) -> None:
    load = load_average()
    empty, taken_empty = hub.resident_bytes(), hub.taken_bytes()
    honest = Honest(hub, connections=connections, every_seconds=every)
    try:
        time.sleep(_SETTLE_SECONDS)
        held = hub.resident_bytes()
        watch = Most(hub)
        sending = _whole(honest.ask(f"send {seconds}"))
        most = watch.end()
        watch = Most(hub)
        storm = _whole(honest.ask("reconnect"))
        in_storm = watch.end()
    finally:
        honest.end()
    about = {
        "connections": connections,
        "every_seconds": every,
        "seconds": seconds,
        "messages": sending.answered,
        "ingest_processes": len(hub.ingest_pids),
        "load": load,
    }
    figures: tuple[tuple[float, str, float | None], ...] = (
        (held / _MIB, "MiB resident of the ingest processes, all connected", empty / _MIB),
        (most.resident_bytes / _MIB, "MiB resident at most while all send", empty / _MIB),
        (
            most.taken_bytes / _MIB,
            "MiB taken at most while all send, shared pages once",
            taken_empty / _MIB,
        ),
        (
            in_storm.resident_bytes / _MIB,
            "MiB resident at most while all connect again",
            empty / _MIB,
        ),
        (sending.p50_seconds * 1_000, "ms p50 of an ACK", None),
        (sending.p99_seconds * 1_000, "ms p99 of an ACK", None),
        (storm.p50_seconds, "s until half have an ACK, all connecting at once", None),
        (storm.most_seconds, "s until all have an ACK, all connecting at once", None),
    )
    show(
        f"{connections} connections over mutual TLS",
        ("what", "figure", "without any"),
        [(unit, f"{figure:.1f}", "" if yardstick is None else f"{yardstick:.1f}")
         for figure, unit, yardstick in figures],
    )  # fmt: skip
    say_floor("memory while all send", most.taken_bytes / _MIB, 300, "MiB", most=True)
    say_floor("p99 of an ACK", sending.p99_seconds * 1_000, 100, "ms", most=True)
    append(
        "connections",
        [
            Row(engine="embedded", parameters=about, figure=figure, unit=unit, yardstick=yardstick,
                ratio=None if yardstick is None else figure / yardstick)
            for figure, unit, yardstick in figures
        ],
        ("uvloop", "cryptography"),
    )  # fmt: skip


def _whole(report: Report) -> Report:
    if report.lost or not report.answered:
        raise BenchmarkFailed(f"{report.lost} connections lost, or answers that were no AA")
    return report


if __name__ == "__main__":
    main()
