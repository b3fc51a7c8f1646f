"""The signature of a webhook (Standard Webhooks 1.0): HMAC-SHA256 over id, time, body; pure.

Several keys give several signatures, so that a key changes without a moment in which one side knows
only the other's old one.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence

ID_HEADER = "webhook-id"
TIME_HEADER = "webhook-timestamp"
SIGNATURE_HEADER = "webhook-signature"


def signed_headers(
    event_id: str, timestamp: int, body: bytes, keys: Sequence[bytes]
) -> dict[str, str]:
    """Return the three headers of a webhook.

    Args:
        event_id: The same at each try of one event: receivers tell a repetition by it.
        timestamp: Seconds since 1970 of this try.
        body: The bytes that are sent.
        keys: The newest first; each signs.
    """
    told = b"%b.%d.%b" % (event_id.encode(), timestamp, body)
    signatures = (base64.b64encode(hmac.digest(key, told, hashlib.sha256)).decode() for key in keys)
    return {
        ID_HEADER: event_id,
        TIME_HEADER: str(timestamp),
        SIGNATURE_HEADER: " ".join(f"v1,{signature}" for signature in signatures),
    }
