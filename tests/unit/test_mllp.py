"""Framing: every cut of the bytes, every odd peer, bounded memory."""

from __future__ import annotations

import pytest

from ingest.mllp import Frame, Framer, FramingError, wrap

MESSAGE = b"MSH|^~\\&|A|B\rPID|1\r"


def all_of(data: bytes, limit: int = 1_000, step: int = 0) -> list[Frame | FramingError]:
    framer = Framer(limit)
    if not step:
        return framer.feed(data)
    out: list[Frame | FramingError] = []
    for at in range(0, len(data), step):
        out += framer.feed(data[at : at + step])
    return out


def test_a_frame_is_whole_however_it_is_split_in_two() -> None:
    data = wrap(MESSAGE)
    for at in range(len(data) + 1):
        framer = Framer(1_000)
        found = framer.feed(data[:at])
        assert framer.partial == (0 < at < len(data))
        assert found + framer.feed(data[at:]) == [Frame(MESSAGE)]
        assert not framer.partial and framer.partial_bytes == 0


def test_two_frames_in_a_packet_and_filler_between_them() -> None:
    data = b"\r\n" + wrap(b"one") + b"\x00\x00 \r\n" + wrap(b"two") + b"\n"
    assert all_of(data) == [Frame(b"one"), Frame(b"two")]


def test_fs_without_cr_and_a_lone_vt_are_content() -> None:
    assert all_of(wrap(b"a\x1cb\x0bc\x1c\x1c")) == [Frame(b"a\x1cb\x0bc\x1c\x1c")]


def test_a_vt_before_msh_inside_a_frame_cuts_the_frame_before() -> None:
    data = b"\x0bMSH|first\r" + wrap(b"MSH|second\r")
    assert all_of(data) == [FramingError("cut", b"MSH|first\r"), Frame(b"MSH|second\r")]
    assert all_of(data, step=1) == all_of(data)


def test_a_doubled_vt_is_no_frame() -> None:
    assert all_of(b"\x0b" + wrap(MESSAGE)) == [Frame(MESSAGE)]


def test_a_zero_length_frame_is_an_error() -> None:
    assert all_of(b"\x0b\x1c\r" + wrap(b"x")) == [FramingError("empty"), Frame(b"x")]


@pytest.mark.parametrize("step", [0, 1, 7])
def test_garbage_is_reported_once_a_run(step: int) -> None:
    data = b" \r\nnonsense that goes on" + wrap(b"x") + b"ab" + wrap(b"y")
    assert all_of(data, step=step) == [
        FramingError("garbage", b"nonsense"),
        Frame(b"x"),
        FramingError("garbage", b"ab"),
        Frame(b"y"),
    ]


@pytest.mark.parametrize("step", [0, 1])
@pytest.mark.parametrize(
    "hello", [b"GET / HTTP/1.1\r\n", b"POST /hl7 HTTP/1.1\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01"]
)
def test_http_and_tls_are_told_as_foreign(hello: bytes, step: int) -> None:
    (error,) = all_of(hello, step=step)
    assert isinstance(error, FramingError)
    assert error.reason == "garbage" and error.is_foreign


@pytest.mark.parametrize("step", [0, 1, 3, 64])
def test_an_oversize_frame_is_skipped_and_the_next_one_taken(step: int) -> None:
    data = wrap(b"MSH|" + b"x" * 500) + wrap(b"y" * 100) + wrap(b"z" * 101)
    found = all_of(data, limit=100, step=step)
    head = (b"MSH|" + b"x" * 500)[:100]
    assert found == [
        FramingError("oversize", head),
        Frame(b"y" * 100),
        FramingError("oversize", b"z" * 100),
    ]


def test_an_oversize_frame_does_not_grow_memory() -> None:
    framer = Framer(10_000)
    found = framer.feed(b"\x0bMSH|")
    for _ in range(1_000):
        found += framer.feed(b"x" * 1_000)
        assert len(framer._buffer) <= 11_010
    assert [error.reason for error in found if isinstance(error, FramingError)] == ["oversize"]
    assert framer.partial and framer.partial_bytes == 4 + 1_000_000
    assert framer.feed(b"\x1c\r" + wrap(b"next")) == [Frame(b"next")]


def test_the_head_of_an_oversize_frame_is_4096_bytes() -> None:
    (error,) = all_of(wrap(b"h" * 20_000), limit=10_000)
    assert isinstance(error, FramingError) and len(error.head) == 4096


# Work that grows with the square would take these two minutes: the time limit of a test ends them.
def test_a_large_frame_in_thousands_of_packets_takes_linear_time() -> None:
    payload = b"QUJD" * 1_000_000
    assert all_of(wrap(payload), limit=8 << 20, step=500) == [Frame(payload)]


def test_many_restarts_in_one_packet_take_linear_time() -> None:
    assert len(all_of(b"\x0bMSH" * 200_000, limit=8 << 20)) == 199_999


def test_no_text_form_shows_content() -> None:
    shown = repr(all_of(wrap(b"CANARY") + b"CANARY-AGAIN" + wrap(b"")))
    assert "CANARY" not in shown
