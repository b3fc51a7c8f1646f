"""What a receiver and we alone know: webhook keys, bearer tokens, mail passwords; as wrapped files.

They lie with the sealing keys, wrapped by the master key, so that no dump of the database and no
backup of it holds one.
"""

from __future__ import annotations

import base64
import binascii
import secrets
from pathlib import Path
from typing import Final

from ops.runtime.vault import Vault
from schemas.errors import PermanentError

from .receiver import Kind

PREFIX: Final = "whsec_"
_WEBHOOK_BYTES: Final = (24, 64)
"""Standard Webhooks: between 192 and 512 bits."""
_MOST_BYTES: Final = 4_096


def made_for(kind: Kind, file: Path | None) -> bytes | None:
    """Return the secret of a file, or for a webhook without one a new key; None: there is none.

    Raises:
        PermanentError: `bad_secret`: the file holds nothing that fits.
    """
    if file is None:
        return secrets.token_bytes(32) if kind is Kind.WEBHOOK else None
    try:
        text = file.read_bytes()[: _MOST_BYTES + 1].strip()
    except OSError:
        raise PermanentError("bad_secret", "the file of the secret cannot be read") from None
    if not text or len(text) > _MOST_BYTES or not text.isascii():
        raise PermanentError("bad_secret", f"give 1 to {_MOST_BYTES} ASCII characters in the file")
    if kind is Kind.WEBHOOK:
        return _webhook_key(text.decode())
    if kind is Kind.MSSANTE and b":" not in text:
        raise PermanentError("bad_secret", "give USER:PASSWORD in the file")
    if any(byte < 0x20 for byte in text):
        raise PermanentError("bad_secret", "one line, without control characters")
    return text


def shown(key: bytes) -> str:
    """Return a webhook's key as its receiver is given it."""
    return PREFIX + base64.b64encode(key).decode()


def keep(vault: Vault, receiver_id: int, version: int, secret: bytes) -> None:
    """Keep a secret of a receiver, durably, before the database speaks of it."""
    vault.keep_secret(_name(receiver_id, version), secret)


def forget(vault: Vault, receiver_id: int, version: int) -> None:
    """Make a secret unreadable for ever."""
    if version:
        vault.forget_secret(_name(receiver_id, version))


def held(vault: Vault, receiver_id: int, version: int) -> bytes | None:
    """Return a secret, None where the receiver has none.

    Raises:
        PermanentError: `secret_missing`: it should have one.
    """
    if not version:
        return None
    found = vault.kept_secret(_name(receiver_id, version))
    if found is None:
        raise PermanentError(
            "secret_missing", "its file is not with the keys: rotate-secret gives a new one"
        )
    return found


def _webhook_key(text: str) -> bytes:
    try:
        key = base64.b64decode(text.removeprefix(PREFIX), validate=True)
    except (ValueError, binascii.Error):
        key = b""
    least, most = _WEBHOOK_BYTES
    if not text.startswith(PREFIX) or not least <= len(key) <= most:
        raise PermanentError(
            "bad_secret", f"give {PREFIX} and the Base64 of {least} to {most} random bytes"
        )
    return key


def _name(receiver_id: int, version: int) -> str:
    return f"receiver-{receiver_id}-{version}"
