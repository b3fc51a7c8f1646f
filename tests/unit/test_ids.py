"""An id made by the database client's class is one of the standard library in all that counts."""

from __future__ import annotations

import time
from uuid import RFC_4122, UUID

import msgspec
from hypothesis import given
from hypothesis import strategies as st

import ops.runtime.postgres  # noqa: F401 - says which class makes ids
from ops.runtime.ids import new_message_id
from schemas.ids import id_of

sixteen = st.binary(min_size=16, max_size=16)


@given(sixteen, sixteen)
def test_an_id_is_equal_to_the_standard_one_and_sorts_and_hashes_alike(
    one: bytes, other: bytes
) -> None:
    made, standard = id_of(one), UUID(bytes=one)
    assert isinstance(made, UUID)
    assert type(made) is not UUID
    assert (made, hash(made), made.bytes) == (standard, hash(standard), one)
    assert (str(made), made.hex, made.int) == (str(standard), standard.hex, standard.int)
    assert (made < UUID(bytes=other)) == (standard < UUID(bytes=other))
    assert {standard: 1}[made] == 1


@given(sixteen)
def test_an_id_is_written_as_the_standard_one(digest: bytes) -> None:
    made, standard = id_of(digest), UUID(bytes=digest)
    assert msgspec.json.encode(made) == msgspec.json.encode(standard)
    assert msgspec.msgpack.encode(made) == msgspec.msgpack.encode(standard)


def test_a_message_id_is_of_version_7_and_of_now() -> None:
    before = time.time_ns() // 1_000_000
    made = [UUID(bytes=new_message_id().bytes) for _ in range(100)]
    after = time.time_ns() // 1_000_000
    assert {each.version for each in made} == {7}
    assert {each.variant for each in made} == {RFC_4122}
    assert all(before <= each.int >> 80 <= after for each in made)
    assert len(set(made)) == len(made)
