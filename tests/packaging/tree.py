"""The tracked files of this clone: what a person gets who clones it."""

from __future__ import annotations

import functools
import subprocess
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
PACKAGES: Final = ("schemas", "ingest", "dedup", "routing", "ops")


@functools.cache
def tracked() -> tuple[str, ...]:
    """Return every tracked path that is in the work tree, in order."""
    said = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, text=True, check=True
    )
    return tuple(sorted(p for p in said.stdout.split("\0") if p and (ROOT / p).is_file()))


@functools.cache
def text_of(path: str) -> str:
    """Return a tracked file as text; bytes that are none stay out of the way."""
    return (ROOT / path).read_bytes().decode(errors="replace")
