"""The data folder of one run: who holds it, and which processes belong to it.

The lock is the kernel's (flock on a file that is never removed, close-on-exec): it ends with the
process that holds it, whatever ended that. The files beside it only tell people and later runs.
"""

from __future__ import annotations

import errno
import fcntl
import os
import signal
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from schemas.errors import FatalError

from .processes import Process, end, is_running, look, myself


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """Who holds a lock: the process, since when, what it was started as, where it listens."""

    process: Process
    started_at: datetime
    command: str
    addresses: dict[str, str] = {}


class Child(msgspec.Struct, frozen=True, kw_only=True):
    """One process of a run: its role, and who it is beyond its pid."""

    role: str
    process: Process


def write_private(path: Path, content: bytes) -> None:
    """Replace a file whole and durably, readable by its owner alone; no reader sees a half."""
    # The pid keeps two writers apart; the folder is ours alone.
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    temporary.unlink(missing_ok=True)
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)
    fsync_folder(path.parent)


def fsync_folder(path: Path) -> None:
    """Make the names in a folder durable."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def make_folder(path: Path) -> Path:
    """Make the data folder (0700) if it is missing, and return its real path.

    Never changes the mode of a folder that exists.

    Raises:
        FatalError: It is no folder, or cannot be written.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        real = path.resolve(strict=True)
    except (FileExistsError, NotADirectoryError):
        raise FatalError(
            "data_folder_is_a_file", f"{path} is a file: name a folder with --data-dir"
        ) from None
    except OSError as problem:
        raise _unusable(path, problem) from None
    if not os.access(real, os.R_OK | os.W_OK | os.X_OK):
        raise FatalError(
            "data_folder_unusable",
            f"{path} cannot be written by this user: name another folder with --data-dir, "
            "or run as the user that owns it",
        )
    return real


def _unusable(path: Path, problem: OSError) -> FatalError:
    name = errno.errorcode.get(problem.errno or 0, "unknown")
    return FatalError(
        "data_folder_unusable", f"{path}: {name}: name another folder with --data-dir"
    )


class FolderLock:
    """An exclusive lock that ends with its process; a second taker is told who has it.

    Args:
        path: The lock file. It is made, never removed: removing it would let two hold it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._handle: int | None = None

    @property
    def held(self) -> bool:
        """Whether this object holds the lock."""
        return self._handle is not None

    def acquire(self, command: str, addresses: Mapping[str, str] | None = None) -> None:
        """Take the lock at once or say who has it. Taking it twice is harmless.

        Raises:
            FatalError: `data_folder_in_use`, with the pid and what to do.
        """
        if self._handle is None:
            try:
                # os.open is close-on-exec: PostgreSQL and other children never inherit the lock.
                handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
            except OSError as problem:
                raise _unusable(self._path, problem) from None
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(handle)
                raise self._in_use() from None
            self._handle = handle
        self._tell(command, addresses or {})

    def _tell(self, command: str, addresses: Mapping[str, str]) -> None:
        assert self._handle is not None, "only the holder writes"
        owner = Owner(
            process=myself(),
            started_at=datetime.now(UTC),
            command=command,
            addresses=dict(addresses),
        )
        content = msgspec.json.encode(owner)
        # In place: a rename would put another inode, and so another lock, under the name.
        os.ftruncate(self._handle, 0)
        os.pwrite(self._handle, content, 0)

    def release(self) -> None:
        """Give the lock back; harmless when it is not held."""
        if self._handle is not None:
            os.ftruncate(self._handle, 0)
            os.close(self._handle)
            self._handle = None

    def owner(self) -> Owner | None:
        """Tell who holds the lock, if that process is still running."""
        try:
            owner = msgspec.json.decode(self._path.read_bytes(), type=Owner)
        except (OSError, msgspec.MsgspecError):
            return None
        return owner if is_running(owner.process) else None

    def _in_use(self) -> FatalError:
        owner = self.owner()
        if owner is None:
            return FatalError(
                "data_folder_in_use",
                f"another process is starting on {self._path.parent}: wait for it, "
                "or name another folder with --data-dir",
            )
        pid = owner.process.pid
        return FatalError(
            "data_folder_in_use",
            f"process {pid} ({owner.command}) holds {self._path.parent}: stop it (kill {pid}) "
            "or name another folder with --data-dir",
        )


class DataFolder:
    """The folder of one run: held by one process at a time, which tells where it listens.

    Args:
        path: The folder; made with mode 0700 if missing, its parents are never changed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = FolderLock(path / "run.lock")

    def acquire(self, command: str, addresses: Mapping[str, str] | None = None) -> None:
        """Take the folder for this process, or say who has it.

        Args:
            command: What to show to a second taker; never holds a secret.
            addresses: Name -> address, for commands that look for the running instance.

        Raises:
            FatalError: The folder is in use or unusable.
        """
        self.path = make_folder(self.path)
        if not self._lock.held:
            self._lock = FolderLock(self.path / "run.lock")
        self._lock.acquire(command, addresses)

    def announce(self, command: str, addresses: Mapping[str, str]) -> None:
        """Tell the addresses once they are known; only the holder may."""
        assert self._lock.held, "acquire first"
        self._lock.acquire(command, addresses)

    def owner(self) -> Owner | None:
        """Tell who runs on this folder now; None when nobody does."""
        return self._lock.owner()

    def release(self) -> None:
        """Give the folder back."""
        self._lock.release()


class ProcessLedger:
    """The children of a run, one file each, so that the next run can end what was left of it.

    A foreign process is never touched: an entry holds start time and boot beside the pid.

    Args:
        data_dir: The data folder. `end_leftovers` belongs under its lock.
    """

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._folder = data_dir / "processes"

    def record(self, role: str, pid: int) -> Child | None:
        """Note a child; None when it has ended already."""
        process = look(pid)
        if process is None:
            return None
        child = Child(role=role, process=process)
        self._folder.mkdir(mode=0o700, exist_ok=True)
        write_private(self._folder / f"{pid}.json", msgspec.json.encode(child))
        return child

    def enlist(self, role: str) -> None:
        """Note this process itself, as a child's first act, and check that its run still stands.

        Closes the gap between a parent's spawn and its `record`: a child whose parent was killed
        there would be in nobody's books.

        Raises:
            FatalError: `run_is_gone`: the parent does not hold the data folder (any more).
        """
        parent = os.getppid()
        self.record(role, os.getpid())
        owner = DataFolder(self._data_dir).owner()
        if owner is None or owner.process.pid != parent:
            self.forget(os.getpid())
            raise FatalError("run_is_gone", "the run that started this process has ended")

    def forget(self, pid: int) -> None:
        """Drop the entry of a child that has ended."""
        (self._folder / f"{pid}.json").unlink(missing_ok=True)

    def children(self) -> list[Child]:
        """Give every child that was noted and still runs."""
        found = []
        for path in sorted(self._folder.glob("[0-9]*.json")):
            try:
                child = msgspec.json.decode(path.read_bytes(), type=Child)
            except (OSError, msgspec.MsgspecError):
                continue  # forgotten meanwhile, or not of our making
            if is_running(child.process):
                found.append(child)
        return found

    def end_leftovers(self, term_seconds: float = 10, kill_seconds: float = 5) -> list[Child]:
        """End what an earlier run left behind, and return it; the caller holds the data folder.

        Raises:
            FatalError: A process outlived SIGKILL (it hangs in the kernel).
        """
        found = self.children()
        left = end(
            [child.process for child in found],
            [(signal.SIGTERM, term_seconds), (signal.SIGKILL, kill_seconds)],
        )
        if left:
            raise FatalError(
                "leftover_process",
                f"process {left[0].pid} of an earlier run does not end: look at its state in "
                "/proc and restart the machine if it hangs",
            )
        for path in self._folder.glob("[0-9]*.json"):
            self.forget(int(path.stem) if path.stem.isdecimal() else -1)
        return found
