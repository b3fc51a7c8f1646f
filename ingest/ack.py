"""Acknowledgements: MSA and ERR in the sender's separators, original and enhanced mode. Pure.

Equal bytes, ruling and findings give an equal answer, but for MSH-7. No answer holds a value of
the message other than its header's names, echoed as received. Sources: HL7 v2.5.1 2.9.2, 2.9.3
(modes), 2.15.5 (ERR), 2.15.8 (MSA), tables 0008, 0155, 0357, 0516.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from hashlib import blake2b
from typing import Final
from unicodedata import normalize

import msgspec

from schemas.finding import Finding, Level
from schemas.place import NOWHERE, Place

from .catalogue import RULES, finding, french
from .charset import declared_codec
from .header import Header
from .judge import Judgement, Ruling
from .profile import version_has_errors
from .separators import Separators, separators_of
from .structures import ACKNOWLEDGEMENT

ACK_CODES: Final = {Ruling.ACCEPT: "AA", Ruling.REFUSE: "AE", Ruling.REJECT: "AR"}
"""MSA-1 of the original mode, and of the application acknowledgement."""
COMMIT_CODES: Final = {Ruling.ACCEPT: "CA", Ruling.REFUSE: "CE", Ruling.REJECT: "CR"}
"""MSA-1 of the enhanced mode's first answer."""

ONBOARDING: Final = "onboarding"
"""The state of a laboratory whose vendor is still at work: it is told everything."""
MAX_TOLD: Final = 20
"""Findings in one answer; the worst of them first."""
_TEXT_CHARACTERS: Final = 250
"""What ERR-8 holds in 2.5."""
_SHORT_CHARACTERS: Final = 80
"""What MSA-3 holds before 2.5."""
_DIGEST_BYTES: Final = 10
"""Twenty hexadecimal digits: what MSH-10 holds in every version."""
_TABLE_0357: Final = {
    0: "Message accepted",
    100: "Segment sequence error",
    101: "Required field missing",
    102: "Data type error",
    103: "Table value not found",
    200: "Unsupported message type",
    201: "Unsupported event code",
    202: "Unsupported processing id",
    203: "Unsupported version id",
    204: "Unknown key identifier",
    205: "Duplicate key identifier",
    206: "Application record locked",
    207: "Application internal error",
}
_WEIGHTS: Final = {Level.ERROR: 0, Level.WARNING: 1, Level.INFO: 2}
_SEVERITIES: Final = {Level.ERROR: "E", Level.WARNING: "W", Level.INFO: "I"}
_STANDARD: Final = Separators()
_APPLICATION: Final = frozenset(ACK_CODES.values())
_TWO_PART_TYPES: Final = frozenset({"2.1", "2.2", "2.3"})
"""Versions whose MSH-9 has no message structure in it: that came with 2.3.1."""


def build_acks(
    header: Header,
    ruling: Ruling,
    findings: tuple[Finding, ...],
    *,
    at: datetime,
    wants_no_answer: bool,
) -> tuple[bytes, ...]:
    r"""Return the answers to a message, in order: none, one, or commit and application answer.

    Args:
        header: Of the message, also one that could be read in part.
        ruling: What was decided.
        findings: What is told (see `told_of`), in any order; the worst are written first.
        at: Time of the answer (MSH-7), aware.
        wants_no_answer: The register says so; it holds where the message itself asks for none
            (`NE` in MSH-15 and MSH-16). A rejection is always answered.
    """
    codes = _codes(header, ruling, wants_no_answer=wants_no_answer)
    return tuple([_message(header, code, findings, at) for code in codes])


def told_of(judgement: Judgement, state: str) -> tuple[Finding, ...]:
    """Return which findings a laboratory in this state is told; never what is decided.

    In `onboarding` every finding. Otherwise errors alone, and the one by which no report could be
    made of a message that is safe: its sender would never learn of it.
    """
    if state == ONBOARDING or not judgement.findings:
        return judgement.findings
    if judgement.unmappable is not None:
        return judgement.findings[:1]
    return tuple([found for found in judgement.findings if found.level is Level.ERROR])


def _codes(header: Header, ruling: Ruling, *, wants_no_answer: bool) -> tuple[str, ...]:
    """Return MSA-1 of each answer that MSH-15 and MSH-16 ask for."""
    commit, application = COMMIT_CODES[ruling], ACK_CODES[ruling]
    accept_ack, application_ack = header.accept_ack, header.application_ack
    if header.message_type == ACKNOWLEDGEMENT:
        # 2.9.3: only an acknowledgement whose MSH-15 asks for it has a commit, which itself asks
        # for nothing. Any other answer to an answer would be the beginning of a loop.
        asked = accept_ack in {"AL", "ER", "SU"} and _is_wanted(accept_ack, ruling)
        return (commit,) if asked else ()
    if not accept_ack and not application_ack:
        return (application,)
    if accept_ack in {"", "NE"} and application_ack in {"", "NE"}:
        if wants_no_answer and ruling is not Ruling.REJECT:
            return ()
        return (commit,)
    codes = []
    if accept_ack and _is_wanted(accept_ack, ruling):
        codes.append(commit)
    if application_ack and _is_wanted(application_ack, ruling):
        codes.append(application)
    if not codes and ruling is Ruling.REJECT:
        codes.append(commit if accept_ack not in {"", "NE"} else application)
    return tuple(codes)


def _is_wanted(condition: str, ruling: Ruling) -> bool:
    """Say what table 0155 says; a condition that is not of it asks for every answer."""
    match condition:
        case "NE":
            return False
        case "ER":
            return ruling is not Ruling.ACCEPT
        case "SU":
            return ruling is Ruling.ACCEPT
        case _:
            return True


def _message(header: Header, code: str, findings: tuple[Finding, ...], at: datetime) -> bytes:
    form = _form_of(header, _event_of(header, code))
    told = _told(findings) if findings else []
    field = form.field
    lines = [
        form.before_time,
        _time_of(int(at.timestamp())),
        form.before_id,
        _own_control_id(header, code),
        form.after_id,
        b"MSA" + field + code.encode() + field + header.control_id_raw,
    ]
    if told:
        lines += _errors(told, form, header)
    lines.append(b"\r")
    return b"".join(lines)


class _Form(msgspec.Struct, frozen=True):
    """What is alike in every answer to a sender: MSH but for its time and its control id."""

    separators: Separators
    codec: str
    field: bytes
    before_time: bytes
    before_id: bytes
    after_id: bytes


_FORMS: Final[dict[tuple[bytes | str, ...], _Form]] = {}
_MAX_FORMS: Final = 8_192


def _event_of(header: Header, code: str) -> str:
    """Return MSH-9.2 of an answer: the event of the message, which names what is acknowledged.

    HL7 v2.5.1 7.3.3: a result of a device without an order (R30) has an acknowledgement of an event
    of its own (R33); the commit of the enhanced mode is the general one.
    """
    if header.trigger == "R30" and code in _APPLICATION and version_has_errors(header.version):
        return "R33"
    return header.trigger


def _form_of(header: Header, event: str) -> _Form:
    alike = (
        header.separators,
        header.sending_application,
        header.sending_facility,
        header.receiving_application,
        header.receiving_facility,
        event,
        header.processing_id_raw,
        header.version_raw,
        header.charset_name,
    )
    form = _FORMS.get(alike)
    if form is None:
        if len(_FORMS) >= _MAX_FORMS:
            _FORMS.clear()
        form = _FORMS[alike] = _make_form(header, event)
    return form


def _make_form(header: Header, event: str) -> _Form:
    separators = _separators(header)
    field = separators.field.encode()
    kind = ["ACK"]
    if event.isalnum() and event.isascii() and len(event) == 3:
        kind.append(event)
        if header.version not in _TWO_PART_TYPES:
            kind.append("ACK")
    before = [
        b"MSH" + header.separators,
        header.receiving_application,
        header.receiving_facility,
        header.sending_application,
        header.sending_facility,
        b"",
    ]
    after = [b"", header.processing_id_raw, header.version_raw]
    if header.charset_name:
        after += [b""] * 5 + [header.charset_name]
    return _Form(
        separators=separators,
        codec=declared_codec(header.charset_name) or "ascii",
        field=field,
        before_time=field.join(before),
        before_id=field.join((b"", b"", separators.component.join(kind).encode(), b"")),
        after_id=field.join(after) + b"\r",
    )


@lru_cache(maxsize=4)
def _time_of(second: int) -> bytes:
    """Write MSH-7: the same for all answers of a second."""
    return datetime.fromtimestamp(second, UTC).strftime("%Y%m%d%H%M%S%z").encode()


def _errors(told: list[Finding], form: _Form, header: Header) -> list[bytes]:
    """Write what follows MSA-2: in MSA itself before 2.5, and the ERR segments."""
    separators = form.separators
    if version_has_errors(header.version):
        return [b"\r" + _error(found, separators, form.codec) for found in told]
    text = _escaped(_shortened(told[0].text), separators, form.codec)
    code = _code_of(told[0], separators, separators.component)
    parts = [form.field + form.field.join((text, b"", b"", code))]
    placed = [found for found in told if found.place != NOWHERE]
    if placed:
        # One ERR, whose first field repeats: an ACK of these versions has no second.
        locations = [_error_before_2_5(found, separators) for found in placed]
        parts.append(b"\rERR" + form.field + separators.repetition.encode().join(locations))
    return parts


def _shortened(text: str) -> str:
    """Cut a sentence between two words to what MSA-3 holds."""
    if len(text) <= _SHORT_CHARACTERS:
        return text
    return text[: _SHORT_CHARACTERS + 1].rpartition(" ")[0]


def _separators(header: Header) -> Separators:
    letters = header.separators
    for codec in ("utf-8", "cp1252"):
        try:
            text = letters.decode(codec)
        except UnicodeDecodeError:
            continue
        found = separators_of(text[:1], text[1:])
        if found is not None:
            return found
    return _STANDARD


def _own_control_id(header: Header, code: str) -> bytes:
    """Return our MSH-10: the same for the same message and the same answer."""
    registry_id, control_id = header.registry_id.encode(), header.control_id.encode()
    named = b"%d:%b%d:%b%b:" % (
        len(registry_id), registry_id, len(control_id), control_id, code.encode()
    )  # fmt: skip
    digest = blake2b(named, digest_size=_DIGEST_BYTES, person=b"ack-control-id")
    digest.update(header.content)
    return digest.hexdigest().upper().encode()


def _told(findings: tuple[Finding, ...]) -> list[Finding]:
    """Return the findings to write: the worst first, otherwise in the order of the message."""
    told = [found for found in findings if found.text]
    if len(told) > 1:
        told.sort(key=lambda found: _WEIGHTS[found.level])
    return told[:MAX_TOLD]


@lru_cache(maxsize=4_096)
def _error(found: Finding, separators: Separators, codec: str) -> bytes:
    """Write ERR as of 2.5: place, code, severity, our code, English for vendors, French for users.

    ERR-7 is what a help desk reads, ERR-8 what a user is shown; ASCII letters stand for those that
    the sender's character set lacks.
    """
    rule = RULES.get(found.code)
    shown = french(rule) if rule is not None else found.text
    parts = [
        b"ERR",
        b"",
        _location(found.place, separators),
        _code_of(found, separators, separators.component),
        _SEVERITIES[found.level].encode(),
        separators.component.join((found.code, "", "L")).encode(),
        b"",
        _escaped(found.text[:_TEXT_CHARACTERS], separators, codec),
        _escaped(shown[:_TEXT_CHARACTERS], separators, codec),
    ]
    return separators.field.encode().join(parts)


@lru_cache(maxsize=4_096)
def _error_before_2_5(found: Finding, separators: Separators) -> bytes:
    """Write a repetition of ERR-1 (CM): segment, sequence, field, and the code in subcomponents."""
    place = found.place
    numbers = [str(number) if number else "" for number in (place.sequence, place.field)]
    location = separators.component.join((place.segment, *numbers, "")).encode()
    code = _code_of(found, separators, separators.subcomponent)
    return location + code


def _location(place: Place, separators: Separators) -> bytes:
    """Write ERR-2: segment, sequence, field, repetition, component, subcomponent."""
    if not place.segment:
        return b""
    repetition = place.repetition or (1 if place.field else 0)
    numbers = (place.sequence, place.field, repetition, place.component, place.subcomponent)
    parts = [place.segment, *(str(number) if number else "" for number in numbers)]
    return separators.component.join(parts).rstrip(separators.component).encode()


def _code_of(found: Finding, separators: Separators, between: str) -> bytes:
    name = _TABLE_0357.get(found.hl7_code, _TABLE_0357[207])
    if not found.hl7_code and found.level is not Level.ERROR:
        name = _TABLE_0357[0]
    return between.encode().join((b"%d" % found.hl7_code, _escaped(name, separators), b"HL70357"))


def _escaped(text: str, separators: Separators, codec: str = "ascii") -> bytes:
    """Write a text of ours so that no separator in it is one, in the sender's character set."""
    text = text.translate(_escapes(separators))
    try:
        return text.encode(codec)
    except UnicodeEncodeError:
        return _transliterated(text)


def _transliterated(text: str) -> bytes:
    """Write French in ASCII: letters without their accents, ligatures as two letters."""
    folded = normalize("NFKD", text.replace("\u0153", "oe").replace("\u2019", "'"))
    return folded.encode("ascii", "ignore")


@lru_cache(maxsize=64)
def _escapes(separators: Separators) -> dict[int, str]:
    codes = {
        separators.escape: "E",
        separators.field: "F",
        separators.component: "S",
        separators.repetition: "R",
        separators.subcomponent: "T",
    }
    escape = separators.escape
    table = {ord(letter): f"{escape}{code}{escape}" for letter, code in codes.items()}
    return table | dict.fromkeys((0x0A, 0x0B, 0x0D, 0x1C), " ")


# ---------------------------------------------------------------------- ready-made findings

_FRAMES: Final = {
    "oversize": "frame_oversize",
    "cut": "frame_cut",
    "garbage": "frame_garbage",
    "empty": "frame_empty",
}


def framing_finding(reason: str) -> Finding:
    """Return what is told of a frame that was not taken whole."""
    return finding(_FRAMES[reason])


def unknown_sender() -> Finding:
    """Return what is told to a sending facility that the register does not hold."""
    return finding("unknown_sender")


def facility_not_yours() -> Finding:
    """Return what is told to a peer that may not speak for the sending facility it names."""
    return finding("facility_not_yours")


def suspended_sender() -> Finding:
    """Return what is told to a sending facility that is suspended."""
    return finding("suspended_sender")


def not_now(reason: str) -> Finding:
    """Return what is told when nothing can be taken now: storage down, disk low, quota."""
    return finding(reason if reason in RULES else "not_now")
