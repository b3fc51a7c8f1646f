"""What the intake log holds: a clear envelope and a sealed payload.

The envelope is what dispatch needs to fence, order and count; it holds no personal data and no
clear identifier of a person or an order. The payload is ciphertext (see ops/runtime/vault.py).
"""

from __future__ import annotations

from datetime import datetime
from enum import IntEnum
from functools import lru_cache
from hashlib import blake2b
from uuid import UUID

import msgspec

from .errors import PermanentError
from .finding import Finding
from .patient import Phi
from .report import MappedMessage

MAPPING_VERSION = 3
"""Version of the mapping; dispatch maps the raw bytes again where a payload has another."""


class RecordKind(IntEnum):
    """A log record is a message to dispatch, one we refused (AE), or a replay of an offset."""

    MESSAGE = 1
    REFUSED = 2
    REPLAY = 3


class IntakeRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One record to append: `partition` is `partition_of(registry_id)`."""

    partition: int
    message_id: UUID
    lab_id: int
    kind: RecordKind
    received_at: datetime
    inbox_key: UUID
    """128-bit digest of (laboratory, control id, content): equal for an exact resend."""
    control_key: int
    """Signed 64-bit digest of the control id, by which `trace` finds a message."""
    payload: bytes
    """Sealed `AcceptedMessage` (kinds MESSAGE and REFUSED) or sealed `ReplayInstruction`."""


class StoredRecord(IntakeRecord, frozen=True, kw_only=True):
    """A record read back from the log, with its offset (strictly increasing, not gapless)."""

    offset: int

    @property
    def offset_place(self) -> tuple[int, int]:
        """Where it is: (partition, offset)."""
        return self.partition, self.offset


class Software(msgspec.Struct, frozen=True, array_like=True):
    """With what a message was sent: MSH-3, and of SFT vendor, product and version; each bounded."""

    application: str = ""
    vendor: str = ""
    product: str = ""
    version: str = ""


class AcceptedMessage(Phi, frozen=True, kw_only=True, array_like=True):
    """The sealed payload of a message: raw bytes and what the door made of them.

    Exactly one of `mapped` and `unmappable` is set for an accepted message; a refused one may have
    neither. `unmappable` is the finding for which dispatch parks the message whole.
    """

    raw: bytes
    control_id: str
    mapping_version: int
    profile_version: int
    answer: str
    """AA/CA or AE/CE: what was answered."""
    mapped: MappedMessage | None = None
    unmappable: Finding | None = None
    findings: tuple[Finding, ...] = ()
    software: Software = Software()

    def to_bytes(self) -> bytes:
        """Encode for sealing."""
        return _encoder.encode(self)

    @classmethod
    def from_bytes(cls, plaintext: bytes) -> AcceptedMessage:
        """Decode what `to_bytes` wrote.

        Raises:
            PermanentError: These are not such bytes (`unreadable_payload`).
        """
        try:
            return _decoder.decode(plaintext)
        except msgspec.MsgspecError:
            raise PermanentError(
                "unreadable_payload", "replay it with the raw message once the cause is known"
            ) from None


class ReplayInstruction(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Do the record at (partition, offset) again: it bypasses the inbox."""

    partition: int
    offset: int
    reason: str
    actor: str


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(AcceptedMessage)


def control_key_of(control_id: str) -> int:
    """Return the 64-bit digest of a control id, by which a message is found."""
    digest = blake2b(control_id.encode(), digest_size=8, person=b"control-id").digest()
    return int.from_bytes(digest, "big", signed=True)


@lru_cache(maxsize=16_384)
def partition_of(registry_id: str, partitions: int) -> int:
    """Return the log partition of a laboratory: a stable hash of its registry id."""
    digest = blake2b(registry_id.encode(), digest_size=8, person=b"lab-partition").digest()
    return int.from_bytes(digest, "big") % partitions
