"""Sealing of payloads: AES-256-GCM under a key per day and class, kept outside the database.

Payloads of messages and events are made small first (`compression.py`): what is sealed can be made
small no more, and nine tenths of them is what every payload says.

A day's key is a file, wrapped by the master key; destroying the file makes every payload of that
day and class unreadable, in every backup too. Secrets for keyed digests live beside them and do
not rotate (a person's digest must mean the same tomorrow). Keys of pseudonyms, one a purpose and
half-year, do.
"""

from __future__ import annotations

import os
import re
import struct
from datetime import UTC, date, datetime
from enum import IntEnum
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from schemas.errors import FatalError, PermanentError

from .clock import Clock
from .compression import SMALLEST_BYTES, Compressor, Decompressor
from .data_folder import fsync_folder, make_folder

_PLAIN: Final = 1
_COMPRESSED: Final = 2
"""First byte of what is sealed: how the plaintext lies in it."""
_HEADER: Final = struct.Struct(">BBH")  # version, class, days since 2020-01-01
_NONCE_BYTES: Final = 12
_KEY_BYTES: Final = 32
_ORIGIN: Final = date(2020, 1, 1).toordinal()
_CACHED_KEYS: Final = 512
_PURPOSE: Final = re.compile(r"[a-z][a-z0-9.-]{0,80}")
_PERIOD: Final = re.compile(r"[0-9]{4}-H[12]")
_PSEUDONYM_NAME: Final = re.compile(rf"pseudonym-({_PURPOSE.pattern})-({_PERIOD.pattern})")


class SealClass(IntEnum):
    """What a payload is; each class has its own retention, hence its own keys."""

    INTAKE = 1
    IDENTITY = 2
    STREAM = 3
    CODES = 4
    """Local codes and short texts of laboratories that no table knows."""


_MADE_SMALL: Final = (SealClass.INTAKE, SealClass.STREAM)
_FORMS: Final = (_PLAIN, _COMPRESSED)


class PseudonymKey(NamedTuple):
    """Of which purpose and period a key of pseudonyms is; never the key."""

    purpose: str
    period: str
    is_retired: bool


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


class FolderKeyStore:
    """Keys in files of mode 0600, each wrapped by `master.key`.

    Args:
        folder: Made with mode 0700 if it is not there.

    Raises:
        FatalError: The folder or the master key is open to others or damaged.
    """

    def __init__(self, folder: Path) -> None:
        make_folder(folder)
        if folder.stat().st_mode & 0o077:
            raise FatalError(
                "keys_exposed", f"others can enter the keys' folder: chmod 700 {folder}"
            )
        self._folder = folder
        master = self._read("master.key")
        if master is None:
            master = self._create("master.key", os.urandom(_KEY_BYTES))
        if len(master) != _KEY_BYTES:
            raise FatalError("keys_damaged", "master.key does not hold 32 bytes: restore it")
        self._master = AESGCM(master)

    def load(self, name: str) -> bytes | None:
        """Read and unwrap a key."""
        wrapped = self._read(f"{name}.key")
        return None if wrapped is None else self._unwrap(name, wrapped)

    def load_or_make(self, name: str) -> bytes:
        """Read a key, or make one that whoever comes at the same time will read too."""
        found = self.load(name)
        if found is not None:
            return found
        wrapped = self._wrap(name, os.urandom(_KEY_BYTES))
        return self._unwrap(name, self._create(f"{name}.key", wrapped))

    def keep(self, name: str, secret: bytes) -> None:
        """Wrap and keep a secret; a name is used once.

        Raises:
            FatalError: Another secret has this name (`keys_damaged`).
        """
        if self._unwrap(name, self._create(f"{name}.key", self._wrap(name, secret))) != secret:
            raise FatalError("keys_damaged", f"{name}.key is there already: whose is it?")

    def destroy(self, name: str) -> None:
        """Overwrite and remove the file, and make that durable."""
        path = self._folder / f"{name}.key"
        try:
            with path.open("r+b") as file:
                file.write(os.urandom(path.stat().st_size))
                file.flush()
                os.fsync(file.fileno())
            path.unlink()
        except FileNotFoundError:
            return
        fsync_folder(self._folder)

    def retire(self, name: str) -> None:
        """Note it first: a crash between the two leaves a key that nobody asks for."""
        self._create(f"{name}.gone", b"")
        self.destroy(name)

    def is_retired(self, name: str) -> bool:
        """Look for the note."""
        return (self._folder / f"{name}.gone").exists()

    def names(self) -> set[str]:
        """Return the names of the files."""
        kept = (each for each in self._folder.iterdir() if each.suffix in {".key", ".gone"})
        return {each.stem for each in kept}

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
        try:
            return (self._folder / file_name).read_bytes()
        except FileNotFoundError:
            return None

    def _create(self, file_name: str, content: bytes) -> bytes:
        """Put a file in place whole; where another process was first, return what it wrote."""
        path = self._folder / file_name
        scratch = self._folder / f".{file_name}.{os.getpid()}.{os.urandom(4).hex()}"
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
        fsync_folder(self._folder)
        return content


class Vault:
    """Seals and opens payloads; gives the secrets of keyed digests.

    Args:
        keys: Where the keys are kept.
        clock: Says which day it is.
    """

    def __init__(self, keys: KeyStore, clock: Clock) -> None:
        self._keys = keys
        self._clock = clock
        self._ciphers: dict[tuple[int, int], AESGCM] = {}
        self._compressors = {each: Compressor(each.name.lower()) for each in _MADE_SMALL}
        self._decompressor = Decompressor()
        self._pseudonym_keys: dict[tuple[str, str], bytes | None] = {}

    def seal(self, seal_class: SealClass, plaintext: bytes, associated: bytes) -> bytes:
        """Return ciphertext that opens only with the same `associated` bytes (its row's id)."""
        day = self._clock.now().toordinal() - _ORIGIN  # a clock gives UTC
        cipher = self._ciphers.get((seal_class, day))
        if cipher is None:
            cipher = self._keep((seal_class, day), self._keys.load_or_make(_name(seal_class, day)))
        compressor = self._compressors.get(seal_class)
        form = _PLAIN
        if compressor is not None and len(plaintext) >= SMALLEST_BYTES:
            form, plaintext = _COMPRESSED, compressor.compress(plaintext)
        header = _HEADER.pack(form, seal_class, day)
        nonce = os.urandom(_NONCE_BYTES)
        return header + nonce + cipher.encrypt(nonce, plaintext, header + associated)

    def open(self, sealed: bytes, associated: bytes) -> bytes:
        """Return the plaintext.

        Raises:
            PermanentError: Its day's key was destroyed (`key_destroyed`), or these bytes are not
                what was sealed with `associated` (`unreadable_payload`).
        """
        header, start = sealed[: _HEADER.size], _HEADER.size + _NONCE_BYTES
        if len(sealed) <= start or sealed[0] not in _FORMS:
            raise _unreadable()
        _, seal_class, day = _HEADER.unpack(header)
        cipher = self._ciphers.get((seal_class, day))
        if cipher is None:
            try:
                name = _name(SealClass(seal_class), day)
            except ValueError:
                raise _unreadable() from None
            key = self._keys.load(name)
            if key is None:
                raise PermanentError("key_destroyed", "its retention has passed")
            cipher = self._keep((seal_class, day), key)
        try:
            held = cipher.decrypt(sealed[_HEADER.size : start], sealed[start:], header + associated)
            return held if sealed[0] == _PLAIN else self._decompressor.decompress(held)
        except (InvalidTag, ValueError):
            raise _unreadable() from None

    def secret(self, name: str) -> bytes:
        """Return the lasting secret of this name: 32 bytes, made at first use."""
        return self._keys.load_or_make(f"secret-{name}")

    def pseudonym_key(self, purpose: str, period: str) -> bytes | None:
        """Return the key of a purpose's pseudonyms of a period, made at first use.

        Two processes that ask at once get the same. None once it was retired: none is made again,
        for the same period must not get a second set of pseudonyms.

        Raises:
            FatalError: The folder cannot be read or written (`keys_unreadable`), or is damaged.
        """
        place = (purpose, period)
        if place in self._pseudonym_keys:
            return self._pseudonym_keys[place]
        name = _pseudonym_name(purpose, period)
        try:
            key = None if self._keys.is_retired(name) else self._keys.load_or_make(name)
            if key is not None and self._keys.is_retired(name):
                self._keys.destroy(name)  # retired between the two: what was made goes again
                key = None
        except OSError as error:
            raise FatalError(
                "keys_unreadable",
                f"errno {error.errno} in the keys' folder: make it readable and writable again",
            ) from None
        while len(self._pseudonym_keys) >= _CACHED_KEYS:
            del self._pseudonym_keys[next(iter(self._pseudonym_keys))]
        self._pseudonym_keys[place] = key
        return key

    def pseudonym_keys(self) -> list[PseudonymKey]:
        """Return which keys of pseudonyms there are, and which were retired, by period."""
        found = [
            PseudonymKey(match[1], match[2], is_retired=self._keys.is_retired(name))
            for name in self._keys.names()
            if (match := _PSEUDONYM_NAME.fullmatch(name))
        ]
        return sorted(found, key=lambda key: (key.period, key.purpose))

    def retire_pseudonym_key(self, purpose: str, period: str) -> None:
        """Destroy the key of a purpose's pseudonyms of a period, for ever.

        Other processes that used it hold it in memory until they are started again.
        """
        self._pseudonym_keys.pop((purpose, period), None)
        self._keys.retire(_pseudonym_name(purpose, period))

    def keep_secret(self, name: str, secret: bytes) -> None:
        """Keep a secret that came from outside, durably, under a name that is new."""
        self._keys.keep(f"given-{name}", secret)

    def kept_secret(self, name: str) -> bytes | None:
        """Return a secret that came from outside, None where it is not there (any more)."""
        return self._keys.load(f"given-{name}")

    def forget_secret(self, name: str) -> None:
        """Make a secret that came from outside unreadable for ever."""
        self._keys.destroy(f"given-{name}")

    def destroy(self, seal_class: SealClass, day: date) -> None:
        """Destroy the key of a day and class: what it sealed is gone for everybody."""
        number = day.toordinal() - _ORIGIN
        self._ciphers.pop((seal_class, number), None)
        self._keys.destroy(_name(seal_class, number))

    def _keep(self, place: tuple[int, int], key: bytes) -> AESGCM:
        while len(self._ciphers) >= _CACHED_KEYS:
            del self._ciphers[next(iter(self._ciphers))]
        cipher = self._ciphers[place] = AESGCM(key)
        return cipher


def _name(seal_class: SealClass, day: int) -> str:
    return f"{seal_class.name.lower()}-{date.fromordinal(day + _ORIGIN):%Y%m%d}"


def _pseudonym_name(purpose: str, period: str) -> str:
    assert _PURPOSE.fullmatch(purpose), "purposes are a closed set of plain words"
    assert _PERIOD.fullmatch(period), "periods are half-years"
    return f"pseudonym-{purpose}-{period}"


def day_of(moment: datetime) -> date:
    """Return the day whose key seals at this moment."""
    return moment.astimezone(UTC).date()


def _unreadable() -> PermanentError:
    return PermanentError("unreadable_payload", "the row was altered or belongs elsewhere")
