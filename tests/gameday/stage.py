"""A running cluster as operators have it, under load, watched as operators watch it.

One broker, one PostgreSQL, seven kinds of processes (two workers of dispatch), twelve laboratories,
a receiver; Prometheus and Alertmanager with the operators' files. The data folder is a small file
system of its own, so that its disk can be nearly full; the way to PostgreSQL leads over a road on
which packets can be late.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Self
from uuid import uuid4

from schemas.topics import STREAMS
from tests.support.cluster import MIGRATE, Cluster, read_unit
from tests.support.kafka import KafkaCluster, free_ports
from tests.support.prometheus.alertmanager import AlertmanagerServer, Sink

from .clock import clock_of_its_own
from .laboratories import Laboratories, Mad
from .receiver import Receiver
from .slow_road import PORT, SlowRoad
from .watching import Watching, alerting

PROCESSES: Final = {
    "ingest": "ingest",
    "dispatch-1": "dispatch",
    "dispatch-2": "dispatch",
    "relay": "relay",
    "push": "push",
    "indicators": "indicators",
    "api": "api",
}
"""Name -> role; the role is the job that Prometheus scrapes it under."""
RECEIVER: Final = "ward"
DISK_BYTES: Final = 512 * 1024 * 1024
LEAST_BYTES: Final = 24 * 1024 * 1024
"""LABDISPATCH_MIN_FREE_DISK_BYTES: on a disk this small less than a tenth of it."""
_RESTART_SECONDS: Final = (2.0, 30.0)
"""RestartSec and RestartMaxDelaySec of the units; divided by the scale."""
_SCALED: Final = {
    "LABDISPATCH_ACCOUNT_SECONDS": 60.0,
    "LABDISPATCH_FIGURES_WRITE_SECONDS": 30.0,
    "LABDISPATCH_SILENCE_LEAST_SECONDS": 1_800.0,
    "LABDISPATCH_PUSH_REST_CAP_SECONDS": 300.0,
}
"""Settings that say how often the hub looks at what alerts look at, and how long it waits."""
LAB_RATE: Final = 20
"""Messages a second that a laboratory may send: far more than each of the twelve sends."""
WAIT_SECONDS: Final = 240.0


class Stage(Cluster):
    """The cluster, its load, and whoever watches it; `start`, then faults, then `remove`.

    Args:
        scale: By which everything that takes its time is divided; 1: real time.
        rate: Messages a second of all laboratories together.
    """

    def __init__(self, *, scale: float, rate: float, seed: int = 9) -> None:
        self.scale = scale
        self.rate = rate
        self._kafka_folder = Path(tempfile.mkdtemp(prefix="ld-kafka-"))
        super().__init__(KafkaCluster(self._kafka_folder), f"g{uuid4().hex[:12]}.")
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=0700", "none", self.data_dir],
            check=True,
        )
        self.look_seconds = 900
        self.extra["api"] = clock_of_its_own(self.folder)
        self.ports = dict(zip(PROCESSES, free_ports(len(PROCESSES)), strict=True))
        self.sink = Sink()
        self.road: SlowRoad | None = None
        self.receiver = Receiver()
        self.laboratories = Laboratories(self.mllp_port, rate=rate, seed=seed)
        self.mad: Mad | None = None
        self.journal: list[tuple[str, str]] = []
        """What others than the twelve laboratories were answered."""
        watching = self.folder / "watching"
        for name in ("prometheus", "alertmanager"):
            (watching / name).mkdir(parents=True)
        self.alerting = alerting(scale, self.sink.url)
        self.alertmanager = AlertmanagerServer(watching / "alertmanager", self.alerting)
        targets: dict[str, list[str]] = {}
        for name, role in PROCESSES.items():
            port = self.http_port if role == "api" else self.ports[name]
            targets.setdefault(role, []).append(f"127.0.0.1:{port}")
        self.prometheus = Watching(watching / "prometheus", targets, scale, self.alertmanager.at)
        self.held: dict[str, threading.Event] = {}
        """Processes that are not to be started again for now."""

    # ------------------------------------------------------------------ begin and end

    def start(self) -> Self:
        """Start everything, and wait until all is well."""
        self.kafka.start()
        self.server.start()
        self.road = SlowRoad(self.folder / "road", self._socket())
        self.road.start()
        self.env = self.settings()
        command, environment = read_unit(MIGRATE)
        subprocess.run(
            command, env={**os.environ, **environment, **self.env}, check=True, timeout=300,
            capture_output=True,
        )  # fmt: skip
        self.ended = {name: [] for name in PROCESSES}
        for name in PROCESSES:
            self.start_station(name)
        self.until("all are ready", self.is_ready)
        self.command(
            "receivers", "add", RECEIVER, "--kind", "webhook", "--stream", "public-health",
            "--url", self.receiver.url,
        )  # fmt: skip
        self.laboratories.start()
        self._limit_rates()
        self.until("messages come", lambda: len(self.laboratories.journal) > 20)
        self.alertmanager.start()
        self.prometheus.remember([stream.value for stream in STREAMS])
        self.prometheus.start()
        return self

    def remove(self) -> None:
        """End everything, and remove it."""
        for end in (
            self.laboratories._stopping.set,
            self.prometheus.stop,
            self.alertmanager.stop,
            self.stop,
            self.receiver.stop,
            self.sink.stop,
            self.server.stop,
            self.kafka.stop,
        ):
            try:
                end()
            except Exception as error:  # noqa: BLE001 - boundary: the rest is to end all the same
                print(f"{end}: {error}")
        if self.road is not None:
            self.road.stop()
        subprocess.run(["umount", "-l", self.data_dir], check=False)
        for folder in (self.folder, self._kafka_folder):
            shutil.rmtree(folder, ignore_errors=True)

    # ------------------------------------------------------------------ what a person does

    def command(self, *words: str, reason: str = "a game day") -> str:
        """Run a command of the hub that is audited; return what it says."""
        done = self.look(*words, "--actor", "on-call", "--reason", reason)
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        return done.stdout

    def readyz(self) -> tuple[int, str]:
        """Ask the api whether messages can be taken; return status and what it names."""
        return self.fetch("/readyz")

    def fetch(self, path: str) -> tuple[int, str]:
        """Ask the api; return status and body; 0: it does not answer."""
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self.http_port}{path}", timeout=30
            ) as got:
                return got.status, got.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError as error:
            return 0, str(error)

    @property
    def api(self) -> str:
        """Where HTTP answers."""
        return f"http://127.0.0.1:{self.http_port}"

    def log(self, name: str) -> str:
        """What a process wrote."""
        return (self.folder / f"{name}.log").read_text("utf-8", "replace")

    def is_ready(self) -> bool:
        """Whether the api says that messages can be taken, and every process answers."""
        return self.readyz()[0] == 200 and all(map(self.answers, PROCESSES))

    def answers(self, name: str) -> bool:
        """Whether a process gives its figures."""
        port = self.http_port if PROCESSES[name] == "api" else self.ports[name]
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as got:
                return bool(got.status == 200)
        except OSError:
            return False

    def mend(self) -> None:
        """Bring back whatever a fault that failed left behind."""
        self.kafka.start_missing()
        self.server.start()
        if self.road is not None:
            self.road.delay_seconds = 0.0
        self.receiver.status = 204
        for event in self.held.values():
            event.set()
        self.held.clear()

    def keep_logs(self, into: Path | None, name: str) -> None:
        """Copy every log to where a person can read it; nothing where nobody asked."""
        if into is not None:
            for log in (*self.folder.glob("*.log"), *self.folder.glob("watching/*/*.log")):
                (into / name).mkdir(parents=True, exist_ok=True)
                shutil.copy(log, into / name / log.name)

    def until(self, what: str, done: Callable[[], bool], seconds: float = WAIT_SECONDS) -> float:
        """Wait until something is so; return how long that took."""
        began = time.monotonic()
        while not done():
            assert time.monotonic() - began < seconds, f"not in {seconds:.0f} s: {what}"
            time.sleep(0.2)
        return time.monotonic() - began

    def disk(self) -> Any:
        """How full the disk of the data folder is, as the hub itself looks."""
        return shutil.disk_usage(self.data_dir)

    def kill_database(self) -> None:
        """End PostgreSQL as `pg_ctl stop -m immediate` does."""
        pid = self.server.pid
        assert pid is not None
        os.kill(pid, signal.SIGQUIT)
        self.until("PostgreSQL is gone", lambda: not self.server.running)

    # ------------------------------------------------------------------ inside

    def settings(self) -> dict[str, str]:
        found = super().settings()
        assert self.road is not None
        connect = self.server.connect_kwargs()
        found["LABDISPATCH_POSTGRES_DSN"] = (
            f"postgresql://{connect['user']}:{connect['password']}@/{connect['database']}"
            f"?host={self.road.folder}&port={PORT}"
        )
        scaled = {name: f"{each / self.scale:g}" for name, each in _SCALED.items()}
        return {
            **found,
            **scaled,
            "LABDISPATCH_MIN_FREE_DISK_BYTES": str(LEAST_BYTES),
            # In a tenth of the time there is a tenth of the patience: nobody gives way here.
            "LABDISPATCH_BEHIND_THE_DOOR_NICE": "0",
        }

    def _limit_rates(self) -> None:
        """Give every laboratory a rate, as a hub has it that somebody runs with care."""
        rows = ["registry_id,rate_per_second"]
        rows += [f"{each},{LAB_RATE}" for each in (*self.laboratories.finess, Mad.FACILITY)]
        file = self.folder / "rates.csv"
        file.write_text("\n".join([*rows, ""]))
        self.command("labs", "import", str(file))

    def _socket(self) -> Path:
        connect = self.server.connect_kwargs()
        return Path(connect["host"]) / f".s.PGSQL.{connect['port']}"

    def _keep(self, role: str, started: threading.Event) -> None:
        """Keep a process as systemd does, with RestartSec and its steps divided by the scale."""
        kind = PROCESSES[role]
        unit = f"labdispatch-{kind}{'@' if kind == 'dispatch' else ''}.service"
        command, environment = read_unit(unit)
        ours = {
            "LABDISPATCH_METRICS_PORT": "0" if kind == "api" else str(self.ports[role]),
            "LABDISPATCH_STATION_NAME": role,
        }
        pause = _RESTART_SECONDS[0] / self.scale
        while True:
            wanted: Mapping[str, str] = {
                **os.environ, **environment, **self.env, **ours, **self.extra.get(role, {})
            }  # fmt: skip
            with self._starting, (self.folder / f"{role}.log").open("ab") as log:
                if self._stopping.is_set():
                    return
                process = subprocess.Popen(
                    command, env=wanted, stdout=log, stderr=log,
                    # Each by itself, as units are: none has its processor from another's share.
                    start_new_session=True,
                )  # fmt: skip
                self._running[role] = process
            began = time.monotonic()
            started.set()
            self.ended[role].append(process.wait())
            if time.monotonic() - began > 60:
                pause = _RESTART_SECONDS[0] / self.scale
            if role in self.held:
                self.held[role].wait()
            self._stopping.wait(pause)
            pause = min(_RESTART_SECONDS[1] / self.scale, pause * 1.7)
