"""Processes as /proc tells them: a pid is a name that is given away again, an identity is not.

Every signal goes through a pidfd that was checked after it was opened, so that it can never reach
a foreign process that has taken the pid of one of ours. Linux 5.3 or newer.
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path

import msgspec

_PROC = Path("/proc")
_DELETED = " (deleted)"


class Process(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One process of one boot: never equal to a later process with the same pid.

    Attributes:
        pid: The process id.
        started: Start time in clock ticks since boot (field 22 of /proc/PID/stat).
        boot: The kernel's boot id; ticks alone repeat from boot to boot.
    """

    pid: int
    started: int
    boot: str


@cache
def _boot_id() -> str:
    return (_PROC / "sys/kernel/random/boot_id").read_text().strip()


def look(pid: int) -> Process | None:
    """Tell who has this pid now; None when nobody has it, or only a zombie."""
    try:
        stat = (_PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return None
    # The name stands in brackets and may hold brackets and blanks itself.
    fields = stat.rpartition(")")[2].split()
    if len(fields) < 20 or fields[0] in "ZX":
        return None
    return Process(pid=pid, started=int(fields[19]), boot=_boot_id())


def myself() -> Process:
    """Tell who this process is."""
    me = look(os.getpid())
    assert me is not None, "a running process is in /proc"
    return me


def is_running(process: Process) -> bool:
    """Promise True only for this very process, never for one that has taken its pid."""
    return look(process.pid) == process


def everyone() -> Iterator[Process]:
    """Yield every process that can be seen, this one excepted."""
    for entry in _PROC.iterdir():
        if entry.name.isdecimal() and int(entry.name) != os.getpid():
            process = look(int(entry.name))
            if process is not None:
                yield process


def executable(pid: int) -> str:
    """Give the path of the running binary, or '' where /proc does not tell.

    A binary replaced since (an environment made anew) keeps its old path.
    """
    return _link(pid, "exe")


def working_folder(pid: int) -> str:
    """Give the working folder, or '' where /proc does not tell; a deleted one keeps its path."""
    return _link(pid, "cwd")


def _link(pid: int, name: str) -> str:
    # Root in a container may lack CAP_SYS_PTRACE: then this is refused for other users' processes.
    try:
        return str((_PROC / str(pid) / name).readlink()).removesuffix(_DELETED)
    except OSError:
        return ""


def command(pid: int) -> tuple[str, ...]:
    """Give the arguments, or () where /proc does not tell; a process may rewrite its own."""
    try:
        raw = (_PROC / str(pid) / "cmdline").read_bytes()
    except OSError:
        return ()
    return tuple(part.decode(errors="replace") for part in raw.split(b"\0") if part)


def send(process: Process, number: signal.Signals) -> bool:
    """Send a signal to exactly this process; False when it is gone."""
    try:
        handle = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return False
    try:
        if not is_running(process):
            return False
        signal.pidfd_send_signal(handle, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(handle)
    return True


def wait_gone(processes: Iterable[Process], seconds: float) -> list[Process]:
    """Wait until all are gone, at most so long; return those that are still there."""
    deadline = time.monotonic() + seconds
    poll = select.poll()
    handles: dict[int, Process] = {}
    try:
        for process in processes:
            try:
                handle = os.pidfd_open(process.pid)
            except ProcessLookupError:
                continue
            handles[handle] = process
            poll.register(handle, select.POLLIN)
        waiting = {handle for handle, process in handles.items() if is_running(process)}
        for handle in handles.keys() - waiting:
            poll.unregister(handle)
        while waiting and (left := deadline - time.monotonic()) > 0:
            for handle, _ in poll.poll(left * 1000):
                poll.unregister(handle)
                waiting.discard(handle)
        return [handles[handle] for handle in waiting if is_running(handles[handle])]
    finally:
        for handle in handles:
            os.close(handle)


def end(
    processes: Iterable[Process], steps: Sequence[tuple[signal.Signals, float]]
) -> list[Process]:
    """End processes by ever stronger signals; return those that outlived the last step.

    Args:
        processes: Whom to end.
        steps: Signal and seconds to wait after it. SIGCONT follows each, because a stopped
            process hears nothing but SIGKILL.
    """
    left = list(processes)
    for number, seconds in steps:
        for process in left:
            if send(process, number):
                send(process, signal.SIGCONT)
        left = wait_gone(left, seconds)
        if not left:
            break
    return left
