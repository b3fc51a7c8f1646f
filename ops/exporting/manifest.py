"""What an export was asked for and what it has written so far: `_manifest.json`, and its folder.

The manifest is replaced whole after each file, so that whoever is killed goes on behind the last
one. Same ask and same extraction: same manifest, byte for byte.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Final

import msgspec

from ops.runtime.data_folder import fsync_folder, write_private
from schemas.errors import FatalError, PermanentError, TransientError
from schemas.topics import Stream

NAME: Final = "_manifest.json"
UNFINISHED: Final = ".unfinished"
VERSION: Final = 1


class State(StrEnum):
    """Which rows: of each report the newest, or every event."""

    LATEST = "latest"
    EVENTS = "events"


class Form(StrEnum):
    """How files are written."""

    PARQUET = "parquet"
    CSV = "csv"


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """What an export is asked for; with an extraction it says every byte."""

    stream: Stream
    state: State
    form: Form
    since: date | None = None
    """First day: of sampling in `latest`, where rows have one; else of emission."""
    until: date | None = None
    where: tuple[tuple[str, str], ...] = ()
    """Filters, sorted."""


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """One file, whole and durable."""

    path: str
    """Below the folder of the export."""
    table: str
    day: date | None
    rows: int
    size_bytes: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What stands in `_manifest.json`."""

    version: int = VERSION
    ask: Ask
    extraction: str
    """Give it to `--extraction` for the same bytes again."""
    extracted_at: datetime
    written_with: str
    """Library and version of the files' bytes: another one may write other bytes."""
    complete: bool = False
    events: int = 0
    """How many events were looked at."""
    expired: int = 0
    """How many of them could be opened no more: their retention had passed."""
    files: tuple[Written, ...] = ()

    @property
    def rows(self) -> int:
        """Rows of all files."""
        return sum(each.rows for each in self.files)


_ENCODER: Final = msgspec.json.Encoder(order="deterministic")


def read_manifest(folder: Path) -> Manifest | None:
    """Return the manifest of a folder, None where there is none.

    Raises:
        PermanentError: `bad_manifest`: it is not one of ours.
    """
    try:
        return msgspec.json.decode((folder / NAME).read_bytes(), type=Manifest)
    except FileNotFoundError:
        return None
    except msgspec.MsgspecError:
        raise PermanentError(
            "bad_manifest", f"{NAME} there is not of this release: export to another folder"
        ) from None


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Replace the manifest, whole and durably."""
    text = msgspec.json.format(_ENCODER.encode(manifest), indent=2)
    write_private(folder / NAME, text + b"\n")


@contextmanager
def held_folder(folder: Path) -> Iterator[Path]:
    """Make the folder where it is missing (0700), and hold it alone for a block.

    Raises:
        PermanentError: `folder_in_use`, `folder_not_empty` (there are files that no export wrote),
            or `folder_unusable`.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not (folder / NAME).exists() and _is_foreign(folder):
            raise PermanentError(
                "folder_not_empty", "there are other files in it: name a folder of its own"
            )
        unfinished = folder / UNFINISHED
        unfinished.mkdir(mode=0o700, exist_ok=True)
        handle = os.open(unfinished / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise PermanentError(
            "folder_unusable", f"errno {error.errno}: name a folder that can be written"
        ) from None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise PermanentError(
            "folder_in_use", "another export writes there: wait for it, or name another folder"
        ) from None
    try:
        yield folder
    finally:
        os.close(handle)


@contextmanager
def on_disk() -> Iterator[None]:
    """Give what the disk refuses a class for a block.

    Raises:
        TransientError: `export_not_written`: no room, or not ours to write.
    """
    try:
        yield
    except OSError as error:
        raise TransientError(
            "export_not_written",
            f"errno {error.errno}: make room, then the same command goes on",
        ) from None


def put(path: Path, scratch: Path) -> None:
    """Give a finished file its name: it is there whole and durable, or not at all; 0600.

    Raises:
        FatalError: The file system is another one (`not_one_file_system`).
    """
    handle = os.open(scratch, os.O_RDONLY)
    try:
        os.fchmod(handle, 0o600)
        os.fsync(handle)
    finally:
        os.close(handle)
    for folder in (path.parent.parent, path.parent):
        folder.mkdir(mode=0o700, exist_ok=True)
        fsync_folder(folder.parent)
    try:
        scratch.rename(path)
    except OSError as error:
        raise FatalError(
            "not_one_file_system", f"errno {error.errno}: a mount lies within the folder"
        ) from None
    fsync_folder(path.parent)


def _is_foreign(folder: Path) -> bool:
    return any(each.name != UNFINISHED for each in folder.iterdir())
