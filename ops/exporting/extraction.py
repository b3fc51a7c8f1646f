"""An extraction: up to where a stream was read, and when. The same one gives the same bytes.

Events are never changed and their places have no gap, so the last `seq` of every partition says
exactly what was known. Its text is opaque and holds no personal data.
"""

from __future__ import annotations

import base64
import binascii
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

import msgspec

from schemas.errors import PermanentError
from schemas.topics import Stream

_VERSION: Final = 1


class Extraction(msgspec.Struct, frozen=True, kw_only=True):
    """What was there of a stream at a moment."""

    stream: Stream
    at: datetime
    """When it was taken, UTC."""
    instance: UUID
    begins: tuple[int, ...]
    """Of every partition, the first seq that was still there."""
    positions: tuple[int, ...]
    """Of every partition, the last seq."""

    @property
    def events(self) -> int:
        """How many events it holds, of whatever kind."""
        pairs = zip(self.begins, self.positions, strict=True)
        return sum(last - begins + 1 for begins, last in pairs)


class _Written(msgspec.Struct, frozen=True, array_like=True):
    version: int
    stream: Stream
    at: int
    instance: UUID
    begins: tuple[int, ...]
    positions: tuple[int, ...]


def encode_extraction(extraction: Extraction) -> str:
    """Return the text of an extraction, fit for a command line."""
    written = _Written(
        _VERSION,
        extraction.stream,
        _micros(extraction.at),
        extraction.instance,
        extraction.begins,
        extraction.positions,
    )
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(written)).rstrip(b"=").decode()


def decode_extraction(text: str, stream: Stream, instance: UUID) -> Extraction:
    """Return the extraction of a text.

    Raises:
        PermanentError: `bad_extraction`: not one of ours, or of another stream or instance.
    """
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        held = msgspec.msgpack.decode(raw, type=_Written)
        at = datetime.fromtimestamp(held.at // 1_000_000, UTC).replace(
            microsecond=held.at % 1_000_000
        )
    except (ValueError, OverflowError, OSError, binascii.Error, msgspec.MsgspecError):
        raise _bad() from None
    fits = len(held.begins) == len(held.positions) and all(
        1 <= begins <= last + 1 for begins, last in zip(held.begins, held.positions, strict=True)
    )
    if held.version != _VERSION or held.stream is not stream or held.instance != instance:
        raise _bad()
    if not fits:
        raise _bad()
    return Extraction(
        stream=stream,
        at=at,
        instance=held.instance,
        begins=held.begins,
        positions=held.positions,
    )


def _micros(at: datetime) -> int:
    return int(at.timestamp()) * 1_000_000 + at.microsecond


def _bad() -> PermanentError:
    return PermanentError(
        "bad_extraction",
        "not an extraction of this stream and instance: take the text from _manifest.json of an"
        " earlier export, or give none for what is there now",
    )
