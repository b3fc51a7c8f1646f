"""The embedded PostgreSQL of one data folder: started, recovered, stopped; one owner at a time."""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from ops.runtime.data_folder import FolderLock, make_folder, write_private
from schemas.errors import FatalError

from . import binaries, cluster, home, leftovers, recovery, tuning
from .account import Account, current
from .cluster import DATABASE, ROLE, SUPERUSER
from .home import DEFAULT_STATE_DIR, Connection, Home

_POLL_SECONDS = 0.01


def _silent(_: str) -> None:
    """Take progress and say nothing."""


def connect_kwargs(connection: Connection, database: str = DATABASE) -> dict[str, Any]:
    """Give what asyncpg.connect needs; holds a password, so never log it."""
    return {
        "host": connection.socket,
        "port": connection.port,
        "user": ROLE,
        "password": connection.password,
        "database": database,
    }


def read_connection(data_dir: Path, database: str = DATABASE) -> dict[str, Any]:
    """Give the way to the server of a data folder that another process owns.

    Says nothing about whether the server runs now: connecting tells.

    Raises:
        FatalError: No server was ever started on this folder, or its file cannot be read.
    """
    connection = home.read_file(data_dir)
    if connection is None or not connection.ready:
        raise FatalError(
            "no_embedded_postgres",
            f"{data_dir} holds no running instance: start one with labdispatch run --data-dir",
        )
    return connect_kwargs(connection, database)


class EmbeddedPostgres:
    """One PostgreSQL cluster that belongs to one data folder.

    Promises durable commits (fsync, synchronous_commit, full_page_writes, data checksums), no
    trusted user, no TCP unless asked, and a start after any kill. Blocking; call it from a thread
    (`asyncio.to_thread`) beside a running loop. `stop` may come from another thread at any time.

    Args:
        data_dir: The data folder; made if missing.
        state_dir: As root only: where the cluster lies. Its parents must be open to everybody.
        shared_buffers_mb: Size of the buffer pool.
        extra_settings: PostgreSQL settings that win over ours.
        tcp_port: Listen on 127.0.0.1 at this port too; None: the socket alone.
        allow_unsafe: Tests only: let `extra_settings` switch durability off.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        state_dir: Path | None = None,
        shared_buffers_mb: int = 512,
        extra_settings: Mapping[str, str] | None = None,
        tcp_port: int | None = None,
        allow_unsafe: bool = False,
    ) -> None:
        self._data_dir = data_dir
        self._state_dir = state_dir or DEFAULT_STATE_DIR
        self._shared_buffers_mb = shared_buffers_mb
        self._extra_settings = dict(extra_settings or {})
        self._tcp_port = tcp_port
        self._allow_unsafe = allow_unsafe
        self._lock: FolderLock | None = None
        self._server: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None
        self._home: Home | None = None
        self._stopping = threading.Event()
        self._busy = threading.RLock()

    @property
    def pid(self) -> int | None:
        """The postmaster's pid while it runs."""
        return self._server.pid if self._server and self._server.poll() is None else None

    @property
    def running(self) -> bool:
        """Whether the postmaster runs (it may be recovering)."""
        return self.pid is not None

    @property
    def place(self) -> Home:
        """The folders of the cluster; known once `start` was called."""
        assert self._home is not None, "start first"
        return self._home

    def connect_kwargs(self, database: str = DATABASE) -> dict[str, Any]:
        """Give what asyncpg.connect needs; holds a password, so never log it."""
        assert self._connection is not None, "start first"
        return connect_kwargs(self._connection, database)

    def superuser_kwargs(self, database: str = "postgres") -> dict[str, Any]:
        """Give the superuser's way in: for tests and repairs, never for a service."""
        assert self._connection is not None, "start first"
        return {
            **connect_kwargs(self._connection, database),
            "user": SUPERUSER,
            "password": self._connection.superuser_password,
        }

    def start(self, progress: Callable[[str], None] = _silent) -> None:
        """Return once the server takes connections and the database `labdispatch` stands.

        Ends whatever an earlier run left, and waits for recovery as long as it takes. After the
        server has died, start again on the same object; on a running one it does nothing.

        Args:
            progress: Called with a line for people, about once a second while it takes long.

        Raises:
            FatalError: Folder in use, wrong major version, no system user, or the server died at
                start: with reason and remedy.
        """
        with self._busy:
            if self.running:
                return
            self._stopping.clear()
            try:
                self._start(progress)
            except BaseException:  # also Ctrl-C: leave no server and no lock behind
                self.stop()
                raise

    def _start(self, progress: Callable[[str], None]) -> None:
        data_dir = make_folder(self._data_dir)
        lock = self._lock = self._lock or FolderLock(data_dir / "postgres.lock")
        lock.acquire("PostgreSQL")
        recovery.check_whole(data_dir)
        account = current()
        place = self._home = home.locate(data_dir, self._state_dir.resolve(), account)
        home.make(place, account)
        leftovers.end(place, progress)
        leftovers.clear(place)
        connection = home.settle(data_dir, place, progress)
        connection = msgspec.structs.replace(connection, port=self._tcp_port or 5432)
        programs = binaries.reachable(account, self._state_dir.resolve())
        if not place.cluster.exists():
            progress("making a new PostgreSQL cluster")
            cluster.init(place, account, programs, connection)
        cluster.check_major(place)
        cluster.trim_log(place)
        self._launch(place, account, programs)
        self._wait_ready(place, progress)
        if not connection.ready:
            cluster.set_up(programs, connection)
            connection = msgspec.structs.replace(connection, ready=True)
        if home.read_file(data_dir) != connection:
            home.write_file(data_dir, connection)
        self._connection = connection

    def _launch(self, place: Home, account: Account, programs: Path) -> None:
        arguments = tuning.arguments(
            home=place.path,
            socket=place.socket,
            name=place.name,
            port=self._tcp_port or 5432,
            listen=self._tcp_port is not None,
            shared_buffers_mb=self._shared_buffers_mb,
            extra=self._extra_settings,
            allow_unsafe=self._allow_unsafe,
        )
        hba = place.path / "pg_hba.conf"
        write_private(hba, tuning.HBA.encode())
        hba.chmod(0o644)  # no secret, and the server's user must read it
        with place.start_log.open("wb") as log:
            place.start_log.chmod(0o600)
            # A session of its own: Ctrl-C in the terminal reaches the run, not its database.
            self._server = subprocess.Popen(  # noqa: S603 - our own binary, no shell
                [programs / "postgres", "-D", place.cluster, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env=cluster.environment(),
                start_new_session=True,
                umask=0o077,
                **account.as_user(),
            )

    def _wait_ready(self, place: Home, progress: Callable[[str], None]) -> None:
        assert self._server is not None
        began = told = time.monotonic()
        # The postmaster writes its own state into line 8 of its pid file (what pg_ctl reads).
        while True:
            lines = leftovers.read_lines(place.cluster / "postmaster.pid")
            if self._stopping.is_set():
                raise FatalError("stopped", "the start was cut short on request")
            if self._server.poll() is not None:
                raise cluster.died(place)
            ours = len(lines) >= 8 and lines[0] == str(self._server.pid)
            if ours and lines[7].strip() == "ready":
                return
            now = time.monotonic()
            if now - told >= 1:
                told = now
                progress(
                    "PostgreSQL is starting (after a kill: recovering what was not yet in its"
                    f" tables): {now - began:.0f} s so far"
                )
            with suppress(subprocess.TimeoutExpired):
                self._server.wait(_POLL_SECONDS)

    def stop(self, timeout_seconds: float = 10) -> None:
        """Stop the server within the time and give the folder back; harmless when it is stopped.

        A fast shutdown first: sessions are cut, nothing committed is lost. When that takes
        longer, an immediate one; the next start recovers.
        """
        self._stopping.set()
        with self._busy:
            self._stop(timeout_seconds)

    def _stop(self, timeout_seconds: float) -> None:
        server, place = self._server, self._home
        if server is not None:
            for number, seconds in (
                (signal.SIGINT, timeout_seconds),
                (signal.SIGQUIT, 5),
                (signal.SIGKILL, 5),
            ):
                if server.poll() is None:
                    server.send_signal(number)
                    with suppress(subprocess.TimeoutExpired):
                        server.wait(seconds)
            self._server = None
        if self._lock is not None and self._lock.held:
            # Backends whose postmaster was killed are still ours to end, under the lock.
            if place is not None:
                leftovers.end(place, _silent)
            self._lock.release()
