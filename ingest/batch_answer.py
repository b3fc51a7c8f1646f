"""The answer to a file: an HL7 file of its acknowledgements, in its own envelopes. Pure.

FHS and BHS swap sender and receiver and name the header they answer; BTS and FTS hold the counts of
what was answered, and the codes of what was found. No value of a message but what its header names.
Source: HL7 v2.5.1 2.10.3.1, 2.15.2 (BHS), 2.15.3 (BTS), 2.15.6 (FHS), 2.15.7 (FTS).
"""

from __future__ import annotations

from datetime import datetime
from hashlib import blake2b
from typing import Final

from .batch import Closed, Opened
from .header import Header, read_header
from .separators import separators_of

_STANDARD: Final = b"|^~\\&"
_ECHO_BYTES: Final = 200
_FIELDS: Final = 12
_DIGEST_BYTES: Final = 10
_MAX_CODES: Final = 10


def header_line(opened: Opened, at: datetime) -> bytes:
    """Return the FHS or BHS that answers a header, or the BHS of a batch that had none."""
    if opened.is_implied:
        header = read_header(opened.line.partition(b"\r")[0].partition(b"\n")[0])
        known = header if isinstance(header, Header) else header.header
        separators = known.separators
        names = [
            known.sending_application,
            known.sending_facility,
            known.receiving_application,
            known.receiving_facility,
        ]
        control_id = b""
    else:
        field = opened.line[3:4] or b"|"
        parts = [*opened.line.split(field, _FIELDS), *[b""] * _FIELDS]
        separators = opened.line[3:4] + parts[1]
        names = [_plain(part) for part in parts[2:6]]
        control_id = _plain(parts[10])
    if not _usable(separators):
        separators = _STANDARD
        names, control_id = [b""] * 4, b""
    field = separators[:1]
    own = blake2b(opened.line, digest_size=_DIGEST_BYTES, person=b"batch").hexdigest().encode()
    time = at.strftime("%Y%m%d%H%M%S%z").encode()
    fields = [names[2], names[3], names[0], names[1], time, b"", b"", b"", own, control_id]
    line = opened.kind.encode() + separators + field + field.join(fields)
    return line.rstrip(field) + b"\r"


def trailer_line(closed: Closed, answers: int) -> bytes:
    """Return the BTS or FTS: how many answers or batches it holds, and what was found."""
    field = closed.separator.encode()
    # BTS-2 and FTS-2 are comments: our stable codes, which hold no separator.
    found = " ".join(closed.codes[:_MAX_CODES])
    line = field.join([closed.kind.encode(), b"%d" % answers, found.encode()])
    return line.rstrip(field) + b"\r"


def code_of(acknowledgement: bytes) -> str:
    """Return MSA-1 of an acknowledgement of ours as AA, AE or AR; empty where it has none."""
    at = acknowledgement.find(b"\rMSA")
    if at < 0:
        return ""
    code = acknowledgement[at + 5 : at + 7].decode("ascii", "replace")
    return "A" + code[1:]


def _plain(part: bytes) -> bytes:
    if len(part) > _ECHO_BYTES:
        return b""
    return part.translate(None, b"\x00\x0b\x1c\r\n")


def _usable(separators: bytes) -> bool:
    return separators.isascii() and (
        separators_of(separators[:1].decode(), separators[1:].decode()) is not None
    )
