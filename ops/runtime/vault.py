"""Sealing of payloads: AES-256-GCM under a key per day and class, kept outside the database.

Payloads of messages and events are made small first (`compression.py`): what is sealed can be made
small no more, and nine tenths of them is what every payload says.

A day's key is a file, wrapped by the master key; destroying the file makes every payload of that
day and class unreadable, in every backup too. No process uses a key for longer than a minute
without looking whether it is still there. Secrets for keyed digests live beside them and do
not rotate (a person's digest must mean the same tomorrow). Keys of pseudonyms, one a purpose and
half-year, do.
"""

from __future__ import annotations

import os
import re
import struct
from datetime import UTC, date, datetime, timedelta
from enum import IntEnum
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from schemas.errors import FatalError, PermanentError

from .clock import Clock
from .compression import SMALLEST_BYTES, Compressor, Decompressor
from .key_folder import FolderKeyStore, KeyStore

_PLAIN: Final = 1
_COMPRESSED: Final = 2
"""First byte of what is sealed: how the plaintext lies in it."""
_HEADER: Final = struct.Struct(">BBH")  # version, class, days since 2020-01-01
_NONCE_BYTES: Final = 12
_ORIGIN: Final = date(2020, 1, 1).toordinal()
__all__ = [
    "DayKey",
    "FolderKeyStore",
    "KeyStore",
    "PseudonymKey",
    "SealClass",
    "Vault",
    "day_key",
    "day_of",
]

_CACHED_KEYS: Final = 512
_TRUSTED: Final = timedelta(seconds=60)
"""How long a day's key is used before it is looked for again: purged is gone in every process."""
_DAY_NAME: Final = re.compile(r"([a-z_]+)-([0-9]{8})")
_PURPOSE: Final = re.compile(r"[a-z][a-z0-9.-]{0,80}")
_PERIOD: Final = re.compile(r"[0-9]{4}-H[12]")
_PSEUDONYM_NAME: Final = re.compile(rf"pseudonym-({_PURPOSE.pattern})-({_PERIOD.pattern})")


class SealClass(IntEnum):
    """What a payload is; each class has its own retention, hence its own keys."""

    INTAKE = 1
    IDENTITY = 2
    STREAM = 3
    """Events that bear names; of public health those of before its own class was."""
    CODES = 4
    """Local codes and short texts of laboratories that no table knows."""
    PUBLIC_HEALTH = 5
    """Events of public health, which are kept for longer than names."""


class DayKey(NamedTuple):
    """The key of a class and day, by its name; never the key itself."""

    seal_class: SealClass
    day: date

    @property
    def name(self) -> str:
        """Its name in the key store."""
        return _name(self.seal_class, self.day.toordinal() - _ORIGIN)


_MADE_SMALL: Final = {
    SealClass.INTAKE: "intake",
    SealClass.STREAM: "stream",
    SealClass.PUBLIC_HEALTH: "stream",
}
"""Whose dictionary makes the payloads of a class small."""
_FORMS: Final = (_PLAIN, _COMPRESSED)


class PseudonymKey(NamedTuple):
    """Of which purpose and period a key of pseudonyms is; never the key."""

    purpose: str
    period: str
    is_retired: bool


class Vault:
    """Seals and opens payloads; gives the secrets of keyed digests.

    Args:
        keys: Where the keys are kept.
        clock: Says which day it is.
        apart_from: From this day on public health has keys of its own; before, those of the names.
    """

    def __init__(self, keys: KeyStore, clock: Clock, apart_from: date = date.min) -> None:
        self._keys = keys
        self._clock = clock
        self._apart_from = apart_from.toordinal() - _ORIGIN
        self._ciphers: dict[tuple[int, int], tuple[AESGCM, datetime]] = {}
        self._compressors = {each: Compressor(kind) for each, kind in _MADE_SMALL.items()}
        self._decompressor = Decompressor()
        self._pseudonym_keys: dict[tuple[str, str], bytes | None] = {}

    def seal(self, seal_class: SealClass, plaintext: bytes, associated: bytes) -> bytes:
        """Return ciphertext that opens only with the same `associated` bytes (its row's id)."""
        now = self._clock.now()
        day = now.toordinal() - _ORIGIN  # a clock gives UTC
        if seal_class is SealClass.PUBLIC_HEALTH and day < self._apart_from:
            seal_class = SealClass.STREAM
        held = self._ciphers.get((seal_class, day))
        cipher = (
            held[0]
            if held is not None
            else self._keep((seal_class, day), self._keys.load_or_make(_name(seal_class, day)), now)
        )
        return self._sealed(cipher, seal_class, day, plaintext, associated)

    def seal_beside(self, sealed: bytes, plaintext: bytes, associated: bytes) -> bytes:
        """Return ciphertext under the key of what is sealed already: it goes when that goes.

        Raises:
            PermanentError: That key was destroyed (`key_destroyed`), or `sealed` is not what was
                sealed with `associated` (`unreadable_payload`).
        """
        self.open(sealed, associated)
        _, seal_class, day = _HEADER.unpack(sealed[: _HEADER.size])
        cipher = self._ciphers[seal_class, day][0]
        return self._sealed(cipher, SealClass(seal_class), day, plaintext, associated)

    def _sealed(
        self,
        cipher: AESGCM,
        seal_class: SealClass,
        day: int,
        plaintext: bytes,
        associated: bytes,
    ) -> bytes:
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
        now = self._clock.now()
        trusted = self._ciphers.get((seal_class, day))
        if trusted is not None and now - trusted[1] < _TRUSTED:
            cipher = trusted[0]
        else:
            self._ciphers.pop((seal_class, day), None)
            try:
                name = _name(SealClass(seal_class), day)
            except ValueError:
                raise _unreadable() from None
            key = self._keys.load(name)
            if key is None:
                raise PermanentError("key_destroyed", "its retention has passed")
            cipher = self._keep((seal_class, day), key, now)
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

    def make_ahead(self) -> None:
        """Make tomorrow's keys: copied before anybody needs them, so that no midnight waits.

        Raises:
            TransientError: They have to be copied first, and the copies are away.
        """
        tomorrow = self._clock.now().toordinal() - _ORIGIN + 1
        for seal_class in SealClass:
            self._keys.load_or_make(_name(seal_class, tomorrow))

    def copy_keys_out(self) -> int:
        """Copy keys to where their copies lie, if they are copied; return how many were new."""
        return self._keys.copy_out()

    def day_keys(self) -> set[DayKey]:
        """Return the keys of days that there are, in the folder or among their copies.

        Raises:
            TransientError: The copies are away (`key_copies_away`).
        """
        names = self._keys.names() | self._keys.copied_names()
        return {key for name in names if (key := day_key(name)) is not None}

    def _keep(self, place: tuple[int, int], key: bytes, now: datetime) -> AESGCM:
        while len(self._ciphers) >= _CACHED_KEYS:
            del self._ciphers[next(iter(self._ciphers))]
        cipher = AESGCM(key)
        self._ciphers[place] = cipher, now
        return cipher


def day_key(name: str) -> DayKey | None:
    """Return which day's key has this name, None where it is of something else."""
    match = _DAY_NAME.fullmatch(name)
    try:
        return match and DayKey(
            SealClass[match[1].upper()],
            datetime.strptime(match[2], "%Y%m%d").replace(tzinfo=UTC).date(),
        )
    except (KeyError, ValueError):
        return None


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
