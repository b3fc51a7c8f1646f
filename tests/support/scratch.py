"""Where tests keep what they throw away: in memory where there is room, for a third of their time.

What a test ends is a process and never the machine, so what the kernel was given it gives back
whether it lies in memory or on a disk: no test can tell them apart, but by the time that PostgreSQL
and Apache Kafka wait for a disk. Settings stay those of production, `fsync` with them.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

MEMORY: Final = Path("/dev/shm")
NEEDED_BYTES: Final = 6 * 1024**3
"""Of memory that nobody uses; servers, brokers and folders of two processes have been seen at 2."""
_NAME: Final = "ldt-"
_held: Final[list[int]] = []


def choose() -> Path | None:
    """Return a new folder in memory for all scratch of this run; None where that is no good idea.

    It is none where somebody has said which folder to use (`TMPDIR`), where there is too little
    room, or where nothing may be executed.
    """
    if "TMPDIR" in os.environ or not _has_room():
        return None
    _clear()
    folder = Path(tempfile.mkdtemp(prefix=_NAME, dir=MEMORY))
    try:
        _held.append(_lock(folder))
    except OSError:  # a run that began at the same moment took it for a leftover
        return None
    folder.chmod(0o711)  # the server's own user passes through, and sees nothing
    return folder


def use(folder: Path) -> None:
    """Let this process and those that it starts keep their scratch there."""
    os.environ["TMPDIR"] = tempfile.tempdir = str(folder)


def leave(folder: Path, *, failed: bool) -> None:
    """Throw all of it away; what failed is left to be looked at, until the next run."""
    if not failed:
        shutil.rmtree(folder, ignore_errors=True)
    os.environ.pop("TMPDIR", None)
    tempfile.tempdir = None


def is_in_memory(folder: Path) -> bool:
    """Say whether a folder lies in memory: copies of files cost less there than their log."""
    return folder.is_relative_to(MEMORY)


def _clear() -> None:
    """Throw away what runs have left that are over: failed ones, and those that were killed."""
    for folder in MEMORY.glob(f"{_NAME}*"):
        with contextlib.suppress(OSError):  # another run's, or another user's
            held = _lock(folder)
            try:  # held until it is gone: a run that begins now has not locked its folder yet
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(held)


def _lock(folder: Path) -> int:
    """Lock a folder for as long as this process lives, whatever ends it (flock(2)).

    Raises:
        OSError: It is another run's.
    """
    found = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(found, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(found)
        raise
    return found


def _has_room() -> bool:
    try:
        held = os.statvfs(MEMORY)
        told = Path("/proc/meminfo").read_text()
    except OSError:
        return False
    available = int(told.partition("MemAvailable:")[2].split()[0]) * 1024
    return (
        not held.f_flag & os.ST_NOEXEC
        and min(available, held.f_bavail * held.f_frsize) >= NEEDED_BYTES
    )
