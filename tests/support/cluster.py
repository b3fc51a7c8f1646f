"""The cluster engine as operators have it: a database, brokers, and the four stations.

Stations are started natively by the unit files' own `ExecStart` and `Environment` lines, and
started again when they die.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import yaml
from aiokafka import AIOKafkaConsumer, TopicPartition

from tests.support.kafka import KafkaCluster, free_ports
from tests.support.postgres import open_folder, scratch_server
from tests.support.product import LABDISPATCH, Instance

UNITS = Path(__file__).parents[2] / "ops" / "systemd"
STATIONS = {
    "ingest": "labdispatch-ingest.service",
    "dispatch": "labdispatch-dispatch@.service",
    "relay": "labdispatch-relay.service",
    "api": "labdispatch-api.service",
}
BESIDE = {
    "inbound": "labdispatch-inbound.service",
    "push": "labdispatch-push.service",
    "indicators": "labdispatch-indicators.service",
}
"""Not started by `start`: what they need is made first, or few tests need them."""
COMPOSE = UNITS.parent / "compose" / "compose.yaml"
MIGRATE = "labdispatch-migrate.service"


def read_unit(name: str, units: Path = UNITS) -> tuple[list[str], dict[str, str]]:
    """Return the command and the environment of a unit; the program is this checkout's."""
    command: list[str] = []
    environment: dict[str, str] = {}
    for line in (units / name).read_text("utf-8").splitlines():
        key, _, value = line.partition("=")
        if key == "ExecStart":
            program, *arguments = value.split()
            assert program.endswith("/labdispatch")
            command = [*LABDISPATCH, *arguments]
        elif key == "Environment":
            variable, _, content = value.strip('"').partition("=")
            environment[variable] = content.replace("%i", "1")
    assert command, f"{name} has no ExecStart"
    return command, environment


def read_service(name: str) -> tuple[list[str], dict[str, str], list[str]]:
    """Return command, environment and health check of a service of the compose file.

    The program is this checkout's; what comes out of `.env` is left empty, as it is there.
    """
    loaded = yaml.safe_load(COMPOSE.read_text("utf-8"))["services"][name]
    environment = {
        variable: re.sub(r"\$\{[^}]*\}", "", content)
        for variable, content in loaded["environment"].items()
    }
    health = loaded.get("healthcheck", {}).get("test", [])
    places = {"python": sys.executable, "/hub/healthy.py": str(COMPOSE.with_name("healthy.py"))}
    return (
        [*LABDISPATCH, *loaded["command"]],
        environment,
        [places.get(word, word) for word in health[1:]],
    )


class Cluster(Instance):
    """PostgreSQL, brokers and the four stations.

    Args:
        kafka: Started by the caller, who stops it too.
        prefix: Of every topic: each test has its own.
        partitions: Few, so that a test starts fast.
    """

    def __init__(self, kafka: KafkaCluster, prefix: str, *, partitions: int = 4) -> None:
        self.kafka = kafka
        self.prefix = prefix
        self.partitions = partitions
        self.folder = open_folder()
        self.data_dir = self.folder / "hub"
        self.data_dir.mkdir(mode=0o700)
        self.server = scratch_server(self.folder / "db", shared_buffers_mb=64)
        self.mllp_port, self.http_port = free_ports(2)
        self.env: dict[str, str] = {}
        self.extra: dict[str, dict[str, str]] = {}
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._keepers: list[threading.Thread] = []
        self._stopping = threading.Event()
        self._starting = threading.Lock()
        self.ended: dict[str, list[int]] = {role: [] for role in (*STATIONS, *BESIDE)}

    # ------------------------------------------------------------------ as operators do

    def start(self) -> Self:
        """Start the database, migrate, start the stations, wait until all are ready."""
        self.server.start()
        self.env = self.settings()
        command, environment = read_unit(MIGRATE)
        done = subprocess.run(
            command,
            env={**os.environ, **environment, **self.env},
            capture_output=True,
            text=True,
            check=False,
            timeout=600,  # a machine may be very busy
        )
        assert done.returncode == 0, done.stderr
        for role in STATIONS:
            self.start_station(role)
        return self

    def start_station(self, role: str) -> None:
        """Start a station and keep it: whatever dies is started again, as systemd does."""
        started = threading.Event()
        keeper = threading.Thread(target=self._keep, args=(role, started), daemon=True)
        keeper.start()
        self._keepers.append(keeper)
        assert started.wait(10)

    def pids(self) -> dict[str, int]:
        """Role -> pid."""
        return {role: p.pid for role, p in self._running.items() if p.poll() is None}

    def kill(self, role: str, number: signal.Signals = signal.SIGKILL) -> int:
        """Signal a station; return its pid."""
        pid = self._running[role].pid
        os.kill(pid, number)
        return pid

    def stop(self, seconds: float = 15) -> None:
        """Stop the stations in order, and wait for their end."""
        with self._starting:  # none is started between our list and our signal
            self._stopping.set()
        for process in self._running.values():
            if process.poll() is None:
                process.terminate()
        until = time.monotonic() + seconds
        for process in self._running.values():
            try:
                process.wait(max(0.1, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for keeper in self._keepers:
            keeper.join(5)
        self._running.clear()
        self._keepers.clear()
        self._stopping.clear()

    def remove(self) -> None:
        """Stop everything but the brokers, and remove the folder."""
        self.stop()
        self.server.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def last_words(self) -> str:
        """The end of every station's log."""
        return "\n".join(
            f"--- {path.name}\n{path.read_text(errors='replace')[-2_000:]}"
            for path in sorted(self.folder.glob("*.log"))
        )

    # ------------------------------------------------------------------ as a consumer does

    async def topic(self, stream: str) -> list[tuple[int, int, bytes, bytes]]:
        """Return (partition, offset, key, value) of every committed record of a stream's topic."""
        consumer: Any = AIOKafkaConsumer(
            bootstrap_servers=self.kafka.bootstrap,
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
        )
        await consumer.start()
        try:
            places = [TopicPartition(f"{self.prefix}{stream}", p) for p in range(self.partitions)]
            consumer.assign(places)
            await consumer.seek_to_beginning(*places)
            found = []
            quiet = 0
            while quiet < 3:
                batches = await consumer.getmany(*places, timeout_ms=300)
                records = [record for batch in batches.values() for record in batch]
                quiet = 0 if records else quiet + 1
                found += [(r.partition, r.offset, bytes(r.key), bytes(r.value)) for r in records]
            return found
        finally:
            await consumer.stop()

    # ------------------------------------------------------------------ inside

    def settings(self) -> dict[str, str]:
        connect = self.server.connect_kwargs()
        dsn = (
            f"postgresql://{connect['user']}:{connect['password']}@/{connect['database']}"
            f"?host={connect['host']}&port={connect['port']}"
        )
        return {
            "LABDISPATCH_ENGINE": "cluster",
            "LABDISPATCH_DATA_DIR": str(self.data_dir),
            "LABDISPATCH_POSTGRES_DSN": dsn,
            "LABDISPATCH_REQUIRE_STANDBY": "false",
            "LABDISPATCH_KAFKA_BOOTSTRAP": self.kafka.bootstrap,
            "LABDISPATCH_KAFKA_TOPIC_PREFIX": self.prefix,
            "LABDISPATCH_REPLICATION_FACTOR": str(min(3, len(self.kafka.ids))),
            "LABDISPATCH_MIN_INSYNC_REPLICAS": str(min(2, len(self.kafka.ids))),
            "LABDISPATCH_PARTITIONS": str(self.partitions),
            "LABDISPATCH_MLLP_PORT": str(self.mllp_port),
            "LABDISPATCH_HTTP_PORT": str(self.http_port),
            "LABDISPATCH_METRICS_PORT": "0",
        }

    def _keep(self, role: str, started: threading.Event) -> None:
        command, environment = read_unit({**STATIONS, **BESIDE}[role])
        while True:
            wanted: Mapping[str, str] = {
                **os.environ, **environment, **self.env, **self.extra.get(role, {})
            }  # fmt: skip
            with self._starting, (self.folder / f"{role}.log").open("ab") as log:
                if self._stopping.is_set():
                    return
                process = subprocess.Popen(command, env=wanted, stdout=log, stderr=log)
                self._running[role] = process
            started.set()
            code = process.wait()
            self.ended[role].append(code)
            self._stopping.wait(0.2)
