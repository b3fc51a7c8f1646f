"""Bearer tokens of the streams and of the operator: made at first start, in one file (0600)."""

from __future__ import annotations

import fcntl
import hmac
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from ops.runtime.data_folder import fsync_folder
from schemas.errors import FatalError
from schemas.topics import STREAMS

TOKENS_FILE: Final = "tokens.json"
OPERATOR: Final = "operator"
"""The name of the token that reads what concerns all laboratories."""
_NAMES: Final = (*(stream.value for stream in STREAMS), OPERATOR)


def load_or_make_tokens(data_dir: Path) -> dict[str, str]:
    """Return stream name (or `operator`) -> token, made now if the file is not there.

    A folder of an earlier release, which has no operator's token, gains one. Two processes that
    start at once agree: one looks after the other, and the file is there whole or not at all.

    Raises:
        FatalError: The file is unreadable or open to others.
    """
    path = data_dir / TOKENS_FILE
    with _alone(data_dir):
        if not path.exists():
            _write(path, {name: secrets.token_urlsafe(24) for name in _NAMES})
        tokens = _read(path)
        if not tokens.get(OPERATOR):
            tokens[OPERATOR] = secrets.token_urlsafe(24)
            _write(path, tokens)
    return tokens


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the folder's own lock for a block; the kernel takes it from a process that ends."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _read(path: Path) -> dict[str, str]:
    if path.stat().st_mode & 0o077:
        raise FatalError("tokens_exposed", f"others can read the token file: chmod 600 {path.name}")
    try:
        tokens = msgspec.json.decode(path.read_bytes(), type=dict[str, str])
    except msgspec.MsgspecError:
        raise FatalError(
            "tokens_unreadable", f"{path.name} is not JSON: remove it and new ones are made"
        ) from None
    missing = [stream.value for stream in STREAMS if not tokens.get(stream.value)]
    if missing:
        raise FatalError(
            "tokens_incomplete", f"{path.name} lacks a stream: remove it and new ones are made"
        )
    return tokens


def is_valid(tokens: dict[str, str], stream: str, given: str) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(tokens.get(stream, "").encode(), given.encode()) and bool(given)


def _write(path: Path, tokens: dict[str, str]) -> None:
    """Put the file in place whole, with mode 0600."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    scratch.unlink(missing_ok=True)  # of a process that had this pid and was killed here
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(tokens), indent=1) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(path)
    fsync_folder(path.parent)
