"""The machine: processors, memory, file handles, Python, and whether anybody sets its clock."""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import sys
from pathlib import Path
from typing import Final

from .checks import Check, advice, good, wrong

_AREA: Final = "machine"
_LEAST_PYTHON: Final = (3, 11)
_LEAST_FILES: Final = 4_096
_GIB: Final = 1 << 30
_LEAST_MEMORY: Final = 2 * _GIB
_FREE_SHARE: Final = 0.05
_UNSET: Final = 5
"""TIME_ERROR of adjtimex(2): nobody sets this clock."""


async def look_at_machine() -> list[Check]:
    """Look at what there is to run on."""
    return [_processors(), _memory(), _files(), _python(), _clock()]


def _processors() -> Check:
    count, load = len(os.sched_getaffinity(0)), os.getloadavg()[1]
    said = f"{count}, load {load:.1f} over 5 minutes"
    if load > 4 * count:
        return advice(_AREA, "processors", said, "see with `top` what else runs here")
    return good(_AREA, "processors", said)


def _memory() -> Check:
    lines = Path("/proc/meminfo").read_text("ascii").splitlines()
    sizes = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines}
    total, free = sizes["MemTotal"], sizes["MemAvailable"]
    said = f"{free / _GIB:.1f} of {total / _GIB:.1f} GiB available"
    if total < _LEAST_MEMORY:
        return advice(_AREA, "memory", said, "a hub with its database wants 2 GiB at least")
    if free < total * _FREE_SHARE:
        return advice(_AREA, "memory", said, "see what takes it: the kernel ends processes soon")
    return good(_AREA, "memory", said)


def _files() -> Check:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    said = f"{soft} open files a process, {hard} at most"
    if soft < _LEAST_FILES:
        return advice(
            _AREA, "file handles", said,
            "each laboratory's connection takes one: `ulimit -n 65536`, or LimitNOFILE= of systemd",
        )  # fmt: skip
    return good(_AREA, "file handles", said)


def _python() -> Check:
    said = f"{platform.python_version()} on {platform.system()} {platform.release()}"
    if sys.version_info[:2] < _LEAST_PYTHON:
        return wrong(_AREA, "python", said, "3.11 or newer is wanted: make the environment anew")
    if platform.system() != "Linux":
        return wrong(_AREA, "python", said, "the hub runs on Linux")
    return good(_AREA, "python", said)


def _clock() -> Check:
    """Ask the kernel whether anybody sets the clock; asking changes nothing (modes = 0)."""
    try:
        state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.create_string_buffer(512))
    except (OSError, AttributeError):
        state = -1
    if state < 0:
        return good(_AREA, "clock", "the kernel does not say whether anybody sets it")
    if state == _UNSET:
        return advice(
            _AREA, "clock", "nobody sets it (NTP)",
            "start chrony or systemd-timesyncd: times of results come from here",
        )  # fmt: skip
    return good(_AREA, "clock", "set by NTP")
