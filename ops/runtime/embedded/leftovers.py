"""What an earlier server of this cluster left behind: processes, lock files, half-made clusters.

Everything here belongs under the lock of the data folder. PostgreSQL's own check takes any live
pid in `postmaster.pid` for a running server, and removing that file switches off its check for
orphaned backends; so the processes are found first, and the file goes only when there are none.
"""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

from ops.runtime import processes
from ops.runtime.processes import Process
from schemas.errors import FatalError

from .home import Home

_PROGRAMS = frozenset({"postgres", "initdb"})
_SHARED_MEMORY = Path("/proc/sysvipc/shm")


def find(home: Home) -> tuple[list[Process], list[Process]]:
    """Find what still runs of this cluster and of no other one.

    Returns:
        The postmasters (or an initdb), then the other server processes.
    """
    leaders: list[Process] = []
    others: list[Process] = []
    for process in processes.everyone():
        argv = processes.command(process.pid)
        leads = _names_cluster(argv, home)
        if not (leads or _works_there(process.pid, argv, home)):
            continue
        # The pid may have changed hands between the two looks.
        if processes.is_running(process):
            (leaders if leads else others).append(process)
    return leaders, others


def _names_cluster(argv: tuple[str, ...], home: Home) -> bool:
    # A postmaster keeps its arguments; initdb and its bootstrap child have theirs too.
    if not argv or Path(argv[0]).name not in _PROGRAMS:
        return False
    below = f"{home.path}/cluster"
    return any(part == below or part.startswith(f"{below}.new-") for part in argv[1:])


def _works_there(pid: int, argv: tuple[str, ...], home: Home) -> bool:
    program = processes.executable(pid)
    if program:
        folder = processes.working_folder(pid)
        return Path(program).name == "postgres" and folder.startswith(f"{home.path}/")
    # Root without CAP_SYS_PTRACE cannot look there: the title holds the cluster's name.
    return bool(argv) and argv[0].startswith(f"postgres: {home.name}: ")


def end(home: Home, progress: Callable[[str], None], *, shutdown_seconds: float = 20) -> int:
    """End every server process of this cluster; return how many there were.

    A living postmaster is asked for a fast shutdown first; then all get SIGQUIT (immediate
    shutdown, recovery follows), then SIGKILL. Each wait is bounded.

    Raises:
        FatalError: A process outlived SIGKILL.
    """
    ended = 0
    for _ in range(10):  # a postmaster may start one more process while it goes
        leaders, others = find(home)
        everyone = leaders + others
        if not everyone:
            return ended
        ended = max(ended, len(everyone))
        progress(f"ending {len(everyone)} processes that an earlier PostgreSQL left behind")
        if leaders:
            processes.end(leaders, [(signal.SIGINT, shutdown_seconds)])
            # Without a postmaster the rest goes by itself, as a rule at once.
            everyone = processes.wait_gone(everyone, 2)
        processes.end(everyone, [(signal.SIGQUIT, 3), (signal.SIGKILL, 10)])
    pid = everyone[0].pid
    raise FatalError(
        "leftover_postgres",
        f"process {pid} of an earlier PostgreSQL does not end: look at its state in /proc and "
        "restart the machine if it hangs",
    )


def clear(home: Home) -> None:
    """Remove stale lock files, sockets and half-made clusters; no process of ours is left.

    Raises:
        FatalError: The shared memory of the old server is still attached by somebody.
    """
    for folder in home.path.glob("cluster.new-*"):
        shutil.rmtree(folder)
    pid_file = home.cluster / "postmaster.pid"
    lines = read_lines(pid_file)
    if len(lines) >= 7 and _attached(lines[6].split()[-1]):
        raise FatalError(
            "leftover_postgres",
            f"shared memory segment {lines[6].split()[-1]} of an earlier PostgreSQL is in use: "
            "find who holds it with ipcs -m -p and end that process",
        )
    pid_file.unlink(missing_ok=True)
    for path in home.socket.glob(".s.PGSQL.*"):
        path.unlink(missing_ok=True)


def read_lines(path: Path) -> list[str]:
    """Read a small file of the server's user; [] if it is missing. Never follows a link."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return []
    with os.fdopen(handle, "rb") as file:
        return file.read(4096).decode(errors="replace").splitlines()


def _attached(segment: str) -> bool:
    try:
        rows = _SHARED_MEMORY.read_text().splitlines()[1:]
    except OSError:
        return False
    # key shmid perms size cpid lpid nattch ...
    return any(row.split()[1] == segment and row.split()[6] != "0" for row in rows)
