"""The whole product, started for a benchmark and ended after it, on either engine."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlencode

import msgspec

from benchmarks.results import BenchmarkFailed
from benchmarks.watch import children_whose_command_has
from ops.account import Account, take_account
from ops.bootstrap import Hub, open_hub
from ops.runtime.data_folder import ProcessLedger
from ops.runtime.embedded import EmbeddedPostgres
from ops.runtime.settings import Settings, load_settings
from ops.runtime.settings_kinds import PREFIX
from ops.stations import ROLES
from ops.supervise import choose_port, ready_file
from tests.support.kafka import KafkaCluster
from tests.support.postgres import scratch_server
from tests.support.product import LABDISPATCH, Embedded

ENGINES: Final = ("embedded", "cluster")
_START_SECONDS: Final = 240.0
_STOP_SECONDS: Final = 300.0


class Product(msgspec.Struct, frozen=True, kw_only=True):
    """A product that runs."""

    engine: str
    settings: Settings
    pids: dict[str, int]
    """Role -> pid: the four stations, `postgres`, and on cluster `kafka`."""

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Hub]:
        """Open it for looking: account, lag, streams."""
        async with open_hub(self.settings, "looking", connections=3) as hub:
            yield hub


@contextmanager
def running(engine: str, more: Mapping[str, object] | None = None) -> Iterator[Product]:
    """Start the whole product in a scratch folder; end it and remove the folder.

    Args:
        engine: One of ENGINES.
        more: Settings by their names, beyond the defaults.
    """
    with ExitStack() as stack:
        starting = _embedded if engine == "embedded" else _cluster
        yield starting(stack, more or {})


async def until_drained(hub: Hub, acknowledged: int, seconds: float) -> tuple[Account, float]:
    """Wait until dispatch has handled everything; return the account and how long it took.

    Raises:
        BenchmarkFailed: Not in time, the account does not close, or it holds another number of
            messages than were acknowledged, or a message that was not dispatched as it must be.
    """
    began = time.monotonic()
    while await lag_of(hub):
        if time.monotonic() - began > seconds:
            raise BenchmarkFailed(f"not drained within {seconds:.0f} s")
        await asyncio.sleep(0.1)
    account = await take_account(hub.pool, hub.log, hub.instance.engine)
    took = time.monotonic() - began
    if not account.closes or account.in_flight:
        raise BenchmarkFailed(f"the account does not close: {account.difference:+}")
    if account.received != acknowledged:
        raise BenchmarkFailed(f"{account.received} in the log, {acknowledged} acknowledged")
    if account.refused or account.parked:
        raise BenchmarkFailed(
            f"{account.refused} refused and {account.parked} parked; none was due"
        )
    return account, took


async def lag_of(hub: Hub) -> int:
    """Return how many messages are in the log and not dispatched yet; cheap."""
    ends = await hub.log.end_offsets()
    async with hub.pool.acquire() as connection:
        handled = await connection.fetchval(
            "SELECT coalesce(sum(next_offset), 0)::bigint FROM intake_progress"
        )
    return sum(ends.values()) - int(handled)


# -------------------------------------------------------------------------------- embedded


def _embedded(stack: ExitStack, more: Mapping[str, object]) -> Product:
    hub = Embedded({PREFIX + name.upper(): str(value) for name, value in more.items()})
    stack.callback(hub.remove)
    hub.start()
    # Its last checkpoint writes what a long run left in memory.
    stack.callback(hub.stop, _STOP_SECONDS)
    children = {child.role: child.process.pid for child in ProcessLedger(hub.data_dir).children()}
    home = Path(json.loads((hub.data_dir / "postgres.json").read_text())["home"])
    postmaster = int((home / "cluster" / "postmaster.pid").read_text().split()[0])
    return Product(
        engine="embedded",
        settings=load_settings(
            data_dir=hub.data_dir, mllp_port=hub.mllp_port, http_port=hub.http_port
        ),
        pids={**children, "postgres": postmaster},
    )


# -------------------------------------------------------------------------------- cluster


def _cluster(stack: ExitStack, more: Mapping[str, object]) -> Product:
    folder = Path(tempfile.mkdtemp(prefix="ld-bench-"))
    folder.chmod(0o711)  # the database's user must reach what is below
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    # On this engine the database is the operator's: the setting is for the server made here.
    buffers = more.get("embedded_buffers_megabytes", 256)
    assert isinstance(buffers, int)
    server = scratch_server(folder, shared_buffers_mb=buffers)
    stack.callback(server.stop)
    server.start()
    broker = stack.enter_context(KafkaCluster(folder / "kafka"))
    data_dir = folder / "hub"
    for part in (data_dir, data_dir / "run", data_dir / "logs"):
        part.mkdir(mode=0o700)
    settings = load_settings(
        engine="cluster",
        data_dir=data_dir,
        postgres_dsn=_dsn(server),
        require_standby=False,
        kafka_bootstrap=broker.bootstrap,
        replication_factor=1,
        min_insync_replicas=1,
        mllp_port=choose_port("127.0.0.1", 0, "mllp_port"),
        http_port=choose_port("127.0.0.1", 0, "http_port"),
        **more,
    )
    environment = settings.as_environment()
    subprocess.run([*LABDISPATCH, "migrate"], env=environment, check=True, capture_output=True)
    pids = {role: start_station(stack, role, settings) for role in ROLES}
    _until_ready(settings)
    assert server.pid is not None
    kafka = children_whose_command_has("kafka.Kafka")
    return Product(
        engine="cluster",
        settings=settings,
        pids={**pids, "postgres": server.pid, "kafka": kafka[0]},
    )


def _dsn(server: EmbeddedPostgres) -> str:
    """Return the service role's address as a URL, through the server's socket."""
    kwargs = server.connect_kwargs()
    rest = urlencode({"host": kwargs["host"], "port": kwargs["port"]})
    return f"postgresql://{kwargs['user']}:{quote(kwargs['password'])}@/{kwargs['database']}?{rest}"


def start_station(stack: ExitStack, role: str, settings: Settings) -> int:
    """Start a station of the cluster by its own command; return its pid."""
    with (settings.data_dir / "logs" / f"{role}.log").open("ab") as log:
        process = subprocess.Popen(
            [*LABDISPATCH, role],
            env=settings.as_environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    stack.callback(_end, process)
    return process.pid


def _until_ready(settings: Settings) -> None:
    until = time.monotonic() + _START_SECONDS
    for role in ROLES:
        while not ready_file(settings.data_dir, role).exists():
            if time.monotonic() > until:
                log = settings.data_dir / "logs" / f"{role}.log"
                raise BenchmarkFailed(f"{role} is not ready: {log.read_text()[-500:]}")
            time.sleep(0.05)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        os.kill(process.pid, signal.SIGTERM)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
