"""Any split of the bytes gives the same frames and the same errors."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ingest.mllp import Frame, Framer, FramingError, wrap

_PIECES = st.sampled_from(
    [
        b"\x0b",
        b"\x1c",
        b"\r",
        b"\x1c\r",
        b"\x0bMSH",
        b"MSH|",
        b"\x00",
        b"\n",
        b"GET ",
        b"x" * 30,
        b"a",
    ]
)
_STREAMS = st.lists(_PIECES | st.binary(max_size=12), max_size=40).map(b"".join)


@given(stream=_STREAMS, cuts=st.lists(st.integers(0, 400), max_size=60), limit=st.integers(1, 60))
def test_any_split_gives_the_same(stream: bytes, cuts: list[int], limit: int) -> None:
    whole = Framer(limit)
    expected = whole.feed(stream)
    split = Framer(limit)
    found: list[Frame | FramingError] = []
    at = 0
    for cut in [*sorted(cuts), len(stream)]:
        found += split.feed(stream[at : max(at, cut)])
        at = max(at, cut)
        assert len(split._buffer) <= limit + 3
    assert found == expected
    assert split.partial == whole.partial
    assert split.partial_bytes == whole.partial_bytes


_PAYLOADS = st.lists(
    st.binary(min_size=1, max_size=80).filter(
        lambda payload: b"\x1c\r" not in payload and b"\x0bMSH" not in payload
    ),
    max_size=8,
)


@given(payloads=_PAYLOADS)
def test_what_is_wrapped_comes_out(payloads: list[bytes]) -> None:
    framer = Framer(100)
    found = framer.feed(b"".join(map(wrap, payloads)))
    assert found == [Frame(payload) for payload in payloads]
