"""A secret out of a file: one line, that others may not read."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from schemas.errors import FatalError

MAX_SECRET_BYTES: Final = 4_096
_OPEN_TO_OTHERS: Final = 0o077


def read_secret(path: Path, setting: str) -> str:
    """Return the line of a file; never a word of it in an error.

    Raises:
        FatalError: It cannot be read, is open to others, empty, too long or of several lines
            (`settings_invalid`); names the setting.
    """
    try:
        if path.stat().st_mode & _OPEN_TO_OTHERS:
            raise _unfit(setting, "a file that others may not read: chmod 600")
        with path.open("rb") as file:
            content = file.read(MAX_SECRET_BYTES + 3)
        line = content.removesuffix(b"\n").removesuffix(b"\r").decode()
    except (OSError, ValueError):
        raise _unfit(setting, "a file of text that this process can read") from None
    if not line or len(line.encode()) > MAX_SECRET_BYTES or "\n" in line:
        raise _unfit(setting, f"a file of one line, {MAX_SECRET_BYTES} bytes at most")
    return line


def _unfit(setting: str, wanted: str) -> FatalError:
    return FatalError("settings_invalid", f"{setting}: give {wanted} (docs/operate.md)")
