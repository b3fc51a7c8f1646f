"""Reading and writing ER7: nothing is lost, nothing raises, nothing is injected."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ingest import header as header_module
from ingest.er7 import Message, Segment, read
from ingest.escapes import escape, unescape
from ingest.header import Header, HeaderError, read_header
from ingest.judge import LabProfile, judge
from ingest.mllp import Frame, Framer, wrap
from ingest.separators import Separators
from schemas.decision import Realm
from schemas.errors import PermanentError

CORPUS = Path(__file__).parents[1] / "golden" / "corpus"
MESSAGES = [
    pytest.param(part, id=f"{path.name}-{number}")
    for path in sorted(CORPUS.glob("*.hl7"))
    for number, part in enumerate(
        re.split(rb"(?<=[\r\n])(?=MSH\||BTS\||FTS\|)", path.read_bytes()), 1
    )
    if part.startswith(b"MSH")
]
SEPARATORS = [
    Separators(),
    Separators(truncation="#"),
    Separators(repetition="\u02dc"),
    Separators(field="$", component="*", repetition="!", escape="?", subcomponent="%"),
]
CODECS = {
    "UNICODE UTF-8": "utf-8",
    "8859/1": "iso8859-1",
    "8859/15": "iso8859-15",
    "ASCII": "ascii",
}
BREAKING = "\x00\n\x0b\r\x1c"

names = st.sampled_from(["PID", "ORC", "OBR", "OBX", "NTE", "SPM", "ZZZ", "PRT", "MSH", "A", ""])
contents = st.text(st.characters(min_codepoint=1, max_codepoint=0x2FF), max_size=12)


@st.composite
def written(draw: st.DrawFn) -> bytes:
    """A message as some sender writes it: any separators, any line ends, any character set."""
    separators = draw(st.sampled_from(SEPARATORS))
    charset = draw(st.sampled_from([*CODECS, "cp1252"]))
    codec = CODECS.get(charset, charset)
    named = "8859/1" if charset == "cp1252" else charset
    field = separators.field
    encoding = (
        separators.component
        + separators.repetition
        + separators.escape
        + separators.subcomponent
        + separators.truncation
    )
    msh = ["MSH" + field + encoding, "A", "B", "C", "D", "2026", "", "ORU", "1", "T", "2.5"]
    msh += [""] * 5 + [named]
    letters = contents | st.sampled_from([*encoding, '""', " ", "\x0b", "\x1c", "\\.br\\"])
    lines = [field.join(msh)]
    for _ in range(draw(st.integers(0, 6))):
        parts = draw(st.lists(letters, max_size=6))
        text = draw(names) + field + field.join(parts)
        lines.append(re.sub("[\r\n]", "", text))
    text = draw(st.sampled_from(["", "", "\r\n", " "]))
    for line in lines:
        text += line + draw(st.sampled_from(["\r", "\r", "\n", "\r\n", "\r\r", "\r  \r"]))
    if draw(st.booleans()):
        text = text.rstrip("\r\n")
    raw = text.encode(codec, "ignore")
    return b"\xef\xbb\xbf" + raw if draw(st.booleans()) and codec == "utf-8" else raw


def rejoined(segment: Segment) -> str:
    """Write a segment from its smallest parts."""
    separators = segment.separators
    fields = []
    for field in segment.fields():
        repetitions = [
            separators.component.join(
                separators.subcomponent.join(component.split(separators.subcomponent))
                for component in repetition.split(separators.component)
            )
            for repetition in field.split(separators.repetition)
        ]
        fields.append(separators.repetition.join(repetitions))
    if segment.name == "MSH":
        del fields[1]
    return separators.field.join(fields)


def readable(raw: bytes) -> Message | None:
    """Read; None for what cannot be: 8859/1 of a byte that Windows has not, lost separators."""
    try:
        return read(raw)
    except PermanentError as error:
        return None if error.reason and error.remedy else _nothing_said()


def _nothing_said() -> Message:
    raise AssertionError("an error without a reason or a remedy")


def assert_lossless(raw: bytes, message: Message) -> None:
    assert message.encode() == raw
    lines = [segment.line for segment in message.segments]
    assert [rejoined(segment) for segment in message.segments] == lines
    assert (
        message.encode(dict(enumerate(lines))).replace(b"\x0b", b" ").replace(b"\x1c", b" ").split()
        == raw.replace(b"\x0b", b" ").replace(b"\x1c", b" ").split()
    )
    assert sum(message.counts.values()) == len(lines)


@pytest.mark.parametrize("raw", MESSAGES)
def test_the_corpus_is_written_as_it_was_read(raw: bytes) -> None:
    assert_lossless(raw, read(raw))


@given(written())
def test_what_is_read_is_written_with_the_same_bytes(raw: bytes) -> None:
    message = readable(raw)
    if message is not None:
        assert_lossless(raw, message)


@given(written(), st.binary(max_size=8), st.integers(0, 400))
def test_what_is_read_of_damaged_bytes_is_written_the_same(
    raw: bytes, wound: bytes, at: int
) -> None:
    raw = raw[:at] + wound + raw[at + len(wound) :]
    message = readable(raw)
    assert message is None or message.encode() == raw


@given(st.binary(max_size=300) | written())
@example(b"MSH|^~\\&")
@example(b"MSH")
@example(b"MSH\r\x0b|")
def test_no_bytes_raise_anything_but_a_permanent_error(raw: bytes) -> None:
    header = read_header(raw)
    assert isinstance(header, Header | HeaderError)
    if isinstance(header, Header):
        judge(raw, header, LabProfile(), Realm.TEST)
    message = readable(raw)
    for segment in message.segments if message is not None else ():
        for number, raw_field in enumerate(segment.fields()):
            assert isinstance(message and message.text(raw_field), str)
            segment.repetitions(number)
            segment.component(number, 2)


@given(written(), st.lists(written(), max_size=3))
def test_what_was_read_before_changes_nothing(raw: bytes, others: list[bytes]) -> None:
    for other in others:
        read_header(other)
    warm = read_header(raw)
    again = read_header(raw)
    header_module._ENVELOPES.clear()
    assert read_header(raw) == warm == again
    if isinstance(warm, Header):
        message, cold = readable(raw), None
        try:
            cold = read(raw, start=warm.start)
        except PermanentError:
            assert message is None
        if message is not None and cold is not None:
            assert cold.notes == message.notes and cold.separators == message.separators
            assert [s.line for s in cold.segments] == [s.line for s in message.segments]


# ---------------------------------------------------------------------- injection


@given(contents, st.sampled_from(SEPARATORS))
def test_what_is_escaped_reads_as_it_was(text: str, separators: Separators) -> None:
    written_as = escape(text, separators)
    assert not set(written_as) & {*BREAKING, separators.field, separators.component}
    read_as = re.sub(f"[{BREAKING}]", " ", text)
    assert unescape(written_as, separators, "utf-8") == read_as


@given(
    contents | st.sampled_from(["\rOBX|1", "\x1c\rEVIL", "\x0bMSH|^~\\&|", "a^b~c&d|e\\f", '""']),
    st.sampled_from(SEPARATORS),
    st.integers(1, 30),
    st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3)),
)
def test_a_new_value_changes_its_own_place_and_nothing_else(
    text: str, separators: Separators, field: int, numbers: tuple[int, int, int]
) -> None:
    repetition, component, part = numbers
    line = separators.field.join(["PID", "1", "", "a", "b", "c"])
    segment = Segment("PID", 1, line, separators)
    changed = segment.with_component(field, repetition, component, text, part)
    after = Segment("PID", 1, changed, separators)
    assert not set(changed) & set(BREAKING)
    assert len(after.fields()) == max(6, field + 1)
    for number in range(1, 6):
        assert number == field or after.field(number) == segment.field(number)
    raw = after.field(field)
    if repetition:
        raw = raw.split(separators.repetition)[repetition - 1]
        if component:
            raw = raw.split(separators.component)[component - 1]
            if part:
                raw = raw.split(separators.subcomponent)[part - 1]
    assert raw == escape(text, separators)


@given(
    st.lists(st.sampled_from(["\r", "\n", "\x0b", "\x1c", "\x1c\r", "OBX|9", "x", "|"]), max_size=8)
)
def test_no_new_line_becomes_a_segment_or_a_frame(parts: list[str]) -> None:
    raw = b"MSH|^~\\&|A|B|||2026||ORU^R01|1|T|2.5\rPID|1||X\rOBR|1||||||||||\r"
    message = read(raw)
    text = "".join(parts)
    lines = {1: message.segments[1].with_component(5, 1, 1, text), 2: text + "OBR|1"}
    encoded = message.encode(lines)
    assert len(read(encoded).segments) == 3
    (frame,) = Framer(1_000_000).feed(wrap(encoded))
    assert isinstance(frame, Frame) and frame.payload == encoded
