"""The header of a message, read before and apart from the rest of it. Pure, never raises.

Source: HL7 v2.5.1 2.15.9 (MSH).
"""

from __future__ import annotations

from typing import Final

import msgspec

from schemas.errors import PermanentError

from .bounds import KEY_BYTES
from .catalogue import finding
from .charset import decode
from .er7 import DELETE, Message, header_line
from .msh import Envelope, Header, HeaderError
from .separators import Start, separators_of

__all__ = ["Header", "HeaderError", "read_header", "registry_id_of"]

_ECHO_BYTES: Final = 1024
_FIELD_BYTES: Final = 4_096
"""The most bytes of a field of MSH that are read; a longer one says nothing."""
_HEADER_FIELDS: Final = 19
_FRAMING: Final = bytes.maketrans(b"\n\x0b\x1c", b"   ")


_ENVELOPES: Final[dict[bytes, Envelope]] = {}
_MAX_ENVELOPES: Final = 8_192
_ENVELOPE_BYTES: Final = 512


def read_header(raw: bytes) -> Header | HeaderError:
    """Read the first segment alone, also of a message that was cut off. Never raises.

    What stands in it is the same for each message of a sender but for its time, its control id,
    its sequence number and the like: the rest is kept from message to message, by its bytes.
    """
    try:
        line, _ = header_line(raw)
    except PermanentError as error:
        return _unusable(Header(content=raw), error.reason)
    if b"\x0b" in line or b"\x1c" in line or b"\n" in line:
        # Echoed in an answer they could end its frame: read as a space, here as in the body.
        line = line.translate(_FRAMING)
    parts = line.split(line[3:4] or b"|", _HEADER_FIELDS)
    if len(parts) <= _HEADER_FIELDS:
        parts += [b""] * (_HEADER_FIELDS - len(parts))
    # MSH-1 to MSH-6, 9, 11, 12 and 15 to 18.
    alike = b"\r".join((line[:4], *parts[1:6], parts[8], *parts[10:12], *parts[14:18]))
    envelope = _ENVELOPES.get(alike)
    if envelope is not None and b"\x00" not in line:
        control_id = _plain_control_id(parts[9], envelope.separators.escape)
        if control_id:
            return _header(raw, envelope, control_id, parts[9])
    return _read(raw, parts, alike)


def _plain_control_id(raw: bytes, escape: str) -> str:
    """Return a control id that means just what it says, empty for any other."""
    if not raw.isascii() or len(raw) > KEY_BYTES:
        return ""
    text = raw.decode("ascii")
    return text if escape not in text and text.strip() == text != DELETE else ""


def _read(raw: bytes, parts: list[bytes], alike: bytes) -> Header | HeaderError:
    """Read a header whose sender is new here, or whose control id is no plain word.

    Only what is alike decides how it is decoded, so that what was kept is what would be read again.
    """
    if max(map(len, parts[:_HEADER_FIELDS])) > _FIELD_BYTES:
        return _read_short(raw, parts, alike)
    fields = _decoded(alike, parts[17]).split("\r")
    separators = separators_of(fields[0][3:], fields[1])
    if separators is None:
        return _unusable(Header(content=raw), "bad_separators")
    reader = Message(separators, "utf-8")
    envelope = _envelope(parts, fields, reader)
    control_id = reader.text(_decoded(parts[9], parts[17]))
    header = _header(raw, envelope, control_id, _bounded(parts[9].strip()))
    checked = _check_names(header, parts)
    if isinstance(checked, Header) and len(alike) <= _ENVELOPE_BYTES:
        if len(_ENVELOPES) >= _MAX_ENVELOPES:
            _ENVELOPES.clear()
        _ENVELOPES[alike] = envelope
    return checked


def _read_short(raw: bytes, parts: list[bytes], alike: bytes) -> Header | HeaderError:
    """Read a header some of whose fields are too long to mean anything, without those."""
    long = {
        number for number, part in enumerate(parts[:_HEADER_FIELDS]) if len(part) > _FIELD_BYTES
    }
    kept = [b"" if number in long else part for number, part in enumerate(parts)]
    alike = b"\r".join((alike[:4], *kept[1:6], kept[8], *kept[10:12], *kept[14:18]))
    found = _read(raw, kept, alike)
    header = found if isinstance(found, Header) else found.header
    if long & {2, 3}:
        return _unusable(header, "sender_too_long")
    if 9 in long:
        return _unusable(header, "control_id_too_long")
    # The body is read by what stands there, not by what was left out here.
    return msgspec.structs.replace(found, start=None) if isinstance(found, Header) else found


def _header(raw: bytes, envelope: Envelope, control_id: str, control_id_raw: bytes) -> Header:
    return Header(
        envelope.encoding,
        envelope.charset_name,
        control_id,
        control_id_raw,
        envelope.message_type,
        envelope.trigger,
        envelope.version,
        envelope.version_raw,
        envelope.processing_id,
        envelope.processing_id_raw,
        envelope.sending_application,
        envelope.sending_facility,
        envelope.receiving_application,
        envelope.receiving_facility,
        envelope.accept_ack,
        envelope.application_ack,
        envelope.registry_id,
        raw,
        envelope.start,
    )


def _envelope(parts: list[bytes], alike: list[str], reader: Message) -> Envelope:
    """Make the envelope: of the split first segment, and of the text of what is alike in it."""
    kind = reader.components(alike[6])
    return Envelope(
        separators=reader.separators,
        encoding=reader.separators.field.encode() + parts[1],
        charset_name=_bounded(parts[17]),
        message_type=reader.text(kind[0]).upper(),
        trigger=reader.text(kind[1]).upper() if len(kind) > 1 else "",
        version=reader.text(reader.components(alike[8])[0]),
        version_raw=_bounded(parts[11]),
        processing_id=reader.text(reader.components(alike[7])[0]).upper(),
        processing_id_raw=_bounded(parts[10]),
        sending_application=_bounded(parts[2]),
        sending_facility=_bounded(parts[3]),
        receiving_application=_bounded(parts[4]),
        receiving_facility=_bounded(parts[5]),
        accept_ack=reader.text(alike[9]).upper(),
        application_ack=reader.text(alike[10]).upper(),
        registry_id=registry_id_of(reader, alike[2], alike[3]),
        start=Start(reader.separators, len(alike[1]), parts[17]) if parts[1].isascii() else None,
    )


def _decoded(raw: bytes, charset_name: bytes) -> str:
    """Decode as declared; as 8859/1 where that fails (the body is judged strictly)."""
    try:
        return decode(raw, charset_name)[0]
    except PermanentError:
        return raw.decode("iso8859-1")


def _check_names(header: Header, parts: list[bytes]) -> Header | HeaderError:
    """Say whether sender and control id can be kept under; what is missing of MSH-10 can be."""
    if b"\x00" in header.separators or b"\x00" in b"".join(parts[:12]):
        return _unusable(header, "nul_bytes")
    if not header.registry_id:
        return _unusable(header, "sender_missing")
    if len(header.registry_id.encode()) > KEY_BYTES:
        return _unusable(header, "sender_too_long")
    if not header.registry_id.isprintable() or not _is_decodable(parts):
        return _unusable(header, "sender_unreadable")
    if len(header.control_id.encode()) > KEY_BYTES:
        return _unusable(header, "control_id_too_long")
    return header


def _is_decodable(parts: list[bytes]) -> bool:
    try:
        decode(b"%b|%b" % (parts[2], parts[3]), parts[17])
    except PermanentError:
        return False
    return True


def _bounded(field: bytes) -> bytes:
    return field if len(field) <= _ECHO_BYTES else b""


def _unusable(header: Header, code: str) -> HeaderError:
    """Say why nothing can be kept under this header: always as an unsupported message (200)."""
    return HeaderError(header, msgspec.structs.replace(finding(code), hl7_code=200))


def registry_id_of(message: Message, application: str, facility: str) -> str:
    """Return the sender as the register knows it: MSH-4.1 and MSH-4.2, or MSH-3's; upper case."""
    for raw in (facility, application):
        parts = [" ".join(message.text(part).split()) for part in message.components(raw)[:2]]
        name = "^".join(parts).strip("^").upper()
        if name:
            return name
    return ""
