"""The header of a message as it was read, and what of it every message of a sender has alike.

Plain on purpose: a compiled twin would lose that these are frozen (see `ops/compile.py`).
Source: HL7 v2.5.1 2.15.9 (MSH).
"""

from __future__ import annotations

import msgspec

from schemas.finding import Finding
from schemas.patient import Phi

from .separators import Separators, Start


class Header(Phi, frozen=True):
    """The header of a message, as an answer needs it.

    Fields in bytes are as received, already in the sender's separators and character set, and
    bounded; text is decoded, without escapes, trimmed.
    """

    separators: bytes = b"|^~\\&"
    """MSH-1 and MSH-2."""
    charset_name: bytes = b""
    control_id: str = ""
    control_id_raw: bytes = b""
    message_type: str = ""
    trigger: str = ""
    version: str = "2.5"
    version_raw: bytes = b"2.5"
    processing_id: str = ""
    processing_id_raw: bytes = b"P"
    sending_application: bytes = b""
    sending_facility: bytes = b""
    receiving_application: bytes = b""
    receiving_facility: bytes = b""
    accept_ack: str = ""
    """MSH-15: AL, NE, ER, SU or empty."""
    application_ack: str = ""
    """MSH-16."""
    registry_id: str = ""
    """The sending facility as the register knows it: MSH-4.1 and MSH-4.2, or MSH-3's."""
    content: bytes = b""
    """The message itself: what the answer's own control id is made from."""
    start: Start | None = None
    """For the reading of the body, where the separators are plain."""


class HeaderError(msgspec.Struct, frozen=True):
    """A header that nothing can be kept under: answered AR, with what could be read of it."""

    header: Header
    finding: Finding


class Envelope(Phi, frozen=True):
    """What every message of a sender has alike in its header, read once and kept by its bytes."""

    separators: Separators
    encoding: bytes
    charset_name: bytes
    message_type: str
    trigger: str
    version: str
    version_raw: bytes
    processing_id: str
    processing_id_raw: bytes
    sending_application: bytes
    sending_facility: bytes
    receiving_application: bytes
    receiving_facility: bytes
    accept_ack: str
    application_ack: str
    registry_id: str
    start: Start | None


class AnswerForm(msgspec.Struct, frozen=True):
    """What is alike in every answer to a sender: MSH but for its time and its control id."""

    separators: Separators
    codec: str
    field: bytes
    before_time: bytes
    before_id: bytes
    after_id: bytes
