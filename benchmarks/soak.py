"""An hour under load: is memory, are handles, bloat and latency flat? `python -m benchmarks.soak`.

The embedded product with all it has: receivers, indicators, the account, silence, retention and
backups at work, figures scraped every 15 s, somebody following a stream. Laboratories send an
invented mix at a steady rate. Every 15 s a line of what was seen goes to `samples.ndjson` in
`--folder`; at the end conservation is checked and slopes are drawn (`--report FOLDER` draws them
again from that file).
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, Final

import click
import msgspec
import uvloop

from benchmarks import soak_conservation, soak_report
from benchmarks.product import lag_of
from benchmarks.reader import Outbox
from benchmarks.results import BenchmarkFailed, quantile
from benchmarks.soak_load import Laboratories, mixed
from benchmarks.soak_peers import Follower, Reader, Receiver, running, scraped
from benchmarks.soak_samples import backs_up, database, folder_bytes, processes, put_ahead
from ops.bootstrap import Hub, open_hub, reader_of
from ops.runtime.settings import load_settings
from tests.support.product import Embedded

_EVERY_SECONDS: Final = 15.0
_SLOW_SECONDS: Final = 60.0


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for."""

    rate: float
    seconds: float
    laboratories: int
    traces: int
    verified: int
    seed: int
    ahead: int


@click.command()
@click.option("--seconds", type=float, default=3_600.0, show_default=True)
@click.option("--rate", type=float, default=170.0, show_default=True)
@click.option("--laboratories", type=int, default=50, show_default=True)
@click.option("--traces", type=int, default=20_000, show_default=True, help="Traced at the end.")
@click.option(
    "--verified",
    type=int,
    default=0,
    show_default=True,
    help="Reports drawn by lot whose streams are computed from scratch; 0: all.",
)
@click.option("--seed", type=int, default=10, show_default=True)
@click.option(
    "--ahead",
    type=click.IntRange(0, 30),
    default=0,
    show_default=True,
    help="As root, on a machine that others use: so far the product goes first.",
)
@click.option("--folder", type=click.Path(path_type=Path), help="Of samples; default: a new one.")
@click.option("--report", type=click.Path(exists=True, path_type=Path), help="Only draw slopes.")
@click.option("--settled", type=float, help="Second from which on it counts; default: a sixth.")
def main(  # noqa: PLR0917 - click gives options by name
    seconds: float,
    rate: float,
    laboratories: int,
    traces: int,
    verified: int,
    seed: int,
    ahead: int,
    folder: Path | None,
    report: Path | None,
    settled: float | None,
) -> None:
    """Run, check, print slopes, and append to results/soak.csv."""
    if report is not None:
        soak_report.tell(report / "samples.ndjson", settled)
        return
    order = Order(
        rate=rate,
        seconds=seconds,
        laboratories=laboratories,
        traces=traces,
        verified=verified,
        seed=seed,
        ahead=ahead,
    )
    folder = folder or Path(tempfile.mkdtemp(prefix="ld-soak-"))
    folder.mkdir(parents=True, exist_ok=True)
    print(f"samples go to {folder}", flush=True)
    hub = Embedded(_everything(folder, seconds))
    try:
        hub.start(seconds=120)
        uvloop.run(_measure(order, hub, folder))
    except BenchmarkFailed as failed:
        print(f"FAILED, nothing written: {failed}", file=sys.stderr)
        sys.exit(1)
    finally:
        hub.remove()
    soak_report.tell(folder / "samples.ndjson", settled)


def _everything(folder: Path, seconds: float) -> dict[str, str]:
    """Return the settings: what happens by the day or hour happens several times in this run."""
    backups = folder / "backups"
    backups.mkdir(mode=0o700, exist_ok=True)
    return {
        "LABDISPATCH_BACKUP_DIR": str(backups),
        "LABDISPATCH_BACKUP_KEEP": "1",
        "LABDISPATCH_BACKUP_EVERY_SECONDS": str(max(60, int(seconds / 3))),
        "LABDISPATCH_INDICATORS_EXTRACTION_SECONDS": str(max(60, int(seconds / 6))),
        "LABDISPATCH_RETENTION_SECONDS": str(max(60, int(seconds / 12))),
    }


async def _measure(order: Order, hub: Embedded, folder: Path) -> None:
    tokens = json.loads((hub.data_dir / "tokens.json").read_text())
    settings = load_settings(
        data_dir=hub.data_dir,
        state_dir=Path(hub.env["LABDISPATCH_STATE_DIR"]),
        mllp_port=hub.mllp_port,
        http_port=hub.http_port,
    )
    receivers = {name: Receiver() for name in ("public-health", "contact-tracing")}
    journal_path = folder / "journal"
    messages = mixed(order.seed, order.laboratories, order.rate, order.seconds)
    with journal_path.open("w") as journal, (folder / "samples.ndjson").open("w") as samples:
        _write(samples, {"about": msgspec.to_builtins(order), "python": sys.version.split()[0]})
        laboratories = Laboratories(hub.mllp_port, messages, order.laboratories, journal)
        follower = Follower(hub.http_port, "public-health", tokens["public-health"])
        async with open_hub(settings, "looking", connections=3) as looking:
            reader = Reader(Outbox(reader_of(looking)), laboratories)
            watch = _Watch(
                hub,
                looking,
                laboratories,
                reader,
                samples,
                operator=tokens["operator"],
                ahead=order.ahead,
            )
            put_ahead(watch.roots(), order.ahead)
            watch.peers = {"followers": follower, **receivers}
            async with (
                receivers["public-health"].listening(),
                receivers["contact-tracing"].listening(),
            ):
                for name, receiver in receivers.items():
                    await _add_receiver(hub, name, receiver.port)
                async with running(reader.run()), running(follower.run()), running(watch.run()):
                    await laboratories.run(order.rate, order.seconds)
                    await _until_pushed(looking)
                journal.flush()
                found = await asyncio.to_thread(
                    soak_conservation.check,
                    hub, laboratories.counted, journal_path,
                    order.traces, order.verified, order.seed,
                )  # fmt: skip
        _write(samples, {"conserved": msgspec.to_builtins(found)})
        print(f"conservation holds: {msgspec.json.encode(found).decode()}", flush=True)


async def _add_receiver(hub: Embedded, stream: str, port: int) -> None:
    done = await asyncio.to_thread(
        hub.look, "receivers", "add", f"soak-{stream}", "--kind", "webhook", "--stream", stream,
        "--url", f"http://127.0.0.1:{port}/in", "--from", "start", "--reason", "a long run",
    )  # fmt: skip
    if done.returncode:
        raise BenchmarkFailed(f"no receiver was added: {done.stdout} {done.stderr}")


async def _until_pushed(looking: Hub) -> None:
    """Wait until dispatch has nothing left, and give push and indicators a moment."""
    until = time.monotonic() + 600
    while await lag_of(looking):
        if time.monotonic() > until:
            raise BenchmarkFailed("not drained within ten minutes")
        await asyncio.sleep(0.5)
    await asyncio.sleep(5)


class _Watch:
    """Writes a line of what it sees every 15 seconds."""

    def __init__(
        self,
        hub: Embedded,
        looking: Hub,
        laboratories: Laboratories,
        reader: Reader,
        samples: IO[str],
        *,
        operator: str,
        ahead: int,
    ) -> None:
        self._hub = hub
        self._looking = looking
        self._laboratories = laboratories
        self._reader = reader
        self._samples = samples
        self._operator = operator
        self.peers: Mapping[str, Follower | Receiver] = {}
        self._ahead = ahead

    async def run(self) -> None:
        """Look until cancelled."""
        began, turn = time.monotonic(), 0
        while True:
            turn += 1
            await asyncio.sleep(max(0.0, began + turn * _EVERY_SECONDS - time.monotonic()))
            _write(self._samples, {"second": time.monotonic() - began, **await self._sample()})

    def roots(self) -> dict[str, int]:
        """Return role -> pid of what runs now."""
        assert self._hub.process is not None
        roots = {"run": self._hub.process.pid, **self._hub.pids()}
        return roots | {"postgres": self._hub.postmaster(), "this benchmark": os.getpid()}

    async def _sample(self) -> dict[str, Any]:
        roots = self.roots()
        put_ahead(roots, self._ahead)
        port = self._hub.http_port
        pages = {
            "metrics": await scraped(port, "/metrics"),
            "laboratories": await scraped(port, "/metrics/laboratories", self._operator),
        }
        answered, self._laboratories.answered = self._laboratories.answered, []
        readable, self._reader.readable = self._reader.readable, []
        home = json.loads((self._hub.data_dir / "postgres.json").read_text())["home"]
        wal = Path(home) / "cluster" / "pg_wal"
        backups = Path(self._hub.env["LABDISPATCH_BACKUP_DIR"])
        return {
            "processes": await asyncio.to_thread(processes, roots),
            "pids": roots,
            **await database(self._looking.pool),
            "wal_folder_bytes": folder_bytes(wal),
            "data_folder_bytes": folder_bytes(self._hub.data_dir),
            "backup_bytes": folder_bytes(backups),
            "backs_up": backs_up(backups),
            "lag": await lag_of(self._looking),
            "counted": msgspec.to_builtins(self._laboratories.counted),
            "unread": len(self._laboratories.unread),
            "read": self._reader.events,
            "taken": {n: p.taken for n, p in self.peers.items() if isinstance(p, Receiver)},
            "followed": {
                n: [p.bytes, p.opened] for n, p in self.peers.items() if isinstance(p, Follower)
            },
            "scrapes": pages,
            "load": os.getloadavg()[0],
            "due_to_ack": _course(answered),
            "due_to_readable": _course(readable),
        }


def _course(seconds: list[float]) -> dict[str, float]:
    if not seconds:
        return {"count": 0}
    return {
        "count": len(seconds),
        **{f"p{share * 100:g}": quantile(seconds, share) for share in (0.5, 0.9, 0.99)},
        "max": max(seconds),
    }


def _write(samples: IO[str], line: Mapping[str, Any]) -> None:
    samples.write(msgspec.json.encode(line).decode() + "\n")
    samples.flush()


if __name__ == "__main__":
    main()
