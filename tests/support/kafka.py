"""A real Apache Kafka for tests and benchmarks: KRaft brokers as children of this process.

What is missing on the machine (Java, Maven, the jars) fails the tests with the remedy; it never
skips them.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import hashlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import pytest

from ops.kafka.resolve import LOG_CONFIG, resolve
from ops.kit import KitMissing, java

START_SECONDS: Final = 150.0
STOP_SECONDS: Final = 20.0
_READY: Final = "Kafka Server started"

# Runs in the child before it becomes java: dies with its parent, also when that is killed (-9).
# A wrapper and not preexec_fn, which must not be used in a process that has threads.
_DIE_WITH_PARENT: Final = (
    "import ctypes, os, signal, sys\n"
    "ctypes.CDLL(None).prctl(1, signal.SIGKILL)\n"
    "if os.getppid() != int(sys.argv[1]): os._exit(1)\n"
    "os.execv(sys.argv[2], sys.argv[2:])\n"
)

# The kernel sends that signal when the *thread* that started the child ends: a thread of an event
# loop's pool would take its brokers with it. This one lives as long as the process.
_STARTER: Final = ThreadPoolExecutor(1, "kafka-starter")

# Outside of the range from which the kernel takes ports for outgoing connections, so that a
# killed broker finds its port free when it comes back.
_PORTS: Final = range(18_000, 31_000)


def free_ports(count: int) -> list[int]:
    """Return distinct ports of 127.0.0.1 on which nobody listened a moment ago."""
    held: list[socket.socket] = []
    try:
        while len(held) < count:
            probe = socket.socket()
            try:
                probe.bind(("127.0.0.1", random.SystemRandom().choice(_PORTS)))
            except OSError:
                probe.close()
                continue
            held.append(probe)
        return [each.getsockname()[1] for each in held]
    finally:
        for each in held:
            each.close()


class BrokerFailed(Exception):
    """A broker did not come up; the text ends with its last lines."""


class KafkaCluster:
    """One or three combined brokers and controllers on 127.0.0.1.

    Three brokers mean replication factor 3 and `min.insync.replicas=2`, as in production. What
    makes an acknowledgement durable is left as Kafka has it; only waiting is shortened.

    Args:
        base_dir: Holds logs and configuration; each broker has a folder `broker-N`.
        brokers: 1 or 3.
    """

    def __init__(self, base_dir: Path, brokers: int = 1) -> None:
        if brokers not in {1, 3}:
            raise ValueError("one broker, or three")
        self.base_dir = base_dir
        self.ids = list(range(1, brokers + 1))
        self._running: dict[int, _Broker] = {}
        self._ports: list[int] = []
        self._formatted = False
        self._classpath = ""
        self._java = ""
        self._sharing = ["-Xshare:auto"]
        self._format_options: list[str] = []

    @property
    def bootstrap(self) -> str:
        """`host:port` of every broker, with commas between."""
        return ",".join(f"127.0.0.1:{self._ports[n - 1]}" for n in self.ids)

    def start(self) -> Self:
        """Format new storage if there is none, start all brokers and wait until they are ready.

        Raises:
            KitMissing: Java, Maven or the jars are missing.
            BrokerFailed: A broker ended, or was not ready in time.
        """
        self._java = java()
        if self._sharing == ["-Xshare:auto"]:
            self._sharing = _shared_classes(self._java)
        self._classpath = os.pathsep.join(sorted(str(jar) for jar in resolve().glob("*.jar")))
        self.base_dir.mkdir(parents=True, exist_ok=True)
        for attempt in range(3):
            if not self._formatted:
                self._ports = free_ports(2 * len(self.ids))
                self._format()
            try:
                self._start_all(self.ids)
            except BrokerFailed as failed:
                self.stop(graceful=False)
                # Somebody took a port between our probe and the broker's bind: choose anew.
                if attempt == 2 or "already in use" not in str(failed):
                    raise
                self._formatted = False
                continue
            return self
        raise AssertionError("unreachable")

    def _start_all(self, ids: list[int]) -> None:
        for node in ids:
            self._running[node] = _Broker(
                self._command("kafka.Kafka", str(self._folder(node) / "server.properties")),
                self._folder(node) / "broker.log",
            )
        for node in ids:
            self._running[node].wait_ready()

    def kill(self, broker_id: int) -> None:
        """End a broker by SIGKILL, as a power cut would, and wait until it is gone."""
        self._running.pop(broker_id).end(signal.SIGKILL)

    def die(self, broker_id: int) -> None:
        """End a broker by SIGKILL and go on as if nobody had seen it."""
        self._running[broker_id].send(signal.SIGKILL)
        self._running[broker_id].wait_over()

    def dead(self) -> list[int]:
        """The brokers that ended without having been stopped here."""
        return [node for node, broker in self._running.items() if broker.over]

    def stop_broker(self, broker_id: int) -> None:
        """Stop a broker in order (SIGTERM) and wait until it is gone."""
        self._running.pop(broker_id).end(signal.SIGTERM)

    def freeze(self, broker_id: int) -> None:
        """SIGSTOP a broker and wait until it stands: nobody answers, and connections stay open.

        The signal alone is not enough: until each thread has taken it, another one answers still.
        """
        self._running[broker_id].send(signal.SIGSTOP)
        self._running[broker_id].wait_stopped()

    def thaw(self, broker_id: int) -> None:
        """SIGCONT a frozen broker."""
        self._running[broker_id].send(signal.SIGCONT)

    def restart(self, broker_id: int) -> None:
        """Start a broker again on its port and its folder (kill it first if it still runs)."""
        if broker_id in self._running:
            self.kill(broker_id)
        self._start_all([broker_id])

    def start_missing(self) -> None:
        """Start the brokers that were killed, stopped or died, and were not started again."""
        for node in self.dead():
            self.kill(node)
        self._start_all([node for node in self.ids if node not in self._running])

    def stop(self, *, graceful: bool = False) -> None:
        """End all brokers; by SIGKILL unless asked otherwise, since scratch data needs no more."""
        while self._running:
            _, broker = self._running.popitem()
            broker.end(signal.SIGTERM if graceful else signal.SIGKILL)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _folder(self, node: int) -> Path:
        return self.base_dir / f"broker-{node}"

    def _command(self, main_class: str, *arguments: str) -> list[str]:
        return [
            self._java,
            "-Xms128m",
            "-Xmx384m",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            *self._sharing,
            "-Djava.awt.headless=true",
            f"-Dlog4j2.configurationFile={LOG_CONFIG}",
            "-cp",
            self._classpath,
            main_class,
            *arguments,
        ]

    def _format(self) -> None:
        cluster_id = _kafka_uuid()
        for node in self.ids:
            folder = self._folder(node)
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            (folder / "server.properties").write_text(self._properties(node))
        tools = [
            _Broker(
                self._command(
                    "kafka.tools.StorageTool",
                    "format",
                    "--cluster-id",
                    cluster_id,
                    "--config",
                    str(self._folder(node) / "server.properties"),
                    *self._format_options,
                ),
                self._folder(node) / "format.log",
            )
            for node in self.ids
        ]
        for tool in tools:
            tool.wait_done()
        self._formatted = True

    def _properties(self, node: int) -> str:
        size = len(self.ids)
        brokers, controllers = self._ports[:size], self._ports[size:]
        voters = ",".join(
            f"{each}@127.0.0.1:{port}" for each, port in zip(self.ids, controllers, strict=True)
        )
        chosen = {
            "process.roles": "broker,controller",
            "node.id": node,
            "controller.quorum.voters": voters,
            "controller.listener.names": "CONTROLLER",
            "listeners": f"PLAINTEXT://127.0.0.1:{brokers[node - 1]},"
            f"CONTROLLER://127.0.0.1:{controllers[node - 1]}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{brokers[node - 1]}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": self._folder(node) / "data",
            "auto.create.topics.enable": "false",
            "default.replication.factor": size,
            "min.insync.replicas": 2 if size == 3 else 1,
            "offsets.topic.replication.factor": size,
            "offsets.topic.num.partitions": 1,
            "transaction.state.log.replication.factor": size,
            "transaction.state.log.min.isr": 2 if size == 3 else 1,
            "transaction.state.log.num.partitions": 2,
            "share.coordinator.state.topic.replication.factor": size,
            "share.coordinator.state.topic.num.partitions": 1,
            "group.initial.rebalance.delay.ms": 0,
            "num.network.threads": 2,
            "num.io.threads": 4,
            "num.partitions": 1,
            # Larger than the largest frame with its envelope; small, so that segments do roll.
            "log.segment.bytes": 16 * 1024 * 1024,
            "log.index.size.max.bytes": 1024 * 1024,
            "log.cleaner.dedupe.buffer.size": 4 * 1024 * 1024,
            # A dead broker is noticed in 3 s and not in 9 (and may come back as soon);
            "broker.heartbeat.interval.ms": 500 if size == 3 else 250,
            "broker.session.timeout.ms": 3000 if size == 3 else 1500,
            "controller.quorum.election.timeout.ms": 500,
            "controller.quorum.fetch.timeout.ms": 1500,
        }
        return "".join(f"{name}={value}\n" for name, value in chosen.items())


class _Broker:
    """A child process whose output goes to a file, and who says when it is ready."""

    def __init__(self, command: list[str], log: Path) -> None:
        self._log = log
        self._ready = threading.Event()
        self._over = threading.Event()
        self._process = _STARTER.submit(
            subprocess.Popen[bytes],
            [sys.executable, "-I", "-S", "-c", _DIE_WITH_PARENT, str(os.getpid()), *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=log.parent,
            env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8"},
            # A Ctrl-C at the terminal is for the tests; they end their brokers themselves.
            process_group=0,
        ).result()
        self._drain = threading.Thread(target=self._copy_output, daemon=True)
        self._drain.start()

    def _copy_output(self) -> None:
        assert self._process.stdout is not None
        with self._log.open("ab") as log:
            for line in self._process.stdout:
                log.write(line)
                log.flush()
                if _READY.encode() in line:
                    self._ready.set()
        self._over.set()
        self._ready.set()

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self._process.poll() is not None

    def wait_ready(self) -> None:
        if not self._ready.wait(START_SECONDS) or self._over.is_set():
            raise BrokerFailed(self._last_words())

    def wait_over(self) -> None:
        self._process.wait(STOP_SECONDS)

    def wait_done(self) -> None:
        try:
            code = self._process.wait(START_SECONDS)
        except subprocess.TimeoutExpired:
            self.end(signal.SIGKILL)
            code = -1
        self._close()
        if code != 0:
            raise BrokerFailed(self._last_words())

    def send(self, what: signal.Signals) -> None:
        self._process.send_signal(what)

    def wait_stopped(self) -> None:
        until = time.monotonic() + STOP_SECONDS
        while _states_of_threads(self._process.pid) != {"T"}:
            if time.monotonic() > until:
                raise BrokerFailed("it was told to stop where it is, and did not")
            time.sleep(0.01)

    def end(self, how: signal.Signals) -> None:
        self._process.send_signal(how)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._close()

    def _close(self) -> None:
        self._drain.join(STOP_SECONDS)
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _last_words(self) -> str:
        with contextlib.suppress(OSError):
            lines = self._log.read_text(errors="replace").splitlines()
            return "\n".join([f"see {self._log}", *lines[-15:]])
        return "it said nothing"


def _states_of_threads(pid: int) -> set[str]:
    """Return the kernel's letters for what a process's threads do: `T` is stopped."""
    states = set()
    for stat in Path(f"/proc/{pid}/task").glob("*/stat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it ended meanwhile
            states.add(stat.read_text("ascii", "replace").rpartition(")")[2].split()[0])
    return states


def _shared_classes(java_path: str) -> list[str]:
    """Return the options of a class archive, made at the first start: it halves every later one.

    The archive lies beside the jars, for this Java and these jars only; without one the brokers
    start all the same.
    """
    jars = resolve()
    binary = Path(java_path).resolve()
    key = hashlib.sha256(f"{binary} {binary.stat().st_mtime_ns}".encode()).hexdigest()[:12]
    archive = jars / f"classes-{key}.jsa"
    if not archive.exists():
        with (jars / ".archive.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not archive.exists():  # another process was faster
                _make_archive(archive)
    return [f"-XX:SharedArchiveFile={archive}"] if archive.exists() else ["-Xshare:auto"]


def _make_archive(archive: Path) -> None:
    fresh = archive.with_suffix(".fresh")
    fresh.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        cluster = KafkaCluster(Path(scratch))
        cluster._sharing = [f"-XX:ArchiveClassesAtExit={fresh}"]
        try:
            cluster.start()
        finally:
            # The archive is written by an exit in order; the last one to end is the broker.
            cluster.stop(graceful=True)
    if fresh.exists():
        fresh.rename(archive)


def _kafka_uuid() -> str:
    """Return a new UUID as Kafka writes it: URL-safe base64 without padding.

    Never one that begins with a hyphen, which the command line would take for an option.
    """
    while True:
        text = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not text.startswith("-"):
            return text


def _started(base_dir: Path, brokers: int) -> KafkaCluster:
    cluster = KafkaCluster(base_dir, brokers)
    try:
        return cluster.start()
    except (KitMissing, BrokerFailed) as missing:
        cluster.stop()
        pytest.fail(f"a real Kafka is needed here and cannot be had: {missing}", pytrace=False)


@pytest.fixture(scope="session")
def kafka_bootstrap(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One broker, shared by the whole session and started at first use; nobody may kill it."""
    cluster = _started(tmp_path_factory.mktemp("kafka"), 1)
    try:
        yield cluster.bootstrap
    finally:
        cluster.stop()


@pytest.fixture
def kafka_cluster1(tmp_path: Path) -> Iterator[KafkaCluster]:
    """One broker of this test alone, to be killed, frozen and started again."""
    cluster = _started(tmp_path / "kafka", 1)
    try:
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture(scope="module")
def kafka_cluster3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaCluster]:
    """Three brokers, replication factor 3, `min.insync.replicas=2`, for one module."""
    cluster = _started(tmp_path_factory.mktemp("kafka3"), 3)
    try:
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture
def unique_topic_prefix() -> str:
    """A prefix that no other test uses: topics are never shared on the shared broker."""
    return f"t{uuid.uuid4().hex[:12]}."
