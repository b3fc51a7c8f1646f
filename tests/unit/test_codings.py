from __future__ import annotations

import gzip
import json
import zlib
from datetime import UTC, datetime
from uuid import UUID

import msgspec
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from ops.codings import Coding, coder_of, coding_of
from routing.following import Chunk
from routing.streams import encode_line
from schemas.events import EventKind, StreamEvent
from schemas.topics import Stream


def chunk(*bodies: bytes) -> Chunk:
    return Chunk(
        [
            StreamEvent(
                event_id=UUID(int=n),
                stream=Stream.PUBLIC_HEALTH,
                partition=0,
                seq=n,
                report_id=UUID(int=n),
                event_version=1,
                kind=EventKind.PUBLISHED,
                reason="new",
                realm="test",
                rule="r",
                rule_version="1",
                person_version=1,
                emitted_at=datetime(2026, 3, 6, tzinfo=UTC),
                body=msgspec.Raw(body),
                cursor=f"c{n}",
            )
            for n, body in enumerate(bodies)
        ]
    )


def decoder_of(coding: Coding) -> object:
    if coding == "gzip":
        return zlib.decompressobj(zlib.MAX_WBITS | 16)
    return zstandard.ZstdDecompressor().decompressobj()


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
@given(st.lists(st.binary(max_size=300).map(lambda raw: json.dumps(raw.hex()).encode())))
def test_each_piece_can_be_read_as_it_comes(coding: Coding, bodies: list[bytes]) -> None:
    coder, decoder = coder_of(coding), decoder_of(coding)
    whole = b""
    for some in (bodies[:2], bodies[2:], []):
        held = chunk(*some)
        assert decoder.decompress(coder.chunk(held, "ndjson")) == held.encoded("ndjson")  # type: ignore[attr-defined]
        whole += held.encoded("ndjson")
        assert decoder.decompress(coder.text(b"more\n")) == b"more\n"  # type: ignore[attr-defined]
    assert decoder.decompress(coder.end()) == b""  # type: ignore[attr-defined]
    assert decoder.eof  # type: ignore[attr-defined]


def test_a_batch_is_encoded_and_deflated_once_for_all() -> None:
    held = chunk(b'{"a":1}', b'{"a":2}')
    coders = [coder_of("gzip") for _ in range(3)]
    coders[1].text(b"who came earlier\n")
    for coder in coders:
        assert held.encoded("ndjson") is held.encoded("ndjson")
        assert held.deflated("ndjson") is held.deflated("ndjson")
        coder.chunk(held, "ndjson")
    alone = coder_of("gzip")
    answer = alone.chunk(held, "ndjson") + alone.chunk(held, "ndjson") + alone.end()
    assert gzip.decompress(answer) == held.encoded("ndjson") * 2


def test_an_answer_without_events_is_whole_too() -> None:
    assert gzip.decompress(coder_of("gzip").end()) == b""
    assert coder_of("identity").end() == b""


def test_a_server_sent_event_is_the_line_with_its_cursor_as_id() -> None:
    held = chunk(b'{"a":1}', b'{"a":2}')
    blocks = held.encoded("sse").decode().removesuffix("\n\n").split("\n\n")
    assert len(blocks) == 2
    for number, block in enumerate(blocks):
        identity, data = block.split("\n")
        assert identity == f"id: c{number}"
        assert data.encode() == b"data: " + encode_line(held.events[number]).rstrip()


@pytest.mark.parametrize(
    ("accepted", "follows", "coding"),
    [
        ("", False, "identity"),
        ("identity", False, "identity"),
        ("gzip, deflate, br, zstd", False, "zstd"),
        ("gzip, deflate, br, zstd", True, "gzip"),
        ("gzip, deflate", False, "gzip"),
        ("GZIP;q=0.5, zstd;q=0.4", False, "gzip"),
        ("zstd;q=0, gzip;q=0", False, "identity"),
        ("*", False, "zstd"),
        ("gzip;q=0.5, identity;q=1", False, "identity"),
        ("x-gzip", False, "gzip"),
        ("br", False, "identity"),
        ("gzip;q=banana", False, "identity"),
        ("gzip;q=nan", False, "identity"),
        (",,;q=1,=", False, "identity"),
    ],
)
def test_the_coding_is_what_is_liked_best(accepted: str, follows: bool, coding: str) -> None:
    assert coding_of(accepted, follows=follows) == coding


@given(st.text(max_size=80), st.booleans())
def test_any_header_gives_a_coding(accepted: str, follows: bool) -> None:
    assert coding_of(accepted, follows=follows) in {"identity", "gzip", "zstd"}
