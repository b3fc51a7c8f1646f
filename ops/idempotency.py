"""Idempotency-Key: the same key with other bytes is a mistake of the sender, and is said.

The same key with the same bytes needs no memory: the verdict is a pure function of the bytes, and
the inbox makes a resend harmless. So nothing is lost when this is forgotten.
"""

from __future__ import annotations

from collections import OrderedDict
from hashlib import blake2b
from typing import Final

from ops.runtime.metrics import METRICS

MAX_CHARACTERS: Final = 255


class IdempotencyKeys:
    """Remembers which bytes came with a key: digests alone, the most recent ones.

    Args:
        most: How many.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._seen: OrderedDict[bytes, bytes] = OrderedDict()

    def __len__(self) -> int:
        return len(self._seen)

    def fits(self, owner: str, key: str, body: bytes) -> bool:
        """Say whether this key of this owner is new, or came with these very bytes."""
        name = blake2b(f"{owner}\x1f{key}".encode(), digest_size=16).digest()
        content = blake2b(body, digest_size=16).digest()
        before = self._seen.get(name)
        if before is not None:
            self._seen.move_to_end(name)
            return before == content
        if len(self._seen) >= self._most:
            METRICS.limit_hits.labels("idempotency_keys").inc()
            self._seen.popitem(last=False)
        self._seen[name] = content
        return True


def is_key(given: str) -> bool:
    """Say whether a header's value can be a key: 1 to 255 printable ASCII characters."""
    return 0 < len(given) <= MAX_CHARACTERS and given.isascii() and given.isprintable()
