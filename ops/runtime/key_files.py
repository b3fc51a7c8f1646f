"""Files of keys: put in place whole and durably, overwritten before they go, closed to others."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Final

from schemas.errors import FatalError

from .data_folder import fsync_folder

KEY: Final = ".key"
GONE: Final = ".gone"
"""Notes that there was a key of this name, and is to be none any more."""
_SCRATCH_SECONDS: Final = 60.0
"""Nobody takes longer to put a file in place."""


def read(path: Path) -> bytes | None:
    """Return what a file holds, None where there is none."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def create(path: Path, content: bytes) -> bytes:
    """Put a file in place whole; where another process was first, return what it wrote."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(scratch, path)
        except FileExistsError:
            return path.read_bytes()
    finally:
        scratch.unlink(missing_ok=True)
    fsync_folder(path.parent)
    return content


def shred(path: Path) -> None:
    """Overwrite and remove a file, and make that durable; one that is not there is gone already."""
    try:
        with path.open("r+b") as file:
            file.write(os.urandom(path.stat().st_size))
            file.flush()
            os.fsync(file.fileno())
        path.unlink()
    except FileNotFoundError:
        return
    fsync_folder(path.parent)


def shred_key(folder: Path, name: str) -> None:
    """Shred a key, and what whoever was killed while he made it left under a name of his own."""
    for left in folder.glob(f".{name}{KEY}.*"):
        shred(left)
    shred(folder / f"{name}{KEY}")


def clear_scratch(folder: Path) -> None:
    """Shred what processes that were killed while they put a file in place have left."""
    before = time.time() - _SCRATCH_SECONDS
    for pattern in (f".*{KEY}.*", f".*{GONE}.*", ".*.mark.*"):
        for each in folder.glob(pattern):
            try:
                if each.stat().st_mtime < before:
                    shred(each)
            except FileNotFoundError:
                continue  # whoever made it was not killed


def names(folder: Path) -> set[str]:
    """Return the names of all keys there are and of all that are gone."""
    return {each.stem for each in files(folder)}


def files(folder: Path) -> list[Path]:
    """Return the files of keys, and the notes that one is gone, by name."""
    return sorted(
        each
        for each in folder.iterdir()
        if each.suffix in {KEY, GONE} and not each.name.startswith(".")
    )


def refuse_open(folder: Path) -> None:
    """Refuse a folder that others can enter.

    Raises:
        FatalError: They can (`keys_exposed`).
    """
    if folder.stat().st_mode & 0o077:
        raise FatalError("keys_exposed", f"others can enter the keys' folder: chmod 700 {folder}")
