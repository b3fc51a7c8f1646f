"""The database of a cluster is brought back to a moment by the very commands of docs/backup.md.

Then the runbook is walked through: the relay stops, dispatch does again what the log still has,
`streams reconcile` makes streams, topics and outbox agree, and readers are sent behind it.
"""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import pytest

from ops.runtime.embedded import client_programs
from ops.runtime.embedded.account import current
from schemas.topics import STREAMS
from tests.e2e.test_road import ask
from tests.support.cluster import Cluster
from tests.support.kafka import KafkaCluster
from tests.support.load import send_all, simulated
from tests.support.postgres import connected, open_folder, scratch_server

pytestmark = [pytest.mark.proof, pytest.mark.timeout(1_800)]

PAGE: Final = Path(__file__).parents[2] / "docs" / "backup.md"
SECONDS: Final = 600.0
WHY: Final = ("--reason", "restored to a moment", "--actor", "on call")


class Database:
    """The cluster's PostgreSQL, and the folder of another disk, as the page has them.

    Args:
        cluster: Not started yet; it gets a server that archives as the page says.
        disk: Of base backups and log.
    """

    def __init__(self, cluster: Cluster, disk: Path) -> None:
        self.cluster, self.disk = cluster, disk
        self.account = current()
        self.archive, self.restored = disk / "archive", disk / "restored"
        self.archive.mkdir(mode=0o700)
        for each in (disk, self.archive):
            self.account.own(each)
        _, _, section = PAGE.read_text("utf-8").partition("\n## Cluster\n")
        self.conf, self.backup, self.restore = re.findall(
            r"^```\n(.*?)^```$", section, re.MULTILINE | re.DOTALL
        )
        settings = re.findall(r"^(\w+) = (.*)$", self.placed(self.conf), re.MULTILINE)
        cluster.server = scratch_server(
            cluster.folder / "db", {name: value.strip("'") for name, value in settings}
        )

    def placed(self, text: str) -> str:
        """The page's commands at this test's places."""
        return text.replace("/archive", str(self.archive)).replace("RESTORED", str(self.restored))

    def typed(self, commands: str, **env: str) -> str:
        """What commands say that are typed as PostgreSQL's user."""
        reached = self.cluster.server.superuser_kwargs()
        programs = client_programs(self.cluster.folder / "db" / "state")
        done: subprocess.CompletedProcess[str] = subprocess.run(
            ["/bin/bash", "-ec", commands], cwd="/", capture_output=True, text=True, check=False,
            timeout=SECONDS,
            env={
                "PATH": f"{programs}:/usr/bin:/bin", "LC_ALL": "C",
                "PGHOST": reached["host"], "PGPORT": str(reached["port"]),
                "PGUSER": reached["user"], "PGPASSWORD": reached["password"], **env,
            },
            **self.account.as_user(),
        )  # fmt: skip
        assert done.returncode == 0, (commands, done.stdout, done.stderr)
        return done.stdout

    def asked(self, sql: str) -> str:
        return self.typed(
            f"psql --dbname=labdispatch --tuples-only --no-align -c {shlex.quote(sql)}"
        )

    def base_backup(self) -> str:
        """Take one by the page, but for the pace of the checkpoint; return its place."""
        self.typed(self.placed(self.backup).replace("--checkpoint=spread", "--checkpoint=fast"))
        (base,) = self.archive.glob("base-*")
        return str(base)

    def archived(self) -> None:
        """Wait until the log up to now is in the archive."""
        name = self.asked("SELECT pg_walfile_name(pg_switch_wal())").strip()
        until("the log is not archived", (self.archive / name).exists)

    def to_moment(self, base: str, moment: datetime) -> None:
        """Restore by the page, with the settings that the server was started with."""
        pid = self.cluster.server.pid
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().rstrip("\0").split("\0")[3:]
        place = self.cluster.server.place
        self.cluster.server.stop()
        commands = re.sub(
            r"recovery_target_time = '.*'",
            f"recovery_target_time = '{moment}'",
            self.placed(self.restore).rstrip(),
        )
        options = shlex.quote(" ".join(map(shlex.quote, words)))
        self.typed(commands + f" --log={self.disk}/log --options={options}", BASE=base)
        until("it recovers", lambda: self.asked("SELECT pg_is_in_recovery()").strip() == "f")
        self.typed(f"pg_ctl --pgdata={self.restored} stop")
        shutil.rmtree(place.cluster)
        self.restored.rename(place.cluster)
        self.cluster.server.start()


def until(what: str, holds: Callable[[], object]) -> None:
    limit = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < limit, what
        time.sleep(0.2)


@pytest.fixture
def disk() -> Iterator[Path]:
    path = open_folder()
    yield path
    shutil.rmtree(path)


@pytest.fixture
def cluster(kafka_cluster1: KafkaCluster, unique_topic_prefix: str) -> Iterator[Cluster]:
    made = Cluster(kafka_cluster1, unique_topic_prefix)
    made.look_seconds = SECONDS
    try:
        yield made
    finally:
        made.remove()


def newest(events: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], tuple[Any, ...]]:
    """What a consumer holds: of each part of a report the highest version."""
    held: dict[tuple[str, str], tuple[Any, ...]] = {}
    for each in events:
        key = each["report_id"], each["part"]
        told = each["event_version"], each["kind"], json.dumps(each["body"], sort_keys=True)
        held[key] = max(held.get(key, (0,)), told)
    return held


async def in_topic(cluster: Cluster, stream: str) -> list[dict[str, Any]]:
    return [json.loads(value) for _, _, _, value in await cluster.topic(stream)]


def read_over_http(cluster: Cluster, cursor: str = "") -> tuple[int, dict[str, Any]]:
    """The answer's status and its last line."""
    token = json.loads((cluster.data_dir / "tokens.json").read_text())["dossier"]
    query = f"&after={cursor}" if cursor else ""
    status, _, body = ask(
        f"http://127.0.0.1:{cluster.http_port}/v1/streams/dossier?limit=5{query}",
        Authorization=f"Bearer {token}",
    )
    return status, json.loads(body.splitlines()[-1])


async def test_back_to_a_moment_and_all_agree_again(cluster: Cluster, disk: Path) -> None:
    database = Database(cluster, disk)
    messages = simulated(seed=51, count=90)
    cluster.start()
    async with asyncio.TaskGroup() as group:
        sending = group.create_task(send_all(cluster, messages[:50], 0.05))
        base = await asyncio.to_thread(database.base_backup)
    journal = sending.result()
    await asyncio.to_thread(cluster.drained, SECONDS)
    async with connected(cluster.server.superuser_kwargs("labdispatch")) as connection:
        moment = await connection.fetchval("SELECT clock_timestamp()")
    await asyncio.sleep(1)
    journal += await send_all(cluster, messages[50:], 0.0)
    lost = await asyncio.to_thread(cluster.drained, SECONDS)
    cursor = read_over_http(cluster)[1]["cursor"]
    before = {s.value: newest(cluster.stream(s.value)) for s in STREAMS}
    for stream, state in before.items():
        while newest(await in_topic(cluster, stream)) != state:
            await asyncio.sleep(1)
    await asyncio.to_thread(database.archived)
    await asyncio.to_thread(cluster.stop)

    await asyncio.to_thread(database.to_moment, base, moment)
    cluster.start_station("relay")
    await asyncio.to_thread(until, "it goes on", lambda: 4 in cluster.ended["relay"])
    await asyncio.to_thread(cluster.stop)
    assert "histories_diverged" in cluster.last_words()

    for role in ("ingest", "api", "dispatch"):
        cluster.start_station(role)
    account = await asyncio.to_thread(cluster.drained, SECONDS)
    assert {k: account[k] for k in ("received", "dispatched", "duplicate")} == {
        k: lost[k] for k in ("received", "dispatched", "duplicate")
    }
    await asyncio.to_thread(cluster.stop)
    looked = cluster.look("streams", "reconcile", "--all", "--dry-run", *WHY)
    assert (looked.returncode, "nothing was changed" in looked.stdout) == (0, True), looked.stderr
    done = cluster.look("streams", "reconcile", "--all", *WHY)
    assert done.returncode == 0, done.stderr
    relayed = len(cluster.ended["relay"])

    for role in ("ingest", "api", "dispatch", "relay"):
        cluster.start_station(role)
    journal += await send_all(cluster, simulated(seed=52, count=20), 0.0)
    await asyncio.to_thread(cluster.drained, SECONDS)
    await asyncio.to_thread(cluster.verified, SECONDS)
    for stream in STREAMS:
        told = newest(cluster.stream(stream.value))
        limit = time.monotonic() + SECONDS
        while newest(await in_topic(cluster, stream.value)) != told:
            assert time.monotonic() < limit, f"{stream}: {cluster.last_words()}"
            await asyncio.sleep(1)
    assert len(cluster.ended["relay"]) == relayed, "the relay goes on"
    status, problem = read_over_http(cluster, cursor)
    assert status == 410, problem
    acknowledged = {control_id for control_id, code in journal if code == "AA"}
    found = {held["control_id"] for held in cluster.trace(sorted(acknowledged))}
    assert found == acknowledged
