"""Under what a Bundle was made, and what of one that was sent says it."""

from __future__ import annotations

import msgspec

from schemas.topics import Stream


class Making(msgspec.Struct, frozen=True):
    """Under what a Bundle was made: it says nothing of the patient."""

    rule: str
    rule_version: str
    model_version: str = ""
    """Of the matcher; empty where it did not decide."""
    mapping_version: str = ""


class _Sent(msgspec.Struct):
    entry: list[msgspec.Raw]


def compared_of(stream: Stream, body: bytes) -> bytes:
    """Return what of a body that was sent is compared: of a Bundle all but its Provenance."""
    if stream is not Stream.DOSSIER:
        return body
    *_, last = msgspec.json.decode(body, type=_Sent).entry
    if b'"resourceType":"Provenance"' not in bytes(last):
        return body  # of before Bundles said how they were made
    before, _, after = body.rpartition(b"," + bytes(last))
    return before + after
