"""`labdispatch backup` and `labdispatch restore`: what they print."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Final

from ops.printing import print_json, table_of
from ops.runtime.key_folder import key_store_of
from ops.runtime.settings import Engine, Settings, load_settings
from schemas.errors import PermanentError

from . import folder as layout
from .keeping import source_of
from .lacking import told
from .restoring import Restored, Wanted, restore
from .taking import Pace, take, verify

_TOLD_SECONDS: Final = 1.0


def run_backup(data_dir: Path, to: Path | None, *, at_once: bool, as_json: bool) -> None:
    """Take a backup now, and print what it is."""
    settings = _settings(data_dir)
    folder = _folder(settings, to)
    backup = take(
        folder,
        source_of(settings),
        Pace(megabytes_per_second=settings.backup_megabytes_per_second, at_once=at_once),
        _progress(),
    )
    copied = key_store_of(settings).copy_out()
    if as_json:
        print_json(backup)
        return
    place = folder / backup.hub / backup.name
    sys.stdout.write(f"{place}\n{backup.size_bytes:,} bytes, every file verified\n")
    if not backup.wal:
        sys.stdout.write(
            "no log is archived: what is accepted from now on is in no backup"
            " (LABDISPATCH_BACKUP_DIR, docs/backup.md)\n"
        )
    sys.stdout.write(
        f"keys: {copied} new copies in LABDISPATCH_KEYS_COPY_DIR\n"
        if settings.keys_copy_dir
        else "keys: NO COPY IS MADE; without them a backup cannot be read: set"
        " LABDISPATCH_KEYS_COPY_DIR, and copy master.key by hand, elsewhere\n"
    )


def print_backups(data_dir: Path, to: Path | None, *, as_json: bool) -> None:
    """List the backups of all hubs in the folder."""
    folder = _folder(_settings(data_dir), to)
    found = [each for hub in layout.hubs_in(folder) for each in layout.backups_in(hub)]
    if as_json:
        print_json(found)
        return
    rows = [
        [b.hub, b.name, f"{b.ended_at:%Y-%m-%d %H:%M:%S}", b.size_bytes, b.wal or "none"]
        for b in found
    ]
    sys.stdout.write(table_of(["hub", "backup", "ended (UTC)", "bytes", "log"], rows))


def verify_backups(data_dir: Path, to: Path | None, *, as_json: bool) -> None:
    """Verify the newest backup of each hub, and its log."""
    settings = _settings(data_dir)
    folder = _folder(settings, to)
    hubs = [folder] if layout.backups_in(folder) else layout.hubs_in(folder)
    if not hubs:
        raise PermanentError("no_backup", f"{folder} holds no whole backup")
    told = []
    for hub in hubs:
        backup = layout.backups_in(hub)[-1]
        segments = verify(hub, backup, settings.state_dir)
        told.append({"hub": hub.name, "backup": backup.name, "segments": segments})
    if as_json:
        print_json(told)
        return
    for each in told:
        sys.stdout.write(
            f"{each['hub']} {each['backup']}: every file as it was written,"
            f" {each['segments']:,} segments of the log without a gap\n"
        )


def run_restore(wanted: Wanted, *, as_json: bool) -> None:
    """Restore, and say what is to be done next."""
    done = restore(wanted, _progress())
    if as_json:
        print_json(done)
    else:
        sys.stdout.write(_next_steps(wanted, done))


def restore_wanted(
    folder: Path,
    data_dir: Path,
    *,
    to_time: str | None,
    wal: Path | None,
    without_wal: bool,
    keys: Path | None,
    master_key: Path | None,
) -> Wanted:
    """Return what the command line asks for.

    Raises:
        PermanentError: Its time cannot be read, or has no zone (`bad_time`).
    """
    moment = None
    if to_time is not None:
        try:
            moment = datetime.fromisoformat(to_time)
        except ValueError:
            moment = None
        if moment is None or moment.tzinfo is None:
            raise PermanentError("bad_time", "--to-time is as 2026-03-06T09:15:02Z, with its zone")
    return Wanted(
        folder=folder,
        data_dir=data_dir,
        state_dir=_settings(data_dir).state_dir,
        to_time=moment,
        wal=wal,
        without_wal=without_wal,
        keys=keys,
        master_key=master_key,
    )


def _next_steps(wanted: Wanted, done: Restored) -> str:
    last = "unknown: nothing was replayed"
    if done.last_commit_at is not None:
        last = f"{done.last_commit_at:%Y-%m-%d %H:%M:%S.%f} UTC"
    steps = []
    if not done.keys:
        steps.append(
            f"put master.key and the copies of the keys into {wanted.data_dir}/keys (folder 0700,"
            " files 0600): without them it does not start"
        )
    steps.append(f"labdispatch run --data-dir {wanted.data_dir} --no-simulate")
    steps.append(
        "labdispatch streams reconcile --all --reason ... : unless nothing was lost, readers and"
        " receivers hold events that this database does not know"
    )
    steps.append("labdispatch account; labdispatch streams verify; then docs/runbooks/restore.md")
    next_steps = "".join(f"  {n}. {step}\n" for n, step in enumerate(steps, start=1))
    return (
        f"restored {done.backup.name} and {done.segments:,} segments of its log"
        f" into {wanted.data_dir}\nlast transaction: {last}\n"
        f"{told(done.lacking, none_given=not done.keys)}next:\n{next_steps}"
    )


def _settings(data_dir: Path) -> Settings:
    settings = load_settings(data_dir=data_dir.absolute())
    if settings.engine is not Engine.EMBEDDED:
        raise PermanentError(
            "not_embedded",
            "on the cluster the database is backed up by PostgreSQL's own pg_basebackup"
            " and archive of the log, and restored from them: docs/backup.md#cluster",
        )
    return settings


def _folder(settings: Settings, to: Path | None) -> Path:
    folder = to or settings.backup_dir
    if folder is None:
        raise PermanentError("no_folder", "name a folder with --to, or set LABDISPATCH_BACKUP_DIR")
    return folder.absolute()


def _progress() -> Callable[[str], None]:
    """Return what tells people how it goes: once a second, and each thing once."""
    last, told_at = "", 0.0

    def tell(text: str) -> None:
        nonlocal last, told_at
        now = time.monotonic()
        if text != last and now - told_at >= _TOLD_SECONDS:
            last, told_at = text, now
            sys.stderr.write(f"  {text}\n")

    return tell
