"""`labdispatch run`: everything in one, each station a process of its own.

The supervisor owns the data folder and the database; the stations are started by their own
commands, as an operator would start them on many machines. It ends what an earlier run left,
starts again what dies, and stops in order: senders, doors, dispatch, relay, push, indicators,
api, database.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import msgspec

from ops.backup.archive import server_settings
from ops.runtime.data_folder import DataFolder, ProcessLedger
from ops.runtime.embedded import EmbeddedPostgres, check_keys
from ops.runtime.logs import get_logger
from ops.runtime.metrics import forget_process
from ops.runtime.settings import Settings
from schemas.errors import FatalError

_log = get_logger(__name__)

ROAD: Final = ("ingest", "dispatch", "relay", "push", "indicators", "api")
"""In the order of the road; stopped in the same order, senders before them."""
_STOP_SHARE_SECONDS: Final = 4.0
_AGAIN_SECONDS: Final = 5.0
_WATCH_SECONDS: Final = 0.25
_DATABASE_TRIES: Final = 5
_LOG_LIMIT_BYTES: Final = 32 * 1024 * 1024
_START_SECONDS: Final = 60.0


class Station(msgspec.Struct, kw_only=True):
    """One child process and how it fares."""

    name: str
    """Its role, and a number from the second of a role on."""
    role: str
    command: list[str]
    process: asyncio.subprocess.Process | None = None
    starts: int = 0
    started_at: float = 0.0


class Supervisor:
    """Starts, watches and stops the processes of one data folder.

    Args:
        settings: Of the run; `mllp_port` and `http_port` are already chosen, not 0.
        folder: Locked by us.
        simulate: Further arguments of `labdispatch simulate`, or None for no senders.
    """

    def __init__(
        self,
        settings: Settings,
        folder: DataFolder,
        database: EmbeddedPostgres,
        *,
        simulate: list[str] | None,
    ) -> None:
        self._settings = settings
        self._folder = folder
        self._database = database
        self._ledger = ProcessLedger(folder.path)
        self._stopping = False
        self._watchers: dict[str, asyncio.Task[None]] = {}
        self.failed: asyncio.Future[FatalError] = asyncio.get_running_loop().create_future()
        self.stations = {
            name: Station(name=name, role=role, command=_command(role))
            for role in ROAD
            for name in _names(role, settings)
        }
        if simulate is not None:
            address = f"{settings.mllp_host}:{settings.mllp_port}"
            self.stations["simulate"] = Station(
                name="simulate",
                role="simulate",
                command=[*_command("simulate"), "--to", address, *simulate],
            )

    async def start(self) -> None:
        """Start the stations and wait until each says it is ready.

        Raises:
            FatalError: One of them cannot start; its own words are in its log.
        """
        self._watchers["database"] = asyncio.create_task(self._watch_database())
        road = [station for station in self.stations.values() if station.role in ROAD]
        for station in road:
            await self._spawn(station)
        await asyncio.gather(*(self._until_ready(station.name) for station in road))
        if "simulate" in self.stations:
            await self._spawn(self.stations["simulate"])

    async def stop(self) -> None:
        """Stop every station in the order of the road; each gets its share of ten seconds."""
        self._stopping = True
        for watcher in self._watchers.values():
            watcher.cancel()
        await asyncio.gather(*self._watchers.values(), return_exceptions=True)
        for role in ("simulate", *ROAD):
            stations = [each for each in self.stations.values() if each.role == role]
            await asyncio.gather(*(self._end(station) for station in stations))

    # ------------------------------------------------------------------ one station

    async def _spawn(self, station: Station) -> None:
        await self._launch(station)
        self._watchers[station.name] = asyncio.create_task(self._watch(station))

    async def _launch(self, station: Station) -> None:
        ready = ready_file(self._folder.path, station.name)
        ready.unlink(missing_ok=True)
        log_path = self._folder.path / "logs" / f"{station.name}.log"
        log_path.parent.mkdir(mode=0o700, exist_ok=True)
        _bound_log(log_path)
        with log_path.open("ab") as log_file:
            station.process = await asyncio.create_subprocess_exec(
                *station.command,
                env=self._settings.model_copy(
                    update={
                        "station_name": station.name,
                        "mllp_share_port": _doors(self._settings) > 1,
                    }
                ).as_environment(self._folder.path / "metrics"),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log_file,
                stderr=log_file,
                start_new_session=True,  # Ctrl-C reaches us alone: we stop them in order
            )
        station.starts += 1
        station.started_at = time.monotonic()
        self._ledger.record(station.name, station.process.pid)

    async def _watch(self, station: Station) -> None:
        """Start the station again when it dies; slower each time it dies young."""
        delay = 0.2
        while True:
            assert station.process is not None
            code = await station.process.wait()
            self._ledger.forget(station.process.pid)
            forget_process(self._folder.path / "metrics", station.process.pid)
            if self._stopping:
                return
            if station.role == "simulate" and code == 0:
                return
            _log.warning("station_died", role=station.name, exit_code=code)
            if code == 2:
                self._fail(f"{station.name}_settings", "its log says which setting is wrong")
                return
            lived = time.monotonic() - station.started_at
            delay = 0.2 if lived > 30 else min(5.0, delay * 2)
            while True:
                await asyncio.sleep(delay)
                if await self._launched(station):
                    break
                delay = _AGAIN_SECONDS

    async def _launched(self, station: Station) -> bool:
        """Start a station again; False where the machine has no room for it now."""
        if self._stopping:
            return True
        try:
            await self._launch(station)
        except OSError as error:
            _log.warning("station_not_started", role=station.name, code=error.errno)
            return False
        return True

    async def _watch_database(self) -> None:
        """Start the database again when it dies, and keep every log within its bound.

        A database that dies while it recovers is started again too, a few times.
        """
        failures = 0
        while True:
            await asyncio.sleep(_WATCH_SECONDS * 2**failures)
            for path in (self._folder.path / "logs").glob("*.log"):
                _bound_log(path)
            if self._database.running or self._stopping:
                continue
            _log.error("database_died", role="postgres")
            try:
                await asyncio.to_thread(self._database.start)
            except FatalError as error:
                failures += 1
                if failures > _DATABASE_TRIES:
                    self._fail(error.reason, error.remedy)
                    return
            else:
                failures = 0

    async def _until_ready(self, name: str) -> None:
        path = ready_file(self._folder.path, name)
        try:
            async with asyncio.timeout(_START_SECONDS):
                while not path.exists():
                    if self.failed.done():
                        raise self.failed.result()
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise FatalError(
                f"{name}_not_ready", f"read logs/{name}.log in the data folder"
            ) from None

    async def _end(self, station: Station) -> None:
        process = station.process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(_STOP_SHARE_SECONDS):
                await process.wait()
        except TimeoutError:
            _log.warning("station_killed", role=station.name)
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    def _fail(self, reason: str, remedy: str) -> None:
        if not self.failed.done():
            self.failed.set_result(FatalError(reason, remedy))


def ready_file(data_dir: Path, name: str) -> Path:
    """Where a station says that it is ready."""
    return data_dir / "run" / f"{name}.ready"


def say_ready(settings: Settings, role: str) -> None:
    """Tell the supervisor, if there is one, that this station is ready."""
    path = ready_file(settings.data_dir, settings.station_name or role)
    if path.parent.is_dir():
        scratch = path.with_suffix(f".{os.getpid()}")
        scratch.write_text(str(os.getpid()))
        scratch.replace(path)


def choose_port(host: str, port: int, setting: str) -> int:
    """Return the port, or any free one for 0.

    Raises:
        FatalError: The port is taken; the remedy names the option.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            raise FatalError(
                "port_busy",
                f"{host}:{port} is in use: end what listens there (ss -ltnp), or choose another"
                f" with {setting} (0 = any free port)",
            ) from None
        return int(probe.getsockname()[1])


async def open_folder(
    settings: Settings, progress: Callable[[str], None]
) -> tuple[DataFolder, EmbeddedPostgres]:
    """Lock the data folder, end what an earlier run left, start the database.

    Raises:
        FatalError: Another run holds the folder, or the database cannot start.
    """
    folder = DataFolder(settings.data_dir)
    folder.acquire("labdispatch run")
    try:
        ended = await asyncio.to_thread(ProcessLedger(folder.path).end_leftovers)
        if ended:
            progress(f"ended {len(ended)} processes that an earlier run left")
        for stale in ("run", "metrics"):
            shutil.rmtree(folder.path / stale, ignore_errors=True)
            (folder.path / stale).mkdir(mode=0o700)
        check_keys(folder.path, settings.keys_folder)
        database = EmbeddedPostgres(
            folder.path,
            state_dir=settings.state_dir,
            shared_buffers_mb=settings.embedded_buffers_megabytes,
            extra_settings=server_settings(settings),
        )
        await asyncio.to_thread(database.start, progress)
    except BaseException:
        folder.release()
        raise
    return folder, database


async def until_stopped(supervisor: Supervisor, body: Awaitable[None] | None) -> None:
    """Wait for Ctrl-C or SIGTERM, for the end of `body`, or for a station that cannot start.

    Raises:
        FatalError: A station that cannot be started again.
    """
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    waits: list[asyncio.Future[object]] = [asyncio.ensure_future(stopped.wait())]
    waits.append(asyncio.ensure_future(_as_object(supervisor.failed)))
    if body is not None:
        waits.append(asyncio.ensure_future(_as_object(body)))
    done, pending = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for wait in pending:
        wait.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
    if supervisor.failed.done() and not supervisor.failed.cancelled():
        raise supervisor.failed.result()
    for wait in done:
        wait.result()


async def _as_object(awaited: Awaitable[object]) -> object:
    return await awaited


def _names(role: str, settings: Settings) -> list[str]:
    """Return the names of a role's processes: several only at the MLLP door."""
    count = _doors(settings) if role == "ingest" else 1
    return [role, *(f"{role}-{number}" for number in range(2, count + 1))]


def _doors(settings: Settings) -> int:
    """Return how many ingest processes there are: each more costs all others appends and wake-ups.

    On two cores one is enough for more than all stations together can take (ADR 0055).
    """
    return settings.ingest_processes or max(1, len(os.sched_getaffinity(0)) // 2)


def _command(role: str) -> list[str]:
    return [sys.executable, "-m", "ops.cli", role]


def _bound_log(path: Path) -> None:
    """Keep one older part beside a log that grew too long, so that logs never fill the disk.

    The file is cut, not moved: its process holds it open for appending and goes on in it.
    """
    if path.exists() and path.stat().st_size > _LOG_LIMIT_BYTES:
        shutil.copyfile(path, path.with_suffix(".log.1"))
        os.truncate(path, 0)
