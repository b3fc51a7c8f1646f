"""Folders: whether there is room, whether the disk keeps what it was told to, who else may read."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import Final

from ops.lone_thread import in_thread
from ops.runtime.key_copies import KeyCopies
from ops.runtime.settings import Settings

from .checks import Check, advice, good, not_used, wrong

_GIB: Final = 1 << 30
_OPEN_TO_OTHERS: Final = 0o077
_PROOF_BYTES: Final = b"labdispatch doctor\n" * 200
_SLOW_SECONDS: Final = 0.2


async def look_at_folders(settings: Settings) -> list[Check]:
    """Look at the data folder, the state folder and the keys."""
    return await in_thread(lambda: _folders(settings))


def _folders(settings: Settings) -> list[Check]:
    data = settings.data_dir
    if not data.is_dir():
        return [not_used("disks", "data folder", f"{data} is not there yet: `labdispatch run`")]
    found = [_room("data folder", data, settings), _kept(data), _closed("data folder", data)]
    if settings.state_dir is not None and settings.state_dir.is_dir():
        found.append(_room("state folder", settings.state_dir, settings))
    keys = settings.keys_folder
    if not keys.is_dir():
        found.append(not_used("disks", "keys", "none was made yet"))
    else:
        found += [_closed("keys", keys), _files_closed(keys)]
    if settings.keys_copy_dir is None:
        found.append(not_used("disks", "copy of the keys", "keys_copy_dir is not set"))
    else:
        found += _copies(settings.keys_copy_dir, keys)
    return found


def _copies(folder: Path, keys: Path) -> list[Check]:
    """Say whether it is the folder that keys were copied to, and which disk that is."""
    copies = KeyCopies(folder, keys)
    try:
        standing = copies.look()
    except OSError as error:
        return [
            wrong("disks", "copy of the keys", error.strerror or "cannot be read",
                  "mend permissions or the disk: without a copy a lost disk is lost data")
        ]  # fmt: skip
    if not standing.is_here and standing.is_marked:
        said = "its disk is not mounted, or is another one"
        return [wrong("disks", "copy of the keys", said, copies.remedy())]
    if not standing.is_here:
        return [
            wrong("disks", "copy of the keys", "its folder is not there",
                  "mount it, or make it: without a copy a lost disk is lost data")
        ]  # fmt: skip
    said = f"the disk mounted at {standing.disk}"
    if standing.is_disk_of_keys:
        which = advice(
            "disks", "copy of the keys: disk", f"{said}, which is the disk of the keys too",
            "set keys_copy_dir to a folder of another: that disk takes both along",
        )  # fmt: skip
    else:
        which = good("disks", "copy of the keys: disk", said)
    return [_closed("copy of the keys", folder), which]


def _room(name: str, folder: Path, settings: Settings) -> Check:
    usage = shutil.disk_usage(folder)
    least = min(settings.min_free_disk_bytes, usage.total // 10)
    said = f"{usage.free / _GIB:.1f} of {usage.total / _GIB:.1f} GiB free"
    if usage.free < least:
        return wrong(
            "disks", f"{name}: room", said,
            f"doors close below {least / _GIB:.1f} GiB: docs/runbooks/disk.md",
        )  # fmt: skip
    if usage.free < 2 * least:
        return advice("disks", f"{name}: room", said, "it will be full: docs/runbooks/disk.md")
    return good("disks", f"{name}: room", said)


def _kept(folder: Path) -> Check:
    """Write a file, make it durable, read it back, take it away."""
    path = folder / f".doctor.{os.getpid()}"
    began = time.perf_counter()
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(handle, _PROOF_BYTES)
            os.fsync(handle)
            whole = os.pread(handle, len(_PROOF_BYTES), 0) == _PROOF_BYTES
        finally:
            os.close(handle)
            path.unlink()
    except OSError as error:
        return wrong(
            "disks", "data folder: written", error.strerror or "cannot be written",
            "mend permissions or the disk: nothing can be made durable here",
        )  # fmt: skip
    seconds = time.perf_counter() - began
    said = f"fsync in {seconds * 1000:.1f} ms"
    if not whole:
        return wrong("disks", "data folder: written", "other bytes came back", "change the disk")
    if seconds > _SLOW_SECONDS:
        return advice(
            "disks", "data folder: written", said,
            "an acknowledgement waits for one: see what else writes to this disk",
        )  # fmt: skip
    return good("disks", "data folder: written", said)


def _closed(name: str, folder: Path) -> Check:
    mode = folder.stat().st_mode & 0o777
    if mode & _OPEN_TO_OTHERS and "key" in name:
        return wrong(
            "disks", f"{name}: closed", f"mode {mode:o}: others may look into it",
            f"chmod 700 {folder}",
        )  # fmt: skip
    if mode & _OPEN_TO_OTHERS:
        return advice(
            "disks", f"{name}: closed", f"mode {mode:o}: others may look into it",
            f"chmod 700 {folder}, if nothing of another user reads there",
        )  # fmt: skip
    return good("disks", f"{name}: closed", f"mode {mode:o}")


def _files_closed(keys: Path) -> Check:
    files = [each for each in keys.iterdir() if each.is_file()]
    loose = sum(1 for each in files if each.stat().st_mode & _OPEN_TO_OTHERS)
    if loose:
        return wrong(
            "disks", "keys: files", f"{loose} of {len(files)} are open to others",
            f"chmod 600 {keys}/*",
        )  # fmt: skip
    return good("disks", "keys: files", f"{len(files)}, of this user alone")
