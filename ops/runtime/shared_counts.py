"""Counts that the processes of one machine add up: so many of a thing over all of them.

Each process writes one file of its own, mapped into memory, and reads those of the others: nobody
waits for anybody, and what a killed process counted ends with its lock, which the kernel takes
back.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import time
from array import array
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, Self
from uuid import uuid4

from .data_folder import make_folder
from .logs import get_logger

_log = get_logger(__name__)

ENDING: Final = ".counts"
_NEW: Final = ".new"
_ITEM: Final = "H"
_ITEM_BYTES: Final = array(_ITEM).itemsize
_SIZE: Final = 1 << 18
_MOST: Final = 0xFFFF
_LEFT_SECONDS: Final = 60.0
_SETTLED_NS: Final = 1_000_000_000
"""So long after its last change a folder's time of change says that nothing else has changed."""


class SharedCounts:
    """Takes and gives back places of what is numbered, as many as may be over all processes.

    A place is taken before the others are looked at, so two that want the last one at once may both
    be refused and never both be given it. Numbers from `size` on are counted by each process alone.

    Args:
        folder: The same for all processes that add up, on a local disk.
        size: How many numbers are counted together.
    """

    def __init__(self, folder: Path, *, size: int = _SIZE) -> None:
        self._size = size
        self._bytes = size * _ITEM_BYTES
        self._folder = make_folder(folder)
        self._others: dict[str, tuple[int, mmap.mmap, memoryview]] = {}
        self._seen_at = -1
        self._beyond: dict[int, int] = {}
        self._file, self._name = self._make()
        self._map = mmap.mmap(self._file, self._bytes)
        self._own = memoryview(self._map).cast(_ITEM)
        self._look()
        self._drop_dead()

    def take(self, number: int, most: int) -> bool:
        """Count one in, unless there are as many as may be; say whether it was. Never waits."""
        if number >= self._size:
            taken = self._beyond.get(number, 0)
            if taken < most:
                self._beyond[number] = taken + 1
            return taken < most
        own = self._own
        if own[number] == _MOST:
            return False
        own[number] += 1
        if self._sum(number) <= most or (self._drop_dead() and self._sum(number) <= most):
            return True
        own[number] -= 1
        return False

    def give_back(self, number: int) -> None:
        """Count one out that was counted in."""
        if number >= self._size:
            self._beyond[number] -= 1
        else:
            self._own[number] -= 1

    def totals(self) -> Callable[[int], int | None]:
        """Return what says how many of a number there are over all processes that live now.

        It says None where a number is counted by each process alone.
        """
        self._look()
        self._drop_dead()
        return lambda number: self._sum(number) if number < self._size else None

    def close(self) -> None:
        """Take back all that this process counted."""
        for name in list(self._others):
            self._forget(name)
        with suppress(FileNotFoundError):
            (self._folder / self._name).unlink()
        self._own.release()
        self._map.close()
        os.close(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ------------------------------------------------------------------ files

    def _make(self) -> tuple[int, str]:
        """Make this process's file: locked before anybody else can see it."""
        name = f"{os.getpid()}-{uuid4().hex[:8]}"
        fresh = self._folder / (name + _NEW)
        handle = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Room on the disk now: a write into a hole of a full disk would end the process.
            os.posix_fallocate(handle, 0, self._bytes)
            fresh.rename(self._folder / (name + ENDING))
        except OSError:
            os.close(handle)
            with suppress(FileNotFoundError):
                fresh.unlink()
            raise
        return handle, name + ENDING

    def _sum(self, number: int) -> int:
        self._look()
        total: int = self._own[number]
        for _, _, counts in self._others.values():
            total += counts[number]
        return total

    def _look(self) -> None:
        """Find the files of processes that came since the last look."""
        changed_at = self._folder.stat().st_mtime_ns
        if changed_at == self._seen_at:
            return
        for path in self._folder.iterdir():
            if path.suffix == _NEW:
                _drop_old(path)
            elif path.suffix == ENDING and path.name not in {self._name, *self._others}:
                self._open(path)
        # Two changes within one tick of the kernel's clock have the same time.
        is_settled = time.time_ns() - changed_at > _SETTLED_NS
        self._seen_at = changed_at if is_settled else -1

    def _open(self, path: Path) -> None:
        with suppress(FileNotFoundError):
            handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            if os.fstat(handle).st_size != self._bytes:
                os.close(handle)  # of another release, with other sizes
                return
            mapped = mmap.mmap(handle, self._bytes, access=mmap.ACCESS_READ)
            self._others[path.name] = (handle, mapped, memoryview(mapped).cast(_ITEM))

    def _drop_dead(self) -> bool:
        """Forget processes that have ended; say whether there was one."""
        dead = []
        for name, (handle, _, _) in self._others.items():
            try:
                fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno not in {errno.EWOULDBLOCK, errno.EINTR}:
                    raise
            else:
                dead.append(name)
        for name in dead:
            self._forget(name)
            with suppress(FileNotFoundError):
                (self._folder / name).unlink()
        return bool(dead)

    def _forget(self, name: str) -> None:
        handle, mapped, counts = self._others.pop(name)
        counts.release()
        mapped.close()
        os.close(handle)


def _drop_old(path: Path) -> None:
    """Remove what a process left that was killed while it made its file."""
    with suppress(FileNotFoundError):
        if time.time() - path.stat().st_mtime > _LEFT_SECONDS:
            path.unlink()


def shared_counts(folder: Path, size: int = _SIZE) -> SharedCounts | None:
    """Return counts that are shared; None, logged, where the disk has no room for them."""
    try:
        return SharedCounts(folder, size=size)
    except OSError as error:
        _log.error(
            "counts_alone",
            reason=errno.errorcode.get(error.errno or 0, "unknown"),
            remedy="until the next start each door counts its connections alone",
        )
        return None
