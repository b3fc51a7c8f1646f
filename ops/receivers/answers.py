"""What an HTTP answer means: by its status, and by the HL7 acknowledgement in its body; pure.

Of a body nothing is kept but codes of closed sets.
"""

from __future__ import annotations

import re
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Final

import msgspec

from routing.pushing import Answer, Outcome, Protocol

HL7: Final = "application/hl7-v2"
_MSA: Final = re.compile(r"[AC][AER]")
_CODE: Final = re.compile(r"[0-9]{1,4}")
_SECONDS: Final = re.compile(r"[0-9]{1,9}")

# The receiver does not let us in, is not there, or has too much to do: no event is at fault.
_WHOLE: Final = frozenset({401, 403, 404, 405, 407, 410, 429, 502, 503, 504})
# A gateway gave up: who stands behind it may still be at it.
_UNSURE: Final = frozenset({502, 504})
_BUSY: Final = frozenset({429, 503})
_TRANSIENT: Final = frozenset({408, 409, 423, 425})
_ISSUES: Final = frozenset({
    "invalid", "structure", "required", "value", "invariant", "security", "login", "unknown",
    "expired", "forbidden", "suppressed", "processing", "not-supported", "duplicate",
    "multiple-matches", "not-found", "deleted", "too-long", "code-invalid", "extension",
    "too-costly", "business-rule", "conflict", "transient", "lock-error", "no-store", "exception",
    "timeout", "incomplete", "throttled", "informational",
})  # fmt: skip
"""FHIR R4, value set issue-type."""


class _Issue(msgspec.Struct):
    code: str = ""


class _OperationOutcome(msgspec.Struct):
    issue: list[_Issue] = []


def answer_of(
    status: int, content_type: str, retry_after: str, body: bytes, now: datetime
) -> Answer:
    """Return what an HTTP answer means.

    Args:
        status: Its status.
        content_type: The header, as it came.
        retry_after: The header, as it came; empty where there is none.
        body: What was read of it, which is bounded.
        now: The moment, for a Retry-After that is a date.
    """
    wait = _wait(retry_after, now)
    if 200 <= status < 300:
        if content_type.lower().startswith(HL7) or body.startswith(b"MSH"):
            return _acknowledged(body, wait)
        return Answer(outcome=Outcome.ACCEPTED, protocol=Protocol.HTTP, code=str(status))
    whole = status in _WHOLE
    transient = whole or status >= 500 or status in _TRANSIENT
    return Answer(
        outcome=Outcome.TRANSIENT if transient else Outcome.PERMANENT,
        protocol=Protocol.HTTP,
        code=str(status),
        detail=_issues(body),
        whole=whole,
        unsure=status in _UNSURE,
        busy=status in _BUSY,
        retry_after_seconds=wait,
    )


def _acknowledged(body: bytes, wait: float | None) -> Answer:
    """Return what an HL7 acknowledgement means: AA taken, AE wrong, AR send again later."""
    separator = body[3:4].decode("latin-1") or "|"
    code, error = "", ""
    for line in body.decode("latin-1").replace("\n", "\r").split("\r"):
        fields = line.split(separator)
        if fields[0] == "MSA" and len(fields) > 1 and _MSA.fullmatch(fields[1]):
            code = code or fields[1]
        elif fields[0] == "ERR" and len(fields) > 3:
            found = _CODE.match(fields[3])
            error = error or (found[0] if found else "")
    outcomes = {"A": Outcome.ACCEPTED, "E": Outcome.PERMANENT, "R": Outcome.TRANSIENT}
    return Answer(
        # Without MSA-1 nobody knows: as when no answer came.
        outcome=outcomes[code[1]] if code else Outcome.TRANSIENT,
        protocol=Protocol.HL7,
        code=code or "no_msa",
        detail=f"ERR-3 {error}" if error else "",
        retry_after_seconds=wait,
    )


def _issues(body: bytes) -> str:
    """Return the codes of an OperationOutcome, none of its text."""
    try:
        found = msgspec.json.decode(body, type=_OperationOutcome)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return ""
    codes = dict.fromkeys(each.code for each in found.issue if each.code in _ISSUES)
    return ", ".join(list(codes)[:5])


def _wait(text: str, now: datetime) -> float | None:
    """Return Retry-After in seconds (RFC 9110, 10.2.3): a number, or a date."""
    text = text.strip()
    if _SECONDS.fullmatch(text):
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    if moment.tzinfo is None:
        return None
    return max(0.0, (moment - now).total_seconds())
