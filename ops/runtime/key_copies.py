"""Where copies of wrapped keys lie: on a disk that is known again, or none is copied.

At the first copy the folder gets a mark, and the keys' folder the same one. From then on a folder
without it is not that of the copies: a disk that is not mounted leaves an empty folder of the disk
below, where copies would be lost with the keys, and where a purge would look for copies in vain.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from schemas.errors import FatalError, TransientError

from . import key_files
from .data_folder import make_folder

MARK: Final = "copies.mark"
_BRING_BACK: Final = "bring keys_copy_dir back, or unset it"


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """What says that a folder is the one that a hub's keys are copied to."""

    mark: str
    """By chance; the same in both folders."""
    disk: str
    """Where the disk was mounted on which the folder was made: tells people which it is."""


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How the folder of copies stands, for people."""

    is_marked: bool
    """Whether keys were copied there before."""
    is_here: bool
    """Whether it is there, and the one that they were copied to."""
    disk: str
    """Where its disk is, or was, mounted."""
    is_disk_of_keys: bool
    """Whether it lies on the disk of the keys: that disk takes both along."""


class KeyCopies:
    """The folder of copies of a hub.

    Args:
        place: Made with mode 0700 at its first use, never later.
        keys: The folder of the keys, which remembers the mark.
    """

    def __init__(self, place: Path, keys: Path) -> None:
        self._place = place
        # One of each place: another folder, set by an operator, begins anew.
        named = hashlib.sha256(str(place.absolute()).encode()).hexdigest()[:10]
        self._memory = keys / f"copies-{named}.mark"

    def open(self) -> Path:
        """Return the folder.

        Raises:
            TransientError: It is away, or another one is there (`key_copies_away`).
            FatalError: Others can enter it (`keys_exposed`).
        """
        with present():
            known = key_files.read(self._memory)
            if known is None:
                return self._first()
            there = key_files.read(self._place / MARK)
            if there != known:
                raise TransientError("key_copies_away", self._not_it(known))
            key_files.refuse_open(self._place)
        return self._place

    def look(self) -> Standing:
        """Say how it stands; makes nothing.

        Raises:
            OSError: A folder cannot be read.
        """
        known = key_files.read(self._memory)
        there = key_files.read(self._place / MARK) if self._place.is_dir() else None
        is_here = self._place.is_dir() if known is None else there == known
        mark = _read(known) if known is not None else None
        return Standing(
            is_marked=known is not None,
            is_here=is_here,
            disk=disk_of(self._place) if is_here or mark is None else mark.disk,
            is_disk_of_keys=is_here and _is_one_disk(self._place, self._memory.parent),
        )

    def remedy(self) -> str:
        """Say what to do where another folder is there."""
        return self._not_it(key_files.read(self._memory) or b"")

    def _first(self) -> Path:
        try:
            make_folder(self._place)
        except FatalError:
            # That a folder cannot be made says `make_folder` of a data folder, and for good.
            raise TransientError("key_copies_away", _BRING_BACK) from None
        key_files.refuse_open(self._place)
        fresh = msgspec.json.encode(Mark(mark=os.urandom(16).hex(), disk=disk_of(self._place)))
        # There first: whoever is killed in between finds it, and so does who restores the keys.
        key_files.create(self._memory, key_files.create(self._place / MARK, fresh))
        return self._place

    def _not_it(self, known: bytes) -> str:
        mark = _read(known)
        where = f"on the disk mounted at {mark.disk}" if mark else "on a disk"
        return (
            f"{self._place} is not the folder that keys were copied to, {where}: mount that; for"
            f" a new disk: cp {self._memory} {self._place / MARK} (mode 600, folder 700)"
        )


@contextmanager
def present() -> Iterator[None]:
    """Take what the disk of the copies refuses for its being away."""
    try:
        yield
    except OSError as error:
        raise TransientError("key_copies_away", f"errno {error.errno}: {_BRING_BACK}") from None


def disk_of(folder: Path) -> str:
    """Return where the disk is mounted on which a folder lies, or would lie."""
    place = folder.absolute()
    while not os.path.ismount(place) and place != place.parent:
        place = place.parent
    return str(place)


def _is_one_disk(one: Path, other: Path) -> bool:
    return one.stat().st_dev == other.stat().st_dev


def _read(content: bytes) -> Mark | None:
    try:
        return msgspec.json.decode(content, type=Mark)
    except msgspec.MsgspecError:
        return None
