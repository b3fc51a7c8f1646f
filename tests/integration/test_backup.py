"""A backup of a running embedded database: whole, without a key, and back at any moment."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import ANY

import pytest

from ops.backup import folder as layout
from ops.backup.archive import WalArchive, server_settings
from ops.backup.keeping import source_of
from ops.backup.restoring import Restored, Wanted, restore
from ops.backup.taking import Pace, hub_folder, take, verify
from ops.runtime.embedded import EmbeddedPostgres, leftovers, recovery
from ops.runtime.settings import Settings, load_settings
from schemas.errors import FatalError, PermanentError
from tests.support.postgres import connected, open_folder

PACE = Pace(megabytes_per_second=1_023, at_once=True)
SECONDS = 90.0


def silent(_: str) -> None:
    """Take progress and say nothing."""


@pytest.fixture
def folder() -> Iterator[Path]:
    path = open_folder()
    yield path
    shutil.rmtree(path)


@pytest.fixture
def settings(folder: Path) -> Settings:
    return load_settings(
        data_dir=folder / "data",
        state_dir=folder / "state",
        backup_dir=folder / "backups",
        keys_copy_dir=folder / "copies",
        backup_synchronous=True,
    )


@pytest.fixture
def server(settings: Settings) -> Iterator[EmbeddedPostgres]:
    server = server_of(settings)
    server.start()
    yield server
    server.stop()


def server_of(settings: Settings) -> EmbeddedPostgres:
    return EmbeddedPostgres(
        settings.data_dir,
        state_dir=settings.state_dir,
        shared_buffers_mb=64,
        extra_settings={"max_wal_size": "1GB", **server_settings(settings)},
    )


@contextlib.asynccontextmanager
async def archiving(settings: Settings) -> AsyncIterator[Path]:
    """Archive as a run does."""
    assert settings.backup_dir is not None
    hub = hub_folder(settings.backup_dir, source_of(settings))
    task = asyncio.create_task(WalArchive(settings, hub, lambda: None).keep())
    try:
        yield hub
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(SECONDS):
        while not holds():
            await asyncio.sleep(0.05)


async def write(server: EmbeddedPostgres, numbers: range) -> datetime:
    """Commit rows one by one, each after the one before was confirmed; return a moment after."""
    async with connected(server.connect_kwargs()) as connection:
        await connection.execute("CREATE TABLE IF NOT EXISTS kept (n int)")
        for n in numbers:
            await connection.execute("INSERT INTO kept VALUES ($1)", n)
        moment: datetime = await connection.fetchval("SELECT clock_timestamp()")
        return moment


async def know_of_days(server: EmbeddedPostgres) -> None:
    """Make what is asked of a restored database: days of the account, and what purges have kept."""
    async with connected(server.connect_kwargs()) as connection:
        await connection.execute(
            """
            CREATE TABLE account_day (day date, name text);
            CREATE TABLE account_in_flight (day date);
            CREATE TABLE purge (cuts jsonb);
            INSERT INTO account_day VALUES ('2026-03-01', 'received'), ('2026-03-02', 'received'),
                ('2026-03-02', 'received'), ('2026-03-03', 'replay_asked');
            INSERT INTO account_in_flight VALUES ('2026-03-04');
            INSERT INTO purge VALUES ('{"intake": "2026-03-02"}'), ('{"intake": "2026-03-01"}');
            """
        )


async def rows_of(settings: Settings) -> list[int]:
    server = server_of(settings)
    server.start()
    try:
        async with connected(server.connect_kwargs()) as connection:
            found = await connection.fetch("SELECT n FROM kept ORDER BY n")
        return [row["n"] for row in found]
    finally:
        server.stop()


def kill(server: EmbeddedPostgres, settings: Settings) -> None:
    """End the machine: its processes at once, and its disk."""
    assert server.pid is not None
    os.killpg(server.pid, signal.SIGKILL)
    server.stop()
    shutil.rmtree(settings.data_dir)
    assert settings.state_dir is not None
    shutil.rmtree(settings.state_dir, ignore_errors=True)


def elsewhere(settings: Settings, name: str) -> Settings:
    """Name a data folder on a new machine, on which nothing is archived yet."""
    return settings.model_copy(
        update={
            "data_dir": settings.data_dir.with_name(name),
            "backup_dir": None,
            "backup_synchronous": False,
        }
    )


def back(settings: Settings, new: Settings, to_time: datetime | None = None) -> Restored:
    assert settings.backup_dir is not None
    wanted = Wanted(
        folder=settings.backup_dir,
        data_dir=new.data_dir,
        state_dir=new.state_dir,
        to_time=to_time,
    )
    return restore(wanted, silent)


async def test_what_was_confirmed_is_back_after_the_machine_is_lost_and_so_is_any_moment(
    server: EmbeddedPostgres, settings: Settings
) -> None:
    assert settings.backup_dir is not None
    async with archiving(settings) as hub:
        await write(server, range(10))
        backup = await asyncio.to_thread(
            take, settings.backup_dir, source_of(settings), PACE, silent
        )
        middle = await write(server, range(10, 20))
        await write(server, range(20, 400))
        await know_of_days(server)
        kill(server, settings)
    assert backup.wal
    assert verify(hub, backup, settings.state_dir) >= 1
    end, then = elsewhere(settings, "end"), elsewhere(settings, "then")
    done = await asyncio.to_thread(back, settings, end)
    assert done.last_commit_at is not None
    # Intake is kept from the second on; the others have no age here. No key is there at all.
    today = done.last_commit_at.date()
    told = {each.sealed: each.days for each in done.lacking}
    assert told["intake"] == [date(2026, 3, 2), date(2026, 3, 4), today]
    assert told["codes"] == [date(2026, 3, 1), date(2026, 3, 2), date(2026, 3, 4), today]
    assert await rows_of(end) == list(range(400))
    done = await asyncio.to_thread(back, settings, then, middle)
    assert {day for each in done.lacking for day in each.days} == {today}, "nothing was counted yet"
    assert await rows_of(then) == list(range(20))
    beyond = datetime(2099, 1, 1, tzinfo=UTC)
    with pytest.raises(PermanentError, match="wal_too_short"):
        await asyncio.to_thread(back, settings, elsewhere(settings, "beyond"), beyond)
    # What did not end is not started; the same asked again begins anew and ends.
    with pytest.raises(FatalError, match="restore_unfinished"):
        server_of(elsewhere(settings, "beyond")).start()
    await asyncio.to_thread(back, settings, elsewhere(settings, "beyond"))
    assert await rows_of(elsewhere(settings, "beyond")) == list(range(400))
    with pytest.raises(PermanentError, match="folder_not_empty"):
        await asyncio.to_thread(back, settings, end)


def test_a_folder_around_keys_or_in_what_it_saves_is_refused(settings: Settings) -> None:
    source = source_of(settings)
    assert settings.keys_copy_dir is not None
    for place in (settings.data_dir, settings.data_dir / "b", settings.keys_copy_dir.parent):
        with pytest.raises(PermanentError, match="backup_misplaced"):
            hub_folder(place, source)
    with pytest.raises(FatalError, match="backup_dir lies apart"):
        load_settings(data_dir=settings.data_dir, backup_dir=settings.data_dir / "backups")


def test_a_log_with_a_hole_is_never_replayed_over(tmp_path: Path) -> None:
    names = [f"0000000100000000000000{n:02X}" for n in (0xFD, 0xFE, 0xFF)]
    names.append("000000010000000100000000")  # a log has 256 segments
    for name in names[:-1]:
        (tmp_path / name).touch()
    (tmp_path / f"{names[-1]}.partial").touch()
    found = layout.segments_in(tmp_path)
    assert layout.without_gap(found, names[1]) == names[1:]
    (tmp_path / names[2]).unlink()
    with pytest.raises(layout.Gap, match=names[2]):
        layout.without_gap(layout.segments_in(tmp_path), names[0])
    with pytest.raises(layout.Gap, match="0000000100000000000000FC"):
        layout.without_gap(found, "0000000100000000000000FC")


def test_so_many_backups_stay_and_the_log_since_the_oldest_of_them(tmp_path: Path) -> None:
    hub, wal = tmp_path / "hub", tmp_path / "hub" / "wal-1"
    wal.mkdir(parents=True)
    (hub / "wal-0").mkdir()
    (hub / ".gone-base-9").mkdir()
    for n in range(1, 5):
        moment = datetime(2026, 3, n, tzinfo=UTC)
        name = f"base-{layout.stamp(moment)}"
        (hub / name).mkdir()
        (wal / f"{n:024X}").touch()
        layout.write(
            hub / name,
            layout.Backup(
                hub="hub",
                name=name,
                began_at=moment,
                ended_at=moment,
                size_bytes=1,
                start_segment=f"{n:024X}",
                wal="wal-1",
                manifest_sha256="",
                version="",
            ),
        )
    assert len(layout.clean(hub, 2)) == 2
    assert [each.ended_at.day for each in layout.backups_in(hub)] == [3, 4]
    assert sorted(layout.segments_in(wal)) == [f"{n:024X}" for n in (3, 4)]
    assert not (hub / "wal-0").exists()
    assert not list(hub.glob(".gone-*"))
    assert layout.found(tmp_path, datetime(2026, 3, 3, 12, tzinfo=UTC))[1].ended_at.day == 3
    with pytest.raises(PermanentError, match="no_backup"):
        layout.found(tmp_path, datetime(2026, 3, 1, tzinfo=UTC))


async def test_what_was_cut_short_or_altered_is_found_and_never_counts(
    server: EmbeddedPostgres, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert settings.backup_dir is not None
    async with archiving(settings) as hub:
        await write(server, range(3))
        backup = await asyncio.to_thread(
            take, settings.backup_dir, source_of(settings), PACE, silent
        )
    cut = elsewhere(settings, "cut")
    with monkeypatch.context() as patch:
        # The server is told to stop before its recovery has ended.
        ready = [ANY, *[""] * 6, "ready"]
        patch.setattr(
            recovery,
            "leftovers",
            SimpleNamespace(end=leftovers.end, clear=leftovers.clear, read_lines=lambda _: ready),
        )
        with pytest.raises(FatalError, match="restore_failed"):
            await asyncio.to_thread(back, settings, cut)
    with pytest.raises(FatalError, match="restore_unfinished"):
        server_of(cut).start()
    control = hub / backup.name / "data" / "global" / "pg_control"
    content = bytearray(control.read_bytes())
    content[100] ^= 1
    control.write_bytes(content)
    new = elsewhere(settings, "new")
    with pytest.raises(FatalError, match="backup_damaged"):
        await asyncio.to_thread(back, settings, new)
    assert not new.data_dir.exists()
