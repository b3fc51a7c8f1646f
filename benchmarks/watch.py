"""Which process had how much of a core: read from /proc before and after, with all children."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

_TICKS: Final = os.sysconf("SC_CLK_TCK")


class CpuWatch:
    """Counts the CPU time of process trees from its making on.

    Args:
        roots: Role -> pid. A tree belongs to the nearest root above it.
    """

    def __init__(self, roots: Mapping[str, int]) -> None:
        self._roots = dict(roots)
        self._began_at = time.monotonic()
        self._before = _seconds_by_role(self._roots)
        self._busy_before = _busy_seconds()

    def shares(self) -> dict[str, float]:
        """Return role -> cores used on average since the start: 1.0 is one core all the time.

        `others` is what the machine did besides: of a figure taken while others worked, too.
        """
        passed = time.monotonic() - self._began_at
        now = _seconds_by_role(self._roots)
        used = {role: max(0.0, now[role] - before) for role, before in self._before.items()}
        used["others"] = max(0.0, _busy_seconds() - self._busy_before - sum(used.values()))
        return {role: round(seconds / passed, 2) for role, seconds in used.items()}


def seconds_by_role(roots: Mapping[str, int]) -> dict[str, float]:
    """Return role -> CPU seconds of its process tree so far."""
    return _seconds_by_role(dict(roots))


def children_whose_command_has(text: str) -> list[int]:
    """Return the pids of our own children whose command line holds a text."""
    found = []
    for pid, (parent, _) in _table().items():
        if parent == os.getpid():
            try:
                command = Path(f"/proc/{pid}/cmdline").read_bytes()
            except OSError:
                continue
            if text.encode() in command:
                found.append(pid)
    return found


def _busy_seconds() -> float:
    """Return the CPU time of everything, without idling and waiting (proc(5), /proc/stat)."""
    fields = Path("/proc/stat").read_text().partition("\n")[0].split()[1:]
    user, nice, system, _, _, irq, softirq, steal = map(int, fields[:8])
    return (user + nice + system + irq + softirq + steal) / _TICKS


def _seconds_by_role(roots: Mapping[str, int]) -> dict[str, float]:
    table = _table()
    role_of = {pid: role for role, pid in roots.items()}
    seconds = dict.fromkeys(roots, 0.0)
    for pid, (_, used) in table.items():
        above = pid
        while above not in role_of and above in table:
            above = table[above][0]
        if above in role_of:
            seconds[role_of[above]] += used
    return seconds


def _table() -> dict[int, tuple[int, float]]:
    """Return pid -> (parent, CPU seconds of it and of its children that ended)."""
    table = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            text = (entry / "stat").read_text()
        except OSError:
            continue
        # Field 3 begins behind the name, which may hold blanks and brackets (proc(5)).
        fields = text.rpartition(")")[2].split()
        table[int(entry.name)] = (int(fields[1]), sum(map(int, fields[11:15])) / _TICKS)
    return table
