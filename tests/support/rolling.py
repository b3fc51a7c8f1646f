"""A rolling upgrade: two releases on one cluster, laboratories that notice nothing.

What an operator does, in the order of docs/operate.md: migrate, start the new stations beside the
old ones, end the old ones from the end of the road to its beginning.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
import urllib.request
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final

import msgspec

from ops.client import MllpClient
from ops.releases import running
from ops.runtime.schema_version import schema_version
from ops.simulate.simulation import SimulatedMessage, Simulation
from ops.tokens import load_or_make_tokens
from schemas.errors import TransientError
from schemas.topics import STREAMS
from tests.support.cluster import MIGRATE, Cluster, read_service, read_unit
from tests.support.kafka import KafkaCluster, free_ports
from tests.support.postgres import connected
from tests.support.previous import THIS, Release

ROLES: Final = ("indicators", "api", "push", "relay", "dispatch", "ingest")
"""From the end of the road to its beginning: who reads is new before who writes."""
_LABS: Final = 24
_START: Final = datetime(2026, 1, 5, 8, tzinfo=UTC)
_READY_SECONDS: Final = 90.0
_PROGRESS_SECONDS: Final = 180.0
_STOP_SECONDS: Final = 15.0
"""TimeoutStopSec of the units: then systemd kills."""
_RETRY_CODE: Final = 3


class Load:
    """Laboratories that send so many messages a second until they are told to stop.

    Args:
        port: Of the door.
        rate: Of all together; one that is behind does not hurry.
        most: Messages, at most.
    """

    def __init__(self, port: int, *, seed: int, rate: float, most: int) -> None:
        self._port = port
        self._pause = _LABS / rate
        made = Simulation(seed=seed, labs=_LABS, start_at=_START).messages()
        self._messages = [m for m in islice(made, most) if m.expected == "AA" and m.control_id]
        self._stopping = asyncio.Event()
        self.journal: list[tuple[str, str]] = []
        self.seconds: list[float] = []
        """Of each message from when it was first sent until it was acknowledged."""
        self.came: asyncio.Event = asyncio.Event()

    async def run(self) -> None:
        """Send until `stop`, each laboratory in its order."""
        async with asyncio.TaskGroup() as group:
            for lab in range(_LABS):
                mine = [m for m in self._messages if m.lab_index == lab]
                group.create_task(self._send(mine, lab * self._pause / _LABS))

    def stop(self) -> None:
        """Let every laboratory end what it is at."""
        self._stopping.set()

    @property
    def codes(self) -> Counter[str]:
        """How often each answer came; an empty one: the connection ended without."""
        return Counter(code for _, code in self.journal)

    async def more(self, count: int) -> None:
        """Wait until so many more messages are acknowledged."""
        wanted = len(self.seconds) + count
        async with asyncio.timeout(_PROGRESS_SECONDS):
            while len(self.seconds) < wanted:
                self.came.clear()
                await self.came.wait()

    async def _send(self, messages: Sequence[SimulatedMessage], after: float) -> None:
        client = MllpClient("127.0.0.1", self._port, timeout_seconds=30)
        due = time.monotonic() + after
        try:
            for message in messages:
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                if self._stopping.is_set():
                    return
                began = time.monotonic()
                while (code := await self._once(client, message.raw)) == "":
                    self.journal.append((message.control_id, ""))
                self.journal.append((message.control_id, code))
                self.seconds.append(time.monotonic() - began)
                self.came.set()
                due = max(due + self._pause, time.monotonic())
        finally:
            await client.close()

    @staticmethod
    async def _once(client: MllpClient, raw: bytes) -> str:
        try:
            return (await client.send(raw)).code
        except TransientError:
            await asyncio.sleep(0.01)
            return ""


class Rolling(Cluster):
    """A cluster on which stations of two releases can run side by side."""

    def __init__(self, kafka: KafkaCluster, prefix: str, old: Release) -> None:
        super().__init__(kafka, prefix)
        self.old = old
        self.both: dict[tuple[str, str], subprocess.Popen[bytes]] = {}
        self.killed: list[str] = []
        (new_port,) = free_ports(1)
        self.http_ports = {"old": self.http_port, "new": new_port}
        (self.data_dir / "run").mkdir(mode=0o700)

    def begin(self) -> None:
        """Start the database and bring it to the old release's schema."""
        self.server.start()
        self.env = {**self.settings(), "LABDISPATCH_MLLP_SHARE_PORT": "true"}
        assert self.migrate(self.old) == 0

    def migrate(self, release: Release) -> int:
        """Migrate as the unit does: what was locked is tried again. Return the exit code."""
        command, environment = self._found(release, "migrate")
        until = time.monotonic() + _PROGRESS_SECONDS
        while True:
            done = subprocess.run(
                command, cwd=release.tree, env=release.environment({**environment, **self.env}),
                capture_output=True, text=True, check=False, timeout=120,
            )  # fmt: skip
            if done.returncode != _RETRY_CODE or time.monotonic() > until:
                assert done.returncode == 0, done.stderr
                return done.returncode

    async def all_up(self, release: Release, roles: Sequence[str]) -> None:
        """Start stations at once, and wait until all are ready."""
        await asyncio.gather(*(self.run_up(release, role) for role in roles))

    async def schemas(self) -> set[int | None]:
        """Return which schemas the processes that are connected know; None: they do not say."""
        async with connected(self.server.connect_kwargs()) as connection:
            return {each.schema for each in await running(connection)}

    async def run_up(self, release: Release, role: str) -> None:
        """Start a station, and wait until it says that it is ready."""
        command, environment = self._found(release, role)
        name = f"{release.name}-{role}"
        wanted = release.environment({
            **environment,
            **self.env,
            "LABDISPATCH_STATION_NAME": name,
            "LABDISPATCH_HTTP_PORT": str(self.http_ports[release.name]),
        })  # fmt: skip
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                command, cwd=release.tree, env=wanted, stdout=log, stderr=log
            )
        self.both[release.name, role] = process
        ready = self.data_dir / "run" / f"{name}.ready"
        until = time.monotonic() + _READY_SECONDS
        while not (ready.exists() and ready.read_text() == str(process.pid)):
            assert process.poll() is None, f"{name} ended: {self.last_words()}"
            assert time.monotonic() < until, f"{name} is not ready: {self.last_words()}"
            await asyncio.sleep(0.05)

    async def take_down(self, release: Release, role: str) -> None:
        """End a station in order; one that takes longer than its unit allows is killed."""
        process = self.both.pop((release.name, role))
        assert process.poll() is None, f"{release.name} {role} had ended: {self.last_words()}"
        process.send_signal(signal.SIGTERM)
        try:
            code = await asyncio.to_thread(process.wait, _STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.killed.append(f"{release.name}-{role}")
            process.kill()
            await asyncio.to_thread(process.wait)
        else:
            assert code == 0, self.last_words()

    def lives(self) -> None:
        """Check that every station that was started still runs."""
        ended = [name for name, process in self.both.items() if process.poll() is not None]
        assert not ended, f"{ended}: {self.last_words()}"

    def read_over_http(self, release: Release, stream: str) -> int:
        """Read a stream at the api of one release; return how many events came."""
        token = load_or_make_tokens(self.data_dir)[stream]
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.http_ports[release.name]}/v1/streams/{stream}?limit=1000",
            headers={"Authorization": f"Bearer {token}", "Accept": "application/x-ndjson"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return len([line for line in answer.read().splitlines() if line.strip()])

    def stop(self, seconds: float = 15) -> None:
        """Stop whatever runs."""
        for process in self.both.values():
            if process.poll() is None:
                os.kill(process.pid, signal.SIGTERM)
        for process in self.both.values():
            try:
                process.wait(seconds)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.both.clear()
        super().stop(seconds)

    def is_healthy(self) -> bool:
        """Ask the new api as its compose file does."""
        _, _, check = read_service("api")
        asked = [word.replace(":8575/", f":{self.http_ports['new']}/") for word in check]
        return subprocess.run(asked, check=False, timeout=60).returncode == 0

    def _found(self, release: Release, role: str) -> tuple[list[str], dict[str, str]]:
        """Return what starts a role: the old ones by their units, the new ones by compose."""
        if release is THIS:
            command, environment, _ = read_service("dispatch-1" if role == "dispatch" else role)
        else:
            unit = {"migrate": MIGRATE, "dispatch": "labdispatch-dispatch@.service"}
            name = unit.get(role, f"labdispatch-{role}.service")
            command, environment = read_unit(name, release.units)
        return release.command(*command[3:]), environment


class Rolled(msgspec.Struct, frozen=True, kw_only=True):
    """What laboratories saw of an upgrade."""

    journal: list[tuple[str, str]]
    seconds: list[float]
    unanswered: int
    """Tries without an answer; the laboratory sent again, as always."""
    lasted: float
    """Seconds of the whole upgrade."""


async def roll(
    cluster: Rolling, load: Load, *, stretch: int, roles: Sequence[str] = ROLES
) -> Rolled:
    """Upgrade under load.

    Args:
        cluster: With a database of the old release, and no station yet.
        load: Not yet begun.
        stretch: Messages between two steps.
        roles: Stations that take part, in the order of the upgrade.
    """
    await cluster.all_up(cluster.old, roles)
    began = time.monotonic()
    async with asyncio.TaskGroup() as group:
        group.create_task(load.run())
        try:
            await _steps(cluster, load, stretch, roles)
        finally:
            load.stop()
    return Rolled(
        journal=load.journal,
        seconds=load.seconds,
        unanswered=load.codes[""],
        lasted=time.monotonic() - began,
    )


async def _steps(cluster: Rolling, load: Load, stretch: int, roles: Sequence[str]) -> None:
    old = cluster.old
    await load.more(stretch)
    await asyncio.to_thread(cluster.migrate, THIS)
    # What dies now is started again by its supervisor, and finds a schema newer than its own.
    behind = [role for role in roles if role not in {"ingest", "relay"}]
    for role in behind:
        await cluster.take_down(old, role)
    await cluster.all_up(old, behind)
    await load.more(stretch)
    for role in roles:
        if role == "relay":  # two would fence each other; events wait in the outbox meanwhile
            await cluster.take_down(old, role)
            await cluster.run_up(THIS, role)
    await cluster.all_up(THIS, [role for role in roles if role != "relay"])
    # The old door too comes back beside the new one; both write, both dispatches read.
    await cluster.take_down(old, "ingest")
    await cluster.run_up(old, "ingest")
    await load.more(stretch)
    for stream in STREAMS:
        for release in (old, THIS):
            assert await asyncio.to_thread(cluster.read_over_http, release, stream.value) > 0
    assert await cluster.schemas() == {None, schema_version()}, "both releases ran"
    assert await asyncio.to_thread(cluster.is_healthy)
    cluster.lives()
    for role in roles:
        if role != "relay":
            await cluster.take_down(old, role)
            await load.more(stretch)
    cluster.lives()
    assert await cluster.schemas() == {schema_version()}
    cluster.http_port = cluster.http_ports["new"]


def slowest(seconds: Sequence[float], share: float) -> float:
    """Return a quantile of what was measured."""
    ordered: list[Any] = sorted(seconds)
    return float(ordered[min(len(ordered) - 1, int(share * len(ordered)))])
