"""One message checked: what a hub would answer, and each finding with its line. Pure, never raises.

The verdict is that of the door (`read_header`, `judge`), never one of this module. No entry holds a
value of the message but its header's own names; with `show_values`, which only the terminal of the
message's owner asks for, also the lines that findings are about.
"""

from __future__ import annotations

from typing import Final

import msgspec

from ingest.ack import ACK_CODES, framing_finding
from ingest.er7 import Segment
from ingest.header import Header, HeaderError, read_header
from ingest.judge import LabProfile, Ruling, judge
from ingest.profile import conventions_of
from ops.splitting import Part
from schemas.decision import Realm
from schemas.finding import Finding, Level
from schemas.place import NOWHERE, Place

from .lines import Lines, Spot, hidden, span_of
from .mends import mend_of
from .shapes import for_terminal, mask_of, shape_of
from .wording import PAGE_PATH, wording_of

MAX_MESSAGE_BYTES: Final = 8 * 1024 * 1024
"""What the door takes as one frame unless it is set otherwise (`ListenerLimits`)."""
MAX_LINE_CHARACTERS: Final = 400
_OUTCOMES: Final = {Ruling.ACCEPT: "dispatched", Ruling.REFUSE: "refused", Ruling.REJECT: ""}


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What a message is checked against, and how it is told."""

    profile: LabProfile = LabProfile()
    realm: Realm = Realm.TEST
    language: str = "en"
    show_values: bool = False
    max_message_bytes: int = MAX_MESSAGE_BYTES


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """One finding about a message, with the place where it stands in the file."""

    code: str
    level: Level
    hl7_code: int
    place: str
    """As `PID[1]-3(2).4`; `message` where it is about the whole."""
    segment: str
    sequence: int
    field: int
    repetition: int
    component: int
    subcomponent: int
    line: int
    """Of the file, one-based; the message's first line where the place is not there."""
    column: int
    """One-based; 0 where the place is not in the message."""
    end_column: int
    shape: str
    """What the value there is made of, never the value: `5 digits, 1 letter`."""
    remedy: str
    why: str
    excerpt: str
    """The line with … for the values around and a mask for the value; empty without a line."""
    is_masked: bool
    """Whether the excerpt hides values; false only where the message's owner asked for them."""
    caret: int
    """Where in the excerpt the value begins (zero-based)."""
    caret_length: int
    corrected: str
    """The line as it would be right, with … and masks; empty where it does not follow."""
    help: str
    """Path of the finding's page on a hub."""

    def __repr__(self) -> str:
        """Return code and place: the excerpt may be personal data."""
        return f"<Note {self.code} at {self.place}>"


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One message of a file, also one without findings."""

    file: str
    message: int
    """Which one of the file it is, one-based."""
    line: int
    control_id: str
    message_type: str
    version: str
    sender: str
    """MSH-4 as the register would know it."""
    profile: str
    realm: Realm
    verdict: str
    """MSA-1 as answered: AA, AE or AR; empty where a hub could not answer at all."""
    outcome: str
    """What would become of it: dispatched, parked, refused; empty for what would not be kept."""
    errors: int
    warnings: int
    infos: int
    findings: tuple[Note, ...]

    def __repr__(self) -> str:
        """Return the place and the verdict."""
        return f"<Entry {self.message} of {self.file}: {self.verdict}>"


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What the door makes of a message: the answer, and what was found."""

    header: Header
    ruling: Ruling | None
    """None where a hub could not answer at all."""
    outcome: str
    findings: tuple[Finding, ...]
    """As answered."""
    parked: Finding | None = None
    """Why it would be kept and no report could be made of it."""

    def __repr__(self) -> str:
        """Return the ruling alone."""
        return f"<Verdict {self.ruling}>"


def verdict_of(part: Part, options: Options) -> Verdict:
    """Return what the door would make of a message."""
    fault = part.fault
    if not fault and len(part.raw) > options.max_message_bytes:
        fault = "oversize"
    read = read_header(part.raw)
    header = read.header if isinstance(read, HeaderError) else read
    if fault:
        answered = fault not in {"garbage", "empty"} and not isinstance(read, HeaderError)
        ruling = Ruling.REJECT if answered else None
        findings = (framing_finding(fault),)
        return Verdict(header=header, ruling=ruling, outcome="", findings=findings)
    if isinstance(read, HeaderError):
        findings = (read.finding,)
        return Verdict(header=header, ruling=Ruling.REJECT, outcome="", findings=findings)
    judgement = judge(part.raw, header, options.profile, options.realm)
    return Verdict(
        header=header,
        ruling=judgement.ruling,
        outcome="parked" if judgement.unmappable else _OUTCOMES[judgement.ruling],
        findings=judgement.findings,
        parked=judgement.unmappable,
    )


def check(part: Part, file: str, message: int, options: Options) -> Entry:
    """Return what the hub would answer to a message of a file, with every finding."""
    return entry_of(part, file, message, options, verdict_of(part, options))


def _told(verdict: Verdict) -> tuple[Finding, ...]:
    """Return the findings; why no report can be made is an error here, though it is kept (AA)."""
    parked = verdict.parked
    if parked is None:
        return verdict.findings
    return tuple(
        msgspec.structs.replace(each, level=Level.ERROR)
        if (each.code, each.place) == (parked.code, parked.place)
        else each
        for each in verdict.findings
    )


def entry_of(part: Part, file: str, message: int, options: Options, verdict: Verdict) -> Entry:
    """Return the entry of a message that was judged already."""
    header, findings = verdict.header, _told(verdict)
    notes: tuple[Note, ...] = ()
    if findings:
        lines = Lines(
            part.raw,
            header.separators,
            header.charset_name,
            conventions_of(options.profile.name).charsets,
            part.lines,
            names=frozenset(finding.place.segment for finding in findings),
        )
        notes = tuple(
            sorted(
                (_note(finding, lines, options) for finding in findings),
                key=lambda note: (note.line, note.column),
            )
        )
    levels = [note.level for note in notes]
    return Entry(
        file=file,
        message=message,
        line=part.lines[0] if part.lines else 1,
        control_id=header.control_id,
        message_type=f"{header.message_type}^{header.trigger}".strip("^"),
        version=header.version if header.version_raw and header.content else "",
        sender=header.registry_id,
        profile=options.profile.name,
        realm=options.realm,
        verdict="" if verdict.ruling is None else ACK_CODES[verdict.ruling],
        outcome=verdict.outcome,
        errors=levels.count(Level.ERROR),
        warnings=levels.count(Level.WARNING),
        infos=levels.count(Level.INFO),
        findings=notes,
    )


def _note(finding: Finding, lines: Lines, options: Options) -> Note:
    place = finding.place
    spot = None if place == NOWHERE else lines.spot(place)
    if finding.code == "undecodable_charset":
        # MSH-18 is where it is said; the bytes that do not fit stand elsewhere.
        spot = lines.undecodable() or spot
        if spot is not None and spot.segment.name != "MSH":
            place = _place_of(spot)
    remedy, why = wording_of(finding, options.language)
    excerpt, caret, length = _excerpt(spot, place, show_values=options.show_values)
    return Note(
        code=finding.code,
        level=finding.level,
        hl7_code=finding.hl7_code,
        place=str(place),
        segment=place.segment,
        sequence=place.sequence,
        field=place.field,
        repetition=place.repetition,
        component=place.component,
        subcomponent=place.subcomponent,
        line=spot.line if spot is not None else lines.number(0),
        column=spot.start + 1 if spot is not None else 0,
        end_column=spot.end + 1 if spot is not None else 0,
        shape=shape_of(spot.value, options.language) if spot is not None and place.field else "",
        remedy=remedy,
        why=why,
        excerpt=excerpt,
        is_masked=not options.show_values,
        caret=caret,
        caret_length=length,
        corrected=_corrected(finding, spot, lines, options),
        help=PAGE_PATH + finding.code,
    )


def _place_of(spot: Spot) -> Place:
    field = spot.segment.line.count(spot.segment.separators.field, 0, spot.start)
    return Place(spot.segment.name, spot.segment.sequence, field)


def _excerpt(spot: Spot | None, place: Place, *, show_values: bool) -> tuple[str, int, int]:
    """Return the line to show, and where in it the value stands."""
    if spot is None:
        return "", 0, 0
    segment = spot.segment
    if show_values:
        begin = max(0, spot.start - MAX_LINE_CHARACTERS // 2)
        shown = for_terminal(segment.line[begin : begin + MAX_LINE_CHARACTERS])
        caret = min(spot.start - begin, len(shown))
        return shown, caret, max(1, min(spot.end, begin + len(shown)) - spot.start)
    if not place.field:
        name = segment.name
        return mask_of(name) if not name.isalnum() else name, 0, max(1, len(name))
    shown = mask_of(spot.value)
    excerpt, caret = hidden(segment, spot.start, spot.end, shown)
    return _cut(excerpt, caret, len(shown))


def _cut(excerpt: str, caret: int, length: int) -> tuple[str, int, int]:
    begin = max(0, caret - MAX_LINE_CHARACTERS // 2)
    return excerpt[begin : begin + MAX_LINE_CHARACTERS], caret - begin, max(1, length)


def _corrected(finding: Finding, spot: Spot | None, lines: Lines, options: Options) -> str:
    if spot is None:
        return ""
    mend = mend_of(finding.code, finding.place, spot, lines, options.realm)
    if mend is None or spot.segment.name != mend.place.segment:
        return ""
    place = mend.place
    line = spot.segment.with_component(
        place.field, place.repetition, place.component, mend.text, place.subcomponent
    )
    if options.show_values:
        return for_terminal(line)[: 2 * MAX_LINE_CHARACTERS]
    was = spot.segment
    mended = Segment(was.name, was.sequence, line, was.separators)
    start, end = span_of(mended, place)
    excerpt, caret = hidden(
        mended, start, end, mend.text if mend.is_constant else mask_of(line[start:end])
    )
    return _cut(excerpt, caret, 1)[0]
