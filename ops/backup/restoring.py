"""Restores a hub into an empty data folder: all of it, or nothing that could be started."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import msgspec

from ops.runtime.data_folder import make_folder
from ops.runtime.embedded import Target, recover, texts_of
from ops.runtime.key_folder import FolderKeyStore
from schemas.errors import FatalError, PermanentError

from . import folder as layout
from .folder import Backup
from .lacking import DAYS, KEPT_FROM, Lacking, lacking
from .taking import verify


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What a person asks to be restored."""

    folder: Path
    data_dir: Path
    state_dir: Path | None
    to_time: datetime | None = None
    wal: Path | None = None
    """A folder with the last pieces of the log: `pg_wal` of the machine that was lost."""
    without_wal: bool = False
    """The base backup alone, whatever was archived since."""
    keys: Path | None = None
    """Copies of the wrapped keys."""
    master_key: Path | None = None


class Restored(msgspec.Struct, frozen=True, kw_only=True):
    """What was restored."""

    backup: Backup
    segments: int
    last_commit_at: datetime | None
    keys: int
    """How many keys were put in place; 0: none were named."""
    lacking: list[Lacking]
    """Keys of days that are not among them, as far as the database tells."""


def restore(wanted: Wanted, progress: Callable[[str], None]) -> Restored:
    """Verify, copy, recover, put the keys in place. Nothing runs afterwards.

    Raises:
        PermanentError: No such backup, a folder that is not empty, a log with a gap or too short,
            keys that do not belong together.
        FatalError: The backup is damaged, or PostgreSQL does not recover it.
    """
    if (wanted.keys is None) != (wanted.master_key is None):
        raise PermanentError("keys_incomplete", "name both --keys-from and --master-key, or none")
    hub, backup = layout.found(wanted.folder, wanted.to_time)
    progress(f"verifying {backup.name}, taken at {backup.ended_at:%Y-%m-%d %H:%M:%S} UTC")
    verify(hub, msgspec.structs.replace(backup, wal=""), wanted.state_dir)
    segments = _segments(hub, backup, wanted)
    last = recover(
        wanted.data_dir,
        Target(base=hub / backup.name / "data", segments=segments, to_time=wanted.to_time),
        state_dir=wanted.state_dir,
        progress=progress,
    )
    keys = 0
    names: set[str] = set()
    if wanted.keys is not None and wanted.master_key is not None:
        keys = _put_keys(wanted.data_dir / "keys", wanted.keys, wanted.master_key)
        names = FolderKeyStore(wanted.data_dir / "keys").names()
    days, kept_from = (
        texts_of(wanted.data_dir, wanted.state_dir, statement) for statement in (DAYS, KEPT_FROM)
    )
    return Restored(
        backup=backup,
        segments=len(segments),
        last_commit_at=last,
        keys=keys,
        lacking=lacking(names, days, kept_from, last),
    )


def _segments(hub: Path, backup: Backup, wanted: Wanted) -> dict[str, Path]:
    """Return the log to be replayed, and its history files, by name."""
    if wanted.without_wal:
        return {}
    folders = [hub / backup.wal] if backup.wal else []
    found: dict[str, Path] = {}
    others: dict[str, Path] = {}
    for folder in folders:
        found |= layout.segments_in(folder)
        others |= {each.name: each for each in folder.glob("*.history")}
    if wanted.wal is not None:
        theirs = layout.segments_in(wanted.wal)
        if not theirs:
            raise PermanentError("no_wal", f"{wanted.wal} holds no segment of a log")
        # The server's own is never shorter than the copy of it that was still being written.
        found |= {
            name: path
            for name, path in theirs.items()
            if name not in found or found[name].suffix == ".partial"
        }
    wanted_names = layout.without_gap(found, backup.start_segment)
    return {name: found[name] for name in wanted_names} | others


def _put_keys(folder: Path, copies: Path, master_key: Path) -> int:
    """Copy keys into their place, and prove that each opens.

    Raises:
        FatalError: One was wrapped by another master key (`keys_damaged`).
        PermanentError: There is none (`no_keys`).
    """
    make_folder(folder)
    files = [each for each in copies.iterdir() if each.suffix in {".key", ".gone"}]
    if not any(each.suffix == ".key" and each.name != "master.key" for each in files):
        raise PermanentError("no_keys", f"{copies} holds no key: name the folder of their copies")
    for each in files:
        if each.name != "master.key" and not each.name.startswith("."):
            _copy(each, folder / each.name)
    _copy(master_key, folder / "master.key")
    store = FolderKeyStore(folder)
    names = store.names() - {"master"}
    loaded = 0
    for name in sorted(names):
        try:
            loaded += store.load(name) is not None
        except FatalError:
            shutil.rmtree(folder)
            raise
    return loaded


def _copy(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)
    target.chmod(0o600)
