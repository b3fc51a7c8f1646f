"""Takes a base backup of a running embedded database: whole and verified, or not at all.

PostgreSQL's own programs do the work (pg_basebackup, pg_verifybackup). It is read beside the flow,
at a bounded pace; nothing waits for it.
"""

from __future__ import annotations

import importlib.metadata
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from ops.runtime.data_folder import FolderLock, fsync_folder, make_folder
from ops.runtime.embedded import admin_environment, client_programs
from schemas.errors import FatalError, PermanentError, TransientError

from . import folder as layout
from .folder import Backup

_PROGRESS: Final = re.compile(rb"(\d+)/(\d+) kB")
_START: Final = re.compile(r"START WAL LOCATION: \S+ \(file ([0-9A-F]{24})\)")
_POLL_SECONDS: Final = 0.2
_LOG_TAIL_BYTES: Final = 400


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """What is backed up, and where the backup may not lie."""

    data_dir: Path
    state_dir: Path | None
    forbidden: Sequence[Path]
    """Folders of keys and their copies, and the data folder itself."""


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """How fast, how soon, and until when."""

    megabytes_per_second: int
    at_once: bool = False
    """Ask for a checkpoint now, and not at the pace of the next."""
    stopping: Callable[[], bool] = lambda: False
    """Whether to give up."""


def hub_folder(folder: Path, source: Source) -> Path:
    """Return the folder of a hub's backups, made if it is missing.

    Raises:
        PermanentError: It would hold keys, or lie in what it saves (`backup_misplaced`).
        TransientError: No database was ever started there (`not_running`).
    """
    check_place(folder, source.forbidden)
    try:
        token = (source.data_dir / "cluster.id").read_text().strip()
    except FileNotFoundError:
        raise TransientError(
            "not_running", f"start it: labdispatch run --data-dir {source.data_dir}"
        ) from None
    return make_folder(make_folder(folder) / token[:16])


def check_place(folder: Path, forbidden: Sequence[Path]) -> None:
    """Refuse a folder inside one of these, or around one.

    Raises:
        PermanentError: `backup_misplaced`.
    """
    place = folder.resolve()
    for each in forbidden:
        other = each.resolve()
        if place == other or place in other.parents or other in place.parents:
            raise PermanentError(
                "backup_misplaced",
                f"{folder} and {each} lie in each other: a backup holds no key and no backup;"
                " choose a folder apart, best on another disk",
            )


def take(
    folder: Path,
    source: Source,
    pace: Pace,
    progress: Callable[[str], None],
) -> Backup:
    """Take a backup into `folder`, and return what it is.

    Args:
        folder: Of all backups.
        source: The hub.
        pace: Bounds of it.
        progress: Called with a line for people now and then.

    Raises:
        TransientError: The database does not run, or another backup is under way.
        FatalError: It could not be written, or is damaged (`backup_failed`, `backup_damaged`).
    """
    hub = hub_folder(folder, source)
    lock = FolderLock(hub / "backup.lock")
    try:
        lock.acquire("labdispatch backup")
    except FatalError as error:
        raise TransientError("backup_under_way", error.remedy) from None
    try:
        return _take(hub, source, pace, progress)
    finally:
        lock.release()


def _take(
    hub: Path,
    source: Source,
    pace: Pace,
    progress: Callable[[str], None],
) -> Backup:
    for left in hub.glob(".new-*"):  # of one that was killed
        shutil.rmtree(left)
    began_at = datetime.now(UTC)
    name = f"base-{layout.stamp(began_at)}"
    fresh = hub / f".new-{name}"
    fresh.mkdir(mode=0o700)
    try:
        programs = client_programs(source.state_dir)
        _run_base_backup(programs, source, pace, fresh, progress)
        progress("verifying every file")
        verify_files(programs, fresh / "data")
        wals = sorted(each.name for each in hub.glob("wal-*"))
        backup = Backup(
            hub=hub.name,
            name=name,
            began_at=began_at,
            ended_at=datetime.now(UTC),
            size_bytes=layout.size_of(fresh / "data"),
            start_segment=_start_of(fresh / "data"),
            wal=wals[-1] if wals else "",
            manifest_sha256=layout.digest_of(fresh / "data" / "backup_manifest"),
            version=importlib.metadata.version("labdispatch"),
        )
        layout.write(fresh, backup)
        fresh.rename(hub / name)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    fsync_folder(hub)
    return backup


def _run_base_backup(
    programs: Path,
    source: Source,
    pace: Pace,
    fresh: Path,
    progress: Callable[[str], None],
) -> None:
    said = fresh / "said"
    with said.open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 - our own binary, no shell
            [
                programs / "pg_basebackup",
                f"--pgdata={fresh / 'data'}",
                "--format=plain",
                "--wal-method=stream",
                f"--checkpoint={'fast' if pace.at_once else 'spread'}",
                "--manifest-checksums=SHA256",
                f"--max-rate={pace.megabytes_per_second}M",
                "--label=labdispatch",
                "--no-password",
                "--progress",
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            env=admin_environment(source.data_dir),
            start_new_session=True,
            umask=0o077,
        )
    try:
        while process.poll() is None:
            if pace.stopping():
                raise TransientError("stopped", "the backup was given up: take it again")
            with suppress(subprocess.TimeoutExpired):
                process.wait(_POLL_SECONDS)
            _tell(said, progress)
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()
    if process.returncode != 0:
        raise _failed(said)
    said.unlink()


def _failed(said: Path) -> TransientError | FatalError:
    text = said.read_bytes()[-_LOG_TAIL_BYTES:]
    if b"could not connect" in text or b"connection to server" in text:
        return TransientError("not_running", "start the hub first: a backup is taken while it runs")
    if b"No space left" in text:
        return FatalError("backup_failed", "the disk of the backups is full: free space, or --to")
    return FatalError("backup_failed", "is the folder writable, and the database well? See its log")


def _tell(said: Path, progress: Callable[[str], None]) -> None:
    numbers = _PROGRESS.findall(said.read_bytes()[-_LOG_TAIL_BYTES:])
    if numbers:
        done, whole = (int(each) // 1024 for each in numbers[-1])
        progress(f"{done:,} of {whole:,} MiB")


def verify_files(programs: Path, data: Path) -> None:
    """Hold every file of a base backup against its digest.

    Raises:
        FatalError: One is missing, altered or too many (`backup_damaged`).
    """
    done = subprocess.run(  # noqa: S603 - our own binary, no shell
        [programs / "pg_verifybackup", "--quiet", "--exit-on-error", data],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
        cwd="/",
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
    )
    if done.returncode != 0:
        raise FatalError(
            "backup_damaged", f"a file of {data.parent} is not as it was written: take another one"
        )


def verify(hub: Path, backup: Backup, state_dir: Path | None) -> int:
    """Verify a backup and the log behind it; return how many segments that log has.

    Raises:
        FatalError: A file is not as it was written.
        PermanentError: The log has a gap.
    """
    data = hub / backup.name / "data"
    if layout.digest_of(data / "backup_manifest") != backup.manifest_sha256:
        raise FatalError("backup_damaged", f"the list of files of {backup.name} was altered")
    verify_files(client_programs(state_dir), data)
    if not backup.wal:
        return 0
    return len(layout.without_gap(layout.segments_in(hub / backup.wal), backup.start_segment))


def _start_of(data: Path) -> str:
    found = _START.search((data / "backup_label").read_text())
    if found is None:
        raise FatalError("backup_damaged", "the base backup has no label: take another one")
    return found.group(1)
