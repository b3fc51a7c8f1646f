"""Folders of the watched door on the disk: who may look, which names are files, how things move.

`ROOT/<REGISTRY_ID>/in/` is the laboratory's; `work/`, `done/`, `failed/` and `out/` are the hub's.
Nothing here follows a link, and nothing is read before it has its final name.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, Final
from urllib.parse import quote, unquote

import msgspec

from ingest.bounds import KEY_BYTES
from ops.runtime.data_folder import fsync_folder
from ops.runtime.metrics import METRICS

from .batch import is_plain_name

UNFINISHED: Final = (".part", ".tmp", ".filepart")
"""Endings of names under which files are written; so are names that begin with a dot."""
FOLDERS: Final = ("in", "work", "done", "failed", "out")
_PLAIN: Final = "^ "
_DAY_SECONDS: Final = 86_400
_HASHED_AT_ONCE: Final = 1024 * 1024


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A name in a laboratory's folder; `fault` says why it is no file that may be taken."""

    name: str
    fault: str = ""


class LabFolder:
    """The folder of one laboratory.

    Args:
        path: It; its name is the registry id, with all but letters, digits, `.`, `_`, `-`, `~`,
            `^` and blanks written as %XX.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.registry_id = unquote(path.name)

    @property
    def is_named_well(self) -> bool:
        """Whether the name can be a registry id: as the register writes it, 200 bytes at most."""
        name = self.registry_id
        return (
            name == " ".join(name.split()).upper()
            and name.isprintable()
            and 0 < len(name.encode()) <= KEY_BYTES
        )

    def has_work(self) -> bool:
        """Say whether something waits or was begun; cheap, and without the lock."""
        for name in ("in", "work"):
            try:
                with os.scandir(self[name]) as entries:
                    if any(not _is_unfinished(e.name) or name == "work" for e in entries):
                        return True
            except FileNotFoundError:
                return True
        return False

    def __getitem__(self, name: str) -> Path:
        return self.path / name

    @contextmanager
    def locked(self) -> Iterator[bool]:
        """Hold the kernel's lock on this folder for a block; False where another process does."""
        handle = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True
        finally:
            os.close(handle)

    def prepare(self) -> None:
        """Make what is missing of the folders; never touches one that is there."""
        for name in FOLDERS:
            with suppress(FileExistsError):
                self[name].mkdir(mode=0o770)

    def begun(self) -> list[str]:
        """Return the files that were taken and not finished, by name."""
        return sorted(entry.name for entry in os.scandir(self["work"]))

    def waiting(self, limit: int, max_bytes: int) -> list[Found]:
        """Return what may be taken, the oldest first, and what must be put aside."""
        found: list[tuple[int, Found]] = []
        with os.scandir(self["in"]) as entries:
            for entry in entries:
                if len(found) >= limit:
                    METRICS.limit_hits.labels("batch_folder_files").inc()
                    break
                if _is_unfinished(entry.name):
                    continue
                about = entry.stat(follow_symlinks=False)
                if stat.S_ISDIR(about.st_mode):
                    continue
                fault = _fault_of(entry.name, about, max_bytes)
                found.append((about.st_mtime_ns, Found(name=entry.name, fault=fault)))
        return [each for _, each in sorted(found, key=lambda pair: (pair[0], pair[1].name))]

    def take(self, name: str) -> bool:
        """Move a file from `in` to `work`; False where one of that name is being read still."""
        if os.path.lexists(self["work"] / name):
            return False
        (self["in"] / name).rename(self["work"] / name)
        fsync_folder(self["work"])
        fsync_folder(self["in"])
        return True

    def open_begun(self, name: str) -> BinaryIO | None:
        """Open a taken file, None where it is no plain file any more."""
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        try:
            handle = os.open(self["work"] / name, flags)
        except OSError as error:
            if error.errno in {errno.ELOOP, errno.ENXIO, errno.ENOENT}:
                return None
            raise
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            return None
        return os.fdopen(handle, "rb")

    def put_away(self, name: str, source: str, target: str) -> None:
        """Move a name to `done` or `failed`; one that is there already is not overwritten."""
        goal = self[target] / name
        if os.path.lexists(goal):
            goal = self[target] / f"{name}.{time.time_ns()}"
        with suppress(FileNotFoundError):
            (self[source] / name).rename(goal)
            # Its age in here counts from now; a link is never followed.
            os.utime(goal, follow_symlinks=False)
        fsync_folder(self[target])
        fsync_folder(self[source])

    def forget_old(self, days: int) -> int:
        """Remove what was put away longer ago than this; return how much."""
        before = time.time() - days * _DAY_SECONDS
        gone = 0
        for folder in ("done", "failed"):
            with os.scandir(self[folder]) as entries:
                for entry in entries:
                    about = entry.stat(follow_symlinks=False)
                    if about.st_mtime < before and not stat.S_ISDIR(about.st_mode):
                        (self[folder] / entry.name).unlink(missing_ok=True)
                        gone += 1
        return gone


class AnswerFile:
    """`out/NAME.ack`, there whole and durable or not at all."""

    def __init__(self, folder: LabFolder, name: str) -> None:
        self._target = folder["out"] / f"{name}.ack"
        self._scratch = folder["out"] / f".{name}.ack.tmp"
        # What a killed process left under this name is ours too: the folder is locked.
        self._scratch.unlink(missing_ok=True)
        handle = os.open(self._scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o660)
        self._file = os.fdopen(handle, "wb")

    def write(self, piece: bytes) -> None:
        """Add to it."""
        self._file.write(piece)

    def finish(self) -> None:
        """Give it its name."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._scratch.rename(self._target)
        fsync_folder(self._target.parent)

    def give_up(self) -> None:
        """Leave nothing behind."""
        self._file.close()
        self._scratch.unlink(missing_ok=True)


def lab_folders(root: Path) -> list[LabFolder]:
    """Return the laboratories' folders, by name; links and dotfiles are none."""
    with os.scandir(root) as entries:
        return [
            LabFolder(root / entry.name)
            for entry in sorted(entries, key=lambda each: each.name)
            if entry.is_dir(follow_symlinks=False) and not entry.name.startswith(".")
        ]


def folder_name(registry_id: str) -> str:
    """Return the name of a laboratory's folder."""
    name = quote(registry_id, safe=_PLAIN)
    return "%2E" + name[1:] if name.startswith(".") else name


def digest_of(file: BinaryIO) -> tuple[bytes, int]:
    """Return the SHA-256 and the size of a file, from its beginning; bounded memory."""
    digest, size = sha256(), 0
    file.seek(0)
    while piece := file.read(_HASHED_AT_ONCE):
        digest.update(piece)
        size += len(piece)
    return digest.digest(), size


def has_room(folder: Path, needed: int, spare: int) -> bool:
    """Say whether the disk takes so many bytes and keeps the spare."""
    usage = shutil.disk_usage(folder)
    return usage.free - needed >= min(spare, usage.total // 10)


def _is_unfinished(name: str) -> bool:
    return name.startswith(".") or name.lower().endswith(UNFINISHED)


def _fault_of(name: str, about: os.stat_result, max_bytes: int) -> str:
    if not stat.S_ISREG(about.st_mode):
        return "special"
    if not is_plain_name(name):
        return "name"
    return "size" if about.st_size > max_bytes else ""
