"""The embedded PostgreSQL, killed in every way it can be and started again at once."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from ops.runtime import processes
from ops.runtime.embedded import EmbeddedPostgres, account, binaries, leftovers, read_connection
from ops.runtime.embedded.home import Home
from ops.runtime.processes import Process
from schemas.errors import FatalError
from tests.support.postgres import Database, connected, open_folder, scratch_server

KEPT = "SELECT count(*) FROM kept"


@pytest.fixture
def folder() -> Iterator[Path]:
    path = open_folder()
    yield path
    shutil.rmtree(path)


@pytest.fixture
def server(folder: Path) -> Iterator[EmbeddedPostgres]:
    server = scratch_server(folder)
    yield server
    server.stop()


class Owners:
    """Processes that own a server, each ended with everything it started."""

    def __init__(self) -> None:
        self.started: list[subprocess.Popen[str]] = []

    def __call__(self, *arguments: object) -> tuple[subprocess.Popen[str], dict[str, Any]]:
        owner = self.begin(*arguments)
        return owner, self.answer(owner)

    def begin(self, *arguments: object) -> subprocess.Popen[str]:
        owner = subprocess.Popen(
            [sys.executable, "-m", "tests.support.embedded_owner", *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.started.append(owner)
        return owner

    def answer(self, owner: subprocess.Popen[str]) -> dict[str, Any]:
        assert owner.stdout is not None
        answer: dict[str, Any] = json.loads(owner.stdout.readline())
        return answer


@pytest.fixture
def owners(folder: Path) -> Iterator[Owners]:
    owners = Owners()
    yield owners
    for owner in owners.started:
        owner.communicate()  # its input ends, so it stops its server


async def commit_row(server: EmbeddedPostgres) -> None:
    async with connected(server.connect_kwargs()) as connection:
        await connection.execute("CREATE TABLE IF NOT EXISTS kept (n int)")
        await connection.execute("INSERT INTO kept VALUES (1)")


async def count_rows(kwargs: dict[str, Any]) -> int:
    async with connected(kwargs) as connection:
        return int(await connection.fetchval(KEPT))


def of_cluster(place: Home) -> list[Process]:
    leaders, others = leftovers.find(place)
    return leaders + others


async def test_a_first_start_makes_a_closed_and_durable_database(server: EmbeddedPostgres) -> None:
    server.start()
    wanted = {
        "fsync": "on",
        "synchronous_commit": "on",
        "full_page_writes": "on",
        "data_checksums": "on",
        "server_encoding": "UTF8",
        "TimeZone": "UTC",
        "listen_addresses": "",
        "max_locks_per_transaction": "1024",
        "max_connections": "200",
    }
    async with connected(server.connect_kwargs()) as connection:
        found = {name: await connection.fetchval(f"SHOW {name}") for name in wanted}
        superuser = await connection.fetchval(
            "SELECT rolsuper FROM pg_roles WHERE rolname = current_user"
        )
    assert found == wanted
    assert superuser is False
    for wrong in ({"password": "wrong"}, {"user": "postgres", "password": "wrong"}):
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(**{**server.connect_kwargs(), **wrong})


def test_nothing_of_the_server_is_open_to_others(server: EmbeddedPostgres, folder: Path) -> None:
    server.start()
    assert (folder / "data").stat().st_mode & 0o777 == 0o700
    assert (folder / "data/postgres.json").stat().st_mode & 0o777 == 0o600
    for path in (server.place.cluster, server.place.socket, server.place.log):
        assert path.stat().st_mode & 0o777 == 0o700
    assert not list(server.place.path.glob("*password*"))


async def test_the_log_quotes_nothing_that_a_session_sent(server: EmbeddedPostgres) -> None:
    server.start()
    async with connected(server.connect_kwargs()) as connection:
        await connection.execute("CREATE TABLE named (name text PRIMARY KEY)")
        await connection.execute("INSERT INTO named VALUES ($1)", "CANARIX")
        with pytest.raises(asyncpg.UniqueViolationError):
            await connection.execute("INSERT INTO named VALUES ($1)", "CANARIX")
        with pytest.raises(asyncpg.PostgresError):
            await connection.execute("SELECT 'CANARIX'::int")
        with pytest.raises(asyncpg.PostgresError):
            await connection.execute("DO $$ BEGIN RAISE WARNING 'CANARIX'; RAISE 'CANARIX'; END $$")
    server.stop()
    logs = list(server.place.log.iterdir())
    assert logs
    text = "".join(path.read_text() for path in [*logs, server.place.start_log])
    assert "ready to accept connections" in text
    assert "CANARIX" not in text


async def test_stop_and_start_keep_everything(server: EmbeddedPostgres, folder: Path) -> None:
    server.start()
    await commit_row(server)
    server.stop()
    assert not server.running and not of_cluster(server.place)
    server.stop()
    server.start()
    server.start()
    assert await count_rows(read_connection(folder / "data")) == 1


async def test_the_postmaster_alone_is_killed(server: EmbeddedPostgres) -> None:
    server.start()
    await commit_row(server)
    connection = await asyncpg.connect(**server.connect_kwargs())
    backend = await connection.fetchval("SELECT pg_backend_pid()")
    # A backend that is stopped cannot notice that its postmaster has died.
    orphan = processes.look(backend)
    assert orphan is not None and processes.send(orphan, signal.SIGSTOP)
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    told: list[str] = []
    assert server._server is not None
    server._server.wait()
    server.start(told.append)
    assert not processes.is_running(orphan)
    assert any("left behind" in line for line in told)
    connection.terminate()
    assert await count_rows(server.connect_kwargs()) == 1


async def test_backends_alone_are_killed(server: EmbeddedPostgres) -> None:
    server.start()
    await commit_row(server)
    connection = await asyncpg.connect(**server.connect_kwargs())
    backend = processes.look(await connection.fetchval("SELECT pg_backend_pid()"))
    before = server.pid
    assert backend is not None and processes.send(backend, signal.SIGKILL)
    assert processes.wait_gone([backend], 10) == []
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
        await connection.fetchval("SELECT 1")
    connection.terminate()
    # The postmaster repairs this by itself, and a stop and a start may come in the middle of it.
    server.start()
    assert server.pid == before
    server.stop()
    server.start()
    assert await count_rows(server.connect_kwargs()) == 1


async def test_everything_is_killed(server: EmbeddedPostgres) -> None:
    server.start()
    await commit_row(server)
    killed = of_cluster(server.place)
    for process in killed:
        processes.send(process, signal.SIGKILL)
    assert processes.wait_gone(killed, 10) == []
    assert (server.place.cluster / "postmaster.pid").exists()
    assert server._server is not None
    server._server.wait()
    server.start()
    assert await count_rows(server.connect_kwargs()) == 1


@pytest.mark.parametrize("stopped", [False, True])
async def test_the_owner_is_killed_and_its_server_lives_on(
    server: EmbeddedPostgres, folder: Path, owners: Owners, stopped: bool
) -> None:
    owner, first = owners(folder / "data", folder / "state")
    orphan = processes.look(first["pid"])
    assert orphan is not None
    owner.kill()
    owner.wait()
    if stopped:
        processes.send(orphan, signal.SIGSTOP)
    server.start()
    assert not processes.is_running(orphan)
    await commit_row(server)
    assert await count_rows(server.connect_kwargs()) == 1


async def test_a_stale_pid_file_that_names_a_living_foreign_process_is_no_obstacle(
    server: EmbeddedPostgres,
) -> None:
    server.start()
    await commit_row(server)
    server.stop()
    current = account.current()
    with subprocess.Popen(["sleep", "600"], **current.as_user()) as foreign:
        stale = server.place.cluster / "postmaster.pid"
        stale.write_text(f"{foreign.pid}\n{server.place.cluster}\n1\n5432\n/gone\n\n1 999999\n")
        lock = server.place.socket / ".s.PGSQL.5432.lock"
        lock.write_text(f"{foreign.pid}\n{server.place.cluster}\n1\n5432\n/gone\n\n")
        server.start()
        assert foreign.poll() is None
        foreign.kill()
    assert await count_rows(server.connect_kwargs()) == 1


async def test_another_cluster_is_left_alone(
    server: EmbeddedPostgres, postgres_server: EmbeddedPostgres
) -> None:
    other = postgres_server.pid
    server.start()
    for process in of_cluster(server.place):
        processes.send(process, signal.SIGKILL)
    server.start()
    assert postgres_server.pid == other
    assert {p.pid for p in of_cluster(server.place)}.isdisjoint(
        p.pid for p in of_cluster(postgres_server.place)
    )


def test_of_two_starts_at_once_one_runs_and_one_is_told(folder: Path, owners: Owners) -> None:
    pair = [owners.begin(folder / "data", folder / "state") for _ in range(2)]
    answers = [owners.answer(owner) for owner in pair]
    running = [answer for answer in answers if "pid" in answer]
    refused = [answer for answer in answers if "reason" in answer]
    assert len(running) == 1
    assert [answer["reason"] for answer in refused] == ["data_folder_in_use"]


def test_a_second_start_is_told_who_holds_the_folder(
    server: EmbeddedPostgres, folder: Path, owners: Owners
) -> None:
    owner, _ = owners(folder / "data", folder / "state")
    with pytest.raises(FatalError, match=f"kill {owner.pid}"):
        server.start()
    assert not server.running


@pytest.mark.parametrize("cut_in_initdb", [True, False])
async def test_a_first_start_that_was_cut_is_finished(
    server: EmbeddedPostgres, folder: Path, cut_in_initdb: bool
) -> None:
    server.start()
    server.stop()
    half = server.place.path / "cluster.new-half"
    if cut_in_initdb:
        server.place.cluster.rename(half)
    file = folder / "data/postgres.json"
    file.write_text(file.read_text().replace('"ready":true', '"ready":false'))
    with pytest.raises(FatalError, match="no_embedded_postgres"):
        read_connection(folder / "data")
    server.start()
    assert not half.exists()
    await commit_row(server)
    assert await count_rows(server.connect_kwargs()) == 1


async def test_a_data_folder_below_a_closed_folder(folder: Path) -> None:
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    server = EmbeddedPostgres(
        closed / "data", state_dir=folder / "state", shared_buffers_mb=64, tcp_port=None
    )
    try:
        server.start()
        await commit_row(server)
        assert closed.stat().st_mode & 0o777 == 0o700
    finally:
        server.stop()


@pytest.fixture
def recovering(server: EmbeddedPostgres) -> Iterator[subprocess.Popen[bytes]]:
    # A process that runs and is not ready: what a long recovery looks like from outside.
    server.start()
    server.stop()
    with subprocess.Popen(["sleep", "600"]) as process:
        server._server = process
        server._stopping.clear()
        yield process
        server._server = None
        process.kill()


def test_recovery_is_waited_for_and_told(
    server: EmbeddedPostgres, recovering: subprocess.Popen[bytes]
) -> None:
    told: list[str] = []
    pid_file = server.place.cluster / "postmaster.pid"

    def progress(line: str) -> None:
        told.append(line)
        if len(told) == 2:
            pid_file.write_text(f"{recovering.pid}\n\n1\n5432\n\n\n1 1\nready   \n")

    pid_file.write_text(f"{recovering.pid}\n\n1\n5432\n\n\n1 1\nstarting\n")
    server._wait_ready(server.place, progress)
    assert len(told) == 2 and all("recovering" in line for line in told)


def test_a_start_can_be_cut_short(
    server: EmbeddedPostgres, recovering: subprocess.Popen[bytes]
) -> None:
    with pytest.raises(FatalError, match="stopped"):
        server._wait_ready(server.place, lambda _: server._stopping.set())
    assert recovering.poll() is None


def test_a_server_that_dies_at_start_is_told_with_a_remedy(folder: Path) -> None:
    server = scratch_server(folder, {"shared_buffers": "nonsense"})
    with pytest.raises(FatalError, match="correct the extra PostgreSQL settings"):
        server.start()
    assert not server.running
    healthy = scratch_server(folder)
    healthy.start()
    healthy.stop()


def as_another_user() -> tuple[int, ...]:
    # As root the part of an ordinary user is played by `nobody`.
    return (pwd.getpwnam("nobody").pw_uid,) if os.geteuid() == 0 else ()


async def test_an_ordinary_user_needs_no_state_folder(folder: Path, owners: Owners) -> None:
    site = folder / "site"
    binaries._copy(binaries.wheel_folder(), site)  # ours may be closed to that user
    home = folder / "theirs"
    home.mkdir(mode=0o700)
    user = as_another_user()
    for uid in user:
        os.chown(home, uid, uid)
    arguments = (home / "data", folder / "unused", *user, *([site] if user else []))
    for _ in range(2):
        owner, answer = owners(*arguments)
        assert "pid" in answer, answer
        assert (home / "data/postgres/cluster/PG_VERSION").exists()
        async with connected(read_connection(home / "data")) as connection:
            assert await connection.fetchval("SELECT current_user") == "labdispatch"
        owner.kill()
        owner.wait()
    owner, answer = owners(*arguments)
    assert "pid" in answer, answer
    assert not (folder / "unused").exists()


async def test_binaries_out_of_reach_are_copied_once(
    server: EmbeddedPostgres, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = folder / "environment"
    binaries._copy(binaries.wheel_folder(), closed / "site")
    closed.chmod(0o700)
    monkeypatch.setattr(binaries, "wheel_folder", lambda: closed / "site")
    expected = folder / "state/binaries" if os.geteuid() == 0 else closed / "site"
    for _ in range(2):
        server.start()
        assert server.pid is not None
        assert processes.executable(server.pid).startswith(f"{expected}/")
        server.stop()
    assert closed.stat().st_mode & 0o777 == 0o700
    assert not list((folder / "state").glob("binaries/.new-*"))


def test_a_state_folder_out_of_reach_is_told(folder: Path, owners: Owners) -> None:
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    server = EmbeddedPostgres(folder / "data", state_dir=closed / "state", shared_buffers_mb=64)
    if os.geteuid() == 0:
        with pytest.raises(FatalError, match="state_folder_unreachable"):
            server.start()
    else:
        server.start()  # an ordinary user's cluster does not lie there
        server.stop()
    assert closed.stat().st_mode & 0o777 == 0o700


def test_without_a_start_there_is_no_way_in(tmp_path: Path) -> None:
    with pytest.raises(FatalError, match="no_embedded_postgres"):
        read_connection(tmp_path)


@pytest.mark.parametrize("attempt", [1, 2])
async def test_each_test_has_a_database_of_its_own(database: Database, attempt: int) -> None:
    async with connected(database.connect_kwargs) as connection:
        await connection.execute("CREATE TABLE mine (n int)")
        assert await connection.fetchval("SELECT current_database()") == database.name
    assert attempt in {1, 2}
