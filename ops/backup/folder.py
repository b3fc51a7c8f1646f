"""How a folder of backups is laid out, and which of them are kept.

    FOLDER/HUB/base-20260306T091502Z/data/         a base backup, as PostgreSQL makes it
    FOLDER/HUB/base-20260306T091502Z/backup.json   written last: without it there is no backup
    FOLDER/HUB/wal-20260306T090000Z/               the write-ahead log, without a gap

HUB is the id of a cluster. A restored hub is another cluster and has a folder of its own: two
histories never share a log. No key is ever in it (docs/backup.md).
"""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from ops.runtime.data_folder import fsync_folder, write_private
from schemas.errors import PermanentError

SEGMENTS_PER_LOG: Final = 256
"""Of 16 MiB, as initdb makes them."""
_SEGMENT: Final = re.compile(r"[0-9A-F]{24}")
_FILE: Final = "backup.json"


class Backup(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `backup.json` says of a base backup."""

    hub: str
    name: str
    began_at: datetime
    ended_at: datetime
    size_bytes: int
    start_segment: str
    """Where the log has to begin that is replayed onto it."""
    wal: str
    """The folder of that log beside it; empty: nothing was archived, it stands for itself."""
    manifest_sha256: str
    """Of PostgreSQL's own list of all files and their digests."""
    version: str
    """Of the software that took it."""


class Gap(PermanentError):
    """The archived log lacks a piece.

    Args:
        missing: The first segment that is not there.
    """

    def __init__(self, missing: str) -> None:
        super().__init__(
            "wal_gap",
            f"the archived log lacks {missing}: restore a later backup, or name the folder that has"
            " it with --wal, or give it up with --without-wal",
        )


def stamp(moment: datetime) -> str:
    """Return a moment as it stands in names."""
    return f"{moment.astimezone(UTC):%Y%m%dT%H%M%S%fZ}"


def write(folder: Path, backup: Backup) -> None:
    """Write what makes a folder a backup."""
    write_private(folder / _FILE, msgspec.json.format(msgspec.json.encode(backup)))


def read(folder: Path) -> Backup | None:
    """Return what a folder is, None where it is no whole backup."""
    try:
        return msgspec.json.decode((folder / _FILE).read_bytes(), type=Backup)
    except (OSError, msgspec.MsgspecError):
        return None


def backups_in(hub: Path) -> list[Backup]:
    """Return the whole backups of a hub, the oldest first."""
    found = [read(each) for each in hub.glob("base-*")]
    return sorted((each for each in found if each), key=lambda each: each.ended_at)


def hubs_in(folder: Path) -> list[Path]:
    """Return the folders of hubs that have a backup, the one with the newest last."""
    hubs = [each for each in folder.glob("*") if backups_in(each)]
    return sorted(hubs, key=lambda each: backups_in(each)[-1].ended_at)


def found(folder: Path, to_time: datetime | None) -> tuple[Path, Backup]:
    """Return the backup that a person means.

    Args:
        folder: One backup, those of a hub, or all.
        to_time: The moment to get back to: the backup has to be older.

    Raises:
        PermanentError: There is none (`no_backup`), or of several hubs (`several_hubs`).
    """
    own = read(folder)
    if own is not None:
        hub, candidates = folder.resolve().parent, [own]
    else:
        hubs = [folder] if backups_in(folder) else hubs_in(folder)
        if len(hubs) > 1:
            names = ", ".join(each.name for each in hubs)
            raise PermanentError("several_hubs", f"name one of the folders {names} in it")
        hub, candidates = (hubs[0], backups_in(hubs[0])) if hubs else (folder, [])
    fitting = [each for each in candidates if to_time is None or each.ended_at <= to_time]
    if not fitting:
        raise PermanentError(
            "no_backup", f"{folder} holds no whole backup that ended before the moment asked for"
        )
    return hub, fitting[-1]


# ------------------------------------------------------------------------------ the log


def number_of(segment: str) -> int:
    """Return the place of a segment in the log."""
    return int(segment[8:16], 16) * SEGMENTS_PER_LOG + int(segment[16:24], 16)


def segments_in(folder: Path) -> dict[str, Path]:
    """Return the segments of a folder by name; one still being written stands for itself."""
    segments: dict[str, Path] = {}
    for path in sorted(folder.glob("*")):  # a whole one sorts before its `.partial`
        name = path.name.removesuffix(".partial")
        if _SEGMENT.fullmatch(name):
            segments.setdefault(name, path)
    return segments


def without_gap(segments: Iterable[str], start: str) -> list[str]:
    """Return the segments from a start on.

    Raises:
        Gap: One between them is missing, or the first.
    """
    wanted = sorted((s for s in segments if number_of(s) >= number_of(start)), key=number_of)
    expected = number_of(start)
    for segment in wanted:
        if number_of(segment) > expected:
            high, low = divmod(expected, SEGMENTS_PER_LOG)
            raise Gap(f"{segment[:8]}{high:08X}{low:08X}")
        expected = number_of(segment) + 1
    return wanted


# ------------------------------------------------------------------------------ what is kept


def clean(hub: Path, keep: int) -> list[str]:
    """Remove all but the newest backups, and the log before the oldest that stays.

    The log's newest folder always stays: it is being written.

    Returns:
        The names of the backups that went.
    """
    backups = backups_in(hub)
    gone, kept = backups[:-keep], backups[-keep:]
    for each in gone:
        _remove(hub / each.name)
    for left in hub.glob(".gone-*"):
        shutil.rmtree(left)
    folders = sorted(hub.glob("wal-*"))
    for folder in folders:
        starts = [each.start_segment for each in kept if each.wal == folder.name]
        if not starts and folder != folders[-1]:
            _remove(folder)
        elif starts:
            _trim(folder, starts)
    return [each.name for each in gone]


def _remove(folder: Path) -> None:
    """Take a folder away so that a half of it never counts."""
    aside = folder.with_name(f".gone-{folder.name}")
    folder.rename(aside)
    fsync_folder(aside.parent)
    shutil.rmtree(aside)


def _trim(folder: Path, starts: Sequence[str]) -> None:
    oldest = min(number_of(each) for each in starts)
    for name, path in segments_in(folder).items():
        if number_of(name) < oldest:
            path.unlink()


def size_of(folder: Path) -> int:
    """Return the bytes of all files below a folder."""
    return sum(each.stat().st_size for each in folder.rglob("*") if each.is_file())


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
