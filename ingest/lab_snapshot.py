"""The register on disk: a signed copy from which a door of the cluster starts without PostgreSQL.

It holds what a door needs to know of its instance, and the register as it was last read. Whoever
cannot read the instance's keys can neither make one nor change one. It holds no token and no
personal data; digests of tokens and fingerprints of certificates are in it.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import os
import platform
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import msgspec

from ops.runtime.clock import Clock
from ops.runtime.data_folder import fsync_folder, write_private
from ops.runtime.metrics import METRICS
from ops.runtime.migrate import Instance
from schemas.errors import TransientError

from .codes import CodeTable, LocalCode
from .lab import Lab

FILE_NAME: Final = "register.snapshot"
SECRET: Final = "register-snapshot"  # noqa: S105 - the name of a key, not a key
"""The name of the signing key among the instance's lasting secrets."""
MAX_BYTES: Final = 256 * 1024 * 1024
_MAGIC: Final = b"labdispatch register 1\n"
_DIGEST_BYTES: Final = 32
_CONFIRM_SECONDS: Final = 3_600.0
"""How often an unchanged register is written again, so that its copy does not grow old."""
_SCRATCH_SECONDS: Final = 3_600.0

_REMEDY: Final = "start PostgreSQL: the register is read from it and its copy written anew"


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The register as a door read it, and the instance it is of."""

    instance: Instance
    topic_prefix: str
    """Of the instance's topics: where a door would append."""
    taken_at: datetime
    labs: list[Lab]


def seal(snapshot: Snapshot, key: bytes) -> bytes:
    """Return the bytes of a snapshot with their HMAC-SHA256 before them."""
    content = msgspec.msgpack.encode(snapshot, enc_hook=_plain)
    return _MAGIC + hmac.digest(key, _MAGIC + content, "sha256") + content


def unseal(sealed: bytes, key: bytes) -> Snapshot:
    """Return what was sealed with this key; nothing is decoded before the signature holds.

    Raises:
        TransientError: Another key, or other bytes (`snapshot_signature_wrong`).
    """
    start = len(_MAGIC) + _DIGEST_BYTES
    signature, content = sealed[len(_MAGIC) : start], sealed[start:]
    right = hmac.digest(key, _MAGIC + content, "sha256")
    if not (sealed.startswith(_MAGIC) and hmac.compare_digest(signature, right)):
        raise TransientError("snapshot_signature_wrong", _REMEDY)
    try:
        return msgspec.msgpack.decode(content, type=Snapshot, dec_hook=_table)
    except msgspec.MsgspecError:  # signed by another release
        raise TransientError("snapshot_of_other_release", _REMEDY) from None


def check_usable(
    snapshot: Snapshot,
    *,
    realm: str,
    engine: str,
    partitions: int | None,
    topic_prefix: str,
    now: datetime,
    max_age_seconds: float,
) -> None:
    """Refuse a snapshot that a door of these settings must not start from.

    Raises:
        TransientError: Of another instance (`snapshot_of_other_instance`), or too old or from the
            future (`snapshot_too_old`).
    """
    held = snapshot.instance
    told = (realm, engine, partitions or held.partitions, topic_prefix)
    if (held.realm, held.engine, held.partitions, snapshot.topic_prefix) != told:
        raise TransientError("snapshot_of_other_instance", f"set the settings back, or {_REMEDY}")
    age = (now - snapshot.taken_at).total_seconds()
    if not -_CONFIRM_SECONDS <= age <= max_age_seconds:
        raise TransientError("snapshot_too_old", _REMEDY)


def read_file(path: Path) -> bytes | None:
    """Return the bytes of a snapshot, None where there is none.

    Raises:
        TransientError: It cannot be read, or others can write it (`snapshot_unreadable`).
    """
    try:
        status = path.stat()
        if status.st_mode & 0o077 or status.st_size > MAX_BYTES:
            raise TransientError("snapshot_unreadable", f"chmod 600 {path.name}, or {_REMEDY}")
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError:
        raise TransientError("snapshot_unreadable", _REMEDY) from None


class SnapshotKeeper:
    """Keeps the register of one instance in a file (0600), whole at every moment.

    Args:
        path: The file; several processes may keep the same.
        key: Signs it.
        instance: Goes into it.
        topic_prefix: Goes into it.
        clock: Says when it was taken.
        max_age_seconds: After this nobody starts from it; it is confirmed long before.
        taken_at: When the one on disk was taken, if a process started from it.
    """

    def __init__(
        self,
        path: Path,
        key: bytes,
        *,
        instance: Instance,
        topic_prefix: str,
        clock: Clock,
        max_age_seconds: float,
        taken_at: datetime | None = None,
    ) -> None:
        self._path = path
        self._key = key
        self._instance = instance
        self._topic_prefix = topic_prefix
        self._clock = clock
        self._confirm = timedelta(seconds=min(_CONFIRM_SECONDS, max_age_seconds / 10))
        self._taken_at = taken_at
        self._drop_scratch()

    async def keep(self, labs: Sequence[Lab], *, changed: bool) -> None:
        """Write the register where it changed, or where the copy is to be confirmed.

        A disk that is full leaves the copy as it is; that is counted, and tried again.
        """
        now = self._clock.now()
        if not changed and self._taken_at is not None and now - self._taken_at < self._confirm:
            return
        snapshot = Snapshot(
            instance=self._instance, topic_prefix=self._topic_prefix, taken_at=now, labs=list(labs)
        )
        try:
            # In a thread: an fsync must not hold up the answers of this process.
            await asyncio.to_thread(self._write, snapshot)
        except OSError:
            self._taken_at = None  # the next time, also where nothing has changed
            METRICS.errors.labels("register", "snapshot_not_written").inc()
            return
        self._taken_at = now

    def tell(self) -> None:
        """Set the figure of the copy's age."""
        if self._taken_at is not None:
            age = (self._clock.now() - self._taken_at).total_seconds()
            METRICS.register_snapshot_age.set(age)

    def _write(self, snapshot: Snapshot) -> None:
        # The name of the machine keeps containers apart that share a folder and count pids anew.
        scratch = self._path.with_name(f"{self._path.name}.{_machine()}.{os.getpid()}")
        write_private(scratch, seal(snapshot, self._key))
        scratch.replace(self._path)
        fsync_folder(self._path.parent)

    def _drop_scratch(self) -> None:
        """Remove what processes that were killed while they wrote have left."""
        for pattern in (f"{self._path.name}.*", f".{self._path.name}.*"):
            for path in self._path.parent.glob(pattern):
                with contextlib.suppress(OSError):
                    if time.time() - path.stat().st_mtime > _SCRATCH_SECONDS:
                        path.unlink()


def _machine() -> str:
    return sha256(platform.node().encode()).hexdigest()[:12]


def _plain(value: object) -> object:
    if isinstance(value, CodeTable):
        return value.rows
    raise NotImplementedError


def _table(wanted: type, value: object) -> Any:
    if wanted is CodeTable:
        return CodeTable(msgspec.convert(value, tuple[LocalCode, ...]))
    raise NotImplementedError
