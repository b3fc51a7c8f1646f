"""Makes the cluster of an empty data folder out of a base backup and a log, and recovers it.

A restore is whole or not at all: until it is, `restore.json` in the data folder says so, and no
server is started on it (`check_whole`).
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from ops.runtime.data_folder import FolderLock, make_folder, write_private
from schemas.errors import FatalError, PermanentError

from . import binaries, cluster, home, leftovers, tuning
from .account import Account, current
from .cluster import SUPERUSER
from .home import DEFAULT_STATE_DIR, Connection, Home
from .single_user import run_single

MARK: Final = "restore.json"
_STOP_SECONDS: Final = 600.0
_POLL_SECONDS: Final = 0.05
_TOLD_SECONDS: Final = 1.0
_LAST: Final = re.compile(r"last completed transaction was at log time (\S+ \S+)")
_REPLAYED: Final = re.compile(r"restored log file")
_ENDED: Final = re.compile(rb"^Database cluster state: +shut down$", re.MULTILINE)
_TOO_LATE: Final = re.compile(r"recovery ended before configured recovery target")


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """What is restored, and up to where."""

    base: Path
    """PostgreSQL's folder in a base backup."""
    segments: Mapping[str, Path]
    """Name -> file of the log to be replayed onto it."""
    to_time: datetime | None = None
    """None: to the end of the log."""


class _Mark(msgspec.Struct, frozen=True, kw_only=True):
    """What stands in `restore.json`."""

    whole: bool
    last_commit_at: datetime | None = None


def check_whole(data_dir: Path) -> None:
    """Refuse a data folder that a restore left half.

    Raises:
        FatalError: `restore_unfinished`.
    """
    mark = _read(data_dir)
    if mark is not None and not mark.whole:
        raise FatalError(
            "restore_unfinished",
            f"a restore into {data_dir} did not end: give the same labdispatch restore again",
        )


def check_keys(data_dir: Path, keys: Path) -> None:
    """Refuse a restored data folder without its keys: new ones would open nothing of it.

    Raises:
        FatalError: `restored_without_keys`.
    """
    if _read(data_dir) is not None and not (keys / "master.key").exists():
        raise FatalError(
            "restored_without_keys",
            f"put master.key and the copies of the keys into {keys} (docs/runbooks/restore.md)",
        )


def recover(
    data_dir: Path,
    target: Target,
    *,
    state_dir: Path | None,
    progress: Callable[[str], None],
) -> datetime | None:
    """Restore into an empty folder; return when the last transaction was committed that is in it.

    Nothing is running afterwards. The passwords of the server are new.

    Raises:
        PermanentError: The folder is not empty (`folder_not_empty`), or the log ends before the
            moment asked for (`wal_too_short`): nothing is left of it then.
        FatalError: The server did not recover.
    """
    _check_empty(data_dir)
    real = make_folder(data_dir)
    lock = FolderLock(real / "postgres.lock")
    lock.acquire("labdispatch restore")
    try:
        write_private(real / MARK, msgspec.json.encode(_Mark(whole=False)))
        account = current()
        state = (state_dir or DEFAULT_STATE_DIR).resolve()
        place = home.locate(real, state, account)
        home.make(place, account)
        leftovers.end(place, progress)
        leftovers.clear(place)
        _clear(real, place)
        connection = home.settle(real, place, progress)
        programs = binaries.reachable(account, state)
        try:
            _copy(target, place, account, progress)
            _recover(place, account, programs, target, progress)
            _set_password(place, account, programs, connection)
        except BaseException:
            leftovers.end(place, progress)
            _clear(real, place)
            raise
        last = _last_commit(place)
        shutil.rmtree(_wal_of(place))
        write_private(real / MARK, msgspec.json.encode(_Mark(whole=True, last_commit_at=last)))
        return last
    finally:
        lock.release()


def _read(data_dir: Path) -> _Mark | None:
    try:
        return msgspec.json.decode((data_dir / MARK).read_bytes(), type=_Mark)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError):
        return _Mark(whole=False)


def _check_empty(data_dir: Path) -> None:
    left = {each.name for each in data_dir.iterdir()} if data_dir.is_dir() else set()
    mark = _read(data_dir)
    if left and (mark is None or mark.whole):
        raise PermanentError(
            "folder_not_empty",
            f"{data_dir} is not empty: restore into another --data-dir; nothing is overwritten",
        )


def _wal_of(place: Home) -> Path:
    return place.path / "restored-wal"


def _clear(data_dir: Path, place: Home) -> None:
    """Take away what a restore that did not end has made, so that it can begin anew."""
    known = home.read_file(data_dir)
    if known is not None and Path(known.home) == place.path:
        shutil.rmtree(place.cluster, ignore_errors=True)
    shutil.rmtree(_wal_of(place), ignore_errors=True)
    for name in ("postgres.json", "cluster.id"):
        (data_dir / name).unlink(missing_ok=True)


def _copy(target: Target, place: Home, account: Account, progress: Callable[[str], None]) -> None:
    fresh = place.path / "cluster.new-restore"
    progress("copying the base backup")
    shutil.copytree(target.base, fresh, symlinks=True)
    (fresh / "recovery.signal").touch()
    (fresh / "backup_manifest").unlink(missing_ok=True)
    wal = _wal_of(place)
    wal.mkdir(mode=0o700)
    progress(f"copying {len(target.segments):,} segments of the log")
    for name, path in target.segments.items():
        shutil.copyfile(path, wal / name)
    for root in (fresh, wal):
        for folder, _, files in os.walk(root):
            Path(folder).chmod(0o700)
            account.own(Path(folder))
            for each in files:
                (Path(folder) / each).chmod(0o600)
                account.own(Path(folder) / each)
    os.sync()
    fresh.rename(place.cluster)


def _recover(
    place: Home,
    account: Account,
    programs: Path,
    target: Target,
    progress: Callable[[str], None],
) -> None:
    cluster.check_major(place)
    extra = {
        # %f and %p are PostgreSQL's; the folder is ours, and its name is a number.
        "restore_command": f'cp "{_wal_of(place)}/%f" "%p"',
        "recovery_target_action": "promote",
        # Else the server says "ready" as soon as it can be read, and is stopped before its recovery
        # has ended: the next start would replay the rest of the log, beyond the moment asked for.
        "hot_standby": "off",
        "logging_collector": "off",
    }
    if target.to_time is not None:
        extra["recovery_target_time"] = f"{target.to_time.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}+00"
    server = _launch(place, account, programs, extra)
    began = told = time.monotonic()
    try:
        while True:
            lines = leftovers.read_lines(place.cluster / "postmaster.pid")
            if server.poll() is not None:
                if _TOO_LATE.search(_said(place)):
                    raise PermanentError(
                        "wal_too_short",
                        "the log ends before that moment: an earlier --to-time, or none at all",
                    )
                raise cluster.died(place)
            ours = len(lines) >= 8 and lines[0] == str(server.pid)
            if ours and lines[7].strip() == "ready":
                break
            if time.monotonic() - told >= _TOLD_SECONDS:
                told = time.monotonic()
                done = len(_REPLAYED.findall(_said(place)))
                progress(
                    f"recovering: {done:,} of {len(target.segments):,} segments,"
                    f" {told - began:.0f} s so far"
                )
            with suppress(subprocess.TimeoutExpired):
                server.wait(_POLL_SECONDS)
    finally:
        if server.poll() is None:
            server.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                server.wait(_STOP_SECONDS)
    _check_ended(place, account, programs)


def _check_ended(place: Home, account: Account, programs: Path) -> None:
    """Check that recovery has ended and the server was stopped in order.

    Raises:
        FatalError: It was not: the next start would replay more than was asked for.
    """
    done = subprocess.run(  # noqa: S603 - our own binary, no shell
        [programs / "pg_controldata", place.cluster],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        cwd="/",
        env=cluster.environment(),
        **account.as_user(),
    )
    if _ENDED.search(done.stdout) is None or (place.cluster / "recovery.signal").exists():
        raise FatalError(
            "restore_failed", "the server was stopped before its recovery ended: restore again"
        )


def _launch(
    place: Home, account: Account, programs: Path, extra: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    arguments = tuning.arguments(
        home=place.path,
        socket=place.socket,
        name=place.name,
        port=5432,
        listen=False,
        shared_buffers_mb=128,
        extra=extra,
    )
    hba = place.path / "pg_hba.conf"
    write_private(hba, tuning.HBA.encode())
    hba.chmod(0o644)
    with place.start_log.open("wb") as log:
        place.start_log.chmod(0o600)
        return subprocess.Popen(  # noqa: S603 - our own binary, no shell
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


def _set_password(place: Home, account: Account, programs: Path, connection: Connection) -> None:
    """Give the superuser the password of the new data folder; the role's follows at the start."""
    statement = f"ALTER ROLE {SUPERUSER} PASSWORD '{connection.superuser_password}'"
    done = run_single(place, account, programs, "postgres", statement)
    if done.returncode != 0:
        raise FatalError("restore_failed", "the restored server took no new password: see its log")


def _said(place: Home) -> str:
    with suppress(OSError):
        return place.start_log.read_text(errors="replace")
    return ""


def _last_commit(place: Home) -> datetime | None:
    found = _LAST.findall(_said(place))
    if not found:
        return None
    return datetime.fromisoformat(found[-1].removesuffix("+00")).replace(tzinfo=UTC)
