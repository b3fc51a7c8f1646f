"""A process whose clock is off by what a file says; everybody else's stays right.

The hub asks its clock through one port (`ops/runtime/clock.py`). Python loads what is written here
before the hub itself: no line of the hub knows of it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

OFF_SECONDS: Final = 30
_FOLDER: Final = "clock"
_LOADED_FIRST: Final = """
import datetime
import pathlib

from ops.runtime import clock

_off = pathlib.Path(__file__).with_name("off")
_true = clock.SystemClock.now
clock.SystemClock.now = lambda self: (
    _true(self) + datetime.timedelta(seconds=float(_off.read_text() or 0))
)
"""


def clock_of_its_own(folder: Path) -> dict[str, str]:
    """Return the environment of a process whose clock goes by `set_clock`; right at first."""
    place = folder / _FOLDER
    place.mkdir()
    (place / "sitecustomize.py").write_text(_LOADED_FIRST)
    set_clock(folder, 0)
    return {"PYTHONPATH": str(place)}


def set_clock(folder: Path, seconds: int) -> None:
    """Let it be so many seconds ahead."""
    (folder / _FOLDER / "off").write_text(str(seconds))
