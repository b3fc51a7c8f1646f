"""Where keys are kept: files, each wrapped by a master key, with their copies elsewhere."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from schemas.errors import FatalError

from . import key_files
from .data_folder import make_folder
from .key_copies import KeyCopies, present

if TYPE_CHECKING:
    from .settings import Settings

_NONCE_BYTES: Final = 12
_KEY_BYTES: Final = 32


class KeyStore(Protocol):
    """Where keys are kept: files here, a key management service elsewhere."""

    def load(self, name: str) -> bytes | None:
        """Return the key of this name, or None when there is none (any more)."""
        ...

    def load_or_make(self, name: str) -> bytes:
        """Return the key of this name, made now if there is none; two callers get the same."""
        ...

    def keep(self, name: str, secret: bytes) -> None:
        """Keep a secret that came from outside under a new name."""
        ...

    def destroy(self, name: str) -> None:
        """Make the key of this name unreadable for ever."""
        ...

    def retire(self, name: str) -> None:
        """Destroy a key, and note that there was one: none of this name is made again."""
        ...

    def is_retired(self, name: str) -> bool:
        """Say whether a key of this name was retired."""
        ...

    def names(self) -> set[str]:
        """Return the names of all keys there are and of all that were retired."""
        ...

    def copied_names(self) -> set[str]:
        """Return the names among the copies; none where keys are not copied."""
        ...

    def copy_out(self) -> int:
        """Copy keys to where their copies lie, if they are copied; return how many were new."""
        ...


class FolderKeyStore:
    """Keys in files of mode 0600, each wrapped by `master.key`.

    Args:
        folder: Made with mode 0700 if it is not there.
        copies: Where copies of the wrapped keys lie (`master.key` never does), made by
            `ops/retention/keeping.py`; a key that is destroyed is destroyed there too.
        copied_first: A key is durable among the copies before anybody can seal with it. Without,
            the folder of copies is touched only where a key is copied or destroyed: a disk of
            backups that is away hinders no door.

    Raises:
        FatalError: The folder or the master key is open to others or damaged.
    """

    def __init__(
        self, folder: Path, copies: Path | None = None, *, copied_first: bool = False
    ) -> None:
        make_folder(folder)
        key_files.refuse_open(folder)
        self._folder = folder
        self._copies = None if copies is None else KeyCopies(copies, folder)
        self._copied_first = copied_first
        key_files.clear_scratch(folder)
        master = self._read("master.key")
        if master is None:
            master = key_files.create(folder / "master.key", os.urandom(_KEY_BYTES))
        if len(master) != _KEY_BYTES:
            raise FatalError("keys_damaged", "master.key does not hold 32 bytes: restore it")
        self._master = AESGCM(master)

    def load(self, name: str) -> bytes | None:
        """Read and unwrap a key."""
        wrapped = self._read(f"{name}.key")
        return None if wrapped is None else self._unwrap(name, wrapped)

    def load_or_make(self, name: str) -> bytes:
        """Read a key, or make one that whoever comes at the same time will read too.

        Raises:
            TransientError: It has to be copied first, and the copies are away (`key_copies_away`).
        """
        found = self.load(name)
        if found is not None:
            return found
        wrapped = self._wrap(name, os.urandom(_KEY_BYTES))
        return self._unwrap(name, self._put(f"{name}.key", wrapped))

    def keep(self, name: str, secret: bytes) -> None:
        """Wrap and keep a secret; a name is used once.

        Raises:
            FatalError: Another secret has this name (`keys_damaged`).
            TransientError: It has to be copied first, and the copies are away (`key_copies_away`).
        """
        if self._unwrap(name, self._put(f"{name}.key", self._wrap(name, secret))) != secret:
            raise FatalError("keys_damaged", f"{name}.key is there already: whose is it?")

    def destroy(self, name: str) -> None:
        """Overwrite and remove the file, and make that durable; its copy first.

        Ended in between it leaves the key: whoever looks for keys past their time finds it again.

        Raises:
            TransientError: The copies are away (`key_copies_away`): the key is there still.
            FatalError: The folder cannot be written (`keys_unreadable`), or others can enter it.
        """
        copies = self._open_copies()
        try:
            for folder in filter(None, (copies, self._folder)):
                key_files.shred_key(folder, name)
        except OSError as error:
            raise FatalError(
                "keys_unreadable",
                f"errno {error.errno}: make the keys' folder and that of the copies writable",
            ) from None

    def retire(self, name: str) -> None:
        """Note it first: a crash between the two leaves a key that nobody asks for."""
        self._put(f"{name}.gone", b"")
        self.destroy(name)

    def is_retired(self, name: str) -> bool:
        """Look for the note."""
        return (self._folder / f"{name}.gone").exists()

    def names(self) -> set[str]:
        """Return the names of the files.

        Raises:
            FatalError: The folder cannot be read (`keys_unreadable`).
        """
        try:
            return key_files.names(self._folder)
        except OSError as error:
            raise FatalError(
                "keys_unreadable", f"errno {error.errno}: make the keys' folder readable again"
            ) from None

    def copied_names(self) -> set[str]:
        """Return the names of the copies.

        Raises:
            TransientError: They are away (`key_copies_away`).
        """
        copies = self._open_copies()
        with present():
            return set() if copies is None else key_files.names(copies)

    def copy_out(self) -> int:
        """Copy what is missing among the copies, durably, and never `master.key`; return how many.

        Raises:
            FatalError: The folder of copies cannot be written (`keys_not_copied`).
            TransientError: It is away (`key_copies_away`).
        """
        copies = self._open_copies()
        if copies is None:
            return 0
        made = 0
        try:
            key_files.clear_scratch(copies)
            for path in key_files.files(self._folder):
                if path.name != "master.key":
                    made += self._copy_one(path, copies / path.name)
        except OSError as error:
            raise FatalError(
                "keys_not_copied",
                f"errno {error.errno}: make keys_copy_dir writable, or unset it",
            ) from None
        return made

    def _open_copies(self) -> Path | None:
        return None if self._copies is None else self._copies.open()

    def _copy_one(self, path: Path, target: Path) -> int:
        if target.exists():
            return 0
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return 0  # destroyed meanwhile
        key_files.create(target, content)
        if not path.exists():
            key_files.shred(target)  # destroyed while it was copied
            return 0
        return 1

    def _wrap(self, name: str, secret: bytes) -> bytes:
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._master.encrypt(nonce, secret, name.encode())

    def _unwrap(self, name: str, wrapped: bytes) -> bytes:
        try:
            return self._master.decrypt(
                wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:], name.encode()
            )
        except InvalidTag:
            raise FatalError(
                "keys_damaged", f"{name}.key was not wrapped by this master key: restore both"
            ) from None

    def _read(self, file_name: str) -> bytes | None:
        return key_files.read(self._folder / file_name)

    def _put(self, file_name: str, content: bytes) -> bytes:
        """Put a file in place, among the copies first where it has to be; return what is there.

        Whoever dies between the two leaves a copy that nobody has used, and the next one takes it.
        """
        place = self._folder / file_name
        if not self._copied_first or (copies := self._open_copies()) is None:
            return key_files.create(place, content)
        copy = copies / file_name
        with present():
            copied = key_files.create(copy, content)
        if copied != content:
            self._unwrap(place.stem, copied)  # of another hub it would stay damaged here
        made = key_files.create(place, copied)
        if made != copied:  # a process that does not copy first was first
            key_files.shred(copy)
            with present():
                key_files.create(copy, made)
        return made


def key_store_of(settings: Settings) -> FolderKeyStore:
    """Return where a hub's keys are kept.

    Where an acknowledgement waits for the archive, what it needs to be read is copied before it.
    """
    return FolderKeyStore(
        settings.keys_folder, settings.keys_copy_dir, copied_first=settings.backup_synchronous
    )
