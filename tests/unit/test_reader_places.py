"""A token's connections are counted over all api processes, and a killed one's are free again."""

from __future__ import annotations

from pathlib import Path

import pytest

from ops.runtime.shared_counts import SharedCounts
from ops.stream_tokens.places import COUNTED, Places
from ops.stream_tokens.refusals import Refused
from ops.stream_tokens.token import StreamToken
from schemas.topics import Stream


def token(number: int, most: int = 3, stream: Stream = Stream.PUBLIC_HEALTH) -> StreamToken:
    return StreamToken(
        token_id=number,
        name=f"{stream.value}-{number}",
        streams=frozenset({stream}),
        max_connections=most,
    )


def places(folder: Path, most: int = 100) -> Places:
    return Places(most, SharedCounts(folder, size=COUNTED))


def test_two_processes_give_a_token_as_many_as_it_may_have_together(tmp_path: Path) -> None:
    one, other = places(tmp_path), places(tmp_path)
    for each in (one, other, one):
        each.take(token(7))
    for each in (one, other):
        with pytest.raises(Refused, match="connections_used"):
            each.take(token(7))
    other.take(token(8))
    one.leave(token(7))
    other.take(token(7))
    with pytest.raises(Refused, match="connections_used"):
        one.take(token(7))
    one.close()
    other.close()


def test_what_an_ended_process_held_is_free_again(tmp_path: Path) -> None:
    one, other = places(tmp_path), places(tmp_path)
    for _ in range(3):
        one.take(token(7))
    with pytest.raises(Refused, match="connections_used"):
        other.take(token(7))
    one.close()  # as a kill does: the kernel takes the lock back
    other.take(token(7))
    one.leave(token(7))  # whoever still leaves a process that stops takes nothing from others
    assert other.tokens == {7}
    other.close()


def test_where_all_places_are_taken_nothing_stays_counted(tmp_path: Path) -> None:
    one, other = places(tmp_path, most=2), places(tmp_path)
    one.take(token(1, most=1))
    one.take(token(2, most=1))
    with pytest.raises(Refused, match="readers_full"):
        one.take(token(3, most=1))
    other.take(token(3, most=1))
    one.close()
    other.close()


def test_tokens_of_the_data_folder_are_counted_each_by_itself(tmp_path: Path) -> None:
    one, other = places(tmp_path), places(tmp_path)
    for stream in Stream:
        one.take(token(0, most=1, stream=stream))
    for stream in Stream:
        with pytest.raises(Refused, match="connections_used"):
            other.take(token(0, most=1, stream=stream))
    one.close()
    other.close()
