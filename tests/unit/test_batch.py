from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.batch import (
    MAX_FINDINGS,
    BatchReader,
    Closed,
    Message,
    Opened,
    ReaderState,
    Skipped,
    Step,
)
from ingest.batch_answer import code_of, header_line, trailer_line
from ingest.batch_parts import Part, PartKind, Splitter
from ingest.catalogue import RULES
from ops.splitting import split_parts

NOON = datetime(2026, 3, 6, 12, tzinfo=UTC)
ONE = b"MSH|^~\\&|A|LAB|H|HUB\rPID|1\r"
TWO = b"MSH|^~\\&|B|LAB|H|HUB\rPID|2\r"
FHS = b"FHS|^~\\&|A|LAB|H|HUB|20260306||f.hl7||F-1\r"
BHS = b"BHS|^~\\&|A|LAB|H|HUB|20260306||||B-1\r"


def read(
    content: bytes, size: int = 1_000_000, limit: int = 10_000
) -> tuple[list[Step], BatchReader]:
    reader = BatchReader(limit)
    steps: list[Step] = []
    for at in range(0, len(content), size):
        steps += reader.feed(content[at : at + size])
    return steps + reader.close(), reader


def messages(content: bytes, **how: int) -> list[bytes]:
    return [step.raw for step in read(content, **how)[0] if isinstance(step, Message)]


def codes(content: bytes) -> list[str]:
    return [found.code for found in read(content)[1].state.findings]


@pytest.mark.parametrize("end", [b"\r", b"\n", b"\r\n"])
@pytest.mark.parametrize(
    "content",
    [
        ONE + TWO,
        BHS + ONE + TWO + b"BTS|2\r",
        FHS + BHS + ONE + TWO + b"BTS|2\rFTS|1\r",
        FHS + BHS + ONE + b"BTS|1\r" + BHS + TWO + b"BTS|1\rFTS|2\r",
        b"\xef\xbb\xbf" + BHS + ONE + b"\r\r" + TWO + b"BTS||a comment\r",
        ONE + b"\xef\xbb\xbf" + TWO,
    ],
)
def test_messages_of_every_form_of_file_without_a_finding(content: bytes, end: bytes) -> None:
    content = content.replace(b"\r", end)
    assert messages(content) == [ONE, TWO]
    assert codes(content) == []


@pytest.mark.parametrize(
    "content",
    [
        b"\x0b" + ONE + b"\x1c\r\x0b" + TWO + b"\x1c\r",
        b"\x0b" + ONE + b"\x1c\n\x0b" + TWO + b"\x1c",
        BHS + b"\x0b" + ONE + b"\x1c\r\x0b" + TWO + b"\x1c\rBTS|2\r",
        b"\x0b" + BHS + ONE + TWO + b"BTS|2\r\x1c\r",
        ONE + b"\x0b" + TWO + b"\x1c\r",
    ],
)
def test_messages_may_stand_in_frames(content: bytes) -> None:
    assert messages(content) == [ONE, TWO]
    assert codes(content) == []


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (BHS + ONE + b"BTS|2\r", ["batch_count_differs"]),
        (BHS + ONE + b"BTS|one\r", ["batch_count_differs"]),
        (BHS + ONE + b"BTS|" + b"9" * 5_000 + b"\r", ["batch_count_differs"]),
        (FHS + BHS + ONE + b"BTS|1\rFTS|2\r", ["batch_file_count_differs"]),
        (ONE + b"BTS|1\r", ["batch_header_missing"]),
        (BHS + ONE + b"BTS|1\rFTS|1\r", ["batch_header_missing"]),
        (BHS + ONE, ["batch_trailer_missing"]),
        (FHS + BHS + ONE + b"BTS|1\r", ["batch_trailer_missing"]),
        (FHS + BHS + ONE + b"FTS|1\r", ["batch_trailer_missing"]),
        (BHS + ONE + BHS + ONE + b"BTS|1\r", ["batch_trailer_missing"]),
        (b"a title\r" + ONE, ["batch_text_outside"]),
        (BHS + ONE + b"BTS|1\rPID|9\r", ["batch_text_outside"]),
        (b"", ["batch_empty"]),
        (BHS + b"BTS|0\r", ["batch_empty"]),
    ],
)
def test_what_is_wrong_with_the_envelopes_keeps_no_message_back(
    content: bytes, expected: list[str]
) -> None:
    assert codes(content) == expected
    assert messages(content) == [ONE] * content.count(ONE)
    assert set(expected) <= set(RULES)


def test_counts_that_differ_are_told_with_both_numbers_and_the_place() -> None:
    (found,) = read(BHS + ONE + b"BTS|7\r")[1].state.findings
    assert (found.message, found.said, found.found) == (1, 7, 1)
    assert found.at == len(BHS + ONE)


def test_a_last_message_without_its_end_is_not_taken_where_an_envelope_is_open() -> None:
    steps, reader = read(BHS + ONE + TWO[:-2])
    assert [step.number for step in steps if isinstance(step, Message)] == [1]
    assert [step.fault for step in steps if isinstance(step, Skipped)] == ["cut"]
    assert [f.code for f in reader.state.findings] == ["batch_cut_end", "batch_trailer_missing"]
    assert messages(ONE + TWO[:-1]) == [ONE, TWO], "a bare file may end without the end of a line"


def test_a_message_that_is_too_large_is_skipped_and_named_by_its_number() -> None:
    large = ONE + b"OBX|" + b"x" * 20_000 + b"\r"
    for size in (7, 1_000_000):
        steps, reader = read(ONE + large + TWO, size)
        (skipped,) = [step for step in steps if isinstance(step, Skipped)]
        assert (skipped.number, skipped.fault) == (2, "oversize")
        assert skipped.head == large[:4_096]
        assert [step.raw for step in steps if isinstance(step, Message)] == [ONE, TWO]
        assert [f.code for f in reader.state.findings] == ["batch_message_skipped"]


def test_memory_is_bounded_by_one_message() -> None:
    splitter = Splitter(10_000)
    for _ in range(2_000):
        assert splitter.feed(b"x" * 5_000) == []
        assert len(splitter._buffer) <= 10_000 + 5_000
    (part,) = splitter.close()
    assert (part.kind, part.fault, len(part.raw)) == (PartKind.TEXT, "oversize", 4_096)


def test_findings_of_one_file_are_bounded() -> None:
    _, reader = read(b"BTS|1\r" * (MAX_FINDINGS + 50))
    assert len(reader.state.findings) == MAX_FINDINGS
    # Each BTS has no header and another count; the file holds no message.
    assert reader.state.more_findings == 2 * (MAX_FINDINGS + 50) + 1 - MAX_FINDINGS


def test_lengths_and_texts_alone_are_shown() -> None:
    steps, _ = read(FHS + BHS + ONE + b"BTS|1\rFTS|1\r")
    assert "LAB" not in repr([step for step in steps if not isinstance(step, Closed)])


PIECES = st.lists(
    st.sampled_from(
        [ONE, TWO, FHS, BHS, b"BTS|1\r", b"FTS|1\r", b"\x0b", b"\x1c", b"\x1c\r", b"\r", b"\n",
         b"\r\n", b"MSH", b"MSH|", b"x" * 90, b" ", b"\x00", b"\xef\xbb\xbf", b"BT", b"\x0bMSH"]
    ),
    max_size=14,
)  # fmt: skip


def parts_of(content: bytes, cuts: list[int], limit: int) -> list[Part]:
    splitter = Splitter(limit)
    out: list[Part] = []
    at = 0
    for cut in [*sorted(cut % (len(content) + 1) for cut in cuts), len(content)]:
        out += splitter.feed(content[at:cut])
        at = cut
    return out + splitter.close()


@given(PIECES, st.lists(st.integers(0, 2_000), max_size=30), st.sampled_from([60, 10_000]))
def test_any_cut_of_the_bytes_gives_the_same_parts(
    pieces: list[bytes], cuts: list[int], limit: int
) -> None:
    content = b"".join(pieces)
    whole = parts_of(content, [], limit)
    assert parts_of(content, cuts, limit) == whole
    assert parts_of(content, list(range(len(content))), limit) == whole


@given(PIECES, st.integers(1, 50))
def test_reading_goes_on_from_every_state_as_if_it_had_not_stopped(
    pieces: list[bytes], size: int
) -> None:
    content = b"".join(pieces)
    expected, reader = read(content, limit=60)
    steps: list[Step] = []
    state = ReaderState()
    while True:
        going_on = BatchReader(60, state)
        at = state.position
        found: list[Step] = []
        while at < len(content) and not found:
            found = going_on.feed(content[at : at + size])
            at += size
        steps += found
        if not found:
            steps += going_on.close()
            break
        state = going_on.state
    assert steps == expected
    assert going_on.state == reader.state


@given(PIECES)
def test_files_mean_the_same_messages_to_the_door_as_to_send_and_check(pieces: list[bytes]) -> None:
    content = b"".join(pieces)
    others = [part.raw for part in split_parts(content)]
    for raw in messages(content):
        assert raw in others


def test_the_answer_swaps_sender_and_receiver_and_names_the_header() -> None:
    line = header_line(Opened(kind="BHS", line=BHS.rstrip()), NOON)
    fields = line.rstrip(b"\r").split(b"|")
    assert fields[:7] == [b"BHS", b"^~\\&", b"H", b"HUB", b"A", b"LAB", b"20260306120000+0000"]
    assert len(fields[10]) == 20 and fields[11] == b"B-1"


def test_the_answer_to_a_bare_file_is_in_the_separators_of_its_first_message() -> None:
    raw = ONE.replace(b"|", b"$").replace(b"^~\\&", b"*%!@")
    line = header_line(Opened(kind="BHS", line=raw, is_implied=True), NOON)
    assert line.startswith(b"BHS$*%!@$H$HUB$A$LAB$2026")


@pytest.mark.parametrize(
    "line",
    [
        b"BHS", b"BHS|", b"BHS||||", b"BHS^^^^^^", b"BHSabc", b"FHS|\xff\xff|", b"BHS|^~\\&",
        b"BHS|^~\\&|" + b"x" * 4_000, b"BHS|^~\\&|a\x0bb\x1c|c",
    ],
)  # fmt: skip
def test_a_header_that_says_nothing_is_answered_all_the_same(line: bytes) -> None:
    answer = header_line(Opened(kind=line[:3].decode(), line=line), NOON)
    assert answer.startswith((b"BHS|^~\\&|", b"FHS|^~\\&|")) and answer.count(b"\r") == 1
    assert len(answer) < 1_200 and b"\x0b" not in answer and b"\x1c" not in answer


def test_a_trailer_counts_the_answers_and_names_what_was_found() -> None:
    assert trailer_line(Closed(kind="BTS", held=2), 2) == b"BTS|2\r"
    found = ("batch_count_differs", "batch_text_outside")
    closed = Closed(kind="FTS", held=3, separator="$", codes=found)
    assert trailer_line(closed, 3) == b"FTS$3$batch_count_differs batch_text_outside\r"


def test_an_end_names_the_separator_of_its_header_and_the_findings_so_far() -> None:
    content = FHS.replace(b"|", b"$") + BHS + ONE + b"BTS|2\r" + b"FTS$1\r"
    ends = [step for step in read(content)[0] if isinstance(step, Closed)]
    codes = ("batch_count_differs",)
    assert ends == [
        Closed(kind="BTS", held=1, separator="|", codes=codes),
        Closed(kind="FTS", held=1, separator="$", codes=codes),
    ]


def test_the_code_of_an_acknowledgement() -> None:
    assert code_of(b"MSH|^~\\&|\rMSA|CE|1\r") == "AE"
    assert code_of(b"MSH|^~\\&|\rMSA|AA|1\r") == "AA"
    assert code_of(b"MSH|^~\\&|\r") == ""
