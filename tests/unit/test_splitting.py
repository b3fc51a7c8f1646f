from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.splitting import split_file, split_parts

ONE = b"MSH|^~\\&|A|LAB\rPID|1\r"
TWO = b"MSH|^~\\&|B|LAB\rPID|2\r"


def raws(content: bytes) -> list[bytes]:
    return [part.raw for part in split_parts(content)]


def first_lines(content: bytes) -> list[int]:
    return [part.lines[0] for part in split_parts(content)]


@pytest.mark.parametrize("end", [b"\r", b"\n", b"\r\n"])
def test_bare_messages_follow_one_another_in_any_line_ends(end: bytes) -> None:
    content = (ONE + TWO).replace(b"\r", end)
    assert raws(content) == [ONE, TWO]
    assert [list(part.lines) for part in split_parts(content)] == [[1, 2], [3, 4]]


def test_envelopes_of_a_batch_and_blank_lines_are_skipped_and_lines_are_the_files() -> None:
    content = (
        b"FHS|^~\\&\nBHS|^~\\&\n\n" + ONE.replace(b"\r", b"\n") + b"\n" + TWO + b"BTS|2\rFTS|1\r"
    )
    assert raws(content) == [ONE, TWO]
    assert first_lines(content) == [4, 7]


def test_frames_are_given_as_they_stand() -> None:
    content = b"\x0b" + ONE + b"\x1c\r\x0b" + TWO.replace(b"\r", b"\r\n") + b"\x1c\r\n"
    assert raws(content) == [ONE, TWO.replace(b"\r", b"\r\n")]
    assert first_lines(content) == [1, 4]
    assert not any(part.fault for part in split_parts(content))


def test_a_frame_may_end_as_an_editor_left_it() -> None:
    assert raws(b"\x0b" + ONE + b"\x1c\n\x0b" + TWO + b"\x1c") == [ONE, TWO]


def test_what_is_no_whole_frame_is_named() -> None:
    content = b"log line\r\x0b" + ONE + b"\x0b" + TWO + b"\x1c\r\x0b\x1c\r\x0bMSH|"
    assert [(part.raw, part.fault) for part in split_parts(content)] == [
        (b"log line\r", "garbage"),
        (ONE, "cut"),
        (TWO, ""),
        (b"", "empty"),
        (b"MSH|", "cut"),
    ]
    assert list(split_file(content)) == [ONE, TWO, b"MSH|"]


def test_what_is_no_message_is_given_so_that_its_fault_can_be_said() -> None:
    assert raws(b"\xef\xbb\xbfnot HL7\n") == [b"not HL7\r"]
    assert raws(b"") == raws(b"\r\n \n") == []


def test_many_restarts_are_cut_in_linear_time() -> None:
    assert sum(1 for _ in split_parts(b"\x0bMSH" * 200_000)) == 200_000


@given(st.lists(st.sampled_from([b"\x0b", b"\x1c", b"\r", b"\n", b"MSH|", b"x", b" "])))
def test_no_byte_of_what_was_sent_is_lost(pieces: list[bytes]) -> None:
    content = b"".join(pieces)
    parts = list(split_parts(content))
    assert b"".join(part.raw for part in parts).count(b"x") == content.count(b"x")
    for part in parts:
        assert list(part.lines) == sorted(part.lines) and part.lines[0] >= 1
