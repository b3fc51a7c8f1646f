"""Who wrote a record of an inbound topic: its signature, made with a key of the laboratory. Pure.

A record names its laboratory in the header `laboratory` and proves it in the header `signature`.
What is not proved is nobody's: there is no topic, partition or address that counts instead.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from hashlib import sha256
from struct import pack
from typing import Final

LABORATORY: Final = "laboratory"
SIGNATURE: Final = "signature"
_PREFIX: Final = b"labdispatch-inbound-1\n"
_KEY_PREFIX: Final = b"labdispatch-inbound-key-1\n"
_SIGNATURE_CHARACTERS: Final = 64
_MAX_NAME_BYTES: Final = 200


def signing_key(secret: bytes, token_digest: bytes) -> bytes:
    """Return the key that a laboratory's token gives for signing records: 32 bytes.

    It is made of the hub's secret and of what the register keeps of the token: who can read the
    register alone cannot sign, and a token that is revoked takes its key with it.
    """
    return hmac.digest(secret, _KEY_PREFIX + token_digest, "sha256")


def digest_of(topic: str, key: bytes | None, value: bytes) -> bytes:
    """Return what is signed of a record: a SHA-256 of topic, key and value, each with its length.

    Without a key its length counts as 4294967295.
    """
    name = topic.encode()
    length = 0xFFFF_FFFF if key is None else len(key)
    digest = sha256(_PREFIX + pack(">I", len(name)) + name + pack(">I", length) + (key or b""))
    digest.update(value)
    return digest.digest()


def sign(signing: bytes, topic: str, key: bytes | None, value: bytes) -> str:
    """Return the header `signature` of a record: HMAC-SHA256 of its digest, in hexadecimal."""
    return hmac.digest(signing, digest_of(topic, key, value), "sha256").hex()


def is_signed(
    signature: bytes, secret: bytes, token_digests: Iterable[bytes], digest: bytes
) -> bool:
    """Say whether one of a laboratory's tokens made this signature; tells nothing by its time."""
    if len(signature) != _SIGNATURE_CHARACTERS:
        return False
    given = signature.lower()
    found = False
    for each in token_digests:
        made = hmac.digest(signing_key(secret, each), digest, "sha256").hex().encode()
        found |= hmac.compare_digest(given, made)
    return found


def header_of(headers: Iterable[tuple[str, bytes]], name: str) -> bytes:
    """Return a header that is there exactly once and of a usable length; else nothing."""
    found = [value for each, value in headers if each == name]
    if len(found) != 1 or len(found[0]) > _MAX_NAME_BYTES:
        return b""
    return found[0]
